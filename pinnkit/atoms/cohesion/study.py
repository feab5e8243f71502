"""The energy of a solid over its volume, learned from a few energies and from what physics knows of the curve.

The posterior of a network's head (`network`) under these conditions, each with its standard deviation:

    data            E(Vᵢ) = Eᵢ                     ± σᵢ
    pressure        −dE/dV = Pᵢ                    ± its own, where pressures were measured
    slope           dE/dV = 0 at V₀                ± B₀ · accuracy of V₀        where V₀ and B₀ are known
    bulk_modulus    V₀ d²E/dV² = B₀ at V₀          ± B₀ · accuracy of B₀        likewise
    finite_strain   d⁴E/df⁴ = 0 over the reach     ± 108 B₀V₀ · departure

so that λ = 1/deviation² in the loss Σ ((E − Eᵢ)/σᵢ)² + λ_d (dE/dV)² + λ_b (V₀ d²E/dV² − B₀)² + …. The last one is what
compressed solids have shown: in Eulerian strain f energies are nearly cubic (Birch 1947). Other established curves
depart from that, Vinet's by 0.8 to 1.6 (root mean square from 0.7 to 1.4 V₀, B₀′ from 3.5 to 6.5); hence the default.

The features stay as they are drawn, so that one QR factorisation trains the head and gives its posterior. A `Problem`
does not serve here: its conditions have relative weights, where these have deviations in units of their own, and a
curve without an equation in the interior is none of its solutions.
"""

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pinnkit.assembly import network
from pinnkit.atoms.cohesion import merit
from pinnkit.atoms.cohesion.baselines import Table, fits, tables
from pinnkit.atoms.cohesion.equation_of_state import FEWEST, GPA, EquationOfState, Fit, Known, as_volumes, guess
from pinnkit.atoms.cohesion.network import (
    ROUNDING,
    Basis,
    Curve,
    Rows,
    Scale,
    condition_of_finite_strain,
    conditions_at_equilibrium,
    conditions_of_data,
    solved,
)
from pinnkit.calibration import normal_half_width, students_half_width
from pinnkit.errors import BadInput
from pinnkit.finding import Finding
from pinnkit.measurements import read_named
from pinnkit.settings import Committee, Settings, Solve, Task
from pinnkit.study import Study

Array = NDArray[np.float64]
Read = Callable[[Curve, ArrayLike], Array]  # of a curve at volumes (n,)
REACH = (0.7, 1.4)
SMALLEST, LARGEST = 0.1, 10.0  # of its ends
DEPARTURE = 1.5
SLOPE = 1.5  # of sines: of 1, 1.5, 2, 3, 4, 6 the one with which energies alone, in strain, are continued best
LEAST = 1e-6  # eV, below which no deviation of energies is believed
SHOWN = 701  # volumes at which curves are compared
COLUMNS = {"volume": "volumes", "energy": "energies", "sigma": "sigma", "pressure": "pressures",
           "pressure_sigma": "pressure_sigma"}  # fmt: skip


