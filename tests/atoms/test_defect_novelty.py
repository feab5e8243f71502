"""What is none of the known defects: views put out of order, and p-values that hold whatever the network is worth."""

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal

from pinnkit.atoms.defects import others
from pinnkit.atoms.defects.crystals import Crystals, Disturbance, defects, views
from pinnkit.atoms.defects.environments import Environments
from pinnkit.atoms.defects.novelty import Novelty, learn_novelty
from pinnkit.atoms.defects.others import APART, WAYS, Usual, Way

CRYSTALS = Crystals(distance=2.5, cutoff=5.0, repeats=5)
USUAL = Usual(2.5, 0.02, 0.02)
STILL = Disturbance(0.0)


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(4)


def seen(count: int, rng: np.random.Generator, disturbed: Disturbance = STILL, lattice: str = "fcc") -> Environments:
    return views(CRYSTALS, defects([lattice])[:1], np.zeros(count, dtype=np.int64), (0, 1), disturbed, rng)


def distances(one: Environments, k: int) -> np.ndarray:
    """All distances between the atoms of an environment, from the smallest."""
    v = one.vectors[one.owner == k]
    return np.sort(np.linalg.norm(v[:, None] - v, axis=2)[np.triu_indices(len(v), 1)])


# --- views put out of order -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("way", WAYS)
def test_environments_stay_apart_and_in_order(way: Way, rng: np.random.Generator) -> None:
    before = seen(60, rng, Disturbance(0.02))
    after = way(before, USUAL, rng)
    assert len(after) == 60 and (np.diff(after.owner) >= 0).all()
    assert len(after.vectors) == len(after.kinds) == len(after.owner)
    changed = [
        len(before.vectors[before.owner == k]) != len(after.vectors[after.owner == k])
        or not np.array_equal(before.vectors[before.owner == k], after.vectors[after.owner == k])
        or not np.array_equal(before.kinds[before.owner == k], after.kinds[after.owner == k])
        for k in range(60)
    ]
    assert np.mean(changed) > 0.5  # planes may lie beyond what is seen


@pytest.mark.parametrize("way", [others.slipped, others.glided, others.twinned, others.grafted])
def test_no_two_atoms_come_too_close(way: Way, rng: np.random.Generator) -> None:
    after = way(seen(40, rng), USUAL, rng)
    assert min(distances(after, k)[0] for k in range(40)) > APART * USUAL.distance * (1 - 1e-9)


def test_a_crystal_that_slips_keeps_what_lies_on_either_side(rng: np.random.Generator) -> None:
    before = seen(1, rng)
    normal, height, along = np.array([[0.0, 0.0, 1.0]]), np.array([1.0]), np.array([[1.0, 0.0, 0.0]])
    after = others._shifted(before, normal, height, along, USUAL, rng)
    low, high = before.vectors[:, 2] <= 1.0, after.vectors[:, 2] > 1.0
    assert_array_equal(after.vectors[~high], before.vectors[low])
    (steps,) = {tuple(np.round(v, 9)) for v in after.vectors[high][:1] - before.vectors[~low][:1]}
    assert 0.2 * 2.5 <= steps[0] <= 2.5 and steps[1:] == (0, 0)


def test_planes_hold_neighbours(rng: np.random.Generator) -> None:
    """Of fcc four or six of the twelve, but for the one pair in eleven that lies along a line and has no plane."""
    before = seen(300, rng)
    normals = others._planes(before, USUAL, rng)
    assert_allclose(np.linalg.norm(normals, axis=1), 1)
    r = np.linalg.norm(before.vectors, axis=1)
    near = before.only((r > 0.1) & (r < 2.6))
    on = np.bincount(near.owner[np.abs(others._above(near, normals)) < 1e-9], minlength=300)
    assert set(on.tolist()) <= {0, 2, 4, 6} and 0.85 < np.mean(on >= 2) < 0.96


def test_a_twin_of_fcc_has_the_neighbours_of_hcp(monkeypatch: pytest.MonkeyPatch) -> None:
    """Mirrored about (111): twelve neighbours, of which three pairs lie opposite to each other instead of six."""
    a, cells = 2.5 * np.sqrt(2), np.stack(np.meshgrid(*[range(-3, 4)] * 3, indexing="ij"), -1).reshape(-1, 3)
    base = np.array([(0, 0, 0), (0, 0.5, 0.5), (0.5, 0, 0.5), (0.5, 0.5, 0)])
    points = ((cells[:, None] + base).reshape(-1, 3)) * a
    points = points[np.linalg.norm(points, axis=1) < 6]
    zeros, normal = np.zeros(len(points), dtype=np.int64), np.ones((1, 3)) / np.sqrt(3)
    monkeypatch.setattr(others, "_planes", lambda *_: normal)
    monkeypatch.setattr(others, "_heights", lambda *_: np.zeros(1))
    one = Environments(points, zeros, zeros, 1)
    twin = others.twinned(one, USUAL, np.random.default_rng(0))
    for found, opposite in ((one, 6), (twin, 3)):
        near = found.vectors[np.abs(np.linalg.norm(found.vectors, axis=1) - 2.5) < 1e-6]
        assert len(near) == 12 and np.sum(near @ near.T < -(2.5**2) + 1e-6) == 2 * opposite
    image = twin.vectors - 2 * (twin.vectors @ normal[0])[:, None] * normal
    assert np.linalg.norm(image[:, None] - twin.vectors, axis=2).min(1).max() < 1e-9


