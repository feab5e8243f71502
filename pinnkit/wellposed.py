"""Questions asked of a problem before it is solved: is it complete, consistent, and is there one solution?"""

import logging
from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray

from pinnkit.coefficients import (
    NotSecondOrder,
    boundary_coefficients,
    condition_on,
    conditions_on,
    equation,
    interior_coefficients,
)  # fmt: skip
from pinnkit.errors import BadInput
from pinnkit.forms import BoundaryCoefficients
from pinnkit.geometry import Planar, SpaceTime
from pinnkit.operators import Index, Jet
from pinnkit.problem import INTERIOR, Problem

Array = NDArray[np.float64]
PROBES = 64
log = logging.getLogger(__name__)


def check(problem: Problem) -> None:
    """Raise BadInput for a problem that cannot be solved as it stands; warn of clashing data at corners."""
    _boundary_is_covered(problem)
    _residuals_are_finite(problem)
    try:
        _is_elliptic(problem)
        _conditions_do_not_clash(problem)
        _is_unique(problem)
    except NotSecondOrder as reason:
        log.debug("not checked further: %s", reason)


def _boundary_is_covered(problem: Problem) -> None:
    equations = [name for name, c in problem.conditions.items() if c.on == INTERIOR]
    if not equations:
        raise BadInput("conditions", "there is no equation for the interior", "add pde(residual)")
    if len(equations) > len(problem.fields):
        what = f"{len(equations)} equations for {len(problem.fields)} fields: {', '.join(equations)}"
        raise BadInput("conditions", what, "give as many fields, or add up residuals that are one equation")
    for name, condition in problem.conditions.items():
        if condition.on != INTERIOR and condition.points is None:
            _resolve(problem, name, condition.on)
            if condition.partner is not None:
                _resolve(problem, name, condition.partner)
    if problem.transient and not conditions_on(problem, "initial"):
        raise BadInput("conditions", "a problem in time needs its initial state", "add initial(value)")
    free = set(problem.domain.resolve(problem.free)) if problem.free else set()
    partners = {c.partner for c in problem.conditions.values()}
    for piece in problem.domain.resolve("boundary"):
        if piece not in free | partners and not conditions_on(problem, piece):
            raise BadInput(
                "conditions",
                f"the boundary piece {piece!r} has none",
                "add one; neumann(piece, 0) insulates it",
            )


def _resolve(problem: Problem, name: str, on: str | tuple[str, ...]) -> tuple[str, ...]:
    try:
        return problem.domain.resolve(on)
    except BadInput as error:
        raise BadInput(f"condition {name!r}", *str(error).removeprefix("boundary: ").split("; ", 1)) from None


def _boundary_points(problem: Problem, piece: str) -> tuple[Array, Array]:
    sample = problem.domain.sample_boundary(8, piece, "uniform", np.random.default_rng(0))
    return sample.points, sample.normals


def _residuals_are_finite(problem: Problem) -> None:
    """Every residual of the zero field must be a number, at points where its condition holds."""
    rng = np.random.default_rng(0)
    for name, condition in problem.conditions.items():
        if condition.partner is not None:
            continue
        normals = None
        if condition.points is not None:
            points = condition.points
            _data_lie_inside(problem, name, points)
        elif condition.on == INTERIOR:
            points = problem.domain.sample(PROBES, "uniform", rng)
        else:
            sample = problem.domain.sample_boundary(PROBES, condition.on, "uniform", rng)
            points, normals = sample.points, sample.normals
        _finite_at(problem, name, points, normals)


def _data_lie_inside(problem: Problem, name: str, points: Array) -> None:
    if points.shape[1:] != (problem.domain.dimension,):
        what = f"its points have {points.shape[1]} coordinates, the domain has {problem.domain.dimension}"
        raise BadInput(f"condition {name!r}", what, f"give {', '.join(problem.coordinates)}")
    outside = np.flatnonzero(~problem.domain.contains(points))
    if len(outside):
        what = f"{len(outside)} of its points lie outside the domain, the first at {points[outside[0]].tolist()}"
        raise BadInput(f"condition {name!r}", what, "leave them out, or correct the domain")


def _finite_at(problem: Problem, name: str, points: Array, normals: Array | None) -> None:
    coordinates = tuple(torch.tensor(c, dtype=torch.float64, requires_grad=True) for c in points.T)
    zero = torch.zeros(len(points), dtype=torch.float64, requires_grad=True)

    def flat(index: Index) -> torch.Tensor:
        return zero

    fields = {f: Jet(coordinates, flat).field() for f in problem.fields}
    more = {k: torch.tensor(u.initial, dtype=torch.float64) for k, u in problem.unknowns.items()}
    more |= {k: torch.as_tensor(v) for k, v in problem.conditions[name].values.items()}
    if normals is not None:
        more["normal"] = torch.tensor(normals[:, : problem.space_dimension].T, dtype=torch.float64)
    rows = problem.residual(name, problem.environment(coordinates, fields, **more)).detach()
    bad = torch.nonzero(~torch.isfinite(rows).all(0))
    if len(bad):
        where = ", ".join(f"{c} = {v:.4g}" for c, v in zip(problem.coordinates, points[int(bad[0])], strict=True))
        raise BadInput(f"condition {name!r}", f"it is not finite at {where}", "correct its coefficients or data")