@dataclass(frozen=True, eq=False)
class CohesiveEnergy(Study):
    """Energies (n,) in eV at volumes (n,) in Å³, both of the same number of atoms, and what else is known.

    `sigma` are standard deviations of energies, one for all or (n,); None: their scatter about a Birch–Murnaghan curve.
    `pressures` (n,) in GPa, if measured, have the deviation `pressure_sigma`. The curve is made between the volumes
    reach · V₀. `exact` is the truth of generated data.
    """

    tasks: ClassVar[tuple[type[Task], ...]] = (Solve, Committee)
    uses: ClassVar[tuple[str, ...]] = (
        "network.name", "network.layers", "network.frequencies", "network.activation", "network.slope", "network.draw",
        "task.members", "task.level",
    )  # fmt: skip

    volumes: ArrayLike
    energies: ArrayLike
    sigma: ArrayLike | None = None
    pressures: ArrayLike | None = None
    pressure_sigma: ArrayLike = 0.1
    known: Known | None = None
    reach: tuple[float, float] = REACH
    departure: float = DEPARTURE
    exact: EquationOfState | None = None

    def __post_init__(self) -> None:
        v = as_volumes(self.volumes)
        for name in ("energies", "sigma", "pressures", "pressure_sigma"):
            _check_numbers(name, getattr(self, name), len(v), positive="sigma" in name)
        if np.shape(self.energies) != v.shape:
            raise BadInput("energies", f"there are {np.size(self.energies)} for {len(v)} volumes", "give one for each")
        if not (np.isfinite(self.departure) and self.departure > 0):
            raise BadInput("departure", f"it is {self.departure}", "it must be finite and > 0")
        self._check_reach()
        self._check_extent(v)

    def _check_reach(self) -> None:
        try:
            low, high = np.asarray(self.reach, dtype=float)
        except (TypeError, ValueError):
            low = high = np.nan
        if not SMALLEST <= low < 1 < high <= LARGEST:
            remedy = f"give two ends relative to V₀, from {SMALLEST:g} to {LARGEST:g}, like [0.7, 1.4]"
            raise BadInput("reach", f"it is {self.reach}", remedy)

    def _check_extent(self, v: Array) -> None:
        if len(np.unique(v)) < FEWEST:
            raise BadInput("volumes", f"there are {len(np.unique(v))} different ones", f"give at least {FEWEST}")
        if self.sigma is None and len(v) < FEWEST + 1:
            what = f"none is given, and {len(v)} energies are too few to show their own scatter"
            raise BadInput("sigma", what, f"give sigma in eV, or {FEWEST + 1} energies")
        if self.known is None and v[np.argmin(self.energies)] in (v.min(), v.max()):
            what = f"the lowest energy is at {v[np.argmin(self.energies)]:.4g} Å³, at the end of the data"
            raise BadInput("volumes", what, "give volumes on both sides of the minimum, or V₀ and B₀ as known")
        low, high = self.limits
        if v.min() < low * (1 - ROUNDING) or v.max() > high * (1 + ROUNDING):
            what = f"data from {v.min():.4g} to {v.max():.4g} Å³ are not within {low:.4g} to {high:.4g} Å³"
            raise BadInput("reach", what, f"check V₀ = {self.start[0]:.4g} Å³ and the unit of volumes{self._wider(v)}")

    def _wider(self, v: Array) -> str:
        """The advice of a reach, in hundredths of V₀, that holds the data, if there may be such a one."""
        (low, high), hundredth = self.reach, self.start[0] / 100
        low, high = min(low, math.floor(v.min() / hundredth) / 100), max(high, math.ceil(v.max() / hundredth) / 100)
        return f", or take [{low:g}, {high:g}]" if low >= SMALLEST and high <= LARGEST else ""

    @classmethod
    def from_csv(cls, path: str | Path, **more: Any) -> "CohesiveEnergy":
        """From a CSV file with columns volume, energy and, where they are known, sigma, pressure, pressure_sigma.

        Columns go before what else is given. Raises BadInput with file, line and column.
        """
        wanted, others = list(COLUMNS)[:2], list(COLUMNS)[2:]
        table = read_named(path, wanted, others, "problem.data")
        try:
            return cls(**{**more, **{COLUMNS[column]: values for column, values in table.items()}})
        except BadInput as bad:
            if bad.key not in COLUMNS.values():
                raise
            raise BadInput("problem.data", f"{path}: {bad.key}: {bad.what}", bad.remedy) from None

    @property
    def v(self) -> Array:
        return as_volumes(self.volumes)

    @property
    def e(self) -> Array:
        return np.asarray(self.energies, dtype=float)

    @property
    def start(self) -> tuple[float, float]:
        """V₀ (Å³) and B₀ (GPa), as they are known, else of a Birch–Murnaghan curve."""
        if self.known is not None:
            return self.known.v0, self.known.b0
        found = guess(self.v, self.e)
        return found.v0, found.b0

    @property
    def limits(self) -> tuple[float, float]:
        """Volumes between which the curve is made."""
        v0, _ = self.start
        return self.reach[0] * v0, self.reach[1] * v0

    @property
    def deviations(self) -> Array:
        """Standard deviations of energies (n,) in eV."""
        if self.sigma is not None:
            return np.broadcast_to(np.asarray(self.sigma, dtype=float), self.v.shape).copy()
        left = np.polynomial.Polynomial.fit(self.v ** (-2 / 3), self.e, 3)(self.v ** (-2 / 3)) - self.e
        return np.full(len(left), max(float(np.sqrt(left @ left / (len(left) - 4))), LEAST))

    @property
    def data(self) -> dict[str, Any]:
        """What was measured, as `conditions_of_data` wants it."""
        pressures = None if self.pressures is None else np.asarray(self.pressures, dtype=float)
        spread = np.broadcast_to(np.asarray(self.pressure_sigma, dtype=float), self.v.shape).copy()
        return {"volumes": self.v, "energies": self.e, "sigma": self.deviations, "pressures": pressures,
                "pressure_sigma": spread}  # fmt: skip

    def basis(self, settings: Settings) -> Basis:
        """Features as the settings describe them, over the reach."""
        v0, b0 = self.start
        chosen = replace(settings.network, slope=settings.network.slope or SLOPE)
        return Basis(network(replace(settings, network=chosen), 1), Scale(self.limits, v0, b0 / GPA * v0, self.e.min()))

    def at_equilibrium(self, basis: Basis) -> dict[str, Rows]:
        """The conditions at V₀, if it is known."""
        return conditions_at_equilibrium(basis, **vars(self.known)) if self.known else {}

    def conditions(self, basis: Basis) -> dict[str, Rows]:
        """All of them, by name."""
        strain = condition_of_finite_strain(basis, self.departure)
        return {**conditions_of_data(basis, **self.data), **self.at_equilibrium(basis), **strain}

    def answer(self, settings: Settings) -> "EnergyCurve":
        """The curve, or a committee of curves, judged."""
        return learn(self, settings)


