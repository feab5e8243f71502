"""Figures of merit: how good a solution is, and whether it is to be trusted."""

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch

from pinnkit.corners import CornerFunctions
from pinnkit.evaluation import Array, Reference, errors, verdict, worst_field
from pinnkit.optimizers.base import loss_of
from pinnkit.result import Result, Solution, predict
from pinnkit.training import Training
from pinnkit.trial import Enrichments

SCHEMA = 1
UNDETERMINED = 0.5  # relative standard deviation from which an unknown coefficient is not known
TRUSTED = 1e-2  # relative L2 error of a trusted answer where no accuracy is asked for


def solution_of(training: Training, metrics: Mapping[str, Any]) -> Solution:
    """The trial function as it stands."""
    return Solution(training.assembly.trial, training.settings, metrics, training.history)


def judged(
    training: Training,
    reference: Reference | None,
    seconds: dict[str, float],
    mean: Callable[[Array], Array] | None = None,
) -> Result:
    """The result of a training, with its metrics and its verdict; `seconds` are those of its parts.

    The errors are those of the fields (n, fields) that `mean` gives at points, if not of the trial function.
    """
    problem, trial = training.problem, training.assembly.trial
    found = truth = None
    if reference is not None:
        rng = np.random.default_rng([training.settings.seed, 1, 0])
        points = problem.domain.sample(training.settings.evaluation.points, "uniform", rng)
        found, truth = mean(points) if mean else predict(trial, points), reference.value(points)
    metrics = _metrics(training, reference, seconds, found, truth)
    metrics["verdict"] = _verdict(training, reference, found, truth)
    singular = trial.enrichment.parts[0] if isinstance(trial.enrichment, Enrichments) else trial.enrichment
    if isinstance(singular, CornerFunctions) and not problem.transient:
        weights = trial.weight.detach()[0, trial.width : trial.width + singular.count] * trial.amplitude[0]
        metrics["corners"] = singular.intensities(weights)
    if training.findings:
        metrics |= training.findings
        metrics["verdict"] = _verdict_of_eigenvalues(training)
    elif problem.unknowns:
        metrics["unknowns"] = _unknowns(training)
        for name, entry in metrics["unknowns"].items():
            deviation = entry["relative_deviation"]
            if metrics["verdict"] == "trusted" and (deviation is None or deviation > UNDETERMINED):
                metrics["verdict"] = f"untrusted: the data do not determine {name}"
    return Result(problem, solution_of(training, metrics), reference, training.assembly.residuals.collocation)


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
        "task": settings.task.name,
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
