"""r(θ), its Jacobian and gradient, by two ways and against differences; scales, weights, invariance of units."""

from dataclasses import replace
from math import pi

import numpy as np
import pytest
import torch
from helpers import PROBLEMS, Plain, generator, poisson, randn, residuals_of, two_fields
from torch import sin
from torch.testing import assert_close

from pinnkit.assembly import assemble
from pinnkit.corners import corner_functions
from pinnkit.errors import BadInput
from pinnkit.geometry import Rectangle
from pinnkit.networks import MLP
from pinnkit.operators import div, grad
from pinnkit.optimizers import LeastSquares as HeadSolver
from pinnkit.problem import Problem, dirichlet, pde
from pinnkit.residuals import ANCHOR, Anchor, Residuals
from pinnkit.settings import GaussNewton, LeastSquares, Network, ProblemChoice, Sampling, Settings

CORNERS = ("l_shape", "l_shape_in_time")
LINEAR = ("poisson", "variable", "transient", "two_fields", "periodic_strip", "l_shape", "l_shape_in_time")


def built(name: str, plain: bool = False, corners: bool = False) -> Residuals:
    problem = PROBLEMS[name]()
    features = MLP(len(problem.coordinates), (5, 4), "tanh", 1.5, generator())
    enrichment = corner_functions(problem) if corners else None
    return residuals_of(problem, Plain(features) if plain else features, enrichment)


def somewhere(residuals: Residuals) -> torch.Tensor:
    return residuals.theta + 0.3 * randn(len(residuals.theta), seed=5)


def close(found: torch.Tensor, expected: torch.Tensor, tolerance: float) -> bool:
    return bool((found - expected).norm() <= tolerance * expected.norm()) and bool(expected.norm() > 0)


@pytest.mark.parametrize("name", PROBLEMS)
def test_forward_jets_and_reverse_mode_agree(name: str) -> None:
    fast, generic = built(name), built(name, plain=True)
    theta = somewhere(fast)
    for found, expected in zip(fast.jacobian(theta), generic.jacobian(theta), strict=True):
        assert close(found, expected, 1e-12)
    assert close(fast(theta), generic(theta), 1e-13)
    assert close(fast.gradient(theta)[1], generic.gradient(theta)[1], 1e-12)


@pytest.mark.parametrize("name", CORNERS)
def test_forward_jets_and_reverse_mode_agree_with_corner_functions(name: str) -> None:
    fast, generic = built(name, corners=True), built(name, plain=True, corners=True)
    theta = somewhere(fast)
    assert close(fast(theta), generic(theta), 1e-11)
    for found, expected in zip(fast.jacobian(theta), generic.jacobian(theta), strict=True):
        assert close(found, expected, 1e-11)


@pytest.mark.parametrize("name", PROBLEMS)
def test_jacobian_is_the_limit_of_differences(name: str) -> None:
    """Five-point differences, along every parameter."""
    residuals, h = built(name), 1e-3
    theta = somewhere(residuals)
    r, matrix = residuals.jacobian(theta)
    assert matrix.shape == (len(r), len(theta))
    assert_close(r, residuals(theta), rtol=1e-12, atol=1e-12 * float(r.norm()))
    differences = torch.stack(
        [sum(w * residuals(theta + s * h * e) for w, s in ((1, -2), (-8, -1), (8, 1), (-1, 2))) / (12 * h)
         for e in torch.eye(len(theta), dtype=torch.float64)], 1
    )  # fmt: skip
    assert close(matrix, differences, 1e-8)


@pytest.mark.parametrize("corners", [False, True])
@pytest.mark.parametrize("name", CORNERS)
def test_jacobian_along_a_direction_with_corner_functions(name: str, corners: bool) -> None:
    residuals = built(name, corners=corners)
    theta, h = somewhere(residuals), 1e-3
    direction = randn(len(theta), seed=6)
    slope = sum(w * residuals(theta + s * h * direction) for w, s in ((1, -2), (-8, -1), (8, 1), (-1, 2))) / (12 * h)
    assert close(residuals.jacobian(theta)[1] @ direction, slope, 1e-7)


