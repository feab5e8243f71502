"""Figures of a transfer: errors of all arms over time, maps of what is left of the error, and the features themselves."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

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
    draw_map,
    layout_of,
    legend_beside,
    log_scale,
    map_size,
    maps,
    math_label,
    plane_of,
    signed_scale,
    tidy,
)
from pinnkit.export import Answer, Array, Mesh, at_time, mesh_of, within
from pinnkit.geometry import Domain, Planar, SpaceTime
from pinnkit.polynomials import InTime
from pinnkit.transfer_words import LABELS, Arm, Transferred

STYLES: dict[str, dict[str, Any]] = {
    "from_scratch": {"color": INK, "lw": 1.8},
    "source_unchanged": {"color": GREY, "lw": 1.4, "ls": "--"},
    "data_only": {"color": COLOURS[2], "lw": 1.4},
    "physics_only": {"color": COLOURS[1], "lw": 1.4},
    "data_physics": {"color": COLOURS[0], "lw": 1.8},
    "one_shot": {"color": COLOURS[3], "ls": "none", "marker": "D", "ms": 6, "zorder": 4},
}
SPAN = 14  # decades of the error that maps of all arms show at most
FEATURES, PER_ROW = 12, 6
SMALLER = 0.45  # a feature beside a map


def figures(result: Answer) -> dict[str, Figure]:
    """The figures by name: arms, features and, where the domain is planar and there is a reference, before_after."""
    transferred = result.transferred
    if transferred is None:
        return {}
    drawn = {"arms": _arms(transferred), "features": _features(result.problem.domain, transferred)}
    if result.reference is not None and plane_of(result.problem.domain) is not None:
        drawn["before_after"] = _before_after(result, transferred)
    return drawn


# ---- errors over time


def _arms(transferred: Transferred) -> Figure:
    """Errors against seconds; losses where there is no reference."""
    target = transferred.arms["from_scratch"].relative_l2
    key, label = ("loss", "loss") if target is None else ("relative_l2", "relative $L^2$ error")
    figure = blank(6.5, 3.8)
    ax = figure.subplots()
    tidy(ax, "seconds", label)
    ax.set_xscale("log")
    ax.set_yscale("log")
    for name in LABELS:
        if name in transferred.arms:
            _arm(ax, name, transferred.arms[name], key)
    if target is not None and target > 0:
        _sooner(ax, transferred, target)
    ax.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    ax.xaxis.set_major_formatter(FuncFormatter(lambda seconds, _: f"{seconds:g}"))
    ax.xaxis.set_minor_formatter(NullFormatter())
    legend_beside(ax)
    return figure


def _arm(ax: Axes, name: str, arm: Arm, key: str) -> None:
    """A curve with its evaluations as dots; a level where there was nothing to train."""
    style = {"label": LABELS[name], "marker": "o", "ms": 3.5} | STYLES[name]
    seconds, values = _over_time(arm, key)
    if len(seconds):
        ax.plot(seconds, values, **style)
    elif key == "relative_l2" and arm.relative_l2:
        ax.axhline(arm.relative_l2, **(style | {"marker": ""}))


def _over_time(arm: Arm, key: str) -> tuple[Array, Array]:
    """What can be drawn on logarithmic scales: all but the very start."""
    rows = [(row["seconds"], row[key]) for row in arm.history if row.get(key) is not None]
    seconds, values = np.array(rows, dtype=float).reshape(-1, 2).T
    drawable = np.isfinite(values) & (values > 0) & (seconds > 0)
    return seconds[drawable], values[drawable]


def _sooner(ax: Axes, transferred: Transferred, target: float) -> None:
    """The level of the error from scratch, and how much sooner the transfer gets there."""
    ax.axhline(target, color=INK, lw=0.8, ls=":", zorder=1)
    here, there = transferred.arms["from_scratch"].seconds_to(target), transferred.main.seconds_to(target)
    if transferred.speedup is None or here is None or there is None:
        return
    ax.annotate("", (there, target), (here, target), arrowprops={"arrowstyle": "->", "color": INK, "lw": 1.2})
    ax.plot([there], [target], marker="o", ms=7, mfc="white", mec=INK, ls="none", zorder=5)
    words: Any = {"size": SMALL, "ha": "center", "va": "bottom", "textcoords": "offset points", "xytext": (0, 6)}
    ax.annotate(f"speed-up {transferred.speedup:.3g}", ((here * there) ** 0.5, target), **words)


# ---- maps of the error


def _before_after(result: Answer, transferred: Transferred) -> Figure:
    """|error| of the source unchanged, of a solve for the head alone, of the whole transfer, and from scratch."""
    domain, reference = result.problem.domain, result.reference
    assert reference is not None
    space, time = (domain.space, domain.time[1]) if isinstance(domain, SpaceTime) else (domain, None)
    main = next(name for name in ("data_physics", "physics_only") if name in transferred.arms)
    shown = [n for n in ("source_unchanged", "one_shot", main, "from_scratch") if n in transferred.arms]
    mesh = mesh_of(space)
    points = at_time(mesh.points, time)
    truth = reference.value(points)
    errors = {name: np.abs(transferred.arms[name].predict(points) - truth) for name in shown}
    rows = []
    for k, field in enumerate(result.problem.fields):
        panels = [Panel(_title(name, transferred), mesh, errors[name][:, k]) for name in shown]
        label = f"|{math_label(field)} − {math_label(field)}" + r"$_\mathrm{ref}$|"
        when = "" if time is None else f" at $t = {time:.3g}$"
        rows.append(Row(label + when, panels, "magma", log_scale(panels, SPAN)))
    figure = maps(space, rows)
    if transferred.sensors is not None:
        for ax in figure.axes[: len(rows) * len(shown)]:
            _crosses(ax, transferred.sensors.points)
    return figure


def _title(name: str, transferred: Transferred) -> str:
    error = transferred.arms[name].relative_l2
    return LABELS[name] + ("" if error is None else f": {error:.1e}")


def _crosses(ax: Axes, points: Array) -> None:
    effect = [withStroke(linewidth=2, foreground=INK)]
    ax.scatter(*points.T[:2], marker="x", s=14, lw=0.9, color="white", path_effects=effect, zorder=4)
