"""Features of one problem in the service of another: where they are used, and what of them is trained further.

The new domain is mapped into the range in which the features were trained by a similarity in space, x̂ = (x − c)/s, so
that what is harmonic stays harmonic, and its time interval onto theirs. That map is nothing but the bounds which the
trial function scales to [−1, 1]ᵈ. Features of steady problems serve transient ones as products with Chebyshev
polynomials in time.

What is not trained becomes a buffer instead of a parameter, under the same name: a file of the solution does not tell
how it was trained.
"""

from collections.abc import Sequence
from copy import deepcopy
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from pinnkit import settings as chosen
from pinnkit.corners import CornerFunctions
from pinnkit.errors import BadInput
from pinnkit.geometry import SpaceTime
from pinnkit.networks import MLP, FeatureMap, FourierMLP, Wide, activate, linear
from pinnkit.operators import Index
from pinnkit.polynomials import InTime
from pinnkit.problem import Problem
from pinnkit.result import Solution
from pinnkit.trial import Trial

Array = NDArray[np.float64]


def fitted_bounds(target: Array, source: Array, coordinates: Sequence[str]) -> Array:
    """Bounds (2, d) about the target's, as large as they must be to have the proportions of the source's in space."""
    centre, half = target.mean(0), np.ptp(target, axis=0) / 2
    space = [i for i, name in enumerate(coordinates) if name != "t"]
    proportions = np.ptp(source, axis=0)[space] / 2
    half[space] = proportions * (half[space] / proportions).max()
    return np.stack([centre - half, centre + half])


def bounds_for(source: Solution, problem: Problem) -> Array:
    """What of the new domain's surroundings the features see as [−1, 1]ᵈ. Raises BadInput for other coordinates."""
    theirs, ours = source.coordinates, problem.coordinates
    if theirs == ours:
        return fitted_bounds(problem.domain.bounds, np.array(source.trial.shape.bounds), ours)
    if problem.transient and theirs == ours[:-1]:
        space = fitted_bounds(problem.domain.bounds[:, :-1], np.array(source.trial.shape.bounds), theirs)
        return np.column_stack([space, problem.domain.bounds[:, -1]])
    what = f"its features are functions of {', '.join(theirs)}, the problem is one of {', '.join(ours)}"
    raise BadInput("task.source", what, "choose another source")


def moved(theirs: Trial, problem: Problem, bounds: Array) -> Trial | None:
    """A source's solution on a new domain, x ↦ u(x̂); None where that makes no sense: other coordinates or fields."""
    shape = theirs.shape
    same = shape.coordinates == problem.coordinates and len(shape.fields) == len(problem.fields)
    if not same or theirs.exact is not None or not isinstance(theirs.enrichment, CornerFunctions | None):
        return None
    enrichment = theirs.enrichment
    if enrichment is not None:
        there = np.array(shape.bounds)
        factor = float(np.ptp(bounds, axis=0)[0] / np.ptp(there, axis=0)[0])
        enrichment = enrichment.moved(there.mean(0)[:2].tolist(), bounds.mean(0)[:2].tolist(), factor)
        if isinstance(problem.domain, SpaceTime):
            enrichment = CornerFunctions(enrichment.singularities, problem.domain.time)
    unknowns = {name: unknown.raw() for name, unknown in problem.unknowns.items()}
    shape = replace(shape, fields=problem.fields, bounds=tuple(map(tuple, bounds.tolist())), unknowns=unknowns)
    trial = Trial(deepcopy(theirs.features), shape, enrichment)
    state = {name: value for name, value in theirs.state_dict().items() if not name.startswith("unknowns")}
    own = {name: v for name, v in trial.state_dict().items() if name.startswith(("centre", "halfwidth", "unknowns"))}
    trial.load_state_dict({**state, **own})
    return trial


