"""Solving one problem: checked settings, a reference, and trained parameters, with checkpoints on the way."""

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import nn

from pinnkit import growth, modes
from pinnkit.assembly import assemble, check_peaks
from pinnkit.errors import BadInput, CheckpointUnusable, OutputFailed, PinnkitError
from pinnkit.evaluation import Reference, relative_l2
from pinnkit.problem import Problem
from pinnkit.reference.derived import default_cache, reference_for
from pinnkit.result import shape_to_plain
from pinnkit.run_folder import keep, write_status
from pinnkit.settings import LBFGS, AdamLBFGS, Committee, Multifidelity, Settings, Solve, SSBroyden, check_device
from pinnkit.signals import catching, raising
from pinnkit.training import Training
from pinnkit.wellposed import check

MONITORED = 2000  # points on which the error is watched during training
log = logging.getLogger(__name__)


def check_run(problem: Problem, settings: Settings) -> None:
    """Raises BadInput where the problem, or what is asked for it, makes no sense."""
    if isinstance(settings.task, Multifidelity) and problem.low_fidelity is None:
        what = f"{settings.problem.name} is one equation, without a low fidelity"
        raise BadInput("task", what, "write task=solve, or problem=forrester")
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
    _check_low_fidelity(problem, settings)


def _check_low_fidelity(problem: Problem, settings: Settings) -> None:
    """Raises BadInput where the problem has a low fidelity that cannot be used."""
    low, task = problem.low_fidelity, settings.task
    if low is None:
        return
    if not problem.open or problem.modes:
        what = "the conditions leave nothing open for it to say"
        raise BadInput("low_fidelity", what, "name free pieces and give measured data, or leave it out")
    if not isinstance(task, Solve | Committee | Multifidelity):
        raise BadInput("task", f"{problem.name} has a low fidelity", "write task=multifidelity, or task=committee")
    if isinstance(task, Multifidelity) and task.model != "linear":
        what = "of an equation there is u = ρ w + δ alone"
        raise BadInput("task.model", what, "write task.model=linear")
    if settings.network.boundary == "hard":
        what = "w does not vanish where Dirichlet data hold exactly"
        raise BadInput("network.boundary", what, "write network.boundary=soft")
    if isinstance(low.of, Problem) and (low.of.coordinates, low.of.fields) != (problem.coordinates, problem.fields):
        what = f"its coordinates are {', '.join(low.of.coordinates)} and its fields {', '.join(low.of.fields)}"
        raise BadInput("low_fidelity", what, "take those of the problem")
    if isinstance(low.of, Problem) and not _alike(low.of.domain.bounds, problem.domain.bounds):
        what = f"its domain has the bounds {low.of.domain.bounds.tolist()}"
        raise BadInput("low_fidelity", what, f"those of the problem are {problem.domain.bounds.tolist()}")


def _alike(one: NDArray[np.float64], other: NDArray[np.float64]) -> bool:
    return bool(np.abs(one - other).max() <= 1e-9 * np.ptp(other, axis=0).max())


@contextmanager
def running(folder: Path | None) -> Iterator[None]:
    """Say in status.json that a run is under way, and why it ended where it fails."""
    write_status(folder, "running")
    try:
        with raising():
            yield
    except PinnkitError as error:
        status = {75: "preempted", 130: "interrupted"}.get(error.exit_code, "failed")
        with suppress(OutputFailed):
            write_status(folder, status, str(error))
        raise


def trained(
    problem: Problem, settings: Settings, features: nn.Module | None, kept: Mapping[str, Any] | None,
    reference: Reference | None, folder: Path | None, visible: bool,
) -> Training:  # fmt: skip
    """Train from the start, or from a checkpoint, whose settings hold what had been chosen automatically."""

    if problem.modes:
        return modes.train(problem, settings, lambda training: keep(training, {}, folder))

    def run(chosen: Settings, before: Training | None) -> Training:
        assembly = assemble(problem, chosen, features, before.assembly if before else None)
        training = Training.start(problem, chosen, assembly, before)
        if kept is not None:
            _restore(training, kept)
        step_through(training, reference, folder, visible)
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


def reference_of(problem: Problem, settings: Settings) -> Reference | None:
    """What the settings ask to compare with."""
    wanted = settings.reference
    if problem.modes:
        return None
    tolerance = wanted.tolerance or (1e-5 if problem.transient else 1e-6)
    return reference_for(problem, wanted.kind, tolerance, default_cache() if wanted.cache else None)


def monitored(training: Training) -> np.ndarray:
    """Points of the domain that are the same for every training of the problem with that seed."""
    return training.problem.domain.sample(MONITORED, "uniform", np.random.default_rng([training.settings.seed, 1, 1]))


def step_through(training: Training, reference: Reference | None, folder: Path | None, visible: bool) -> None:
    """Train until something says stop, watching the error. Raises Interrupted and Preempted, after a checkpoint."""
    problem, trial = training.problem, training.assembly.trial
    points = monitored(training)
    truth = reference.value(points) if reference else None
    watched = trial.watched(points)
    method = training.settings.optimizer.name
    residuals = sum(block.rows for block in training.assembly.residuals.blocks)
    log.info("%s: %d parameters, %d residuals, %s", problem.name, len(training.theta), residuals, method)

    def error() -> float | None:
        return None if truth is None else relative_l2(watched(), truth)

    with catching() as stop:
        training.run(error, lambda: keep(training, {}, folder), stop.asked, visible)
    if stop.asked() and not training.stop_reason:
        keep(training, {}, folder)
        raise stop.error(training.step)
