"""Results: what they predict, and that a kept solution is the same without the problem it came from."""

from dataclasses import replace
from math import pi
from pathlib import Path

import numpy as np
import pytest
import torch
from runs import REACTION, SMALL, grid
from torch import nn, sin

from pinnkit import (
    Interval,
    Problem,
    Rectangle,
    Unknown,
    dirichlet,
    div,
    grad,
    initial,
    laplacian,
    load,
    measured,
    pde,
    solve,
)
from pinnkit.checkpoint import read, write
from pinnkit.errors import BadInput, CheckpointUnusable
from pinnkit.result import CHUNK, Result


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> tuple[Result, Path]:
    """Heat in the L-shape, with corner functions, and the folder it was left in."""
    folder = tmp_path_factory.mktemp("run")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("pinnkit.plotting.save_plots", lambda result, folder: None)
        small = {**SMALL, "network": {"layers": [24], "polynomials": 0}}
        return solve("heat_lshape", folder=folder, **small), folder


# --- predicting -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("points", [[0.5, 0.5], [[0.5]], [[0.5, 0.5, 0.5]], 0.5, [], np.zeros((1, 2, 2))])
def test_points_of_another_shape_are_refused(run, points):
    with pytest.raises(BadInput, match=r"points: shape .*; give \(n, 2\): columns x, y"):
        run[0].predict(points)


def test_points_that_are_no_numbers_are_refused(run):
    with pytest.raises((BadInput, ValueError)):
        run[0].predict([["a", "b"]])


def test_any_number_of_points_is_taken(run):
    points = np.random.default_rng(0).random((CHUNK + 3, 2))
    values = run[0].predict(points)
    assert values.shape == (CHUNK + 3, 1) and values.dtype == np.float64
    assert np.allclose(values[-3:], run[0].predict(points[-3:]), rtol=1e-12)
    assert run[0].predict(np.zeros((0, 2))).shape == (0, 1)
    assert run[0].predict([(0.25, 0.5)]).shape == (1, 1)


def test_predictions_agree_with_the_reference(run):
    result, _ = run
    points = result.problem.domain.sample(500, "uniform", np.random.default_rng(1))
    assert np.abs(result.predict(points) - result.reference.value(points)).max() < 0.05  # of 60 °C


def test_residuals_are_those_of_the_interior(run):
    points = run[0].problem.domain.sample(50, "uniform", np.random.default_rng(1))
    residuals = run[0].residuals(points)
    assert residuals.keys() == {"heat"} and residuals["heat"].shape == (50,)


def test_the_residual_is_that_of_the_equation():
    """−Δu − 1 of a solution that is hardly trained, by central differences."""
    domain = Rectangle((0, 0), (1, 1))

    def poisson(u, x, y):
        return -laplacian(u, x, y) - 1

    problem = Problem(domain, {"poisson": pde(poisson), "wall": dirichlet("boundary")}, exact=lambda x, y: 0 * x)
    result = solve(problem, **{**SMALL, "network": {"layers": [5], "polynomials": 0, "corners": False}})
    points, h = grid(4), 1e-4
    steps = h * np.array([(1, 0), (-1, 0), (0, 1), (0, -1)])
    around = sum(result.predict(points + step) for step in steps) - 4 * result.predict(points)
    found = result.residuals(points)["poisson"]
    assert np.abs(found).max() > 1e-3
    assert found == pytest.approx((-around / h**2 - 1)[:, 0], abs=1e-5)


# --- keeping and loading ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", [".", "checkpoints/last.pt"])
def test_what_is_loaded_predicts_the_same_bits(run, path):
    result, folder = run
    loaded = load(folder / path)
    points = np.random.default_rng(2).uniform(-1, 1, (300, 2))
    assert np.array_equal(loaded.predict(points), result.predict(points))
    assert dict(loaded.metrics) == dict(result.metrics)
    assert list(loaded.history) == list(result.history)
    assert loaded.settings == result.settings
    assert (loaded.coordinates, loaded.fields) == (("x", "y"), ("u",))


def test_the_problem_file_is_not_needed_any_more(tmp_path, no_figures):
    file = tmp_path / "mine.py"
    file.write_text(REACTION)
    result = solve(str(file), folder=tmp_path / "run", **SMALL)
    file.unlink()
    assert np.array_equal(load(str(tmp_path / "run")).predict(grid()), result.predict(grid()))


@pytest.mark.parametrize(
    "network", [{"name": "fourier", "layers": [16], "frequencies": 8}, {"layers": [8, 8], "polynomials": 9}]
)
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_every_kind_of_network_is_kept(tmp_path, no_figures, network, dtype):
    more = {**SMALL, "network": network, "training": {"max_steps": 2}, "dtype": dtype}
    result = solve("poisson_square", folder=tmp_path, **more)
    assert np.array_equal(load(tmp_path).predict(grid()), result.predict(grid()))


def own_features() -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return nn.Sequential(nn.Linear(2, 12), nn.Tanh(), nn.Linear(12, 12), nn.Tanh()).double()


