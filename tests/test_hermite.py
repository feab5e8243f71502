"""Products of Hermite functions: values, jets, scales, and how well they follow a peak."""

from math import factorial, pi, sqrt

import numpy as np
import pytest
import torch
from helpers import generator, randn
from numpy.polynomial.hermite import hermval
from torch.testing import assert_close

from pinnkit.hermite import HermiteProducts, scales
from pinnkit.networks import Joined, Wide, closure
from pinnkit.operators import derivative


@pytest.mark.parametrize("dimension", [1, 2, 3])
def test_values_are_products_of_hermite_functions(dimension: int) -> None:
    centre, widths = np.linspace(-0.4, 0.3, dimension), np.linspace(0.2, 0.5, dimension)
    features, x = HermiteProducts(centre.tolist(), widths.tolist(), most=60), randn(6, dimension)
    t = (x.numpy() - centre) / widths
    assert 0 < features.width <= 60
    for column, degrees in zip(features(x).numpy().T, features.degrees.tolist(), strict=True):
        norms = [sqrt(2**k * factorial(k) * sqrt(pi)) for k in degrees]
        parts = [hermval(t[:, i], np.eye(k + 1)[k]) / norms[i] for i, k in enumerate(degrees)]
        assert column == pytest.approx(np.prod(parts, axis=0) * np.exp(-(t**2).sum(1) / 2), rel=1e-11, abs=1e-13)


@pytest.mark.parametrize("index", [(0,), (1,), (0, 0), (0, 1), (1, 1), (0, 0, 1), (1, 1, 1)])
def test_jets_are_the_derivatives(index: tuple[int, ...]) -> None:
    """With scaled coordinates x̂ = (2x, y/2)."""
    features, slopes, indices = HermiteProducts([0.1, -0.2], [0.5, 0.7], 36), torch.tensor([2.0, 0.5]), closure([index])
    x, y = (c.clone().requires_grad_() for c in randn(2, 5))
    jets = torch.zeros(len(indices), 5, 2, dtype=torch.float64)
    jets[0] = torch.stack([2 * x, y / 2], 1).detach()
    for row, i in enumerate(indices):
        if len(i) == 1:
            jets[row, :, i[0]] = slopes[i[0]]
    mix = randn(features.width)
    expected = derivative(features(torch.stack([2 * x, y / 2], 1)) @ mix, *((x, y)[i] for i in index))
    assert_close(features.jets(jets, indices)[indices.index(index)] @ mix, expected, rtol=1e-10, atol=1e-9)


def test_they_are_orthonormal() -> None:
    nodes = torch.linspace(-12, 12, 2001, dtype=torch.float64)[:, None]
    values = HermiteProducts([0.0], [1.0], 20)(nodes)
    assert_close(values.T @ values * 24 / 2000, torch.eye(20, dtype=torch.float64), rtol=0, atol=1e-12)


def test_scales_lead_from_half_the_width_to_the_domain() -> None:
    assert list(scales([0.1, 0.05])) == [[0.1 * s, 0.05 * s] for s in (0.5, 1, 2, 4)]
    assert list(scales([3.0])) == [[1.5]]


@pytest.mark.parametrize("width", [0.07, 0.1, 0.14])
def test_a_peak_of_about_the_width_is_followed_to_many_digits(width: float) -> None:
    x = 1.2 * torch.rand(8000, 2, generator=generator(), dtype=torch.float64) - 0.5
    peak = torch.exp(-((x - 0.1) / 0.1).square().sum(1) / 2)
    features = Joined([HermiteProducts([0.1, 0.1], both) for both in scales([width, width])])
    matrix = features(x)
    fitted = matrix[::2] @ torch.linalg.lstsq(matrix[1::2], peak[1::2, None], driver="gelsd").solution[:, 0]
    assert (fitted - peak[::2]).norm() < 1e-7 * peak[::2].norm()


def test_feature_maps_stand_side_by_side() -> None:
    parts, x = [HermiteProducts([0.0, 0.0], [w, w], 10) for w in (0.2, 0.4, 0.8)], randn(5, 2)
    wide = Wide(parts[0], Joined(parts[1:]))
    assert (wide.width, wide.typical, wide.trained) == (30, 10, parts[0])
    assert_close(wide(x), torch.cat([part(x) for part in parts], 1), rtol=0, atol=0)
