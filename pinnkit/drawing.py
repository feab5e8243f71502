"""How figures are drawn: maps and curves of values over a domain, their scales, axes and labels.

What is drawn over the domain is a list of rows. The panels of a row share one scale: over a planar domain, or
over interval × time, they are maps side by side with one colour bar; over an interval they are curves in one
pair of axes. Of a box of more dimensions it is the section along the first two coordinates through the middle.
Figures are made without pyplot, hence need no display and leave matplotlib's state alone.
"""

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.colors import LogNorm, Normalize
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke
from matplotlib.ticker import MaxNLocator, NullFormatter
from matplotlib.tri import Triangulation

from pinnkit.export import Array, Mesh
from pinnkit.geometry import Domain, Planar, SpaceTime

DPI = 150
TEXT, SMALL = 10, 8  # font sizes in points
INK, GREY = "#222222", "#9a9a9a"
COLOURS = ("#d1495b", "#00798c", "#edae49", "#5f4bb6", "#4f9d69", "#30638e", "#c06c84", "#8d6a4a")
CURVES: Any = ({"color": COLOURS[1], "lw": 2}, {"color": INK, "ls": "--", "lw": 1})  # of a row
PANEL = 3.6  # longer side of a map, in inches
SIDE_BY_SIDE = 4  # maps from which on they are smaller
ISOLINES = 12
DECADES = 4  # that a map of errors spans at most
SIGNED = 0.25  # ratio of smallest and largest value beyond which a field is shown about zero
THERMAL = ("T", "temperature")
GREEK = ("alpha", "beta", "gamma", "delta", "kappa", "lambda", "mu", "omega", "phi", "psi", "rho", "sigma", "theta")
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


# ---- words


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


# ---- scales


def _finite(panels: Iterable[Panel]) -> Array:
    values = np.concatenate([panel.values for panel in panels])
    return values[np.isfinite(values)]


def field_scale(field: str, problem: str, panels: Sequence[Panel]) -> tuple[str, Normalize]:
    """Colour map and scale: diverging about zero for a field of both signs, else from least to greatest."""
    values = _finite(panels)
    low, high = (values.min(), values.max()) if len(values) else (0.0, 1.0)
    if -low > SIGNED * high and high > SIGNED * -low:
        return "RdBu_r", signed_scale(panels, 100)
    if math.isclose(low, high, rel_tol=1e-12, abs_tol=TINY):
        low, high = low - 0.5, high + 0.5
    thermal = problem.startswith("heat") or field in THERMAL
    return "inferno" if thermal else "viridis", Normalize(low, high)


def log_scale(panels: Sequence[Panel], decades: float = DECADES) -> LogNorm:
    """From a power of ten, so that two powers lie within, to the greatest value."""
    values = _finite(panels)
    positive = values[values > TINY]
    if not len(positive):
        return LogNorm(1e-17, 1e-16)
    high = positive.max()
    low = min(max(np.percentile(positive, 5), high * 10.0**-decades), high / 10)
    return LogNorm(10.0 ** math.floor(math.log10(low)), high)


def signed_scale(panels: Sequence[Panel], percentile: float) -> Normalize:
    values = np.abs(_finite(panels))
    limit = float(np.percentile(values, percentile)) if len(values) else 0.0
    return Normalize(-limit, limit) if limit > 0 else Normalize(-1e-16, 1e-16)


# ---- maps and curves: how it is shown


def draw(domain: Domain, rows: Sequence[Row]) -> Figure:
    return _curves(domain, rows) if domain.dimension == 1 else maps(domain, rows)


def blank(width: float, height: float, layout: Layout = "constrained") -> Figure:
    return Figure(figsize=(width, height), layout=layout)


def layout_of(domain: Domain) -> Layout:
    """Compressed for axes of a fixed aspect."""
    return "constrained" if plane_of(domain) is None else "compressed"


def maps(domain: Domain, rows: Sequence[Row]) -> Figure:
    """One row of maps per row; rows of single maps stand side by side."""
    columns = len(rows[0].panels)
    shape = (len(rows), columns) if columns > 1 else (1, len(rows))
    width, height = map_size(domain, shape[1])
    figure = blank(shape[1] * width + 1.0, shape[0] * (height + 0.45), layout_of(domain))
    axes = figure.subplots(*shape, squeeze=False, sharex=True, sharey=True).reshape(len(rows), columns)
    for row, row_axes in zip(rows, axes, strict=True):
        for ax, panel in zip(row_axes, row.panels, strict=True):
            image = draw_map(ax, row, panel)
            frame(ax, domain, panel.title)
        bar = figure.colorbar(image, ax=list(row_axes), pad=0.02, extend=_extend(row), aspect=25)
        _tidy_bar(bar, row.label)
    if domain.dimension > 2 and not has_movie(domain):
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


def has_movie(domain: Domain) -> bool:
    return isinstance(domain, SpaceTime) and isinstance(domain.space, Planar)


