"""Figures of a transfer: errors of all arms over time, maps of what is left of them, and the features."""

from typing import Any

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from pinnkit.drawing import (
    COLOURS,
    GREY,
    INK,
    SMALL,
    Panel,
    Row,
    blank,
    crosses,
    draw_map,
    has_movie,
    layout_of,
    legend_beside,
    log_scale,
    map_size,
    maps,
    math_label,
    outline,
    plane_of,
    signed_scale,
    tidy,
    whole_decades,
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
    "one_shot": {"color": COLOURS[3], "ls": "none", "marker": "D", "ms": 7, "mfc": "none", "mew": 1.8, "zorder": 4},
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
    """Errors against seconds; where there is no reference, losses of the arms with the same conditions."""
    target = transferred.arms["from_scratch"].relative_l2
    key, label = ("loss", "loss") if target is None else ("relative_l2", "relative $L^2$ error")
    figure = blank(6.5, 3.8)
    ax = figure.subplots()
    tidy(ax, "seconds", label)
    ax.set_xscale("log")
    ax.set_yscale("log")
    alike = LABELS if target is not None else ("from_scratch", transferred.main.name, "one_shot")  # losses of one kind
    for name in LABELS:
        if name in transferred.arms and name in alike:
            _arm(ax, name, transferred.arms[name], key)
    if target is not None and target > 0:
        _sooner(ax, transferred, target)
    ax.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    ax.xaxis.set_major_formatter(FuncFormatter(lambda seconds, _: f"{seconds:g}"))
    ax.xaxis.set_minor_formatter(NullFormatter())
    whole_decades(ax)
    legend_beside(ax, markerscale=1)
    return figure


def _arm(ax: Axes, name: str, arm: Arm, key: str) -> None:
    """A curve with its evaluations as dots; a level where there was nothing to train."""
    style: dict[str, Any] = {"label": LABELS[name], "marker": "o", "ms": 3.5} | STYLES[name]
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
    words = f"speed-up {transferred.speedup:.3g}: {there:.2g} s instead of {here:.2g} s to the error from scratch"
    ax.set_title(words, size=SMALL, loc="left")


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
            crosses(ax, transferred.sensors.points)
    return figure


def _title(name: str, transferred: Transferred) -> str:
    error = transferred.arms[name].relative_l2
    return LABELS[name] + ("" if error is None else f": {error:.1e}")


# ---- features


def _features(domain: Domain, transferred: Transferred) -> Figure:
    """The first features as the source gives them, over the new domain, each on its own scale about zero."""
    mesh, space, values = _transferred_features(domain, transferred)
    count = values.shape[1]
    shape = -(-count // PER_ROW), min(count, PER_ROW)
    width, height = SMALLER * np.array(map_size(space, 1))
    figure = blank(shape[1] * width + 0.2, shape[0] * (height + 0.2) + 0.1, layout_of(space))
    axes = figure.subplots(*shape, squeeze=False).ravel()
    for ax in axes:
        ax.set_axis_off()
    for k, column in enumerate(values.T):
        axes[k].set_title(f"{k + 1}", size=SMALL, color=GREY, pad=2)
        _feature(axes[k], space, Panel("", mesh, column))
    return figure


def _feature(ax: Axes, space: Domain, panel: Panel) -> None:
    if space.dimension == 1:
        ax.axhline(0, color=GREY, lw=0.5)
        ax.plot(panel.mesh.points[:, 0], panel.values, color=COLOURS[1], lw=1.4)
        return
    draw_map(ax, Row("", [panel], "RdBu_r", signed_scale([panel], 100)), panel)
    ax.set(xlim=space.bounds[:, 0], ylim=space.bounds[:, 1])
    if isinstance(space, Planar):
        ax.set_aspect("equal")
        outline(ax, space)


def _transferred_features(domain: Domain, transferred: Transferred) -> tuple[Mesh, Domain, Array]:
    """Where and what: features of space, or of space and time at the end of time; of these those that stay fixed."""
    trial, space, time = transferred.source.solution.trial, domain, None
    steady = len(trial.shape.coordinates) < domain.dimension
    if isinstance(domain, SpaceTime) and (steady or has_movie(domain)):
        space, time = domain.space, domain.time[1]
    mesh = mesh_of(space)
    points = at_time(within(space, mesh.points), time)
    features, seen = trial.features, len(trial.shape.coordinates)
    if isinstance(features, InTime):
        features, seen = features.features, seen - 1
    fixed = getattr(features, "fixed", None) or features
    scaled = (points - transferred.bounds.mean(0)) / (np.ptp(transferred.bounds, axis=0) / 2)
    with torch.no_grad():
        values = fixed(torch.as_tensor(scaled[:, :seen]).to(trial.weight))[:, :FEATURES]
    return mesh, space, values.double().cpu().numpy()
