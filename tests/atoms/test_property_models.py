"""Models of a property by descriptors, the laws among them, and how they are validated: against closed forms."""

from collections.abc import Callable

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from numpy.typing import NDArray

from pinnkit.atoms.properties import models
from pinnkit.atoms.properties.laws import MOST_OF_A_PROCESS, Law, candidates
from pinnkit.atoms.properties.models import (
    InLogarithms,
    LeastSquares,
    Line,
    Model,
    Process,
    coefficients,
    network,
    ridge,
)
from pinnkit.atoms.properties.validation import (
    Score,
    Splits,
    cross_validated,
    curve_sizes,
    differences,
    learning_curve,
    outer,
    parts,
    rmse,
    round_off,
    score,
    simplest,
    validated,
)

Array = NDArray[np.float64]
ALL: dict[str, Callable[[], Model]] = {
    "linear": lambda: LeastSquares((models.straight,), penalised=True),
    "quadratic": lambda: LeastSquares((models.quadratic,), penalised=True),
    "network": network,
    "process": Process,
    "power": lambda: InLogarithms(LeastSquares((models.straight,)), (True, True)),
    "law": lambda: InLogarithms(LeastSquares((models.nothing,)), (True, True), (2.0, -1.0)),
    "corrected": lambda: InLogarithms(network(), (True, True), (2.0, -1.0)),
}
IN_LOGARITHMS = ("power", "law", "corrected")


def materials(n: int = 25, seed: int = 0) -> tuple[Array, Array]:
    """Two positive descriptors, and 3 a² / b."""
    x = np.random.default_rng(seed).uniform([0.5, 20.0], [5.0, 90.0], (n, 2))
    return x, 3 * x[:, 0] ** 2 / x[:, 1]


# --- models -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", IN_LOGARITHMS)
def test_a_power_law_is_found_to_round_off_and_beyond_the_data(name: str) -> None:
    x, y = materials()
    far = np.array([[50.0, 2.0], [0.01, 1000.0]])
    assert_allclose(ALL[name]().fit(x, y).predict(far), 3 * far[:, 0] ** 2 / far[:, 1], rtol=1e-6)


def test_a_quadratic_is_found_beyond_the_data_and_a_line_is_not_one() -> None:
    x, _ = materials()
    far = np.array([[20.0, 200.0]])

    def truth(x: Array) -> Array:
        return 1 - x[:, 0] + 0.5 * x[:, 0] * x[:, 1] + x[:, 1] ** 2

    quadratic = LeastSquares((models.quadratic,)).fit(x, truth(x))
    assert_allclose(quadratic.predict(far), truth(far), rtol=1e-9)
    assert abs(LeastSquares((models.straight,)).fit(x, truth(x)).predict(far) / truth(far) - 1) > 0.2


@pytest.mark.parametrize("name", ["network", "process"])
def test_flexible_models_learn_a_smooth_function(name: str) -> None:
    x, _ = materials(60)
    fresh, _ = materials(200, seed=1)

    def truth(x: Array) -> Array:
        return np.sin(x[:, 0]) + x[:, 1] / 50

    predicted = ALL[name]().fit(x, truth(x)).predict(fresh)
    assert rmse(predicted, truth(fresh), relative=False) < 0.03 * np.std(truth(fresh))


@pytest.mark.parametrize("name", ALL)
def test_units_of_descriptors_and_property_make_no_difference(name: str) -> None:
    x, y = materials()
    y = y * np.exp(0.1 * np.random.default_rng(1).normal(size=len(y)))
    other = ALL[name]().fit(x * [1e-10, 1e6], 1e3 * y).predict(x[:5] * [1e-10, 1e6])
    assert_allclose(other, 1e3 * ALL[name]().fit(x, y).predict(x[:5]), rtol=1e-4)


@pytest.mark.parametrize("name", ALL)
def test_a_seed_gives_the_same_bits_and_touches_no_other_stream(name: str) -> None:
    x, y = materials()
    state = np.random.get_state()[1].sum()
    first, again = (ALL[name]().fit(x, y, seed=3).predict(x) for _ in range(2))
    assert_array_equal(first, again)
    assert np.random.get_state()[1].sum() == state


def test_a_law_has_one_free_constant_which_is_the_geometric_mean() -> None:
    x, _ = materials()
    y = np.exp(np.random.default_rng(2).normal(size=len(x)))
    law = ALL["law"]().fit(x, y)
    constants = y / (x[:, 0] ** 2 / x[:, 1])
    assert_allclose(law.predict(x[:1]), np.exp(np.log(constants).mean()) * x[0, 0] ** 2 / x[0, 1], rtol=1e-12)


def test_a_descriptor_of_both_signs_enters_by_an_exponential() -> None:
    x, _ = materials()
    x[:, 1] -= 50
    model = InLogarithms(LeastSquares((models.straight,)), (True, False)).fit(x, x[:, 0] ** 1.5 * np.exp(0.1 * x[:, 1]))
    assert_allclose(model.predict(np.array([[10.0, -60.0]])), 10**1.5 * np.exp(-6.0), rtol=1e-9)


