"""Observations of one quantity by one source."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pinnkit.errors import BadInput

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Fidelity:
    """Values (n,) at points (n, d), or (n,) on a line.

    `noise` is the standard deviation of values, one for all or one for each (0: none, None: unknown); one value costs
    `cost`, in any unit.
    """

    points: ArrayLike
    values: ArrayLike
    noise: float | ArrayLike | None = 0.0
    cost: float = 1.0

    def __post_init__(self) -> None:
        for name in ("points", "values"):
            try:
                np.asarray(getattr(self, name), dtype=float)
            except (TypeError, ValueError):
                raise BadInput(name, "they are not an array of numbers", "give points (n, d) and values (n,)") from None
        if not self.cost >= 0:
            raise BadInput("cost", f"it is {self.cost}", "it must be ≥ 0")

    @property
    def x(self) -> Array:
        """The points as (n, d)."""
        points = np.asarray(self.points, dtype=float)
        return points[:, None] if points.ndim == 1 else points

    @property
    def y(self) -> Array:
        return np.asarray(self.values, dtype=float)
