"""Every optimizer on objectives in closed form: one contract, then rates of convergence."""

import math
from collections.abc import Callable
from copy import deepcopy
from itertools import pairwise

import pytest
import torch
from helpers import randn
from objectives import MATRIX, RIGHT, TIMES, Objective, exponential, linear, rosenbrock, run
from torch import Tensor
from torch.testing import assert_close

from pinnkit.linear_algebra import minimum_norm
from pinnkit.optimizers import (
    LBFGS,
    SOAP,
    Adam,
    LeastSquares,
    LevenbergMarquardt,
    MatrixFreeGaussNewton,
    Optimizer,
    Schedule,
    SelfScaledBroyden,
    Spring,
    VariableProjection,
)
from pinnkit.optimizers.gauss_newton import _scaled

OBJECTIVES = (linear, rosenbrock, exponential)
OPTIMIZERS = {
    "adam": Adam(learning_rate=0.02),
    "lbfgs": LBFGS(),
    "least squares": LeastSquares(),
    "levenberg-marquardt": LevenbergMarquardt(),
    "without acceleration": LevenbergMarquardt(acceleration=False),
    "variable projection": VariableProjection(),
    "bfgs": SelfScaledBroyden("bfgs"),
    "self-scaled bfgs": SelfScaledBroyden("ssbfgs"),
    "self-scaled broyden": SelfScaledBroyden("ssbroyden"),
    "soap": SOAP(learning_rate=0.02),
    "matrix-free": MatrixFreeGaussNewton(),
    "spring": Spring(),
    "schedule": Schedule(((LeastSquares(), 2), (Adam(0.02), 3), (LBFGS(history=3), 4), (LevenbergMarquardt(), 100))),
}

LEAVING = (Adam, SOAP, Spring)  # evaluate once a step, report the loss of the point they leave, and never stop

objectives = pytest.mark.parametrize("make", OBJECTIVES, ids=lambda f: f.__name__)
optimizers = pytest.mark.parametrize("optimizer", OPTIMIZERS.values(), ids=OPTIMIZERS)


def plain(value: object) -> bool:
    """Nothing but tensors, numbers, texts, and lists and dictionaries of them: what a checkpoint can hold."""
    if isinstance(value, dict):
        return all(isinstance(key, str) and plain(part) for key, part in value.items())
    if isinstance(value, list):
        return all(map(plain, value))
    return isinstance(value, Tensor | int | float | str)


def same(a: object, b: object) -> bool:
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[key], b[key]) for key in a)
    if isinstance(a, list):
        return len(a) == len(b) and all(map(same, a, b))
    return torch.equal(a, b) if isinstance(a, Tensor) else a == b


@objectives
@optimizers
def test_the_loss_falls(optimizer: Optimizer, make: Callable[[], Objective]) -> None:
    objective = make()
    theta, _, _ = run(optimizer, objective, 40)
    assert objective.loss(theta) < 0.9 * objective.loss(objective.start)


@objectives
@optimizers
def test_the_reported_loss_is_that_of_a_point_visited(optimizer: Optimizer, make: Callable[[], Objective]) -> None:
    """Of the point arrived at, or of the one left."""
    objective = make()
    theta, _, infos = run(optimizer, objective, 1)
    expected = objective.start if isinstance(optimizer, LEAVING) else theta
    assert infos[0].loss == pytest.approx(objective.loss(expected), rel=1e-9, abs=1e-25)


@objectives
@optimizers
def test_the_state_is_plain_and_nothing_is_changed_in_place(optimizer, make: Callable[[], Objective]) -> None:
    objective = make()
    theta, state, _ = run(optimizer, objective, 4)
    kept = deepcopy((theta, state))
    optimizer.step(objective, theta, state)
    assert plain(state)
    assert torch.equal(theta, kept[0]) and same(state, kept[1])


@objectives
@optimizers
def test_a_copied_state_continues_bit_exactly(optimizer: Optimizer, make: Callable[[], Objective]) -> None:
    objective = make()
    theta, state, _ = run(optimizer, objective, 3)
    copied, copied_state = deepcopy((theta, state))
    for _ in range(4):
        theta, state, info = optimizer.step(objective, theta, state)
        copied, copied_state, again = optimizer.step(objective, copied, copied_state)
        assert torch.equal(theta, copied) and same(state, copied_state) and info == again


@pytest.mark.parametrize("name", [name for name, each in OPTIMIZERS.items() if not isinstance(each, LEAVING)])
def test_it_stops_at_the_minimum_and_says_why(name: str) -> None:
    objective = linear()
    objective.start = torch.linalg.lstsq(MATRIX, RIGHT[:, None]).solution[:, 0]
    theta, _, infos = run(OPTIMIZERS[name], objective, 120)
    assert infos[-1].stop
    assert objective.loss(theta) <= objective.loss(objective.start) * (1 + 1e-9)


