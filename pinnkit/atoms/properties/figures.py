"""Figures of a comparison of models: parity, errors, exponents, and learning curves."""

import math
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, NullFormatter, NullLocator
from numpy.typing import NDArray

from pinnkit.drawing import COLOURS, GREY, INK, SMALL, TEXT, blank, legend_beside, math_label, plain_label, tidy

Array = NDArray[np.float64]
CHOSEN, OTHER, BEYOND = COLOURS[0], COLOURS[1], COLOURS[2]
LINES = ("-", "--", ":", "-.")  # of learning curves, together with eight colours
MARKERS = "os^Dv"
COLUMNS = 4  # of panels
NARROW = 6  # factor over which 1, 2 and 5 times powers of ten are few
FEW = 50  # factor over which decimals have room on the axis of a panel
NORMAL = 1.96  # standard deviations on each side that hold 95 %


def figures(found: Any) -> dict[str, Figure]:
    """The figures of a study.ModelComparison by name; exponents where there are any."""
    drawn = {"solution": _parity(found), "errors": _errors(found)}
    if found.metrics["exponents"]:
        drawn["exponents"] = _exponents(found)
    return drawn | {"learning": _learning(found)}


def _label(found: Any, name: str) -> str:
    return plain_label(found.problem.candidates.models[name].label)


def _measure(found: Any, what: str) -> str:
    """What an axis of errors is called."""
    unit = found.problem.units.get(found.problem.target)
    return f"{what} (relative)" if found.problem.relative else f"{what} ({unit})" if unit else what


# --- parity -----------------------------------------------------------------------------------------------------------


def _parity(found: Any) -> Figure:
    """A panel for each model: values of the first repeat of cross-validation."""
    names = list(found.validation.predicted)
    columns = min(COLUMNS, len(names))
    rows = math.ceil(len(names) / columns)
    figure = blank(2.1 * columns + 0.4, 2.2 * rows + 0.4)
    axes = figure.subplots(rows, columns, squeeze=False, sharex=True, sharey=True).ravel()
    for ax, name in zip(axes, names, strict=False):
        _panel(ax, found, name)
    for ax in axes[len(names) :]:
        ax.set_visible(False)
    for k in range(max(len(names) - columns, 0), len(names)):
        axes[k].xaxis.set_tick_params(labelbottom=True)
    unit = found.problem.units.get(found.problem.target)
    quantity = math_label(found.problem.target) + (f" ({unit})" if unit else "")
    figure.supxlabel(f"measured {quantity}", size=TEXT)
    figure.supylabel(f"predicted {quantity}", size=TEXT)
    return figure


def _panel(ax: Axes, found: Any, name: str) -> None:
    y, predicted = found.problem.y, found.validation.predicted[name][0]
    tidy(ax, "", "")
    ends = _limits(y, found.problem.relative)
    ax.plot(ends, ends, color=GREY, lw=0.8)
    if found.problem.relative:
        ax.set(xscale="log", yscale="log")
        for axis in (ax.xaxis, ax.yaxis):
            _plain_ticks(axis, [*ends], most=FEW)
    inside = np.clip(predicted, *ends)
    off, colour = inside != predicted, CHOSEN if name == found.chosen else OTHER
    ax.plot(y[~off], inside[~off], "o", ms=3.5, color=colour, alpha=0.8, mew=0)
    ax.plot(y[off], inside[off], "x", ms=5, color=INK, clip_on=not off.any())
    ax.set(xlim=ends, ylim=ends)
    ax.set_title(_label(found, name), size=SMALL, loc="left", color=INK)
    said = f"RMSE {found.scores[name].rmse:.2g}" + (f"\n× {off.sum()} off the scale" if off.any() else "")
    ax.text(0.04, 0.96, said, transform=ax.transAxes, size=SMALL, va="top", color=colour if not off.any() else INK)


def _limits(y: Array, logarithmic: bool) -> tuple[float, float]:
    """Wider than the values by a third of what they span, and three times at least on a logarithmic axis."""
    if not logarithmic:
        margin = np.ptp(y) / 3
        return float(y.min() - margin), float(y.max() + margin)
    factor = max((y.max() / y.min()) ** (1 / 6), 1.5)
    return float(y.min() / factor), float(y.max() * factor)


# --- errors -----------------------------------------------------------------------------------------------------------


