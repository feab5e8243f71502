"""Members of a committee: what each is given, and that they are trained once, here or in processes of their own."""

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from helpers import generator, laplace, residuals_of
from runs import BLOWS_UP, grid

from pinnkit import Condition, Problem, catalogue, checkpoint, load, measured, members, solve
from pinnkit.errors import CheckpointUnusable, Diverged, Interrupted, PinnkitError, Preempted
from pinnkit.members import finished, member, train_member, train_members, unseen
from pinnkit.networks import MLP
from pinnkit.settings import Settings

SMALL: dict[str, Any] = {
    "sampling": {"interior": 100, "boundary": 40, "corner": 0},
    "network": {"layers": [6], "polynomials": 10, "corners": False},
    "optimizer": "least_squares",
    "evaluation": {"points": 200},
}
COMMAND = (
    "sampling.interior=100", "sampling.boundary=40", "sampling.corner=0", "network.layers=[6]",
    "network.polynomials=10", "network.corners=false", "evaluation.points=200",
)  # fmt: skip


def settings(problem: str = "hidden_edge", seed: int = 0, **task: Any) -> Settings:
    told = {"name": "committee", "members": 3, "workers": 1, **task}
    groups = {**SMALL, "optimizer": {"name": "least_squares"}}
    return Settings.from_mapping({"problem": {"name": problem}, "task": told, "seed": seed, **groups})


def with_data(sensors: int = 25, sigma: Any = 0.1) -> Problem:
    """Laplace's equation and data."""
    points = np.random.default_rng(0).uniform(0, 1, (sensors, 2))
    values = laplace().exact(*torch.from_numpy(points.T)).numpy()
    return replace(laplace(), conditions={**laplace().conditions, "data": measured(points, values, sigma)})


# --- what each is given -----------------------------------------------------------------------------------------------


def test_a_member_depends_on_the_seed_and_its_number_alone() -> None:
    problem = with_data()
    (one, told), (again, same) = (member(problem, settings(members=m), 2) for m in (3, 9))
    assert told == same
    assert np.array_equal(one.conditions["data"].points, again.conditions["data"].points)
    seeds = {(s, n): member(problem, settings(seed=s), n)[1].seed for s in range(4) for n in range(8)}
    assert len(set(seeds.values())) == len(seeds)


def test_a_member_is_an_ordinary_solution_of_its_own() -> None:
    _, told = member(with_data(), replace(settings(), tolerance=0.1, resume="auto"), 0)
    assert (told.task.name, told.reference.kind, told.tolerance, told.resume) == ("solve", "none", None, None)
    assert told.network == settings().network and told.problem == settings().problem


@pytest.mark.parametrize(("head", "expected"), [("solved", "sampled"), ("random", "random"), ("sampled", "sampled")])
def test_where_data_decide_heads_are_sampled(head: str, expected: str) -> None:
    asked = settings()
    asked = replace(asked, network=replace(asked.network, head=head))
    assert member(replace(with_data(), free=("left",)), asked, 0)[1].network.head == expected
    assert member(with_data(), asked, 0)[1].network.head == head


def test_bootstrap_samples_are_what_members_have_not_left_unseen() -> None:
    problem, told = with_data(), settings(members=6)
    out, points = unseen(problem, told, "data"), problem.conditions["data"].points
    assert out.shape == (6, 25)
    for number in range(6):
        seen = member(problem, told, number)[0].conditions["data"]
        np.testing.assert_array_equal(seen.points, points[~out[number]])
        truths = problem.conditions["data"].values["measured"]
        np.testing.assert_array_equal(seen.values["measured"], truths[~out[number]])
        assert (1 / seen.values["spread"] ** 2).sum() == pytest.approx(25)  # as many draws as there are data
    assert len({row.tobytes() for row in out}) == 6
    share = unseen(with_data(400), settings(members=30), "data").mean()
    assert share == pytest.approx(np.exp(-1), abs=0.02)


def test_without_bootstrap_all_see_all_data() -> None:
    problem = with_data()
    for number in range(3):
        assert member(problem, settings(bootstrap=False), number)[0] is problem
    free = laplace()
    assert member(free, settings(), 1)[0] is free


