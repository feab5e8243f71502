"""A potential from labelled structures, judged by structures it has not seen and by the energy its motion keeps."""

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Annotated, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from pinnkit.atoms.descriptors import SymmetryFunctions
from pinnkit.atoms.pairs import Pairs, neighbours
from pinnkit.atoms.potentials.data import Data, Known, Labelled
from pinnkit.atoms.potentials.evidence import Evidence, Motion, gather, summary_of
from pinnkit.atoms.potentials.field import Labels
from pinnkit.atoms.potentials.fitting import Fit, fit
from pinnkit.atoms.potentials.learning import Exploration, learn
from pinnkit.atoms.potentials.potential import Potential
from pinnkit.atoms.potentials.symmetry import Clusters
from pinnkit.atoms.structure import Structure
from pinnkit.calibration import rank_correlation
from pinnkit.conversion import Between, convert
from pinnkit.errors import BadInput
from pinnkit.evaluation import relative_l2
from pinnkit.finding import Finding, usual_metrics
from pinnkit.settings import Committee, Settings, Solve, Task
from pinnkit.study import Study

TRUSTED = 2e-2  # relative error of held-out forces and energies where no accuracy is asked for
RESOLVED = 1.0  # meV per atom: energies that are as good are trusted however little they vary
MOST_NEIGHBOURS = 1000
MEMBERS = 4  # if nobody says
Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class PotentialStudy(Study):
    """Where structures come from, what describes their atoms, and what is done with the potential.

    `members` potentials make a committee; None: four, or as many as task=committee says. `explore` names where it looks
    for what it does not know, in `rounds` of active learning. `clusters`, where there are any, show what symmetry is
    worth. Raises BadInput.
    """

    tasks: ClassVar[tuple[type[Task], ...]] = (Solve, Committee)
    uses: ClassVar[tuple[str, ...]] = (
        "network.layers", "network.activation", "network.slope", "network.head", "optimizer",
        "training.max_steps", "training.max_seconds", "task.members",
    )  # fmt: skip

    data: Data
    descriptors: SymmetryFunctions
    motion: Motion
    members: int | None = None
    clusters: Clusters | None = None
    explore: Exploration | None = None
    rounds: int = 0
    name: str = field(default="potential", kw_only=True)

    def __post_init__(self) -> None:
        convert(Annotated[int, Between(1, 100)] | None, self.members, "problem.members")
        convert(Annotated[int, Between(0, 1000)], self.rounds, "problem.active")
        if self.rounds and self.explore is None:
            raise BadInput("problem.active", "nothing labels what is found", "leave it out, or leave problem.data out")
        if self.rounds and self.members == 1:
            raise BadInput("problem.members", "one member has nobody to disagree with", "take at least two")
        self._check_neighbours(len(neighbours(self.motion.start, self.descriptors.cutoff).first))
        if self.motion.picoseconds:
            self.motion.check()

    def _check_neighbours(self, pairs: int) -> None:
        each = pairs / len(self.motion.start)
        if not 0 < each <= MOST_NEIGHBOURS:
            what = f"{each:.0f} atoms are within {self.descriptors.cutoff:g} Å of one"
            raise BadInput("problem.cutoff", what, "take a larger one" if each < 1 else "take a smaller one")

    def check(self, settings: Settings) -> None:
        """Raises BadInput likewise, and where the number of members is told twice."""
        super().check(settings)
        if isinstance(settings.task, Committee) and self.members is not None:
            raise BadInput("problem.members", "task.members says how many there are", "leave one of them out")

    def size(self, settings: Settings) -> int:
        """The members of the committee."""
        return settings.task.members if isinstance(settings.task, Committee) else self.members or MEMBERS

    def answer(self, settings: Settings) -> "LearnedPotential":
        """The potential, and what became of it."""
        began, labelled = time.perf_counter(), self.data(settings.seed)
        if self.rounds and self.explore is not None:
            counts = {"rounds": self.rounds, "members": self.size(settings)}
            learned = learn(self.descriptors, labelled.train, self.explore, settings, **counts)
            found, added, train = learned.fit, learned.added, learned.structures
        else:
            found, added = fit(self.descriptors, labelled.train, settings, self.size(settings)), []
            train = labelled.train
        everything = Labelled(train, labelled.held_out)
        evidence = gather(found.potential, self.descriptors, everything, self.motion, settings.seed)
        if self.clusters is not None:
            evidence = replace(evidence, contrast=self.clusters.contrast(settings))
        metrics = _metrics(self, settings, found, evidence, len(train)) | {"active": added}
        metrics["seconds"]["total"] = time.perf_counter() - began
        return LearnedPotential(self, settings, metrics, found.potential, evidence, found.history)


