"""A bound of the L2 error of a fit, from its misfit on the boundary.

The error e is harmonic, with the misfits δ on Dirichlet edges and η, in the flux, on the others as its data. The part
due to δ has a subharmonic square, hence is bounded by means of the torsion function ψ; the part due to η is
∮ G(·, s) η(s) ds with Green's functions G; so that in L2 of the domain

    ‖e‖ ≤ (∮ δ² (−∂ψ/∂n) ds)^½ + ‖∮ G(·, s) η(s) ds‖.

It needs Robin coefficients ≥ 0. Near corners, where δ and η are largest and their integrals tiny, this is sharpened:

* δ within a small distance of a corner counts linearly, with the weight 1 + 3 (−∂ψ/∂n) / √area: its influence on the
  bulk is that of its harmonic measure, and otherwise ends at the distance at which it acts;
* η is integrated by parts from the middles of edges to the corner v: ∮ G η ds = G(·, v) ∮ η ds + ∮ ∂G/∂s H ds, where
  H(s) is what flows in between s and the middle; and so oscillations of η cancel.

The formula above is a bound. Estimates are: the weight of δ near corners; ‖∂G/∂s‖, interpolated by a power of the
distance between v and the middle of the edge; and sums over a sample of the boundary instead of integrals. ψ and G
come from the same fit as u, to far more digits than needed. `MARGIN` is for all of these.
"""

from typing import NamedTuple

import numpy as np

from pinnkit.reference.lightning import Fit, Lightning, Resolution, applied, normal_part
from pinnkit.reference.rational import Array
from pinnkit.reference.rim import Rim, sample

CERTIFIED = 15.0  # points per pole, three times those of the fit
MARGIN = 2.0
NEAR = 0.1  # part of a corner's reach within which a misfit calls for more poles there
TIP = 0.01  # part of a corner's reach that is far from the bulk
STEEPEST = 0.9  # exponent of changes of G(·, s), short of 1 as they have a logarithm


class Misfit(NamedTuple):
    """The bound, relative to ‖u‖, and what each vertex and, at last, the rest of the boundary has in it: (m + 1,)."""

    bound: float
    parts: Array


def certify(lightning: Lightning, fit: Fit, resolution: Resolution) -> Misfit:
    """The bound above, from a sample of the boundary on which nothing was fitted."""
    rim = sample(lightning.rings, fit.basis.poles, fit.basis.lengths, resolution.degree, CERTIFIED)
    conditions = lightning.problem.conditions(rim)
    total, inner = lightning.values(fit, rim.z), lightning.values(fit, lightning.inner).values
    misfit = conditions.g - applied(conditions, rim, total)[:, 0]
    outflow = np.maximum(-normal_part(rim, total.slopes)[:, 1], 0)  # of ψ
    fixed, m = conditions.b == 0, len(lightning.corners.vertex)
    squares, linear = _from_values(lightning, rim, np.where(fixed, misfit, 0), outflow)
    charges, more = _from_fluxes(lightning, rim, np.where(fixed, 0, misfit), inner[:, 2:])
    group = np.where(rim.distance < NEAR * lightning.corners.reach[rim.vertex], rim.vertex, m)
    sums = np.bincount(group, linear + more, m + 1) + np.append(charges, 0)
    parts = np.sqrt(np.bincount(group, squares, m + 1)) + sums
    relative = MARGIN / (float(_norms(lightning, inner[:, :1])[0]) or 1.0)
    return Misfit(relative * float(np.sqrt(squares.sum()) + sums.sum()), relative * parts)


def _from_values(lightning: Lightning, rim: Rim, misfit: Array, outflow: Array) -> tuple[Array, Array]:
    """What points of the boundary (n,) add to the square of the bound, and to the bound, due to δ."""
    tip = rim.distance < TIP * lightning.corners.reach[rim.vertex]
    squares = np.where(tip, 0, outflow * misfit**2 * rim.length)
    weight = 1 + 3 * outflow / np.sqrt(lightning.polygon.area)
    return squares, np.where(tip, weight * np.abs(misfit) * rim.length, 0)


def _from_fluxes(lightning: Lightning, rim: Rim, misfit: Array, green: Array) -> tuple[Array, Array]:
    """What vertices (m,) and points of the boundary (n,) add to the bound due to η; G is given inside (k, g)."""
    m, flux = len(lightning.corners.vertex), misfit * rim.length
    functions = np.zeros((len(green), 2 * m))
    functions[:, lightning.free] = green
    charges = np.abs(np.bincount(rim.vertex, flux, m))
    slopes = _slopes(lightning, rim, functions[:, :m], functions[:, m:])
    return _norms(lightning, functions[:, :m]) * charges, slopes * np.abs(_beyond(rim, flux)) * rim.length


def _slopes(lightning: Lightning, rim: Rim, at_vertices: Array, at_middles: Array) -> Array:
    """‖∂G/∂s‖ at points of the boundary (n,), from G(·, v) and G(·, middle of an edge), each (k, m)."""
    ends, place = np.unique(np.stack([rim.vertex, rim.edge]), axis=1, return_inverse=True)
    changes = _norms(lightning, at_middles[:, ends[1]] - at_vertices[:, ends[0]])[place]
    edges = np.concatenate([np.abs(np.roll(ring, -1) - ring) for ring in lightning.rings])
    power = np.minimum(lightning.exponents, STEEPEST)[rim.vertex]
    return changes * (2 * rim.distance / edges[rim.edge]) ** power * power / rim.distance


def _norms(lightning: Lightning, inner: Array) -> Array:
    """L2 norms of functions given at the inner points (k, g): (g,)."""
    return np.sqrt((inner**2).mean(axis=0) * lightning.polygon.area)


def _beyond(rim: Rim, flux: Array) -> Array:
    """H at the points (n,) from the fluxes in at all points: those of half an edge follow each other, to its middle."""
    first = np.flatnonzero(np.diff(rim.vertex + 1j * rim.edge, prepend=-1))
    after = np.append(first[1:], len(flux))
    total = np.cumsum(flux)
    return np.repeat(total[after - 1], after - first) - total + flux / 2
