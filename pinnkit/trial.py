"""The trial function: a feature map followed by a linear head, plus what is known exactly.

    u(x; θ) = offset + amplitude · ( features(x̂; φ) Wᵀ + enrichment(x) Cᵀ + b ),    θ = (φ, W, C, b, unknowns)

x̂ maps the bounds of the domain to [−1, 1]ᵈ; offset and amplitude bring the solution to mean 0 and size 1, so that
neither metres against millimetres nor kelvin against millikelvin changes how training goes. The unknown
coefficients of an inverse problem belong to θ like every other parameter.

Dirichlet data hold exactly, for every θ, where a lift that agrees with them and a distance that vanishes there are
given, with an enrichment that vanishes there too:

    u(x; θ) = lift(x) + amplitude · ( distance(x) · ( features(x̂; φ) Wᵀ + b ) + enrichment(x) Cᵀ )
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from pinnkit.networks import FeatureMap, closure, linear
from pinnkit.operators import Index
from pinnkit.taylor import leibniz


class Enrichment(Protocol):
    """Known functions of the coordinates that are added to the features with a linear head of their own."""

    count: int

    def jets(self, coordinates: Sequence[Tensor], indices: Sequence[Index]) -> Tensor:
        """Partial derivatives (C, n, count) at points with these coordinates, (n,) each; differentiable by them."""


class Enrichments:
    """Several of them, one beside the other."""

    def __init__(self, parts: Sequence[Enrichment]) -> None:
        self.parts = tuple(parts)
        self.count = sum(part.count for part in parts)

    def jets(self, coordinates: Sequence[Tensor], indices: Sequence[Index]) -> Tensor:
        """Partial derivatives (C, n, count) at points with these coordinates, (n,) each."""
        return torch.cat([part.jets(coordinates, indices) for part in self.parts], -1)


class Exact(Protocol):
    """Dirichlet data that hold exactly."""

    @property
    def conditions(self) -> tuple[str, ...]:
        """The names of the conditions that need no residual any more."""

    def jets(self, coordinates: Sequence[Tensor], indices: Sequence[Index]) -> Tensor:
        """Partial derivatives (C, n, 2) of distance and lift; the values alone are differentiable."""


@dataclass(frozen=True)
class Prepared:
    """What the trial function needs of fixed points, once: jets of the scaled coordinates and of what is known.

    `fixed` are the columns that no parameter changes: features without parameters, times the distance if there is one,
    and the enrichment.
    """

    indices: list[Index]
    points: Tensor  # (C, n, d)
    fixed: Tensor | None  # (C, n, columns)
    exact: Tensor | None = None  # (C, n, 2)


@dataclass(frozen=True)
class TrialShape:
    """What a trial function is told of its problem: plain values, so that it can be rebuilt from a file."""

    coordinates: tuple[str, ...]
    fields: tuple[str, ...]
    bounds: tuple[tuple[float, ...], ...]  # lower and upper
    unknowns: Mapping[str, float]


class Trial(nn.Module):
    """u(x; θ) for all fields of a problem at once, with values (n, fields) and jets (C, n, fields).

    `features` maps (n, d) to (n, width); a FeatureMap says its width, any other module is asked once.
    """

    centre: Tensor
    halfwidth: Tensor
    offset: Tensor
    amplitude: Tensor

    def __init__(
        self,
        features: nn.Module,
        shape: TrialShape,
        enrichment: Enrichment | None = None,
        exact: Exact | None = None,
    ) -> None:
        super().__init__()
        self.features, self.shape, self.enrichment, self.exact = features, shape, enrichment, exact
        self.fields = shape.fields
        bounds, m = torch.tensor(shape.bounds, dtype=torch.float64), len(shape.fields)
        self.width = features.width if isinstance(features, FeatureMap) else _ask_width(features, bounds.shape[1])
        columns = self.width + (enrichment.count if enrichment else 0)
        self.weight = nn.Parameter(torch.zeros(m, columns, dtype=torch.float64))
        self.bias = nn.Parameter(torch.zeros(m, dtype=torch.float64))
        raw = {name: torch.tensor(value, dtype=torch.float64) for name, value in shape.unknowns.items()}
        self.unknowns = nn.ParameterDict(raw)
        self.register_buffer("centre", bounds.mean(0))
        self.register_buffer("halfwidth", (bounds[1] - bounds[0]) / 2)
        self.register_buffer("offset", torch.zeros(m, dtype=torch.float64))
        self.register_buffer("amplitude", torch.ones(m, dtype=torch.float64))

    @property
    def columns(self) -> int:
        """How many linear parameters each field has, beside its bias."""
        return self.weight.shape[1]

    @property
    def knows_its_derivatives(self) -> bool:
        """Whether derivatives come from one forward pass (our feature maps), or from nested reverse mode (the rest)."""
        return isinstance(self.features, FeatureMap)

    def prepare(self, x: Tensor, wanted: Sequence[Index]) -> Prepared:
        """Constants of the points x (n, d) for a forward pass that carries the wanted derivatives."""
        indices = closure(wanted)
        rows: dict[Index, Tensor] = {(i,): slope.expand_as(x) for i, slope in enumerate(torch.diag(1 / self.halfwidth))}
        rows[()] = (x - self.centre) / self.halfwidth
        points = torch.stack([rows.get(index, torch.zeros_like(x)) for index in indices])
        exact = self.exact.jets(x.unbind(-1), indices) if self.exact else None
        return Prepared(indices, points, self._fixed(x, points, exact, indices), exact)

    def _fixed(self, x: Tensor, points: Tensor, exact: Tensor | None, indices: Sequence[Index]) -> Tensor | None:
        parts = []
        if isinstance(self.features, FeatureMap) and self.features.fixed is not None:
            columns = self.features.fixed.jets(points, indices)
            parts.append(columns if exact is None else leibniz(exact[..., :1], columns, indices))
        if self.enrichment is not None:
            parts.append(self.enrichment.jets(x.unbind(-1), indices))
        return torch.cat(parts, -1) if len(parts) > 1 else parts[0] if parts else None

    def watched(self, points: NDArray[np.float64]) -> Callable[[], NDArray[np.float64]]:
        """The fields (n, fields) at fixed points (n, d), as a function to be called while θ changes."""
        x = torch.as_tensor(points).to(self.weight)
        at = self.prepare(x, [()]) if self.knows_its_derivatives else x

        def values() -> NDArray[np.float64]:
            with torch.no_grad():
                out = self(at)
            return (out[0] if self.knows_its_derivatives else out).double().cpu().numpy()

        return values

    def known(self, x: Tensor) -> Tensor:
        """What is held of u whatever θ is, (n, fields), at points (n, d): the lift, or nothing."""
        shape = (len(x), len(self.fields))
        return self.exact.jets(x.unbind(-1), [()])[0, :, 1:] if self.exact else x.new_zeros(shape)

    def forward(self, at: Prepared | Tensor) -> Tensor:
        """Jets (C, n, fields) at prepared points, or values (n, fields) at points (n, d)."""
        return self._values(at) if isinstance(at, Tensor) else self._jets(at)

    def _jets(self, at: Prepared) -> Tensor:
        assert isinstance(self.features, FeatureMap)
        columns = self.features.trained.jets(at.points, at.indices)
        trained, fixed = self.weight.tensor_split([columns.shape[-1]], -1)
        out = linear(columns, trained, self.bias)
        if at.exact is not None:
            out = leibniz(at.exact[..., :1], out, at.indices)
        if at.fixed is not None:
            out = out + linear(at.fixed, fixed)
        return self._scaled(out, at.exact)

    def _scaled(self, out: Tensor, exact: Tensor | None) -> Tensor:
        """Jets of amplitude · out, on top of the lift or of the offset."""
        out = self.amplitude * out
        return torch.cat([out[:1] + self.offset, out[1:]]) if exact is None else out + exact[..., 1:]

    def _values(self, x: Tensor) -> Tensor:
        weight, beyond = self.weight.tensor_split([self.width], -1)
        out = (self.features((x - self.centre) / self.halfwidth) @ weight.mT + self.bias)[None]
        exact = self.exact.jets(x.unbind(-1), [()]) if self.exact else None
        if exact is not None:
            out = exact[..., :1] * out
        if self.enrichment is not None:
            out = out + self.enrichment.jets(x.unbind(-1), [()]) @ beyond.mT
        return self._scaled(out, exact)[0]


def _ask_width(features: nn.Module, inputs: int) -> int:
    like = next(features.parameters(), torch.zeros((), dtype=torch.float64))
    with torch.no_grad():
        return int(features(torch.zeros(1, inputs, dtype=like.dtype, device=like.device)).shape[-1])
