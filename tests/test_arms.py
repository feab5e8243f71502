"""The arms of a transfer: what each is given, that all else is the same, and what is concluded from them."""

import json
import logging
from copy import deepcopy
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers import laplace
from runs import PRETRAIN, TINY, grid

from pinnkit import dirichlet, load, neumann, solve, transfer
from pinnkit.arms import NAMES, Arm, Transferred, check_transfer
from pinnkit.errors import BadInput
from pinnkit.evaluation import relative_l2
from pinnkit.reference.derived import Exact
from pinnkit.result import Result, Solution
from pinnkit.sensors import Sensors
from pinnkit.settings import Transfer
from pinnkit.solving import monitored

SOLVED = {**TINY, "optimizer": "least_squares", "network": {"layers": [60], "polynomials": 0, "corners": False}}


@pytest.fixture(scope="module")
def harmonic() -> Solution:
    """Features for Laplace's equation."""
    task = {"name": "pretrain", "polynomials": 100, "features": 40, "heads": 80, "frequency": 4.0}
    return solve(laplace(), task=task, **TINY).solution


@pytest.fixture(scope="module")
def compared() -> Result:
    source = solve("poisson_square", task=PRETRAIN, **TINY)
    return transfer(source, "poisson_square", task={"sensors": 10}, **TINY)


# --- all arms ---------------------------------------------------------------------------------------------------------


def test_there_are_six_arms_and_metrics_of_each(compared: Result) -> None:
    arms, metrics = compared.transferred.arms, compared.metrics
    assert arms.keys() == set(NAMES) and len(NAMES) == 6
    assert list(metrics["arms"]) == list(NAMES)
    for name, figures in metrics["arms"].items():
        assert figures.keys() == {"relative_l2", "seconds", "seconds_to_target"}
        assert figures["relative_l2"] == arms[name].relative_l2
        assert 0 < figures["seconds"] < 60
    assert metrics["source"] == "a solution" and metrics["task"] == "transfer"
    assert json.loads(json.dumps(metrics)) == metrics


def test_each_arm_is_given_what_its_name_says(compared: Result) -> None:
    arms = {name: arm.training for name, arm in compared.transferred.arms.items() if arm.training}
    conditions = {name: set(training.problem.conditions) for name, training in arms.items()}
    physics, data = {"poisson", "wall"}, {"data"}
    assert conditions == {
        "from_scratch": physics | data, "data_only": data, "physics_only": physics,
        "data_physics": physics | data, "one_shot": physics | data,
    }  # fmt: skip


def test_all_arms_have_the_same_points_scales_and_budget(compared: Result) -> None:
    arms = compared.transferred.arms
    scratch = arms["from_scratch"].training
    for arm in arms.values():
        if arm.training is None:
            continue
        assert arm.training.settings.training == scratch.settings.training
        assert arm.training.settings.seed == scratch.settings.seed
        residuals, like = arm.training.assembly.residuals, scratch.assembly.residuals
        for name, points in residuals.collocation.items():
            assert np.array_equal(points.points, like.collocation[name].points)
            assert torch.equal(residuals.scales[name], like.scales[name])
        assert torch.equal(residuals.trial.offset, like.trial.offset)
        assert torch.equal(residuals.trial.amplitude, like.trial.amplitude)


def test_the_error_of_an_arm_is_that_of_its_prediction(compared: Result) -> None:
    arms = compared.transferred.arms
    points = monitored(arms["from_scratch"].training)
    truth = compared.reference.value(points)
    for arm in arms.values():
        assert arm.relative_l2 == pytest.approx(relative_l2(arm.predict(points), truth), rel=1e-8)


def test_histories_begin_anew_and_end_with_the_error(compared: Result) -> None:
    for arm in compared.transferred.arms.values():
        if arm.training is None:
            assert arm.history == []
            continue
        steps, seconds = ([row[key] for row in arm.history] for key in ("step", "seconds"))
        assert steps == list(range(len(steps))) and seconds == sorted(seconds)
        assert arm.history[-1]["relative_l2"] == arm.relative_l2 and arm.history[-1]["seconds"] == arm.seconds


