"""The energy over volume as a network with physics: its bars, its bands, its derivatives, its files, its refusals."""

import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal

from pinnkit import load, solve
from pinnkit.atoms.cohesion.baselines import tanh_network
from pinnkit.atoms.cohesion.equation_of_state import GPA, BirchMurnaghan, Known, Vinet
from pinnkit.atoms.cohesion.figures import figures
from pinnkit.atoms.cohesion.network import (
    STRAIN,
    VOLUME,
    Basis,
    Curve,
    Rows,
    Scale,
    condition_of_finite_strain,
    conditions_at_equilibrium,
    smoothed,
    solved,
)
from pinnkit.atoms.cohesion.study import CohesiveEnergy, EnergyCurve
from pinnkit.catalogue import load as load_problem
from pinnkit.errors import BadInput
from pinnkit.settings import Settings
from pinnkit.tasks import summary

COPPER = (-3.5, 11.8, 137.0, 5.2)
KNOWN = Known(11.8, 137.0)
NOISE = 1e-3
SETTINGS = Settings.from_mapping({"problem": {"name": "cohesive_energy"}})


def solid(
    seed: int = 0, known: Known | None = KNOWN, form=BirchMurnaghan, noise: float = NOISE, **more
) -> CohesiveEnergy:
    exact, volumes = form(*COPPER), 11.8 * np.linspace(0.8, 1.2, 11)
    energies = exact.energy(volumes) + noise * np.random.default_rng(seed).normal(size=11)
    return CohesiveEnergy(volumes, energies, noise or None, known=known, exact=exact, **more)


@pytest.fixture(scope="module")
def copper(tmp_path_factory: pytest.TempPathFactory) -> tuple[EnergyCurve, Path]:
    folder = tmp_path_factory.mktemp("copper")
    return solve("cohesive_energy", folder=folder), folder


@pytest.fixture(scope="module")
def committee() -> EnergyCurve:
    return solve(solid(known=None), task={"name": "committee", "members": 6})


@pytest.fixture(params=[STRAIN, VOLUME], ids=["strain", "volume"])
def basis(request: pytest.FixtureRequest) -> Basis:
    drawn = solid().basis(SETTINGS)
    return replace(drawn, scale=replace(drawn.scale, power=request.param))


# --- the network and its conditions


def test_derivatives_by_volume_are_those_of_the_features(basis):
    v, h = np.linspace(8.5, 16.3, 9), 1e-3
    for order in range(4):
        below, above = (basis.design(v + step, order)[order] for step in (-h, h))
        twice = [basis.design(v + step, order)[order] for step in (-2 * h, 2 * h)]
        central = (8 * (above - below) - (twice[1] - twice[0])) / (12 * h)
        exact = basis.design(v, order + 1)[order + 1]
        assert_allclose(exact, central, rtol=0, atol=1e-7 * float(exact.abs().max()))


def test_a_birch_murnaghan_curve_meets_all_conditions():
    """Represented by the features it leaves no condition unmet; Vinet's leaves that on strain, as is said."""
    for form, departure in ((BirchMurnaghan, 0.0), (Vinet, 1.6)):
        basis, exact, v = solid().basis(SETTINGS), form(*COPPER), np.linspace(8.26, 16.52, 400)
        head = smoothed(
            basis, Rows(basis.design(v)[0] * 1e9, 1e9 * torch.as_tensor(exact.energy(v) - basis.scale.origin))
        ).head
        at_v0 = conditions_at_equilibrium(basis, 11.8, 137.0, 1e-4, 1e-3)
        for rows in at_v0.values():
            assert_allclose(rows.matrix @ head, rows.rhs, rtol=0, atol=0.01)
        strain = condition_of_finite_strain(basis, 1.0)["finite_strain"]
        assert float((strain.matrix @ head).square().sum()) ** 0.5 == pytest.approx(departure, abs=0.05)


