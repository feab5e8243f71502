"""The bound of the error by the maximum principle lies above errors that are known, and not far above."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from helpers import PROBLEMS, Array, laplace, trial_of
from torch import Tensor, cos, exp, nn, sin

from pinnkit import Problem, catalogue, dirichlet, laplacian, measured, neumann, pde, robin, solve
from pinnkit.assembly import trial_for
from pinnkit.bounds import ATTEMPTS, Barrier, _points, _tried, barrier
from pinnkit.committee_words import findings
from pinnkit.geometry import Box, Domain, Interval, LShape, Rectangle
from pinnkit.operators import derivative, diffusion, normal_derivative
from pinnkit.problem import Condition
from pinnkit.settings import LeastSquares, Network, ProblemChoice, Settings
from pinnkit.trial import Trial

Function = Callable[..., Tensor]
SETTINGS = Settings(ProblemChoice("problem"))
TOO_LOOSE = 100.0  # for smooth errors, in comparison with the largest
OSCILLATING = 3000.0  # for those of least squares, whose residuals change sign often


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fewer points, on which smooth residuals have nearly the same extremes."""
    for name, value in {"MOST_POINTS": 1500, "LEAST_POINTS": 500, "NEAR_CORNERS": 50}.items():
        monkeypatch.setattr(f"pinnkit.bounds.{name}", value)


class Known(nn.Module):
    """One feature: the function of the domain's coordinates."""

    def __init__(self, domain: Domain, function: Function) -> None:
        super().__init__()
        lower, upper = torch.from_numpy(domain.bounds.copy())
        self.centre, self.half, self.function = (lower + upper) / 2, (upper - lower) / 2, function

    def forward(self, x: Tensor) -> Tensor:
        return self.function(*(self.centre + self.half * x).unbind(-1))[:, None]


def trial(problem: Problem, error: Function) -> Trial:
    """û = u − error."""
    assert problem.exact is not None
    made = trial_of(problem, Known(problem.domain, lambda *x: problem.exact(*x) - error(*x)))
    with torch.no_grad():
        made.weight.fill_(1.0)
    return made


def bound(problem: Problem, *errors: Function) -> Barrier | None:
    return barrier(problem, SETTINGS, [trial(problem, error) for error in errors])


def at(function: Function, points: Array) -> Array:
    return function(*torch.from_numpy(points.T)).numpy()


# --- problems with known solutions ------------------------------------------------------------------------------------


def smooth(x: Tensor, y: Tensor) -> Tensor:
    return exp(x / 2) * cos(y)


def conductivity(x: Tensor, y: Tensor) -> Tensor:
    return 2 + x * y


def of(domain: Domain, equation: Function, **conditions: Condition) -> Problem:
    """Only the coefficients of the equation are given: the source is that of u."""

    def residual(u, x, y):
        return equation(u, x, y) - equation(smooth(x, y), x, y)

    return Problem(domain, {"equation": pde(residual), **conditions}, exact=smooth)


def mixed(k: Function, h: float) -> dict[str, Condition]:
    """A flux on the left, convection on top, values on the other sides."""

    def flux(x, y):
        return k(x, y) * smooth(x, y) / 2  # −k ∂u/∂n with n = (−1, 0)

    def ambient(x, y):
        return smooth(x, y) - k(x, y) * exp(x / 2) * sin(y) / h  # u + k ∂u/∂n / h

    return {
        "insulated": neumann("left", flux, conductivity=k),
        "cooled": robin("top", h, ambient, conductivity=k),
        "fixed": dirichlet(("bottom", "right"), smooth),
    }


def one(x: Tensor, y: Tensor) -> Tensor:
    return 1.0 + 0.0 * x


def minus_laplacian(u: Tensor, x: Tensor, y: Tensor) -> Tensor:
    return -laplacian(u, x, y)


def heat(u: Tensor, x: Tensor, y: Tensor) -> Tensor:
    return -diffusion(conductivity(x, y), u, x, y)


def wrong_way(u: Tensor, x: Tensor, y: Tensor) -> Tensor:
    return 3 * diffusion(conductivity(x, y), u, x, y) - exp(x) * u


def wind(u: Tensor, x: Tensor, y: Tensor) -> Tensor:
    return -laplacian(u, x, y) + 3 * derivative(u, x) - y * derivative(u, y)


def l_shape() -> Problem:
    """Insulation at the notch, of which u knows nothing: its flux there is prescribed."""

    def flux(u, x, y, normal):
        return -normal_derivative(u - smooth(x, y), normal, x, y)

    conditions = {"notch": Condition(flux, ("notch_vertical", "notch_horizontal", "left")),
                  "fixed": dirichlet(("bottom", "right", "top"), smooth)}  # fmt: skip
    return of(LShape(), minus_laplacian, **conditions)


def singular() -> Problem:
    """k varies about the re-entrant corner; of u nothing is known."""

    def equation(u, x, y):
        return -diffusion(1.5 + 0.5 * x * y + 0.3 * y, u, x, y) - 1

    return Problem(LShape(), {"heat": pde(equation), "cold": dirichlet("boundary")})


