"""Levels of fidelity: published examples, formulas of the joint distribution, and one contract for both models."""

from typing import Any

import numpy as np
import pytest
from scipy import stats

from pinnkit.errors import BadInput
from pinnkit.fidelity import Autoregression, Hyperparameters, Levels, NonlinearAutoregression, regress

FINE = np.linspace(0.0, 1.0, 1001)
LOW, HIGH = np.linspace(0.0, 1.0, 11), np.array([0.0, 0.4, 0.6, 1.0])
MODELS = [Autoregression, NonlinearAutoregression]


def dear(x: np.ndarray) -> np.ndarray:
    """Forrester, Sóbester & Keane (2007), *Multi-fidelity optimization via surrogate modelling*."""
    return (6 * x - 2) ** 2 * np.sin(12 * x - 4)


def cheap(x: np.ndarray) -> np.ndarray:
    return dear(x) / 2 + 10 * (x - 0.5) - 5


def cheapest(x: np.ndarray) -> np.ndarray:
    return 0.6 * cheap(x) + 3 * x**2 - 2


FORRESTER = [(LOW, cheap(LOW)), (HIGH, dear(HIGH))]


def rmse(model: Any, truth: Any, at: np.ndarray = FINE) -> float:
    return float(np.sqrt(np.mean((model.predict(at)[0] - truth(at)) ** 2)))


# --- published examples -----------------------------------------------------------------------------------------------


def test_forrester() -> None:
    model = Autoregression.fit(FORRESTER)
    alone = regress(HIGH, dear(HIGH))
    assert rmse(model, dear) <= 0.056
    assert rmse(alone, dear) > 50 * rmse(model, dear) and rmse(regress(LOW, cheap(LOW)), dear) > 50 * rmse(model, dear)
    (rho,) = model.rho
    assert rho.mean == pytest.approx([2.0], rel=0.01)
    assert abs(rho.mean[0] - 2.0) < 3 * rho.deviation[0] < 0.03
    mean, deviation = model.delta(FINE)
    assert (np.abs(mean - (20 - 20 * FINE)) < 3 * deviation + 1e-6).all()
    assert np.abs(mean - (20 - 20 * FINE)).max() < 0.05


@pytest.mark.parametrize("model", MODELS)
def test_three_levels_are_better_than_two_of_equal_cost(model: Any) -> None:
    """11 values of the middle level cost as much as 6 of them and 20 of the lowest, at a quarter of the price."""
    middle, lowest = np.linspace(0, 1, 6), np.linspace(0, 1, 20)
    three = model.fit([(lowest, cheapest(lowest)), (middle, cheap(middle)), (HIGH, dear(HIGH))], starts=3)
    two = model.fit(FORRESTER, starts=3)
    assert rmse(three, dear) < 0.1 * rmse(two, dear)
    for x, f in ((lowest, cheapest), (middle, cheap), (HIGH, dear)):
        assert rmse(three, dear) < 0.01 * rmse(regress(x, f(x)), dear)
    assert len(three) == 3
    assert three.predict(FINE, 1)[0] == pytest.approx(cheap(FINE), abs=0.01)
    assert np.array_equal(three.predict(FINE, 2), three.predict(FINE))


def wave(x: np.ndarray) -> np.ndarray:
    return np.sin(8 * np.pi * x)


def squared(x: np.ndarray) -> np.ndarray:
    return (x - 2**0.5) * wave(x) ** 2


@pytest.mark.parametrize("seed", range(3))
def test_a_nonlinear_relation_needs_the_nonlinear_model(seed: int) -> None:
    """The pedagogical example of Perdikaris et al. (2017): 50 values of the one, 14 of the other."""
    x = np.linspace(0, 1, 50)
    at = np.random.default_rng(seed).choice(x, 14, replace=False)
    data = [(x, wave(x)), (at, squared(at))]
    nonlinear, linear = (model.fit(data, starts=5) for model in (NonlinearAutoregression, Autoregression))
    assert rmse(nonlinear, squared) < 0.2 * rmse(linear, squared)


# --- the linear model -------------------------------------------------------------------------------------------------


