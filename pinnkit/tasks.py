"""What can be asked of pinnkit, each a few lines over other rooms: solve, pretrain, transfer, committee, fuse, load."""

import math
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from torch import nn

from pinnkit import catalogue, checkpoint, committee_words, correction, fusion
from pinnkit.arms import check_transfer, compare
from pinnkit.committee import check_committee, described, run_committee
from pinnkit.errors import BadInput
from pinnkit.evaluation import Reference
from pinnkit.fidelities import Fidelities
from pinnkit.fusion import Fused, task_of, write_fused
from pinnkit.fusion import fuse as fused
from pinnkit.low_fidelity import informed
from pinnkit.merit import judged
from pinnkit.problem import Problem
from pinnkit.result import Result, Solution
from pinnkit.result import load as load_solution
from pinnkit.run_folder import to_resume, write_run
from pinnkit.settings import Committee, Multifidelity, Pretrain, Settings, Solve, Transfer
from pinnkit.solving import check_run, reference_of, running, step_through, trained
from pinnkit.sources import Source, family_training, source, untrained, variations
from pinnkit.transfer_words import text_lines


def prepare(settings: Settings) -> Problem | Fidelities:
    """The problem that the settings ask for, checked. Raises BadInput."""
    problem = catalogue.build(settings.problem)
    if isinstance(problem, Fidelities):
        task_of(settings)
        return problem
    check_run(problem, settings)
    if isinstance(settings.task, Transfer):
        check_transfer(problem, settings.task, untrained(settings.task.source, settings))
    if isinstance(settings.task, Pretrain):
        variations(settings)
    if isinstance(settings.task, Committee):
        check_committee(problem, settings.task)
    return problem


def run(settings: Settings, folder: Path) -> Result | Fused:
    """Do what the settings say, into a run folder."""
    problem = prepare(settings)
    return (
        _fuse(problem, settings, folder)
        if isinstance(problem, Fidelities)
        else _run(problem, settings, folder, visible=True)
    )


def fuse(problem: Fidelities | str, /, *, folder: str | Path | None = None, **settings: Any) -> Fused:
    """Fuse observations of several fidelities: a problem of ours by name, your own file, or `Fidelities`.

        fuse("forrester", task={"model": "nonlinear"}).band([[0.3]])

    Raises BadInput, OutputFailed.
    """
    if not isinstance(problem, Fidelities | str):
        raise BadInput("problem", f"it is a {type(problem).__name__}", "give Fidelities, or a problem's name")
    task = settings.pop("task", {})
    named = {"name": Multifidelity.name, **({} if isinstance(task, str) else task)}
    chosen = _settings(problem, {**settings, "task": named})
    built = problem if isinstance(problem, Fidelities) else catalogue.build(chosen.problem)
    if not isinstance(built, Fidelities):
        raise BadInput("problem", f"{built.name} is an equation", "write solve(…)")
    return _fuse(built, chosen, None if folder is None else Path(folder))


def load(path: str | Path, features: nn.Module | None = None) -> Solution | Fused:
    """What a run folder, or a checkpoint, holds: a solution, a committee, or fused fidelities; nothing else is needed.

    A solution whose features were the user's own module needs an instance of that module, whose parameters are then
    set. Raises CheckpointUnusable.
    """
    kept = checkpoint.read(Path(path))["solution"]
    return fusion.from_plain(kept) if "levels" in kept else load_solution(path, features)


def _fuse(problem: Fidelities, settings: Settings, folder: Path | None) -> Fused:
    with running(folder):
        result = fused(problem, settings)
        if folder is not None:
            write_fused(result, folder)
    return result


def solve(
    problem: Problem | str,
    /,
    *,
    folder: str | Path | None = None,
    features: nn.Module | None = None,
    **settings: Any,
) -> Result:
    """Solve a problem: one of ours by name, your own by the path of its file, or a `Problem`.

    Further arguments are settings as on the command line, groups as mappings, or as names where they have them:

        solve("heat_lshape", seed=1, optimizer="adam", training={"max_steps": 500}, problem={"hot": 100})

    `features` is a module of your own that maps scaled points (n, d) to features (n, width). With a `folder` the run
    leaves its files there. Raises BadInput, Diverged, OutputFailed.
    """
    chosen = _settings(problem, settings)
    built = problem if isinstance(problem, Problem) else catalogue.equation(chosen.problem)
    check_run(built, chosen)
    path, from_file = None if folder is None else Path(folder), not isinstance(problem, Problem)
    return _run(built, chosen, path, visible=False, features=features, from_file=from_file)


