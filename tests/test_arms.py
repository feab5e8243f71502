"""The arms of a transfer: what each is given, that all else is the same, and what is concluded from them."""

import json
import logging
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from runs import grid
from torch import cos, exp

from pinnkit import Interval, Problem, Rectangle, catalogue, dirichlet, laplacian, load, neumann, pde, solve, transfer
from pinnkit.arms import NAMES, Arm, Sensors, Transferred, bounds_for, check_transfer, moved, sensors_for
from pinnkit.errors import BadInput
from pinnkit.evaluation import relative_l2
from pinnkit.reference.derived import Exact
from pinnkit.result import Result, Solution
from pinnkit.settings import Transfer
from pinnkit.solving import monitored

SMALL: dict[str, Any] = {
    "sampling": {"interior": 200, "boundary": 80, "corner": 0},
    "network": {"layers": [8], "polynomials": 0, "corners": False},
    "training": {"max_steps": 3, "max_seconds": 600.0},
    "evaluation": {"points": 500},
}
PRETRAIN = {"name": "pretrain", "polynomials": 60, "features": 20, "heads": 40}
SOLVED = {**SMALL, "optimizer": "least_squares", "network": {"layers": [60], "polynomials": 0, "corners": False}}


def laplace(size: float = 1.0, corner: float = 0.0) -> Problem:
    """u = exp(2x) cos(2y) on a square, with the values on its left edge and on the others as two conditions."""

    def exact(x, y):
        return exp(2 * x) * cos(2 * y)

    conditions = {
        "laplace": pde(lambda u, x, y: -laplacian(u, x, y)),
        "left": dirichlet("left", exact),
        "rest": dirichlet(("right", "top", "bottom"), exact),
    }
    return Problem(Rectangle((corner, corner), (corner + size, corner + size)), conditions, exact=exact)


@pytest.fixture(scope="module")
def harmonic() -> Solution:
    """Features for Laplace's equation."""
    task = {"name": "pretrain", "polynomials": 100, "features": 40, "heads": 80, "frequency": 4.0}
    return solve(laplace(), task=task, **SMALL).solution


@pytest.fixture(scope="module")
def compared() -> Result:
    source = solve("poisson_square", task=PRETRAIN, **SMALL)
    return transfer(source, "poisson_square", task={"sensors": 10}, **SMALL)


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
    source = solve("poisson_square", **SMALL)
    before = deepcopy(source.solution.trial.state_dict())
    for strategy in ("full", "head"):
        transfer(source, "poisson_square", strategy=strategy, task={"sensors": 0}, **SMALL)
    after = source.solution.trial.state_dict()
    assert before.keys() == after.keys() and all(torch.equal(before[key], after[key]) for key in before)
    assert len(list(source.solution.trial.features.parameters())) == 2


def test_from_scratch_is_what_solving_gives() -> None:
    """The same network, points, optimizer and number of steps, when there are no data."""
    solved = solve("poisson_square", **{**SMALL, "optimizer": "gauss_newton"})
    result = transfer(solved, "poisson_square", strategy="head", task={"sensors": 0}, **SMALL)
    scratch = result.transferred.arms["from_scratch"]
    np.testing.assert_allclose(scratch.predict(grid()), solved.predict(grid()), rtol=0, atol=1e-12)


def test_without_data_the_arms_with_data_are_empty() -> None:
    source = solve("poisson_square", **SMALL)
    result = transfer(source, "poisson_square", strategy="head", task={"sensors": 0}, **SMALL)
    nothing = {"relative_l2": None, "seconds": None, "seconds_to_target": None}
    assert result.metrics["arms"]["data_only"] == result.metrics["arms"]["data_physics"] == nothing
    assert result.transferred.sensors is None and result.transferred.main.name == "physics_only"
    assert set(NAMES) - result.transferred.arms.keys() == {"data_only", "data_physics"}
    assert json.loads(json.dumps(result.metrics)) == result.metrics


def test_without_a_reference_errors_are_unknown_and_residuals_decide() -> None:
    source = solve("poisson_square", **SMALL)
    result = transfer(source, "poisson_square", task={"sensors": 0}, reference={"kind": "none"}, **SMALL)
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


# --- sensors ----------------------------------------------------------------------------------------------------------

LAPLACE = laplace()
TRUTH = Exact(LAPLACE)


def test_sensors_are_drawn_from_the_reference_with_noise_of_the_size_asked_for() -> None:
    sensors = sensors_for(LAPLACE, Transfer(sensors=4000, noise=0.05), TRUTH, seed=0)
    assert sensors.points.shape == (4000, 2) and LAPLACE.domain.contains(sensors.points).all()
    size = TRUTH.value(grid(200))[:, 0].std()
    off = (sensors.values - TRUTH.value(sensors.points)[:, 0]) / size
    assert off.std() == pytest.approx(0.05, rel=0.05) and abs(off.mean()) < 0.05 * 4 / 4000**0.5
    np.testing.assert_allclose(sensors.sigma / size, 0.05, rtol=0.05)
    assert sensors.level == 0.05


