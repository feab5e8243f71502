"""What energies alone say of an energy–volume curve: networks without physics, and closed forms."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pinnkit.atoms.cohesion.equation_of_state import FORMS, GPA, Fit, Known, fit
from pinnkit.atoms.cohesion.network import VOLUME, Basis, Rows, conditions_of_data, smoothed
from pinnkit.errors import BadInput

Array = NDArray[np.float64]
NEURONS = 16
DECAYS = np.geomspace(1e-2, 1e2, 9)
EVALUATIONS = 100


@dataclass(frozen=True)
class Table:
    """A curve by its values (n,): volumes (Å³), energies (eV) and pressures (GPa)."""

    volumes: Array
    energies: Array
    pressures: Array


def tables(
    basis: Basis, data: Mapping[str, Any], sure: Mapping[str, Rows], volumes: Array, seed: int
) -> dict[str, Table]:
    """Networks without physics, at volumes (n,).

    `data_only`: the same features of the volume, and the loss of the data alone; `strain_only`: the same of the strain,
    in which the network with physics is written; `equilibrium_only`: with the conditions at V₀ besides, if there are
    any; `tanh_network`: one layer of tanh, of which all parameters are trained. Each has the ridge that leave-one-out
    prefers.
    """
    plain = replace(basis, scale=replace(basis.scale, power=VOLUME))
    curves = {
        "data_only": smoothed(plain, conditions_of_data(plain, **data)["data"]),
        "strain_only": smoothed(basis, conditions_of_data(basis, **data)["data"]),
    }
    if sure:
        curves["equilibrium_only"] = smoothed(basis, conditions_of_data(basis, **data)["data"], [*sure.values()])
    found = {name: Table(volumes, one.energy(volumes), one.pressure(volumes)) for name, one in curves.items()}
    trained = tanh_network(data["volumes"], data["energies"], data["sigma"], basis.scale.reach, seed)
    return {**found, "tanh_network": trained(volumes)}


class _Layer:
    """y = c + Σ w tanh(a x + b) with the parameters (c, a, b, w) in one vector θ."""

    @staticmethod
    def value(theta: Array, x: Array) -> Array:
        a, b, w = theta[1:].reshape(3, NEURONS)
        return np.asarray(theta[0] + np.tanh(x[:, None] * a + b) @ w)

    @staticmethod
    def slope(theta: Array, x: Array) -> Array:
        a, b, w = theta[1:].reshape(3, NEURONS)
        return np.asarray((1 - np.tanh(x[:, None] * a + b) ** 2) @ (a * w))

    @staticmethod
    def jacobian(theta: Array, x: Array) -> Array:
        a, b, w = theta[1:].reshape(3, NEURONS)
        hidden = np.tanh(x[:, None] * a + b)
        by_b = w * (1 - hidden**2)
        return np.concatenate([np.ones_like(x)[:, None], by_b * x[:, None], by_b, hidden], 1)


def tanh_network(
    volumes: Array, energies: Array, sigma: Array, reach: tuple[float, float], seed: int
) -> Callable[[Array], Table]:
    """E = offset + size · y(x), x from −1 to 1 over the reach, all parameters trained by Levenberg–Marquardt.

    They decay towards zero, as strongly as the linearised leave-one-out error of the data asks for.
    """
    from scipy.optimize import least_squares  # it takes a moment to import

    low, high = reach
    offset, size = float(energies.mean()), float(energies.std()) or 1.0
    wanted, accuracy = (energies - offset) / size, sigma / size
    begin = np.random.default_rng([seed, 31]).uniform(-1.5, 1.5, 3 * NEURONS + 1)

    def place(v: Array) -> Array:
        return np.asarray((2 * v - low - high) / (high - low))

    x = place(volumes)

    def trained(decay: float) -> tuple[float, Array]:
        def misses(theta: Array) -> Array:
            return np.concatenate([(_Layer.value(theta, x) - wanted) / accuracy, decay * theta])

        def jacobian(theta: Array) -> Array:
            return np.concatenate([_Layer.jacobian(theta, x) / accuracy[:, None], decay * np.eye(len(theta))])

        found = least_squares(misses, begin, jacobian, method="lm", max_nfev=EVALUATIONS)
        basis, _ = np.linalg.qr(found.jac)
        leverage = (basis[: len(x)] ** 2).sum(1)
        missed = found.fun[: len(x)] / np.maximum(1 - leverage, 1e-12)
        return float(np.mean(missed**2)), found.x

    _, theta = min((trained(decay) for decay in DECAYS), key=lambda one: one[0])

    def table(v: Array) -> Table:
        y, slope = _Layer.value(theta, place(v)), _Layer.slope(theta, place(v))
        return Table(v, offset + size * y, -GPA * size * slope * 2 / (high - low))

    return table


def fits(volumes: Array, energies: Array, sigma: ArrayLike | None, known: Known | None) -> dict[str, Fit]:
    """Closed forms by name, and with the suffix _given those that V₀ and B₀ were told; none where none can be had."""
    found = {}
    for name, form in FORMS.items():
        for suffix, told in {"": None, **({"_given": known} if known else {})}.items():
            try:
                found[name + suffix] = fit(form, volumes, energies, sigma, told)
            except BadInput:  # no minimum among the data, or parameters that the form does not allow
                continue
    return found
