"""What a network, or a nearest neighbour, is told of environments: numbers that no symmetry changes, or coordinates."""

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from itertools import combinations_with_replacement

import numpy as np
import torch
from torch import Tensor

from pinnkit.atoms.defects.environments import Environments
from pinnkit.atoms.descriptors import Radial, SymmetryFunctions
from pinnkit.atoms.pairs import Pairs

CHUNK = 256  # environments that are described at a time
RADIAL = 12  # G² for each species
ANGLES = 2.0  # in d: how far angles are seen, beyond the second neighbours
SHELLS, DEGREE = 5, 6  # functions of the distance, and degrees of the angle
NEAREST, FURTHEST = 0.8, 0.85  # first of the shells in d, last as share of how far angles are seen
CORE = 0.25  # in d: the angle at an atom that stands at the centre itself says nothing
CONSTANT = 1e-9  # deviation of a feature, relative to its size, below which it is none


class Features(ABC):
    """What is told of environments."""

    @abstractmethod
    def __call__(self, seen: Environments) -> Tensor:
        """Features (n, count)."""


@dataclass(frozen=True)
class Invariants(Features):
    """G² (Behler 2011) and the power spectrum of the atoms' density, with `distance` d and cutoff in Å.

    With Gaussians g_n of the distance, times ½ (cos(π r / r_a) + 1) for r < r_a, the spectrum (Bartók, Kondor & Csányi
    2013) is

        p_nl = Σ_ij g_n(r_i) g_n(r_j) P_l(cos θ_ij),    l ≤ 6,

    for each pair of species, i and j among the atoms nearer than r_a = 2 d that do not stand at the centre itself. No
    shift, turn or order of the atoms changes these numbers.
    """

    distance: float
    cutoff: float
    kinds: int = 2

    def __call__(self, seen: Environments) -> Tensor:
        parts = (seen.part(k, k + CHUNK) for k in range(0, len(seen), CHUNK))
        return torch.cat([torch.cat([self._radial(part), self._spectrum(part)], 1) for part in parts])

    def _radial(self, seen: Environments) -> Tensor:
        shifts = np.linspace(0, 0.9 * self.cutoff, RADIAL)
        rows = tuple(Radial(0.5 / shifts[1] ** 2, float(shift)) for shift in shifts)
        return _of_centres(SymmetryFunctions(tuple(map(str, range(self.kinds))), self.cutoff, rows), seen)

    def _spectrum(self, seen: Environments) -> Tensor:
        r = np.sqrt(np.square(seen.vectors).sum(1))
        reach = min(self.cutoff, ANGLES * self.distance)
        which = (r > CORE * self.distance) & (r < reach)
        vectors, r = torch.from_numpy(seen.vectors[which]), torch.from_numpy(r[which])
        place = torch.from_numpy(seen.owner[which] * self.kinds + seen.kinds[which])
        shells, found = self._shells(r, reach), []
        for part in harmonics(vectors / r[:, None], DEGREE):
            density = torch.zeros(len(seen) * self.kinds, SHELLS, part.shape[1], dtype=torch.float64)
            density.index_add_(0, place, shells[:, :, None] * part[:, None])
            of_kinds = density.unflatten(0, (len(seen), self.kinds)).unbind(1)
            found += [(a * b).sum(-1) for a, b in combinations_with_replacement(of_kinds, 2)]
        return torch.cat(found, 1)

    def _shells(self, r: Tensor, reach: float) -> Tensor:
        """g_n(r), (m, n)."""
        middles = torch.linspace(NEAREST * self.distance, FURTHEST * reach, SHELLS, dtype=torch.float64)
        width = middles[1] - middles[0]
        window = 0.5 * (1 + torch.cos(math.pi * r / reach))
        return torch.exp(-0.5 * ((r[:, None] - middles) / width) ** 2) * window[:, None]


def _of_centres(functions: SymmetryFunctions, seen: Environments) -> Tensor:
    """Descriptors (n, count) of the centres."""
    n = len(seen)
    pairs = Pairs(seen.owner, n + np.arange(len(seen.vectors)), np.zeros(seen.vectors.shape, dtype=np.int64))
    atoms = torch.from_numpy(np.concatenate([np.zeros(n, dtype=np.int64), seen.kinds]))
    return functions(torch.from_numpy(seen.vectors), pairs, atoms)[:n]


def harmonics(directions: Tensor, degree: int) -> list[Tensor]:
    """For each l ≤ degree functions (m, 2l + 1) of unit vectors (m, 3), with Σ_k Y_lk(u) Y_lk(v) = P_l(u·v).

    They are the real spherical harmonics without their usual factor, by the recursion of associated Legendre functions.
    """
    x, y, z = directions.unbind(1)
    found: list[list[Tensor]] = [[] for _ in range(degree + 1)]
    around, first = torch.ones_like(z, dtype=torch.complex128), 1.0
    for m in range(degree + 1):
        before, now = torch.zeros_like(z), torch.full_like(z, first)
        for n in range(m, degree + 1):
            factor = math.sqrt((1 if m == 0 else 2) * math.factorial(n - m) / math.factorial(n + m))
            value = factor * now * around
            found[n] += [value.real] if m == 0 else [value.real, value.imag]
            before, now = now, ((2 * n + 1) * z * now - (n + m) * before) / (n + 1 - m)
        around, first = around * torch.complex(x, y), first * (2 * m + 1)
    return [torch.stack(part, 1) for part in found]


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