@pytest.mark.parametrize("name", PROBLEMS)
def test_gradient_is_the_transposed_jacobian_times_r(name: str) -> None:
    residuals = built(name)
    residuals.normalise()
    theta = somewhere(residuals)
    r, matrix = residuals.jacobian(theta)
    loss, gradient = residuals.gradient(theta)
    assert_close(loss, 0.5 * r @ r, rtol=1e-12, atol=0)
    assert close(gradient, matrix.T @ r, 1e-11)
    assert sum(residuals.terms(theta).values()) == pytest.approx(float(loss), rel=1e-12)
    assert set(residuals.terms(theta)) == set(residuals.problem.conditions)


@pytest.mark.parametrize("name", PROBLEMS)
def test_linear_jacobian_is_the_part_of_head_and_unknowns(name: str) -> None:
    residuals = built(name)
    theta = somewhere(residuals)
    _, matrix = residuals.jacobian(theta)
    assert close(residuals.linear_jacobian(theta)[1], matrix[:, residuals.linear], 1e-13)
    trial = residuals.trial
    assert len(residuals.linear) == trial.weight.numel() + trial.bias.numel() + len(trial.unknowns)


@pytest.mark.parametrize("name", LINEAR)
def test_linear_problems_are_affine_in_the_head(name: str) -> None:
    residuals = built(name)
    theta = somewhere(residuals)
    r, matrix = residuals.linear_jacobian(theta)
    step = randn(len(residuals.linear), seed=7)
    moved = theta.index_add(0, residuals.linear, step)
    assert close(residuals(moved), r + matrix @ step, 1e-12)


@pytest.mark.parametrize("name", ["nonlinear", "inverse"])
def test_nonlinear_and_inverse_problems_are_not(name: str) -> None:
    residuals = built(name)
    theta = somewhere(residuals)
    r, matrix = residuals.linear_jacobian(theta)
    step = randn(len(residuals.linear), seed=7)
    moved = theta.index_add(0, residuals.linear, step)
    assert not close(residuals(moved), r + matrix @ step, 1e-3)


def test_theta_is_what_is_assigned_and_nothing_is_changed_by_evaluating() -> None:
    residuals = built("inverse")
    theta, before = somewhere(residuals), residuals.theta
    residuals(theta), residuals.jacobian(theta), residuals.gradient(theta)
    assert torch.equal(residuals.theta, before)
    residuals.assign(theta)
    assert torch.equal(residuals.theta, theta)


# --- what is known of θ beforehand ------------------------------------------------------------------------------------

ANCHORED = ("poisson", "nonlinear", "two_fields", "inverse", "l_shape")


def anchored(name: str) -> Residuals:
    """Two of three parameters are drawn towards others, some of the head and some of the features among them."""
    residuals = built(name, corners=name == "l_shape")
    strength = randn(len(residuals.theta), seed=8).exp()
    strength[::3] = 0.0
    residuals.anchor = Anchor(strength, randn(len(strength), seed=9))
    return residuals


@pytest.mark.parametrize("name", ANCHORED)
def test_an_anchor_adds_rows(name: str) -> None:
    residuals = anchored(name)
    theta, anchor = somewhere(residuals), residuals.anchor
    plain = residuals_of(residuals.problem, residuals.trial.features, residuals.trial.enrichment)
    rows = anchor.strength * (theta - anchor.centre)
    pulled = anchor.strength > 0
    assert 0 < int(pulled.sum()) < len(theta)
    assert_close(residuals(theta), torch.cat([plain(theta), rows[pulled]]), rtol=1e-13, atol=0)
    assert not residuals.anchor.rows(anchor.centre).any()
    terms = residuals.terms(theta)
    assert set(terms) == {*residuals.problem.conditions, ANCHOR}
    assert terms[ANCHOR] == pytest.approx(0.5 * float(rows.square().sum()), rel=1e-12)
    assert sum(terms.values()) == pytest.approx(0.5 * float(residuals(theta).square().sum()), rel=1e-12)


