"""Adam with an exponentially decaying learning rate (Kingma & Ba 2015)."""

from dataclasses import dataclass

import torch
from torch import Tensor

from pinnkit.optimizers.base import Info, LeastSquaresObjective, Optimizer, State


@dataclass(frozen=True)
class Adam(Optimizer):
    """m ← β₁ m + (1−β₁) g,  v ← β₂ v + (1−β₂) g²,  θ ← θ − η m̂ / (√v̂ + ε);  η halves every `half_life` steps."""

    learning_rate: float = 3e-3
    half_life: float = 2000.0
    beta1: float = 0.9
    beta2: float = 0.999
    epsilon: float = 1e-12

    def init(self, residuals: LeastSquaresObjective, theta: Tensor) -> State:
        return {"step": 0, "mean": torch.zeros_like(theta), "square": torch.zeros_like(theta)}

    def step(self, residuals: LeastSquaresObjective, theta: Tensor, state: State) -> tuple[Tensor, State, Info]:
        loss, g = residuals.gradient(theta)
        t = state["step"] + 1
        mean = self.beta1 * state["mean"] + (1 - self.beta1) * g
        square = self.beta2 * state["square"] + (1 - self.beta2) * g * g
        rate = self.learning_rate * 0.5 ** ((t - 1) / self.half_life)
        scaled = (square / (1 - self.beta2**t)).sqrt() + self.epsilon
        theta = theta - rate * mean / (1 - self.beta1**t) / scaled
        return theta, {"step": t, "mean": mean, "square": square}, Info(float(loss), began_with=True)
