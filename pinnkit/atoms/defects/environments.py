"""What is seen from a site of a structure: the atoms around it, relative to it."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pinnkit.atoms.structure import Array, Structure, kinds_of
from pinnkit.errors import BadInput

Index = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Environments:
    """Vectors (m, 3) in Å from `count` centres to the atoms near them, kinds (m,), and of which centre (m,), sorted."""

    vectors: Array
    kinds: Index
    owner: Index
    count: int

    def __len__(self) -> int:
        return self.count

    def part(self, start: int, stop: int) -> "Environments":
        """Those from `start` to before `stop`."""
        low, high = np.searchsorted(self.owner, [start, stop])
        stop = min(stop, self.count)
        return Environments(self.vectors[low:high], self.kinds[low:high], self.owner[low:high] - start, stop - start)

    def chosen(self, which: Index) -> "Environments":
        """Those of rising numbers (k,)."""
        place = np.full(self.count, -1)
        place[which] = np.arange(len(which))
        owner = place[self.owner]
        kept = owner >= 0
        return Environments(self.vectors[kept], self.kinds[kept], owner[kept], len(which))

    def occupied(self, radius: float) -> NDArray[np.bool_]:
        """Whether an atom is that near to each centre, in Å, (n,)."""
        found = np.zeros(self.count, dtype=bool)
        found[self.owner[np.square(self.vectors).sum(1) < radius**2]] = True
        return found

    def within(self, cutoff: float) -> "Environments":
        """Without the atoms that are not closer than that, in Å."""
        return self.only(np.square(self.vectors).sum(1) < cutoff**2)

    def only(self, which: NDArray[np.bool_]) -> "Environments":
        """With those of the atoms (m,)."""
        return Environments(self.vectors[which], self.kinds[which], self.owner[which], self.count)

    def permuted(self, places: Index) -> "Environments":
        """In another order: the environment k comes to places[k], (n,)."""
        owner = places[self.owner]
        order = np.argsort(owner, kind="stable")
        return Environments(self.vectors[order], self.kinds[order], owner[order], self.count)

    @classmethod
    def joined(cls, parts: "Sequence[Environments]") -> "Environments":
        """One after another."""
        before = np.cumsum([0, *(len(part) for part in parts)])
        owner = [part.owner + k for part, k in zip(parts, before, strict=False)]
        vectors, kinds = np.concatenate([p.vectors for p in parts]), np.concatenate([p.kinds for p in parts])
        return cls(vectors, kinds, np.concatenate(owner), int(before[-1]))

    @classmethod
    def around(cls, structure: Structure, sites: ArrayLike, cutoff: float, species: Sequence[str]) -> "Environments":
        """Of sites of a structure: numbers of atoms (n,), or positions (n, 3) in Å; kinds are places in `species`.

        An atom at the site belongs to its environment. Raises BadInput for other species, sites and shapes.
        """
        kinds = kinds_of(structure.species, species)
        found = [_near(structure, centre, cutoff) for centre in _centres(structure, sites)]
        parts = [cls(v, kinds[atoms], np.zeros(len(v), dtype=np.int64), 1) for v, atoms in found]
        return cls.joined(parts)


def _centres(structure: Structure, sites: ArrayLike) -> Array:
    given = np.atleast_1d(np.asarray(sites))
    if given.dtype.kind in "iu" and given.ndim == 1 and ((given >= 0) & (given < len(structure))).all():
        return structure.positions[given]
    if given.dtype.kind in "iuf" and given.shape[-1] == 3 and given.ndim <= 2 and np.isfinite(given).all():
        return given.astype(float).reshape(-1, 3)
    what = f"they are neither numbers of the {len(structure)} atoms nor positions"
    raise BadInput("sites", what, "give whole numbers (n,), or positions (n, 3) in Å")


def _near(structure: Structure, centre: Array, cutoff: float) -> tuple[Array, Index]:
    """Vectors to all atoms and images closer than the cutoff, and which atoms they are."""
    vectors = structure.positions - centre
    if structure.cell is not None:
        inverse, periodic = np.linalg.inv(structure.cell), np.array(structure.periodic)
        vectors = vectors - (np.round(vectors @ inverse) * periodic) @ structure.cell
        reach = np.where(periodic, np.ceil(cutoff * np.linalg.norm(inverse, axis=0) + 0.5), 0).astype(int)
        steps = np.array(list(product(*(range(-k, k + 1) for k in reach))), dtype=float)
        vectors = (vectors + (steps @ structure.cell)[:, None]).reshape(-1, 3)
    near = np.flatnonzero(np.square(vectors).sum(1) < cutoff**2)
    return vectors[near], near % len(structure)
