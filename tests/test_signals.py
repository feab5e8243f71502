"""Signals: noticed between steps, told apart, and no longer caught afterwards."""

import json
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
import torch
from runs import COMMAND

from pinnkit import checkpoint
from pinnkit.errors import Interrupted, Preempted
from pinnkit.signals import CAUGHT, catching
from pinnkit.solving import running


@pytest.fixture(autouse=True)
def interrupts_are_heard():
    """Whoever starts tests in the background has SIGINT ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.parametrize(
    ("number", "kind"), [(signal.SIGINT, Interrupted), (signal.SIGTERM, Preempted), (signal.SIGUSR2, Preempted)]
)
def test_a_signal_asks_to_stop_and_is_named(number, kind):
    with catching() as stop:
        assert not stop.asked()
        signal.raise_signal(number)
        assert stop.asked()
    error = stop.error(12)
    assert type(error) is kind
    assert str(error).count("; ") == 1 and signal.Signals(number).name in str(error) and "step 12" in str(error)


def test_a_second_interrupt_is_not_caught():
    with pytest.raises(KeyboardInterrupt), catching():
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)


def test_handlers_are_put_back_whatever_happens():
    before = [signal.getsignal(number) for number in CAUGHT]
    with pytest.raises(ZeroDivisionError), catching():
        assert [signal.getsignal(number) for number in CAUGHT] != before
        signal.raise_signal(signal.SIGTERM)
        _ = 1 / 0
    assert [signal.getsignal(number) for number in CAUGHT] == before


def test_other_threads_catch_nothing():
    seen = []

    def elsewhere() -> None:
        with catching() as stop:
            seen.append((stop.asked(), [signal.getsignal(number) for number in CAUGHT]))

    before = [signal.getsignal(number) for number in CAUGHT]
    thread = threading.Thread(target=elsewhere)
    thread.start()
    thread.join()
    assert seen == [(False, before)]


# --- whole runs -------------------------------------------------------------------------------------------------------

RUN = (
    sys.executable, "-m", "pinnkit", "problem=poisson_square", "optimizer=adam", *COMMAND, "training.tolerance=1e-300",
    "training.checkpoint_seconds=0.01", "training.evaluate_every=1000000",
)  # fmt: skip


def started(folder: Path, *more: str) -> subprocess.Popen[str]:
    """A run that is training: its first checkpoint is there."""
    process = subprocess.Popen(
        [*RUN, f"hydra.run.dir={folder}", *more], text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    end = time.monotonic() + 60
    while not (folder / "checkpoints" / "last.pt").exists():
        assert process.poll() is None and time.monotonic() < end
        time.sleep(0.01)
    return process


def stopped(process: subprocess.Popen[str], number: int) -> str:
    """What the run says last on stderr when the signal comes."""
    process.send_signal(number)
    out, err = process.communicate(timeout=60)
    assert out == "" and "Traceback" not in err
    return err.splitlines()[-1]


def status(folder: Path) -> dict[str, object]:
    return json.loads((folder / "status.json").read_text())


def test_a_preempted_run_goes_on_as_if_nothing_had_been(tmp_path, pinn, no_figures):
    folder = tmp_path / "run"
    process = started(folder, "training.max_steps=100000000")
    last = stopped(process, signal.SIGTERM)
    assert process.returncode == 75
    assert last.startswith("error: run: stopped by SIGTERM after step ") and last.endswith("; go on with resume=auto")
    assert (status(folder)["status"], status(folder)["exit_code"]) == ("preempted", 75)
    steps = checkpoint.read(folder)["training"]["step"]
    assert last.split(";")[0].endswith(f"step {steps}")

    arguments = (*RUN[3:], f"training.max_steps={steps + 20}")
    assert pinn(*arguments, f"hydra.run.dir={folder}", "resume=auto").code == 0
    assert pinn(*arguments, "hydra.run.dir=whole").code == 0
    assert status(folder)["status"] == "done"
    resumed, whole = checkpoint.read(folder)["training"], checkpoint.read(tmp_path / "whole")["training"]
    assert resumed["step"] == whole["step"] == steps + 20
    assert torch.equal(resumed["theta"], whole["theta"])
    assert [row["loss"] for row in resumed["history"]] == [row["loss"] for row in whole["history"]]


def test_an_interrupted_run_says_so(tmp_path):
    process = started(tmp_path / "run", "training.max_steps=100000000")
    last = stopped(process, signal.SIGINT)
    assert process.returncode == 130
    assert last.startswith("error: run: stopped by SIGINT after step ")
    assert (status(tmp_path / "run")["status"], status(tmp_path / "run")["exit_code"]) == ("interrupted", 130)
    assert checkpoint.read(tmp_path / "run")["training"]["step"] > 0


@pytest.mark.parametrize(
    ("number", "kind"), [(signal.SIGINT, Interrupted), (signal.SIGTERM, Preempted), (signal.SIGUSR2, Preempted)]
)
def test_between_trainings_a_signal_ends_the_run_at_once(number, kind, tmp_path):
    before = [signal.getsignal(caught) for caught in CAUGHT]
    with pytest.raises(kind, match=r"stopped by \w+ between steps; go on with resume=auto"), running(tmp_path):
        with catching() as stop:  # a training inside notices signals itself
            signal.raise_signal(signal.SIGUSR2)
            assert stop.asked()
        signal.raise_signal(number)
        raise AssertionError("it should have ended")
    assert [signal.getsignal(caught) for caught in CAUGHT] == before
    status = json.loads((tmp_path / "status.json").read_text())
    assert status["status"] == ("interrupted" if kind is Interrupted else "preempted")
