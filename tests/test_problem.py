"""Problems: exact solutions make every residual vanish, fluxes point outwards, names are looked up and checked."""

import math

import numpy as np
import pytest
import torch
from helpers import PROBLEMS, coordinates, residuals_of
from torch import cos, exp, sin
from torch.testing import assert_close

from pinnkit import catalogue
from pinnkit.collocation import Amounts, collocate
from pinnkit.errors import BadInput
from pinnkit.geometry import Interval, Rectangle
from pinnkit.operators import div, grad
from pinnkit.problem import (
    Problem,
    Unknown,
    call_by_name,
    dirichlet,
    evaluate,
    initial,
    measured,
    neumann,
    pde,
    periodic,
    robin,
)  # fmt: skip
from pinnkit.residuals import Collocation

BUILT = {name: catalogue.load(name).build() for name in catalogue.names()}
WITH_EXACT = [name for name, p in BUILT.items() if isinstance(p, Problem) and p.exact is not None]


def environment(problem: Problem, points: Collocation, fields) -> dict:
    """The names at points, with the fields given as functions of the coordinates."""
    coords = tuple(torch.tensor(c, requires_grad=True) for c in points.points.T)
    values = {key: torch.tensor(value) for key, value in points.values.items()}
    if points.normals is not None:
        values["normal"] = torch.tensor(points.normals[:, : problem.space_dimension].T)
    unknowns = {name: torch.tensor(u.true, dtype=torch.float64) for name, u in problem.unknowns.items()}
    out = call_by_name(fields, problem.environment(coords, {}), "exact")
    out = out if isinstance(out, tuple) else (out,)
    return problem.environment(coords, dict(zip(problem.fields, out, strict=True)), **values, **unknowns)


def residuals_at_exact(problem: Problem, n: int = 60) -> dict[str, torch.Tensor]:
    drawn = collocate(problem, "uniform", Amounts(n, n, 0), seed=1)
    return {name: problem.residual(name, environment(problem, c, problem.exact)).detach() for name, c in drawn.items()}


def test_problems_with_an_exact_solution_are_among_ours() -> None:
    assert {"poisson_square", "inverse_heat"} <= set(WITH_EXACT)


@pytest.mark.parametrize("name", WITH_EXACT)
def test_the_exact_solution_satisfies_all_conditions(name: str) -> None:
    choices = {"noise": 0.0} if "noise" in catalogue.load(name).parameters else {}
    for rows in residuals_at_exact(catalogue.load(name).build(**choices)).values():
        assert rows.numel() > 0
        assert float(rows.abs().max()) < 1e-10


def heat_with_all_conditions(k=lambda x, y: 1 + x * y) -> Problem:
    """u = eˣ cos y with a flux on every side, written by hand: −k ∂u/∂n with the outward normal."""

    def exact(x, y):
        return exp(x) * cos(y)

    def heat(u, x, y):
        source = -(y * exp(x) * cos(y) - x * exp(x) * sin(y))  # −∇k·∇u; Δu = 0
        return -div(k(x, y) * grad(u, x, y), x, y) - source

    conditions = {
        "heat": pde(heat),
        "left": neumann("left", lambda x, y: k(x, y) * exp(x) * cos(y), k),
        "right": neumann("right", lambda x, y: -k(x, y) * exp(x) * cos(y), k),
        "top": robin("top", 2.0, lambda x, y: exp(x) * (cos(y) - k(x, y) * sin(y) / 2), k),
        "bottom": robin("bottom", 3.0, lambda x, y: exp(x) * (cos(y) + k(x, y) * sin(y) / 3), k),
        "value": dirichlet("boundary", exact),
    }
    return Problem(Rectangle((-0.5, 0.2), (1, 1.5)), conditions, exact=exact)


def test_fluxes_are_outward_on_every_side() -> None:
    for name, rows in residuals_at_exact(heat_with_all_conditions()).items():
        assert float(rows.abs().max()) < 1e-12, name


def test_a_hot_body_loses_heat_through_its_boundary() -> None:
    """u = 1 − x² on (0, 1), k = 3: the flux out of x = 1 is 6; h (u − ambient) = 6 with h = 2 for ambient −3."""
    body = Problem(Interval(), {
        "flux": neumann("right", 6.0, 3.0), "air": robin("right", 2.0, -3.0, 3.0), "symmetry": neumann("left"),
    }, exact=lambda x: 1 - x**2)  # fmt: skip
    for rows in residuals_at_exact(body).values():
        assert float(rows.abs().max()) < 1e-14


