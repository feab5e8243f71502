"""A potential of copper, learned from energies, forces and stresses of effective medium theory

    E = Σ_i ε(G_i),    F = −∂E/∂r,    stress = (∂E/∂strain)/V,    G symmetry functions

The labels are those of ASE's EMT (the extra `atoms`), for `count` crystals of 32 atoms with a lattice constant of about
`lattice` (Å), every atom shaken by up to `amplitude` (Å) and the cell strained by up to `strain`, every third with a
vacancy; `held_out` others are for judging. With `data`, a file in the extended XYZ format with energies and forces (eV,
eV/Å) is learned from instead, of any species. `radial` Gaussians, even in 1/r, and with `angular` eight functions of
angles describe the surroundings of an atom out to `cutoff` (Å).

Then the atoms move freely for `picoseconds` in steps of `timestep` (fs), from thermal velocities at `temperature` (K).
`members` make a committee, which explores motion at twice that temperature in so many rounds of `active` learning.
"""

from pathlib import Path
from typing import Annotated

from pinnkit import Between
from pinnkit.atoms import (
    Exploration,
    FromFile,
    Motion,
    PotentialStudy,
    Shaken,
    SymmetryFunctions,
    effective_medium,
    fcc,
    gaussians,
    usual_symmetry_functions,
)

REPLACED = {"data": ("lattice", "amplitude", "strain", "count", "held_out")}


def problem(
    data: str | None = None, lattice: float = 3.61, amplitude: float = 0.2, strain: float = 0.03, count: int = 100,
    held_out: int = 30, cutoff: Annotated[float, Between(0.5, 50)] = 5.8, radial: Annotated[int, Between(2, 200)] = 12,
    angular: bool = False, temperature: float = 300.0, timestep: float = 2.0, picoseconds: float = 10.0,
    members: int | None = None, active: int = 0,
) -> PotentialStudy:  # fmt: skip
    if data is None:
        field = effective_medium()
        start = fcc(lattice, "Cu").replicate(2, 2, 2)
        source: Shaken | FromFile = Shaken(field, start, amplitude, strain, count, held_out)
        explore, species = Exploration(field, start, 2 * temperature, timestep, disagreement=0.2), ("Cu",)
    else:
        source, explore = FromFile(data), None
        structures = source.structures
        start, species = structures[0], tuple(sorted({name for one in structures for name in one.species}))
    of_distances = gaussians(0.34 * cutoff, 0.957 * cutoff, radial, width=1.4)
    of_angles = usual_symmetry_functions(species, cutoff).angular if angular else ()
    return PotentialStudy(
        data=source,
        descriptors=SymmetryFunctions(species, cutoff, of_distances, of_angles),
        motion=Motion(start, temperature, timestep, picoseconds),
        members=members,
        explore=explore,
        rounds=active,
        title=f"A potential learned from {Path(data).name}" if data else "",
    )
