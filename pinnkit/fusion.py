"""Fusing observations of several fidelities, next to what each of them says alone."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pinnkit.calibration import coverage, normal_half_width
from pinnkit.errors import BadInput
from pinnkit.evaluation import relative_l2, verdict, worst_field
from pinnkit.fidelities import Fidelity
from pinnkit.fidelity import Autoregression, NonlinearAutoregression, regress
from pinnkit.finding import Finding, usual_metrics
from pinnkit.measurements import read_columns
from pinnkit.merit import TRUSTED
from pinnkit.settings import Multifidelity, Settings, Solve, Task
from pinnkit.study import Study

MOST_KEPT = 2000  # points of solution.npz
Array = NDArray[np.float64]


class Predictor(Protocol):
    """Mean and standard deviation (n,) at points."""

    def predict(self, x: ArrayLike, /) -> tuple[Array, Array]: ...


@dataclass(frozen=True, eq=False)
class Fidelities(Study):
    """Levels from low to high, in a box of `coordinates` with `bounds` (2, d).

    `exact`, where it is known, gives the quantity (n,) at the highest fidelity from coordinates by name, each (n,).
    """

    tasks: ClassVar[tuple[type[Task], ...]] = (Solve, Multifidelity)
    uses: ClassVar[tuple[str, ...]] = ("task", "evaluation.points")

    levels: tuple[Fidelity, ...]
    bounds: ArrayLike
    coordinates: tuple[str, ...] = ("x",)
    exact: Callable[..., Array] | None = None
    name: str = field(default="fidelities", kw_only=True)

    def __post_init__(self) -> None:
        if not (isinstance(self.levels, tuple | list) and all(isinstance(one, Fidelity) for one in self.levels)):
            raise BadInput("levels", "they are no fidelities", "write Fidelities((Fidelity(…), Fidelity(…)), bounds)")
        if len(self.levels) < 2:
            raise BadInput("levels", f"there are {len(self.levels)}", "give at least two, from low to high fidelity")
        if self.box.shape != (2, len(self.coordinates)) or not (self.box[0] < self.box[1]).all():
            raise BadInput("bounds", f"they are {self.box.tolist()}", "give lower and upper ends of each coordinate")

    @classmethod
    def from_csv(
        cls, paths: Sequence[str | Path], coordinates: Sequence[str] = ("x",), costs: Sequence[float] = ()
    ) -> "Fidelities":
        """From CSV files, low to high, with columns of the coordinates, `value` and, where it is known, `sigma`.

        Values without `sigma` are exact. Raises BadInput with file, line and column.
        """
        levels, d = [], len(coordinates)
        for path, cost in zip(paths, costs or [1.0] * len(paths), strict=True):
            table = read_columns(path, [*coordinates, "value"], ["sigma"], "problem.data")
            levels.append(Fidelity(table[:, :d], table[:, d], table[:, d + 1] if table.shape[1] > d + 1 else 0.0, cost))
        points = np.concatenate([level.x for level in levels])
        return cls(tuple(levels), np.stack([points.min(0), points.max(0)]), tuple(coordinates))

    @property
    def box(self) -> Array:
        bounds = np.asarray(self.bounds, dtype=float)
        return bounds[:, None] if bounds.ndim == 1 else bounds

    @property
    def fields(self) -> tuple[str, ...]:
        return ("u",)

    def sample(self, n: int, seed: int) -> Array:
        """Points (n, d) of the box: evenly on a line, else at random."""
        lower, upper = self.box
        if len(lower) == 1:
            return np.linspace(lower, upper, n)
        return np.asarray(lower + (upper - lower) * np.random.default_rng([seed, 1, 0]).random((n, len(lower))))

    def truth(self, points: Array) -> Array | None:
        """The exact values (n,) at points (n, d), where they are known."""
        return None if self.exact is None else np.asarray(self.exact(*points.T), dtype=float)

    def answer(self, settings: Settings) -> "Fused":
        """All levels fused. Raises BadInput."""
        return fuse(self, settings)


@dataclass(frozen=True)
class Fused(Finding):
    """The highest fidelity as a function, with its standard deviation, and the models of single levels beside it."""

    problem: Fidelities
    model: Predictor
    alone: Mapping[str, Predictor]  # the highest level from its own data, and the lowest from its own
    settings: Settings
    metrics: Mapping[str, Any] = field(default_factory=dict)

    kind: ClassVar[str] = "fused"
    captions: ClassVar[Mapping[str, str]] = {
        "solution": "The fused curve with its band, the truth where it is known, and the data of all levels.",
        "truth": "Predicted against true values; bands are those of 95 %.",
        "levels": "ρ times the cheap source, and what the dear one adds to it.",
    }

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

    def figures(self) -> Mapping[str, Any]:
        """The curve, predicted against true values, and what each level adds."""
        from pinnkit.fusion_figures import figures  # matplotlib takes a second to import

        return figures(self)

    def arrays(self) -> Mapping[str, Array]:
        """Points, values and their deviations, and the truth where it is known."""
        points = self.problem.sample(min(self.settings.evaluation.points, MOST_KEPT), self.settings.seed)
        truth = self.problem.truth(points)
        arrays = {"points": points, "values": self.predict(points), "spread": self.spread(points)}
        return arrays if truth is None else {**arrays, "reference": truth[:, None]}

    def lines(self) -> list[str]:
        """Errors of all models, and ρ."""
        return lines(self.metrics)

    def to_plain(self) -> dict[str, Any]:
        """Data and settings: the fit follows from them to the same bits."""
        problem = self.problem
        levels = [
            {"points": level.x.tolist(), "values": level.y.tolist(), "cost": level.cost,
             "noise": level.noise if level.noise is None else np.asarray(level.noise, dtype=float).tolist()}
            for level in problem.levels
        ]  # fmt: skip
        told = {"coordinates": list(problem.coordinates), "bounds": problem.box.tolist(), "name": problem.name}
        return {"levels": levels, **told, "settings": self.settings.to_mapping(), "metrics": dict(self.metrics)}

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any]) -> "Fused":
        """What `to_plain` was given, but for the truth, which is a function."""
        levels = tuple(Fidelity(**level) for level in _levels(plain["levels"]))
        problem = Fidelities(levels, plain["bounds"], tuple(plain["coordinates"]), name=plain["name"])
        return replace(fuse(problem, Settings.from_mapping(plain["settings"])), metrics=plain["metrics"])


def task_of(settings: Settings) -> Multifidelity:
    """What is asked for: by default the linear model."""
    return settings.task if isinstance(settings.task, Multifidelity) else Multifidelity()


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
    usual = usual_metrics(
        problem, settings, seconds=seconds, points=sum(len(level.y) for level in problem.levels), relative_l2=error,
        max_error=None if truth is None else float(np.abs(mean - truth).max()),
        reference="none" if truth is None else "exact", error_estimate=None if truth is None else 0.0,
        verdict=verdict(variation, None if truth is None else 0.0, settings.tolerance or TRUSTED),
        stop_reason="likelihood maximised",
    )  # fmt: skip
    return {
        **usual, "task": task.name, "model": task.model, "rmse": rmse.pop("fused"), "alone": rmse,
        "rho": [value for value, _ in _rhos(found.model)], "rho_deviation": [d for _, d in _rhos(found.model)],
        "coverage": {"nominal": task.level, "raw": None if truth is None else coverage(mean - truth, half),
                     "calibrated": None},
        "mean_width": float(2 * half.mean()),
        "cost": {f"level {k}": level.cost * len(level.y) for k, level in enumerate(problem.levels)},
    }  # fmt: skip


def _all(found: Fused) -> dict[str, Predictor]:
    return {"fused": found.model, **found.alone}


def _rmse(model: Predictor, points: Array, truth: Array) -> float:
    return float(np.sqrt(np.mean((model.predict(points)[0] - truth) ** 2)))


def _rhos(model: Predictor) -> list[tuple[float, float]]:
    """ρ of each step from low to high, with its standard deviation."""
    steps = model.rho if isinstance(model, Autoregression) else ()
    return [(float(step.mean[0]), float(step.deviation[0])) for step in steps]


def _levels(plain: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    return [{**level, "points": np.array(level["points"]), "values": np.array(level["values"])} for level in plain]


def lines(metrics: Mapping[str, Any]) -> list[str]:
    """What a summary says of several fidelities."""
    said = []
    if metrics["rmse"] is not None:
        alone = ", ".join(f"{name.replace('_', ' ')} {value:.3g}" for name, value in metrics["alone"].items())
        said.append(f"  rmse               {metrics['rmse']:.3g}   (alone: {alone})")
    for value, deviation in zip(metrics["rho"], metrics["rho_deviation"], strict=True):
        said.append(f"  rho                {value:.6g} ± {deviation:.1g}")
    return said
