"""Where the poles of a rational function are that is to be harmonic in a polygon with singular corners.

Poles lie outside the polygon, on the outer bisectors of its corners, at distances L exp(−σ (√n − √k)), k = 1 … n:
clustered exponentially, tapered (Gopal & Trefethen, "Solving Laplace problems with corner singularities via rational
functions", SIAM J. Numer. Anal. 57, 2019; Trefethen, Nakatsukasa & Weideman, "Exponential node clustering at
singularities for rational approximation, quadrature, and PDEs", Numer. Math. 147, 2021). L ends half-way to where the
bisector would enter the polygon again. Where the outside is thin, as in slits, further poles lie in its middle.

Planar points are complex numbers here.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import shapely
from numpy.typing import NDArray

from pinnkit.reference.rational import Array, Complex

Index = NDArray[np.intp]

CLUSTERING = 1.5  # σ √λ for u ~ r^λ: what made the error in L2 fall fastest on corners of angle 3π/2
SPREAD = 30.0  # log of the ratio of distances at most: nearer poles would drown in round-off
FAR = 8.0  # longer than any polygon of half-width 1
THIN = 0.75  # of an edge's length: the width of the outside beside it from which poles are put there
MOST_RAYS = 400


class Corners(NamedTuple):
    """All vertices of a polygon, in the order of its rings: position, outer bisector, angle, reach L; each (m,)."""

    vertex: Complex
    outward: Complex
    angle: Array
    reach: Array


def as_complex(points: Array) -> Complex:
    """Points (n, 2) as complex numbers (n,)."""
    return np.asarray(points[:, 0] + 1j * points[:, 1])


def as_points(z: Complex) -> Array:
    """Complex numbers (n,) as points (n, 2)."""
    return np.column_stack([z.real, z.imag])


def corners_of(rings: Sequence[Complex], polygon: shapely.Polygon) -> Corners:
    """The corners of the polygon with these rings, which have it on their left."""
    vertex = np.concatenate(rings)
    leaving = np.concatenate([np.roll(ring, -1) - ring for ring in rings])
    arriving = np.concatenate([ring - np.roll(ring, 1) for ring in rings])
    angle = np.mod(np.angle(-arriving / leaving), 2 * np.pi)
    outward = -leaving / np.abs(leaving) * np.exp(0.5j * angle)
    longest = np.maximum(np.abs(leaving), np.abs(arriving))
    return Corners(vertex, outward, angle, np.minimum(longest, free_path(polygon, vertex, outward) / 2))


def free_path(polygon: shapely.Polygon, start: Complex, direction: Complex) -> Array:
    """How far one can go outside, from points of the boundary (n,), before one meets the polygon again: (n,)."""
    ends = np.stack([start + 1e-9 * direction, start + FAR * direction], axis=1)
    rays = shapely.linestrings(np.stack([ends.real, ends.imag], axis=-1))
    far = shapely.distance(shapely.points(as_points(start)), shapely.intersection(rays, polygon))
    return np.where(np.isnan(far), np.inf, far)


def cluster(n: int, sigma: float) -> Array:
    """Distances (n,) of the poles at a corner, the farthest 1."""
    sigma = min(sigma, SPREAD / np.sqrt(max(n, 1)))
    return np.exp(-sigma * (np.sqrt(n) - np.sqrt(np.arange(1, n + 1))))


def corner_poles(corners: Corners, counts: Index, exponents: Array) -> tuple[Complex, Array]:
    """Poles, as many as `counts` (m,) says, at corners where u is like r^exponent, and how far they are outside."""
    sigma = np.clip(CLUSTERING / np.sqrt(exponents), 1, 4)
    distances = [reach * cluster(n, s) for reach, n, s in zip(corners.reach, counts, sigma, strict=True)]
    poles = [v + out * d for v, out, d in zip(corners.vertex, corners.outward, distances, strict=True)]
    wedge = np.sin(np.minimum(np.pi - corners.angle / 2, np.pi / 2))  # the outside of a corner may be thin
    return np.concatenate(poles), np.concatenate(distances) * np.repeat(wedge, counts)


def slit_poles(
    rings: Sequence[Complex], polygon: shapely.Polygon, others: Complex, per_width: float
) -> tuple[Complex, Array]:
    """Poles in the middle of the outside where it is thin, `per_width` on its width, and half the width there.

    Those near other poles are left out.
    """
    poles, halves = np.empty(0, complex), np.empty(0)
    for start, along in zip(np.concatenate(rings), np.concatenate([np.roll(r, -1) - r for r in rings]), strict=True):
        middles, widths = _middles(polygon, start, along)
        poles, halves = np.append(poles, middles), np.append(halves, widths)
    kept: list[int] = []
    for k, (pole, half) in enumerate(zip(poles, halves, strict=True)):
        distances = np.abs(np.append(others, poles[kept]) - pole)
        if distances.min(initial=np.inf) > 2 * half / per_width:
            kept.append(k)
    return poles[kept], halves[kept]


def _middles(polygon: shapely.Polygon, start: Complex, along: Complex) -> tuple[Complex, Array]:
    """Points half-way across the thin outside of an edge, close to each other, and their distance from the edge."""
    t = (np.arange(MOST_RAYS) + 0.5) / MOST_RAYS if _is_thin(polygon, start, along) else np.empty(0)
    outward = -1j * along / np.abs(along)
    foot = start + t * along
    width = free_path(polygon, foot, np.broadcast_to(outward, foot.shape))
    foot, width = foot[width < THIN * np.abs(along)], width[width < THIN * np.abs(along)]
    middle = foot + outward * width / 2
    nearest = shapely.distance(shapely.points(as_points(middle)), polygon)  # less near the end of a slit
    central = nearest > 0.9 * width / 2
    return middle[central], width[central] / 2


def _is_thin(polygon: shapely.Polygon, start: Complex, along: Complex) -> bool:
    foot = start + (np.arange(32) + 0.5) / 32 * along
    outward = np.broadcast_to(-1j * along / np.abs(along), foot.shape)
    return bool((free_path(polygon, foot, outward) < THIN * np.abs(along)).any())
