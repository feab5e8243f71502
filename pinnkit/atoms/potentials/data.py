"""Structures with energies and forces: from thermal motion, from shaken and strained crystals, from a file."""

import math
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import Annotated, NamedTuple, Protocol

import numpy as np

from pinnkit.atoms.extxyz import read_extxyz
from pinnkit.atoms.pairs import neighbours
from pinnkit.atoms.potentials.dynamics import HOTTEST, check_start, masses_of, simulate
from pinnkit.atoms.potentials.field import Field, labelled
from pinnkit.atoms.structure import Array, Structure
from pinnkit.conversion import Between, convert
from pinnkit.errors import BadInput, about

EQUILIBRATION, STRIDE = 200, 60  # steps, to begin with and between two structures that are kept
FRICTION = 0.02  # 1/fs
FEWEST = 4  # structures to learn from
HELD_OUT, FEWEST_IN_FILE = 0.25, 6
MOST = 100_000  # structures
ALIKE = 6  # decimals of Å to which copies agree
TOUCHING = 0.5  # Å: nothing is bound at a smaller distance


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

    def __post_init__(self) -> None:
        if not self.crystals or not self.held_out_crystals:
            raise BadInput("lattice", "there is none", "give at least one lattice constant, in Å")
        for one in (*self.crystals, *self.held_out_crystals):
            _check_apart(one, "lattice", f"a crystal of {len(one)} atoms")
        if not self.temperatures:
            raise BadInput("temperatures", "there are none", "give at least one, in K")
        for temperature in self.temperatures:
            convert(Annotated[float, Between(0, HOTTEST, above=True)], temperature, "temperatures")
        hottest = max(self.temperatures)
        with _too_hot(hottest):
            for one in self.crystals:
                check_start(one, self.timestep, hottest)
        cases = len(self.crystals) * len(self.temperatures)
        _check_count("count", self.count, math.ceil(FEWEST / cases))

    def __call__(self, seed: int) -> Labelled:
        warm = list(self.temperatures)
        between = [(a + b) / 2 for a, b in pairwise(warm)] or warm
        train = self._runs(self.crystals, warm, seed, 0)
        return Labelled(train, self._runs(self.held_out_crystals, between, seed, 1))

    def _runs(self, crystals: Sequence[Structure], warm: Sequence[float], seed: int, part: int) -> list[Structure]:
        cases = [(crystal, temperature) for crystal in crystals for temperature in warm]
        draws = np.random.default_rng([seed, 5, part]).integers(2**31, size=len(cases))
        found = []
        for (crystal, warmth), draw in zip(cases, draws, strict=True):
            with _too_hot(warmth):
                found += thermal(self.field, crystal, warmth, self.count, self.timestep, int(draw))
        return found


def _too_hot(temperature: float) -> AbstractContextManager[None]:
    """Steps are ours: where they are too long it is the temperature that is too high."""
    return about("temperatures", f"at {temperature:g} K the true motion fails: ", "take lower ones")


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

    def __post_init__(self) -> None:
        convert(Annotated[float, Between(0, 10)], self.amplitude, "amplitude")
        convert(Annotated[float, Between(0, 0.5)], self.strain, "strain")
        _check_count("count", self.count, FEWEST)
        _check_count("held_out", self.held_out, 1)

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


def _check_count(name: str, count: int, fewest: int) -> None:
    convert(Annotated[int, Between(fewest, MOST)], count, name)


@dataclass(frozen=True)
class FromFile:
    """A file in the extended XYZ format with energies and forces; a quarter of it is held out."""

    path: str | Path

    def __call__(self, seed: int) -> Labelled:
        structures = self.structures
        order = np.random.default_rng([seed, 8]).permutation(len(structures))
        few = round(HELD_OUT * len(structures))
        return Labelled([structures[k] for k in order[few:]], [structures[k] for k in order[:few]])

    @cached_property
    def structures(self) -> list[Structure]:
        """All that differ, read once: a copy would be judged by what it was learned from.

        Raises BadInput for a file of less than six, for one without energies or forces, and for impossible atoms.
        """
        structures = read_extxyz(self.path)
        for k, one in enumerate(structures):
            _check_labelled(one, f"structure {k + 1} of {self.path}")
        different = list({_fingerprint(one): one for one in structures}.values())
        if len(different) < FEWEST_IN_FILE:
            what = f"{self.path} holds {len(different)} different structures"
            raise BadInput("problem.data", what, f"give at least {FEWEST_IN_FILE}")
        return different


def _fingerprint(one: Structure) -> tuple[object, ...]:
    cell = None if one.cell is None else one.cell.round(ALIKE).tobytes()
    return one.species, one.positions.round(ALIKE).tobytes(), cell


def _check_labelled(one: Structure, which: str) -> None:
    if one.energy is None or one.forces is None:
        missing = "energy=…" if one.energy is None else "column forces"
        raise BadInput("problem.data", f"{which} has no {missing}", "label it, or rename what holds it")
    with about("problem.data", f"{which}: ", "correct the symbol"):
        masses_of(one)
    _check_apart(one, "problem.data", which)


def _check_apart(one: Structure, key: str, which: str) -> None:
    with about(key, f"{which}: "):
        pairs = neighbours(one, TOUCHING)
    if len(pairs.first):
        i, j, apart = pairs.first[0], pairs.second[0], np.linalg.norm(pairs.vectors(one)[0])
        what = f"{which}: atoms {i} and {j} are {apart:.2g} Å apart"
        raise BadInput(key, what, "leave it out, and check that lengths are in Å")
