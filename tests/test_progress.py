"""Progress: a bar on a terminal, a line every few seconds elsewhere, nothing where it is not wanted."""

import io
import logging
import sys

import pytest

from pinnkit import progress
from pinnkit.progress import Progress


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class Clock:
    """Time that passes by one second a look."""

    def __init__(self) -> None:
        self.now = 0.0

    def monotonic(self) -> float:
        self.now += 1.0
        return self.now


def show(steps: int, visible: bool = True) -> None:
    with Progress(steps, visible) as shown:
        for step in range(1, steps + 1):
            shown.show(step, 1 / step, 1e-3 / step if step % 2 == 0 else None)


def test_a_terminal_gets_a_bar(monkeypatch):
    monkeypatch.setattr(sys, "stderr", terminal := Terminal())
    show(4)
    assert "/4" in terminal.getvalue() and "loss" in terminal.getvalue()


def test_a_log_gets_a_line_now_and_then(monkeypatch, caplog):
    monkeypatch.setattr(sys, "stderr", plain := io.StringIO())
    monkeypatch.setattr(progress, "time", Clock())
    with caplog.at_level(logging.INFO, "pinnkit.progress"):
        show(20)
    assert plain.getvalue() == ""
    lines = [record.getMessage() for record in caplog.records]
    assert 2 <= len(lines) <= 20 / progress.INTERVAL
    assert lines[0] == "step 6  loss 1.67e-01  relative L2 1.67e-04"


@pytest.mark.parametrize("stream", [Terminal, io.StringIO])
def test_python_gets_nothing(monkeypatch, caplog, stream):
    monkeypatch.setattr(sys, "stderr", silent := stream())
    monkeypatch.setattr(progress, "time", Clock())
    with caplog.at_level(logging.INFO, "pinnkit.progress"):
        show(20, visible=False)
    assert silent.getvalue() == "" and not caplog.records


def test_the_bar_is_closed_when_a_run_fails(monkeypatch):
    monkeypatch.setattr(sys, "stderr", terminal := Terminal())
    with pytest.raises(ZeroDivisionError), Progress(3, visible=True) as shown:
        shown.show(1, 1.0, None)
        _ = 1 / 0
    written = terminal.getvalue()
    shown.show(2, 1.0, None)
    assert shown._bar.disable and terminal.getvalue().startswith(written)
