"""Representations of environments learned from pairs: what is the same falls together, and all else apart.

A representation z(x) = f(g(x)) / |f(g(x))| is a network f of features g. Two views x, x⁺ of one defect, at different
equivalent sites and under different noise, are a positive pair; of N pairs at a time the loss is

    L = −⟨ z·z⁺/τ − log Σ_{x' ≠ x} exp(z·z'/τ) ⟩    over all 2N views x

(InfoNCE, van den Oord et al. 2018, as NT-Xent, Chen et al. 2020). Nobody tells which pairs show the same defect. Since
pairs are drawn at random some do, and a view is pushed away from views like its own partner. That is harmless, because
views of one defect have nothing else in common: one that is m views' equal cannot tell its partner among them, so

    L ≥ ⟨log m⟩

in the mean over pairs, which is reached where representations are the same for one defect and far apart for others
(Arora et al. 2019 on classes that collide). A training loss below that has learned its pairs by heart. Where labels
are given, all views of one label are partners instead (Khosla et al. 2020); the bound is then the same.
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import gelu, linear, normalize

from pinnkit.atoms.defects.environments import Environments, Index
from pinnkit.atoms.defects.features import Features, Scale
from pinnkit.atoms.structure import Array

CHUNK = 256  # queries whose neighbours are looked for at a time
WARM = 0.1  # share of the steps in which the rate rises


# --- representation ---------------------------------------------------------------------------------------------------


class Layers(nn.Module):
    """Two hidden layers, and what is linear in the second one."""

    def __init__(self, inputs: int, width: int, dimension: int, generator: torch.Generator) -> None:
        super().__init__()
        self.weights, self.biases = nn.ParameterList(), nn.ParameterList()
        for a, b in pairwise((inputs, width, width, dimension)):
            weight = 2 * torch.rand(b, a, generator=generator, dtype=torch.float64) - 1
            self.weights.append(weight * math.sqrt(6 / (a + b)))
            self.biases.append(torch.zeros(b, dtype=torch.float64))

    def forward(self, features: Tensor) -> Tensor:
        """Outputs (n, dimension) of scaled features (n, inputs)."""
        h = linear(features, self.weights[0], self.biases[0])
        for weight, bias in zip(list(self.weights)[1:], list(self.biases)[1:], strict=True):
            h = linear(gelu(h), weight, bias)
        return h


class Encoder(Layers):
    """Likewise, divided by its length: unit vectors."""

    def forward(self, features: Tensor) -> Tensor:
        """Unit vectors (n, dimension) of scaled features (n, inputs)."""
        return normalize(super().forward(features), dim=1)


def contrastive_loss(z: Tensor, labels: Tensor, temperature: float) -> Tensor:
    """L of unit vectors (n, d), where those of one label (n,) are partners; each label is there twice at least."""
    itself = torch.eye(len(z), dtype=torch.bool, device=z.device)
    similar = (z @ z.T / temperature).masked_fill(itself, -math.inf)
    partners = (labels[:, None] == labels) & ~itself
    logarithms = similar.log_softmax(1).masked_fill(~partners, 0.0)
    return -(logarithms.sum(1) / partners.sum(1)).mean()


def least_loss(defects: Tensor) -> float:
    """⟨log m⟩ of views (n,) of these defects: that many other views are of the same defect."""
    return float(((defects[:, None] == defects).sum(1) - 1).double().log().mean())


@dataclass(frozen=True)
class Training:
    """So many pairs at a time, temperature τ, steps, sizes of the network, highest rate of AdamW, decay of weights."""

    batch: int
    temperature: float
    steps: int
    width: int = 64
    dimension: int = 16
    rate: float = 3e-3
    decay: float = 1.0  # per unit of the rate: with less of it pairs are learned by heart


@dataclass(frozen=True, eq=False)
class Learned:
    """Features, their scale, the network, and losses by step with the least that can be expected."""

    features: Features
    scale: Scale
    encoder: Encoder
    history: Sequence[Mapping[str, float]] = ()

    def __call__(self, seen: Environments) -> Array:
        """Representations (n, d)."""
        return self.of(self.features(seen))

    def of(self, features: Tensor) -> Array:
        """Representations (n, d) of features (n, count)."""
        with torch.no_grad():
            return np.asarray(self.encoder(self.scale(features)).numpy())


def learn(
    features: Features, pairs: tuple[Tensor, Tensor], defects: Index, how: Training, seed: int,
    supervised: bool = False,
) -> Learned:  # fmt: skip
    """From features (n, count) of the first and second views of n pairs.

    Their defects (n,) are used only where it is supervised, and for the bound of the loss in the history.
    """
    generator = torch.Generator().manual_seed(seed)
    scale = Scale.of(torch.cat(pairs))
    first, second = map(scale, pairs)
    encoder = Encoder(first.shape[1], how.width, how.dimension, generator)
    batches, kinds, least = _batches(len(first), how.batch, generator), torch.from_numpy(defects), []

    def loss() -> Tensor:
        chosen = next(batches)
        labels, of_defects = torch.arange(len(chosen)).tile(2), kinds[chosen].tile(2)
        least.append(least_loss(of_defects))
        z = encoder(torch.cat([first[chosen], second[chosen]]))
        return contrastive_loss(z, of_defects if supervised else labels, how.temperature)

    losses = descend(encoder, loss, how.steps, how.rate, how.decay)
    rows = zip(losses, least, strict=True)
    history = [{"step": k + 1, "loss": value, "least_loss": bound} for k, (value, bound) in enumerate(rows)]
    return Learned(features, scale, encoder, history)


def descend(layers: Layers, loss: Callable[[], Tensor], steps: int, rate: float, decay: float) -> list[float]:
    """Losses of so many steps of AdamW, at a rate that rises up to this one and falls again."""
    optimizer, losses = torch.optim.AdamW(layers.parameters(), weight_decay=decay, fused=True), []
    for step in range(steps):
        for group in optimizer.param_groups:
            group["lr"] = rate * _share(step / steps)
        value = loss()
        optimizer.zero_grad()
        value.backward()
        optimizer.step()
        losses.append(value.item())
    return losses


def _batches(count: int, size: int, generator: torch.Generator) -> Iterator[Tensor]:
    while True:
        order = torch.randperm(count, generator=generator)
        yield from order[: count - count % size].split(size)


def _share(t: float) -> float:
    """Of the highest rate, at the share t of all steps: a rise, then half a cosine down to none."""
    return t / WARM if t < WARM else 0.5 * (1 + math.cos(math.pi * (t - WARM) / (1 - WARM)))


# --- nearest neighbours -----------------------------------------------------------------------------------------------


def nearest(queries: Array, others: Array) -> Index:
    """Which of others (m, d) is nearest to each query (n, d)."""
    return _nearest(queries, others, itself=False)


def nearest_other(points: Array) -> Index:
    """Which of the other points (n, d) is nearest to each."""
    return _nearest(points, points, itself=True)


def _nearest(queries: Array, others: Array, itself: bool) -> Index:
    """Where a query stands among the others, in its own place, it is not its own neighbour."""
    found, among = [], torch.from_numpy(others)
    for part in torch.arange(len(queries)).split(CHUNK):
        distances = torch.cdist(torch.from_numpy(queries)[part], among)
        if itself:
            distances[torch.arange(len(part)), part] = math.inf
        found.append(distances.argmin(1))
    return np.asarray(torch.cat(found).numpy())
