"""Figures of a committee: mean and band along a section, where members disagree, and what their spread is worth."""

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke
from numpy.typing import NDArray

from pinnkit.calibration import LEVELS, coverage, students_half_width
from pinnkit.committee_words import Judgement, band_label
from pinnkit.drawing import (
    COLOURS,
    GREY,
    INK,
    POWER_LIMITS,
    SMALL,
    TEXT,
    Panel,
    Row,
    blank,
    crosses,
    draw,
    has_movie,
    log_scale,
    math_label,
    plane_of,
    tidy,
    white_rimmed,
)
from pinnkit.export import Answer, Array, at_time, committee_of, mesh_of, within
from pinnkit.geometry import Domain, Planar, SpaceTime

ALONG = 600  # points of a section
CHORDS, COARSE = 19, 100  # sections in each direction, and points of each, among which the widest spread is looked for
MOST_THIN = 40  # members drawn as lines
DECADES = 4  # of spreads and errors that are shown
ROBUST = 99.5  # percentile of either up to which
BINS = 60
REST = 0.2  # per cent of the smallest values of each kind that the histogram leaves out: some are almost zero
BAND, MEAN, RAW, MEMBER = COLOURS[1], COLOURS[1], COLOURS[2], COLOURS[0]


class Section(NamedTuple):
    """Where a curve is drawn: `axis` and its coordinate (n,), points (n, d), which of them are inside, and in words."""

    axis: int
    along: Array
    points: Array
    inside: NDArray[np.bool_]
    words: str


def figures(result: Answer) -> dict[str, Figure]:
    """The figures by name: band, spread and, where there are truths to judge by, calibration."""
    judgement = result.judgement
    if judgement is None:
        return {}
    section = section_of(result)
    drawn = {"band": _band(result, judgement, section), "spread": _spread(result, section)}
    return drawn | ({"calibration": _calibration(result, judgement)} if len(judgement.errors) else {})


# ---- along a section


def section_of(result: Answer) -> Section:
    """The whole of an interval, of a plane the chord where members disagree most, of a box a line through its middle.

    If there is time, at its end.
    """
    domain = result.problem.domain
    space, time = _at_the_end(domain)
    if isinstance(space, Planar):
        return _chord(result, space, time)
    along = np.linspace(space.bounds[0, 0], space.bounds[1, 0], ALONG)
    points = at_time(within(space, along[:, None]), time)
    rest = space.dimension > 1
    words = ("through the middle of the other coordinates" if rest else "", _when(time))
    return Section(0, along, points, np.ones(ALONG, dtype=bool), ", ".join(w for w in words if w))


def _at_the_end(domain: Domain) -> tuple[Domain, float | None]:
    return (domain.space, domain.time[1]) if isinstance(domain, SpaceTime) else (domain, None)


def _when(time: float | None) -> str:
    return "" if time is None else f"$t = {time:.3g}$"


def _chord(result: Answer, plane: Planar, time: float | None) -> Section:
    """Parallel to an axis, with the greatest integral of the first field's spread."""
    lower, upper = plane.bounds
    best, widest = (0, 0.5), -math.inf
    for axis in (0, 1):
        for part in np.arange(1, CHORDS + 1) / (CHORDS + 1):
            section = _parallel(plane, axis, part, time, COARSE)
            if not section.inside.any():
                continue
            values = _committee(result).values(section.points[section.inside])[:, :, 0]
            integral = float(values.std(0, ddof=1).sum()) * (upper - lower)[axis]
            if integral > widest:
                best, widest = (axis, part), integral
    return _parallel(plane, *best, time, ALONG)


def _parallel(plane: Planar, axis: int, part: float, time: float | None, count: int) -> Section:
    lower, upper = plane.bounds
    along, across = np.linspace(lower[axis], upper[axis], count), lower + part * (upper - lower)
    points = np.tile(across, (count, 1))
    points[:, axis] = along
    name = math_label(plane.coordinates[1 - axis]).strip("$")
    words = ", ".join(filter(None, [f"${name} = {across[1 - axis]:.3g}$", _when(time)]))
    return Section(axis, along, at_time(points, time), plane.contains(points), f"{words}, where members disagree most")


def _committee(result: Answer) -> Any:
    committee = committee_of(result)
    assert committee is not None
    return committee


