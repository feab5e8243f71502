"""Feature maps: the nonlinear part of a trial function, with their derivatives in one forward pass.

A feature map sends points (n, d), scaled to [−1, 1]ᵈ, to features (n, width). Ours also push *jets*: a tensor
(C, n, ·) that stacks the value and the wanted partial derivatives. A linear layer acts on each of them alike; an
activation σ combines them by Faà di Bruno's formula,

    ∂_I σ(h) = Σ over partitions π of I   σ^(|π|)(h) Π_{B∈π} ∂_B h,

for first and second order: σ' ∂ᵢh and σ'' ∂ᵢh ∂ⱼh + σ' ∂ᵢⱼh.

Weights may carry one more leading dimension of size n, one copy for each point. They must then be copies of one
tensor; the reverse sweep returns the gradient *per point*, which is the Jacobian of the residual vector.
"""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import combinations, pairwise
from typing import Any, cast

import torch
from torch import Tensor, nn

from pinnkit.errors import BadInput
from pinnkit.operators import Index

CHUNK = 256  # points at which many features are evaluated at a time: what fits a cache is several times faster


def closure(indices: Sequence[Index]) -> list[Index]:
    """The indices with all their sub-indices, shortest first: what a forward pass has to carry."""
    found = {()} | {part for index in indices for m in range(1, len(index) + 1) for part in combinations(index, m)}
    return sorted(found, key=lambda index: (len(index), index))


def _partitions(items: tuple[int, ...]) -> Iterator[list[tuple[int, ...]]]:
    """All set partitions of the positions in `items`."""
    if not items:
        yield []
        return
    first, rest = items[0], items[1:]
    for partition in _partitions(rest):
        yield [(first,), *partition]
        for i, block in enumerate(partition):
            yield [*partition[:i], (first, *block), *partition[i + 1 :]]


# --- activations: [σ(h), σ'(h), …, σ^(order)(h)] --------------------------------------------------------------------


def _polynomial_tower(a: Tensor, slope: Sequence[float], order: int) -> list[Tensor]:
    """Derivatives of an activation whose first derivative is the polynomial `slope` in its own value a."""
    polynomial, out = torch.tensor([0.0, 1.0], dtype=torch.float64), [a]
    for _ in range(order):
        derived = polynomial[1:] * torch.arange(1, len(polynomial), dtype=torch.float64)
        polynomial = torch.zeros(len(derived) + len(slope) - 1, dtype=torch.float64)
        for i, c in enumerate(slope):
            polynomial[i : i + len(derived)] += c * derived
        value = torch.full_like(a, float(polynomial[-1]))
        for c in polynomial.flip(0)[1:].tolist():
            value = value * a + c
        out.append(value)
    return out


def _tanh(h: Tensor, order: int) -> list[Tensor]:
    a = torch.tanh(h)
    if order <= 2:
        d = 1 - a * a
        return [a, d, -2 * a * d][: order + 1]
    return _polynomial_tower(a, [1.0, 0.0, -1.0], order)


def _sin(h: Tensor, order: int) -> list[Tensor]:
    s, c = torch.sin(h), torch.cos(h)
    return [(s, c, -s, -c)[m % 4] for m in range(order + 1)]


def _times_h(h: Tensor, tower: list[Tensor]) -> list[Tensor]:
    """Derivatives of h·σ(h) by Leibniz: h σ^(m) + m σ^(m−1)."""
    return [h * s + (m * tower[m - 1] if m else 0) for m, s in enumerate(tower)]


def _silu(h: Tensor, order: int) -> list[Tensor]:
    return _times_h(h, _polynomial_tower(torch.sigmoid(h), [0.0, 1.0, -1.0], order))


def _softplus(h: Tensor, order: int) -> list[Tensor]:
    return [
        nn.functional.softplus(h),
        *_polynomial_tower(torch.sigmoid(h), [0.0, 1.0, -1.0], max(order - 1, 0)),
    ][: order + 1]


