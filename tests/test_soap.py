"""SOAP against Adam: the same without matrices, indifferent to rotations with them, and better where Adam is not."""

import pytest
import torch
from helpers import randn
from objectives import Objective, rosenbrock, run
from torch import Tensor
from torch.testing import assert_close

from pinnkit.optimizers import SOAP, Adam
from pinnkit.optimizers.soap import _iterated

ROWS, COLUMNS = 5, 4


def orthogonal(n: int, seed: int) -> Tensor:
    return torch.linalg.qr(randn(n, n, seed=seed))[0]


def product(left: Tensor, right: Tensor) -> Objective:
    """½ ‖L (W − W*) R‖² for W (5, 4), and one more parameter that is no matrix: b² / 2."""
    target = randn(ROWS, COLUMNS, seed=9)

    def residual(p: Tensor) -> Tensor:
        return torch.cat([(left @ (p[:-1].view(ROWS, COLUMNS) - target) @ right).reshape(-1), p[-1:]])

    objective = Objective(residual, [0.0] * (ROWS * COLUMNS) + [1.0], [])
    objective.shapes = {"weight": torch.Size([ROWS, COLUMNS]), "bias": torch.Size([1])}
    return objective


def conditioned(seed: int) -> Objective:
    """Condition number 100 on each side, in bases of which the parameters know nothing."""
    scales = [torch.diag(torch.logspace(0, -2, n, dtype=torch.float64)) for n in (ROWS, COLUMNS)]
    return product(scales[0] @ orthogonal(ROWS, seed), orthogonal(COLUMNS, seed + 1) @ scales[1])


def test_without_matrices_it_is_adam() -> None:
    objective = rosenbrock()
    ours, _, _ = run(SOAP(0.01, beta1=0.9, beta2=0.99), objective, 30)
    adams, _, _ = run(Adam(0.01, beta1=0.9, beta2=0.99), objective, 30)
    assert_close(ours, adams, rtol=1e-12, atol=0)


@pytest.mark.parametrize("seed", [1, 11])
def test_it_beats_adam_on_a_rotated_badly_conditioned_problem(seed: int) -> None:
    """Along the axes Adam would scale every entry by itself; turned it cannot, and SOAP still does."""
    rotated = conditioned(seed)

    def loss(optimizer: Adam | SOAP) -> float:
        return rotated.loss(run(optimizer, rotated, 400)[0])

    assert loss(SOAP(0.03, half_life=100)) < 0.01 * loss(Adam(0.03, half_life=100))


def test_the_path_turns_with_the_problem() -> None:
    """W ↦ U W Vᵀ maps the losses of one problem on those of the other, which Adam's do not."""
    turn = orthogonal(ROWS, 3), orthogonal(COLUMNS, 4)
    left, right = randn(ROWS, ROWS, seed=5), randn(COLUMNS, COLUMNS, seed=6)
    target = randn(ROWS, COLUMNS, seed=9)

    def losses(optimizer: Adam | SOAP, turned: bool) -> Tensor:
        made = product(left @ turn[0].T, turn[1] @ right) if turned else product(left, right)
        made.start[:-1] = (turn[0] @ -target @ turn[1].T + target if turned else 0 * target).reshape(-1)
        return torch.tensor([info.loss for info in run(optimizer, made, 20)[2]])

    assert_close(losses(SOAP(0.01), True), losses(SOAP(0.01), False), rtol=1e-5, atol=0)
    assert (losses(Adam(0.01), True) - losses(Adam(0.01), False)).abs().max() > 1e-2


def test_bases_follow_the_eigenvectors() -> None:
    mean = (root := orthogonal(6, 7)) @ torch.diag(4.0 ** -torch.arange(6, dtype=torch.float64)) @ root.T
    basis = torch.eye(6, dtype=torch.float64)
    for _ in range(40):
        basis = _iterated(mean, basis)
    turned = basis.T @ mean @ basis
    assert_close(turned.diagonal(), 4.0 ** -torch.arange(6, dtype=torch.float64), rtol=1e-9, atol=1e-12)
    assert (turned - torch.diag(turned.diagonal())).abs().max() < 1e-9
    assert_close(basis.T @ basis, torch.eye(6, dtype=torch.float64), rtol=1e-12, atol=1e-12)
