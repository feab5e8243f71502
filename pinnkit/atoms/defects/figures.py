"""Figures of a representation of defects: maps, confusion, accuracy against noise and strain, losses."""

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke
from matplotlib.ticker import FixedLocator, MaxNLocator, PercentFormatter

from pinnkit.atoms.defects.merit import REPRESENTATIONS
from pinnkit.atoms.structure import Array
from pinnkit.drawing import COLOURS, GREY, INK, SMALL, TEXT, blank, legend_beside, tidy

MAPPED = ("contrastive", "descriptors", "coordinates")
CONFUSED = ("contrastive", "descriptors")
MARKERS = {"fcc": "o", "bcc": "^", "b2": "s"}
STYLES: dict[str, Any] = {
    "contrastive": {"color": COLOURS[0], "marker": "o", "lw": 2},
    "descriptors": {"color": COLOURS[1], "marker": "s", "lw": 1.5},
    "trained_coordinates": {"color": COLOURS[2], "marker": "^", "lw": 1.5},
    "coordinates": {"color": COLOURS[3], "marker": "v", "lw": 1.5},
}
LEAST = 0.005  # share of a row of the confusion matrix from which on it is written
DARK = 0.5  # share above which writing is white
UNKNOWN: dict[str, Any] = {"color": INK, "ls": "--", "lw": 1.2, "marker": "x", "label": "said to be of no defect"}
SMOOTH = 25  # steps over which losses are averaged


def figures(found: Any) -> dict[str, Figure]:
    """The figures of a study.DefectRepresentation by name."""
    return {"solution": _maps(found), "confusion": _confusion(found), "noise": _noise(found), "loss": _loss(found)}


# --- maps -------------------------------------------------------------------------------------------------------------


def _maps(found: Any) -> Figure:
    """Views never seen in the plane, one panel for each representation."""
    figure = blank(3.3 * len(MAPPED) + 1.9, 3.5)
    axes = figure.subplots(1, len(MAPPED))
    for ax, name in zip(axes, MAPPED, strict=True):
        _map(ax, found, name)
    legend_beside(axes[-1], markerscale=2.5)
    return figure


def _map(ax: Axes, found: Any, name: str) -> None:
    points, judged = found.judged.maps[name], found.judged
    for k, (kind, style) in enumerate(zip(found.problem.kinds, _styles(found), strict=True)):
        own = points[judged.labels == k]
        ax.scatter(own[:, 0], own[:, 1], s=7, lw=0, alpha=0.7, label=f"{k + 1} {kind.name}", **style)
        if name == "contrastive" and len(own):
            _number(ax, np.median(own, 0), k + 1)
    ax.set_title(f"{REPRESENTATIONS[name]}: {judged.accuracy(name):.1%}", size=TEXT, loc="left")
    ax.set(xticks=[], yticks=[])
    ax.spines[:].set_color(GREY)
    ax.set_xlabel("first principal component", size=SMALL)
    ax.set_ylabel("second principal component", size=SMALL)


def _number(ax: Axes, place: Array, number: int) -> None:
    rim = [withStroke(linewidth=2, foreground="white")]
    ax.text(place[0], place[1], str(number), ha="center", va="center", size=SMALL, color=INK, path_effects=rim)


def _styles(found: Any) -> list[dict[str, Any]]:
    """Of each defect: a marker for the lattice, and a colour that no other defect of the lattice has."""
    seen: dict[str, int] = dict.fromkeys(MARKERS, 0)
    styles = []
    for kind in found.problem.kinds:
        styles.append({"marker": MARKERS[kind.lattice], "color": COLOURS[seen[kind.lattice] % len(COLOURS)]})
        seen[kind.lattice] += 1
    return styles


# --- confusion --------------------------------------------------------------------------------------------------------


