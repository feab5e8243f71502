"""Committees: how often bands cover the truth, how wide they are, and whether asking where members disagree pays.

python tests/benchmarks/committees.py [coverage | half | active | instances] … [--seeds N]

coverage  raw and calibrated coverage of nominal 95 %, mean width against plain split conformal's, on 20000 truths
half      sensors in half of the domain alone: does the spread grow with the error elsewhere?
active    from 10 sensors to 20, five at a time: where the committee disagrees, against anywhere
instances bands calibrated on 24 other instances: how much of the truths of 8 N further ones they cover
"""

import argparse
from collections.abc import Iterator
from dataclasses import replace
from statistics import median
from typing import Any

import numpy as np
import torch
from peers import machine

from pinnkit import Problem, catalogue, measured, solve
from pinnkit.calibration import calibrate, quantile, rank_correlation
from pinnkit.calibration import coverage as calibrated
from pinnkit.result import Result

PROBLEMS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("heat_lshape", {}), ("nonlinear_poisson", {}), ("inverse_heat", {}), ("hidden_edge", {}),
    ("hidden_edge", {"half": True}),
)  # fmt: skip
COLUMNS = (
    "| problem | seed | error | raw | calibrated | mean width | plain split conformal | rank correlation |",
    "|---|---|---|---|---|---|---|---|",
)
START, EACH, ROUNDS, NOISE = 10, 5, 2, 0.01
CALIBRATING, TURN, LEVEL = 24, 8, 0.95


def committee(problem: str | Problem, seed: int, parameters: dict[str, Any] | None = None, **task: Any) -> Result:
    return solve(problem, seed=seed, problem=parameters or {}, task={"name": "committee", **task})


def _row(name: str, seed: int, m: Any) -> str:
    correlation = "–" if m["rank_correlation"] is None else f"{m['rank_correlation']:.2f}"
    return (
        f"| {name} | {seed} | {m['relative_l2']:.1e} | {m['coverage']['raw']:.3f} | {m['coverage']['calibrated']:.3f} "
        f"| {m['mean_width']:.2e} | {m['plain_width']:.2e} | {correlation} |"
    )


def coverage(seeds: int) -> Iterator[str]:
    yield from COLUMNS
    for name, parameters in PROBLEMS:
        for seed in range(seeds):
            own = {**parameters, "noise_seed": seed} if name in ("hidden_edge", "inverse_heat") else parameters
            yield _row(name + (" (half)" if parameters else ""), seed, committee(name, seed, own).metrics)


def half(seeds: int) -> Iterator[str]:
    yield "| truth | error | rank correlation, everywhere | where there are no sensors | head's posterior, everywhere |"
    yield "|---|---|---|---|---|"
    found = []
    for truth in range(seeds):
        result = committee("hidden_edge", truth, {"half": True, "truth": truth, "noise_seed": truth})
        points = result.problem.domain.sample(20000, "uniform", np.random.default_rng(truth))
        points = points[points[:, 0] > 0.5]
        assert result.reference is not None
        errors = np.abs(result.predict(points) - result.reference.value(points))[:, 0]
        m, there = result.metrics, rank_correlation(errors, result.solution.spread(points)[:, 0]) or 0.0
        found.append(there)
        head = m["bayesian_head"]["rank_correlation"]
        yield f"| {truth} | {m['relative_l2']:.1e} | {m['rank_correlation']:.2f} | {there:.2f} | {head:.2f} |"
    yield f"\nwhere there are no sensors: median {median(found):.2f}, at least {min(found):.2f}"


def active(seeds: int) -> Iterator[str]:
    yield f"| truth | {START} sensors | + {ROUNDS * EACH} where members disagree | + {ROUNDS * EACH} anywhere |"
    yield "|---|---|---|---|"
    gains = []
    for truth in range(seeds):
        problem = catalogue.load("hidden_edge").build(truth=truth, noise_seed=truth, sensors=START, noise=NOISE)
        start = committee(problem, truth, calibration="none", acquire=EACH)
        errors = {}
        for how in ("active", "random"):
            result = start
            for k in range(ROUNDS):
                rng = np.random.default_rng([truth, k])
                there = np.array(result.metrics["next_points"]) if how == "active" else rng.random((EACH, 2))
                result = committee(_with(result.problem, there, rng), truth, calibration="none", acquire=EACH)
            errors[how] = result.metrics["relative_l2"]
        gains.append(errors["random"] / errors["active"])
        yield f"| {truth} | {start.metrics['relative_l2']:.1e} | {errors['active']:.1e} | {errors['random']:.1e} |"
    yield f"\nerror anywhere / error where members disagree: median {median(gains):.1f}, at least {min(gains):.1f}"


def instances(seeds: int) -> Iterator[str]:
    """The first 24 truths calibrate, the others judge; then another 24 calibrate, and so on, eight at a time."""
    found = [_compared(truth) for truth in range(CALIBRATING + TURN * seeds)]
    yield "| calibrating instances | mean coverage of the others | least | mean width | of one width everywhere |"
    yield "|---|---|---|---|---|"
    covered = []
    for turn in range(seeds):
        first = TURN * turn
        chosen = found[first : first + CALIBRATING]
        errors, spreads = (np.concatenate(column) for column in zip(*chosen, strict=True))
        calibration = calibrate(errors, spreads, LEVEL, CALIBRATING)
        flat = quantile(errors, LEVEL, CALIBRATING)
        rest = found[:first] + found[first + CALIBRATING :]
        each = [calibrated(e, calibration.half_width(s, LEVEL)) for e, s in rest]
        width = 2 * np.mean([calibration.half_width(s, LEVEL).mean() for _, s in rest])
        covered.append(float(np.mean(each)))
        calibrating = f"{first} – {first + CALIBRATING - 1}"
        yield f"| {calibrating} | {covered[-1]:.3f} | {min(each):.3f} | {width:.2f} | {2 * flat:.2f} |"
    yield f"\nmean coverage {np.mean(covered):.3f} of nominal {LEVEL}"


def _compared(truth: int) -> tuple[np.ndarray, np.ndarray]:
    """Errors and spreads (n,) of a committee on one instance."""
    result = committee("hidden_edge", 0, {"truth": truth, "noise_seed": truth}, calibration="none", acquire=0)
    assert result.judgement is not None
    return result.judgement.errors, result.judgement.spreads


def _with(problem: Problem, points: np.ndarray, rng: np.random.Generator) -> Problem:
    """The problem with more sensors of the same noise."""
    before = problem.conditions["sensors"]
    assert before.points is not None
    sigma = before.deviation
    clean = problem.exact_values(torch.from_numpy(points))[:, 0].numpy()
    values = np.append(before.values["measured"], clean + sigma * rng.normal(size=len(points)))
    sensors = measured(np.concatenate([before.points, points]), values, sigma)
    return replace(problem, conditions={**problem.conditions, "sensors": sensors})


PARTS = {part.__name__: part for part in (coverage, half, active, instances)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", default=list(PARTS), metavar="PART")
    parser.add_argument("--seeds", type=int, default=5)
    asked = parser.parse_args()
    print(machine())
    for part in asked.parts:
        print(f"\n## {part}\n")
        for line in PARTS[part](asked.seeds):
            print(line, flush=True)


if __name__ == "__main__":
    main()
