"""Least squares of least norm, and the error of prediction by leaving out, against textbook solutions."""

import pytest
import torch
from helpers import randn
from torch import Tensor
from torch.testing import assert_close

from pinnkit.linear_algebra import MANY, leave_one_out, minimum_norm


@pytest.mark.parametrize(("rows", "columns"), [(30, 10), (10, 30), (MANY + 50, MANY + 1)])
def test_the_solution_is_that_of_the_pseudoinverse_in_scaled_columns(rows: int, columns: int) -> None:
    matrix, rhs = randn(rows, columns) * randn(columns, seed=1).exp(), randn(rows, seed=2)
    scale = matrix.norm(dim=0)
    expected = torch.linalg.pinv(matrix / scale) @ rhs / scale
    assert_close(minimum_norm(matrix, rhs), expected, rtol=1e-7, atol=1e-9)


def test_columns_that_are_zero_or_double_are_no_obstacle() -> None:
    matrix, rhs = randn(20, 6), randn(20, seed=1)
    matrix[:, 2], matrix[:, 4] = 0.0, 3 * matrix[:, 1]
    found = minimum_norm(matrix, rhs)
    best = torch.linalg.lstsq(matrix[:, [0, 1, 3, 5]], rhs[:, None]).solution
    assert abs(float(found[2])) < 1e-12
    assert_close(matrix @ found, (matrix[:, [0, 1, 3, 5]] @ best)[:, 0], rtol=1e-11, atol=1e-12)


def refitted(sure: Tensor, noisy: Tensor, sure_rhs: Tensor, noisy_rhs: Tensor, ridge: Tensor) -> float:
    """Mean squared error of prediction of each noisy row by a fit to all the others."""
    missed = []
    for i in range(len(noisy)):
        others = torch.arange(len(noisy)) != i
        rows = torch.cat([sure, noisy[others], torch.diag(ridge)])
        rhs = torch.cat([sure_rhs, noisy_rhs[others], torch.zeros(len(ridge), dtype=torch.float64)])
        weights = torch.linalg.lstsq(rows, rhs[:, None], driver="gelsd").solution[:, 0]
        missed.append(float(noisy_rhs[i] - noisy[i] @ weights) ** 2)
    return sum(missed) / len(missed)


@pytest.mark.parametrize("sure", [0, 1, 4, 30], ids=lambda n: f"{n} sure rows")
@pytest.mark.parametrize("noisy", [1, 5, 20], ids=lambda n: f"{n} noisy rows")
def test_leaving_out_is_what_fits_without_that_row_say(sure: int, noisy: int) -> None:
    columns = 8
    rows, measured = randn(sure, columns), 0.1 * randn(noisy, columns, seed=1)
    rhs, values = randn(sure, seed=2), randn(noisy, seed=3)
    ridges = torch.tensor([1e-2, 0.3, 5.0], dtype=torch.float64)[:, None] * randn(columns, seed=4).exp()
    scores = leave_one_out(rows, measured, rhs, values, ridges)
    expected = [refitted(rows, measured, rhs, values, ridge) for ridge in ridges]
    assert scores.tolist() == pytest.approx(expected, rel=1e-7)


def test_leaving_out_where_some_columns_have_no_ridge() -> None:
    """As for an offset, which nothing draws towards zero."""
    measured, values = torch.cat([randn(12, 6), torch.ones(12, 1, dtype=torch.float64)], 1), 7 + randn(12, seed=3)
    nothing = torch.zeros(0, 7, dtype=torch.float64), torch.zeros(0, dtype=torch.float64)
    ridge = torch.tensor([1.0] * 6 + [0.0], dtype=torch.float64)
    (score,) = leave_one_out(nothing[0], measured, nothing[1], values, ridge[None]).tolist()
    assert score == pytest.approx(refitted(nothing[0], measured, nothing[1], values, ridge), rel=1e-8)


def test_the_ridge_that_predicts_best_is_that_of_the_noise() -> None:
    """w ~ N(0, 1), noise σ: ridge σ is the best in expectation (Bayes); much more and much less predict worse."""
    sigma, scores = 0.5, []
    ridges = sigma * torch.tensor([0.1, 1.0, 10.0], dtype=torch.float64)[:, None].expand(-1, 60)
    for seed in range(0, 60, 3):
        matrix, weights = randn(40, 60, seed=seed), randn(60, seed=seed + 1)
        values = matrix @ weights + sigma * randn(40, seed=seed + 2)
        scores.append(leave_one_out(matrix[:0], matrix, values[:0], values, ridges))
    little, right, much = torch.stack(scores).mean(0).tolist()
    assert right < little and right < much
