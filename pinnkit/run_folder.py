"""The run folder: metrics.json, history.csv, status.json, solution.npz and .vtu, plots/, report.html, checkpoints/.

Files are written whole or not at all.
"""

import csv
import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pinnkit import checkpoint
from pinnkit.errors import CheckpointUnusable
from pinnkit.files import write_atomically
from pinnkit.merit import solution_of
from pinnkit.result import Committee, Result, Solution, to_plain
from pinnkit.settings import Settings
from pinnkit.training import Training

SAME = ("problem", "network", "sampling", "optimizer", "seed", "dtype")  # settings of a run that goes on


def write_status(folder: Path | None, status: str, reason: str | None = None) -> None:
    """Write status.json: running, done, failed, preempted or interrupted, and why."""
    if folder is not None:
        write_json(folder / "status.json", {"status": status, "error": reason})


def write_json(path: Path, content: Any) -> None:
    write_atomically(path, (json.dumps(content, indent=2) + "\n").encode())


def write_run(result: Result, training: Training, folder: Path) -> None:
    """Write all that a run leaves."""
    from pinnkit import export, plotting, report  # matplotlib takes a second to import

    keep(training, result.metrics, folder, _members(result.solution))
    write_json(folder / "metrics.json", dict(result.metrics))
    write_atomically(folder / "history.csv", csv_text(result.history).encode())
    export.write_npz(result, folder / "solution.npz")
    export.write_vtu(result, folder / "solution.vtu")
    plotting.save_plots(result, folder)
    report.write_report(result, folder)
    write_status(folder, "done")


def csv_text(history: Any) -> str:
    """Rows as CSV, with the columns of all of them."""
    columns = list(dict.fromkeys(key for row in history for key in row))
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(history)
    return text.getvalue()


def _members(solution: Solution) -> dict[str, Any]:
    """What a checkpoint of a committee holds besides its first member."""
    if not isinstance(solution, Committee):
        return {}
    return {
        "members": [to_plain(member) for member in solution.members],
        "calibrations": [calibration.to_plain() for calibration in solution.calibrations],
    }


def keep(training: Training, metrics: Mapping[str, Any], folder: Path | None, more: Mapping[str, Any] = {}) -> None:
    """Write a checkpoint from which the run can go on, or its solution be loaded."""
    if folder is None:
        return
    content = {"solution": to_plain(solution_of(training, metrics)), "training": training.snapshot(), **more}
    checkpoint.write(folder / "checkpoints" / "last.pt", content)


def to_resume(settings: Settings, folder: Path | None) -> dict[str, Any] | None:
    """The checkpoint to go on from, if one is asked for. Raises CheckpointUnusable where it is of another run."""
    if settings.resume is None:
        return None
    path = Path(settings.resume)
    if settings.resume == "auto":
        if folder is None or not (folder / "checkpoints" / "last.pt").is_file():
            return None
        path = folder
    kept = checkpoint.read(path)
    try:
        then, now = kept["solution"]["settings"], _with_choices(settings.to_mapping(), kept["solution"]["settings"])
        refuse_another(path, then, {key: now[key] for key in SAME})
        choosing = settings.optimizer.name == "auto" and then["optimizer"]["name"] == "least_squares"
        unfinished = not kept["solution"]["metrics"]
    except (KeyError, TypeError):
        raise CheckpointUnusable(f"{path}: it is not the checkpoint of a run; give another one") from None
    return None if choosing and unfinished else kept


def refuse_another(where: Path, then: Mapping[str, Any], now: Mapping[str, Any]) -> None:
    """Raises CheckpointUnusable where a run was told other things then than it is now."""
    for key, value in now.items():
        if then.get(key) != value:
            what = f"it is of another run: {key} was {then.get(key)}"
            raise CheckpointUnusable(f"{where}: {what}; resume with the same settings, or start anew")


def _with_choices(now: dict[str, Any], then: Mapping[str, Any]) -> dict[str, Any]:
    """Settings in which what is chosen automatically is as it was chosen then."""
    for key in ("polynomials", "peaks", "draw"):
        if now["network"][key] is None:
            now["network"][key] = then["network"][key]
    if now["optimizer"]["name"] == "auto":
        now["optimizer"] = then["optimizer"]
    return now
