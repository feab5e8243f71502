"""The task `transfer` as a whole: every strategy, from every kind of source, to folders and back."""

import json
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from runs import FILES, PRETRAIN, REACTION, TINY, grid, left_in
from torch import cos, exp

from pinnkit import Problem, Rectangle, catalogue, derivative, dirichlet, initial, laplacian, load, pde, solve, transfer
from pinnkit.errors import BadInput, CheckpointUnusable, Interrupted
from pinnkit.result import Result
from pinnkit.settings import STRATEGIES
from pinnkit.tasks import summary

DEEP = {**TINY, "network": {"layers": [8, 8], "polynomials": 0, "corners": False}}
QUICK = {**TINY, "optimizer": "least_squares"}
NO_DATA = {"sensors": 0}


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> tuple[Result, Path]:
    """Pretrained features beside two layers, and the folder of that run."""
    folder = tmp_path_factory.mktemp("source")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("pinnkit.plotting.save_plots", lambda result, folder: None)
        return solve("poisson_square", task=PRETRAIN, folder=folder, **DEEP), folder


Runs = dict[str, tuple[Result, Path]]


@pytest.fixture(scope="module")
def runs(source: tuple[Result, Path], tmp_path_factory: pytest.TempPathFactory) -> Runs:
    """A transfer with each strategy, and its folder."""
    found = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("pinnkit.plotting.save_plots", lambda result, folder: None)
        for name in STRATEGIES:
            folder = tmp_path_factory.mktemp(name)
            found[name] = (
                transfer(source[0], "poisson_square", strategy=name, task=NO_DATA, folder=folder, **TINY), folder
            )  # fmt: skip
    return found


each_strategy = pytest.mark.parametrize("name", STRATEGIES)


def features(result: Result) -> dict[str, torch.Tensor]:
    return result.solution.trial.features.state_dict()


# --- strategies -------------------------------------------------------------------------------------------------------


@each_strategy
def test_what_is_loaded_is_what_was_found(runs: Runs, name: str) -> None:
    result, folder = runs[name]
    again = load(folder)
    assert np.array_equal(again.predict(grid()), result.predict(grid()))
    assert again.settings.task.strategy == STRATEGIES[name]()
    assert again.metrics == result.metrics == json.loads((folder / "metrics.json").read_text())
    assert {key: value.shape for key, value in again.trial.state_dict().items()} == {
        key: value.shape for key, value in runs["full"][0].solution.trial.state_dict().items()
    }


@each_strategy
def test_every_strategy_begins_with_the_source_and_goes_on_from_there(runs: Runs, name: str) -> None:
    """The first step is the head for the source's features, the same for all; then the residual falls, if it can."""
    result = runs[name][0]
    start, solved, *later = [row["loss"] for row in result.history]
    assert solved == pytest.approx(runs["head"][0].history[1]["loss"], rel=1e-6) and solved < 0.1 * start
    assert later[-1] == pytest.approx(solved, rel=1e-9) if name == "head" else later[-1] < 0.999 * solved
    arms = result.transferred.arms
    assert arms["physics_only"].relative_l2 < arms["from_scratch"].relative_l2


@each_strategy
def test_what_a_strategy_holds_is_that_of_the_source(runs: Runs, source: tuple[Result, Path], name: str) -> None:
    theirs, ours = features(source[0]), features(runs[name][0])
    assert ours.keys() == theirs.keys()
    changed = {key for key in ours if not torch.equal(ours[key], theirs[key])}
    layers = {f"network.{kind}.{i}" for kind in ("weights", "biases") for i in (0, 1)}
    assert changed == {
        "full": layers,
        "l2": layers,
        "frozen": {"network.weights.1", "network.biases.1"},
        "head": set(),
        "lora": {"network.weights.1"},
    }[name]