def test_a_ratio_that_varies() -> None:
    x, at = np.linspace(0, 1, 21), np.linspace(0, 1, 9)[[0, 1, 3, 4, 6, 8]]
    x = np.union1d(x, at)

    def high(x: np.ndarray) -> np.ndarray:
        return (1 + 2 * x) * wave(x / 3) + 3 * x - 1

    data = [(x, wave(x / 3)), (at, high(at))]
    model = Autoregression.fit(data, rho=lambda x: np.column_stack([np.ones(len(x)), x[:, 0]]), starts=5)
    (rho,) = model.rho
    assert (np.abs(rho.mean - [1.0, 2.0]) < 3 * rho.deviation).all() and rho.deviation.max() < 0.1
    assert rmse(model, high) < 0.1 * rmse(Autoregression.fit(data, starts=5), high)
    mean, deviation = model.delta(FINE)
    assert (np.abs(mean - (3 * FINE - 1)) < 3 * deviation + 1e-6).all()


def test_functions_beside_the_constant_are_found_exactly() -> None:
    """δ = 20 − 20x is in the span of 1 and x, and nothing is left for its process."""
    model = Autoregression.fit(FORRESTER, basis=lambda x: x)
    assert model.levels[1].process.coefficients == pytest.approx([2.0, -20.0, 20.0], rel=1e-5)
    assert rmse(model, dear) == pytest.approx(2 * rmse(regress(LOW, cheap(LOW), basis=lambda x: x), cheap), rel=1e-4)


def test_the_variance_of_nested_designs_is_that_of_the_recursion() -> None:
    """σ_t² = (ρ² + var ρ) σ_{t−1}² + what level t's own process leaves (Le Gratiet & Garnier 2014, 3.2)."""
    x, at = np.linspace(0, 1, 9), np.linspace(0, 1, 101)
    y = 2 * cheap(x[::2]) + wave(x[::2] / 2)
    model = Autoregression.fit([(x, cheap(x)), (x[::2], y)], starts=3)
    below, own, rho = model.levels[0], model.levels[1].process, model.rho[0]
    alone = regress(x[::2], y, basis=lambda x: below.predict(x)[0][:, None], hyperparameters=own.hyperparameters)
    mean, deviation = alone.predict(at)
    there, spread = model.predict(at)
    jitter = own.jitter * own.hyperparameters.variances[0]
    np.testing.assert_allclose(there, mean, atol=10 * jitter**0.5)
    expected = deviation**2 + (rho.mean**2 + rho.deviation**2) * below.predict(at[:, None])[1] ** 2
    np.testing.assert_allclose(spread**2, expected, rtol=1e-6, atol=10 * jitter)
    assert expected.max() > 1e4 * jitter


def test_designs_that_are_not_nested_give_the_joint_posterior() -> None:
    """f₁ = ρ f₀ + δ, with what level 0 leaves open as covariance of level 1, is the joint Gaussian of both levels."""
    rng = np.random.default_rng(2)
    x0, x1, at, rho = rng.random(6), rng.random(5), np.linspace(0, 1, 30), 1.7
    y0, y1 = np.sin(6 * x0), rng.normal(size=5)

    def k(a: np.ndarray, b: np.ndarray, variance: float, length: float) -> np.ndarray:
        return variance * np.exp(-0.5 * ((a[:, None] - b) / length) ** 2)

    low = regress(x0, y0, noise=0.05, constant=False, hyperparameters=Hyperparameters((1.0,), ((0.3,),)))

    class Carried:
        def matrix(self, a: np.ndarray, b: np.ndarray) -> np.ndarray:
            return rho**2 * low.covariance(a, b)

        def diagonal(self, a: np.ndarray) -> np.ndarray:
            return rho**2 * low.predict(a)[1] ** 2

    known = Hyperparameters((0.4,), ((0.5,),))
    left = y1 - rho * low.predict(x1)[0]
    high = regress(x1, left, noise=0.1, constant=False, hyperparameters=known, extra=Carried())
    mean, deviation = high.predict(at)
    joint = np.block([
        [k(x0, x0, 1.0, 0.3) + 0.05**2 * np.eye(6), rho * k(x0, x1, 1.0, 0.3)],
        [rho * k(x1, x0, 1.0, 0.3), rho**2 * k(x1, x1, 1.0, 0.3) + k(x1, x1, 0.4, 0.5) + 0.1**2 * np.eye(5)],
    ])  # fmt: skip
    cross = np.vstack([rho * k(x0, at, 1.0, 0.3), rho**2 * k(x1, at, 1.0, 0.3) + k(x1, at, 0.4, 0.5)])
    gain = np.linalg.solve(joint, cross)
    np.testing.assert_allclose(rho * low.predict(at)[0] + mean, gain.T @ np.append(y0, y1), atol=1e-10)
    np.testing.assert_allclose(deviation**2, rho**2 + 0.4 - (gain * cross).sum(0), atol=1e-10)


