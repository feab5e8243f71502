"""SPRING: its two forms, its limits, and fits on points that change with every step."""

import math
from math import pi

import pytest
import torch
from helpers import generator, poisson, randn, residuals_of
from objectives import Objective
from torch import Tensor
from torch.testing import assert_close

from pinnkit.networks import MLP
from pinnkit.optimizers import LeastSquares, Spring
from pinnkit.optimizers.spring import damped
from pinnkit.residuals import Collocation


@pytest.mark.parametrize("shape", [(30, 8), (8, 30), (12, 12)])
@pytest.mark.parametrize("damping", [1e-10, 1e-3, 1.0])
def test_kernel_and_primal_form_agree(shape: tuple[int, int], damping: float) -> None:
    """(JᵀJ + λI)⁻¹ Jᵀ y = Jᵀ (J Jᵀ + λI)⁻¹ y, whichever of them `damped` takes."""
    matrix, y = randn(*shape, seed=1), randn(shape[0], seed=2)
    small, large = (damping * torch.eye(n, dtype=torch.float64) for n in reversed(shape))
    primal = torch.linalg.solve(matrix.T @ matrix + small, matrix.T @ y)
    kernel = matrix.T @ torch.linalg.solve(matrix @ matrix.T + large, y)
    stable = primal if shape[0] >= shape[1] else kernel
    assert_close(damped(matrix, y, damping), stable, rtol=1e-9, atol=1e-10)
    if damping > 1e-6:
        assert_close(primal, kernel, rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize("transposed", [False, True])
def test_neither_form_squares_the_condition_number(transposed: bool) -> None:
    """Singular values over seven decades: 14 of JᵀJ would leave two digits."""
    left, right = torch.linalg.qr(randn(40, 8, seed=3))[0], torch.linalg.qr(randn(8, 8, seed=4))[0]
    tall = left @ torch.diag(torch.logspace(0, -7, 8, dtype=torch.float64)) @ right
    matrix = tall.T if transposed else tall
    y = matrix @ randn(matrix.shape[1], seed=5)
    delta = damped(matrix, y, 1e-30)
    assert (matrix @ delta - y).norm() < 1e-13 * y.norm()
    assert_close(delta, torch.linalg.pinv(matrix) @ y, rtol=1e-6, atol=1e-7 * float(delta.norm()))


def batch(matrix: Tensor, y: Tensor, k: int) -> Objective:
    """Five rows of a system, drawn anew for each k."""
    rows = torch.randperm(len(matrix), generator=generator(k))[:5]
    return Objective(lambda w: matrix[rows] @ w - y[rows], [0.0] * matrix.shape[1], [])


def test_the_step_solves_the_proximal_problem() -> None:
    """δ = argmin ‖r + J δ‖² + λ ‖δ − μ δ'‖²: its gradient vanishes there."""
    matrix, y, former = randn(20, 9, seed=6), randn(20, seed=7), randn(9, seed=8)
    objective, optimizer = batch(matrix, y, 0), Spring(damping=0.3, momentum=0.8, longest=1e9)
    theta, state, _ = optimizer.step(objective, objective.start, {"step": 0, "move": former})
    r, jacobian = objective.jacobian(objective.start)
    delta = state["move"]
    gradient = jacobian.T @ (r + jacobian @ delta) + 0.3 * (delta - 0.8 * former)
    assert gradient.norm() < 1e-12 * former.norm()
    assert_close(theta, objective.start + delta, rtol=1e-12, atol=0)


def test_without_damping_and_with_momentum_zero_it_is_randomised_block_kaczmarz() -> None:
    """θ moves to the nearest solution of the rows at hand."""
    matrix, y = randn(20, 9, seed=6), randn(20, seed=7)
    objective, optimizer = batch(matrix, y, 0), Spring(damping=1e-20, momentum=0.0, longest=1e9)
    start = randn(9, seed=9)
    theta, _, _ = optimizer.step(objective, start, optimizer.init(objective, start))
    r, rows = objective.jacobian(start)
    assert_close(theta, start - torch.linalg.pinv(rows) @ r, rtol=1e-9, atol=1e-10)


def test_steps_are_no_longer_than_allowed_and_the_rate_halves() -> None:
    slope = Objective(lambda p: p + 1e6, [0.0], [])
    optimizer = Spring(learning_rate=0.5, half_life=1.0, momentum=0.0, longest=2.0)
    theta, state, _ = optimizer.step(slope, slope.start, optimizer.init(slope, slope.start))
    assert float(theta) == pytest.approx(-2.0, rel=1e-12)
    near = Objective(lambda p: p - 1, [0.0], [])
    halved, _, _ = optimizer.step(near, near.start, state)
    assert float(halved) == pytest.approx(0.25, rel=1e-6)


def test_momentum_pays_where_rows_are_seen_a_few_at_a_time() -> None:
    """A consistent system, five of its 40 rows at a time (figure 1 of the paper, in small)."""
    matrix = randn(40, 20, seed=10) * torch.logspace(0, -1, 20, dtype=torch.float64)
    solution = randn(20, seed=11)

    def error(momentum: float, rate: float) -> float:
        optimizer = Spring(rate, half_life=math.inf, damping=1e-3, momentum=momentum, longest=1e9)
        theta = torch.zeros(20, dtype=torch.float64)
        state = optimizer.init(batch(matrix, matrix @ solution, 0), theta)
        for k in range(200):
            theta, state, _ = optimizer.step(batch(matrix, matrix @ solution, k), theta, state)
        return float((theta - solution).norm() / solution.norm())

    assert error(0.9, 0.3) < 0.1 * error(0.0, 1.0)
    assert error(Spring.momentum, Spring.learning_rate) < 0.3 * error(0.0, 1.0)


def test_it_learns_from_points_drawn_anew_at_every_step() -> None:
    """−Δu = f with 24 trained features: the error falls to a fiftieth of that of the best head on frozen ones."""

    def points(k: int) -> dict[str, Collocation]:
        inside, along = torch.rand(150, 2, generator=generator(k)), torch.rand(60, generator=generator(k + 10**6))
        side = torch.arange(60) % 4
        wall = torch.stack([torch.where(side < 2, along, side - 2.0), torch.where(side < 2, side, along)], 1)
        return {"poisson": Collocation(inside.double().numpy()), "wall": Collocation(wall.double().numpy())}

    @torch.no_grad()
    def error(theta: Tensor) -> float:
        residuals.assign(theta)
        exact = torch.sin(pi * grid[:, 0]) * torch.sin(pi * grid[:, 1])
        return float((residuals.trial(grid)[:, 0] - exact).norm() / exact.norm())

    residuals = residuals_of(poisson(), MLP(2, (24,), "tanh", 1.5, generator()), points=150)
    residuals.normalise()
    grid = torch.cartesian_prod(*2 * [torch.linspace(0, 1, 30, dtype=torch.float64)])
    theta, _, _ = LeastSquares().step(residuals, residuals.theta, {})
    optimizer, start = Spring(), error(theta)
    state = optimizer.init(residuals, theta)
    for k in range(150):
        residuals.redraw(points(k))
        theta, state, _ = optimizer.step(residuals, theta, state)
    assert error(theta) < start / 50