def normal_equations(condition: Condition) -> tuple[torch.Tensor, torch.Tensor]:
    """JᵀJ and Jᵀr of the head, with scales found on these data."""
    problem = replace(laplace(), conditions={**laplace().conditions, "data": condition})
    residuals = residuals_of(problem, MLP(2, (9,), "sin", 2.0, generator()))
    residuals.normalise()
    r, matrix = residuals.linear_jacobian(residuals.theta)
    return matrix.mT @ matrix, matrix.mT @ r


@pytest.mark.parametrize("sigma", [None, 0.1, np.linspace(0.1, 0.4, 25)])
def test_what_is_drawn_several_times_weighs_like_repeated_rows(sigma: Any) -> None:
    problem = with_data(25, sigma)
    whole, sample = problem.conditions["data"], member(problem, settings(), 1)[0].conditions["data"]
    rows = [np.flatnonzero((whole.points == point).all(1))[0] for point in sample.points]
    times = np.rint((whole.values["spread"][rows] / sample.values["spread"]) ** 2).astype(int)
    assert times.sum() == 25 and times.max() > 1
    again = np.repeat(rows, times)
    values = {name: column[again] for name, column in whole.values.items()}
    repeated = replace(whole, points=whole.points[again], values=values)
    for ours, theirs in zip(normal_equations(sample), normal_equations(repeated), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-10, atol=1e-10)


def test_residuals_of_ones_own_are_repeated() -> None:
    points = np.random.default_rng(0).uniform(0, 1, (12, 2))
    own = Condition(lambda u, mine: u - mine, "data", points=points, values={"mine": points[:, 0]})
    problem = replace(laplace(), conditions={**laplace().conditions, "data": own})
    sample, out = member(problem, settings(), 0)[0].conditions["data"], unseen(problem, settings(), "data")[0]
    assert len(sample.points) == 12 and np.array_equal(sample.points[:, 0], sample.values["mine"])
    assert set(sample.points[:, 0]) == set(points[~out, 0])


# --- runs, and going on with them -------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Path]]:
    """Three members, trained in this process."""
    folder = tmp_path_factory.mktemp("whole")
    return folder, train_members(catalogue.load("hidden_edge").build(), settings(), folder, from_file=True)


def same(one: Path, other: Path) -> bool:
    return np.array_equal(load(one).predict(grid()), load(other).predict(grid()))


def test_each_member_is_a_solution_in_a_folder_of_its_own(whole: tuple[Path, list[Path]]) -> None:
    folder, paths = whole
    assert paths == [folder / "000", folder / "001", folder / "002"] and all(map(finished, paths))
    assert not same(paths[0], paths[1]) and not same(paths[1], paths[2])
    own, told = member(catalogue.load("hidden_edge").build(), settings(), 1)
    network = {**SMALL["network"], "head": "sampled"}
    alone = solve(own, seed=told.seed, reference={"kind": "none"}, **{**SMALL, "network": network})
    assert np.array_equal(alone.predict(grid()), load(paths[1]).predict(grid()))


