"""Other instances of a problem, with other values of its parameters, as truths for the bands of a committee.

Where the problem at hand has no reference of its own, such as one with data of an experiment, synthetic instances of
it have: their committees, trained alike, tell how errors go with spreads.
"""

import logging
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pinnkit import catalogue
from pinnkit.errors import BadInput
from pinnkit.evaluation import Reference
from pinnkit.low_fidelity import informed
from pinnkit.members import assembled, train_members
from pinnkit.problem import Problem
from pinnkit.result import Committee
from pinnkit.settings import Committee as Task
from pinnkit.settings import Settings
from pinnkit.solving import check_run, reference_of

Array = NDArray[np.float64]
log = logging.getLogger(__name__)


class Instances(NamedTuple):
    """|mean − truth| and spreads (instances, n, fields) of committees at n points of each."""

    errors: Array
    spreads: Array


def siblings(settings: Settings) -> list[Settings]:
    """What the committee of each instance is told."""
    task, choice = settings.task, settings.problem
    assert isinstance(task, Task)
    own, columns = replace(task, instances=None, calibration="none", acquire=0), task.instances or {}
    rows = zip(*columns.values(), strict=True)
    return [
        replace(
            settings, task=own, tolerance=None, problem=replace(choice, parameters={**choice.parameters, **parameters})
        )
        for parameters in (dict(zip(columns, row, strict=True)) for row in rows)
    ]


def check_instances(problem: Problem, settings: Settings, from_file: bool) -> None:
    """Raises BadInput where instances cannot be built, or have no reference."""
    task, key = settings.task, "task.instances"
    assert isinstance(task, Task)
    if task.instances and not from_file:
        raise BadInput(key, "a problem made in Python has no parameters", "give the problem by name, or by its file")
    if task.instances and (settings.reference.kind == "none" or problem.modes):
        raise BadInput(key, "instances need references to be compared with", "write reference.kind=auto")
    for told in siblings(settings):
        own = catalogue.equation(told.problem)
        if (own.coordinates, own.fields) != (problem.coordinates, problem.fields):
            raise BadInput(key, "they differ in coordinates or fields", "vary parameters that leave these alone")
        check_run(own, told)


def held_out_instances(settings: Settings, folder: Path) -> Instances:
    """Train the committees of all instances, each into a folder of its own, and compare them with their references.

    Raises BadInput where an instance has no reference, Diverged, Interrupted, Preempted.
    """
    found, all_told = [], siblings(settings)
    for number, told in enumerate(all_told):
        found.append(_compared(told, len(all_told), folder / f"{number:03d}"))
        log.info("instance %d of %d", number + 1, len(all_told))
    return Instances(*map(np.stack, zip(*found, strict=True)))


def _compared(settings: Settings, count: int, folder: Path) -> tuple[Array, Array]:
    task, problem = settings.task, catalogue.equation(settings.problem)
    assert isinstance(task, Task)
    reference = reference_of(problem, settings)
    if reference is None:
        raise BadInput("task.instances", "an instance has no reference", "give the problem an exact solution")
    problem = informed(problem)
    committee, _ = assembled(problem, settings, train_members(problem, settings, folder, from_file=True))
    points = problem.domain.sample(-(-task.held_out // count), "uniform", np.random.default_rng([settings.seed, 4]))
    return errors_and_spreads(committee, reference, points)


def errors_and_spreads(committee: Committee, reference: Reference, points: Array) -> tuple[Array, Array]:
    """|mean − truth| and the standard deviation among members, (n, fields) each, at points (n, d)."""
    values = committee.values(points)
    return np.abs(values.mean(0) - reference.value(points)), values.std(0, ddof=1)
