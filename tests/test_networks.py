"""Every feature map: its jets are its derivatives, its gradients per point are those of single points."""

from itertools import combinations_with_replacement, pairwise

import pytest
import torch
from helpers import generator, randn
from torch import nn
from torch.func import functional_call
from torch.testing import assert_close

from pinnkit.adaptation import adapted
from pinnkit.errors import BadInput
from pinnkit.networks import ACTIVATIONS, CHUNK, MLP, FeatureMap, FourierMLP, Reduced, Wide, closure
from pinnkit.operators import derivative
from pinnkit.polynomials import ChebyshevProducts, InTime
from pinnkit.settings import LoRA

MAPS = {
    **{f"{a}-{len(widths)}": (a, widths) for a in ACTIVATIONS for widths in ((4,), (4, 3), (4, 3, 3))},
    **{f"fourier-{a}": (a, (4, 3)) for a in ("tanh", "gelu")},
    **{f"{kind}-{a}": (a, (4, 3)) for kind in ("reduced", "corrected", "in_time") for a in ("tanh", "sin")},
}
WITH_INPUTS = [(name, d) for name in MAPS for d in (1, 2, 3) if d > 1 or not name.startswith("in_time")]


def feature_map(name: str, inputs: int, seed: int = 0) -> FeatureMap:
    (activation, widths), drawn = MAPS[name], generator(seed)
    if name.startswith("in_time"):
        return InTime(MLP(inputs - 1, widths, activation, 1.5, drawn), 4)
    if name.startswith("fourier"):
        return FourierMLP(inputs, 3, 1.5, widths, activation, drawn)
    layers = MLP(inputs, widths, activation, 1.5, drawn)
    if name.startswith("reduced"):
        return Wide(layers, Reduced(ChebyshevProducts(inputs, 7), 3, drawn))
    return corrected(layers, drawn) if name.startswith("corrected") else layers


def corrected(layers: MLP, drawn: torch.Generator) -> FeatureMap:
    """Layers with corrections of rank 2 that are not zero."""
    features = adapted(layers, LoRA(2), drawn)
    with torch.no_grad():
        for parameter in features.parameters():
            parameter += torch.randn(parameter.shape, generator=drawn, dtype=torch.float64)
    return features


def multi_indices(d: int, order: int) -> list[tuple[int, ...]]:
    return [index for m in range(order + 1) for index in combinations_with_replacement(range(d), m)]


def jets_of_points(x: torch.Tensor, indices: list[tuple[int, ...]]) -> torch.Tensor:
    """Jets of the identity at points (n, d)."""
    units = torch.eye(x.shape[1], dtype=torch.float64)
    rows = {0: lambda _: x, 1: lambda index: units[index[0]].expand_as(x)}
    return torch.stack([rows.get(len(index), lambda _: torch.zeros_like(x))(index) for index in indices])


@pytest.mark.parametrize(("name", "inputs"), WITH_INPUTS)
def test_jets_are_nested_derivatives(name: str, inputs: int) -> None:
    features, indices = feature_map(name, inputs), multi_indices(inputs, order=4)
    x = 2 * torch.rand(4, inputs, generator=generator(), dtype=torch.float64) - 1
    mix = randn(features.width)
    jets = features.jets(jets_of_points(x, indices), indices)
    assert jets.shape == (len(indices), 4, features.width)
    coordinates = [c.clone().requires_grad_() for c in x.unbind(1)]
    nested = {(): features(torch.stack(coordinates, 1)) @ mix}
    for index in indices[1:]:
        nested[index] = derivative(nested[index[:-1]], coordinates[index[-1]])
    expected = torch.stack([nested[index] for index in indices])
    assert_close(jets @ mix, expected, rtol=1e-10, atol=1e-11 * float(expected.detach().abs().max()))


@pytest.mark.parametrize("name", MAPS)
def test_value_row_and_width(name: str) -> None:
    features, x = feature_map(name, 2), randn(2, 5, 2)
    assert features(x).shape == (2, 5, features.width)
    assert_close(features(x)[1], features.jets(x[1:2], [()])[0], rtol=1e-14, atol=1e-14)


@pytest.mark.parametrize(
    ("activation", "function"),
    [("tanh", torch.tanh), ("sin", torch.sin), ("gelu", nn.functional.gelu), ("silu", nn.functional.silu),
     ("softplus", nn.functional.softplus)],
)  # fmt: skip
def test_layers_are_the_textbook_formula(activation: str, function) -> None:
    features, x = MLP(2, (4, 3), activation, 1.5, generator()), randn(6, 2)
    (w, v), (b, c) = features.weights, features.biases
    assert_close(features(x), function(function(x @ w.T + b) @ v.T + c), rtol=1e-14, atol=1e-14)


