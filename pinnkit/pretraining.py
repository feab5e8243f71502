"""Features for a family of problems, learned at once: one head for each member, and the subspace that all of them need.

The family of a linear problem has its operators and random right-hand sides. With Chebyshev polynomials F as features
all its heads are one least-squares solve with many right-hand sides,

    W = argmin ‖A W − B‖,

and the k combinations of them that serve best, in the mean square over the domain and the members, are the leading
right singular vectors of F W (Eckart & Young 1936; in model reduction: proper orthogonal decomposition). For heat
without sources they come close to the harmonic polynomials, of which 100 do the work of 5000 general ones.

Each combination keeps the size that it has in the family: a head of independent normal weights draws from the family.
The right-hand sides are waves. Conditions on values share theirs, so that data agree where pieces of the boundary meet.
Singular functions of the corners have coefficients of their own in each member, and do not enter the features.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pinnkit import settings as chosen
from pinnkit.assembly import points_for, trial_for
from pinnkit.errors import BadInput
from pinnkit.networks import FeatureMap, Reduced
from pinnkit.problem import INTERIOR, Problem
from pinnkit.residuals import Collocation, Residuals
from pinnkit.settings import Settings

Array = NDArray[np.float64]
LOWEST = 0.5  # frequency of a wave on the boundary, in radians per half-width
EVERY = 5  # member has a source, of low frequency, and weak data on the boundary
SOURCE_FREQUENCY, WEAK = 2.0, 0.1
DAMPING = 1e-13
POINTS = 4000  # on which features are compared
AFFINE = 1e-8  # relative change of J that is round-off


def pretrained_network(settings: Settings) -> chosen.Network:
    """The network of pretrained features: the one asked for, and beside it combinations of polynomials."""
    task = _task(settings)
    return replace(settings.network, polynomials=task.polynomials, reduced=task.features, peaks=(), head="solved")


def _task(settings: Settings) -> chosen.Pretrain:
    assert isinstance(settings.task, chosen.Pretrain)
    return settings.task


def box(members: Sequence[Problem]) -> Array:
    """Half-widths (d,) of a box that holds the domains of all members, each scaled to a largest spatial one of 1."""
    coordinates = members[0].coordinates
    halves = [np.ptp(member.domain.bounds, axis=0) / 2 for member in members]
    return np.max([half / _largest(half, coordinates) for half in halves], axis=0)


def bounds_of(member: Problem, halves: Array) -> Array:
    """What of a member's surroundings the features see as [−1, 1]ᵈ."""
    bounds = member.domain.bounds
    centre, half = bounds.mean(0), np.ptp(bounds, axis=0) / 2
    reach = np.where(_spatial(member.coordinates), halves * _largest(half, member.coordinates), half)
    return np.stack([centre - reach, centre + reach])


def _spatial(coordinates: Sequence[str]) -> NDArray[np.bool_]:
    return np.array([name != "t" for name in coordinates])


def _largest(half: Array, coordinates: Sequence[str]) -> float:
    return float(half[_spatial(coordinates)].max())


def pretrain(members: Sequence[Problem], settings: Settings, features: Reduced) -> None:
    """Learn the combinations of the features from the families of all members. Raises BadInput.

    Where the members together have fewer heads than combinations are wanted, the last combinations stay random.
    """
    rng, halves = np.random.default_rng([settings.seed, 2]), box(members)
    inner, found = features.features, []
    for member in members:
        found.append(_heads(member, settings, inner, bounds_of(member, halves), rng))
    heads = torch.cat(found, 1)
    values = inner(torch.from_numpy(rng.uniform(-1, 1, (POINTS, len(halves)))))
    upper = torch.linalg.qr(values / POINTS**0.5).R
    _, sizes, right = torch.linalg.svd(upper @ heads, full_matrices=False)
    count = min(features.width, int((sizes > 0).sum()))
    features.combinations[:count] = (heads @ right[:count].mT / sizes[0]).mT


