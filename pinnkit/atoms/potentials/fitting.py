"""Fitting a potential: heads by least squares on frozen features, then all parameters by any optimizer."""

import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pinnkit.assembly import optimizer_for
from pinnkit.atoms.descriptors import SymmetryFunctions
from pinnkit.atoms.pairs import neighbours
from pinnkit.atoms.potentials.atomic_energies import AtomicEnergies, normalisation
from pinnkit.atoms.potentials.data import FEWEST
from pinnkit.atoms.potentials.field import Field
from pinnkit.atoms.potentials.potential import Layers, Potential, drawn
from pinnkit.atoms.potentials.residuals import FitResiduals, Split, held
from pinnkit.atoms.potentials.samples import Samples, balanced, levels_of, samples
from pinnkit.atoms.structure import Structure
from pinnkit.errors import BadInput, Diverged
from pinnkit.optimizers.base import loss_of
from pinnkit.settings import Settings

SLOPE = 0.3  # of the first layer, per spread of a descriptor
FOLDS, MANY = 5, 60  # parts of the structures on which the ridge is chosen: one by one where there are fewer than MANY
HEAD = 1  # steps after which a linear head is solved
STILL = 1e-9  # eV/Å, below which forces are round-off
SECONDS = 30.0  # of one member at most, if nobody says

Array = NDArray[np.float64]
History = list[dict[str, float | int]]


@dataclass(frozen=True)
class Trained:
    """Energies of atoms, how their training went, and why it ended."""

    energies: AtomicEnergies
    history: History
    stop_reason: str


@dataclass(frozen=True)
class Fit:
    """A potential, how the training of its first member went, and why that ended."""

    potential: Potential
    history: History
    seconds: float
    stop_reason: str


def fit(descriptors: SymmetryFunctions, structures: Sequence[Structure], settings: Settings, members: int = 1) -> Fit:
    """Fit energies, forces and stresses of labelled structures jointly, weighted by their spread.

    The features are those of `settings.network`, the optimizer and its limits those of the settings. Each further
    member has other features, and sees a bootstrap sample of the structures. Raises BadInput without labels.
    """
    began = time.perf_counter()
    _check(structures)
    every, species = samples(descriptors, structures), len(descriptors.species)
    trained = [fit_energies(every, species, settings, k) for k in range(members)]
    closest = closest_of(descriptors, structures)
    potential = Potential(descriptors, [one.energies for one in trained], layers_of(settings), closest)
    return Fit(potential, trained[0].history, time.perf_counter() - began, trained[0].stop_reason)


def fit_energies(data: Sequence[Samples], species: int, settings: Settings, member: int = 0) -> Trained:
    """Energies of atoms of so many species from samples, whose weights are set here."""
    levels = levels_of(data, species)
    parts = balanced(data, levels)
    atoms = _start(parts, levels, layers_of(settings), settings, member)
    if member > 0:
        parts = _bootstrapped(parts, np.random.default_rng([settings.seed, 3, member]))
    ridge = held(atoms, _splits(parts, np.random.default_rng([settings.seed, 4])))
    return Trained(atoms, *descend(FitResiduals(atoms, parts, ridge), settings))


def closest_of(descriptors: SymmetryFunctions, structures: Sequence[Structure]) -> Tensor:
    """The smallest distances of atoms of each two species (S, S) in Å, as far as the descriptors see."""
    count = len(descriptors.species)
    found = np.full((count, count), float(descriptors.cutoff))
    for one in structures:
        pairs, kinds = neighbours(one, descriptors.cutoff), descriptors.kinds(one.species).numpy()
        apart = np.linalg.norm(pairs.vectors(one), axis=1)
        np.minimum.at(found, (kinds[pairs.first], kinds[pairs.second]), apart)
    return torch.from_numpy(found)


def layers_of(settings: Settings) -> Layers:
    """The features that the settings describe."""
    return Layers(settings.network.layers, settings.network.activation, settings.network.slope or SLOPE)


def _check(structures: Sequence[Structure]) -> None:
    if len(structures) < FEWEST:
        raise BadInput("data", f"there are {len(structures)} structures to learn from", f"give at least {FEWEST}")
    if all(one.energy is None for one in structures):
        raise BadInput("data", "no structure has an energy", "label them, or give energies in the file")


