"""The contract of the optimizers: they see r(θ) and its derivatives, and nothing of PDEs, networks or geometry.

    state = optimizer.init(residuals, θ)
    θ, state, info = optimizer.step(residuals, θ, state)

State is passed, never kept: a dictionary of tensors and plain numbers, so that a checkpoint of (θ, state) resumes
bit-exactly. `info.stop` says why no further step makes sense.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from torch import Size, Tensor

State = dict[str, Any]
Linearised = tuple[Tensor, Callable[[Tensor], Tensor], Callable[[Tensor], Tensor]]


class LeastSquaresObjective(Protocol):
    """loss(θ) = ½ ‖r(θ)‖² with r (rows,), θ (P,)."""

    def __call__(self, theta: Tensor) -> Tensor:
        """r(θ)."""

    def gradient(self, theta: Tensor) -> tuple[Tensor, Tensor]:
        """loss and Jᵀr."""

    def jacobian(self, theta: Tensor) -> tuple[Tensor, Tensor]:
        """r and J (rows, P)."""

    def linear_jacobian(self, theta: Tensor) -> tuple[Tensor, Tensor]:
        """r and the columns of J at the positions `linear`."""

    def linearised(self, theta: Tensor) -> Linearised:
        """r, v ↦ J v and w ↦ Jᵀ w, without J."""

    @property
    def shapes(self) -> Mapping[str, Size]:
        """The parameters by name, in the order in which they stand in θ."""

    @property
    def linear(self) -> Tensor:
        """Positions in θ of the parameters that are solved for with frozen features."""


@dataclass(frozen=True)
class Info:
    """What a step did: the loss it arrived at, or that it began with, and a reason to stop, if there is one."""

    loss: float
    stop: str | None = None
    began_with: bool = False  # methods that look at the gradient alone do not know where they arrive


class Optimizer(ABC):
    """One way to make ½ ‖r(θ)‖² smaller."""

    @abstractmethod
    def init(self, residuals: LeastSquaresObjective, theta: Tensor) -> State: ...

    @abstractmethod
    def step(self, residuals: LeastSquaresObjective, theta: Tensor, state: State) -> tuple[Tensor, State, Info]: ...


def loss_of(residual: Tensor) -> float:
    """½ ‖r‖², infinite where r is not finite, so that line searches turn back from there."""
    loss = 0.5 * float(residual @ residual)
    return loss if loss < float("inf") else float("inf")
