"""Dirichlet data that hold exactly: lift and distance, singular functions that vanish, and whole solves."""

import json
from math import pi
from typing import Any

import numpy as np
import pytest
import torch
from helpers import PROBLEMS, heat, poisson, trial_of, two_fields
from torch import Tensor, cos, exp, sin

from pinnkit import Result, load, solve
from pinnkit.boundary import exact_boundary
from pinnkit.coefficients import boundary_coefficients
from pinnkit.collocation import Amounts, collocate
from pinnkit.corners import corner_functions
from pinnkit.errors import BadInput
from pinnkit.geometry import Box, Interval, LShape, Polygon, Rectangle
from pinnkit.lift import Lift
from pinnkit.operators import derivative, laplacian
from pinnkit.problem import Condition, Problem, Unknown, dirichlet, initial, neumann, pde, robin
from pinnkit.residuals import Residuals
from pinnkit.taylor import partials
from pinnkit.vanishing import VanishingFunctions, vanishing

PLATE = Rectangle((0, 0), (3, 2)) - Polygon([(0.5, 0.7), (1.1, 0.7), (1.1, 1.3), (0.5, 1.3)])


def steady(domain: Any, **conditions: Condition) -> Problem:
    return Problem(domain, {"heat": heat(lambda u, x, y: 1.0), **conditions})


def transient(domain: Any, **conditions: Condition) -> Problem:
    def residual(u, t, space):
        return derivative(u, t) - laplacian(u, *space)

    return Problem(domain * (0.5, 2.0), {"heat": pde(residual), **conditions})


CASES: dict[str, Problem] = {
    "poisson": poisson(),
    "mixed rectangle": PROBLEMS["variable"](),
    "incompatible start": PROBLEMS["l_shape_in_time"](),
    "rod": PROBLEMS["transient"](),
    "cold start": transient(Interval(1, 3), ends=dirichlet("boundary", lambda t: t**2), start=initial(3.0)),
    "no start": transient(Interval(1, 3), ends=dirichlet("left", lambda t: exp(-t)), rest=neumann("right")),
    "start alone": transient(LShape(), ends=neumann("boundary"), start=initial(lambda x, y: sin(x) * y)),
    "smooth on a hexagon": steady(
        Polygon([(0, 0), (2, 0), (3, 1), (2, 2), (0.5, 2), (-0.5, 1)]),
        wall=dirichlet("boundary", lambda x, y: exp(x) * sin(y)),
    ),
    "kink in the data": steady(Rectangle(), wall=dirichlet("boundary", lambda x: (x - 0.5).abs())),
    "jumps on a rectangle": steady(
        Rectangle((0, 0), (2, 1)),
        a=dirichlet(("bottom", "right"), lambda x, y: sin(3 * x) + y),
        b=dirichlet(("left", "top"), lambda x: exp(x)),
    ),
    "jumps at a notch": steady(
        LShape(),
        a=dirichlet(("bottom", "notch_vertical"), lambda x, y: sin(3 * x) + y),
        b=dirichlet(("notch_horizontal", "left", "right", "top"), 2.0),
    ),
    "jumps on a hole": steady(
        PLATE,
        base=dirichlet("bottom", lambda x: cos(x)),
        one=dirichlet(("hole_0_edge_0", "hole_0_edge_1"), 1.0),
        two=dirichlet(("hole_0_edge_2", "hole_0_edge_3"), lambda y: y),
        air=robin(("right", "top", "left"), 2.0, 20.0),
    ),
    "jumps in time": transient(
        Rectangle((0, 0), (2, 1)),
        start=initial(lambda x, y: x * y),
        a=dirichlet(("bottom", "right"), lambda x, y, t: sin(3 * x) + y * t),
        b=dirichlet(("left", "top"), lambda x, t: exp(x * t)),
    ),
    "scaled condition": steady(
        LShape(1e-3), a=Condition(lambda u, x: 5 - 2 * u, "left"), rest=neumann(("top", "right"))
    ),
}
PLANAR = [name for name, problem in CASES.items() if problem.space_dimension == 2]
SECOND = [(), (0,), (1,), (0, 0), (0, 1), (1, 1)]


def columns(points: np.ndarray) -> tuple[Tensor, ...]:
    return torch.as_tensor(points).unbind(-1)


