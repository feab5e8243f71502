"""The weak form of a linear second-order problem on quartic elements: matrices, loads, Dirichlet values, solution.

The problem, in strong form, with piecewise named boundary conditions (Dirichlet where beta = 0):

    capacity u_t − ∇·(A ∇u) + b·∇u + c u = f,        alpha u + beta (A ∇u)·n = g,        u(t₀) = u₀.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from scipy.sparse import csc_matrix, csr_matrix
from scipy.sparse.linalg import SuperLU, splu

from pinnkit.errors import BadInput
from pinnkit.forms import BoundaryCoefficients, Coefficients
from pinnkit.reference.elements import Space, flattened
from pinnkit.reference.mesh import Array


@dataclass(frozen=True)
class BoundaryValueProblem:
    """A linear second-order problem as functions of points (n, 2) and time.

    interior:   (points, t) -> Coefficients
    boundary:   (piece name, points, unit outward normals (n, 2), t) -> BoundaryCoefficients
    initial:    points -> u₀ (n,); None for steady problems
    """

    interior: Callable[[Array, float], Coefficients]
    boundary: Callable[[str, Array, Array, float], BoundaryCoefficients]
    initial: Callable[[Array], Array] | None = None


class System(NamedTuple):
    """The discrete problem M u' + K u = F on the degrees of freedom that are not fixed."""

    stiffness: csr_matrix  # K (N, N)
    mass: csr_matrix  # M (N, N), weighted by the capacity
    load: Array  # F (N,)
    diffusion: Array  # A at the quadrature points (m, q, 2, 2), for the surplus


def assemble(space: Space, problem: BoundaryValueProblem, coefficients: Coefficients, t: float) -> System:
    """The weak form: ∫ A∇u·∇v + (b·∇u + c u) v + ∫_∂ (alpha/beta) u v  =  ∫ f v + ∫_∂ (g/beta) v."""
    weights, shapes, gradients, dofs = space.weights, space.shapes, space.gradients, space.elements.dofs
    cells, nodes = weights.shape
    diffusion = coefficients.diffusion.reshape(cells, nodes, 2, 2)
    convection = coefficients.convection.reshape(cells, nodes, 1, 2)
    reaction = coefficients.reaction.reshape(cells, nodes) * weights
    capacity = coefficients.capacity.reshape(cells, nodes) * weights
    flux = (weights[..., None, None] * diffusion) @ gradients
    stiffness = gradients.reshape(cells, -1, 15).transpose(0, 2, 1) @ flux.reshape(cells, -1, 15)
    if convection.any():
        stiffness += shapes.T @ (weights[..., None] * (convection @ gradients)[:, :, 0])
    stiffness += shapes.T @ (reaction[..., None] * shapes)
    mass = space.matrix(shapes.T @ (capacity[..., None] * shapes), dofs)
    exchange, influx = natural_conditions(space, problem, t)
    load = source_load(space, coefficients.source) + influx
    return System(space.matrix(stiffness, dofs) + exchange, mass, load, diffusion)


def source_load(space: Space, source: Array) -> Array:
    """∫ f v for f (m q,) at the quadrature points."""
    weighted = source.reshape(space.weights.shape) * space.weights
    return space.vector(weighted @ space.shapes, space.elements.dofs)


def natural_conditions(space: Space, problem: BoundaryValueProblem, t: float) -> tuple[csr_matrix, Array]:
    """Matrix and load of the Neumann and Robin pieces."""
    points, normals = np.asarray(space.rim.global_coordinates()), np.asarray(space.rim.normals)
    transfer, influx = np.zeros((2, *space.rim.dx.shape))
    for piece, facets in space.facets_by_piece():
        given = problem.boundary(piece, flattened(points[:, facets]), flattened(normals[:, facets]), t)
        if given.beta.any():
            transfer[facets] = (given.alpha / given.beta).reshape(len(facets), -1)
            influx[facets] = (given.g / given.beta).reshape(len(facets), -1)
    dofs, shapes = space.rim.element_dofs.T, space.rim_shapes
    cells = shapes.transpose(0, 2, 1) @ ((space.rim.dx * transfer)[..., None] * shapes)
    loads = np.einsum("kq,kqi->ki", space.rim.dx * influx, shapes)
    return space.matrix(cells, dofs), space.vector(loads, dofs)


def dirichlet_values(space: Space, problem: BoundaryValueProblem, t: float) -> Array:
    """g / alpha at the degrees of freedom on Dirichlet pieces, NaN at the free ones: (N,)."""
    values = np.full(space.size, np.nan)
    for piece, facets in space.facets_by_piece():
        names = space.rim.find[facets]
        ends = space.basis.nodal_dofs[0, space.mesh.facets[:, names]]
        dofs = np.concatenate([ends, space.basis.facet_dofs[:, names]])
        normals = np.repeat(np.asarray(space.rim.normals)[:, None, facets, 0], len(dofs), axis=1)
        given = problem.boundary(piece, flattened(space.basis.doflocs[:, dofs]), flattened(normals), t)
        if not given.beta.any():
            values[dofs.ravel()] = given.g / given.alpha
    return values


def factorise(matrix: csc_matrix) -> SuperLU:
    """LU factors of a matrix with symmetric pattern; BadInput("problem") if it is singular."""
    symmetric = {"SymmetricMode": True}
    try:
        return splu(matrix, permc_spec="MMD_AT_PLUS_A", diag_pivot_thresh=0.01, options=symmetric)
    except RuntimeError as error:
        raise not_unique() from error


def not_unique() -> BadInput:
    """The refusal, to be raised, of a problem without exactly one finite solution."""
    return BadInput("problem", "the solution is not unique or not finite", "fix u on a part of the boundary")


def solve_system(system: System, fixed: Array) -> Array:
    """The u (N,) with K u = F on the free degrees of freedom and the given values (not NaN) on the others."""
    free = np.flatnonzero(np.isnan(fixed))
    u = np.nan_to_num(fixed)
    rows = system.stiffness[free]
    if len(free) == len(fixed) and abs(rows.sum(axis=1)).max() <= 1e-12 * abs(rows).max():
        raise not_unique()  # constants solve the homogeneous problem
    u[free] = factorise(rows[:, free].tocsc()).solve(system.load[free] - rows @ u)
    if not np.isfinite(u).all():
        raise not_unique()
    return u
