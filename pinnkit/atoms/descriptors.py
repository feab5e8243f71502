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
from torch import Tensor, nn

from pinnkit.atoms.pairs import Pairs
from pinnkit.atoms.structure import kinds_of
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
    """What G² and G⁴ are computed, from which an atom gets a row of `count` numbers.

    Columns are the rows of `radial` for each neighbouring species, in the order of `species`, and then those of
    `angular` for each pair of species, in the order AA, AB, …, BB, …. The cutoff is in Å. Raises BadInput.
    """

    species: tuple[str, ...]
    cutoff: float
    radial: tuple[Radial, ...]
    angular: tuple[Angular, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "species", tuple(self.species))
        for name, rows, shape in (("radial", self.radial, Radial), ("angular", self.angular, Angular)):
            if any(len(row) != len(shape._fields) or not all(map(math.isfinite, row)) for row in rows):
                raise BadInput(name, "its rows are not all finite numbers", f"give rows ({', '.join(shape._fields)})")
            object.__setattr__(self, name, tuple(shape(*row) for row in rows))
        if not 0 < self.cutoff < math.inf:
            raise BadInput("cutoff", f"it is {self.cutoff}", "it must be > 0 and finite, in Å")
        if not self.species or len(set(self.species)) < len(self.species):
            raise BadInput("species", f"they are {', '.join(self.species) or 'none'}", "name each of them once")
        if any(row.eta < 0 or row.zeta < 1 or abs(row.sign) != 1 for row in self.angular):
            # below ζ = 1 forces are infinite where three atoms stand in line
            raise BadInput("angular", "η ≥ 0, ζ ≥ 1 and λ = ±1 are wanted", "give rows (η, ζ, λ)")

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

    def kinds(self, species: Sequence[str]) -> Tensor:
        """Positions (n,) in `species`. Raises BadInput for others."""
        return torch.from_numpy(kinds_of(species, self.species))

    def __call__(self, vectors: Tensor, pairs: Pairs, kinds: Tensor) -> Tensor:
        """The descriptors (n, count) of atoms of kinds (n,), from relative positions (m, 3) of the pairs in Å.

        Kinds are positions in `species`. Pairs beyond the cutoff count for nothing. Can be differentiated twice.
        """
        around = self._around(vectors, pairs, kinds)
        return self._values(around, self._triples(around) if self.angular else None)

    @torch.no_grad()
    def slopes(self, vectors: Tensor, pairs: Pairs, kinds: Tensor) -> tuple[Tensor, Tensor]:
        """The descriptors (n, count), and (m, count, 3) the derivatives of those of the first atom by each vector.

        A vector changes the descriptors of its first atom alone, so that these are all first derivatives there are:
        with r_ij = r_j − r_i, ∂G_i/∂r_j is the sum over the pairs (i, j), and ∂G_i/∂r_i minus that of all pairs of i.
        """
        around = self._around(vectors, pairs, kinds)
        three = self._triples(around) if self.angular else None
        parts = [self._radial_slopes(around)] + ([] if three is None else [self._angular_slopes(around, three)])
        slopes = vectors.new_zeros(len(vectors), self.count, 3)
        slopes[around.near] = torch.cat(parts, 1)
        return self._values(around, three), slopes

    def _around(self, vectors: Tensor, pairs: Pairs, kinds: Tensor) -> "_Around":
        first, second = (torch.as_tensor(index, device=vectors.device) for index in (pairs.first, pairs.second))
        near = (_dot(vectors, vectors) < self.cutoff**2).nonzero()[:, 0]
        vectors, first, kind = vectors[near], first[near], kinds[second[near]]
        return _Around(
            near, vectors, vectors.norm(dim=1), first, kind, first * len(self.species) + kind, len(kinds)
        )  # fmt: skip

    def _values(self, around: "_Around", three: "_Triples | None") -> Tensor:
        eta, shift = around.r.new_tensor(self.radial).reshape(-1, 2).T
        terms = torch.exp(-eta * (around.r[:, None] - shift) ** 2) * self.damped(around.r)[:, None]
        parts = [_gathered(terms, around.slot, around.n * len(self.species)).view(around.n, -1)]
        if three is not None:
            terms = three.shape * (three.f[0] * three.f[1] * three.f[2])[:, None]
            parts.append(_gathered(terms, three.slot, around.n * len(self.couples)).view(around.n, -1))
        return torch.cat(parts, 1)

    def _radial_slopes(self, around: "_Around") -> Tensor:
        """Derivatives (p, species · radial, 3) of G² by the vectors."""
        eta, shift = around.r.new_tensor(self.radial).reshape(-1, 2).T
        away = around.r[:, None] - shift
        f, slope = self.damped(around.r)[:, None], self._damped_slope(around.r)[:, None]
        by_r = torch.exp(-eta * away**2) * (slope - 2 * eta * away * f) / around.r[:, None]
        of_kind = nn.functional.one_hot(around.kind, len(self.species)).to(by_r)
        return torch.einsum("ps,pr,px->psrx", of_kind, by_r, around.vectors).flatten(1, 2)

    def _triples(self, around: "_Around") -> "_Triples":
        one, other = (
            torch.from_numpy(index).to(around.first) for index in couples_of_pairs(around.first.cpu().numpy())
        )
        apart = around.vectors.detach()[other] - around.vectors.detach()[one]
        near = (_dot(apart, apart) < self.cutoff**2).nonzero()[:, 0]
        one, other = one[near], other[near]
        d = around.vectors[one], around.vectors[other]
        r = around.r[one], around.r[other], (d[1] - d[0]).norm(dim=1)
        cosine = _dot(*d) / (r[0] * r[1])
        slot = around.first[one] * len(self.couples) + self._couple(around.kind[one], around.kind[other])
        shape = self._angles(cosine) * self._widths(r[0] ** 2 + r[1] ** 2 + r[2] ** 2)
        return _Triples(
            one, other, d, r, (self.damped(r[0]), self.damped(r[1]), self.damped(r[2])), cosine, shape, slot
        )

    def _angles(self, cosine: Tensor, slope: bool = False) -> Tensor:
        """2^(1−ζ) (1 + λ cos θ)^ζ (t, angular), or its derivative by cos θ; each ζ and λ is computed once."""
        rows = [(row.zeta, row.sign) for row in self.angular]
        kinds = list(dict.fromkeys(rows))
        of_kind = [_angle_slope(cosine, *kind) if slope else _angle(cosine, *kind) for kind in kinds]
        return torch.stack([of_kind[kinds.index(row)] for row in rows], 1)

    def _widths(self, squares: Tensor) -> Tensor:
        """exp(−η (r_ij² + r_ik² + r_jk²)) (t, angular)."""
        etas = list(dict.fromkeys(row.eta for row in self.angular))
        of_eta = [torch.exp(-eta * squares) for eta in etas]
        return torch.stack([of_eta[etas.index(row.eta)] for row in self.angular], 1)

    def _angular_slopes(self, around: "_Around", three: "_Triples") -> Tensor:
        """Derivatives (p, couples · angular, 3) of G⁴ by the vectors.

        With a = r_ij, b = r_ik, c = r_jk, the derivative of a term by r_ij is α r_ij + β r_ik, that by r_ik is
        β r_ij + γ r_ik.
        """
        (a, b, c), (fa, fb, fc), (d, e), couples = three.r, three.f, three.d, len(self.couples)
        eta = a.new_tensor([row.eta for row in self.angular])
        ends = [self._damped_slope(r) / r for r in three.r]
        g = three.shape * (fa * fb * fc)[:, None]
        turn = (
            self._angles(three.cosine, slope=True)
            * self._widths(a**2 + b**2 + c**2)
            * (fa * fb * fc / (a * b))[:, None]
        )
        third = three.shape * (fa * fb * ends[2])[:, None]
        ahead = third - 4 * eta * g
        alpha = ahead + three.shape * (ends[0] * fb * fc)[:, None] - turn * (three.cosine * b / a)[:, None]
        gamma = ahead + three.shape * (fa * ends[1] * fc)[:, None] - turn * (three.cosine * a / b)[:, None]
        beta = turn - third + 2 * eta * g
        found = a.new_zeros(len(around.r) * couples, 3, len(self.angular))  # so that the longer axis is the last
        for pair, along, across in ((three.one, (alpha, d), (beta, e)), (three.other, (gamma, e), (beta, d))):
            pulls = torch.mul(along[0][:, None], along[1][..., None]).addcmul_(across[0][:, None], across[1][..., None])
            found.index_add_(0, pair * couples + three.slot % couples, pulls)
        return found.view(len(around.r), couples, 3, len(self.angular)).transpose(2, 3).flatten(1, 2)

    def _couple(self, a: Tensor, b: Tensor) -> Tensor:
        """Positions of pairs of kinds in `couples`."""
        table = torch.zeros(len(self.species), len(self.species), dtype=torch.long, device=a.device)
        for place, (i, j) in enumerate(self.couples):
            table[i, j] = table[j, i] = place
        return table[a, b]

    def damped(self, r: Tensor) -> Tensor:
        """f_c(r) for r below the cutoff."""
        return 0.5 * (torch.cos(math.pi / self.cutoff * r) + 1)

    def _damped_slope(self, r: Tensor) -> Tensor:
        return -0.5 * math.pi / self.cutoff * torch.sin(math.pi / self.cutoff * r)


