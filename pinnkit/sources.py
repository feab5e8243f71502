"""Where transferred features come from: pretrained ones by name, a problem's name, a run folder or a checkpoint.

Pretrained features are made when they are first asked for, and kept as checkpoints, whose contents are checked against
their hash whenever they are read.
"""

import hashlib
import json
import logging
import time
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import cast

from pinnkit import catalogue, checkpoint
from pinnkit.assembly import assemble, network, trial_for
from pinnkit.conversion import choose_from
from pinnkit.errors import BadInput, CheckpointUnusable, OutputFailed
from pinnkit.networks import Joined, Reduced
from pinnkit.pretraining import bounds_of, box, pretrain, pretrained_network
from pinnkit.problem import Problem
from pinnkit.reference.derived import default_cache
from pinnkit.result import Solution, from_plain, to_plain
from pinnkit.settings import Auto, LeastSquares, Pretrain, ProblemChoice, Settings
from pinnkit.training import Training

VERSION = 1  # of what pretraining does
SQUARE = ProblemChoice("heat_rectangle", parameters={"width": 1.0})
ZOO: dict[str, tuple[ProblemChoice, Pretrain]] = {
    "heat": (SQUARE, Pretrain()),
    "heat_family": (SQUARE, Pretrain(variations=({"width": 2.0}, {"width": 0.5}))),
}
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Source:
    """A solution whose features are transferred, what it is called, and how long it took to train (0: it was kept)."""

    name: str
    solution: Solution
    seconds: float = 0.0


def source(name: str, like: Settings) -> Source:
    """The source of that name, or in that run folder or checkpoint; pretrained with the seed of `like` where need be.

    Raises BadInput and CheckpointUnusable.
    """
    recipe = _recipe(name, like)
    return _read(name) if recipe is None else _pretrained(name, recipe)


def untrained(name: str, like: Settings) -> Solution:
    """A solution with the features that the source will have, before there is a source. Raises as `source` does."""
    recipe = _recipe(name, like)
    if recipe is None:
        return _read(name).solution
    problem = catalogue.equation(recipe.problem)
    settings = replace(recipe, network=pretrained_network(recipe))
    bounds = bounds_of(problem, box([problem, *variations(recipe)]))
    return Solution(trial_for(problem, settings, bounds=bounds), settings, {}, [])


def _read(name: str) -> Source:
    return Source(name, from_plain(checkpoint.read(Path(name))["solution"]))


def _recipe(name: str, like: Settings) -> Settings | None:
    """How a source of that name is pretrained; None where it is a file that holds one. Raises BadInput."""
    path = Path(name)
    if name in ZOO:
        choice, task = ZOO[name]
    elif name.endswith(".py") and path.is_file():
        choice, task = ProblemChoice(path.stem, name), Pretrain()
    elif path.exists():
        return None
    elif name in catalogue.names():
        choice, task = ProblemChoice(name), Pretrain()
    else:
        what = f"{name!r} is no file, no problem, and no pretrained source"
        raise BadInput("task.source", what, choose_from(name, [*ZOO, *catalogue.names()]))
    return Settings(choice, task, seed=like.seed, dtype=like.dtype, device=like.device)


def family_training(problem: Problem, settings: Settings) -> Training:
    """A training of the problem whose features are pretrained on its family, at its first step. Raises BadInput."""
    if isinstance(settings.optimizer, Auto):
        settings = replace(settings, optimizer=LeastSquares())
    settings = replace(settings, network=pretrained_network(settings))
    members = [problem, *variations(settings)]
    features = network(settings, len(problem.coordinates))
    pretrain(members, settings, cast(Reduced, cast(Joined, features.fixed).parts[0]))
    bounds = bounds_of(problem, box(members))
    return Training.start(problem, settings, assemble(problem, settings, features, bounds=bounds))


def variations(settings: Settings) -> list[Problem]:
    """The further problems whose families are learned, too. Raises BadInput."""
    task, choice = settings.task, settings.problem
    assert isinstance(task, Pretrain)
    return [
        catalogue.equation(replace(choice, parameters={**choice.parameters, **variation}))
        for variation in task.variations
    ]


def _pretrained(name: str, settings: Settings) -> Source:
    task = settings.task
    assert isinstance(task, Pretrain)
    path = default_cache() / "sources" / f"{_key(settings)}.pt"
    with suppress(CheckpointUnusable):
        return Source(name, from_plain(checkpoint.read(path)["solution"]))
    start = time.perf_counter()
    log.info("pretraining %s: %d members, %d features", name, task.heads * (1 + len(task.variations)), task.features)
    training = family_training(catalogue.equation(settings.problem), settings)
    training.run(lambda: None, lambda: None, lambda: False, False)
    solution = Solution(training.assembly.trial, training.settings, {}, training.history)
    try:
        checkpoint.write(path, {"solution": to_plain(solution)})
    except OutputFailed as reason:
        log.warning("the source is not kept for later: %s", reason)
    return Source(name, solution, time.perf_counter() - start)


def _key(settings: Settings) -> str:
    code = catalogue.load(settings.problem.file or settings.problem.name).path.read_text(encoding="utf-8")
    plain = json.dumps([VERSION, code, settings.to_mapping()], sort_keys=True, default=str)
    return hashlib.sha256(plain.encode()).hexdigest()[:32]
