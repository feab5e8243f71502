"""Boxes of any dimension."""

from collections.abc import Sequence
from typing import final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pinnkit.errors import BadInput
from pinnkit.geometry.domain import Domain, check_interval, check_points
from pinnkit.geometry.sampling import Array

MOST_DIMENSIONS = 1000
STRICT = 1e-12  # of a side: how far inside a point has to be to count as off the boundary


@final
class Box(Domain):
    """lower < x < upper in R^d, with coordinates x1 … xd; the pieces are "x1_lower", "x1_upper", …"""

    def __init__(self, lower: Sequence[float], upper: Sequence[float]) -> None:
        if np.ndim(lower) != 1 or np.shape(lower) != np.shape(upper) or not 0 < len(lower) <= MOST_DIMENSIONS:
            what = f"a box from {lower!r} to {upper!r}"
            raise BadInput("geometry", what, f"give two lists of as many numbers, at most {MOST_DIMENSIONS}")
        names = tuple(f"x{i + 1}" for i in range(len(lower)))
        sides = [check_interval(f"box in {name}", *ends) for name, *ends in zip(names, lower, upper, strict=True)]
        bounds = np.array(sides).T.copy()
        lengths = bounds[1] - bounds[0]
        measure = float(lengths.prod())
        pieces = {f"{x}_{end}": measure / side for x, side in zip(names, lengths, strict=True) for end in _ENDS}
        super().__init__(names, bounds, measure, pieces, {"boundary": tuple(pieces)})

    def __repr__(self) -> str:
        return f"Box({self.bounds[0].tolist()}, {self.bounds[1].tolist()})"

    def contains(self, points: ArrayLike) -> NDArray[np.bool_]:
        return self._deeper(points, 0.0)

    def contains_strictly(self, points: ArrayLike) -> NDArray[np.bool_]:
        return self._deeper(points, STRICT)

    def _deeper(self, points: ArrayLike, depth: float) -> NDArray[np.bool_]:
        unit = (check_points(points, self.dimension) - self.bounds[0]) / (self.bounds[1] - self.bounds[0])
        return ((unit >= depth) & (unit <= 1 - depth)).all(1)

    def from_unit(self, cube: Array) -> Array:
        return self.bounds[0] + (self.bounds[1] - self.bounds[0]) * cube

    def boundary_from_unit(self, names: Sequence[str], counts: Sequence[int], cube: Array) -> tuple[Array, Array]:
        number = np.repeat([tuple(self.pieces).index(name) for name in names], counts)
        rows, axis, end = np.arange(len(number)), number // 2, number % 2
        within = np.ones((len(number), self.dimension), bool)
        within[rows, axis] = False
        points = np.empty((len(number), self.dimension))
        points[within] = cube.reshape(-1)
        points[rows, axis] = end
        normals = np.zeros_like(points)
        normals[rows, axis] = 2.0 * end - 1.0
        return self.from_unit(points), normals


_ENDS = ("lower", "upper")
