"""Least squares for the linear head, Levenberg–Marquardt for all parameters, and the two joined: variable projection.

All work on factors of J itself: normal equations square its condition number and stop near 1e-6.
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
                round_off = 2 * torch.finfo(r.dtype).eps * (matrix.abs() @ change.abs()).norm()
                affine = bool(missed <= self.affine * reached.norm() + round_off) and bool((matrix != 0).any(0).all())
                solved = affine or loss > (1 - self.gain) * before
                return trial, state, Info(loss, "head solved" if solved else None)
        return theta, state, Info(before, "head solved")


def _finite(*tensors: Tensor) -> bool:
    return all(bool(torch.isfinite(t).all()) for t in tensors)


Solve = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class _Damped(Optimizer):
    """Steps δ = argmin ‖r + J δ‖² + λ ‖D δ‖², D = the largest column norms of J so far (Moré 1978).

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

    def _descend(
        self, theta: Tensor, before: float, state: State, propose: Callable[[float], tuple[Tensor, float]]
    ) -> tuple[Tensor, State, Info]:
        """Raise the damping until the proposed parameters have a smaller loss."""
        damping = state["damping"]
        for attempt in range(self.refusals):
            proposed, loss = propose(damping)
            if loss < before:
                damping = max(damping / (10 if attempt == 0 else 3), 1e-26)
                idle = state["idle"] + 1 if loss > (1 - self.gain) * before else 0
                stop = "converged: the loss no longer falls" if idle >= self.patience else None
                return proposed, {**state, "damping": damping, "idle": idle}, Info(loss, stop)
            damping *= 2.0 ** (attempt + 1)
        return theta, {**state, "damping": damping}, Info(before, "converged: no step gives descent")

    def _accelerated(self, move: Tensor, scale: Tensor, solve: Solve, bend: Callable[[Tensor], Tensor]) -> Tensor:
        """The move with half of the acceleration, unless that is too long against it to be trusted."""
        if not self.acceleration:
            return move
        acceleration = -solve(bend(move))
        trusted = 2 * (scale * acceleration).norm() <= 0.75 * (scale * move).norm()
        return move + 0.5 * acceleration if bool(trusted) else move


@dataclass(frozen=True)
class LevenbergMarquardt(_Damped):
    """Levenberg–Marquardt on all parameters alike."""

    def step(self, residuals: LeastSquaresObjective, theta: Tensor, state: State) -> tuple[Tensor, State, Info]:
        r, matrix = residuals.jacobian(theta)
        if not _finite(r, matrix):
            return theta, state, Info(math.inf)
        scale, damped = _scaled(matrix, state["scale"])

        def propose(damping: float) -> tuple[Tensor, float]:
            solve = damped(damping)
            move = self._accelerated(-solve(r), scale, solve, lambda d: _bend(residuals, theta, r, matrix, d))
            return theta + move, loss_of(residuals(theta + move))

        return self._descend(theta, loss_of(r), {**state, "scale": scale}, propose)


