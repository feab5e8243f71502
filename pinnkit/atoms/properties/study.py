"""Choosing a model of a material property by cross-validation: what physics says against what data alone say."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pinnkit.atoms.properties.laws import Candidates, Law, candidates
from pinnkit.atoms.properties.models import Fitted, Model, coefficients, logarithms
from pinnkit.atoms.properties.table import check_once, check_positive, check_size, check_table, read_table
from pinnkit.atoms.properties.validation import (
    Rows,
    Score,
    Splits,
    Validation,
    groups,
    is_relative,
    one_standard_error,
    outer,
    rmse,
    round_off,
    score,
    simplest,
    validated,
)
from pinnkit.conversion import Between, choose_from, convert
from pinnkit.errors import BadInput
from pinnkit.evaluation import relative_l2, verdict, worst_field
from pinnkit.finding import Finding, usual_metrics
from pinnkit.settings import Settings
from pinnkit.study import Study

Array = NDArray[np.float64]
TRUSTED = 0.1  # error relative to the variation of the property, up to which an answer is trusted if none is asked for
FRESH = 13  # stream of random numbers


@dataclass(frozen=True, eq=False)
class PropertyRegression(Study):
    """Values (n,) of the property `target` by `descriptors`, name → (n,), of n materials.

    law         what the property follows; its product with a network is tried as well
    rivals      other laws by name
    units       of target and descriptors, for figures
    folds       of cross-validation, which is repeated `repeats` times
    models      names of those to compare; None: all that the columns allow
    scatter     standard deviation of the logarithm of values about the law, where it is known
    exact       the property without scatter, (m,), of descriptors by name, each (m,), where it is known
    population  materials such as those of the data: number, generator → descriptors by name

    Logarithms are taken where a column is positive; models of the property's logarithm need positive values.
    """

    uses: ClassVar[tuple[str, ...]] = ("evaluation.points",)

    descriptors: Mapping[str, ArrayLike]
    values: ArrayLike
    target: str
    law: Law | None = None
    rivals: Mapping[str, Law] = field(default_factory=dict)
    units: Mapping[str, str] = field(default_factory=dict)
    folds: int = 5
    repeats: int = 4
    models: Sequence[str] | None = None
    scatter: float | None = None
    exact: Callable[..., Array] | None = None
    population: Callable[[int, np.random.Generator], Mapping[str, Array]] | None = None
    name: str = field(default="property_regression", kw_only=True)

    def __post_init__(self) -> None:
        convert(Annotated[int, Between(2, 1000)], self.folds, "problem.folds")
        convert(Annotated[int, Between(1, 100)], self.repeats, "problem.repeats")
        check_table(self.descriptors, self.values, self.target)
        check_size(int(groups(self.x).max()) + 1, len(self.columns), self.folds)
        check_positive({name: self.descriptors[name] for name in self._in_laws()}, self.target)
        self._check_models()

    @classmethod
    def from_csv(
        cls, path: str | Path, target: str, descriptors: Sequence[str] | None = None, **choices: Any
    ) -> "PropertyRegression":
        """From a CSV file with a column `target`; descriptors are the other columns, or those that are named.

        Raises BadInput with file, line and column.
        """
        table = read_table(path, target, descriptors)
        return cls(table.descriptors, table.values, target, **choices)

    def by(self, names: Sequence[str] | None) -> "PropertyRegression":
        """With those descriptors alone; None: with all. Raises BadInput."""
        check_once(names or (), "problem.descriptors")
        for name in names or ():
            if name not in self.descriptors:
                raise BadInput("problem.descriptors", f"there is no column {name!r}", choose_from(name, self.columns))
        return replace(self, descriptors={name: self.descriptors[name] for name in names or self.columns})

    @property
    def columns(self) -> tuple[str, ...]:
        return tuple(self.descriptors)

    @property
    def x(self) -> Array:
        """The descriptors as (n, d)."""
        return np.column_stack([np.asarray(column, dtype=float) for column in self.descriptors.values()])

    @property
    def y(self) -> Array:
        return np.asarray(self.values, dtype=float)

    @property
    def positive(self) -> tuple[bool, ...]:
        """Of which descriptors logarithms are taken."""
        return tuple(bool((column > 0).all()) for column in self.x.T)

    @property
    def relative(self) -> bool:
        """Whether errors are relative ones, see validation."""
        return is_relative(self.y)

    @property
    def candidates(self) -> Candidates:
        """All models that the columns allow."""
        first = int(np.argmin(self.y > 0))
        why = None if self.relative else f"{self.target} is {self.y[first]:g} in row {first + 1}"
        return candidates(self.columns, self.positive, len(self.y), self.law, self.rivals, why)

    def fresh(self, count: int, seed: int) -> tuple[Array, Array] | None:
        """Materials (m, d) that are not in the data, with their true properties (m,)."""
        if self.exact is None or self.population is None:
            return None
        drawn = self.population(count, np.random.default_rng([seed, FRESH]))
        return np.column_stack([drawn[name] for name in self.columns]), np.asarray(self.exact(**drawn), dtype=float)

    @property
    def compared(self) -> dict[str, Model]:
        """The models to compare, from the simplest."""
        found = self.candidates.models
        return {name: one.model for name, one in found.items() if self.models is None or name in self.models}

    def _in_laws(self) -> list[str]:
        """The columns of all laws that can be tried."""
        laws = [law for law in (self.law, *self.rivals.values()) if law and set(law.columns) <= set(self.columns)]
        return [name for name in self.columns if any(name in law.columns for law in laws)]

    def _check_models(self) -> None:
        found = self.candidates
        if self.models is not None and not self.models:
            raise BadInput("problem.models", "there are none", f"choose from {', '.join(found.models)}")
        for name in self.models or ():
            if name in found.left_out:
                raise BadInput("problem.models", f"{name} cannot be fitted: {found.left_out[name]}", "leave it out")
            if name not in found.models:
                raise BadInput("problem.models", f"unknown model {name!r}", choose_from(name, found.models))

    def answer(self, settings: Settings) -> "ModelComparison":
        """Raises BadInput likewise."""
        return compare(self, settings)


@dataclass(frozen=True, eq=False)
class ModelComparison(Finding):
    """All models fitted to all data, by name, and how each does on materials it has not seen."""

    problem: PropertyRegression
    fitted: Mapping[str, Fitted]
    validation: Validation
    settings: Settings
    metrics: Mapping[str, Any] = field(default_factory=dict)

    kind: ClassVar[str] = "model_comparison"
    captions: ClassVar[Mapping[str, str]] = {
        "solution": "Predicted against measured values of each model, each predicted without having seen it. RMSE: the "
        "root-mean-square error over all repeats of cross-validation; crosses stand for predictions off the scale.",
        "errors": "Cross-validated errors with standard errors, and errors on the materials beyond all seen ones. The "
        "simplest model left of the dashed line is chosen.",
        "exponents": "Exponents of the power law as fitted, with intervals of 95 %, and those of the law.",
        "learning": "Errors on materials left out against the number of samples learned from.",
    }

    @property
    def chosen(self) -> str:
        """The simplest model within one standard error of the best."""
        return str(self.metrics["chosen"])

    @property
    def scores(self) -> dict[str, Score]:
        """Cross-validated errors by model, from the simplest."""
        predicted = self.validation.predicted
        return {name: score(values, self.problem.y, self.problem.relative) for name, values in predicted.items()}

    @property
    def limit(self) -> float:
        """The cross-validated error up to which a model may be chosen."""
        return one_standard_error(self.scores, round_off(self.problem.y, self.problem.relative))

    @property
    def history(self) -> list[dict[str, Any]]:  # type: ignore[override]
        """The learning curves."""
        curves = self.validation.curves
        return [
            {"samples": size} | {name: curve[k] for name, curve in curves.items()}
            for k, size in enumerate(self.validation.sizes)
        ]

    def predict(self, points: ArrayLike, model: str | None = None) -> Array:
        """The property (m,) of descriptors (m, d), columns as in the data, by the model chosen or by another one.

        Raises BadInput for points of other shape, and for such as have no logarithm where it is taken.
        """
        x, name = np.asarray(points, dtype=float), model or self.chosen
        if name not in self.fitted:
            raise BadInput("model", f"unknown model {name!r}", choose_from(name, self.fitted))
        if x.ndim != 2 or x.shape[1] != len(self.problem.columns):
            what = f"they are of shape {x.shape}"
            raise BadInput("points", what, f"give (m, {len(self.problem.columns)}): {', '.join(self.problem.columns)}")
        if not (np.isfinite(x).all() and (x > 0)[:, np.array(self.problem.positive)].all()):
            raise BadInput("points", "they are not all finite and positive as the data are", "give others")
        return self.fitted[name].predict(x)

    def figures(self) -> Mapping[str, Any]:
        """Parity of each model, errors, exponents and learning curves."""
        from pinnkit.atoms.properties.figures import figures  # matplotlib takes a second to import

        return figures(self)

    def arrays(self) -> Mapping[str, Array]:
        """Descriptors, values, and all predictions of cross-validation."""
        predicted = {f"predicted_{name}": values for name, values in self.validation.predicted.items()}
        return {"points": self.problem.x, "values": self.problem.y, **predicted}

    @property
    def tiles(self) -> Mapping[str, Any]:
        """The model chosen and the best of the others, with their errors, and what the verdict goes by."""
        errors = self.metrics["cross_validated_errors"]
        others = {name: one["rmse"] for name, one in errors.items() if name != self.chosen}
        measure = f"{self.metrics['measure']} error, cross-validated"
        found = {"chosen": self._label(self.chosen), f"its {measure}": _with_error(errors[self.chosen])}
        if others:
            best = min(others, key=others.__getitem__)
            found[f"that of the best of the others: {self._label(best)}"] = _with_error(errors[best])
        return found | {
            "its error beyond the data": errors[self.chosen]["extrapolation"],
            "error relative to the variation of the property": self.metrics["relative_to_variation"],
            "seconds of training": self.metrics["seconds"]["train"],
        }

    def _label(self, name: str) -> str:
        return self.problem.candidates.models[name].label

    def lines(self) -> list[str]:
        """What the verdict goes by, each model's errors, and the exponents."""
        m, label = self.metrics, self._label(self.chosen)
        asked = self.settings.tolerance or TRUSTED
        said = [f"  {'judged by':<18} {m['relative_to_variation']:.2e} of the variation, trusted up to {asked:g}"]
        said.append(f"  {'chosen':<18} {label}, the simplest model within one standard error of the best")
        said.append(
            f"  {'errors':<18} {m['measure']}, cross-validated; beyond the data, along {m['extrapolated_along']}"
        )
        for name, one in m["cross_validated_errors"].items():
            said.append(f"    {name:<22} {one['rmse']:.3f} ± {one['standard_error']:.3f};   {one['extrapolation']:.3f}")
        said += [f"  {'exponents':<18} of the power law"] if m["exponents"] else []
        for name, one in m["exponents"].items():
            true = "" if one["true"] is None else f"   (law: {one['true']:.4g})"
            said.append(f"    {name:<22} {one['value']:.3f} ± {one['standard_error']:.3f}{true}")
        return said

    def to_plain(self) -> dict[str, Any]:
        """Data, choices and what validation found: the fits to all data follow from them to the same bits."""
        p, v = self.problem, self.validation
        told = {
            "descriptors": {name: np.asarray(column, dtype=float).tolist() for name, column in p.descriptors.items()},
            "values": p.y.tolist(), "target": p.target, "units": dict(p.units), "folds": p.folds, "repeats": p.repeats,
            "models": None if p.models is None else list(p.models), "scatter": p.scatter,
            "name": p.name, "title": p.title, "description": p.description,
            "law": None if p.law is None else p.law.to_plain(),
            "rivals": {name: law.to_plain() for name, law in p.rivals.items()},
        }  # fmt: skip
        settings, metrics = self.settings.to_mapping(), dict(self.metrics)
        return {"study": told, "validation": v.to_plain(), "settings": settings, "metrics": metrics}

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any]) -> "ModelComparison":
        """What `to_plain` was given, but for the truth, which is a function."""
        told, settings = dict(plain["study"]), Settings.from_mapping(plain["settings"])
        law = None if told["law"] is None else Law(**told["law"])
        rivals = {name: Law(**one) for name, one in told["rivals"].items()}
        problem = PropertyRegression(**(told | {"law": law, "rivals": rivals}))
        validation = Validation.from_plain(plain["validation"])
        return cls(problem, _fitted(problem, settings.seed), validation, settings, plain["metrics"])


