"""Atoms in space: positions, species, a cell that may repeat, and what is known of their energy."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pinnkit.errors import BadInput

if TYPE_CHECKING:
    from ase import Atoms

Array = NDArray[np.float64]
FLAT = 1e-9  # volume of a cell, relative to the product of its edges, below which it is none


@dataclass(frozen=True, eq=False)
class Structure:
    """n atoms at positions (n, 3) in Å; rows of the cell (3, 3) are lattice vectors, along some of which it repeats.

    Labels, where there are any: energy in eV, forces (n, 3) in eV/Å, stress (3, 3) = (dE/dstrain)/volume in eV/Å³,
    positive under tension. Raises BadInput.
    """

    positions: Array
    species: tuple[str, ...]
    cell: Array | None = None
    periodic: tuple[bool, bool, bool] = (False, False, False)
    energy: float | None = None
    forces: Array | None = None
    stress: Array | None = None

    def __post_init__(self) -> None:
        for name, shape in (("positions", (-1, 3)), ("cell", (3, 3)), ("forces", (-1, 3)), ("stress", (3, 3))):
            given = getattr(self, name)
            object.__setattr__(self, name, None if given is None else checked_array(name, given, shape))
        object.__setattr__(self, "species", tuple(self.species))
        object.__setattr__(self, "periodic", _three(self.periodic))
        if len(self.species) != len(self.positions):
            what = f"{len(self.species)} for {len(self.positions)} positions"
            raise BadInput("species", what, "give one for each atom")
        if self.forces is not None and self.forces.shape != self.positions.shape:
            raise BadInput("forces", f"{len(self.forces)} for {len(self)} atoms", "give one for each atom")
        _check_cell(self.cell, self.periodic)

    def __len__(self) -> int:
        return len(self.positions)

    @property
    def volume(self) -> float:
        """Of the cell, in Å³. Raises BadInput where there is none."""
        if self.cell is None:
            raise BadInput("cell", "there is none", "give lattice vectors (3, 3)")
        return float(abs(np.linalg.det(self.cell)))

    def replicate(self, a: int, b: int, c: int) -> "Structure":
        """a × b × c cells as one, without labels."""
        if self.cell is None:
            raise BadInput("cell", "there is none to replicate", "give lattice vectors (3, 3)")
        steps = np.stack(np.meshgrid(range(a), range(b), range(c), indexing="ij"), -1).reshape(-1, 3)
        positions = (self.positions + (steps @ self.cell)[:, None]).reshape(-1, 3)
        return Structure(positions, self.species * len(steps), np.diag([a, b, c]) @ self.cell, self.periodic)

    def strained(self, strain: Array) -> "Structure":
        """Positions and cell multiplied by 1 + strain (3, 3), without labels."""
        turn = np.eye(3) + np.asarray(strain, dtype=float)
        cell = None if self.cell is None else self.cell @ turn.T
        return Structure(self.positions @ turn.T, self.species, cell, self.periodic)

    def moved(self, positions: Array) -> "Structure":
        """The same atoms elsewhere, without labels."""
        return Structure(positions, self.species, self.cell, self.periodic)

    def labelled(self, energy: float, forces: Array | None = None, stress: Array | None = None) -> "Structure":
        """With energy (eV), forces (eV/Å) and stress (eV/Å³)."""
        return replace(self, energy=float(energy), forces=forces, stress=stress)

    @classmethod
    def of(cls, given: Any) -> "Structure":
        """As it is, or of ASE's atoms. Raises BadInput for anything else."""
        if isinstance(given, Structure):
            return given
        if not (hasattr(given, "positions") and hasattr(given, "get_chemical_symbols")):
            raise BadInput("structure", f"a {type(given).__name__} has no atoms", "give a Structure, or Atoms of ASE")
        if hasattr(given, "cell"):
            return cls.from_ase(given)
        return cls(given.positions, tuple(given.get_chemical_symbols()))

    @classmethod
    def from_ase(cls, atoms: "Atoms") -> "Structure":
        """Of ASE's atoms, with the results of their calculator as far as they are there already.

        Lattice vectors that are missing where nothing repeats, as those of some slabs, become unit vectors.
        """
        found: dict[str, Any] = {} if atoms.calc is None else atoms.calc.results
        stress = found.get("stress")
        wanted = atoms.pbc & ~atoms.cell.any(1)
        whole = atoms.cell if wanted.any() else atoms.cell.complete()
        cell = np.array(whole) if atoms.cell.rank == 3 or atoms.pbc.any() else None
        return cls(
            atoms.positions.copy(), tuple(atoms.get_chemical_symbols()), cell, _three(atoms.pbc),
            found.get("energy"), found.get("forces"), None if stress is None else from_voigt(stress),
        )  # fmt: skip

    def to_ase(self) -> "Atoms":
        """As ASE's atoms, with labels in a SinglePointCalculator. Needs the extra `atoms`."""
        from ase import Atoms  # optional
        from ase.calculators.singlepoint import SinglePointCalculator

        atoms = Atoms(self.species, self.positions, cell=self.cell, pbc=self.periodic)
        stress = None if self.stress is None else to_voigt(self.stress)
        known = {"energy": self.energy, "forces": self.forces, "stress": stress}
        if any(value is not None for value in known.values()):
            atoms.calc = SinglePointCalculator(atoms, **{k: v for k, v in known.items() if v is not None})
        return atoms


