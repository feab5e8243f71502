"""Physics-informed models of materials: equations of state, potentials with their dynamics, crystal defects."""

import importlib
from typing import Any

# where each public name lives; looked up when it is first used
_HOMES = {
    "structure": ("Structure", "b2", "bcc", "fcc"),
    "extxyz": ("read_extxyz", "write_extxyz"),
    "pairs": ("Pairs", "displacements", "neighbours"),
    "descriptors": ("Angular", "Radial", "SymmetryFunctions", "inverse_distances", "usual_symmetry_functions"),
    "cohesion.equation_of_state": ("BirchMurnaghan", "EquationOfState", "Known", "Vinet"),
    "cohesion.study": ("CohesiveEnergy", "EnergyCurve"),
    "potentials.lennard_jones": ("LennardJones", "lowest", "random_cluster", "relax"),
    "potentials.dynamics": ("Trajectory", "simulate"),
    "potentials.calculator": ("AseField", "PinnkitCalculator", "effective_medium"),
    "potentials.potential": ("Potential", "gaussians"),
    "potentials.data": ("FromFile", "Shaken", "Thermal"),
    "potentials.evidence": ("Motion",),
    "potentials.study": ("LearnedPotential", "PotentialStudy"),
    "potentials.fitting": ("fit",),
    "potentials.learning": ("Exploration", "learn"),
    "potentials.symmetry": ("Clusters",),
    "defects.crystals": ("Crystals",),
    "defects.environments": ("Environments",),
    "defects.study": ("CrystalDefects", "DefectRepresentation"),
    "properties.laws": ("Law",),
    "properties.study": ("ModelComparison", "PropertyRegression"),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}

__all__ = sorted(_HOME_OF)


def __getattr__(name: str) -> Any:
    if name not in _HOME_OF:
        raise AttributeError(f"module 'pinnkit.atoms' has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOME_OF[name]}"), name)


def __dir__() -> list[str]:
    return [*globals(), *__all__]
