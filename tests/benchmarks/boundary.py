"""Dirichlet data in the residual (soft) against exactly in the trial function (hard), run alternately.

    python tests/benchmarks/boundary.py [--problems NAME …] [--optimizers NAME …] [--seeds N] [--seconds S]

prints a Markdown table: relative L2 error (median and worst of the seeds), the largest error of the Dirichlet data on
the boundary, and seconds of training (median). `gauss_newton` trains a network with layers=[64].
"""

import argparse
from collections.abc import Iterator
from math import pi
from statistics import median
from typing import Any

import numpy as np
from torch import exp, sin

from pinnkit import Interval, Problem, Result, derivative, dirichlet, initial, pde, solve
from pinnkit.coefficients import boundary_coefficients

OPTIMIZERS: dict[str, dict[str, Any]] = {"least_squares": {}, "gauss_newton": {"layers": [64]}}
SAMPLES = 500


def rod() -> Problem:
    """u_t = u_xx on (0, 1) × (0, ½) from sin πx."""

    def heat(u, x, t):
        return derivative(u, t) - derivative(u, x, x)

    conditions = {"heat": pde(heat), "ends": dirichlet("boundary"), "start": initial(lambda x: sin(pi * x))}
    return Problem(Interval() * (0.0, 0.5), conditions, exact=lambda x, t: exp(-(pi**2) * t) * sin(pi * x), name="rod")


PROBLEMS: dict[str, Any] = {
    **{name: name for name in ("poisson_square", "heat_rectangle", "heat_lshape", "heat_polygon")},
    "rod": rod(),
}


def boundary_error(result: Result) -> float:
    """The largest |u − g| over the Dirichlet data."""
    worst = 0.0
    for name, condition in result.problem.conditions.items():
        for piece in result.problem.domain.resolve(condition.on) if condition.on != "interior" else ():
            sample = result.problem.domain.sample_boundary(SAMPLES, piece)
            read = boundary_coefficients(result.problem, name, sample.points, sample.normals)
            if not read.beta.any():
                difference = result.predict(sample.points)[:, 0] - read.g / read.alpha
                worst = max(worst, float(np.abs(difference).max()))
    return worst


def rows(problems: list[str], optimizers: list[str], seeds: int, seconds: float) -> Iterator[str]:
    for name in problems:
        for optimizer in optimizers:
            runs: dict[str, list[Result]] = {"soft": [], "hard": []}
            for seed in range(seeds):
                for boundary, results in runs.items():
                    network = {"boundary": boundary, **OPTIMIZERS[optimizer]}
                    limit = {"max_seconds": seconds}
                    results.append(
                        solve(PROBLEMS[name], seed=seed, optimizer=optimizer, network=network, training=limit)
                    )
            yield from (_row(name, optimizer, boundary, results) for boundary, results in runs.items())


def _row(name: str, optimizer: str, boundary: str, results: list[Result]) -> str:
    errors = [result.metrics["relative_l2"] for result in results]
    largest = max(map(boundary_error, results))
    training = median(result.metrics["seconds"]["train"] for result in results)
    return (
        f"| {name} | {optimizer} | {boundary} | {median(errors):.1e} | {max(errors):.1e} | {largest:.1e} "
        f"| {training:.1f} |"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--problems", nargs="+", default=list(PROBLEMS), choices=list(PROBLEMS))
    parser.add_argument("--optimizers", nargs="+", default=list(OPTIMIZERS), choices=list(OPTIMIZERS))
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=60.0)
    asked = parser.parse_args()
    print("| problem | optimizer | boundary | relative L2, median | worst | on the boundary | training, s |")
    print("|---|---|---|---|---|---|---|")
    for row in rows(asked.problems, asked.optimizers, asked.seeds, asked.seconds):
        print(row, flush=True)


if __name__ == "__main__":
    main()
