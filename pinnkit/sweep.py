"""Sweeps: a job that fails says why and lets the others go on; at the end a table of all of them."""

import csv
import json
import os
import sys
from collections.abc import Iterable
from pathlib import Path
from statistics import median
from typing import Any

from hydra.experimental.callback import Callback
from omegaconf import DictConfig, OmegaConf

COLUMNS = ("job", "overrides", "relative_l2", "max_error", "seconds", "verdict", "status", "reason")
OF_TRANSFERS = ("speedup", "negative_transfer")  # further columns, where a job has them
Row = dict[str, Any]


def record_failure(folder: Path, error: Exception, exit_code: int) -> None:
    """Write into status.json why a job ended; a status that the task already wrote is kept."""
    known = _json(folder / "status.json")
    status = "failed" if known.get("status", "running") == "running" else known["status"]
    reason = known.get("error") or " ".join(str(error).split())
    text = json.dumps({**known, "status": status, "error": reason, "exit_code": exit_code}, indent=2)
    temporary = folder / "status.json.new"
    temporary.write_text(text + "\n")
    os.replace(temporary, folder / "status.json")


class Summary(Callback):
    """After a sweep: a table on stdout and in summary.csv, and the exit code of the first job that failed."""

    def on_multirun_end(self, config: DictConfig, **kwargs: Any) -> None:
        folder = Path(config.hydra.sweep.dir)
        jobs = sorted((path.parent.parent for path in folder.rglob(".hydra/overrides.yaml")), key=_number)
        rows = _without_common([_row(job, str(job.relative_to(folder))) for job in jobs])
        if all(row["speedup"] is row["negative_transfer"] is None for row in rows):
            rows = [{key: value for key, value in row.items() if key not in OF_TRANSFERS} for row in rows]
        with open(folder / "summary.csv", "w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, list(rows[0]) if rows else COLUMNS)
            writer.writeheader()
            writer.writerows(_shown(row) for row in rows)
        print(_table(rows))
        if speedups := [row["speedup"] or 0.0 for row in rows if row.get("negative_transfer") is not None]:
            print(f"median speed-up to the error from scratch: {median(speedups):.3g}")
        if codes := [code for job in jobs if (code := _exit_code(job))]:
            sys.exit(codes[0])


def _number(job: Path) -> tuple[int, str]:
    return (int(job.name), "") if job.name.isdigit() else (sys.maxsize, str(job))


def _json(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text()) if path.is_file() else {}


def _exit_code(job: Path) -> int:
    status = _json(job / "status.json")
    return int(status.get("exit_code", 0 if status.get("status") == "done" else 1))


def _row(job: Path, name: str) -> Row:
    metrics, status = _json(job / "metrics.json"), _json(job / "status.json")
    return {
        "job": name,
        "overrides": OmegaConf.to_container(OmegaConf.load(job / ".hydra" / "overrides.yaml")),
        "relative_l2": metrics.get("relative_l2"),
        "max_error": metrics.get("max_error"),
        "speedup": metrics.get("speedup"),
        "negative_transfer": metrics.get("negative_transfer"),
        "seconds": metrics.get("seconds", {}).get("total"),
        "verdict": metrics.get("verdict"),
        "status": status.get("status", "lost"),
        "reason": status.get("error"),
    }


def _without_common(rows: list[Row]) -> list[Row]:
    """The overrides that tell the jobs apart."""
    common = set.intersection(*(set(row["overrides"]) for row in rows)) if len(rows) > 1 else set()
    return [{**row, "overrides": [o for o in row["overrides"] if o not in common]} for row in rows]


def _shown(row: Row) -> dict[str, str]:
    return {name: _text(value) for name, value in row.items()}


def _text(value: Any) -> str:
    if isinstance(value, list):
        return " ".join(value)
    return f"{value:.3g}" if isinstance(value, float) else "" if value is None else str(value)


def _table(rows: Iterable[Row]) -> str:
    rows = [_shown(row) for row in rows]
    lines = [tuple(rows[0]) if rows else COLUMNS, *(tuple(row.values()) for row in rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join("  ".join(map(str.ljust, line, widths)).rstrip() for line in lines)
