"""Several solutions of one problem, from different draws, and what their disagreement is worth."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pinnkit.acquisition import most_informative
from pinnkit.assembly import assemble
from pinnkit.bounds import KIND, barrier
from pinnkit.calibration import (
    Calibration,
    Reliability,
    calibrate,
    coverage,
    normal_half_width,
    quantile,
    rank_correlation,
    reliability,
    students_half_width,
)
from pinnkit.errors import BadInput
from pinnkit.evaluation import Reference, relative_l2
from pinnkit.instances import Instances, errors_and_spreads, held_out_instances
from pinnkit.members import assembled, train_members, unseen
from pinnkit.merit import judged
from pinnkit.posterior import head_posterior
from pinnkit.problem import Problem
from pinnkit.residuals import Collocation, residual_at
from pinnkit.result import Committee, Result, Solution
from pinnkit.settings import Committee as Task
from pinnkit.settings import Settings
from pinnkit.solving import monitored
from pinnkit.training import Training

CANDIDATES = 2000  # for the next measurement
AGREED = 1e-11  # relative spread that is round-off
FEWEST_OUT_OF_BAG = 2  # members without a sensor, from which on it is held out
Array = NDArray[np.float64]


@dataclass(frozen=True)
class Judgement:
    """What truths say of a committee, of which some calibrated it (at `used`) and others did not."""

    kind: str  # of truths: reference, data, instances, or none
    level: float
    used: Array  # points (k, d)
    errors: Array  # |mean − truth| at fresh points (n,), of all fields
    spreads: Array  # likewise
    half_widths: Array
    raw: float | None
    calibrated: float | None
    reliability: Reliability | None
    rank_correlation: float | None  # of errors and spreads (Spearman)
    plain_width: float | None  # of split conformal bands of one width everywhere
    instances: int = 0  # that calibrated it

    def metrics(self) -> dict[str, Any]:
        """What metrics.json says of it."""
        mean = float(2 * self.half_widths.mean()) if len(self.half_widths) else None
        return {
            "coverage": {"nominal": self.level, "raw": self.raw, "calibrated": self.calibrated},
            "mean_width": mean if mean is None or math.isfinite(mean) else None,
            "plain_width": self.plain_width,
            "rank_correlation": self.rank_correlation,
            "calibration": self.kind,
            "held_out": self.instances or len(self.used),
        }


class Judged(NamedTuple):
    committee: Committee
    judgement: Judgement
    bayesian: Mapping[str, float | None] | None  # what the posterior of one head would have said
    bound: Mapping[str, Any] | None  # of the mean's error everywhere


def check_committee(problem: Problem, task: Task, features: bool = False) -> None:
    """Raises BadInput where a committee makes no sense."""
    if features:
        raise BadInput("features", "members draw features of their own", "leave them out, or write task=solve")
    if task.calibration == "data" and not problem.measured:
        raise BadInput("task.calibration", "the problem has no measured data", "write task.calibration=auto")
    if task.calibration == "data" and not task.bootstrap:
        what = "without task.bootstrap every member has seen all data"
        raise BadInput("task.calibration", what, "write task.bootstrap=true")


def truths_for(problem: Problem, settings: Settings, reference: Reference | None) -> str:
    """What calibrates: reference, data, instances or none. Raises BadInput where that is not there."""
    task = settings.task
    assert isinstance(task, Task)
    if task.instances:
        return "instances"
    kind = task.calibration
    if kind == "reference" and reference is None:
        raise BadInput("task.calibration", "there is no reference", "write task.calibration=auto")
    out_of_bag = task.bootstrap and any(_held_out(problem, settings, name)[1].any() for name in _values_of(problem))
    if kind == "data" and not out_of_bag:
        raise BadInput("task.calibration", "no sensor was left out by two members", "take more members")
    if kind == "auto":
        return "reference" if reference else "data" if out_of_bag else "none"
    return kind


def _values_of(problem: Problem) -> list[str]:
    """The conditions on measured values: those of one's own residuals may have none."""
    return [name for name in problem.measured if {"measured", "spread"} <= problem.conditions[name].values.keys()]


