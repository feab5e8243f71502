"""Conformal bands: their coverage whatever the distribution, and what width the spread is worth."""

import math
from collections.abc import Callable

import numpy as np
import pytest
from scipy import stats

from pinnkit import checkpoint
from pinnkit.calibration import (
    FEWEST_TO_CHOOSE,
    FLOORS,
    LEVELS,
    Calibration,
    calibrate,
    coverage,
    quantile,
    reliability,
    students_half_width,
)
from pinnkit.errors import BadInput

Array = np.ndarray
Draw = Callable[[np.random.Generator, int], tuple[Array, Array]]


def telling(rng: np.random.Generator, n: int) -> tuple[Array, Array]:
    """Errors whose size is that of the spread, over three decades."""
    spreads = 10 ** rng.uniform(-3, 0, n)
    return spreads * rng.normal(size=n), spreads


def silent(rng: np.random.Generator, n: int) -> tuple[Array, Array]:
    """Errors of one size, and spreads that know nothing of it."""
    return rng.normal(size=n), 10 ** rng.uniform(-3, 0, n)


def heavy(rng: np.random.Generator, n: int) -> tuple[Array, Array]:
    """Errors without a variance, beside spreads some of which are zero."""
    return rng.standard_cauchy(n), np.where(rng.random(n) < 0.2, 0.0, rng.random(n))


# --- the quantile -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("n", "level", "rank"), [(19, 0.95, 19), (20, 0.95, 20), (99, 0.9, 90), (100, 0.9, 91), (1, 0.5, 1), (4, 0.1, 1)]
)
def test_the_quantile_is_the_score_of_its_rank(n: int, level: float, rank: int) -> None:
    scores = np.random.default_rng(0).permutation(np.arange(1.0, n + 1))
    assert quantile(scores, level) == rank


@pytest.mark.parametrize(("n", "level"), [(18, 0.95), (8, 0.9), (0, 0.5), (98, 0.99)])
def test_with_too_few_scores_bands_are_infinite(n: int, level: float) -> None:
    assert quantile(np.arange(float(n)), level) == math.inf
    assert quantile(np.arange(float(n + 1)), level) < math.inf
    for floor in (0.0, 1.0, math.inf):
        half = Calibration(np.arange(float(n)), floor).half_width(np.array([0.0, 1.0]), level)
        assert half.tolist() == [math.inf, math.inf]


@pytest.mark.parametrize("level", [0.0, 1.0, -0.1, 1.5, math.nan])
def test_a_level_outside_0_and_1_is_refused(level: float) -> None:
    for band in (
        lambda: quantile(np.arange(9.0), level),
        lambda: Calibration(np.arange(9.0), 1.0).half_width(np.ones(3), level),
        lambda: students_half_width(np.ones(3), 5, level),
    ):
        with pytest.raises(BadInput, match=r"level: it is .*; it must be between 0 and 1"):
            band()


# --- coverage ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("draw", [telling, silent, heavy])
@pytest.mark.parametrize(("n", "level"), [(19, 0.9), (30, 0.5), (50, 0.95)])
def test_a_further_truth_is_covered_as_often_as_asked(draw: Draw, n: int, level: float) -> None:
    """At least `level`, at most level + 1/(n + 1); over many repetitions, to four standard deviations of their mean."""
    rng, repetitions, hits = np.random.default_rng(0), 4000, 0
    for _ in range(repetitions):
        errors, spreads = draw(rng, n + 1)
        scores = np.abs(errors) / (spreads + 0.3)  # a floor that no truth has chosen
        half = Calibration(np.sort(scores[:n]), 0.3).half_width(spreads[n:], level)
        hits += abs(errors[n]) <= half[0]
    slack = 4 * math.sqrt(level * (1 - level) / repetitions)
    assert level - slack < hits / repetitions < level + 1 / (n + 1) + slack


