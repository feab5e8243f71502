"""Closed forms of E(V) against derivatives and against each other, and their fits against statistics."""

from dataclasses import replace

import numpy as np
import pytest
from numpy.testing import assert_allclose

from pinnkit.atoms.cohesion.equation_of_state import (
    FORMS,
    GPA,
    BirchMurnaghan,
    EquationOfState,
    Known,
    Vinet,
    fit,
    guess,
)
from pinnkit.errors import BadInput

V = np.linspace(8.3, 16.5, 25)
COPPER = (-3.5, 11.8, 137.0, 5.2)


@pytest.fixture(params=FORMS.values(), ids=FORMS)
def form(request: pytest.FixtureRequest) -> type[EquationOfState]:
    return request.param


def slope(function, v, h=1e-3):
    """To fourth order."""
    return (8 * (function(v + h) - function(v - h)) - (function(v + 2 * h) - function(v - 2 * h))) / (12 * h)


def test_pressure_and_bulk_modulus_are_derivatives_of_the_energy(form):
    solid = form(*COPPER)
    assert_allclose(solid.pressure(V), -GPA * slope(solid.energy, V), rtol=0, atol=1e-8)
    assert_allclose(solid.bulk_modulus(V), -V * slope(solid.pressure, V), rtol=0, atol=1e-6)


def test_at_equilibrium_they_are_what_they_are_named(form):
    solid, v0 = form(*COPPER), np.array([11.8])
    assert solid.energy(v0) == pytest.approx([-3.5]) and solid.pressure(v0) == pytest.approx([0], abs=1e-12)
    assert solid.bulk_modulus(v0) == pytest.approx([137.0])
    by_pressure = slope(solid.bulk_modulus, v0) / slope(solid.pressure, v0)
    assert by_pressure == pytest.approx([5.2], rel=1e-8)


def test_the_forms_agree_to_third_order_and_no_further():
    one, other = BirchMurnaghan(*COPPER), Vinet(*COPPER)

    def apart(strain):
        v = 11.8 * (1 + np.array([strain]))
        return float(abs(one.energy(v) - other.energy(v))[0])

    assert np.log2(apart(0.02) / apart(0.01)) == pytest.approx(4, abs=0.1)


def test_birch_and_murnaghan_are_a_cubic_in_strain():
    x = (11.8 / V) ** (2 / 3)
    cubic = np.polynomial.Polynomial.fit(x, BirchMurnaghan(*COPPER).energy(V), 3)
    assert_allclose(cubic(x), BirchMurnaghan(*COPPER).energy(V), rtol=0, atol=1e-13)
    assert (
        np.abs(np.polynomial.Polynomial.fit(x, Vinet(*COPPER).energy(V), 3)(x) - Vinet(*COPPER).energy(V)).max() > 1e-4
    )


def test_a_fit_returns_what_exact_energies_were_made_with(form):
    found = fit(form, V, form(*COPPER).energy(V))
    assert_allclose(list(found.equation.parameters.values()), COPPER, rtol=1e-9)
    assert found.rmse < 1e-10


@pytest.mark.parametrize("known", [None, Known(11.8, 137.0)], ids=["unknown", "known"])
def test_deviations_are_those_of_many_draws(form, known):
    rng, solid = np.random.default_rng(7), form(*COPPER)
    drawn = [fit(form, V, solid.energy(V) + 2e-3 * rng.normal(size=len(V)), 2e-3, known) for _ in range(150)]
    values = np.array([list(one.equation.parameters.values()) for one in drawn])
    told = np.array(list(drawn[0].deviations.values()))
    seen = values.std(0)[[0, 3]]  # of V₀ and B₀, where they are known, it is their accuracy, which is not drawn here
    assert_allclose(seen, told[[0, 3]], rtol=0.25)
    if known is None:
        assert_allclose(values.std(0)[[1, 2]], told[[1, 2]], rtol=0.25)
    assert (np.abs(values.mean(0) - COPPER) < 5 * told / np.sqrt(150) + 1e-12).all()


def test_without_sigma_deviations_follow_the_scatter(form):
    rng, exact = np.random.default_rng(3), form(*COPPER).energy(V)
    noise = rng.normal(size=len(V))
    small, large = (fit(form, V, exact + size * noise).deviations for size in (1e-5, 1e-4))
    assert_allclose(np.array(list(large.values())) / np.array(list(small.values())), 10, rtol=0.01)


def test_what_is_known_holds_where_data_say_nothing():
    v = np.linspace(11.9, 12.6, 8)  # no minimum among them
    exact = BirchMurnaghan(*COPPER).energy(v)
    with pytest.raises(BadInput, match="no minimum between"):
        fit(BirchMurnaghan, v, exact)
    found = fit(BirchMurnaghan, v, exact, 1e-3, Known(11.8, 137.0)).equation
    assert found.v0 == pytest.approx(11.8, rel=1e-3) and found.b0 == pytest.approx(137, rel=1e-2)


def test_units_and_numbers_of_atoms_do_not_matter(form):
    rng = np.random.default_rng(5)
    e = form(*COPPER).energy(V) + 1e-3 * rng.normal(size=len(V))
    one, four = fit(form, V, e).equation, fit(form, 4 * V, 4 * e).equation
    assert_allclose([four.e0, four.v0, four.b0, four.b0p], [4 * one.e0, 4 * one.v0, one.b0, one.b0p], rtol=1e-7)


@pytest.mark.parametrize("wrong", [0.0, -11.8, np.nan, np.inf, "a"])
def test_volumes_that_are_none_are_refused(form, wrong):
    for ask in (form(*COPPER).energy, form(*COPPER).pressure, form(*COPPER).bulk_modulus):
        with pytest.raises(BadInput, match="volumes"):
            ask([11.8, wrong])


@pytest.mark.parametrize(
    ("name", "value"),
    [("v0", 0.0), ("v0", -1.0), ("b0", 0.0), ("b0", np.nan), ("b0p", np.inf), ("b0p", 1.0), ("e0", np.nan)],
)
def test_parameters_that_no_solid_has_are_refused(form, name, value):
    with pytest.raises(BadInput, match=name):
        replace(form(*COPPER), **{name: value})


def test_too_few_volumes_are_refused():
    with pytest.raises(BadInput, match="there are 4 different ones"):
        guess(np.array([10, 11, 12, 13, 13.0]), np.array([1, 0, 0.5, 2, 2.0]))


@pytest.mark.parametrize("name", ["v0", "b0", "v0_accuracy", "b0_accuracy"])
def test_what_is_known_must_be_positive(name):
    with pytest.raises(BadInput, match=name):
        replace(Known(11.8, 137.0), **{name: 0.0})
