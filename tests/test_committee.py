"""The task `committee` as a whole: mean, spread, bands, and what truths say of them."""

import json
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from helpers import laplace
from runs import FILES, REACTION, grid, left_in
from torch import nn

from pinnkit import Condition, Problem, Rectangle, Solution, catalogue, dirichlet, laplacian, load, measured, pde, solve
from pinnkit.calibration import quantile
from pinnkit.committee import check_committee
from pinnkit.errors import BadInput
from pinnkit.evaluation import relative_l2
from pinnkit.members import member, unseen
from pinnkit.result import Committee, Result
from pinnkit.settings import Committee as Task

SMALL: dict[str, Any] = {
    "sampling": {"interior": 200, "boundary": 80, "corner": 0},
    "network": {"layers": [8], "polynomials": 30, "corners": False},
    "optimizer": "least_squares",
    "evaluation": {"points": 2000},
}
NARROW = {**SMALL, "network": {"layers": [8], "polynomials": 6, "corners": False}}  # members that do not agree
BLIND: dict[str, Any] = {"reference": {"kind": "none"}}


def task(**more: Any) -> dict[str, Any]:
    return {"name": "committee", "members": 4, "workers": 1, **more}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> tuple[Result, Path]:
    """Sensors in the left half, an edge of which nothing is known."""
    folder = tmp_path_factory.mktemp("run")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("pinnkit.plotting.save_plots", lambda result, folder: None)
        return solve("hidden_edge", problem={"half": True}, task=task(), folder=folder, **SMALL), folder


def truth(points: np.ndarray, half: bool = True) -> np.ndarray:
    exact = catalogue.load("hidden_edge").build(half=half).exact
    return exact(*torch.from_numpy(points.T)).numpy()[:, None]


# --- mean, spread, bands ----------------------------------------------------------------------------------------------


def test_the_answer_is_the_mean_and_the_spread_that_of_the_members(run: tuple[Result, Path]) -> None:
    result = run[0]
    committee = result.solution
    values = np.stack([one.predict(grid()) for one in committee.members])
    assert isinstance(committee, Committee) and values.shape == (4, 81, 1)
    np.testing.assert_array_equal(result.predict(grid()), sum(values) / 4)
    off = values - result.predict(grid())
    np.testing.assert_allclose(committee.spread(grid()), np.sqrt((off**2).sum(0) / 3), rtol=1e-12)
    error = relative_l2(result.predict(grid(40)), truth(grid(40)))
    assert result.metrics["relative_l2"] == pytest.approx(error, rel=0.1)


def test_bands_cover_the_truth_as_often_as_asked(run: tuple[Result, Path]) -> None:
    """On points of no other use, at the level of the calibration and at others."""
    committee = run[0].solution
    points = np.random.default_rng(9).uniform(0, 1, (4000, 2))
    for level in (0.5, 0.8, 0.95):
        lower, upper = committee.band(points, level)
        assert lower.shape == upper.shape == (4000, 1)
        inside = ((lower <= truth(points)) & (truth(points) <= upper)).mean()
        assert inside == pytest.approx(level, abs=4 * math.sqrt(level * (1 - level) / 2000))
        np.testing.assert_allclose((lower + upper) / 2, committee.predict(points), rtol=1e-10)


def test_without_truths_bands_are_students(run: tuple[Result, Path]) -> None:
    raw = replace(run[0].solution, calibrations=())
    lower, upper = raw.band(grid(), 0.9)
    factor = 2.3533634348 * math.sqrt(5 / 4)  # Student's for three degrees of freedom, and one more member
    np.testing.assert_allclose((upper - lower) / 2, factor * raw.spread(grid()), rtol=1e-8)


@pytest.mark.parametrize("level", [0.0, 1.0, 1.5])
def test_bands_of_no_level_are_refused(run: tuple[Result, Path], level: float) -> None:
    for committee in (run[0].solution, replace(run[0].solution, calibrations=())):
        with pytest.raises(BadInput, match="level: it is"):
            committee.band(grid(), level)