@pytest.mark.parametrize("b0p", [3.5, 5.2, 6.5])
def test_vinets_departure_from_third_order_is_of_the_default_size(b0p):
    """c of E = E₀ + (9/2) B₀V₀ f² (1 + (B₀′ − 4) f + c f²), by the fourth derivative of a polynomial in f."""
    exact = Vinet(-3.5, 11.8, 137.0, b0p)
    ends = [((1 / reach) ** (2 / 3) - 1) / 2 for reach in (1.4, 0.7)]
    curve = np.polynomial.Chebyshev.interpolate(lambda f: exact.energy(11.8 * (1 + 2 * f) ** -1.5), 25, domain=ends)
    fourth = curve.deriv(4)(np.linspace(*ends, 64)) / (108 * 137 / GPA * 11.8)
    assert 0.8 < np.sqrt(np.mean(fourth**2)) < 1.65


def test_the_head_is_where_chi_squared_is_stationary():
    problem = solid()
    basis, curve = problem.basis(SETTINGS), curve_of(problem)
    gradient = sum(rows.matrix.T @ (rows.matrix @ curve.head - rows.rhs) for rows in problem.conditions(basis).values())
    gradient = gradient + curve.head / 1e6  # the prior of the head
    size = sum(rows.matrix.T.abs() @ rows.rhs.abs() for rows in problem.conditions(basis).values())
    assert float(gradient.abs().max()) < 1e-9 * float(size.max())


# --- the bars


@pytest.mark.parametrize("seed", range(5))
def test_the_bars_are_met(seed):
    metrics = solve(solid(seed), seed=seed).metrics
    errors = metrics["parameters_error"]
    assert errors["V0"] <= 1e-3 and errors["B0"] <= 0.01 and errors["B0p"] <= 0.05
    assert metrics["extrapolation_error"] < 0.1 * metrics["alone"]["tanh_network"]


def test_physics_gains_tenfold_outside_of_the_data(copper):
    metrics = copper[0].metrics
    assert metrics["extrapolation_gain"] >= 10 and metrics["verdict"] == "trusted"
    alone = min(metrics["alone"][name] for name in ("data_only", "tanh_network"))
    assert metrics["extrapolation_gain"] == pytest.approx(alone / metrics["extrapolation_error"])


def test_what_is_unknown_is_found_as_well_as_the_data_allow():
    """The network does not know that the curve is of third order: its deviations are no smaller than of such a fit."""
    found = solve(solid(known=None))
    fitted, values = found.fits["birch_murnaghan"], found.metrics["equilibrium"]
    for name in ("V0", "B0", "B0p"):
        assert fitted.deviations[name] <= found.metrics["deviations"][name] < 4 * fitted.deviations[name]
        assert abs(values[name] - fitted.equation.parameters[name]) < 3 * found.metrics["deviations"][name]


def test_a_small_departure_leads_to_birch_and_murnaghan():
    found = solve(solid(known=None, departure=1e-4))
    v = np.linspace(*found.problem.limits, 50)
    assert_allclose(found.energy(v), found.fits["birch_murnaghan"].equation.energy(v), rtol=0, atol=1e-5)


def test_exact_energies_give_exact_parameters():
    values, _ = curve_of(solid(known=None, noise=0.0)).equilibrium(11.8)
    assert_allclose([values[name] for name in ("V0", "B0", "B0p")], COPPER[1:], rtol=1e-3)


def test_pressures_are_used():
    rng, plain = np.random.default_rng(4), solid(known=None)
    pressures = plain.exact.pressure(plain.v) + 0.1 * rng.normal(size=11)
    values, deviations = curve_of(replace(plain, pressures=pressures)).equilibrium(11.8)
    _, without = curve_of(plain).equilibrium(11.8)
    assert all(deviations[name] < 0.5 * without[name] for name in ("V0", "B0", "B0p"))
    assert values["B0p"] == pytest.approx(5.2, abs=4 * deviations["B0p"])


# --- what is read off a curve


def test_pressure_and_bulk_modulus_are_derivatives(copper):
    found, v, h = copper[0], np.linspace(8.5, 16.2, 12), 1e-3
    assert_allclose(found.pressure(v), -GPA * (found.energy(v + h) - found.energy(v - h)) / (2 * h), atol=1e-3)
    assert_allclose(found.bulk_modulus(v), -v * (found.pressure(v + h) - found.pressure(v - h)) / (2 * h), atol=1e-3)


