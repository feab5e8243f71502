"""Figures of a result on its real domain: solution, error, residual, loss and collocation points.

What is drawn over the domain is a list of rows. The panels of a row share one scale: over a planar domain, or
over interval × time, they are maps side by side with one colour bar; over an interval they are curves in one
pair of axes. Of a box of more dimensions it is the section along the first two coordinates through the middle.
Figures are made without pyplot, hence need no display and leave matplotlib's state alone.
"""

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any, Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import LineCollection
from matplotlib.colors import LogNorm, Normalize
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, NullFormatter
from matplotlib.tri import Triangulation
from PIL import Image

from pinnkit.export import Answer, Array, Mesh, Snapshot, at_time, mesh_of, snapshot, snapshots, within
from pinnkit.geometry import Domain, Planar, SpaceTime
from pinnkit.problem import INTERIOR

DPI = 150
TEXT, SMALL = 10, 8  # font sizes in points
INK, GREY = "#222222", "#9a9a9a"
COLOURS = ("#d1495b", "#00798c", "#edae49", "#5f4bb6", "#4f9d69", "#30638e", "#c06c84", "#8d6a4a")
CURVES: Any = ({"color": COLOURS[1], "lw": 2}, {"color": INK, "ls": "--", "lw": 1})  # of a row
PANEL = 3.6  # longer side of a map, in inches
TIMES = 4  # snapshots of a transient planar problem
TRANSIENT_CELLS = 3_000  # triangles of each, at least
FRAMES, FRAMES_PER_SECOND = 24, 10
ISOLINES = 12
DECADES = 4  # that a map of errors spans at most
ROBUST = 99.5  # percentile of a residual's magnitude that its scale shows: it may be infinite at corners
SIGNED = 0.25  # ratio of smallest and largest value beyond which a field is shown about zero
GREEK = ("alpha", "beta", "gamma", "kappa", "lambda", "mu", "omega", "phi", "psi", "rho", "sigma", "theta")
THERMAL = ("T", "temperature")
POWER_LIMITS = (-3, 4)  # of ten, beyond which a factor is taken out of an axis
TINY = 1e-300  # stands for zero on a logarithmic scale

Layout = Literal["constrained", "compressed"]


@dataclass(frozen=True)
class Panel:
    """Values (n,) at the points of a mesh."""

    title: str
    mesh: Mesh
    values: Array


@dataclass(frozen=True)
class Row:
    """Panels of one quantity on one scale."""

    label: str
    panels: Sequence[Panel]
    colours: str
    norm: Normalize
    isolines: bool = False


def figures(result: Answer) -> dict[str, Figure]:
    """The figures by name: solution, error, residual, loss and points.

    There is no error without a reference, and no residual without a condition in the interior.
    """
    domain, shots = result.problem.domain, _shots(result)
    rows = {
        "solution": _solution_rows(result, shots),
        "error": _error_rows(result, shots),
        "residual": _residual_rows(result, shots),
    }
    drawn = {name: _draw(domain, shown) for name, shown in rows.items() if shown}
    return drawn | {"loss": _loss(result), "points": _points(result)}


def save_plots(result: Answer, folder: Path) -> None:
    """Write plots/<name>.png into the folder, and for a transient planar problem plots/solution.gif."""
    plots = folder / "plots"
    plots.mkdir(parents=True, exist_ok=True)
    for name, figure in figures(result).items():
        figure.savefig(plots / f"{name}.png", dpi=DPI, bbox_inches="tight", pad_inches=0.08)
    if _has_movie(result.problem.domain):
        save_animation(result, plots / "solution.gif")


def math_label(name: str) -> str:
    """A name as mathtext: single letters, Greek ones and subscripts in italics, words upright."""
    stem, _, index = name.partition("_")
    if len(stem) == 1 and stem.isalpha() and re.fullmatch(r"\w*", index):
        return f"${stem}_{{{_word(index)}}}$" if index else f"${stem}$"
    return rf"$\{name}$" if name in GREEK else plain_label(name)