def test_points_of_another_shape_are_refused(run: tuple[Result, Path]) -> None:
    for call in (run[0].predict, run[0].solution.spread, run[0].solution.band):
        with pytest.raises(BadInput, match=r"points: shape \(3,\); give \(n, 2\)"):
            call(np.zeros(3))


def test_the_spread_tells_where_sensors_are_not(run: tuple[Result, Path]) -> None:
    """Far from them and from the walls, in the upper right, against among them, in the lower left."""
    near, far = 0.4 * grid(), 1 - 0.4 * grid() * (1, 0.5)
    assert run[0].solution.spread(far).mean() > 10 * run[0].solution.spread(near).mean()


def test_errors_are_where_the_spread_is() -> None:
    """Everything at its default, but for six members."""
    metrics = solve("hidden_edge", problem={"half": True}, task=task(members=6)).metrics
    assert metrics["rank_correlation"] >= 0.8
    assert metrics["coverage"]["calibrated"] == pytest.approx(0.95, abs=0.02)
    assert metrics["mean_width"] < 0.5 * metrics["plain_width"]


# --- what is told of it -----------------------------------------------------------------------------------------------


def test_metrics_have_the_documented_keys(run: tuple[Result, Path]) -> None:
    result, folder = run
    metrics = json.loads((folder / "metrics.json").read_text())
    assert metrics == result.metrics
    solved = {
        "schema", "problem", "task", "optimizer", "seed", "device", "dtype", "parameters", "points", "relative_l2",
        "max_error", "fields", "reference", "seconds", "stop_reason", "verdict",
    }  # fmt: skip
    own = {
        "coverage", "mean_width", "plain_width", "rank_correlation", "calibration", "held_out", "next_points",
        "members", "bayesian_head", "bound",
    }  # fmt: skip
    assert metrics.keys() == solved | own
    assert metrics["coverage"].keys() == {"nominal", "raw", "calibrated"} and metrics["coverage"]["nominal"] == 0.95
    assert (metrics["task"], metrics["calibration"], metrics["held_out"]) == ("committee", "reference", 2000)
    assert metrics["bayesian_head"].keys() == {"relative_l2", "coverage", "mean_width", "rank_correlation"}
    keys = {"seed", "loss", "from_mean", "relative_l2", "seconds"}
    assert [row.keys() for row in metrics["members"]] == [keys] * 4
    assert metrics["optimizer"] == "least_squares"


def test_figures_are_those_of_fresh_points(run: tuple[Result, Path]) -> None:
    """Of those on which errors are measured, which did not calibrate."""
    result = run[0]
    committee, judgement, metrics = result.solution, result.judgement, result.metrics
    points = result.problem.domain.sample(2000, "uniform", np.random.default_rng([0, 1, 0]))
    assert len(judgement.used) == 2000 and not np.isin(points, judgement.used).any()
    errors, spreads = np.abs(committee.predict(points) - truth(points)), committee.spread(points)
    lower, upper = committee.band(points)
    assert metrics["coverage"]["calibrated"] == (errors <= (upper - lower) / 2).mean()
    assert metrics["mean_width"] == pytest.approx((upper - lower).mean(), rel=1e-12)
    lower, upper = replace(committee, calibrations=()).band(points)
    assert metrics["coverage"]["raw"] == (errors <= (upper - lower) / 2).mean()
    ranks = [np.argsort(np.argsort(a[:, 0])) for a in (errors, spreads)]
    assert metrics["rank_correlation"] == pytest.approx(np.corrcoef(ranks)[0, 1], rel=1e-9)
    of_used = np.abs(committee.predict(judgement.used) - truth(judgement.used))
    assert metrics["plain_width"] == pytest.approx(2 * quantile(of_used[:, 0], 0.95), rel=1e-12)
    curve = judgement.reliability
    assert curve.calibrated[-1] == metrics["coverage"]["calibrated"] and curve.levels[-1] == pytest.approx(0.95)