def test_the_answer_is_that_of_full_transfer(compared: Result) -> None:
    main = compared.transferred.arms["data_physics"]
    assert compared.transferred.main is main and compared.history == main.history
    assert np.array_equal(compared.predict(grid()), main.predict(grid()))
    assert compared.problem.conditions.keys() == {"poisson", "wall"}


def test_the_source_unchanged_is_the_source(compared: Result) -> None:
    transferred = compared.transferred
    unchanged = transferred.arms["source_unchanged"]
    assert np.array_equal(unchanged.predict(grid()), transferred.source.solution.predict(grid()))
    assert unchanged.training is None and transferred.inputs == 1.0
    assert transferred.shift.keys() == {"poisson", "wall"} and min(transferred.shift.values()) > 0


def test_one_shot_moves_the_head_alone(compared: Result) -> None:
    transferred = compared.transferred
    features = transferred.arms["one_shot"].training.assembly.trial.features.state_dict()
    theirs = transferred.source.solution.trial.features.state_dict()
    assert features.keys() == theirs.keys()
    assert all(torch.equal(value, theirs[key]) for key, value in features.items())
    full = transferred.arms["data_physics"].training.assembly.trial.features.state_dict()
    assert any(not torch.equal(value, theirs[key]) for key, value in full.items())
    assert transferred.arms["one_shot"].training.stop_reason == "head solved"


def test_the_source_is_not_changed() -> None:
    source = solve("poisson_square", **TINY)
    before = deepcopy(source.solution.trial.state_dict())
    for strategy in ("full", "head"):
        transfer(source, "poisson_square", strategy=strategy, task={"sensors": 0}, **TINY)
    after = source.solution.trial.state_dict()
    assert before.keys() == after.keys() and all(torch.equal(before[key], after[key]) for key in before)
    assert len(list(source.solution.trial.features.parameters())) == 2


def test_from_scratch_is_what_solving_gives() -> None:
    """The same network, points, optimizer and number of steps, when there are no data."""
    solved = solve("poisson_square", **{**TINY, "optimizer": "gauss_newton"})
    result = transfer(solved, "poisson_square", strategy="head", task={"sensors": 0}, **TINY)
    scratch = result.transferred.arms["from_scratch"]
    np.testing.assert_allclose(scratch.predict(grid()), solved.predict(grid()), rtol=0, atol=1e-12)


def test_without_data_the_arms_with_data_are_empty() -> None:
    source = solve("poisson_square", **TINY)
    result = transfer(source, "poisson_square", strategy="head", task={"sensors": 0}, **TINY)
    nothing = {"relative_l2": None, "seconds": None, "seconds_to_target": None}
    assert result.metrics["arms"]["data_only"] == result.metrics["arms"]["data_physics"] == nothing
    assert result.transferred.sensors is None and result.transferred.main.name == "physics_only"
    assert set(NAMES) - result.transferred.arms.keys() == {"data_only", "data_physics"}
    assert json.loads(json.dumps(result.metrics)) == result.metrics


def test_without_a_reference_errors_are_unknown_and_residuals_decide() -> None:
    source = solve("poisson_square", **TINY)
    result = transfer(source, "poisson_square", task={"sensors": 0}, reference={"kind": "none"}, **TINY)
    for figures in result.metrics["arms"].values():
        assert figures["relative_l2"] is None and figures["seconds_to_target"] is None
    assert result.metrics["speedup"] is None and result.transferred.probe > 0
    assert result.metrics["negative_transfer"] == (result.transferred.probe > 2)


# --- what is concluded ------------------------------------------------------------------------------------------------


def arm(name: str, rows: list[tuple[float, float | None]]) -> Arm:
    history = [{"seconds": seconds, "relative_l2": error} for seconds, error in rows] + [{"seconds": 99.0}]
    known = [error for _, error in rows if error is not None]
    return Arm(name, lambda points: points, history, known[-1] if known else None, rows[-1][0] if rows else 0.0)


def concluded(*arms: Arm, probe: float | None = None, level: float = 0.0, opened: bool = False) -> Transferred:
    sensors = Sensors(np.zeros((1, 2)), np.zeros(1), np.full(1, level), level) if level else None
    named = {a.name: a for a in arms}
    return Transferred(None, sensors, np.zeros((2, 2)), opened, named, probe)


