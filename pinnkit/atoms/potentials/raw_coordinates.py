"""A model that knows nothing of symmetry, for contrast: a network on the raw coordinates of a cluster.

    E = w · [1, x, φ(x)],    F = −∂E/∂x,    x the 3 n coordinates.

It is fitted like a potential on symmetry functions, from which it differs in its inputs, and in having more and
smoother features: in so many dimensions fewer are of no use. To it, the same cluster turned round is another one.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch

from pinnkit.atoms.pairs import Pairs, neighbours
from pinnkit.atoms.potentials.atomic_energies import AtomicEnergies
from pinnkit.atoms.potentials.field import Labels
from pinnkit.atoms.potentials.fitting import fit_energies
from pinnkit.atoms.potentials.samples import Samples
from pinnkit.atoms.structure import Structure
from pinnkit.settings import Settings

FAR = 1e3  # Å: all pairs of a cluster
FEATURES, SLOPE = 400, 0.1  # the best of 100 and 400, of 0.1 to 4, on clusters that are not turned


@dataclass(frozen=True)
class RawPotential:
    """The coordinates of a cluster stand where a potential has the descriptors of one atom."""

    energies: AtomicEnergies

    @classmethod
    def fit(cls, structures: Sequence[Structure], settings: Settings) -> "RawPotential":
        """From labelled clusters of one size, without a cell."""
        values = torch.from_numpy(np.stack([one.positions.ravel() for one in structures]))[:, None]
        energy = torch.tensor([one.energy for one in structures], dtype=torch.float64)
        pull = torch.from_numpy(np.stack([-np.asarray(one.forces).ravel() for one in structures]))
        lever = torch.eye(values.shape[2], dtype=torch.float64).expand(len(values), -1, -1)
        kinds = torch.zeros(len(values), 1, dtype=torch.long)
        data = Samples(values, kinds, lever, energy, pull, torch.ones_like(energy), torch.ones_like(pull))
        smooth = replace(settings, network=replace(settings.network, layers=(FEATURES,), slope=SLOPE))
        return cls(fit_energies([data], 1, smooth).energies)

    def pairs(self, structure: Structure, skin: float = 0.0) -> Pairs:
        """All of them, of which none is needed."""
        return neighbours(structure, FAR)

    def energy_forces(self, structure: Structure, pairs: Pairs | None = None) -> Labels:
        """Energy in eV and forces (n, 3) in eV/Å."""
        x = torch.from_numpy(structure.positions).reshape(1, -1).requires_grad_()
        energy = self.energies(x, torch.zeros(1, dtype=torch.long)).sum()
        (slope,) = torch.autograd.grad(energy, x)
        return Labels(float(energy.detach()), -slope.view(-1, 3).numpy(), None)
