"""Poisson's equation on polygons, in coordinates in which the polygon's longer side is 2 and k = 1.

    −∇·(k ∇u) = f  in a polygon with holes,        α u + β k ∂u/∂n = g  on its edges,        k constant, f a polynomial

becomes −Δu = f with a u + b ∂u/∂n = g, b = 0 or 1. Points of the plane are complex numbers.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import shapely

from pinnkit.forms import BoundaryCoefficients, Coefficients
from pinnkit.geometry import Planar
from pinnkit.reference.poles import Index, as_complex, as_points
from pinnkit.reference.rational import Array, Complex
from pinnkit.reference.rim import Rim, ends
from pinnkit.reference.source import polynomial

ROUND_OFF = 1e-12  # relative, of coefficients that are constant or zero

Boundary = Callable[[str, Array, Array], BoundaryCoefficients]  # piece, points (n, 2), outward normals (n, 2)


class NotHarmonic(Exception):
    """The problem is none of those above, or is not well posed for any data; the message says why."""


class Conditions(NamedTuple):
    """a u + b ∂u/∂n = g at points of the boundary (n,): a = 1, b = 0 on Dirichlet edges, else a ≥ 0, b = 1."""

    a: Array
    b: Array
    g: Array

    def at(self, k: Index) -> "Conditions":
        """Those at some of the points."""
        return Conditions(self.a[k], self.b[k], self.g[k])


@dataclass(frozen=True)
class Frame:
    """Coordinates (x, y) = centre + scale · z."""

    centre: complex
    scale: float

    @classmethod
    def of(cls, domain: Planar) -> "Frame":
        lower, upper = domain.bounds
        return cls(complex(*(lower + upper) / 2), float((upper - lower).max() / 2))

    def inside(self, points: Array) -> Complex:
        return (as_complex(points) - self.centre) / self.scale

    def outside(self, z: Complex) -> Array:
        return as_points(self.centre + self.scale * z)


@dataclass(frozen=True)
class PoissonProblem:
    """−Δu = f with `Conditions`. Raises NotHarmonic."""

    domain: Planar
    conductivity: float
    source: Complex  # coefficients of f, see `source`
    boundary: Boundary

    @classmethod
    def read(cls, domain: Planar, points: Array, interior: Coefficients, boundary: Boundary) -> "PoissonProblem":
        """The problem from its coefficients at points (n, 2) inside and, as functions, on the boundary."""
        k, frame = float(interior.diffusion[0, 0, 0]), Frame.of(domain)
        if (np.abs(interior.diffusion / k - np.eye(2)) > ROUND_OFF).any():
            raise NotHarmonic("the diffusion is not constant")
        if (np.abs(interior.convection) * frame.scale > ROUND_OFF * k).any():
            raise NotHarmonic("the equation has first derivatives")
        if (np.abs(interior.reaction) * frame.scale**2 > ROUND_OFF * k).any():
            raise NotHarmonic("the equation has a term in u itself")
        source = polynomial(frame.inside(points), interior.source * frame.scale**2 / k)
        if source is None:
            raise NotHarmonic("the source is not a polynomial")
        problem = cls(domain, k, source, boundary)
        if not problem.conditions(ends(problem.rings)).a.any():
            raise NotHarmonic("the solution is not unique")
        return problem

    @property
    def frame(self) -> Frame:
        return Frame.of(self.domain)

    @property
    def rings(self) -> list[Complex]:
        return [self.frame.inside(ring) for ring in self.domain.rings]

    @property
    def polygon(self) -> shapely.Polygon:
        exterior, *holes = (as_points(ring) for ring in self.rings)
        return shapely.Polygon(exterior, holes)

    def conditions(self, rim: Rim) -> Conditions:
        """The conditions at points of the boundary (n,)."""
        points, normals = self.frame.outside(rim.z), as_points(rim.normal)
        found = np.empty((3, len(rim.z)))
        for k, piece in enumerate(self.domain.pieces):
            on = rim.edge == k
            with np.errstate(all="ignore"):  # what is not finite is refused below
                found[:, on] = self._scaled(piece, self.boundary(piece, points[on], normals[on]))
        if not np.isfinite(found).all():
            raise NotHarmonic("conditions are not finite")
        return Conditions(*found)

    def _scaled(self, piece: str, given: BoundaryCoefficients) -> Conditions:
        alpha, beta, g = given
        if not beta.any():
            return Conditions(np.ones_like(g), np.zeros_like(g), g / alpha)
        if not beta.all():
            raise NotHarmonic(f"the condition on {piece} changes its type")
        if (alpha / beta < 0).any():
            raise NotHarmonic(f"the condition on {piece} lets in the more heat the hotter it is")
        per_flux = self.frame.scale / (beta * self.conductivity)
        return Conditions(alpha * per_flux, np.ones_like(g), g * per_flux)
