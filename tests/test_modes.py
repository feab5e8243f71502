"""Eigenvalue problems with known spectra."""

from math import pi

import numpy as np
import pytest

from pinnkit import Interval, Problem, Rectangle, derivative, dirichlet, laplacian, load, neumann, pde, solve
from pinnkit.errors import BadInput

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
    conditions = {
        "membrane": pde(lambda u, x, y, eigenvalue: -laplacian(u, x, y) - eigenvalue * u),
        "rim": dirichlet("boundary"),
    }
    small = {"network": {"layers": [20], "polynomials": 260}}
    found = eigenvalues(Problem(Rectangle(), conditions, modes=4), **small)
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
