"""Energy–volume curves as networks with a linear head, and their least squares.

    E(V) = E₁ + u · features(ξ(V)) @ w,      ξ an affine function of V, or of (V₁/V)^(2/3) = 1 + 2f

f is Eulerian strain, V₁ and u = B₁ V₁ a volume and an energy of the solid's own size. With the features as they were
drawn every condition is linear in w. Its rows are divided by the standard deviation of what they say, so that

    χ²(w) = Σ over conditions ‖A w − b‖²

is twice the negative logarithm of the posterior density of w: its minimum is the curve, and A the deviation of all
that is read off it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from pinnkit.atoms.cohesion.equation_of_state import GPA, as_volumes
from pinnkit.errors import BadInput
from pinnkit.linear_algebra import leave_one_out
from pinnkit.networks import FeatureMap
from pinnkit.operators import Index

Array = NDArray[np.float64]
STRAIN, VOLUME = -2 / 3, 1.0  # powers of V/V₁ in which curves are written
HIGHEST = 4  # order of derivatives
ORDERS: Sequence[Index] = [(0,) * order for order in range(HIGHEST + 1)]
PLACES = 64  # at which a condition on the whole curve is asked for
HEAD = 1e3  # standard deviation of the head where physics holds it, in units of u
RIDGES = np.geomspace(1e-8, 1e4, 61)  # among which leave-one-out chooses where nothing else does
NEWTON = 50
ROUNDING = 1e-12  # relative, by which a volume may lie out of reach


class Rows(NamedTuple):
    """Linear equations A w = b, (m, P) and (m,), each divided by its standard deviation."""

    matrix: Tensor
    rhs: Tensor


@dataclass(frozen=True)
class Scale:
    """Volumes (Å³) between which the curve is wanted, V₁ (Å³), u (eV), E₁ (eV), and the power of V/V₁ that is ξ."""

    reach: tuple[float, float]
    volume: float
    energy: float
    origin: float
    power: float = STRAIN

    @property
    def half(self) -> float:
        """Half the length of the interval of (V/V₁)^power."""
        low, high = self._ends
        return abs(high - low) / 2

    @property
    def _ends(self) -> tuple[float, float]:
        low, high = ((end / self.volume) ** self.power for end in self.reach)
        return low, high

    def jets(self, volumes: Array, order: int) -> Tensor:
        """ξ and its derivatives by V, (order + 1, n, 1)."""
        rows, factor = [], 1.0
        for m in range(order + 1):
            rows.append(factor * (volumes / self.volume) ** (self.power - m) / (self.half * self.volume**m))
            factor *= self.power - m
        rows[0] = rows[0] - sum(self._ends) / (2 * self.half)
        return torch.as_tensor(np.stack(rows))[:, :, None]


@dataclass(frozen=True)
class Basis:
    """Features, and 1 beside them, as functions of the volume."""

    features: FeatureMap
    scale: Scale

    @property
    def width(self) -> int:
        return self.features.width + 1

    def design(self, volumes: Array, order: int = 0) -> Tensor:
        """u · features and its derivatives by V up to an order, (order + 1, n, P)."""
        return self.scale.energy * self._with_one(self.scale.jets(volumes, order))

    def fourth_strain_derivative(self) -> Tensor:
        """d⁴/df⁴ (u · features) at places over the whole reach, (n, P), of a curve in strain."""
        places = torch.zeros(HIGHEST + 1, PLACES, 1, dtype=torch.float64)
        places[0, :, 0] = torch.linspace(-1, 1, PLACES, dtype=torch.float64)
        places[1] = 1
        return self.scale.energy * (2 / self.scale.half) ** 4 * self._with_one(places)[4]

    def _with_one(self, jets: Tensor) -> Tensor:
        with torch.no_grad():
            values = self.features.jets(jets, ORDERS[: len(jets)])
        one = torch.zeros_like(values[:, :, :1])
        one[0] = 1
        return torch.cat([values, one], -1)


@dataclass(frozen=True)
class Curve:
    """E(V) with the head w (P,), and the triangular factor R of AᵀA = RᵀR (P, P)."""

    basis: Basis
    head: Tensor
    factor: Tensor

    @property
    def reach(self) -> tuple[float, float]:
        return self.basis.scale.reach

    def energy(self, volumes: ArrayLike) -> Array:
        """E (n,) in eV. Raises BadInput for volumes out of reach, as the next two do."""
        return self.derivatives(self._inside(volumes), 0)[0]

    def pressure(self, volumes: ArrayLike) -> Array:
        """P = −dE/dV (n,) in GPa."""
        return -GPA * self.derivatives(self._inside(volumes), 1)[1]

    def bulk_modulus(self, volumes: ArrayLike) -> Array:
        """B = V d²E/dV² (n,) in GPa."""
        v = self._inside(volumes)
        return GPA * v * self.derivatives(v, 2)[2]

    def energy_deviation(self, volumes: ArrayLike) -> Array:
        """The standard deviation of E (n,) in eV."""
        return self._deviation(self.basis.design(self._inside(volumes))[0])

    def pressure_deviation(self, volumes: ArrayLike) -> Array:
        """The standard deviation of P (n,) in GPa."""
        return GPA * self._deviation(self.basis.design(self._inside(volumes), 1)[1])

    def derivatives(self, volumes: Array, order: int) -> Array:
        """E and its derivatives by V, (order + 1, n), in eV and Å³."""
        values = (self.basis.design(volumes, order) @ self.head).numpy()
        values[0] += self.basis.scale.origin
        return np.asarray(values)

    def equilibrium(self, near: float) -> tuple[dict[str, float], dict[str, float]]:
        """E₀, V₀, B₀ = V₀ E″ and B₀′ = −1 − V₀ E‴/E″ at the minimum next to a volume, and their deviations.

        The deviations count that the minimum moves: δV₀ = −δE′/E″. Raises BadInput where there is no minimum.
        """
        v = self._minimum(near)
        e, _, e2, e3, e4 = self.derivatives(np.array([v]), HIGHEST)[:, 0].tolist()
        d, d1, d2, d3 = self.basis.design(np.array([v]), 3)[:, 0]
        moved = -d1 / e2
        of_b = v * d2 + (e2 + v * e3) * moved
        of_bp = v * e3 / e2**2 * d2 - v / e2 * d3 + (v * e3**2 / e2**2 - (e3 + v * e4) / e2) * moved
        found = {"E0": e, "V0": v, "B0": GPA * v * e2, "B0p": -1 - v * e3 / e2}
        spread = self._deviation(torch.stack([d, moved, GPA * of_b, of_bp])).tolist()
        return found, dict(zip(found, spread, strict=True))

    def _minimum(self, near: float) -> float:
        low, high = self.reach
        v = near
        for _ in range(NEWTON):
            _, slope, bend = self.derivatives(np.array([v]), 2)[:, 0].tolist()
            if not bend > 0:
                break
            step = -slope / bend
            v += max(min(step, 0.1 * v), -0.1 * v)
            if not low < v < high:
                break
            if abs(step) < 1e-10 * v:
                return v
        what = f"the curve has no minimum next to {near:.4g} Å³"
        raise BadInput("volumes", what, "check units and signs, give volumes on both sides, or V₀ and B₀ as known")

    def _deviation(self, functionals: Tensor) -> Array:
        """Of linear functionals (n, P) of the head: ‖R⁻ᵀ g‖."""
        solved = torch.linalg.solve_triangular(self.factor.mT, functionals.mT, upper=False)
        return np.asarray(solved.norm(dim=0))

    def _inside(self, volumes: ArrayLike) -> Array:
        v, (low, high) = as_volumes(volumes), self.reach
        outside = (v < low * (1 - ROUNDING)) | (v > high * (1 + ROUNDING))
        if outside.any():
            what = f"{v[outside][0]:.6g} Å³ is outside of {low:.6g} to {high:.6g} Å³, where the curve was made"
            raise BadInput("volumes", what, "stay inside, or widen problem.reach")
        return v

    def to_plain(self) -> dict[str, Any]:
        return {"head": self.head, "factor": self.factor, "scale": vars(self.basis.scale)}

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any], features: FeatureMap) -> "Curve":
        """With the features that it was made with."""
        scale = {**plain["scale"], "reach": tuple(plain["scale"]["reach"])}
        return cls(Basis(features, Scale(**scale)), plain["head"], plain["factor"])


def solved(basis: Basis, conditions: Mapping[str, Rows], draw: np.random.Generator | None = None) -> Curve:
    """The curve of the least χ², by one QR factorisation.

    With a `draw` every right-hand side is moved by its standard deviation, the head's prior included, which makes the
    head a sample of the posterior (Bardsley et al. 2014, *Randomize-then-optimize*).
    """
    prior = Rows(torch.eye(basis.width, dtype=torch.float64) / HEAD, torch.zeros(basis.width, dtype=torch.float64))
    matrix, rhs = _stacked([*conditions.values(), prior])
    if draw is not None:
        rhs = rhs + torch.as_tensor(draw.normal(size=len(rhs)))
    return _least_squares(basis, matrix, rhs)


def smoothed(basis: Basis, data: Rows, sure: Sequence[Rows] = ()) -> Curve:
    """The curve without physics: a ridge on the head, chosen by leave-one-out on the data.

    `sure` are conditions that are never left out.
    """
    ridges = torch.as_tensor(RIDGES)[:, None] * torch.ones(basis.width, dtype=torch.float64)
    none = Rows(data.matrix[:0], data.rhs[:0])
    kept = _stacked([none, *sure])
    scores = leave_one_out(kept.matrix, data.matrix, kept.rhs, data.rhs, ridges)
    ridge = Rows(torch.diag(ridges[int(scores.argmin())]), torch.zeros(basis.width, dtype=torch.float64))
    return _least_squares(basis, *_stacked([data, *sure, ridge]))


def _stacked(rows: Sequence[Rows]) -> Rows:
    return Rows(torch.cat([one.matrix for one in rows]), torch.cat([one.rhs for one in rows]))


def _least_squares(basis: Basis, matrix: Tensor, rhs: Tensor) -> Curve:
    q, upper = torch.linalg.qr(matrix)
    head = torch.linalg.solve_triangular(upper, (q.mT @ rhs)[:, None], upper=True)[:, 0]
    return Curve(basis, head, upper)


def conditions_of_data(
    basis: Basis, volumes: Array, energies: Array, sigma: Array, pressures: Array | None, pressure_sigma: Array
) -> dict[str, Rows]:
    """E(Vᵢ) = Eᵢ ± σᵢ, and −dE/dV = Pᵢ where pressures (GPa) were measured too."""
    value, slope = basis.design(volumes, 1)
    rows = {"data": _rows(value, energies - basis.scale.origin, sigma)}
    if pressures is not None:
        rows["pressure"] = _rows(-GPA * slope, pressures, pressure_sigma)
    return rows


def conditions_at_equilibrium(
    basis: Basis, v0: float, b0: float, v0_accuracy: float, b0_accuracy: float
) -> dict[str, Rows]:
    """dE/dV = 0 and V₀ d²E/dV² = B₀ at V₀.

    V₀ off by the relative accuracy makes dE/dV there B₀ times that, which is what it may be off zero.
    """
    _, slope, bend = GPA * basis.design(np.array([v0]), 2)
    return {
        "slope": _rows(slope, np.zeros(1), np.array([b0 * v0_accuracy])),
        "bulk_modulus": _rows(v0 * bend, np.array([b0]), np.array([b0 * b0_accuracy])),
    }


def condition_of_finite_strain(basis: Basis, departure: float) -> dict[str, Rows]:
    """d⁴E/df⁴ = 0 over the whole reach, to within `departure` (root mean square) times 108 B₁ V₁.

    In E = E₀ + (9/2) B₀ V₀ f² (1 + (B₀′ − 4) f + c f²) it is 24 (9/2) B₀ V₀ c: `departure` is the size of c.
    """
    deviation = np.full(PLACES, 108 * basis.scale.energy * departure * PLACES**0.5)
    return {"finite_strain": _rows(basis.fourth_strain_derivative(), np.zeros(PLACES), deviation)}


def _rows(matrix: Tensor, rhs: Array, deviation: Array) -> Rows:
    weight = torch.as_tensor(1 / deviation)
    return Rows(matrix * weight[:, None], torch.as_tensor(rhs) * weight)