def test_predictions_far_off_stay_finite() -> None:
    x, y = materials()
    power = InLogarithms(LeastSquares((models.straight,)), (True, True)).fit(x, y)
    assert np.isfinite(power.predict(np.array([[1e300, 1e-300]])) ** 2).all()


def test_leave_one_out_errors_are_those_of_fits_without_the_value() -> None:
    rng = np.random.default_rng(3)
    phi, y = rng.normal(size=(12, 4)), rng.normal(size=12)
    penalty = np.array([0.1])
    strength = 0.1 * np.linalg.norm(phi - phi.mean(0), 2) ** 2  # as relative to the greatest eigenvalue
    _, found = ridge(phi - phi.mean(0), y - y.mean(), penalty)
    left = []
    for i in range(12):
        rest = np.arange(12) != i
        centre = phi[rest].mean(0)
        a = phi[rest] - centre
        w = np.linalg.solve(a.T @ a + strength * np.eye(4), a.T @ (y[rest] - y[rest].mean()))
        left.append(y[i] - y[rest].mean() - (phi[i] - centre) @ w)
    assert found == pytest.approx(np.sqrt(np.mean(np.square(left))), rel=1e-12)


def test_a_penalty_of_nothing_is_least_squares_and_noise_gets_a_great_one() -> None:
    rng = np.random.default_rng(4)
    phi = rng.normal(size=(30, 20))
    phi -= phi.mean(0)
    exact = phi @ np.arange(20.0)
    assert_allclose(ridge(phi, exact, models.PENALTIES)[0], np.arange(20.0), atol=1e-3)
    assert_allclose(ridge(phi, exact, np.zeros(1))[0], np.arange(20.0), atol=1e-10)
    noise = rng.normal(size=30)
    weights, error = ridge(phi, noise - noise.mean(), models.PENALTIES)
    assert error < 1.2 * np.std(noise) and np.std(phi @ weights) < 0.5 * np.std(noise)


def test_the_best_set_of_features_is_taken() -> None:
    x, _ = materials()
    both = LeastSquares((models.straight, models.quadratic)).fit(x, x[:, 0] * x[:, 1])
    assert isinstance(both, Line) and len(both.weights) == 5 and both.left_out < 1e-9


def test_standard_errors_are_the_spread_of_fitted_coefficients() -> None:
    rng = np.random.default_rng(5)
    x = rng.normal(size=(20, 2)) @ [[1.0, 0.8], [0.0, 0.5]]
    truth = 1 + x @ [2.0, -3.0]
    fits = [coefficients(x, truth + 0.3 * rng.normal(size=20)) for _ in range(2000)]
    values = np.array([one.values for one in fits])
    assert_allclose(values.mean(0), [2.0, -3.0], atol=0.02)
    squares = np.mean([one.standard_errors**2 for one in fits], axis=0)
    assert_allclose(np.sqrt(squares), values.std(0), rtol=0.05)


def test_coefficients_that_data_do_not_determine_have_no_standard_errors() -> None:
    x = np.random.default_rng(10).normal(size=(20, 1))
    assert np.isinf(coefficients(np.column_stack([x, 2 * x + 1]), x[:, 0]).standard_errors).all()


# --- which models there are -------------------------------------------------------------------------------------------

SQUARE = Law("square", {"a": 2.0, "b": -1.0})
PARTLY = Law("partly", {"a": 2.0}, free=("b",))


def test_models_come_from_the_simplest() -> None:
    rivals = {"partly": PARTLY, "wrong": Law("wrong", {"a": 1.0})}
    found = candidates(("a", "b"), (True, True), 30, SQUARE, rivals, None)
    assert list(found.models)[:5] == ["law", "wrong", "partly", "linear", "power_law"] and not found.left_out


def test_laws_know_their_columns_and_fit_the_free_ones() -> None:
    x, y = materials()
    swapped = x[:, ::-1]
    for law in (SQUARE, PARTLY):
        assert_allclose(law.model(("b", "a"), (True, True)).fit(swapped, y).predict(swapped), y, rtol=1e-10)


def test_what_the_columns_do_not_allow_is_left_out_with_a_reason() -> None:
    found = candidates(("a", "c"), (True, True), 30, SQUARE, {}, None)
    assert found.left_out == dict.fromkeys(("law", "law_and_network"), "there is no column 'b'")
    assert "power_law" in found.models
    signed = candidates(("a", "b"), (True, True), 30, SQUARE, {}, "E is -1 in row 2")
    assert list(signed.models) == ["linear", "quadratic", "network", "gaussian_process"]
    assert set(signed.left_out.values()) == {"E is -1 in row 2"}
    many = candidates(("a", "b"), (True, True), MOST_OF_A_PROCESS + 1, None, {}, None)
    assert many.left_out.keys() == {"gaussian_process", "process_of_logarithms"}


# --- validation -------------------------------------------------------------------------------------------------------


def test_relative_differences_treat_a_factor_and_its_reciprocal_alike() -> None:
    one = np.ones(1)
    assert differences(3 * one, one, True) == 1.0 and differences(one / 3, one, True) == pytest.approx(-1.0)
    assert differences(1.001 * one, one, True) == pytest.approx(1e-3, rel=1e-3)
    assert differences(-0.1 * one, one, True) == differences(-1e6 * one, one, True) == -2.0
    assert differences(-0.1 * one, one, False) == -1.1


