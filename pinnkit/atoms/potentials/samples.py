"""Structures as training data: descriptors with their derivatives, computed once, beside labels.

With descriptors G (n, D) of a structure and the matrix L of their derivatives,

    E = Σ_i ε(G_i),        ∂E/∂(positions, strain) = L · ∂ε/∂G,

so that everything that is fitted is linear in energies of atoms and their slopes.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from pinnkit.atoms.descriptors import SymmetryFunctions
from pinnkit.atoms.pairs import Pairs, neighbours
from pinnkit.atoms.structure import Structure

CHUNK = 512  # atoms that are evaluated at a time
FORCES, STRESS = 1.0, 0.3  # weights of forces and stresses beside energies, all in units of their spread


@dataclass(frozen=True, eq=False)
class Samples:
    """s structures of n atoms each, with descriptors (s, n, D), species (s, n), levers L (s, q, n·D) and labels.

    `energy` (s,) and `pull` (s, q), which are −forces and, with a cell, volume·stress, stand beside weights of the same
    shapes. A weight of 0 is for what is not known.
    """

    values: Tensor
    kinds: Tensor
    lever: Tensor
    energy: Tensor
    pull: Tensor
    energy_weight: Tensor
    pull_weight: Tensor

    def __len__(self) -> int:
        return len(self.energy)

    def rows(self, jets: Tensor) -> Tensor:
        """Weighted predictions (s (1 + q), P) from energies of atoms and their slopes, (1 + D, s n, P)."""
        s, n, d = self.values.shape
        parts = jets.reshape(1 + d, s, n, -1)
        slopes = parts[1:].permute(1, 2, 0, 3).reshape(s, n * d, -1)
        energies, pulls = parts[0].sum(1), self.lever @ slopes
        return torch.cat([self.energy_weight[:, None] * energies, (self.pull_weight[..., None] * pulls).flatten(0, 1)])

    @property
    def target(self) -> Tensor:
        """Weighted labels (s (1 + q),)."""
        return torch.cat([self.energy_weight * self.energy, (self.pull_weight * self.pull).flatten()])

    def composition(self, species: int) -> Tensor:
        """How many atoms there are of each species, (s, species)."""
        return torch.nn.functional.one_hot(self.kinds, species).sum(1).to(self.energy)

    def above(self, levels: Tensor) -> "Samples":
        """With energies counted from a level (species,) for each atom."""
        return replace(self, energy=self.energy - self.composition(len(levels)) @ levels)

    def part(self, chosen: Sequence[int] | Tensor) -> "Samples":
        """Some of the structures, each as often as it is named."""
        return Samples(**{name: getattr(self, name)[torch.as_tensor(chosen)] for name in self.__dataclass_fields__})

    def chunks(self) -> "Iterator[Samples]":
        """Parts of at most CHUNK atoms."""
        for chosen in torch.arange(len(self)).split(max(1, CHUNK // self.values.shape[1])):
            yield self.part(chosen)


def samples(descriptors: SymmetryFunctions, structures: Sequence[Structure]) -> list[Samples]:
    """Unweighted samples of labelled structures, those of one size together, in the order of `grouped`."""
    return [_alike(descriptors, [structures[k] for k in group]) for group in grouped(structures)]


def grouped(structures: Sequence[Structure]) -> list[list[int]]:
    """Positions of structures with as many atoms, with a cell or without."""
    groups: dict[tuple[int, bool], list[int]] = {}
    for k, one in enumerate(structures):
        groups.setdefault((len(one), one.cell is None), []).append(k)
    return list(groups.values())


def _alike(descriptors: SymmetryFunctions, structures: Sequence[Structure]) -> Samples:
    parts = [linearised(descriptors, one) for one in structures]
    energy = torch.tensor([np.nan if one.energy is None else one.energy for one in structures], dtype=torch.float64)
    pull = torch.from_numpy(np.stack([_pull(one) for one in structures]))
    return Samples(
        torch.stack([values for values, _ in parts]),
        torch.stack([descriptors.kinds(one.species) for one in structures]),
        torch.stack([lever for _, lever in parts]),
        energy, pull, torch.ones_like(energy), torch.ones_like(pull),
    )  # fmt: skip


def _pull(structure: Structure) -> np.ndarray:
    """−forces and, with a cell, volume · stress, NaN where they are not known."""
    n = len(structure)
    forces = np.full(3 * n, np.nan) if structure.forces is None else -structure.forces.ravel()
    if structure.cell is None:
        return forces
    virial = np.full(9, np.nan) if structure.stress is None else structure.volume * structure.stress.ravel()
    return np.concatenate([forces, virial])


def linearised(descriptors: SymmetryFunctions, structure: Structure) -> tuple[Tensor, Tensor]:
    """Descriptors (n, D) of a structure and their derivatives L (q, n·D) by positions and, with a cell, strain."""
    pairs = neighbours(structure, descriptors.cutoff)
    d = torch.from_numpy(pairs.vectors(structure))
    values, slopes = descriptors.slopes(d, pairs, descriptors.kinds(structure.species))
    return values, _lever(slopes, d, pairs, len(structure), structure.cell is not None)


def _lever(slopes: Tensor, d: Tensor, pairs: Pairs, n: int, strained: bool) -> Tensor:
    """L from the derivatives (m, D, 3) of descriptors of first atoms by displacements (m, 3)."""
    first, second, count = torch.as_tensor(pairs.first), torch.as_tensor(pairs.second), slopes.shape[1]
    by_atom = slopes.new_zeros(n * n, count, 3)
    by_atom.index_add_(0, second * n + first, slopes).index_add_(0, first * n + first, slopes, alpha=-1)
    lever = by_atom.view(n, n, count, 3).permute(0, 3, 1, 2).reshape(3 * n, n * count)
    if not strained:
        return lever
    by_strain = slopes.new_zeros(n, count, 3, 3).index_add_(0, first, slopes[..., None] * d[:, None, None, :])
    return torch.cat([lever, by_strain.permute(2, 3, 0, 1).reshape(9, n * count)])


def levels_of(parts: Sequence[Samples], species: int) -> Tensor:
    """The energy of an atom of each species (species,) by which compositions alone explain energies best.

    Of least norm where compositions do not tell them apart.
    """
    counts, energies, sizes = [], [], []
    for one in parts:
        known = torch.isfinite(one.energy) & (one.energy_weight > 0)
        counts.append(one.composition(species)[known])
        energies.append(one.energy[known])
        sizes.append(torch.full_like(one.energy[known], one.values.shape[1]))
    n = torch.cat(sizes)
    matrix, target = torch.cat(counts) / n[:, None], torch.cat(energies) / n
    return torch.linalg.lstsq(matrix, target[:, None], driver="gelsd").solution[:, 0]


def balanced(parts: Sequence[Samples], levels: Tensor) -> list[Samples]:
    """Samples with weights: energies per atom above levels, forces and stresses count in units of their spread."""
    sizes = (_sizes(one.above(levels)) for one in parts)
    energies, forces, virials = (torch.cat(values) for values in zip(*sizes, strict=True))
    units = [_spread(energies), _size(forces), _size(virials)]
    return [_weighted(one, *units) for one in parts]


def _sizes(one: Samples) -> tuple[Tensor, Tensor, Tensor]:
    n = one.values.shape[1]
    return one.energy / n, one.pull[:, : 3 * n].flatten(), one.pull[:, 3 * n :].flatten() / n


def _spread(values: Tensor) -> float:
    known = values[torch.isfinite(values)]
    return float(known.std()) if len(known) > 1 and float(known.std()) > 0 else 1.0


def _size(values: Tensor) -> float:
    known = values[torch.isfinite(values)]
    return float(known.square().mean().sqrt()) if len(known) and float(known.abs().max()) > 0 else 1.0


def _weighted(one: Samples, energy: float, force: float, virial: float) -> Samples:
    """Each structure counts as much, whatever its size; a weight is 0 where there is no label."""
    n = one.values.shape[1]
    known = torch.isfinite(one.energy), torch.isfinite(one.pull)
    weights = torch.full_like(one.pull, FORCES / force / (3 * n) ** 0.5)
    weights[:, 3 * n :] = STRESS / virial / n / 3
    return replace(
        one,
        energy=torch.where(known[0], one.energy, 0.0), energy_weight=known[0] / (n * energy),
        pull=torch.where(known[1], one.pull, 0.0), pull_weight=weights * known[1],
    )  # fmt: skip