def test_what_is_carried_is_the_second_moment_of_the_ratio() -> None:
    """The covariance that a level was fitted with is the one of the ρ that came out."""
    x0, x1 = np.linspace(0, 1, 9), np.linspace(0.05, 0.95, 6)
    model = Autoregression.fit([(x0, cheap(x0)), (x1, dear(x1))], starts=3)
    rho, extra = model.rho[0], model.levels[1].process.extra
    at = np.linspace(0, 1, 7)[:, None]
    moment = rho.mean[0] ** 2 + rho.deviation[0] ** 2
    np.testing.assert_allclose(extra.matrix(at, at), moment * model.levels[0].covariance(at, at), rtol=1e-6)
    assert rmse(model, dear) < rmse(regress(x1, dear(x1)), dear)
    assert np.abs(model.predict(x1)[0] - dear(x1)).max() < 1e-3 and model.predict(x1)[1].max() < 1e-3 * 22


def test_noise_of_both_levels() -> None:
    """Bands cover; noise is found where it is not known."""
    rng = np.random.default_rng(1)
    x0, x1 = rng.random(60), rng.random(25)
    data = [(x0, cheap(x0) + 0.3 * rng.normal(size=60)), (x1, dear(x1) + 0.6 * rng.normal(size=25))]
    for noise in ([0.3, 0.6], [None, None]):
        model = Autoregression.fit(data, noise=noise, starts=3)
        mean, deviation = model.predict(FINE)
        assert np.mean(np.abs(mean - dear(FINE)) < 1.96 * deviation) > 0.8
        assert model.rho[0].mean[0] == pytest.approx(2.0, abs=4 * model.rho[0].deviation[0])
        if noise[0] is None:
            assert model.levels[0].process.noise[0] == pytest.approx(0.3, rel=0.4)
            assert model.levels[1].process.noise[0] == pytest.approx(0.6, rel=0.6)


def test_leaving_out_on_the_highest_level_is_calibrated() -> None:
    """With the noise in it: standardised by its deviation no error is out of all proportion."""
    rng = np.random.default_rng(0)
    x0, x1 = rng.random(40), rng.random(20)
    data = [(x0, cheap(x0) + 0.2 * rng.normal(size=40)), (x1, dear(x1) + 0.4 * rng.normal(size=20))]
    mean, deviation = Autoregression.fit(data, noise=[0.2, 0.4], starts=3).levels[-1].process.leave_one_out()
    assert stats.kstest((data[1][1] - mean) / deviation, "norm").pvalue > 1e-3


# --- the nonlinear model ----------------------------------------------------------------------------------------------


def test_quadrature_is_what_sampling_tends_to() -> None:
    x0, x1 = np.linspace(0, 1, 9), np.linspace(0, 1, 5)
    rng = np.random.default_rng(0)
    data = [(x0, wave(x0 / 3) + 0.2 * rng.normal(size=9)), (x1, squared(x1 / 3))]
    model = NonlinearAutoregression.fit(data, noise=[0.2, 0.05], starts=3)
    at, n = np.linspace(0.03, 0.97, 9), 4000
    below, above = model.levels
    mean, deviation = below.predict(at[:, None])
    carried = mean + deviation * rng.normal(size=(n, 9))
    found = [above.process.predict(np.column_stack([np.full(n, x), f])) for x, f in zip(at, carried.T, strict=True)]
    draws = np.array([m + s * rng.normal(size=n) for m, s in found])
    assert np.std([m for m, _ in found], axis=1).max() > 0.5 * draws.std(1).max()  # what f₀ leaves open counts
    average, spread = model.predict(at)
    assert (np.abs(draws.mean(1) - average) < 5 * spread / n**0.5).all()
    np.testing.assert_allclose(draws.std(1), spread, rtol=0.1)


