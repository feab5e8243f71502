"""Reading off the Dirichlet conditions of a problem what a trial function needs to satisfy them exactly."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray

from pinnkit.chebyshev import Series, Unresolved, fit
from pinnkit.coefficients import NotSecondOrder, boundary_coefficients
from pinnkit.corners import reach_of
from pinnkit.errors import BadInput
from pinnkit.geometry import Corner, Domain, Interval, Planar, SpaceTime
from pinnkit.geometry.distance import Edge, Pieces
from pinnkit.lift import Angle, Lift, at
from pinnkit.problem import INTERIOR, Problem, Unknown

Array = NDArray[np.float64]
SAMPLES = 512  # on which a condition is recognised, and the largest distance found
ROUND_OFF = 1e-12  # relative size of jumps that are none
STEADY = (0.0, 1.0)  # in place of a time interval: nothing depends on it


def exact_boundary(problem: Problem) -> Lift:
    """Lift and distance for all Dirichlet conditions u = g of a scalar problem on its boundary and at its start.

    Raises BadInput where there are none, or where one cannot be held: it belongs to one of several fields, depends on
    an unknown coefficient, ties pieces together, or is too rough.
    """
    domain = problem.domain
    space, time = (domain.space, domain.time) if isinstance(domain, SpaceTime) else (domain, None)
    if len(problem.fields) != 1 or not isinstance(space, Interval | Planar):
        raise _refusal("only scalar problems on intervals and polygons can have exact boundary values")
    held = _held(problem)
    pieces = Pieces.of(space, [piece for piece in held if piece != "initial"])
    start = _start(problem, held["initial"], space) if "initial" in held else None
    raw = [_along(problem, held[edge.name], edge, start, time or STEADY) for edge in pieces.edges]
    size = max([*(series.size for series in raw), start.size if start else 0.0])
    jumps = _jumps(space, pieces, raw, ROUND_OFF * size)
    data = tuple(_less(series, edge, jumps) for series, edge in zip(raw, pieces.edges, strict=True)) if jumps else raw
    clash = start is not None and time is not None and _clashes([*data, *(c for _, c in jumps)], time[0], size)
    return Lift(
        pieces, tuple(data), jumps, time, start, clash, _largest_distance(space, pieces),
        tuple(dict.fromkeys(held.values())),
    )  # fmt: skip


def _refusal(what: str) -> BadInput:
    return BadInput("network.boundary", what, "write network.boundary=soft")


def _largest_distance(space: Domain, pieces: Pieces) -> float:
    points = space.sample(SAMPLES, rng=np.random.default_rng(0))
    return float(pieces.distance(torch.as_tensor(points).unbind(-1)).max())


# --- which conditions -------------------------------------------------------------------------------------------------


def _held(problem: Problem) -> dict[str, str]:
    """The Dirichlet condition on each piece that has one."""
    held: dict[str, str] = {}
    for name, condition in problem.conditions.items():
        if condition.on == INTERIOR or condition.points is not None:
            continue
        if condition.partner is not None:
            raise _refusal(f"condition {name!r} ties two pieces together")
        pieces = problem.domain.resolve(condition.on)
        if "final" not in pieces and _is_dirichlet(problem, name, pieces):
            held |= {piece: _alone(held, piece, name) for piece in pieces}
    if not held:
        raise _refusal("the problem has no Dirichlet condition to hold")
    return held


def _alone(held: Mapping[str, str], piece: str, name: str) -> str:
    if piece in held:
        raise _refusal(f"both {held[piece]!r} and {name!r} give values on {piece}")
    return name


def _is_dirichlet(problem: Problem, name: str, pieces: Sequence[str]) -> bool:
    """Whether a condition is α u = g with α ≠ 0; refused if that depends on unknown coefficients."""
    sample = problem.domain.sample_boundary(SAMPLES, pieces, rng=np.random.default_rng(0))
    try:
        found = boundary_coefficients(problem, name, sample.points, sample.normals)
        if found.beta.any() or not found.alpha.all():
            return False
        other = boundary_coefficients(_otherwise(problem), name, sample.points, sample.normals)
    except NotSecondOrder:
        return False
    if not np.allclose(found.g / found.alpha, other.g / other.alpha, rtol=1e-12, atol=0.0):
        raise _refusal(f"condition {name!r} depends on unknown coefficients")
    return True


def _otherwise(problem: Problem) -> Problem:
    """The problem with other values of its unknown coefficients."""
    unknowns = {name: Unknown(1.7 * u.raw() + 0.3) for name, u in problem.unknowns.items()}
    return replace(problem, unknowns=unknowns)


# --- their data -------------------------------------------------------------------------------------------------------


def _fitted(
    owner: str,
    function: Callable[[Array, Array], Array],
    first: Sequence[float],
    second: Sequence[float],
    size: float = 0.0,
) -> Series:
    try:
        return fit(function, first, second, size)
    except Unresolved as reason:
        raise _refusal(f"the datum of {owner} cannot be kept as numbers: {reason}") from None


def _datum(problem: Problem, name: str, points: Array, normal: Sequence[float]) -> Array:
    """g/α at points (n, d) with the same outward normal."""
    found = boundary_coefficients(problem, name, points, np.broadcast_to(normal, points.shape))
    return np.asarray(found.g / found.alpha)


def _start(problem: Problem, name: str, space: Domain) -> Series:
    """u₀ on the box around the space; of the second coordinate it is constant on intervals."""
    normal, begin = [0.0] * space.dimension + [-1.0], problem.domain.bounds[0, -1]

    def values(a: Array, b: Array) -> Array:
        columns = (a, b)[: space.dimension]
        return _datum(problem, name, np.column_stack([*columns, np.full_like(a, begin)]), normal)

    sides = [*space.bounds.T.tolist(), STEADY]
    return _fitted(repr(name), values, *sides[:2])


def _along(problem: Problem, name: str, edge: Edge, start: Series | None, time: tuple[float, float]) -> Series:
    """g/α − u₀ on an edge, of the place along it and of time."""
    outward = [-component for component in edge.inward] + [0.0] * problem.transient

    def values(s: Array, t: Array) -> Array:
        points = np.add(edge.start, np.outer(s, np.subtract(edge.end, edge.start)))
        datum = _datum(problem, name, np.column_stack([points, t]) if problem.transient else points, outward)
        return datum if start is None else datum - at(start, torch.as_tensor(points).unbind(-1)).numpy()

    return _fitted(f"{name!r} on {edge.name}", values, (0.0, 1.0), time, start.size if start else 0.0)


def _evaluated(series: Series, a: Array, b: Array) -> Array:
    return np.asarray(series(torch.as_tensor(a), torch.as_tensor(b)).numpy())


def _jumps(space: Domain, pieces: Pieces, data: Sequence[Series], least: float) -> tuple[tuple[Angle, Series], ...]:
    """The corners where data of two edges differ, with the difference as a function of time."""
    number = {edge.name: k for k, edge in enumerate(pieces.edges)}
    found = []
    for corner in space.corners:
        if number.keys() >= set(corner.pieces):
            before, after = (data[number[piece]] for piece in corner.pieces)
            size = fit(partial(_difference, after, before), STEADY, _ends(after), max(after.size, before.size))
            if size.size > least:
                found.append((_angle(space, corner), size))
    return tuple(found)


def _difference(after: Series, before: Series, _: Array, t: Array) -> Array:
    return _evaluated(after, np.zeros_like(t), t) - _evaluated(before, np.ones_like(t), t)


def _angle(space: Domain, corner: Corner) -> Angle:
    assert isinstance(space, Planar)
    middle = corner.direction + corner.angle / 2
    vertex = (float(corner.vertex[0]), float(corner.vertex[1]))
    return Angle(vertex, math.cos(middle), math.sin(middle), corner.angle, 2 / reach_of(space, corner))


def _less(series: Series, edge: Edge, jumps: Sequence[tuple[Angle, Series]]) -> Series:
    """Data of an edge less what the jumps bring there."""

    def values(s: Array, t: Array) -> Array:
        x, when = edge.at(torch.as_tensor(s)), torch.as_tensor(t)
        own = sum((angle(x) * size(when, when) for angle, size in jumps), torch.zeros_like(when))
        return np.asarray(series(torch.as_tensor(s), when).numpy() - own.numpy())

    return _fitted(edge.name, values, (0.0, 1.0), _ends(series), max(size.size for _, size in jumps))


def _ends(series: Series) -> tuple[float, float]:
    """Start and end of time."""
    return series.breaks[1][0], series.breaks[1][-1]


def _clashes(data: Sequence[Series], start: float, size: float) -> bool:
    """Whether any of the data, which are relative to u₀, do not vanish at the start."""
    s = np.linspace(0, 1, SAMPLES)
    return any(np.abs(_evaluated(series, s, np.full_like(s, start))).max() > ROUND_OFF * size for series in data)
