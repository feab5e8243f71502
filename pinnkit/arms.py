"""Transfer to a new problem, side by side with training from scratch and other controls.

All arms solve the same problem on the same points with the same scales, optimizer and budget of seconds:

    from_scratch       the network of the settings, as it is drawn
    source_unchanged   the source's own solution, moved onto the new domain
    data_only          transferred features, the measured data alone
    physics_only       transferred features, equations and boundary conditions alone
    data_physics       transferred features, both
    one_shot           as data_physics (without data: physics_only), but only the head is solved for

Where conditions are missing, or there are nothing but data, the head is drawn towards zero (`prior`): features of a
family come in the sizes that they have there, and that is a prior.
"""

import json
import logging
import math
import time
from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from pinnkit import checkpoint
from pinnkit import settings as chosen
from pinnkit.adaptation import adapted, bounds_for, is_merged, layers_of, merged, moved
from pinnkit.assembly import INTERIOR_PER_COLUMN, LEAST_INTERIOR, Assembly, assemble, in_time, network
from pinnkit.conversion import choose_from
from pinnkit.corners import MOST_COLUMNS
from pinnkit.errors import BadInput
from pinnkit.evaluation import Reference, relative_l2
from pinnkit.networks import FeatureMap
from pinnkit.prior import nearness
from pinnkit.problem import INTERIOR, Condition, Problem
from pinnkit.residuals import Anchor, Residuals
from pinnkit.result import Solution, predict
from pinnkit.run_folder import SAME, keep, refuse_another, write_json
from pinnkit.sensors import DATA, Sensors, sensors_for
from pinnkit.settings import Auto, GaussNewton, LeastSquares, Settings, Transfer
from pinnkit.solving import monitored, step_through
from pinnkit.sources import Source
from pinnkit.training import TIME_IS_UP, Training

Array = NDArray[np.float64]
NAMES = ("from_scratch", "source_unchanged", "data_only", "physics_only", "data_physics", "one_shot")
BUDGET = 10.0  # seconds of each arm, if nobody says
PROBE = 0.1  # part of the budget after which the guard looks
HARM = 2.0  # times the residual or the error from scratch, from which on a transfer is negative
IN_TIME = 6  # polynomials in time for features of steady problems
log = logging.getLogger(__name__)


@dataclass
class Arm:
    """What one way to the solution gave: its error and residual over time, and the trial function at its end."""

    name: str
    predict: Callable[[Array], Array]
    history: Sequence[Mapping[str, Any]]
    relative_l2: float | None
    seconds: float
    training: Training | None = None

    def seconds_to(self, error: float | None) -> float | None:
        """Seconds until the error was first so small; None if it never was."""
        if error is None:
            return None
        rows = [row["seconds"] for row in self.history if (row.get("relative_l2") or math.inf) <= error]
        return min(rows, default=None)


@dataclass
class Transferred:
    """All arms by name, and what they say about the transfer."""

    source: Source
    sensors: Sensors | None
    bounds: Array  # of what the features see as [−1, 1]ᵈ
    open: bool  # whether conditions are missing, so that data decide
    arms: dict[str, Arm] = field(default_factory=dict)
    probe: float | None = None  # residual after transfer / residual from scratch, early on
    inputs: float | None = None  # share of the new domain that lies where the source was trained
    shift: dict[str, float] = field(default_factory=dict)  # what the source unchanged leaves of each condition

    @property
    def main(self) -> Arm:
        return self.arms["data_physics" if "data_physics" in self.arms else "physics_only"]

    @property
    def speedup(self) -> float | None:
        """Seconds from scratch to its own last error / seconds after transfer to the same."""
        scratch = self.arms["from_scratch"]
        here, there = scratch.seconds_to(scratch.relative_l2), self.main.seconds_to(scratch.relative_l2)
        return None if here is None or not there else here / there

    @property
    def negative(self) -> bool | None:
        """Whether the transfer did harm: to the residual early on, or, beyond the noise, to the error in the end.

        None where neither is known.
        """
        scratch, main = self.arms["from_scratch"].relative_l2, self.main.relative_l2
        if scratch is None or main is None:
            return None if self.probe is None else self.probe > HARM
        return (self.probe or 0.0) > HARM or (main > HARM * scratch and not self.within_noise)

    @property
    def within_noise(self) -> bool:
        """Whether the error after transfer is larger than from scratch, but smaller than the noise that decides it."""
        scratch, main = self.arms["from_scratch"].relative_l2, self.main.relative_l2
        noise = self.sensors.level if self.sensors and self.open else 0.0
        return scratch is not None and main is not None and HARM * scratch < main <= noise

    def chosen(self, guard: str) -> Arm:
        """The arm whose solution is the answer."""
        return self.arms["from_scratch"] if guard == "fallback" and self.negative else self.main

    def metrics(self) -> dict[str, Any]:
        """What metrics.json says of the transfer."""
        target = self.arms["from_scratch"].relative_l2
        return {
            "source": self.source.name,
            "arms": {name: self._figures(name, target) for name in NAMES},
            "speedup": self.speedup,
            "negative_transfer": self.negative,
            "shift": {"inputs": self.inputs, "residuals": self.shift},
        }

    def _figures(self, name: str, target: float | None) -> dict[str, float | None]:
        arm = self.arms.get(name)
        if arm is None:
            return {"relative_l2": None, "seconds": None, "seconds_to_target": None}
        return {
            "relative_l2": arm.relative_l2,
            "seconds": arm.seconds,
            "seconds_to_target": arm.seconds_to(target),
        }