@dataclass(frozen=True, eq=False)
class LearnedPotential(Finding):
    """A potential as a function of structures, with its uncertainty, and what shows how good it is."""

    problem: PotentialStudy
    settings: Settings
    metrics: Mapping[str, Any]
    potential: Potential
    evidence: Evidence
    history: Sequence[Mapping[str, Any]] = ()

    kind: ClassVar[str] = "potential"
    remedy: ClassVar[str] = "give more structures, or more radial functions, or angular ones"
    captions: ClassVar[Mapping[str, str]] = {
        "solution": "Components of forces on atoms of structures never seen: predicted against true.",
        "truth": "Energies of the same structures, per atom.",
        "drift": "Total energy per atom in free motion: above under forces without an energy, and on the same scale "
        "under derivatives of one; below the latter alone, on a scale of its own. At the start half of the kinetic "
        "energy becomes potential energy, and the error of the steps takes its usual size.",
        "symmetry": "What the same clusters teach two models, and their energies of one cluster turned round.",
        "spread": "Disagreement of the committee about the force on an atom, against its true error.",
    }

    @property
    def members(self) -> list[Potential]:
        """Each member as a potential of its own."""
        return self.potential.single()

    def pairs(self, structure: Structure, skin: float = 0.0) -> Pairs:
        """The pairs that interact, and those within a further `skin` (Å)."""
        return self.potential.pairs(structure, skin)

    def energy(self, structure: Structure) -> float:
        """In eV. Raises BadInput for species never seen."""
        return self.potential.energy(structure)

    def forces(self, structure: Structure) -> Array:
        """(n, 3) in eV/Å."""
        return self.potential.forces(structure)

    def energy_forces(self, structure: Structure, pairs: Pairs | None = None) -> Labels:
        """Energy, forces and stress in eV, eV/Å and eV/Å³; `pairs` may be given, and may reach beyond the cutoff."""
        return self.potential.energy_forces(structure, pairs)

    def spread(self, structure: Structure) -> Labels:
        """Standard deviations over the members, of the same."""
        return self.potential.spread(structure)

    def beyond(self, structure: Structure) -> Array:
        """How far the surroundings of each atom (n,) are outside of those learned from; 0: they are within."""
        return self.potential.beyond(structure)

    def figures(self) -> Mapping[str, Any]:
        """Parity of forces and energies, motion, symmetry, and spread."""
        from pinnkit.atoms.potentials.figures import figures  # matplotlib takes a second to import

        return figures(self)

    def arrays(self) -> Mapping[str, Array]:
        """Predicted and true forces and energies of held-out structures, and total energies in motion."""
        errors, evidence = self.evidence.errors, self.evidence
        return {
            "forces": errors.forces[0], "true_forces": errors.forces[1],
            "energies": errors.energies[0], "true_energies": errors.energies[1],
            "force_errors": evidence.force_errors, "force_spreads": evidence.force_spreads,
            "times": evidence.times, "conserved": evidence.conserved,
            "direct_times": evidence.direct_times, "direct": evidence.direct,
        }  # fmt: skip

    @property
    def tiles(self) -> Mapping[str, Any]:
        """Errors, the drift, and the sum of forces."""
        m = self.metrics
        forces = m["force_rmse_relative"]
        return {
            "error of forces, of their standard deviation": None if forces is None else f"{forces:.2%}",
            "meV per atom, error of energies": m["energy_rmse_mev_per_atom"],
            "meV per atom and ps, drift of the energy": m["energy_drift_mev_per_atom_ps"],
            "eV/Å, sum of forces": m["sum_of_forces"],
        }

    def lines(self) -> list[str]:
        """Errors of forces and energies, drifts, sums of forces."""
        return lines(self.metrics)

    def to_plain(self) -> dict[str, Any]:
        """The potential, where its motion started, and the evidence."""
        start = self.problem.motion.start
        cell = None if start.cell is None else start.cell.tolist()
        atoms = {"positions": start.positions.tolist(), "species": list(start.species)}
        motion = {**atoms, "cell": cell, "periodic": list(start.periodic)}
        how = {name: getattr(self.problem.motion, name) for name in ("temperature", "timestep", "picoseconds")}
        return {
            "name": self.problem.name, "description": self.problem.description, "start": motion, "motion": how,
            "members": self.problem.members, "settings": self.settings.to_mapping(), "metrics": dict(self.metrics),
            "potential": self.potential.to_plain(), "evidence": self.evidence.to_plain(), "history": list(self.history),
        }  # fmt: skip

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any]) -> "LearnedPotential":
        """What `to_plain` was given, without the structures that were learned from."""
        potential, settings = Potential.from_plain(plain["potential"]), Settings.from_mapping(plain["settings"])
        motion = Motion(Structure(**plain["start"]), **plain["motion"])
        told = {"name": plain["name"], "description": plain["description"], "members": plain["members"]}
        problem = PotentialStudy(Known(Labelled([], [])), potential.descriptors, motion, **told)
        evidence = Evidence.from_plain(plain["evidence"])
        return cls(problem, settings, plain["metrics"], potential, evidence, plain["history"])