UP_AND_DOWN = [(0.0, None), (1.0, 0.5), (2.0, 0.1), (3.0, 0.3), (4.0, 0.2)]


@pytest.mark.parametrize(
    ("error", "seconds"), [(0.9, 1.0), (0.5, 1.0), (0.49, 2.0), (0.1, 2.0), (0.05, None), (None, None)]
)
def test_seconds_to_an_error_are_the_first_that_reach_it(error: float | None, seconds: float | None) -> None:
    assert arm("any", UP_AND_DOWN).seconds_to(error) == seconds
    assert arm("any", []).seconds_to(error) is None


@pytest.mark.parametrize(
    ("main", "speedup"),
    [
        ([(0.5, 0.01)], 4.0),  # scratch ends at 0.2, which it reached after 2 seconds
        ([(0.5, 0.9), (1.0, 0.2), (4.0, 0.1)], 2.0),
        ([(8.0, 0.15)], 0.25),
        ([(0.5, 0.21)], None),
        ([(0.5, None)], None),
    ],
)
@pytest.mark.parametrize("name", ["data_physics", "physics_only"])
def test_speedup_is_a_ratio_of_times_to_the_same_error(name: str, main, speedup: float | None) -> None:
    assert concluded(arm("from_scratch", UP_AND_DOWN), arm(name, main)).speedup == speedup


def test_with_data_the_main_arm_is_the_one_with_data() -> None:
    both = concluded(arm("from_scratch", [(1.0, 0.1)]), arm("physics_only", []), arm("data_physics", []))
    assert both.main.name == "data_physics"
    assert concluded(arm("physics_only", [])).main.name == "physics_only"


@pytest.mark.parametrize(
    ("scratch", "main", "probe", "level", "opened", "negative"),
    [
        (0.1, 0.1, None, 0.0, False, False),
        (0.1, 0.19, 1.9, 0.0, False, False),
        (0.1, 0.21, None, 0.0, False, True),  # twice the error
        (0.1, 0.01, 2.1, 0.0, False, True),  # twice the residual early on
        (1e-4, 9e-3, None, 0.01, True, False),  # conditions are missing, and that is within the noise
        (1e-4, 2e-2, None, 0.01, True, True),
        (1e-4, 9e-3, None, 0.01, False, True),  # conditions are complete: noise is no excuse
        (None, None, 2.1, 0.0, False, True),
        (None, None, 1.9, 0.0, False, False),
        (None, None, None, 0.0, False, None),  # nobody knows
    ],
)
def test_a_transfer_is_negative_by_its_residual_or_by_its_error(scratch, main, probe, level, opened, negative) -> None:
    arms = arm("from_scratch", [(1.0, scratch)]), arm("data_physics", [(1.0, main)])
    found = concluded(*arms, probe=probe, level=level, opened=opened)
    assert found.negative is negative
    assert found.chosen("fallback").name == ("from_scratch" if negative else "data_physics")
    assert found.chosen("warn").name == found.chosen("off").name == "data_physics"


# --- data and missing conditions --------------------------------------------------------------------------------------

LAPLACE = laplace()
TRUTH = Exact(LAPLACE)


def test_data_from_a_file_are_what_the_arms_are_given(tmp_path: Path, harmonic: Solution) -> None:
    points = LAPLACE.domain.sample(12, "uniform", np.random.default_rng(0))
    rows = np.column_stack([points, TRUTH.value(points)])
    np.savetxt(tmp_path / "a.csv", rows, delimiter=",", header="x,y,u", comments="")
    task = {"data": str(tmp_path / "a.csv"), "noise": 0.0, "missing": ["left"]}
    result = transfer(harmonic, LAPLACE, strategy="head", task=task, reference={"kind": "none"}, **TINY)
    data = result.transferred.arms["data_physics"].training.assembly.residuals.collocation["data"]
    np.testing.assert_array_equal(data.points, rows[:, :2])
    np.testing.assert_array_equal(data.values["measured"], rows[:, 2])
    assert relative_l2(result.predict(grid()), TRUTH.value(grid())) < 1e-3