def test_a_run_goes_on_with_the_members_that_are_left(
    whole: tuple[Path, list[Path]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    problem, trained = catalogue.load("hidden_edge").build(), []

    def stopping(problem: Problem, settings: Settings, number: int, folder: Path) -> None:
        if len(trained) == 2:
            raise Interrupted("run: stopped")
        trained.append(number)
        train_member(problem, settings, number, folder)

    monkeypatch.setattr(members, "train_member", stopping)
    with pytest.raises(Interrupted):
        train_members(problem, settings(), tmp_path, True)
    kept = [(tmp_path / f"{n:03d}" / "checkpoints" / "last.pt").read_bytes() for n in (0, 1)]
    trained.clear()
    paths = train_members(problem, replace(settings(), resume="auto"), tmp_path, True)
    assert trained == [2]
    assert [(path / "checkpoints" / "last.pt").read_bytes() for path in paths[:2]] == kept
    assert all(map(same, paths, whole[1]))


def test_more_members_join_those_that_are_there(whole: tuple[Path, list[Path]], tmp_path: Path) -> None:
    problem = catalogue.load("hidden_edge").build()
    train_members(problem, settings(members=2), tmp_path, True)
    first = (tmp_path / "000" / "checkpoints" / "last.pt").read_bytes()
    paths = train_members(problem, replace(settings(), resume="auto"), tmp_path, True)
    assert (tmp_path / "000" / "checkpoints" / "last.pt").read_bytes() == first
    assert all(map(same, paths, whole[1]))


def test_a_run_that_does_not_go_on_begins_anew(tmp_path: Path) -> None:
    problem = catalogue.load("hidden_edge").build()
    train_members(problem, settings(), tmp_path, True)
    (one, _) = train_members(problem, settings(seed=5, members=2), tmp_path, True)
    assert not (tmp_path / "002").exists() and load(one).settings.seed == member(problem, settings(seed=5), 0)[1].seed


@pytest.mark.parametrize(
    ("changed", "word"),
    [({"seed": 1}, "seed"), ({"bootstrap": False}, "task"), ({"problem": "poisson_square"}, "problem")],
)
def test_members_of_another_run_are_refused(whole: tuple[Path, list[Path]], changed: dict[str, Any], word: str) -> None:
    folder, paths = whole
    before = [(path / "checkpoints" / "last.pt").read_bytes() for path in paths]
    with pytest.raises(CheckpointUnusable, match=rf"another run: {word} was .*; resume with the same settings"):
        train_members(with_data(), replace(settings(**changed), resume="auto"), folder, True)
    assert [(path / "checkpoints" / "last.pt").read_bytes() for path in paths] == before


@pytest.mark.parametrize("content", [b"", b"{", b"[1]", b"{}", b"3"])
def test_damaged_settings_are_refused(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "settings.json").write_bytes(content)
    with pytest.raises(CheckpointUnusable, match=r"settings\.json: it is damaged; start anew"):
        train_members(with_data(), replace(settings(), resume="auto"), tmp_path, True)


def test_a_damaged_member_is_refused(whole: tuple[Path, list[Path]], tmp_path: Path) -> None:
    problem = catalogue.load("hidden_edge").build()
    paths = train_members(problem, settings(members=2), tmp_path, True)
    last = paths[1] / "checkpoints" / "last.pt"
    last.write_bytes(last.read_bytes()[:-9])
    with pytest.raises(CheckpointUnusable, match=r"001/checkpoints/last\.pt: it is damaged"):
        train_members(problem, replace(settings(members=2), resume="auto"), tmp_path, True)


# --- processes --------------------------------------------------------------------------------------------------------


@pytest.fixture
def two_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    """One thread for each of two processes, on every machine: sums in another order are not the same bits."""
    monkeypatch.setattr(members, "_cores", lambda: 2)


def test_processes_give_the_same_bits(
    whole: tuple[Path, list[Path]], two_cores: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From a folder in which the package is not, as where it is installed."""
    started = []

    class Seen(subprocess.Popen):
        def __init__(self, command: list[str], **more: Any) -> None:
            started.append(command)
            super().__init__(command, **more)

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(subprocess, "Popen", Seen)
    problem = catalogue.load("hidden_edge").build()
    paths = train_members(problem, settings(workers=2), tmp_path / "run", from_file=True)
    assert [command[2:] for command in started] == [
        ["pinnkit.members", str(tmp_path / "run"), "0", "2"], ["pinnkit.members", str(tmp_path / "run"), "1"],
    ]  # fmt: skip
    assert all(map(same, paths, whole[1]))


@pytest.mark.parametrize(
    ("device", "workers", "shares"),
    [("cpu", None, 2), ("cpu", 3, 3), ("cuda", None, 0), ("cuda", 3, 3), ("cuda", 1, 0), ("cpu", 40, 4)],
)
def test_processes_share_a_gpu_if_asked_for(
    device: str, workers: int | None, shares: int, two_cores: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Elsewhere there is one for each core."""
    seen: list[Any] = []
    monkeypatch.setattr(members, "check_device", lambda name, dtype: device)
    monkeypatch.setattr(members, "_in_processes", lambda folder, shared: seen.extend(shared))
    monkeypatch.setattr(members, "train_member", lambda *told: None)
    told = settings(members=4, workers=workers)
    train_members(catalogue.load("hidden_edge").build(), told, tmp_path, from_file=True)
    assert len(seen) == shares
    assert sorted(number for share in seen for number in share) == (list(range(4)) if shares else [])


def test_problems_made_in_python_stay_in_this_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise AssertionError("a process was started")

    monkeypatch.setattr(subprocess, "Popen", refuse)
    paths = train_members(with_data(), settings(workers=2), tmp_path, from_file=False)
    assert all(map(finished, paths))


def test_what_fails_in_a_process_is_told_in_one_line(two_cores: None, tmp_path: Path) -> None:
    """An equation that leaves the finite numbers: Diverged, by whichever process it was."""
    file = tmp_path / "mine.py"
    file.write_text(BLOWS_UP)
    told = {"problem": {"name": "mine", "file": str(file)}, "task": {"name": "committee", "members": 2, "workers": 2},
            **SMALL, "optimizer": {"name": "adam"}, "network": {**SMALL["network"], "head": "random"}}  # fmt: skip
    with pytest.raises(Diverged) as refused:
        train_members(catalogue.load(str(file)).build(), Settings.from_mapping(told), tmp_path / "run", True)
    line = str(refused.value)
    assert line.startswith("member: ") and "explosion" in line and len(line.splitlines()) == 1


@pytest.mark.parametrize(
    ("codes", "kind", "words"),
    [
        ((-signal.SIGTERM, 3), Diverged, "member: training: nan; lower it"),
        ((75, 5), PinnkitError, "member: training: nan; lower it"),
        ((0, -signal.SIGKILL), PinnkitError, "member: it ended with code -9"),
    ],
)
def test_the_failure_told_is_the_first_ones_own(codes, kind, words, tmp_path, monkeypatch) -> None:
    """Not that of those which were stopped because of it."""

    class Ended:
        def __init__(self, returncode: int) -> None:
            self.returncode = returncode

        def poll(self) -> int:
            return self.returncode

        def communicate(self) -> tuple[None, str]:
            return None, "" if self.returncode < 0 else "a warning\nerror: training: nan; lower it\n"

    ends = iter(map(Ended, codes))
    monkeypatch.setattr(subprocess, "Popen", lambda *_, **__: next(ends))
    with pytest.raises(kind) as refused:
        train_members(with_data(), settings(members=2, workers=2), tmp_path, from_file=True)
    assert type(refused.value) is kind and str(refused.value).startswith(words)


def test_a_process_of_members_fails_in_one_line(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "pinnkit.members", str(tmp_path), "0"]
    (tmp_path / "settings.json").write_text("{}")
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.returncode == 5 and done.stderr.startswith("error: ") and len(done.stderr.splitlines()) == 1


def children(pid: int) -> list[int]:
    """Processes started by one, as /proc has them."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[1]) == pid and fields[0] != "Z":
            found.append(int(path.parent.name))
    return found


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="processes are looked up in /proc")
def test_a_preempted_run_leaves_no_process_and_goes_on(pinn, no_figures, two_cores, tmp_path: Path) -> None:
    """Members are in the midst of training, one in each process, when the signal comes."""
    folder, steps = tmp_path / "run", "training.max_steps=100000000"
    told = (
        "problem=hidden_edge", "task=committee", "task.members=2", "task.workers=2", "optimizer=adam", *COMMAND,
        "training.tolerance=1e-300", "training.checkpoint_seconds=0.01", "training.evaluate_every=1000000",
        f"hydra.run.dir={folder}",
    )  # fmt: skip
    process = subprocess.Popen(
        [sys.executable, "-m", "pinnkit", *told, steps], text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    files, end = [folder / "members" / n / "checkpoints" / "last.pt" for n in ("000", "001")], time.monotonic() + 60
    while not all(file.exists() for file in files):
        assert process.poll() is None and time.monotonic() < end
        time.sleep(0.02)
    workers = children(process.pid)
    assert len(workers) == 2
    process.send_signal(signal.SIGTERM)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 75 and out == "" and "Traceback" not in err
    assert err.splitlines()[-1].startswith("error: run: stopped by SIGTERM")
    assert not any(Path(f"/proc/{worker}").exists() for worker in workers)
    status = json.loads((folder / "status.json").read_text())
    assert (status["status"], status["exit_code"]) == ("preempted", Preempted.exit_code)
    reached = [checkpoint.read(file)["training"]["step"] for file in files]
    assert min(reached) > 0

    assert pinn(*told, f"training.max_steps={max(reached) + 5}", "resume=auto").code == 0
    assert json.loads((folder / "status.json").read_text())["status"] == "done"
    assert [checkpoint.read(file)["training"]["step"] for file in files] == [max(reached) + 5] * 2
    assert len(load(folder).members) == 2