def plane_of(domain: Domain) -> Planar | None:
    """The planar domain that a map shows; None for interval × time."""
    space = domain.space if isinstance(domain, SpaceTime) else domain
    return space if isinstance(space, Planar) else None


def map_size(domain: Domain, columns: int) -> tuple[float, float]:
    """Width and height of a map in inches."""
    plane = plane_of(domain)
    longer = PANEL if columns < SIDE_BY_SIDE else 0.75 * PANEL
    if plane is None:
        return longer, 0.8 * longer
    sides = plane.bounds[1] - plane.bounds[0]
    width, height = longer * sides / sides.max()
    return max(width, 1.5), max(height, 1.0)


def draw_map(ax: Axes, row: Row, panel: Panel) -> Any:
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


def frame(ax: Axes, domain: Domain, title: str) -> None:
    """Boundary, ticks and names of the axes."""
    plane = plane_of(domain)
    ax.set(xlim=domain.bounds[:, 0], ylim=domain.bounds[:, 1])
    if plane is not None:
        ax.set_aspect("equal")
        ax.spines[:].set_visible(False)
        outline(ax, plane)
    _name_axes(ax, domain.coordinates)
    ax.set_title(title, size=TEXT)


def outline(ax: Axes, plane: Planar) -> None:
    ax.add_collection(LineCollection(closed(plane), colors=INK, linewidths=1.0, clip_on=False))


def closed(plane: Planar) -> list[Array]:
    """The rings, the first vertex repeated at the end."""
    return [np.concatenate([ring, ring[:1]]) for ring in plane.rings]


def _name_axes(ax: Axes, coordinates: Sequence[str]) -> None:
    ax.set_xlabel(math_label(coordinates[0]), size=TEXT)
    ax.set_ylabel(math_label(coordinates[1]), size=TEXT)
    ax.xaxis.set_major_locator(few_ticks())
    ax.yaxis.set_major_locator(few_ticks())
    ax.tick_params(labelsize=SMALL, length=2, color=GREY)
    ax.label_outer()


def few_ticks() -> MaxNLocator:
    return MaxNLocator(4, steps=[1, 2, 2.5, 5, 10])


def _curves(domain: Domain, rows: Sequence[Row]) -> Figure:
    """One pair of axes per row."""
    figure = blank(6.0, 0.6 + 2.8 * len(rows))
    axes = figure.subplots(len(rows), 1, squeeze=False, sharex=True)[:, 0]
    for ax, row in zip(axes, rows, strict=True):
        for panel, style in zip(row.panels, CURVES, strict=False):
            ax.plot(panel.mesh.points[:, 0], panel.values, label=panel.title, **style)
        tidy(ax, math_label(domain.coordinates[0]), row.label)
        ax.label_outer()
        if isinstance(row.norm, LogNorm):
            ax.set_yscale("log")
            ax.set_ylim(row.norm.vmin, 2 * (row.norm.vmax or 1.0))
        else:
            ax.ticklabel_format(axis="y", scilimits=POWER_LIMITS)
        if len(row.panels) > 1:
            ax.legend(frameon=False, fontsize=SMALL)
    return figure


def tidy(ax: Axes, x: str, y: str) -> None:
    ax.set_xlabel(x, size=TEXT)
    ax.set_ylabel(y, size=TEXT)
    ax.tick_params(labelsize=SMALL, length=2)
    ax.spines[["top", "right"]].set_visible(False)
    ax.grid(alpha=0.25, lw=0.5)
    ax.set_axisbelow(True)


def whole_decades(ax: Axes) -> None:
    """Powers of ten as the limits of a logarithmic y axis on which fewer than two would be seen."""
    low, high = np.log10(ax.get_ylim())
    if math.floor(high) - math.ceil(low) < 1:
        ax.set_ylim(10.0 ** math.floor(low), 10.0 ** math.ceil(high))


def legend_beside(ax: Axes, markerscale: float = 2) -> None:
    ax.legend(frameon=False, fontsize=SMALL, loc="upper left", bbox_to_anchor=(1.01, 1), markerscale=markerscale)


def crosses(ax: Axes, points: Array) -> None:
    """Where data were measured: white, with a rim that is seen on white."""
    ax.scatter(*points.T[:2], marker="x", **white_rimmed(s=14, zorder=4))


def white_rimmed(**style: Any) -> dict[str, Any]:
    """The style of marks on a map of any colours."""
    edge = {"edgecolors": "white"} if "facecolors" in style else {"color": "white"}
    return {"lw": 0.9, "path_effects": [withStroke(linewidth=2, foreground=INK)], **edge, **style}


def save(figures: Mapping[str, Figure], folder: Path) -> None:
    """Write plots/<name>.png into the folder."""
    plots = folder / "plots"
    plots.mkdir(parents=True, exist_ok=True)
    for name, figure in figures.items():
        figure.savefig(plots / f"{name}.png", dpi=DPI, bbox_inches="tight", pad_inches=0.08)