def plain_label(name: str) -> str:
    """Text in which a dollar is a dollar."""
    return name.replace("$", r"\$")


def _word(index: str) -> str:
    return index if len(index) == 1 else rf"\mathrm{{{index.replace('_', ' ')}}}"


# ---- rows: what is shown


def _shots(result: Answer) -> list[Snapshot]:
    domain = result.problem.domain
    if _has_movie(domain):
        return snapshots(result, TIMES, TRANSIENT_CELLS)
    return [snapshot(result, mesh_of(domain))]


def _has_movie(domain: Domain) -> bool:
    return isinstance(domain, SpaceTime) and isinstance(domain.space, Planar)


def _panels(shots: Sequence[Snapshot], title: str, values: Iterable[Array]) -> list[Panel]:
    """One panel per snapshot, titled with its time."""
    return [
        Panel(title if shot.time is None else _joined(title, f"$t = {shot.time:.3g}$"), shot.mesh, v)
        for shot, v in zip(shots, values, strict=True)
    ]


def _joined(*words: str) -> str:
    return ", ".join(word for word in words if word)


def _solution_rows(result: Answer, shots: Sequence[Snapshot]) -> list[Row]:
    """Prediction and reference of each field: side by side, or below each other at several times."""
    rows = []
    for k, field in enumerate(result.problem.fields):
        panels = [_panels(shots, "prediction", [shot.prediction[:, k] for shot in shots])]
        if result.reference is not None:
            title = f"reference ({result.reference.kind})"
            panels.append(_panels(shots, title, [shot.reference[:, k] for shot in shots]))
        colours, norm = _field_scale(field, result.problem.name, [panel for row in panels for panel in row])
        grouped = panels if len(shots) > 1 else [[panel for row in panels for panel in row]]
        rows += [Row(math_label(field), group, colours, norm, isolines=True) for group in grouped]
    return rows


def _error_rows(result: Answer, shots: Sequence[Snapshot]) -> list[Row]:
    """Magnitudes on a logarithmic scale: they span decades, above all at corners."""
    rows = []
    for k, field in enumerate(result.problem.fields if result.reference is not None else ()):
        panels = _panels(shots, "", [np.abs(shot.error[:, k]) for shot in shots])
        name = math_label(field)
        label = f"|{name} − {name}" + r"$_\mathrm{ref}$|"
        rows.append(Row(label, panels, "magma", _log_scale(panels)))
    return rows


def _residual_rows(result: Answer, shots: Sequence[Snapshot]) -> list[Row]:
    """Residuals of the equations, taken in the centres of cells: at corners they may be infinite."""
    values = [result.residuals(within(result.problem.domain, shot.mesh.centres, shot.time)) for shot in shots]
    rows = []
    for name in values[0]:
        smooth = [_at_points(shot.mesh, inside[name]) for shot, inside in zip(shots, values, strict=True)]
        panels = _panels(shots, "", smooth)
        rows.append(Row(f"residual of {plain_label(name)}", panels, "RdBu_r", _signed_scale(panels, ROBUST)))
    return rows


def _at_points(mesh: Mesh, values: Array) -> Array:
    """Values in cells (m,) as means over the cells around each point (n,)."""
    corners = mesh.cells.ravel()
    sums = np.bincount(corners, weights=np.repeat(values, mesh.cells.shape[1]))
    return sums / np.bincount(corners)


def _finite(panels: Iterable[Panel]) -> Array:
    values = np.concatenate([panel.values for panel in panels])
    return values[np.isfinite(values)]


def _field_scale(field: str, problem: str, panels: Sequence[Panel]) -> tuple[str, Normalize]:
    """Colour map and scale: diverging about zero for a field of both signs, else from least to greatest."""
    values = _finite(panels)
    low, high = (values.min(), values.max()) if len(values) else (0.0, 1.0)
    if -low > SIGNED * high and high > SIGNED * -low:
        return "RdBu_r", _signed_scale(panels, 100)
    if math.isclose(low, high, rel_tol=1e-12, abs_tol=TINY):
        low, high = low - 0.5, high + 0.5
    thermal = problem.startswith("heat") or field in THERMAL
    return "inferno" if thermal else "viridis", Normalize(low, high)


