"""Reading the coefficients of a second-order PDE from its residual.

A residual that is affine in (u, ∇u, ∇²u, u_t) *is* its coefficients: differentiating it by each of these, held as
independent variables at a point, gives them exactly. The finite-element reference, the singular functions at corners
and the checks of well-posedness are all derived in this way from the very functions the network is trained on, so that
no coefficient is ever written twice.

    capacity u_t − ∇·(A ∇u) + b·∇u + c u = f  in the domain,        α u + β (A ∇u)·n = g  on the boundary
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pinnkit.forms import BoundaryCoefficients, Coefficients
from pinnkit.operators import Index, Jet, derivative
from pinnkit.problem import INTERIOR, Problem

Array = NDArray[np.float64]


class NotSecondOrder(Exception):
    """The problem is no scalar linear PDE of second order with conditions of the form above; the message says why."""


@dataclass(frozen=True)
class _Probe:
    """A residual (n,) at points, with its derivatives by the value and the partial derivatives of the field."""

    residual: Tensor
    slopes: dict[Index, Tensor]
    coordinates: tuple[Tensor, ...]

    def slope(self, index: Index) -> Tensor:
        return self.slopes.get(index, torch.zeros_like(self.residual))


def _probe(problem: Problem, name: str, points: Array, normals: Array | None, jet: Callable[[Index], float]) -> _Probe:
    coordinates = tuple(torch.tensor(c, dtype=torch.float64, requires_grad=True) for c in points.T)
    leaves: dict[Index, Tensor] = {}

    def table(index: Index) -> Tensor:
        if len(index) > 2:
            raise NotSecondOrder(f"condition {name!r} has derivatives of order {len(index)}")
        if index not in leaves:
            leaves[index] = torch.full((len(points),), jet(index), dtype=torch.float64, requires_grad=True)
        return leaves[index]

    if len(problem.fields) != 1:
        raise NotSecondOrder(f"the problem has {len(problem.fields)} fields")
    more = {
        k: torch.tensor(u.initial if u.true is None else u.true, dtype=torch.float64)
        for k, u in problem.unknowns.items()
    }
    if normals is not None:
        more["normal"] = torch.tensor(normals[:, : problem.space_dimension].T, dtype=torch.float64)
    environment = problem.environment(coordinates, {problem.fields[0]: Jet(coordinates, table).field()}, **more)
    rows = problem.residual(name, environment)
    if len(rows) != 1:
        raise NotSecondOrder(f"condition {name!r} has {len(rows)} equations")
    keys, inputs = list(leaves), list(leaves.values())
    if not rows.requires_grad:
        raise NotSecondOrder(f"condition {name!r} does not depend on {problem.fields[0]!r}")
    slopes = torch.autograd.grad(rows.sum(), inputs, create_graph=True, materialize_grads=True)
    return _Probe(rows[0], dict(zip(keys, slopes, strict=True)), coordinates)


def _affine_probe(problem: Problem, name: str, points: Array, normals: Array | None = None) -> _Probe:
    """The probe at the zero field; refuses residuals that are not affine."""
    probe = _probe(problem, name, points, normals, lambda index: 0.0)
    for length in (1.0, -30.0, 1000.0):
        amounts = {index: length * (0.7 + 0.3 * i) for i, index in enumerate(probe.slopes)}
        elsewhere = _probe(problem, name, points, normals, partial(_amount, amounts)).residual
        terms = [probe.slopes[index] * amount for index, amount in amounts.items()]
        size = sum((term.abs() for term in terms), probe.residual.abs())
        if bool(((elsewhere - probe.residual - sum(terms)).abs() > 1e-9 * size).any()):
            raise NotSecondOrder(f"condition {name!r} is not linear")
    return probe


def _amount(amounts: Mapping[Index, float], index: Index) -> float:
    return amounts.get(index, 0.0)


def _numpy(x: Tensor) -> Array:
    return np.asarray(x.detach().numpy())


def equation(problem: Problem) -> str:
    """The name of the one condition that holds in the interior."""
    names = [name for name, c in problem.conditions.items() if c.on == INTERIOR]
    if len(names) != 1:
        raise NotSecondOrder(f"the problem has {len(names)} equations in the interior")
    return names[0]


def interior_coefficients(problem: Problem, points: Array) -> Coefficients:
    """Coefficients of the PDE at points (n, d), time included.

    With R = capacity u_t − A:∇²u + b̃·∇u + c u − f, the divergence form has b = b̃ + ∇·A.
    Raises NotSecondOrder.
    """
    probe = _affine_probe(problem, equation(problem), points)
    space = range(problem.space_dimension)
    time = len(space)
    for index in probe.slopes:
        if time in index and index != (time,):
            raise NotSecondOrder("the equation has derivatives in time beyond u_t")
    half = [[(1.0 if i == j else 0.5) * probe.slope(tuple(sorted((i, j)))) for j in space] for i in space]
    matrix = [[-entry for entry in row] for row in half]
    drift = [
        probe.slope((i,)) + torch.stack([derivative(matrix[i][j], probe.coordinates[j]) for j in space]).sum(0)
        for i in space
    ]
    A = _numpy(torch.stack([torch.stack(row, -1) for row in matrix], -2))
    sign = -1.0 if np.trace(A, axis1=1, axis2=2).sum() < 0 else 1.0
    return Coefficients(
        A * sign,
        _numpy(torch.stack(drift, -1)) * sign,
        _numpy(probe.slope(())) * sign,
        -_numpy(probe.residual) * sign,
        _numpy(probe.slope((time,))) * sign,
    )


def orientation(problem: Problem, points: Array) -> float:
    """1 where the residual of the PDE has −∇·(A ∇u) with A ≥ 0, −1 where it is written the other way round."""
    probe = _affine_probe(problem, equation(problem), points)
    trace = sum(float(_numpy(probe.slope((i, i))).sum()) for i in range(problem.space_dimension))
    return 1.0 if trace <= 0 else -1.0


def boundary_coefficients(problem: Problem, name: str, points: Array, normals: Array) -> BoundaryCoefficients:
    """Coefficients of a boundary condition, α u + w·∇u = g with w = β A n, at points and outward normals (n, d).

    Raises NotSecondOrder, also where w is not along the conormal A n.
    """
    if problem.conditions[name].partner is not None:
        raise NotSecondOrder(f"condition {name!r} ties two pieces together")
    probe = _affine_probe(problem, name, points, normals)
    d = problem.space_dimension
    w = np.stack([_numpy(probe.slope((i,))) for i in range(d)], -1)
    if any(len(index) > 1 or d in index for index in probe.slopes):
        raise NotSecondOrder(f"condition {name!r} has second or time derivatives")
    if not w.any():
        return BoundaryCoefficients(_numpy(probe.slope(())), np.zeros(len(points)), -_numpy(probe.residual))
    conormal = np.einsum("nij,nj->ni", interior_coefficients(problem, points).diffusion, normals[:, :d])
    beta = (w * conormal).sum(1) / np.maximum((conormal**2).sum(1), 1e-300)
    if np.abs(w - beta[:, None] * conormal).max(initial=0.0) > 1e-9 * np.abs(w).max(initial=1e-300):
        raise NotSecondOrder(f"condition {name!r} has a derivative that is not along the conormal")
    return BoundaryCoefficients(_numpy(probe.slope(())), beta, -_numpy(probe.residual))


def conditions_on(problem: Problem, piece: str) -> list[str]:
    """The names of the conditions that hold on a boundary piece."""
    return [
        name
        for name, condition in problem.conditions.items()
        if condition.on != INTERIOR and condition.points is None and piece in problem.domain.resolve(condition.on)
    ]


def condition_on(problem: Problem, piece: str) -> str | None:
    """The name of the one pointwise condition that holds on a boundary piece; None without one.

    Raises NotSecondOrder where there are several, or one that ties two pieces together.
    """
    names = conditions_on(problem, piece)
    if len(names) > 1 or any(problem.conditions[name].partner is not None for name in names):
        raise NotSecondOrder(f"the conditions on {piece} are not a single pointwise one")
    return names[0] if names else None


def initial_values(problem: Problem, points: Array) -> Array:
    """u₀ at points (n, d − 1) of space, from the condition on the start of the time interval.

    Raises NotSecondOrder.
    """
    name = condition_on(problem, "initial")
    if name is None:
        raise NotSecondOrder("there is no initial condition")
    start = np.column_stack([points, np.full(len(points), problem.domain.bounds[0, -1])])
    probe = _affine_probe(problem, name, start)
    if set(probe.slopes) != {()}:
        raise NotSecondOrder(f"condition {name!r} has derivatives")
    return -_numpy(probe.residual) / _numpy(probe.slope(()))
