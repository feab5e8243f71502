"""What symmetry is worth: a potential on symmetry functions beside a network on raw coordinates."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from pinnkit.atoms.descriptors import SymmetryFunctions
from pinnkit.atoms.potentials.data import labelled, thermal
from pinnkit.atoms.potentials.field import Field
from pinnkit.atoms.potentials.fitting import compare, fit
from pinnkit.atoms.potentials.lennard_jones import LennardJones, lowest
from pinnkit.atoms.potentials.raw_coordinates import RawPotential
from pinnkit.atoms.structure import Structure
from pinnkit.settings import Auto, Settings

Array = NDArray[np.float64]
ANGLES = 73
TIMESTEP = 8.0  # fs
INVARIANT, RAW = "symmetry functions", "raw coordinates"


@dataclass(frozen=True, eq=False)
class Contrast:
    """Of each of the two models: the relative error of forces by number of structures, and what symmetry demands.

    `turned` are energies (angles,) in eV of one cluster turned round an axis; `sum_of_forces` is that of held-out
    clusters, the largest, relative to the spread of forces.
    """

    sizes: Array
    errors: Mapping[str, Array]
    angles: Array
    turned: Mapping[str, Array]
    truth: float
    sum_of_forces: Mapping[str, float]

    def to_plain(self) -> dict[str, Any]:
        """Lists and numbers."""
        lists = {name: {key: value.tolist() for key, value in getattr(self, name).items()} for name in CURVES}
        told = {"sizes": self.sizes.tolist(), "angles": self.angles.tolist(), "truth": self.truth}
        return {**lists, **told, "sum_of_forces": dict(self.sum_of_forces)}

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any]) -> "Contrast":
        """The same again."""
        errors, turned = ({key: np.array(value) for key, value in plain[name].items()} for name in CURVES)
        sizes, angles = np.array(plain["sizes"], dtype=float), np.array(plain["angles"])
        return cls(sizes, errors, angles, turned, plain["truth"], plain["sum_of_forces"])


CURVES = ("errors", "turned")


@dataclass(frozen=True)
class Clusters:
    """Clusters of so many atoms at a temperature (K), in all orientations, of which `sizes` are learned from."""

    field: LennardJones
    descriptors: SymmetryFunctions
    atoms: int = 7
    temperature: float = 15.0
    sizes: tuple[int, ...] = (5, 10, 20, 50, 100, 200)
    held_out: int = 60

    def contrast(self, settings: Settings) -> Contrast:
        """Both models from each number of structures, heads alone; the last ones are turned."""
        settings = replace(settings, optimizer=Auto())
        pool = self._structures(settings.seed, 0, max(self.sizes))
        other = self._structures(settings.seed, 1, self.held_out)
        models: list[dict[str, Field]] = []
        for size in self.sizes:
            invariant = fit(self.descriptors, pool[:size], settings).potential
            models.append({INVARIANT: invariant, RAW: RawPotential.fit(pool[:size], settings)})
        names = (INVARIANT, RAW)
        found = {name: [compare(m[name], other) for m in models] for name in names}
        errors = {name: np.array([one.force_rmse_relative for one in all_sizes]) for name, all_sizes in found.items()}
        sums = {name: all_sizes[-1].sum_of_forces / _size_of_forces(other) for name, all_sizes in found.items()}
        angles, last = np.linspace(0, 360, ANGLES), models[-1]
        turned = [_turned(other[0], angle) for angle in angles]
        energies = {name: np.array([last[name].energy_forces(one).energy for one in turned]) for name in names}
        return Contrast(np.array(self.sizes, dtype=float), errors, angles, energies, float(other[0].energy or 0), sums)

    def _structures(self, seed: int, part: int, count: int) -> list[Structure]:
        """Of one run that starts from the lowest minimum, each turned at random about its centre."""
        rng = np.random.default_rng([seed, 9, part])
        start = lowest(self.atoms, self.field, starts=8)
        run = thermal(self.field, start, self.temperature, count, TIMESTEP, int(rng.integers(2**31)))
        turns = Rotation.random(count, rng=rng).as_matrix()
        centred = [one.positions - one.positions.mean(0) for one in run]
        return [labelled(self.field, one.moved(x @ turn.T)) for one, x, turn in zip(run, centred, turns, strict=True)]


def _turned(structure: Structure, degrees: float) -> Structure:
    return structure.moved(structure.positions @ Rotation.from_euler("z", degrees, degrees=True).as_matrix().T)


def _size_of_forces(structures: Sequence[Structure]) -> float:
    return float(np.std(np.concatenate([np.asarray(one.forces) for one in structures])))
