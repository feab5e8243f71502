"""ASE and pinnkit: a learned potential as a calculator of ASE, and a calculator of ASE as what labels structures.

ASE is imported when it is needed, with the extra `atoms`.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from pinnkit.atoms.pairs import Pairs, neighbours
from pinnkit.atoms.potentials.field import Field, Labels
from pinnkit.atoms.structure import Structure, from_voigt, to_voigt
from pinnkit.errors import BadInput


def PinnkitCalculator(found: Field, **told: Any) -> Any:
    """An ASE calculator of energy, forces and, with a cell, stress, by a potential or what was found with one.

        atoms.calc = PinnkitCalculator(pinnkit.load("outputs/…"))

    Raises BadInput without ASE, for what tells no energies and forces, and when it is asked about species never seen.
    """
    _needed()
    if not callable(getattr(found, "energy_forces", None)):
        raise BadInput("found", f"a {type(found).__name__} tells no energies and forces", "give a potential")
    from ase.calculators.calculator import Calculator, all_changes  # optional

    class Learned(Calculator):
        implemented_properties = ["energy", "free_energy", "forces", "stress"]  # noqa: RUF012 -- ASE's way

        def calculate(
            self, atoms: Any = None, properties: Any = ("energy",), system_changes: Any = tuple(all_changes)
        ) -> None:
            super().calculate(atoms, properties, system_changes)
            plain = self.atoms.copy()
            labels = found.energy_forces(Structure.from_ase(plain))
            self.results = {"energy": labels.energy, "free_energy": labels.energy, "forces": labels.forces}
            if labels.stress is not None:
                self.results["stress"] = to_voigt(labels.stress)

    return Learned(**told)


@dataclass(frozen=True, eq=False)
class AseField:
    """Energies, forces and stresses by a calculator of ASE, which is told of one structure after the other."""

    calculator: Any
    reach: float = 3.5  # Å: pairs are asked for to know the distance of the nearest atoms alone

    def pairs(self, structure: Structure, skin: float = 0.0) -> Pairs:
        """Pairs of atoms that are near; the calculator finds its own."""
        return neighbours(structure, self.reach + skin)

    def energy_forces(self, structure: Structure, pairs: Pairs | None = None) -> Labels:
        """In eV, eV/Å and eV/Å³."""
        atoms = structure.moved(structure.positions).to_ase()
        atoms.calc = self.calculator
        stress = None if structure.cell is None else from_voigt(np.asarray(atoms.get_stress()))
        return Labels(float(atoms.get_potential_energy()), np.asarray(atoms.get_forces()), stress)


def effective_medium() -> AseField:
    """ASE's effective medium theory (Jacobsen, Stoltze & Nørskov 1996), for Al, Cu, Ag, Au, Ni, Pd, Pt.

    Raises BadInput without ASE.
    """
    _needed()
    from ase.calculators.emt import EMT  # optional

    return AseField(EMT())


def _needed() -> None:
    try:
        import ase  # noqa: F401 -- optional
    except ImportError:
        raise BadInput("problem", "ASE is not installed", "run: pip install 'pinnkit[atoms]'") from None
