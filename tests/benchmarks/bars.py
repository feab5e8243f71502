"""How well and how fast the problems that come with pinnkit are solved, over several seeds, against bars set for them.

    python tests/benchmarks/bars.py [--cases NAME …] [--tiers auto trained …] [--seeds N]

prints a Markdown table. Tier "auto" is everything at its default; tier "trained" trains all parameters of a plain
network, `optimizer=gauss_newton`, whose default are 100 sines, for as many seconds as the bar allows. Errors are
relative L2 (of eigenvalues: the largest relative error of those that are known), seconds those of the whole solve
without the reference, sampling and assembly included, figures not. "to the bar" are seconds of training until the
error is below the bar for the first time. References are solved before, once.
"""

import argparse
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from math import inf, pi
from statistics import median
from typing import Any

from peers import machine

from pinnkit import solve

# of the L-shape (Betcke & Trefethen 2005; the third mode is that of a square)
EIGENVALUES = (9.63972384402194, 15.19725192645431, 2 * pi**2)
TIERS: dict[str, dict[str, Any]] = {"auto": {}, "trained": {"optimizer": "gauss_newton"}}


@dataclass(frozen=True)
class Case:
    """A problem, and for each tier the error asked for and the seconds in which (None: none is)."""

    problem: str
    bars: dict[str, tuple[float | None, float | None]]
    parameters: dict[str, Any] = field(default_factory=dict)


CASES = {
    "poisson_square": Case("poisson_square", {"auto": (1e-12, 2), "trained": (1e-9, 60)}),
    "poisson_nd": Case("poisson_nd", {"auto": (1e-6, 120), "trained": (1e-6, 120)}),
    "heat_rod": Case("heat_rod", {"auto": (1e-12, 5), "trained": (1e-9, 60)}),
    "helmholtz": Case("helmholtz", {"auto": (1e-11, 10), "trained": (1e-9, 120)}),
    "helmholtz_6_6": Case("helmholtz", {"auto": (1e-8, 30), "trained": (1e-7, 300)}, {"modes": [6, 6]}),
    "nonlinear_poisson": Case("nonlinear_poisson", {"auto": (1e-11, 10), "trained": (1e-8, 60)}),
    "poisson_lshape": Case("poisson_lshape", {"auto": (1e-11, 2), "trained": (1e-7, 60)}),
    "membrane_lshape": Case("membrane_lshape", {"auto": (1e-10, 10)}),
    "gaussian_peak": Case("gaussian_peak", {"auto": (1e-8, 60)}),
    "heat_rectangle": Case("heat_rectangle", {"auto": (None, None)}),
    "heat_lshape": Case("heat_lshape", {"auto": (1e-7, 30), "trained": (1e-7, 60)}),
    "heat_polygon": Case("heat_polygon", {"auto": (1e-5, 60)}),
    "heat_lshape_transient": Case("heat_lshape_transient", {"auto": (None, None)}),
    "inverse_heat": Case("inverse_heat", {"auto": (None, None)}),
}


@dataclass(frozen=True)
class Run:
    error: float
    seconds: float
    to_the_bar: float
    trusted: bool
    stop_reason: str


def run(case: Case, tier: str, seed: int) -> Run:
    bar, seconds = case.bars[tier]
    limit = {"training": {"max_seconds": seconds}} if tier == "trained" else {}
    start = time.perf_counter()
    result = solve(case.problem, problem=case.parameters, seed=seed, **TIERS[tier], **limit)
    whole = time.perf_counter() - start - result.metrics["seconds"]["reference"]
    reached = [row["seconds"] for row in result.history if (row.get("relative_l2") or inf) <= (bar or 0)]
    return Run(_error(result.metrics), whole, min(reached, default=inf), result.metrics["verdict"] == "trusted",
               result.metrics["stop_reason"])  # fmt: skip


def _error(metrics: Any) -> float:
    if "eigenvalues" not in metrics:
        return metrics["relative_l2"]
    return max(abs(a - b) / b for a, b in zip(metrics["eigenvalues"], EIGENVALUES, strict=True))


def row(name: str, tier: str, seeds: int) -> str:
    case = CASES[name]
    bar, allowed = case.bars[tier]
    solve(case.problem, problem=case.parameters, training={"max_steps": 1})  # solves and keeps the reference
    runs = [run(case, tier, seed) for seed in range(seeds)]
    errors, seconds = ([getattr(each, key) for each in runs] for key in ("error", "seconds"))
    reached = [each.to_the_bar for each in runs]
    wanted = "–" if bar is None else f"{bar:.0e} / {allowed:g} s"
    to_it = "–" if min(reached) == inf else f"{median(reached):.2g} ({max(reached):.2g})"
    reasons = "; ".join(dict.fromkeys(each.stop_reason for each in runs))
    return (
        f"| {name} | {tier} | {wanted} | {median(errors):.1e} | {max(errors):.1e} | {median(seconds):.1f} "
        f"| {max(seconds):.1f} | {to_it} | {sum(each.trusted for each in runs)} of {seeds} | {reasons} |"
    )


def rows(names: list[str], tiers: list[str], seeds: int) -> Iterator[str]:
    for name in names:
        yield from (row(name, tier, seeds) for tier in tiers if tier in CASES[name].bars)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", nargs="+", default=list(CASES), choices=list(CASES))
    parser.add_argument("--tiers", nargs="+", default=list(TIERS), choices=list(TIERS))
    parser.add_argument("--seeds", type=int, default=5)
    asked = parser.parse_args()
    print(f"{machine()}\n")
    print(
        "| case | tier | bar | error, median | worst | s, median | worst | s to the bar, median (worst) | trusted "
        "| stopped because |\n|" + "---|" * 10
    )
    for line in rows(asked.cases, asked.tiers, asked.seeds):
        print(line, flush=True)


if __name__ == "__main__":
    main()