def on_the_data(problem: Problem, n: int = 60) -> list[tuple[np.ndarray, np.ndarray]]:
    """Points and values on every piece with Dirichlet data."""
    found = []
    for name, condition in problem.conditions.items():
        for piece in problem.domain.resolve(condition.on) if condition.on != "interior" else ():
            sample = problem.domain.sample_boundary(n, piece)
            read = boundary_coefficients(problem, name, sample.points, sample.normals)
            if not read.beta.any():
                found.append((sample.points, read.g / read.alpha))
    return found


@pytest.mark.parametrize("name", CASES)
def test_the_lift_has_the_data_and_the_distance_vanishes(name) -> None:
    problem = CASES[name]
    lift = exact_boundary(problem)
    given = on_the_data(problem)
    assert given
    for points, values in given:
        assert np.abs(lift.lift(columns(points)).numpy() - values).max() < 1e-13 * max(1, np.abs(values).max())
        assert lift.distance(columns(points)).abs().max() < 1e-15


@pytest.mark.parametrize("name", CASES)
def test_inside_the_lift_is_bounded_by_the_data_and_the_distance_is_positive(name) -> None:
    problem = CASES[name]
    lift, x = exact_boundary(problem), columns(problem.domain.sample(1000))
    distance = lift.distance(x)
    assert distance.min() > 0 and 0.3 < distance.max() < 2
    largest = max(np.abs(values).max() for _, values in on_the_data(problem))
    assert lift.lift(x).abs().max() < 4 * largest + 1e-300


@pytest.mark.parametrize("name", CASES)
def test_jets_are_derivatives_and_plain_numbers_give_the_same_bits(name) -> None:
    problem = CASES[name]
    lift = exact_boundary(problem)
    again = Lift.from_plain(json.loads(json.dumps(lift.to_plain())))
    indices = SECOND[:6] if problem.domain.dimension == 3 or not problem.transient else SECOND
    x = [c.clone().requires_grad_() for c in columns(problem.domain.sample(20))]
    jets = lift.jets([c.detach() for c in x], indices)
    assert torch.equal(jets, again.jets([c.detach() for c in x], indices))
    for k, values in enumerate((lift.distance(x), lift.lift(x))):
        for row, index in zip(jets[..., k], indices, strict=True):
            assert torch.allclose(row, derivative(values, *(x[i] for i in index)), rtol=1e-12, atol=1e-12)


def test_smooth_data_on_a_rectangle_have_no_kink() -> None:
    """Blended data of a bilinear function are this function."""
    problem = steady(Rectangle((0, 0), (2, 1)), wall=dirichlet("boundary", lambda x, y: 1 + x - 2 * y + x * y))
    x, y = columns(problem.domain.sample(200))
    assert (exact_boundary(problem).lift((x, y)) - (1 + x - 2 * y + x * y)).abs().max() < 1e-14


def test_a_jump_is_taken_up_by_a_harmonic_function() -> None:
    """u = 1 on one side of a corner and 0 on the other: Δ lift stays bounded, where the lift is 1 − φ/ω."""
    problem = steady(LShape(), a=dirichlet("notch_vertical", 0.0), b=dirichlet("notch_horizontal", 1.0))
    lift = exact_boundary(problem)
    (corner,) = (c for c in problem.domain.corners if not np.any(c.vertex))
    x = columns(problem.domain.sample_corner(corner, 100, 0.5, np.random.default_rng(0)))
    jets = lift.jets(x, SECOND)
    assert (jets[3, :, 1] + jets[5, :, 1]).abs().max() < 1e-6 * jets[3, :, 1].abs().max()
    phi = torch.atan2(x[1], x[0]) % (2 * pi)
    assert (jets[0, :, 1] - (1 - phi / (1.5 * pi))).abs().max() < 1e-13


def singular(name: str) -> tuple[Problem, VanishingFunctions]:
    problem = CASES[name]
    functions = vanishing(corner_functions(problem), problem, exact_boundary(problem))
    if functions is None:
        pytest.skip("no singular functions")
    return problem, functions