def _band(result: Answer, judgement: Judgement, section: Section) -> Figure:
    """For each field the curves, and below them distances from the mean, where also a thin band can be seen."""
    fields, committee = result.problem.fields, _committee(result)
    inside = section.inside
    values = _spaced(committee.values(section.points[inside]), inside)
    spread = values.std(0, ddof=1)
    half = committee.half_width(spread, judgement.level)
    known = result.reference
    truth = None if known is None else _spaced(known.value(section.points[inside])[None], inside)[0]
    figure = blank(1.0 + 5.0 * len(fields), 5.2)
    axes = figure.subplots(2, len(fields), squeeze=False, sharex=True, height_ratios=[1.3, 1])
    x = math_label(result.problem.domain.coordinates[section.axis])
    for k, field in enumerate(fields):
        own = None if truth is None else truth[:, k]
        label = math_label(field)
        for ax, zero in zip(axes[:, k], (np.zeros(len(half)), values[:, :, k].mean(0)), strict=True):
            _curves(
                ax, section.along, values[:, :, k] - zero, half[:, k], judgement, own if own is None else own - zero
            )
            ax.ticklabel_format(axis="y", scilimits=POWER_LIMITS)
            ax.yaxis.get_offset_text().set_size(SMALL)
        tidy(axes[0, k], "", label)
        tidy(axes[1, k], x, f"{label} − mean")
    if result.reference is not None:
        for ax in axes[0]:
            line = next(one for one in ax.get_lines() if one.get_label() == "reference")
            line.set_label(f"reference ({result.reference.kind})")
    handles = axes[0, 0].get_legend_handles_labels()
    figure.legend(*handles, frameon=False, fontsize=SMALL, loc="outside upper center", ncols=len(handles[0]))
    if section.words:
        axes[0, 0].set_title(section.words, size=SMALL, loc="left")
    return figure


def _spaced(values: Array, inside: NDArray[np.bool_]) -> Array:
    """Values (m, k, fields) at the points inside as (m, n, fields), NaN at others: curves have gaps there."""
    whole = np.full((len(values), len(inside), values.shape[2]), np.nan)
    whole[:, inside] = values
    return whole


def _curves(ax: Axes, along: Array, values: Array, half: Array, judgement: Judgement, truth: Array | None) -> None:
    mean = values.mean(0)
    style: dict[str, Any] = {"color": MEMBER, "lw": 0.6, "alpha": 0.6}
    for k, own in enumerate(values[:MOST_THIN]):
        ax.plot(along, own, label="members" if k == 0 else f"_member {k}", zorder=2, **style)
    finite = np.isfinite(half) | np.isnan(mean)
    if finite.all():
        shade: dict[str, Any] = {"color": BAND, "alpha": 0.22, "lw": 0, "zorder": 1}
        ax.fill_between(along, mean - half, mean + half, label=band_label(judgement), **shade)
    ax.plot(along, mean, label=f"mean of {len(values)}", color=MEAN, lw=1.6, zorder=3)
    if truth is not None:
        ax.plot(along, truth, label="reference", color=INK, lw=1.1, ls="--", zorder=4)


# ---- where members disagree


def _spread(result: Answer, section: Section) -> Figure:
    """The spread of each field, and beside it the distance from the reference on the same scale."""
    domain = result.problem.domain
    space, time = _at_the_end(domain) if has_movie(domain) else (domain, None)
    mesh = mesh_of(space)
    points = within(domain, mesh.points, time)
    values = _committee(result).values(points)
    spread, mean = values.std(0, ddof=1), values.mean(0)
    error = None if result.reference is None else np.abs(mean - result.reference.value(points))
    rows = []
    for k, field in enumerate(result.problem.fields):
        label, panels = math_label(field), [Panel("spread of the members", mesh, spread[:, k])]
        if error is not None:
            panels.append(Panel("|mean − reference|", mesh, error[:, k]))
        when = "" if time is None else f" at {_when(time)}"
        rows.append(Row(label + when, panels, "magma", _scale(panels)))
    figure = draw(space, rows)
    if space.dimension == 2:
        shown = figure.axes[: sum(len(row.panels) for row in rows)]
        for ax in shown:
            _crosses(ax, result)
            if plane_of(domain) is not None:
                _mark(ax, section)
    return figure


def _scale(panels: Sequence[Panel]) -> LogNorm:
    """Up to nearly the greatest value: that of a single corner may be far above all others."""
    values = [panel.values[np.isfinite(panel.values)] for panel in panels]
    tops = [np.percentile(own, ROBUST) if len(own) else math.inf for own in values]
    return log_scale([replace(panel, values=np.minimum(panel.values, max(tops))) for panel in panels], DECADES)


