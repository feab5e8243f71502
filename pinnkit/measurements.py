"""Measured data from CSV files."""

import csv
import re
from collections.abc import Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pinnkit.errors import BadInput, about

Array = NDArray[np.float64]
SEPARATORS = {";": "semicolons", "\t": "tabs", "|": "bars"}
ALIKE = 0.7  # how much names of columns must be alike to be mentioned, of 1


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
    with about(key):
        return _table(path, columns, more)


def _table(path: str | Path, columns: Sequence[str], more: Sequence[str]) -> dict[str, Array]:
    try:
        with open(path, newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file, skipinitialspace=True)
            header = list(reader.fieldnames or [])
            _check_header(header, columns, more, path)
            present = [*columns, *(name for name in more if name in header)]
            rows = [_row(row, present, path, reader.line_num) for row in reader]
    except (OSError, UnicodeDecodeError, csv.Error) as reason:
        raise BadInput(
            "data", f"{path}: it cannot be read ({reason})", "check the path; it must be UTF-8 text"
        ) from None
    if not rows:
        raise BadInput("data", f"{path}: it has no rows", "give at least one measurement")
    return dict(zip(present, np.array(rows).T, strict=True))


def _check_header(header: Sequence[str], columns: Sequence[str], more: Sequence[str], path: str | Path) -> None:
    """Each of the columns once, and none that seems to be one of `more` under another name."""
    for name in columns:
        if header.count(name) != 1:
            what = f"{path}: there are {header.count(name)} columns {name!r}"
            raise BadInput("data", what, f"one is needed; {_hint(name, header, [*columns, *more])}")
    for name in more:
        if name not in header and (same := _likely(name, header, [*columns, *more], cutoff=1)):
            raise BadInput("data", f"{path}: column {same!r} would not be read", f"rename it {name!r}, or leave it out")


def _hint(name: str, header: Sequence[str], wanted: Sequence[str]) -> str:
    """What is there in place of a column, and what to do."""
    if not header:
        return "write the names of columns in the first line, which is empty"
    if len(header) == 1 and (separator := _separator(name, header[0])):
        return f"in {header[0]!r}, separate columns by commas, not by {separator}; write decimals with a point"
    if all(map(_is_number, header)):
        return f"begin with a line of names, not with {','.join(header)}"
    near = None if name in header else _likely(name, header, wanted, cutoff=ALIKE)
    return f"the columns are {', '.join(header)}" + (f"; if {near!r} is meant, rename it {name!r}" if near else "")


def _separator(name: str, line: str) -> str | None:
    """What a line of names is separated by, in place of commas; by blanks, if one of the names is known."""
    found = next((words for mark, words in SEPARATORS.items() if mark in line), None)
    names = line.lower().split()
    return found or ("blanks" if len(names) > 1 and name.lower() in names else None)


def _likely(name: str, header: Sequence[str], wanted: Sequence[str], cutoff: float) -> str | None:
    """The column most like a name, but for capitals and for a unit, as in "x (m)" or "x/m"."""
    bare = {re.split(r"\s*[(\[/]", other.lower())[0]: other for other in header if other not in wanted}
    near = get_close_matches(name.lower(), bare, n=1, cutoff=cutoff)
    return bare[near[0]] if near else None


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


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
