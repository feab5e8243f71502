"""Least squares for the linear head, and Levenberg–Marquardt for all parameters.

Both work on factors of J itself: normal equations square its condition number and stop near 1e-6.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from pinnkit.linear_algebra import minimum_norm
from pinnkit.optimizers.base import Info, LeastSquaresObjective, Optimizer, State, loss_of


@dataclass(frozen=True)
class LeastSquares(Optimizer):
    """Gauss–Newton on the head (and unknown coefficients) with frozen features: min ‖r + J_W δ‖, with halving of δ.

    One solve if the problem is linear, a few where it is not. See `minimum_norm` for `cutoff`.
    """

    cutoff: float = 1e-14
    affine: float = 1e-2  # error of r + J_W δ, relative to the residual reached, that no further step need remove
    gain: float = 1e-6  # relative decrease of the loss below which the fit has converged

    def init(self, residuals: LeastSquaresObjective, theta: Tensor) -> State:
        return {}

    def step(self, residuals: LeastSquaresObjective, theta: Tensor, state: State) -> tuple[Tensor, State, Info]:
        r, matrix = residuals.linear_jacobian(theta)
        if not _finite(r, matrix):
            return theta, state, Info(math.inf)
        change = -minimum_norm(matrix, r, self.cutoff)
        direction = torch.zeros_like(theta)
        direction[residuals.linear] = change
        before = loss_of(r)
        for length in (0.5**k for k in range(20)):
            trial = theta + length * direction
            reached = residuals(trial)
            loss = loss_of(reached)
            if loss < before:
                missed = (reached - r - length * (matrix @ change)).norm()
                round_off = 10 * torch.finfo(r.dtype).eps * (matrix.abs() @ change.abs()).norm()
                affine = bool(missed <= self.affine * reached.norm() + round_off) and bool((matrix != 0).any(0).all())
                solved = affine or loss > (1 - self.gain) * before
                return trial, state, Info(loss, "head solved" if solved else None)
        return theta, state, Info(before, "head solved")


def _finite(*tensors: Tensor) -> bool:
    return all(bool(torch.isfinite(t).all()) for t in tensors)


@dataclass(frozen=True)
class LevenbergMarquardt(Optimizer):
    """δ = argmin ‖r + J δ‖² + λ ‖D δ‖², D = the largest column norms of J so far (Moré 1978).

    The damping falls tenfold after a step accepted at once and rises ever faster with refusals (Nielsen 1999). Geodesic
    acceleration (Transtrum & Sethna 2012) adds half the second-order correction, whose second directional derivative of
    r costs one more residual. λ only changes a small triangular system: J is factored once per step. Steps that gain
    less than `gain` of the loss, `patience` times running, end it.
    """

    damping: float = 1e-3
    acceleration: bool = True
    refusals: int = 16
    gain: float = 1e-6
    patience: int = 5

    def init(self, residuals: LeastSquaresObjective, theta: Tensor) -> State:
        return {"damping": self.damping, "scale": torch.zeros_like(theta), "idle": 0}

    def step(self, residuals: LeastSquaresObjective, theta: Tensor, state: State) -> tuple[Tensor, State, Info]:
        r, matrix = residuals.jacobian(theta)
        if not _finite(r, matrix):
            return theta, state, Info(math.inf)
        before, damping = loss_of(r), state["damping"]
        scale = torch.maximum(state["scale"], matrix.norm(dim=0))
        scaled = torch.where(scale > 0, scale, 1.0).clamp_min(1e-12 * float(scale.max()))
        factors = torch.linalg.qr(matrix / scaled)
        for attempt in range(self.refusals):
            solve = _damped(factors[0], factors[1], damping, scaled)
            move = -solve(r)
            if self.acceleration:
                move = move + self._correction(residuals, theta, r, matrix, move, solve, scaled)
            loss = loss_of(residuals(theta + move))
            if loss < before:
                damping = max(damping / (10 if attempt == 0 else 3), 1e-26)
                idle = state["idle"] + 1 if loss > (1 - self.gain) * before else 0
                stop = "converged: the loss no longer falls" if idle >= self.patience else None
                return theta + move, {"damping": damping, "scale": scale, "idle": idle}, Info(loss, stop)
            damping *= 2.0 ** (attempt + 1)
        return (
            theta,
            {**state, "damping": damping, "scale": scale},
            Info(before, "converged: no step gives descent"),
        )

    @staticmethod
    def _correction(
        residuals: LeastSquaresObjective, theta: Tensor, r: Tensor, matrix: Tensor, move: Tensor,
        solve: Callable[[Tensor], Tensor], scale: Tensor, h: float = 0.1,
    ) -> Tensor:  # fmt: skip
        """½ of the acceleration, zero where it is too long against the velocity to be trusted."""
        bend = 2 / h * ((residuals(theta + h * move) - r) / h - matrix @ move)
        acceleration = -solve(bend)
        trusted = 2 * (scale * acceleration).norm() <= 0.75 * (scale * move).norm()
        return 0.5 * acceleration if bool(trusted) else torch.zeros_like(move)


def _damped(q: Tensor, upper: Tensor, damping: float, scale: Tensor) -> Callable[[Tensor], Tensor]:
    """y ↦ argmin ‖J d − y‖² + λ ‖D d‖² from J D⁻¹ = Q R, by the QR factors of [R; √λ I]."""
    eye = torch.eye(upper.shape[1], dtype=upper.dtype, device=upper.device)
    inner, triangle = torch.linalg.qr(torch.cat([upper, damping**0.5 * eye]))
    inner = inner[: len(upper)]

    def solve(y: Tensor) -> Tensor:
        return torch.linalg.solve_triangular(triangle, (inner.T @ (q.T @ y))[:, None], upper=True)[:, 0] / scale

    return solve