def test_sensors_are_those_of_the_seed() -> None:
    one, again, other = (sensors_for(LAPLACE, Transfer(), TRUTH, seed) for seed in (0, 0, 1))
    assert np.array_equal(one.points, again.points) and np.array_equal(one.values, again.values)
    assert not np.isin(one.points, other.points).any()


def test_sensors_without_noise_are_exact_and_without_number_none() -> None:
    exact = sensors_for(LAPLACE, Transfer(noise=0.0), TRUTH, 0)
    assert np.array_equal(exact.values, TRUTH.value(exact.points)[:, 0]) and exact.level == 0
    assert sensors_for(LAPLACE, Transfer(sensors=0), TRUTH, 0) is None
    assert sensors_for(LAPLACE, Transfer(sensors=0), None, 0) is None


def test_sensors_need_a_reference() -> None:
    with pytest.raises(BadInput, match=r"no reference.*task\.sensors=0, or give task\.data=FILE") as refused:
        sensors_for(LAPLACE, Transfer(), None, 0)
    assert refused.value.key == "task.sensors"


def sensors(level: float) -> Sensors:
    return Sensors(np.array([[0.1, 0.2], [0.3, 0.4]]), np.array([1.0, 2.0]), np.array([level, 2 * level]), level)


def test_data_count_as_much_as_their_noise_allows() -> None:
    """Rows √weight · noise are as small as the accuracy that data must not spoil; exact data are like all else."""
    for level, accuracy in ((1e-2, 1e-9), (0.3, 1e-6), (1e-5, 1e-6)):
        assert sensors(level).condition("u", accuracy, None).weight**0.5 * level == pytest.approx(accuracy)
    assert sensors(0.0).condition("u", 1e-9, None).weight == 1.0
    assert sensors(1e-12).condition("u", 1e-9, None).weight == 1.0
    for level in (0.0, 0.01):
        assert sensors(level).condition("u", 1e-9, 7.0).weight == 7.0


def test_each_row_of_data_is_divided_by_its_own_noise() -> None:
    condition = sensors(0.01).condition("u", 1e-9, None)
    assert condition.values["measured"].tolist() == [1.0, 2.0] and condition.values["spread"].tolist() == [1.0, 2.0]
    assert sensors(0.0).condition("u", 1e-9, None).values["spread"].tolist() == [1.0, 1.0]


def written(path: Path, header: str, rows: np.ndarray) -> str:
    np.savetxt(path, rows, delimiter=",", header=header, comments="")
    return str(path)


def test_data_are_read_from_a_file_with_their_noise(tmp_path: Path) -> None:
    rows = np.array([[1.5, 0.2, 0.3, 0.01], [2.5, 0.4, 0.1, 0.03]])
    found = sensors_for(LAPLACE, Transfer(data=written(tmp_path / "a.csv", "u,x,y,sigma", rows)), None, 0)
    np.testing.assert_array_equal(found.points, rows[:, 1:3])
    np.testing.assert_array_equal(found.values, rows[:, 0])
    np.testing.assert_array_equal(found.sigma, rows[:, 3])
    assert found.level == pytest.approx((5e-4) ** 0.5 / 0.5)  # root mean square, in units of the spread of the values


def test_data_without_noise_of_their_own_have_that_of_the_task(tmp_path: Path) -> None:
    file = written(tmp_path / "a.csv", "x,y,u", np.array([[0.2, 0.3, 1.5], [0.4, 0.1, 2.5]]))
    found = sensors_for(LAPLACE, Transfer(data=file, noise=0.02), None, 0)
    np.testing.assert_allclose(found.sigma, 0.02 * 0.5)
    assert found.level == pytest.approx(0.02)
    assert sensors_for(LAPLACE, Transfer(data=file, noise=0.0), None, 0).level == 0
    alone = written(tmp_path / "b.csv", "x,y,u", np.array([[0.2, 0.3, 1.5]]))
    assert sensors_for(LAPLACE, Transfer(data=alone, noise=0.02), None, 0).level == pytest.approx(0.02)


