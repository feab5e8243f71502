"""Dense quasi-Newton methods of the self-scaled Broyden family, for up to about 5000 parameters: H is (P, P)."""

import math
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from pinnkit.optimizers.base import Info, LeastSquaresObjective, Optimizer, State
from pinnkit.optimizers.line_search import LineSearch

Update = Literal["bfgs", "ssbfgs", "ssbroyden"]


@dataclass(frozen=True)
class SelfScaledBroyden(Optimizer):
    """θ ← θ − a H g with the inverse Hessian, for s = Δθ and y = Δg,

        H ← ( H − H y yᵀ H / yᵀH y + φ (yᵀH y) v vᵀ ) / τ + s sᵀ / sᵀy,      v = s / sᵀy − H y / yᵀH y.

    "bfgs" is φ = τ = 1, "ssbfgs" scales it by the τ of Al-Baali (1998), and "ssbroyden" also chooses φ, after Al-Baali
    & Khalfan (2005); Urbán, Stefanou & Pons (J. Comput. Phys. 2025) found it the best of them for physics-informed
    networks. The first H is the identity, scaled. `curvature` is c₂ of the line search; losses that differ by less
    than `noise`, relatively, are compared by their slopes. `patience` steps without a new lowest loss end it.
    """

    update: Update = "ssbroyden"
    curvature: float = 0.9
    noise: float = 1e-6
    patience: int = 20

    def init(self, residuals: LeastSquaresObjective, theta: Tensor) -> State:
        loss, g = residuals.gradient(theta)
        return {"loss": float(loss), "gradient": g, "lowest": float(loss), "idle": 0} | _forgotten(theta)

    def step(self, residuals: LeastSquaresObjective, theta: Tensor, state: State) -> tuple[Tensor, State, Info]:
        g, inverse, pairs = state["gradient"], state["inverse"], state["pairs"]
        direction = -(inverse @ g)
        first = 1.0 if pairs else min(1.0, 1 / float(g.abs().sum().clamp_min(1e-300)))
        search = LineSearch(curvature=self.curvature, noise=self.noise)
        end = search(residuals, theta, direction, (state["loss"], g), first)
        if not end.rise < 0:
            stop = None if pairs else "stalled: no descent along the gradient"
            return theta, {**state, **_forgotten(theta)}, Info(state["loss"], stop)
        s, y = end.a * direction, end.gradient - g
        if float(s @ y) > 1e-16 * float(s.norm() * y.norm()):
            inverse, pairs = self._updated(inverse, s, y, -end.a * float(s @ g), pairs == 0), pairs + 1
        idle = 0 if end.loss < state["lowest"] else state["idle"] + 1
        kept = {"loss": end.loss, "gradient": end.gradient, "inverse": inverse, "pairs": pairs}
        state = {**kept, "lowest": min(end.loss, state["lowest"]), "idle": idle}
        stop = "converged: the loss no longer falls" if idle >= self.patience else None
        return theta + s, state, Info(end.loss, stop)

    def _updated(self, inverse: Tensor, s: Tensor, y: Tensor, along: float, first: bool) -> Tensor:
        """H after the pair (s, y); `along` = sᵀ H⁻¹ s, which is −a sᵀg since s = −a H g."""
        hy, sy = inverse @ y, float(s @ y)
        yhy = float(y @ hy)
        phi, tau = self._coefficients(along / sy, yhy / sy, len(s), first)
        v = s / sy - hy / yhy
        fresh = torch.addr(inverse, hy, hy, beta=1 / tau, alpha=-1 / (yhy * tau))
        return fresh.addr_(v, v, alpha=phi * yhy / tau).addr_(s, s, alpha=1 / sy)

    def _coefficients(self, b: float, h: float, n: int, first: bool) -> tuple[float, float]:
        """(φ, τ) from b = sᵀH⁻¹s / sᵀy and h = yᵀHy / sᵀy; b h ≥ 1 by Cauchy's inequality."""
        a = max(b * h - 1, 0.0)
        theta = _theta(a, b) if self.update == "ssbroyden" else 0.0
        sigma = max(1 + theta * a, 1e-300)
        if first:
            return (1 - theta) / sigma, h / sigma
        return (1 - theta) / sigma, 1.0 if self.update == "bfgs" else _scale(theta, sigma, b, n)


def _forgotten(theta: Tensor) -> State:
    return {"inverse": torch.eye(len(theta), dtype=theta.dtype, device=theta.device), "pairs": 0}


def _theta(a: float, b: float) -> float:
    """θ of the update of H⁻¹, between the bounds that keep its condition number small; 0 is BFGS, 1 is DFP.

    The lower bound is (ρ − 1) / a with ρ = min(1, h (1 − √(a / (1 + a)))), written here so that no digits are lost.
    """
    if a < 1e-14:
        return 0.0
    lowest = min(1.0, 1 / (b + b * math.sqrt(a / (1 + a))))
    return max((lowest - 1) / a, min(1 / lowest, (1 - b) / b))


def _scale(theta: float, sigma: float, b: float, n: int) -> float:
    """τ ≤ 1, by which the old H⁻¹ shrinks where it claimed more curvature than was met (b > 1)."""
    down, root = min(1.0, 1 / b), sigma ** (-1 / max(n - 1, 1))
    return down * min(root, 1 / theta) if theta > 0 else min(down * root, sigma)