@dataclass(frozen=True)
class VariableProjection(_Damped):
    """Levenberg–Marquardt on the features alone, for the residual that the best head leaves: ‖P⊥ r‖².

    P⊥ projects onto the complement of the columns B of the head. Its derivative is taken as P⊥ J (Kaufman 1975; the
    idea is of Golub & Pereyra 1973), and the head is solved for anew at every proposed point. The valley in which head
    and features compensate each other, along which steps in all parameters crawl, is thereby left out.
    """

    cutoff: float = 1e-13  # relative singular value from which on a direction of the head counts

    def step(self, residuals: LeastSquaresObjective, theta: Tensor, state: State) -> tuple[Tensor, State, Info]:
        r, matrix = residuals.jacobian(theta)
        if not _finite(r, matrix):
            return theta, state, Info(math.inf)
        of_head = torch.zeros_like(theta, dtype=torch.bool).index_fill(0, residuals.linear, value=True)
        if bool(of_head.all()):
            solved, loss = self._with_head(residuals, theta)
            return solved, state, Info(loss, "converged: there is nothing but the head")
        head, rest = _Span.of(matrix[:, of_head], self.cutoff), matrix[:, ~of_head]
        scale, damped = _scaled(head.remainder(rest), state["scale"][~of_head])

        def along(move: Tensor) -> Tensor:
            """The direction in θ whose head follows the features to first order."""
            direction = torch.zeros_like(theta)
            direction[~of_head] = move
            direction[of_head] = -head.coefficients(r + rest @ move)
            return direction

        def propose(damping: float) -> tuple[Tensor, float]:
            solve = damped(damping)
            move = self._accelerated(
                -solve(head.remainder(r)), scale, solve,
                lambda d: head.remainder(_bend(residuals, theta, r, matrix, along(d))),
            )  # fmt: skip
            return self._with_head(residuals, theta + along(move))

        full = state["scale"].masked_scatter(~of_head, scale)
        return self._descend(theta, loss_of(r), {**state, "scale": full}, propose)

    def _with_head(self, residuals: LeastSquaresObjective, theta: Tensor) -> tuple[Tensor, float]:
        """θ with its head solved for, and the loss there; infinite where the residual is not finite."""
        r, head = residuals.linear_jacobian(theta)
        if not _finite(r, head):
            return theta, math.inf
        solved = theta.index_add(0, residuals.linear, minimum_norm(head, r, self.cutoff), alpha=-1)
        return solved, loss_of(residuals(solved))


def _bend(residuals: LeastSquaresObjective, theta: Tensor, r: Tensor, matrix: Tensor, move: Tensor) -> Tensor:
    """The second directional derivative of r along a move, by a difference."""
    h = 0.1
    return 2 / h * ((residuals(theta + h * move) - r) / h - matrix @ move)


@dataclass(frozen=True)
class _Span:
    """The range of a matrix B, as an orthonormal basis, and what leads back to coefficients."""

    basis: Tensor
    back: Tensor

    @classmethod
    def of(cls, matrix: Tensor, cutoff: float) -> "_Span":
        norms = matrix.norm(dim=0)
        divisor = torch.where(norms > 0, norms, 1.0)
        q, upper = torch.linalg.qr(matrix / divisor)
        u, s, vh = torch.linalg.svd(upper)
        kept = s > cutoff * s[0]
        return cls(q @ u[:, kept], vh[kept].mT / s[kept] / divisor[:, None])

    def coefficients(self, y: Tensor) -> Tensor:
        """argmin ‖B c − y‖ of least norm in columns scaled to norm 1."""
        return self.back @ (self.basis.mT @ y)

    def remainder(self, y: Tensor) -> Tensor:
        """y less its projection; twice, against round-off."""
        y = y - self.basis @ (self.basis.mT @ y)
        return y - self.basis @ (self.basis.mT @ y)


def _scaled(matrix: Tensor, former: Tensor) -> tuple[Tensor, Callable[[float], Solve]]:
    """D, and λ ↦ (y ↦ argmin ‖J d − y‖² + λ ‖D d‖²).

    From J D⁻¹ = Q R by the QR factors of [R; √λ I]; where J has fewer rows than columns, from those of its transpose
    (the kernel form), so that the small system has the size of the shorter side.
    """
    scale = torch.maximum(former, matrix.norm(dim=0))
    divisor = torch.where(scale > 0, scale, 1.0).clamp_min(1e-12 * float(scale.max()))
    tall = matrix.shape[0] >= matrix.shape[1]
    q, upper = torch.linalg.qr(matrix / divisor if tall else (matrix / divisor).mT)
    inner = upper if tall else upper.mT
    eye = torch.eye(len(inner), dtype=inner.dtype, device=inner.device)

    def damped(damping: float) -> Solve:
        basis, triangle = torch.linalg.qr(torch.cat([inner, damping**0.5 * eye]))

        def solve(y: Tensor) -> Tensor:
            small = q.mT @ y if tall else y
            found = torch.linalg.solve_triangular(triangle, (basis[: len(inner)].mT @ small)[:, None], upper=True)[:, 0]
            return (found if tall else q @ found) / divisor

        return solve

    return scale, damped
