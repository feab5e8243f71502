"""What a committee found, as a table and in words: the same on the command line, in the report and in figures."""

import math
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

MOST_LISTED = 16  # members on the command line
MOST_NAMED = 3  # points at which to measure next
LITTLE = 0.3  # rank correlation below which the spread says little about errors
OWN = ("seed", "loss", "from_mean", "relative_l2", "seconds")  # columns of each committee; others are unknowns


class Reliability(Protocol):
    """Shares of truths inside raw and calibrated bands, by nominal level (k,)."""

    @property
    def levels(self) -> Array: ...

    @property
    def raw(self) -> Array: ...

    @property
    def calibrated(self) -> Array: ...


class Judgement(Protocol):
    """What truths say of a committee. Errors, spreads and half widths are (n,) at fresh points, of all fields."""

    @property
    def kind(self) -> str: ...  # of the truths that calibrated it: reference, data, instances, or none

    @property
    def level(self) -> float: ...

    @property
    def used(self) -> Array: ...  # points (k, d) of these

    @property
    def instances(self) -> int: ...  # that calibrated it

    @property
    def errors(self) -> Array: ...

    @property
    def spreads(self) -> Array: ...

    @property
    def half_widths(self) -> Array: ...

    @property
    def raw(self) -> float | None: ...

    @property
    def calibrated(self) -> float | None: ...

    @property
    def reliability(self) -> Reliability | None: ...

    @property
    def rank_correlation(self) -> float | None: ...

    @property
    def plain_width(self) -> float | None: ...  # of split conformal bands of one width everywhere


class Members(Protocol):
    """The committee itself, as a function of points."""

    def values(self, points: Array) -> Array: ...  # (n, d) -> (members, n, fields)

    def half_width(self, spread: Array, level: float) -> Array: ...  # (n, fields) -> (n, fields)


class Line(NamedTuple):
    """A member in the table: its seed, loss, distance from the mean and error, both relative, unknowns, seconds."""

    seed: int
    loss: float
    from_mean: float
    error: float | None
    unknowns: Mapping[str, float]
    seconds: float


def table(metrics: Mapping[str, Any]) -> list[Line]:
    """All members."""
    return [
        Line(
            row["seed"], row["loss"], row["from_mean"], row["relative_l2"],
            {name: value for name, value in row.items() if name not in OWN}, row["seconds"],
        )
        for row in metrics["members"]
    ]  # fmt: skip


def findings(judgement: Judgement, metrics: Mapping[str, Any]) -> list[str]:
    """Coverage, widths, what the spread is worth, what calibrated, and what cannot be known: a phrase each."""
    phrases = (
        _coverage(judgement), _widths(judgement), _ranks(judgement), _calibrated_with(judgement),
        _beyond_reference(judgement, metrics), _bounded(judgement, metrics), _one_head(metrics), _next(metrics),
    )  # fmt: skip
    return [phrase for phrase in phrases if phrase]


def text_lines(judgement: Judgement, metrics: Mapping[str, Any]) -> Iterator[str]:
    """Table and findings as plain text."""
    lines = table(metrics)
    unknowns = list(lines[0].unknowns)
    columns = ("loss", "from mean", "error", *unknowns, "seconds")
    yield f"committee of {len(lines)}"
    yield f"{'  seed':<14}" + "".join(f" {name:>10}" for name in columns)
    for line in lines[:MOST_LISTED]:
        error = "—" if line.error is None else f"{line.error:.2e}"
        found = "".join(f" {line.unknowns[name]:>10.6g}" for name in unknowns)
        yield f"  {line.seed:<12} {line.loss:>10.2e} {line.from_mean:>10.2e} {error:>10}{found} {line.seconds:>10.2f}"
    if len(lines) > MOST_LISTED:
        yield f"  … and {len(lines) - MOST_LISTED} more, in metrics.json"
    yield from findings(judgement, metrics)


def band_label(judgement: Judgement) -> str:
    """What the bands are."""
    return f"{_percent(judgement.level)} band, {'raw' if judgement.kind == 'none' else 'calibrated'}"


def _coverage(judgement: Judgement) -> str:
    bands = f"bands for {_percent(judgement.level)}"
    if judgement.raw is None:
        return f"{bands}: how much they cover is unknown, there is no reference"
    raw = _percent(judgement.raw)
    if not np.isfinite(judgement.half_widths).all():
        return f"{bands} cover {raw} of the truth before calibration"
    if judgement.calibrated is None:
        return f"{bands} cover {raw} of the truth; they are not calibrated"
    return f"{bands} cover {_percent(judgement.calibrated)} of the truth, before calibration {raw}"