def test_a_correction_of_low_rank_has_that_rank(source: tuple[Result, Path]) -> None:
    strategy = {"name": "lora", "rank": 2}
    result = transfer(source[0], "poisson_square", strategy=strategy, task=NO_DATA, **TINY)
    change = features(result)["network.weights.1"] - features(source[0])["network.weights.1"]
    assert int(torch.linalg.matrix_rank(change, rtol=1e-9)) == 2
    assert result.settings.task.strategy.rank == 2


def distance(result: Result, source: Result) -> float:
    """How far the layers have gone from those of the source."""
    pairs = zip(features(result).values(), features(source).values(), strict=True)
    return sum(float((a - b).square().sum()) for a, b in pairs) ** 0.5


def test_near_the_source_the_layers_stay_the_nearer_the_stronger(runs: Runs, source: tuple[Result, Path]) -> None:
    """Without strength it is full training, with much of it nothing but the head."""
    far = {
        strength: transfer(source[0], "poisson_square", strategy={"name": "l2", "strength": strength}, task=NO_DATA,
                           **TINY)
        for strength in (1e-9, 10.0, 1e6)
    }  # fmt: skip
    loose, held, tight = (distance(result, source[0]) for result in far.values())
    assert loose == pytest.approx(distance(runs["full"][0], source[0]), rel=1e-3)
    assert tight < 1e-6 * loose and tight < held < 0.9 * loose
    np.testing.assert_allclose(far[1e6].predict(grid()), runs["head"][0].predict(grid()), rtol=0, atol=1e-4)


def test_metrics_of_a_held_source_count_what_is_trained(runs: Runs) -> None:
    columns = 8 + PRETRAIN["features"]
    assert runs["head"][0].metrics["parameters"] == columns + 1
    assert runs["frozen"][0].metrics["parameters"] == columns + 1 + 8 * 8 + 8
    assert runs["full"][0].metrics["parameters"] == columns + 1 + 8 * 8 + 8 + 2 * 8 + 8


@each_strategy
def test_what_was_transferred_can_be_transferred_again(runs: Runs, name: str) -> None:
    again = transfer(load(runs[name][1]), "poisson_square", strategy="head", task=NO_DATA, **QUICK)
    first = runs[name][0]
    unchanged = again.transferred.arms["source_unchanged"]
    assert np.array_equal(unchanged.predict(grid()), first.predict(grid()))
    assert again.metrics["relative_l2"] < 1.5 * first.metrics["relative_l2"]


# --- sources ----------------------------------------------------------------------------------------------------------


def test_a_source_is_a_result_a_solution_a_folder_or_a_checkpoint(source: tuple[Result, Path], runs: Runs) -> None:
    result, folder = source
    expected = runs["head"][0].predict(grid())
    for told in (result.solution, load(folder), folder, str(folder), folder / "checkpoints" / "last.pt"):
        found = transfer(told, "poisson_square", strategy="head", task=NO_DATA, **TINY)
        assert np.array_equal(found.predict(grid()), expected)
        assert found.metrics["source"] == (str(told) if isinstance(told, str | Path) else "a solution")
        assert found.metrics["seconds"]["source"] == 0


def test_solving_with_the_task_transfer_is_transferring(source: tuple[Result, Path], runs: Runs) -> None:
    task = {"name": "transfer", "source": str(source[1]), "strategy": "head", "sensors": 0}
    assert np.array_equal(solve("poisson_square", task=task, **TINY).predict(grid()), runs["head"][0].predict(grid()))


@pytest.mark.parametrize(
    ("network", "strategy"),
    [
        ({"name": "fourier", "frequencies": 4, "layers": [6, 6]}, "full"),
        ({"name": "fourier", "frequencies": 4, "layers": [6, 6]}, "frozen"),
        ({"layers": [6, 6], "activation": "tanh", "polynomials": 12}, "lora"),
        ({"layers": [6], "peaks": [[0.1, 0.2, 0.3, 0.3]]}, "head"),
    ],
    ids=["fourier, full", "fourier, frozen", "polynomials", "local functions"],
)
def test_a_solution_without_pretraining_serves_as_well(network: dict[str, Any], strategy: str) -> None:
    solved = solve("poisson_square", **{**QUICK, "network": {"corners": False, "polynomials": 0, **network}})
    found = transfer(solved, "poisson_square", strategy=strategy, task=NO_DATA, **TINY)
    unchanged, head = (found.transferred.arms[name] for name in ("source_unchanged", "one_shot"))
    assert np.array_equal(unchanged.predict(grid()), solved.predict(grid()))
    assert found.history[-1]["loss"] <= head.history[-1]["loss"] * (1 + 1e-9)


