"""Planar domains whose edges have names of their own."""

from collections.abc import Sequence
from typing import final

import numpy as np

from pinnkit.geometry.domain import check_interval
from pinnkit.geometry.polygon import Planar
from pinnkit.geometry.rings import bad, normalised_rings, shown
from pinnkit.geometry.sampling import Array


@final
class Rectangle(Planar):
    """The rectangle between two corners; edges "bottom", "right", "top", "left"."""

    def __init__(self, lower: Sequence[float] = (0.0, 0.0), upper: Sequence[float] = (1.0, 1.0)) -> None:
        (left, bottom), (right, top) = _pair(lower, "lower"), _pair(upper, "upper")
        check_interval("rectangle in x", left, right)
        check_interval("rectangle in y", bottom, top)
        rings = normalised_rings([(left, bottom), (right, bottom), (right, top), (left, top)], ())
        super().__init__(rings, ("bottom", "right", "top", "left"))

    def from_unit(self, cube: Array) -> Array:
        lower, upper = self.bounds
        return lower + (upper - lower) * cube


@final
class LShape(Planar):
    """(-size, size)² without its quadrant x > 0, y < 0; a re-entrant corner of angle 3π/2 at the origin.

    Edges, counterclockwise from (-size, -size): "bottom", "notch_vertical", "notch_horizontal", "right",
    "top", "left".
    """

    def __init__(self, size: float = 1.0) -> None:
        _, a = check_interval("L-shape", 0.0, size)
        rings = normalised_rings([(-a, -a), (0.0, -a), (0.0, 0.0), (a, 0.0), (a, a), (-a, a)], ())
        super().__init__(rings, ("bottom", "notch_vertical", "notch_horizontal", "right", "top", "left"))


def _pair(point: Sequence[float], what: str) -> Sequence[float]:
    if isinstance(point, str) or np.shape(point) != (2,):
        raise bad(f"{what}: {shown(point)} is not a point", "give two numbers, x and y")
    return point
