"""What a run gives: the solution as a function of points, with its figures of merit."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from pinnkit import checkpoint
from pinnkit.assembly import network
from pinnkit.calibration import Calibration, students_half_width
from pinnkit.corners import CornerFunctions
from pinnkit.errors import BadInput, CheckpointUnusable
from pinnkit.evaluation import Reference
from pinnkit.lift import Lift
from pinnkit.operators import Index
from pinnkit.problem import EIGENVALUE, INTERIOR, Problem
from pinnkit.residuals import Collocation, residual_at
from pinnkit.settings import Settings
from pinnkit.trial import Enrichment, Enrichments, Trial, TrialShape
from pinnkit.vanishing import VanishingFunctions

Array = NDArray[np.float64]
CHUNK = 4000  # points evaluated at a time


@dataclass(frozen=True)
class Solution:
    """A trained trial function, by itself: all that is needed to evaluate it."""

    trial: Trial
    settings: Settings
    metrics: Mapping[str, Any]
    history: Sequence[Mapping[str, Any]]

    @property
    def coordinates(self) -> tuple[str, ...]:
        return self.trial.shape.coordinates

    @property
    def fields(self) -> tuple[str, ...]:
        return self.trial.fields

    @property
    def unknowns(self) -> dict[str, float]:
        """The coefficients that were found, eigenvalues among them."""
        found = {name: entry["value"] for name, entry in self.metrics.get("unknowns", {}).items()}
        return found | {f"{EIGENVALUE}_{i}": value for i, value in enumerate(self.metrics.get("eigenvalues", []), 1)}

    def predict(self, points: ArrayLike) -> Array:
        """The fields, (n, fields), at points (n, d). Raises BadInput for another shape."""
        return predict(self.trial, points)


class KnownSolution:
    """A solution as an enrichment: its fields, each less its offset and over its amplitude."""

    def __init__(self, solution: Solution) -> None:
        self.solution, self.count = solution, len(solution.fields)
        solution.trial.requires_grad_(False)

    def jets(self, coordinates: Sequence[Tensor], indices: Sequence[Index]) -> Tensor:
        """Partial derivatives (C, n, count) at points with these coordinates, (n,) each."""
        trial, x = self.solution.trial, torch.stack(tuple(coordinates), -1)
        at = trial.prepare(x.to(trial.weight), indices)
        rows = trial(at)[[at.indices.index(index) for index in indices]]
        offset = torch.stack([trial.offset if index == () else torch.zeros_like(trial.offset) for index in indices])
        return ((rows - offset[:, None]) / trial.amplitude).to(x)

    def to_plain(self) -> dict[str, Any]:
        """What `from_plain` makes a solution of."""
        return to_plain(self.solution)


@dataclass(frozen=True)
class Committee(Solution):
    """Solutions of one problem from different draws: their mean, how far they spread, and bands.

    What a Solution has is the first member's, but for the values.
    """

    members: tuple[Solution, ...] = ()
    calibrations: tuple[Calibration, ...] = ()  # one a field, where there were truths to calibrate with

    def predict(self, points: ArrayLike) -> Array:
        """The mean of the members' fields, (n, fields), at points (n, d)."""
        return self.values(points).mean(0)

    def spread(self, points: ArrayLike) -> Array:
        """The standard deviation among members, (n, fields), at points (n, d)."""
        return self.values(points).std(0, ddof=1)

    def band(self, points: ArrayLike, level: float = 0.95) -> tuple[Array, Array]:
        """Lower and upper ends, each (n, fields): of calibrated bands, else of Student's for one more member."""
        values = self.values(points)
        mean, half = values.mean(0), self.half_width(values.std(0, ddof=1), level)
        return mean - half, mean + half

    def half_width(self, spread: Array, level: float) -> Array:
        """Half the width of a band, (n, fields), from the spread there."""
        if not self.calibrations:
            return students_half_width(spread, len(self.members), level)
        columns = zip(self.calibrations, spread.T, strict=True)
        return np.stack([calibration.half_width(column, level) for calibration, column in columns], 1)

    def values(self, points: ArrayLike) -> Array:
        """The fields of each member, (members, n, fields), at points (n, d)."""
        return np.stack([member.predict(points) for member in self.members])


