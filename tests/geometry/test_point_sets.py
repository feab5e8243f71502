"""Point sets in the unit cube: exact numbers, evenness, repeatability, and shares of boundary pieces."""

import numpy as np
import pytest
from scipy.stats import qmc

from pinnkit.errors import BadInput
from pinnkit.geometry.sampling import METHODS, apportion, unit, unit_blocks

RANDOM = sorted(set(METHODS) - {"grid"})


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("d", [0, 1, 2, 3])
@pytest.mark.parametrize("n", [1, 2, 7, 64, 1000])
def test_exactly_n_points_in_the_open_cube(method: str, d: int, n: int, rng: np.random.Generator) -> None:
    points = unit(n, d, method, rng)
    assert points.shape == (n, d)
    assert ((points > 0) & (points < 1)).all()
    assert len(np.unique(points, axis=0)) == (n if d else 1)


@pytest.mark.parametrize("method", RANDOM)
def test_the_state_of_the_generator_decides_the_points(method: str, rng: np.random.Generator) -> None:
    state = rng.bit_generator.state
    first, second = unit(50, 2, method, rng), unit(50, 2, method, rng)
    rng.bit_generator.state = state
    np.testing.assert_array_equal(unit(50, 2, method, rng), first)
    assert not np.isin(first, second).any()


@pytest.mark.parametrize("method", ["latin_hypercube", "sobol", "halton"])
def test_even_methods_have_a_fraction_of_the_discrepancy_of_random_points(
    method: str, rng: np.random.Generator
) -> None:
    random = np.mean([qmc.discrepancy(unit(400, 2, "uniform", rng)) for _ in range(5)])
    assert qmc.discrepancy(unit(400, 2, method, rng)) < 0.4 * random


def test_a_latin_hypercube_has_one_point_in_each_row_and_column(rng: np.random.Generator) -> None:
    strata = np.floor(unit(37, 3, "latin_hypercube", rng) * 37)
    np.testing.assert_array_equal(np.sort(strata, axis=0), np.tile(np.arange(37)[:, None], 3))


def test_a_grid_is_a_lattice_of_cell_centres() -> None:
    np.testing.assert_allclose(unit(9, 2, "grid")[:4] * 6, [[1, 1], [1, 3], [1, 5], [3, 1]], rtol=1e-15)


@pytest.mark.parametrize("method", ["grid", "latin_hypercube"])
def test_stratified_blocks_are_stratified_one_by_one(method: str, rng: np.random.Generator) -> None:
    points = unit_blocks([5, 0, 8], 1, method, rng)[:, 0]
    np.testing.assert_array_equal(np.sort(np.floor(points[:5] * 5)), np.arange(5))
    np.testing.assert_array_equal(np.sort(np.floor(points[5:] * 8)), np.arange(8))


def test_shares_follow_the_measures_within_one_point() -> None:
    measures = np.array([5.0, 1.0, 3.0, 1.0])
    assert apportion(1000, measures.tolist()) == [500, 100, 300, 100]
    counts = np.array(apportion(137, measures.tolist()))
    assert np.abs(counts - 13.7 * measures).max() <= 1


@pytest.mark.parametrize("n", [3, 4, 10, 1000])
def test_every_piece_has_a_share_however_small(n: int) -> None:
    counts = apportion(n, [1e-12, 1.0, 1e-6])
    assert sum(counts) == n
    assert min(counts) >= 1


def test_fewer_points_than_pieces_are_spread_along_the_boundary() -> None:
    counts = np.array(apportion(200, [1.0] * 512))
    assert counts.sum() == 200
    assert set(counts) == {0, 1}
    assert np.diff(np.flatnonzero(counts)).max() <= 3


def test_an_unknown_method_lists_the_known_ones() -> None:
    with pytest.raises(BadInput, match=r"sampling.method: unknown method 'sobel'; choose from uniform, grid"):
        unit(3, 2, "sobel")


@pytest.mark.parametrize("n", [0, -1, 10**12, 1.5, "many"])
def test_impossible_numbers_of_points_are_refused(n: int) -> None:
    with pytest.raises(BadInput, match=r"^sampling\.n: "):
        unit(n, 2)
