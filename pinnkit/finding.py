"""What a study finds: a model with its figures of merit, its figures, and its files."""

import io
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from pinnkit import checkpoint
from pinnkit.files import write_atomically
from pinnkit.merit import SCHEMA
from pinnkit.run_folder import csv_text, write_json, write_status
from pinnkit.settings import Settings
from pinnkit.study import Study

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class Finding(ABC):
    """The model that a study ends with."""

    kind: ClassVar[str]  # by which files of it are known
    captions: ClassVar[Mapping[str, str]]  # of its figures, in the order in which they are shown, `solution` first

    problem: Study
    settings: Settings
    metrics: Mapping[str, Any]
    history: Sequence[Mapping[str, Any]] = ()
    transferred = judgement = corrected = None  # which answers to equations may have, see result.Result

    @abstractmethod
    def figures(self) -> "Mapping[str, Figure]":
        """Figures by the names in `captions`; some may be missing."""

    @abstractmethod
    def arrays(self) -> Mapping[str, np.ndarray[Any, Any]]:
        """What solution.npz holds."""

    @abstractmethod
    def to_plain(self) -> dict[str, Any]:
        """Tensors and plain values from which `from_plain` makes it again, without the problem's file."""

    @classmethod
    @abstractmethod
    def from_plain(cls, plain: Mapping[str, Any]) -> "Finding":
        """The finding of which these are the plain values."""

    @abstractmethod
    def lines(self) -> list[str]:
        """What a summary adds to the usual figures of merit."""

    remedy: ClassVar[str] = "give more data, or better ones"  # where the accuracy asked for was missed

    @property
    def missed_tolerance(self) -> bool:
        """Whether an accuracy was asked for and not shown to be reached."""
        return self.settings.tolerance is not None and self.metrics["verdict"] != "trusted"

    @property
    def tiles(self) -> Mapping[str, Any]:
        """Numbers and texts with which a report begins, by what they are called; none: errors, as of any field."""
        return {}

    def plot(self, folder: str | Path) -> None:
        """Write the figures into folder/plots."""
        from pinnkit.drawing import save  # matplotlib takes a second to import

        save(self.figures(), Path(folder))


def usual_metrics(
    problem: Study, settings: Settings, *, seconds: float, verdict: str, stop_reason: str, points: int,
    parameters: int | None = None, relative_l2: float | None = None, max_error: float | None = None,
    reference: str = "none", error_estimate: float | None = None,
) -> dict[str, Any]:  # fmt: skip
    """Figures of merit that every run has; `points` is the number of data, `seconds` the time of training."""
    return {
        "schema": SCHEMA, "problem": problem.name, "task": settings.task.name, "optimizer": settings.optimizer.name,
        "seed": settings.seed, "device": "cpu", "dtype": settings.dtype, "parameters": parameters, "points": points,
        "relative_l2": relative_l2, "max_error": max_error,
        "reference": {"kind": reference, "error_estimate": error_estimate},
        "seconds": {"train": seconds, "reference": 0.0, "total": seconds},
        "stop_reason": stop_reason, "verdict": verdict,
    }  # fmt: skip


def write_finding(found: Finding, folder: Path) -> None:
    """Write metrics.json, history.csv if there is one, solution.npz, plots/, report.html, a checkpoint, status.json."""
    from pinnkit import report  # matplotlib takes a second to import

    plain = {"kind": found.kind, **found.to_plain()}
    checkpoint.write(folder / "checkpoints" / "last.pt", {"solution": plain})
    write_json(folder / "metrics.json", dict(found.metrics))
    if found.history:
        write_atomically(folder / "history.csv", csv_text(found.history).encode())
    buffer = io.BytesIO()
    np.savez(buffer, allow_pickle=False, **found.arrays())
    write_atomically(folder / "solution.npz", buffer.getvalue())
    found.plot(folder)
    report.write_report(found, folder)
    write_status(folder, "done")