# --- the comparison ---------------------------------------------------------------------------------------------------


def compare(problem: PropertyRegression, settings: Settings) -> ModelComparison:
    """Fit all models, validate them, and choose. Raises BadInput."""
    began, how = time.perf_counter(), Splits(problem.folds, problem.repeats, settings.seed)
    validation = validated(problem.compared, problem.x, problem.y, how)
    found = ModelComparison(problem, _fitted(problem, settings.seed), validation, settings)
    return replace(found, metrics=_metrics(found, time.perf_counter() - began))


def _fitted(problem: PropertyRegression, seed: int) -> dict[str, Fitted]:
    return {name: model.fit(problem.x, problem.y, seed) for name, model in problem.compared.items()}


def _metrics(found: ModelComparison, seconds: float) -> dict[str, Any]:
    problem, settings, scores = found.problem, found.settings, found.scores
    chosen = simplest(scores, round_off(problem.y, problem.relative))
    fresh = problem.fresh(settings.evaluation.points, settings.seed)
    predicted, truth = _judged(found, chosen, fresh)
    worst, _ = worst_field(predicted[:, None], truth[:, None])
    error = relative_l2(predicted, truth)
    usual = usual_metrics(
        problem, settings, seconds=seconds, points=len(problem.y), relative_l2=error,
        max_error=float(np.abs(predicted - truth).max()), reference="data" if fresh is None else "exact",
        error_estimate=error if fresh is None else 0.0,  # data may scatter by all that is left unexplained
        verdict=verdict(worst, 0.0, settings.tolerance or TRUSTED), stop_reason="cross-validated",
    )  # fmt: skip
    where = outer(problem.x, problem.y)
    return {
        **usual, "relative_to_variation": worst, "measure": "relative" if problem.relative else "absolute",
        "cross_validated_errors": {
            name: _errors(found, name, one, where.beyond, fresh) for name, one in scores.items()
        },
        "chosen": chosen, "exponents": _exponents(problem), "extrapolated_along": problem.columns[where.column],
        "left_out": dict(problem.candidates.left_out),
    }  # fmt: skip


