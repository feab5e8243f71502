"""Gaussian-process regression: against scikit-learn, formulas of other origin, and for every kind of bad data."""

from typing import Any

import numpy as np
import pytest
from scipy import integrate, linalg, optimize, stats
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF, ConstantKernel, Matern, WhiteKernel

from pinnkit.errors import BadInput
from pinnkit.fidelity import Hyperparameters, Kernel, Term, regress
from pinnkit.fidelity.gaussian_process import SHAPES, GaussianProcess, _Likelihood, _squares

NOISE = 0.1
LENGTHS = (1.0, 300.0)
THEIRS = {
    "squared_exponential": RBF(LENGTHS, (1e-1, 1e5)),
    "matern_3_2": Matern(LENGTHS, (1e-1, 1e5), nu=1.5),
    "matern_5_2": Matern(LENGTHS, (1e-1, 1e5), nu=2.5),
}
KNOWN = Hyperparameters((2.0,), (LENGTHS,))


def plane(n: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Noisy values at points whose coordinates are of different size."""
    rng = np.random.default_rng(seed)
    x = rng.random((n, 2)) * [3.0, 1000.0]
    return x, np.sin(x[:, 0]) * np.cos(x[:, 1] / 300) + NOISE * rng.normal(size=n)


def line(n: int) -> tuple[np.ndarray, np.ndarray]:
    x = np.linspace(0.0, 1.0, n)
    return x, np.sin(5 * x)


def tightly(objective: Any, start: np.ndarray, bounds: Any) -> tuple[np.ndarray, float]:
    """An optimiser for scikit-learn that goes on to the end."""
    options = {"ftol": 1e-15, "gtol": 1e-9, "maxiter": 1000}
    found = optimize.minimize(objective, start, jac=True, method="L-BFGS-B", bounds=bounds, options=options)
    return found.x, found.fun


# --- against scikit-learn ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", SHAPES)
def test_with_the_same_hyperparameters_it_is_scikit_learns(shape: str) -> None:
    (x, y), at = plane(25), plane(200, 1)[0]
    theirs = GaussianProcessRegressor(2.0 * THEIRS[shape], alpha=NOISE**2, optimizer=None).fit(x, y)
    ours = regress(x, y, noise=NOISE, kernel=shape, constant=False, hyperparameters=KNOWN)
    mean, deviation = ours.predict(at)
    known, spread = theirs.predict(at, return_std=True)
    np.testing.assert_allclose(mean, known, rtol=0, atol=1e-11)
    np.testing.assert_allclose(deviation, spread, rtol=0, atol=1e-11)
    np.testing.assert_allclose(ours.covariance(at, at), theirs.predict(at, return_cov=True)[1], rtol=0, atol=1e-11)
    assert ours.log_marginal_likelihood == pytest.approx(theirs.log_marginal_likelihood_value_, abs=1e-9)
    assert ours.hyperparameters.lengths[0] == pytest.approx(LENGTHS) and ours.jitter == 0


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("found", [False, True])
def test_the_most_likely_hyperparameters_are_as_likely_as_scikit_learns(shape: str, found: bool) -> None:
    (x, y), at = plane(25), plane(200, 1)[0]
    kernel = ConstantKernel(1.0, (1e-4, 1e4)) * THEIRS[shape]
    kernel = kernel + WhiteKernel(0.01, (1e-8, 1.0)) if found else kernel
    alpha = 0.0 if found else NOISE**2
    theirs = GaussianProcessRegressor(kernel, alpha=alpha, optimizer=tightly, n_restarts_optimizer=5, random_state=0)
    theirs.fit(x, y)
    ours = regress(x, y, noise=None if found else NOISE, kernel=shape, constant=False)
    assert ours.log_marginal_likelihood >= theirs.log_marginal_likelihood_value_ - 1e-9
    assert ours.log_marginal_likelihood == pytest.approx(theirs.log_marginal_likelihood_value_, abs=1e-8)
    np.testing.assert_allclose(ours.predict(at)[0], theirs.predict(at), rtol=0, atol=1e-6 * np.ptp(y))


# --- against other formulas -------------------------------------------------------------------------------------------


def quadratic(x: np.ndarray) -> np.ndarray:
    return np.column_stack([x[:, 0], x[:, 0] ** 2])


def test_the_mean_is_the_kriging_system() -> None:
    """Weights that are unbiased for all functions of the mean, with least variance: one saddle-point system."""
    (x, y), at = line(9), np.linspace(-0.5, 1.5, 40)
    ours = regress(x, y, noise=0.05, basis=quadratic, hyperparameters=Hyperparameters((0.7,), ((0.3,),)))

    def k(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        return 0.7 * np.exp(-0.5 * ((a[:, None] - b) / 0.3) ** 2)

    H, h = np.vander(x, 3), np.vander(at, 3)
    system = np.block([[k(x, x) + 0.05**2 * np.eye(9), H], [H.T, np.zeros((3, 3))]])
    right = np.vstack([k(x, at), h.T])
    solved = np.linalg.solve(system, right)
    mean, deviation = ours.predict(at)
    np.testing.assert_allclose(mean, solved[:9].T @ y, atol=1e-10)
    np.testing.assert_allclose(deviation**2, 0.7 - (solved * right).sum(0), atol=1e-9)
    np.testing.assert_allclose(ours.covariance(at, at), k(at, at) - right.T @ solved, atol=1e-9)
    precision = H.T @ np.linalg.solve(system[:9, :9], H)
    beta = np.linalg.solve(precision, H.T @ np.linalg.solve(system[:9, :9], y))
    order = [1, 0, 2]  # x, x², 1
    np.testing.assert_allclose(ours.coefficients, beta[order], rtol=1e-9)
    np.testing.assert_allclose(ours.coefficients_covariance, np.linalg.inv(precision)[np.ix_(order, order)], rtol=1e-8)


def test_the_likelihood_is_that_of_all_means_together() -> None:
    """∫ N(y; β₀ + β₁x, K) dβ by quadrature, for data whose units are those of nothing else."""
    x, y = np.array([0.0, 20.0, 50.0, 90.0]), 1e3 + 100 * np.array([0.1, 0.4, -0.2, 0.3])
    ours = regress(x, y, noise=9.0, basis=lambda x: x, hyperparameters=Hyperparameters((900.0,), ((40.0,),)))
    K = 900 * np.exp(-0.5 * ((x[:, None] - x) / 40) ** 2) + 81 * np.eye(4)
    density = stats.multivariate_normal(np.zeros(4), K)
    b, spread = ours.coefficients, 9 * np.sqrt(np.diag(ours.coefficients_covariance))
    value, _ = integrate.dblquad(
        lambda constant, slope: density.pdf(y - constant - slope * x),
        b[0] - spread[0], b[0] + spread[0], b[1] - spread[1], b[1] + spread[1], epsabs=0, epsrel=1e-9,
    )  # fmt: skip
    assert ours.log_marginal_likelihood == pytest.approx(np.log(value), abs=1e-6)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("find_noise", [False, True])
def test_the_gradient_of_the_likelihood(shape: str, find_noise: bool) -> None:
    rng = np.random.default_rng(3)
    x, y = rng.random((12, 2)), rng.normal(size=12)
    kernel = Kernel((Term((0, 1), shape), Term((1,), shape)))
    h = np.column_stack([x[:, 0], np.ones(12)])
    known = np.diag(rng.random(12)) * 0.1
    task = _Likelihood(kernel, _squares(x, x), y, h, known, find_noise, jitter=1e-2)
    p = rng.normal(size=kernel.size + find_noise) * 0.5
    _, gradient = task.cost(p)
    for j, slope in enumerate(gradient):
        step = 1e-4 * np.eye(len(p))[j]
        by_differences = (
            8 * (task.cost(p + step)[0] - task.cost(p - step)[0])
            - (task.cost(p + 2 * step)[0] - task.cost(p - 2 * step)[0])
        ) / 12e-4
        assert slope == pytest.approx(by_differences, rel=1e-7, abs=1e-8)


def without(fit: GaussianProcess, i: int, **options: Any) -> GaussianProcess:
    keep = np.arange(len(fit.y)) != i
    return regress(fit.x[keep], fit.y[keep], hyperparameters=fit.hyperparameters, noise=fit.noise[keep], **options)


@pytest.mark.parametrize("options", [{}, {"constant": False}, {"basis": quadratic, "kernel": "matern_5_2"}])
def test_leaving_one_out_is_fitting_without_it(options: dict[str, Any]) -> None:
    x, y = plane(12)
    fit = regress(x, y, noise=np.linspace(0.05, 0.2, 12), hyperparameters=KNOWN, **options)
    mean, deviation = fit.leave_one_out()
    for i in range(12):
        there, spread = without(fit, i, **options).predict(x[i : i + 1])
        assert mean[i] == pytest.approx(there[0], abs=1e-10)
        assert deviation[i] == pytest.approx(np.hypot(spread[0], fit.noise[i]), rel=1e-9)


def test_leaving_out_what_alone_determines_the_mean_is_refused() -> None:
    x, y = line(6)
    fit = regress(x, y, noise=0.1, basis=lambda x: (x == x.max()).astype(float))
    with pytest.raises(BadInput, match="without observation 6 of 6"):
        fit.leave_one_out()


def test_a_part_of_a_sum() -> None:
    """f = a + b of two kernels: each is the posterior of joint Gaussians, and their means add up."""
    x, y = line(7)

    class Wide:
        def matrix(self, a: np.ndarray, b: np.ndarray) -> np.ndarray:
            return 0.5 * np.exp(-(((a - b.T) / 2) ** 2))

        def diagonal(self, a: np.ndarray) -> np.ndarray:
            return np.full(len(a), 0.5)

    at = np.linspace(0, 1, 20)
    fit = regress(x, y, noise=0.1, constant=False, hyperparameters=Hyperparameters((0.3,), ((0.2,),)), extra=Wide())

    def narrow(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        return 0.3 * np.exp(-0.5 * ((a[:, None] - b) / 0.2) ** 2)

    wide = Wide().matrix(x[:, None], x[:, None])
    K = narrow(x, x) + wide + 0.01 * np.eye(7)
    gain = np.linalg.solve(K, narrow(x, at))
    mean, deviation = fit.part(at, 0)
    np.testing.assert_allclose(mean, gain.T @ y, atol=1e-12)
    np.testing.assert_allclose(deviation**2, 0.3 - (gain * narrow(x, at)).sum(0), atol=1e-12)
    rest = np.linalg.solve(K, Wide().matrix(x[:, None], at[:, None])).T @ y
    np.testing.assert_allclose(fit.predict(at)[0], mean + rest, atol=1e-12)


# --- what a posterior is ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", SHAPES)
def test_it_goes_through_exact_values(shape: str) -> None:
    x, y = line(8)
    fit = regress(x, y, kernel=shape)
    mean, deviation = fit.predict(x)
    assert np.abs(mean - y).max() < 1e-6 and deviation.max() < 1e-4
    assert fit.predict([0.5 / 7])[1] > 10 * deviation.max()


def test_draws_have_its_mean_and_covariance() -> None:
    (x, y), at, n = plane(10), plane(5, 1)[0], 20000
    fit = regress(x, y, noise=NOISE, hyperparameters=KNOWN)
    draws = fit.sample(at, n)
    assert draws.shape == (n, 5)
    mean, deviation = fit.predict(at)
    assert (np.abs(draws.mean(0) - mean) < 5 * deviation / n**0.5).all()
    # of a Wishart distribution
    size = np.sqrt((fit.covariance(at, at) ** 2 + np.outer(deviation, deviation) ** 2) / n)
    assert (np.abs(np.cov(draws.T) - fit.covariance(at, at)) < 5 * size).all()
    assert np.array_equal(draws, fit.sample(at, n)) and not np.array_equal(draws, fit.sample(at, n, seed=1))


def test_deviations_are_those_of_functions_drawn_from_the_prior() -> None:
    rng, off = np.random.default_rng(5), []
    known = Hyperparameters((1.0,), ((0.2,),))
    for _ in range(300):
        x = rng.random(9)
        K = np.exp(-0.5 * ((x[:, None] - x) / 0.2) ** 2)
        y = 40 + linalg.cholesky(K + 0.01 * np.eye(9), lower=True) @ rng.normal(size=9)
        fit = regress(x[1:], y[1:], noise=0.1, hyperparameters=known)
        mean, deviation = fit.predict(x[:1])
        off.append((y[0] - mean[0]) / np.hypot(deviation[0], 0.1))
    assert stats.kstest(off, "norm").pvalue > 1e-3


def test_noise_is_found() -> None:
    x, y = plane(150)
    fit = regress(x, y, noise=None, starts=2)
    assert fit.noise == pytest.approx(np.full(150, NOISE), rel=4 / (2 * 150) ** 0.5)


@pytest.mark.parametrize(("scale", "offset"), [(1e12, 0.0), (1e-12, 0.0), (-3.0, 1e5), (1e100, 0.0), (1e-100, 0.0)])
@pytest.mark.parametrize("noise", [NOISE, None])
def test_units_make_no_difference(scale: float, offset: float, noise: float | None) -> None:
    (x, y), at = plane(20), plane(50, 1)[0]
    fit = regress(x, y, noise=noise)
    mean, deviation = fit.predict(at)
    for scale_x, offset_x, scale_y, offset_y in ((scale, offset, 1.0, 0.0), (1.0, 0.0, scale, offset)):
        own = None if noise is None else noise * abs(scale_y)
        other = regress(scale_x * x + offset_x, scale_y * y + offset_y, noise=own)
        there, spread = other.predict(scale_x * at + offset_x)
        np.testing.assert_allclose((there - offset_y) / scale_y, mean, atol=1e-6 * np.ptp(y))
        np.testing.assert_allclose(spread / abs(scale_y), deviation, rtol=1e-5)
        variance = other.hyperparameters.variances[0] / scale_y / scale_y
        assert variance == pytest.approx(fit.hyperparameters.variances[0], rel=1e-4)


def test_a_large_offset_leaves_what_its_rounding_leaves() -> None:
    x, y = line(10)
    at = np.linspace(0, 1, 33)
    off = regress(x, y + 1e9, noise=1e-3).predict(at)[0] - 1e9
    rounding = np.spacing(1e9)
    np.testing.assert_allclose(off, regress(x, y, noise=1e-3).predict(at)[0], atol=10 * rounding)


def test_it_is_that_of_the_seed() -> None:
    x, y = plane(15)
    one, again = (regress(x, y, noise=None, seed=4) for _ in range(2))
    assert one.hyperparameters == again.hyperparameters
    assert np.array_equal(one.predict(x), again.predict(x))


def test_many_points_are_predicted_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    (x, y), at = plane(15), plane(101, 1)[0]
    fit = regress(x, y, noise=NOISE)
    whole = fit.predict(at)
    monkeypatch.setattr("pinnkit.fidelity.gaussian_process.MOST_ENTRIES", 100)
    np.testing.assert_allclose(fit.predict(at), whole, atol=1e-12)
    assert [len(part) for part in fit.predict(np.empty((0, 2)))] == [0, 0]


# --- odd data ---------------------------------------------------------------------------------------------------------

X, Y = line(8)
TWICE = np.append(X, X[0])


def finite(fit: GaussianProcess) -> bool:
    at = fit.x + 0.1 * np.ptp(fit.x)
    far = fit.predict(fit.x * 0 + 1e100)
    return bool(np.isfinite([*fit.predict(at), *far]).all() and np.isfinite(fit.sample(at, 2)).all())


@pytest.mark.parametrize(
    ("x", "y", "options"),
    [
        (TWICE, np.append(Y, 5.0), {"noise": None}),
        (TWICE, np.append(Y, 5.0), {"noise": 0.1}),
        (TWICE, np.append(Y, 5.0), {"noise": 1e-12}),
        (np.append(X, 1e-15), np.append(Y, 0.0), {}),
        (np.append(X, 1e-13), np.append(Y, 5.0), {}),
        ([[1.0, 2.0]] * 5, [1.0, 2.0, 1.0, 1.0, 1.0], {"noise": None}),
        ([0.5], [1.0], {"constant": False}),
        ([0.5], [1.0], {"hyperparameters": Hyperparameters((1.0,), ((1.0,),))}),
        ([0.0, 1.0], [0.0, 1.0], {}),
        (np.column_stack([X, 0 * X + 5]), Y, {}),
        (1e140 * X, 1e140 * Y, {}),
        (1e-150 * X, 1e-150 * Y, {}),
        (1e-310 * X, 1e-310 * Y, {}),
        (X + 1e12, Y + 1e12, {}),
        (X, Y, {"noise": 1e6}),
        (X, Y, {"hyperparameters": Hyperparameters((1e8,), ((1e8,),))}),
        (np.arange(8), np.arange(8) ** 2, {}),
        (np.append(np.arange(29) * 1e-9, 1.0), np.arange(30) ** 2, {}),
    ],
)
def test_odd_data_have_an_answer(x: Any, y: Any, options: dict[str, Any]) -> None:
    assert finite(regress(x, y, **options))


def test_equal_values_at_one_point_are_one() -> None:
    at = np.linspace(0, 1, 30)
    twice, once = regress(TWICE, np.append(Y, Y[0])), regress(X, Y)
    assert len(twice.y) == 8
    assert np.array_equal(twice.predict(at), once.predict(at))


def test_values_that_are_all_the_same_are_predicted_everywhere() -> None:
    for value in (3.0, 0.0, -1e12):
        mean, deviation = regress(X, 0 * X + value).predict([0.123, 7.0])
        assert mean.tolist() == [value] * 2 and (deviation <= 1e-6 * max(abs(value), 1.0)).all()


def test_nearly_equal_points_need_jitter_and_say_so() -> None:
    known = Hyperparameters((1.0,), ((0.5,),))
    assert regress(X, Y, kernel="matern_3_2", hyperparameters=known).jitter == 0
    close = regress(np.append(X, 1e-14), np.append(Y, 0.0), hyperparameters=known)
    assert close.jitter > 0 and finite(close)


@pytest.mark.parametrize(
    ("x", "y", "options", "words"),
    [
        (TWICE, np.append(Y, 5.0), {}, "at [0.0] there are different values without noise"),
        ([0.5], [1.0], {}, "too few (1)"),
        ([0.5], [1.0], {"noise": None}, "too few (1)"),
        ([[1.0, 2.0]] * 5, [1.0] * 5, {}, "too few (1)"),
        (X, Y, {"basis": lambda x: x ** np.arange(1, 9)}, "9 free coefficients"),
        (X, Y, {"basis": lambda x: 0 * x + 2}, "multiples of each other"),
        (X, Y, {"basis": lambda x: x[:, 0]}, "shape (8,)"),
        (X, Y, {"basis": lambda x: x * np.nan}, "not finite"),
        (X, [*Y[:-1], np.nan], {}, "not finite"),
        ([*X[:-1], np.inf], Y, {}, "not finite"),
        (1e300 * X, Y, {}, "another unit"),
        (X, Y[:-1], {}, "8 points and 7 values"),
        (X, Y[:, None], {}, "(8, 1)"),
        (np.zeros((2, 2, 2)), [1.0, 2.0], {}, "(2, 2, 2)"),
        ([], [], {}, "(0,)"),
        (np.empty((8, 0)), Y, {}, "(8, 0)"),
        (X, ["a"] * 8, {}, "something else than numbers"),
        (X, Y + 1j, {}, "complex"),
        ([[1], [1, 2]], [1, 2], {}, "something else than numbers"),
        (X, Y, {"noise": -1.0}, "below 0"),
        (X, Y, {"noise": [1.0, 2.0]}, "(2,)"),
        (X, Y, {"noise": np.nan}, "not finite"),
        (X, Y, {"kernel": "rbf"}, "choose from squared_exponential, matern_3_2, matern_5_2"),
        (X, Y, {"kernel": Kernel((Term((0, 1)),))}, "1 coordinates"),
        (X, Y, {"seed": -1}, "seed"),
        (X, Y, {"starts": 1.5}, "starts"),
        (X, Y, {"hyperparameters": Hyperparameters((1.0,), ())}, "1 variances and [] lengths"),
        (X, Y, {"hyperparameters": Hyperparameters((-1.0,), ((1.0,),))}, "not finite and > 0"),
    ],
)
def test_bad_data_are_refused_in_one_line(x: Any, y: Any, options: dict[str, Any], words: str) -> None:
    with pytest.raises(BadInput) as refused:
        regress(x, y, **options)
    assert words in str(refused.value) and len(str(refused.value).splitlines()) == 1


@pytest.mark.parametrize("at", [np.zeros((3, 2)), np.zeros((1, 1, 1)), [np.nan], ["a"]])
def test_bad_points_are_refused(at: Any) -> None:
    with pytest.raises(BadInput):
        regress(X, Y).predict(at)