def test_a_score_is_a_root_mean_square_with_its_standard_error() -> None:
    """Of normal errors: SE = σ/√(2n), to first order."""
    errors = np.random.default_rng(6).normal(size=(1, 4000))
    found = score(errors, np.zeros(4000), relative=False)
    assert found.rmse == pytest.approx(1, rel=0.05)
    assert found.standard_error == pytest.approx(1 / np.sqrt(8000), rel=0.1)
    assert score(np.repeat(errors, 5, axis=0), np.zeros(4000), False) == pytest.approx(found)  # repeats are no new data
    assert score(np.zeros((2, 3)), np.zeros(3), False) == Score(0.0, 0.0)


def test_the_simplest_within_one_standard_error_is_chosen() -> None:
    scores = {"plain": Score(1.09, 0.5), "better": Score(1.2, 0.1), "best": Score(1.0, 0.1)}
    assert simplest(scores) == "plain"
    assert simplest(scores | {"plain": Score(1.11, 0.5)}) == "best"


def test_models_that_are_exact_but_for_rounding_are_equal() -> None:
    """Of values of any size; what is larger than rounding is not."""
    scores = {"plain": Score(3.1e-15, 2e-16), "best": Score(1.7e-15, 2e-16)}
    assert simplest(scores) == "best" and simplest(scores, round_off(np.ones(3), relative=True)) == "plain"
    assert round_off(np.array([3e5, -4e5]), relative=False) == pytest.approx(1e-12 * np.sqrt(12.5) * 1e5)
    assert simplest(scores | {"plain": Score(1e-9, 1e-10)}, round_off(np.ones(3), relative=True)) == "best"


def test_folds_divide_the_rows_evenly_and_differ_between_repeats() -> None:
    rows = np.random.default_rng(0).normal(size=(23, 2))
    first, second = (parts(rows, Splits(5, 2, 0), repeat) for repeat in range(2))
    for division in (first, second):
        assert_array_equal(np.sort(np.concatenate(division)), np.arange(23))
        assert {len(rows) for rows in division} == {4, 5}
    assert not np.array_equal(first[0], second[0])
    copies = rows[np.arange(46) % 23]
    for fold in parts(copies, Splits(5, 2, 0), 0):
        assert_array_equal(np.sort(fold % 23)[::2], np.sort(fold % 23)[1::2])


class Remembering(Model):
    """Predicts 1 for what it has seen and 0 for what it has not."""

    def fit(self, x: Array, y: Array, seed: int = 0) -> "Remembering":
        self.seen = set(x[:, 0].tolist())
        return self

    def predict(self, x: Array) -> Array:
        return np.array([float(value in self.seen) for value in x[:, 0].tolist()])


def test_nothing_is_predicted_that_was_seen() -> None:
    x, y = materials(20)
    found = validated({"it": Remembering()}, x, y, Splits(4, 3, 0))
    assert found.predicted["it"].shape == (3, 20) and not found.predicted["it"].any()
    assert found.beyond["it"].shape == (6,) and not found.beyond["it"].any()
    assert learning_curve(Remembering(), x, y + 1, [5, 10], False, 0)[0] > 0
    copies, values = x.repeat(3, 0), y.repeat(3)
    assert not validated({"it": Remembering()}, copies, values, Splits(4, 3, 0)).predicted["it"].any()
    assert learning_curve(Remembering(), copies, np.ones(60), [5, 10, 19], False, 0) == [1.0, 1.0, 1.0]


def test_cross_validation_leaving_one_out_is_the_closed_form() -> None:
    x, _ = materials(12)
    y = np.random.default_rng(7).normal(size=12)
    line = LeastSquares((models.straight,))
    predicted = cross_validated(line, x, y, Splits(12, 1, 0))
    assert rmse(predicted[0], y, False) == pytest.approx(line.fit(x, y).left_out, rel=1e-10)


@pytest.mark.parametrize("sign", [1, -1])
def test_the_outer_third_lies_where_the_property_is_large(sign: int) -> None:
    rng = np.random.default_rng(8)
    x = rng.random((30, 2))
    y = np.exp(sign * 3 * x[:, 1]) + 0.01 * rng.random(30)
    where = outer(x, y)
    assert where.column == 1 and len(where.beyond) == 10 and len(where.inside) == 20
    assert (sign * x[where.beyond, 1]).min() > (sign * x[where.inside, 1]).max()
    assert y[where.beyond].min() > y[where.inside].max() - 0.02


def test_a_learning_curve_falls_to_the_scatter() -> None:
    x, y = materials(60)
    y = y * np.exp(0.1 * np.random.default_rng(9).normal(size=60))
    sizes = curve_sizes(60, 2, 5)
    assert sizes[0] == 4 and sizes[-1] == 48
    curve = learning_curve(ALL["power"](), x, y, sizes, True, 0)
    assert curve[-1] < 0.6 * curve[0] and 0.08 < curve[-1] < 0.13
