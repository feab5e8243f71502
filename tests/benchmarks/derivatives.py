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
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from pinnkit import Problem, Rectangle, derivative, laplacian, pde
from pinnkit.networks import MLP
from pinnkit.residuals import Collocation, Residuals
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


def everything(u, x, y):
    return u, derivative(u, x), derivative(u, y), laplacian(u, x, y)


def residuals(features: MLP | Opaque, equation: Callable[..., Any], points: NDArray[np.float64]) -> Residuals:
    trial = Trial(features, TrialShape(("x", "y"), ("u",), ((0.0, 0.0), (1.0, 1.0)), {}))
    with torch.no_grad():
        trial.weight.fill_(1 / trial.width)
    problem = Problem(Rectangle((0, 0), (1, 1)), {"equation": pde(equation)})
    return Residuals(problem, trial, {"equation": Collocation(points)})


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


def row(widths: tuple[int, ...], points: NDArray[np.float64], repeats: int) -> str:
    network = MLP(2, widths, "tanh", 1.5, torch.Generator().manual_seed(0))
    ways, few = (network, Opaque(network)), points[:JACOBIAN_POINTS]
    one, nested = (residuals(way, everything, points) for way in ways)
    values = alternately(lambda: one(one.theta), lambda: nested(nested.theta), repeats)
    here, there = (residuals(way, poisson, few) for way in ways)
    slopes = alternately(lambda: here.jacobian(here.theta)[1], lambda: there.jacobian(there.theta)[1], repeats)
    cells = [f"{quick:.1f} | {slow:.1f} | {slow / quick:.1f}" for quick, slow in (values, slopes)]
    return f"| {'-'.join(map(str, (2, *widths, 1)))} | {' | '.join(cells)} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--points", type=int, default=2000)
    parser.add_argument("--repeats", type=int, default=9)
    asked = parser.parse_args()
    points = np.random.default_rng(0).random((asked.points, 2))
    print(f"{asked.points} points; Jacobian at {JACOBIAN_POINTS} points; {torch.get_num_threads()} threads; ms\n")
    print("| network | u, ∇u, Δu: one pass | nested | ratio | Jacobian: one pass | nested | ratio |")
    print("|---|---|---|---|---|---|---|")
    for widths in SHAPES:
        print(row(widths, points, asked.repeats), flush=True)


if __name__ == "__main__":
    main()