@pytest.mark.parametrize("name", PLANAR)
def test_singular_functions_vanish_on_the_data(name) -> None:
    problem, functions = singular(name)
    sizes = functions.jets(columns(problem.domain.sample(200)), [()])[0].abs().amax(0)
    for points, _ in on_the_data(problem, 20):
        found = functions.jets(columns(points), [()])[0].abs().amax(0)
        assert (found < 1e-12 * (1 + sizes)).all()


@pytest.mark.parametrize("name", PLANAR)
def test_singular_functions_know_their_derivatives(name) -> None:
    problem, functions = singular(name)
    indices = [*SECOND, (0, 2), (2,)] if problem.transient else SECOND
    x = [c.clone().requires_grad_() for c in columns(problem.domain.sample(10))]
    jets = functions.jets([c.detach() for c in x], indices)
    values = functions.jets(x, [()])[0]
    probe = torch.linspace(-1, 1, functions.count, dtype=torch.float64)
    sizes = 1 + jets.abs().amax((1, 2))
    for row, index, size in zip(jets @ probe, indices, sizes, strict=True):
        truth = derivative(values @ probe, *(x[i] for i in index))
        assert (row - truth).abs().max() < 1e-10 * size * functions.count


def test_where_all_is_smooth_singular_functions_stay_singular() -> None:
    """The strongest one at the re-entrant corner of two insulated edges keeps r^(2/3), and Δ of it is bounded there."""
    problem = steady(LShape(), cold=dirichlet(("bottom", "right")), rest=neumann(("left", "top")),
                     notch=neumann(("notch_vertical", "notch_horizontal")))  # fmt: skip
    functions = vanishing(corner_functions(problem), problem, exact_boundary(problem))
    assert functions is not None
    (corner,) = (c for c in problem.domain.corners if not np.any(c.vertex))
    jets = functions.jets(columns(problem.domain.sample_corner(corner, 200, 1e-3, np.random.default_rng(0))), SECOND)
    column = int(jets[3].abs().amax(0).argmax())
    assert jets[3, :, column].abs().max() > 1e3
    assert (jets[3] + jets[5])[:, column].abs().max() < 10


def test_plain_numbers_give_the_same_singular_functions() -> None:
    problem, functions = singular("jumps on a hole")
    again = VanishingFunctions.from_plain(json.loads(json.dumps(functions.to_plain())), functions.lift)
    x = columns(problem.domain.sample(20))
    assert torch.equal(functions.jets(x, SECOND), again.jets(x, SECOND))


def test_polynomials_are_added_only_where_there_are_kinks() -> None:
    problem = CASES["poisson"]
    assert vanishing(None, problem, exact_boundary(problem)) is None
    kinked = CASES["smooth on a hexagon"]
    found = vanishing(None, kinked, exact_boundary(kinked))
    assert found is not None and found.count == 15 * 16 // 2 - 1


def with_unknown() -> Problem:
    conditions = {"heat": heat(lambda u, x, y: 1.0), "wall": dirichlet("boundary", "k")}
    return Problem(Rectangle(), conditions, unknowns={"k": Unknown(2.0)})


def in_three_dimensions() -> Problem:
    conditions = {"heat": pde(lambda u, space: laplacian(u, *space)), "wall": dirichlet("boundary")}
    return Problem(Box((0, 0, 0), (1, 1, 1)), conditions)


@pytest.mark.parametrize(
    ("problem", "reason"),
    [
        (two_fields(), "scalar"),
        (in_three_dimensions(), "intervals and polygons"),
        (PROBLEMS["periodic_strip"](), "ties two pieces"),
        (with_unknown(), "unknown"),
        (steady(Rectangle(), all=neumann("boundary")), "no Dirichlet"),
        (steady(Rectangle(), a=dirichlet("left"), b=dirichlet("left", 1.0)), "both 'a' and 'b'"),
        (steady(Rectangle(), a=dirichlet("left", lambda y: y.sqrt())), "not smooth enough"),
        (steady(Rectangle(), a=dirichlet("left", lambda y: 1 / (y - 2).clamp_min(0))), "not finite"),
    ],
)
def test_what_cannot_be_held_is_refused(problem: Problem, reason: str) -> None:
    with pytest.raises(BadInput, match=reason) as refused:
        exact_boundary(problem)
    assert refused.value.key == "network.boundary"


