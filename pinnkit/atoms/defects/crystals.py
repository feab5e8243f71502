"""Point defects of crystals, and what is seen from them: the atoms around a site, under thermal noise.

A defect is a kind of site of a lattice, and the atoms that stand there in place of what would: none at a vacancy, one
of the wrong species at an antisite, two at a dumbbell. Sites of one kind are crystallographically equivalent, so that
all environments of a defect are one environment, but for noise, strain, the orientation of the axes and the order of
the atoms. Lattices have one distance d of nearest neighbours and species in common: neither tells them apart.

Atoms are not relaxed. Displacements are independent for each atom and normal; by Lindemann's rule crystals melt where
their root mean square is 0.1 d to 0.15 d, which is 0.06 d to 0.09 d along each axis.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import permutations, product

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from pinnkit.atoms.defects.environments import Environments, Index
from pinnkit.atoms.structure import Array, Structure, b2, bcc, fcc, kinds_of
from pinnkit.errors import BadInput

Offset = tuple[float, float, float]
Stand = tuple[tuple[Offset, int], ...]  # offsets from a site, in lattice constants, with the kinds of atoms

WANDER = 3.0  # standard deviations that are hardly exceeded
AT_ONCE = 400  # views
SAME_PLACE = 1e-6  # Å
HOST = 0  # the kind of atom that lattices of one species consist of
EDGES = {"fcc": math.sqrt(2), "bcc": 2 / math.sqrt(3), "b2": 2 / math.sqrt(3)}  # lattice constants over d
APART = {"fcc": 0.31, "bcc": 0.325}  # half a dumbbell, in lattice constants: its atoms are 0.88 d and 0.75 d apart


@dataclass(frozen=True)
class Defect:
    """Equivalent sites in the conventional cell (fractions), and what may stand there: one of several orientations."""

    lattice: str
    kind: str
    sites: tuple[Offset, ...]
    stands: tuple[Stand, ...]

    @property
    def name(self) -> str:
        return f"{self.lattice} {self.kind}"


# --- the catalogue ----------------------------------------------------------------------------------------------------


def defects(lattices: Sequence[str]) -> tuple[Defect, ...]:
    """All defects of lattices, undisturbed sites first. Raises BadInput for an unknown lattice, or one named twice."""
    known = catalogue()
    for name in lattices:
        if name not in known:
            raise BadInput("problem.lattices", f"unknown lattice {name!r}", f"choose from {', '.join(known)}")
    if len(set(lattices)) < len(lattices):
        raise BadInput("problem.lattices", f"they are {', '.join(lattices)}", "name each of them once")
    return tuple(defect for name in lattices for defect in known[name])


def catalogue() -> Mapping[str, tuple[Defect, ...]]:
    """Defects by lattice. Kinds of interstitials are named by their place; those of B2 by their species too."""
    corners, middles = tuple(fcc(1, "X").positions.tolist()), ((0.5, 0.5, 0.5),)
    octahedra = tuple((x + 0.5, y, z) for x, y, z in corners)
    quarters = tuple((x, y, z) for x, y, z in product((0.25, 0.75), repeat=3))
    faces = ((0.5, 0.5, 0.0), (0.5, 0.0, 0.5), (0.0, 0.5, 0.5))
    body = ((0.0, 0.0, 0.0), *middles)
    return {
        "fcc": (
            *_of_site("fcc", "", corners, HOST),
            _single("fcc", "octahedral interstitial", octahedra, HOST),
            _single("fcc", "tetrahedral interstitial", quarters, HOST),
            Defect("fcc", "dumbbell", corners, _dumbbells(APART["fcc"], (1, 0, 0))),
        ),
        "bcc": (
            *_of_site("bcc", "", body, HOST),
            _single("bcc", "tetrahedral interstitial", _tetrahedra(), HOST),
            Defect("bcc", "dumbbell", body, _dumbbells(APART["bcc"], (1, 1, 0))),
        ),
        "b2": (
            *_of_site("b2", " A", body[:1], 0), _single("b2", "antisite A", body[:1], 1),
            *_of_site("b2", " B", body[1:], 1), _single("b2", "antisite B", body[1:], 0),
            _single("b2", "interstitial A", faces, 0), _single("b2", "interstitial B", faces, 1),
        ),
    }  # fmt: skip


def _single(lattice: str, kind: str, sites: tuple[Offset, ...], atom: int) -> Defect:
    return Defect(lattice, kind, sites, ((((0.0, 0.0, 0.0), atom),),))


def _of_site(lattice: str, which: str, sites: tuple[Offset, ...], atom: int) -> tuple[Defect, Defect]:
    """The site as it should be, and without its atom."""
    return _single(lattice, f"perfect{which}", sites, atom), Defect(lattice, f"vacancy{which}", sites, ((),))


def _tetrahedra() -> tuple[Offset, ...]:
    """Of bcc: (½, ¼, 0) and its like, twelve in a cell."""
    orders = (order for quarter in (0.25, 0.75) for order in permutations((0.5, quarter, 0.0)))
    return tuple((x, y, z) for x, y, z in orders)


def _dumbbells(half: float, along: tuple[int, int, int]) -> tuple[Stand, ...]:
    """Two atoms about the site, along each direction of the family, once."""
    family = {order for signs in product((1, -1), repeat=3) for order in permutations(map(int.__mul__, signs, along))}
    axes = sorted(axis for axis in family if axis > (0, 0, 0))
    return tuple(_along(half / math.hypot(*axis), axis) for axis in axes)


def _along(step: float, axis: tuple[int, ...]) -> Stand:
    x, y, z = axis
    return tuple(((sign * x, sign * y, sign * z), HOST) for sign in (step, -step))


# --- crystals ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Crystals:
    """Supercells of `repeats`³ cells; species of the kinds 0 and 1, d in Å, and how far is seen from a site, in Å."""

    species: tuple[str, ...] = ("Ni", "Al")
    distance: float = 2.5
    cutoff: float = 6.5
    repeats: int = 6

    def edge(self, lattice: str) -> float:
        """The lattice constant, in Å."""
        return EDGES[lattice] * self.distance

    def supercell(self, lattice: str) -> Structure:
        """Without defects."""
        a, (first, second) = self.edge(lattice), self.species
        cell = b2(a, first, second) if lattice == "b2" else (fcc if lattice == "fcc" else bcc)(a, first)
        return cell.replicate(self.repeats, self.repeats, self.repeats)

    def sites(self, defect: Defect) -> Array:
        """All equivalent sites (k, 3) of the supercell, in Å."""
        steps = np.array(list(product(range(self.repeats), repeat=3)), dtype=float)
        return (steps[:, None] + np.array(defect.sites)).reshape(-1, 3) * self.edge(defect.lattice)

    def with_defect(self, defect: Defect, site: int = 0, stand: int = 0) -> tuple[Structure, Array]:
        """A supercell with the defect at one of its sites in one of its orientations, and where that is (3,)."""
        whole, centre = self.supercell(defect.lattice), self.sites(defect)[site]
        kept = np.flatnonzero(~at_centre(self.seen(whole, centre[None])[0]))
        put, kinds = self.standing(defect)
        species = (*(whole.species[k] for k in kept), *(self.species[k] for k in kinds))
        return Structure(
            np.vstack([whole.positions[kept], centre + put[stand]]), species, whole.cell, (True,) * 3
        ), centre

    def standing(self, defect: Defect) -> tuple[Array, Index]:
        """Of each orientation what stands there, as offsets (orientations, atoms, 3) in Å, and the kinds (atoms,)."""
        offsets = np.array([[offset for offset, _ in stand] for stand in defect.stands], dtype=float)
        kinds = np.array([kind for _, kind in defect.stands[0]], dtype=np.int64)
        return offsets.reshape(len(defect.stands), -1, 3) * self.edge(defect.lattice), kinds

    def seen(self, whole: Structure, centres: Array) -> Array:
        """The atoms of a supercell as seen from centres (n, 3): vectors (n, atoms, 3) to their nearest images."""
        assert whole.cell is not None
        vectors, width = whole.positions - centres[:, None], np.diag(whole.cell)
        vectors -= width * np.round(vectors / width)
        return np.asarray(vectors)

    def check(self, lattices: Sequence[str], disturbed: "Disturbance") -> None:
        """Raises BadInput where environments in a supercell would hold an atom twice, or images of their own defect."""
        for lattice in lattices:
            least = self.least_repeats(lattice, disturbed)
            if self.repeats < least:
                width = self.repeats * self.edge(lattice)
                what = f"{self.repeats} cells of {lattice} are {width:.1f} Å wide: environments of radius "
                what += f"{self.cutoff:g} Å and their noise would see images of their own defect"
                raise BadInput("problem.supercell", what, f"take at least {least}, or a smaller problem.cutoff")

    def least_repeats(self, lattice: str, disturbed: "Disturbance") -> int:
        """Of the smallest supercell in which environments see no image of their own defect."""
        return math.ceil(2 * disturbed.reach(self) / self.edge(lattice))

    def reaching(self, further: float, lattices: Sequence[str], disturbed: "Disturbance") -> "Crystals":
        """With a cutoff that is longer by that, in Å, and the smallest supercells that are large enough."""
        longer = replace(self, cutoff=self.cutoff + further)
        return replace(longer, repeats=max(longer.least_repeats(name, disturbed) for name in lattices))


def at_centre(vectors: Array) -> NDArray[np.bool_]:
    """Which vectors (…, 3) are none."""
    return np.asarray(np.square(vectors).sum(-1) < SAME_PLACE**2)


# --- at random --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Disturbance:
    """What differs from view to view, by standard deviations, all of them shares of d or of 1.

    noise    displacements along each axis, of atoms and of what is taken for the centre
    strain   entries of a symmetric strain
    size     lattice constants; beside, lattices are larger by `stretch` than those of the crystals
    """

    noise: float
    strain: float = 0.0
    size: float = 0.0
    stretch: float = 0.0

    def reach(self, crystals: Crystals) -> float:
        """From how far (Å) in the crystal without disturbance atoms may come within the cutoff."""
        wandering = crystals.cutoff + WANDER * self.noise * crystals.distance
        return wandering / max(1 + self.stretch - WANDER * (self.strain + self.size), 0.1)


def views(
    crystals: Crystals, kinds: Sequence[Defect], labels: Index, shares: tuple[float, float], disturbed: Disturbance,
    rng: np.random.Generator,
) -> Environments:  # fmt: skip
    """Environments of the defects kinds[label] of sorted labels (n,), each at a site at random, disturbed and turned.

    Sites are from that share of the supercell's, in an order that is the same for all: (0, 0.5) and (0.5, 1) have none
    in common.
    """
    parts = []
    for kind, count in zip(kinds, np.bincount(labels, minlength=len(kinds)).tolist(), strict=True):
        for done in range(0, count, AT_ONCE):
            parts.append(_views(crystals, kind, min(AT_ONCE, count - done), shares, disturbed, rng))
    return Environments.joined(parts)


def _views(
    crystals: Crystals, defect: Defect, count: int, shares: tuple[float, float], disturbed: Disturbance,
    rng: np.random.Generator,
) -> Environments:  # fmt: skip
    whole, (put, put_kinds) = crystals.supercell(defect.lattice), crystals.standing(defect)
    sites = share(crystals.sites(defect), shares)
    around = crystals.seen(whole, sites[rng.integers(len(sites), size=count)])
    squares = np.einsum("nax,nax->na", around, around)
    near = (squares < disturbed.reach(crystals) ** 2) & (squares >= SAME_PLACE**2)
    owner, atoms = np.nonzero(near)
    added = put[rng.integers(len(put), size=count)]
    vectors = np.concatenate([around[near], added.reshape(-1, 3)])
    kinds = np.concatenate([kinds_of(whole.species, crystals.species)[atoms], np.tile(put_kinds, count)])
    owner = np.concatenate([owner, np.repeat(np.arange(count), added.shape[1])])
    vectors = _moved(vectors, owner, count, crystals.distance, disturbed, rng)
    order = np.lexsort((rng.random(len(owner)), owner))
    order = order[np.square(vectors[order]).sum(1) < crystals.cutoff**2]
    return Environments(vectors[order], kinds[order], owner[order], count)


def share(sites: Array, shares: tuple[float, float]) -> Array:
    """Of sites (k, 3) in an order without rule, but always the same, those from one share of them to another."""
    order = np.random.default_rng(len(sites)).permutation(len(sites))
    low, high = (round(part * len(sites)) for part in shares)
    return np.asarray(sites[order[low:high]])


def _moved(
    vectors: Array, owner: Index, count: int, distance: float, disturbed: Disturbance, rng: np.random.Generator
) -> Array:
    """Strained, displaced and turned, together with their centre."""
    strain = disturbed.strain * rng.normal(size=(count, 3, 3))
    size = 1 + disturbed.stretch + disturbed.size * rng.normal(size=(count, 1, 1))
    deformed = size * np.eye(3) + (strain + strain.transpose(0, 2, 1)) / 2
    amplitude = disturbed.noise * distance
    moved = np.einsum("mij,mj->mi", deformed[owner], vectors) + amplitude * rng.normal(size=vectors.shape)
    turns = Rotation.from_quat(rng.normal(size=(count, 4))).as_matrix()
    return np.asarray(np.einsum("mij,mj->mi", turns[owner], moved - amplitude * rng.normal(size=(count, 3))[owner]))
