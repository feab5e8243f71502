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
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import gelu, linear, normalize

from pinnkit.atoms.defects.environments import Environments, Index
from pinnkit.atoms.descriptors import Angular, Radial, SymmetryFunctions
from pinnkit.atoms.pairs import Pairs
from pinnkit.atoms.structure import Array

CHUNK = 256  # environments that are described at a time
RADIAL = 12  # Gaussians for each species
ANGLES = 0.7  # how far angles are seen, as share of the cutoff: couples of neighbours are many
CORE = 0.25  # in d: the angle at an atom that stands at the centre itself says nothing
DECAY = 0.01  # of weights, per unit of the rate of learning
WARM = 0.1  # share of the steps in which the rate rises
CONSTANT = 1e-9  # deviation of a feature, relative to its size, below which it is none


# --- features ---------------------------------------------------------------------------------------------------------


class Features(ABC):
    """What a network, or a nearest neighbour, is told of environments."""

    @abstractmethod
    def __call__(self, seen: Environments) -> Tensor:
        """Features (n, count)."""


@dataclass(frozen=True)
class Invariants(Features):
    """Symmetry functions G² and G⁴ of the centre (Behler 2011), with `distance` d and cutoff in Å.

    No shift, turn or order of the atoms changes them. G² sees all atoms; G⁴ those nearer than a share of the cutoff,
    and none at the centre itself.
    """

    distance: float
    cutoff: float
    kinds: int = 2

    def __call__(self, seen: Environments) -> Tensor:
        parts = (seen.part(k, k + CHUNK) for k in range(0, len(seen), CHUNK))
        return torch.cat([self._described(part) for part in parts])

    def _described(self, seen: Environments) -> Tensor:
        far = np.square(seen.vectors).sum(1) > (CORE * self.distance) ** 2
        angles = _of_centres(self._angular, seen, far)[:, self.kinds :]
        return torch.cat([_of_centres(self._radial, seen, np.ones_like(far)), angles], 1)

    @property
    def _species(self) -> tuple[str, ...]:
        return tuple(map(str, range(self.kinds)))

    @property
    def _radial(self) -> SymmetryFunctions:
        shifts = np.linspace(0, 0.9 * self.cutoff, RADIAL)
        eta = 0.5 / shifts[1] ** 2
        return SymmetryFunctions(self._species, self.cutoff, tuple(Radial(eta, float(s)) for s in shifts))

    @property
    def _angular(self) -> SymmetryFunctions:
        """With one G² of each species before, which is not used."""
        rows = [
            Angular(eta / self.distance**2, zeta, sign)
            for eta in (0.05, 0.5)
            for zeta in (1.0, 4.0, 16.0)
            for sign in (1.0, -1.0)
        ]
        return SymmetryFunctions(self._species, ANGLES * self.cutoff, (Radial(0.0, 0.0),), tuple(rows))


def _of_centres(functions: SymmetryFunctions, seen: Environments, which: Any) -> Tensor:
    """Descriptors (n, count) of the centres, from those atoms."""
    vectors, kinds, n = seen.vectors[which], seen.kinds[which], len(seen)
    pairs = Pairs(seen.owner[which], n + np.arange(len(vectors)), np.zeros(vectors.shape, dtype=np.int64))
    atoms = torch.from_numpy(np.concatenate([np.zeros(n, dtype=np.int64), kinds]))
    return functions(torch.from_numpy(vectors), pairs, atoms)[:n]


@dataclass(frozen=True)
class Coordinates(Features):
    """Coordinates and kinds of the `atoms` nearest to the centre, from the nearest: no symmetry of space is obeyed.

    Places that are left hold zeros; kinds are −1 and 1.
    """

    atoms: int

    def __call__(self, seen: Environments) -> Tensor:
        order = np.lexsort((np.square(seen.vectors).sum(1), seen.owner))
        owner = seen.owner[order]
        rank = np.arange(len(owner)) - np.searchsorted(owner, owner)
        order, owner, rank = (values[rank < self.atoms] for values in (order, owner, rank))
        table = np.zeros((len(seen), self.atoms, 4))
        table[owner, rank, :3] = seen.vectors[order]
        table[owner, rank, 3] = 2 * seen.kinds[order] - 1
        return torch.from_numpy(table.reshape(len(seen), -1))


@dataclass(frozen=True, eq=False)
class Scale:
    """Features in units of their standard deviation from their mean, those of training."""

    mean: Tensor
    deviation: Tensor

    @classmethod
    def of(cls, features: Tensor) -> "Scale":
        """A feature that does not vary counts for nothing."""
        mean, deviation = features.mean(0), features.std(0)
        constant = deviation <= CONSTANT * (1 + mean.abs())
        return cls(mean, torch.where(constant, math.inf, deviation))

    def __call__(self, features: Tensor) -> Tensor:
        return (features - self.mean) / self.deviation


# --- representation ---------------------------------------------------------------------------------------------------


class Encoder(nn.Module):
    """Two hidden layers, and a vector of length 1."""

    def __init__(self, inputs: int, width: int, dimension: int, generator: torch.Generator) -> None:
        super().__init__()
        self.weights, self.biases = nn.ParameterList(), nn.ParameterList()
        for a, b in pairwise((inputs, width, width, dimension)):
            weight = 2 * torch.rand(b, a, generator=generator, dtype=torch.float64) - 1
            self.weights.append(weight * math.sqrt(6 / (a + b)))
            self.biases.append(torch.zeros(b, dtype=torch.float64))

    def forward(self, features: Tensor) -> Tensor:
        """Unit vectors (n, dimension) of scaled features (n, inputs)."""
        h = linear(features, self.weights[0], self.biases[0])
        for weight, bias in zip(list(self.weights)[1:], list(self.biases)[1:], strict=True):
            h = linear(gelu(h), weight, bias)
        return normalize(h, dim=1)


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
    """So many pairs at a time, temperature τ, steps, the highest rate of AdamW, sizes of the network."""

    batch: int
    temperature: float
    steps: int
    width: int = 64
    dimension: int = 16
    rate: float = 3e-3


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
    optimizer = torch.optim.AdamW(encoder.parameters(), weight_decay=DECAY)
    kinds, history = torch.from_numpy(defects), []
    for step, chosen in zip(range(how.steps), _batches(len(first), how.batch, generator), strict=False):
        for group in optimizer.param_groups:
            group["lr"] = how.rate * _share(step / how.steps)
        labels, of_defects = torch.arange(len(chosen)).tile(2), kinds[chosen].tile(2)
        z = encoder(torch.cat([first[chosen], second[chosen]]))
        loss = contrastive_loss(z, of_defects if supervised else labels, how.temperature)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        history.append({"step": step + 1, "loss": loss.item(), "least_loss": least_loss(of_defects)})
    return Learned(features, scale, encoder, history)


def _batches(count: int, size: int, generator: torch.Generator) -> Iterator[Tensor]:
    while True:
        order = torch.randperm(count, generator=generator)
        yield from order[: count - count % size].split(size)


def _share(t: float) -> float:
    """Of the highest rate, at the share t of all steps: a rise, then half a cosine down to none."""
    return t / WARM if t < WARM else 0.5 * (1 + math.cos(math.pi * (t - WARM) / (1 - WARM)))


@contextmanager
def one_thread() -> Iterator[None]:
    """Small matrices gain nothing from threads, and beside other work these wait for each other ten times as long."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


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