def test_conditions_that_are_no_dirichlet_data_stay_soft() -> None:
    """A nonlinear one, and one with derivatives."""
    problem = steady(
        Rectangle(),
        cold=dirichlet("left"),
        glowing=Condition(lambda u, normal, x, y: u**4 + derivative(u, x), "right"),
        air=robin(("top", "bottom"), 1.0),
    )
    assert exact_boundary(problem).conditions == ("cold",)


def test_conditions_that_hold_have_no_rows_but_are_reported() -> None:
    problem = PROBLEMS["variable"]()
    trial = trial_of(problem)
    trial.exact = exact_boundary(problem)
    residuals = Residuals(problem, trial, collocate(problem, "sobol", Amounts(12, 12, 2), seed=0))
    theta = torch.randn(len(residuals.theta), generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    terms = residuals.terms(theta)
    assert [block.name for block in residuals.blocks] == ["heat", "flux", "convection"]
    assert terms.keys() == problem.conditions.keys() == residuals.weights.keys()
    assert terms["fixed"] < 1e-30 < terms["flux"]
    assert len(residuals(theta)) == sum(block.rows for block in residuals.blocks)


SMALL: dict[str, Any] = {
    "network": {"layers": [60], "boundary": "hard", "corners": False},
    "sampling": {"interior": 400, "boundary": 100, "corner": 4},
    "optimizer": "least_squares",
    "training": {"max_steps": 1},
    "reference": {"kind": "none"},
    "evaluation": {"points": 200},
}


def plate() -> Problem:
    conditions = {
        "heat": heat(lambda u, x, y: 1.0),
        "hot": dirichlet("hole_0", 80.0),
        "cold": dirichlet("bottom", lambda x: 20 + x * (3 - x)),
        "air": robin(("left", "right", "top"), 2.0, 20.0),
    }
    return Problem(PLATE, conditions)


@pytest.mark.parametrize("name", ["poisson_square", "plate"])
def test_a_hard_solve_holds_the_data_and_its_file_gives_the_same_bits(name, tmp_path, no_figures) -> None:
    result: Result = solve(plate() if name == "plate" else name, folder=tmp_path, **SMALL)
    for points, values in on_the_data(result.problem, 200):
        assert np.abs(result.predict(points)[:, 0] - values).max() <= 1e-12 * max(1, np.abs(values).max())
    points = result.problem.domain.sample(500)
    assert np.array_equal(load(tmp_path).predict(points), result.predict(points))
    held = {"wall"} if name == "poisson_square" else {"hot", "cold"}
    assert all(result.history[-1][f"loss/{condition}"] < 1e-24 for condition in held)


def test_hard_data_that_jump_are_solved_well() -> None:
    """u = 1 on top and 0 on the other sides; without the exact lift the error is 1e-2."""

    def exact(x, y):
        m = torch.arange(1, 400, 2, dtype=torch.float64)[:, None] * pi
        return (4 / m * sin(m * x) * torch.exp(m * (y - 1)) * (1 - exp(-2 * m * y)) / (1 - exp(-2 * m))).sum(0)

    conditions = {"heat": pde(lambda u, x, y: -laplacian(u, x, y)), "cold": dirichlet(("bottom", "left", "right")),
                  "hot": dirichlet("top", 1.0)}  # fmt: skip
    result = solve(Problem(Rectangle(), conditions), **SMALL)
    points = result.problem.domain.sample(500)
    points = points[points[:, 1] < 0.9]
    truth = exact(*columns(points)).numpy()
    assert np.linalg.norm(result.predict(points)[:, 0] - truth) < 1e-4 * np.linalg.norm(truth)


def test_partials_of_a_polynomial() -> None:
    x = columns(np.random.default_rng(0).random((5, 2)))
    jets = partials(lambda c: torch.stack([c[0] ** 2 * c[1], c[1]], -1), x, SECOND)
    a, b = x
    zero, one = torch.zeros_like(a), torch.ones_like(a)
    truth = [[a * a * b, 2 * a * b, a * a, 2 * b, 2 * a, zero], [b, zero, one, zero, zero, zero]]
    assert torch.allclose(jets, torch.stack([torch.stack(rows) for rows in truth], -1), rtol=1e-14, atol=1e-15)
