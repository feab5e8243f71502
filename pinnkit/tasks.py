"""What can be asked of pinnkit, each a few lines over the other rooms: here `solve`.

A run folder holds metrics.json, history.csv, status.json, solution.npz, solution.vtu, plots/, report.html and
checkpoints/; files are written whole or not at all.
"""

import csv
import io
import json
import logging
import math
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from pinnkit import catalogue, checkpoint, growth, modes
from pinnkit.assembly import assemble, check_peaks
from pinnkit.corners import CornerFunctions
from pinnkit.errors import BadInput, CheckpointUnusable, OutputFailed, PinnkitError
from pinnkit.evaluation import Array, Reference, errors, relative_l2, verdict, worst_field
from pinnkit.files import write_atomically
from pinnkit.optimizers.base import loss_of
from pinnkit.problem import Problem
from pinnkit.reference.derived import default_cache, reference_for
from pinnkit.result import Result, Solution, predict, shape_to_plain, to_plain
from pinnkit.settings import LBFGS, AdamLBFGS, Settings, SSBroyden, check_device
from pinnkit.signals import catching
from pinnkit.training import Training
from pinnkit.wellposed import check

SCHEMA = 1
UNDETERMINED = 0.5  # relative standard deviation from which an unknown coefficient is not known
TRUSTED = 1e-2  # relative L2 error of a trusted answer where no accuracy is asked for
MONITORED = 2000  # points on which the error is watched during training
log = logging.getLogger(__name__)


def prepare(settings: Settings) -> Problem:
    """The problem that the settings ask for, checked. Raises BadInput."""
    problem = catalogue.build(settings.problem)
    _check(problem, settings)
    return problem


def run(settings: Settings, folder: Path) -> Result:
    """Solve as the settings say, into a run folder."""
    return _solve(prepare(settings), settings, folder, visible=True)


def solve(
    problem: Problem | str,
    /,
    *,
    folder: str | Path | None = None,
    features: nn.Module | None = None,
    **settings: Any,
) -> Result:
    """Solve a problem: one of ours by name, your own by the path of its file, or a `Problem`.

    Further arguments are settings as on the command line, groups as mappings, or as names where they have them:

        solve("heat_lshape", seed=1, optimizer="adam", training={"max_steps": 500}, problem={"hot": 100})

    `features` is a module of your own that maps scaled points (n, d) to features (n, width). With a `folder` the run
    leaves its files there. Raises BadInput, Diverged, OutputFailed.
    """
    chosen = _settings(problem, settings)
    built = problem if isinstance(problem, Problem) else catalogue.build(chosen.problem)
    _check(built, chosen)
    return _solve(built, chosen, None if folder is None else Path(folder), visible=False, features=features)


def _settings(problem: Problem | str, settings: Mapping[str, Any]) -> Settings:
    groups = {key: {"name": value} if key in ("optimizer", "network") and isinstance(value, str) else value
              for key, value in settings.items()}  # fmt: skip
    if isinstance(problem, Problem):
        named: dict[str, Any] = {"name": problem.name}
    elif problem.endswith(".py"):
        named = {"name": Path(problem).stem, "file": problem}
    else:
        named = {"name": problem}
    return Settings.from_mapping({"problem": {**named, **groups.pop("problem", {})}, **groups})


def _check(problem: Problem, settings: Settings) -> None:
    check(problem)
    check_device(settings.device, settings.dtype)
    check_peaks(settings, len(problem.coordinates))
    if settings.sampling.resample and isinstance(settings.optimizer, LBFGS | AdamLBFGS | SSBroyden):
        raise BadInput(
            "sampling.resample",
            "quasi-Newton methods need points that stay",
            "write sampling.resample=0, or optimizer=adam",
        )
    if settings.reference.kind == "exact" and problem.exact is None:
        raise BadInput("reference.kind", "the problem has no exact solution", "use auto, fem or none")