def _held_out(problem: Problem, settings: Settings, name: str) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Which member has not seen which sensor (members, n), and which sensors that makes truths (n,)."""
    out = unseen(problem, settings, name)
    return out, out.sum(0) >= FEWEST_OUT_OF_BAG


def judge(
    committee: Committee, problem: Problem, settings: Settings, reference: Reference | None,
    others: Instances | None = None,
) -> tuple[Committee, Judgement]:  # fmt: skip
    """The committee with bands, and what truths that did not make them say of these."""
    task = settings.task
    assert isinstance(task, Task)
    kind = truths_for(problem, settings, reference)
    used, plain_width, count = np.empty((0, problem.domain.dimension)), None, 0
    if others is not None:
        count, m = len(others.errors), len(problem.fields)
        errors, spreads = others.errors.reshape(-1, m), others.spreads.reshape(-1, m)
        committee, plain_width = _calibrated(committee, errors, spreads, task.level, count)
    elif kind == "reference":
        assert reference is not None
        used = problem.domain.sample(task.held_out, "uniform", np.random.default_rng([settings.seed, 4]))
        errors, spreads = errors_and_spreads(committee, reference, used)
        committee, plain_width = _calibrated(committee, errors, spreads, task.level)
    elif kind == "data":
        used, calibration = _from_data(committee, problem, settings)
        committee = replace(committee, calibrations=(calibration,) * len(problem.fields))
    found = _judged(committee, problem, settings, reference, kind, used)
    return committee, replace(found, plain_width=plain_width, instances=count)


def _calibrated(
    committee: Committee, errors: Array, spreads: Array, level: float, groups: int | None = None
) -> tuple[Committee, float]:
    """With bands from held-out errors and spreads (n, fields), and how wide plain conformal ones would be."""
    each = zip(errors.T, spreads.T, strict=True)
    calibrations = tuple(calibrate(own, spread, level, groups) for own, spread in each)
    return replace(committee, calibrations=calibrations), _plain_width(errors, level, groups)


def _from_data(committee: Committee, problem: Problem, settings: Settings) -> tuple[Array, Calibration]:
    """From what each sensor says of those members that have not seen it (Kim, Xu & Barber 2020).

    It is a band for what another such sensor would show, noise and all.
    """
    task = settings.task
    assert isinstance(task, Task)
    points, errors, spreads = [], [], []
    for name in _values_of(problem):
        condition, (out, enough) = problem.conditions[name], _held_out(problem, settings, name)
        assert condition.points is not None
        missed = np.stack([_missed(problem, one, name) for one in committee.members])
        for k in np.flatnonzero(enough):
            theirs = missed[out[:, k], k]
            errors.append(abs(theirs.mean()))
            spreads.append(theirs.std(ddof=1))
        points.append(condition.points[enough])
    order = np.random.default_rng([settings.seed, 4]).permutation(len(errors))
    return np.concatenate(points), calibrate(np.array(errors)[order], np.array(spreads)[order], task.level)


def _missed(problem: Problem, one: Solution, name: str) -> Array:
    """By how much a member misses each of the measured values (n,), of whatever field they are."""
    condition = problem.conditions[name]
    assert condition.points is not None
    rows = residual_at(problem, one.trial, name, Collocation(condition.points, values=condition.values))
    return rows[0].double().cpu().numpy() * condition.values["spread"]


def _judged(
    committee: Committee, problem: Problem, settings: Settings, reference: Reference | None, kind: str, used: Array
) -> Judgement:
    task = settings.task
    assert isinstance(task, Task)
    n, rng = settings.evaluation.points, np.random.default_rng([settings.seed, 1, 0])
    points = problem.domain.sample(n, "uniform", rng)
    if reference is None:
        half = committee.half_width(committee.spread(points), task.level)
        nothing = np.empty(0)
        return Judgement(kind, task.level, used, nothing, nothing, half.ravel(), None, None, None, None, None)
    errors, spreads = errors_and_spreads(committee, reference, points)
    half, members = committee.half_width(spreads, task.level), len(committee.members)
    raw = coverage(errors, students_half_width(spreads, members, task.level))
    calibrated = coverage(errors, half) if committee.calibrations else None
    curve = None
    if committee.calibrations:
        each = zip(committee.calibrations, errors.T, spreads.T, strict=True)
        curve = _mean([reliability(calibration, e, s, members) for calibration, e, s in each])
    return Judgement(
        kind, task.level, used, errors.ravel(), spreads.ravel(), half.ravel(), raw, calibrated, curve,
        rank_correlation(errors.ravel(), spreads.ravel()), None,
    )  # fmt: skip


def _plain_width(errors: Array, level: float, groups: int | None = None) -> float:
    """Mean width of split conformal bands of one width everywhere, from held-out errors (n, fields)."""
    return 2 * float(np.mean([quantile(own, level, groups) for own in errors.T]))


def _mean(curves: Sequence[Reliability]) -> Reliability:
    raw, calibrated = (np.mean([getattr(c, name) for c in curves], 0) for name in ("raw", "calibrated"))
    return Reliability(curves[0].levels, raw, calibrated)


def unknowns(committee: Committee, problem: Problem) -> dict[str, dict[str, float | None]]:
    """Mean of each unknown coefficient, and its relative deviation among members."""
    found: dict[str, dict[str, float | None]] = {}
    for name, unknown in problem.unknowns.items():
        values = np.array([one.unknowns[name] for one in committee.members])
        mean, deviation = float(values.mean()), float(values.std(ddof=1))
        relative = deviation / abs(mean) if mean else None
        found[name] = {"value": mean, "true": unknown.true, "relative_deviation": relative}
    return found


def next_points(committee: Committee, problem: Problem, settings: Settings) -> Array:
    """Points (≤ acquire, d) at which a measurement of the first field would tell most."""
    task = settings.task
    assert isinstance(task, Task)
    candidates = problem.domain.sample(CANDIDATES, "sobol", np.random.default_rng([settings.seed, 5]))
    values = committee.values(candidates)[:, :, 0]
    if values.std(0).max() <= AGREED * np.abs(values).max():
        return candidates[:0]
    deviations = [problem.conditions[name].deviation for name in problem.measured]
    return candidates[most_informative(values, task.acquire, max(deviations, default=0.0))]


def members_table(committee: Committee, reference: Reference | None, training: Training) -> list[dict[str, Any]]:
    """Seed, residual, distance from the mean, error and seconds of each member."""
    points = monitored(training)
    values = committee.values(points)
    mean, truth = values.mean(0), reference.value(points) if reference else None
    rows = []
    for one, own in zip(committee.members, values, strict=True):
        row: dict[str, Any] = {"seed": one.settings.seed, "loss": one.history[-1]["loss"]}
        row["from_mean"] = relative_l2(own, mean)
        row["relative_l2"] = None if truth is None else relative_l2(own, truth)
        row |= {name: one.unknowns[name] for name in training.problem.unknowns}
        rows.append(row | {"seconds": one.metrics["seconds"]["train"]})
    return rows


def run_committee(
    problem: Problem, settings: Settings, reference: Reference | None, folder: Path, from_file: bool
) -> tuple[Training, Judged]:
    """Train all members in a folder, and judge them together. Raises BadInput before, where truths are not there."""
    truths_for(problem, settings, reference)
    task = settings.task
    assert isinstance(task, Task)
    committee, training = assembled(problem, settings, train_members(problem, settings, folder / "members", from_file))
    others = held_out_instances(settings, folder / "instances") if task.instances else None
    committee, judgement = judge(committee, problem, settings, reference, others)
    bayesian = _bayesian(committee, problem, settings, reference) if problem.open and reference else None
    return training, Judged(committee, judgement, bayesian, bound_of(committee, problem))


def bound_of(committee: Committee, problem: Problem) -> dict[str, Any] | None:
    """Largest value and mean of a bound of the mean's error; None where theory gives none."""
    settings = committee.settings
    found = barrier(problem, settings, [one.trial for one in committee.members])
    if found is None:
        return None
    rng = np.random.default_rng([settings.seed, 1, 0])
    values = found.value(problem.domain.sample(settings.evaluation.points, "uniform", rng))
    return {"max": max(float(values.max()), found.largest), "mean": float(values.mean()), "kind": KIND}


