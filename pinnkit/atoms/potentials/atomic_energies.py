"""The energy of an atom as a function of its descriptors: a feature map and a linear head for each species."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from pinnkit.networks import FeatureMap

SMALL = 1e-6  # spread of a descriptor, relative to the largest one, below which it says nothing


class AtomicEnergies(nn.Module):
    """ε_s(G) = level_s + w_s · [1, z, φ_s(z)],  z = (G − mean_s) / scale_s.

    One feature map φ_s for each of S species; `mean` and `scale` (S, D) are those of the training data, and so are the
    `levels` (S,), what an atom contributes by its species alone, lest heads that are held near zero have to find them.
    Between `lowest` and `highest` (S, D) descriptors have been seen.
    """

    mean: Tensor
    scale: Tensor
    levels: Tensor
    lowest: Tensor
    highest: Tensor

    def __init__(self, mean: Tensor, scale: Tensor, features: Sequence[FeatureMap]) -> None:
        super().__init__()
        self.register_buffer("mean", mean)
        self.register_buffer("scale", scale)
        self.register_buffer("levels", mean.new_zeros(len(mean)))
        self.register_buffer("lowest", torch.full_like(mean, torch.inf))
        self.register_buffer("highest", torch.full_like(mean, -torch.inf))
        self.features = nn.ModuleList(features)
        self.columns = 1 + mean.shape[1] + features[0].width
        self.heads = nn.ParameterList(mean.new_zeros(self.columns) for _ in features)

    def see(self, values: Tensor, kinds: Tensor) -> None:
        """Widen what has been seen by descriptors (n, D) of species (n,)."""
        for s in kinds.unique().tolist():
            self.lowest[s] = torch.minimum(self.lowest[s], values[kinds == s].amin(0))
            self.highest[s] = torch.maximum(self.highest[s], values[kinds == s].amax(0))

    def beyond(self, values: Tensor, kinds: Tensor) -> Tensor:
        """How far descriptors (n, D) are outside of what has been seen, the worst of each atom (n,), in its spreads."""
        out = torch.maximum(self.lowest[kinds] - values, values - self.highest[kinds]).clamp_min(0)
        return (out / self.scale[kinds]).amax(1)

    def forward(self, values: Tensor, kinds: Tensor) -> Tensor:
        """Energies (n,) of atoms with descriptors (n, D) and species (n,)."""
        if len(self.heads) == 1:
            return self._of_species(values, 0)
        energies = values.new_zeros(len(values))
        for s in range(len(self.heads)):
            own = (kinds == s).nonzero()[:, 0]
            energies = energies.index_put((own,), self._of_species(values[own], s))
        return energies

    def _of_species(self, values: Tensor, s: int) -> Tensor:
        z, head = (values - self.mean[s]) / self.scale[s], self.heads[s]
        d = z.shape[1]
        return self.levels[s] + head[0] + z @ head[1 : 1 + d] + self.features[s](z) @ head[1 + d :]

    def basis(self, values: Tensor, s: int) -> Tensor:
        """What a head acts on, and its derivatives by each descriptor, (1 + D, n, columns), at (n, D) of a species."""
        n, d = values.shape
        directions = torch.diag(1 / self.scale[s])[:, None, :].expand(d, n, d)
        jets = torch.cat([((values - self.mean[s]) / self.scale[s])[None], directions])
        one = torch.zeros_like(jets[..., :1])
        one[0] = 1.0
        features = self.features[s]
        assert isinstance(features, FeatureMap)
        return torch.cat([one, jets, features.jets(jets, [(), *((k,) for k in range(d))])], -1)


def normalisation(values: Tensor, kinds: Tensor, species: int) -> tuple[Tensor, Tensor]:
    """Mean and spread (S, D) of descriptors (n, D); 0 and 1 for a species of which there are less than two atoms."""
    means, scales = torch.zeros(species, values.shape[1]).to(values), torch.ones(species, values.shape[1]).to(values)
    for s in range(species):
        own = values[kinds == s]
        if len(own) > 1:
            means[s], spread = own.mean(0), own.std(0)
            scales[s] = spread.clamp_min(max(SMALL * float(spread.max()), 1e-12))
    return means, scales