def _solve(
    problem: Problem, settings: Settings, folder: Path | None, visible: bool, features: nn.Module | None = None
) -> Result:
    start = time.perf_counter()
    kept = _to_resume(settings, folder)
    _status(folder, "running")
    try:
        reference = _reference(problem, settings)
        began = time.perf_counter()
        training = _trained(problem, settings, features, kept, reference, folder, visible)
        seconds = {"train": time.perf_counter() - began, "reference": reference.seconds if reference else 0.0}
        result = _result(training, reference, {**seconds, "total": time.perf_counter() - start})
        if folder is not None:
            _write(result, training, folder)
    except PinnkitError as error:
        status = {75: "preempted", 130: "interrupted"}.get(error.exit_code, "failed")
        with suppress(OutputFailed):
            _status(folder, status, str(error))
        raise
    return result


def _trained(
    problem: Problem, settings: Settings, features: nn.Module | None, kept: Mapping[str, Any] | None,
    reference: Reference | None, folder: Path | None, visible: bool,
) -> Training:  # fmt: skip
    """Train from the start, or from a checkpoint, whose settings hold what had been chosen automatically."""

    if problem.modes:
        return modes.train(problem, settings, lambda training: _keep(training, _solution(training, {}), folder))

    def run(chosen: Settings, before: Training | None) -> Training:
        assembly = assemble(problem, chosen, features, before.assembly if before else None)
        training = Training.start(problem, chosen, assembly, before)
        if kept is not None:
            _restore(training, kept)
        _train(training, reference, folder, visible)
        return training

    if kept is not None:
        then = Settings.from_mapping(kept["solution"]["settings"])
        return run(replace(settings, network=then.network, optimizer=then.optimizer), None)
    if features is not None:
        settings = replace(settings, network=replace(settings.network, polynomials=0))
    return growth.train(problem, settings, run)


def _restore(training: Training, kept: Mapping[str, Any]) -> None:
    """Raises CheckpointUnusable where the problem is not the one it was."""
    shape = shape_to_plain(training.assembly.trial.shape)
    try:
        if kept["solution"]["shape"] != shape:
            raise KeyError("shape")
        training.restore(kept["training"], kept["solution"]["network"])
    except (KeyError, RuntimeError):
        what = "the problem has changed since the checkpoint was written"
        raise CheckpointUnusable(f"resume: {what}; start anew") from None


def _reference(problem: Problem, settings: Settings) -> Reference | None:
    wanted = settings.reference
    if problem.modes:
        return None
    tolerance = wanted.tolerance or (1e-5 if problem.transient else 1e-6)
    return reference_for(problem, wanted.kind, tolerance, default_cache() if wanted.cache else None)


def _train(training: Training, reference: Reference | None, folder: Path | None, visible: bool) -> None:
    problem, trial = training.problem, training.assembly.trial
    points = problem.domain.sample(MONITORED, "uniform", np.random.default_rng([training.settings.seed, 1, 1]))
    truth = reference.value(points) if reference else None
    method = training.settings.optimizer.name
    log.info("%s: %d parameters, %d residuals, %s", problem.name, len(training.theta), _rows(training), method)

    def error() -> float | None:
        return None if truth is None else relative_l2(predict(trial, points), truth)

    def keep() -> None:
        _keep(training, _solution(training, {}), folder)

    with catching() as stop:
        training.run(error, keep, stop.asked, visible)
    if stop.asked() and not training.stop_reason:
        keep()
        raise stop.error(training.step)


def _rows(training: Training) -> int:
    return sum(block.rows for block in training.assembly.residuals.blocks)


def _solution(training: Training, metrics: Mapping[str, Any]) -> Solution:
    return Solution(training.assembly.trial, training.settings, metrics, training.history)


