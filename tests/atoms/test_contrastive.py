"""Contrastive learning: the loss and its bound, features and what they do not change under, nearest neighbours."""

import math
from itertools import permutations

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal
from scipy.spatial.transform import Rotation
from scipy.special import eval_legendre

from pinnkit.atoms.defects.contrastive import (
    Encoder,
    Training,
    contrastive_loss,
    learn,
    least_loss,
    nearest,
    nearest_other,
)
from pinnkit.atoms.defects.environments import Environments
from pinnkit.atoms.defects.features import (
    ANGLES,
    CORE,
    DEGREE,
    FURTHEST,
    NEAREST,
    SHELLS,
    Coordinates,
    Invariants,
    Scale,
    harmonics,
)
from pinnkit.atoms.descriptors import Radial, SymmetryFunctions
from pinnkit.atoms.pairs import displacements, neighbours
from pinnkit.atoms.structure import Structure, b2

INVARIANTS = Invariants(2.5, 6.0)
KNOWN = ("Ni", "Al")


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(5)


def shaken(rng: np.random.Generator) -> Structure:
    whole = b2(2.887, "Ni", "Al").replicate(4, 4, 4)
    return whole.moved(whole.positions + 0.15 * rng.normal(size=whole.positions.shape))


def unit(values: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(values / np.linalg.norm(values, axis=1, keepdims=True))


# --- loss -------------------------------------------------------------------------------------------------------------


def slow_loss(z: np.ndarray, labels: np.ndarray, temperature: float) -> float:
    """The formula, view by view."""
    total = 0.0
    for i in range(len(z)):
        others = [j for j in range(len(z)) if j != i]
        partners = [j for j in others if labels[j] == labels[i]]
        rest = math.log(sum(math.exp(z[i] @ z[j] / temperature) for j in others))
        total -= sum(z[i] @ z[j] / temperature - rest for j in partners) / len(partners)
    return total / len(z)


@pytest.mark.parametrize("labels", [[0, 1, 2, 3, 0, 1, 2, 3], [0, 0, 1, 1, 0, 0, 1, 1], [2, 2, 2, 7, 7, 7, 7, 7]])
def test_the_loss_is_its_formula(labels: list[int], rng: np.random.Generator) -> None:
    z = unit(rng.normal(size=(8, 3)))
    found = float(contrastive_loss(z, torch.tensor(labels), 0.3))
    assert found == pytest.approx(slow_loss(z.numpy(), np.array(labels), 0.3), rel=1e-12)


def test_two_pairs_that_are_opposite() -> None:
    """Of each view one other is the same and two are opposite: log(1 + 2 exp(−2/τ))."""
    z = torch.tensor([[1.0, 0.0], [-1.0, 0.0], [1.0, 0.0], [-1.0, 0.0]], dtype=torch.float64)
    loss = float(contrastive_loss(z, torch.tensor([0, 1, 0, 1]), 0.5))
    assert loss == pytest.approx(math.log(1 + 2 * math.exp(-4)), rel=1e-12)


def test_no_representation_does_better_than_the_bound_in_the_mean(rng: np.random.Generator) -> None:
    """Views of one defect are paired in all ways, as they are at random."""
    defects = torch.tensor([0, 0, 0, 0, 1, 1, 1, 1])
    ways = [[0, 1], [0, 2], [0, 3]]
    bound = least_loss(defects)
    assert bound == pytest.approx(math.log(3))
    for spread in (0.01, 0.3, 3.0):
        centres = np.repeat([[1.0, 0.0, 0.0], [-1.0, 0.0, 0.0]], 4, 0)
        z = unit(centres + spread * rng.normal(size=(8, 3)))
        losses = []
        for one in ways:
            first = torch.tensor([0 if k in one else 1 for k in range(4)])
            losses.append(float(contrastive_loss(z, torch.cat([first, first + 2]), 0.2)))
        assert np.mean(losses) >= bound
        supervised = float(contrastive_loss(z, defects, 0.2))
        assert supervised >= bound and (spread > 0.1 or supervised < bound + 0.01)


# --- features ---------------------------------------------------------------------------------------------------------


def turned(seen: Environments, rng: np.random.Generator) -> Environments:
    """In another orientation, mirrored, and in another order."""
    turn = -Rotation.from_quat(rng.normal(size=4)).as_matrix()
    order = np.lexsort((rng.random(len(seen.owner)), seen.owner))
    return Environments((seen.vectors @ turn.T)[order], seen.kinds[order], seen.owner[order], seen.count)


def test_invariants_are_invariant_and_coordinates_are_not(rng: np.random.Generator) -> None:
    seen = Environments.around(shaken(rng), np.arange(20), 6.0, KNOWN)
    one, other = INVARIANTS(seen), INVARIANTS(turned(seen, rng))
    assert_allclose(other, one, rtol=1e-10, atol=1e-12)
    naive = Coordinates(30)
    assert float((naive(turned(seen, rng)) - naive(seen)).norm() / naive(seen).norm()) > 0.5


def test_what_is_seen_from_shifted_crystals_is_the_same(rng: np.random.Generator) -> None:
    structure = shaken(rng)
    shifted = structure.moved(structure.positions + np.array([3.0, -41.0, 0.7]))
    one, other = (INVARIANTS(Environments.around(s, [5, 17], 6.0, KNOWN)) for s in (structure, shifted))
    assert_allclose(other, one, rtol=1e-10, atol=1e-12)


def test_distances_are_those_of_the_atom_at_the_site(rng: np.random.Generator) -> None:
    """The columns of the same G² of atoms of a structure, by its neighbour list, where the atom itself is left out."""
    structure = shaken(rng)
    shifts = np.linspace(0, 0.9 * 6.0, 12)
    functions = SymmetryFunctions(KNOWN, 6.0, tuple(Radial(0.5 / shifts[1] ** 2, float(s)) for s in shifts))
    pairs = neighbours(structure, 6.0)
    assert structure.cell is not None
    vectors = displacements(torch.from_numpy(structure.positions), pairs, torch.from_numpy(structure.cell))
    truth = functions(vectors, pairs, torch.tensor([KNOWN.index(name) for name in structure.species]))
    seen = Environments.around(structure, np.arange(len(structure)), 6.0, KNOWN)
    others = seen.only(np.square(seen.vectors).sum(1) > 1e-12)
    assert_allclose(INVARIANTS(others)[:, : truth.shape[1]], truth, rtol=1e-10, atol=1e-13)


def test_harmonics_add_up_to_legendre_polynomials(rng: np.random.Generator) -> None:
    u = unit(rng.normal(size=(7, 3)))
    for degree, part in enumerate(harmonics(u, 8)):
        assert part.shape == (7, 2 * degree + 1)
        assert_allclose(part @ part.T, eval_legendre(degree, np.clip((u @ u.T).numpy(), -1, 1)), atol=1e-12)


def test_the_power_spectrum_is_its_double_sum(rng: np.random.Generator) -> None:
    """Atom by atom, of one environment with a few atoms, one of them at the centre."""
    vectors = np.vstack([rng.normal(size=(6, 3)) * 2, [[0.01, 0.0, 0.0]]])
    kinds, reach = np.array([0, 1, 1, 0, 1, 0, 1]), ANGLES * 2.5
    r = np.linalg.norm(vectors, axis=1)
    middles = np.linspace(NEAREST * 2.5, FURTHEST * reach, SHELLS)
    shells = np.exp(-0.5 * ((r[:, None] - middles) / np.diff(middles)[0]) ** 2)
    shells *= (0.5 * (1 + np.cos(np.pi * r / reach)) * (r < reach) * (r > CORE * 2.5))[:, None]
    cosines = (vectors @ vectors.T) / np.outer(r, r)
    truth = [
        sum(
            shells[i] * shells[j] * eval_legendre(degree, np.clip(cosines[i, j], -1, 1))
            for i in np.flatnonzero(kinds == a) for j in np.flatnonzero(kinds == b)
        )
        for degree in range(DEGREE + 1) for a, b in ((0, 0), (0, 1), (1, 1))
    ]  # fmt: skip
    found = INVARIANTS(Environments(vectors, kinds, np.zeros(7, dtype=np.int64), 1))[0, 24:]
    assert np.abs(truth).max() > 0.1
    assert_allclose(found, np.concatenate(truth), atol=1e-12)


def test_many_environments_are_described_as_single_ones(rng: np.random.Generator) -> None:
    seen = Environments.around(shaken(rng), np.tile(np.arange(100), 3), 6.0, KNOWN)
    together = INVARIANTS(seen)
    assert len(together) == 300
    for k in (0, 255, 256, 299):
        assert_allclose(INVARIANTS(seen.part(k, k + 1))[0], together[k], rtol=1e-12)


def test_coordinates_come_from_the_nearest_and_are_padded() -> None:
    vectors = np.array([[2.0, 0, 0], [0, 1.0, 0], [0, 0, 3.0], [0.5, 0, 0]])
    seen = Environments(vectors, np.array([0, 1, 1, 0]), np.array([0, 0, 0, 1]), 2)
    expected = [[0, 1, 0, 1, 2, 0, 0, -1], [0.5, 0, 0, -1, 0, 0, 0, 0]]
    assert_array_equal(Coordinates(2)(seen), expected)


def test_a_place_with_nothing_around_has_a_description() -> None:
    empty = Environments(np.zeros((0, 3)), np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64), 2)
    assert not INVARIANTS(empty).any() and not Coordinates(3)(empty).any()