def _check_numbers(name: str, values: ArrayLike | None, count: int, positive: bool) -> None:
    if values is None:
        return
    try:
        array = np.asarray(values, dtype=float)
    except (TypeError, ValueError):
        raise BadInput(name, "they are not numbers", "give one number for each volume") from None
    if not np.isfinite(array).all() or (positive and not (array > 0).all()):
        raise BadInput(name, "one is not finite" + (" and > 0" if positive else ""), "leave it out, or correct it")
    if array.shape not in ((), (count,)):
        raise BadInput(name, f"there are {array.size} for {count} volumes", "give one for each")


@dataclass(frozen=True)
class EnergyCurve(Finding):
    """E(V), and what follows from it: one curve with its posterior, or the curves of a committee.

    Raises BadInput for volumes outside of problem.limits.
    """

    problem: CohesiveEnergy
    curves: Sequence[Curve]
    settings: Settings
    alone: Mapping[str, Table]  # networks without physics
    fits: Mapping[str, Fit]
    metrics: Mapping[str, Any] = field(default_factory=dict)

    kind: ClassVar[str] = "energy_curve"
    remedy: ClassVar[str] = "give more energies, measured pressures, or V₀ and B₀"
    captions: ClassVar[Mapping[str, str]] = {
        "solution": "Energy and pressure over volume, with physics and its band, and without. Where it is shaded there "
        "are no data.",
        "truth": "Distance from the true energy: with physics and its band, of networks without, and of closed forms "
        "fitted to the same energies; beyond 1 meV the scale is logarithmic.",
        "parameters": "Equilibrium volume, bulk modulus and its pressure derivative as each way finds them, with two "
        "standard deviations to each side; dotted what is true, or else known.",
    }

    def energy(self, volumes: ArrayLike) -> Array:
        """E (n,) in eV at volumes (n,) in Å³."""
        return np.asarray(np.mean([curve.energy(volumes) for curve in self.curves], 0))

    def pressure(self, volumes: ArrayLike) -> Array:
        """P = −dE/dV (n,) in GPa."""
        return np.asarray(np.mean([curve.pressure(volumes) for curve in self.curves], 0))

    def bulk_modulus(self, volumes: ArrayLike) -> Array:
        """B = V d²E/dV² (n,) in GPa."""
        return np.asarray(np.mean([curve.bulk_modulus(volumes) for curve in self.curves], 0))

    def band(self, volumes: ArrayLike, level: float = merit.LEVEL) -> tuple[Array, Array]:
        """Lower and upper ends (n,), in eV, between which E lies with that probability."""
        return self._band(Curve.energy, Curve.energy_deviation, volumes, level)

    def pressure_band(self, volumes: ArrayLike, level: float = merit.LEVEL) -> tuple[Array, Array]:
        """Likewise of P, in GPa."""
        return self._band(Curve.pressure, Curve.pressure_deviation, volumes, level)

    def _band(self, values: Read, deviation: Read, volumes: ArrayLike, level: float) -> tuple[Array, Array]:
        """Of the posterior of a single curve, else where one more member would be."""
        members = np.array([values(curve, volumes) for curve in self.curves])
        if len(members) == 1:
            half = normal_half_width(deviation(self.curves[0], volumes), level)
        else:
            half = students_half_width(members.std(0, ddof=1), len(members), level)
        middle = members.mean(0)
        return middle - half, middle + half

    @property
    def parameters(self) -> tuple[dict[str, float], dict[str, float]]:
        """E0 (eV), V0 (Å³), B0 (GPa) and B0p, and their standard deviations."""
        v0, _ = self.problem.start
        found = [curve.equilibrium(v0) for curve in self.curves]
        if len(found) == 1:
            return found[0]
        table = {name: [values[name] for values, _ in found] for name in found[0][0]}
        means = {name: float(np.mean(values)) for name, values in table.items()}
        return means, {name: float(np.std(values, ddof=1)) for name, values in table.items()}

    @property
    def shown(self) -> Array:
        """Volumes, evenly over the whole reach."""
        return np.linspace(*self.problem.limits, SHOWN)

    @property
    def beyond(self) -> NDArray[np.bool_]:
        """Which of them lie outside of the data."""
        v = self.problem.v
        return (self.shown < v.min()) | (self.shown > v.max())

    def figures(self) -> Mapping[str, Any]:
        """The curves, their errors where the truth is known, and the parameters."""
        from pinnkit.atoms.cohesion.figures import figures  # matplotlib takes a second to import

        return figures(self)

    def arrays(self) -> Mapping[str, Array]:
        """Volumes, energies and pressures with their bands, and the true ones where they are known."""
        v, exact = self.shown, self.problem.exact
        kept = {"points": v[:, None], "energy": self.energy(v), "energy_band": np.stack(self.band(v)),
                "pressure": self.pressure(v), "pressure_band": np.stack(self.pressure_band(v)),
                "volumes": self.problem.v, "energies": self.problem.e}  # fmt: skip
        return (
            kept if exact is None else {**kept, "reference": exact.energy(v), "reference_pressure": exact.pressure(v)}
        )

    @property
    def tiles(self) -> Mapping[str, Any]:
        """Parameters with their deviations, and the error outside of the data."""
        m = self.metrics
        units = {"V0": "V₀ (Å³)", "B0": "B₀ (GPa)", "B0p": "B₀′"}
        found = {unit: f"{m['equilibrium'][name]:.5g} ± {m['deviations'][name]:.1g}" for name, unit in units.items()}
        outside, gain = m["extrapolation_error"], m["extrapolation_gain"]
        if outside is not None:
            found["meV off outside of the data"] = f"{1e3 * outside:.2g}"
            found["times further off without physics"] = f"{gain:.2g}"
        return found

    def lines(self) -> list[str]:
        """Parameters with their deviations, and how much physics gains."""
        return merit.lines(self.metrics)

    def to_plain(self) -> dict[str, Any]:
        """The curves and the data; the features follow from the settings."""
        problem = self.problem
        known = None if problem.known is None else vars(problem.known)
        given = {name: None if value is None else np.asarray(value, dtype=float).tolist()
                 for name in ("volumes", "energies", "sigma", "pressures", "pressure_sigma")
                 for value in [getattr(problem, name)]}  # fmt: skip
        told = {"reach": list(problem.reach), "departure": problem.departure, "name": problem.name}
        words = {"description": problem.description, "title": problem.title}
        return {"data": given, "known": known, "told": {**told, **words},
                "curves": [curve.to_plain() for curve in self.curves], "settings": self.settings.to_mapping(),
                "metrics": dict(self.metrics)}  # fmt: skip

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any]) -> "EnergyCurve":
        """What `to_plain` was given, but for the truth; rivals are made anew."""
        known = None if plain["known"] is None else Known(**plain["known"])
        told = {**plain["told"], "reach": tuple(plain["told"]["reach"])}
        problem = CohesiveEnergy(**plain["data"], known=known, **told)
        settings = Settings.from_mapping(plain["settings"])
        bases = [problem.basis(one) for one in _members(settings)]
        curves = [Curve.from_plain(one, basis.features) for one, basis in zip(plain["curves"], bases, strict=True)]
        return cls(problem, curves, settings, *_rivals(problem, settings), plain["metrics"])