def test_parameters_are_those_of_the_curve(copper):
    found, values, h = copper[0], copper[0].metrics["equilibrium"], 1e-3
    v0 = np.array([values["V0"]])
    assert found.pressure(v0) == pytest.approx([0], abs=1e-8)
    assert found.energy(v0) == pytest.approx([values["E0"]]) and found.bulk_modulus(v0) == pytest.approx([values["B0"]])
    by_pressure = np.diff(found.bulk_modulus([v0[0] - h, v0[0] + h])) / np.diff(found.pressure([v0[0] - h, v0[0] + h]))
    assert by_pressure == pytest.approx([values["B0p"]], rel=1e-5)


def test_deviations_are_those_of_many_draws():
    """Of the noise alone: departures from third order, which the deviations hold too, are made small."""
    drawn = [curve_of(solid(seed, known=None, departure=0.1)).equilibrium(11.8) for seed in range(80)]
    seen = {name: np.std([values[name] for values, _ in drawn]) for name in ("E0", "V0", "B0", "B0p")}
    told = drawn[0][1]
    assert_allclose([seen[name] for name in told], list(told.values()), rtol=0.3)


def curve_of(problem: CohesiveEnergy) -> Curve:
    """Without what it is compared with."""
    basis = problem.basis(SETTINGS)
    return solved(basis, problem.conditions(basis))


def test_bands_are_as_wide_as_their_level(copper):
    found, v = copper[0], np.linspace(8.3, 16.5, 30)
    for band, middle in ((found.band, found.energy), (found.pressure_band, found.pressure)):
        (lower, upper), (closer, further) = band(v, 0.6827), band(v, 0.9545)
        assert_allclose((further - closer) / (upper - lower), 2, rtol=1e-3)
        assert_allclose((lower + upper) / 2, middle(v), rtol=1e-9)


@pytest.mark.parametrize("form", [BirchMurnaghan, Vinet])
def test_bands_hold_the_truth_over_many_draws(form):
    """The shares of draws in which they do, at a few volumes, whichever of two established curves is true."""
    v = 11.8 * np.array([0.72, 0.9, 1.0, 1.15, 1.37])
    inside = []
    for seed in range(60):
        problem = solid(seed, known=None, form=form)
        curve = curve_of(problem)
        inside.append(np.abs(curve.energy(v) - problem.exact.energy(v)) < 1.96 * curve.energy_deviation(v))
    assert (np.mean(inside, 0) > 0.85).all() and np.mean(inside) > 0.9


def test_members_of_a_committee_differ_as_their_posterior_says(committee):
    alone, v = solve(solid(known=None)), np.linspace(8.3, 16.5, 40)
    assert len(committee.curves) == 6 and committee.metrics["task"] == "committee"
    ratio = np.ptp(committee.band(v), 0) / np.ptp(alone.band(v), 0)
    assert 0.5 < np.median(ratio) < 3
    assert_array_equal(
        committee.energy(v), solve(solid(known=None), task={"name": "committee", "members": 6}).energy(v)
    )
    with pytest.raises(BadInput, match="bootstrap: cohesive_energy does not use it"):
        solve("cohesive_energy", task={"name": "committee", "members": 6, "bootstrap": False})


def test_a_trained_tanh_network_passes_by_the_data_and_knows_its_slope():
    problem, h = solid(), 1e-4
    table = tanh_network(problem.v, problem.e, problem.deviations, problem.limits, seed=0)
    assert np.sqrt(np.mean((table(problem.v).energies - problem.e) ** 2)) < 2 * NOISE
    slopes = (table(problem.v + h).energies - table(problem.v - h).energies) / (2 * h)
    assert_allclose(table(problem.v).pressures, -GPA * slopes, atol=1e-4)


# --- contradictions, files, figures


def test_wrong_knowledge_is_found_out():
    found = solve(solid(known=Known(12.1, 137.0)))
    assert found.metrics["verdict"].startswith("untrusted: the data contradict the known V0 and B0")


def test_without_truth_nothing_is_trusted():
    metrics = solve(replace(solid(), exact=None)).metrics
    assert metrics["verdict"] == "untrusted: there is no reference to compare with"
    assert metrics["parameters_error"] is None and metrics["extrapolation_gain"] is None
    assert metrics["fits"]["birch_murnaghan"]["error"] is None


