"""Whether a view is like any of the known ones: a network that tells these from others, and a threshold for it.

Of what it was not trained with, a representation says only what that is most like. A second network is therefore
trained to tell known views, under all noise up to that of training, from views that are put out of order (outlier
exposure, Hendrycks, Mazeika & Dietterich 2019; see others). Its output s grows with what speaks against a known defect.
Of a new view with output s it is told how typical that is,

    p = (1 + number of held-out views of known defects with outputs ≥ s) / (1 + number of held-out views),

a conformal p-value (Vovk, Gammerman & Shafer 2005; of novelties, Bates et al. 2023): of views such as the held-out ones
at most a share α has p ≤ α, whatever the network is worth.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import softplus

from pinnkit.atoms.defects.contrastive import Layers, descend
from pinnkit.atoms.defects.features import Scale
from pinnkit.atoms.structure import Array

WIDTH, BATCH, RATE, DECAY = 128, 256, 3e-3, 0.01  # more decay, or fewer neurons, and less is found out
LARGEST = 30.0  # standard deviations: beyond, features say no more


@dataclass(frozen=True, eq=False)
class Novelty:
    """The network with its scale of features, and its outputs on held-out views of known defects, (n,), rising."""

    scale: Scale
    layers: Layers
    usual: Array

    def typical(self, features: Tensor) -> Array:
        """p-values (m,) of features (m, count)."""
        below = np.searchsorted(self.usual, _outputs(self.scale, self.layers, features))
        return (1 + len(self.usual) - below) / (1 + len(self.usual))

    def unknown(self, features: Tensor, alarm: float) -> float:
        """The share of views (m, count) with a p-value of at most that."""
        return float(np.mean(self.typical(features) <= alarm))

    def to_plain(self) -> dict[str, Any]:
        """For a checkpoint."""
        scale = {"mean": self.scale.mean, "deviation": self.scale.deviation}
        return {**scale, "layers": self.layers.state_dict(), "usual": torch.from_numpy(self.usual)}

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any]) -> "Novelty":
        """What `to_plain` was given."""
        scale = Scale(plain["mean"], plain["deviation"])
        layers = Layers(len(scale.mean), WIDTH, 1, torch.Generator())
        layers.load_state_dict(plain["layers"])
        return cls(scale, layers, plain["usual"].numpy())


def learn_novelty(known: Tensor, others: Tensor, held_out: Tensor, steps: int, seed: int) -> Novelty:
    """From features (n, count) of known views, of others, and of known ones that are kept for the threshold."""
    generator, scale = torch.Generator().manual_seed(seed), Scale.of(torch.cat([known, others]))
    layers = Layers(known.shape[1], WIDTH, 1, generator)
    inside, outside = _bounded(scale, known), _bounded(scale, others)

    def loss() -> Tensor:
        """Cross entropy of as many known as other views."""
        a, b = (torch.randint(len(all_), (BATCH // 2,), generator=generator) for all_ in (inside, outside))
        return softplus(layers(inside[a])).mean() + softplus(-layers(outside[b])).mean()

    descend(layers, loss, steps, RATE, DECAY)
    return Novelty(scale, layers, np.sort(_outputs(scale, layers, held_out)))


def _outputs(scale: Scale, layers: Layers, features: Tensor) -> Array:
    with torch.no_grad():
        return np.asarray(layers(_bounded(scale, features))[:, 0].numpy())


def _bounded(scale: Scale, features: Tensor) -> Tensor:
    return scale(features).clamp(-LARGEST, LARGEST)
