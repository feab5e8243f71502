"""A bound of the error everywhere, from residuals alone, by the maximum principle.

The error e = u − û of a linear elliptic problem L u = f in the domain, B u = g on its boundary, with

    L u = −A:∇²u + b·∇u + c u  with A > 0, c ≥ 0,        B u = α u + β (A ∇u)·n  with α, β ≥ 0, not both 0,

satisfies both with the residuals of û as its data. If L w ≥ |residual| in the domain and B w ≥ |residual| on each part
of the boundary, then |e| ≤ w (Protter & Weinberger 1967). Such a barrier w is found by solving the problem itself, with
constants in the proportion of the largest residuals as its data, and only then checked: w need not be accurate, and
what it reaches of its data, at the least, says by how much it is to be multiplied. û may be the mean of several trial
functions, whose residual is the mean of theirs.

It is rigorous up to sampling: extremes are those of many points, which crowd towards the boundary, towards corners and
where the trial function has local features, with a margin of 1 % for what lies between. Where residuals grow without
bound towards a corner (singular functions where A varies) these points end at a 10⁻⁵th of its edges; what lies beyond
has no area to speak of.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pinnkit.assembly import assemble, points_for, trial_for
from pinnkit.coefficients import (
    NotSecondOrder,
    boundary_coefficients,
    condition_on,
    equation,
    interior_coefficients,
    orientation,
)
from pinnkit.errors import BadInput, Diverged
from pinnkit.geometry import Box, Domain, Planar
from pinnkit.problem import INTERIOR, Problem
from pinnkit.residuals import Collocation, Residuals, residual_at
from pinnkit.result import predict
from pinnkit.settings import LeastSquares, Network, Sampling, Settings
from pinnkit.settings import Training as Limits
from pinnkit.training import Training
from pinnkit.trial import Trial

KIND = "maximum principle"
DRAW = 2**31 + 1  # of points that neither training nor the judgement of a member has seen
MOST_POINTS, LEAST_POINTS = 20_000, 2000  # inside, and a third as many on the boundary
WORK = 1.5e8  # points times columns of all trial functions times their derivatives, some seconds of one core
LIKE_COLUMNS = 5000  # that derivatives of a lift and a distance take as long as
NEAR_CORNERS = 200  # points about each corner
REACH, DECADES = 0.1, 4.0  # how near the boundary and corners points begin, of the size of the domain, and end
FINEST = 6.0  # decades over which points on the boundary crowd towards the ends of its pieces
CHUNK = 1000
LOOSE = 2.0  # times that a barrier falls short of its data, from which on another is tried
PROGRAMMED = Sampling(interior=600, boundary=400)  # inequalities of a linear program, whose time grows with them
MARGIN = 1.01  # for extremes between points
Array = NDArray[np.float64]
Points = dict[str, Collocation]


class _Attempt(NamedTuple):
    """Features of a barrier, the least of its data relative to the largest, and whether inequalities will do."""

    network: Network
    least: float
    programmed: bool


# Solving the equations is sharpest. Where that lacks resolution, or singular functions spoil L w near a corner, larger
# data on the boundary help, or the smallest smooth function that obeys the inequalities.
ATTEMPTS = (
    _Attempt(Network(layers=(20,), polynomials=100), 1e-3, False),
    _Attempt(Network(layers=(1,), polynomials=36, corners=False), 0.1, True),
    _Attempt(Network(layers=(20,), polynomials=100, corners=False), 1.0, False),
)


@dataclass(frozen=True)
class Barrier:
    """|u − û| ≤ factor · w, where this is at most `largest` at the points on which it was checked."""

    trial: Trial
    factor: float
    largest: float

    def value(self, points: Array) -> Array:
        """The bound (n,) at points (n, d)."""
        return self.factor * predict(self.trial, points)[:, 0]


def barrier(problem: Problem, settings: Settings, trials: Sequence[Trial]) -> Barrier | None:
    """A bound for the mean of trial functions; None where the problem is none of those above, or no barrier is found.

    `settings` are those of a member, with what was chosen automatically.
    """
    if not _eligible(problem):
        return None
    points = _points(problem, settings, trials)
    signs = _signs(problem, points)
    if signs is None:
        return None
    left = {name: _largest(problem, trials, name, points[name]) for name in signs}
    if not np.isfinite(list(left.values())).all():
        return None
    told = replace(
        settings, network=Network(), sampling=Sampling(), optimizer=LeastSquares(), training=Limits(), device="cpu",
        dtype="float64",
    )  # fmt: skip
    return _best(problem, told, signs, left, points)


def _eligible(problem: Problem) -> bool:
    """Whether it is a steady problem for one field that its conditions alone determine."""
    others = problem.transient or problem.unknowns or problem.measured or problem.free or problem.modes
    return not others and len(problem.fields) == 1


def _points(problem: Problem, settings: Settings, trials: Sequence[Trial]) -> Points:
    """Where extremes are looked for: fewer points for larger trial functions, so that it takes seconds."""
    d = problem.domain.dimension
    jets = (d + 1) * (d + 2) // 2  # the value and its derivatives up to the second
    columns = sum(trial.columns + (LIKE_COLUMNS if trial.exact else 0) for trial in trials)
    n = int(min(max(WORK / columns / jets, LEAST_POINTS), MOST_POINTS))
    many = replace(settings, sampling=Sampling(interior=n, boundary=n // 3, corner=NEAR_CORNERS))
    points = points_for(problem, many, 0, DRAW)
    rng = np.random.default_rng([settings.seed, DRAW])
    for name, condition in problem.conditions.items():
        if condition.on != INTERIOR and condition.partner is None:
            ends = _ends(problem.domain, problem.domain.resolve(condition.on), rng)
            points[name] = _joined(points[name], *ends)
    with suppress(NotSecondOrder):  # another problem than those above, which is found out next
        inside = [points[equation(problem)].points, *_crowded(problem.domain, n // 4, rng)]
        points[equation(problem)] = Collocation(np.concatenate(inside))
    return points


def _joined(points: Collocation, more: Array, normals: Array) -> Collocation:
    assert points.normals is not None
    return Collocation(np.concatenate([points.points, more]), np.concatenate([points.normals, normals]))


def _ends(domain: Domain, pieces: Sequence[str], rng: np.random.Generator) -> tuple[Array, Array]:
    """Points, with normals, that crowd towards the ends of boundary pieces."""
    cube = rng.random((NEAR_CORNERS * len(pieces), domain.dimension - 1))
    near = 0.5 * 10 ** (-FINEST * cube)
    cube = np.where(rng.random(cube.shape) < 0.5, near, 1 - near)
    return domain.boundary_from_unit(pieces, [NEAR_CORNERS] * len(pieces), cube)


def _crowded(domain: Domain, n: int, rng: np.random.Generator) -> Iterator[Array]:
    """Points inside that crowd towards the boundary and towards corners, where residuals of polynomials are largest."""
    sample = domain.sample_boundary(n, rng=rng)
    depth = float((domain.bounds[1] - domain.bounds[0]).min()) * REACH * 10 ** (-DECADES * rng.random((n, 1)))
    points = sample.points - depth * sample.normals
    yield points[domain.contains_strictly(points)]
    if isinstance(domain, Box):
        yield domain.from_unit(np.sin(np.pi / 2 * rng.random((n, domain.dimension))) ** 2)
    if isinstance(domain, Planar):
        for corner in domain.corners:
            with suppress(BadInput):  # next to a neck hardly any point is inside
                yield domain.sample_corner(corner, NEAR_CORNERS, REACH * min(corner.lengths), rng, DECADES)


def _signs(problem: Problem, points: Points) -> dict[str, float] | None:
    """The factor that makes each condition one of those above; None where there is none."""
    try:
        signs = {equation(problem): _sign_inside(problem, points[equation(problem)].points)}
        for piece in problem.domain.resolve("boundary"):
            name = condition_on(problem, piece)
            if name is None:
                return None
            signs[name] = signs.get(name) or _sign_on_boundary(problem, name, points[name])
    except NotSecondOrder:
        return None
    return signs if all(signs.values()) else None


def _sign_inside(problem: Problem, points: Array) -> float:
    """±1, or 0 where A is not positive or c is negative."""
    found = interior_coefficients(problem, points)
    known = np.isfinite(found.diffusion).all() and np.isfinite(found.convection).all()
    fits = known and (np.linalg.eigvalsh(found.diffusion) > 0).all() and (found.reaction >= 0).all()
    return orientation(problem, points) if fits else 0.0


def _sign_on_boundary(problem: Problem, name: str, points: Collocation) -> float:
    """±1, or 0 where α and β have different signs, or both vanish."""
    assert points.normals is not None
    alpha, beta, _ = boundary_coefficients(problem, name, points.points, points.normals)
    sign = 1.0 if float((alpha + beta).sum()) > 0 else -1.0
    fits = (sign * alpha >= 0).all() and (sign * beta >= 0).all() and (sign * (alpha + beta) > 0).all()
    return sign if fits else 0.0


def _largest(problem: Problem, trials: Sequence[Trial], name: str, points: Collocation) -> float:
    """The largest residual of the mean: residuals are affine."""
    total = sum(residual_at(problem, trial, name, points, CHUNK)[0].double().cpu() for trial in trials)
    assert isinstance(total, Tensor)
    return float((total / len(trials)).abs().max())


def _best(
    problem: Problem, settings: Settings, signs: Mapping[str, float], left: Mapping[str, float], points: Points
) -> Barrier | None:
    """The first barrier that reaches its data well, else the smallest of them."""
    found = []
    for attempt in ATTEMPTS:
        with suppress(Diverged):
            found.append(_tried(problem, settings, attempt, signs, left, points))
            if found[-1] is not None and found[-1].good:
                break
    checked = [one for one in found if one is not None]
    return min(checked, key=lambda one: one.barrier.largest).barrier if checked else None


class _Checked(NamedTuple):
    barrier: Barrier
    good: bool  # w reaches nearly all of its data everywhere


def _tried(
    problem: Problem, settings: Settings, attempt: _Attempt, signs: Mapping[str, float], left: Mapping[str, float],
    points: Points,
) -> _Checked | None:  # fmt: skip
    """The barrier of one attempt, checked; None where L w or B w does not even have the sign of its data."""
    told = replace(settings, network=attempt.network)
    wanted = _data(problem, told, attempt.least, left)
    residuals = {name: partial(_with_data, problem, name, sign * wanted[name]) for name, sign in signs.items()}
    conditions = {name: replace(problem.conditions[name], residual=own) for name, own in residuals.items()}
    own = replace(problem, exact=None, conditions=conditions)
    trial = _smallest(own, told, signs) if attempt.programmed else _solved(own, told)
    reached = {name: wanted[name] + _least(own, trial, name, sign, points[name]) for name, sign in signs.items()}
    if not all(value > 0 for value in reached.values()):
        return None
    factor = MARGIN * max(left[name] / reached[name] for name in signs)
    largest = max(float(predict(trial, points[name].points).max()) for name in signs)
    lacking = max(wanted[name] / reached[name] for name in signs)
    return _Checked(Barrier(trial, factor, factor * largest), lacking < LOOSE)


def _least(problem: Problem, trial: Trial, name: str, sign: float, points: Collocation) -> float:
    return float((sign * residual_at(problem, trial, name, points, CHUNK)[0]).min())


def _data(problem: Problem, settings: Settings, least: float, left: Mapping[str, float]) -> dict[str, float]:
    """Right-hand sides of the barrier: in the proportion of the residuals, each relative to its scale, but of size 1.

    Hence a barrier depends on the proportions of residuals alone, and where all are 0 the bound is 0.
    """
    residuals = Residuals(problem, trial_for(problem, settings), points_for(problem, settings, 0))
    residuals.normalise()
    scales = {name: float(scale) for name, scale in residuals.scales.items()}
    size = max(left[name] / scales[name] for name in left)
    return {name: max(left[name] / size if size else 0.0, least * scales[name]) for name in left}


def _with_data(problem: Problem, name: str, amount: float, **env: Any) -> Tensor:
    """The residual of a condition with a constant right-hand side in the place of its own."""
    field = problem.fields[0]
    at, zero = (problem.residual(name, {**env, field: value})[0] for value in (env[field], 0 * env[field]))
    return at - zero - amount


def _solved(problem: Problem, settings: Settings) -> Trial:
    training = Training.start(problem, settings, assemble(problem, settings))
    training.run(lambda: None, lambda: None, lambda: False, visible=False)
    return training.assembly.trial


def _smallest(problem: Problem, settings: Settings, signs: Mapping[str, float]) -> Trial:
    """The trial function of smallest mean whose residuals are ≥ 0, after their signs: a linear program for the head."""
    from scipy.optimize import linprog

    assembly = assemble(problem, replace(settings, sampling=PROGRAMMED))
    residuals, trial = assembly.residuals, assembly.trial
    theta = residuals.theta
    r, matrix = (part.numpy() for part in residuals.linear_jacobian(theta))
    sign = np.concatenate([np.full(block.rows, signs[block.name]) for block in residuals.blocks])
    mean = trial(torch.cat([block.field.points for block in residuals.blocks])).mean()
    costs = torch.cat([g.reshape(-1) for g in torch.autograd.grad(mean, (trial.weight, trial.bias))]).numpy()
    lengths = np.linalg.norm(matrix, axis=0) + np.finfo(float).tiny  # columns of one size
    found = linprog(costs / lengths, -sign[:, None] * matrix / lengths, sign * r, bounds=(None, None), method="highs")
    if found.x is not None:
        theta[residuals.linear] += torch.from_numpy(found.x / lengths)
    residuals.assign(theta)
    return trial
