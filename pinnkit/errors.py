"""What can go wrong, and the exit code each failure has on the command line.

0 ok · 1 bug in pinnkit · 2 bad input · 3 diverged · 4 missed the asked tolerance · 5 checkpoint unusable ·
6 input/output · 75 preempted, can resume · 130 interrupted.
"""

from collections.abc import Iterator
from contextlib import contextmanager


class PinnkitError(Exception):
    """A failure that is explained to the user in one line, without a traceback."""

    exit_code = 1


class BadInput(PinnkitError):
    """The user's input cannot be used: which key, what is wrong with it, what to do."""

    exit_code = 2

    def __init__(self, key: str, what: str, remedy: str) -> None:
        super().__init__(f"{key}: {what}; {remedy}")
        self.key, self.what, self.remedy = key, what, remedy


@contextmanager
def about(key: str, before: str = "", remedy: str | None = None) -> Iterator[None]:
    """Tell of bad input inside by another key, with words before it, and with another remedy if one is given."""
    try:
        yield
    except BadInput as bad:
        raise BadInput(key, f"{before}{bad.what}", remedy or bad.remedy) from None


class Diverged(PinnkitError):
    """Training left the finite numbers."""

    exit_code = 3


class MissedTolerance(PinnkitError):
    """The run is complete, but its error is above the asked tolerance."""

    exit_code = 4


class CheckpointUnusable(PinnkitError):
    """A checkpoint is missing, damaged, or of another problem."""

    exit_code = 5


class OutputFailed(PinnkitError):
    """Results could not be written."""

    exit_code = 6


class Preempted(PinnkitError):
    """A queueing system asked for the machine; the run can be resumed."""

    exit_code = 75


class Interrupted(PinnkitError):
    """The user interrupted the run."""

    exit_code = 130