def test_a_run_leaves_its_files(copper):
    found, folder = copper
    left = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    assert left == {"checkpoints/last.pt", "metrics.json", "report.html", "solution.npz", "status.json",
                    "plots/solution.png", "plots/truth.png", "plots/parameters.png"}  # fmt: skip
    assert json.loads((folder / "metrics.json").read_text()) == found.metrics
    with np.load(folder / "solution.npz") as arrays:
        assert_array_equal(arrays["energy"], found.energy(arrays["points"][:, 0]))
    assert "V0                 11." in summary(found) and "without physics" in summary(found)


def test_what_is_loaded_is_what_was_found(copper):
    (found, folder), v = copper, np.linspace(8.3, 16.5, 20)
    again = load(folder)
    assert isinstance(again, EnergyCurve) and again.metrics == found.metrics
    for name in ("energy", "pressure", "bulk_modulus", "band", "pressure_band"):
        assert_array_equal(getattr(again, name)(v), getattr(found, name)(v))
    assert figures(again).keys() == {"solution", "parameters"}


def test_a_committee_is_written_and_read(committee):
    again, v = EnergyCurve.from_plain(committee.to_plain()), np.linspace(8.3, 16.5, 20)
    assert_array_equal(again.band(v), committee.band(v))
    assert figures(committee).keys() == {"solution", "truth", "parameters"}


def test_data_from_a_file_say_the_same(tmp_path):
    problem, path = solid(known=None), tmp_path / "copper.csv"
    rows = [f"{v!r},{e!r},{NOISE}" for v, e in zip(problem.v.tolist(), problem.e.tolist(), strict=True)]
    path.write_text("\n".join(["volume,energy,sigma", *rows]))
    found, v = solve("cohesive_energy", problem={"data": str(path)}), np.linspace(8.5, 16, 9)
    assert_array_equal(found.energy(v), solve(problem).energy(v))
    assert found.metrics["known"] is None and found.metrics["reference"]["kind"] == "none"
    known = solve("cohesive_energy", problem={"data": str(path), "v0": 11.8, "b0": 137})
    assert known.metrics["deviations"]["V0"] < 0.3 * found.metrics["deviations"]["V0"]
    path.write_text("\n".join(["pressure,volume,energy,pressure_sigma", *(f"{p},{v},{e},0.2" for p, v, e in
                    zip(problem.exact.pressure(problem.v), problem.v, problem.e, strict=True))]))  # fmt: skip
    read = CohesiveEnergy.from_csv(path)
    assert_allclose(read.data["pressures"], problem.exact.pressure(problem.v))
    assert read.data["pressure_sigma"].tolist() == [0.2] * 11 and 3e-4 < read.deviations[0] < 3e-3


def test_the_report_begins_with_the_parameters(copper):
    found = copper[0]
    tiles = found.tiles
    assert tiles["B₀ (GPa)"].startswith("136.99 ± ") and len(tiles) == 5
    assert float(tiles["meV off outside of the data"]) == pytest.approx(
        1e3 * found.metrics["extrapolation_error"], rel=0.05
    )


def test_legends_lie_beside_the_curves(copper):
    for name in ("solution", "truth"):
        figure = figures(copper[0])[name]
        figure.draw_without_rendering()
        legends = [*figure.legends, *(ax.get_legend() for ax in figure.axes if ax.get_legend())]
        assert len(legends) == 1
        assert not any(legends[0].get_window_extent().overlaps(ax.get_window_extent()) for ax in figure.axes)


# --- what is refused


@pytest.mark.parametrize("volume", [0.0, -3.0, np.nan, 5.0, 30.0])
def test_volumes_off_the_curve_are_refused(copper, volume):
    found = copper[0]
    for ask in (found.energy, found.pressure, found.bulk_modulus, found.band, found.pressure_band):
        with pytest.raises(BadInput, match="volumes"):
            ask([11.8, volume])
    with pytest.raises(BadInput, match=r"outside of 8\.26 to 16\.52 Å³"):
        found.energy(5.0)
    with pytest.raises(BadInput, match="level"):
        found.band(11.8, 95)


def broken(**changes):
    return lambda: replace(solid(known=None), **changes)