def adapted(features: FeatureMap, strategy: chosen.Strategy, generator: torch.Generator) -> FeatureMap:
    """The features with what the strategy trains as parameters, and all else held. They are changed in place."""
    match strategy:
        case chosen.Head():
            hold(features)
        case chosen.Frozen():
            layers = layers_of(features)
            if strategy.layers >= len(layers.weights):
                what = f"{strategy.layers} of {len(layers.weights)} layers are to be frozen"
                remedy = "freeze fewer, write task/strategy=head, or give a source with more layers"
                raise BadInput("task.strategy.layers", what, remedy)
            for i in range(strategy.layers):
                _hold(layers.weights, str(i))
                _hold(layers.biases, str(i))
        case chosen.LoRA():
            return _with_corrections(features, strategy.rank, generator)
    return features


def layers_of(features: nn.Module) -> MLP:
    """The layers inside a feature map. Raises BadInput where there are none."""
    match features:
        case MLP():
            return features
        case Wide():
            return layers_of(features.network)
        case InTime():
            return layers_of(features.features)
        case FourierMLP():
            return features.layers
    raise BadInput("task.source", "its features are a module of your own", "give one with a network of pinnkit")


def hold(module: nn.Module) -> None:
    """Turn all parameters into buffers of the same names."""
    for part in module.modules():
        for name in [name for name, _ in part.named_parameters(recurse=False)]:
            _hold(part, name)


def _hold(part: nn.Module, name: str) -> None:
    value = getattr(part, name).detach()
    delattr(part, name)
    part.register_buffer(name, value)


# --- corrections of low rank ----------------------------------------------------------------------------------------


class _Correction(nn.Module):
    """The matrix up · down of low rank, zero at first."""

    def __init__(self, corrected: Tensor, rank: int, generator: torch.Generator) -> None:
        super().__init__()
        outputs, inputs = corrected.shape
        drawn = torch.randn(rank, inputs, generator=generator, dtype=torch.float64)
        self.down = nn.Parameter(drawn / inputs**0.5)
        self.up = nn.Parameter(torch.zeros(outputs, rank, dtype=torch.float64))

    def forward(self, jets: Tensor) -> Tensor:
        return linear(linear(jets, self.down), self.up)

    def matrix(self) -> Tensor:
        return (self.up @ self.down).detach()


class _CorrectedLayers(FeatureMap):
    """Layers that are held, each matrix but the first with a correction (Hu et al. 2021)."""

    def __init__(self, layers: MLP, rank: int, generator: torch.Generator) -> None:
        super().__init__()
        hold(layers)
        self.layers, self.width = layers, layers.width
        self.corrections = nn.ModuleList(_Correction(w, rank, generator) for w in list(layers.weights)[1:])

    def jets(self, points: Tensor, indices: Sequence[Index]) -> Tensor:
        h = points
        for i, (weight, bias) in enumerate(zip(self.layers.weights, self.layers.biases, strict=True)):
            moved = linear(h, weight, bias)
            h = activate(self.layers.activation, moved + self.corrections[i - 1](h) if i else moved, indices)
        return h

    def merged(self) -> MLP:
        for weight, correction in zip(list(self.layers.weights)[1:], self.corrections, strict=True):
            assert isinstance(correction, _Correction)
            weight += correction.matrix()
        return self.layers


def _with_corrections(features: FeatureMap, rank: int, generator: torch.Generator) -> FeatureMap:
    match features:
        case Wide():
            features.network = _with_corrections(features.network, rank, generator)
            return features
        case InTime():
            features.features = _with_corrections(features.features, rank, generator)
            return features
        case MLP() if len(features.weights) > 1:
            return _CorrectedLayers(features, rank, generator)
    remedy = "choose full or head, or give a run folder of task=pretrain 'network.layers=[32,32]'"
    raise BadInput("task.strategy", "lora needs a source with two layers or more", remedy)


def merged(features: FeatureMap) -> FeatureMap:
    """The features with corrections added to what they correct; such a feature map can be kept in a file."""
    match features:
        case Wide():
            features.network = merged(features.network)
        case InTime():
            features.features = merged(features.features)
        case _CorrectedLayers():
            return features.merged()
    return features


def is_merged(features: FeatureMap) -> bool:
    """Whether there are no corrections to be merged."""
    return not any(isinstance(part, _Correction) for part in features.modules())
