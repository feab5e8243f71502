"""Measured data from CSV files."""

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pinnkit.errors import BadInput

Array = NDArray[np.float64]


def read_csv(path: str | Path, coordinates: Sequence[str], value: str) -> tuple[Array, Array]:
    """Points (n, d) and values (n,) from the columns of those names. Raises BadInput with file, line and column."""
    table = read_columns(path, [*coordinates, value])
    return table[:, :-1], table[:, -1]


def read_columns(path: str | Path, columns: Sequence[str], more: Sequence[str] = (), key: str = "data") -> Array:
    """A table (n, columns) of those columns, and of `more` as far as they are there.

    Raises BadInput likewise, about the key by which the file was given.
    """
    return np.column_stack(list(read_named(path, columns, more, key).values()))


def read_named(
    path: str | Path, columns: Sequence[str], more: Sequence[str] = (), key: str = "data"
) -> dict[str, Array]:
    """The same, column by column (n,)."""
    try:
        return _table(path, columns, more)
    except BadInput as bad:
        raise BadInput(key, bad.what, bad.remedy) from None


def _table(path: str | Path, columns: Sequence[str], more: Sequence[str]) -> dict[str, Array]:
    try:
        with open(path, newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file, skipinitialspace=True)
            header = list(reader.fieldnames or [])
            for name in columns:
                if header.count(name) != 1:
                    what = f"{path}: there are {header.count(name)} columns {name!r}"
                    raise BadInput("data", what, f"one is needed; the columns are {', '.join(header)}")
            present = [*columns, *(name for name in more if name in header)]
            rows = [_row(row, present, path, reader.line_num) for row in reader]
    except (OSError, UnicodeDecodeError, csv.Error) as reason:
        raise BadInput(
            "data", f"{path}: it cannot be read ({reason})", "check the path; it must be UTF-8 text"
        ) from None
    if not rows:
        raise BadInput("data", f"{path}: it has no rows", "give at least one measurement")
    return dict(zip(present, np.array(rows).T, strict=True))


def _row(row: dict[str | None, Any], columns: Sequence[str], path: str | Path, line: int) -> list[float]:
    if None in row:
        raise BadInput(
            "data", f"{path}:{line}: it has more fields than there are columns", "write decimals with a point"
        )
    return [_number(row[name], path, line, name) for name in columns]


def _number(text: str | None, path: str | Path, line: int, column: str) -> float:
    try:
        number = float("" if text is None or "_" in text else text)
    except ValueError:
        number = np.nan
    if not np.isfinite(number):
        raise BadInput(
            "data", f"{path}:{line}: {column} is {text!r}, not a finite number", "write decimals with a point"
        )
    return number
