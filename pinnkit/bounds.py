"""A bound of the error everywhere, from residuals alone, by the maximum principle.

The error e = u − û of a linear elliptic problem L u = f with c ≥ 0, B u = g on the boundary (values, or fluxes with
coefficients ≥ 0) satisfies the same equations with the residuals of û as its data. If w satisfies L w ≥ |residual| in
the domain and B w ≥ |residual| on each part of the boundary, then |e| ≤ w (Protter & Weinberger 1967). Such a w is
found by solving the problem itself with the largest residual of each condition as its constant right-hand side, and
checked: what its own residual lacks enlarges it. It is rigorous up to sampling: the extremes are those of many points,
more of them near corners.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pinnkit.assembly import assemble
from pinnkit.coefficients import (
    NotSecondOrder,
    boundary_coefficients,
    condition_on,
    equation,
    interior_coefficients,
    orientation,
)
from pinnkit.collocation import Amounts, collocate
from pinnkit.problem import Condition, Problem, call_by_name
from pinnkit.residuals import Collocation, residual_at
from pinnkit.settings import LeastSquares, Settings
from pinnkit.training import Training
from pinnkit.trial import Trial

Array = NDArray[np.float64]
SAMPLE = Amounts(20_000, 20_000, 200)
LEAST = 1e-3  # of the largest residual, each relative to its scale: smaller ones are taken to be so large
PROBES = 100  # points at which coefficients are looked at
POLYNOMIALS = 100  # of the barrier, which need not be accurate
SLACK = 1.1  # of the barrier's data over the residuals


@dataclass(frozen=True)
class Barrier:
    """|u − û| ≤ factor · w."""

    trial: Trial
    factor: float

    def value(self, points: Array) -> Array:
        """The bound (n,) at points (n, d)."""
        with torch.no_grad():
            found = self.trial(torch.as_tensor(points).to(self.trial.weight))[:, 0]
        return self.factor * found.double().cpu().numpy()


def barrier(problem: Problem, settings: Settings, trials: Sequence[Trial]) -> Barrier | None:
    """A bound for the mean of trial functions; None where the problem is none of those above."""
    signs = _signs(problem)
    if signs is None:
        return None
    points = collocate(problem, "sobol", SAMPLE, settings.seed, 1)
    left = {name: _largest(problem, trials, name, points[name]) for name in signs}
    network = replace(settings.network, head="solved", boundary="soft", polynomials=POLYNOMIALS)
    told = replace(settings, network=network, optimizer=LeastSquares())
    scales = assemble(problem, told).residuals.scales
    size = max(left[name] / float(scales[name]) for name in left)
    wanted = {name: SLACK * max(left[name], LEAST * size * float(scales[name])) for name in left}
    homogeneous = replace(
        problem, exact=None,
        conditions={n: replace(c, residual=partial(_homogeneous, c, problem.fields[0], signs[n] * wanted[n]))
                    for n, c in problem.conditions.items()},
    )  # fmt: skip
    training = _solved(homogeneous, told)
    trial = training.assembly.trial
    factor = 1.0
    for name, sign in signs.items():
        reached = wanted[name] + sign * residual_at(homogeneous, trial, name, points[name])[0]
        factor = max(factor, left[name] / float(reached.min()) if float(reached.min()) > 0 else np.inf)
    return Barrier(trial, factor) if np.isfinite(factor) else None


def _signs(problem: Problem) -> dict[str, float] | None:
    """The factor that makes each condition one with c ≥ 0, or with coefficients ≥ 0; None where there is none."""
    if problem.transient or problem.unknowns or problem.measured or problem.free or problem.modes:
        return None
    rng, signs = np.random.default_rng(0), {}
    inside = problem.domain.sample(PROBES, "uniform", rng)
    try:
        if (interior_coefficients(problem, inside).reaction < 0).any():
            return None
        signs[equation(problem)] = orientation(problem, inside)
        for piece in problem.domain.resolve("boundary"):
            name = condition_on(problem, piece)
            if name is None:
                return None
            at = problem.domain.sample_boundary(PROBES, piece, "uniform", rng)
            found = boundary_coefficients(problem, name, at.points, at.normals)
            sign = 1.0 if (found.alpha + found.beta).sum() > 0 else -1.0
            if (sign * found.alpha < 0).any() or (sign * found.beta < 0).any():
                return None
            signs[name] = sign
    except NotSecondOrder:
        return None
    return signs


def _largest(problem: Problem, trials: Sequence[Trial], name: str, points: Collocation) -> float:
    rows = torch.stack([residual_at(problem, trial, name, points)[0] for trial in trials])
    return float(rows.mean(0).abs().max())


def _homogeneous(condition: Condition, field: str, amount: float, **env: Any) -> Tensor:
    """The residual with a constant right-hand side in the place of its own."""
    zero = {**env, field: 0 * env[field]}
    at, without = (call_by_name(condition.residual, values, "barrier") for values in (env, zero))
    assert isinstance(at, Tensor) and isinstance(without, Tensor)
    return at - without - amount


def _solved(problem: Problem, settings: Settings) -> Training:
    training = Training.start(problem, settings, assemble(problem, settings))
    training.run(lambda: None, lambda: None, lambda: False, visible=False)
    return training