def _gelu(h: Tensor, order: int) -> list[Tensor]:
    """h Φ(h), with Φ^(m) = (−1)^(m−1) He_{m−1} φ."""
    density = torch.exp(-h * h / 2) / math.sqrt(2 * math.pi)
    hermite = [torch.ones_like(h), h]
    for m in range(1, order):
        hermite.append(h * hermite[m] - m * hermite[m - 1])
    tower = [torch.special.ndtr(h)] + [(-1) ** (m - 1) * hermite[m - 1] * density for m in range(1, order + 1)]
    return _times_h(h, tower)


ACTIVATIONS: dict[str, Callable[[Tensor, int], list[Tensor]]] = {
    "tanh": _tanh,
    "sin": _sin,
    "gelu": _gelu,
    "silu": _silu,
    "softplus": _softplus,
}


def activate(name: str, jets: Tensor, indices: Sequence[Index]) -> Tensor:
    """Faà di Bruno's formula on jets (C, n, width) whose rows are `indices` (closed under sub-indices)."""
    tower = ACTIVATIONS[name](jets[0], max(map(len, indices)))
    row = {index: jets[i] for i, index in enumerate(indices)}
    return torch.stack([tower[0]] + [faa_di_bruno(tower, row, index) for index in indices[1:]])


def faa_di_bruno(tower: Sequence[Tensor], row: Mapping[Index, Tensor], index: Index) -> Tensor:
    """∂_I σ(h) from σ and its derivatives at h (`tower`) and from the partial derivatives of h (`row`)."""
    total: Tensor | None = None
    for partition in _partitions(tuple(range(len(index)))):
        term = tower[len(partition)]
        for block in partition:
            term = term * row[tuple(sorted(index[p] for p in block))]
        total = term if total is None else total + term
    assert total is not None
    return total


# --- layers --------------------------------------------------------------------------------------------------------


class _RowwiseLinear(torch.autograd.Function):
    """h Wᵀ for W given as n equal copies, (n, out, in); the gradient of W stays separate for each of the n points."""

    @staticmethod
    def forward(ctx: Any, h: Tensor, weight: Tensor) -> Tensor:
        ctx.save_for_backward(h, weight)
        return h @ weight[0].T

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, g: Tensor) -> tuple[Tensor | None, Tensor]:
        h, weight = ctx.saved_tensors
        back = g @ weight[0] if ctx.needs_input_grad[0] else None
        return back, g.permute(1, 2, 0) @ h.transpose(0, 1)


