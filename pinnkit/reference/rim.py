"""Sample points on a polygon's boundary, as dense everywhere as a rational function with given poles asks for."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from pinnkit.reference.poles import Index
from pinnkit.reference.rational import Array, Complex

NEAREST = 1e-15  # distance from a vertex from which the density of points is followed
GRID = 160  # points on which the density is integrated, on each half of an edge


class Rim(NamedTuple):
    """Points on the boundary, each of them for a piece of it."""

    z: Complex  # (n,)
    normal: Complex  # outward, of length 1 (n,)
    edge: Index  # (n,)
    vertex: Index  # the nearer end of the edge (n,)
    distance: Array  # from there (n,)
    length: Array  # of the piece (n,)

    def at(self, k: Index) -> "Rim":
        """Some of the points."""
        return Rim(self.z[k], self.normal[k], self.edge[k], self.vertex[k], self.distance[k], self.length[k])


def sample(rings: Sequence[Complex], poles: Complex, lengths: Array, degree: int, density: float) -> Rim:
    """Points graded to the poles: `density` for each pole and for each degree of the polynomials."""
    perimeter = sum(np.abs(np.roll(ring, -1) - ring).sum() for ring in rings)
    parts = []
    for edge, (vertex, start, half) in _halves(rings):
        r = np.geomspace(NEAREST, np.abs(half), GRID)
        direction = half / np.abs(half)
        rate = _rate(start + r * direction, poles, lengths) + _smooth_rate(r, degree, perimeter)
        distance, length = _spread(r, density * rate)
        normal = -1j * direction * (1 if edge % 2 == 0 else -1)
        n = np.ones(len(distance), int)
        parts.append(Rim(start + distance * direction, n * normal, n * (edge // 2), n * vertex, distance, length))
    return Rim(*(np.concatenate(column) for column in zip(*parts, strict=True)))


def _halves(rings: Sequence[Complex]) -> Iterator[tuple[int, tuple[int, Complex, Complex]]]:
    """For both halves of every edge: index of the vertex, the vertex, and the way from there to the middle."""
    first, count = 0, 0
    for ring in rings:
        for k, start in enumerate(ring):
            after = (k + 1) % len(ring)
            yield count, (first + k, start, (ring[after] - start) / 2)
            yield count + 1, (first + after, ring[after], (start - ring[after]) / 2)
            count += 2
        first += len(ring)


def _rate(z: Complex, poles: Complex, lengths: Array) -> Array:
    """Points per length at z (n,): every pole gives a straight line one point, spread by its Poisson kernel."""
    return np.asarray((lengths / np.abs(z[:, None] - poles) ** 2).sum(axis=1) / np.pi)


def _smooth_rate(r: Array, degree: int, perimeter: float) -> Array:
    """Points per length for polynomials: denser towards ends of edges, the last entry of r being half an edge."""
    length = 2 * r[-1]
    return (6 + degree * length / perimeter) / np.pi / np.sqrt(r * (length - r))


def _spread(r: Array, rate: Array) -> tuple[Array, Array]:
    """Points at the given rate along (0, r[-1]), and the lengths of their shares."""
    steps = np.diff(np.log(r)) * (rate[1:] * r[1:] + rate[:-1] * r[:-1]) / 2
    total = np.cumsum(np.concatenate([[rate[0] * r[0]], steps]))
    n = int(np.ceil(total[-1]))
    share = np.linspace(0, total[-1], 2 * n + 1)
    found = np.exp(np.interp(share, total, np.log(r)))
    found[share < total[0]] = share[share < total[0]] / rate[0]
    return found[1::2], np.diff(found[::2])


def ends(rings: Sequence[Complex]) -> Rim:
    """The start and the end of every edge."""
    halves = list(_halves(rings))
    z = np.array([start for _, (_, start, _) in halves])
    normal = np.array([-1j * half / np.abs(half) * (1 - 2 * (k % 2)) for k, (_, _, half) in halves])
    vertex = np.array([v for _, (v, _, _) in halves])
    return Rim(z, normal, np.arange(len(z)) // 2, vertex, np.zeros(len(z)), np.zeros(len(z)))
