"""Defects of lattices: what stands where, sites that are equivalent, disturbances as large as they are said to be."""

import math
from typing import Any

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal
from scipy.spatial import cKDTree

from pinnkit.atoms.defects.crystals import EDGES, Crystals, Defect, Disturbance, catalogue, defects, share, views
from pinnkit.atoms.defects.environments import Environments
from pinnkit.atoms.defects.features import Invariants
from pinnkit.atoms.pairs import displacements, neighbours
from pinnkit.atoms.structure import Structure, fcc
from pinnkit.errors import BadInput

ALL = defects(["fcc", "bcc", "b2"])
NAMES = [kind.name for kind in ALL]
CRYSTALS = Crystals(distance=2.5, cutoff=4.5, repeats=4)
STILL, EVERYWHERE = Disturbance(0.0), (0.0, 1.0)


def named(name: str) -> Defect:
    return ALL[NAMES.index(name)]


def of_defect(kind: Defect, site: int = 0, stand: int = 0) -> Environments:
    structure, centre = CRYSTALS.with_defect(kind, site, stand)
    return Environments.around(structure, centre, CRYSTALS.cutoff, CRYSTALS.species)


def seen(
    kind: Defect, count: int, disturbed: Disturbance, seed: int = 0, crystals: Crystals = CRYSTALS
) -> Environments:
    labels = np.zeros(count, dtype=np.int64)
    return views(crystals, [kind], labels, EVERYWHERE, disturbed, np.random.default_rng(seed))


def described(environments: Environments) -> np.ndarray:
    return Invariants(CRYSTALS.distance, CRYSTALS.cutoff)(environments).numpy()


MORE = {"perfect": 0, "antisite": 0, "vacancy": -1, "interstitial": 1, "dumbbell": 1}


@pytest.mark.parametrize("kind", ALL, ids=NAMES)
def test_a_defect_adds_and_removes_the_atoms_of_its_name(kind: Defect) -> None:
    whole = CRYSTALS.supercell(kind.lattice)
    for stand in range(len(kind.stands)):
        structure, centre = CRYSTALS.with_defect(kind, site=3, stand=stand)
        (more,) = {count for word, count in MORE.items() if word in kind.name}
        assert len(structure) == len(whole) + more
        assert structure.species.count("Al") - whole.species.count("Al") == {
            "b2 vacancy B": -1, "b2 antisite A": 1, "b2 antisite B": -1, "b2 interstitial B": 1,
        }.get(kind.name, 0)  # fmt: skip
        assert neighbours(structure, 1.0).first.size == 0, "atoms less than 1 Å apart"
        there = np.linalg.norm(structure.positions - centre, axis=1) < 1e-9
        assert there.sum() == (0 if "vacancy" in kind.name or "dumbbell" in kind.name else 1)


@pytest.mark.parametrize(
    ("name", "distance", "count"),
    [
        ("fcc vacancy", 1.0, 12), ("bcc vacancy", 1.0, 8), ("b2 vacancy A", 1.0, 8),
        ("fcc octahedral interstitial", EDGES["fcc"] / 2, 6),
        ("fcc tetrahedral interstitial", EDGES["fcc"] * math.sqrt(3) / 4, 4),
        ("bcc tetrahedral interstitial", EDGES["bcc"] * math.sqrt(5) / 4, 4),
        ("b2 interstitial A", EDGES["b2"] / 2, 2),
        ("fcc dumbbell", EDGES["fcc"] * 0.31, 2), ("bcc dumbbell", EDGES["bcc"] * 0.325, 2),
    ],
)  # fmt: skip
def test_nearest_neighbours_are_those_of_the_lattice(name: str, distance: float, count: int) -> None:
    r = np.sort(np.linalg.norm(of_defect(named(name)).vectors, axis=1)) / CRYSTALS.distance
    r = r[r > 1e-9]
    assert_allclose(r[:count], distance, rtol=1e-12)
    assert r[count] > distance + 0.01


def test_dumbbells_lie_along_all_directions_of_their_family() -> None:
    for name, family in (("fcc dumbbell", 3), ("bcc dumbbell", 6)):
        axes = {tuple(np.round(np.abs(np.array(stand[0][0])) > 0, 0)) for stand in named(name).stands}
        assert len(named(name).stands) == family and len(axes) == 3
        for (first, _), (second, _) in named(name).stands:
            assert_array_equal(np.array(first), -np.array(second))


@pytest.mark.parametrize("kind", ALL, ids=NAMES)
def test_sites_of_a_kind_are_equivalent(kind: Defect) -> None:
    """All sites of a cell, all orientations, and any turn of it: one description."""
    first = described(of_defect(kind))
    for site in range(len(kind.sites)):
        for stand in range(len(kind.stands)):
            assert_allclose(described(of_defect(kind, site, stand)), first, rtol=1e-9, atol=1e-12)
    assert_allclose(described(seen(kind, 20, STILL)), np.repeat(first, 20, 0), rtol=1e-9, atol=1e-12)


def test_no_two_defects_are_the_same() -> None:
    table = np.concatenate([described(of_defect(kind)) for kind in ALL])
    distances, _ = cKDTree(table).query(table, k=2)
    assert distances[:, 1].min() > 0.1


def test_a_supercell_that_is_large_enough_hides_its_size() -> None:
    """Also where atoms come nearer than they were: the crystal is compressed."""
    compressed, larger = Disturbance(0.0, stretch=-0.08), Crystals(CRYSTALS.species, 2.5, 4.5, 6)
    CRYSTALS.check(["fcc", "bcc", "b2"], compressed)
    for kind in ALL:
        one, other = (seen(kind, 3, compressed, crystals=crystals) for crystals in (CRYSTALS, larger))
        assert len(one.owner) == len(other.owner)
        assert_allclose(described(one), described(other), rtol=1e-9, atol=1e-12)