def test_a_source_in_single_precision_serves_in_double() -> None:
    solved = solve("poisson_square", dtype="float32", **QUICK)
    found = transfer(solved, "poisson_square", task=NO_DATA, **TINY)
    assert {p.dtype for p in found.solution.trial.parameters()} == {torch.float64}
    single = transfer(solved, "poisson_square", task=NO_DATA, dtype="float32", **TINY)
    assert {p.dtype for p in single.solution.trial.parameters()} == {torch.float32}


def test_a_source_with_exact_boundary_values_gives_its_features() -> None:
    """Its solution is tied to its own boundary, and is not moved."""
    hard = {**QUICK, "network": {**TINY["network"], "boundary": "hard"}}
    found = transfer(solve("poisson_square", **hard), "poisson_square", task=NO_DATA, **TINY)
    assert "source_unchanged" not in found.transferred.arms
    assert set(found.metrics["arms"]["source_unchanged"].values()) == {None}
    assert found.metrics["shift"] == {"inputs": None, "residuals": {}}


# --- problems ---------------------------------------------------------------------------------------------------------


def test_a_problem_is_a_name_an_object_or_a_file(source: tuple[Result, Path], runs: Runs, tmp_path: Path) -> None:
    expected = runs["head"][0].predict(grid())
    by_object = transfer(source[0], catalogue.load("poisson_square").build(), strategy="head", task=NO_DATA, **TINY)
    assert np.array_equal(by_object.predict(grid()), expected)
    (tmp_path / "mine.py").write_text(REACTION)
    own = transfer(source[0], str(tmp_path / "mine.py"), strategy="head", task=NO_DATA, problem={"k": 2.0}, **TINY)
    assert own.metrics["problem"] == "mine" and own.settings.problem.parameters == {"k": 2.0}
    assert own.metrics["relative_l2"] < 0.2


def test_a_nonlinear_problem_is_transferred_to(source: tuple[Result, Path]) -> None:
    found = transfer(source[0], "nonlinear_poisson", task=NO_DATA, **TINY)
    assert found.metrics["relative_l2"] < 0.5 * found.transferred.arms["from_scratch"].relative_l2


def in_time() -> Problem:
    """u = (1 + t)² exp(2x) cos(2y), with the source that this needs."""

    def steady(x, y):
        return exp(2 * x) * cos(2 * y)

    def exact(x, y, t):
        return (1 + t) ** 2 * steady(x, y)

    def heat(u, x, y, t):
        return derivative(u, t) - laplacian(u, x, y) - 2 * (1 + t) * steady(x, y)

    conditions = {"heat": pde(heat), "start": initial(steady), "wall": dirichlet("boundary", exact)}
    return Problem(Rectangle() * (0.0, 1.0), conditions, exact=exact)


