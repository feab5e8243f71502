"""The members of a committee: solutions of one problem from different draws, trained side by side.

A member has its own seed, hence its own features and points; of measured data it sees a bootstrap sample, and where
data decide what conditions leave open, its head is a sample of the posterior rather than the mean (`prior`). Members
are trained in processes of their own, each into a folder of its own, from which a run that was interrupted goes on.
"""

import json
import logging
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pinnkit import catalogue, checkpoint, modes
from pinnkit.assembly import assemble
from pinnkit.errors import CheckpointUnusable, Diverged, PinnkitError
from pinnkit.low_fidelity import informed
from pinnkit.merit import judged
from pinnkit.problem import Condition, Problem
from pinnkit.result import Committee, Solution, from_plain
from pinnkit.run_folder import SAME, keep, refuse_another, to_resume, write_json
from pinnkit.settings import Committee as Task
from pinnkit.settings import Reference as Comparison
from pinnkit.settings import Settings, Solve, check_device
from pinnkit.signals import catching
from pinnkit.solving import monitored, trained
from pinnkit.training import Training

SETTINGS = "settings.json"  # beside the members' folders: what a process is told
log = logging.getLogger(__name__)


def member(problem: Problem, settings: Settings, number: int) -> tuple[Problem, Settings]:
    """The problem and the settings of one member, which depend on the seed and its number alone."""
    task = settings.task
    assert isinstance(task, Task)
    seed, data = np.random.SeedSequence([settings.seed, number]).spawn(2)
    head = "sampled" if problem.open and settings.network.head == "solved" else settings.network.head
    own = replace(
        settings, task=Solve(), seed=int(seed.generate_state(1)[0]), reference=Comparison(kind="none"),
        network=replace(settings.network, head=head), resume=None, tolerance=None,
    )  # fmt: skip
    if task.bootstrap and problem.measured:
        drawn = {name: _resampled(problem.conditions[name], data) for name in problem.measured}
        problem = replace(problem, conditions={**problem.conditions, **drawn})
    return problem, own


def _resampled(condition: Condition, seed: np.random.SeedSequence) -> Condition:
    """A bootstrap sample of measured data: what was drawn several times counts as often, what was not is left out.

    One's own residuals, which no spread divides, are repeated.
    """
    assert condition.points is not None
    times = _draws(len(condition.points), seed)
    weighed = "spread" in condition.values
    kept = np.flatnonzero(times) if weighed else np.repeat(np.arange(len(times)), times)
    values = {name: column[kept] for name, column in condition.values.items()}
    if weighed:
        values["spread"] = values["spread"] / np.sqrt(times[kept])
    return replace(condition, points=condition.points[kept], values=values)


def _draws(n: int, seed: np.random.SeedSequence) -> NDArray[np.intp]:
    rng = np.random.default_rng(seed)
    return np.bincount(rng.integers(n, size=n), minlength=n)


def unseen(problem: Problem, settings: Settings, name: str) -> NDArray[np.bool_]:
    """Which data (members, n) of a condition which member has not seen."""
    task, points = settings.task, problem.conditions[name].points
    assert isinstance(task, Task) and points is not None
    seeds = [np.random.SeedSequence([settings.seed, number]).spawn(2)[1] for number in range(task.members)]
    return np.array([_draws(len(points), seed) == 0 for seed in seeds])


def train_member(problem: Problem, settings: Settings, number: int, folder: Path) -> None:
    """Train a member into its folder, or go on where it was left. Raises Diverged, Interrupted, Preempted."""
    if finished(folder):
        return
    began = time.perf_counter()
    own, told = member(problem, settings, number)
    kept = to_resume(replace(told, resume="auto"), folder)
    training = trained(own, told, None, kept, None, folder, visible=False)
    seconds = {"train": time.perf_counter() - began, "reference": 0.0, "total": time.perf_counter() - began}
    keep(training, judged(training, None, seconds).metrics, folder)


def finished(folder: Path) -> bool:
    """Whether a member's folder holds its solution."""
    if not (folder / "checkpoints" / "last.pt").is_file():
        return False
    return bool(checkpoint.read(folder)["solution"]["metrics"])


def train_members(problem: Problem, settings: Settings, folder: Path, from_file: bool) -> list[Path]:
    """Folders of all members, trained where they are not yet; several at a time where a process can build the problem.

    Raises BadInput, Diverged, Interrupted, Preempted.
    """
    task = settings.task
    assert isinstance(task, Task)
    _begin(settings, folder)
    folders = [folder / f"{number:03d}" for number in range(task.members)]
    left = [number for number, path in enumerate(folders) if not finished(path)]
    workers = min(task.workers or _usual_workers(settings), len(left))
    if not from_file or workers <= 1:
        for number in left:
            train_member(problem, settings, number, folders[number])
            log.info("member %d of %d", number + 1, task.members)
    else:
        _in_processes(folder, [left[k::workers] for k in range(workers)])
    return folders