@pytest.fixture(scope="module")
def heat() -> Solution:
    """Features for heat in the unit square, with data that may clash in its corners."""
    task = {"name": "pretrain", "polynomials": 100, "features": 40, "heads": 80, "frequency": 4.0}
    small = {**TINY, "network": {"layers": [8], "polynomials": 0}}
    return solve("heat_rectangle", problem={"width": 1.0}, task=task, **small).solution


@pytest.mark.parametrize(("noise", "gain"), [(0.0, 1e-2), (0.01, 0.2)])
def test_where_a_condition_is_missing_data_decide(heat: Solution, noise: float, gain: float) -> None:
    """u on the left edge is not known: no equation tells it, 30 sensors do, and better with features of the family."""
    task = {"sensors": 30, "noise": noise, "missing": ["left"]}
    result = transfer(heat, LAPLACE, strategy="head", task=task, **TINY)
    errors = {name: arm.relative_l2 for name, arm in result.transferred.arms.items()}
    assert errors["data_physics"] < gain * errors["physics_only"]
    assert errors["data_physics"] < 0.5 * errors["data_only"]
    assert errors["data_physics"] < 0.1 * errors["from_scratch"]
    for name, each in result.transferred.arms.items():
        assert each.training is None or "left" not in each.training.problem.conditions, name
    assert result.transferred.open and result.transferred.probe is None
    assert result.transferred.shift.keys() == {"laplace", "rest"}


def test_where_nothing_is_missing_noise_does_not_spoil_the_answer(harmonic: Solution) -> None:
    loud, silent = (
        transfer(harmonic, LAPLACE, strategy="head", task={"sensors": 30, "noise": noise}, **TINY)
        for noise in (0.3, 0.0)
    )
    assert loud.transferred.main.relative_l2 < 2 * silent.transferred.main.relative_l2 < 1e-3
    assert loud.transferred.arms["data_only"].relative_l2 > 0.01


def test_weights_of_data_and_physics_reach_the_residuals(harmonic: Solution) -> None:
    task = {"sensors": 5, "data_weight": 3.0, "physics_weight": 0.25}
    arms = transfer(harmonic, LAPLACE, strategy="head", task=task, **TINY).transferred.arms
    wanted = {"laplace": 0.25, "left": 0.25, "rest": 0.25, "data": 3.0}
    assert arms["data_physics"].training.assembly.residuals.weights == wanted
    assert arms["from_scratch"].training.assembly.residuals.weights == wanted


@pytest.mark.parametrize(
    ("missing", "words"),
    [(("lef",), ["'lef'", "did you mean left"]), (("left", "nosuch"), ["'nosuch'", "choose from laplace, left, rest"]),
     (("laplace",), ["'laplace' is an equation"]),
     (("rest", "left", "rest"), ["'rest' is named 2 times", "name it once"])],
)  # fmt: skip
def test_what_cannot_be_missing_is_refused(missing, words, harmonic: Solution) -> None:
    with pytest.raises(BadInput) as refused:
        check_transfer(LAPLACE, Transfer(missing=missing), harmonic)
    assert refused.value.key == "task.missing" and all(word in str(refused.value) for word in words)


def test_problems_that_are_not_transferred_to_are_refused(harmonic: Solution) -> None:
    with pytest.raises(BadInput, match="eigenvalue problems"):
        check_transfer(replace(LAPLACE, modes=2), Transfer(), harmonic)
    with pytest.raises(BadInput, match=r"'data'.*rename"):
        clash = replace(LAPLACE, conditions={**LAPLACE.conditions, "data": neumann("top")})
        check_transfer(clash, Transfer(), harmonic)
    check_transfer(LAPLACE, Transfer(missing=("left", "rest")), harmonic)


# --- the guard --------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def harmful() -> Solution:
    """Few features, a hundred times too steep to be of use."""
    small = {**TINY, "network": {"layers": [4], "polynomials": 0, "corners": False}}
    source = solve("poisson_square", **small).solution
    trial = deepcopy(source.trial)
    with torch.no_grad():
        for parameter in trial.features.parameters():
            parameter *= 100
    return replace(source, trial=trial)


def guarded(source: Solution, guard: str) -> Result:
    return transfer(source, "poisson_square", strategy="head", task={"sensors": 0, "guard": guard}, **SOLVED)