def _log_scale(panels: Sequence[Panel]) -> LogNorm:
    """From a power of ten, so that two powers lie within, to the greatest value."""
    values = _finite(panels)
    positive = values[values > TINY]
    if not len(positive):
        return LogNorm(1e-17, 1e-16)
    high = positive.max()
    low = min(max(np.percentile(positive, 5), high * 10.0**-DECADES), high / 10)
    return LogNorm(10.0 ** math.floor(math.log10(low)), high)


def _signed_scale(panels: Sequence[Panel], percentile: float) -> Normalize:
    values = np.abs(_finite(panels))
    limit = float(np.percentile(values, percentile)) if len(values) else 0.0
    return Normalize(-limit, limit) if limit > 0 else Normalize(-1e-16, 1e-16)


# ---- maps and curves: how it is shown


def _draw(domain: Domain, rows: Sequence[Row]) -> Figure:
    return _curves(domain, rows) if domain.dimension == 1 else _maps(domain, rows)


def _figure(width: float, height: float, layout: Layout = "constrained") -> Figure:
    return Figure(figsize=(width, height), layout=layout)


def _layout(domain: Domain) -> Layout:
    """Compressed for axes of a fixed aspect."""
    return "constrained" if _plane(domain) is None else "compressed"


def _maps(domain: Domain, rows: Sequence[Row]) -> Figure:
    """One row of maps per row; rows of single maps stand side by side."""
    columns = len(rows[0].panels)
    shape = (len(rows), columns) if columns > 1 else (1, len(rows))
    width, height = _map_size(domain, shape[1])
    figure = _figure(shape[1] * width + 1.0, shape[0] * (height + 0.45), _layout(domain))
    axes = figure.subplots(*shape, squeeze=False, sharex=True, sharey=True).reshape(len(rows), columns)
    for row, row_axes in zip(rows, axes, strict=True):
        for ax, panel in zip(row_axes, row.panels, strict=True):
            image = _map(ax, row, panel)
            _frame(ax, domain, panel.title)
        bar = figure.colorbar(image, ax=list(row_axes), pad=0.02, extend=_extend(row), aspect=25)
        _tidy_bar(bar, row.label)
    if domain.dimension > 2 and not _has_movie(domain):
        figure.suptitle("section through the middle of the other coordinates", size=SMALL)
    return figure


def _tidy_bar(bar: Any, label: str) -> None:
    bar.outline.set_visible(False)
    bar.ax.tick_params(labelsize=SMALL, length=2)
    bar.ax.yaxis.get_offset_text().set_size(SMALL)
    bar.set_label(label, size=TEXT)
    if isinstance(bar.norm, LogNorm):
        bar.ax.yaxis.set_minor_formatter(NullFormatter())
    else:
        bar.formatter.set_powerlimits(POWER_LIMITS)


def _extend(row: Row) -> str:
    """Which ends of a colour bar are pointed, because values lie beyond."""
    values, low, high = _finite(row.panels), row.norm.vmin or 0.0, row.norm.vmax or 0.0
    below, above = bool((values < low).any()), bool((values > high).any())
    return ("neither", "max", "min", "both")[2 * below + above]


def _plane(domain: Domain) -> Planar | None:
    """The planar domain that a map shows; None for interval × time."""
    space = domain.space if isinstance(domain, SpaceTime) else domain
    return space if isinstance(space, Planar) else None


def _map_size(domain: Domain, columns: int) -> tuple[float, float]:
    """Width and height of a map in inches."""
    plane = _plane(domain)
    longer = PANEL if columns < TIMES else 0.75 * PANEL
    if plane is None:
        return longer, 0.8 * longer
    sides = plane.bounds[1] - plane.bounds[0]
    width, height = longer * sides / sides.max()
    return max(width, 1.5), max(height, 1.0)