def test_the_size_and_sign_of_each_residual() -> None:
    """At u = x² y on the right side of the unit square: u = y, ∂u/∂n = 2y."""
    sides = {"dirichlet": dirichlet("right", 5.0), "neumann": neumann("right", 0.5, 3.0),
             "robin": robin("right", 2.0, 7.0, 3.0)}  # fmt: skip
    problem = Problem(Rectangle(), sides, exact=lambda x, y: x**2 * y)
    points = Collocation(np.array([[1.0, 0.25], [1.0, 0.5]]), np.array([[1.0, 0.0]] * 2))
    y = torch.tensor([0.25, 0.5], dtype=torch.float64)
    expected = {"dirichlet": y - 5, "neumann": -6 * y - 0.5, "robin": -6 * y - 2 * (y - 7)}
    for name, rows in expected.items():
        assert_close(problem.residual(name, environment(problem, points, problem.exact)), rows[None])


def test_initial_values_hold_at_the_start() -> None:
    problem = Problem(Interval() * (0.5, 2.0), {"start": initial(lambda x: sin(x))}, exact=lambda x, t: sin(x) * 2 * t)
    assert problem.transient and problem.space_dimension == 1
    assert float(residuals_at_exact(problem)["start"].abs().max()) < 1e-15


def test_periodic_fields_continue_in_value_and_slope() -> None:
    """A wave of the period passes, a ramp jumps by 1, a parabola kinks by 2 (∂u/∂n at x = 0 is −∂u/∂x)."""
    problem = Problem(Rectangle(), {"seam": periodic("left", "right")})
    here = Collocation(np.array([[0.0, 0.3], [0.0, 0.9]]), np.array([[-1.0, 0.0]] * 2))
    there = Collocation(np.array([[1.0, 0.3], [1.0, 0.9]]))
    for field, jump, kink in (
        (lambda x, y: sin(2 * math.pi * x) * y, 0, 0),
        (lambda x, y: x + 0 * y, -1, 0),
        (lambda x, y: x * (x - 1), 0, 2),
    ):
        names = environment(problem, here, field)
        names |= {f"{key}_partner": value for key, value in environment(problem, there, field).items()}
        u, slope = problem.residual("seam", names).detach()
        assert_close(u, torch.full_like(u, jump), rtol=0, atol=1e-14)
        assert_close(slope, torch.full_like(slope, kink), rtol=0, atol=1e-14)


@pytest.mark.parametrize("values", [[3.0], [3.0, 3.0], [1.0, 5.0]])
def test_the_deviation_of_data_is_that_which_was_given(values: list[float]) -> None:
    """Also of one value, which does not vary."""
    condition = measured(np.zeros((len(values), 2)), np.array(values), 0.1)
    assert condition.deviation == pytest.approx(0.1)


def test_measurements_are_divided_by_their_relative_deviation() -> None:
    condition = measured(np.array([[0.1, 0.2], [0.3, 0.4]]), np.array([1.0, 2.0]), np.array([0.5, 2.0]), field="T")
    values = {key: torch.tensor(value) for key, value in condition.values.items()}
    rows = condition.residual(**values, T=torch.tensor([3.0, 4.0], dtype=torch.float64))
    assert_close(rows, torch.tensor([2.0, 0.5], dtype=torch.float64))
    assert condition.points.shape == (2, 2)


@pytest.mark.parametrize(
    ("values", "sigma"),
    [([1.0], 1.0), ([1.0, 2.0, 3.0], 1.0), ([1.0, 2.0], 0.0), ([1.0, 2.0], -1.0), ([1.0, 2.0], [1.0, 0.0])],
)
def test_measurements_that_make_no_sense_are_refused(values, sigma) -> None:
    with pytest.raises(BadInput):
        measured(np.array([[0.1, 0.2], [0.3, 0.4]]), np.array(values), np.array(sigma))


@pytest.mark.parametrize("weight", [-1.0, math.nan, math.inf])
def test_weights_that_are_no_weights_are_refused(weight: float) -> None:
    with pytest.raises(BadInput, match="weight"):
        dirichlet("left", weight=weight)