def predict(trial: Trial, points: ArrayLike) -> Array:
    """The fields, (n, fields), of a trial function at points (n, d) in the order of its coordinates."""
    array = np.asarray(points, dtype=float)
    names = ", ".join(trial.shape.coordinates)
    if array.ndim != 2 or array.shape[1] != len(trial.shape.coordinates):
        raise BadInput("points", f"shape {array.shape}", f"give (n, {len(trial.shape.coordinates)}): columns {names}")
    with torch.no_grad():
        parts = [
            trial(torch.as_tensor(part).to(trial.weight))
            for part in np.array_split(array, -(-len(array) // CHUNK) or 1)
        ]
    return torch.cat(parts).double().cpu().numpy()


KNOWN = (CornerFunctions, VanishingFunctions, KnownSolution)  # enrichments that a checkpoint keeps


@dataclass(frozen=True)
class Result:
    """A solution together with the problem it solves and the reference it was compared with."""

    problem: Problem
    solution: Solution
    reference: Reference | None
    collocation: Mapping[str, Collocation]
    transferred: Any = None  # the arms of a transfer, see arms.Transferred
    judgement: Any = None  # what a committee's truths say of it, see committee.Judgement
    corrected: Any = None  # a low fidelity and what else it is compared with, see correction.Corrected

    @property
    def metrics(self) -> Mapping[str, Any]:
        return self.solution.metrics

    @property
    def history(self) -> Sequence[Mapping[str, Any]]:
        return self.solution.history

    @property
    def settings(self) -> Settings:
        return self.solution.settings

    @property
    def unknowns(self) -> dict[str, float]:
        """The coefficients that were found."""
        return self.solution.unknowns

    @property
    def captions(self) -> Mapping[str, str]:
        """Figures are those that any field has."""
        return {}

    @property
    def tiles(self) -> Mapping[str, Any]:
        """Reports begin with errors, as they do of any field."""
        return {}

    @property
    def missed_tolerance(self) -> bool:
        """Whether an accuracy was asked for and not shown to be reached."""
        return self.settings.tolerance is not None and self.metrics["verdict"] != "trusted"

    @property
    def remedy(self) -> str:
        """What may help where it was missed."""
        if "reference" in self.metrics["verdict"]:
            return "lower reference.tolerance"
        return "take wider layers, or more points or steps"

    def predict(self, points: ArrayLike) -> Array:
        """The fields, (n, fields), at points (n, d)."""
        return self.solution.predict(points)

    def residuals(self, points: Array) -> dict[str, Array]:
        """The residual (n,) of each equation in the interior, at points (n, d) inside.

        Of several equations the norm, of several members of a committee the root mean square.
        """
        names = [name for name, condition in self.problem.conditions.items() if condition.on == INTERIOR]
        return {name: self._residual(name, points) for name in names}

    def _residual(self, name: str, points: Array) -> Array:
        members = self.solution.members if isinstance(self.solution, Committee) else (self.solution,)
        each = [residual_at(self.problem, member.trial, name, Collocation(points)) for member in members]
        single = len(each) == len(each[0]) == 1
        rows = each[0][0] if single else torch.stack(each).square().sum(1).mean(0).sqrt()
        return rows.double().cpu().numpy()

    def plot(self, folder: str | Path) -> None:
        """Write the figures of the solution, the error, the residual, the loss and the points into folder/plots."""
        from pinnkit.plotting import save_plots  # matplotlib takes a second to import

        save_plots(self, Path(folder))


def to_plain(solution: Solution) -> dict[str, Any]:
    """A solution as tensors and plain values; `from_plain` makes it again without the problem it came from."""
    trial = solution.trial
    return {
        "shape": shape_to_plain(trial.shape),
        "enrichment": _plain_enrichment(trial.enrichment),
        "exact": trial.exact.to_plain() if isinstance(trial.exact, Lift) else None,
        "network": {name: value.detach().clone() for name, value in trial.state_dict().items()},
        "settings": solution.settings.to_mapping(),
        "metrics": dict(solution.metrics),
        "history": list(solution.history),
    }


def shape_to_plain(shape: TrialShape) -> dict[str, Any]:
    """The shape of a trial function as plain lists and numbers."""
    return {
        "coordinates": list(shape.coordinates),
        "fields": list(shape.fields),
        "bounds": [list(row) for row in shape.bounds],
        "unknowns": dict(shape.unknowns),
    }


def from_plain(plain: Mapping[str, Any], features: torch.nn.Module | None = None) -> Solution:
    """The solution kept in a checkpoint. Raises CheckpointUnusable where it does not fit together."""
    try:
        settings = Settings.from_mapping(plain["settings"])
        told = plain["shape"]
        shape = TrialShape(
            tuple(told["coordinates"]),
            tuple(told["fields"]),
            tuple(map(tuple, told["bounds"])),
            told["unknowns"],
        )
        exact = Lift.from_plain(plain["exact"]) if plain.get("exact") else None
        enrichment = _enrichment(plain["enrichment"], exact)
        trial = Trial(features or network(settings, len(shape.coordinates)), shape, enrichment, exact)
        trial.to(next(iter(plain["network"].values())).dtype).load_state_dict(plain["network"])
    except (BadInput, KeyError, TypeError, RuntimeError) as reason:
        raise CheckpointUnusable(
            f"the checkpoint does not fit together ({str(reason).splitlines()[0]}); start anew"
        ) from None
    return Solution(trial, settings, plain["metrics"], plain["history"])


def _plain_enrichment(enrichment: Enrichment | None) -> Any:
    if isinstance(enrichment, Enrichments):
        return {"parts": [_plain_enrichment(part) for part in enrichment.parts]}
    return enrichment.to_plain() if isinstance(enrichment, KNOWN) else None


def _enrichment(plain: Any, exact: Lift | None) -> Enrichment | None:
    match plain:
        case None:
            return None
        case {"parts": parts}:
            known = [_enrichment(part, exact) for part in parts]
            return Enrichments([part for part in known if part is not None])
        case {"network": _}:
            return KnownSolution(from_plain(plain))
        case _ if exact is not None:
            return VanishingFunctions.from_plain(plain, exact)
    return CornerFunctions.from_plain(plain)


def load(path: str | Path, features: torch.nn.Module | None = None) -> Solution:
    """A trained solution, or a committee, from a run folder or a checkpoint; nothing else is needed.

    A solution whose features were the user's own module needs an instance of that module, whose parameters are then
    set. Raises CheckpointUnusable.
    """
    kept = checkpoint.read(Path(path))
    if "kind" in kept["solution"]:
        raise BadInput("path", f"{path} holds no solution of an equation", "choose the run of an equation")
    first = from_plain(kept["solution"], features)
    if "members" not in kept:
        return first
    members = tuple(from_plain(plain) for plain in kept["members"])
    calibrations = tuple(map(Calibration.from_plain, kept["calibrations"]))
    return Committee(first.trial, first.settings, first.metrics, first.history, members, calibrations)