def _map(ax: Axes, row: Row, panel: Panel) -> Any:
    """Triangles with a value that is not finite stay white."""
    finite = np.isfinite(panel.values)
    bad = ~finite[panel.mesh.cells].all(axis=1)
    triangles = Triangulation(panel.mesh.points[:, 0], panel.mesh.points[:, 1], panel.mesh.cells, bad)
    values = np.where(finite, panel.values, 0.0)
    if isinstance(row.norm, LogNorm):
        values = np.maximum(values, TINY)
    if row.isolines and not bad.all():
        _isolines(ax, row, triangles, values)
    return ax.tripcolor(triangles, values, shading="gouraud", cmap=row.colours, norm=row.norm)


def _isolines(ax: Axes, row: Row, triangles: Triangulation, values: Array) -> None:
    levels = np.linspace(row.norm.vmin or 0.0, row.norm.vmax or 0.0, ISOLINES + 2)[1:-1]
    levels = levels[(levels > values.min()) & (levels < values.max())]
    if len(levels):
        ink = "black" if row.colours == "RdBu_r" else "white"
        style: Any = {"colors": ink, "linewidths": 0.6, "alpha": 0.55, "linestyles": "solid"}
        ax.tricontour(triangles, values, levels=levels, **style)


def _frame(ax: Axes, domain: Domain, title: str) -> None:
    """Boundary, ticks and names of the axes."""
    plane = _plane(domain)
    ax.set(xlim=domain.bounds[:, 0], ylim=domain.bounds[:, 1])
    if plane is not None:
        ax.set_aspect("equal")
        ax.spines[:].set_visible(False)
        _outline(ax, plane)
    _name_axes(ax, domain.coordinates)
    ax.set_title(title, size=TEXT)


def _outline(ax: Axes, plane: Planar) -> None:
    ax.add_collection(LineCollection(_closed(plane), colors=INK, linewidths=1.0, clip_on=False))


def _closed(plane: Planar) -> list[Array]:
    """The rings, the first vertex repeated at the end."""
    return [np.concatenate([ring, ring[:1]]) for ring in plane.rings]


def _name_axes(ax: Axes, coordinates: Sequence[str]) -> None:
    ax.set_xlabel(math_label(coordinates[0]), size=TEXT)
    ax.set_ylabel(math_label(coordinates[1]), size=TEXT)
    ax.xaxis.set_major_locator(_few_ticks())
    ax.yaxis.set_major_locator(_few_ticks())
    ax.tick_params(labelsize=SMALL, length=2, color=GREY)
    ax.label_outer()


def _few_ticks() -> MaxNLocator:
    return MaxNLocator(4, steps=[1, 2, 2.5, 5, 10])


def _curves(domain: Domain, rows: Sequence[Row]) -> Figure:
    """One pair of axes per row."""
    figure = _figure(6.0, 0.6 + 2.8 * len(rows))
    axes = figure.subplots(len(rows), 1, squeeze=False, sharex=True)[:, 0]
    for ax, row in zip(axes, rows, strict=True):
        for panel, style in zip(row.panels, CURVES, strict=False):
            ax.plot(panel.mesh.points[:, 0], panel.values, label=panel.title, **style)
        _tidy(ax, math_label(domain.coordinates[0]), row.label)
        ax.label_outer()
        if isinstance(row.norm, LogNorm):
            ax.set_yscale("log")
            ax.set_ylim(row.norm.vmin, 2 * (row.norm.vmax or 1.0))
        else:
            ax.ticklabel_format(axis="y", scilimits=POWER_LIMITS)
        if len(row.panels) > 1:
            ax.legend(frameon=False, fontsize=SMALL)
    return figure


def _tidy(ax: Axes, x: str, y: str) -> None:
    ax.set_xlabel(x, size=TEXT)
    ax.set_ylabel(y, size=TEXT)
    ax.tick_params(labelsize=SMALL, length=2)
    ax.spines[["top", "right"]].set_visible(False)
    ax.grid(alpha=0.25, lw=0.5)
    ax.set_axisbelow(True)