def transfer(
    source: str | Path | Solution | Result,
    problem: Problem | str,
    /,
    *,
    strategy: str | Mapping[str, Any] = "full",
    folder: str | Path | None = None,
    task: Mapping[str, Any] | None = None,
    **settings: Any,
) -> Result:
    """Solve a problem with the features of a source, and compare that with training from scratch.

    `source` is a solution or result, a run folder, a checkpoint, a problem's name, or one of the pretrained sources.
    `task` are further settings of the transfer (sensors, noise, data, missing, guard, …), the rest is as in `solve`:

        transfer("heat", "heat_lshape", strategy="l2", task={"sensors": 50})

    The arms are in `result.transferred`. Raises BadInput, CheckpointUnusable, Diverged, OutputFailed.
    """
    solution = source.solution if isinstance(source, Result) else source
    given = Source("a solution", solution) if isinstance(solution, Solution) else None
    told = {} if given else {"source": str(source)}
    wanted = {"name": "transfer", "strategy": strategy, **told, **(task or {})}
    chosen = _settings(problem, {**settings, "task": wanted})
    built = problem if isinstance(problem, Problem) else catalogue.equation(chosen.problem)
    assert isinstance(chosen.task, Transfer)
    check_run(built, chosen)
    check_transfer(built, chosen.task, given.solution if given else untrained(chosen.task.source, chosen))
    path = None if folder is None else Path(folder)
    return _transfer(built, chosen, path, visible=False, given=given)


def _settings(problem: Problem | Fidelities | str, settings: Mapping[str, Any]) -> Settings:
    groups = {key: {"name": value} if key in ("optimizer", "network", "task") and isinstance(value, str) else value
              for key, value in settings.items()}  # fmt: skip
    if not isinstance(problem, str):
        named: dict[str, Any] = {"name": problem.name}
    elif problem.endswith(".py"):
        named = {"name": Path(problem).stem, "file": problem}
    else:
        named = {"name": problem}
    return Settings.from_mapping({"problem": {**named, **groups.pop("problem", {})}, **groups})


def _run(
    problem: Problem, settings: Settings, folder: Path | None, visible: bool, features: nn.Module | None = None,
    from_file: bool = True,
) -> Result:  # fmt: skip
    match settings.task:
        case Transfer():
            return _transfer(problem, settings, folder, visible)
        case Pretrain():
            return _pretrain(problem, settings, folder, visible)
        case Committee():
            return _committee(problem, settings, folder, features is not None, from_file)
        case _ if problem.low_fidelity is not None:
            return _multifidelity(problem, settings, folder, visible, features)
    return _solve(problem, settings, folder, visible, features)


def _pretrain(problem: Problem, settings: Settings, folder: Path | None, visible: bool) -> Result:
    start = time.perf_counter()
    with running(folder):
        reference = reference_of(problem, settings)
        began = time.perf_counter()
        training = family_training(problem, settings)
        step_through(training, reference, folder, visible)
        result = judged(training, reference, _seconds(start, began, time.perf_counter(), reference))
        if folder is not None:
            write_run(result, training, folder)
    return result


def _transfer(
    problem: Problem, settings: Settings, folder: Path | None, visible: bool, given: Source | None = None
) -> Result:
    start, task = time.perf_counter(), settings.task
    assert isinstance(task, Transfer)
    with running(folder):
        origin = given or source(task.source, settings)
        reference = reference_of(problem, settings)
        began = time.perf_counter()
        done = compare(problem, settings, origin, reference, folder, visible)
        training = done.chosen(task.guard).training
        assert training is not None
        seconds = _seconds(start, began, time.perf_counter(), reference)
        result = judged(training, reference, {**seconds, "source": origin.seconds})
        metrics = {**result.metrics, **done.metrics()}
        result = replace(result, problem=problem, transferred=done, solution=replace(result.solution, metrics=metrics))
        if folder is not None:
            write_run(result, training, folder)
    return result


