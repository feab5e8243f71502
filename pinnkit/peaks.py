"""Where a problem is local: the places and the widths of sources that fill only a small part of the domain."""

import numpy as np
from numpy.typing import NDArray

from pinnkit.problem import INTERIOR
from pinnkit.residuals import Collocation, Residuals
from pinnkit.training import Training

Array = NDArray[np.float64]
Place = tuple[float, ...]
SAMPLES = 16384
FEW = 30  # samples next to the strongest one, from which the search begins
SMALL = 0.05  # part of the domain that sources fill at most if they are local
SEEN = 8.0  # samples that a source is spread over at least
REACH, CUT = 4.0, 6.0  # deviations from its centre that tell of it, and that are cut out with it
LEFT = 1e-4  # part of all density that the next source has at least
MOST = 3
ROUNDS = 30


def peaks(training: Training) -> tuple[Place, ...]:
    """Centres and widths, in coordinates scaled to [−1, 1], of where the equations fail before training; or none.

    The squared residual of the trial function without its head is taken as a density ρ. It fills the part
    (Σ ρ)² / (N Σ ρ²) of the domain. From its strongest point a window grows to some deviations of the density within;
    there the moments are those of a Gaussian source of √2 times its deviation, or of the Laplacian of such a peak. The
    window is then cut out, and the next one begins.
    """
    bounds = training.problem.domain.bounds
    points = training.problem.domain.sample(SAMPLES, rng=np.random.default_rng(0))
    density, place = _squared_residual(training, points), (2 * points - bounds.sum(0)) / np.diff(bounds, axis=0)[0]
    least = LEFT * density.sum()
    found: list[Place] = []
    while len(found) < MOST and density.sum() > least and _spread(density) < SMALL * SAMPLES:
        middle, deviation = _window(place, density)
        own = (np.abs(place - middle) <= CUT * deviation).all(1)
        if _spread(density[own]) < SEEN:
            break  # too narrow to be seen
        found.append((*middle.tolist(), *(2**0.5 * deviation).tolist()))
        density = np.where(own, 0.0, density)
    return tuple(found)


def _spread(density: Array) -> float:
    """The number of samples that would carry the density if it were the same on each of them."""
    return float(density.sum() ** 2 / (density**2).sum())


def _window(place: Array, density: Array) -> tuple[Array, Array]:
    """Mean and deviation (d,) of the density about its strongest point."""
    middle, dimension = place[density.argmax()], place.shape[1]
    deviation = np.full(dimension, (FEW / SAMPLES) ** (1 / dimension) / REACH)
    for _ in range(ROUNDS):
        near = (np.abs(place - middle) <= REACH * deviation).all(1)
        weight = (density * near)[:, None] / density[near].sum()
        middle = (weight * place).sum(0)
        deviation = np.sqrt((weight * (place - middle) ** 2).sum(0))
    return middle, deviation


def _squared_residual(training: Training, points: Array) -> Array:
    """Σ r² over the equations in the interior, scaled as in training, at points (n, d), with the head at zero."""
    assembly, problem = training.assembly, training.problem
    inside = [block.name for block in assembly.residuals.blocks if problem.conditions[block.name].on == INTERIOR]
    fresh = Residuals(problem, assembly.trial, {name: Collocation(points) for name in inside})
    fresh.scale_like(assembly.residuals)
    theta = training.theta.index_fill(0, fresh.linear, 0.0)
    rows = fresh(theta).reshape(-1, len(points)).double().cpu().numpy()
    return np.asarray((rows**2).sum(0))
