"""Measured data from CSV files."""

import csv
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pinnkit.errors import BadInput

Array = NDArray[np.float64]


def read_csv(path: str | Path, coordinates: Sequence[str], value: str) -> tuple[Array, Array]:
    """Points (n, d) and values (n,) from the columns of those names. Raises BadInput with file, line and column."""
    columns = [*coordinates, value]
    try:
        with open(path, newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file, skipinitialspace=True)
            missing = [name for name in columns if name not in (reader.fieldnames or [])]
            if missing:
                raise BadInput(
                    "data", f"{path}: there is no column {missing[0]!r}", f"columns are {reader.fieldnames}"
                )
            rows = [[_number(row[name], path, reader.line_num, name) for name in columns] for row in reader]
    except (OSError, UnicodeDecodeError) as reason:
        raise BadInput(
            "data", f"{path}: it cannot be read ({reason})", "check the path; it must be UTF-8 text"
        ) from None
    if not rows:
        raise BadInput("data", f"{path}: it has no rows", "give at least one measurement")
    table = np.array(rows)
    return table[:, :-1], table[:, -1]


def _number(text: str | None, path: str | Path, line: int, column: str) -> float:
    try:
        number = float(text or "")
    except ValueError:
        number = np.nan
    if not np.isfinite(number):
        raise BadInput(
            "data", f"{path}:{line}: {column} is {text!r}, not a finite number", "write decimals with a point"
        )
    return number
