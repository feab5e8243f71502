"""The command line: where results go, exit codes, one's own problems, sweeps."""

import csv
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from runs import BLOWS_UP, COMMAND, FILES, REACTION, left_in

from pinnkit import load
from pinnkit.errors import CheckpointUnusable, Diverged, Interrupted, Preempted


def status(folder: Path) -> dict[str, object]:
    return json.loads((folder / "status.json").read_text())


def test_help_names_problems_groups_and_keys_without_what_is_slow_to_import():
    command = [sys.executable, "-X", "importtime", "-m", "pinnkit", "--help"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    imported = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert "hydra" in imported and not imported & {"torch", "scipy", "matplotlib", "shapely", "skfem"}
    for word in ("heat_lshape", "optimizer: adam", "training:", "Examples", "-m"):
        assert word in done.stdout


def test_help_needs_no_torch():
    code = "import sys, pinnkit.__main__; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_run_goes_to_a_folder_by_problem_task_and_time(pinn, stand_in, tmp_path):
    done = pinn("problem=heat_rectangle")
    assert (done.code, done.err) == (0, "")
    assert "0.001" in done.out
    (folder,) = (tmp_path / "outputs" / "heat_rectangle" / "solve").iterdir()
    assert status(folder)["status"] == "done"
    assert (folder / ".hydra" / "overrides.yaml").read_text() == "- problem=heat_rectangle\n"


def test_overrides_reach_the_task(pinn, stand_in):
    pinn("problem=heat_rectangle", "problem.width=3", "optimizer=adam", "optimizer.half_life=7")
    (settings,) = stand_in.seen
    assert settings.problem.parameters["width"] == 3
    assert (settings.optimizer.name, settings.optimizer.half_life) == ("adam", 7.0)


def test_flags_may_stand_anywhere(pinn, stand_in):
    assert "heat_rectangle" in pinn("problem=heat_rectangle", "--cfg", "job", "~seed", "-p", "problem").out


@pytest.mark.parametrize(
    ("failure", "code"),
    [
        (Diverged("training: the loss is nan at step 3; lower the learning rate"), 3),
        (CheckpointUnusable("resume: x.pt is empty; choose another one"), 5),
        (Preempted("training: stopped at step 3; resume=auto goes on"), 75),
        (Interrupted("training: interrupted at step 3; resume=auto goes on"), 130),
        (PermissionError(13, "Permission denied", "metrics.json"), 6),
    ],
)
def test_each_failure_has_its_exit_code_one_line_and_a_status(pinn, stand_in, tmp_path, failure, code):
    stand_in.fail = failure
    done = pinn("problem=heat_rectangle", "hydra.run.dir=run")
    assert done.code == code
    assert done.error.count(";") == 1
    assert status(tmp_path / "run") == {"error": str(failure), "status": "failed", "exit_code": code}


def test_a_bug_shows_its_traceback_and_asks_for_a_report(pinn, stand_in):
    stand_in.fail = ZeroDivisionError("oh")
    done = pinn("problem=heat_rectangle")
    assert done.code == 1
    assert "ZeroDivisionError: oh" in done.err and "report it" in done.err.splitlines()[-1]


def test_a_missed_tolerance_has_its_own_exit_code(pinn, stand_in, tmp_path):
    assert pinn("problem=heat_rectangle", "tolerance=1e-2", "hydra.run.dir=loose").code == 0
    missed = pinn("problem=heat_rectangle", "tolerance=1e-6", "hydra.run.dir=tight")
    assert missed.code == 4
    assert missed.error.startswith("tolerance: ")
    assert "relative L2 error" in missed.out
    assert status(tmp_path / "tight")["status"] == "done"


def test_a_used_folder_is_kept_unless_asked(pinn, stand_in):
    assert pinn("problem=heat_rectangle", "hydra.run.dir=run").code == 0
    again = pinn("problem=heat_rectangle", "hydra.run.dir=run")
    assert again.code == 2
    assert "overwrite=true" in again.error and "resume=auto" in again.error
    assert pinn("problem=heat_rectangle", "hydra.run.dir=run", "overwrite=true").code == 0
    assert pinn("problem=heat_rectangle", "hydra.run.dir=run", "resume=auto").code == 0


def test_a_failed_run_may_be_repeated_in_its_folder(pinn, stand_in):
    stand_in.fail = Diverged("training: nan; lower the learning rate")
    assert pinn("problem=heat_rectangle", "hydra.run.dir=run").code == 3
    stand_in.fail = None
    assert pinn("problem=heat_rectangle", "hydra.run.dir=run").code == 0


def test_my_own_problem_file(pinn, stand_in, tmp_path):
    (tmp_path / "my_problem.py").write_text(REACTION)
    assert pinn("problem=./my_problem.py", "problem.k=2").code == 0
    (settings,) = stand_in.seen
    assert settings.problem.name == "my_problem"
    assert settings.problem.file == str(tmp_path / "my_problem.py")
    assert settings.problem.parameters == {"k": 2, "label": None}
    assert (tmp_path / "outputs" / "my_problem").is_dir()


def test_my_own_problem_by_config_dir(pinn, stand_in, tmp_path):
    (tmp_path / "mine.py").write_text(REACTION)
    (tmp_path / "conf" / "problem").mkdir(parents=True)
    (tmp_path / "conf" / "problem" / "warm.yaml").write_text("name: warm\nfile: mine.py\nk: 3.0\n")
    assert pinn("--config-dir", "conf", "problem=warm").code == 0
    assert stand_in.seen[0].problem.parameters == {"k": 3.0}


# --- sweeps -------------------------------------------------------------------------------------------------


def summary(folder: Path) -> list[dict[str, str]]:
    with open(folder / "summary.csv", newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_a_sweep_ends_with_a_table(pinn, stand_in, tmp_path):
    done = pinn("-m", "problem=heat_rectangle,heat_lshape", "seed=0,1", "hydra.sweep.dir=sweep")
    assert done.code == 0
    rows = summary(tmp_path / "sweep")
    assert [row["overrides"] for row in rows] == [
        f"problem={problem} seed={seed}" for problem in ("heat_rectangle", "heat_lshape") for seed in (0, 1)
    ]
    assert {(row["relative_l2"], row["seconds"], row["status"]) for row in rows} == {("0.001", "0.5", "done")}
    assert "relative_l2" in done.out and "problem=heat_lshape seed=1" in done.out


def test_a_bad_job_fails_with_its_reason_and_the_others_finish(pinn, stand_in, tmp_path):
    done = pinn("-m", "problem=heat_rectangle", "seed=0,-1,2", "hydra.sweep.dir=sweep")
    assert done.code == 2
    rows = summary(tmp_path / "sweep")
    assert [row["status"] for row in rows] == ["done", "failed", "done"]
    assert [row["overrides"] for row in rows] == ["seed=0", "seed=-1", "seed=2"]
    assert rows[1]["reason"].startswith("seed: it must be >= 0")
    assert "Traceback" not in done.err


def test_a_used_sweep_folder_is_kept_unless_asked(pinn, stand_in):
    again = ("-m", "problem=heat_rectangle", "seed=0,1", "hydra.sweep.dir=sweep")
    assert [pinn(*again).code, pinn(*again).code, pinn(*again, "overwrite=true").code] == [0, 2, 0]


def test_a_bug_in_one_job_leaves_the_others(pinn, stand_in, tmp_path):
    stand_in.fail = ZeroDivisionError("oh")
    assert pinn("-m", "problem=heat_rectangle", "seed=0,1", "hydra.sweep.dir=sweep").code == 1
    assert [row["reason"] for row in summary(tmp_path / "sweep")] == ["oh", "oh"]


def test_a_missed_tolerance_in_a_sweep_is_reported_by_its_exit_code(pinn, stand_in, tmp_path):
    assert pinn("-m", "problem=heat_rectangle", "tolerance=1e-2,1e-6", "hydra.sweep.dir=sweep").code == 4
    assert [bool(row["reason"]) for row in summary(tmp_path / "sweep")] == [False, True]


def test_preemption_ends_a_sweep(pinn, stand_in, tmp_path):
    stand_in.fail = Preempted("training: stopped at step 3; resume=auto goes on")
    assert pinn("-m", "problem=heat_rectangle", "seed=0,1", "hydra.sweep.dir=sweep").code == 75
    assert len(stand_in.seen) == 1
    assert [path.name for path in (tmp_path / "sweep").iterdir() if path.is_dir()] == ["0"]


def test_a_sweep_that_cannot_be_composed_makes_no_folder(pinn, stand_in, tmp_path):
    done = pinn("-m", "problem=heat_rectangle,nosuch", "seed=0,1")
    assert done.code == 2
    assert done.error.startswith("problem: unknown problem 'nosuch'")
    assert pinn("-m", "seed=0,1").error.startswith("problem: it is required")
    assert not list(tmp_path.iterdir())


def test_own_problems_in_a_sweep(pinn, stand_in, tmp_path):
    for name in ("a", "b"):
        (tmp_path / f"{name}.py").write_text(REACTION)
    assert pinn("-m", "problem=./a.py,./b.py,heat_lshape").code == 0
    assert [settings.problem.name for settings in stand_in.seen] == ["a", "b", "heat_lshape"]


# --- with the solver --------------------------------------------------------------------------------------------------

POISSON = ("problem=poisson_square", *COMMAND)


def last_line(done: Any) -> str:
    """The one line of failure, below the log."""
    assert "Traceback" not in done.err
    return done.err.splitlines()[-1]


def test_a_whole_run(pinn, tmp_path):
    done = pinn(*POISSON, "hydra.run.dir=run", "seed=3")
    assert done.code == 0
    assert done.out.startswith("poisson_square: ") and "relative L2 error" in done.out
    composed = {".hydra/config.yaml", ".hydra/hydra.yaml", ".hydra/overrides.yaml"}
    assert left_in(tmp_path / "run") - {"pinnkit.log"} == FILES | composed
    metrics = json.loads((tmp_path / "run" / "metrics.json").read_text())
    assert (metrics["problem"], metrics["seed"]) == ("poisson_square", 3)
    assert status(tmp_path / "run") == {"status": "done", "error": None}
    assert load(tmp_path / "run").settings.seed == 3


def test_my_own_problem_is_solved_and_its_file_is_no_longer_needed(pinn, tmp_path, no_figures):
    (tmp_path / "mine.py").write_text(REACTION)
    assert pinn("problem=./mine.py", "problem.k=3", *COMMAND, "hydra.run.dir=run").code == 0
    (tmp_path / "mine.py").unlink()
    solution = load(tmp_path / "run")
    assert solution.settings.problem.parameters == {"k": 3, "label": None}
    assert solution.predict([[0.5, 0.5]]) == pytest.approx(1.0, abs=0.2)


def test_an_accuracy_that_is_missed(pinn, tmp_path, no_figures):
    done = pinn(*POISSON, "tolerance=1e-9", "hydra.run.dir=run")
    assert done.code == 4
    assert last_line(done).startswith("error: tolerance: ")
    assert "untrusted: the error is" in done.out
    assert status(tmp_path / "run")["status"] == "done"
    blind = pinn(*POISSON, "tolerance=0.5", "reference.kind=none", "hydra.run.dir=blind")
    assert blind.code == 4 and "None" not in last_line(blind)


def test_divergence(pinn, tmp_path, no_figures):
    done = pinn(*POISSON, "optimizer=adam", "optimizer.learning_rate=1e300", "hydra.run.dir=run")
    assert done.code == 3
    assert re.match(r"error: training: .* at step \d+ \(.*poisson.*\); ", last_line(done))
    assert (status(tmp_path / "run")["status"], status(tmp_path / "run")["exit_code"]) == ("failed", 3)


def test_an_equation_that_overflows(pinn, tmp_path, no_figures):
    (tmp_path / "mine.py").write_text(BLOWS_UP)
    done = pinn("problem=mine.py", "optimizer=adam", *COMMAND, "hydra.run.dir=run")
    assert done.code == 3
    assert "explosion" in last_line(done)


def test_a_full_disk(pinn, tmp_path, no_figures, monkeypatch):
    def full(file: int) -> None:
        raise OSError(28, "No space left on device")

    assert pinn(*POISSON, "hydra.run.dir=run").code == 0
    kept = (tmp_path / "run" / "checkpoints" / "last.pt").read_bytes()
    monkeypatch.setattr("os.fsync", full)
    done = pinn(*POISSON, "hydra.run.dir=run", "overwrite=true")
    assert done.code == 6
    assert "No space left on device" in last_line(done) and last_line(done).count("; ") == 1
    assert (tmp_path / "run" / "checkpoints" / "last.pt").read_bytes() == kept


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda whole: b"", ["not a checkpoint of pinnkit"]),
        (lambda whole: b"some text\n", ["not a checkpoint of pinnkit"]),
        (lambda whole: whole[: len(whole) // 2], ["damaged"]),
        (lambda whole: whole[:-100] + bytes([whole[-100] ^ 1]) + whole[-99:], ["damaged"]),
        (lambda whole: whole.replace(b"checkpoint 1", b"checkpoint 9", 1), ["format is 9"]),
    ],
    ids=["empty", "text", "cut", "flipped", "newer"],
)
def test_a_checkpoint_that_cannot_be_used(pinn, tmp_path, no_figures, spoil, words):
    assert pinn(*POISSON, "hydra.run.dir=run").code == 0
    path = tmp_path / "run" / "checkpoints" / "last.pt"
    path.write_bytes(spoil(path.read_bytes()))
    for asked in ("resume=auto", "resume=run", "resume=run/checkpoints/last.pt"):
        done = pinn(*POISSON, asked, "hydra.run.dir=run")
        assert done.code == 5
        assert last_line(done).startswith("error: ") and "last.pt: " in last_line(done)
        assert all(word in last_line(done) for word in words)


def test_a_checkpoint_of_something_else(pinn, tmp_path, no_figures):
    assert pinn(*POISSON, "hydra.run.dir=run").code == 0
    for changed in ("network.activation=tanh", "seed=7", "dtype=float32", "sampling.method=halton"):
        done = pinn(*POISSON, changed, "resume=run")
        assert done.code == 5
        assert "another run" in last_line(done)
    other = pinn("problem=heat_rectangle", *COMMAND, "resume=run")
    assert other.code == 5 and "problem was" in last_line(other)
    missing = pinn(*POISSON, "resume=nosuch.pt")
    assert missing.code == 5 and "nosuch.pt: No such file" in last_line(missing)


def test_a_problem_that_was_changed_since(pinn, tmp_path, no_figures):
    (tmp_path / "mine.py").write_text(REACTION)
    assert pinn("problem=mine.py", *COMMAND, "hydra.run.dir=run").code == 0
    changed = REACTION.replace("Problem(Rect", "Problem(fields=('u', 'v'), domain=Rect").replace(
        ", conditions, exact=shape", ", conditions={**conditions, 'v': pde(lambda v: v)}"
    )
    (tmp_path / "mine.py").write_text(changed)
    done = pinn("problem=mine.py", *COMMAND, "hydra.run.dir=run", "resume=auto")
    assert done.code == 5
    assert last_line(done).count("; ") == 1


def test_a_sweep_with_a_bad_job(pinn, tmp_path, no_figures):
    done = pinn("-m", *POISSON, "seed=0,-1,1", "hydra.sweep.dir=sweep")
    assert done.code == 2
    rows = summary(tmp_path / "sweep")
    assert [row["status"] for row in rows] == ["done", "failed", "done"]
    assert rows[1]["reason"].startswith("seed: ") and float(rows[0]["relative_l2"]) < 0.2
    assert "Traceback" not in done.err


# --- pretraining and transfer -----------------------------------------------------------------------------------------

FAMILY = (*POISSON, "task=pretrain", "task.polynomials=40", "task.features=12", "task.heads=20")
ARMS = ("from_scratch", "source_unchanged", "data_only", "physics_only", "data_physics", "one_shot")


def test_pretraining_and_a_transfer_from_its_folder(pinn, tmp_path, no_figures):
    done = pinn(*FAMILY, "hydra.run.dir=family")
    assert done.code == 0 and done.out.startswith("poisson_square: ")
    pretrained = json.loads((tmp_path / "family" / "metrics.json").read_text())
    assert (pretrained["task"], pretrained["optimizer"]) == ("pretrain", "least_squares")
    assert pretrained["parameters"] == 3 * 32 + 32 + 12 + 1 and pretrained["relative_l2"] < 0.1
    assert status(tmp_path / "family")["status"] == "done"

    few = ("task.sensors=4", "training.max_steps=2", "problem.modes=[1,1]", "reference.kind=exact")
    done = pinn("problem=helmholtz", "task=transfer", "task.source=family", *COMMAND, *few, "hydra.run.dir=run")
    assert done.code == 0 and done.out.startswith("helmholtz: ")
    metrics = json.loads((tmp_path / "run" / "metrics.json").read_text())
    assert metrics["task"] == "transfer" and metrics["source"] == "family"
    assert list(metrics["arms"]) == list(ARMS)
    for figures in metrics["arms"].values():
        assert figures.keys() == {"relative_l2", "seconds", "seconds_to_target"}
        assert figures["relative_l2"] >= 0 and figures["seconds"] > 0
    assert isinstance(metrics["negative_transfer"], bool)
    assert metrics["speedup"] is None or metrics["speedup"] > 0
    assert metrics["shift"].keys() == {"inputs", "residuals"} and 0 <= metrics["shift"]["inputs"] <= 1
    assert metrics["shift"]["residuals"].keys() == {"helmholtz", "wall"}
    assert metrics["seconds"].keys() == {"train", "reference", "total", "source"}
    assert metrics["relative_l2"] is not None and metrics["verdict"]
    assert status(tmp_path / "run") == {"status": "done", "error": None}
    solution = load(tmp_path / "run")
    assert solution.settings.task.source == "family" and solution.metrics == metrics


def test_a_transfer_goes_to_a_folder_by_problem_task_and_time(pinn, stand_in, tmp_path):
    assert pinn("problem=heat_lshape", "task=transfer", "task/strategy=lora", "task.strategy.rank=2").code == 0
    (folder,) = (tmp_path / "outputs" / "heat_lshape" / "transfer").iterdir()
    assert status(folder)["status"] == "done"
    (settings,) = stand_in.seen
    assert (settings.task.name, settings.task.source, settings.task.strategy.rank) == ("transfer", "heat", 2)


def test_a_strategy_may_be_set_by_its_name(pinn, stand_in):
    for told in ("task/strategy=head", "task.strategy=head"):
        assert pinn("problem=heat_lshape", "task=transfer", told).code == 0
    assert [settings.task.strategy.name for settings in stand_in.seen] == ["head", "head"]


def test_a_sweep_over_tasks_and_strategies(pinn, stand_in, tmp_path):
    done = pinn("-m", "problem=heat_lshape", "task=transfer", "task/strategy=full,frozen,lora", "hydra.sweep.dir=sweep")
    assert done.code == 0
    assert [settings.task.strategy.name for settings in stand_in.seen] == ["full", "frozen", "lora"]
    done = pinn("-m", "problem=heat_lshape", "task=solve,pretrain,transfer", "hydra.sweep.dir=other")
    assert done.code == 0
    assert [settings.task.name for settings in stand_in.seen[3:]] == ["solve", "pretrain", "transfer"]
    assert [row["status"] for row in summary(tmp_path / "other")] == ["done"] * 3


def test_a_whole_committee(pinn, tmp_path, no_figures):
    few = ("task=committee", "task.members=3", "task.workers=1", "problem.half=true")
    done = pinn("problem=hidden_edge", *few, *COMMAND, "hydra.run.dir=run")
    assert done.code == 0 and done.out.startswith("hidden_edge: ") and "relative L2 error" in done.out
    metrics = json.loads((tmp_path / "run" / "metrics.json").read_text())
    assert (metrics["task"], metrics["calibration"], len(metrics["members"])) == ("committee", "reference", 3)
    assert status(tmp_path / "run") == {"status": "done", "error": None}
    committee = load(tmp_path / "run")
    assert committee.metrics == metrics and len(committee.members) == 3
    again = pinn("problem=hidden_edge", *few, *COMMAND, "hydra.run.dir=run", "resume=auto", "seed=1")
    assert again.code == 5
    assert "another run: seed was 0" in last_line(again) and last_line(again).count("; ") == 1


def test_a_committee_goes_to_a_folder_by_problem_task_and_time(pinn, stand_in, tmp_path):
    assert pinn("problem=hidden_edge", "task=committee", "task.members=5", "task.level=0.9").code == 0
    (folder,) = (tmp_path / "outputs" / "hidden_edge" / "committee").iterdir()
    assert status(folder)["status"] == "done"
    (settings,) = stand_in.seen
    assert (settings.task.members, settings.task.level, settings.task.workers) == (5, 0.9, None)


def test_a_source_that_is_damaged(pinn, tmp_path, no_figures):
    (tmp_path / "mine.pt").write_bytes(b"pinnkit checkpoint 1 00\n")
    done = pinn("problem=poisson_square", "task=transfer", "task.source=mine.pt", *COMMAND, "hydra.run.dir=run")
    assert done.code == 5
    assert "mine.pt: " in last_line(done) and last_line(done).count("; ") == 1
