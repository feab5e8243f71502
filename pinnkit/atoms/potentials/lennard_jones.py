"""The Lennard-Jones potential: energies, forces and stresses that are known exactly."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import minimize

from pinnkit.atoms.pairs import Pairs, neighbours
from pinnkit.atoms.potentials.field import Labels, labelled
from pinnkit.atoms.structure import Structure
from pinnkit.errors import BadInput

Array = NDArray[np.float64]
SPARSE = 0.15  # atoms per σ³ in a ball from which a random cluster relaxes


@dataclass(frozen=True)
class LennardJones:
    """E = Σ_{i<j} u(r_ij) S(r_ij),  u(r) = 4 ε ((σ/r)¹² − (σ/r)⁶).

    Without a `cutoff` S = 1, which is for clusters. With one, S falls from 1 at `onset`·cutoff to 0 at the cutoff with
    three continuous derivatives, S = 1 − 35 t⁴ + 84 t⁵ − 70 t⁶ + 20 t⁷. Units: whatever ε and σ are in; eV and Å are
    those of everything else here. Raises BadInput for what is not positive.
    """

    epsilon: float = 1.0
    sigma: float = 1.0
    cutoff: float = math.inf
    onset: float = 0.7

    def __post_init__(self) -> None:
        for name in ("epsilon", "sigma", "cutoff"):
            if not getattr(self, name) > 0:
                raise BadInput(name, f"it is {getattr(self, name)}", "it must be positive")
        if not 0 <= self.onset < 1:
            raise BadInput("onset", f"it is {self.onset}", "give the share of the cutoff where it sets in, below 1")

    def pair(self, r: Array) -> tuple[Array, Array]:
        """u S and its derivative at distances (m,)."""
        six = (self.sigma / r) ** 6
        value, slope = 4 * self.epsilon * (six * six - six), 4 * self.epsilon * (6 * six - 12 * six * six) / r
        if math.isinf(self.cutoff):
            return value, slope
        switch, fall = _switch(r, self.onset * self.cutoff, self.cutoff)
        return value * switch, slope * switch + value * fall

    def energy_forces(self, structure: Structure, pairs: Pairs | None = None) -> Labels:
        """Energy, forces and stress; `pairs` may be given, and may reach beyond the cutoff.

        Raises BadInput for atoms in the same place, and for a periodic structure without cutoff.
        """
        pairs = self.pairs(structure) if pairs is None else pairs
        d = pairs.vectors(structure)
        r = np.linalg.norm(d, axis=1)
        value, slope = self.pair(r)
        pull = (slope / r)[:, None] * d  # on the first atom of each pair
        forces = np.zeros_like(structure.positions)
        np.add.at(forces, pairs.first, pull)
        stress = None if structure.cell is None else 0.5 * (pull.T @ d) / structure.volume
        return Labels(0.5 * float(value.sum()), forces, stress)

    def pairs(self, structure: Structure, skin: float = 0.0) -> Pairs:
        """The pairs that interact, and those within a further `skin`."""
        if math.isfinite(self.cutoff):
            return neighbours(structure, self.cutoff + skin)
        if any(structure.periodic):
            raise BadInput("cutoff", "a periodic structure has infinitely many pairs", "give a cutoff")
        return neighbours(structure, 2 * float(np.ptp(structure.positions, axis=0).max(initial=1.0)) + skin)


def _switch(r: Array, start: float, end: float) -> tuple[Array, Array]:
    """S and its derivative."""
    t = np.clip((r - start) / (end - start), 0, 1)
    return 1 - t**4 * (35 - t * (84 - t * (70 - 20 * t))), -140 * (t * (1 - t)) ** 3 / (end - start)


def relax(field: LennardJones, structure: Structure, tolerance: float = 1e-9) -> Structure:
    """A local minimum of the energy by L-BFGS, until no force is above the tolerance in ε/σ; labelled."""
    size = field.epsilon / field.sigma

    def value(x: Array) -> tuple[float, Array]:
        moved = field.energy_forces(structure.moved(field.sigma * x.reshape(-1, 3)))
        return moved.energy / field.epsilon, -moved.forces.ravel() / size

    options = {"maxiter": 5000, "ftol": 1e-16, "gtol": tolerance}
    start = structure.positions.ravel() / field.sigma
    found = minimize(value, start, jac=True, method="L-BFGS-B", options=options)
    return labelled(field, structure.moved(field.sigma * found.x.reshape(-1, 3)))


def random_cluster(atoms: int, field: LennardJones, rng: np.random.Generator, symbol: str = "Ar") -> Structure:
    """Atoms at random in a ball, none closer than 0.8 σ to another."""
    radius = field.sigma * (3 * max(atoms, 2) / (4 * math.pi * SPARSE)) ** (1 / 3)
    placed: list[ArrayLike] = []
    while len(placed) < atoms:
        point = radius * rng.uniform(-1, 1, 3)
        near = [np.linalg.norm(point - np.asarray(other)) < 0.8 * field.sigma for other in placed]
        if np.linalg.norm(point) < radius and not any(near):
            placed.append(point)
    return Structure(np.array(placed), (symbol,) * atoms)


def lowest(atoms: int, field: LennardJones, starts: int, seed: int = 0) -> Structure:
    """The lowest of the minima reached from so many random clusters.

    Global minima for ε = σ = 1, N = 2 … 7: −1, −3, −6, −9.103852, −12.712062, −16.505384 (Hoare & Pal 1971).
    """
    rng = np.random.default_rng([seed, atoms])
    minima = [relax(field, random_cluster(atoms, field, rng)) for _ in range(starts)]
    return min(minima, key=lambda one: float(one.energy or 0.0))
