"""What is to be fused: observations of one quantity, from the cheapest source to the dearest."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pinnkit.errors import BadInput
from pinnkit.measurements import read_columns

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


@dataclass(frozen=True, eq=False)
class Fidelities:
    """Levels from low to high, in a box of `coordinates` with `bounds` (2, d).

    `exact`, where it is known, gives the quantity (n,) at the highest fidelity from coordinates by name, each (n,).
    """

    levels: tuple[Fidelity, ...]
    bounds: ArrayLike
    coordinates: tuple[str, ...] = ("x",)
    exact: Callable[..., Array] | None = None
    name: str = "fidelities"
    description: str = ""

    def __post_init__(self) -> None:
        if not (isinstance(self.levels, tuple | list) and all(isinstance(one, Fidelity) for one in self.levels)):
            raise BadInput("levels", "they are no fidelities", "write Fidelities((Fidelity(…), Fidelity(…)), bounds)")
        if len(self.levels) < 2:
            raise BadInput("levels", f"there are {len(self.levels)}", "give at least two, from low to high fidelity")
        if self.box.shape != (2, len(self.coordinates)) or not (self.box[0] < self.box[1]).all():
            raise BadInput("bounds", f"they are {self.box.tolist()}", "give lower and upper ends of each coordinate")

    @classmethod
    def from_csv(
        cls, paths: Sequence[str | Path], coordinates: Sequence[str] = ("x",), costs: Sequence[float] = ()
    ) -> "Fidelities":
        """From CSV files, low to high, with columns of the coordinates, `value` and, where it is known, `sigma`.

        Values without `sigma` are exact. Raises BadInput with file, line and column.
        """
        levels, d = [], len(coordinates)
        for path, cost in zip(paths, costs or [1.0] * len(paths), strict=True):
            table = read_columns(path, [*coordinates, "value"], ["sigma"], "problem.data")
            levels.append(Fidelity(table[:, :d], table[:, d], table[:, d + 1] if table.shape[1] > d + 1 else 0.0, cost))
        points = np.concatenate([level.x for level in levels])
        return cls(tuple(levels), np.stack([points.min(0), points.max(0)]), tuple(coordinates))

    @property
    def box(self) -> Array:
        bounds = np.asarray(self.bounds, dtype=float)
        return bounds[:, None] if bounds.ndim == 1 else bounds

    @property
    def fields(self) -> tuple[str, ...]:
        return ("u",)

    def sample(self, n: int, seed: int) -> Array:
        """Points (n, d) of the box: evenly on a line, else at random."""
        lower, upper = self.box
        if len(lower) == 1:
            return np.linspace(lower, upper, n)
        return np.asarray(lower + (upper - lower) * np.random.default_rng([seed, 1, 0]).random((n, len(lower))))

    def truth(self, points: Array) -> Array | None:
        """The exact values (n,) at points (n, d), where they are known."""
        return None if self.exact is None else np.asarray(self.exact(*points.T), dtype=float)
