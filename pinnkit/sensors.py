"""Measured data for a transfer: from a file, or drawn from a reference with noise."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from pinnkit.errors import BadInput
from pinnkit.evaluation import Reference
from pinnkit.measurements import read_columns
from pinnkit.problem import Condition, Problem, measured
from pinnkit.settings import Transfer

Array = NDArray[np.float64]
DATA = "data"  # name of the condition that the measured data are
EXACT = 1e-12  # relative accuracy of a complete problem that noisy data must not spoil
SIZED = 2000  # points on which the size of a solution is taken


@dataclass(frozen=True)
class Sensors:
    """Measured values (n,) at points (n, d), their standard deviations (n,), and those relative to the solution."""

    points: Array
    values: Array
    sigma: Array
    level: float

    def condition(self, field: str, weight: float | None, complete: bool) -> Condition:
        """The data as a condition. Where the problem is complete without them they must not spoil it."""
        sigma = self.sigma if self.level > 0 else None
        if weight is not None:
            return replace(measured(self.points, self.values, sigma, field, weight), noise=None)
        automatic = min(1.0, (EXACT / self.level) ** 2) if complete and self.level > 0 else 1.0
        return measured(self.points, self.values, sigma, field, automatic)


def sensors_for(problem: Problem, task: Transfer, reference: Reference | None, seed: int) -> Sensors | None:
    """The data of the task: read from its file, or drawn from the reference. Raises BadInput."""
    if task.data is not None:
        return _read(problem, task)
    if not task.sensors:
        return None
    if reference is None:
        what = "there is no reference to draw sensors from"
        raise BadInput("task.sensors", what, "write task.sensors=0, or give task.data=FILE")
    rng = np.random.default_rng([seed, 3])
    points = problem.domain.sample(task.sensors, "uniform", rng)
    size = float(reference.value(problem.domain.sample(SIZED, "uniform", rng))[:, 0].std())
    sigma = np.full(task.sensors, task.noise * size)
    values = reference.value(points)[:, 0] + sigma * rng.normal(size=task.sensors)
    return Sensors(points, values, sigma, task.noise)


def _read(problem: Problem, task: Transfer) -> Sensors:
    assert task.data is not None
    columns = [*problem.coordinates, problem.fields[0]]
    table = read_columns(task.data, columns, ["sigma"], "task.data")
    points, values = table[:, : len(columns) - 1], table[:, len(columns) - 1]
    size = float(values.std()) or 1.0
    sigma = table[:, -1] if table.shape[1] > len(columns) else np.full(len(values), task.noise * size)
    _refuse(~problem.domain.contains(points), points, "lies outside the domain", task)
    if table.shape[1] > len(columns):
        _refuse(sigma <= 0, points, "has a sigma that is not > 0", task)
    return Sensors(points, values, sigma, float(np.sqrt((sigma**2).mean())) / size)


def _refuse(bad: NDArray[np.bool_], points: Array, why: str, task: Transfer) -> None:
    if bad.any():
        row = int(bad.argmax())
        what = f"{task.data}: measurement {row + 1}, at {points[row].tolist()}, {why}"
        raise BadInput("task.data", what, "correct it, or leave it out")
