"""Collocation points: where the conditions of a problem are asked to hold.

Interior points follow the sampler; boundary points are shared out among the conditions by the measure of their pieces.
Where the solution is singular at a corner, further points are graded towards it along both its edges: singular
functions vary on all scales, and a residual that is small at well-spaced points says nothing about the gaps next to a
corner. Inside, graded points would do harm: where k varies, the residual of a singular function is unbounded there,
though square integrable, and points that crowd together give it a weight that its area does not have. About peaks
points are gathered on the scales of the features there.

Points are a function of (seed, draw) alone, so that a resumed run draws the same ones.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pinnkit.corners import singular_corners
from pinnkit.geometry import Corner, Domain
from pinnkit.problem import INTERIOR, Condition, Problem
from pinnkit.residuals import Collocation

FEWEST = 24  # boundary points of a condition on a piece that has a length
DECADES = 4.0  # over which points are graded towards a corner
Array = NDArray[np.float64]


@dataclass(frozen=True)
class Spot:
    """A number of normally distributed points, those in the domain, with this centre and these deviations (d,)."""

    centre: Array
    deviations: Array
    count: int


@dataclass(frozen=True)
class Amounts:
    """How many points: in the interior, on the boundary in all, and graded along both edges of singular corners.

    Besides these, `spots` gather points in the interior.
    """

    interior: int
    boundary: int
    corner: int
    spots: tuple[Spot, ...] = ()


@dataclass(frozen=True)
class _Sampler:
    problem: Problem
    method: str
    amounts: Amounts
    rng: np.random.Generator
    singular: Sequence[Corner]

    def points(self, condition: Condition) -> Collocation:
        if condition.points is not None:
            return Collocation(condition.points, values=condition.values)
        if condition.on == INTERIOR:
            return Collocation(np.concatenate([self._spread(), *map(self._gathered, self.amounts.spots)]))
        return self._boundary(condition)

    def _spread(self) -> Array:
        return self.problem.domain.sample(self.amounts.interior, self.method, self.rng)

    def _gathered(self, spot: Spot) -> Array:
        points = self.rng.normal(spot.centre, spot.deviations, (spot.count, len(spot.centre)))
        return points[self.problem.domain.contains_strictly(points)]

    def _boundary(self, condition: Condition) -> Collocation:
        domain = self.problem.domain
        pieces = domain.resolve(condition.on)
        sample = domain.sample_boundary(_share(domain, pieces, self.amounts.boundary), pieces, self.method, self.rng)
        graded = list(self._graded(pieces))
        points = np.concatenate([sample.points, *(points for points, _ in graded)])
        normals = np.concatenate([sample.normals, *(normals for _, normals in graded)])
        partner = None
        if condition.partner is not None:
            partner = points + _middle(domain, condition.partner) - _middle(domain, str(condition.on))
        return Collocation(points, normals, partner)

    def _graded(self, pieces: Sequence[str]) -> Iterator[tuple[Array, Array]]:
        domain, n = self.problem.domain, self.amounts.corner
        for corner in self.singular if n else ():
            for piece, arriving in zip(corner.pieces, (True, False), strict=True):
                if piece in pieces:
                    cube = self.rng.random((n, domain.dimension - 1))
                    near = 10 ** (-DECADES * cube[:, 0])
                    cube[:, 0] = 1 - near if arriving else near
                    yield domain.boundary_from_unit([piece], [n], cube)


def collocate(problem: Problem, method: str, amounts: Amounts, seed: int, draw: int = 0) -> dict[str, Collocation]:
    """Points for every condition; another `draw` gives other points of the same kind."""
    rng = np.random.default_rng([seed, draw])
    sampler = _Sampler(problem, method, amounts, rng, singular_corners(problem))
    return {name: sampler.points(condition) for name, condition in problem.conditions.items()}


def _share(domain: Domain, pieces: Sequence[str], total: int) -> int:
    """Boundary points of some pieces: by measure within the boundary; as many as all of it for a time level."""
    if domain.dimension == 1:
        return len(pieces)
    if set(pieces) <= {"initial", "final"}:
        return total
    whole = sum(domain.pieces[name] for name in domain.resolve("boundary"))
    return max(round(total * sum(domain.pieces[name] for name in pieces) / whole), FEWEST, len(pieces))


def _middle(domain: Domain, piece: str) -> Array:
    """The image of the middle of the unit cube on a boundary piece."""
    return domain.boundary_from_unit([piece], [1], np.full((1, domain.dimension - 1), 0.5))[0][0]
