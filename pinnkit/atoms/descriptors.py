"""What describes the surroundings of an atom: functions of relative positions that no symmetry of space changes.

With pairs (i, j) closer than a cutoff r_c, and f_c(r) = ½ (cos(π r / r_c) + 1) there, the symmetry functions of
Behler & Parrinello (2007; Behler 2011) are

    G²_i = Σ_j exp(−η (r_ij − r_s)²) f_c(r_ij)
    G⁴_i = 2^(1−ζ) Σ_{j<k} (1 + λ cos θ_jik)^ζ exp(−η (r_ij² + r_ik² + r_jk²)) f_c(r_ij) f_c(r_ik) f_c(r_jk)

resolved by the species of j, and by those of j and k. A cluster as a whole is described by its inverse distances.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations_with_replacement
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pinnkit.atoms.neighbours import Pairs
from pinnkit.errors import BadInput


class Radial(NamedTuple):
    """η in Å⁻² and the shift r_s in Å of a G²."""

    eta: float
    shift: float


class Angular(NamedTuple):
    """η in Å⁻², ζ and λ = ±1 of a G⁴."""

    eta: float
    zeta: float
    sign: float


@dataclass(frozen=True)
class SymmetryFunctions:
    """G² of each neighbouring species, then G⁴ of each pair of species; of species in the order in which they stand.

    The cutoff is in Å. Raises BadInput.
    """

    species: tuple[str, ...]
    cutoff: float
    radial: tuple[Radial, ...]
    angular: tuple[Angular, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "species", tuple(self.species))
        object.__setattr__(self, "radial", tuple(Radial(*row) for row in self.radial))
        object.__setattr__(self, "angular", tuple(Angular(*row) for row in self.angular))
        if not 0 < self.cutoff < math.inf:
            raise BadInput("cutoff", f"it is {self.cutoff}", "it must be > 0 and finite, in Å")
        if not self.species or len(set(self.species)) < len(self.species):
            raise BadInput("species", f"they are {', '.join(self.species) or 'none'}", "name each of them once")
        if any(row.eta < 0 or row.zeta <= 0 or abs(row.sign) != 1 for row in self.angular):
            raise BadInput("angular", "η ≥ 0, ζ > 0 and λ = ±1 are wanted", "give rows (η, ζ, λ)")

    @property
    def couples(self) -> list[tuple[int, int]]:
        """Pairs of species, as positions in `species`."""
        return list(combinations_with_replacement(range(len(self.species)), 2))

    @property
    def count(self) -> int:
        return len(self.species) * len(self.radial) + len(self.couples) * len(self.angular)

    @property
    def labels(self) -> list[str]:
        """What each column is."""
        of_two = [f"{self.species[a]}–{self.species[b]}" for a, b in self.couples]
        return [f"{name}: η={r.eta:g}, r_s={r.shift:g}" for name in self.species for r in self.radial] + [
            f"{names}: η={r.eta:g}, ζ={r.zeta:g}, λ={r.sign:+g}" for names in of_two for r in self.angular
        ]

    def __call__(self, vectors: Tensor, pairs: Pairs, kinds: Tensor) -> Tensor:
        """The descriptors (n, count) of atoms of kinds (n,), from relative positions (m, 3) of the pairs in Å.

        Kinds are positions in `species`. Pairs beyond the cutoff count for nothing. Can be differentiated twice.
        """
        first = torch.as_tensor(pairs.first, device=vectors.device)
        second = torch.as_tensor(pairs.second, device=vectors.device)
        near = vectors.square().sum(1) < self.cutoff**2
        vectors, first, second = vectors[near], first[near], second[near]
        r, of_neighbour = vectors.norm(dim=1), kinds[second]
        parts = [self._radial(r, first, of_neighbour, len(kinds))]
        if self.angular:
            parts.append(self._angular(vectors, r, first, of_neighbour, len(kinds)))
        return torch.cat(parts, 1)

    def _radial(self, r: Tensor, first: Tensor, of_neighbour: Tensor, n: int) -> Tensor:
        eta, shift = r.new_tensor(self.radial).reshape(-1, 2).T
        terms = torch.exp(-eta * (r[:, None] - shift) ** 2) * self.damped(r)[:, None]
        kinds = len(self.species)
        return _gathered(terms, first * kinds + of_neighbour, n * kinds).reshape(n, -1)

    def _angular(self, vectors: Tensor, r: Tensor, first: Tensor, of_neighbour: Tensor, n: int) -> Tensor:
        one, other = (torch.from_numpy(index).to(first) for index in couples_of_pairs(first.cpu().numpy()))
        third = (vectors[other] - vectors[one]).square().sum(1)
        near = (third < self.cutoff**2) & (third > 0)
        one, other, third = one[near], other[near], third[near].sqrt()
        cosine = (vectors[one] * vectors[other]).sum(1) / (r[one] * r[other])
        squares = r[one] ** 2 + r[other] ** 2 + third**2
        damping = self.damped(r[one]) * self.damped(r[other]) * self.damped(third)
        terms = torch.stack([_angle(row, cosine, squares) * damping for row in self.angular], 1)
        which = self._couple(of_neighbour[one], of_neighbour[other])
        return _gathered(terms, first[one] * len(self.couples) + which, n * len(self.couples)).reshape(n, -1)

    def _couple(self, a: Tensor, b: Tensor) -> Tensor:
        """Positions of pairs of kinds in `couples`."""
        table = torch.zeros(len(self.species), len(self.species), dtype=torch.long, device=a.device)
        for place, (i, j) in enumerate(self.couples):
            table[i, j] = table[j, i] = place
        return table[a, b]

    def damped(self, r: Tensor) -> Tensor:
        """f_c(r) for r below the cutoff."""
        return 0.5 * (torch.cos(math.pi / self.cutoff * r) + 1)


def _angle(row: Angular, cosine: Tensor, squares: Tensor) -> Tensor:
    base = (1 + row.sign * cosine).clamp_min(0)  # against round-off
    return 2 ** (1 - row.zeta) * base**row.zeta * torch.exp(-row.eta * squares)


def _gathered(terms: Tensor, where: Tensor, count: int) -> Tensor:
    """Sums (count, columns) of rows."""
    return terms.new_zeros(count, terms.shape[1]).index_add(0, where, terms)


def couples_of_pairs(first: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """All couples p < q of pairs that have their first atom in common; `first` (m,) is sorted."""
    counts = np.bincount(first) if len(first) else np.zeros(0, dtype=np.int64)
    later = np.repeat(np.cumsum(counts), counts) - np.arange(len(first)) - 1  # further pairs of the same atom
    one = np.repeat(np.arange(len(first)), later)
    offset = np.arange(len(one)) - np.repeat(np.cumsum(later) - later, later)
    return one.astype(np.int64), (one + 1 + offset).astype(np.int64)


def usual_symmetry_functions(species: Sequence[str], cutoff: float, radial: int = 8) -> SymmetryFunctions:
    """Gaussians at even distances, each as wide as they are apart, and eight angular functions.

    The first Gaussian stands at a fifth of the cutoff, the last at the cutoff (the grid of Gastegger et al. 2018).
    """
    shifts = np.linspace(0.2 * cutoff, cutoff, radial)
    eta = 0.5 / (shifts[1] - shifts[0]) ** 2 if radial > 1 else 1 / cutoff**2
    angular = [
        Angular(width / cutoff**2, zeta, sign) for width in (0.5, 4.0) for zeta in (1.0, 4.0) for sign in (1.0, -1.0)
    ]
    return SymmetryFunctions(tuple(species), cutoff, tuple(Radial(eta, float(s)) for s in shifts), tuple(angular))


def inverse_distances(positions: Tensor, species: Sequence[str]) -> Tensor:
    """1/r of all pairs of a cluster (pairs,), in descending order within each pair of species; positions (n, 3) in Å.

    Pairs of species come in alphabetical order. Raises BadInput where atoms coincide.
    """
    i, j = np.triu_indices(len(positions), 1)
    r = (positions[i] - positions[j]).norm(dim=1)
    if len(r) and not float(r.detach().min()) > 0:
        k = int(r.detach().argmin())
        raise BadInput("positions", f"atoms {i[k]} and {j[k]} are at the same place", "move one of them")
    both = zip(np.array(species)[i], np.array(species)[j], strict=True)
    names = np.array(["–".join(sorted(pair)) for pair in both])
    parts = [(1 / r[torch.from_numpy(names == name)]).sort(descending=True).values for name in sorted(set(names))]
    return torch.cat(parts) if parts else positions.new_zeros(0)