# ---- history


def _loss(result: Answer) -> Figure:
    """Losses on a logarithmic scale; the error, where it was measured, on another one at the right."""
    figure = _figure(6.5, 3.8)
    ax = figure.subplots()
    _tidy(ax, "step", "loss")
    ax.set_yscale("log")
    ax.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    _series(ax, result, "loss", "total", color=INK, lw=1.8, zorder=3)
    for k, name in enumerate(result.problem.conditions):
        _series(ax, result, f"loss/{name}", plain_label(name), color=COLOURS[k % len(COLOURS)], lw=1.1)
    handles = ax.get_lines()
    if len(_history(result, "relative_l2")[0]):
        handles = [*handles, *_error_series(ax, result)]
    ax.legend(handles=handles, frameon=False, fontsize=SMALL, loc="upper left", bbox_to_anchor=(1.16, 1))
    return figure


def _error_series(ax: Axes, result: Answer) -> list[Any]:
    right = ax.twinx()
    right.set_yscale("log")
    right.set_ylabel("relative $L^2$ error", size=TEXT)
    right.tick_params(labelsize=SMALL, length=2)
    right.spines[["top", "left"]].set_visible(False)
    style = {"color": INK, "ls": ":", "lw": 1, "marker": "o", "ms": 4, "mfc": "white"}
    _series(right, result, "relative_l2", "relative $L^2$ error", **style)
    return list(right.get_lines())


def _series(ax: Axes, result: Answer, key: str, label: str, **style: Any) -> None:
    """A column of the history against the step; a single row is a dot."""
    steps, values = _history(result, key)
    if len(steps):
        ax.plot(steps, values, label=label, **(({"marker": "o"} if len(steps) == 1 else {}) | style))


def _history(result: Answer, key: str) -> tuple[Array, Array]:
    """Steps and values of a column of the history, where the values can be drawn on a logarithmic scale."""
    rows = [(row["step"], row[key]) for row in result.history if row.get(key) is not None]
    steps, values = np.array(rows, dtype=float).reshape(-1, 2).T
    drawable = np.isfinite(values) & (values > 0)
    return steps[drawable], values[drawable]


# ---- collocation points


def _points(result: Answer) -> Figure:
    """Collocation points, and pieces of the boundary in the colours of their conditions."""
    domain = result.problem.domain
    if _has_movie(domain):
        return _points_in_space_time(result)
    figure = _figure(*_points_size(domain), layout=_layout(domain))
    ax = figure.subplots()
    if domain.dimension == 1:
        _points_on_a_line(ax, result)
    else:
        _points_in_the_plane(ax, result)
    return figure


def _points_size(domain: Domain) -> tuple[float, float]:
    if domain.dimension == 1:
        return 6.5, 2.4
    width, height = _map_size(domain, 1)
    return 1.4 * width + 2.2, 1.4 * height + 0.6


def _styles(result: Answer) -> dict[str, dict[str, Any]]:
    """Colour and marker of each condition: grey in the interior, crosses for data."""
    styles: dict[str, dict[str, Any]] = {}
    for name, condition in result.problem.conditions.items():
        label = f"{plain_label(name)} ({len(result.collocation[name].points):,})"
        if condition.on == INTERIOR:
            styles[name] = {"color": GREY, "s": 2, "label": label}
        else:
            colour = COLOURS[sum(style["color"] != GREY for style in styles.values()) % len(COLOURS)]
            measured = condition.points is not None
            marker = {"marker": "x", "s": 22, "lw": 1.2} if measured else {"s": 10, "lw": 0}
            styles[name] = {"color": colour, "label": label, "zorder": 3, **marker}
    return styles


def _points_on_a_line(ax: Axes, result: Answer) -> None:
    """One line per condition."""
    styles = _styles(result)
    for k, (name, style) in enumerate(styles.items()):
        x = result.collocation[name].points[:, 0]
        ax.scatter(x, np.full(len(x), -k), **(style | {"marker": "|", "s": 80, "lw": 0.8}))
    _tidy(ax, math_label(result.problem.coordinates[0]), "")
    ax.set_yticks(-np.arange(len(styles)), [style["label"] for style in styles.values()])
    ax.set_ylim(0.5 - len(styles), 0.5)


