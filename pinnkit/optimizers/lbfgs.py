"""L-BFGS with a strong-Wolfe line search (Nocedal & Wright 2006, algorithms 7.4, 3.5 and 3.6), guarded against NaN."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from pinnkit.optimizers.base import Info, LeastSquaresObjective, Optimizer, State


@dataclass(frozen=True)
class _Point:
    """Loss and gradient on the search line at step length a; a loss that is not a number counts as infinite."""

    a: float
    loss: float
    gradient: Tensor
    slope: float


@dataclass(frozen=True)
class LBFGS(Optimizer):
    """Limited-memory quasi-Newton steps: `history` pairs; line search with c₁ = 1e-4, c₂ = 0.9."""

    history: int = 50

    def init(self, residuals: LeastSquaresObjective, theta: Tensor) -> State:
        loss, g = residuals.gradient(theta)
        return {"loss": float(loss), "gradient": g, "moves": [], "changes": []}

    def step(self, residuals: LeastSquaresObjective, theta: Tensor, state: State) -> tuple[Tensor, State, Info]:
        g, moves, changes = state["gradient"], state["moves"], state["changes"]
        direction = _two_loops(g, moves, changes)
        if not float(direction @ g) < 0:
            direction, moves, changes = -g, [], []
        start = _Point(0.0, state["loss"], g, float(direction @ g))
        first = 1.0 if moves else min(1.0, 1 / float(g.abs().sum().clamp_min(1e-300)))
        end = _wolfe(lambda a: _evaluate(residuals, theta, direction, a), start, first)
        if not end.loss < start.loss:
            return self._stalled(theta, state, bool(moves))
        s, y = end.a * direction, end.gradient - g
        if float(s @ y) > 1e-16 * float(y @ y):
            moves, changes = [*moves, s][-self.history :], [*changes, y][-self.history :]
        state = {"loss": end.loss, "gradient": end.gradient, "moves": moves, "changes": changes}
        return theta + s, state, Info(end.loss)

    @staticmethod
    def _stalled(theta: Tensor, state: State, had_history: bool) -> tuple[Tensor, State, Info]:
        """Forget the history once; if steepest descent fails too, stop."""
        stop = None if had_history else "stalled: no descent along the gradient"
        return theta, {**state, "moves": [], "changes": []}, Info(state["loss"], stop)


def _two_loops(g: Tensor, moves: list[Tensor], changes: list[Tensor]) -> Tensor:
    """−H g by the two-loop recursion."""
    q, weights = g.clone(), []
    for s, y in zip(reversed(moves), reversed(changes), strict=True):
        weights.append((s @ q) / (y @ s))
        q = q - weights[-1] * y
    if moves:
        q = q * (moves[-1] @ changes[-1]) / (changes[-1] @ changes[-1])
    for s, y, w in zip(moves, changes, reversed(weights), strict=True):
        q = q + (w - (y @ q) / (y @ s)) * s
    return -q


def _evaluate(residuals: LeastSquaresObjective, theta: Tensor, direction: Tensor, a: float) -> _Point:
    loss, g = residuals.gradient(theta + a * direction)
    finite = bool(torch.isfinite(loss)) and bool(torch.isfinite(g).all())
    return _Point(a, float(loss) if finite else math.inf, g, float(g @ direction))


def _wolfe(phi, start: _Point, a: float, c1: float = 1e-4, c2: float = 0.9, most: int = 25) -> _Point:  # type: ignore[no-untyped-def]
    """A point of the line that satisfies the strong Wolfe conditions, or the lowest one found."""
    low, high, best = start, None, start
    for _ in range(most):
        point = phi(a)
        best = point if point.loss < best.loss else best
        if point.loss > start.loss + c1 * a * start.slope or (low.a > 0 and point.loss >= low.loss):
            high = point
        elif abs(point.slope) <= -c2 * start.slope:
            return point
        elif point.slope * ((high.a if high else math.inf) - low.a) >= 0:
            low, high = point, low
        else:
            low = point
        if high is None:
            a = 2 * point.a
            continue
        if abs(high.a - low.a) * abs(start.slope) < 1e-16 * abs(start.loss):
            break
        a = _between(low, high)
    return best


def _between(low: _Point, high: _Point) -> float:
    """Minimum of the parabola through low (with slope) and high, kept inside the middle 80 % of the bracket."""
    width = high.a - low.a
    inner = 0.5
    if math.isfinite(high.loss):
        curvature = (high.loss - low.loss - low.slope * width) / width**2
        inner = -low.slope / (2 * curvature * width) if curvature > 0 else 0.5
    return low.a + width * min(max(inner, 0.1), 0.9)
