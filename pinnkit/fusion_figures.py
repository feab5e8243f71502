"""Figures of fused fidelities: the curve with its band, ρ and δ of each step, and predicted against true values."""

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from pinnkit.drawing import COLOURS, GREY, INK, SMALL, blank, legend_beside, tidy
from pinnkit.fidelity import Autoregression

Array = NDArray[np.float64]
FINE, SHOWN = 600, 400
BAND = 1.96


def figures(found: Any) -> dict[str, Figure]:
    """The figures of a fusion.Fused by name: solution, truth where it is known, and levels of the linear model."""
    drawn = {"solution": _curve(found) if len(found.problem.coordinates) == 1 else _against_data(found)}
    if found.problem.exact is not None:
        drawn["truth"] = _against_truth(found)
    if isinstance(found.model, Autoregression) and len(found.problem.coordinates) == 1:
        drawn["levels"] = _levels(found)
    return drawn


def _line(found: Any) -> Array:
    lower, upper = found.problem.box
    return np.linspace(lower, upper, FINE)


def _curve(found: Any) -> Figure:
    """Data of all levels, the truth, the fused mean with its band, and the mean from the dearest data alone."""
    figure = blank(7.0, 4.0)
    ax = figure.subplots()
    problem, x = found.problem, _line(found)
    tidy(ax, f"${problem.coordinates[0]}$", "value")
    _band(ax, x, found.model.predict(x), COLOURS[0], "fused, with its 95 % band")
    if "high_only" in found.alone:
        ax.plot(x, found.alone["high_only"].predict(x)[0], color=GREY, lw=1.2, ls="--", label="high fidelity alone")
    truth = problem.truth(x)
    if truth is not None:
        ax.plot(x, truth, color=INK, lw=1.2, ls=":", label="truth")
    for k, level in enumerate(problem.levels):
        marker: dict[str, Any] = {"marker": "o" if k == len(problem.levels) - 1 else "x", "color": COLOURS[(k + 1) % 4]}
        ax.plot(level.x[:, 0], level.y, ls="none", ms=6, zorder=5, label=_name(k, len(problem.levels)), **marker)
    legend_beside(ax, markerscale=1)
    return figure


def _name(k: int, count: int) -> str:
    return {0: "low fidelity", count - 1: "high fidelity"}.get(k, f"level {k}")


def _band(ax: Axes, x: Array, found: tuple[Array, Array], colour: str, label: str) -> None:
    mean, deviation = found
    ax.fill_between(x[:, 0], mean - BAND * deviation, mean + BAND * deviation, color=colour, alpha=0.2, lw=0)
    ax.plot(x, mean, color=colour, lw=1.8, label=label)


def _levels(found: Any) -> Figure:
    """δ of each step with its band, and ρ in its title."""
    steps = found.model.rho
    figure = blank(4.2 * len(steps), 3.2)
    x = _line(found)
    for k, (ax, step) in enumerate(zip(figure.subplots(1, len(steps), squeeze=False)[0], steps, strict=True)):
        tidy(ax, f"${found.problem.coordinates[0]}$", rf"$\delta_{{{k + 1}}}$")
        _band(ax, x, found.model.delta(x, k + 1), COLOURS[1], "")
        rho, deviation = float(step.mean[0]), float(step.deviation[0])
        ax.set_title(rf"$\rho_{{{k + 1}}}$ = {rho:.5g} ± {deviation:.1g}", size=SMALL, loc="left")
    return figure


def _against_truth(found: Any) -> Figure:
    """Predicted against true values, with bands."""
    points = found.problem.sample(SHOWN, found.settings.seed)
    return _scatter(found, points, found.problem.truth(points), "true value")


def _against_data(found: Any) -> Figure:
    """Predicted values against the dearest data."""
    level = found.problem.levels[-1]
    return _scatter(found, level.x, level.y, "measured value")


def _scatter(found: Any, points: Array, values: Array, label: str) -> Figure:
    figure = blank(4.2, 4.0)
    ax = figure.subplots()
    tidy(ax, label, "predicted value")
    mean, deviation = found.model.predict(points)
    ends = [min(values.min(), mean.min()), max(values.max(), mean.max())]
    ax.plot(ends, ends, color=GREY, lw=0.8)
    ax.errorbar(values, mean, BAND * deviation, fmt="o", ms=3, lw=0.6, color=COLOURS[0], ecolor=COLOURS[2])
    return figure
