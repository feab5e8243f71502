"""A potential that is learned: E = Σ_i ε_{species(i)}(G_i), its forces and its stress.

G_i are symmetry functions of the surroundings of atom i (Behler & Parrinello 2007), which neither translations,
rotations and reflections nor permutations of like atoms change. Forces and stress are derivatives of the one energy,

    F_j = −∂E/∂r_j,        stress = (∂E/∂strain) / volume,

so forces sum to zero, and motion keeps the energy. Where atoms are nearer to each other than any were in the data no
descriptor keeps them apart; a repulsion that is zero in all that was learned from does,

    Σ_{i<j} CORE · max(c_ij / r_ij − 1, 0)³,        c_ij the smallest distance of atoms of their species in the data,

as screened nuclei repel each other at less than half of it, and softly where a structure is but a little tighter.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from pinnkit.atoms.descriptors import Angular, Radial, SymmetryFunctions
from pinnkit.atoms.pairs import Pairs, neighbours
from pinnkit.atoms.potentials.atomic_energies import AtomicEnergies
from pinnkit.atoms.potentials.field import Labels
from pinnkit.atoms.structure import Structure
from pinnkit.errors import BadInput
from pinnkit.networks import MLP

Array = NDArray[np.float64]
CORE = 20.0  # eV
NEARER = 0.03  # share of the smallest distance, by which atoms are nearer, that counts as one spread of a descriptor


@dataclass(frozen=True)
class Layers:
    """The shape of the feature map of a species."""

    widths: tuple[int, ...]
    activation: str
    slope: float


class Potential(nn.Module):
    """The mean of one or more members, which share their descriptors, in float64.

    `closest` (S, S) are the smallest distances (Å) at which atoms of S species were seen.
    """

    closest: Tensor

    def __init__(
        self, descriptors: SymmetryFunctions, members: Sequence[AtomicEnergies], layers: Layers, closest: Tensor
    ) -> None:
        super().__init__()
        self.descriptors, self.members, self.layers = descriptors, nn.ModuleList(members), layers
        self.register_buffer("closest", closest)

    @property
    def species(self) -> tuple[str, ...]:
        return tuple(self.descriptors.species)

    @property
    def cutoff(self) -> float:
        return float(self.descriptors.cutoff)

    def pairs(self, structure: Structure, skin: float = 0.0) -> Pairs:
        """The pairs that interact, and those within a further `skin`."""
        return neighbours(structure, self.cutoff + skin)

    def kinds(self, structure: Structure) -> Tensor:
        """The species (n,) as positions in `species`. Raises BadInput for those that were never seen."""
        return self.descriptors.kinds(structure.species)

    def energies(self, values: Tensor, kinds: Tensor) -> Tensor:
        """Energies (members,) from descriptors (n, D)."""
        return torch.stack([member(values, kinds).sum() for member in self.members])

    def energy_forces(self, structure: Structure, pairs: Pairs | None = None) -> Labels:
        """Energy (eV), forces (n, 3) (eV/Å) and stress (3, 3) (eV/Å³), which is None where there is no volume.

        `pairs` may be given, and may reach beyond the cutoff.
        """
        strained = _Strained(self, structure, pairs)
        return strained.labels(self.energies(strained.values, strained.kinds).mean())

    def energy(self, structure: Structure) -> float:
        """The energy in eV."""
        return self.energy_forces(structure).energy

    def forces(self, structure: Structure) -> Array:
        """The forces (n, 3) in eV/Å."""
        return self.energy_forces(structure).forces

    def of_members(self, structure: Structure, pairs: Pairs | None = None) -> list[Labels]:
        """What each member says."""
        strained = _Strained(self, structure, pairs)
        return [strained.labels(energy) for energy in self.energies(strained.values, strained.kinds)]

    def single(self) -> list["Potential"]:
        """Each member as a potential of its own."""
        return [Potential(self.descriptors, [one], self.layers, self.closest) for one in self.members]  # type: ignore[list-item]

    def spread(self, structure: Structure, pairs: Pairs | None = None) -> Labels:
        """Standard deviations over the members: of the energy, of the force on each atom and of the stress.

        Raises BadInput for a single member.
        """
        if len(self.members) < 2:
            raise BadInput("members", "one member has nobody to disagree with", "fit at least two")
        said = self.of_members(structure, pairs)
        energy, forces = np.std([one.energy for one in said]), np.std([one.forces for one in said], axis=0)
        stresses = [one.stress for one in said if one.stress is not None]
        stress = np.std(stresses, axis=0) if stresses else None
        return Labels(float(energy), forces, stress)

    def beyond(self, structure: Structure) -> Array:
        """How far the surroundings of each atom (n,) are outside of those learned from; 0: they are within.

        It is the distance of the worst descriptor from the range in which it was seen, in units of its spread there,
        and (c/r − 1)/0.03 more where another atom is at a distance r, nearer than the smallest one seen, c. Outside a
        potential extrapolates (Behler 2015), and errors are those of no test. Raises BadInput.
        """
        strained, first = _Strained(self, structure, None), self.members[0]
        assert isinstance(first, AtomicEnergies)
        found = first.beyond(strained.values.detach(), strained.kinds).numpy()
        nearest, nearer = np.zeros(len(found)), self.nearer(strained.d.detach(), strained.pairs, strained.kinds)
        np.maximum.at(nearest, strained.pairs.first, nearer.numpy())
        return np.asarray(found + nearest / NEARER)

    def nearer(self, d: Tensor, pairs: Pairs, kinds: Tensor) -> Tensor:
        """max(c/r − 1, 0) of pairs (m,) with displacements (m, 3)."""
        closest = self.closest[kinds[torch.as_tensor(pairs.first)], kinds[torch.as_tensor(pairs.second)]]
        return (closest / d.norm(dim=1) - 1).clamp_min(0)

    def to_plain(self) -> dict[str, Any]:
        """Numbers and tensors from which `from_plain` makes it again."""
        functions = self.descriptors
        return {
            "species": list(self.species), "cutoff": self.cutoff,
            "radial": [list(row) for row in functions.radial], "angular": [list(row) for row in functions.angular],
            "layers": {"widths": list(self.layers.widths), "activation": self.layers.activation,
                       "slope": self.layers.slope},
            "members": [dict(member.state_dict()) for member in self.members], "closest": self.closest,
        }  # fmt: skip

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any]) -> "Potential":
        """The same potential."""
        radial = tuple(Radial(*row) for row in plain["radial"])
        angular = tuple(Angular(*row) for row in plain["angular"])
        descriptors = SymmetryFunctions(tuple(plain["species"]), plain["cutoff"], radial, angular)
        told = plain["layers"]
        layers = Layers(tuple(told["widths"]), told["activation"], told["slope"])
        members = []
        for state in plain["members"]:
            members.append(drawn(state["mean"], state["scale"], layers, torch.Generator()))
            members[-1].load_state_dict(state)
        return cls(descriptors, members, layers, plain["closest"])


def gaussians(first: float, last: float, count: int, width: float = 1.0) -> tuple[Radial, ...]:
    """Radial functions at distances from first to last (Å) that are even in 1/r, as repulsion is steep.

    Each Gaussian is `width` times as wide as they are apart there. Raises BadInput for fewer than two.
    """
    if count < 2 or not 0 < first < last:
        what = f"{count} from {first:.3g} to {last:.3g} Å"
        raise BadInput("radial", what, "give at least two Gaussians, at growing distances")
    places = 1 / np.linspace(1 / first, 1 / last, count)
    spreads = width * np.gradient(places)
    return tuple(Radial(float(0.5 / s**2), float(place)) for s, place in zip(spreads, places, strict=True))


def drawn(mean: Tensor, scale: Tensor, layers: Layers, generator: torch.Generator) -> AtomicEnergies:
    """Energies of atoms with features at random and heads of zero."""
    shape = (mean.shape[1], layers.widths, layers.activation, layers.slope, generator)
    return AtomicEnergies(mean, scale, [MLP(*shape) for _ in mean])


class _Strained:
    """Descriptors (n, D) of a structure as a function of its displacements and of a strain, and what follows."""

    def __init__(self, potential: Potential, given: Structure, pairs: Pairs | None) -> None:
        structure = Structure.of(given)
        self.structure, self.kinds = structure, potential.kinds(structure)
        self.pairs = potential.pairs(structure) if pairs is None else pairs
        self.d = torch.from_numpy(self.pairs.vectors(structure)).requires_grad_()
        self.values = potential.descriptors(self.d, self.pairs, self.kinds)
        self.core = 0.5 * CORE * potential.nearer(self.d, self.pairs, self.kinds).pow(3).sum()

    def labels(self, learned: Tensor) -> Labels:
        """The energy with its derivatives: ∂E/∂d of each pair pulls its two atoms towards each other."""
        energy = learned + self.core
        if len(self.d) == 0:
            zero = np.zeros_like(self.structure.positions)
            return Labels(float(energy.detach()), zero, None if self.structure.cell is None else np.zeros((3, 3)))
        (pull,) = torch.autograd.grad(energy, self.d, retain_graph=True)
        forces = torch.zeros(len(self.structure), 3, dtype=pull.dtype)
        forces.index_add_(0, torch.as_tensor(self.pairs.first), pull)
        forces.index_add_(0, torch.as_tensor(self.pairs.second), pull, alpha=-1)
        stress = None
        if self.structure.cell is not None:
            stress = (pull.mT @ self.d.detach()).numpy() / self.structure.volume
        return Labels(float(energy.detach()), forces.numpy(), stress)