def _confusion(found: Any) -> Figure:
    """Shares of nearest neighbours, the trained representation beside that which it is made from."""
    names = found.problem.names
    side = 0.24 * len(names) + 0.8
    figure = blank(len(CONFUSED) * side + 1.9, side + 1.5)
    axes = figure.subplots(1, len(CONFUSED), sharey=True)
    for ax, name in zip(axes, CONFUSED, strict=True):
        _matrix(ax, found.judged.confusion(name, len(names)), names)
        ax.set_title(f"{REPRESENTATIONS[name]}: {found.judged.accuracy(name):.2%}", size=TEXT, loc="left")
    axes[0].set_ylabel("defect of the view", size=TEXT)
    return figure


def _matrix(ax: Axes, shares: Array, names: tuple[str, ...]) -> None:
    """Percentages, written where they can be seen."""
    ax.imshow(np.sqrt(shares), cmap="Blues", vmin=0, vmax=1)
    for i, j in np.argwhere(shares >= LEAST):
        ink = "white" if shares[i, j] > DARK else INK
        ax.text(j, i, f"{100 * shares[i, j]:.0f}", ha="center", va="center", size=6, color=ink)
    ax.set_xticks(range(len(names)), names, rotation=90, size=SMALL)
    ax.set_yticks(range(len(names)), names, size=SMALL)
    ax.tick_params(length=0)
    ax.spines[:].set_color(GREY)
    ax.set_xlabel("defect of its nearest neighbour (% of the row)", size=TEXT)


# --- curves -----------------------------------------------------------------------------------------------------------


def _noise(found: Any) -> Figure:
    """How often the nearest view of training shows the same defect, and how often none is said to be known."""
    figure = blank(9.6, 3.4)
    axes = figure.subplots(1, 2, sharey=True)
    problem, label = found.problem, "noise (% of the nearest-neighbour distance)"
    _accuracies(axes[0], found.metrics["accuracy_by_noise"], label, problem.noise)
    _accuracies(axes[1], found.metrics["accuracy_by_stretch"], "lattice constant larger by (%)", 0.0, problem.size)
    axes[0].set_ylabel("views whose nearest one\nshows the same defect", size=TEXT)
    axes[1].label_outer()
    legend_beside(axes[1], markerscale=1)
    return figure


def _accuracies(ax: Axes, curves: Any, label: str, trained: float, spread: float = 0.0) -> None:
    tidy(ax, label, "")
    percent = 100 * np.array(curves["values"])
    for name, style in STYLES.items():
        ax.plot(percent, curves[name], ms=4, label=REPRESENTATIONS[name], **style)
    ax.plot(percent, curves["said_unknown"], ms=4, **UNKNOWN)
    ax.axvline(100 * trained, color=GREY, lw=1, ls=":", label="as in training")
    ax.axvspan(100 * (trained - spread), 100 * (trained + spread), color=GREY, alpha=0.2, lw=0)
    ax.xaxis.set_major_locator(FixedLocator(percent.tolist()))
    ax.set_ylim(0, 1.03)
    ax.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))


def _loss(found: Any) -> Figure:
    """Losses of both networks, and the bound."""
    figure = blank(6.4, 3.4)
    ax = figure.subplots()
    tidy(ax, "step", "loss")
    step = _smooth(found, "step")
    for key, name in (("loss", "contrastive"), ("coordinates_loss", "trained_coordinates")):
        label = "descriptors" if key == "loss" else "coordinates"
        ax.plot(step, _smooth(found, key), color=STYLES[name]["color"], lw=1.8, label=label)
    ax.plot(step, _smooth(found, "least_loss"), color=INK, lw=1, ls="--", label="least of pairs not known by heart")
    ax.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    ax.legend(frameon=False, fontsize=SMALL)
    return figure


def _smooth(found: Any, key: str) -> Array:
    """Means over a few steps; a few steps are left out at the end."""
    values = np.array([row[key] for row in found.history])
    width = min(SMOOTH, len(values))
    return np.asarray(values[: len(values) - len(values) % width].reshape(-1, width).mean(1))