@pytest.mark.parametrize("draw", [telling, silent, heavy])
@pytest.mark.parametrize("level", [0.5, 0.9, 0.99])
def test_the_floor_that_was_chosen_costs_little_coverage(draw: Draw, level: float) -> None:
    """On average at most √(log(2 floors)/(2n)) is lost (Yang & Kuchibhotla 2021); what was chosen covers its own."""
    rng, n, found = np.random.default_rng(1), 500, []
    for _ in range(60):
        calibration = calibrate(*draw(rng, n), level)
        errors, spreads = draw(rng, 2000)
        found.append(coverage(errors, calibration.half_width(spreads, level)))
    assert level - math.sqrt(math.log(2 * len(FLOORS)) / (2 * n)) < np.mean(found) < level + 0.02


@pytest.mark.parametrize("n", [30, 400])
def test_its_own_truths_are_covered_as_often_as_the_rank_says(n: int) -> None:
    errors, spreads = telling(np.random.default_rng(2), n)
    for level in (0.2, 0.8, 0.95):
        half = calibrate(errors, spreads, level).half_width(spreads, level)
        assert (np.abs(errors) <= half * (1 + 1e-12)).sum() == math.ceil((n + 1) * level)


# --- the floor --------------------------------------------------------------------------------------------------------


def widths(draw: Draw, level: float = 0.9) -> tuple[float, float]:
    """Mean width on fresh points of the bands, and of those of one width everywhere."""
    rng = np.random.default_rng(3)
    errors, spreads = draw(rng, 4000)
    fresh = draw(rng, 4000)[1]
    plain = Calibration(np.sort(np.abs(errors)), math.inf)
    return tuple(float(c.half_width(fresh, level).mean()) for c in (calibrate(errors, spreads, level), plain))


def test_where_the_spread_tells_bands_are_narrower_than_of_one_width() -> None:
    own, plain = widths(telling)
    assert own < 0.75 * plain


def test_where_the_spread_says_nothing_they_are_no_wider() -> None:
    errors, spreads = silent(np.random.default_rng(3), 4000)
    own = calibrate(errors, spreads, 0.9).half_width(spreads, 0.9).mean()
    assert own <= quantile(np.abs(errors), 0.9) * (1 + 1e-12)
    fresh, plain = widths(silent)
    assert fresh < 1.01 * plain


def test_of_few_truths_the_floor_is_the_mean_spread() -> None:
    for n, chosen in ((FEWEST_TO_CHOOSE - 1, False), (FEWEST_TO_CHOOSE, True)):
        errors, spreads = telling(np.random.default_rng(4), n)
        assert (calibrate(errors, spreads, 0.9).floor == spreads.mean()) is not chosen


def test_the_floor_is_the_one_of_the_narrowest_bands() -> None:
    errors, spreads = telling(np.random.default_rng(5), 300)
    found = calibrate(errors, spreads, 0.9)
    every = {}
    for floor in np.array(FLOORS) * spreads.mean():
        width = np.ones_like(spreads) if math.isinf(floor) else spreads + floor
        every[float(floor)] = np.mean(np.sort(np.abs(errors) / width)[math.ceil(301 * 0.9) - 1] * width)
    assert found.floor == min(every, key=every.__getitem__)
    assert found.half_width(spreads, 0.9).mean() == pytest.approx(min(every.values()), rel=1e-12)


@pytest.mark.parametrize("size", [1e-9, 1e9])
def test_units_do_not_matter(size: float) -> None:
    errors, spreads = telling(np.random.default_rng(6), 300)
    one, scaled = calibrate(errors, spreads, 0.9), calibrate(size * errors, size * spreads, 0.9)
    np.testing.assert_allclose(scaled.half_width(size * spreads, 0.9), size * one.half_width(spreads, 0.9), rtol=1e-12)


# --- what is degenerate -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("n", [50, 200])
def test_without_any_spread_bands_are_of_one_width(n: int) -> None:
    errors = np.random.default_rng(7).normal(size=n)
    found = calibrate(errors, np.zeros(n), 0.9)
    assert found.floor == math.inf
    assert found.half_width(np.zeros(3), 0.9).tolist() == [quantile(np.abs(errors), 0.9)] * 3