@optimizers
def test_a_start_of_no_number_is_no_crash(optimizer: Optimizer) -> None:
    """What becomes of it is for the training loop to say: the loss it is told is not finite."""
    _, _, infos = run(optimizer, Objective(lambda p: torch.log(p), [-1.0, 2.0], [0, 1]), 1)
    assert not math.isfinite(infos[0].loss)


@objectives
@pytest.mark.parametrize(
    "optimizer", [LBFGS(), LeastSquares(), LevenbergMarquardt(), MatrixFreeGaussNewton()], ids=repr
)
def test_methods_with_a_test_of_descent_never_climb(optimizer: Optimizer, make: Callable[[], Objective]) -> None:
    _, _, infos = run(optimizer, make(), 30)
    assert all(b.loss <= a.loss for a, b in pairwise(infos))


# --- Adam -----------------------------------------------------------------------------------------------------------


def test_adam_is_pytorchs() -> None:
    objective = rosenbrock()
    theta = objective.start.clone().requires_grad_()
    theirs = torch.optim.Adam([theta], lr=0.01, eps=1e-12)
    for _ in range(25):
        theta.grad = objective.gradient(theta.detach())[1]
        theirs.step()
    ours, _, _ = run(Adam(learning_rate=0.01, half_life=math.inf), objective, 25)
    assert_close(ours, theta.detach(), rtol=1e-12, atol=0)


def test_adams_learning_rate_halves() -> None:
    """A constant slope gives steps of the learning rate itself."""
    falling = Objective(lambda p: torch.sqrt(2 * (p + 1000)), [0.0], [0])
    theta, _, _ = run(Adam(learning_rate=0.1, half_life=10), falling, 21)
    expected = -0.1 * sum(0.5 ** (k / 10) for k in range(21))
    assert float(theta) == pytest.approx(expected, rel=1e-9)


# --- least squares --------------------------------------------------------------------------------------------------


def test_one_step_solves_a_linear_problem() -> None:
    theta, _, infos = run(LeastSquares(), linear(), 10)
    assert len(infos) == 1 and infos[0].stop == "head solved"
    assert_close(theta, torch.linalg.pinv(MATRIX) @ RIGHT, rtol=1e-12, atol=1e-12)


def test_least_squares_moves_the_linear_parameters_alone() -> None:
    theta, _, _ = run(LeastSquares(), rosenbrock(), 5)
    assert_close(theta, torch.tensor([-1.2, 1.44], dtype=torch.float64), rtol=1e-12, atol=0)


def test_least_squares_iterates_where_the_problem_is_not_linear() -> None:
    """(a b − 2, a − 1) from a = 0, where b moves nothing at first: not to be taken for solved after one step."""
    objective = Objective(lambda p: torch.stack([p[0] * p[1] - 2, p[0] - 1]), [0.0, 1.0], [0, 1])
    theta, _, infos = run(LeastSquares(), objective, 30)
    assert 1 < len(infos) < 15 and infos[-1].stop == "head solved"
    assert_close(theta, torch.tensor([1.0, 2.0], dtype=torch.float64), rtol=1e-10, atol=0)


def test_minimum_norm_with_dependent_columns() -> None:
    """A repeated column shares its coefficient evenly; zero columns get none; the solution is the pseudo-inverse's."""
    column = MATRIX[:, :1]
    matrix = torch.cat([column, MATRIX[:, 1:2], column, 0 * column], 1)
    w = minimum_norm(matrix, RIGHT)
    assert w[0].item() == pytest.approx(w[2].item(), rel=1e-12)
    assert w[3] == 0
    scale = matrix.norm(dim=0).clamp_min(1e-300)
    assert_close(w[:3], (torch.linalg.pinv(matrix[:, :3] / scale[:3]) @ RIGHT) / scale[:3], rtol=1e-11, atol=1e-12)


