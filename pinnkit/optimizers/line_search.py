"""A step length along a line: the strong Wolfe conditions (Nocedal & Wright 2006, algorithms 3.5 and 3.6)."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from pinnkit.optimizers.base import LeastSquaresObjective


@dataclass(frozen=True)
class Point:
    """Loss, its rise above the start, and gradient at step length a; a loss that is not a number counts as infinite."""

    a: float
    loss: float
    rise: float
    gradient: Tensor
    slope: float


@dataclass(frozen=True)
class LineSearch:
    """Search θ + a d for

        loss(a) ≤ loss(0) + `decrease` · a loss'(0)    and    |loss'(a)| ≤ `curvature` · |loss'(0)|.

    Round-off hides what a loss falls by long before it hides the slopes: a rise smaller than `noise` · loss(0) is read
    off these, as a (loss'(0) + loss'(a)) / 2. The first condition is then the approximate Wolfe condition of Hager &
    Zhang (2005).
    """

    decrease: float = 1e-4
    curvature: float = 0.9
    noise: float = 0.0
    most: int = 25

    def __call__(
        self, residuals: LeastSquaresObjective, theta: Tensor, direction: Tensor, here: tuple[float, Tensor], a: float
    ) -> Point:
        """A point that satisfies both conditions, or else the lowest one found.

        `here` are loss and gradient at θ, a is the length tried first.
        """
        start = Point(0.0, here[0], 0.0, here[1], float(direction @ here[1]))
        low, high, best = start, None, start
        for _ in range(self.most):
            point = self._evaluate(residuals, theta, direction, start, a)
            best = min(best, point, key=_rise)
            if point.rise > self.decrease * a * start.slope or (low.a > 0 and point.rise >= low.rise):
                high = point
            elif abs(point.slope) <= -self.curvature * start.slope:
                return point
            else:
                turned = point.slope * ((high.a if high else math.inf) - low.a) >= 0
                low, high = (point, low) if turned else (point, high)
            if high and abs(high.a - low.a) * abs(start.slope) < 1e-16 * abs(start.loss):
                break
            a = _between(low, high) if high else 2 * point.a
        return best

    def _evaluate(
        self, residuals: LeastSquaresObjective, theta: Tensor, direction: Tensor, start: Point, a: float
    ) -> Point:
        value, gradient = residuals.gradient(theta + a * direction)
        finite = bool(torch.isfinite(value)) and bool(torch.isfinite(gradient).all())
        loss, slope = float(value) if finite else math.inf, float(gradient @ direction)
        hidden = abs(loss - start.loss) < self.noise * start.loss
        return Point(a, loss, a * (start.slope + slope) / 2 if hidden else loss - start.loss, gradient, slope)


def _rise(point: Point) -> float:
    return point.rise


def _between(low: Point, high: Point) -> float:
    """Minimum of the parabola through low (with slope) and high, kept inside the middle 80 % of the bracket."""
    width = high.a - low.a
    inner = 0.5
    if math.isfinite(high.loss):
        curvature = (high.rise - low.rise - low.slope * width) / width**2
        inner = -low.slope / (2 * curvature * width) if curvature > 0 else 0.5
    return low.a + width * min(max(inner, 0.1), 0.9)