def _crosses(ax: Axes, result: Answer) -> None:
    """Where data were measured, and circles where further data would tell most."""
    points = [result.problem.conditions[name].points for name in result.problem.measured]
    for at in points:
        assert at is not None
        crosses(ax, at)
    following = np.array(result.metrics.get("next_points") or np.empty((0, 2)), dtype=float)
    if len(following):
        ax.scatter(*following.T[:2], marker="o", **white_rimmed(s=30, facecolors="none", zorder=5, clip_on=False))


def _mark(ax: Axes, section: Section) -> None:
    """The section of the other figure."""
    x, y = np.where(section.inside, section.points.T[:2], np.nan)
    effect = [withStroke(linewidth=1.8, foreground=INK)]
    ax.plot(x, y, color="white", lw=0.9, ls=(0, (4, 3)), path_effects=effect, zorder=3)


# ---- what the spread is worth


def _calibration(result: Answer, judgement: Judgement) -> Figure:
    figure = blank(8.6, 3.8)
    left, right = figure.subplots(1, 2)
    _reliability(left, judgement, len(result.metrics["members"]))
    _errors_and_spreads(right, judgement, len(result.problem.fields))
    return figure


def _reliability(ax: Axes, judgement: Judgement, members: int) -> None:
    """Shares of truths inside the bands against what was asked for."""
    tidy(ax, "nominal coverage", "observed coverage")
    ax.set(xlim=(0, 1), ylim=(0, 1.02))
    ax.set_aspect("equal")
    ax.plot([0, 1], [0, 1], color=GREY, lw=1, ls=":", label="_diagonal")
    curve = judgement.reliability
    if curve is None:
        errors, spreads = judgement.errors, judgement.spreads
        raw = [coverage(errors, students_half_width(spreads, members, level)) for level in LEVELS]
        ax.plot(LEVELS, raw, label="raw", **_dots(RAW))
    else:
        ax.plot(curve.levels, curve.raw, label="raw", **_dots(RAW))
        ax.plot(curve.levels, curve.calibrated, label="calibrated", **_dots(BAND))
    ax.axvline(judgement.level, color=INK, lw=0.7, ls="--", zorder=1, label="_level")
    ax.legend(frameon=False, fontsize=SMALL, loc="upper left")
    ax.set_title("reliability", size=TEXT, loc="left")


def _dots(colour: str) -> dict[str, Any]:
    return {"color": colour, "lw": 1.4, "marker": "o", "ms": 3.5, "clip_on": False, "zorder": 3}


def _errors_and_spreads(ax: Axes, judgement: Judgement, fields: int) -> None:
    """How often which error goes with which spread, and the half width of the band."""
    tidy(ax, "spread", "|error|")
    drawable = (judgement.errors > 0) & (judgement.spreads > 0)
    errors, spreads = judgement.errors[drawable], judgement.spreads[drawable]
    if judgement.rank_correlation is not None:
        ax.set_title(f"rank correlation {judgement.rank_correlation:.2f}", size=TEXT, loc="left")
    if len(errors) < 2:
        ax.text(0.5, 0.5, "nothing that a logarithm can show", ha="center", transform=ax.transAxes, size=SMALL)
        return
    edges = [_edges(spreads), _edges(errors)]
    counts, *_ = np.histogram2d(spreads, errors, bins=edges)
    ax.set(xscale="log", yscale="log", xlim=edges[0][[0, -1]], ylim=edges[1][[0, -1]])
    shown = np.ma.masked_equal(counts.T, 0)
    ax.pcolormesh(*edges, shown, cmap="Greys", norm=LogNorm(0.3, max(counts.max(), 1)), zorder=1)
    for k in range(fields):
        _half_width(ax, judgement.spreads[k::fields], judgement.half_widths[k::fields], judgement if k == 0 else None)
    ax.plot(edges[0], edges[0], color=INK, lw=1, ls=":", zorder=2, label="|error| = spread")
    ax.legend(frameon=False, fontsize=SMALL, loc="lower right")


def _half_width(ax: Axes, spreads: Array, half_widths: Array, named: Judgement | None) -> None:
    """Errors below it are inside the band."""
    order = np.argsort(spreads)
    label = f"half width, {band_label(named)}" if named else "_half width"
    ax.plot(spreads[order], half_widths[order], color=BAND, lw=1.4, zorder=3, label=label)


def _edges(values: Array) -> Array:
    """Of bins on a logarithmic scale; at least a decade."""
    low, high = np.log10(np.percentile(values, REST)), np.log10(values.max())
    middle, reach = (low + high) / 2, max((high - low) / 2, 0.5) * 1.02
    return np.logspace(middle - reach, middle + reach, BINS + 1)
