"""SPRING: stochastic natural-gradient steps that remember the former one (Goldshlager, Abrahamsen & Lin 2024)."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from pinnkit.optimizers.base import Info, LeastSquaresObjective, Optimizer, State, loss_of


@dataclass(frozen=True)
class Spring(Optimizer):
    """For points that are drawn anew:

        δₖ = argmin ‖r + J δ‖² + λ ‖δ − μ δₖ₋₁‖²,      θ ← θ + min( η, `longest` / ‖δₖ‖ ) δₖ

    With μ near 1 a step keeps what former points have told about the directions that these points do not see. A move
    in those goes on for 1 / (1 − μ) steps: η above about 2 (1 − μ) overshoots and may diverge. η halves every
    `half_life` steps.
    """

    learning_rate: float = 1.0
    half_life: float = 100.0
    damping: float = 1e-8
    momentum: float = 0.6
    longest: float = 1.0

    def init(self, residuals: LeastSquaresObjective, theta: Tensor) -> State:
        return {"step": 0, "move": torch.zeros_like(theta)}

    def step(self, residuals: LeastSquaresObjective, theta: Tensor, state: State) -> tuple[Tensor, State, Info]:
        r, matrix = residuals.jacobian(theta)
        if not bool(torch.isfinite(r).all() and torch.isfinite(matrix).all()):
            return theta, state, Info(math.inf)
        former = self.momentum * state["move"]
        move = former - damped(matrix, r + matrix @ former, self.damping)
        rate = self.learning_rate * 0.5 ** (state["step"] / self.half_life)
        length = min(rate, self.longest / max(float(move.norm()), 1e-300))
        return theta + length * move, {"step": state["step"] + 1, "move": move}, Info(loss_of(r), began_with=True)


def damped(matrix: Tensor, y: Tensor, damping: float) -> Tensor:
    """argmin ‖J δ − y‖² + λ ‖δ‖² from J (rows, P) by one QR of the smaller size, without squaring a condition number.

    [J; √λ I] = Q R gives δ = R⁻¹ Q₁ᵀ y. With fewer rows than P, [Jᵀ; √λ I] = Q R is a factor of the kernel,
    J Jᵀ + λ I = Rᵀ R, and δ = Jᵀ (J Jᵀ + λ I)⁻¹ y = Q₁ R⁻ᵀ y.
    """
    wide = matrix.shape[0] < matrix.shape[1]
    tall = matrix.T if wide else matrix
    eye = torch.eye(tall.shape[1], dtype=tall.dtype, device=tall.device)
    q, upper = torch.linalg.qr(torch.cat([tall, damping**0.5 * eye]))
    first = q[: len(tall)]
    if wide:
        return first @ torch.linalg.solve_triangular(upper.T, y[:, None], upper=False)[:, 0]
    return torch.linalg.solve_triangular(upper, (first.T @ y)[:, None], upper=True)[:, 0]