def _result(training: Training, reference: Reference | None, seconds: dict[str, float]) -> Result:
    problem, trial = training.problem, training.assembly.trial
    found = truth = None
    if reference is not None:
        rng = np.random.default_rng([training.settings.seed, 1, 0])
        points = problem.domain.sample(training.settings.evaluation.points, "uniform", rng)
        found, truth = predict(trial, points), reference.value(points)
    metrics = _metrics(training, reference, seconds, found, truth)
    metrics["verdict"] = _verdict(training, reference, found, truth)
    if isinstance(trial.enrichment, CornerFunctions) and not problem.transient:
        weights = trial.weight.detach()[0, trial.width :] * trial.amplitude[0]
        metrics["corners"] = trial.enrichment.intensities(weights)
    if training.findings:
        metrics |= training.findings
        metrics["verdict"] = _verdict_of_eigenvalues(training)
    elif problem.unknowns:
        metrics["unknowns"] = _unknowns(training)
        for name, entry in metrics["unknowns"].items():
            deviation = entry["relative_deviation"]
            if metrics["verdict"] == "trusted" and (deviation is None or deviation > UNDETERMINED):
                metrics["verdict"] = f"untrusted: the data do not determine {name}"
    return Result(problem, _solution(training, metrics), reference, training.assembly.residuals.collocation)


def _verdict(training: Training, reference: Reference | None, found: Array | None, truth: Array | None) -> str:
    tolerance = training.settings.tolerance or TRUSTED
    if reference is None or found is None or truth is None:
        return verdict(None, None, tolerance)
    error, larger = worst_field(found, truth)
    return verdict(error, larger * reference.error_estimate, tolerance)


def _verdict_of_eigenvalues(training: Training) -> str:
    tolerance, worst = training.settings.tolerance or TRUSTED, max(training.findings["eigenvalue_errors"])
    left = math.sqrt(2 * loss_of(training.assembly.residuals(training.theta)))
    if left > tolerance:
        return f"untrusted: the modes leave a residual of {left:.1e}, above {tolerance:.1e}"
    if worst <= tolerance:
        return "trusted"
    return f"untrusted: an eigenvalue changes by {worst:.1e} between two numbers of features, above {tolerance:.1e}"


def _metrics(
    training: Training,
    reference: Reference | None,
    seconds: dict[str, float],
    values: Array | None,
    truth: Array | None,
) -> dict[str, Any]:
    problem, settings = training.problem, training.settings
    found = None if values is None or truth is None else errors(values, truth, problem.fields)
    nothing = {name: {"relative_l2": None, "max_error": None} for name in problem.fields}
    return {
        "schema": SCHEMA,
        "problem": problem.name,
        "task": settings.task,
        "optimizer": settings.optimizer.name,
        "seed": settings.seed,
        "device": str(training.theta.device),
        "dtype": settings.dtype,
        "parameters": len(training.theta),
        "points": sum(len(c.points) for c in training.assembly.residuals.collocation.values()),
        "relative_l2": found.relative_l2 if found else None,
        "max_error": found.max_error if found else None,
        "fields": found.fields if found else nothing,
        "reference": {
            "kind": reference.kind if reference else "none",
            "error_estimate": reference.error_estimate if reference else None,
        },
        "seconds": seconds,
        "stop_reason": training.stop_reason,
    }


def _unknowns(training: Training) -> dict[str, dict[str, float | None]]:
    """Each unknown coefficient: value, true value if known, relative standard deviation (None where infinite)."""
    raw = training.assembly.trial.unknowns
    deviations = training.assembly.residuals.deviations(training.theta)
    found = {}
    with torch.no_grad():
        for name, unknown in training.problem.unknowns.items():
            value = float(unknown.value(raw[name]))
            relative = deviations[name] / (1.0 if unknown.positive else max(abs(value), 1e-300))
            found[name] = {
                "value": value,
                "true": unknown.true,
                "relative_deviation": relative if math.isfinite(relative) else None,
            }
    return found