def _three(flags: Sequence[Any]) -> tuple[bool, bool, bool]:
    return bool(flags[0]), bool(flags[1]), bool(flags[2])


def from_voigt(stress: Sequence[float] | Array) -> Array:
    """Symmetric (3, 3) of xx, yy, zz, yz, xz, xy; (3, 3) as it is."""
    values = np.asarray(stress, dtype=float)
    return values if values.shape == (3, 3) else values[[[0, 5, 4], [5, 1, 3], [4, 3, 2]]]


def to_voigt(stress: Array) -> Array:
    """xx, yy, zz, yz, xz, xy of a symmetric (3, 3)."""
    return np.asarray(stress)[[0, 1, 2, 1, 0, 0], [0, 1, 2, 2, 2, 1]]


def checked_array(name: str, value: Any, shape: tuple[int, int]) -> Array:
    """As finite numbers (n, 3), where the shape is (-1, 3), or (3, 3). Raises BadInput, with row and column."""
    try:
        array = np.array(value, dtype=float)
    except (TypeError, ValueError):
        raise BadInput(name, "they are not an array of numbers", f"give {_words(shape)}") from None
    if array.ndim != 2 or array.shape[1] != 3 or shape[0] not in (-1, len(array)):
        raise BadInput(name, f"shape {array.shape}", f"give {_words(shape)}")
    bad = np.argwhere(~np.isfinite(array))
    if len(bad):
        row, column = bad[0]
        which = "atom" if shape[0] == -1 else "row"
        raise BadInput(name, f"{'xyz'[column]} of {which} {row} is {array[row, column]}", "give finite numbers")
    return array


def _words(shape: tuple[int, int]) -> str:
    return "(n, 3)" if shape[0] == -1 else "(3, 3)"


def _check_cell(cell: Array | None, periodic: tuple[bool, ...]) -> None:
    if cell is None:
        if any(periodic):
            raise BadInput("cell", "there is none along which to repeat", "give lattice vectors (3, 3)")
        return
    edges = np.linalg.norm(cell, axis=1)
    if not edges.all() or abs(np.linalg.det(cell)) <= FLAT * edges.prod():
        raise BadInput("cell", "its volume is zero", "give three lattice vectors that are independent")


def kinds_of(species: Sequence[str], known: Sequence[str]) -> NDArray[np.int64]:
    """Positions (n,) of species among known ones. Raises BadInput for others."""
    place = {name: k for k, name in enumerate(known)}
    unknown = sorted(set(species) - place.keys())
    if unknown:
        raise BadInput("species", f"{', '.join(unknown)} is unknown here", f"known are {', '.join(known)}")
    return np.array([place[name] for name in species], dtype=np.int64)


# --- lattices ---------------------------------------------------------------------------------------------------------


def fcc(a: float, symbol: str) -> Structure:
    """The conventional cell of a face-centred cubic crystal with lattice constant a (Å): four atoms."""
    return _cubic(a, [(0, 0, 0), (0, 0.5, 0.5), (0.5, 0, 0.5), (0.5, 0.5, 0)], (symbol,) * 4)


def bcc(a: float, symbol: str) -> Structure:
    """Of a body-centred cubic crystal: two atoms."""
    return _cubic(a, [(0, 0, 0), (0.5, 0.5, 0.5)], (symbol,) * 2)


def b2(a: float, first: str, second: str) -> Structure:
    """Of an ordered B2 (CsCl) crystal: the first species at the corners, the second in the middle."""
    return _cubic(a, [(0, 0, 0), (0.5, 0.5, 0.5)], (first, second))


def _cubic(a: float, fractions: Sequence[tuple[float, float, float]], species: tuple[str, ...]) -> Structure:
    if not a > 0:
        raise BadInput("lattice", f"it is {a:g}", "a lattice constant is > 0, in Å")
    return Structure(a * np.array(fractions), species, a * np.eye(3), (True, True, True))