V11, E11 = solid().v, solid().e


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (broken(volumes=-V11), "volumes: one is"),
        (broken(volumes=[*V11[:-1], 0.0]), "volumes: one is 0"),
        (broken(volumes=[*V11[:-1], np.nan]), "volumes: one is nan"),
        (broken(energies=[*E11[:-1], np.nan]), "energies"),
        (broken(energies=E11[:-1]), "energies: there are 10"),
        (broken(energies=["a"] * 11), "energies: they are not numbers"),
        (broken(volumes=V11[4:8], energies=E11[4:8]), "volumes: there are 4 different ones"),
        (broken(volumes=[*V11[3:7], V11[6]], energies=[*E11[3:7], E11[6]]), "volumes: there are 4 different ones"),
        (broken(volumes=V11[3:8], energies=E11[3:8], sigma=None), "sigma: none is given, and 5 energies"),
        (broken(volumes=V11[5:], energies=E11[5:]), "volumes: the lowest energy is at"),
        (broken(energies=-E11), "volumes: the lowest energy is at"),
        (broken(sigma=0.0), "sigma"),
        (broken(sigma=[NOISE] * 3), "sigma: there are 3"),
        (broken(pressures=[1.0, 2.0]), "pressures: there are 2"),
        (broken(reach=(0.9, 1.4)), "to 16.52 Å³; check V₀ = 11.8 Å³ and the unit of volumes, or take [0.8, 1.4]"),
        (broken(reach=0.7), "reach: it is 0.7; give two ends"),
        (broken(reach=("a", "b")), "reach: it is"),
        (broken(reach=(1.4, 0.7)), "reach: it is"),
        (broken(departure=0.0), "departure"),
        (broken(known=KNOWN, volumes=3 * V11), "reach: data from"),
        (lambda: solid(known=Known(11.8, -1.0)), "b0: it is -1"),
        (lambda: solve(solid(), task="multifidelity"), "task"),
        (lambda: solve(solid(), task={"name": "committee", "calibration": "reference"}), "task.calibration"),
        (lambda: solve(solid(), dtype="float32"), "dtype"),
        (lambda: solve(solid(), network={"polynomials": 20}), "network"),
    ],
)  # fmt: skip
def test_what_makes_no_sense_is_refused_in_one_line(make, says):
    with pytest.raises(BadInput) as refused:
        make()
    assert says in str(refused.value) and "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("name", "value"),
    [("count", -3), ("count", 4), ("count", 10.5), ("noise", -1), ("noise_seed", -1), ("spread", 0), ("spread", 1.5),
     ("v0", 0), ("b0", -137), ("b0p", 0), ("pressure_noise", 0), ("v0_accuracy", 0), ("b0_accuracy", -1),
     ("departure", 0), ("truth", "murnaghan"), ("reach", 0.7), ("reach", [0.7]), ("reach", [0.9, 1.4]), ("reach", []),
     ("reach", [0.7, None]), ("reach", [0.01, 1.4]), ("known", "yes"), ("e0", float("nan"))],
)  # fmt: skip
def test_parameters_that_make_no_sense_are_refused_by_their_names(name, value):
    with pytest.raises(BadInput) as refused:
        load_problem("cohesive_energy").build(**{name: value})
    assert str(refused.value).startswith(f"problem.{name}: ") and "\n" not in str(refused.value)


@pytest.mark.parametrize("spread", [0.25, 0.5, 0.77])
@pytest.mark.parametrize("known", [True, False])
def test_the_reach_that_is_advised_holds_the_data(spread, known):
    file = load_problem("cohesive_energy")
    with pytest.raises(BadInput, match="reach: data from") as refused:
        file.build(spread=spread, known=known, reach=[0.8, 1.2])
    advised = re.search(r"take \[([\d.]+), ([\d.]+)\]", str(refused.value))
    assert file.build(spread=spread, known=known, reach=[float(end) for end in advised.groups()]).v.size == 11


@pytest.fixture
def points(tmp_path):
    """A file of those columns."""

    def write(columns: str, rows: int = 11) -> str:
        problem = solid(known=None, pressures=BirchMurnaghan(*COPPER).pressure(V11), pressure_sigma=0.2)
        table = {"volume": problem.v, "energy": problem.e, "sigma": problem.deviations,
                 "pressure": problem.data["pressures"], "pressure_sigma": problem.data["pressure_sigma"]}  # fmt: skip
        lines = np.stack([table[name] for name in columns.split(",")], 1)[:rows].tolist()
        path = tmp_path / "points.csv"
        path.write_text("\n".join([columns, *(",".join(map(repr, line)) for line in lines)]))
        return str(path)

    return write