def _usual_workers(settings: Settings) -> int:
    """One for each core; where members are trained on a GPU, which they would have to share, one."""
    return _cores() if check_device(settings.device, settings.dtype) == "cpu" else 1


def _begin(settings: Settings, folder: Path) -> None:
    """Clear away the members of another run, or keep them where the settings are the same and ask for it."""
    told, path = settings.to_mapping(), folder / SETTINGS
    told["task"] = {key: value for key, value in told["task"].items() if key in ("name", "bootstrap")}
    ours = {key: told[key] for key in (*SAME, "task")}
    if settings.resume and path.is_file():
        refuse_another(folder, _told(path)["same"], ours)
    else:
        shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True, exist_ok=True)
    write_json(path, {"settings": settings.to_mapping(), "same": ours})


def _told(path: Path) -> dict[str, Any]:
    """The settings beside the members. Raises CheckpointUnusable."""
    try:
        content: dict[str, Any] = json.loads(path.read_text())
        if not {"settings", "same"} <= content.keys():
            raise ValueError
    except (ValueError, AttributeError):
        raise CheckpointUnusable(f"{path}: it is damaged; start anew") from None
    return content


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _in_processes(folder: Path, shares: Sequence[Sequence[int]]) -> None:
    """Members in one process for each share of them. Signals are passed on, so that all leave checkpoints."""
    threads = str(max(1, _cores() // len(shares)))
    environment = {**os.environ, "OMP_NUM_THREADS": threads, "PYTHONWARNINGS": "ignore"}
    commands = [[sys.executable, "-m", __name__, str(folder), *map(str, share)] for share in shares]
    processes = [
        subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        for command in commands
    ]
    with catching() as stop:
        told = False
        while any(process.poll() is None for process in processes):
            failed = any(process.poll() not in (None, 0) for process in processes)
            if (stop.asked() or failed) and not told:
                told = True
                for process in processes:
                    with suppress(ProcessLookupError):
                        process.terminate()
            time.sleep(0.02)
    said = [process.communicate()[1] for process in processes]
    if stop.asked():
        raise stop.error(0)  # of the members' steps, each has its own count
    ended = [(process.returncode, words) for process, words in zip(processes, said, strict=True)]
    for code, words in sorted(ended, key=lambda one: one[0] < 0):  # those that were stopped because of another last
        if code not in (0, 75):
            raise _failure(code, words)


def _failure(code: int, words: str) -> Exception:
    line = words.strip().splitlines()[-1].removeprefix("error: ") if words.strip() else f"it ended with code {code}"
    kind = Diverged if code == Diverged.exit_code else PinnkitError
    return kind(f"member: {line}; task.workers=1 shows more")


def assembled(problem: Problem, settings: Settings, folders: Sequence[Path]) -> tuple[Committee, Training]:
    """The committee, and the training of its first member as it ended."""
    kept = [checkpoint.read(folder) for folder in folders]
    members = tuple(from_plain(content["solution"]) for content in kept)
    own, _ = member(problem, settings, 0)
    told = members[0].settings
    training = modes.begun(own, told) if own.modes else Training.start(own, told, assemble(own, told))
    training.restore(kept[0]["training"], kept[0]["solution"]["network"])
    training.stop_reason = kept[0]["training"]["stop_reason"]
    network = replace(told.network, head=settings.network.head)  # with what was chosen automatically
    training.settings = replace(settings, network=network, optimizer=told.optimizer)
    first = members[0]
    if own.modes:
        _align(members, training)
    return Committee(first.trial, training.settings, {}, first.history, members), training


def _align(members: Sequence[Solution], training: Training) -> None:
    """Turn the modes of all members towards those of the first, and have the training tell all eigenvalues."""
    points = monitored(training)
    model = members[0].predict(points)
    for one in members[1:]:
        modes.aligned(one.trial, one.metrics["eigenvalues"], one.predict(points), model)
    values, errors = (np.array([one.metrics[key] for one in members]) for key in modes.FINDINGS)
    training.findings = dict(zip(modes.FINDINGS, (values.mean(0).tolist(), errors.max(0).tolist()), strict=True))


def main(arguments: Sequence[str]) -> None:
    """The process of some members: `python -m pinnkit.members FOLDER NUMBER …`."""
    folder, *numbers = arguments
    settings = Settings.from_mapping(_told(Path(folder) / SETTINGS)["settings"])
    problem = informed(catalogue.equation(settings.problem))
    for number in map(int, numbers):
        train_member(problem, settings, number, Path(folder) / f"{number:03d}")


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except PinnkitError as error:
        print("error:", *str(error).split(), file=sys.stderr)
        sys.exit(error.exit_code)
