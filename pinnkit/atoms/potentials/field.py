"""What says energies and forces of structures: exact potentials, learned ones, calculators of others."""

from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from pinnkit.atoms.pairs import Pairs
from pinnkit.atoms.structure import Structure

Array = NDArray[np.float64]


class Labels(NamedTuple):
    """What is known of a structure: energy (eV), forces (n, 3) (eV/Å) and stress (3, 3) (eV/Å³), None without volume.

    The stress is (∂E/∂strain)/volume: positive under tension.
    """

    energy: float
    forces: Array
    stress: Array | None


class Field(Protocol):
    """What moves atoms: energy and forces of a structure, given pairs that reach at least as far as it does."""

    def pairs(self, structure: Structure, skin: float = 0.0) -> Pairs: ...

    def energy_forces(self, structure: Structure, pairs: Pairs | None = None) -> Labels: ...


def labelled(field: Field, structure: Structure) -> Structure:
    """The structure with what the field says of it."""
    return structure.labelled(*field.energy_forces(structure))
