"""How well models predict materials that they have not seen.

Values p predicted for values y > 0 differ by 2 (p − y)/(|p| + |y|): for small differences the relative one, the same
for a factor and its reciprocal, and 2 at most, which a prediction of the wrong sign always gets. Where y has both signs
p − y is meant. An `rmse` is the root of the mean square of these.

Repeated K-fold cross-validation gives each of n values R predictions by models that have not seen it. Its standard
error counts materials, not repeats, which are no new data: with s_i the mean over repeats of the squares of material i,

    rmse² = mean s,     SE(rmse²) = std s / √n,     SE(rmse) = SE(rmse²) / (2 rmse).

The one-standard-error rule (Breiman, Friedman, Olshen & Stone 1984) takes the simplest model whose rmse is at most that
of the best plus its standard error. Where data have no scatter the error of a law is the rounding of its logarithms,
which says nothing of the law: what is below `ROUND_OFF` of the size of the values counts as exact, too.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pinnkit.atoms.properties.models import Model

Array = NDArray[np.float64]
Rows = NDArray[np.int64]

SPLITS, DRAWS = 11, 12  # streams of random numbers
CURVE_SIZES, CURVE_DRAWS = 5, 10
ROUND_OFF = 1e-12  # relative: logarithms up to models.LARGEST are rounded by 3e-14, and some ten of them are added


class Score(NamedTuple):
    """A root-mean-square error and its standard error."""

    rmse: float
    standard_error: float


class Outer(NamedTuple):
    """Rows to learn from, those beyond them, and the column along which they lie beyond."""

    inside: Rows
    beyond: Rows
    column: int


class Splits(NamedTuple):
    """How data are divided: the number of folds, how often, and the seed."""

    folds: int
    repeats: int
    seed: int


@dataclass(frozen=True, eq=False)
class Validation:
    """What models predict of materials they have not seen: (repeats, n) in cross-validation, (m,) of the outer ones."""

    predicted: Mapping[str, Array]
    beyond: Mapping[str, Array]
    curves: Mapping[str, Sequence[float]]  # rmse for each of `sizes` samples
    sizes: Sequence[int]

    def to_plain(self) -> dict[str, Any]:
        """Lists by the same names."""
        return {
            "predicted": {name: values.tolist() for name, values in self.predicted.items()},
            "beyond": {name: values.tolist() for name, values in self.beyond.items()},
            "curves": {name: list(values) for name, values in self.curves.items()}, "sizes": list(self.sizes),
        }  # fmt: skip

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any]) -> "Validation":
        predicted, beyond = (
            {name: np.array(one) for name, one in plain[key].items()} for key in ("predicted", "beyond")
        )
        return cls(predicted, beyond, plain["curves"], plain["sizes"])


def validated(models: Mapping[str, Model], x: Array, y: Array, how: Splits) -> Validation:
    """All models on the same divisions of descriptors (n, d) and values (n,)."""
    sizes, where = curve_sizes(groups(x).max() + 1, x.shape[1], how.folds), outer(x, y)
    relative = is_relative(y)
    return Validation(
        {name: cross_validated(model, x, y, how) for name, model in models.items()},
        {name: extrapolated(model, x, y, where, how.seed) for name, model in models.items()},
        {name: learning_curve(model, x, y, sizes, relative, how.seed) for name, model in models.items()},
        sizes,
    )


def is_relative(y: Array) -> bool:
    """Whether differences from these values are relative ones."""
    return bool((y > 0).all())


def differences(predicted: Array, values: Array, relative: bool) -> Array:
    """p − y, or 2 (p − y)/(|p| + |y|), of the shape that the arguments have together."""
    if not relative:
        return predicted - values
    return np.asarray(2 * (predicted - values) / (np.abs(predicted) + np.abs(values)))


def rmse(predicted: Array, values: Array, relative: bool) -> float:
    return float(np.sqrt(np.mean(differences(predicted, values, relative) ** 2)))


def score(predicted: Array, values: Array, relative: bool) -> Score:
    """Of predictions (repeats, n) of values (n,)."""
    squares = np.mean(differences(predicted, values, relative) ** 2, axis=0)
    root, deviation = math.sqrt(squares.mean()), float(np.std(squares, ddof=1)) / math.sqrt(len(squares))
    return Score(root, deviation / (2 * root) if root > 0 else 0.0)


def simplest(scores: Mapping[str, Score], exact: float = 0.0) -> str:
    """By the one-standard-error rule; models come from the simplest to the most flexible."""
    limit = one_standard_error(scores, exact)
    return next(name for name, one in scores.items() if one.rmse <= limit)


def one_standard_error(scores: Mapping[str, Score], exact: float = 0.0) -> float:
    """The least rmse plus its standard error, or the error up to which all are exact, if that is greater."""
    best = min(scores.values(), key=lambda one: one.rmse)
    return max(best.rmse + best.standard_error, exact)


def round_off(y: Array, relative: bool) -> float:
    """The rmse of predictions of values (n,) that are exact but for rounding."""
    return ROUND_OFF if relative else ROUND_OFF * float(np.sqrt(np.mean(y**2)))


def groups(x: Array) -> Rows:
    """Numbers (n,), from 0, that rows (n, d) share with their copies, in the order in which they come."""
    _, first, group = np.unique(x, axis=0, return_index=True, return_inverse=True)
    return np.argsort(np.argsort(first))[group.ravel()]


def parts(x: Array, how: Splits, repeat: int) -> list[Rows]:
    """The rows of each fold, of sizes that differ by one at most but for copies, which stay together."""
    group = groups(x)
    order = np.random.default_rng([how.seed, SPLITS, repeat]).permutation(group.max() + 1)
    return [np.flatnonzero(np.isin(group, fold)) for fold in np.array_split(order, how.folds)]


def cross_validated(model: Model, x: Array, y: Array, how: Splits) -> Array:
    """Predictions (repeats, n), each by a model that has not seen the value; all models see the same folds."""
    found = np.empty((how.repeats, len(y)))
    for repeat in range(how.repeats):
        for rows in parts(x, how, repeat):
            rest = np.setdiff1d(np.arange(len(y)), rows)
            found[repeat, rows] = model.fit(x[rest], y[rest], how.seed).predict(x[rows])
    return found


def outer(x: Array, y: Array) -> Outer:
    """The third that lies furthest along the descriptor of greatest rank correlation with y, where y is large."""
    ranks = np.argsort(np.argsort(y, kind="stable"), kind="stable")
    correlations = [float(np.corrcoef(np.argsort(np.argsort(c, kind="stable")), ranks)[0, 1]) for c in x.T]
    column = int(np.argmax(np.abs(correlations)))
    order = np.argsort(np.sign(correlations[column]) * x[:, column], kind="stable")
    inside = len(y) - len(y) // 3
    return Outer(order[:inside], order[inside:], column)


def extrapolated(model: Model, x: Array, y: Array, where: Outer, seed: int) -> Array:
    """Predictions (m,) of the outer rows from the inner ones."""
    return model.fit(x[where.inside], y[where.inside], seed).predict(x[where.beyond])


def curve_sizes(n: int, d: int, folds: int) -> list[int]:
    """Numbers of samples of a learning curve, from as few as fit d + 1 coefficients to as many as folds leave."""
    sizes = np.geomspace(d + 2, n - math.ceil(n / folds), CURVE_SIZES)
    return sorted({int(size) for size in np.round(sizes)})


def learning_curve(model: Model, x: Array, y: Array, sizes: Sequence[int], relative: bool, seed: int) -> list[float]:
    """The rmse over rows left out, for numbers of samples drawn `CURVE_DRAWS` times; all models see the same draws."""
    group = groups(x)
    draws = [np.random.default_rng([seed, DRAWS, k]).permutation(group.max() + 1) for k in range(CURVE_DRAWS)]
    places = [np.argsort(draw)[group] for draw in draws]  # of each row, which it shares with its copies
    return [
        math.sqrt(np.mean([_square(model, x, y, place, size, relative, seed) for place in places])) for size in sizes
    ]


def _square(model: Model, x: Array, y: Array, place: Rows, size: int, relative: bool, seed: int) -> float:
    seen, unseen = np.split(np.argsort(place, kind="stable"), [np.count_nonzero(place < size)])
    return rmse(model.fit(x[seen], y[seen], seed).predict(x[unseen]), y[unseen], relative) ** 2
