"""Active learning: motion goes where a committee disagrees, and what it finds there is labelled and learned."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pinnkit.atoms.descriptors import SymmetryFunctions
from pinnkit.atoms.potentials.data import FRICTION
from pinnkit.atoms.potentials.dynamics import simulate
from pinnkit.atoms.potentials.field import Field, labelled
from pinnkit.atoms.potentials.fitting import Fit, fit
from pinnkit.atoms.potentials.potential import Potential
from pinnkit.atoms.structure import Structure
from pinnkit.errors import BadInput
from pinnkit.settings import Settings

STRETCH = 40  # steps between two looks at the committee


@dataclass(frozen=True, eq=False)
class Exploration:
    """Motion from a structure at a temperature (K), in stretches, until the committee disagrees somewhere.

    It does where the standard deviation of the force on an atom is above `disagreement` (eV/Å). Each round looks for
    `wanted` such structures in at most `stretches` stretches; with fewer, it has seen enough.
    """

    oracle: Field
    start: Structure
    temperature: float
    timestep: float
    disagreement: float
    wanted: int = 5
    stretches: int = 50


@dataclass(frozen=True, eq=False)
class Learned:
    """The last fit, what it was made of, and how many structures each round has added."""

    fit: Fit
    structures: list[Structure]
    added: list[int]


def learn(
    descriptors: SymmetryFunctions,
    structures: Sequence[Structure],
    where: Exploration,
    settings: Settings,
    *,
    rounds: int,
    members: int = 4,
) -> Learned:
    """Fit, explore, label what the committee disagrees on, and fit again, so many rounds or until it agrees.

    Raises BadInput for a committee of one.
    """
    if members < 2:
        raise BadInput("members", "one member has nobody to disagree with", "take at least two")
    known, added = list(structures), []
    found = fit(descriptors, known, settings, members)
    for k in range(rounds):
        new = explore(found.potential, where, settings.seed + 1000 * k)
        added.append(len(new))
        if not new:
            break
        known += [labelled(where.oracle, one) for one in new]
        found = fit(descriptors, known, settings, members)
    return Learned(found, known, added)


def explore(potential: Potential, where: Exploration, seed: int) -> list[Structure]:
    """Structures on which the members disagree; after each one motion starts anew.

    Where a wrong potential tears the structure apart, the last one that is sound is taken.
    """
    found: list[Structure] = []
    here, velocities = where.start, None
    for stretch in range(where.stretches):
        try:
            run = simulate(
                potential, here, steps=STRETCH, timestep=where.timestep, temperature=where.temperature,
                friction=FRICTION, velocities=velocities, every=STRETCH // 4, seed=seed + stretch,
            )  # fmt: skip
        except BadInput:
            found.append(here)
            here, velocities = where.start, None
            continue
        seen = map(run.frame, range(1, len(run)))
        doubtful = [one for one in seen if _disagreement(potential, one) > where.disagreement]
        found += doubtful[:1]
        here, velocities = (where.start, None) if doubtful else (run.frame(-1), run.velocities[-1])
        if len(found) >= where.wanted:
            break
    return found


def _disagreement(potential: Potential, structure: Structure) -> float:
    return float(np.linalg.norm(potential.spread(structure).forces, axis=1).max())