def test_minimum_norm_of_an_underdetermined_system() -> None:
    wide = randn(3, 6, seed=4)
    wide = wide / wide.norm(dim=0)
    assert_close(minimum_norm(wide, RIGHT[:3]), torch.linalg.pinv(wide) @ RIGHT[:3], rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("scale", [1e-150, 1e-6, 1e6, 1e150])
def test_minimum_norm_does_not_mind_the_scale_of_a_column(scale: float) -> None:
    factors = torch.tensor([1.0, scale, 1.0, 1.0], dtype=torch.float64)
    assert_close(minimum_norm(MATRIX * factors, RIGHT) * factors, minimum_norm(MATRIX, RIGHT), rtol=1e-11, atol=1e-12)


def test_minimum_norm_keeps_eleven_digits_of_an_ill_conditioned_fit() -> None:
    """Monomials up to t²⁰ on (0, 1), condition 1e15: normal equations would leave a misfit of 1e-8."""
    t = torch.linspace(0, 1, 200, dtype=torch.float64)
    matrix, data = t[:, None] ** torch.arange(21), torch.exp(t)
    assert (matrix @ minimum_norm(matrix, data) - data).norm() < 1e-12 * data.norm()


def test_linear_algebra_is_the_same_every_time() -> None:
    t = torch.linspace(0, 1, 200, dtype=torch.float64)
    matrix, data = t[:, None] ** torch.arange(40), torch.exp(t)
    first = minimum_norm(matrix, data)
    assert all(torch.equal(minimum_norm(matrix, data), first) for _ in range(20))


# --- Levenberg–Marquardt --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("acceleration", [False, True])
def test_levenberg_marquardt_on_rosenbrock(acceleration: bool) -> None:
    theta, _, infos = run(LevenbergMarquardt(acceleration=acceleration), rosenbrock(), 50)
    assert min(info.loss for info in infos) < 1e-20
    assert_close(theta, torch.ones(2, dtype=torch.float64), rtol=1e-10, atol=0)


def test_convergence_is_quadratic_where_the_residual_vanishes() -> None:
    """‖θₖ₊₁ − θ*‖ ≤ C ‖θₖ − θ*‖² once the damping is negligible: the digits double."""
    objective = exponential()
    solution = torch.tensor([2.0, 1.5, 0.5], dtype=torch.float64)
    optimizer, theta = LevenbergMarquardt(damping=1e-12, acceleration=False), solution + 0.1
    state, errors = optimizer.init(objective, theta), []
    for _ in range(4):
        theta, state, _ = optimizer.step(objective, theta, state)
        errors.append(float((theta - solution).norm()))
    digits = [-math.log10(max(error, 1e-15)) for error in errors]
    assert errors[2] < 1e-8
    assert digits[1] > 1.7 * digits[0] and digits[2] > 1.7 * digits[1]


@pytest.mark.parametrize("acceleration", [False, True])
def test_levenberg_marquardt_with_dependent_and_dead_columns(acceleration: bool) -> None:
    """r depends on a + b and c only; d moves nothing."""

    def residual(p: Tensor) -> Tensor:
        total = p[0] + p[1]
        return torch.stack([total**2 - 4, p[2] * total - 6, p[2] ** 2 - 9])

    objective = Objective(residual, [0.5, 0.5, 1.0, 7.0], [2])
    theta, _, infos = run(LevenbergMarquardt(acceleration=acceleration), objective, 50)
    assert infos[-1].loss < 1e-20
    assert float(theta[0] + theta[1]) == pytest.approx(2, abs=1e-9) and theta[3] == 7.0
    assert float(theta[0]) == pytest.approx(float(theta[1]), abs=1e-9)


def test_levenberg_marquardt_with_fewer_rows_than_parameters() -> None:
    wide = randn(3, 8, seed=5)
    objective = Objective(lambda p: wide @ p + 0.1 * p[:3] ** 3 - RIGHT[:3], [0.1] * 8, [])
    _, _, infos = run(LevenbergMarquardt(), objective, 30)
    assert min(info.loss for info in infos) < 1e-20


def test_acceleration_pays_on_a_curved_valley() -> None:
    def steps(acceleration: bool) -> int:
        _, _, infos = run(LevenbergMarquardt(acceleration=acceleration), rosenbrock(), 200)
        return next(k for k, info in enumerate(infos) if info.loss < 1e-15)

    assert steps(True) <= steps(False)


def test_levenberg_marquardt_turns_back_from_what_is_no_number() -> None:
    """√θ − 0.1 from θ = 4: the full Gauss–Newton step leads to negative θ."""
    objective = Objective(lambda p: torch.sqrt(p) - 0.1, [4.0], [])
    theta, _, infos = run(LevenbergMarquardt(damping=1e-12, acceleration=False), objective, 60)
    assert float(theta) == pytest.approx(0.01, rel=1e-6) and all(math.isfinite(info.loss) for info in infos)


# --- L-BFGS ---------------------------------------------------------------------------------------------------------


def test_lbfgs_minimises_rosenbrock() -> None:
    theta, _, infos = run(LBFGS(), rosenbrock(), 60)
    assert infos[-1].loss < 1e-15
    assert_close(theta, torch.ones(2, dtype=torch.float64), rtol=1e-6, atol=0)


def test_lbfgs_solves_a_quadratic_in_about_as_many_steps_as_unknowns() -> None:
    theta, _, _ = run(LBFGS(), linear(), 14)
    assert_close(theta, torch.linalg.pinv(MATRIX) @ RIGHT, rtol=1e-6, atol=1e-6)


def test_lbfgs_stays_where_the_loss_is_a_number() -> None:
    """10p − log p, whose minimum is at p = 1/10 and which is NaN for p < 0; from p = 3."""
    objective = Objective(lambda p: torch.sqrt(2 * (10 * p - torch.log(p))), [3.0], [])
    theta, _, infos = run(LBFGS(), objective, 40)
    assert float(theta) == pytest.approx(0.1, rel=1e-6)
    assert all(math.isfinite(info.loss) for info in infos) and infos[-1].stop


def test_lbfgs_keeps_so_many_pairs() -> None:
    _, state, _ = run(LBFGS(history=2), exponential(), 8)
    assert len(state["moves"]) == len(state["changes"]) == 2


def test_every_accepted_lbfgs_step_satisfies_the_wolfe_conditions() -> None:
    objective, optimizer = exponential(), LBFGS()
    theta = objective.start
    state = optimizer.init(objective, theta)
    for _ in range(10):
        before, slope_before = objective.gradient(theta)
        new, state, _ = optimizer.step(objective, theta, state)
        after, slope_after = objective.gradient(new)
        along = new - theta
        assert after <= before + 1e-4 * slope_before @ along
        assert abs(slope_after @ along) <= -0.9 * (slope_before @ along) * (1 + 1e-9)
        theta = new


# --- schedules ------------------------------------------------------------------------------------------------------


def test_a_schedule_runs_its_stages_in_turn() -> None:
    objective = rosenbrock()
    schedule = Schedule(((Adam(0.02), 3), (LevenbergMarquardt(), 2)))
    theta, state, infos = run(schedule, objective, 5)
    assert state["stage"] == 1 and state["steps"] == 2 and not any(info.stop for info in infos)
    objective.start, _, _ = run(Adam(0.02), objective, 3)
    assert torch.equal(theta, run(LevenbergMarquardt(), objective, 2)[0])


def test_the_last_stage_runs_until_it_stops_by_itself() -> None:
    _, _, infos = run(Schedule(((Adam(0.02), 3), (LevenbergMarquardt(), 2))), rosenbrock(), 100)
    assert len(infos) > 5 and infos[-1].stop.startswith("converged") and infos[-1].loss < 1e-20


def test_a_schedule_goes_on_when_a_stage_stops_by_itself() -> None:
    _, state, infos = run(Schedule(((LeastSquares(), 50), (LevenbergMarquardt(), 100))), exponential(), 100)
    assert state["stage"] == 1 and infos[-1].stop.startswith("converged")
    assert infos[-1].loss < 1e-25


def test_variable_projection_needs_fewer_steps_than_damping_everything() -> None:
    """Three exponentials: amplitudes and rates compensate each other in a long valley."""

    def residual(p: Tensor) -> Tensor:
        return (p[:3] * torch.exp(-p[3:] * TIMES[:, None])).sum(1) - (torch.exp(-TIMES) + 2 * torch.exp(-3 * TIMES))

    steps = []
    for optimizer in (VariableProjection(), LevenbergMarquardt()):
        objective = Objective(residual, [1.0, 1.0, 0.5, 0.5, 2.0, 4.0], [0, 1, 2])
        theta, state, count = objective.start, optimizer.init(objective, objective.start), 0
        while objective.loss(theta) > 1e-16 and count < 500:
            theta, state, _ = optimizer.step(objective, theta, state)
            count += 1
        steps.append(count)
    assert 2 * steps[0] <= steps[1]


def test_variable_projection_leaves_the_best_head() -> None:
    """After a step no head of the same features has a smaller residual."""
    objective, optimizer = exponential(), VariableProjection()
    theta, *_ = optimizer.step(objective, objective.start, optimizer.init(objective, objective.start))
    r, head = objective.linear_jacobian(theta)
    assert float((head.T @ r).norm()) < 1e-10 * float(head.norm()) * float(objective(objective.start).norm())


@pytest.mark.parametrize("rows", [4, 9])
def test_a_damped_step_is_that_of_the_normal_equations(rows: int) -> None:
    """Both for more rows than columns and for fewer (the kernel form)."""
    matrix, r, damping = randn(rows, 6, seed=3), randn(rows, seed=4), 0.1
    scale, damped = _scaled(matrix, torch.zeros(6, dtype=torch.float64))
    expected = torch.linalg.solve(matrix.T @ matrix + damping * torch.diag(scale**2), matrix.T @ r)
    assert_close(damped(damping)(r), expected, rtol=1e-12, atol=0.0)
