"""Training: why it stops, what it records, that it resumes bit-exactly, and that it says where it diverged."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from runs import BLOWS_UP, SMALL

from pinnkit import checkpoint, solve
from pinnkit.errors import CheckpointUnusable, Diverged
from pinnkit.result import Result
from pinnkit.settings import OPTIMIZERS
from pinnkit.training import MOST_SECONDS

ADAM_LBFGS = {"name": "adam_lbfgs", "adam_steps": 12}


def trained(optimizer: Any, steps: int | None = None, **more: Any) -> Result:
    training = {"tolerance": 1e-300, "max_steps": steps, **more.pop("training", {})}
    return solve("poisson_square", training=training, **{**SMALL, "optimizer": optimizer, **more})


def theta(result: Result) -> torch.Tensor:
    return torch.cat([p.detach().reshape(-1) for p in result.solution.trial.parameters()])


def made(result: Result) -> list[Mapping[str, Any]]:
    """The rows of history after which a step had been made."""
    return [row for row in result.history if row["step"]]


# --- stopping ---------------------------------------------------------------------------------------------------------


def test_training_stops_after_the_steps_asked_for():
    result = trained("adam", 23)
    assert result.metrics["stop_reason"] == "all steps are done"
    assert [row["step"] for row in made(result)] == list(range(1, 24))


def test_training_stops_when_the_time_is_up():
    result = trained("adam", 10**9, training={"max_seconds": 0.3})
    assert result.metrics["stop_reason"] == "the time is up"
    assert 0.3 <= result.history[-1]["seconds"] < 3 < MOST_SECONDS


def test_training_stops_below_the_tolerance():
    result = trained("lbfgs", 500, training={"tolerance": 3.0})
    assert result.metrics["stop_reason"] == "the residual is below the tolerance"
    *before, last = [math.sqrt(2 * row["loss"]) for row in made(result)]
    assert last <= 3.0 and all(residual > 3.0 for residual in before)


def test_least_squares_stops_by_itself():
    result = trained("least_squares")
    assert result.metrics["stop_reason"] not in ("", "all steps are done", "the time is up")
    assert len(made(result)) <= 4


# --- history ----------------------------------------------------------------------------------------------------------


def test_history_tells_the_loss_of_every_step_and_more_now_and_then():
    result = trained("lbfgs", 25, training={"evaluate_every": 7})
    evaluated = [row["step"] for row in made(result) if "relative_l2" in row]
    assert evaluated[0] == 1 and [step for step in evaluated if step >= 7] == [7, 14, 21, 25]
    for row in made(result):
        if "relative_l2" in row:
            terms = row["loss/poisson"] + row["loss/wall"]
            assert terms == pytest.approx(row["loss"], rel=1e-9)
            assert row["weight/poisson"] == row["weight/wall"] == 1.0
    seconds = [row["seconds"] for row in made(result)]
    assert seconds == sorted(seconds) and seconds[0] > 0
    assert made(result)[-1]["relative_l2"] == pytest.approx(result.metrics["relative_l2"], rel=0.1)


def test_a_run_that_is_to_be_evaluated_rarely_is():
    result = trained("adam", 40, training={"evaluate_every": 10**6})
    assert len([row for row in made(result) if "relative_l2" in row]) <= 12


def test_without_a_reference_the_error_is_blank():
    result = trained("adam", 3, reference={"kind": "none"})
    assert all(row.get("relative_l2") is None for row in result.history)


# --- every optimizer --------------------------------------------------------------------------------------------------

BARS = {  # steps, and the relative L2 error to be reached from a random head
    "least_squares": (None, 0.1),
    "gauss_newton": (30, 5e-3),
    "lbfgs": (150, 5e-2),
    "ssbroyden": (150, 2e-2),
    "soap": (400, 0.5),
    "matrix_free": (15, 0.1),
    "spring": (30, 5e-3),
    "adam_lbfgs": (150, 5e-2),
    "adam": (400, 0.7),
    "auto": (10, 5e-2),
}


def test_every_optimizer_has_a_bar():
    assert BARS.keys() == OPTIMIZERS.keys()


@pytest.mark.parametrize("head", ["solved", "random"])
@pytest.mark.parametrize("name", BARS)
def test_every_optimizer_lowers_loss_and_error(name, head):
    steps, bar = BARS[name]
    optimizer = ADAM_LBFGS if name == "adam_lbfgs" else name
    layers = [12] if name == "auto" else SMALL["network"]["layers"]  # so few that their head alone does not suffice
    result = trained(optimizer, steps, network={**SMALL["network"], "layers": layers, "head": head})
    losses = [row["loss"] for row in result.history]
    assert losses[-1] <= losses[0] and losses[-1] == pytest.approx(min(losses), rel=0.5)
    assert result.metrics["relative_l2"] < bar
    assert result.metrics["optimizer"] == ("gauss_newton" if name == "auto" else name)


# --- resuming ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("optimizer", "resample"),
    [("adam", 0), ("adam", 4), ("lbfgs", 0), (ADAM_LBFGS, 0), ("gauss_newton", 0), ("gauss_newton", 3),
     ("ssbroyden", 0), ("soap", 0), ("matrix_free", 0), ("spring", 1)],
    ids=lambda value: str(value["name"] if isinstance(value, dict) else value),
)
@pytest.mark.parametrize("part", [8, 12])  # on a redraw and on the end of a stage, and between them
def test_a_resumed_run_is_the_uninterrupted_one(tmp_path: Path, no_figures, optimizer, resample, part):
    sampling = {**SMALL["sampling"], "resample": resample}
    trained(optimizer, part, sampling=sampling, folder=tmp_path)
    resumed = trained(optimizer, 20, sampling=sampling, folder=tmp_path, resume="auto")
    whole = trained(optimizer, 20, sampling=sampling)
    assert torch.equal(theta(resumed), theta(whole))
    assert [row["loss"] for row in made(resumed)] == [row["loss"] for row in made(whole)]
    steps = [row["step"] for row in made(resumed)]
    assert steps == list(range(1, len(steps) + 1)) and part < len(steps) <= 20  # round-off may end it sooner
    assert resumed.metrics["relative_l2"] == whole.metrics["relative_l2"]
    assert resumed.history[-1]["seconds"] > resumed.history[-2]["seconds"] > 0


def test_resuming_a_finished_run_changes_nothing(tmp_path, no_figures):
    first = trained("adam", 8, folder=tmp_path)
    again = trained("adam", 8, folder=tmp_path, resume="auto")
    assert torch.equal(theta(first), theta(again))
    assert again.metrics["stop_reason"] == first.metrics["stop_reason"]


def test_resuming_where_there_is_nothing_starts_anew(tmp_path, no_figures):
    assert torch.equal(theta(trained("adam", 5, folder=tmp_path, resume="auto")), theta(trained("adam", 5)))


def test_resuming_by_path_leaves_that_run_alone(tmp_path, no_figures):
    trained("adam", 8, folder=tmp_path / "old")
    before = (tmp_path / "old" / "checkpoints" / "last.pt").read_bytes()
    resumed = trained("adam", 15, folder=tmp_path / "new", resume=str(tmp_path / "old"))
    assert torch.equal(theta(resumed), theta(trained("adam", 15)))
    assert (tmp_path / "old" / "checkpoints" / "last.pt").read_bytes() == before


@pytest.mark.parametrize(
    ("changed", "word"),
    [
        ({"network": {**SMALL["network"], "layers": [16]}}, "network"),
        ({"network": {**SMALL["network"], "activation": "tanh"}}, "network"),
        ({"sampling": {"interior": 300}}, "sampling"),
        ({"seed": 1}, "seed"),
        ({"dtype": "float32"}, "dtype"),
        ({"optimizer": "lbfgs"}, "optimizer"),
        ({"optimizer": {"name": "adam", "learning_rate": 0.1}}, "optimizer"),
    ],
)
def test_the_checkpoint_of_another_run_is_refused(tmp_path, no_figures, changed, word):
    trained("adam", 3, folder=tmp_path)
    with pytest.raises(CheckpointUnusable, match=f"another run: {word} was") as refusal:
        trained(changed.pop("optimizer", "adam"), 6, folder=tmp_path, resume="auto", **changed)
    assert str(refusal.value).startswith(str(tmp_path)) and "\n" not in str(refusal.value)


# --- divergence -------------------------------------------------------------------------------------------------------


def test_divergence_names_step_and_condition_and_a_remedy(tmp_path):
    (tmp_path / "blows_up.py").write_text(BLOWS_UP)
    training = {"max_steps": 50, "tolerance": 1e-300}
    with pytest.raises(Diverged, match=r"at step \d+ \(.*explosion.*\); take a smaller learning rate"):
        solve(str(tmp_path / "blows_up.py"), training=training, **{**SMALL, "optimizer": "adam"})


def test_a_huge_learning_rate_is_not_reported_as_success():
    result = trained({"name": "adam", "learning_rate": 1e6}, 30)
    assert result.metrics["verdict"].startswith("untrusted: ")


def test_a_learning_rate_beyond_numbers_diverges():
    with pytest.raises(Diverged, match="at step"):
        trained({"name": "adam", "learning_rate": 1e300}, 30)


def test_a_failing_write_ends_training_and_keeps_the_former_checkpoint(tmp_path, no_figures, monkeypatch):
    trained("adam", 8, folder=tmp_path)
    kept = checkpoint.read(tmp_path)["training"]["theta"]
    full = OSError(28, "No space left on device")
    monkeypatch.setattr("os.fsync", lambda file: (_ for _ in ()).throw(full))
    with pytest.raises(Exception, match="No space left on device") as failure:
        trained("adam", 15, folder=tmp_path, resume="auto")
    assert failure.value.exit_code == 6
    assert torch.equal(checkpoint.read(tmp_path)["training"]["theta"], kept)


def test_training_ends_where_the_loss_was_smallest():
    """Steps of Adam that are far too long are taken back, and a longer run goes on from the last of them."""
    adam = {"name": "adam", "learning_rate": 0.3}
    losses = [row["loss"] for row in trained(adam, 20).history]
    assert max(losses[2:-1]) > 10 * losses[1]
    assert losses[-1] == min(losses[1:])
    assert [row["loss"] for row in trained(adam, 30).history][:20] == losses[:20]