@pytest.mark.parametrize(
    ("header", "rows", "words"),
    [
        ("x,y,u", [[0.2, 0.3, 1.0], [0.2, 1.3, 1.0]], ["measurement 2", "[0.2, 1.3]", "outside"]),
        ("x,y,t", [[0.2, 0.3, 1.0]], ["0 columns 'u'"]),
        ("x,u", [[0.2, 0.3]], ["0 columns 'y'"]),
    ],
)
def test_data_that_do_not_fit_the_problem_are_refused(tmp_path: Path, header: str, rows, words) -> None:
    file = written(tmp_path / "mine.csv", header, np.array(rows))
    with pytest.raises(BadInput) as refused:
        sensors_for(LAPLACE, Transfer(data=file), None, 0)
    for word in (*words, "mine.csv"):
        assert word in str(refused.value)
    assert len(str(refused.value).splitlines()) == 1


def test_data_that_are_not_there_are_refused() -> None:
    with pytest.raises(BadInput, match=r"nosuch\.csv: it cannot be read"):
        sensors_for(LAPLACE, Transfer(data="nosuch.csv"), None, 0)


def test_data_from_a_file_are_what_the_arms_are_given(tmp_path: Path, harmonic: Solution) -> None:
    points = LAPLACE.domain.sample(12, "uniform", np.random.default_rng(0))
    rows = np.column_stack([points, TRUTH.value(points)])
    file = written(tmp_path / "a.csv", "x,y,u", rows)
    task = {"data": file, "noise": 0.0, "missing": ["left"]}
    result = transfer(harmonic, LAPLACE, strategy="head", task=task, reference={"kind": "none"}, **SMALL)
    data = result.transferred.arms["data_physics"].training.assembly.residuals.collocation["data"]
    np.testing.assert_array_equal(data.points, rows[:, :2])
    np.testing.assert_array_equal(data.values["measured"], rows[:, 2])
    assert relative_l2(result.predict(grid()), TRUTH.value(grid())) < 1e-3


# --- missing conditions -----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def heat() -> Solution:
    """Features for heat in the unit square, with data that may clash in its corners."""
    task = {"name": "pretrain", "polynomials": 100, "features": 40, "heads": 80, "frequency": 4.0}
    small = {**SMALL, "network": {"layers": [8], "polynomials": 0}}
    return solve("heat_rectangle", problem={"width": 1.0}, task=task, **small).solution


@pytest.mark.parametrize(("noise", "gain"), [(0.0, 1e-2), (0.01, 0.2)])
def test_where_a_condition_is_missing_data_decide(heat: Solution, noise: float, gain: float) -> None:
    """u on the left edge is not known: no equation tells it, 30 sensors do, and better with features of the family."""
    task = {"sensors": 30, "noise": noise, "missing": ["left"]}
    result = transfer(heat, LAPLACE, strategy="head", task=task, **SMALL)
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
        transfer(harmonic, LAPLACE, strategy="head", task={"sensors": 30, "noise": noise}, **SMALL)
        for noise in (0.3, 0.0)
    )
    assert loud.transferred.main.relative_l2 < 2 * silent.transferred.main.relative_l2 < 1e-3
    assert loud.transferred.arms["data_only"].relative_l2 > 0.01


def test_weights_of_data_and_physics_reach_the_residuals(harmonic: Solution) -> None:
    task = {"sensors": 5, "data_weight": 3.0, "physics_weight": 0.25}
    arms = transfer(harmonic, LAPLACE, strategy="head", task=task, **SMALL).transferred.arms
    wanted = {"laplace": 0.25, "left": 0.25, "rest": 0.25, "data": 3.0}
    assert arms["data_physics"].training.assembly.residuals.weights == wanted
    assert arms["from_scratch"].training.assembly.residuals.weights == wanted


@pytest.mark.parametrize(
    ("missing", "words"),
    [(("lef",), ["'lef'", "did you mean left"]), (("left", "nosuch"), ["'nosuch'", "choose from laplace, left, rest"]),
     (("laplace",), ["'laplace' is an equation"])],
)  # fmt: skip
def test_what_cannot_be_missing_is_refused(missing, words) -> None:
    with pytest.raises(BadInput) as refused:
        check_transfer(LAPLACE, Transfer(missing=missing))
    assert refused.value.key == "task.missing" and all(word in str(refused.value) for word in words)


def test_problems_that_are_not_transferred_to_are_refused() -> None:
    with pytest.raises(BadInput, match="eigenvalue problems"):
        check_transfer(replace(LAPLACE, modes=2), Transfer())
    with pytest.raises(BadInput, match=r"'data'.*rename"):
        check_transfer(replace(LAPLACE, conditions={**LAPLACE.conditions, "data": neumann("top")}), Transfer())
    check_transfer(LAPLACE, Transfer(missing=("left", "rest")))


# --- the guard --------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def harmful() -> Solution:
    """Few features, a hundred times too steep to be of use."""
    small = {**SMALL, "network": {"layers": [4], "polynomials": 0, "corners": False}}
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
    result = transfer(harmonic, LAPLACE, strategy="head", task={"sensors": 0, "guard": guard}, **SMALL)
    assert result.transferred.probe < 1 and result.metrics["negative_transfer"] is False
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]
    assert np.array_equal(result.predict(grid()), result.transferred.arms["physics_only"].predict(grid()))