def _members(settings: Settings) -> list[Settings]:
    """Settings of each curve: they draw other features."""
    if not isinstance(settings.task, Committee):
        return [settings]
    return [replace(settings, network=replace(settings.network, draw=k)) for k in range(settings.task.members)]


def learn(problem: CohesiveEnergy, settings: Settings) -> EnergyCurve:
    """Fit the network, or each member of a committee, and everything that it is compared with. Raises BadInput."""
    began, sampled = time.perf_counter(), isinstance(settings.task, Committee)
    curves = []
    for k, one in enumerate(_members(settings)):
        basis = problem.basis(one)
        draw = np.random.default_rng([settings.seed, 21, k]) if sampled else None
        curves.append(solved(basis, problem.conditions(basis), draw))
    seconds = time.perf_counter() - began
    found = EnergyCurve(problem, curves, settings, *_rivals(problem, settings))
    metrics = merit.metrics(found, seconds)
    metrics["seconds"]["total"] = time.perf_counter() - began
    return replace(found, metrics=metrics)


def _rivals(problem: CohesiveEnergy, settings: Settings) -> tuple[dict[str, Table], dict[str, Fit]]:
    basis, shown = problem.basis(settings), np.linspace(*problem.limits, SHOWN)
    alone = tables(basis, problem.data, problem.at_equilibrium(basis), shown, settings.seed)
    return alone, fits(problem.v, problem.e, problem.deviations, problem.known)