def _committee(problem: Problem, settings: Settings, folder: Path | None, features: bool, from_file: bool) -> Result:
    assert isinstance(settings.task, Committee)
    check_committee(problem, settings.task, features)
    start = time.perf_counter()
    with running(folder), TemporaryDirectory() as elsewhere:
        reference = reference_of(problem, settings)
        began = time.perf_counter()
        problem = informed(problem)
        training, done = run_committee(problem, settings, reference, (folder or Path(elsewhere)) / "members", from_file)
        seconds = _seconds(start, began, time.perf_counter(), reference)
        result = described(problem, done, training, reference, seconds)
        if folder is not None:
            write_run(result, training, folder)
    return result


def _multifidelity(
    problem: Problem, settings: Settings, folder: Path | None, visible: bool, features: nn.Module | None
) -> Result:
    start = time.perf_counter()
    if isinstance(settings.task, Solve):
        settings = replace(settings, task=Multifidelity())
    kept = to_resume(settings, folder)
    with running(folder):
        reference = reference_of(problem, settings)
        began = time.perf_counter()
        own, low, w = correction.begin(problem)
        training = trained(own, settings, features, kept, reference, folder, visible)
        ended = time.perf_counter()
        done = correction.compare(problem, settings, training, low, w, reference)
        result = judged(training, reference, _seconds(start, began, ended, reference))
        solution = replace(result.solution, metrics={**result.metrics, **done.metrics})
        result = replace(result, corrected=done, solution=solution)
        if folder is not None:
            write_run(result, training, folder)
    return result


def _seconds(start: float, began: float, ended: float, reference: Reference | None) -> dict[str, float]:
    return {"train": ended - began, "reference": reference.seconds if reference else 0.0, "total": ended - start}


def _solve(
    problem: Problem, settings: Settings, folder: Path | None, visible: bool, features: nn.Module | None = None
) -> Result:
    start = time.perf_counter()
    kept = to_resume(settings, folder)
    with running(folder):
        reference = reference_of(problem, settings)
        began = time.perf_counter()
        training = trained(problem, settings, features, kept, reference, folder, visible)
        result = judged(training, reference, _seconds(start, began, time.perf_counter(), reference))
        if folder is not None:
            write_run(result, training, folder)
    return result


def summary(result: Result | Fused) -> str:
    """A few lines that say what was found, how well, and in what time."""
    m = result.metrics
    lines = [f"{m['problem']}: {m['verdict']}"]
    if m["relative_l2"] is not None:
        kind, own = m["reference"]["kind"], m["reference"]["error_estimate"]
        lines.append(f"  relative L2 error  {m['relative_l2']:.2e}   (reference: {kind}, its own error {own:.1e})")
        lines.append(f"  largest error      {m['max_error']:.2e}")
    for i, value in enumerate(m.get("eigenvalues", [])):
        lines.append(f"  eigenvalue {i + 1:<7} {value:.14g} ± {m['eigenvalue_errors'][i] * abs(value):.1e}")
    for name, entry in m.get("unknowns", {}).items():
        true = "" if entry["true"] is None else f"   (true: {entry['true']:.6g})"
        deviation = math.inf if entry["relative_deviation"] is None else entry["relative_deviation"]
        lines.append(f"  {name:<18} {entry['value']:.6g} ± {100 * deviation:.2g} %{true}")
    took = m["seconds"]
    lines.append(f"  seconds            {took['train']:.1f} training + {took['reference']:.1f} reference")
    lines.append(f"  stopped because    {m['stop_reason']}")
    if isinstance(result, Fused) or result.corrected is not None:
        lines += _fused_lines(m)
    elif result.transferred is not None:
        lines += [f"  {line}" for line in text_lines(result.transferred)]
    elif result.judgement is not None:
        lines += [f"  {line}" for line in committee_words.text_lines(result.judgement, m)]
    return "\n".join(lines)


def _fused_lines(m: Mapping[str, Any]) -> list[str]:
    lines = []
    if m["rmse"] is not None:
        alone = ", ".join(f"{name.replace('_', ' ')} {value:.3g}" for name, value in m["alone"].items())
        lines.append(f"  rmse               {m['rmse']:.3g}   (alone: {alone})")
    for value, deviation in zip(m["rho"], m["rho_deviation"], strict=True):
        lines.append(f"  rho                {value:.6g} ± {deviation:.1g}")
    return lines
