"""What is known of a potential: errors on structures it has not seen, its motion, its committee, its symmetries."""

from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray

from pinnkit.atoms.descriptors import SymmetryFunctions
from pinnkit.atoms.potentials.data import Labelled
from pinnkit.atoms.potentials.direct_forces import DirectForces
from pinnkit.atoms.potentials.dynamics import HOTTEST, Trajectory, check_start, simulate
from pinnkit.atoms.potentials.field import Field
from pinnkit.atoms.potentials.fitting import Errors, compare
from pinnkit.atoms.potentials.potential import Potential
from pinnkit.atoms.potentials.symmetry import Contrast
from pinnkit.atoms.structure import Structure
from pinnkit.conversion import Between, convert
from pinnkit.errors import BadInput
from pinnkit.linear_algebra import one_thread

LONGEST_STEP = 100.0  # fs
LONGEST, MOST_STEPS = 1e6, 10**7  # ps
FEW = 500  # atoms, up to which threads only wait for each other
MOMENTS = 400  # recorded of a trajectory
Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Motion:
    """Molecular dynamics without a thermostat, from thermal velocities at a temperature (K), for so many ps."""

    start: Structure
    temperature: float
    timestep: float = 4.0  # fs
    picoseconds: float = 10.0

    def __post_init__(self) -> None:
        if not 0 < self.timestep <= LONGEST_STEP:
            what = f"{self.timestep:g} fs is no step in which atoms can be followed"
            raise BadInput("problem.timestep", what, "take some fs: a fiftieth of the period of the fastest vibration")
        convert(Annotated[float, Between(0, LONGEST)], self.picoseconds, "problem.picoseconds")
        convert(Annotated[float, Between(0, HOTTEST, above=True)], self.temperature, "problem.temperature")
        if self.steps > MOST_STEPS:
            what = f"{self.picoseconds:g} ps in steps of {self.timestep:g} fs are {self.steps:.0e} steps"
            raise BadInput("problem.picoseconds", what, f"take fewer, or longer ones: at most {MOST_STEPS:.0e}")

    def check(self) -> None:
        """Raises BadInput where the atoms cannot begin to move."""
        try:
            check_start(self.start, self.timestep, self.temperature)
        except BadInput as bad:
            key = "problem.timestep" if bad.key == "timestep" else "problem"
            raise BadInput(key, bad.what, bad.remedy) from None

    @property
    def steps(self) -> int:
        return max(2, round(1e3 * self.picoseconds / self.timestep))

    def run(self, by: Field, seed: int, measure: Field | None = None) -> Trajectory:
        """The motion under a field. Raises BadInput where the time step is too long for it."""
        how = {"timestep": self.timestep, "temperature": self.temperature, "every": max(1, self.steps // MOMENTS)}
        with one_thread() if len(self.start) <= FEW else nullcontext():
            return simulate(by, self.start, steps=self.steps, measure=measure, seed=seed, **how)  # type: ignore[arg-type]


@dataclass(frozen=True, eq=False)
class Evidence:
    """What held-out structures, motion and symmetry say.

    `times` are in ps, `conserved` total energies per atom in meV; `direct` and its times likewise, under forces that
    were predicted without an energy. `force_errors` and `force_spreads` (atoms,) are norms in eV/Å.
    """

    errors: Errors
    force_errors: Array
    force_spreads: Array
    times: Array
    conserved: Array
    direct_times: Array
    direct: Array
    drifts: tuple[float, float] | None  # of both, in meV per atom and ps; NaN where atoms fly apart at once
    direct_error: float | None  # of the forces that were predicted without an energy, relative
    warning: str | None
    contrast: Contrast | None

    def to_plain(self) -> dict[str, Any]:
        """Lists and numbers."""
        arrays = {name: getattr(self, name).tolist() for name in ARRAYS}
        compared = {name: [values.tolist() for values in getattr(self.errors, name)] for name in COMPARED}
        errors = {**compared, "sum_of_forces": self.errors.sum_of_forces}
        told = {name: getattr(self, name) for name in ("direct_error", "warning")}
        contrast = None if self.contrast is None else self.contrast.to_plain()
        drifts = None if self.drifts is None else list(self.drifts)
        return {**arrays, **told, "errors": errors, "drifts": drifts, "contrast": contrast}

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any]) -> "Evidence":
        """The same again."""
        arrays: dict[str, Any] = {name: np.array(plain[name], dtype=float) for name in ARRAYS}
        energies, forces = ((np.array(a), np.array(b)) for a, b in (plain["errors"][name] for name in COMPARED))
        errors = Errors(energies, forces, plain["errors"]["sum_of_forces"])
        told = {name: plain[name] for name in ("direct_error", "warning")}
        drifts = None if plain["drifts"] is None else (plain["drifts"][0], plain["drifts"][1])
        contrast = None if plain["contrast"] is None else Contrast.from_plain(plain["contrast"])
        return cls(**arrays, **told, errors=errors, drifts=drifts, contrast=contrast)


COMPARED = ("energies", "forces")
ARRAYS = ("force_errors", "force_spreads", "times", "conserved", "direct_times", "direct")


def gather(
    potential: Potential, descriptors: SymmetryFunctions, labelled: Labelled, motion: Motion, seed: int
) -> Evidence:
    """Everything but the contrast of clusters."""
    errors = compare(potential, labelled.held_out)
    direct = DirectForces.fit(descriptors, labelled.train, seed)
    missed = (errors.forces[0] - errors.forces[1]).reshape(-1, 3)
    spreads = _spreads(potential, labelled.held_out)
    nothing = np.empty(0)
    still = Evidence(
        errors, np.linalg.norm(missed, axis=1), spreads, nothing, nothing, nothing, nothing, None,
        compare(direct, labelled.held_out).force_rmse_relative, None, None,
    )  # fmt: skip
    return _moving(still, motion, potential, direct, seed) if motion.picoseconds else still


def _spreads(potential: Potential, structures: Sequence[Structure]) -> Array:
    if len(potential.members) < 2:
        return np.empty(0)
    return np.asarray(np.linalg.norm(np.concatenate([potential.spread(one).forces for one in structures]), axis=1))


def _moving(still: Evidence, motion: Motion, potential: Potential, direct: DirectForces, seed: int) -> Evidence:
    """With the total energies of two motions from the same start; the potential measures both.

    A potential under which atoms fly apart is worth a warning: the rest of what is known of it stands.
    """
    try:
        kept = motion.run(potential, seed)
    except BadInput as bad:
        return replace(still, warning=bad.what)
    lost = motion.run(direct, seed, measure=potential)
    return replace(
        still, times=kept.times / 1e3, conserved=kept.energy, direct_times=lost.times / 1e3, direct=lost.energy,
        drifts=(kept.drift, lost.drift), warning=kept.warning,
    )  # fmt: skip


def summary_of(contrast: Contrast) -> dict[str, Any]:
    """What metrics.json says of it."""
    errors = {name: [float(one) for one in values] for name, values in contrast.errors.items()}
    turned = {name: float(np.ptp(values)) for name, values in contrast.turned.items()}
    sizes = [int(one) for one in contrast.sizes]
    return {"structures": sizes, "force_rmse_relative": errors, "energy_range_of_rotations": turned,
            "sum_of_forces": dict(contrast.sum_of_forces)}  # fmt: skip
