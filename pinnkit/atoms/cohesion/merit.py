"""Figures of merit of an energy–volume curve (`study.EnergyCurve`)."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pinnkit.atoms.cohesion.equation_of_state import EquationOfState, Fit
from pinnkit.calibration import coverage
from pinnkit.evaluation import relative_l2
from pinnkit.finding import usual_metrics
from pinnkit.settings import Committee

Array = NDArray[np.float64]
TRUSTED = 2e-2
IMPLAUSIBLE = 1e-4  # probability of so large a χ² of the data
LEVEL = 0.95
WITHOUT = ("data_only", "tanh_network")  # networks that know no physics at all


def metrics(found: Any, seconds: float) -> dict[str, Any]:
    """All of them; `relative_l2` is that of E − E₀ over the whole reach."""
    problem, v, exact = found.problem, found.shown, found.problem.exact
    energy = found.energy(v)
    values, deviations = found.parameters
    chi = float(np.sum(((found.energy(problem.v) - problem.e) / problem.deviations) ** 2))
    truth = None if exact is None else exact.energy(v)
    error = None if truth is None or exact is None else relative_l2(energy - exact.e0, truth - exact.e0)
    usual = usual_metrics(
        problem, found.settings, seconds=seconds, points=len(problem.v), relative_l2=error,
        parameters=sum(len(curve.head) for curve in found.curves),
        max_error=None if truth is None else float(np.abs(energy - truth).max()),
        reference="none" if truth is None else "exact", error_estimate=None if truth is None else 0.0,
        verdict=_verdict(found, error, chi), stop_reason="head solved",
    )  # fmt: skip
    return {
        **usual, "equilibrium": values, "deviations": deviations, "parameters_error": _errors(values, exact),
        "known": None if problem.known is None else vars(problem.known), "chi_squared": chi, "reach": [*problem.limits],
        **_beyond(found, truth), "fits": {name: _told(found, one, truth) for name, one in found.fits.items()},
        "coverage": _coverage(found),
    }  # fmt: skip


def _errors(values: Mapping[str, float], exact: EquationOfState | None) -> dict[str, float] | None:
    """|relative errors| of V0, B0 and B0p."""
    if exact is None:
        return None
    return {name: abs(values[name] / exact.parameters[name] - 1) for name in ("V0", "B0", "B0p")}


def _verdict(found: Any, error: float | None, chi: float) -> str:
    from scipy.special import chdtrc

    if chdtrc(len(found.problem.v), chi) < IMPLAUSIBLE:
        what = "contradict the known V0 and B0" if found.problem.known else "are missed: check sigma, units and signs"
        return f"untrusted: the data {what}, chi squared is {chi:.3g} of {len(found.problem.v)}"
    tolerance = found.settings.tolerance or TRUSTED
    if error is None:
        return "untrusted: there is no reference to compare with"
    if not error <= tolerance:
        return f"untrusted: the error is {error:.1e} of the energy above the minimum, beyond {tolerance:.1e}"
    return "trusted"


def _beyond(found: Any, truth: Array | None) -> dict[str, Any]:
    """Errors (eV, root mean square) outside of the data, and how many times physics makes them smaller."""
    if truth is None or not found.beyond.any():
        return {"extrapolation_error": None, "alone": None, "extrapolation_gain": None}
    own = _rmse(found, found.energy(found.shown), truth)
    alone = {name: _rmse(found, one.energies, truth) for name, one in found.alone.items()}
    gain = min(alone[name] for name in WITHOUT) / own
    return {"extrapolation_error": own, "alone": alone, "extrapolation_gain": gain}


def _rmse(found: Any, energies: Array, truth: Array) -> float:
    return float(np.sqrt(np.mean((energies - truth)[found.beyond] ** 2)))


def _told(found: Any, one: Fit, truth: Array | None) -> dict[str, Any]:
    """A fitted closed form, as metrics tell it."""
    energies = one.equation.energy(found.shown)
    outside = None if truth is None or not found.beyond.any() else _rmse(found, energies, truth)
    return {**one.equation.parameters, "deviations": dict(one.deviations), "rmse": one.rmse,
            "error": _errors(one.equation.parameters, found.problem.exact),
            "extrapolation_error": outside}  # fmt: skip


def _coverage(found: Any) -> dict[str, float | None]:
    """The shares of the reach in which bands hold the truth."""
    task, v, exact = found.settings.task, found.shown, found.problem.exact
    level = task.level if isinstance(task, Committee) else LEVEL
    if exact is None:
        return {"nominal": level, "energy": None, "pressure": None}
    energy, pressure = found.band(v, level), found.pressure_band(v, level)
    shares = {"energy": _share(energy, exact.energy(v)), "pressure": _share(pressure, exact.pressure(v))}
    return {"nominal": level, **shares}


def _share(band: tuple[Array, Array], truth: Array) -> float:
    lower, upper = band
    return coverage(truth - (lower + upper) / 2, (upper - lower) / 2)


def lines(metrics: Mapping[str, Any]) -> list[str]:
    """What a summary says of an energy–volume curve."""
    errors, said = metrics["parameters_error"], []
    for name, unit in {"V0": " Å³", "B0": " GPa", "B0p": ""}.items():
        off = "" if errors is None else f"   (off by {100 * errors[name]:.2g} %)"
        said.append(f"  {name:<18} {metrics['equilibrium'][name]:.6g} ± {metrics['deviations'][name]:.2g}{unit}{off}")
    if metrics["extrapolation_gain"] is not None:
        own = metrics["extrapolation_error"]
        alone = 1e3 * own * metrics["extrapolation_gain"]
        said.append(f"  outside the data   {1e3 * own:.3g} meV off   (without physics: {alone:.3g} meV)")
    return said