def test_features_that_do_not_vary_count_for_nothing(rng: np.random.Generator) -> None:
    table = torch.from_numpy(np.column_stack([rng.normal(3.0, 2.0, 500), np.full(500, 7.0)]))
    scaled = Scale.of(table)(table)
    assert_allclose(scaled.mean(0), 0, atol=1e-12)
    assert_allclose(scaled.std(0), [1, 0], atol=1e-12)


# --- learning ---------------------------------------------------------------------------------------------------------


class Given(Coordinates):
    """Features that are handed over."""


def noisy_pairs(rng: np.random.Generator, count: int) -> tuple[tuple[torch.Tensor, torch.Tensor], np.ndarray]:
    """Four classes that two of twelve features tell apart; ten others are larger and say nothing."""
    centres = 5 * np.array([[1, 1], [1, -1], [-1, 1], [-1, -1]])
    labels = rng.integers(4, size=count)
    views = [
        torch.from_numpy(np.column_stack([centres[labels] + rng.normal(size=(count, 2)), rng.normal(size=(count, 10))]))
        for _ in range(2)
    ]
    return (views[0], views[1]), labels


HOW = Training(batch=64, temperature=0.2, steps=300, width=16, dimension=4)


@pytest.mark.parametrize("supervised", [False, True])
def test_what_pairs_have_in_common_is_learned_without_labels(supervised: bool, rng: np.random.Generator) -> None:
    pairs, labels = noisy_pairs(rng, 4000)
    learned = learn(Given(1), pairs, labels, HOW, 0, supervised)
    (fresh, _), truth = noisy_pairs(rng, 400)
    z = learned.of(fresh)
    assert_allclose(np.linalg.norm(z, axis=1), 1, rtol=1e-12)
    own = np.mean(truth[nearest_other(z)] == truth)
    raw = np.mean(truth[nearest_other(learned.scale(fresh).numpy())] == truth)
    assert own >= 0.99 and raw < 0.95
    last = learned.history[-1]
    assert last["step"] == HOW.steps and last["loss"] < last["least_loss"] + 0.3


