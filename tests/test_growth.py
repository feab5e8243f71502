"""Features that grow until they resolve the solution, and what follows where they do not."""

from math import pi

import pytest
from torch import exp, sin

from pinnkit import Interval, Problem, derivative, dirichlet, laplacian, pde, solve


def oscillating(waves: int) -> Problem:
    """−u'' = f on (0, 1), u = sin(waves π x)."""

    def exact(x):
        return sin(waves * pi * x)

    conditions = {
        "equation": pde(lambda u, x: -laplacian(u, x) - (waves * pi) ** 2 * exact(x)),
        "ends": dirichlet("boundary"),
    }
    return Problem(Interval(0, 1), conditions, exact=exact)


@pytest.mark.parametrize(("waves", "polynomials"), [(1, 25), (20, 100)])
def test_features_grow_as_far_as_the_solution_needs(waves: int, polynomials: int) -> None:
    result = solve(oscillating(waves), network={"layers": [10]})
    assert result.metrics["relative_l2"] < 1e-10
    assert result.settings.network.polynomials >= polynomials
    assert result.settings.network.polynomials < 8 * polynomials
    assert result.metrics["optimizer"] == "least_squares"


def test_a_fixed_number_does_not_grow() -> None:
    result = solve(oscillating(6), network={"layers": [10], "polynomials": 8})
    assert result.settings.network.polynomials == 8
    assert 1e-8 < result.metrics["relative_l2"] < 1


def test_the_history_goes_on_from_one_attempt_to_the_next() -> None:
    history = solve(oscillating(20), network={"layers": [10]}).history
    steps, seconds = ([row[key] for row in history] for key in ("step", "seconds"))
    assert steps == sorted(set(steps))
    assert seconds == sorted(seconds)
    assert history[-1]["loss"] < 1e-12 * history[0]["loss"]


def test_a_limit_of_steps_holds_for_all_attempts_together() -> None:
    result = solve(oscillating(20), network={"layers": [10]}, training={"max_steps": 2})
    assert result.history[-1]["step"] == 2


def test_all_parameters_are_trained_where_frozen_features_do_not_suffice() -> None:
    """64 sines follow the waves only once their frequencies are trained."""
    network = {"layers": [64], "polynomials": 0}
    frozen = solve("helmholtz", optimizer="least_squares", network=network)
    auto = solve("helmholtz", network=network)
    assert (frozen.metrics["optimizer"], auto.metrics["optimizer"]) == ("least_squares", "gauss_newton")
    assert auto.metrics["relative_l2"] < 1e-9 < 1e-1 < frozen.metrics["relative_l2"]


def layered() -> Problem:
    """−u''/200 + u' = 1, u(0) = u(1) = 0: a thin layer at the right end."""
    conditions = {
        "equation": pde(lambda u, x: -laplacian(u, x) / 200 + derivative(u, x) - 1),
        "ends": dirichlet("boundary"),
    }
    return Problem(Interval(0, 1), conditions, exact=lambda x: x - (exp(200 * (x - 1)) - exp(0 * x - 200)))


def test_training_that_is_stuck_starts_anew() -> None:
    network = {"layers": [16], "activation": "tanh"}
    small = {"optimizer": "gauss_newton", "sampling": {"interior": 800}}
    stuck = solve(layered(), network={**network, "draw": 0}, **small)
    result = solve(layered(), network=network, **small)
    assert stuck.metrics["stop_reason"].startswith("converged") and stuck.metrics["relative_l2"] > 0.1
    assert result.settings.network.draw > 0 and result.metrics["relative_l2"] < 1e-3


def test_points_that_are_drawn_anew_call_for_a_first_order_method() -> None:
    result = solve(oscillating(1), network={"layers": [10]}, sampling={"resample": 1}, training={"max_steps": 3})
    assert result.metrics["optimizer"] == "adam"


def test_noise_in_data_does_not_count_as_unresolved() -> None:
    small = {"network": {"layers": [40], "polynomials": 60}, "sampling": {"interior": 400, "boundary": 160}}
    result = solve("inverse_heat", problem={"noise": 0.1}, **small)
    assert result.metrics["optimizer"] == "least_squares"
