"""Figures of a learned potential: parity, motion, symmetry, and what the committee knows of its errors."""

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from pinnkit.atoms.potentials.symmetry import INVARIANT, RAW
from pinnkit.drawing import COLOURS, GREY, INK, SMALL, blank, tidy

Array = NDArray[np.float64]
COLOUR = {INVARIANT: COLOURS[1], RAW: COLOURS[0]}
MARKER = {INVARIANT: "o", RAW: "s"}


def figures(found: Any) -> dict[str, Figure]:
    """The figures of a study.LearnedPotential by name."""
    evidence, metrics = found.evidence, found.metrics
    relative = metrics["force_rmse_relative"]
    forces = "forces that do not vary" if relative is None else f"RMSE {relative:.2%} of the standard deviation"
    energies = f"RMSE {metrics['energy_rmse_mev_per_atom']:.2g} meV per atom"
    drawn = {
        "solution": _parity(evidence.errors.forces, "force", "eV/Å", forces),
        "truth": _parity(evidence.errors.energies, "energy", "eV per atom", energies),
    }
    if len(evidence.times):
        drawn["drift"] = _drift(evidence)
    if evidence.contrast is not None:
        drawn["symmetry"] = _symmetry(evidence.contrast)
    if np.any(evidence.force_spreads > 0) and np.any(evidence.force_errors > 0):
        drawn["spread"] = _spread(evidence.force_errors, evidence.force_spreads, metrics["rank_correlation"])
    return drawn


def _parity(values: tuple[Array, Array], quantity: str, unit: str, told: str) -> Figure:
    """Predicted against true values, and their differences below on a scale of their own."""
    predicted, truth = values
    figure = blank(4.4, 5.2)
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=[3, 1])
    tidy(above, "", f"predicted {quantity} ({unit})")
    tidy(below, f"true {quantity} ({unit})", f"difference\n({unit})")
    ends = [min(truth.min(), predicted.min()), max(truth.max(), predicted.max())]
    above.plot(ends, ends, color=GREY, lw=0.8, zorder=0)
    below.axhline(0, color=GREY, lw=0.8, zorder=0)
    style: dict[str, Any] = {"ls": "none", "marker": "o", "ms": 2.5, "alpha": 0.5, "mew": 0, "color": COLOURS[1]}
    above.plot(truth, predicted, **style)
    below.plot(truth, predicted - truth, **style)
    above.set_title(told, size=SMALL, loc="left")
    below.ticklabel_format(axis="y", style="sci", scilimits=(-2, 3))
    below.yaxis.get_offset_text().set_size(SMALL)
    return figure


def _drift(evidence: Any) -> Figure:
    """How far the total energy is from where it began; below, on its own scale, where it is kept."""
    figure = blank(6.4, 4.6)
    above, below = figure.subplots(2, 1, sharex=True)
    tidy(above, "", "change of the\nenergy (meV/atom)")
    tidy(below, "time (ps)", "change of the\nenergy (meV/atom)")
    kept, lost = evidence.drifts
    above.plot(evidence.direct_times, evidence.direct - evidence.direct[0], color=COLOURS[0], lw=1.4)
    above.plot(evidence.times, evidence.conserved - evidence.conserved[0], color=COLOURS[1], lw=1.4)
    below.plot(evidence.times, evidence.conserved - evidence.conserved[0], color=COLOURS[1], lw=0.9)
    told = f"drift {lost:.1e} meV/atom/ps" if np.isfinite(lost) else "atoms fly apart at once"
    _titled(above, f"forces without an energy: {told}", COLOURS[0])
    _titled(below, f"forces as derivatives of the energy: drift {kept:.1e} meV/atom/ps; a scale of its own", COLOURS[1])
    below.ticklabel_format(axis="y", style="sci", scilimits=(-2, 3))
    below.yaxis.get_offset_text().set_size(SMALL)
    return figure


def _titled(ax: Axes, text: str, colour: str) -> None:
    ax.set_title(text, size=SMALL, loc="left", color=colour)


def _symmetry(contrast: Any) -> Figure:
    """Errors by number of structures, and energies of one cluster turned round."""
    figure = blank(8.4, 3.6)
    left, right = figure.subplots(1, 2)
    tidy(left, "clusters to learn from", "error of forces / their spread")
    tidy(right, "angle by which a cluster is turned (°)", "energy (eV)")
    for name in (INVARIANT, RAW):
        style: dict[str, Any] = {"color": COLOUR[name], "label": name}
        left.loglog(contrast.sizes, contrast.errors[name], marker=MARKER[name], ms=4, lw=1.6, **style)
        right.plot(contrast.angles, contrast.turned[name], lw=1.8, **style)
    right.axhline(contrast.truth, color=INK, lw=1.2, ls=":", label="truth", zorder=5)
    left.axhline(1, color=GREY, lw=0.8, ls="--")
    left.text(contrast.sizes[0], 1.08, "as bad as no forces at all", size=SMALL, color=GREY, va="bottom")
    right.set_xticks([0, 90, 180, 270, 360])
    right.legend(frameon=False, fontsize=SMALL)
    left.legend(frameon=False, fontsize=SMALL)
    sums = contrast.sum_of_forces
    told = f"sum of forces / their spread: {sums[INVARIANT]:.0e} and {sums[RAW]:.1g}"
    left.set_title(told, size=SMALL, loc="left")
    return figure


def _spread(errors: Array, spreads: Array, correlation: float | None) -> Figure:
    """Of forces on atoms, on logarithmic scales, with medians of ten equal parts."""
    figure = blank(4.6, 4.2)
    ax = figure.subplots()
    tidy(ax, "disagreement of the committee (eV/Å)", "error of the force (eV/Å)")
    ax.loglog(spreads, errors, ls="none", marker="o", ms=2.5, alpha=0.35, mew=0, color=COLOURS[1], label="one atom")
    parts = np.array_split(np.argsort(spreads), min(10, len(spreads)))
    middle = [(float(np.median(spreads[part])), float(np.median(errors[part]))) for part in parts]
    ax.loglog(*np.array(middle).T, marker="D", ms=5, lw=1.4, color=COLOURS[0], label="median of a tenth")
    ends = np.array([spreads.min(), spreads.max()])
    ax.loglog(ends, ends, color=GREY, lw=0.9, label="error = disagreement")
    ax.legend(frameon=False, fontsize=SMALL)
    if correlation is not None:
        ax.set_title(f"rank correlation {correlation:.2f}", size=SMALL, loc="left")
    return figure