def test_fourier_features_come_first() -> None:
    features, x = feature_map("fourier-tanh", 2), randn(6, 2)
    angles = x @ features.waves[:3].T
    assert_close(features(x), features.layers(torch.cat([angles.sin(), angles.cos()], 1)), rtol=1e-12, atol=1e-12)


def test_combinations_are_those_of_the_features_at_any_number_of_points() -> None:
    features = Reduced(ChebyshevProducts(2, 9), 4, generator())
    for n in (0, 1, CHUNK, 2 * CHUNK + 3):
        x = randn(n, 2)
        assert_close(features(x), features.features(x) @ features.combinations.T, rtol=1e-13, atol=1e-13)


@pytest.mark.parametrize("order", [0, 1, 2])
@pytest.mark.parametrize("name", MAPS)
def test_gradients_per_point_are_those_of_single_points(name: str, order: int) -> None:
    features, x, n = feature_map(name, 2), randn(5, 2), 5
    indices = multi_indices(2, order)
    mix = randn(len(indices), 1, features.width)
    parameters = {key: p.detach() for key, p in features.named_parameters()}

    def values(weights, points):
        jets = functional_call(Jets(features, indices), {f"features.{k}": p for k, p in weights.items()}, (points,))
        return (mix * jets).sum((0, 2))

    copies = {key: p.expand(n, *p.shape).requires_grad_() for key, p in parameters.items()}
    together = torch.autograd.grad(values(copies, x).sum(), list(copies.values()))
    for i in range(n):
        single = {key: p.clone().requires_grad_() for key, p in parameters.items()}
        alone = torch.autograd.grad(values(single, x[i : i + 1]).sum(), list(single.values()))
        for rows, row in zip(together, alone, strict=True):
            assert_close(rows[i], row, rtol=1e-11, atol=1e-11)


class Jets(nn.Module):
    def __init__(self, features: FeatureMap, indices: list[tuple[int, ...]]) -> None:
        super().__init__()
        self.features, self.indices = features, indices

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.features.jets(jets_of_points(x, self.indices), self.indices)


@pytest.mark.parametrize("name", MAPS)
def test_a_seed_draws_the_same_map_and_another_seed_another(name: str) -> None:
    x = randn(3, 2)
    first, again, other = (feature_map(name, 2, seed)(x) for seed in (0, 0, 1))
    assert torch.equal(first, again)
    assert not torch.allclose(first, other)


@pytest.mark.parametrize("inputs", [1, 2, 3])
def test_first_layer_neurons_are_centred_in_the_domain(inputs: int) -> None:
    """Each neuron's argument vanishes somewhere in [−1, 1]ᵈ: |b| ≤ Σ|w|; slopes fill (−slope, slope)."""
    features = MLP(inputs, (500,), "tanh", 3.0, generator())
    weight, bias = features.weights[0], features.biases[0]
    assert (bias.abs() <= weight.abs().sum(1)).all()
    assert 2.9 < weight.max() <= 3 and -3 <= weight.min() < -2.9
    if inputs == 1:
        centres = -bias / weight[:, 0]
        assert_close(centres.mean().item(), 0.0, rtol=0, atol=0.1)
        assert 0.95 < centres.abs().max() <= 1


@pytest.mark.parametrize("make", [lambda name: MLP(2, (3,), name, 1.0, generator()),
                                  lambda name: FourierMLP(2, 3, 1.0, (3,), name, generator())])  # fmt: skip
def test_unknown_activations_are_refused(make) -> None:
    with pytest.raises(BadInput, match=r"network\.activation: unknown activation 'relu'; choose from tanh, sin"):
        make("relu")


@pytest.mark.parametrize(
    ("wanted", "carried"),
    [
        ([()], [()]),
        ([(0,)], [(), (0,)]),
        ([(0, 0)], [(), (0,), (0, 0)]),
        ([(0, 1)], [(), (0,), (1,), (0, 1)]),
        ([(1, 1), (0,)], [(), (0,), (1,), (1, 1)]),
        ([(0, 0, 1)], [(), (0,), (1,), (0, 0), (0, 1), (0, 0, 1)]),
    ],
)
def test_closure_holds_all_sub_indices_shortest_first(wanted, carried) -> None:
    assert closure(wanted) == carried


def test_closure_is_idempotent_and_ordered() -> None:
    found = closure([(0, 1, 2, 2), (1, 1)])
    assert closure(found) == found
    assert all(len(a) <= len(b) for a, b in pairwise(found))
