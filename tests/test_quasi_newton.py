"""The self-scaled Broyden family on quadratics, where theory says all, and its line search under round-off."""

from itertools import pairwise

import pytest
import torch
from helpers import randn
from objectives import Objective, exponential, rosenbrock, run
from torch import Tensor
from torch.testing import assert_close

from pinnkit.optimizers import SelfScaledBroyden
from pinnkit.optimizers.line_search import LineSearch
from pinnkit.optimizers.quasi_newton import Update

N = 10
updates = pytest.mark.parametrize("update", ["bfgs", "ssbfgs", "ssbroyden"])


def quadratic(decades: float) -> tuple[Objective, Tensor]:
    """½ ‖A w − b‖² whose columns span so many decades, and its minimum."""
    matrix, right = randn(30, N, seed=3) * torch.logspace(0, decades, N, dtype=torch.float64), randn(30, seed=4)
    return Objective(lambda w: matrix @ w - right, [0.0] * N, []), torch.linalg.pinv(matrix) @ right


@updates
def test_exact_searches_end_at_the_minimum_of_a_quadratic_in_as_many_steps_as_unknowns(update: Update) -> None:
    """Every member makes conjugate directions (Oren & Luenberger 1974); one step more for the round-off."""
    objective, minimum = quadratic(1.0)
    theta, _, _ = run(SelfScaledBroyden(update, curvature=1e-6), objective, N + 1)
    assert (theta - minimum).norm() < 1e-7 * minimum.norm()
    early, _, _ = run(SelfScaledBroyden(update, curvature=1e-6), objective, N - 2)
    assert (early - minimum).norm() > 1e-5 * minimum.norm()


@updates
def test_the_inverse_hessian_takes_the_last_step_back_and_stays_positive(update: Update) -> None:
    """The secant equation H y = s, and H = Hᵀ > 0."""
    objective, optimizer = exponential(), SelfScaledBroyden(update)
    theta = objective.start
    state = optimizer.init(objective, theta)
    for _ in range(12):
        new, after, _ = optimizer.step(objective, theta, state)
        inverse = after["inverse"]
        assert_close(inverse @ (after["gradient"] - state["gradient"]), new - theta, rtol=1e-7, atol=1e-12)
        assert_close(inverse, inverse.T, rtol=1e-9, atol=1e-12)
        assert torch.linalg.eigvalsh(inverse)[0] > 0
        theta, state = new, after


def test_bfgs_is_the_product_formula() -> None:
    """H⁺ = (I − s yᵀ/sᵀy) H (I − y sᵀ/sᵀy) + s sᵀ/sᵀy (Nocedal & Wright 2006, 6.17)."""
    root, s, noise = randn(N, N, seed=1), randn(N, seed=2), randn(N, seed=3)
    inverse = root @ root.T
    y = torch.linalg.solve(inverse, s) + 0.1 * noise * torch.sign(noise @ s)
    found = SelfScaledBroyden("bfgs")._updated(inverse, s, y, float(s @ torch.linalg.solve(inverse, s)), False)
    left = torch.eye(N, dtype=torch.float64) - torch.outer(s, y) / (s @ y)
    assert_close(found, left @ inverse @ left.T + torch.outer(s, s) / (s @ y), rtol=1e-9, atol=1e-9)


def test_self_scaling_forgets_curvature_that_was_claimed_too_large() -> None:
    """From H = 1e-4 H_true, a few updates of the scaled members leave a better conditioned H than those of BFGS."""

    def spread(update: Update) -> float:
        optimizer, inverse, hessian = SelfScaledBroyden(update), 1e-4 * torch.eye(N, dtype=torch.float64), 1.0
        for k in range(3):
            s = randn(N, seed=k)
            along = float(s @ torch.linalg.solve(inverse, s))
            inverse = optimizer._updated(inverse, s, hessian * s, along, False)
        return float(torch.linalg.cond(inverse))

    assert spread("bfgs") > 9e3
    assert spread("ssbfgs") < 2 and spread("ssbroyden") < 2


@updates
def test_rosenbrock(update: Update) -> None:
    theta, _, infos = run(SelfScaledBroyden(update), rosenbrock(), 80)
    assert infos[-1].loss < 1e-20 and infos[-1].stop
    assert_close(theta, torch.ones(2, dtype=torch.float64), rtol=1e-8, atol=0)


@updates
def test_convergence_is_superlinear(update: Update) -> None:
    """‖g‖ falls ever faster: the last factors are below 1/20."""
    objective, optimizer = exponential(), SelfScaledBroyden(update)
    theta, sizes = objective.start, []
    state = optimizer.init(objective, theta)
    while not sizes or sizes[-1] > 1e-10:
        theta, state, _ = optimizer.step(objective, theta, state)
        sizes.append(float(state["gradient"].norm()))
    assert len(sizes) < 40 and min(b / a for a, b in pairwise(sizes[-4:])) < 0.05


# --- round-off ------------------------------------------------------------------------------------------------------


def test_round_off_in_the_loss_does_not_end_the_descent_early() -> None:
    """A row of 1e6 that nothing moves leaves a resolution of 1e-4 to a loss of 5e11; slopes find the minimum."""
    matrix, right = randn(30, N, seed=3), randn(30, seed=4)
    offset = torch.tensor([1e6], dtype=torch.float64)
    objective = Objective(lambda w: torch.cat([offset, matrix @ w - right]), [0.0] * N, [])
    minimum = torch.linalg.pinv(matrix) @ right

    def error(noise: float) -> float:
        theta, _, infos = run(SelfScaledBroyden(noise=noise), objective, 100)
        assert infos[-1].stop
        return float((theta - minimum).norm() / minimum.norm())

    assert error(1e-6) < 1e-8 < 1e-4 < error(0.0)


def test_a_fall_too_small_to_measure_is_read_off_the_slopes() -> None:
    """1 + p²/2 near p = 1e-9, which is constant in floating point: the search still goes down."""
    objective = Objective(lambda p: torch.sqrt(2 + p * p), [1e-9], [])
    theta, direction = objective.start, torch.tensor([-1e-9], dtype=torch.float64)
    loss, gradient = objective.gradient(theta)
    found = LineSearch(noise=1e-6)(objective, theta, direction, (float(loss), gradient), 0.5)
    assert found.loss == float(loss)
    assert found.rise == pytest.approx(-0.375e-18, rel=1e-6) and abs(found.slope) < 0.6e-18


def test_the_first_condition_still_holds_where_the_fall_can_be_measured() -> None:
    objective, optimizer = rosenbrock(), SelfScaledBroyden()
    theta = objective.start
    state = optimizer.init(objective, theta)
    for _ in range(15):
        before, slope = objective.gradient(theta)
        new, state, _ = optimizer.step(objective, theta, state)
        after, slope_after = objective.gradient(new)
        assert after <= before + 1e-4 * slope @ (new - theta) + 1e-6 * before
        assert abs(slope_after @ (new - theta)) <= -0.9 * (slope @ (new - theta)) * (1 + 1e-9)
        theta = new
