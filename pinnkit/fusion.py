"""Fusing observations of several fidelities, next to what each of them says alone."""

import io
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pinnkit import checkpoint
from pinnkit.calibration import coverage, normal_half_width
from pinnkit.errors import BadInput
from pinnkit.evaluation import relative_l2, verdict, worst_field
from pinnkit.fidelities import Fidelities, Fidelity
from pinnkit.fidelity import Autoregression, NonlinearAutoregression, regress
from pinnkit.files import write_atomically
from pinnkit.merit import SCHEMA, TRUSTED
from pinnkit.run_folder import write_json, write_status
from pinnkit.settings import Multifidelity, Settings, Solve

Array = NDArray[np.float64]


class Predictor(Protocol):
    """Mean and standard deviation (n,) at points."""

    def predict(self, x: ArrayLike, /) -> tuple[Array, Array]: ...


@dataclass(frozen=True)
class Fused:
    """The highest fidelity as a function, with its standard deviation, and the models of single levels beside it."""

    problem: Fidelities
    model: Predictor
    alone: Mapping[str, Predictor]  # the highest level from its own data, and the lowest from its own
    settings: Settings
    metrics: Mapping[str, Any] = field(default_factory=dict)

    def predict(self, points: ArrayLike) -> Array:
        """The mean (n, 1) at points (n, d)."""
        return self.model.predict(points)[0][:, None]

    def spread(self, points: ArrayLike) -> Array:
        """The standard deviation (n, 1) at points (n, d)."""
        return self.model.predict(points)[1][:, None]

    def band(self, points: ArrayLike, level: float = 0.95) -> tuple[Array, Array]:
        """Lower and upper ends, each (n, 1), between which the value lies with that probability."""
        mean, deviation = self.model.predict(points)
        half = normal_half_width(deviation, level)
        return (mean - half)[:, None], (mean + half)[:, None]

    @property
    def judgement(self) -> None:
        """No committee sat."""

    @property
    def transferred(self) -> None:
        """Nothing was."""

    @property
    def corrected(self) -> None:
        """Nothing was, under an equation."""

    @property
    def missed_tolerance(self) -> bool:
        """Whether an accuracy was asked for and not shown to be reached."""
        return self.settings.tolerance is not None and self.metrics["verdict"] != "trusted"

    def plot(self, folder: str | Path) -> None:
        """Write the figures into folder/plots."""
        from pinnkit.fusion_figures import save_plots  # matplotlib takes a second to import

        save_plots(self, Path(folder))


def task_of(settings: Settings) -> Multifidelity:
    """What is asked for: by default the linear model. Raises BadInput for a task for equations."""
    task = settings.task
    if isinstance(task, Solve):
        return Multifidelity()
    if not isinstance(task, Multifidelity):
        what = f"{settings.problem.name} has observations and no equation"
        raise BadInput("task", what, "write task=multifidelity, or leave it out")
    return task


def fuse(problem: Fidelities, settings: Settings) -> Fused:
    """Fit all levels, and judge the fit where the truth is known. Raises BadInput."""
    task, began = task_of(settings), time.perf_counter()
    data, noise = [(level.x, level.y) for level in problem.levels], [level.noise for level in problem.levels]
    common: dict[str, Any] = {"noise": noise, "kernel": task.kernel, "starts": task.starts, "seed": settings.seed}
    if task.model == "linear":
        model: Predictor = Autoregression.fit(data, **common)
    else:
        model = NonlinearAutoregression.fit(data, **common)
    ends = {"high_only": problem.levels[-1], "low_only": problem.levels[0]}
    alone = {name: _alone(level, task, settings) for name, level in ends.items()}
    found = Fused(problem, model, {name: one for name, one in alone.items() if one is not None}, settings)
    return replace(found, metrics=_metrics(found, task, time.perf_counter() - began))


def _alone(level: Fidelity, task: Multifidelity, settings: Settings) -> Predictor | None:
    try:
        return regress(level.x, level.y, noise=level.noise, kernel=task.kernel, starts=task.starts, seed=settings.seed)
    except BadInput:  # too few
        return None


