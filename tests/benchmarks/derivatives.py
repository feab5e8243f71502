"""One forward pass of Taylor coefficients against nested reverse-mode differentiation.

    python tests/benchmarks/derivatives.py [--points N] [--repeats N]

prints a Markdown table for several widths and depths: milliseconds for u, ∇u and Δu at the points, and for the residual
of −Δu = 1 with its Jacobian by all parameters. Both ways see the same network; the second one as a module that does
not know its derivatives. They are timed alternately in one process, and medians are given.
"""

import argparse
import time
from collections.abc import Callable
from statistics import median

import numpy as np
import torch
from torch import Tensor, nn

from pinnkit import Problem, Rectangle, dirichlet, grad, laplacian, pde
from pinnkit.networks import MLP
from pinnkit.residuals import Collocation, Residuals, field_at
from pinnkit.trial import Trial, TrialShape

SHAPES = [(100,), (400,), (50, 50), (50, 50, 50, 50), (128, 128, 128)]
JACOBIAN_POINTS = 300


class Opaque(nn.Module):
    """A network whose derivatives are not known to be known."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, x: Tensor) -> Tensor:
        return self.inner(x)


def poisson(u, x, y):
    return -laplacian(u, x, y) - 1


PROBLEM = Problem(Rectangle((0, 0), (1, 1)), {"poisson": pde(poisson), "wall": dirichlet("boundary")})


def trial_of(features: nn.Module) -> Trial:
    trial = Trial(features, TrialShape(("x", "y"), ("u",), ((0.0, 0.0), (1.0, 1.0)), {}))
    with torch.no_grad():
        trial.weight.fill_(1 / trial.width)
    return trial


def values(trial: Trial, points: Tensor) -> Tensor:
    """u, ∇u and Δu, (4, n)."""
    parameters = {name: p.detach() for name, p in trial.named_parameters()}
    (x, y), fields = field_at(trial, points, parameters)
    u = fields["u"]
    return torch.stack([u, *grad(u, x, y), laplacian(u, x, y)]).detach()


def residuals(trial: Trial, points: Tensor) -> Residuals:
    return Residuals(PROBLEM, trial, {"poisson": Collocation(points.numpy())})


def alternately(first: Callable[[], Tensor], second: Callable[[], Tensor], repeats: int) -> tuple[float, float]:
    """Median milliseconds of both, which must agree."""
    a, b = first(), second()
    assert float((a - b).norm() / b.norm()) < 1e-10
    times: tuple[list[float], list[float]] = ([], [])
    for _ in range(repeats):
        for function, taken in zip((first, second), times, strict=True):
            start = time.perf_counter()
            function()
            taken.append(1e3 * (time.perf_counter() - start))
    return median(times[0]), median(times[1])


def row(widths: tuple[int, ...], points: Tensor, repeats: int) -> str:
    network = MLP(2, widths, "tanh", 1.5, torch.Generator().manual_seed(0))
    known, opaque = trial_of(network), trial_of(Opaque(network))
    forward = alternately(lambda: values(known, points), lambda: values(opaque, points), repeats)
    few = points[:JACOBIAN_POINTS]
    here, there = residuals(known, few), residuals(opaque, few)
    theta, places = here.theta, [list(p) for p in (here.trial.state_dict(), there.trial.state_dict())]
    assert [name.replace("inner.", "") for name in places[1]] == places[0]
    jacobian = alternately(lambda: here.jacobian(theta)[1], lambda: there.jacobian(theta)[1], repeats)
    cells = [f"{one:.1f} | {nested:.1f} | {nested / one:.1f}" for one, nested in (forward, jacobian)]
    return f"| {'-'.join(map(str, (2, *widths, 1)))} | {' | '.join(cells)} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--points", type=int, default=2000)
    parser.add_argument("--repeats", type=int, default=9)
    asked = parser.parse_args()
    points = torch.from_numpy(np.random.default_rng(0).random((asked.points, 2)))
    print(f"{asked.points} points; Jacobian at {JACOBIAN_POINTS} points; {torch.get_num_threads()} threads; ms\n")
    print("| network | u, ∇u, Δu: one pass | nested | ratio | Jacobian: one pass | nested | ratio |")
    print("|---|---|---|---|---|---|---|")
    for widths in SHAPES:
        print(row(widths, points, asked.repeats), flush=True)


if __name__ == "__main__":
    main()
