"""A potential from labelled structures, judged by structures it has not seen and by the energy its motion keeps."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from pinnkit.atoms.descriptors import SymmetryFunctions
from pinnkit.atoms.pairs import Pairs
from pinnkit.atoms.potentials.data import Data, Known, Labelled
from pinnkit.atoms.potentials.evidence import Evidence, Motion, gather, summary_of
from pinnkit.atoms.potentials.field import Labels
from pinnkit.atoms.potentials.fitting import Fit, fit
from pinnkit.atoms.potentials.learning import Exploration, learn
from pinnkit.atoms.potentials.potential import Potential
from pinnkit.atoms.potentials.symmetry import Clusters
from pinnkit.atoms.structure import Structure
from pinnkit.calibration import rank_correlation
from pinnkit.errors import BadInput
from pinnkit.evaluation import relative_l2, verdict
from pinnkit.finding import Finding, usual_metrics
from pinnkit.settings import Committee, Settings, Solve
from pinnkit.study import Study

TRUSTED = 2e-2  # relative error of held-out forces where no accuracy is asked for
Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class PotentialStudy(Study):
    """Where structures come from, what describes their atoms, and what is done with the potential.

    `members` potentials make a committee. `explore` names where it looks for what it does not know, in `rounds` of
    active learning. `clusters`, where there are any, show what symmetry is worth.
    """

    data: Data
    descriptors: SymmetryFunctions
    motion: Motion
    members: int = 4
    clusters: Clusters | None = None
    explore: Exploration | None = None
    rounds: int = 0
    name: str = field(default="potential", kw_only=True)

    def __post_init__(self) -> None:
        if not 1 <= self.members <= 100:
            raise BadInput("problem.members", f"it is {self.members}", "choose from 1 to 100")
        if self.rounds < 0 or (self.rounds and self.explore is None):
            raise BadInput("problem.active", f"{self.rounds} rounds", "give 0 or more, and something that labels")
        if self.rounds and self.members < 2:
            raise BadInput("problem.members", "one member has nobody to disagree with", "take at least two")

    def check(self, settings: Settings) -> None:
        """Raises BadInput for a task for equations."""
        if not isinstance(settings.task, Solve | Committee):
            raise BadInput("task", f"{self.name} is no equation", "write task=solve or task=committee")

    def size(self, settings: Settings) -> int:
        """The members of the committee."""
        return settings.task.members if isinstance(settings.task, Committee) else self.members

    def answer(self, settings: Settings) -> "LearnedPotential":
        """The potential, and what became of it. Raises BadInput."""
        self.check(settings)
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
    captions: ClassVar[Mapping[str, str]] = {
        "solution": "Components of forces on atoms of structures never seen: predicted against true.",
        "truth": "Energies of the same structures, per atom.",
        "drift": "Total energy per atom in free motion, under derivatives of an energy and under forces without one.",
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
    error = relative_l2(predicted, truth)
    usual = usual_metrics(
        study, settings, seconds=found.seconds, stop_reason=found.stop_reason, points=count,
        parameters=sum(parameter.numel() for parameter in found.potential.parameters()),
        relative_l2=error, max_error=float(np.abs(predicted - truth).max()), reference="data", error_estimate=0.0,
        verdict=_verdict(error, evidence, settings.tolerance or TRUSTED),
    )  # fmt: skip
    kept, lost = evidence.drifts or (None, None)
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


def _verdict(error: float, evidence: Evidence, tolerance: float) -> str:
    if evidence.warning:
        return f"untrusted: {evidence.warning}"
    if not np.std(evidence.errors.forces[1]) > 0:
        return "untrusted: the forces of the held-out structures do not vary, and judge nothing"
    return verdict(error, 0.0, tolerance)


def lines(metrics: Mapping[str, Any]) -> list[str]:
    """What a summary says of a potential."""
    said = [f"  {'forces':<18} {metrics['force_rmse_relative']:.2%} of their standard deviation, sum "
            f"{metrics['sum_of_forces']:.0e} eV/Å",
            f"  {'energy':<18} {metrics['energy_rmse_mev_per_atom']:.2g} meV per atom"]  # fmt: skip
    if metrics["energy_drift_mev_per_atom_ps"] is not None:
        kept, lost = metrics["energy_drift_mev_per_atom_ps"], metrics["direct_forces_drift_mev_per_atom_ps"]
        told = f"{kept:.1e} meV per atom and ps over {metrics['picoseconds']:g} ps"
        said.append(f"  {'drift':<18} {told}   (forces without an energy: {lost:.1e})")
    if metrics["rank_correlation"] is not None:
        told = f"{metrics['members']} members, rank correlation of spread and error {metrics['rank_correlation']:.2f}"
        said.append(f"  {'committee':<18} {told}")
    if metrics["contrast"] is not None:
        ends = [f"{name} {values[-1]:.2g}" for name, values in metrics["contrast"]["force_rmse_relative"].items()]
        said.append(f"  {'symmetry':<18} {', '.join(ends)}")
    return said