def interval() -> Problem:
    """−(k u')' + u = f on an interval away from 0, a value at one end and a flux at the other."""

    def residual(u, x):
        return -derivative((1 + x) * derivative(u, x), x) + u - (sin(x) + (1 + x) * sin(x) - cos(x))

    conditions = {"equation": pde(residual), "left": dirichlet("left", lambda x: sin(x)),
                  "right": neumann("right", lambda x: -(1 + x) * cos(x), conductivity=lambda x: 1 + x)}  # fmt: skip
    return Problem(Interval(1.0, 3.0), conditions, exact=lambda x: sin(x))


def box() -> Problem:
    def exact(x1, x2, x3):
        return x1 * x2 + x3**2

    conditions = {"equation": pde(lambda u, space: -laplacian(u, *space) + 2), "wall": dirichlet("boundary", exact)}
    return Problem(Box((0, 0, 0), (1, 2, 1)), conditions, exact=exact)


RECTANGLE = Rectangle((0, 0), (2, 1))
CASES: dict[str, Callable[[], Problem]] = {
    "square": lambda: catalogue.load("poisson_square").build(),
    "dirichlet": lambda: of(RECTANGLE, minus_laplacian, wall=dirichlet("boundary", smooth)),
    "mixed": lambda: of(RECTANGLE, minus_laplacian, **mixed(one, 2.0)),
    "variable": lambda: of(RECTANGLE, heat, **mixed(conductivity, 5.0)),
    "wrong way": lambda: of(RECTANGLE, wrong_way, **mixed(conductivity, 5.0)),
    "wind": lambda: of(RECTANGLE, wind, **mixed(one, 1.0)),
    "l_shape": l_shape,
    "interval": interval,
    "box": box,
}


def wave(*x: Tensor) -> Tensor:
    return 1e-4 * (0.3 + sum(sin(2 * c + 0.5 * i) for i, c in enumerate(x)))


def bubble(*x: Tensor) -> Tensor:
    return 1e-6 * exp(-sum((c - 0.4) ** 2 for c in x))


SOME = [(name, wave) for name in CASES] + [("square", bubble), ("l_shape", bubble)]


@pytest.mark.parametrize(("name", "error"), SOME)
def test_it_lies_above_the_error_and_not_far_above(name: str, error: Function, few) -> None:
    problem = CASES[name]()
    found = bound(problem, error)
    assert found is not None
    inside = problem.domain.sample(5000, "uniform", np.random.default_rng(7))
    edge = problem.domain.sample_boundary(500, method="uniform", rng=np.random.default_rng(8)).points
    for points in (inside, edge):
        assert (np.abs(at(error, points)) <= found.value(points)).all()
        assert (found.value(points) <= found.largest * (1 + 1e-3)).all()
    assert found.largest <= TOO_LOOSE * np.abs(at(error, inside)).max()


def test_constant_errors_of_prescribed_values_are_bounded_by_themselves(few) -> None:
    """L w = 0 and w = ε on the boundary: w = ε, but for the least share of the other residuals."""
    problem = CASES["dirichlet"]()
    found = bound(problem, lambda x, y: 1e-5 * one(x, y))
    assert found is not None and 1e-5 <= found.largest <= 1.1e-5


def test_ten_times_the_residual_is_ten_times_the_bound(few) -> None:
    problem, points = CASES["interval"](), Interval(1.0, 3.0).sample(100)
    small, large = (bound(problem, lambda x, s=size: s * wave(x)) for size in (1.0, 10.0))
    assert small is not None and large is not None
    np.testing.assert_allclose(large.value(points), 10 * small.value(points), rtol=1e-6)
    assert large.largest == pytest.approx(10 * small.largest, rel=1e-6)


def test_it_bounds_the_mean_of_several(few) -> None:
    """Errors that cancel are no errors of the mean."""
    problem = CASES["dirichlet"]()
    alone = bound(problem, wave)
    both = bound(problem, wave, lambda x, y: -wave(x, y) * 0.9)
    assert alone is not None and both is not None
    assert both.largest == pytest.approx(0.05 * alone.largest, rel=1e-4)


def test_without_residuals_it_is_nothing(few) -> None:
    problem = Problem(Rectangle(), {"equation": pde(minus_laplacian), "wall": dirichlet("boundary")}, exact=one)
    found = bound(problem, one)
    assert found is not None and found.largest == 0.0 and not found.value(RECTANGLE.sample(10)).any()


def test_a_condition_may_be_a_tuple(few) -> None:
    problem = CASES["dirichlet"]()
    residual = problem.conditions["equation"].residual
    tupled = replace(problem, conditions={**problem.conditions, "equation": pde(lambda u, x, y: (residual(u, x, y),))})
    same, other = bound(problem, wave), bound(tupled, wave)
    assert same is not None and other is not None and other.largest == same.largest


