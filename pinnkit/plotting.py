"""Figures of a result on its real domain: solution, error, residual, loss and collocation points; of a transfer,
a committee or a corrected low fidelity, more.

How they are drawn is the matter of `drawing`.
"""

from collections.abc import Iterable, Sequence
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from PIL import Image

from pinnkit import committee_figures, correction_figures, transfer_figures
from pinnkit.drawing import (
    COLOURS,
    GREY,
    INK,
    SMALL,
    TEXT,
    Panel,
    Row,
    blank,
    closed,
    draw,
    draw_map,
    few_ticks,
    field_scale,
    frame,
    has_movie,
    layout_of,
    legend_beside,
    log_scale,
    map_size,
    maps,
    math_label,
    plain_label,
    save,
    signed_scale,
    tidy,
    whole_decades,
)
from pinnkit.export import Answer, Array, Mesh, Snapshot, at_time, mesh_of, snapshot, snapshots, within
from pinnkit.geometry import Domain, Planar, SpaceTime
from pinnkit.problem import INTERIOR

TIMES = 4  # snapshots of a transient planar problem
TRANSIENT_CELLS = 3_000  # triangles of each, at least
FRAMES, FRAMES_PER_SECOND = 24, 10
ROBUST = 99.5  # percentile of a residual's magnitude that its scale shows: it may be infinite at corners


def figures(result: Answer) -> dict[str, Figure]:
    """The figures by name: solution, error, residual, loss and points, and those of what else was asked for.

    There is no error without a reference, and no residual without a condition in the interior.
    """
    domain, shots = result.problem.domain, _shots(result)
    rows = {
        "solution": _solution_rows(result, shots),
        "error": _error_rows(result, shots),
        "residual": _residual_rows(result, shots),
    }
    drawn = {name: draw(domain, shown) for name, shown in rows.items() if shown}
    drawn |= {"loss": _loss(result), "points": _points(result)}
    more = (transfer_figures, committee_figures, correction_figures)
    return drawn | {name: figure for room in more for name, figure in room.figures(result).items()}


def save_plots(result: Answer, folder: Path) -> None:
    """Write plots/<name>.png into the folder, and for a transient planar problem plots/solution.gif."""
    save(figures(result), folder)
    if has_movie(result.problem.domain):
        save_animation(result, folder / "plots" / "solution.gif")


# ---- rows: what is shown


def _shots(result: Answer) -> list[Snapshot]:
    domain = result.problem.domain
    if has_movie(domain):
        return snapshots(result, TIMES, TRANSIENT_CELLS)
    return [snapshot(result, mesh_of(domain))]


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
        colours, norm = field_scale(field, result.problem.name, [panel for row in panels for panel in row])
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
        rows.append(Row(label, panels, "magma", log_scale(panels)))
    return rows


def _residual_rows(result: Answer, shots: Sequence[Snapshot]) -> list[Row]:
    """Residuals of the equations, taken in the centres of cells: at corners they may be infinite."""
    values = [result.residuals(within(result.problem.domain, shot.mesh.centres, shot.time)) for shot in shots]
    rows = []
    for name in values[0]:
        smooth = [_at_points(shot.mesh, inside[name]) for shot, inside in zip(shots, values, strict=True)]
        panels = _panels(shots, "", smooth)
        rows.append(Row(f"residual of {plain_label(name)}", panels, "RdBu_r", signed_scale(panels, ROBUST)))
    return rows


def _at_points(mesh: Mesh, values: Array) -> Array:
    """Values in cells (m,) as means over the cells around each point (n,)."""
    corners = mesh.cells.ravel()
    sums = np.bincount(corners, weights=np.repeat(values, mesh.cells.shape[1]))
    return sums / np.bincount(corners)


# ---- history


def _loss(result: Answer) -> Figure:
    """Losses on a logarithmic scale; the error, where it was measured, on another one at the right."""
    figure = blank(6.5, 3.8)
    ax = figure.subplots()
    tidy(ax, "step", "loss")
    ax.set_yscale("log")
    ax.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    _series(ax, result, "loss", "total", color=INK, lw=1.8, zorder=3)
    for k, name in enumerate(_imposed(result)):
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
    whole_decades(right)
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
    if has_movie(domain):
        return _points_in_space_time(result)
    figure = blank(*_points_size(domain), layout=layout_of(domain))
    ax = figure.subplots()
    if domain.dimension == 1:
        _points_on_a_line(ax, result)
    else:
        _points_in_the_plane(ax, result)
    return figure


def _points_size(domain: Domain) -> tuple[float, float]:
    if domain.dimension == 1:
        return 6.5, 2.4
    width, height = map_size(domain, 1)
    return 1.4 * width + 2.2, 1.4 * height + 0.6


def _imposed(result: Answer) -> list[str]:
    """Conditions that were imposed: of a transfer not those that are missing, and data beside those of the problem."""
    named, imposed = result.problem.conditions, result.collocation
    return [name for name in named if name in imposed] + [name for name in imposed if name not in named]


