"""Bands calibrated on other instances of the problem."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from runs import left_in

from pinnkit import catalogue, load, solve
from pinnkit.calibration import Calibration, calibrate, quantile
from pinnkit.errors import BadInput
from pinnkit.instances import siblings
from pinnkit.result import Result
from pinnkit.settings import Settings

SMALL: dict[str, Any] = {
    "sampling": {"interior": 200, "boundary": 80, "corner": 0},
    "network": {"layers": [8], "polynomials": 30, "corners": False},
    "optimizer": "least_squares",
    "evaluation": {"points": 500},
}
OTHERS = {"truth": [1, 2], "noise_seed": [5, 6]}


def task(**more: Any) -> dict[str, Any]:
    return {"name": "committee", "members": 3, "workers": 1, "held_out": 101, **more}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> tuple[Result, Path]:
    folder = tmp_path_factory.mktemp("run")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("pinnkit.plotting.save_plots", lambda result, folder: None)
        return solve("hidden_edge", task=task(level=0.6, instances=OTHERS), folder=folder, **SMALL), folder


def test_bands_are_those_of_committees_on_the_instances(run: tuple[Result, Path]) -> None:
    """51 points of each of two instances; the rank of 60 % is ⌈102 · 0.6 · 3/2⌉ = 92."""
    result, scores = run[0], []
    for truth, noise_seed in zip(*OTHERS.values(), strict=True):
        own = solve("hidden_edge", problem={"truth": truth, "noise_seed": noise_seed},
                    task=task(level=0.6, calibration="none"), **SMALL)  # fmt: skip
        points = own.problem.domain.sample(51, "uniform", np.random.default_rng([0, 4]))
        assert own.reference is not None
        scores.append((np.abs(own.predict(points) - own.reference.value(points)), own.solution.spread(points)))
    errors, spreads = (np.concatenate(each)[:, 0] for each in zip(*scores, strict=True))
    floor = spreads.mean()
    q = np.sort(errors / (spreads + floor))[91]
    points = np.random.default_rng(1).uniform(0, 1, (50, 2))
    lower, upper = result.solution.band(points, 0.6)
    np.testing.assert_allclose((upper - lower) / 2, q * (result.solution.spread(points) + floor), rtol=1e-9)


def test_what_is_told_and_kept(run: tuple[Result, Path]) -> None:
    result, folder = run
    metrics = json.loads((folder / "metrics.json").read_text())
    assert metrics["calibration"] == "instances" and metrics["held_out"] == 2
    assert 0 < metrics["coverage"]["calibrated"] <= 1
    assert {f"instances/{k:03d}/{m:03d}/checkpoints/last.pt" for k in range(2) for m in range(3)} <= left_in(folder)
    points = np.random.default_rng(1).uniform(0, 1, (50, 2))
    np.testing.assert_array_equal(load(folder).band(points), result.solution.band(points))
    assert "task.instances={truth:[1,2],noise_seed:[5,6]}" in (folder / "report.html").read_text()


def test_without_a_reference_of_its_own_a_problem_has_bands(tmp_path: Path) -> None:
    """As with data of an experiment: its file knows a truth for synthetic instances alone."""
    path = tmp_path / "plate.py"
    path.write_text('''"""A plate."""
from pinnkit import Problem, Rectangle, dirichlet, laplacian, measured, pde

def problem(truth: float = 0.0) -> Problem:
    def exact(x, y):
        return (1 + truth) * x + y + truth * (x**2 - y**2)
    points = [[0.2 + 0.1 * i, 0.6 + 0.05 * i] for i in range(6)]
    conditions = {"heat": pde(lambda u, x, y: -laplacian(u, x, y)),
                  "walls": dirichlet(["left", "right", "bottom"], exact),
                  "sensors": measured(points, [float(exact(x, y)) for x, y in points], 0.01)}
    return Problem(Rectangle((0, 0), (1, 1)), conditions, free=("top",), exact=exact if truth else None)
''')
    told = task(level=0.6, instances={"truth": [0.5, 1.0]})
    metrics = solve(str(path), task=told, **SMALL).metrics
    assert metrics["coverage"] == {"nominal": 0.6, "raw": None, "calibrated": None}
    assert metrics["relative_l2"] is None and metrics["calibration"] == "instances" and metrics["mean_width"] > 0


def test_a_run_that_goes_on_trains_no_instance_again(run: tuple[Result, Path], no_figures, monkeypatch) -> None:
    def never(*_: Any, **__: Any) -> None:
        raise AssertionError("a member was trained")

    monkeypatch.setattr("pinnkit.members.trained", never)
    again = solve("hidden_edge", task=task(level=0.6, instances=OTHERS), folder=run[1], resume="auto", **SMALL)
    assert again.metrics["coverage"] == run[0].metrics["coverage"]


def test_instances_are_told_what_the_problem_is() -> None:
    settings = Settings.from_mapping(
        {"problem": {"name": "hidden_edge", "half": True}, "task": task(level=0.6, instances=OTHERS), "seed": 7}
    )
    first, second = siblings(settings)
    assert first.problem.parameters == {"half": True, "truth": 1, "noise_seed": 5}
    assert second.problem.parameters == {"half": True, "truth": 2, "noise_seed": 6}
    assert first.seed == 7 and first.task.calibration == "none" and first.task.instances is None


@pytest.mark.parametrize(
    ("told", "more", "words"),
    [
        ({"instances": {"truth": [1, 2]}}, {}, ["task.instances: 2 are too few for bands of 95 %", "at least 19"]),
        ({"instances": {"truth": [1, 2], "noise_seed": [1]}}, {}, ["task.instances: its lists differ in length"]),
        ({"instances": {"truth": 3}}, {}, ["task.instances.truth: a list is wanted, got 3"]),
        ({"instances": [1]}, {}, ["task.instances: it is a group of keys, not a list"]),
        ({"instances": {"turth": [1, 2]}, "level": 0.5}, {}, ["problem.turth: ", "did you mean problem.truth"]),
        ({"instances": {"sensors": [1.5]}, "level": 0.5}, {}, ["problem.sensors: a whole number is wanted"]),
        ({"calibration": "instances"}, {}, ["task.instances: there are none"]),
        ({"calibration": "data", "instances": OTHERS, "level": 0.5}, {}, ["task.calibration=data does not use them"]),
        ({"instances": OTHERS, "level": 0.5}, {"reference": {"kind": "none"}}, ["task.instances: ", "references"]),
    ],
)
def test_what_cannot_calibrate_is_refused(told: dict[str, Any], more: dict[str, Any], words: list[str]) -> None:
    with pytest.raises(BadInput) as refused:
        solve("hidden_edge", task=task(**told), **more, **SMALL)
    assert all(word in str(refused.value) for word in words), refused.value


def test_a_problem_made_in_python_has_no_instances() -> None:
    with pytest.raises(BadInput, match=r"task.instances: a problem made in Python"):
        solve(catalogue.load("hidden_edge").build(), task=task(level=0.5, instances=OTHERS), **SMALL)


# --- quantiles of truths in groups ------------------------------------------------------------------------------------


def test_groups_of_one_truth_are_ordinary_truths() -> None:
    scores = np.random.default_rng(0).exponential(size=57)
    for level in (0.1, 0.5, 0.9, 0.95):
        assert quantile(scores, level, groups=57) == quantile(scores, level)


def test_too_few_groups_give_infinite_bands() -> None:
    scores = np.arange(1000.0)
    assert quantile(scores, 0.9, groups=9) == 999 and np.isinf(quantile(scores, 0.9, groups=8))
    one = Calibration(scores, 0.1, 8)
    assert np.isinf(one.half_width(np.ones(3), 0.9)).all()
    assert Calibration.from_plain(one.to_plain()).groups == 8
    assert replace(one, groups=None).half_width(np.ones(1), 0.9) == pytest.approx(1.1 * 900)


def test_instances_of_different_difficulty_are_covered_as_often_as_asked() -> None:
    """Errors |normal| · spread · factor of the instance: bands that take all truths as independent cover too little."""
    rng, covered, naive = np.random.default_rng(11), [], []
    for _ in range(800):
        factors = np.exp(rng.normal(size=(10, 1)))
        spreads = rng.uniform(0.5, 1.5, (10, 40))
        errors = np.abs(rng.normal(size=(10, 40))) * spreads * factors
        for groups, told in ((9, covered), (None, naive)):
            calibration = calibrate(errors[1:].ravel(), spreads[1:].ravel(), 0.9, groups)
            told.append((errors[0] <= calibration.half_width(spreads[0], 0.9)).mean())
    assert 0.9 - 0.015 < np.mean(covered) < 1
    assert np.mean(naive) < 0.9 - 0.01
