"""The one training loop: sample → step → evaluate → record → checkpoint."""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from pinnkit.assembly import Assembly, points_for
from pinnkit.errors import Diverged
from pinnkit.optimizers.base import Info, loss_of
from pinnkit.problem import Problem
from pinnkit.progress import Progress
from pinnkit.residuals import Residuals
from pinnkit.settings import Settings

MOST_SECONDS = 120.0
FRESH = 2**31  # the draw of points on which a solution is judged, never trained on
FIRST = 10  # steps that are all evaluated, as long as nothing else is asked
ALL_STEPS = "all steps are done"
TIME_IS_UP = "the time is up"
BELOW_TOLERANCE = "the residual is below the tolerance"
History = list[dict[str, float | int | None]]


@dataclass
class Training:
    """A training run: everything that changes while it goes on, and what a checkpoint has to keep."""

    problem: Problem
    settings: Settings
    assembly: Assembly
    theta: Tensor
    state: dict[str, Any]
    first: int = 0
    step: int = 0
    seconds: float = 0.0
    history: History = field(default_factory=list)
    stop_reason: str = ""
    findings: dict[str, Any] = field(default_factory=dict)  # figures of its own
    best: tuple[float, Tensor] | None = None  # the smallest loss on points that stay, and θ there
    latest: Tensor | None = None  # where the optimizer is, once θ is the best

    @classmethod
    def start(
        cls, problem: Problem, settings: Settings, assembly: Assembly, before: "Training | None" = None
    ) -> "Training":
        """A run at its first step, or one that goes on counting where another one of the problem was left."""
        residuals = assembly.residuals
        theta = residuals.theta
        training = cls(problem, settings, assembly, theta, assembly.optimizer.init(residuals, theta))
        if before is None:
            training._record(loss_of(residuals(theta)), lambda: None)
        else:
            training.step, training.seconds, training.history = before.step, before.seconds, list(before.history)
            training.first = before.step
        return training

    @property
    def last(self) -> int:
        """The number of the last step."""
        return self.settings.training.max_steps or self.first + self.assembly.steps

    def misfit(self) -> float:
        """‖r‖ on fresh points, relative to ‖r‖ of the first trial function before training.

        Measured data are left out: their noise is not to be resolved.
        """
        start = sum(float(self.history[0].get(f"loss/{name}") or 0.0) for name in self._exact)
        return self.fresh_residual() / math.sqrt(2 * start) if start > 0 else 0.0

    @property
    def _exact(self) -> list[str]:
        return [name for name, condition in self.problem.conditions.items() if condition.points is None]

    def fresh_residual(self) -> float:
        """‖r‖ on fresh points, without measured data."""
        points = points_for(self.problem, self.settings, 0, FRESH)  # few will do: nothing is fitted to them
        fresh = Residuals(self.problem, self.assembly.trial, {name: points[name] for name in self._exact})
        fresh.scale_like(self.assembly.residuals)
        return math.sqrt(2 * loss_of(fresh(self.theta)))

    @property
    def stopped_by_limit(self) -> bool:
        """Whether it ended because it had to: steps or time are used up."""
        most = self.settings.training.max_steps
        return self.stop_reason == TIME_IS_UP or (most is not None and self.step >= most)

    @property
    def limit(self) -> float:
        return self.settings.training.max_seconds or MOST_SECONDS

    def run(
        self,
        error: Callable[[], float | None],
        keep: Callable[[], None],
        interrupted: Callable[[], bool],
        visible: bool,
    ) -> None:
        """Step until something says stop; θ is then the best that was seen: Adam, above all, is not monotone.

        `error` measures the relative L2 error of the trial function as it stands, `keep` writes a checkpoint, and
        `interrupted` says whether to leave after the step in progress. Raises Diverged.
        """
        kept = self.seconds
        if self.latest is not None:
            self.theta, self.latest = self.latest, None
        if self.step >= self.last:
            self.stop_reason = ALL_STEPS
        with Progress(self.last, visible) as progress:
            while not self.stop_reason and not interrupted():
                start = time.perf_counter()
                info = self._advance()
                self.seconds += time.perf_counter() - start
                self.stop_reason = info.stop or self._enough(info.loss) or ""
                evaluated = self._record(info.loss, error)
                progress.show(self.step, info.loss, evaluated)
                if self.seconds - kept > self.settings.training.checkpoint_seconds:
                    kept = self.seconds
                    keep()
        if self.stop_reason:
            self._go_to_the_best(error)
        self.assembly.residuals.assign(self.theta)

    def _note(self, loss: float, theta: Tensor) -> None:
        if not self.settings.sampling.resample and (self.best is None or loss <= self.best[0]):
            self.best = loss, theta

    def _go_to_the_best(self, error: Callable[[], float | None]) -> None:
        """Where another θ than the last had the smallest loss, take it, with one more row of history."""
        self._note(loss_of(self.assembly.residuals(self.theta)), self.theta)
        if self.best is not None and self.best[1] is not self.theta:
            self.latest, (loss, self.theta) = self.theta, self.best
            self._record(loss, error)

    def advance_by(self, seconds: float, stop_reason: str) -> None:
        """Count a step that was made elsewhere, and stop."""
        self.step, self.seconds, self.stop_reason = self.step + 1, self.seconds + seconds, stop_reason
        if self.seconds >= self.limit:
            self.stop_reason = TIME_IS_UP
        self._record(loss_of(self.assembly.residuals(self.theta)), lambda: None)

    def _advance(self) -> Info:
        assembly, every = self.assembly, self.settings.sampling.resample
        if every and self.step and self.step % every == 0:
            draw = self.step // every
            assembly.residuals.redraw(points_for(self.problem, self.settings, assembly.trial.columns, draw))
        began = self.theta
        self.theta, self.state, info = assembly.optimizer.step(assembly.residuals, began, self.state)
        self.step += 1
        if not (math.isfinite(info.loss) and bool(torch.isfinite(self.theta).all())):
            terms = assembly.residuals.terms(self.theta)
            bad = [name for name, value in terms.items() if not math.isfinite(value)]
            raise Diverged(f"training: the loss is {info.loss} at step {self.step} ({', '.join(bad) or 'parameters'}); "
                           "take a smaller learning rate, or another optimizer")  # fmt: skip
        self._note(info.loss, began if info.began_with else self.theta)
        return info

    def _enough(self, loss: float) -> str | None:
        if math.sqrt(2 * loss) <= self.settings.training.tolerance:
            return BELOW_TOLERANCE
        if self.step >= self.last:
            return ALL_STEPS
        return TIME_IS_UP if self.seconds >= self.limit else None

    def _record(self, loss: float, error: Callable[[], float | None]) -> float | None:
        """One row of history; each condition's loss and the error at first, now and then, and at the end."""
        row: dict[str, float | int | None] = {"step": self.step, "seconds": self.seconds, "loss": loss}
        evaluated, every = None, self.settings.training.evaluate_every
        if self.stop_reason or self.step <= self.first + min(every, FIRST) or self.step % every == 0:
            residuals = self.assembly.residuals
            residuals.assign(self.theta)
            evaluated = error()
            row |= {f"loss/{name}": value for name, value in residuals.terms(self.theta).items()}
            row |= {f"weight/{name}": value for name, value in residuals.weights.items()}
            row["relative_l2"] = evaluated
        self.history.append(row)
        return evaluated

    # --- what a checkpoint keeps ---

    def snapshot(self) -> dict[str, Any]:
        """Plain values and tensors from which `restore` goes on bit-exactly."""
        residuals = self.assembly.residuals
        residuals.assign(self.theta)
        return {
            "theta": self.theta if self.latest is None else self.latest,
            "best": None if self.best is None else list(self.best),
            "optimizer": self.state,
            "scales": residuals.scales,
            "first": self.first,
            "step": self.step,
            "seconds": self.seconds,
            "history": self.history,
            "stop_reason": self.stop_reason,
        }

    def restore(self, snapshot: dict[str, Any], network: dict[str, Tensor]) -> None:
        """Go on where a snapshot was taken; `network` is the trial function's state then."""
        assembly, every = self.assembly, self.settings.sampling.resample
        assembly.trial.load_state_dict(network)
        assembly.residuals.scales = _moved(snapshot["scales"], self.theta)
        self.theta, self.state = _moved(snapshot["theta"], self.theta), _moved(snapshot["optimizer"], self.theta)
        best = _moved(snapshot.get("best"), self.theta)
        self.best = (best[0], best[1]) if best else None
        self.first, self.step = snapshot["first"], snapshot["step"]
        self.seconds, self.history = snapshot["seconds"], snapshot["history"]
        if len(self.history) > 1 and self.history[-1]["step"] == self.history[-2]["step"]:
            self.history.pop()  # the row about the best θ, where that was not the last
        limits = (ALL_STEPS, TIME_IS_UP, BELOW_TOLERANCE)  # these may be others now
        self.stop_reason = "" if snapshot["stop_reason"] in limits else snapshot["stop_reason"]
        draw = max(self.step - 1, 0) // every if every else 0
        assembly.residuals.redraw(points_for(self.problem, self.settings, assembly.trial.columns, draw))


def _moved(content: Any, like: Tensor) -> Any:
    """The content with its tensors on the device of `like`."""
    if isinstance(content, dict):
        return {key: _moved(value, like) for key, value in content.items()}
    if isinstance(content, list):
        return [_moved(value, like) for value in content]
    return content.to(like.device) if isinstance(content, Tensor) else content