def _styles(result: Answer) -> dict[str, dict[str, Any]]:
    """Colour and marker of each condition: grey in the interior, crosses for data."""
    styles: dict[str, dict[str, Any]] = {}
    for name in _imposed(result):
        condition = result.problem.conditions.get(name)
        label = f"{plain_label(name)} ({len(result.collocation[name].points):,})"
        measured = condition is None or condition.points is not None
        if condition is not None and condition.on == INTERIOR:
            styles[name] = {"color": GREY, "s": 2, "label": label}
        else:
            colour = COLOURS[sum(style["color"] != GREY for style in styles.values()) % len(COLOURS)]
            marker = {"marker": "x", "s": 22, "lw": 1.2} if measured else {"s": 10, "lw": 0}
            styles[name] = {"color": colour, "label": label, "zorder": 3, **marker}
    return styles


def _points_on_a_line(ax: Axes, result: Answer) -> None:
    """One line per condition."""
    styles = _styles(result)
    for k, (name, style) in enumerate(styles.items()):
        x = result.collocation[name].points[:, 0]
        ax.scatter(x, np.full(len(x), -k), **(style | {"marker": "|", "s": 80, "lw": 0.8}))
    tidy(ax, math_label(result.problem.coordinates[0]), "")
    ax.set_yticks(-np.arange(len(styles)), [style["label"] for style in styles.values()])
    ax.set_ylim(0.5 - len(styles), 0.5)


def _points_in_the_plane(ax: Axes, result: Answer) -> None:
    domain = result.problem.domain
    frame(ax, domain, "projection" if domain.dimension > 2 else "")
    for name, style in _styles(result).items():
        ax.scatter(*result.collocation[name].points.T[:2], **style, clip_on=False)
        if isinstance(domain, Planar):
            _coloured_edges(ax, domain, _pieces(result, name), style["color"])
    legend_beside(ax)


def _pieces(result: Answer, name: str) -> tuple[str, ...]:
    """The pieces of the boundary that a condition is on."""
    condition = result.problem.conditions.get(name)
    if condition is None or condition.on == INTERIOR or condition.points is not None:
        return ()
    return result.problem.domain.resolve(condition.on)


def _coloured_edges(ax: Axes, plane: Planar, pieces: Sequence[str], colour: str) -> None:
    edges = [plane.edges[piece] for piece in pieces]
    ax.add_collection(LineCollection(edges, colors=colour, linewidths=1.4, clip_on=False, zorder=3))


def _points_in_space_time(result: Answer) -> Figure:
    """The prism space × time with the points in it."""
    domain = result.problem.domain
    assert isinstance(domain, SpaceTime) and isinstance(domain.space, Planar)
    figure = blank(6.5, 5.0)
    ax: Any = figure.add_subplot(projection="3d", computed_zorder=False)
    for time, ring in product(domain.time, closed(domain.space)):
        ax.plot(*at_time(ring, time).T, color=INK, lw=0.8)
    for name, style in _styles(result).items():
        ax.scatter(*result.collocation[name].points.T, depthshade=False, **style)
    sides = np.ptp(domain.space.bounds, axis=0)
    ax.grid(False)
    ax.set_box_aspect((*sides / sides.max(), 0.7))
    for axis, name in zip((ax.xaxis, ax.yaxis, ax.zaxis), domain.coordinates, strict=True):
        axis.set_label_text(math_label(name), size=TEXT)
        axis.set_major_locator(few_ticks())
        axis.pane.set_visible(False)
    ax.tick_params(labelsize=SMALL)
    legend_beside(ax)
    return figure


# ---- animation


def save_animation(result: Answer, path: Path) -> None:
    """The first field of a transient planar problem, as an endless GIF."""
    domain = result.problem.domain
    shots = snapshots(result, FRAMES, TRANSIENT_CELLS)
    panels = _panels(shots, "", [shot.prediction[:, 0] for shot in shots])
    field = result.problem.fields[0]
    row = Row(math_label(field), panels, *field_scale(field, result.problem.name, panels), isolines=True)
    images = _movie(domain, row)
    images[0].save(path, save_all=True, append_images=images[1:], duration=1000 // FRAMES_PER_SECOND, loop=0)


def _movie(domain: Domain, row: Row) -> list[Image.Image]:
    """One image per panel; they share a palette, which the colour bar in the first one makes complete."""
    figure = maps(domain, [Row(row.label, row.panels[:1], row.colours, row.norm, row.isolines)])
    ax = figure.axes[0]
    images = [_image(figure)]
    figure.set_layout_engine("none")
    for panel in row.panels[1:]:
        for artist in ax.collections[:]:
            artist.remove()
        draw_map(ax, row, panel)
        frame(ax, domain, panel.title)
        images.append(_image(figure))
    palette = images[0].quantize(256)
    return [image.quantize(palette=palette, dither=Image.Dither.NONE) for image in images]


def _image(figure: Figure) -> Image.Image:
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return Image.fromarray(np.asarray(canvas.buffer_rgba())).convert("RGB")