def check_transfer(problem: Problem, task: Transfer, source: Solution) -> None:
    """Raises BadInput where a transfer from the source, trained or not, to the problem makes no sense."""
    if problem.modes:
        raise BadInput("task", "eigenvalue problems are not transferred to", "write task=solve")
    for name in task.missing:
        if task.missing.count(name) > 1:
            raise BadInput("task.missing", f"{name!r} is named {task.missing.count(name)} times", "name it once")
        if name not in problem.conditions:
            raise BadInput("task.missing", f"there is no condition {name!r}", choose_from(name, problem.conditions))
        if problem.conditions[name].on == INTERIOR:
            raise BadInput("task.missing", f"{name!r} is an equation", "name conditions on the boundary")
    if DATA in problem.conditions:
        raise BadInput("conditions", f"{DATA!r} is what transferred data are called", "rename the condition")
    bounds_for(source, problem)
    features = deepcopy(source.trial.features)
    layers_of(features)
    assert isinstance(features, FeatureMap)
    adapted(features, task.strategy, torch.Generator())
    if task.data is not None:
        sensors_for(problem, task, None, 0)


def compare(
    problem: Problem,
    settings: Settings,
    source: Source,
    reference: Reference | None,
    folder: Path | None,
    visible: bool,
) -> Transferred:
    """Run all arms, each with a checkpoint of its own in the folder, from which it goes on with resume=auto.

    Raises BadInput, CheckpointUnusable, Diverged, Interrupted and Preempted.
    """
    return _Comparison(problem, settings, source, reference, folder and folder / "arms", visible).run()