def test_members_are_told_with_their_errors(run: tuple[Result, Path]) -> None:
    committee, problem = run[0].solution, run[0].problem
    points = problem.domain.sample(2000, "uniform", np.random.default_rng([0, 1, 1]))
    for row, one in zip(run[0].metrics["members"], committee.members, strict=True):
        assert row["seed"] == one.settings.seed and row["loss"] == one.history[-1]["loss"]
        assert row["relative_l2"] == pytest.approx(relative_l2(one.predict(points), truth(points)), rel=1e-9)
        expected = relative_l2(one.predict(points), committee.predict(points))
        assert row["from_mean"] == pytest.approx(expected, rel=1e-9)


def test_residuals_are_the_root_mean_square_of_the_members(run: tuple[Result, Path]) -> None:
    result = run[0]
    each = [replace(result, solution=one).residuals(grid())["heat"] for one in result.solution.members]
    found = result.residuals(grid())
    assert found.keys() == {"heat"} and found["heat"].shape == (81,)
    np.testing.assert_allclose(found["heat"], np.sqrt(np.mean(np.square(each), 0)), rtol=1e-10)


def test_next_points_are_inside_and_as_many_as_asked(run: tuple[Result, Path]) -> None:
    points = np.array(run[0].metrics["next_points"])
    assert points.shape == (5, 2) and run[0].problem.domain.contains(points).all()
    spread = run[0].solution.spread(points[:1])
    assert spread >= 0.999 * run[0].solution.spread(grid(30)).max()


# --- folders ----------------------------------------------------------------------------------------------------------


def test_a_run_leaves_its_files_and_those_of_its_members(run: tuple[Result, Path]) -> None:
    files = left_in(run[1])
    assert files >= {name for name in FILES if not name.startswith("plots/")}
    assert files >= {f"members/00{n}/checkpoints/last.pt" for n in range(4)} | {"members/settings.json"}
    assert json.loads((run[1] / "status.json").read_text()) == {"status": "done", "error": None}


def same(one: Solution, other: Solution | Result) -> bool:
    return np.array_equal(one.predict(grid()), other.predict(grid()))


def test_what_is_loaded_is_what_was_found(run: tuple[Result, Path]) -> None:
    result, folder = run
    for path in (folder, folder / "checkpoints" / "last.pt"):
        again = load(path)
        assert isinstance(again, Committee) and len(again.members) == 4
        assert same(again, result) and again.metrics == result.metrics and again.settings == result.settings
        assert np.array_equal(again.spread(grid()), result.solution.spread(grid()))
        for level in (0.3, 0.95):
            assert np.array_equal(again.band(grid(), level), result.solution.band(grid(), level))
    assert same(load(folder / "members" / "002"), result.solution.members[2])


def test_what_was_chosen_automatically_is_loaded_as_well(tmp_path: Path, no_figures) -> None:
    result = solve("poisson_square", task=task(members=2), folder=tmp_path / "run")
    assert same(load(tmp_path / "run"), result) and result.metrics["relative_l2"] < 1e-11
    assert result.settings.network.polynomials and result.metrics["optimizer"] == "least_squares"


def test_a_finished_committee_is_not_trained_again(run: tuple[Result, Path], no_figures, monkeypatch) -> None:
    def refuse(*_: Any) -> None:
        raise AssertionError("a member was trained again")

    monkeypatch.setattr("pinnkit.members.trained", refuse)
    told = {"problem": {"half": True}, "folder": run[1], "resume": "auto", **SMALL}
    assert same(solve("hidden_edge", task=task(), **told).solution, run[0])
    other = solve("hidden_edge", task=task(level=0.5), **told)
    assert same(other.solution, run[0]) and other.metrics["mean_width"] < run[0].metrics["mean_width"]
    solve("hidden_edge", task=task(), **told)  # the folder as it was


