"""The one-dimensional domain."""

from collections.abc import Sequence
from typing import final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pinnkit.geometry.domain import Domain, check_interval, check_points
from pinnkit.geometry.sampling import Array


@final
class Interval(Domain):
    """(lower, upper) on the axis `coordinate`; the boundary pieces are the points "left" and "right"."""

    def __init__(self, lower: float = 0.0, upper: float = 1.0, coordinate: str = "x") -> None:
        lower, upper = check_interval("interval", lower, upper)
        super().__init__(
            coordinates=(coordinate,),
            bounds=np.array([[lower], [upper]]),
            measure=upper - lower,
            pieces={"left": 1.0, "right": 1.0},
            groups={"boundary": ("left", "right")},
        )

    def __repr__(self) -> str:
        return f"Interval({self.bounds[0, 0]:g}, {self.bounds[1, 0]:g})"

    def contains(self, points: ArrayLike) -> NDArray[np.bool_]:
        x = check_points(points, 1)[:, 0]
        return (self.bounds[0, 0] <= x) & (x <= self.bounds[1, 0])

    def contains_strictly(self, points: ArrayLike) -> NDArray[np.bool_]:
        x = check_points(points, 1)[:, 0]
        return (self.bounds[0, 0] < x) & (x < self.bounds[1, 0])

    def from_unit(self, cube: Array) -> Array:
        lower, upper = self.bounds
        return lower + (upper - lower) * cube

    def boundary_from_unit(self, names: Sequence[str], counts: Sequence[int], cube: Array) -> tuple[Array, Array]:
        right = np.repeat([name == "right" for name in names], counts)[:, None]
        return np.where(right, self.bounds[1], self.bounds[0]), np.where(right, 1.0, -1.0)