@pytest.mark.parametrize("name", ANCHORED)
def test_with_an_anchor_all_derivatives_are_those_of_the_residual(name: str) -> None:
    """J against five-point differences along random directions; the others against J."""
    residuals, h = anchored(name), 1e-3
    theta = somewhere(residuals)
    r, matrix = residuals.jacobian(theta)
    assert_close(r, residuals(theta), rtol=1e-12, atol=1e-12 * float(r.norm()))
    for seed in (20, 21):
        v = randn(len(theta), seed=seed)
        slope = sum(w * residuals(theta + s * h * v) for w, s in ((1, -2), (-8, -1), (8, 1), (-1, 2))) / (12 * h)
        assert close(matrix @ v, slope, 1e-7)
    loss, gradient = residuals.gradient(theta)
    assert_close(loss, 0.5 * r @ r, rtol=1e-12, atol=0)
    assert close(gradient, matrix.T @ r, 1e-11)
    head, columns = residuals.linear_jacobian(theta)
    assert close(head, r, 1e-13) and close(columns, matrix[:, residuals.linear], 1e-13)
    same, jv, jtv = residuals.linearised(theta)
    v, w = randn(len(theta), seed=22), randn(len(r), seed=23)
    assert close(same, r, 1e-13) and close(jv(v), matrix @ v, 1e-11) and close(jtv(w), matrix.T @ w, 1e-11)


def test_least_squares_with_an_anchor_are_those_of_all_rows() -> None:
    """One step from anywhere solves min ‖r + J Δ‖² + ‖strength (θ − centre)‖² in the head."""
    residuals = anchored("poisson")
    theta = somewhere(residuals)
    moved, _, _ = HeadSolver().step(residuals, theta, HeadSolver().init(residuals, theta))
    _, gradient = residuals.gradient(moved)
    assert float(gradient[residuals.linear].norm()) < 1e-9 * float(residuals.gradient(theta)[1].norm())


def test_an_anchor_stays_where_points_are_drawn_anew() -> None:
    residuals, other = anchored("poisson"), built("poisson")
    theta, anchor = somewhere(residuals), residuals.anchor
    residuals.redraw(residuals_of(other.problem, points=40).collocation)
    rows = int((anchor.strength > 0).sum())
    assert_close(residuals(theta)[-rows:], anchor.rows(theta), rtol=0, atol=0)
    assert len(residuals(theta)) == sum(block.rows for block in residuals.blocks) + rows


# --- scales and weights ---------------------------------------------------------------------------------------------


def weighted(problem: Problem, name: str, weight: float) -> Problem:
    condition = replace(problem.conditions[name], weight=weight)
    return replace(problem, conditions={**problem.conditions, name: condition})


def normalised(problem: Problem, points: int = 12) -> Residuals:
    residuals = residuals_of(problem, points=points)
    residuals.normalise()
    return residuals


@pytest.mark.parametrize("normalise", [False, True])
def test_a_weight_multiplies_the_loss_of_its_condition(normalise: bool) -> None:
    one, four = (residuals_of(weighted(poisson(), "wall", w)) for w in (1.0, 4.0))
    if normalise:
        one.normalise(), four.normalise()
    theta = somewhere(one)
    plain, heavy = one.terms(theta), four.terms(theta)
    assert heavy["wall"] == pytest.approx(4 * plain["wall"], rel=1e-12)
    assert heavy["poisson"] == pytest.approx(plain["poisson"], rel=1e-12)


