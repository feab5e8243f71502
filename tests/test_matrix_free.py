"""J v and Jᵀ w without J, conjugate gradients against dense least squares, and the steps made of them."""

import pytest
import torch
from helpers import PROBLEMS, Plain, generator, randn, residuals_of
from objectives import Objective, exponential, run
from torch import Tensor
from torch.testing import assert_close

from pinnkit.linear_algebra import minimum_norm
from pinnkit.networks import MLP
from pinnkit.optimizers import MatrixFreeGaussNewton
from pinnkit.optimizers.base import Linearised
from pinnkit.optimizers.matrix_free import cgls


@pytest.mark.parametrize("plain", [False, True], ids=["jets", "any module"])
@pytest.mark.parametrize("name", PROBLEMS)
def test_products_are_those_of_the_jacobian(name: str, plain: bool) -> None:
    problem = PROBLEMS[name]()
    features = MLP(len(problem.coordinates), (5, 4), "tanh", 1.5, generator())
    residuals = residuals_of(problem, Plain(features) if plain else features)
    theta = residuals.theta + 0.3 * randn(len(residuals.theta), seed=5)
    (r, matrix), (again, jv, jtv) = residuals.jacobian(theta), residuals.linearised(theta)
    v, w = randn(len(theta), seed=6), randn(len(r), seed=7)
    assert (again - r).norm() <= 1e-13 * r.norm()
    assert (jv(v) - matrix @ v).norm() <= 1e-12 * (matrix @ v).norm()
    assert (jtv(w) - matrix.T @ w).norm() <= 1e-12 * (matrix.T @ w).norm()
    assert not (again.requires_grad or jv(v).requires_grad or jtv(w).requires_grad)


def last(matrix: Tensor, y: Tensor, damping: float, forcing: float = 1e-13) -> tuple[Tensor, Tensor, int]:
    found = list(cgls(lambda z: matrix @ z, lambda w: matrix.T @ w, y, damping, forcing))
    return *found[-1], len(found)


@pytest.mark.parametrize("shape", [(30, 8), (8, 30)])
@pytest.mark.parametrize("damping", [0.0, 1e-2, 10.0])
def test_conjugate_gradients_solve_the_damped_problem(shape: tuple[int, int], damping: float) -> None:
    """Against the least-norm solution of [J; √λ I] z = [y; 0]; in about as many steps as the smaller size."""
    matrix, y = randn(*shape, seed=1), randn(shape[0], seed=2)
    z, left, steps = last(matrix, y, damping)
    stacked = torch.cat([matrix, damping**0.5 * torch.eye(shape[1], dtype=torch.float64)])
    exact = torch.linalg.pinv(stacked) @ torch.cat([y, torch.zeros(shape[1], dtype=torch.float64)])
    assert_close(z, exact, rtol=1e-9, atol=1e-11)
    assert_close(left, y - matrix @ z, rtol=1e-9, atol=1e-11)
    assert steps <= 8 + 4


def test_conjugate_gradients_do_not_square_the_condition_number() -> None:
    """Columns over five decades, a consistent right-hand side: J z = y to 1e-14; by JᵀJ it would be 1e-10 at best."""
    matrix = randn(60, 12, seed=3) * torch.logspace(0, -5, 12, dtype=torch.float64)
    y = matrix @ torch.ones(12, dtype=torch.float64)
    _, left, _ = last(matrix, y, 0.0, 1e-18)
    assert left.norm() < 1e-13 * y.norm()


def test_they_stop_at_the_forcing_term() -> None:
    matrix, y = randn(80, 40, seed=4) * torch.logspace(0, -2, 40, dtype=torch.float64), randn(80, seed=5)
    start = (matrix.T @ y).norm()
    counts = []
    for forcing in (1e-1, 1e-3, 1e-6):
        z, left, count = last(matrix, y, 1e-4, forcing)
        assert (matrix.T @ left - 1e-4 * z).norm() <= forcing * start
        counts.append(count)
    assert counts == sorted(set(counts))


def test_a_step_is_that_of_dense_levenberg_marquardt() -> None:
    """With the forcing term at round-off: δ = argmin ‖r + J δ‖² + λ ‖D δ‖² with the D that was estimated."""
    objective, optimizer = exponential(), MatrixFreeGaussNewton(damping=0.05, forcing=1e-14)
    theta = objective.start
    new, state, _ = optimizer.step(objective, theta, optimizer.init(objective, theta))
    r, matrix = objective.jacobian(theta)
    scale = state["squares"].sqrt()
    dense = minimum_norm(torch.cat([matrix, 0.05**0.5 * torch.diag(scale)]), torch.cat([-r, torch.zeros(3).to(r)]))
    assert_close(new - theta, dense, rtol=1e-9, atol=0)


def test_the_scale_tends_to_the_norms_of_the_columns() -> None:
    """A mean of 100 probes: within three standard deviations, 3 √(2/100), of ‖J eⱼ‖²."""
    matrix = randn(50, 6, seed=6) * torch.logspace(-3, 3, 6, dtype=torch.float64)
    objective = Objective(lambda w: matrix @ w - 1, [0.0] * 6, [])
    optimizer = MatrixFreeGaussNewton(probes=100)
    _, state, _ = optimizer.step(objective, objective.start, optimizer.init(objective, objective.start))
    assert_close(state["squares"] / matrix.square().sum(0), torch.ones(6, dtype=torch.float64), rtol=0.43, atol=0)


def test_it_needs_no_jacobian() -> None:
    """Only r, J v and Jᵀ w are asked for; the curved fit is found to the last digits."""

    class Products(Objective):
        def linearised(self, theta: Tensor) -> Linearised:
            matrix = torch.func.jacrev(self.residual)(theta)
            return self.residual(theta), lambda v: matrix @ v, lambda w: matrix.T @ w

        def jacobian(self, theta: Tensor) -> tuple[Tensor, Tensor]:
            raise AssertionError("no Jacobian")

    made = exponential()
    theta, _, infos = run(MatrixFreeGaussNewton(), Products(made.residual, made.start.tolist(), []), 60)
    assert infos[-1].loss < 1e-25 and infos[-1].stop
    assert_close(theta, torch.tensor([2.0, 1.5, 0.5], dtype=torch.float64), rtol=1e-9, atol=0)


def test_it_turns_back_from_what_is_no_number() -> None:
    """√θ − 0.1 from θ = 4: the full Gauss–Newton step leads to negative θ."""
    objective = Objective(lambda p: torch.sqrt(p) - 0.1, [4.0], [])
    theta, _, _ = run(MatrixFreeGaussNewton(damping=1e-12), objective, 60)
    assert float(theta) == pytest.approx(0.01, rel=1e-6)