def _start(parts: Sequence[Samples], levels: Tensor, layers: Layers, settings: Settings, k: int) -> AtomicEnergies:
    """Features at random; the head is zero, or random."""
    values = torch.cat([one.values.flatten(0, 1) for one in parts])
    kinds = torch.cat([one.kinds.flatten() for one in parts])
    generator = torch.Generator().manual_seed(int(np.random.default_rng([settings.seed, 2, k]).integers(2**62)))
    atoms = drawn(*normalisation(values, kinds, len(levels)), layers, generator)
    atoms.levels.copy_(levels)
    atoms.see(values, kinds)
    if settings.network.head == "random":
        above = (one.above(levels) for one in parts)
        energies = torch.cat([one.energy / one.values.shape[1] for one in above])
        with torch.no_grad():
            for head in atoms.heads:
                head.normal_(generator=generator).mul_(float(energies.std()) / head.numel() ** 0.5)
    return atoms


def _bootstrapped(parts: Sequence[Samples], rng: np.random.Generator) -> list[Samples]:
    return [one.part(torch.from_numpy(rng.integers(len(one), size=len(one)))) for one in parts]


def _splits(parts: Sequence[Samples], rng: np.random.Generator) -> list[Split]:
    """FOLDS ways to set a part of the structures aside; one is enough where there are many."""
    total = sum(map(len, parts))
    folds = min(FOLDS, total)
    of_all = torch.from_numpy(rng.permutation(total) % folds).split([len(one) for one in parts])
    return [
        (_chosen(parts, [fold != k for fold in of_all]), _chosen(parts, [fold == k for fold in of_all]))
        for k in range(folds if total < MANY else 1)
    ]


def _chosen(parts: Sequence[Samples], which: Sequence[Tensor]) -> list[Samples]:
    found = [one.part(mask.nonzero()[:, 0]) for one, mask in zip(parts, which, strict=True)]
    return [one for one in found if len(one)]


def descend(residuals: FitResiduals, settings: Settings) -> tuple[History, str]:
    """Take steps until the optimizer, the number of steps or the time says stop; leaves the best parameters.

    Raises Diverged.
    """
    optimizer, automatic = optimizer_for(settings)
    most, limit = settings.training.max_steps or automatic, settings.training.max_seconds or SECONDS
    theta, began = residuals.theta, time.perf_counter()
    state, best = optimizer.init(residuals, theta), (loss_of(residuals(theta)), theta)
    history: History = [{"step": 0, "seconds": 0.0, "loss": best[0]}]
    stop = "all steps are done"
    for step in range(1, most + 1):
        theta, state, info = optimizer.step(residuals, theta, state)
        if not bool(torch.isfinite(theta).all()):
            raise Diverged(f"training: the parameters are not finite at step {step}; take a smaller learning rate")
        history.append({"step": step, "seconds": time.perf_counter() - began, "loss": info.loss})
        if step == most or info.stop or not info.began_with:
            loss = loss_of(residuals(theta)) if info.began_with else info.loss
            best = (loss, theta) if loss <= best[0] else best
        if info.stop or time.perf_counter() - began > limit:
            stop = info.stop or "the time is up"
            break
    last = loss_of(residuals(theta))
    residuals.assign(best[1] if best[0] < last else theta)
    if len(history) > HEAD + 1 and min(best[0], last) >= history[HEAD]["loss"]:
        stop += "; nothing was better than the solved head"
    return history, stop


@dataclass(frozen=True)
class Errors:
    """What was predicted (…,) beside the truth, for held-out structures."""

    energies: tuple[Array, Array]  # per atom, eV
    forces: tuple[Array, Array]  # (components,), eV/Å
    sum_of_forces: float  # the largest component of any structure's, as predicted, eV/Å

    @property
    def force_rmse_relative(self) -> float | None:
        """Root mean square error of force components, per standard deviation; None if they do not vary."""
        found, truth = self.forces
        spread = float(np.std(truth))
        return float(np.sqrt(np.mean((found - truth) ** 2))) / spread if spread > STILL else None

    @property
    def energy_rmse(self) -> float:
        """In meV per atom."""
        found, truth = self.energies
        return float(1e3 * np.sqrt(np.mean((found - truth) ** 2)))


def compare(potential: Field, structures: Sequence[Structure]) -> Errors:
    """Predictions beside the labels of structures, which have energies and forces."""
    said = [potential.energy_forces(one) for one in structures]
    sizes = np.array([len(one) for one in structures])
    energies = np.array([one.energy for one in said]), np.array([one.energy for one in structures], dtype=float)
    forces = np.concatenate([one.forces for one in said]), np.concatenate([np.asarray(s.forces) for s in structures])
    pushed = max(float(np.abs(one.forces.sum(0)).max()) for one in said)
    return Errors((energies[0] / sizes, energies[1] / sizes), (forces[0].ravel(), forces[1].ravel()), pushed)