def _metrics(found: Fused, task: Multifidelity, seconds: float) -> dict[str, Any]:
    problem, settings = found.problem, found.settings
    points = problem.sample(settings.evaluation.points, settings.seed)
    truth, (mean, deviation) = problem.truth(points), found.model.predict(points)
    half = normal_half_width(deviation, task.level)
    error = None if truth is None else relative_l2(mean, truth)
    variation = None if truth is None else worst_field(mean[:, None], truth[:, None])[0]
    rmse = {name: None if truth is None else _rmse(one, points, truth) for name, one in _all(found).items()}
    return {
        "schema": SCHEMA, "problem": problem.name, "task": task.name, "model": task.model, "seed": settings.seed,
        "relative_l2": error,
        "max_error": None if truth is None else float(np.abs(mean - truth).max()),
        "rmse": rmse.pop("fused"), "alone": rmse,
        "rho": [value for value, _ in _rhos(found.model)], "rho_deviation": [d for _, d in _rhos(found.model)],
        "coverage": {"nominal": task.level, "raw": None if truth is None else coverage(mean - truth, half),
                     "calibrated": None},
        "mean_width": float(2 * half.mean()),
        "cost": {f"level {k}": level.cost * len(level.y) for k, level in enumerate(problem.levels)},
        "points": sum(len(level.y) for level in problem.levels),
        "reference": {"kind": "none" if truth is None else "exact", "error_estimate": None if truth is None else 0.0},
        "seconds": {"train": seconds, "reference": 0.0, "total": seconds},
        "stop_reason": "likelihood maximised",
        "verdict": verdict(variation, None if truth is None else 0.0, settings.tolerance or TRUSTED),
    }  # fmt: skip


def _all(found: Fused) -> dict[str, Predictor]:
    return {"fused": found.model, **found.alone}


def _rmse(model: Predictor, points: Array, truth: Array) -> float:
    return float(np.sqrt(np.mean((model.predict(points)[0] - truth) ** 2)))


def _rhos(model: Predictor) -> list[tuple[float, float]]:
    """ρ of each step from low to high, with its standard deviation."""
    steps = model.rho if isinstance(model, Autoregression) else ()
    return [(float(step.mean[0]), float(step.deviation[0])) for step in steps]


# --- files ------------------------------------------------------------------------------------------------------------


def write_fused(found: Fused, folder: Path) -> None:
    """Write metrics.json, solution.npz, plots/, report.html, a checkpoint and status.json."""
    from pinnkit import report  # matplotlib takes a second to import

    checkpoint.write(folder / "checkpoints" / "last.pt", {"solution": to_plain(found)})
    write_json(folder / "metrics.json", dict(found.metrics))
    points = found.problem.sample(min(found.settings.evaluation.points, 2000), found.settings.seed)
    mean, deviation = found.model.predict(points)
    truth = found.problem.truth(points)
    arrays = {"points": points, "values": mean[:, None], "spread": deviation[:, None]}
    buffer = io.BytesIO()
    np.savez(buffer, allow_pickle=False, **(arrays if truth is None else {**arrays, "reference": truth[:, None]}))
    write_atomically(folder / "solution.npz", buffer.getvalue())
    found.plot(folder)
    report.write_report(found, folder)
    write_status(folder, "done")


def to_plain(found: Fused) -> dict[str, Any]:
    """Data and settings: the fit follows from them to the same bits."""
    problem = found.problem
    levels = [
        {"points": level.x.tolist(), "values": level.y.tolist(), "cost": level.cost,
         "noise": level.noise if level.noise is None else np.asarray(level.noise, dtype=float).tolist()}
        for level in problem.levels
    ]  # fmt: skip
    told = {"coordinates": list(problem.coordinates), "bounds": problem.box.tolist(), "name": problem.name}
    return {"levels": levels, **told, "settings": found.settings.to_mapping(), "metrics": dict(found.metrics)}


def from_plain(plain: Mapping[str, Any]) -> Fused:
    """What `to_plain` was given, but for the truth, which is a function."""
    levels = tuple(Fidelity(**level) for level in _levels(plain["levels"]))
    problem = Fidelities(levels, plain["bounds"], tuple(plain["coordinates"]), name=plain["name"])
    return replace(fuse(problem, Settings.from_mapping(plain["settings"])), metrics=plain["metrics"])


def _levels(plain: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    return [{**level, "points": np.array(level["points"]), "values": np.array(level["values"])} for level in plain]
