"""A potential of argon, learned from Lennard-Jones energies and forces

    u(r) = 4 ε ((σ/r)¹² − (σ/r)⁶),    E = Σ_{i<j} u(r_ij) S(r_ij)        what is to be learned
    E = Σ_i ε(G_i),    F = −∂E/∂r                                         what learns it, G symmetry functions

S switches smoothly off before `cutoff` (Å). Structures are those of thermal motion of 32 atoms in crystals with
lattice constants `lattice` (Å) at `temperatures` (K), `count` of each; others, between these, are held out. ε is in
eV, σ in Å. `radial` Gaussians describe an atom, at places that are even in 1/r, for repulsion is steep.

Then the atoms move freely for `picoseconds` in steps of `timestep` (fs), from thermal velocities at `temperature`.
`members` make a committee, which explores hotter motion in so many rounds of `active` learning. With `symmetry`, 200
clusters of seven atoms are learned by symmetry functions and, for contrast, by a network on raw coordinates.
"""

from itertools import pairwise
from typing import Annotated

from pinnkit import BadInput, Between
from pinnkit.atoms import (
    Clusters,
    Exploration,
    LennardJones,
    Motion,
    PotentialStudy,
    SymmetryFunctions,
    Thermal,
    fcc,
    gaussians,
)


def problem(
    epsilon: Annotated[float, Between(1e-6, 10)] = 0.0104, sigma: Annotated[float, Between(0.5, 20)] = 3.40,
    cutoff: Annotated[float, Between(0.5, 50)] = 7.0, radial: Annotated[int, Between(2, 200)] = 12,
    lattice: tuple[float, ...] = (5.1, 5.3, 5.5), temperatures: tuple[float, ...] = (30.0, 80.0, 140.0), count: int = 6,
    temperature: float = 80.0, timestep: float = 5.0, picoseconds: float = 10.0, members: int | None = None,
    active: int = 0, symmetry: bool = True,
) -> PotentialStudy:  # fmt: skip
    if cutoff < 1.2 * sigma:
        raise BadInput("cutoff", f"{cutoff:g} Å is hardly beyond the minimum at 1.12 σ", "take a larger one")
    field = LennardJones(epsilon, sigma, cutoff)
    between = [(a + b) / 2 for a, b in pairwise(lattice)] or lattice
    crystals, others = ([fcc(a, "Ar").replicate(2, 2, 2) for a in one] for one in (lattice, between))
    of_distances = gaussians(0.79 * sigma, 0.957 * cutoff, radial)
    data = Thermal(field, crystals, temperatures, count, others)
    start = crystals[len(crystals) // 2]
    wide = SymmetryFunctions(("Ar",), 3 * cutoff, of_distances)
    return PotentialStudy(
        data=data,
        descriptors=SymmetryFunctions(("Ar",), cutoff, of_distances),
        motion=Motion(start, temperature, timestep, picoseconds),
        members=members,
        clusters=Clusters(LennardJones(epsilon, sigma), wide) if symmetry else None,
        explore=Exploration(field, start, 2 * max(temperatures), timestep, disagreement=0.01),
        rounds=active,
    )
