"""Transfer from a rectangle to other domains, against training from scratch: how much sooner, how much better?

    python tests/benchmarks/transfer.py [PART …] [--seconds N] [--seed N]

prints Markdown tables, of which each row is one run of `task=transfer` and its arms:

    gauss_newton 14 domains with other boundary conditions, all parameters trained by Gauss–Newton
    adam_lbfgs   the same by Adam and L-BFGS, with a budget in which they get somewhere: say --seconds 60
    solved_head  the same, but from scratch, too, the head is solved for first
    missing      the same with 20 sensors of 1 % noise and one condition of the boundary unknown
    strategies   what of the features is trained
    sources      features of one square, of a family of rectangles, and of one solution
    harmful      sources that do more harm than good, planted
"""

import argparse
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from math import inf
from statistics import median
from typing import Any

from peers import machine

from pinnkit import catalogue, solve, transfer
from pinnkit.problem import INTERIOR
from pinnkit.result import Result

ARMS = ("from_scratch", "source_unchanged", "data_only", "physics_only", "data_physics", "one_shot")


@dataclass(frozen=True)
class Target:
    problem: str
    parameters: dict[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return str(self.parameters.get("shape", self.problem))

    @property
    def boundary(self) -> list[str]:
        conditions = catalogue.load(self.problem).build(**self.parameters).conditions
        return [name for name, condition in conditions.items() if condition.on != INTERIOR]


SHAPES = ("tee", "ushape", "holes", "sector", *(f"random_{seed}" for seed in range(8)))
TARGETS = [Target("heat_lshape"), Target("heat_polygon"), *(Target("heat_shapes", {"shape": s}) for s in SHAPES)]


def run(source: Any, target: Target, seconds: float, seed: int, **more: Any) -> Result:
    training = {"max_seconds": seconds}
    result = transfer(source, target.problem, problem=target.parameters, seed=seed, training=training, **more)
    print(f"{target.name}: {_cells(result)}", file=sys.stderr, flush=True)
    return result


def table(rows: Sequence[tuple[str, Result]]) -> Iterator[str]:
    yield "| | " + " | ".join(arm.replace("_", " ") for arm in ARMS) + " | one shot, s | speed-up | negative |"
    yield "|---" * (len(ARMS) + 4) + "|"
    for name, result in rows:
        yield f"| {name} | {_cells(result)} |"
    medians = " | ".join(_error(median(_errors(rows, arm))) for arm in ARMS)
    shots = median(result.metrics["arms"]["one_shot"]["seconds"] for _, result in rows)
    speedups = median(result.metrics["speedup"] or 0.0 for _, result in rows)
    flagged = sum(result.metrics["negative_transfer"] for _, result in rows)
    yield f"| **median** | {medians} | {shots:.2f} | {speedups:.1f} | {flagged} of {len(rows)} |"


def _cells(result: Result) -> str:
    arms, m = result.metrics["arms"], result.metrics
    errors = " | ".join(_error(arms[arm]["relative_l2"]) for arm in ARMS)
    speedup = "never" if m["speedup"] is None else f"{m['speedup']:.1f}"
    return f"{errors} | {arms['one_shot']['seconds']:.2f} | {speedup} | {m['negative_transfer']}"


def _errors(rows: Sequence[tuple[str, Result]], arm: str) -> list[float]:
    found = [result.metrics["arms"][arm]["relative_l2"] for _, result in rows]
    return [inf if error is None else error for error in found]


def _error(value: float | None) -> str:
    return "–" if value in (None, inf) else f"{value:.1e}"


def gauss_newton(seconds: float, seed: int) -> Iterator[str]:
    yield from table([(target.name, run("heat", target, seconds, seed)) for target in TARGETS])


def adam_lbfgs(seconds: float, seed: int) -> Iterator[str]:
    more = {"optimizer": "adam_lbfgs", "network": {"head": "random"}}
    yield from table([(target.name, run("heat", target, seconds, seed, **more)) for target in TARGETS])


def solved_head(seconds: float, seed: int) -> Iterator[str]:
    yield from table([(t.name, run("heat", t, seconds, seed, optimizer="adam_lbfgs")) for t in TARGETS])


def missing(seconds: float, seed: int) -> Iterator[str]:
    rows = []
    for target in TARGETS:
        unknown = target.boundary[seed % len(target.boundary)]
        result = run("heat", target, seconds, seed, task={"missing": [unknown]})
        rows.append((f"{target.name}, without {unknown}", result))
    yield from table(rows)
    gains = [_gain(result.metrics["arms"]) for _, result in rows]
    yield f"\nerror of the better of data only and physics only / data and physics: median {median(gains):.1f}, " \
          f"at least {min(gains):.1f}"  # fmt: skip


def _gain(arms: Any) -> float:
    alone = min(arms[name]["relative_l2"] for name in ("data_only", "physics_only"))
    return alone / arms["data_physics"]["relative_l2"]


def strategies(seconds: float, seed: int) -> Iterator[str]:
    layers = solve("heat_rectangle", network={"layers": [32, 32]}, optimizer="gauss_newton", seed=seed,
                   training={"max_seconds": 30})  # fmt: skip
    for name, source, network in (("heat", "heat", {}), ("two layers, one solution", layers, {"layers": [32, 32]})):
        rows = []
        for strategy in ("full", "frozen", "head", "lora", "l2"):
            if name != "heat" or strategy not in ("frozen", "lora"):  # one layer
                rows.append((strategy, run(source, TARGETS[0], seconds, seed, strategy=strategy, network=network)))
        yield f"\n{name}:\n"
        yield from table(rows)


def sources(seconds: float, seed: int) -> Iterator[str]:
    one = solve("heat_rectangle", optimizer="gauss_newton", seed=seed, training={"max_seconds": 30})
    for name, source in (("heat", "heat"), ("heat_rectangle", "heat_rectangle"), ("heat_family", "heat_family"),
                         ("one solution", one)):  # fmt: skip
        yield f"\n{name}:\n"
        yield from table([(t.name, run(source, t, seconds, seed)) for t in TARGETS[:6]])


def harmful(seconds: float, seed: int) -> Iterator[str]:
    def trained(problem: str, layers: list[int], **network: Any) -> Result:
        return solve(problem, network={"layers": layers, **network}, optimizer="gauss_newton", seed=seed,
                     training={"max_seconds": 10})  # fmt: skip

    waves = Target("helmholtz", {"modes": [6, 6]})
    rows = [
        ("few features", run(trained("heat_rectangle", [8]), TARGETS[0], seconds, seed)),
        ("features of short waves", run(trained("poisson_square", [100], slope=60.0), TARGETS[0], seconds, seed)),
        ("heat for waves, kept",
         run(trained("heat_rectangle", [32], slope=0.5), waves, seconds, seed, strategy="head")),
    ]  # fmt: skip
    yield from table(rows)


PARTS = {part.__name__: part for part in (gauss_newton, adam_lbfgs, solved_head, missing, strategies, sources, harmful)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", default=list(PARTS), metavar="PART")
    parser.add_argument("--seconds", type=float, default=10.0, help="budget of each arm")
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    print(machine())
    for part in asked.parts:
        print(f"\n## {part}\n")
        for line in PARTS[part](asked.seconds, asked.seed):
            print(line, flush=True)


if __name__ == "__main__":
    main()
