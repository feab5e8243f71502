"""Piecewise Chebyshev series: as good as round-off where functions are piecewise smooth, refused elsewhere."""

import json

import numpy as np
import pytest
import torch

from pinnkit.chebyshev import Series, Unresolved, fit
from pinnkit.operators import derivative

FUNCTIONS = {
    "constant": lambda a, b: 0 * a + 3.0,
    "zero": lambda a, b: 0 * a,
    "entire": lambda a, b: np.sin(3 * a) * np.exp(b),
    "pole nearby": lambda a, b: 1 / (1 + 400 * (a - 0.3) ** 2) + b,
    "kinks on a break": lambda a, b: np.abs(a - 0.5) * b,
}


def places(n: int = 500) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    return np.append(rng.random(n), [0, 1, 0, 1, 0.5]), np.append(2 + 3 * rng.random(n), [2, 2, 5, 5, 2])


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_series_is_its_function_to_round_off(name):
    a, b = places()
    truth = FUNCTIONS[name](a, b)
    found = fit(FUNCTIONS[name], (0, 1), (2, 5))(torch.tensor(a), torch.tensor(b)).numpy()
    assert np.abs(found - truth).max() <= 1e-14 * max(1, np.abs(truth).max())


def test_constants_are_one_number():
    assert fit(FUNCTIONS["constant"], (0, 1), (2, 5)).coefficients.shape == (1, 1, 1, 1)


def test_only_the_axis_that_needs_it_is_bisected():
    series = fit(FUNCTIONS["pole nearby"], (0, 1), (2, 5))
    assert len(series.breaks[0]) > 2 and series.breaks[1] == (2, 5)


def test_a_series_is_differentiable():
    a, b = (torch.tensor(x, requires_grad=True) for x in places())
    u = fit(FUNCTIONS["entire"], (0, 1), (2, 5))(a, b)
    truth = 3 * torch.cos(3 * a) * torch.exp(b)
    assert (derivative(u, a, b) - truth).abs().max() < 1e-9 * truth.abs().max()


def test_size_bounds_the_values():
    a, b = places()
    for function in FUNCTIONS.values():
        assert np.abs(function(a, b)).max() <= fit(function, (0, 1), (2, 5)).size * (1 + 1e-12) + 1e-15


def test_plain_numbers_give_the_same_series():
    series = fit(FUNCTIONS["pole nearby"], (0, 1), (2, 5))
    again = Series.from_plain(json.loads(json.dumps(series.to_plain())))
    a, b = map(torch.tensor, places())
    assert torch.equal(series(a, b), again(a, b))


def test_differences_of_large_numbers_are_round_off():
    def noise(a, b):
        return (1e6 + a) - 1e6 - a

    with pytest.raises(Unresolved):
        fit(noise, (0, 1), (0, 1))
    assert fit(noise, (0, 1), (0, 1), size=1e6).size < 1e-7


@pytest.mark.parametrize(
    ("function", "reason"), [(lambda a, b: np.sqrt(a), "smooth"), (lambda a, b: a + np.nan, "finite")]
)
def test_what_is_no_piecewise_polynomial_is_refused(function, reason):
    with pytest.raises(Unresolved, match=reason):
        fit(function, (0, 1), (0, 1))