def test_conditions_on_another_field_and_on_several_pieces() -> None:
    condition = dirichlet(["left", "right"], "heat", field="v")
    assert condition.on == ("left", "right")
    assert condition.residual(v=torch.tensor([3.0]), heat=torch.tensor([1.0]), u=torch.tensor([9.0])) == 2.0


def test_functions_get_what_they_name() -> None:
    names = {"x": 1, "y": 2, "u": 3}
    assert call_by_name(lambda y, u: (y, u), names, "mine") == (2, 3)
    assert call_by_name(lambda x, z=7: (x, z), names, "mine") == (1, 7)
    assert call_by_name(lambda x, y=7: (x, y), names, "mine") == (1, 2)
    assert call_by_name(lambda **all_names: all_names, names, "mine") == names
    with pytest.raises(BadInput, match=r"^mine: it asks for 'z', which does not exist here; names to use are x, y, u$"):
        call_by_name(lambda x, z: x, names, "mine")


def test_values_are_numbers_names_or_functions() -> None:
    assert evaluate(2.5, {}, "mine") == 2.5
    assert evaluate("k", {"k": 4}, "mine") == 4
    assert evaluate(lambda k: k + 1, {"k": 4}, "mine") == 5
    with pytest.raises(BadInput, match=r"^mine: there is no 'c'; names to use are k$"):
        evaluate("c", {"k": 4}, "mine")


@pytest.mark.parametrize("unknown", [Unknown(0.1, positive=True), Unknown(1e6, positive=True), Unknown(-3.0)])
def test_unknowns_start_from_their_initial_value(unknown: Unknown) -> None:
    raw = torch.tensor(unknown.raw(), dtype=torch.float64)
    assert float(unknown.value(raw)) == pytest.approx(unknown.initial, rel=1e-14)
    assert not unknown.positive or float(unknown.value(raw - 100)) > 0


@pytest.mark.parametrize("initial_value", [0.0, -1.0])
def test_positive_unknowns_start_from_positive_values(initial_value: float) -> None:
    with pytest.raises(BadInput):
        Unknown(initial_value, positive=True).raw()


def test_exact_values_have_one_column_for_each_field() -> None:
    points = torch.rand(5, 2, dtype=torch.float64)
    two = Problem(Rectangle(), {}, ("u", "v"), exact=lambda x, y: (x + y, x * y))
    assert_close(two.exact_values(points), torch.stack([points.sum(1), points.prod(1)], 1))
    assert Problem(Rectangle(), {}, exact=lambda x, y: x).exact_values(points).shape == (5, 1)


def test_space_leaves_time_out() -> None:
    problem, (x, y, t) = PROBLEMS["l_shape_in_time"](), coordinates(3)
    names = problem.environment((x, y, t), {"u": x}, k=1)
    assert len(names["space"]) == 2 and names["space"][0] is x and names["space"][1] is y
    assert names["t"] is t and names["k"] == 1


@pytest.mark.parametrize("name", PROBLEMS)
def test_residuals_are_rows_of_numbers_per_point(name: str) -> None:
    """(equations, n): two for two equations, two for a periodic seam, one else."""
    residuals = residuals_of(PROBLEMS[name]())
    expected = {"div_curl": 2, "seam": 2}
    sizes = [expected.get(b.name, 1) * b.n for b in residuals.blocks]
    assert residuals(residuals.theta).shape == (sum(sizes),)


@pytest.mark.parametrize(
    ("mistake", "words"),
    [
        (lambda u, x, y: u - z, "NameError"),  # type: ignore[name-defined]  # noqa: F821
        (lambda u, x, y: u - np.sin(x), "RuntimeError"),
        (lambda u, x, y: u - x.nosuch, "AttributeError"),
    ],
)
def test_a_mistake_in_a_residual_is_named_with_its_line(mistake, words) -> None:
    """It is the user's, and no bug of ours."""
    x, y = (torch.linspace(0.1, 0.9, 5, dtype=torch.float64, requires_grad=True) for _ in range(2))
    problem = Problem(Rectangle(), {"heat": pde(mistake), "wall": dirichlet("boundary")})
    with pytest.raises(BadInput, match=rf"^condition 'heat': test_problem\.py:\d+: {words}"):
        problem.residual("heat", problem.environment((x, y), {"u": x * y}))
