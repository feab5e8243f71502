"""Signals that ask a run to stop: noticed between steps, so that a checkpoint can be written first."""

import signal
import threading
from collections.abc import Callable, Iterator
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
        return _error(self.signal or 0, f"after step {step}")


def _error(number: int, when: str) -> PinnkitError:
    kind = Interrupted if number == signal.SIGINT else Preempted
    return kind(f"run: stopped by {signal.Signals(number).name} {when}; go on with resume=auto")


@contextmanager
def catching() -> Iterator[Stop]:
    """Catch the signals inside; a second one of a kind has its usual effect. Does nothing outside the main thread."""
    stop = Stop()
    before = {number: signal.getsignal(number) for number in CAUGHT}

    def note(number: int, frame: FrameType | None) -> None:
        stop.signal = number
        signal.signal(number, before[number])

    with _handling(note):
        yield stop


@contextmanager
def raising() -> Iterator[None]:
    """Raise Interrupted or Preempted at once where a signal arrives while there is nothing to keep, such as between
    trainings. Does nothing outside the main thread."""

    def leave(number: int, frame: FrameType | None) -> None:
        raise _error(number, "between steps")

    with _handling(leave):
        yield


@contextmanager
def _handling(handler: Callable[[int, FrameType | None], None]) -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in CAUGHT}
    for number in CAUGHT:
        signal.signal(number, handler)
    try:
        yield
    finally:
        for number, former in before.items():
            signal.signal(number, former)