class _Around(NamedTuple):
    """The p pairs below the cutoff: which they are, their vectors (p, 3), and where their G² is gathered."""

    near: Tensor
    vectors: Tensor
    r: Tensor
    first: Tensor
    kind: Tensor  # of the second atom
    slot: Tensor
    n: int  # atoms


class _Triples(NamedTuple):
    """The t couples of pairs whose three distances are below the cutoff, and where their G⁴ is gathered."""

    one: Tensor
    other: Tensor
    d: tuple[Tensor, Tensor]  # their vectors
    r: tuple[Tensor, Tensor, Tensor]
    f: tuple[Tensor, Tensor, Tensor]  # f_c of the three
    cosine: Tensor
    shape: Tensor  # (t, angular), all but f_c
    slot: Tensor


def _dot(one: Tensor, other: Tensor) -> Tensor:
    """Products of rows (t, 3); a sum over so short an axis is slow."""
    return (one * other) @ one.new_ones(3)


def _angle(cosine: Tensor, zeta: float, sign: float) -> Tensor:
    return 2 ** (1 - zeta) * _power(1 + sign * cosine, zeta)


def _angle_slope(cosine: Tensor, zeta: float, sign: float) -> Tensor:
    return 2 ** (1 - zeta) * zeta * sign * _power(1 + sign * cosine, zeta - 1)


def _power(base: Tensor, exponent: float) -> Tensor:
    """By squaring, where it is whole: ten times as fast, and smooth where round-off makes the base negative."""
    if exponent != int(exponent):
        return base.clamp_min(0) ** exponent
    if exponent == 0:
        return torch.ones_like(base)
    half = _power(base, exponent // 2)
    return half * half * base if exponent % 2 else half * half


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