def _heads(member: Problem, settings: Settings, inner: FeatureMap, bounds: Array, rng: np.random.Generator) -> Tensor:
    """Weights (inner features, heads) of solutions of the member's family, each of size 1 in the mean square."""
    trial = trial_for(member, settings, inner, bounds)
    points = points_for(member, settings, trial.columns)
    residuals = Residuals(member, trial, points)
    residuals.normalise()
    _refuse_nonlinear(residuals)
    _, matrix = residuals.linear_jacobian(residuals.theta)
    waves = _Waves(_task(settings), bounds, rng)
    wanted = [waves.on(member, b.name, points[b.name], b.order, b.rows // b.n) for b in residuals.blocks]
    weights = _solved(matrix, torch.cat(wanted))[: trial.width]
    sample = member.domain.sample(POINTS, "sobol", rng)
    values = inner(torch.from_numpy((sample - bounds.mean(0)) / np.ptp(bounds, axis=0) * 2))
    return weights / (values @ weights).square().mean(0).sqrt()


class _Waves:
    """Right-hand sides cos(ω·x̂ + φ) of conditions at their points, one for each member of the family."""

    def __init__(self, task: chosen.Pretrain, bounds: Array, rng: np.random.Generator) -> None:
        self.centre, self.half = bounds.mean(0), np.ptp(bounds, axis=0).max() / 2
        self.rng, self.count = rng, task.heads
        self.frequencies = np.geomspace(LOWEST, max(task.frequency, LOWEST), task.heads)
        self.with_source = np.arange(task.heads) % EVERY == 0
        self.values = self._draw(self.frequencies)

    def _draw(self, frequencies: Array) -> tuple[Array, Array]:
        """Wave vectors (d, heads) in random directions, and phases."""
        directions = self.rng.normal(size=(len(self.centre), self.count))
        directions /= np.linalg.norm(directions, axis=0)
        return directions * frequencies, self.rng.uniform(0, 2 * np.pi, self.count)

    def on(self, member: Problem, name: str, collocation: Collocation, order: int, equations: int) -> Tensor:
        """Rows (equations · n, heads) for a condition, scaled as the rows of its residual are."""
        x = (collocation.points - self.centre) / self.half
        inside, rows = member.conditions[name].on == INTERIOR, []
        strength = self.with_source * 1.0 if inside else np.where(self.with_source, WEAK, 1.0)
        for _ in range(equations):
            if inside:
                waves, phases = self._draw(self.rng.uniform(0, SOURCE_FREQUENCY, self.count))
            else:
                waves, phases = self._draw(self.frequencies) if order else self.values
            rows.append(strength * np.cos(x.dot(waves) + phases) / len(x) ** 0.5)
        return torch.from_numpy(np.concatenate(rows))


def _solved(matrix: Tensor, wanted: Tensor) -> Tensor:
    """argmin ‖A W − B‖² + ‖damping · W‖² for many right-hand sides, in columns scaled to norm 1."""
    norms = matrix.norm(dim=0)
    scale = torch.where(norms > 0, norms, 1.0)
    below = DAMPING * torch.eye(matrix.shape[1], dtype=matrix.dtype)
    basis, upper = torch.linalg.qr(torch.cat([matrix / scale, below]))
    return torch.linalg.solve_triangular(upper, basis[: len(matrix)].mT @ wanted, upper=True) / scale[:, None]


def _refuse_nonlinear(residuals: Residuals) -> None:
    problem, theta = residuals.problem, residuals.theta
    if problem.unknowns or problem.modes:
        raise BadInput("task", f"{problem.name} has unknown coefficients", "pretrain on a problem that has none")
    if len(problem.fields) > 1:
        raise BadInput("task", f"{problem.name} has several fields", "pretrain on a problem with one")
    moved = theta.clone()
    moved[residuals.linear] = torch.randn(
        len(residuals.linear), dtype=theta.dtype, generator=torch.Generator().manual_seed(0)
    )
    zero, (_, matrix) = residuals(theta), residuals.linear_jacobian(theta)
    change = matrix @ (moved - theta)[residuals.linear]
    if float((residuals(moved) - zero - change).norm()) > AFFINE * float(change.norm()):
        what = f"{problem.name} is not linear: its family is not a space"
        raise BadInput("task", what, "train it, and give its run folder as task.source")
