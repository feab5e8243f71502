"""L-BFGS with a strong-Wolfe line search (Nocedal & Wright 2006, algorithm 7.4), guarded against NaN."""

from dataclasses import dataclass

from torch import Tensor

from pinnkit.optimizers.base import Info, LeastSquaresObjective, Optimizer, State
from pinnkit.optimizers.line_search import LineSearch


@dataclass(frozen=True)
class LBFGS(Optimizer):
    """Limited-memory quasi-Newton steps: `history` pairs; line search with c₁ = 1e-4, c₂ = 0.9."""

    history: int = 50

    def init(self, residuals: LeastSquaresObjective, theta: Tensor) -> State:
        loss, g = residuals.gradient(theta)
        return {"loss": float(loss), "gradient": g, "moves": [], "changes": []}

    def step(self, residuals: LeastSquaresObjective, theta: Tensor, state: State) -> tuple[Tensor, State, Info]:
        loss, g, moves, changes = (state[key] for key in ("loss", "gradient", "moves", "changes"))
        direction = _two_loops(g, moves, changes)
        if not float(direction @ g) < 0:
            direction, moves, changes = -g, [], []
        first = 1.0 if moves else min(1.0, 1 / float(g.abs().sum().clamp_min(1e-300)))
        end = LineSearch()(residuals, theta, direction, (loss, g), first)
        if not end.loss < loss:
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
