"""Sums of squares in closed form on which the optimizers are tested."""

from collections.abc import Callable

import torch
from helpers import randn
from torch import Tensor

from pinnkit.optimizers import Info, Optimizer
from pinnkit.optimizers.base import Linearised


class Objective:
    """½ ‖r(θ)‖² for r given as a function of θ, a start, and the positions of its linear parameters."""

    def __init__(self, residual: Callable[[Tensor], Tensor], start: list[float], linear: list[int]) -> None:
        self.residual, self.start = residual, torch.tensor(start, dtype=torch.float64)
        self.linear = torch.tensor(linear)
        self.shapes = {"theta": self.start.shape}

    def __call__(self, theta: Tensor) -> Tensor:
        return self.residual(theta)

    def gradient(self, theta: Tensor) -> tuple[Tensor, Tensor]:
        r, matrix = self.jacobian(theta)
        return 0.5 * r @ r, matrix.T @ r

    def jacobian(self, theta: Tensor) -> tuple[Tensor, Tensor]:
        return self.residual(theta), torch.func.jacrev(self.residual)(theta)

    def linear_jacobian(self, theta: Tensor) -> tuple[Tensor, Tensor]:
        r, matrix = self.jacobian(theta)
        return r, matrix[:, self.linear]

    def linearised(self, theta: Tensor) -> Linearised:
        r, matrix = self.jacobian(theta)
        return r, lambda v: matrix @ v, lambda w: matrix.T @ w

    def loss(self, theta: Tensor) -> float:
        return 0.5 * float(self(theta).square().sum())


MATRIX, RIGHT = randn(12, 4, seed=1), randn(12, seed=2)
TIMES = torch.linspace(0, 2, 15, dtype=torch.float64)


def linear() -> Objective:
    return Objective(lambda w: MATRIX @ w - RIGHT, [1.0, -2.0, 3.0, 0.5], [0, 1, 2, 3])


def rosenbrock() -> Objective:
    """r = (10 (y − x²), 1 − x); linear in y."""
    return Objective(lambda p: torch.stack([10 * (p[1] - p[0] ** 2), 1 - p[0]]), [-1.2, 1.0], [1])


def exponential() -> Objective:
    """a exp(−bt) + c through data of a = 2, b = 1.5, c = 0.5."""
    data = 2 * torch.exp(-1.5 * TIMES) + 0.5
    return Objective(lambda p: p[0] * torch.exp(-p[1] * TIMES) + p[2] - data, [1.0, 0.5, 0.0], [0, 2])


def run(optimizer: Optimizer, objective: Objective, steps: int) -> tuple[Tensor, dict, list[Info]]:
    """At most so many steps from the start."""
    theta, infos = objective.start, []
    state = optimizer.init(objective, theta)
    while len(infos) < steps and not (infos and infos[-1].stop):
        theta, state, info = optimizer.step(objective, theta, state)
        infos.append(info)
    return theta, state, infos
