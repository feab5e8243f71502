"""Eigenvalue problems with known spectra."""

from dataclasses import replace
from math import pi

import numpy as np
import pytest
import torch
from helpers import trial_of

from pinnkit import Interval, Problem, Rectangle, derivative, dirichlet, laplacian, load, neumann, pde, solve
from pinnkit.errors import BadInput
from pinnkit.modes import aligned
from pinnkit.result import predict

SMALL = {"network": {"layers": [20], "polynomials": 120}}


def line(ends, modes: int = 3) -> Problem:
    """−u'' = λ u on (0, π)."""
    conditions = {"equation": pde(lambda u, x, eigenvalue: -laplacian(u, x) - eigenvalue * u), "ends": ends}
    return Problem(Interval(0, pi), conditions, modes=modes)


def eigenvalues(problem: Problem | str, **settings: object) -> list[float]:
    metrics = solve(problem, **{**SMALL, **settings}).metrics
    assert metrics["verdict"] == "trusted"
    return metrics["eigenvalues"]


def test_a_string() -> None:
    small = {"network": {"layers": [20], "polynomials": 30}}
    assert eigenvalues(line(dirichlet("boundary")), **small) == pytest.approx([1, 4, 9], rel=1e-9)


def test_a_string_with_free_ends_has_the_eigenvalue_zero() -> None:
    small = {"network": {"layers": [20], "polynomials": 30}}
    assert eigenvalues(line(neumann("boundary")), **small) == pytest.approx([0, 1, 4], rel=1e-9, abs=1e-9)


def test_a_square_with_a_double_eigenvalue() -> None:
    found = eigenvalues(square(4), network={"layers": [20], "polynomials": 260})
    assert found == pytest.approx(np.array([2, 5, 5, 8]) * pi**2, rel=1e-8)


def test_a_weight_beside_the_eigenvalue() -> None:
    """−u'' = λ u/x² on (1, e): λ = ¼ + n²π²."""
    conditions = {
        "equation": pde(lambda u, x, eigenvalue: -derivative(u, x, x) - eigenvalue * u / x**2),
        "ends": dirichlet("boundary"),
    }
    problem = Problem(Interval(1, np.e), conditions, modes=2)
    found = eigenvalues(problem, network={"layers": [20], "polynomials": 30})
    assert found == pytest.approx([0.25 + pi**2, 0.25 + 4 * pi**2], rel=1e-9)


def test_the_l_shape(tmp_path) -> None:
    result = solve("membrane_lshape", network={"polynomials": 200})
    known = [9.63972384402194, 15.19725192645431, 2 * pi**2]
    assert result.metrics["eigenvalues"] == pytest.approx(known, rel=1e-7)
    errors = np.abs(np.array(result.metrics["eigenvalues"]) / known - 1)
    assert (errors <= result.metrics["eigenvalue_errors"]).all()
    points = result.problem.domain.sample(20000, "uniform", np.random.default_rng(0))
    values = result.predict(points)
    assert 3 * values.T @ values / len(points) == pytest.approx(np.eye(3), abs=0.03)
    rim = result.problem.domain.sample_boundary(1000, rng=np.random.default_rng(0)).points
    assert np.abs(result.predict(rim)).max() < 1e-4
    assert np.abs(result.residuals(points)["membrane"]).max() < 0.05  # of 20 times values of up to 1.2


def test_modes_that_leave_a_residual_are_not_trusted() -> None:
    result = solve("membrane_lshape", network={"layers": [10], "polynomials": 8, "corners": False}, tolerance=1.0)
    rough = solve("membrane_lshape", network={"layers": [10], "polynomials": 8, "corners": False}, tolerance=1e-3)
    assert result.metrics["eigenvalues"] == rough.metrics["eigenvalues"]
    assert rough.metrics["verdict"].startswith("untrusted: the modes leave a residual of")


def square(modes: int) -> Problem:
    conditions = {
        "membrane": pde(lambda u, x, y, eigenvalue: -laplacian(u, x, y) - eigenvalue * u),
        "rim": dirichlet("boundary"),
    }
    return Problem(Rectangle(), conditions, modes=modes)