# --- where the features are used --------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def plates() -> dict[str, Solution]:
    small = {**SMALL, "reference": {"kind": "none"}, "optimizer": "least_squares",
             "network": {"layers": [8], "polynomials": 10, "corners": True}}  # fmt: skip
    return {name: solve(name, **small).solution for name in ("heat_lshape", "heat_lshape_transient", "heat_rod")}


@pytest.mark.parametrize(("name", "scales", "parameters"),
                         [("heat_lshape", (3.0, 3.0), {"size": 3.0}),
                          ("heat_lshape_transient", (3.0, 3.0, 0.5), {"size": 3.0, "duration": 0.5}),
                          ("heat_rod", (1.0, 2.0), {"duration": 2.0})])  # fmt: skip
def test_a_solution_is_moved_as_a_whole(plates, name: str, scales, parameters: dict[str, float]) -> None:
    """u'(s x) = u(x), singular functions and time included."""
    source, problem = plates[name], catalogue.load(name).build(**parameters)
    trial = moved(source.trial, problem, bounds_for(source, problem))
    here = catalogue.load(name).build().domain.sample(50, "uniform", np.random.default_rng(0))
    there = torch.from_numpy(here * np.array(scales))
    assert problem.domain.contains(there.numpy()).all()
    found = trial(there).detach().numpy()
    np.testing.assert_allclose(found, source.predict(here), rtol=1e-9, atol=1e-9 * np.abs(found).max())
    assert trial is not source.trial and trial.features is not source.trial.features


def test_the_source_unchanged_on_a_larger_domain_elsewhere(harmonic: Solution) -> None:
    """Its features see a square of side 2 at (5, 5) as the unit square; no point of it was seen in training."""
    result = transfer(harmonic, laplace(2.0, 5.0), strategy="head", task={"sensors": 0}, **SMALL)
    unchanged = result.transferred.arms["source_unchanged"]
    np.testing.assert_allclose(unchanged.predict(5 + 2 * grid()), harmonic.predict(grid()), rtol=1e-9)
    np.testing.assert_allclose(result.transferred.bounds, [[5, 5], [7, 7]])
    assert result.transferred.inputs == 0.0
    half = transfer(harmonic, laplace(2.0), strategy="head", task={"sensors": 0}, **SMALL)
    assert half.transferred.inputs == pytest.approx(0.25, abs=0.05)


def test_what_a_good_source_leaves_of_each_condition_is_little() -> None:
    """The shift of a problem from itself is the residual of its solution; other data show where they are."""
    source = solve(LAPLACE, network={"layers": [8], "polynomials": 100, "corners": False},
                   **{k: SOLVED[k] for k in ("sampling", "optimizer", "evaluation")})  # fmt: skip
    task = {"sensors": 0}
    same = transfer(source, LAPLACE, strategy="head", task=task, **SMALL).transferred.shift
    assert max(same.values()) < 1e-6
    other = replace(LAPLACE, exact=None, conditions={**LAPLACE.conditions, "left": dirichlet("left", 5.0)})
    blind = {**SMALL, "reference": {"kind": "none"}}
    shift = transfer(source, other, strategy="head", task=task, **blind).transferred.shift
    assert shift["left"] > 1e3 * max(shift["laplace"], shift["rest"])


def test_features_of_other_coordinates_are_refused(plates, harmonic: Solution) -> None:
    rod = Problem(Interval(), {"p": pde(lambda u, x: -laplacian(u, x)), "ends": dirichlet("boundary")})
    transient = Problem(Interval() * (0.0, 1.0), {"p": pde(lambda u, x, t: u)})
    steady = replace(LAPLACE)
    for source, problem, words in (
        (harmonic, rod, "functions of x, y, the problem is one of x;"),
        (harmonic, transient, "functions of x, y, the problem is one of x, t"),
        (plates["heat_lshape_transient"], steady, "functions of x, y, t, the problem is one of x, y"),
        (plates["heat_rod"], LAPLACE, "functions of x, t, the problem is one of x, y"),
    ):
        with pytest.raises(BadInput, match=words) as refused:
            bounds_for(source, problem)
        assert refused.value.key == "task.source"


def test_steady_features_see_space_by_a_similarity_and_time_as_a_whole(harmonic: Solution) -> None:
    domain = Rectangle((2, 2), (6, 4)) * (1.0, 7.0)
    problem = Problem(domain, {"p": pde(lambda u, x, y, t: u)})
    np.testing.assert_allclose(bounds_for(harmonic, problem), [[2, 1, 1], [6, 5, 7]])