@pytest.mark.parametrize(
    ("columns", "given", "says"),
    [
        ("volume,energy", {"v0": 12.0}, "b0: it is not given; give both"),
        ("volume,energy", {"b0": 12.0}, "v0: it is not given; give both"),
        ("volume,energy", {"truth": "vinet"}, "truth: problem.data takes its place"),
        ("volume,energy", {"noise": 0.1, "v0": 12.0, "b0": 99.0}, "noise: problem.data takes its place"),
        ("volume,energy,sigma", {"pressures": True}, "pressures: problem.data takes its place"),
        ("volume,energy", {"known": True}, "known: problem.data takes its place"),
    ],
)
def test_what_is_not_used_beside_a_file_is_refused(points, columns, given, says):
    with pytest.raises(BadInput) as refused:
        load_problem("cohesive_energy").build(data=points(columns), **given)
    assert str(refused.value).startswith(f"problem.{says}") and "\n" not in str(refused.value)


def test_what_is_used_beside_a_file_is_not(points):
    path, file = points("volume,energy,pressure"), load_problem("cohesive_energy")
    known = {"v0": 11.81, "b0": 138.0, "v0_accuracy": 1e-3, "b0_accuracy": 1e-2}
    problem = file.build(data=path, **known, pressure_noise=0.3, departure=1.0, reach=[0.75, 1.3])
    assert problem.known == Known(11.81, 138.0, 1e-3, 1e-2) and problem.data["pressure_sigma"].tolist() == [0.3] * 11
    assert problem.departure == 1.0 and problem.limits == pytest.approx((0.75 * 11.81, 1.3 * 11.81))
    assert file.build(data=path).data["pressure_sigma"].tolist() == [0.1] * 11


@pytest.mark.parametrize(
    ("columns", "rows", "says"),
    [
        ("volume,energy", 5, "sigma: none is given, and 5 energies"),
        ("volume,energy", 6, "volumes: the lowest energy is at 11.8 Å³, at the end"),
        ("volume,energy,sigma", 4, "volumes: there are 4 different ones"),
    ],
)
def test_files_that_say_too_little_are_refused_by_their_names(points, columns, rows, says):
    with pytest.raises(BadInput) as refused:
        load_problem("cohesive_energy").build(data=points(columns, rows))
    assert str(refused.value).startswith("problem.data: ") and f"points.csv: {says}" in str(refused.value)


def test_a_report_on_a_file_is_called_by_the_file(points):
    problem = load_problem("cohesive_energy").build(data=points("volume,energy"))
    assert problem.description.splitlines()[0] == "Energy over volume, from points.csv"
    assert "eleven" in load_problem("cohesive_energy").build().description.splitlines()[0]
    found = solve(problem)
    again = EnergyCurve.from_plain(found.to_plain()).problem
    assert (again.title, again.description) == (problem.title, problem.description)


def test_data_that_the_curve_misses_are_not_trusted(points):
    """Pressures in kbar for GPa: the energies are missed, and the verdict says so rather than that all is well."""
    problem = solid(known=None, pressures=10 * BirchMurnaghan(*COPPER).pressure(V11), pressure_sigma=0.2)
    assert solve(problem).metrics["verdict"].startswith("untrusted: the data are missed: check sigma, units and signs")


def test_nothing_is_said_of_an_outside_that_is_none():
    """The reach is that of the data."""
    metrics = solve(solid(reach=(0.8, 1.2))).metrics
    assert metrics["extrapolation_error"] is None and metrics["extrapolation_gain"] is None
    assert all(one["extrapolation_error"] is None for one in metrics["fits"].values())


def test_curves_without_a_minimum_are_refused():
    scale = Scale((8.26, 16.52), 11.8, 10.0, -3.5)
    basis = Basis(solid().basis(SETTINGS).features, scale)
    falling = smoothed(basis, Rows(basis.design(V11)[0], torch.as_tensor(-0.1 * (V11 - 11.8))))
    with pytest.raises(BadInput, match="has no minimum"):
        falling.equilibrium(11.8)
