"""One optimizer after another: "head, then Levenberg–Marquardt", "Adam, then L-BFGS"."""

from dataclasses import dataclass, replace

from torch import Tensor

from pinnkit.optimizers.base import Info, LeastSquaresObjective, Optimizer, State


@dataclass(frozen=True)
class Schedule(Optimizer):
    """Stages (optimizer, steps): each runs until it stops by itself or has made its steps, the last until it stops."""

    stages: tuple[tuple[Optimizer, int], ...]

    def init(self, residuals: LeastSquaresObjective, theta: Tensor) -> State:
        return {"stage": 0, "steps": 0, "inner": self.stages[0][0].init(residuals, theta)}

    def step(self, residuals: LeastSquaresObjective, theta: Tensor, state: State) -> tuple[Tensor, State, Info]:
        stage, steps = state["stage"], state["steps"] + 1
        optimizer, most = self.stages[stage]
        theta, inner, info = optimizer.step(residuals, theta, state["inner"])
        if stage + 1 == len(self.stages) or (info.stop is None and steps < most):
            return theta, {"stage": stage, "steps": steps, "inner": inner}, info
        inner = self.stages[stage + 1][0].init(residuals, theta)
        return theta, {"stage": stage + 1, "steps": 0, "inner": inner}, replace(info, stop=None)