def test_edited_views_lose_or_exchange_one_to_three_atoms(rng: np.random.Generator) -> None:
    before = seen(400, rng)
    after = others.edited(before, USUAL, rng)
    missing = np.bincount(before.owner, minlength=400) - np.bincount(after.owner, minlength=400)
    other = np.bincount(after.owner[after.kinds == 1], minlength=400)
    assert set((missing + other).tolist()) == {1, 2, 3} and not (missing * other).any()
    assert 120 < np.count_nonzero(missing) < 280
    assert (np.linalg.norm(after.vectors[after.kinds == 1], axis=1) > 0.25 * 2.5).all()  # never the atom at the site


def test_what_did_not_change_is_left_out(rng: np.random.Generator) -> None:
    before = seen(30, rng)
    assert len(others._different(before, before, USUAL)) == 0
    order = rng.permutation(len(before.owner))
    order = order[np.argsort(before.owner[order], kind="stable")]
    shuffled = Environments(before.vectors[order], before.kinds[order], before.owner[order], 30)
    assert len(others._different(before, shuffled, USUAL)) == 0
    kinds = before.kinds.copy()
    kinds[np.flatnonzero((before.owner == 7) & (np.linalg.norm(before.vectors, axis=1) < 2.6))[1]] = 1
    moved = Environments(before.vectors, kinds, before.owner, 30)
    found = others._different(before, moved, USUAL)
    assert len(found) == 1 and found.kinds.sum() == 1


def test_others_are_many_and_repeated_to_the_bit(rng: np.random.Generator) -> None:
    before = seen(400, rng, Disturbance(0.02), "b2")
    one, again = (others.others(before, USUAL, np.random.default_rng(1)) for _ in range(2))
    assert 200 < len(one) <= 400 and one.owner.max() < len(one)
    assert_array_equal(one.vectors, again.vectors)


# --- p-values ---------------------------------------------------------------------------------------------------------


def clouds(rng: np.random.Generator, count: int, shift: float = 0.0) -> torch.Tensor:
    return torch.from_numpy(rng.normal(size=(count, 4)) + shift)


@pytest.fixture
def trained(rng: np.random.Generator) -> Novelty:
    return learn_novelty(clouds(rng, 2000), clouds(rng, 2000, 3.0), clouds(rng, 999), 300, seed=0)


def test_p_values_of_known_views_are_uniform_and_of_others_small(trained: Novelty, rng: np.random.Generator) -> None:
    """In the mean over 4000 views within four standard deviations, of these and of the 999 held-out ones."""
    p = trained.typical(clouds(rng, 4000))
    for level in (0.01, 0.1, 0.5):
        deviation = np.sqrt(level * (1 - level) * (1 / 4000 + 1 / 1000))
        assert abs(np.mean(p <= level) - level) < 4 * deviation
    assert p.min() >= 1e-3 and trained.unknown(clouds(rng, 2000, 3.0), 0.01) > 0.98


def test_p_values_hold_for_a_network_that_learned_nothing(rng: np.random.Generator) -> None:
    untrained = learn_novelty(clouds(rng, 100), clouds(rng, 100), clouds(rng, 999), 1, seed=0)
    share = untrained.unknown(clouds(rng, 4000), 0.1)
    assert abs(share - 0.1) < 4 * np.sqrt(0.09 * (1 / 4000 + 1 / 1000))


def test_a_feature_that_only_others_have_counts(rng: np.random.Generator) -> None:
    """Atoms of a kind that no known view holds."""
    known, held_out = (torch.cat([clouds(rng, n), torch.zeros(n, 1)], 1) for n in (1000, 999))
    strange = torch.cat([clouds(rng, 1000), torch.ones(1000, 1)], 1)
    assert learn_novelty(known, strange, held_out, 300, seed=0).unknown(strange, 0.01) > 0.99


def test_novelty_comes_back_from_plain_values(trained: Novelty, rng: np.random.Generator) -> None:
    x = clouds(rng, 50, 1.0)
    assert_array_equal(Novelty.from_plain(trained.to_plain()).typical(x), trained.typical(x))
    assert np.unique(trained.typical(x)).size > 10