def test_disturbances_are_as_large_as_they_are_said_to_be() -> None:
    n, d = 4000, CRYSTALS.distance
    still = np.linalg.norm(of_defect(named("fcc vacancy")).vectors, axis=1)
    nearest = seen(named("fcc vacancy"), n, Disturbance(0.0, size=0.03, stretch=0.05))
    r = np.linalg.norm(nearest.vectors, axis=1)
    sizes = np.array([r[nearest.owner == k].min() for k in range(300)]) / still.min()
    assert sizes.mean() == pytest.approx(1.05, abs=4 * 0.03 / math.sqrt(300))
    assert sizes.std() == pytest.approx(0.03, rel=0.2)
    moved = seen(named("fcc perfect"), n, Disturbance(0.05))
    r = np.linalg.norm(moved.vectors, axis=1)
    occupant = r[r < 0.5 * d]  # moved, as is its site
    assert len(occupant) == n
    assert np.mean(occupant**2) == pytest.approx(3 * 2 * (0.05 * d) ** 2, rel=0.06)


def test_axes_are_turned_at_random_and_atoms_come_in_any_order() -> None:
    environments = seen(named("fcc octahedral interstitial"), 2000, STILL)
    r = np.linalg.norm(environments.vectors, axis=1)
    near = (r > 1e-9) & (r < 0.6 * EDGES["fcc"] * CRYSTALS.distance)
    directions = environments.vectors[near] / r[near, None]
    assert_allclose(np.cov(directions.T), np.eye(3) / 3, atol=0.03)
    first = np.concatenate([[0], np.flatnonzero(np.diff(environments.owner)) + 1])
    share_near = np.mean(near[first])
    assert share_near == pytest.approx(near.mean(), abs=0.04)


def test_shares_of_the_sites_have_none_in_common() -> None:
    sites = CRYSTALS.sites(named("fcc tetrahedral interstitial"))
    one, other = share(sites, (0, 0.5)), share(sites, (0.5, 1))
    both = np.concatenate([one, other])
    assert len(both) == len(sites) == 8 * 4**3 and len(np.unique(both.round(6), axis=0)) == len(sites)
    assert_array_equal(one, share(sites, (0, 0.5)))


def test_environments_are_those_of_the_neighbour_list() -> None:
    """In a skew cell smaller than the cutoff, with sites in other cells."""
    rng = np.random.default_rng(3)
    cell = np.array([[3.0, 0.2, 0.0], [1.1, 2.8, 0.3], [0.2, -0.9, 3.3]])
    structure = Structure(rng.random((3, 3)) @ cell, ("Ni", "Al", "Ni"), cell, (True, True, False))
    pairs = neighbours(structure, 5.0)
    vectors = displacements(torch.from_numpy(structure.positions), pairs, torch.from_numpy(cell)).numpy()
    for atom in range(3):
        own = vectors[pairs.first == atom]
        moved = structure.positions[atom] + 7 * cell[0] - 4 * cell[1]
        for site in ([atom], moved):
            found = Environments.around(structure, site, 5.0, ("Ni", "Al"))
            away = np.linalg.norm(found.vectors, axis=1) > 1e-9
            assert (~away).sum() == 1 and away.sum() == len(own)
            gaps, _ = cKDTree(own).query(found.vectors[away])
            assert gaps.max() < 1e-9
            assert found.kinds[away].sum() == sum(
                structure.species[k] == "Al" for k in pairs.second[pairs.first == atom]
            )


def test_parts_and_joints_of_environments() -> None:
    environments = seen(named("bcc vacancy"), 7, Disturbance(0.05))
    parts = [environments.part(k, k + 3) for k in range(0, 7, 3)]
    assert [len(part) for part in parts] == [3, 3, 1]
    again = Environments.joined(parts)
    assert_array_equal(again.vectors, environments.vectors)
    assert_array_equal(again.owner, environments.owner)
    assert len(again) == 7


def around(symbol: str, sites: Any) -> Environments:
    return Environments.around(fcc(3.6, symbol), sites, 4.0, ("Ni", "Al"))


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (lambda: defects(["hcp"]), "problem.lattices: unknown lattice 'hcp'; choose from fcc, bcc, b2"),
        (lambda: defects(["fcc", "fcc"]), "problem.lattices: they are fcc, fcc; name each of them once"),
        (lambda: Crystals(repeats=3).check(["bcc"], STILL), "images of their own defect; take at least 5"),
        (lambda: around("Cu", [0]), "species: Cu is unknown here; known are Ni, Al"),
        (lambda: around("Ni", [4]), "sites: they are neither numbers of the 4 atoms nor positions; "),
        (lambda: around("Ni", [-1]), "sites: they are neither"),
        (lambda: around("Ni", [0.0, math.nan, 1.0]), "sites: they are neither"),
        (lambda: around("Ni", [[0.5, 1.0]]), "sites: they are neither"),
        (lambda: around("Ni", ["a"]), "sites: they are neither"),
        (lambda: around("Ni", []), "sites: they are neither"),
    ],
)  # fmt: skip
def test_what_cannot_be_seen_is_refused_in_one_line(wrong, words: str) -> None:
    with pytest.raises(BadInput) as refused:
        wrong()
    assert words in str(refused.value) and "\n" not in str(refused.value)


def test_every_lattice_has_its_undisturbed_sites() -> None:
    assert {name: [kind.kind for kind in kinds if "perfect" in kind.kind] for name, kinds in catalogue().items()} == {
        "fcc": ["perfect"], "bcc": ["perfect"], "b2": ["perfect A", "perfect B"],
    }  # fmt: skip