def test_a_loss_is_a_mean_over_points() -> None:
    """Twice as many points of a condition make it no heavier."""
    few, many = (normalised(poisson(), points=n) for n in (512, 2048))
    theta = somewhere(few)
    for name, loss in few.terms(theta).items():
        assert many.terms(theta)[name] == pytest.approx(loss, rel=0.05)


@pytest.mark.parametrize("name", ["poisson", "variable", "transient", "l_shape"])
def test_the_scale_is_the_root_mean_square_of_the_response_to_the_head(name: str) -> None:
    residuals = built(name)
    theta, width = residuals.theta, residuals.trial.width
    unscaled = residuals.jacobian(theta)[1][:, :width]
    sizes = [block.n for block in residuals.blocks]
    parts = zip(unscaled.split(sizes), sizes, strict=True)
    expected = [float((rows * n**0.5).square().mean().sqrt()) for rows, n in parts]
    residuals.normalise()
    assert [float(residuals.scales[b.name]) for b in residuals.blocks] == pytest.approx(expected, rel=1e-12)
    residuals.normalise()
    assert [float(residuals.scales[b.name]) for b in residuals.blocks] == pytest.approx(expected, rel=1e-12)


def test_conditions_on_any_field_are_normalised() -> None:
    """A condition on v alone counts for as much in other units."""
    def problem(scale: float) -> Problem:
        two = two_fields()
        plain = two.conditions["v"].residual
        v = replace(two.conditions["v"], residual=lambda **env: scale * plain(**env))
        return replace(two, conditions={**two.conditions, "v": v})

    one, large = normalised(problem(1.0)), normalised(problem(1e3))
    theta = somewhere(one)
    assert large.terms(theta)["v"] == pytest.approx(one.terms(theta)["v"], rel=1e-10)


def test_other_points_keep_the_scales() -> None:
    residuals, other = normalised(poisson(), points=12), normalised(poisson(), points=40)
    scales = dict(residuals.scales)
    theta = somewhere(residuals)
    residuals.redraw(other.collocation)
    assert residuals.scales == scales
    points = sum(len(c.points) for c in other.collocation.values())
    assert residuals(theta).shape == (points,)
    assert residuals.collocation == other.collocation


def test_rescaling_takes_mean_and_size_of_the_solution() -> None:
    """u = 300 + 5 x: offset and amplitude are mean and spread; the scaled problem sees numbers of size 1."""
    problem = Problem(
        Rectangle(),
        {"heat": pde(lambda u, x, y: -div(grad(u, x, y), x, y)), "wall": dirichlet("boundary", lambda x: 300 + 5 * x)},
    )
    residuals = residuals_of(problem, MLP(2, (40,), "tanh", 1.5, generator()), points=200)
    residuals.normalise()
    residuals.rescale_output()
    trial = residuals.trial
    assert float(trial.offset) == pytest.approx(302.5, abs=0.2)
    assert float(trial.amplitude) == pytest.approx(5 / 12**0.5, rel=0.4)
    assert not trial.weight.any() and not trial.bias.any()
    assert_close(trial(randn(5, 2)).detach(), trial.offset.expand(5, 1))


def test_rescaling_keeps_the_conditions_normalised() -> None:
    residuals = normalised(poisson())
    residuals.rescale_output()
    assert abs(float(residuals.trial.amplitude) - 1) > 0.1
    scales = {name: float(scale) for name, scale in residuals.scales.items()}
    residuals.normalise()
    assert {name: float(scale) for name, scale in residuals.scales.items()} == pytest.approx(scales, rel=1e-10)


def test_rescaling_leaves_a_vanishing_solution_alone() -> None:
    zero = Problem(Rectangle(), {"heat": pde(lambda u, x, y: -div(grad(u, x, y), x, y)), "wall": dirichlet("boundary")})
    residuals = normalised(zero)
    residuals.rescale_output()
    assert float(residuals.trial.amplitude) == 1.0 and float(residuals.trial.offset) == 0.0


# --- units ----------------------------------------------------------------------------------------------------------

