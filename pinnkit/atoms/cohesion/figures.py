"""Figures of an energy–volume curve: energy and pressure, distances from the truth, and the parameters."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from pinnkit.drawing import COLOURS, GREY, INK, SMALL, blank, legend_beside, tidy

Array = NDArray[np.float64]
SHADE = "#f0f0ee"
VOLUME = "volume (Å³)"
WITHOUT = {"tanh_network": ("without physics: tanh, all trained", COLOURS[0], "--"),
           "data_only": ("without physics: same features", COLOURS[2], "-.")}  # fmt: skip
FORMS = {"birch_murnaghan": ("Birch–Murnaghan", COLOURS[3], ":"), "vinet": ("Vinet", COLOURS[4], ":")}
NAMES = {
    "birch_murnaghan": "Birch–Murnaghan fit", "birch_murnaghan_given": "the same, V₀ and B₀ told", "vinet": "Vinet fit",
    "vinet_given": "the same, V₀ and B₀ told",
}  # fmt: skip
QUANTITIES = {"V0": "$V_0$ (Å³)", "B0": "$B_0$ (GPa)", "B0p": "$B_0'$"}
MEMBERS = 8  # of a committee, drawn at most
MARGIN = 0.15
DECADES = (1, 10, 100, 1000)  # meV


def figures(found: Any) -> dict[str, Figure]:
    """The figures of a cohesion.EnergyCurve by name; truth only where it is known."""
    drawn = {"solution": _curves(found)}
    if found.problem.exact is not None:
        drawn["truth"] = _errors(found)
    return {**drawn, "parameters": _parameters(found)}


def _curves(found: Any) -> Figure:
    figure = blank(9.6, 4.4)
    left, right = figure.subplots(1, 2)
    v, problem, exact = found.shown, found.problem, found.problem.exact
    for ax, label in ((left, "energy (eV)"), (right, "pressure (GPa)")):
        tidy(ax, VOLUME, label)
        _shade(ax, found)
    rivals = [(found.alone[name], *style) for name, style in WITHOUT.items()]
    for table, label, colour, dashes in rivals:
        left.plot(v, table.energies, color=colour, ls=dashes, lw=1.3, label=label)
        right.plot(v, table.pressures, color=colour, ls=dashes, lw=1.3, label=label)
    _band(left, v, found.energy(v), found.band(v))
    _band(right, v, found.pressure(v), found.pressure_band(v))
    for curve in found.curves[:MEMBERS] if len(found.curves) > 1 else ():
        left.plot(v, curve.energy(v), color=COLOURS[1], lw=0.5, alpha=0.6)
        right.plot(v, curve.pressure(v), color=COLOURS[1], lw=0.5, alpha=0.6)
    if exact is not None:
        left.plot(v, exact.energy(v), color=INK, ls=":", lw=1.4, label="truth")
        right.plot(v, exact.pressure(v), color=INK, ls=":", lw=1.4, label="truth")
    left.errorbar(problem.v, problem.e, 2 * problem.deviations, fmt="o", ms=4, color=INK, zorder=5, label="data")
    if problem.pressures is not None:
        right.plot(problem.v, problem.data["pressures"], "o", ms=4, color=INK, zorder=5, label="data")
    _limit(left, [found.energy(v), *([exact.energy(v)] if exact else [])])
    _limit(right, [found.pressure(v), *([exact.pressure(v)] if exact else [])])
    right.axhline(0, color=GREY, lw=0.6, zorder=0)
    figure.legend(*left.get_legend_handles_labels(), fontsize=SMALL, loc="outside upper center", ncols=3, frameon=False)
    return figure


def _shade(ax: Axes, found: Any) -> None:
    (low, high), v = found.problem.limits, found.problem.v
    for ends in ((low, v.min()), (v.max(), high)):
        ax.axvspan(*ends, color=SHADE, lw=0, zorder=-1)
    ax.set_xlim(low, high)


def _band(ax: Axes, v: Array, middle: Array, band: tuple[Array, Array]) -> None:
    ax.fill_between(v, *band, color=COLOURS[1], alpha=0.25, lw=0)
    ax.plot(v, middle, color=COLOURS[1], lw=2, label="with physics, and its 95 % band")


def _limit(ax: Axes, curves: list[Array]) -> None:
    """Limits by the curves that matter: what is continued without physics leaves the picture."""
    low, high = min(curve.min() for curve in curves), max(curve.max() for curve in curves)
    ax.set_ylim(low - MARGIN * (high - low), high + MARGIN * (high - low))


def _errors(found: Any) -> Figure:
    figure = blank(8.2, 3.9)
    ax = figure.subplots()
    v, problem, truth = found.shown, found.problem, found.problem.exact.energy(found.shown)
    tidy(ax, VOLUME, "distance from the true energy (meV)")
    _shade(ax, found)
    for name, (label, colour, dashes) in WITHOUT.items():
        ax.plot(v, 1e3 * (found.alone[name].energies - truth), color=colour, ls=dashes, lw=1.3, label=label)
    for name, (label, colour, dashes) in FORMS.items():
        if name in found.fits:
            off = found.fits[name].equation.energy(v) - truth
            ax.plot(v, 1e3 * off, color=colour, ls=dashes, lw=1.6, label=f"{label} fit")
    lower, upper = found.band(v)
    _band(ax, v, 1e3 * (found.energy(v) - truth), (1e3 * (lower - truth), 1e3 * (upper - truth)))
    noise = 1e3 * (problem.e - problem.exact.energy(problem.v))
    ax.plot(problem.v, noise, "o", ms=4, color=INK, label="data", zorder=5)
    ax.axhline(0, color=GREY, lw=0.8, zorder=0)
    ax.set_yscale("asinh", linear_width=1)
    ax.set_yticks(sorted({0, *DECADES, *(-np.array(DECADES))}))
    ax.yaxis.set_major_formatter("{x:g}")
    largest = max(float(np.abs(1e3 * (found.alone[name].energies - truth)).max()) for name in WITHOUT)
    ax.set_ylim(-2 * largest, 2 * largest)
    legend_beside(ax, markerscale=1)
    return figure


def _ways(found: Any) -> Iterator[tuple[str, Mapping[str, float], Mapping[str, float], str]]:
    """What has found the parameters, with values, deviations and a colour."""
    yield "network with physics", *found.parameters, COLOURS[1]
    for name, fit in found.fits.items():
        colour = COLOURS[3] if name.startswith("birch") else COLOURS[4]
        yield NAMES[name], fit.equation.parameters, fit.deviations, colour


def _parameters(found: Any) -> Figure:
    ways = list(_ways(found))
    figure = blank(9.6, 1.0 + 0.34 * len(ways))
    exact, known = found.problem.exact, found.problem.known
    told = {} if known is None else {"V0": known.v0, "B0": known.b0}
    for ax, (name, label) in zip(figure.subplots(1, 3, sharey=True), QUANTITIES.items(), strict=True):
        tidy(ax, label, "")
        true = exact.parameters[name] if exact is not None else told.get(name)
        if true is not None:
            ax.axvline(true, color=INK, lw=1, ls=":")
        for place, (_, values, deviations, colour) in enumerate(ways):
            ax.errorbar(values[name], place, xerr=2 * deviations[name], fmt="o", ms=5, lw=1.6, color=colour)
        ax.set_yticks(range(len(ways)), [way for way, *_ in ways])
        ax.set_ylim(len(ways) - 0.5, -0.5)
        ax.ticklabel_format(axis="x", useOffset=False)
        ax.locator_params(axis="x", nbins=4)
    return figure
