"""Molecular dynamics: velocity Verlet, and a Langevin thermostat. Units: fs, Å, eV, u, K."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import islice
from typing import Annotated, Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pinnkit.atoms.pairs import Pairs, neighbours
from pinnkit.atoms.potentials.field import Field, Labels
from pinnkit.atoms.structure import Structure, checked_array
from pinnkit.conversion import Between, convert
from pinnkit.errors import BadInput

Array = NDArray[np.float64]
Row = tuple[float, Array, Array, float, float]  # time, positions, velocities, kinetic and potential energy
BOLTZMANN = 8.617333262e-5  # eV/K
ACCELERATION = 9.648533212e-3  # Å/fs² of 1 eV/Å on 1 u
HOTTEST = 1e5  # K
NEAR = 4.0  # Å: atoms further apart than this do not meet in a step
SKIN = 0.8  # Å by which lists of pairs reach beyond the cutoff
FARTHEST = 0.1  # of the distance of the nearest neighbours, that an atom may move in one step
LOOKS, STRANGE = 10, 1.0  # moments at which surroundings are looked at, and how far outside they are told
WORTH_A_WARNING, WRONG = 0.02, 0.5  # change of the total energy, in units of the kinetic energy
MASSES = """H 1.008 He 4.0026 Li 6.94 Be 9.0122 B 10.81 C 12.011 N 14.007 O 15.999 F 18.998 Ne 20.180 Na 22.990
Mg 24.305 Al 26.982 Si 28.085 P 30.974 S 32.06 Cl 35.45 Ar 39.948 K 39.098 Ca 40.078 Sc 44.956 Ti 47.867 V 50.942
Cr 51.996 Mn 54.938 Fe 55.845 Co 58.933 Ni 58.693 Cu 63.546 Zn 65.38 Ga 69.723 Ge 72.630 As 74.922 Se 78.971 Br 79.904
Kr 83.798 Rb 85.468 Sr 87.62 Y 88.906 Zr 91.224 Nb 92.906 Mo 95.95 Tc 97 Ru 101.07 Rh 102.91 Pd 106.42 Ag 107.87
Cd 112.41 In 114.82 Sn 118.71 Sb 121.76 Te 127.60 I 126.90 Xe 131.29 Cs 132.91 Ba 137.33 La 138.91 Ce 140.12 Pr 140.91
Nd 144.24 Pm 145 Sm 150.36 Eu 151.96 Gd 157.25 Tb 158.93 Dy 162.50 Ho 164.93 Er 167.26 Tm 168.93 Yb 173.05 Lu 174.97
Hf 178.49 Ta 180.95 W 183.84 Re 186.21 Os 190.23 Ir 192.22 Pt 195.08 Au 196.97 Hg 200.59 Tl 204.38 Pb 207.2 Bi 208.98
Th 232.04 Pa 231.04 U 238.03"""


@dataclass(frozen=True, eq=False)
class Trajectory:
    """k recorded moments: times (k,) fs, positions (k, n, 3) Å, velocities (k, n, 3) Å/fs, energies (k,) eV."""

    structure: Structure  # where it began
    times: Array
    positions: Array
    velocities: Array
    kinetic: Array
    potential: Array
    warning: str | None = None

    def __len__(self) -> int:
        return len(self.times)

    @property
    def energy(self) -> Array:
        """The total energy per atom (k,) in meV."""
        return np.asarray(1e3 * (self.kinetic + self.potential) / len(self.structure))

    @property
    def temperature(self) -> Array:
        """2 E_kin / (3 n k_B) at each moment (k,), in K."""
        return np.asarray(2 * self.kinetic / (3 * len(self.structure) * BOLTZMANN))

    @property
    def drift(self) -> float:
        """The slope of the total energy, fitted to all but the first tenth of the run, in meV per atom and ps.

        In that tenth half of the kinetic energy goes where thermal motion has it. NaN of less than two moments.
        """
        late = slice(len(self) // 10, None)
        times, energies = self.times[late] / 1e3, self.energy[late]
        if len(times) < 2 or not np.isfinite(energies).all():
            return math.nan
        return float(np.polyfit(times, energies, 1)[0])

    def frame(self, k: int) -> Structure:
        """The structure at one of the moments, without labels."""
        return self.structure.moved(self.positions[k])


def masses_of(structure: Structure) -> Array:
    """Atomic weights (n,) in u. Raises BadInput for symbols that are no common element."""
    words = MASSES.split()
    known = dict(zip(words[::2], map(float, words[1::2]), strict=True))
    unknown = sorted(set(structure.species) - known.keys())
    if unknown:
        raise BadInput("masses", f"the mass of {', '.join(unknown)} is not known", "give one for each atom, in u")
    return np.array([known[symbol] for symbol in structure.species])


def thermal_velocities(masses: Array, temperature: float, rng: np.random.Generator) -> Array:
    """Maxwell–Boltzmann velocities (n, 3) in Å/fs, with no total momentum."""
    spread = np.sqrt(BOLTZMANN * temperature * ACCELERATION / masses)[:, None]
    velocities = spread * rng.normal(size=(len(masses), 3))
    return np.asarray(velocities - masses @ velocities / masses.sum())


class _Pairs:
    """Pairs with a skin, renewed when an atom has moved by half of it."""

    def __init__(self, field: Field, skin: float) -> None:
        self.field, self.skin, self.pairs, self.origin = field, skin, None, None

    pairs: Pairs | None
    origin: Array | None

    def of(self, structure: Structure) -> Pairs:
        x = structure.positions
        if self.pairs is None or self.origin is None or np.square(x - self.origin).sum(1).max() > self.skin**2 / 4:
            self.pairs, self.origin = self.field.pairs(structure, self.skin), x
        return self.pairs


def simulate(
    field: Field,
    structure: Structure,
    *,
    steps: int,
    timestep: float,
    temperature: float,
    friction: float | None = None,
    velocities: ArrayLike | None = None,
    masses: ArrayLike | None = None,
    measure: Field | None = None,
    every: int = 10,
    seed: int = 0,
) -> Trajectory:
    """So many steps of molecular dynamics from thermal velocities at the temperature (or from given ones).

    Without friction it is velocity Verlet, which keeps the energy; with one (in 1/fs), Langevin dynamics at the
    temperature by the splitting BAOAB (Leimkuhler & Matthews 2013). Every so many steps a moment is recorded, with the
    potential energy of the field, or of another one that is to `measure` it; the motion then ends early where the
    energy that is not kept throws atoms about.

    Raises BadInput for a time step that moves an atom by more than a tenth of the nearest distance, and for one with
    which the energy is not kept; a smaller change of the energy is told in the trajectory's `warning`, and so are
    surroundings that a learned potential has not seen.
    """
    _check(steps=steps, every=every, timestep=timestep, temperature=temperature, friction=friction)
    structure = Structure.of(structure)
    weights, rng = _weights(structure, masses)[:, None], np.random.default_rng([seed, 7])
    start = _velocities(velocities, weights, temperature, rng)
    noise = np.sqrt(BOLTZMANN * temperature * ACCELERATION / weights)
    keep = None if friction is None else math.exp(-friction * timestep)
    verlet = _Verlet(field, weights, timestep, keep, noise, rng, ends=measure is not None)
    conserved, rows = friction is None and measure is None, list[Row]()
    for step, (here, v, now) in enumerate(islice(verlet.states(structure, start), steps + 1)):
        if step % every:
            continue
        energy = now.energy if measure is None else measure.energy_forces(here).energy
        if measure is not None and not math.isfinite(energy):
            break
        rows.append((step * timestep, here.positions, v, 0.5 * float((weights * v * v).sum()) / ACCELERATION, energy))
        _check_energy(rows, conserved, timestep)
    times, positions, moving, kinetic, potential = (np.array(column) for column in zip(*rows, strict=True))
    found = Trajectory(structure, times, positions, moving, kinetic, potential)
    warning = _varying(found, timestep) if conserved else None
    return replace(found, warning=warning or (_strange(found, field) if measure is None else None))


class _Verlet(NamedTuple):
    """Velocity Verlet, with a thermostat where velocities `keep` less than all; `ends` early rather than refuse."""

    field: Field
    weights: Array
    timestep: float
    keep: float | None
    noise: Array
    rng: np.random.Generator
    ends: bool

    def states(self, here: Structure, v: Array) -> Iterator[tuple[Structure, Array, Labels]]:
        """Structure, velocities, energy and forces at each step, the first included."""
        around = _Pairs(self.field, SKIN)
        nearest, now = _nearest(here, around.of(here)), self.field.energy_forces(here, around.of(here))
        while True:
            yield here, v, now
            v = self._kicked(v, now)
            if self.ends and not _can_move(v, self.timestep, nearest):
                return
            _check_move(v, self.timestep, nearest)
            x, v = self._drifted(here.positions, v)
            here = here.moved(x)
            now = self.field.energy_forces(here, around.of(here))
            v = self._kicked(v, now)

    def _kicked(self, v: Array, now: Labels) -> Array:
        return v + 0.5 * self.timestep * ACCELERATION * now.forces / self.weights

    def _drifted(self, x: Array, v: Array) -> tuple[Array, Array]:
        if self.keep is None:
            return x + self.timestep * v, v
        x = x + 0.5 * self.timestep * v
        v = self.keep * v + math.sqrt(1 - self.keep * self.keep) * self.noise * self.rng.normal(size=v.shape)
        return x + 0.5 * self.timestep * v, v


def check_start(structure: Structure, timestep: float, temperature: float) -> None:
    """Raises BadInput where atoms have no known mass, are at one place, or move too far in the first step already."""
    speeds = np.sqrt(3 * BOLTZMANN * temperature * ACCELERATION / masses_of(structure))
    nearest = _nearest(structure, neighbours(structure, NEAR))
    _check_move(speeds.max(initial=0.0) * np.eye(1, 3), timestep, nearest)


_BOUNDS: Mapping[str, Any] = {
    "steps": Annotated[int, Between(1)],
    "every": Annotated[int, Between(1)],
    "timestep": Annotated[float, Between(0, above=True)],
    "temperature": Annotated[float, Between(0)],
    "friction": Annotated[float, Between(0)] | None,
}


def _check(**told: Any) -> None:
    for name, value in told.items():
        convert(_BOUNDS[name], value, name)


def _weights(structure: Structure, masses: ArrayLike | None) -> Array:
    weights = masses_of(structure) if masses is None else np.asarray(masses, dtype=float)
    if weights.shape != (len(structure),) or not (weights > 0).all():
        raise BadInput("masses", "they are not one positive number for each atom", "give them in u")
    return weights


def _velocities(given: ArrayLike | None, weights: Array, temperature: float, rng: np.random.Generator) -> Array:
    if given is None:
        return thermal_velocities(weights[:, 0], temperature, rng)
    velocities = checked_array("velocities", given, (-1, 3))
    if len(velocities) != len(weights):
        raise BadInput("velocities", f"{len(velocities)} for {len(weights)} atoms", "give one for each atom, in Å/fs")
    return velocities


def _nearest(structure: Structure, pairs: Pairs) -> float:
    return float(np.linalg.norm(pairs.vectors(structure), axis=1).min(initial=math.inf))


def _farthest(v: Array, timestep: float) -> float:
    return timestep * float(np.linalg.norm(v, axis=1).max(initial=0.0))


def _can_move(v: Array, timestep: float, nearest: float) -> bool:
    return _farthest(v, timestep) <= FARTHEST * nearest


def _check_move(v: Array, timestep: float, nearest: float) -> None:
    if not _can_move(v, timestep, nearest):
        far = _farthest(v, timestep)
        what = f"in a step of {timestep:g} fs an atom moves by {far:.2g} Å, its neighbours are {nearest:.3g} Å away"
        raise BadInput("timestep", what, f"take one below {timestep * FARTHEST * nearest / far / 10:.2g} fs")


def _check_energy(rows: list[Row], conserved: bool, timestep: float) -> None:
    begun, now = rows[0][3] + rows[0][4], rows[-1][3] + rows[-1][4]
    if not math.isfinite(now) or (conserved and abs(now - begun) > WRONG * max(rows[0][3], rows[-1][3]) > 0):
        what = f"after {rows[-1][0]:g} fs in steps of {timestep:g} fs the energy has changed by {now - begun:.2g} eV"
        raise BadInput("timestep", what, "take a smaller one")


def _strange(found: Trajectory, field: Field) -> str | None:
    """What a field that knows how far it extrapolates says of the motion."""
    beyond = getattr(field, "beyond", None)
    if beyond is None:
        return None
    moments = np.unique(np.linspace(0, len(found) - 1, LOOKS).astype(int))
    worst = max(float(beyond(found.frame(k)).max()) for k in moments)
    return f"atoms come {worst:.2g} spreads outside of the surroundings learned from" if worst > STRANGE else None


def _varying(found: Trajectory, timestep: float) -> str | None:
    energy = found.energy
    change, size = float(np.ptp(energy)), 1e3 * float(found.kinetic.mean()) / len(found.structure)
    if change <= WORTH_A_WARNING * size:
        return None
    return f"the energy varies by {change:.2g} meV per atom, {change / size:.0%} of the kinetic one: " \
           f"a step of {timestep:g} fs is too long"  # fmt: skip
