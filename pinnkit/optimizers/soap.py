"""SOAP: Adam in the eigenbasis of Shampoo's preconditioner (Vyas et al. 2024)."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from pinnkit.optimizers.base import Info, LeastSquaresObjective, Optimizer, State


@dataclass(frozen=True)
class SOAP(Optimizer):
    """For each weight matrix W with gradient G, with L, R running means of G Gᵀ, GᵀG and their eigenvectors Q_L, Q_R:

        G' = Q_Lᵀ G Q_R,   m' = Q_Lᵀ m Q_R,   v ← β₂ v + (1−β₂) G'²,   W ← W − η Q_L ( m̂' / (√v̂ + ε) ) Q_Rᵀ,

    where m is the running mean of G. Every `refresh` steps one orthogonal iteration, Q ← qr(L Q), follows L and R.
    Parameters that are no matrices get Adam. η halves every `half_life` steps.
    """

    learning_rate: float = 3e-3
    half_life: float = 2000.0
    beta1: float = 0.9
    beta2: float = 0.999
    refresh: int = 2
    epsilon: float = 1e-12

    def init(self, residuals: LeastSquaresObjective, theta: Tensor) -> State:
        _, g = residuals.gradient(theta)
        means = {name: [part @ part.T, part.T @ part] for name, part in _matrices(g, residuals.shapes).items()}
        bases = {name: [_eigenvectors(mean) for mean in pair] for name, pair in means.items()}
        zero = torch.zeros_like(theta)
        return {"step": 0, "mean": zero, "square": zero.clone(), "means": means, "bases": bases}

    def step(self, residuals: LeastSquaresObjective, theta: Tensor, state: State) -> tuple[Tensor, State, Info]:
        loss, g = residuals.gradient(theta)
        t, bases, shapes = state["step"] + 1, state["bases"], residuals.shapes
        mean = self.beta1 * state["mean"] + (1 - self.beta1) * g
        square = self.beta2 * state["square"] + (1 - self.beta2) * _rotated(g, shapes, bases).square()
        scaled = (square / (1 - self.beta2**t)).sqrt() + self.epsilon
        move = _rotated(_rotated(mean, shapes, bases) / scaled, shapes, _transposed(bases)) / (1 - self.beta1**t)
        rate = self.learning_rate * 0.5 ** ((t - 1) / self.half_life)
        means = self._means(state["means"], _matrices(g, shapes))
        if t % self.refresh == 0:
            bases = {name: [_iterated(*each) for each in zip(means[name], bases[name], strict=True)] for name in bases}
        state = {"step": t, "mean": mean, "square": square, "means": means, "bases": bases}
        return theta - rate * move, state, Info(float(loss), began_with=True)

    def _means(self, means: dict[str, list[Tensor]], parts: dict[str, Tensor]) -> dict[str, list[Tensor]]:
        """L and R, moved towards G Gᵀ and GᵀG."""

        def towards(mean: Tensor, now: Tensor) -> Tensor:
            return self.beta2 * mean + (1 - self.beta2) * now

        return {
            name: [towards(means[name][0], part @ part.T), towards(means[name][1], part.T @ part)]
            for name, part in parts.items()
        }


def _split(vector: Tensor, shapes: Mapping[str, torch.Size]) -> dict[str, Tensor]:
    parts = vector.split([shape.numel() for shape in shapes.values()])
    return {name: part.view(shape) for (name, shape), part in zip(shapes.items(), parts, strict=True)}


def _matrices(vector: Tensor, shapes: Mapping[str, torch.Size]) -> dict[str, Tensor]:
    return {name: part for name, part in _split(vector, shapes).items() if part.dim() == 2}


def _rotated(vector: Tensor, shapes: Mapping[str, torch.Size], bases: dict[str, list[Tensor]]) -> Tensor:
    """Q_Lᵀ · Q_R of each matrix; the rest as it is."""
    parts = _split(vector, shapes)
    rotated = {name: left.T @ parts[name] @ right for name, (left, right) in bases.items()}
    return torch.cat([part.reshape(-1) for part in (parts | rotated).values()])


def _transposed(bases: dict[str, list[Tensor]]) -> dict[str, list[Tensor]]:
    return {name: [left.T, right.T] for name, (left, right) in bases.items()}


def _eigenvectors(mean: Tensor) -> Tensor:
    """Columns by falling eigenvalue, as `_iterated` keeps them; the identity where the mean is not finite."""
    if not bool(torch.isfinite(mean).all()):
        return torch.eye(len(mean), dtype=mean.dtype, device=mean.device)
    return torch.linalg.eigh(mean)[1].flip(1)


def _iterated(mean: Tensor, basis: Tensor) -> Tensor:
    """One orthogonal iteration (Golub & Van Loan, 8.2.4)."""
    return torch.linalg.qr(mean @ basis)[0]
