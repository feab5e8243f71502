"""Environments that are none of the known ones: views of known defects in which something was put out of order.

Crystals have planes, along which they slip and across which they are mirrored: a stacking fault, a twin, and the hcp
lattice are close to these. Beyond a boundary there is another crystal. Atoms are missing, are exchanged, or are many
fewer. All of them move as in a melt, or the lattice is deformed. Where by chance nothing changed, the view is left out.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from pinnkit.atoms.defects.environments import Environments, Index
from pinnkit.atoms.structure import Array

CORE, NEAR = 0.25, 1.25  # in d: between them are neighbours of the centre
LAYERS, BETWEEN = 3, 0.8  # planes at which something happens, and how far apart they are in d: about as in crystals
ASIDE = 0.1  # in d: planes are met no better than that
SIGHT, CHANGED = 2.0, 0.25  # in d: within the one an atom has to be that far from where one was, for it to be another
SLIP = (0.2, 1.0)  # in d
APART = 0.7  # in d: atoms that come closer to others are left out
EDITED, FADING = 3, 0.5  # most atoms that are missing or exchanged; of nearer ones more, by exp(−r/(0.5 d))
THINNED = (0.1, 1.0)  # share of the atoms that is missing
MELTED = (0.04, 0.24)  # standard deviation of displacements along each axis, in d, beside what is usual
DEFORMED = (0.0, 0.25)  # of the entries of a symmetric strain, beside twice what is usual


class Usual(NamedTuple):
    """d in Å, and what known views have: noise in d, and strain."""

    distance: float
    noise: float
    strain: float


Way = Callable[[Environments, Usual, np.random.Generator], Environments]


def others(seen: Environments, usual: Usual, rng: np.random.Generator) -> Environments:
    """Views put out of order, each in one of the ways, in equal shares; fewer than were given."""
    ends = np.linspace(0, len(seen), len(WAYS) + 1).astype(int)
    mixed = seen.permuted(rng.permutation(len(seen)))
    parts = [(way, mixed.part(a, b)) for way, a, b in zip(WAYS, ends, ends[1:], strict=False) if a < b]
    return Environments.joined([_different(part, way(part, usual, rng), usual) for way, part in parts])


def _different(before: Environments, after: Environments, usual: Usual) -> Environments:
    """Those in which near atoms came from nowhere, or went."""
    gone, come = _unmatched(before, after, usual), _unmatched(after, before, usual)
    return after.chosen(np.flatnonzero(gone | come))


def _unmatched(one: Environments, other: Environments, usual: Usual) -> NDArray[np.bool_]:
    """Of environments (n,), in which of them a near atom has none of its kind close by in the other."""
    far, near = _far(one, other), np.square(one.vectors).sum(1) < (SIGHT * usual.distance) ** 2
    here, there = (_placed(seen, 2 * seen.owner + seen.kinds, far) for seen in (one.only(near), other))
    distances = _to_nearest(here, there, CHANGED * usual.distance)
    found = np.zeros(len(one), dtype=bool)
    found[one.owner[near][np.isinf(distances)]] = True
    return found


def slipped(seen: Environments, usual: Usual, rng: np.random.Generator) -> Environments:
    """What lies beyond a plane at random is shifted."""
    normals = _directions(len(seen), rng)
    heights = usual.distance * rng.uniform(-0.2, 2, len(seen))
    return _shifted(seen, normals, heights, _directions(len(seen), rng), usual, rng)


def glided(seen: Environments, usual: Usual, rng: np.random.Generator) -> Environments:
    """What lies beyond a plane of near atoms is shifted along it, as in a stacking fault."""
    normals = _planes(seen, usual, rng)
    heights = _heights(len(seen), usual, rng) + 0.5 * BETWEEN * usual.distance
    along = np.cross(normals, _directions(len(seen), rng))
    return _shifted(seen, normals, heights, along / np.linalg.norm(along, axis=1, keepdims=True), usual, rng)


def _shifted(
    seen: Environments, normals: Array, heights: Array, along: Array, usual: Usual, rng: np.random.Generator
) -> Environments:
    """Atoms higher than that above a plane, by steps of random length."""
    moved = _above(seen, normals) > heights[seen.owner]
    steps = along * (usual.distance * rng.uniform(*SLIP, len(seen)))[:, None]
    vectors = seen.vectors + moved[:, None] * steps[seen.owner]
    return _apart(Environments(vectors, seen.kinds, seen.owner, len(seen)), moved, usual)


def twinned(seen: Environments, usual: Usual, rng: np.random.Generator) -> Environments:
    """What lies beyond a plane of near atoms is the mirror image of what lies before it."""
    normals = _planes(seen, usual, rng)
    above = _above(seen, normals) - _heights(len(seen), usual, rng)[seen.owner]
    at = 0.5 * (BETWEEN - ASIDE) * usual.distance  # half way to the next plane: atoms at the plane are no image
    before = seen.only(above < -at)
    image = before.vectors - 2 * above[above < -at, None] * normals[before.owner]
    return _with(seen.only(above < at), Environments(image, before.kinds, before.owner, len(seen)), usual)


def grafted(seen: Environments, usual: Usual, rng: np.random.Generator) -> Environments:
    """What lies beyond a plane at random is that of another view, in another orientation."""
    normals, heights = _directions(len(seen), rng), usual.distance * rng.uniform(0.2, 2, len(seen))
    lower, other = seen.only(_above(seen, normals) <= heights[seen.owner]), seen.permuted(rng.permutation(len(seen)))
    return _with(lower, other.only(_above(other, normals) > heights[other.owner]), usual)


def edited(seen: Environments, usual: Usual, rng: np.random.Generator) -> Environments:
    """Of the atoms about the centre one or a few are missing, or are of the other kind."""
    r = np.linalg.norm(seen.vectors, axis=1) / usual.distance
    chances = np.where(r > CORE, np.exp(-r / FADING), 0.0)
    first = _rank(rng.exponential(size=len(r)) / np.maximum(chances, 1e-300), seen.owner)
    hit = first < rng.integers(1, EDITED + 1, len(seen))[seen.owner]
    exchanged = (rng.random(len(seen)) < 0.5)[seen.owner]
    kinds = np.where(hit & exchanged, 1 - seen.kinds, seen.kinds)
    return Environments(seen.vectors, kinds, seen.owner, len(seen)).only(~hit | exchanged)


def thinned(seen: Environments, usual: Usual, rng: np.random.Generator) -> Environments:
    """A share of the atoms is missing."""
    return seen.only(rng.random(len(seen.owner)) > rng.uniform(*THINNED, len(seen))[seen.owner])


def melted(seen: Environments, usual: Usual, rng: np.random.Generator) -> Environments:
    """All atoms are displaced by more than they usually are."""
    amplitude = usual.distance * (usual.noise + rng.uniform(*MELTED, len(seen)))
    vectors = seen.vectors + amplitude[seen.owner, None] * rng.normal(size=seen.vectors.shape)
    return Environments(vectors, seen.kinds, seen.owner, len(seen))


def deformed(seen: Environments, usual: Usual, rng: np.random.Generator) -> Environments:
    """The lattice is strained by more than it usually is."""
    amplitude = 2 * usual.strain + rng.uniform(*DEFORMED, len(seen))
    strain = amplitude[:, None, None] * rng.normal(size=(len(seen), 3, 3))
    turn = np.eye(3) + (strain + strain.transpose(0, 2, 1)) / 2
    vectors = np.einsum("mij,mj->mi", turn[seen.owner], seen.vectors)
    return Environments(vectors, seen.kinds, seen.owner, len(seen))


WAYS: tuple[Way, ...] = (slipped, glided, twinned, grafted, edited, thinned, melted, deformed)


# --- planes -----------------------------------------------------------------------------------------------------------


def _directions(count: int, rng: np.random.Generator) -> Array:
    found = rng.normal(size=(count, 3))
    return np.asarray(found / np.linalg.norm(found, axis=1, keepdims=True))


def _planes(seen: Environments, usual: Usual, rng: np.random.Generator) -> Array:
    """Normals (n, 3) to two of the neighbours; random ones where there are not two, or both lie along a line."""
    r = np.linalg.norm(seen.vectors, axis=1) / usual.distance
    order = _rank(np.where((r > CORE) & (r < NEAR), rng.random(len(r)), np.inf), seen.owner)
    pair = np.zeros((2, len(seen), 3))
    for k in range(2):
        chosen = (order == k) & (r > CORE) & (r < NEAR)
        pair[k, seen.owner[chosen]] = seen.vectors[chosen]
    normals = np.cross(*pair)
    length = np.linalg.norm(normals, axis=1, keepdims=True)
    clear = length > (CORE * usual.distance) ** 2
    return np.where(clear, normals / np.where(clear, length, 1.0), _directions(len(seen), rng))


def _heights(count: int, usual: Usual, rng: np.random.Generator) -> Array:
    """Of planes of atoms above the centre, (n,) in Å: the one it lies in, or one of the next."""
    return usual.distance * (BETWEEN * rng.integers(LAYERS, size=count) + rng.uniform(-ASIDE, ASIDE, count))


def _above(seen: Environments, normals: Array) -> Array:
    """How far atoms lie beyond planes through the centres, (m,) in Å."""
    return np.asarray(np.einsum("ij,ij->i", seen.vectors, normals[seen.owner]))


def _rank(keys: Array, owner: Index) -> Index:
    """Places of atoms in the order of their keys, (m,), in each environment from 0."""
    rank = np.empty(len(keys), dtype=np.int64)
    rank[np.lexsort((keys, owner))] = np.arange(len(keys)) - np.searchsorted(owner, owner)
    return rank


def _with(lower: Environments, upper: Environments, usual: Usual) -> Environments:
    """The atoms of both, environment by environment, but for those of the upper that come too close to the lower."""
    owner = np.concatenate([lower.owner, upper.owner])
    order = np.argsort(owner, kind="stable")
    vectors, kinds = np.concatenate([lower.vectors, upper.vectors]), np.concatenate([lower.kinds, upper.kinds])
    moved = np.repeat([False, True], [len(lower.owner), len(upper.owner)])
    return _apart(Environments(vectors[order], kinds[order], owner[order], lower.count), moved[order], usual)


def _apart(seen: Environments, moved: NDArray[np.bool_], usual: Usual) -> Environments:
    """Without the moved atoms that came too close to others of their environment."""
    places = _placed(seen, seen.owner, _far(seen))
    kept = np.ones(len(moved), dtype=bool)
    kept[moved] = np.isinf(_to_nearest(places[moved], places[~moved], APART * usual.distance))
    return seen.only(kept)


def _far(*seen: Environments) -> float:
    return 4 * max(np.abs(one.vectors).max(initial=1.0) for one in seen)


def _placed(seen: Environments, group: Index, far: float) -> Array:
    """Positions (m, 3) of atoms, those of different groups (m,) far from each other."""
    return np.asarray(seen.vectors + group[:, None] * np.array([far, 0, 0]))


def _to_nearest(positions: Array, others: Array, most: float) -> Array:
    """Distances (m,) to the nearest of the others, infinite from `most` on, in Å."""
    if not len(others):
        return np.full(len(positions), np.inf)
    return np.asarray(cKDTree(others).query(positions, distance_upper_bound=most)[0])