def _metrics(study: PotentialStudy, settings: Settings, found: Fit, evidence: Evidence, count: int) -> dict[str, Any]:
    predicted, truth = evidence.errors.forces
    error = relative_l2(predicted, truth) if np.any(truth) else None
    usual = usual_metrics(
        study, settings, seconds=found.seconds, stop_reason=found.stop_reason, points=count,
        parameters=sum(parameter.numel() for parameter in found.potential.parameters()),
        relative_l2=error, max_error=float(np.abs(predicted - truth).max()), reference="data", error_estimate=0.0,
        verdict=_verdict(evidence, settings.tolerance or TRUSTED),
    )  # fmt: skip
    kept, lost = (value if value is not None and math.isfinite(value) else None for value in evidence.drifts or NONE)
    agreed = rank_correlation(evidence.force_errors, evidence.force_spreads) if len(evidence.force_spreads) else None
    return {
        **usual, "members": len(found.potential.members), "descriptors": study.descriptors.count,
        "held_out": len(evidence.errors.energies[0]),
        "force_rmse_relative": evidence.errors.force_rmse_relative,
        "energy_rmse_mev_per_atom": evidence.errors.energy_rmse,
        "sum_of_forces": evidence.errors.sum_of_forces, "rank_correlation": agreed,
        "energy_drift_mev_per_atom_ps": kept, "direct_forces_drift_mev_per_atom_ps": lost,
        "direct_forces_rmse_relative": evidence.direct_error, "picoseconds": study.motion.picoseconds,
        "contrast": None if evidence.contrast is None else summary_of(evidence.contrast),
    }  # fmt: skip


NONE = (None, None)


def _verdict(evidence: Evidence, tolerance: float) -> str:
    errors, energies = evidence.errors, evidence.errors.energies[1]
    if errors.force_rmse_relative is None:
        return "untrusted: the forces of the held-out structures do not vary, and judge nothing"
    if errors.force_rmse_relative > tolerance:
        return f"untrusted: forces are {errors.force_rmse_relative:.1e} of how much they vary off, " \
               f"beyond {tolerance:.1e}"  # fmt: skip
    if errors.energy_rmse > max(RESOLVED, tolerance * 1e3 * float(np.std(energies))):
        return f"untrusted: energies are {errors.energy_rmse:.2g} meV per atom off, beyond {RESOLVED:g} meV and " \
               f"{tolerance:.1e} of how much they vary"  # fmt: skip
    return f"untrusted: in free motion {evidence.warning}" if evidence.warning else "trusted"


def lines(metrics: Mapping[str, Any]) -> list[str]:
    """What a summary says of a potential."""
    forces = metrics["force_rmse_relative"]
    errors = "do not vary" if forces is None else f"{forces:.2%} of their standard deviation"
    said = [f"  {'forces':<18} {errors}, sum {metrics['sum_of_forces']:.0e} eV/Å",
            f"  {'energy':<18} {metrics['energy_rmse_mev_per_atom']:.2g} meV per atom"]  # fmt: skip
    if metrics["energy_drift_mev_per_atom_ps"] is not None:
        kept, lost = metrics["energy_drift_mev_per_atom_ps"], metrics["direct_forces_drift_mev_per_atom_ps"]
        told = f"{kept:.1e} meV per atom and ps over {metrics['picoseconds']:g} ps"
        other = "atoms fly apart at once" if lost is None else f"{lost:.1e}"
        said.append(f"  {'drift':<18} {told}   (forces without an energy: {other})")
    if metrics["rank_correlation"] is not None:
        told = f"{metrics['members']} members, rank correlation of spread and error {metrics['rank_correlation']:.2f}"
        said.append(f"  {'committee':<18} {told}")
    if metrics.get("active"):
        said.append(f"  {'active learning':<18} structures added: {', '.join(map(str, metrics['active']))}")
    if metrics["contrast"] is not None:
        ends = [f"{name} {values[-1]:.2g}" for name, values in metrics["contrast"]["force_rmse_relative"].items()]
        said.append(f"  {'symmetry':<18} {', '.join(ends)}")
    return said