@pytest.mark.parametrize("strategy", ["head", "lora"])
def test_steady_features_serve_in_time(strategy: str, tmp_path: Path, no_figures) -> None:
    """As products with polynomials in time, with which the solution is nearly a combination of them."""
    small = {**DEEP, "sampling": {"interior": 400, "boundary": 200, "corner": 0}}
    task = {"name": "pretrain", "polynomials": 60, "features": 20, "heads": 40, "frequency": 3.0}
    steady = Problem(Rectangle(), {"laplace": pde(lambda u, x, y: -laplacian(u, x, y)), "wall": dirichlet("boundary")})
    source = solve(steady, task=task, reference={"kind": "none"}, **small)
    more = {**small, "network": TINY["network"], "training": {"max_steps": 2}}
    found = transfer(source, in_time(), strategy=strategy, task=NO_DATA, folder=tmp_path / "run", **more)
    assert found.transferred.arms["one_shot"].relative_l2 < 1e-2 and found.metrics["relative_l2"] < 1e-2
    assert found.solution.trial.width == 6 * source.solution.trial.width
    assert "source_unchanged" not in found.transferred.arms
    points = np.column_stack([grid(), np.linspace(0, 1, len(grid()))])
    assert np.array_equal(load(tmp_path / "run").predict(points), found.predict(points))


def test_from_a_plate_at_rest_to_one_that_warms_up() -> None:
    """With the singular functions of the new plate, in time."""
    blind = {**TINY, "reference": {"kind": "none"}, "training": {"max_steps": 2},
             "network": {"layers": [4], "polynomials": 0}}  # fmt: skip
    source = solve("heat_rectangle", task={**PRETRAIN, "features": 10}, **blind)
    found = transfer(source, "heat_lshape_transient", strategy="head", task=NO_DATA, **blind)
    assert found.metrics["problem"] == "heat_lshape_transient"
    assert found.solution.trial.enrichment is not None and found.solution.trial.width == 6 * 14
    assert np.isfinite(found.predict(found.problem.domain.sample(50))).all()
    assert found.history[-1]["loss"] < 0.1 * found.history[0]["loss"]


@pytest.mark.parametrize("problem", ["poisson_nd", "heat_rod"])
def test_problems_of_other_coordinates_are_refused(source: tuple[Result, Path], problem: str) -> None:
    with pytest.raises(BadInput, match=r"functions of x, y, the problem is one of .*; choose another") as refused:
        transfer(source[0], problem, task=NO_DATA, reference={"kind": "none"}, **TINY)
    assert refused.value.key == "task.source"


@pytest.mark.parametrize(
    ("told", "words"),
    [
        ({"strategy": "nosuch"}, "task.strategy: unknown choice 'nosuch'; choose from full, frozen, head, lora, l2"),
        ({"strategy": {"name": "frozen", "layers": 2}}, "task.strategy.layers: 2 of 2 layers are to be frozen"),
        ({"task": {"missing": ["nosuch"]}}, "task.missing: there is no condition 'nosuch'"),
        ({"task": {"missing": ["poisson"]}}, "task.missing: 'poisson' is an equation"),
        ({"task": {"heads": 3}}, "task.heads: it belongs to pretrain only"),
        ({"task": {"sensors": 3}, "reference": {"kind": "none"}}, "task.sensors: there is no reference"),
        ({"task": {"data": "nosuch.csv"}}, "nosuch.csv: it cannot be read"),
    ],
)
def test_bad_settings_are_refused_by_key(source: tuple[Result, Path], told: dict[str, Any], words: str) -> None:
    with pytest.raises(BadInput) as refused:
        transfer(source[0], "poisson_square", **{**TINY, **told})
    assert words in str(refused.value)


def test_corrections_for_one_layer_are_refused() -> None:
    with pytest.raises(BadInput, match=r"task\.strategy: lora needs .* two layers"):
        transfer(solve("poisson_square", **QUICK), "poisson_square", strategy="lora", task=NO_DATA, **TINY)


# --- runs -------------------------------------------------------------------------------------------------------------


def test_a_run_leaves_its_files(runs: Runs) -> None:
    result, folder = runs["full"]
    plots = {name for name in FILES if name.startswith("plots/")}
    assert left_in(folder) >= FILES - plots
    assert json.loads((folder / "status.json").read_text()) == {"status": "done", "error": None}
    with np.load(folder / "solution.npz") as arrays:
        np.testing.assert_allclose(arrays["values"], result.predict(arrays["points"]), rtol=1e-9)