def test_the_same_seed_gives_the_same_bits_and_another_another_answer(run: tuple[Result, Path]) -> None:
    told = {"problem": {"half": True}, "task": task(), **SMALL}
    again, other = (solve("hidden_edge", seed=seed, **told) for seed in (0, 1))
    assert same(again.solution, run[0]) and not same(other.solution, run[0])
    timed = {"seconds", "members"}
    assert {k: v for k, v in again.metrics.items() if k not in timed} == {
        k: v for k, v in run[0].metrics.items() if k not in timed
    }
    seeds = {one.settings.seed for result in (again, other) for one in result.solution.members}
    assert len(seeds) == 8


def test_python_leaves_nothing_without_a_folder(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    solve("poisson_square", task=task(members=2), **SMALL)
    assert not list(tmp_path.iterdir())


# --- problems ---------------------------------------------------------------------------------------------------------


def test_a_problem_by_name_by_object_and_by_file_is_the_same(run: tuple[Result, Path], tmp_path: Path) -> None:
    by_object = solve(catalogue.load("hidden_edge").build(half=True), task=task(workers=2), **SMALL)
    assert same(by_object.solution, run[0])
    (tmp_path / "mine.py").write_text(REACTION)
    own = solve(str(tmp_path / "mine.py"), problem={"k": 2.0}, task=task(members=2), **SMALL)
    assert own.metrics["problem"] == "mine" and own.metrics["relative_l2"] < 0.01


def test_a_transient_problem() -> None:
    metrics = solve("heat_rod", task=task(), **SMALL).metrics
    assert metrics["relative_l2"] < 0.1 and "bayesian_head" not in metrics
    assert metrics["coverage"]["calibrated"] == pytest.approx(0.95, abs=0.03)
    assert np.array(metrics["next_points"]).shape[1] == 2


def two_fields(**more: Any) -> Problem:
    """Harmonic u = xy and v = 1000 exp(x) cos(y), of which the data are on v alone."""

    def exact(x, y):
        return x * y, 1000 * torch.exp(x) * torch.cos(y)

    conditions = {
        "u": pde(lambda u, x, y: -laplacian(u, x, y)),
        "v": pde(lambda v, x, y: -laplacian(v, x, y)),
        "wall": dirichlet("boundary", lambda x, y: x * y),
        "other": dirichlet("boundary", lambda x, y: exact(x, y)[1], field="v"),
    }
    return Problem(Rectangle(), {**conditions, **more}, fields=("u", "v"), exact=exact)


def test_several_fields_have_bands_each() -> None:
    result = solve(two_fields(), task=task(), **NARROW)
    committee = result.solution
    points = np.random.default_rng(1).uniform(0, 1, (3000, 2))
    lower, upper = committee.band(points)
    known = np.stack(two_fields().exact(*torch.from_numpy(points.T)), 1)
    inside = ((lower <= known) & (known <= upper)).mean(0)
    assert inside.shape == (2,) and inside == pytest.approx([0.95, 0.95], abs=0.03)
    assert len(committee.calibrations) == 2 and (upper - lower)[:, 1].mean() > 10 * (upper - lower)[:, 0].mean()


def test_each_member_has_its_unknowns_and_their_spread_is_that_of_the_answer() -> None:
    result = solve("inverse_heat", task=task(), **SMALL)
    found = result.metrics["unknowns"]["k"]
    values = [row["k"] for row in result.metrics["members"]]
    assert len(set(values)) == 4 and values == [one.unknowns["k"] for one in result.solution.members]
    assert found["value"] == pytest.approx(np.mean(values)) and found["true"] == 2.5
    assert found["relative_deviation"] == pytest.approx(np.std(values, ddof=1) / np.mean(values))
    assert result.unknowns == {"k": found["value"]} and found["value"] == pytest.approx(2.5, rel=0.02)


# --- truths -----------------------------------------------------------------------------------------------------------


def test_sensors_that_members_have_not_seen_calibrate() -> None:
    """Scores are |mean of those members − measured value| over their spread and the floor."""
    told = task(members=8, calibration="data", level=0.5)
    result = solve("hidden_edge", problem={"noise": 0.05}, task=told, **BLIND, **SMALL)
    problem, committee, (calibration,) = result.problem, result.solution, result.solution.calibrations
    sensors, out = problem.conditions["sensors"], unseen(problem, result.settings, "sensors")
    used = out.sum(0) >= 2
    scores = []
    for k in np.flatnonzero(used):
        theirs = np.array([one.predict(sensors.points[k : k + 1])[0, 0] for one, left in
                           zip(committee.members, out[:, k], strict=True) if left])  # fmt: skip
        off = abs(theirs.mean() - sensors.values["measured"][k])
        scores.append(off / (theirs.std(ddof=1) + calibration.floor))
    np.testing.assert_allclose(calibration.scores, np.sort(scores), rtol=1e-8)
    assert result.metrics["calibration"] == "data" and result.metrics["held_out"] == used.sum() > 10
    assert set(map(tuple, result.judgement.used)) == set(map(tuple, sensors.points[used]))
    assert result.metrics["coverage"] == {"nominal": 0.5, "raw": None, "calibrated": None}
    assert result.metrics["relative_l2"] is None and result.metrics["mean_width"] > 0
    assert {row["relative_l2"] for row in result.metrics["members"]} == {None}


def test_bands_from_sensors_cover_other_sensors() -> None:
    """They are noisy as those were: over several draws of them, about as often as asked."""
    shares = []
    for seed in range(4):
        told = task(members=10, calibration="data", level=0.8)
        result = solve("hidden_edge", problem={"sensors": 60, "noise": 0.1, "noise_seed": seed}, task=told, **SMALL)
        fresh = catalogue.load("hidden_edge").build(sensors=400, noise=0.1, noise_seed=seed + 100).conditions["sensors"]
        lower, upper = result.solution.band(fresh.points, 0.8)
        shares.append(np.mean((lower[:, 0] <= fresh.values["measured"]) & (fresh.values["measured"] <= upper[:, 0])))
    assert np.mean(shares) == pytest.approx(0.8, abs=0.1)


def test_data_of_another_field_calibrate_by_that_field() -> None:
    points = np.random.default_rng(0).uniform(0, 1, (40, 2))
    values = two_fields().exact(*torch.from_numpy(points.T))[1].numpy()
    problem = two_fields(data=measured(points, values, field="v"))
    result = solve(problem, task=task(members=6, calibration="data", level=0.5), **NARROW)
    calibration, committee = result.solution.calibrations[1], result.solution
    out = unseen(problem, result.settings, "data")
    k = int(out.sum(0).argmax())
    theirs = np.array([one.predict(points[k : k + 1])[0, 1] for one in committee.members])[out[:, k]]
    score = abs(theirs.mean() - values[k]) / (theirs.std(ddof=1) + calibration.floor)
    assert np.abs(calibration.scores / score - 1).min() < 1e-6


def test_with_few_sensors_bands_that_are_sure_are_infinite() -> None:
    result = solve("hidden_edge", problem={"sensors": 8}, task=task(members=8, calibration="data"), **BLIND, **SMALL)
    assert result.metrics["mean_width"] is None and json.loads(json.dumps(result.metrics)) == result.metrics
    assert np.isinf(result.solution.band(grid())[1]).all()
    assert np.isfinite(result.solution.band(grid(), 0.5)[1]).all()


@pytest.mark.parametrize(
    ("told", "more", "kind"),
    [
        ({}, {}, "reference"),
        ({"members": 8}, BLIND, "data"),
        ({"bootstrap": False}, BLIND, "none"),
        ({"calibration": "none"}, {}, "none"),
    ],
)
def test_truths_are_those_that_there_are(told: dict[str, Any], more: dict[str, Any], kind: str) -> None:
    result = solve("hidden_edge", task=task(**told), **more, **SMALL)
    assert result.metrics["calibration"] == kind and bool(result.solution.calibrations) is (kind != "none")
    assert (result.metrics["coverage"]["raw"] is None) is bool(more)
    assert (result.metrics["coverage"]["calibrated"] is None) is (kind == "none" or bool(more))


def test_where_no_sensor_is_left_out_nothing_calibrates() -> None:
    told = {"problem": {"sensors": 1}, **BLIND, **SMALL}
    assert solve("hidden_edge", task=task(members=2), **told).metrics["calibration"] == "none"
    with pytest.raises(BadInput, match=r"task\.calibration: no sensor was left out .*; take more members"):
        solve("hidden_edge", task=task(members=2, calibration="data"), **told)


def test_residuals_of_ones_own_on_data_are_no_truths() -> None:
    """What they measure is not known: they are drawn anew for each member, and that is all."""
    points = np.random.default_rng(0).uniform(0, 1, (15, 2))
    own = Condition(lambda u, mine: u - mine, "data", points=points, values={"mine": points.prod(1)})
    conditions = {
        "laplace": pde(lambda u, x, y: -laplacian(u, x, y)),
        "wall": dirichlet(("left", "right", "top"), lambda x, y: x * y),
        "data": own,
    }
    problem = Problem(Rectangle(), conditions, free=("bottom",))
    result = solve(problem, task=task(), **BLIND, **SMALL)
    assert result.metrics["calibration"] == "none"
    assert relative_l2(result.predict(grid()), grid().prod(1)[:, None]) < 0.02


# --- what is refused --------------------------------------------------------------------------------------------------


def untrained(*_: Any, **__: Any) -> None:
    raise AssertionError("a member was trained")


@pytest.mark.parametrize(
    ("problem", "told", "more", "words"),
    [
        ("membrane_lshape", {"calibration": "reference"}, {}, ["task.calibration: there is no reference"]),
        ("poisson_square", {}, {"features": nn.Linear(2, 5).double()}, ["features: ", "leave them out"]),
        ("poisson_square", {"calibration": "data"}, {}, ["task.calibration: ", "no measured data"]),
        ("hidden_edge", {"calibration": "data", "bootstrap": False}, {}, ["task.calibration: ", "task.bootstrap=true"]),
        ("hidden_edge", {"calibration": "reference"}, BLIND, ["task.calibration: there is no reference", "auto"]),
        ("hidden_edge", {"members": 1}, {}, ["task.members: it must be >= 2"]),
        ("hidden_edge", {"level": 1.0}, {}, ["task.level: it is 1; it must be between 0 and 1"]),
        ("hidden_edge", {"level": 0.0}, {}, ["task.level: it is 0"]),
        ("hidden_edge", {"member": 3}, {}, ["task.member: ", "did you mean task.members"]),
    ],
)
def test_what_makes_no_sense_is_refused_before_anything_is_trained(
    problem: str, told: dict[str, Any], more: dict[str, Any], words: list[str], monkeypatch
) -> None:
    monkeypatch.setattr("pinnkit.members.trained", untrained)
    with pytest.raises(BadInput) as refused:
        solve(problem, task=task(**told), **more, **SMALL)
    assert all(word in str(refused.value) for word in words), refused.value


def test_what_makes_sense_is_not_refused() -> None:
    sensors = catalogue.load("hidden_edge").build()
    check: Callable[..., None] = check_committee
    for kind in ("auto", "reference", "data", "none"):
        check(sensors, Task(calibration=kind))
    check(laplace(), Task(bootstrap=False))
    assert member(sensors, solve("hidden_edge", task=task(members=2), **SMALL).settings, 0)[1].task.name == "solve"
