"""What can be asked of pinnkit, each a few lines over other rooms: solve, pretrain, transfer, committee, fuse, load."""

import math
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, overload

from torch import nn

from pinnkit import catalogue, checkpoint, committee_words, correction, fusion
from pinnkit.arms import check_transfer, compare
from pinnkit.atoms import DefectRepresentation, EnergyCurve, LearnedPotential, ModelComparison
from pinnkit.committee import check_committee, described, run_committee
from pinnkit.errors import BadInput, CheckpointUnusable
from pinnkit.evaluation import Reference
from pinnkit.finding import Finding, write_finding
from pinnkit.fusion import Fidelities, Fused
from pinnkit.instances import check_instances
from pinnkit.low_fidelity import informed
from pinnkit.merit import judged
from pinnkit.problem import Problem
from pinnkit.result import Result, Solution
from pinnkit.result import load as load_solution
from pinnkit.run_folder import to_resume, write_run
from pinnkit.settings import Committee, Multifidelity, Pretrain, Settings, Solve, Transfer
from pinnkit.solving import check_run, reference_of, running, step_through, trained
from pinnkit.sources import Source, family_training, source, untrained, variations
from pinnkit.study import Study
from pinnkit.transfer_words import text_lines

FINDINGS: tuple[type[Finding], ...] = (Fused, EnergyCurve, LearnedPotential, DefectRepresentation, ModelComparison)


def prepare(settings: Settings) -> Problem | Study:
    """The problem that the settings ask for, checked. Raises BadInput."""
    problem = catalogue.build(settings.problem)
    if isinstance(problem, Study):
        problem.check(settings)
        return problem
    check_run(problem, settings)
    if isinstance(settings.task, Transfer):
        check_transfer(problem, settings.task, untrained(settings.task.source, settings))
    if isinstance(settings.task, Pretrain):
        variations(settings)
    if isinstance(settings.task, Committee):
        _check_committee(problem, settings)
    return problem


def _check_committee(problem: Problem, settings: Settings, features: bool = False, from_file: bool = True) -> None:
    assert isinstance(settings.task, Committee)
    check_committee(problem, settings.task, features)
    check_instances(problem, settings, from_file)


def run(settings: Settings, folder: Path) -> Result | Finding:
    """Do what the settings say, into a run folder."""
    problem = prepare(settings)
    if isinstance(problem, Study):
        return _study(problem, settings, folder)
    return _run(problem, settings, folder, visible=True)


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
        what = "is an equation" if isinstance(built, Problem) else "has no fidelities"
        raise BadInput("problem", f"{built.name} {what}", "write solve(…)")
    found = _study(built, chosen, None if folder is None else Path(folder))
    assert isinstance(found, Fused)
    return found


def load(path: str | Path, features: nn.Module | None = None) -> Any:
    """What a run folder or a checkpoint holds: a Solution, a Committee, or what a study found; nothing else is needed.

    A solution whose features were the user's own module needs an instance of that module, whose parameters are then
    set. Raises CheckpointUnusable.
    """
    kept = checkpoint.read(Path(path))["solution"]
    if "kind" not in kept:
        return load_solution(path, features)
    for kind in FINDINGS:
        if kind.kind == kept["kind"]:
            return kind.from_plain(kept)
    raise CheckpointUnusable(f"{path}: it is of another version of pinnkit; start anew")


def _study(problem: Study, settings: Settings, folder: Path | None) -> Finding:
    problem.check(settings)
    with running(folder):
        found: Finding = problem.answer(settings)
        if folder is not None:
            write_finding(found, folder)
    return found


@overload
def solve(problem: Problem, /, **settings: Any) -> Result: ...


@overload
def solve(problem: Study, /, **settings: Any) -> Finding: ...


@overload
def solve(problem: str, /, **settings: Any) -> Any: ...


def solve(
    problem: Problem | Study | str,
    /,
    *,
    folder: str | Path | None = None,
    features: nn.Module | None = None,
    **settings: Any,
) -> Any:
    """Solve a problem: one of ours by name, your own by the path of its file, a `Problem`, or a study (`Fidelities`).

    Further arguments are settings as on the command line, groups as mappings, or as names where they have them:

        solve("heat_lshape", seed=1, optimizer="adam", training={"max_steps": 500}, problem={"hot": 100})

    `features` is a module of your own that maps scaled points (n, d) to features (n, width). With a `folder` the run
    leaves its files there. Raises BadInput, Diverged, OutputFailed.
    """
    chosen = _settings(problem, settings)
    built = catalogue.build(chosen.problem) if isinstance(problem, str) else problem
    path, from_file = None if folder is None else Path(folder), isinstance(problem, str)
    if isinstance(built, Study):
        return _study(built, chosen, path)
    check_run(built, chosen)
    if isinstance(chosen.task, Committee):
        _check_committee(built, chosen, features is not None, from_file)
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


def _settings(problem: Problem | Study | str, settings: Mapping[str, Any]) -> Settings:
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
            return _committee(problem, settings, folder, from_file)
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


def _committee(problem: Problem, settings: Settings, folder: Path | None, from_file: bool) -> Result:
    start = time.perf_counter()
    with running(folder), TemporaryDirectory() as elsewhere:
        reference = reference_of(problem, settings)
        began = time.perf_counter()
        problem = informed(problem)
        training, done = run_committee(problem, settings, reference, folder or Path(elsewhere), from_file)
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


def summary(result: Result | Finding) -> str:
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
    if isinstance(result, Finding):
        lines += result.lines()
    elif result.corrected is not None:
        lines += fusion.lines(m)
    elif result.transferred is not None:
        lines += [f"  {line}" for line in text_lines(result.transferred)]
    elif result.judgement is not None:
        lines += [f"  {line}" for line in committee_words.text_lines(result.judgement, m)]
    return "\n".join(lines)