# --- the contract -----------------------------------------------------------------------------------------------------


def plane(n: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).random((n, 2))


def low(x: np.ndarray) -> np.ndarray:
    return np.sin(3 * x[:, 0]) * np.cos(2 * x[:, 1])


def high(x: np.ndarray) -> np.ndarray:
    return 1.5 * low(x) + 0.3 * x[:, 0] + 0.2


@pytest.fixture(scope="module", params=MODELS, ids=lambda model: model.__name__)
def model(request: Any) -> Any:
    return request.param


def fitted(model: Any, data: Any, **options: Any) -> Levels:
    return model.fit(data, **{"starts": 2, **options})


def test_it_goes_through_exact_values_with_no_variance(model: Any) -> None:
    x = plane(30, 0)
    found = fitted(model, [(x, low(x)), (x[:8], high(x[:8]))])
    for level, (at, f) in enumerate(((x, low), (x[:8], high))):
        mean, deviation = found.predict(at, level)
        assert np.abs(mean - f(at)).max() < 1e-5 and deviation.max() < 1e-4
    mean, deviation = found.predict(plane(200, 1))
    assert mean.shape == deviation.shape == (200,) and deviation.max() > 1e-3
    assert rmse(found, high, plane(200, 1)) < 0.3 * rmse(regress(x[:8], high(x[:8])), high, plane(200, 1))


UNITS = [(1e12, 0.0, 1e12, 0.0), (1e-12, 0.0, 1e-12, 0.0), (7.0, 1e5, -3.0, 1e5)]


def in_other_units(model: Any, nested: bool, units: tuple[float, ...], noise: float) -> tuple[np.ndarray, ...]:
    """Mean and deviation, and both from the same data in other units."""
    a, b, c, d = units
    x0 = plane(25, 0)
    x1, at = x0[:8] if nested else plane(8, 2), plane(60, 1)
    data = [(x0, low(x0)), (x1, high(x1))]
    mean, deviation = model.fit(data, noise=[noise, noise]).predict(at)
    moved = model.fit([(a * x + b, c * y + d) for x, y in data], noise=[abs(c) * noise] * 2)
    there, spread = moved.predict(a * at + b)
    return mean, deviation, (there - d) / c, spread / abs(c)


@pytest.mark.parametrize("nested", [True, False])
@pytest.mark.parametrize("units", UNITS)
def test_units_make_no_difference(model: Any, nested: bool, units: tuple[float, ...]) -> None:
    mean, deviation, there, spread = in_other_units(model, nested, units, 1e-2)
    np.testing.assert_allclose(there, mean, atol=1e-6 * np.ptp(mean))
    np.testing.assert_allclose(spread, deviation, atol=1e-4 * deviation.max())


@pytest.mark.parametrize("nested", [True, False])
@pytest.mark.parametrize("units", UNITS)
def test_units_of_exact_values_make_no_difference_that_counts(
    model: Any, nested: bool, units: tuple[float, ...]
) -> None:
    """Round-off of 1e-16 in exact values is as much as 1e-4 in a likelihood whose K is nearly singular."""
    mean, deviation, there, spread = in_other_units(model, nested, units, 0.0)
    assert (np.abs(there - mean) < 0.01 * deviation.max()).all()
    np.testing.assert_allclose(spread, deviation, atol=0.01 * deviation.max())


def test_it_is_that_of_the_seed(model: Any) -> None:
    one, again = (fitted(model, FORRESTER, seed=3).predict(FINE) for _ in range(2))
    assert np.array_equal(one, again)