def _points_in_the_plane(ax: Axes, result: Answer) -> None:
    domain = result.problem.domain
    _frame(ax, domain, "projection" if domain.dimension > 2 else "")
    for name, style in _styles(result).items():
        ax.scatter(*result.collocation[name].points.T[:2], **style, clip_on=False)
        if isinstance(domain, Planar):
            _coloured_edges(ax, domain, _pieces(result, name), style["color"])
    _legend(ax)


def _pieces(result: Answer, name: str) -> tuple[str, ...]:
    """The pieces of the boundary that a condition is on."""
    condition = result.problem.conditions[name]
    inside = condition.on == INTERIOR or condition.points is not None
    return () if inside else result.problem.domain.resolve(condition.on)


def _coloured_edges(ax: Axes, plane: Planar, pieces: Sequence[str], colour: str) -> None:
    edges = [plane.edges[piece] for piece in pieces]
    ax.add_collection(LineCollection(edges, colors=colour, linewidths=1.4, clip_on=False, zorder=3))


def _legend(ax: Axes) -> None:
    ax.legend(frameon=False, fontsize=SMALL, loc="upper left", bbox_to_anchor=(1.01, 1), markerscale=2)


def _points_in_space_time(result: Answer) -> Figure:
    """The prism space × time with the points in it."""
    domain = result.problem.domain
    assert isinstance(domain, SpaceTime) and isinstance(domain.space, Planar)
    figure = _figure(6.5, 5.0)
    ax: Any = figure.add_subplot(projection="3d", computed_zorder=False)
    for time, ring in product(domain.time, _closed(domain.space)):
        ax.plot(*at_time(ring, time).T, color=INK, lw=0.8)
    for name, style in _styles(result).items():
        ax.scatter(*result.collocation[name].points.T, depthshade=False, **style)
    sides = np.ptp(domain.space.bounds, axis=0)
    ax.grid(False)
    ax.set_box_aspect((*sides / sides.max(), 0.7))
    for axis, name in zip((ax.xaxis, ax.yaxis, ax.zaxis), domain.coordinates, strict=True):
        axis.set_label_text(math_label(name), size=TEXT)
        axis.set_major_locator(_few_ticks())
        axis.pane.set_visible(False)
    ax.tick_params(labelsize=SMALL)
    _legend(ax)
    return figure


# ---- animation


def save_animation(result: Answer, path: Path) -> None:
    """The first field of a transient planar problem, as an endless GIF."""
    domain = result.problem.domain
    shots = snapshots(result, FRAMES, TRANSIENT_CELLS)
    panels = _panels(shots, "", [shot.prediction[:, 0] for shot in shots])
    field = result.problem.fields[0]
    row = Row(math_label(field), panels, *_field_scale(field, result.problem.name, panels), isolines=True)
    images = _movie(domain, row)
    images[0].save(path, save_all=True, append_images=images[1:], duration=1000 // FRAMES_PER_SECOND, loop=0)


def _movie(domain: Domain, row: Row) -> list[Image.Image]:
    """One image per panel; they share a palette, which the colour bar in the first one makes complete."""
    figure = _maps(domain, [Row(row.label, row.panels[:1], row.colours, row.norm, row.isolines)])
    ax = figure.axes[0]
    images = [_image(figure)]
    figure.set_layout_engine("none")
    for panel in row.panels[1:]:
        for artist in ax.collections[:]:
            artist.remove()
        _map(ax, row, panel)
        _frame(ax, domain, panel.title)
        images.append(_image(figure))
    palette = images[0].quantize(256)
    return [image.quantize(palette=palette, dither=Image.Dither.NONE) for image in images]


def _image(figure: Figure) -> Image.Image:
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return Image.fromarray(np.asarray(canvas.buffer_rgba())).convert("RGB")