def _with_error(one: Mapping[str, float]) -> str:
    return f"{one['rmse']:.3g} ± {one['standard_error']:.2g}"


def _judged(found: ModelComparison, chosen: str, fresh: tuple[Array, Array] | None) -> tuple[Array, Array]:
    """Predictions and what they are compared with: true values of fresh materials, or data that was left out."""
    if fresh is not None:
        return found.fitted[chosen].predict(fresh[0]), fresh[1]
    predicted = found.validation.predicted[chosen]
    return predicted.ravel(), np.tile(found.problem.y, len(predicted))


def _errors(
    found: ModelComparison, name: str, one: Score, beyond: Rows, fresh: tuple[Array, Array] | None
) -> dict[str, Any]:
    problem, validation = found.problem, found.validation
    y, relative, predicted = problem.y, problem.relative, validation.predicted[name]
    return {
        "rmse": one.rmse, "standard_error": one.standard_error,
        "extrapolation": rmse(validation.beyond[name], y[beyond], relative),
        "rmse_in_units": float(np.sqrt(np.mean((predicted - y) ** 2))),
        "wrong_sign": float(np.mean(predicted <= 0)) if relative else None,
        "against_truth": None if fresh is None else rmse(found.fitted[name].predict(fresh[0]), fresh[1], relative),
    }  # fmt: skip


def _exponents(problem: PropertyRegression) -> dict[str, dict[str, float | None]]:
    """Of the power law over all data; none without logarithms, or where the data do not determine them."""
    if not problem.relative:
        return {}
    found = coefficients(logarithms(problem.x, np.array(problem.positive)), np.log(problem.y))
    law = problem.law if problem.law is not None and "law" in problem.candidates.models else None
    return {
        name: {"value": float(value), "standard_error": float(deviation),
               "true": None if law is None else float(law.exponents.get(name, 0.0))}
        for name, value, deviation, positive in zip(problem.columns, *found, problem.positive, strict=True)
        if positive and np.isfinite(deviation)
    }  # fmt: skip