SMALL = Settings(
    ProblemChoice("manufactured"),
    sampling=Sampling(interior=200, boundary=100),
    network=Network(layers=(60,), corners=False),
    optimizer=LeastSquares(),
)


def manufactured(length: float, size: float, zero: float, k: float) -> Problem:
    """−∇·(k∇u) = f on (0, length)² in any units of length and temperature: u = zero + size (sin(πx̂) ŷ + x̂²)."""

    def exact(x, y):
        return zero + size * (sin(pi * x / length) * y / length + (x / length) ** 2)

    def heat(u, x, y):
        source = k * size / length**2 * (pi**2 * sin(pi * x / length) * y / length - 2)
        return -div(k * grad(u, x, y), x, y) - source

    conditions = {"heat": pde(heat), "wall": dirichlet("boundary", exact)}
    return Problem(Rectangle((0, 0), (length, length)), conditions, exact=exact)


def reached(problem: Problem, settings: Settings, most: int) -> float:
    """‖u − exact‖ / ‖exact − its mean‖ after training."""
    built = assemble(problem, settings)
    residuals, theta = built.residuals, built.residuals.theta
    state = built.optimizer.init(residuals, theta)
    for _ in range(most):
        theta, state, info = built.optimizer.step(residuals, theta, state)
        if info.stop:
            break
    residuals.assign(theta)
    points = torch.as_tensor(problem.domain.sample(500, "uniform", np.random.default_rng(3)))
    truth = problem.exact_values(points)
    found = built.trial(points).detach()
    return float((found - truth).norm() / (truth - truth.mean()).norm())


UNITS = {
    "millimetres": (1000.0, 1.0, 0.0, 1.0),
    "millikelvin": (1.0, 1000.0, 0.0, 1.0),
    "celsius to kelvin": (1.0, 1.0, 273.15, 1.0),
    "millimetres, millikelvin and kelvin": (1000.0, 1000.0, 273150.0, 1.0),
    "conductivity": (1.0, 1.0, 0.0, 1e-6),
}


@pytest.mark.parametrize("units", UNITS)
@pytest.mark.parametrize(
    ("settings", "steps"),
    [(SMALL, 3), (replace(SMALL, network=Network(layers=(12,), corners=False), optimizer=GaussNewton()), 8)],
    ids=["least squares", "levenberg-marquardt"],
)
def test_the_relative_error_is_the_same_in_all_units(settings: Settings, steps: int, units: str) -> None:
    metres = reached(manufactured(1.0, 1.0, 0.0, 1.0), settings, steps)
    assert 1e-8 < metres < 0.1
    assert reached(manufactured(*UNITS[units]), settings, steps) == pytest.approx(metres, rel=0.01)


# --- what is refused ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "wrong",
    [
        lambda u, x, y: u[:, None],
        lambda u, x, y: u[:, None] - x,
        lambda u, x, y: u.sum(),
        lambda u, x, y: u[:1].expand(1),
        lambda u, x, y: torch.stack([u, u]),
        lambda u, x, y: (u, u[:, None]),
        lambda u, x, y: 0.0,
        lambda u, x, y: [u],
        lambda u, x, y: None,
    ],
    ids=["(n,1)", "(n,n)", "scalar", "(1,)", "(2,n)", "tuple", "number", "list", "nothing"],
)
def test_residuals_of_the_wrong_shape_are_refused(wrong) -> None:
    problem = Problem(Rectangle(), {"mine": pde(wrong), "wall": dirichlet("boundary")})
    with pytest.raises(BadInput, match="condition 'mine'"):
        residuals_of(problem)


def test_an_unknown_name_is_refused() -> None:
    problem = Problem(Rectangle(), {"mine": pde(lambda u, x, z: u - z), "wall": dirichlet("boundary")})
    with pytest.raises(BadInput, match=r"condition 'mine': it asks for 'z', which does not exist here; .* x, y"):
        residuals_of(problem)
