"""Differential operators in named coordinates.

Every operator acts on plain tensors. A scalar field at n points has shape (n,), a vector field has its components
first, (d, n), so that `k * grad(u, x, y)` is right for k of shape (n,). Coordinates are the tensors the residual
receives by name, never axis numbers:

    −∇·(k ∇u) − f        is        -div(k * grad(u, x, y), x, y) - f

Derivatives are taken by reverse-mode differentiation through whatever the residual computed. For networks that
know their own derivatives, `Jet` supplies them in one forward pass and the reverse sweep never enters the network.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

Index = tuple[int, ...]  # a partial derivative: the sorted numbers of the coordinates, () for the value


def derivative(u: Tensor, *coordinates: Tensor) -> Tensor:
    """∂ᵐu / ∂x₁ … ∂xₘ of a scalar field, (n,), one differentiation per coordinate named; zero where u ignores it."""
    for x in coordinates:
        if not u.requires_grad:
            return torch.zeros_like(x)
        (u,) = torch.autograd.grad(u.sum(), x, create_graph=True, materialize_grads=True)
    return u


def grad(u: Tensor, *space: Tensor) -> Tensor:
    """∇u, (d, n)."""
    return torch.stack([derivative(u, x) for x in space])


def div(v: Tensor | tuple[Tensor, ...], *space: Tensor) -> Tensor:
    """∇·v, (n,), of a vector field given as (d, n) or as d scalar fields."""
    if len(v) != len(space):
        raise ValueError(f"div: {len(v)} components against {len(space)} coordinates")
    return sum((derivative(c, x) for c, x in zip(v, space, strict=True)), torch.zeros_like(space[0]))


def laplacian(u: Tensor, *space: Tensor) -> Tensor:
    """Δu = Σ ∂²u/∂xᵢ², (n,)."""
    return sum((derivative(u, x, x) for x in space), torch.zeros_like(space[0]))


def diffusion(k: Tensor | float, u: Tensor, *space: Tensor) -> Tensor:
    """∇·(k ∇u), (n,), in divergence form; k is a number, (n,), or a (d, d) matrix, and may depend on x and on u."""
    gradient = grad(u, *space)
    flux = k @ gradient if isinstance(k, Tensor) and k.shape == (len(space),) * 2 else k * gradient
    return div(flux, *space)


def dot(a: Tensor, b: Tensor) -> Tensor:
    """a·b of two vector fields (d, n): (n,)."""
    return (a * b).sum(0)


def normal_derivative(u: Tensor, normal: Tensor, *space: Tensor) -> Tensor:
    """∂u/∂n = n·∇u, (n,), with the outward unit normal (d, n)."""
    return dot(normal, grad(u, *space))


class _Tangent(torch.autograd.Function):
    """Zero whose derivative with respect to x is a known tensor (itself differentiable in the same way)."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, jet: "Jet", index: Index) -> Tensor:
        ctx.jet, ctx.index = jet, index
        return torch.zeros_like(x)

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> tuple[Tensor, None, None]:
        return g * ctx.jet.field(ctx.index), None, None


class Jet:
    """A scalar field at points with derivatives that are known instead of being differentiated.

    `field(())` is a tensor (n,) that `derivative` can differentiate by the coordinates: the answers come from the
    table of partial derivatives. One node per coordinate keeps the requests exact (asking for ∂/∂x does not ask for
    ∂/∂t). `table(index)` returns ∂^index u, (n,).
    """

    def __init__(self, coordinates: tuple[Tensor, ...], table: Callable[[Index], Tensor]) -> None:
        self.coordinates = coordinates
        self.table = table

    def field(self, index: Index = ()) -> Tensor:
        value = self.table(index)
        for i, x in enumerate(self.coordinates):
            value = value + _Tangent.apply(x, self, tuple(sorted((*index, i))))
        return value
