"""Where a problem is local: the place and the width of a source that fills only a small part of the domain."""

import numpy as np
from numpy.typing import NDArray

from pinnkit.problem import INTERIOR
from pinnkit.residuals import Collocation, Residuals
from pinnkit.training import Training

Array = NDArray[np.float64]
SAMPLES = 16384
SMALL = 0.05  # part of the domain that a source fills at most if it is local
REACH = 4.0  # standard deviations from its centre that belong to it
ROUNDS = 20


def peak(training: Training) -> tuple[float, ...] | None:
    """Centre and widths, in coordinates scaled to [−1, 1], of where the equations fail before training; or None.

    The squared residual r² of the trial function without its head is taken as a density: it fills the part
    (Σ r²)² / (N Σ r⁴) of the domain, and its moments are those of a Gaussian source of √2 times its deviation, or of
    the Laplacian of such a peak. Points further off than some deviations are background and left out, again and again.
    """
    bounds = training.problem.domain.bounds
    points = training.problem.domain.sample(SAMPLES, rng=np.random.default_rng(0))
    density = _squared_residual(training, points)
    if not density.any() or density.sum() ** 2 > SMALL * SAMPLES * (density**2).sum():
        return None
    place = (2 * points - bounds.sum(0)) / np.diff(bounds, axis=0)[0]
    middle, deviation = place[density.argmax()], np.full(points.shape[1], np.inf)
    for _ in range(ROUNDS):
        near = (np.abs(place - middle) <= REACH * deviation).all(1)
        weight = (density * near)[:, None] / density[near].sum()
        middle = (weight * place).sum(0)
        deviation = np.sqrt((weight * (place - middle) ** 2).sum(0))
    if not deviation.all():
        return None  # a single point: too narrow to be seen
    return (*middle.tolist(), *(2**0.5 * deviation).tolist())


def _squared_residual(training: Training, points: Array) -> Array:
    """Σ r² over the equations in the interior, scaled as in training, at points (n, d), with the head at zero."""
    assembly, problem = training.assembly, training.problem
    inside = [block.name for block in assembly.residuals.blocks if problem.conditions[block.name].on == INTERIOR]
    fresh = Residuals(problem, assembly.trial, {name: Collocation(points) for name in inside})
    fresh.scale_like(assembly.residuals)
    theta = training.theta.index_fill(0, fresh.linear, 0.0)
    rows = fresh(theta).reshape(-1, len(points)).double().cpu().numpy()
    return np.asarray((rows**2).sum(0))
