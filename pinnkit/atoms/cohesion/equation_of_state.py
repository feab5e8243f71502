"""Closed forms of the energy of a solid over its volume, and least-squares fits of them.

Birch–Murnaghan, third order in the Eulerian strain f = ½ [(V₀/V)^(2/3) − 1] (Birch 1947, *Finite elastic strain of
cubic crystals*):

    E = E₀ + (9/2) B₀ V₀ f² [1 + (B₀′ − 4) f],      P = 3 B₀ f (1 + 2f)^(5/2) [1 + (3/2) (B₀′ − 4) f],

a cubic polynomial in V^(−2/3). Vinet, Ferrante, Rose & Smith 1987, *Compressibility of solids*, with y = (V/V₀)^(1/3)
and η = (3/2) (B₀′ − 1):

    E = E₀ + 9 B₀ V₀/η² · {1 − [1 − η (1 − y)] e^(η (1 − y))},      P = 3 B₀ (1 − y)/y² · e^(η (1 − y)).

In both B = −V dP/dV, B(V₀) = B₀, and dB/dP = B₀′ at V₀. Volumes are in Å³ and energies in eV, of the same number of
atoms; pressures and bulk moduli are in GPa.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pinnkit.errors import BadInput

Array = NDArray[np.float64]
GPA = 160.21766208  # 1 eV/Å³
NAMES = ("E0", "V0", "B0", "B0p")
LEAST_B0P = 1.5
FEWEST = 5  # different volumes of a fit: four parameters, and something left to judge it by


def as_volumes(volumes: ArrayLike, key: str = "volumes") -> Array:
    """Raises BadInput for what is no array of finite, positive numbers."""
    try:
        array = np.atleast_1d(np.asarray(volumes, dtype=float))
    except (TypeError, ValueError):
        raise BadInput(key, "they are not numbers", "give volumes in Å³") from None
    wrong = ~(np.isfinite(array) & (array > 0))
    if wrong.any():
        raise BadInput(key, f"one is {array[wrong][0]:g} Å³", "volumes are finite and > 0")
    return array


@dataclass(frozen=True)
class EquationOfState(ABC):
    """E₀ (eV), V₀ (Å³), B₀ (GPa) and B₀′. Raises BadInput where no solid has them."""

    e0: float
    v0: float
    b0: float
    b0p: float

    def __post_init__(self) -> None:
        for name in ("v0", "b0"):
            if not (math.isfinite(value := getattr(self, name)) and value > 0):
                raise BadInput(name, f"it is {value}", "it must be finite and > 0")
        if not math.isfinite(self.e0):
            raise BadInput("e0", f"it is {self.e0}", "it must be finite")
        if not (math.isfinite(self.b0p) and self.b0p > 1):
            raise BadInput("b0p", f"it is {self.b0p}", "it must be finite and > 1; of solids it is 2 to 8")

    @property
    def parameters(self) -> dict[str, float]:
        """By the names E0, V0, B0, B0p."""
        return dict(zip(NAMES, asdict(self).values(), strict=True))

    def energy(self, volumes: ArrayLike) -> Array:
        """E (n,) in eV. Raises BadInput for volumes that are not > 0, as the next two do."""
        return self._energy(as_volumes(volumes))

    def pressure(self, volumes: ArrayLike) -> Array:
        """P = −dE/dV (n,) in GPa."""
        return self._pressure(as_volumes(volumes))

    def bulk_modulus(self, volumes: ArrayLike) -> Array:
        """B = −V dP/dV (n,) in GPa."""
        return self._bulk_modulus(as_volumes(volumes))

    @abstractmethod
    def _energy(self, v: Array) -> Array: ...

    @abstractmethod
    def _pressure(self, v: Array) -> Array: ...

    @abstractmethod
    def _bulk_modulus(self, v: Array) -> Array: ...


class BirchMurnaghan(EquationOfState):
    """Of third order."""

    def _strain(self, v: Array) -> Array:
        return np.asarray(((self.v0 / v) ** (2 / 3) - 1) / 2)

    def _energy(self, v: Array) -> Array:
        f = self._strain(v)
        return self.e0 + 4.5 * self.b0 / GPA * self.v0 * f**2 * (1 + (self.b0p - 4) * f)

    def _pressure(self, v: Array) -> Array:
        f = self._strain(v)
        return 3 * self.b0 * f * (1 + 2 * f) ** 2.5 * (1 + 1.5 * (self.b0p - 4) * f)

    def _bulk_modulus(self, v: Array) -> Array:
        f = self._strain(v)
        return self.b0 * (1 + 2 * f) ** 2.5 * (1 + (3 * self.b0p - 5) * f + 13.5 * (self.b0p - 4) * f**2)


class Vinet(EquationOfState):
    """With the exponential decay of metallic cohesion."""

    def _parts(self, v: Array) -> tuple[float, Array, Array, Array]:
        eta, y = 1.5 * (self.b0p - 1), np.asarray((v / self.v0) ** (1 / 3))
        return eta, y, 1 - y, np.exp(eta * (1 - y))

    def _energy(self, v: Array) -> Array:
        eta, _, s, decay = self._parts(v)
        return self.e0 + 9 * self.b0 / GPA * self.v0 / eta**2 * (1 - (1 - eta * s) * decay)

    def _pressure(self, v: Array) -> Array:
        _, y, s, decay = self._parts(v)
        return 3 * self.b0 * s / y**2 * decay

    def _bulk_modulus(self, v: Array) -> Array:
        eta, y, s, decay = self._parts(v)
        return self.b0 / y**2 * (1 + (eta * y + 1) * s) * decay


FORMS: Mapping[str, type[EquationOfState]] = {"birch_murnaghan": BirchMurnaghan, "vinet": Vinet}


@dataclass(frozen=True)
class Known:
    """V₀ (Å³) and B₀ (GPa) as measured elsewhere, with their relative standard deviations."""

    v0: float
    b0: float
    v0_accuracy: float = 1e-4
    b0_accuracy: float = 1e-3

    def __post_init__(self) -> None:
        for name, value in asdict(self).items():
            if not (math.isfinite(value) and value > 0):
                raise BadInput(name, f"it is {value}", "it must be finite and > 0")

    def misses(self, v0: float, b0: float) -> list[float]:
        """Distances from them, in standard deviations."""
        return [(v0 / self.v0 - 1) / self.v0_accuracy, (b0 / self.b0 - 1) / self.b0_accuracy]


@dataclass(frozen=True)
class Fit:
    """A closed form fitted to data, the standard deviations of its parameters, and what it leaves (eV, rms)."""

    equation: EquationOfState
    deviations: Mapping[str, float]
    rmse: float


def fit(
    form: type[EquationOfState], volumes: ArrayLike, energies: ArrayLike, sigma: ArrayLike | None = None,
    known: Known | None = None,
) -> Fit:  # fmt: skip
    """The closed form of the least Σ ((E(Vᵢ) − Eᵢ)/σᵢ)², and of the squares of what it is off `known`, if given.

    Deviations are those of linear error propagation, by sigma (n,) or one for all; where that is None, by what the fit
    leaves. Raises BadInput for too few volumes; and, unless `known` says where the minimum is, for none between them.
    """
    from scipy.optimize import least_squares  # it takes a moment to import

    v, e = as_volumes(volumes), np.asarray(energies, dtype=float)
    start = BirchMurnaghan(float(e.min()), known.v0, known.b0, 4.5) if known else guess(v, e)
    spread = np.broadcast_to(np.asarray(1.0 if sigma is None else sigma, dtype=float), e.shape)
    size = np.array([start.b0 / GPA * start.v0, start.v0, start.b0, 4.0])

    def misses(scaled: Array) -> Array:
        p = dict(zip(("e0", "v0", "b0", "b0p"), (start.e0, 0, 0, 0) + size * scaled, strict=True))
        if not (p["v0"] > 0 and p["b0"] > 0 and p["b0p"] > 1):
            return np.full(len(e) + 2 * (known is not None), 1e6 / float(spread.min()))
        rows = (form(**p).energy(v) - e) / spread
        return np.concatenate([rows, known.misses(p["v0"], p["b0"])]) if known else rows

    begin = np.array([0.0, 1.0, 1.0, start.b0p / 4])
    found = least_squares(misses, begin, jac="3-point", xtol=1e-14, ftol=1e-14, gtol=1e-14)
    e0, v0, b0, b0p = ((start.e0, 0, 0, 0) + size * found.x).tolist()
    equation = form(e0, v0, b0, b0p)
    left = equation.energy(v) - e
    scatter = 1.0 if sigma is not None else math.sqrt(float(left @ left) / (len(e) - 4))
    upper = np.linalg.qr(found.jac, mode="r")
    deviations = scatter * size * np.linalg.norm(np.linalg.pinv(upper), axis=1)
    return Fit(equation, dict(zip(NAMES, deviations.tolist(), strict=True)), math.sqrt(float(np.mean(left**2))))


def guess(volumes: Array, energies: Array) -> BirchMurnaghan:
    """The Birch–Murnaghan curve of least squares, a cubic in V^(−2/3), with its minimum among the volumes.

    B₀′ is at least LEAST_B0P, however the scatter of the energies would have it.

    Raises BadInput for fewer than five different volumes, and where no minimum lies between them.
    """
    if len(np.unique(volumes)) < FEWEST:
        what = f"there are {len(np.unique(volumes))} different ones"
        raise BadInput("volumes", what, f"give at least {FEWEST}")
    unit = float(np.median(volumes))
    x = (unit / volumes) ** (2 / 3)
    cubic = np.polynomial.Polynomial.fit(x, energies, 3).convert()
    slope, bend, third = cubic.deriv(1), cubic.deriv(2), cubic.deriv(3)
    minima = [float(r.real) for r in slope.roots() if abs(r.imag) < 1e-12 and bend(r.real) > 0]
    minima = [r for r in minima if x.min() <= r <= x.max()]
    if not minima:
        what = f"the energies have no minimum between {volumes.min():.4g} and {volumes.max():.4g} Å³"
        raise BadInput("volumes", what, "give volumes on both sides of it, or V₀ and B₀ as known")
    least = minima[0]
    v0 = unit / least**1.5
    curvature = float(bend(least)) * 4 * least**2  # d²E/df² = 9 B₀ V₀, with x = x₀ (1 + 2f)
    b0p = 4 + float(third(least)) * 8 * least**3 / (3 * curvature)
    return BirchMurnaghan(float(cubic(least)), v0, curvature / (9 * v0) * GPA, max(b0p, LEAST_B0P))