@pytest.mark.parametrize("share", [0.02, 0.3])
def test_spreads_that_are_zero_here_and_there_give_finite_bands(share: float) -> None:
    """Without a floor these scores are infinite, and where they are many so are the bands: another floor is chosen."""
    rng = np.random.default_rng(8)
    errors, spreads = telling(rng, 400)
    spreads[rng.random(400) < share] = 0.0
    half = calibrate(errors, spreads, 0.9).half_width(spreads, 0.9)
    assert np.isfinite(half).all() and coverage(errors, half * (1 + 1e-12)) == math.ceil(401 * 0.9) / 400


def test_errors_of_zero_give_bands_of_zero() -> None:
    spreads = np.append(np.random.default_rng(9).random(200), 0.0)
    found = calibrate(np.zeros(201), spreads, 0.9)
    assert not found.half_width(spreads, 0.9).any() and coverage(np.zeros(201), found.half_width(spreads, 0.9)) == 1
    every = calibrate(np.zeros(9), np.zeros(9), 0.8)
    assert not every.half_width(np.zeros(4), 0.8).any()


def test_truths_that_tie_are_covered_together() -> None:
    errors = np.repeat([1.0, -2.0, 3.0], 40)
    found = calibrate(errors, np.zeros(120), 0.5)
    half = found.half_width(np.zeros(120), 0.5)
    assert set(half.tolist()) == {2.0} and coverage(errors, half) == pytest.approx(2 / 3)


# --- bands that are not calibrated ------------------------------------------------------------------------------------


@pytest.mark.parametrize("members", [2, 3, 8, 30])
@pytest.mark.parametrize("level", [0.5, 0.95])
def test_students_bands_are_right_for_normal_members(members: int, level: float) -> None:
    """One more member lies within, as often as asked, to four standard deviations."""
    draws = np.random.default_rng(10).normal(3.0, 7.0, (members + 1, 40000))
    kept, further = draws[:-1], draws[-1]
    found = coverage(further - kept.mean(0), students_half_width(kept.std(0, ddof=1), members, level))
    assert abs(found - level) < 4 * math.sqrt(level * (1 - level) / 40000)


def test_students_factor_is_that_of_the_distribution() -> None:
    expected = stats.t.ppf(0.975, 7) * math.sqrt(9 / 8)
    assert students_half_width(np.array([2.0]), 8, 0.95)[0] == pytest.approx(2 * expected, rel=1e-10)


# --- reliability, and files -------------------------------------------------------------------------------------------


def test_the_curve_of_reliability_is_the_diagonal_for_calibrated_bands_alone() -> None:
    """Spreads are a tenth of what they should be: raw bands cover too little at every level."""
    rng = np.random.default_rng(11)
    (errors, spreads), (fresh, others) = telling(rng, 3000), telling(rng, 20000)
    curve = reliability(calibrate(errors, spreads / 10, 0.95), fresh, others / 10, 8)
    assert np.array_equal(curve.levels, LEVELS)
    np.testing.assert_allclose(curve.calibrated, LEVELS, rtol=0, atol=4 * 0.5 / math.sqrt(3000))
    expected = 2 * stats.norm.cdf(stats.t.ppf((1 + LEVELS) / 2, 7) * math.sqrt(9 / 8) / 10) - 1
    np.testing.assert_allclose(curve.raw, expected, rtol=0, atol=4 * 0.5 / math.sqrt(20000))
    assert (curve.raw < curve.calibrated).all()


@pytest.mark.parametrize("spread", [0.0, 1.0])
def test_what_is_kept_in_a_file_gives_the_same_bands(spread: float, tmp_path) -> None:
    errors, spreads = telling(np.random.default_rng(12), 150)
    found = calibrate(errors, spread * spreads, 0.9)
    checkpoint.write(tmp_path / "a.pt", {"solution": found.to_plain()})
    again = Calibration.from_plain(checkpoint.read(tmp_path / "a.pt")["solution"])
    assert again.floor == found.floor and np.array_equal(again.scores, found.scores)
    assert np.array_equal(again.half_width(spreads, 0.7), found.half_width(spreads, 0.7))
