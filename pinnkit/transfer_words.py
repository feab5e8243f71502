"""What a transfer found, as a table and in words: the same on the command line, in the report and in figures."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

LABELS = {
    "from_scratch": "from scratch",
    "source_unchanged": "source unchanged",
    "data_only": "data only",
    "physics_only": "physics only",
    "data_physics": "data and physics",
    "one_shot": "one shot",
}
LITTLE = 0.01  # dimensionless residual below which a condition is nearly met
MOST_NAMED = 3  # conditions that are told as not met
NEARLY = 0.005  # shares nearer to none or to all are told as such


class Arm(Protocol):
    """One of the ways to the solution that are compared."""

    @property
    def predict(self) -> Callable[[Array], Array]: ...  # (n, d) -> (n, fields)

    @property
    def history(self) -> Sequence[Mapping[str, Any]]: ...

    @property
    def relative_l2(self) -> float | None: ...

    @property
    def training(self) -> Any: ...

    def seconds_to(self, error: float | None) -> float | None: ...


class Sensors(Protocol):
    """Where data were measured."""

    @property
    def points(self) -> Array: ...  # (n, d)


class Transferred(Protocol):
    """All arms, and what they say about the transfer."""

    @property
    def source(self) -> Any: ...  # its name and its solution

    @property
    def sensors(self) -> Sensors | None: ...

    @property
    def bounds(self) -> Array: ...  # of what the features see as [−1, 1]ᵈ

    @property
    def arms(self) -> Mapping[str, Any]: ...  # Arm by name

    @property
    def main(self) -> Any: ...  # the Arm of full transfer

    @property
    def speedup(self) -> float | None: ...

    @property
    def negative(self) -> bool | None: ...

    @property
    def within_noise(self) -> bool: ...  # whether it does harm, but by less than the noise of the data

    @property
    def probe(self) -> float | None: ...  # residual after transfer / residual from scratch, early on

    @property
    def inputs(self) -> float | None: ...  # share of the new domain that lies where the source was trained

    @property
    def shift(self) -> Mapping[str, float]: ...  # what the source unchanged leaves of each condition

    def metrics(self) -> Mapping[str, Any]: ...


class Line(NamedTuple):
    """An arm in the table: its last error, its seconds, and those to the error from scratch."""

    label: str
    error: float | None
    seconds: float
    to_target: float | None


def table(transferred: Transferred) -> list[Line]:
    """The arms that were run."""
    figures = transferred.metrics()["arms"]
    return [
        Line(label, *(figures[name][key] for key in ("relative_l2", "seconds", "seconds_to_target")))
        for name, label in LABELS.items()
        if name in transferred.arms
    ]


def findings(transferred: Transferred) -> list[str]:
    """Speed-up, negative transfer, and why the source unchanged is no solution: a phrase each."""
    return [_speedup(transferred), _negative(transferred), _unchanged(transferred)]


def text_lines(transferred: Transferred) -> Iterator[str]:
    """Table and findings as plain text."""
    width = max(map(len, LABELS.values())) + 2
    yield f"transfer from      {transferred.source.name}"
    yield f"{'':<{width}} {'error':>9} {'seconds':>9} {'to the error from scratch':>26}"
    for line in table(transferred):
        error = "—" if line.error is None else f"{line.error:.2e}"
        to_target = "—" if line.to_target is None else f"{line.to_target:.2f}"
        yield f"{'  ' + line.label:<{width}} {error:>9} {line.seconds:>9.2f} {to_target:>26}"
    yield from findings(transferred)


def _speedup(transferred: Transferred) -> str:
    scratch, main = transferred.arms["from_scratch"], transferred.main
    target = scratch.relative_l2
    here, there = scratch.seconds_to(target), main.seconds_to(target)
    if target is None:
        return "speed-up unknown: there is no reference"
    if transferred.speedup is None:
        return f"no speed-up: the error from scratch, {target:.1e}, was not reached"
    return f"speed-up {transferred.speedup:.3g} to the error from scratch ({there:.2f} s instead of {here:.2f} s)"


def _negative(transferred: Transferred) -> str:
    scratch, main = transferred.arms["from_scratch"].relative_l2, transferred.main.relative_l2
    times = []
    if transferred.probe is not None:
        times.append(f"residual early on {transferred.probe:.2g} times")
    if scratch and main is not None:
        times.append(f"error in the end {main / scratch:.2g} times")
    if not times:
        return "negative transfer: unknown, without a reference and without a look at the residual early on"
    excuse = ", but within the noise of the data" if transferred.within_noise else ""
    return (
        f"negative transfer: {'yes' if transferred.negative else 'no'} ({', '.join(times)} that from scratch{excuse})"
    )


def _unchanged(transferred: Transferred) -> str:
    """Why the source by itself is no solution, or how near to one it comes."""
    if transferred.inputs is None:
        return f"unchanged, the source does not fit: {_misfit(transferred)}"
    where = f"{_share(transferred.inputs)} of the new domain lies where the source was trained, before the map"
    left = sorted(((value, name) for name, value in transferred.shift.items()), reverse=True)
    large = [f"{value:.2g} on {name}" for value, name in left if value >= LITTLE][:MOST_NAMED]
    if not large:
        return f"{where}; unchanged, the source leaves no residual above {left[0][0]:.1g} (0 would be a solution)"
    named = f"a residual of {large[0]}" if len(large) == 1 else f"residuals of {', '.join(large)}"
    return f"{where}; unchanged, the source leaves {named} (0 would be a solution)"


def _misfit(transferred: Transferred) -> str:
    theirs = transferred.source.solution.coordinates
    other = len(theirs) != transferred.bounds.shape[1]
    return f"it is a function of {', '.join(theirs)}" if other else "it has other fields, or boundary values of its own"


def _share(share: float) -> str:
    if share < NEARLY:
        return "nothing"
    return "all" if share > 1 - NEARLY else f"only {100 * share:.0f} %"
