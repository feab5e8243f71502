"""Signals that ask a run to stop: noticed between steps, so that a checkpoint can be written first."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from pinnkit.errors import Interrupted, PinnkitError, Preempted

CAUGHT = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGUSR2") if hasattr(signal, name)]


class Stop:
    """Whether a signal has arrived, and which."""

    def __init__(self) -> None:
        self.signal: int | None = None

    def asked(self) -> bool:
        return self.signal is not None

    def error(self, step: int) -> PinnkitError:
        """What to raise for the signal."""
        kind = Interrupted if self.signal == signal.SIGINT else Preempted
        return kind(
            f"run: stopped by {signal.Signals(self.signal or 0).name} after step {step}; go on with resume=auto"
        )


@contextmanager
def catching() -> Iterator[Stop]:
    """Catch the signals inside; a second one of a kind has its usual effect. Does nothing outside the main thread."""
    stop = Stop()
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return
    before = {number: signal.getsignal(number) for number in CAUGHT}

    def note(number: int, frame: FrameType | None) -> None:
        stop.signal = number
        signal.signal(number, before[number])

    for number in CAUGHT:
        signal.signal(number, note)
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