@pytest.mark.parametrize(
    "data",
    [
        [(np.append(LOW, LOW[3]), np.append(cheap(LOW), cheap(LOW[3]))), FORRESTER[1]],
        [FORRESTER[0], (np.append(HIGH, 0.4), np.append(dear(HIGH), dear(0.4)))],
        [FORRESTER[1], (LOW, cheap(LOW))],
        [(LOW, cheap(LOW)), (HIGH * 0.97 + 0.011, dear(HIGH))],
        [(LOW, cheap(LOW)), (HIGH + 0.7, dear(HIGH))],
        [(LOW, cheap(LOW)), (HIGH, 0 * HIGH + 3.0)],
        [(LOW, 1e12 * cheap(LOW)), (HIGH, dear(HIGH))],
        [(LOW, cheap(LOW)), (HIGH, 2 * cheap(HIGH) + 1)],
        [(LOW, cheap(LOW)), (HIGH, dear(HIGH)), (HIGH[:3], dear(HIGH[:3]))],
        [(np.column_stack([LOW, 0 * LOW]), cheap(LOW)), (np.column_stack([HIGH, 0 * HIGH]), dear(HIGH))],
    ],
)
def test_odd_data_have_an_answer(model: Any, data: Any) -> None:
    found = fitted(model, data)
    at = np.asarray(data[0][0])[:5] + 0.013
    for level in range(len(found)):
        assert np.isfinite(found.predict(at, level)).all()


def test_contradictions_have_their_noise_found(model: Any) -> None:
    data = [(np.append(LOW, 0.1), np.append(cheap(LOW), 0.0)), FORRESTER[1]]
    with pytest.raises(BadInput, match=r"data\[0\]: at \[0\.1\] there are different values without noise"):
        fitted(model, data)
    assert np.isfinite(fitted(model, data, noise=[None, 0.0]).predict(FINE)).all()


@pytest.mark.parametrize(
    ("data", "options", "words"),
    [
        ([], {}, "data: there are 0 levels"),
        ([FORRESTER[0]], {}, "data: there are 1 levels"),
        ([FORRESTER[0], ([], [])], {}, "data[1]"),
        ([([], []), FORRESTER[1]], {}, "data[0]"),
        ([FORRESTER[0], (HIGH[:1], dear(HIGH[:1]))], {}, "data[1]: different points are too few (1)"),
        ([(LOW[:1], cheap(LOW[:1])), FORRESTER[1]], {}, "data[0]: different points are too few (1)"),
        ([FORRESTER[0], (np.column_stack([HIGH, HIGH]), dear(HIGH))], {}, "have 1, 2 coordinates"),
        ([FORRESTER[0], (HIGH, [1.0, 2.0, np.nan, 0.0])], {}, "data[1]: a number is not finite"),
        ([FORRESTER[0], (HIGH, dear(HIGH)[:3])], {}, "data[1]: there are 4 points and 3 values"),
        ([FORRESTER[0], (HIGH,)], {}, "data[1]: there are 1 arrays"),
        (FORRESTER, {"noise": [0.1]}, "noise: it is given for 1 of 2 levels"),
        (FORRESTER, {"noise": [0.1, -0.1]}, "data[1].noise"),
        (FORRESTER, {"kernel": "rbf"}, "kernel: unknown kernel"),
    ],
)
def test_bad_data_are_refused_in_one_line(model: Any, data: Any, options: dict[str, Any], words: str) -> None:
    with pytest.raises(BadInput) as refused:
        fitted(model, data, **options)
    assert words in str(refused.value) and len(str(refused.value).splitlines()) == 1


def test_bad_questions_are_refused(model: Any) -> None:
    found = fitted(model, FORRESTER)
    for at, level in ((np.zeros((3, 2)), -1), ([np.nan], -1), (FINE, 2), (FINE, -3)):
        with pytest.raises(BadInput):
            found.predict(at, level)


def test_a_level_below_that_does_not_vary_has_no_ratio() -> None:
    data = [(LOW, 0 * LOW + 3.0), FORRESTER[1]]
    far = [FORRESTER[0], (HIGH + 50.0, dear(HIGH))]  # where it is predicted to be its mean
    for odd in (data, far):
        with pytest.raises(BadInput, match=r"data\[1\]: the level below does not vary at these points"):
            Autoregression.fit(odd)
    assert np.isfinite(fitted(NonlinearAutoregression, data).predict(FINE)).all()


def test_the_lowest_level_has_no_difference() -> None:
    with pytest.raises(BadInput, match="the lowest level has no δ"):
        Autoregression.fit(FORRESTER, starts=1).delta(FINE, 0)


@pytest.mark.parametrize("functions", [lambda x: x[:, 0], lambda x: x * np.nan])
def test_bad_functions_of_the_ratio_are_refused(functions: Any) -> None:
    with pytest.raises(BadInput, match="basis"):
        Autoregression.fit(FORRESTER, rho=functions, starts=1)