@dataclass
class _Comparison:
    problem: Problem
    settings: Settings
    source: Source
    reference: Reference | None
    folder: Path | None
    visible: bool

    def __post_init__(self) -> None:
        task = self.settings.task
        assert isinstance(task, Transfer)
        self.task = task
        self.scales: Assembly | None = None
        self.settings = _budgeted(self.settings)
        self.sensors = sensors_for(self.problem, task, self.reference, self.settings.seed)
        self.bounds = bounds_for(self.source.solution, self.problem)
        self.steady = self.problem.transient and "t" not in self.source.solution.coordinates
        self.settings = self._with_the_same_points(self.settings)
        self.physics = {
            name: replace(condition, weight=condition.weight * task.physics_weight)
            for name, condition in self.problem.conditions.items()
            if name not in task.missing
        }
        field = self.problem.fields[0]
        left = [np.atleast_1d(self.problem.conditions[name].on).tolist() for name in task.missing]
        self.problem = replace(self.problem, free=(*self.problem.free, *chain.from_iterable(left)))
        self.open = bool(self.problem.free)
        self.data, self.data_alone = {}, {}
        if self.sensors:
            self.data = {DATA: self.sensors.condition(field, task.data_weight, complete=not self.open)}
            self.data_alone = {DATA: self.sensors.condition(field, task.data_weight, complete=False)}
        self.done = Transferred(self.source, self.sensors, self.bounds, self.open)

    def run(self) -> Transferred:
        both, main = {**self.physics, **self.data}, "data_physics" if self.data else "physics_only"
        self.scales = assemble(self._given(both), self.settings)
        scratch, transferred = self._start("from_scratch", both), self._start(main, both)
        self._guard({"from_scratch": scratch, main: transferred})
        self._finish("from_scratch", scratch)
        self._finish(main, transferred)
        if self.data:
            self._finish("physics_only", self._start("physics_only", self.physics))
            self._finish("data_only", self._start("data_only", self.data_alone))
        self._finish("one_shot", self._start("one_shot", both))
        self._source_unchanged(scratch)
        return self.done

    def _with_the_same_points(self, settings: Settings) -> Settings:
        """As many interior points as the largest of the trial functions needs."""
        wide = self.source.solution.trial.width * (IN_TIME if self.steady else 1)
        interior = max(LEAST_INTERIOR, INTERIOR_PER_COLUMN * (max(wide, settings.network.layers[-1]) + MOST_COLUMNS))
        sampling = settings.sampling
        return replace(settings, sampling=replace(sampling, interior=sampling.interior or interior))

    # --- one arm ---

    def _start(self, name: str, conditions: Mapping[str, Condition]) -> Training:
        """An arm at its first step. Its seconds begin here; the scales, which all arms share, are nobody's."""
        began = time.perf_counter()
        settings = self._settings_of(name)
        problem = self._given(conditions)
        bounds = None if name == "from_scratch" else self.bounds
        features = None if name == "from_scratch" else self._features(settings, name)
        assembly = assemble(problem, settings, features, self.scales, bounds)
        self._hold(name, assembly.residuals)
        training = Training.start(problem, settings, assembly)
        training.seconds = time.perf_counter() - began
        self._restore(name, training)
        return training

    def _given(self, conditions: Mapping[str, Condition]) -> Problem:
        """The problem with these conditions alone; with nothing but data all of the boundary is open."""
        free = self.problem.free if conditions.keys() != {DATA} else ("boundary",)
        return replace(self.problem, conditions=dict(conditions), free=free)

    def _restore(self, name: str, training: Training) -> None:
        """Go on where the arm was left, if that is asked for. Raises CheckpointUnusable where it was of another run."""
        if self.settings.resume is None or self.folder is None or not (self.folder / name).is_dir():
            return
        kept = checkpoint.read(self.folder / name)
        then, now = kept["solution"]["settings"], training.settings.to_mapping()
        refuse_another(self.folder / name, then, {key: now[key] for key in (*SAME, "task")})
        training.restore(kept["training"], kept["solution"]["network"])
        stopped = kept["training"]["stop_reason"]
        probed = stopped == TIME_IS_UP and training.seconds < training.limit
        training.stop_reason = "" if probed else stopped

    def _settings_of(self, name: str) -> Settings:
        settings = self.settings
        if name == "from_scratch":
            return settings
        own, theirs = settings.network, self.source.solution.settings.network
        told = name != "data_only"  # of boundary conditions
        kept = replace(
            theirs, corners=own.corners and told, boundary=own.boundary if told else "soft", head="solved",
            in_time=IN_TIME if self.steady else theirs.in_time,
        )  # fmt: skip
        optimizer = LeastSquares() if name == "one_shot" else settings.optimizer
        return replace(settings, network=kept, optimizer=optimizer)

    def _features(self, settings: Settings, name: str) -> FeatureMap:
        """A copy of the source's features, of which the strategy says what is trained."""
        theirs, network_ = self.source.solution.trial, settings.network
        features = network(replace(settings, network=replace(network_, in_time=None)), len(theirs.shape.coordinates))
        features.load_state_dict(theirs.features.state_dict())
        strategy = chosen.Head() if name == "one_shot" else self.task.strategy
        features = adapted(features, strategy, torch.Generator().manual_seed(settings.seed))
        return in_time(features, network_.in_time) if network_.in_time else features

    def _hold(self, name: str, residuals: Residuals) -> None:
        """Hold the features near those of the source, where the strategy says so."""
        if name == "from_scratch" or not isinstance(self.task.strategy, chosen.Near):
            return
        strength, before = nearness(residuals, self.task.strategy.strength), residuals.anchor
        residuals.anchor = Anchor(strength if before is None else strength + before.strength, residuals.theta)

    def _finish(self, name: str, training: Training) -> None:
        self._step(name, training)
        _merge(training)
        errors = [row["relative_l2"] for row in training.history if row.get("relative_l2") is not None]
        error, predictor = errors[-1] if errors else None, partial(predict, training.assembly.trial)
        self.done.arms[name] = Arm(name, predictor, training.history, error, training.seconds, training)
        log.info("%s: error %s after %.2f s", name, "unknown" if error is None else f"{error:.1e}", training.seconds)

    def _step(self, name: str, training: Training) -> None:
        if training.stop_reason:
            return
        folder = self.folder and self.folder / name
        step_through(training, self.reference, folder, self.visible)
        keep(training, {}, folder)

    # --- what the comparison says ---

    def _guard(self, trainings: Mapping[str, Training]) -> None:
        """Compare residuals on fresh points, from scratch and after transfer, after a small part of the budget."""
        if self.task.guard == "off" or self.open:  # a residual says little where conditions are missing
            return
        found = self.folder and self.folder / "guard.json"
        if self.settings.resume and found and found.is_file():
            self.done.probe = json.loads(found.read_text())["probe"]
            return
        residuals = []
        for name, training in trainings.items():
            settings = training.settings
            short = replace(settings.training, max_seconds=PROBE * training.limit)
            training.settings = replace(settings, training=short)
            self._step(name, training)
            training.settings = settings
            if training.stop_reason == TIME_IS_UP:
                training.stop_reason = ""
            residuals.append(training.fresh_residual())
        scratch, transferred = residuals
        self.done.probe = transferred / max(scratch, self.settings.training.tolerance)
        if found:
            write_json(found, {"probe": self.done.probe})
        if self.done.probe > HARM:
            log.warning("negative transfer: the residual is %.1f times that from scratch", self.done.probe)

    def _source_unchanged(self, scratch: Training) -> None:
        began = time.perf_counter()
        trial = moved(self.source.solution.trial, self.problem, self.bounds)
        if trial is None:
            return
        trial.to(scratch.assembly.trial.weight)
        points = monitored(scratch)
        error = relative_l2(predict(trial, points), self.reference.value(points)) if self.reference else None
        seconds = time.perf_counter() - began
        self.done.arms["source_unchanged"] = Arm("source_unchanged", partial(predict, trial), [], error, seconds)
        problem, like = self._given(self.physics), scratch.assembly.residuals
        left = Residuals(problem, trial, {name: like.collocation[name] for name in self.physics})
        left.scales = dict(like.scales)
        there = np.array(self.source.solution.trial.shape.bounds)
        self.done.inputs = float(((points >= there[0]) & (points <= there[1])).all(1).mean())
        self.done.shift = {name: math.sqrt(2 * term) for name, term in left.terms(left.theta).items()}


def _budgeted(settings: Settings) -> Settings:
    """The settings of training from scratch, which those of the other arms follow from.

    Points are fixed in number, so that all arms have the same; errors are seen after each step where steps are few.
    """
    optimizer = GaussNewton() if isinstance(settings.optimizer, Auto) else settings.optimizer
    network, training = settings.network, settings.training
    few = isinstance(optimizer, GaussNewton | LeastSquares)
    training = replace(
        training,
        max_seconds=training.max_seconds or BUDGET,
        evaluate_every=1 if few else training.evaluate_every,
    )
    plain = replace(network, polynomials=network.polynomials or 0, peaks=network.peaks or ())
    return replace(settings, optimizer=optimizer, network=plain, training=training)


def _merge(training: Training) -> None:
    """Put corrections of low rank into what they correct, now that training is over."""
    assembly, trial = training.assembly, training.assembly.trial
    assert isinstance(trial.features, FeatureMap)
    if is_merged(trial.features):
        return
    trial.features = merged(trial.features)
    residuals = Residuals(training.problem, trial, assembly.residuals.collocation)
    residuals.scales = dict(assembly.residuals.scales)
    training.assembly, training.theta = replace(assembly, residuals=residuals), residuals.theta
