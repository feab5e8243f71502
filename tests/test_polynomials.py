"""Products of Chebyshev polynomials: values, jets, and which of them come first."""

import numpy as np
import pytest
import torch
from numpy.polynomial.chebyshev import chebval
from torch.testing import assert_close

from pinnkit.networks import MLP, Wide, closure
from pinnkit.polynomials import ChebyshevProducts, InTime


def points(n: int, d: int) -> torch.Tensor:
    return torch.rand(n, d, dtype=torch.float64, generator=torch.Generator().manual_seed(0)) * 2 - 1


@pytest.mark.parametrize("dimension", [1, 2, 3, 5])
def test_values_are_products(dimension: int) -> None:
    features, x = ChebyshevProducts(dimension, 40), points(7, dimension)
    found = features(x).numpy()
    for column, degrees in zip(found.T, features.degrees.tolist(), strict=True):
        expected = np.prod([chebval(x[:, i].numpy(), np.eye(k + 1)[k]) for i, k in enumerate(degrees)], axis=0)
        assert column == pytest.approx(expected, abs=1e-13)


@pytest.mark.parametrize("index", [(0,), (1,), (0, 0), (0, 1), (1, 1), (0, 0, 1), (1, 1, 1)])
def test_jets_are_the_derivatives(index: tuple[int, ...]) -> None:
    """With scaled coordinates x̂ = (2x, y/2)."""
    features, x = ChebyshevProducts(2, 30), (points(5, 2) / 2).requires_grad_()
    slopes, indices = torch.tensor([2.0, 0.5], dtype=torch.float64), closure([index])
    jets = torch.zeros(len(indices), 5, 2, dtype=torch.float64)
    jets[0] = (x * slopes).detach()
    for row, i in enumerate(indices):
        if len(i) == 1:
            jets[row, :, i[0]] = slopes[i[0]]
    found = features.jets(jets, indices)[indices.index(index)]
    for k in range(30):
        u = features(x * slopes)[:, k]
        for i in index:
            u = torch.autograd.grad(u.sum(), x, create_graph=True)[0][:, i]
        assert_close(found[:, k], u.detach(), rtol=1e-10, atol=1e-10)


def test_directions_are_resolved_alike_up_to_three_dimensions() -> None:
    degrees = ChebyshevProducts(2, 200).degrees.double()
    assert float(degrees.norm(dim=1).max()) < float(degrees.max()) + 1


def test_single_coordinates_come_first_in_many_dimensions() -> None:
    degrees = ChebyshevProducts(5, 400).degrees
    alone = degrees[(degrees > 0).sum(1) == 1]
    assert int(alone.max()) == int(degrees.sum(1).max()) > 10
    assert all(int(alone[:, i].max()) >= int(alone.max()) - 1 for i in range(5))


def test_all_multi_indices_are_different() -> None:
    degrees = ChebyshevProducts(3, 500).degrees
    assert len(torch.unique(degrees, dim=0)) == 500
    assert int(degrees.sum(1).min()) > 0


def test_a_wide_network_has_both_kinds_of_features() -> None:
    network = MLP(2, [8], "tanh", 1.5, torch.Generator().manual_seed(0))
    wide, x = Wide(network, ChebyshevProducts(2, 5)), points(4, 2)
    assert (wide.width, wide.typical) == (13, 8)
    assert_close(wide(x), torch.cat([network(x), ChebyshevProducts(2, 5)(x)], 1), rtol=0, atol=0)


@pytest.mark.parametrize("order", [1, 2, 5])
def test_in_time_features_of_space_are_multiplied_by_polynomials(order: int) -> None:
    """f(x, y) T_k(t) for each feature f and all k < order: together, f times any polynomial in time."""
    in_space = MLP(2, [3], "tanh", 1.5, torch.Generator().manual_seed(0))
    features, x = InTime(in_space, order), points(6, 3)
    assert features.width == 3 * order
    degrees = torch.arange(order, dtype=torch.float64)
    expected = in_space(x[:, :2])[:, :, None] * torch.cos(degrees * torch.acos(x[:, 2:]))[:, None, :]
    assert_close(features(x), expected.flatten(1), rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("index", [(2,), (0, 2), (2, 2), (0, 0), (0, 2, 2), (1, 1, 2)])
def test_jets_in_time_are_the_derivatives_in_units_of_the_coordinates(index: tuple[int, ...]) -> None:
    """With scaled coordinates x̂ = (2x, y/2, 3t)."""
    drawn = torch.Generator().manual_seed(0)
    features, x = InTime(MLP(2, [3], "tanh", 1.5, drawn), 5), (points(5, 3) / 3).requires_grad_()
    slopes, indices = torch.tensor([2.0, 0.5, 3.0], dtype=torch.float64), closure([index])
    jets = torch.zeros(len(indices), 5, 3, dtype=torch.float64)
    jets[0] = (x * slopes).detach()
    for row, i in enumerate(indices):
        if len(i) == 1:
            jets[row, :, i[0]] = slopes[i[0]]
    found = features.jets(jets, indices)[indices.index(index)]
    for k in range(features.width):
        u = features(x * slopes)[:, k]
        for i in index:
            u = torch.autograd.grad(u.sum(), x, create_graph=True, materialize_grads=True, allow_unused=True)[0][:, i]
            u = u if u.requires_grad else u + 0 * x.sum()
        assert_close(found[:, k].detach(), u.detach(), rtol=1e-10, atol=1e-10)