def test_a_summary_tells_of_the_error_and_of_the_arms(runs: Runs) -> None:
    text = summary(runs["full"][0])
    assert text.startswith("poisson_square: ") and f"{runs['full'][0].metrics['relative_l2']:.2e}" in text


def test_the_same_seed_gives_the_same_bits(source: tuple[Result, Path]) -> None:
    one, again, other = (
        transfer(source[0], "poisson_square", strategy="lora", task={"sensors": 5}, seed=seed, **TINY)
        for seed in (0, 0, 1)
    )
    for name, arm in one.transferred.arms.items():
        assert np.array_equal(arm.predict(grid()), again.transferred.arms[name].predict(grid()))
    assert not np.array_equal(one.predict(grid()), other.predict(grid()))


def test_transferring_leaves_the_state_of_the_process_alone(source: tuple[Result, Path]) -> None:
    def state() -> tuple[Any, ...]:
        numpy_state = np.random.get_state()[1].tobytes()
        return torch.get_default_dtype(), torch.get_num_threads(), torch.get_rng_state().numpy().tobytes(), numpy_state

    before = state()
    transfer(source[0], "poisson_square", strategy="lora", **TINY)
    assert state() == before and torch.is_grad_enabled()


def test_a_finished_transfer_is_not_repeated(runs: Runs, source: tuple[Result, Path], no_figures) -> None:
    for name in ("full", "lora"):
        result, folder = runs[name]
        told = {"strategy": name, "task": NO_DATA, "folder": folder, **TINY}
        again = transfer(source[0], "poisson_square", resume="auto", **told)
        assert again.history == result.history
        assert np.array_equal(again.predict(grid()), result.predict(grid()))


@pytest.mark.parametrize("steps", [2, 7, 14], ids=["from scratch", "after transfer", "in another arm"])
def test_a_transfer_that_was_interrupted_goes_on_to_the_same_bits(
    source: tuple[Result, Path], steps: int, tmp_path: Path, no_figures, monkeypatch
) -> None:
    told = {"strategy": "lora", "task": {"sensors": 5}, **TINY}
    whole, stop = transfer(source[0], "poisson_square", **told), Stop(iter(range(steps)))
    with monkeypatch.context() as patch:
        patch.setattr("pinnkit.solving.catching", lambda: nullcontext(stop))
        with pytest.raises(Interrupted):
            transfer(source[0], "poisson_square", folder=tmp_path / "run", **told)
    assert json.loads((tmp_path / "run" / "status.json").read_text())["status"] == "interrupted"
    found = transfer(source[0], "poisson_square", folder=tmp_path / "run", resume="auto", **told)
    for name, arm in whole.transferred.arms.items():
        assert np.array_equal(arm.predict(grid()), found.transferred.arms[name].predict(grid())), name
    assert found.transferred.probe == whole.transferred.probe


class Stop:
    """Asks to stop once it has been looked at so many times, by all that share the count."""

    def __init__(self, left: Iterator[int]) -> None:
        self.left = left

    def asked(self) -> bool:
        return next(self.left, None) is None

    def error(self, step: int) -> Interrupted:
        return Interrupted(f"run: stopped after step {step}; go on with resume=auto")


def test_going_on_with_other_settings_is_refused(runs: Runs, source: tuple[Result, Path]) -> None:
    with pytest.raises(CheckpointUnusable, match="another run"):
        transfer(source[0], "poisson_square", strategy="full", task={"sensors": 3}, folder=runs["full"][1],
                 resume="auto", **TINY)  # fmt: skip


def test_unknown_coefficients_of_the_new_problem_are_found_too(source: tuple[Result, Path]) -> None:
    metrics = transfer(source[0], "inverse_heat", task={"sensors": 0}, **TINY).metrics
    assert metrics["unknowns"]["k"]["true"] == 2.5
    assert metrics["arms"]["source_unchanged"]["relative_l2"] > metrics["arms"]["physics_only"]["relative_l2"]
