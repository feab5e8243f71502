"""Structures in files of the extended XYZ format, with energies, forces and stresses.

A frame is a number of atoms, a line of key=value pairs (`Lattice`, `pbc`, `energy`, `stress`, `Properties`), and one
line for each atom with the columns that `Properties` names (see https://github.com/libAtoms/extxyz). Units are Å, eV,
eV/Å and eV/Å³.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from pinnkit.atoms.structure import Array, Structure, from_voigt
from pinnkit.errors import BadInput
from pinnkit.files import write_atomically

PAIR = re.compile(r"""([\w-]+)\s*=\s*(?:"([^"]*)"|'([^']*)'|\{([^}]*)\}|(\S+))|(\S+)""")
USUAL = "species:S:1:pos:R:3"
FORCES = ("forces", "force")
SIX, NINE = 6, 9


class _Line(NamedTuple):
    where: str  # file and number
    text: str


def read_extxyz(path: str | Path) -> list[Structure]:
    """All frames of a file; columns and keys of other names are passed over. Raises BadInput with file and line."""
    try:
        text = Path(path).read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as reason:
        raise BadInput(
            "data", f"{path}: it cannot be read ({reason})", "check the path; it must be UTF-8 text"
        ) from None
    lines = [_Line(f"{path}:{number}", line) for number, line in enumerate(text.splitlines(), 1)]
    frames = list(_frames(lines, str(path)))
    if not frames:
        raise BadInput("data", f"{path}: it has no frames", "give at least one structure")
    return frames


def _frames(lines: Sequence[_Line], path: str) -> Iterator[Structure]:
    at = 0
    while at < len(lines):
        if not lines[at].text.strip():
            at += 1
            continue
        count = _count(lines[at])
        atoms = lines[at + 2 : at + 2 + count]
        if len(atoms) < count:
            raise BadInput(
                "data", f"{path}: it ends before the {count} atoms of {lines[at].where}", "complete the file"
            )
        yield _frame(lines[at + 1], atoms)
        at += 2 + count


def _count(line: _Line) -> int:
    text = line.text.strip()
    if not (text.isdecimal() and int(text) > 0):
        raise BadInput("data", f"{line.where}: {text!r} is no number of atoms", "begin frames with one")
    return int(text)


def _frame(comment: _Line, atoms: Sequence[_Line]) -> Structure:
    told = _told(comment.text)
    columns = _columns(told.get("Properties", USUAL), comment.where)
    width = max(stop for _, stop in columns.values())
    rows = [_fields(line, width) for line in atoms]
    named = {name.lower(): place for name, place in columns.items()}
    if not {"species", "pos"} <= named.keys():
        raise BadInput("data", f"{comment.where}: Properties names no species or no pos", f"write {USUAL}")
    forces = next((named[name] for name in FORCES if name in named), None)
    cell = _numbers(told["Lattice"], NINE, comment.where).reshape(3, 3) if "Lattice" in told else None
    try:
        return Structure(
            _table(rows, named["pos"], atoms), tuple(row[named["species"][0]] for row in rows), cell,
            _periodic(told.get("pbc"), cell is not None, comment.where),
            float(_numbers(told["energy"], 1, comment.where)[0]) if "energy" in told else None,
            None if forces is None else _table(rows, forces, atoms), _stress(told.get("stress"), comment.where),
        )  # fmt: skip
    except BadInput as bad:
        raise BadInput(
            "data", f"{comment.where}: {bad.key}: {bad.what}" if bad.key != "data" else bad.what, bad.remedy
        ) from None


def _told(text: str) -> dict[str, str]:
    found = (match.groups() for match in PAIR.finditer(text))
    return {key: next(value for value in values[:-1] if value is not None) for key, *values in found if key}


def _columns(properties: str, where: str) -> dict[str, tuple[int, int]]:
    """First column and the one after the last, by name."""
    parts, at, found = properties.split(":"), 0, {}
    if len(parts) % 3 or not all(part.isdecimal() for part in parts[2::3]):
        raise BadInput("data", f"{where}: Properties is {properties!r}", f"write name:type:columns, like {USUAL}")
    for name, count in zip(parts[::3], map(int, parts[2::3]), strict=True):
        found[name] = (at, at + count)
        at += count
    return found


def _fields(line: _Line, width: int) -> list[str]:
    fields = line.text.split()
    if len(fields) < width:
        raise BadInput("data", f"{line.where}: it has {len(fields)} columns, not {width}", "complete the line")
    return fields


def _table(rows: Sequence[Sequence[str]], columns: tuple[int, int], atoms: Sequence[_Line]) -> Array:
    if columns[1] - columns[0] != 3:
        raise BadInput("data", f"{atoms[0].where}: a vector has {columns[1] - columns[0]} columns", "give three")
    return np.array(
        [_numbers(row[slice(*columns)], 3, line.where) for row, line in zip(rows, atoms, strict=True)]
    ).reshape(-1, 3)


def _numbers(words: str | Sequence[str], count: int, where: str) -> Array:
    told = words.split() if isinstance(words, str) else words
    try:
        numbers = np.array([float(word) for word in told])
    except ValueError:
        numbers = np.array([np.nan])
    if len(told) != count or not np.isfinite(numbers).all():
        raise BadInput("data", f"{where}: {' '.join(told)!r} are not {count} finite numbers", "correct the file")
    return numbers


def _periodic(text: str | None, cell: bool, where: str) -> tuple[bool, bool, bool]:
    """As it is told; without a word along all vectors of the cell, if there is one."""
    if text is None:
        return (cell,) * 3
    words = [word.lower() in ("t", "true", "1") for word in text.split()]
    if len(words) != 3:
        raise BadInput("data", f"{where}: pbc is {text!r}", 'write pbc="T T T"')
    return words[0], words[1], words[2]


def _stress(text: str | None, where: str) -> Array | None:
    if text is None:
        return None
    six = len(text.split()) == SIX
    return from_voigt(_numbers(text, SIX, where)) if six else _numbers(text, NINE, where).reshape(3, 3)


def write_extxyz(path: str | Path, structures: Iterable[Structure]) -> None:
    """Write structures, with the labels they have. Raises OutputFailed."""
    write_atomically(Path(path), "".join(map(_text, structures)).encode())


def _text(one: Structure) -> str:
    columns = [one.positions] + ([] if one.forces is None else [one.forces])
    told: dict[str, Any] = {"Properties": USUAL + ("" if one.forces is None else ":forces:R:3")}
    for key, value in (("Lattice", one.cell), ("energy", one.energy), ("stress", one.stress)):
        if value is not None:
            told[key] = " ".join(repr(float(number)) for number in np.ravel(value))
    told["pbc"] = " ".join("T" if along else "F" for along in one.periodic)
    rows = (f"{symbol} {' '.join(repr(float(x)) for x in row)}\n"
            for symbol, row in zip(one.species, np.hstack(columns), strict=True))  # fmt: skip
    return f"{len(one)}\n{_comment(told)}\n{''.join(rows)}"


def _comment(told: Mapping[str, Any]) -> str:
    return " ".join(f'{key}="{value}"' if " " in value else f"{key}={value}" for key, value in told.items())