def summary(result: Result) -> str:
    """A few lines that say what was found, how well, and in what time."""
    m = result.metrics
    lines = [f"{m['problem']}: {m['verdict']}"]
    if m["relative_l2"] is not None:
        kind, own = m["reference"]["kind"], m["reference"]["error_estimate"]
        lines.append(f"  relative L2 error  {m['relative_l2']:.2e}   (reference: {kind}, its own error {own:.1e})")
        lines.append(f"  largest error      {m['max_error']:.2e}")
    for i, value in enumerate(m.get("eigenvalues", [])):
        lines.append(f"  eigenvalue {i + 1:<7} {value:.14g} ± {m['eigenvalue_errors'][i] * abs(value):.1e}")
    for name, entry in m.get("unknowns", {}).items():
        true = "" if entry["true"] is None else f"   (true: {entry['true']:.6g})"
        deviation = math.inf if entry["relative_deviation"] is None else entry["relative_deviation"]
        lines.append(f"  {name:<18} {entry['value']:.6g} ± {100 * deviation:.2g} %{true}")
    took = m["seconds"]
    lines.append(f"  seconds            {took['train']:.1f} training + {took['reference']:.1f} reference")
    lines.append(f"  stopped because    {m['stop_reason']}")
    return "\n".join(lines)


# --- the run folder ---------------------------------------------------------------------------------------------------


def _status(folder: Path | None, status: str, reason: str | None = None) -> None:
    if folder is not None:
        _json(folder / "status.json", {"status": status, "error": reason})


def _json(path: Path, content: Any) -> None:
    write_atomically(path, (json.dumps(content, indent=2) + "\n").encode())


def _write(result: Result, training: Training, folder: Path) -> None:
    from pinnkit import export, plotting, report  # matplotlib takes a second to import

    _keep(training, result.solution, folder)
    _json(folder / "metrics.json", dict(result.metrics))
    write_atomically(folder / "history.csv", _csv(result.history).encode())
    export.write_npz(result, folder / "solution.npz")
    export.write_vtu(result, folder / "solution.vtu")
    plotting.save_plots(result, folder)
    report.write_report(result, folder)
    _status(folder, "done")


def _csv(history: Any) -> str:
    columns = list(dict.fromkeys(key for row in history for key in row))
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(history)
    return text.getvalue()


def _keep(training: Training, solution: Solution, folder: Path | None) -> None:
    if folder is None:
        return
    content = {"solution": to_plain(solution), "training": training.snapshot()}
    checkpoint.write(folder / "checkpoints" / "last.pt", content)


def _to_resume(settings: Settings, folder: Path | None) -> dict[str, Any] | None:
    """The checkpoint to go on from, if one is asked for. Raises CheckpointUnusable where it is of another run."""
    if settings.resume is None:
        return None
    path = Path(settings.resume)
    if settings.resume == "auto":
        if folder is None or not (folder / "checkpoints" / "last.pt").is_file():
            return None
        path = folder
    kept = checkpoint.read(path)
    try:
        then, now = kept["solution"]["settings"], _with_choices(settings.to_mapping(), kept["solution"]["settings"])
        differing = [
            key for key in ("problem", "network", "sampling", "optimizer", "seed", "dtype") if then[key] != now[key]
        ]
        choosing = settings.optimizer.name == "auto" and then["optimizer"]["name"] == "least_squares"
        unfinished = not kept["solution"]["metrics"]
    except (KeyError, TypeError):
        raise CheckpointUnusable(f"{path}: it is not the checkpoint of a run; give another one") from None
    if differing:
        what = f"it is of another run: {differing[0]} was {then[differing[0]]}"
        raise CheckpointUnusable(f"{path}: {what}; resume with the same settings, or start anew")
    return None if choosing and unfinished else kept


def _with_choices(now: dict[str, Any], then: Mapping[str, Any]) -> dict[str, Any]:
    """Settings in which what is chosen automatically is as it was chosen then."""
    for key in ("polynomials", "peaks", "draw"):
        if now["network"][key] is None:
            now["network"][key] = then["network"][key]
    if now["optimizer"]["name"] == "auto":
        now["optimizer"] = then["optimizer"]
    return now