def test_exact_boundary_values_leave_no_residual_there(few) -> None:
    """Without a head, û is the lift 0, and the error u itself."""
    problem = CASES["square"]()
    told = replace(SETTINGS, network=Network(layers=(4,), boundary="hard"))
    found = barrier(problem, told, [trial_for(problem, told)])
    points = problem.domain.sample(2000)
    assert found is not None and (at(problem.exact, points) <= found.value(points)).all()
    assert 1.0 <= found.largest <= 1.6  # 2π² times the largest value of w with −Δw = 1


def test_where_singular_functions_spoil_it_inequalities_will_do(few) -> None:
    """About a re-entrant corner where k varies, w has −∇·(k ∇w) of either sign; smooth functions above it have not."""
    problem = singular()
    left = {name: 1.0 for name in problem.conditions}
    equations, inequalities, _ = ATTEMPTS
    told = replace(SETTINGS, optimizer=LeastSquares())
    points = _points(problem, told, [trial_of(problem)])
    signs = {"heat": 1.0, "cold": 1.0}
    assert _tried(problem, told, equations, signs, left, points) is None
    found = _tried(problem, told, inequalities, signs, left, points)
    assert found is not None and found.good and 1.0 < found.barrier.largest < 1.6


# --- where theory gives none ------------------------------------------------------------------------------------------


def with_data() -> Problem:
    points = np.array([[0.2, 0.3], [0.5, 0.5]])
    problem = laplace()
    return replace(problem, conditions={**problem.conditions, "data": measured(points, at(problem.exact, points))})


def with_free_edge() -> Problem:
    problem = laplace()
    return replace(problem, conditions={k: c for k, c in problem.conditions.items() if k != "left"}, free=("left",))


def other_sign() -> Problem:
    """c < 0."""
    return of(RECTANGLE, lambda u, x, y: -laplacian(u, x, y) - u, wall=dirichlet("boundary", smooth))


def inflow() -> Problem:
    """A flux that grows with u, inwards."""
    grows = Condition(lambda u, x, y, normal: derivative(u, y) - 0.1 * u, "top")
    return of(RECTANGLE, minus_laplacian, rest=dirichlet(("left", "right", "bottom"), smooth), top=grows)


def degenerate() -> Problem:
    """A conductivity that is negative in a part of the domain."""
    return of(RECTANGLE, lambda u, x, y: -diffusion(x - 0.1, u, x, y), wall=dirichlet("boundary", smooth))


def only_fluxes() -> Problem:
    """No w has L w > 0 and a flux that enters all over."""
    return of(RECTANGLE, minus_laplacian, wall=neumann("boundary"))


NONE: dict[str, Callable[[], Problem]] = {
    **{name: PROBLEMS[name] for name in ("nonlinear", "transient", "two_fields", "periodic_strip", "inverse")},
    "with_data": with_data, "with_free_edge": with_free_edge, "other_sign": other_sign, "inflow": inflow,
    "degenerate": degenerate, "only_fluxes": only_fluxes, "modes": lambda: catalogue.load("membrane_lshape").build(),
    "helmholtz": lambda: catalogue.load("helmholtz").build(),
}  # fmt: skip


@pytest.mark.parametrize("name", NONE)
def test_other_problems_have_none(name: str, few) -> None:
    problem = NONE[name]()
    assert barrier(problem, SETTINGS, [trial_of(problem)]) is None


# --- committees -------------------------------------------------------------------------------------------------------

TASK: dict[str, Any] = {"name": "committee", "members": 2, "workers": 1}
SMALL: dict[str, Any] = {
    "sampling": {"interior": 200, "boundary": 120}, "optimizer": "least_squares", "evaluation": {"points": 2000},
}  # fmt: skip


def test_a_committee_is_told_its_bound(few) -> None:
    network = {"layers": [8], "polynomials": 40}
    result = solve("poisson_square", task=TASK, network=network, **SMALL)
    bound, error = result.metrics["bound"], result.judgement.errors
    assert bound.keys() == {"max", "mean", "kind"} and bound["kind"] == "maximum principle"
    assert error.max() <= bound["max"] <= OSCILLATING * error.max() and error.mean() <= bound["mean"] < bound["max"]
    (said,) = [phrase for phrase in findings(result.judgement, result.metrics) if "maximum principle" in phrase]
    assert f"the error is below {bound['max']:.1e} everywhere" in said and f"largest seen {error.max():.1e}" in said


def test_singular_solutions_have_a_bound(few) -> None:
    """Residuals of singular functions grow without bound towards the corner, where k varies."""
    network = {"layers": [20], "polynomials": 100}
    result = solve(singular(), task=TASK, network=network, **{**SMALL, "sampling": {}})
    found, errors = result.metrics["bound"], result.judgement.errors
    assert errors.max() <= found["max"] <= OSCILLATING * errors.max()


def test_a_committee_without_a_bound_says_so(few) -> None:
    network = {"layers": [8], "polynomials": 30}
    result = solve("nonlinear_poisson", task=TASK, network=network, **SMALL)
    assert result.metrics["bound"] is None
    assert not any("maximum principle" in phrase for phrase in findings(result.judgement, result.metrics))