@pytest.mark.parametrize("guard", ["warn", "fallback"])
def test_harm_is_noticed_early_and_told(harmful: Solution, guard: str, caplog) -> None:
    result = guarded(harmful, guard)
    arms = result.transferred.arms
    assert arms["from_scratch"].relative_l2 < 0.1 * arms["physics_only"].relative_l2
    assert result.transferred.probe > 2 and result.metrics["negative_transfer"] is True
    warnings = [record for record in caplog.records if record.levelno >= logging.WARNING]
    assert len(warnings) == 1 and "negative transfer" in warnings[0].message
    answer = arms["from_scratch" if guard == "fallback" else "physics_only"]
    assert np.array_equal(result.predict(grid()), answer.predict(grid()))
    assert result.history == answer.history


def test_falling_back_gives_the_solution_from_scratch_as_a_whole(harmful: Solution, tmp_path, no_figures) -> None:
    task = {"sensors": 0, "guard": "fallback"}
    result = transfer(harmful, "poisson_square", strategy="head", task=task, folder=tmp_path / "run", **SOLVED)
    alone = solve("poisson_square", **SOLVED)
    np.testing.assert_allclose(result.predict(grid()), alone.predict(grid()), rtol=0, atol=1e-12)
    assert result.metrics["relative_l2"] == pytest.approx(alone.metrics["relative_l2"], rel=1e-6)
    assert result.metrics["parameters"] == alone.metrics["parameters"]
    assert result.settings.network.layers == alone.settings.network.layers
    assert np.array_equal(load(tmp_path / "run").predict(grid()), result.predict(grid()))


def test_without_a_guard_nothing_is_looked_at_early(harmful: Solution, caplog) -> None:
    result = guarded(harmful, "off")
    assert result.transferred.probe is None and not [r for r in caplog.records if r.levelno >= logging.WARNING]
    assert result.metrics["negative_transfer"] is True  # by the error in the end
    assert np.array_equal(result.predict(grid()), result.transferred.arms["physics_only"].predict(grid()))


@pytest.mark.parametrize("guard", ["warn", "fallback"])
def test_a_source_that_helps_is_used(harmonic: Solution, guard: str, caplog) -> None:
    result = transfer(harmonic, LAPLACE, strategy="head", task={"sensors": 0, "guard": guard}, **TINY)
    assert result.transferred.probe < 1 and result.metrics["negative_transfer"] is False
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]
    assert np.array_equal(result.predict(grid()), result.transferred.arms["physics_only"].predict(grid()))


# --- where the features are used --------------------------------------------------------------------------------------


def test_the_source_unchanged_on_a_larger_domain_elsewhere(harmonic: Solution) -> None:
    """Its features see a square of side 2 at (5, 5) as the unit square; no point of it was seen in training."""
    result = transfer(harmonic, laplace(2.0, 5.0), strategy="head", task={"sensors": 0}, **TINY)
    unchanged = result.transferred.arms["source_unchanged"]
    np.testing.assert_allclose(unchanged.predict(5 + 2 * grid()), harmonic.predict(grid()), rtol=1e-9)
    np.testing.assert_allclose(result.transferred.bounds, [[5, 5], [7, 7]])
    assert result.transferred.inputs == 0.0
    half = transfer(harmonic, laplace(2.0), strategy="head", task={"sensors": 0}, **TINY)
    assert half.transferred.inputs == pytest.approx(0.25, abs=0.05)


def test_what_a_good_source_leaves_of_each_condition_is_little() -> None:
    """The shift of a problem from itself is the residual of its solution; other data show where they are."""
    source = solve(LAPLACE, network={"layers": [8], "polynomials": 100, "corners": False},
                   **{k: SOLVED[k] for k in ("sampling", "optimizer", "evaluation")})  # fmt: skip
    task = {"sensors": 0}
    same = transfer(source, LAPLACE, strategy="head", task=task, **TINY).transferred.shift
    assert max(same.values()) < 1e-6
    other = replace(LAPLACE, exact=None, conditions={**LAPLACE.conditions, "left": dirichlet("left", 5.0)})
    blind = {**TINY, "reference": {"kind": "none"}}
    shift = transfer(source, other, strategy="head", task=task, **blind).transferred.shift
    assert shift["left"] > 1e3 * max(shift["laplace"], shift["rest"])
