"""Structures with energies and forces: from thermal motion, from shaken and strained crystals, from a file."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np

from pinnkit.atoms.extxyz import read_extxyz
from pinnkit.atoms.potentials.dynamics import simulate
from pinnkit.atoms.potentials.field import Field, labelled
from pinnkit.atoms.structure import Array, Structure
from pinnkit.errors import BadInput

EQUILIBRATION, STRIDE = 200, 60  # steps, to begin with and between two structures that are kept
FRICTION = 0.02  # 1/fs
HELD_OUT, FEWEST = 0.25, 6  # of a file


class Labelled(NamedTuple):
    """Structures to learn from, and others to judge by."""

    train: list[Structure]
    held_out: list[Structure]


class Data(Protocol):
    """Where structures come from: the seed decides which."""

    def __call__(self, seed: int) -> Labelled: ...


@dataclass(frozen=True, eq=False)
class Known:
    """The same structures whatever the seed."""

    labelled: Labelled

    def __call__(self, seed: int) -> Labelled:
        return self.labelled


@dataclass(frozen=True, eq=False)
class Thermal:
    """`count` structures in each of several crystals at each temperature (K), labelled by the field that moves them.

    Those that are held out come from runs of their own, in other crystals and at temperatures between.
    """

    field: Field
    crystals: Sequence[Structure]
    temperatures: Sequence[float]
    count: int
    held_out_crystals: Sequence[Structure]
    timestep: float = 8.0  # fs

    def __call__(self, seed: int) -> Labelled:
        warm = list(self.temperatures)
        between = [(a + b) / 2 for a, b in pairwise(warm)] or warm
        train = self._runs(self.crystals, warm, seed, 0)
        return Labelled(train, self._runs(self.held_out_crystals, between, seed, 1))

    def _runs(self, crystals: Sequence[Structure], warm: Sequence[float], seed: int, part: int) -> list[Structure]:
        cases = [(crystal, temperature) for crystal in crystals for temperature in warm]
        draws = np.random.default_rng([seed, 5, part]).integers(2**31, size=len(cases))
        return [one for (crystal, warmth), draw in zip(cases, draws, strict=True)
                for one in thermal(self.field, crystal, warmth, self.count, self.timestep, int(draw))]  # fmt: skip


def thermal(
    field: Field, start: Structure, temperature: float, count: int, timestep: float, seed: int
) -> list[Structure]:
    """Labelled structures of one run with a thermostat."""
    steps = EQUILIBRATION + STRIDE * count
    run = simulate(
        field, start, steps=steps, timestep=timestep, temperature=temperature,
        friction=FRICTION, every=STRIDE, seed=seed,
    )  # fmt: skip
    return [labelled(field, run.frame(k)) for k in range(len(run) - count, len(run))]


@dataclass(frozen=True, eq=False)
class Shaken:
    """`count` copies of a crystal: atoms shaken by up to `amplitude` Å, the cell strained by up to `strain`.

    Every third one has a vacancy. Amplitude and strain of each are drawn evenly from zero to the largest.
    """

    field: Field
    crystal: Structure
    amplitude: float
    strain: float
    count: int
    held_out: int

    def __call__(self, seed: int) -> Labelled:
        rng = np.random.default_rng([seed, 6])
        every = [self._one(k, rng) for k in range(self.count + self.held_out)]
        return Labelled(every[: self.count], every[self.count :])

    def _one(self, k: int, rng: np.random.Generator) -> Structure:
        draw = rng.uniform(-1, 1, (3, 3))
        even = rng.uniform(-1, 1) * np.eye(3)
        strained = self.crystal.strained(self.strain * (even + 0.5 * (draw + draw.T) / 2))
        kept = np.arange(len(strained)) != (rng.integers(len(strained)) if k % 3 == 2 else -1)
        moved = strained.positions + self.amplitude * rng.uniform(0.2, 1) * _in_ball(len(strained), rng)
        symbols = tuple(symbol for symbol, stays in zip(strained.species, kept, strict=True) if stays)
        return labelled(self.field, Structure(moved[kept], symbols, strained.cell, strained.periodic))


def _in_ball(n: int, rng: np.random.Generator) -> Array:
    """Points (n, 3) at random in the unit ball: without the tails of a normal distribution no two atoms collide."""
    directions = rng.normal(size=(n, 3))
    radii = rng.uniform(size=(n, 1)) ** (1 / 3)
    return np.asarray(radii * directions / np.linalg.norm(directions, axis=1, keepdims=True))


@dataclass(frozen=True)
class FromFile:
    """A file in the extended XYZ format with energies and forces; a quarter of it is held out."""

    path: str | Path

    def __call__(self, seed: int) -> Labelled:
        structures = self.structures()
        order = np.random.default_rng([seed, 8]).permutation(len(structures))
        few = round(HELD_OUT * len(structures))
        return Labelled([structures[k] for k in order[few:]], [structures[k] for k in order[:few]])

    def structures(self) -> list[Structure]:
        """All of them. Raises BadInput for a file of less than six, and for one without energies or forces."""
        structures = read_extxyz(self.path)
        for k, one in enumerate(structures):
            if one.energy is None or one.forces is None:
                missing = "energy" if one.energy is None else "forces"
                raise BadInput("problem.data", f"structure {k + 1} of {self.path} has no {missing}", "label it")
        if len(structures) < FEWEST:
            raise BadInput("problem.data", f"{self.path} holds {len(structures)} structures", f"give at least {FEWEST}")
        return structures