def linear(jets: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """W · + b on jets (C, n, in): every row is multiplied, only the value (row 0) is shifted."""
    out = jets @ weight.T if weight.dim() == 2 else _RowwiseLinear.apply(jets, weight)
    return out if bias is None else torch.cat([out[:1] + bias, out[1:]])


class FeatureMap(nn.Module):
    """Contract of our feature maps: `width`, and `jets` with `forward` as its value row.

    The `fixed` features, if there are any, stand behind the `trained` ones and have no parameters: at given points they
    are computed once.
    """

    width: int

    @property
    def trained(self) -> "FeatureMap":
        """The features without the fixed ones."""
        return self

    @property
    def fixed(self) -> "FeatureMap | None":
        """The features that no parameter changes."""
        return None

    @property
    def typical(self) -> int:
        """How many of the first features are of ordinary size, fit to judge by how strongly a head moves a residual."""
        return self.width

    def jets(self, points: Tensor, indices: Sequence[Index]) -> Tensor:
        """Values and partial derivatives, (C, n, width), of the features at jets `points` (C, n, d)."""
        raise NotImplementedError

    def forward(self, x: Tensor) -> Tensor:
        """Features (…, width) at points (…, d)."""
        return self.jets(x.reshape(1, -1, x.shape[-1]), [()])[0].reshape(*x.shape[:-1], self.width)


class MLP(FeatureMap):
    """Fully connected layers σ(W h + b).

    First-layer slopes are drawn from U(−slope, slope) and each neuron's centre uniformly from the domain, so that the
    features vary where the solution lives; this matters more for accuracy than the optimizer (Calabrò et al. 2021,
    Dong & Li 2021 observe the same for frozen features). Deeper layers: Glorot-uniform weights, biases U(−½, ½).
    """

    def __init__(
        self, inputs: int, widths: Sequence[int], activation: str, slope: float, generator: torch.Generator
    ) -> None:
        super().__init__()
        if activation not in ACTIVATIONS:
            raise BadInput(
                "network.activation",
                f"unknown activation {activation!r}",
                f"choose from {', '.join(ACTIVATIONS)}",
            )
        self.activation, self.width = activation, widths[-1]
        sizes = [inputs, *widths]
        self.weights, self.biases = nn.ParameterList(), nn.ParameterList()
        for i, (a, b) in enumerate(pairwise(sizes)):
            spread = slope if i == 0 else math.sqrt(6 / (a + b))
            weight = (2 * torch.rand(b, a, generator=generator, dtype=torch.float64) - 1) * spread
            centre = 2 * torch.rand(b, a, generator=generator, dtype=torch.float64) - 1
            bias = (
                -(weight * centre).sum(1) if i == 0 else torch.rand(b, generator=generator, dtype=torch.float64) - 0.5
            )
            self.weights.append(weight)
            self.biases.append(bias)

    def jets(self, points: Tensor, indices: Sequence[Index]) -> Tensor:
        h = points
        for weight, bias in zip(self.weights, self.biases, strict=True):
            h = activate(self.activation, linear(h, weight, bias), indices)
        return h


class FourierMLP(FeatureMap):
    """Random Fourier features sin(B x̂), cos(B x̂), then layers as in `MLP` (Tancik et al. 2020).

    The entries of B are normal with standard deviation `spread`, in radians per half-width of the domain.
    """

    waves: Tensor
    phases: Tensor

    def __init__(
        self, inputs: int, frequencies: int, spread: float, widths: Sequence[int], activation: str,
        generator: torch.Generator,
    ) -> None:  # fmt: skip
        super().__init__()
        waves = torch.randn(frequencies, inputs, generator=generator, dtype=torch.float64) * spread
        self.register_buffer("waves", torch.cat([waves, waves]))
        quarter = torch.arange(2, dtype=torch.float64).repeat_interleave(frequencies) * (math.pi / 2)
        self.register_buffer("phases", quarter)
        self.layers = MLP(2 * frequencies, widths, activation, math.sqrt(6 / (2 * frequencies + widths[0])), generator)
        self.width = self.layers.width

    def jets(self, points: Tensor, indices: Sequence[Index]) -> Tensor:
        return self.layers.jets(activate("sin", linear(points, self.waves, self.phases), indices), indices)


class Joined(FeatureMap):
    """Feature maps side by side."""

    def __init__(self, parts: Sequence[FeatureMap]) -> None:
        super().__init__()
        self.parts = nn.ModuleList(parts)
        self.width = sum(part.width for part in parts)

    def jets(self, points: Tensor, indices: Sequence[Index]) -> Tensor:
        parts = cast(Iterable[FeatureMap], self.parts)
        return torch.cat([part.jets(points, indices) for part in parts], -1)


class Wide(FeatureMap):
    """The features of a network, and beside them fixed ones, whose derivatives are of all sizes."""

    def __init__(self, network: FeatureMap, beside: FeatureMap) -> None:
        super().__init__()
        self.network, self.beside = network, beside
        self.width = network.width + beside.width

    @property
    def trained(self) -> FeatureMap:
        return self.network

    @property
    def fixed(self) -> FeatureMap:
        return self.beside

    @property
    def typical(self) -> int:
        return self.network.typical

    def jets(self, points: Tensor, indices: Sequence[Index]) -> Tensor:
        return torch.cat([part.jets(points, indices) for part in (self.network, self.beside)], -1)


class Reduced(FeatureMap):
    """Linear combinations of fixed features: few, and enough for a family of solutions.

    They are the rows of `combinations` (width, features.width): random ones to begin with, learned by pretraining.
    """

    combinations: Tensor

    def __init__(self, features: FeatureMap, width: int, generator: torch.Generator) -> None:
        super().__init__()
        drawn = torch.randn(width, features.width, generator=generator, dtype=torch.float64)
        self.features, self.width = features, width
        self.register_buffer("combinations", drawn / math.sqrt(features.width))

    def jets(self, points: Tensor, indices: Sequence[Index]) -> Tensor:
        parts = [self.features.jets(part, indices) @ self.combinations.mT for part in points.split(CHUNK, 1)]
        return torch.cat(parts, 1)