@pytest.mark.parametrize(("optimizer", "steps"), [("gauss_newton", 12), ("adam", 60)])
def test_features_of_ones_own_are_trained_and_kept(tmp_path, no_figures, optimizer, steps):
    small = {**SMALL, "sampling": {"interior": 80, "boundary": 40}}
    chosen = {**small, "optimizer": optimizer, "training": {"max_steps": steps}}
    start = [p.detach().clone() for p in own_features().parameters()]
    features = own_features()
    result = solve("poisson_square", features=features, folder=tmp_path, **chosen)
    assert result.metrics["relative_l2"] < 0.5
    assert all(not torch.equal(p, q) for p, q in zip(features.parameters(), start, strict=True))
    loaded = load(tmp_path, features=own_features())
    assert np.array_equal(loaded.predict(grid()), result.predict(grid()))
    with pytest.raises(CheckpointUnusable):
        load(tmp_path)


def test_numbers_of_numpy_do_not_spoil_a_checkpoint(tmp_path, no_figures):
    def heat(u, x, k):
        return -div(k * grad(u, x), x) - pi**2 * sin(pi * x)

    points = np.linspace(0.1, 0.9, 9)[:, None]
    problem = Problem(
        Interval(0, 1),
        {"heat": pde(heat), "ends": dirichlet("boundary"), "data": measured(points, np.sin(pi * points[:, 0]) / 2)},
        unknowns={"k": Unknown(initial=np.float64(1.0), true=np.float64(2.0))},
        exact=lambda x: sin(pi * x) / 2,
    )
    result = solve(problem, folder=tmp_path, training={"max_steps": 10}, **{**SMALL, "optimizer": "gauss_newton"})
    assert result.unknowns["k"] == pytest.approx(2.0, rel=1e-2)
    assert load(tmp_path).unknowns == result.unknowns


def test_parameters_from_numpy_do_not_spoil_a_checkpoint(tmp_path, no_figures):
    (tmp_path / "mine.py").write_text(REACTION)
    result = solve(str(tmp_path / "mine.py"), problem={"k": np.float64(2.0)}, folder=tmp_path / "run", **SMALL)
    assert load(tmp_path / "run").settings == result.settings


@pytest.mark.parametrize("spoil", ["solution", "shape", "network", "settings", "enrichment"])
def test_a_checkpoint_that_lacks_a_part_is_refused(run, tmp_path, spoil):
    content = read(run[1])
    if spoil == "solution":
        del content["solution"]
    else:
        del content["solution"][spoil]
    write(tmp_path / "a.pt", content)
    with pytest.raises(CheckpointUnusable):
        load(tmp_path / "a.pt")


def test_a_checkpoint_whose_parts_do_not_fit_is_refused(run, tmp_path):
    content = read(run[1])
    content["solution"]["settings"]["network"]["layers"] = [7]
    write(tmp_path / "a.pt", content)
    with pytest.raises(CheckpointUnusable, match="does not fit together") as refusal:
        load(tmp_path / "a.pt")
    assert "\n" not in str(refusal.value)


def test_a_checkpoint_with_settings_of_another_version_is_refused(run, tmp_path):
    content = read(run[1])
    content["solution"]["settings"]["gone"] = 3
    write(tmp_path / "a.pt", content)
    with pytest.raises(CheckpointUnusable):
        load(tmp_path / "a.pt")


def test_what_is_no_checkpoint_is_refused(tmp_path):
    with pytest.raises(CheckpointUnusable, match=r"nosuch\.pt: No such file"):
        load(tmp_path / "nosuch.pt")


# --- tolerance --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("asked", "reached", "verdict", "missed"),
    [
        (None, 1.0, "untrusted: far", False),
        (1e-3, 1e-4, "trusted", False),
        (1e-3, 1e-2, "untrusted: far", True),
        (1e-3, None, "untrusted: no reference", True),
    ],
)
def test_a_tolerance_is_missed_unless_shown_to_be_reached(run, asked, reached, verdict, missed):
    result, _ = run
    metrics = {**result.metrics, "relative_l2": reached, "verdict": verdict}
    settings = replace(result.settings, tolerance=asked)
    solution = replace(result.solution, metrics=metrics, settings=settings)
    assert replace(result, solution=solution).missed_tolerance is missed


def test_figures_are_drawn_on_demand(run, tmp_path):
    run[0].plot(tmp_path)
    assert {path.stem for path in (tmp_path / "plots").iterdir()} >= {"solution", "error", "residual", "loss", "points"}


def test_a_solution_in_time_is_a_function_of_space_and_time():
    def heat(u, x, t):
        return grad(u, t)[0] - laplacian(u, x)

    conditions = {"heat": pde(heat), "start": initial(1.0), "ends": dirichlet("boundary", 1.0)}
    problem = Problem(Interval(0, 1) * (0, 1), conditions)
    network = {"layers": [10], "polynomials": 0, "corners": False}
    result = solve(problem, reference={"kind": "none"}, **{**SMALL, "network": network})
    assert result.predict([[0.3, 0.7]]) == pytest.approx(np.ones((1, 1)), abs=1e-6)
    with pytest.raises(BadInput, match="columns x, t"):
        result.predict([[0.3]])