def _errors(found: Any) -> Figure:
    """Each model's error in cross-validation with its standard error, and beyond the data."""
    errors = found.metrics["cross_validated_errors"]
    figure = blank(7.0, 0.9 + 0.32 * len(errors))
    ax = figure.subplots()
    tidy(ax, _measure(found, "root-mean-square error"), "")
    ax.set_xscale("log")
    for k, (name, one) in enumerate(errors.items()):
        colour = CHOSEN if name == found.chosen else OTHER
        ax.plot([one["rmse"], one["extrapolation"]], [k, k], color=GREY, lw=0.8, zorder=1)
        ax.errorbar(one["rmse"], k, xerr=one["standard_error"], fmt="o", ms=6, color=colour, capsize=3, zorder=3)
        ax.plot(one["extrapolation"], k, "D", ms=5, mfc="white", mec=colour, zorder=2)
    ax.axvline(found.limit, color=INK, lw=0.8, ls="--", label="best + standard error")
    if found.problem.scatter:
        ax.axvline(found.problem.scatter, color=BEYOND, lw=1.5, label="scatter of the data")
    ax.plot([], [], "o", color=CHOSEN, label="cross-validated: chosen")
    ax.plot([], [], "o", color=OTHER, label="cross-validated: others")
    along = math_label(found.metrics["extrapolated_along"])
    ax.plot([], [], "D", mfc="white", mec=INK, label=f"beyond the data, along {along}")
    ax.set_yticks(range(len(errors)), [_label(found, name) for name in errors])
    ax.set_ylim(len(errors) - 0.5, -0.5)
    _plain_ticks(ax.xaxis, [value for one in errors.values() for value in (one["rmse"], one["extrapolation"])])
    legend_beside(ax, markerscale=1)
    return figure


def _plain_ticks(axis: Any, values: list[float], most: float = 1e3) -> None:
    """Ticks at 1, 2 and 5 times powers of ten, or a few more, written as decimals, over less than a factor `most`.

    Beyond, and in any case between these, nothing is written but at powers of ten.
    """
    low, high = min(values), max(values)
    axis.set_minor_formatter(NullFormatter())
    if not 0 < low < high < most * low:
        return
    decades = range(math.floor(math.log10(low)) - 1, math.ceil(math.log10(high)) + 1)
    steps = (1, 2, 5) if high > NARROW * low else (1, 1.5, 2, 3, 5, 7)
    axis.set_major_locator(FixedLocator([m * 10.0**k for k in decades for m in steps]))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))


# --- exponents and learning -------------------------------------------------------------------------------------------


def _exponents(found: Any) -> Figure:
    """The power law's exponents with intervals of 95 %, and those of the law."""
    exponents = found.metrics["exponents"]
    figure = blank(6.0, 1.0 + 0.4 * len(exponents))
    ax = figure.subplots()
    tidy(ax, f"exponent in the power law for {math_label(found.problem.target)}", "")
    ax.axvline(0, color=GREY, lw=0.8)
    for k, one in enumerate(exponents.values()):
        ax.errorbar(one["value"], k, xerr=NORMAL * one["standard_error"], fmt="o", ms=6, color=OTHER, capsize=3)
        if one["true"] is not None:
            ax.plot(one["true"], k, "|", ms=20, mew=2, color=CHOSEN, zorder=4)
    ax.plot([], [], "o", color=OTHER, label="fitted, with 95 % interval")
    if any(one["true"] is not None for one in exponents.values()):
        ax.plot([], [], "|", ms=10, mew=2, color=CHOSEN, label=plain_label(found.problem.law.label))
    ax.set_yticks(range(len(exponents)), [math_label(name) for name in exponents])
    ax.set_ylim(len(exponents) - 0.5, -0.5)
    legend_beside(ax, markerscale=1)
    return figure


def _learning(found: Any) -> Figure:
    """Errors on what was left out, by the number of samples."""
    figure = blank(7.0, 4.0)
    ax = figure.subplots()
    tidy(ax, "samples learned from", _measure(found, "root-mean-square error"))
    ax.set(xscale="log", yscale="log")
    sizes, curves = found.validation.sizes, found.validation.curves
    for k, (name, errors) in enumerate(curves.items()):
        style: dict[str, Any] = {"color": COLOURS[k % len(COLOURS)], "ls": LINES[k // 4 % len(LINES)]}
        width = 2.4 if name == found.chosen else 1.2
        ax.plot(sizes, errors, marker=MARKERS[k % len(MARKERS)], ms=4, lw=width, label=_label(found, name), **style)
    if found.problem.scatter:
        ax.axhline(found.problem.scatter, color=GREY, lw=1.2, label="scatter of the data", zorder=0)
    ax.set_xticks(sizes, [str(size) for size in sizes])
    ax.xaxis.set_minor_locator(NullLocator())
    _plain_ticks(ax.yaxis, [value for errors in curves.values() for value in errors])
    legend_beside(ax, markerscale=1)
    return figure
