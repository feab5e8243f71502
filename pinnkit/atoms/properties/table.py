"""Tables of materials: reading them, and refusing what no model can be made of."""

import csv
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pinnkit.errors import BadInput
from pinnkit.measurements import read_columns

Array = NDArray[np.float64]
SMALLEST, LARGEST = 1e-100, 1e100  # magnitudes of what squares can be summed of
CONSTANT = 1e-12  # relative variation that is round-off


class Table(NamedTuple):
    """Descriptors (n,) by name, and the property (n,)."""

    descriptors: Mapping[str, Array]
    values: Array


def read_table(path: str | Path, target: str, descriptors: Sequence[str] | None = None) -> Table:
    """From a CSV file with a column `target`; descriptors are the other columns, or those that are named.

    Raises BadInput with file, line and column.
    """
    check_once(descriptors or (), "problem.descriptors")
    read_columns(path, [target], key="problem.data")
    names = list(descriptors or (name for name in _header(path) if name != target))
    if not names:
        raise BadInput("problem.data", f"{path}: {target} is its only column", "give columns of descriptors")
    try:
        table = read_columns(path, [*names, target], key="problem.data")
    except BadInput as bad:
        remedy = bad.remedy if descriptors else f"{bad.remedy}, or name the columns to use in problem.descriptors"
        raise BadInput(bad.key, bad.what, remedy) from None
    return Table(dict(zip(names, table.T, strict=False)), table[:, -1])


def check_once(names: Sequence[str], key: str) -> None:
    """Raises BadInput for a name that comes twice."""
    for name in names:
        if list(names).count(name) > 1:
            raise BadInput(key, f"{name!r} is named twice", "name each of them once")


def _header(path: str | Path) -> list[str]:
    with open(path, newline="", encoding="utf-8-sig") as file:
        return next(csv.reader(file, skipinitialspace=True))


def check_table(descriptors: Mapping[str, ArrayLike], values: ArrayLike, target: str) -> None:
    """Raises BadInput, with row and column, for what is no finite number, and for columns that do not vary."""
    if target in descriptors:
        raise BadInput("problem.target", f"{target!r} is a descriptor too", "leave it out of the descriptors")
    if not descriptors:
        raise BadInput("problem.descriptors", "there are none", "give at least one")
    for name, column in (*descriptors.items(), (target, values)):
        _check_column(name, column, np.size(values))


def _check_column(name: str, column: ArrayLike, rows: int) -> None:
    try:
        values = np.asarray(column, dtype=float)
    except (TypeError, ValueError):
        raise BadInput("problem.data", f"{name} is not an array of numbers", "give one number a row") from None
    if values.shape != (rows,):
        what = f"{name} has shape {values.shape}, and {rows} values of the property are given"
        raise BadInput("problem.data", what, "give one number a row")
    for row in np.flatnonzero(~(np.abs(values) < LARGEST)):
        raise BadInput("problem.data", f"{name} is {values[row]} in row {row + 1}", "give finite numbers")
    if np.abs(values).max() < SMALLEST and values.any():
        raise BadInput("problem.data", f"{name} is {np.abs(values).max():g} at most", "give it in smaller units")
    if rows > 1 and np.ptp(values) <= CONSTANT * np.abs(values).max():
        what = f"{name} is {values[0]:g} in every row, which tells nothing"
        raise BadInput("problem.data", what, "leave the column out, or give materials in which it varies")


def check_size(rows: int, d: int, folds: int) -> None:
    """Raises BadInput where a fold, or the outer third, leaves too few rows to fit d + 1 coefficients with one over."""
    if rows < folds:
        raise BadInput("problem.folds", f"{rows} samples cannot be divided into {folds}", "ask for fewer, or give more")
    left = min(rows - math.ceil(rows / folds), rows - rows // 3)
    if left < d + 2:
        what = f"of {rows} samples {left} are left to fit {d + 1} coefficients to"
        raise BadInput("problem.samples", what, f"give so many that {d + 2} are left, or fewer descriptors")


def check_positive(columns: Mapping[str, ArrayLike], target: str) -> None:
    """Raises BadInput, with row and column, where a law takes the logarithm of what has none."""
    for name, column in columns.items():
        values = np.asarray(column, dtype=float)
        for row in np.flatnonzero(values <= 0):
            what = f"{name} is {values[row]:g} in row {row + 1}, and {target} is to follow a power of it"
            raise BadInput("problem.data", what, "give positive values, or name the column otherwise")