def _bayesian(
    committee: Committee, problem: Problem, settings: Settings, reference: Reference
) -> dict[str, float | None]:
    """Error, coverage, width and rank correlation of the posterior of the head on the first member's features."""
    task, told = settings.task, committee.members[0].settings
    assert isinstance(task, Task)
    assembly = assemble(problem, told)
    assembly.trial.load_state_dict(committee.trial.state_dict())
    n, rng = settings.evaluation.points, np.random.default_rng([settings.seed, 1, 0])
    points = problem.domain.sample(n, "uniform", rng)
    mean, deviation = head_posterior(assembly.residuals).predict(points)
    truth = reference.value(points)
    half = normal_half_width(deviation, task.level)
    return {
        "relative_l2": relative_l2(mean, truth),
        "coverage": coverage(mean - truth, half),
        "mean_width": float(2 * half.mean()),
        "rank_correlation": rank_correlation(np.abs(mean - truth).ravel(), deviation.ravel()),
    }


def described(
    problem: Problem, done: Judged, training: Training, reference: Reference | None, seconds: dict[str, float]
) -> Result:
    """The result, with all its metrics."""
    committee = done.committee
    result = judged(training, reference, seconds, committee.predict)
    metrics = {**result.metrics, **done.judgement.metrics()}
    metrics["next_points"] = next_points(committee, problem, training.settings).tolist()
    metrics["members"] = members_table(committee, reference, training)
    metrics["bound"] = done.bound and dict(done.bound)
    if done.bayesian:
        metrics["bayesian_head"] = dict(done.bayesian)
    problem = training.problem if problem.modes else problem
    if problem.unknowns:
        metrics["unknowns"] = unknowns(committee, problem)
    return replace(result, problem=problem, solution=replace(committee, metrics=metrics), judgement=done.judgement)