def _widths(judgement: Judgement) -> str:
    mean, plain = float(2 * judgement.half_widths.mean()), judgement.plain_width
    if not math.isfinite(mean):
        return f"the bands are infinite: too few truths to calibrate them for {_percent(judgement.level)}"
    if plain is None or not math.isfinite(plain):
        return f"their mean width is {mean:.2g}"
    if plain == 0 or abs(mean / plain - 1) < 0.01:
        return f"their mean width is {mean:.2g}, as of bands of one width everywhere"
    times = plain / mean if mean else math.inf
    return f"their mean width is {mean:.2g}, of bands of one width everywhere {plain:.2g} ({times:.2g} times as much)"


def _ranks(judgement: Judgement) -> str:
    ranks = judgement.rank_correlation
    if ranks is None:
        return ""
    said = ": where members agree says little about where errors are small" if ranks < LITTLE else ""
    return f"rank correlation of error and spread {ranks:.2f}{said}"


def _calibrated_with(judgement: Judgement) -> str:
    n = len(judgement.used)
    match judgement.kind:
        case "reference":
            return f"{_counted(n, 'held-out point')} of the reference calibrated them"
        case "data":
            seen = f"{_counted(n, 'sensor')} that members had not seen calibrated them"
            return f"{seen}: they are bands for what another such sensor would show, noise and all"
        case "instances":
            what = "they cover what committees on such instances cover, on average over instances"
            return f"{judgement.instances} other instances of the problem calibrated them: {what}"
    return "nothing calibrated them: they are where one more member would be, not where the truth is"


def _counted(n: int, what: str) -> str:
    return f"{n} {what}" if n == 1 else f"{n} {what}s"


def _beyond_reference(judgement: Judgement, metrics: Mapping[str, Any]) -> str:
    """Whether the reference knows the truth no better than to a band's half width."""
    own, half = _own_error(judgement, metrics), float(judgement.half_widths.mean())
    if own <= half:
        return ""
    what = f"the reference's own error, {own:.1e}, is larger than the bands: their mean half width is {half:.1e}"
    return f"{what}, and what they cover is the reference, not the truth"


def _own_error(judgement: Judgement, metrics: Mapping[str, Any]) -> float:
    """The reference's own, in the units of the fields; 0 where it is not known."""
    own, relative = metrics["reference"]["error_estimate"], metrics["relative_l2"]
    if not own or not relative or not len(judgement.errors):
        return 0.0
    size = float(np.sqrt(np.square(judgement.errors).mean())) / relative  # root mean square of the truth
    return float(own * size)


def _bounded(judgement: Judgement, metrics: Mapping[str, Any]) -> str:
    """What is known of the error from residuals alone, beside what was seen of it and what the bands say."""
    bound = metrics.get("bound")
    if not bound:
        return ""
    beside = []
    if len(judgement.errors):
        seen = float(judgement.errors.max())
        of_reference = f", of which the reference's own may be {_own_error(judgement, metrics):.1e}"
        beside.append(f"largest seen {seen:.1e}{of_reference if seen > bound['max'] else ''}")
    if np.isfinite(judgement.half_widths).all():
        beside.append(f"widest band ±{float(judgement.half_widths.max()):.1e}")
    told = f" ({'; '.join(beside)})" if beside else ""
    return f"{bound['kind']}: the error is below {bound['max']:.1e} everywhere, up to sampling of residuals{told}"


def _one_head(metrics: Mapping[str, Any]) -> str:
    """What the posterior of one member's head says instead, where it was asked."""
    told = metrics.get("bayesian_head")
    if not told:
        return ""
    shown = f"covers {_percent(told['coverage'])}, mean width {told['mean_width']:.2g}"
    return f"the posterior of one head instead: error {told['relative_l2']:.2e}, {shown}"


def _next(metrics: Mapping[str, Any]) -> str:
    """Where a measurement would tell most."""
    points = metrics.get("next_points") or []
    named = [f"({', '.join(f'{value:.3g}' for value in point)})" for point in points[:MOST_NAMED]]
    return f"a further measurement would tell most at {', then '.join(named)}" if named else ""


def _percent(share: float) -> str:
    """To a tenth of a per cent, and not rounded to all or nothing."""
    digits = next((k for k in (1, 2, 3) if 0 < round(100 * share, k) < 100), 1) if 0 < share < 1 else 1
    return f"{round(100 * share, digits):g} %"