def test_members_of_a_committee_agree_on_modes_of_equal_eigenvalues(tmp_path, no_figures) -> None:
    """2π², 5π² twice, 8π²: sin πx sin πy, any orthogonal pair of sin 2πx sin πy and sin πx sin 2πy, sin 2πx sin 2πy."""
    few = {"network": {"layers": [20], "polynomials": 200}}
    result = solve(square(4), task={"name": "committee", "members": 3}, folder=tmp_path / "run", **few)
    metrics, committee = result.metrics, load(tmp_path / "run")
    assert metrics["eigenvalues"] == pytest.approx(np.array([2, 5, 5, 8]) * pi**2, rel=1e-6)
    assert metrics["verdict"] == "trusted"
    found = metrics["unknowns"]["eigenvalue_4"]
    each = [row["eigenvalue_4"] for row in metrics["members"]]
    assert found["value"] == pytest.approx(np.mean(each), rel=1e-14)
    assert found["relative_deviation"] == pytest.approx(np.std(each, ddof=1) / np.mean(each), rel=1e-6, abs=1e-15)
    points = np.random.default_rng(0).uniform(0, 1, (400, 2))
    values = committee.values(points)
    assert values.shape == (3, 400, 4) and values[0].std(0).min() > 0.5
    assert committee.spread(points).max() < 1e-4
    np.testing.assert_array_equal(result.predict(points), committee.predict(points))
    x, y = pi * points.T
    pair = np.stack([np.sin(2 * x) * np.sin(y), np.sin(x) * np.sin(2 * y)], 1)
    for own in values:  # a turned pair is a pair still
        left = np.linalg.lstsq(pair, own[:, 1:3])[0]
        np.testing.assert_allclose(pair @ left, own[:, 1:3], atol=1e-4)
        np.testing.assert_allclose(left.T @ left, 4 * np.eye(2), atol=1e-3)


@pytest.mark.parametrize(("amplitudes", "eigenvalues"), [([1.0, 1.0, 1.0], [1, 2, 2]), ([0.5, 2.0, 3.0], [5, 5, 5])])
def test_turned_modes_come_back(amplitudes: list[float], eigenvalues: list[float]) -> None:
    """By a rotation inside a group and signs of all."""
    problem = replace(square(3), fields=("a", "b", "c"), modes=0)
    trial = trial_of(problem)
    rng = np.random.default_rng(3)
    with torch.no_grad():
        trial.amplitude.copy_(torch.tensor(amplitudes))
        trial.weight.copy_(torch.from_numpy(rng.normal(size=trial.weight.shape)))
        trial.bias.copy_(torch.from_numpy(rng.normal(size=3)))
    points = rng.uniform(0, 1, (50, 2))
    values = predict(trial, points)
    turn = np.diag([-1.0, 1.0, 1.0])
    turn[1:, 1:] = [[0.6, 0.8], [0.8, -0.6]]
    aligned(trial, eigenvalues, values, values @ turn)
    np.testing.assert_allclose(predict(trial, points), values @ turn, atol=1e-12)


def test_modes_of_other_eigenvalues_are_not_mixed() -> None:
    trial = trial_of(replace(square(2), fields=("a", "b"), modes=0))
    with torch.no_grad():
        trial.weight.copy_(torch.from_numpy(np.random.default_rng(3).normal(size=trial.weight.shape)))
    points = np.random.default_rng(4).uniform(0, 1, (50, 2))
    values = predict(trial, points)
    aligned(trial, [1.0, 1.001], values, values[:, ::-1] + 0.1 * values)
    np.testing.assert_allclose(np.abs(predict(trial, points)), np.abs(values), atol=1e-12)


def test_modes_are_kept_in_the_run_folder(tmp_path, no_figures) -> None:
    result = solve(line(dirichlet("boundary")), folder=tmp_path / "run", network={"layers": [20], "polynomials": 30})
    again = load(tmp_path / "run")
    assert again.fields == ("u_1", "u_2", "u_3")
    assert again.predict([[0.3]]) == pytest.approx(result.predict([[0.3]]), abs=0)
    assert again.metrics["eigenvalues"] == result.metrics["eigenvalues"]


def test_a_problem_with_sources_is_refused() -> None:
    conditions = {
        "equation": pde(lambda u, x, eigenvalue: -laplacian(u, x) - eigenvalue * u - 1),
        "ends": dirichlet("boundary"),
    }
    with pytest.raises(BadInput, match="modes: the problem is not homogeneous"):
        solve(Problem(Interval(0, 1), conditions, modes=1), **SMALL)


def test_an_eigenvalue_that_does_not_occur_linearly_is_refused() -> None:
    conditions = {
        "equation": pde(lambda u, x, eigenvalue: -laplacian(u, x) - eigenvalue**2 * u),
        "ends": dirichlet("boundary"),
    }
    with pytest.raises(BadInput, match="does not occur linearly"):
        solve(Problem(Interval(0, 1), conditions, modes=1), **SMALL)
