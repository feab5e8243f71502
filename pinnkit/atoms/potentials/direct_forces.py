"""Forces without an energy, for contrast: what is lost where they are predicted directly.

    F_i = Σ_k a_k(G_i) Σ_j f_k(r_ij) (r_j − r_i)/r_ij,        f_k(r) = exp(−η_k (r − s_k)²) cos²(π r / 2 r_c),

with a_k linear in features of the same descriptors. They turn with the atoms, as forces do. But nothing makes them the
derivatives of one energy, nor every action equal its reaction.
"""

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from pinnkit.atoms.descriptors import SymmetryFunctions
from pinnkit.atoms.pairs import Pairs, neighbours
from pinnkit.atoms.potentials.atomic_energies import normalisation
from pinnkit.atoms.potentials.field import Labels
from pinnkit.atoms.structure import Structure
from pinnkit.linear_algebra import minimum_norm
from pinnkit.networks import MLP

WIDTH, SLOPE = 30, 0.3
RIDGE = 1e-6  # relative to the columns of the head


class DirectForces(nn.Module):
    """The head (1 + WIDTH, vectors) of all species alike, which see each other by their descriptors."""

    def __init__(self, descriptors: SymmetryFunctions, mean: Tensor, scale: Tensor, seed: int) -> None:
        super().__init__()
        self.descriptors, self.mean, self.scale = descriptors, mean, scale
        self.features = MLP(len(mean), [WIDTH], "sin", SLOPE, torch.Generator().manual_seed(seed))
        self.radial = torch.tensor([list(row) for row in descriptors.radial], dtype=torch.float64)
        self.head = torch.zeros(1 + WIDTH, len(descriptors.species) * len(self.radial), dtype=torch.float64)

    @classmethod
    def fit(cls, descriptors: SymmetryFunctions, structures: Sequence[Structure], seed: int = 0) -> "DirectForces":
        """By least squares of the forces of labelled structures."""
        known = [one for one in structures if one.forces is not None]
        plain = cls(descriptors, torch.zeros(1), torch.ones(1), seed)
        inputs = [plain.inputs(one) for one in known]
        values = torch.cat([values for values, _ in inputs])
        mean, scale = normalisation(values, torch.zeros(len(values), dtype=torch.long), 1)
        found = cls(descriptors, mean[0], scale[0], seed)
        matrix = torch.cat([found.columns(*one) for one in inputs])
        forces = torch.cat([torch.from_numpy(np.asarray(one.forces)).flatten() for one in known])
        ridge = torch.diag(RIDGE * matrix.norm(dim=0))
        held = torch.cat([forces, torch.zeros(len(ridge), dtype=forces.dtype)])
        found.head = minimum_norm(torch.cat([matrix, ridge]), held).view_as(found.head)
        return found

    def inputs(self, structure: Structure, pairs: Pairs | None = None) -> tuple[Tensor, Tensor]:
        """Descriptors (n, D) and vectors (n, k, 3)."""
        pairs = self.pairs(structure) if pairs is None else pairs
        kinds = self.descriptors.kinds(structure.species)
        d = torch.from_numpy(pairs.vectors(structure))
        return self.descriptors(d, pairs, kinds), self._vectors(d, pairs, kinds)

    def _vectors(self, d: Tensor, pairs: Pairs, kinds: Tensor) -> Tensor:
        r, cutoff = d.norm(dim=1), float(self.descriptors.cutoff)
        fall = torch.where(r < cutoff, torch.cos(math.pi * r / (2 * cutoff)).square(), 0.0)
        width, place = self.radial.T
        f = torch.exp(-width * (r[:, None] - place) ** 2) * (fall / r)[:, None]
        species, slot = len(self.descriptors.species), torch.as_tensor(pairs.first)
        slot = slot * species + kinds[torch.as_tensor(pairs.second)]
        found = f.new_zeros(len(kinds) * species, len(self.radial), 3)
        return found.index_add_(0, slot, f[..., None] * d[:, None]).view(len(kinds), -1, 3)

    def columns(self, values: Tensor, vectors: Tensor) -> Tensor:
        """The force components (3 n,) as a matrix that acts on the head."""
        return torch.einsum("nl,nkx->nxlk", self._scalars(values), vectors).reshape(3 * len(values), -1)

    def _scalars(self, values: Tensor) -> Tensor:
        features = self.features((values - self.mean) / self.scale)
        return torch.cat([torch.ones_like(features[:, :1]), features], 1).detach()

    def pairs(self, structure: Structure, skin: float = 0.0) -> Pairs:
        """The pairs that interact, and those within a further `skin`."""
        return neighbours(structure, float(self.descriptors.cutoff) + skin)

    def energy_forces(self, structure: Structure, pairs: Pairs | None = None) -> Labels:
        """Forces (n, 3) in eV/Å; the energy, of which there is none, is not a number."""
        values, vectors = self.inputs(structure, pairs)
        with torch.no_grad():
            forces = torch.einsum("nk,nkx->nx", self._scalars(values) @ self.head, vectors)
        return Labels(math.nan, forces.numpy(), None)