def test_learning_is_repeated_to_the_bit_and_leaves_other_random_numbers_alone(rng: np.random.Generator) -> None:
    pairs, labels = noisy_pairs(rng, 64)
    before = torch.get_rng_state()
    short = Training(batch=8, temperature=0.2, steps=5, width=8, dimension=3)
    one, other, third = (learn(Given(1), pairs, labels, short, seed) for seed in (1, 1, 2))
    assert_array_equal(torch.get_rng_state(), before)
    assert_array_equal(one.of(pairs[0]), other.of(pairs[0]))
    assert np.abs(one.of(pairs[0]) - third.of(pairs[0])).max() > 0.01


def test_the_gradient_of_the_loss_is_that_of_differences(rng: np.random.Generator) -> None:
    encoder = Encoder(5, 6, 3, torch.Generator().manual_seed(0))
    x, labels = torch.from_numpy(rng.normal(size=(8, 5))), torch.arange(4).tile(2)

    def loss() -> torch.Tensor:
        return contrastive_loss(encoder(x), labels, 0.3)

    loss().backward()
    weight = encoder.weights[0]
    slope, step = float(weight.grad[2, 3]), 1e-6
    values = []
    with torch.no_grad():
        for change in (step, -2 * step):
            weight[2, 3] += change
            values.append(float(loss()))
    assert slope == pytest.approx((values[0] - values[1]) / (2 * step), rel=1e-6)


# --- nearest neighbours -----------------------------------------------------------------------------------------------


def test_nearest_neighbours_are_those_of_all_distances(rng: np.random.Generator) -> None:
    points, others = rng.normal(size=(600, 3)), rng.normal(size=(50, 3))
    distances = np.linalg.norm(points[:, None] - points, axis=2)
    np.fill_diagonal(distances, np.inf)
    assert_array_equal(nearest_other(points), distances.argmin(1))
    assert_array_equal(nearest(points, others), np.linalg.norm(points[:, None] - others, axis=2).argmin(1))
    for order in permutations(range(3)):
        assert_array_equal(nearest_other(points[:, order]), nearest_other(points))