def _is_elliptic(problem: Problem) -> None:
    points = problem.domain.sample(PROBES, "uniform", np.random.default_rng(0))
    found = interior_coefficients(problem, points)
    if not np.abs(found.diffusion).max() > 0:
        if not found.convection.any():
            what = "it has no derivatives in space: its conductivity is 0"
            raise BadInput(f"condition {equation(problem)!r}", what, "give a positive conductivity")
        raise NotSecondOrder("the equation has no second derivatives")
    lowest = np.linalg.eigvalsh(found.diffusion).min(axis=1)
    worst = int(lowest.argmin())
    if not lowest[worst] > 0:
        where = ", ".join(f"{c} = {v:.4g}" for c, v in zip(problem.coordinates, points[worst], strict=True))
        raise BadInput(
            f"condition {equation(problem)!r}",
            f"its conductivity is not positive at {where}",
            "it must be positive (definite)",
        )
    if problem.transient and not (found.capacity > 0).all():
        what = "the time derivative has not the sign of heat conduction: the problem is not well posed forwards in time"
        raise BadInput(
            f"condition {equation(problem)!r}",
            what,
            "write derivative(u, t) - div(k * grad(u, ...), ...) - f",
        )


def _conditions_do_not_clash(problem: Problem) -> None:
    for piece in problem.domain.resolve("boundary"):
        read = {name: _read(problem, name, piece) for name in conditions_on(problem, piece)}
        fixed = [name for name, found in read.items() if found is not None and not found.beta.any()]
        if len(fixed) > 1:
            what = f"{fixed[0]!r} and {fixed[1]!r} both fix the value on {piece!r}"
            raise BadInput("conditions", what, "keep one of them")
        if len(read) > 1 and None not in read.values():
            both = " and ".join(map(repr, read))
            raise BadInput("conditions", f"{both} hold on {piece!r} together", "keep one of them")
        for name, found in read.items():
            if found is not None and found.beta.any() and not np.allclose(np.abs(found.beta), 1, rtol=1e-6):
                what = "the conductivity of its flux is %.3g times that of the equation"
                log.warning(f"condition {name!r}: {what}; is conductivity= missing?", abs(float(found.beta[0])))
            if found is not None and (found.alpha * found.beta < 0).any():
                what = "heat would flow in where the domain is hotter than its surroundings"
                raise BadInput(
                    f"condition {name!r}", what, "make its coefficient positive, and its sign that of robin()"
                )
    for corner, jump in _corner_jumps(problem):
        log.warning("the prescribed values differ by %.3g at the corner %s: the solution jumps there", jump, corner)


def _read(problem: Problem, name: str, piece: str) -> BoundaryCoefficients | None:
    """The coefficients of a condition at some points of a piece; None where it has another form."""
    try:
        return boundary_coefficients(problem, name, *_boundary_points(problem, piece))
    except NotSecondOrder:
        return None


def _corner_jumps(problem: Problem) -> Iterator[tuple[list[float], float]]:
    """Corners of steady problems where two prescribed values differ, and by how much."""
    if not isinstance(problem.domain, Planar):
        return
    for corner in problem.domain.corners:
        before, after = (_value_at(problem, piece, corner.vertex) for piece in corner.pieces)
        if before is not None and after is not None and abs(before - after) > 1e-9 * max(abs(before), abs(after)):
            yield corner.vertex.tolist(), abs(before - after)


def _value_at(problem: Problem, piece: str, vertex: Array) -> float | None:
    name = condition_on(problem, piece)
    if name is None:
        return None
    assert isinstance(problem.domain, Planar)
    start, end = problem.domain.edges[piece]
    along = (end - start) / np.hypot(*(end - start))
    found = boundary_coefficients(problem, name, vertex[None], np.array([[along[1], -along[0]]]))
    return float(found.g[0] / found.alpha[0]) if found.beta[0] == 0 else None


def _is_unique(problem: Problem) -> None:
    """A steady problem with only flux conditions and no reaction determines its solution up to a constant."""
    if isinstance(problem.domain, SpaceTime) or any(c.points is not None for c in problem.conditions.values()):
        return
    inside = interior_coefficients(problem, problem.domain.sample(PROBES, "uniform", np.random.default_rng(0)))
    if inside.reaction.any() or any(c.partner is not None for c in problem.conditions.values()):
        return
    balance = problem.domain.measure * float(inside.source.mean())
    for piece in problem.domain.resolve("boundary"):
        name = condition_on(problem, piece)
        if name is None:
            return
        found = boundary_coefficients(problem, name, *_boundary_points(problem, piece))
        if found.alpha.any():
            return
        balance += problem.domain.pieces[piece] * float((found.g / found.beta).mean())
    what = (
        f"only fluxes are prescribed: the solution is unique up to a constant (sources minus outflow ≈ {balance:.3g})"
    )
    raise BadInput("conditions", what, "prescribe the value on a piece of the boundary, or a measured point")
