"""Adaptive refinement of the mesh, with an estimate of the error that is left.

Elements are marked (Dörfler, SIAM J. Numer. Anal. 33, 1996) for the surplus both in energy, which grades the
mesh to corners, and in L2, which resolves the smooth part; so every level shrinks all of the error, and the
distances d between successive solutions form a nearly geometric sequence, whose tail d·q/(1 − q) is the
error estimate.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import skfem

from pinnkit.reference.elements import Space
from pinnkit.reference.mesh import Array, Index, PlanarDomain, triangulate
from pinnkit.reference.weak_form import not_unique

BULK = 0.7  # of the squared surplus that the marked elements carry (Dörfler's θ)
FEWEST_DISTANCES = 3  # before an error estimate is believed
SAFETY = 2.0  # factor of the error estimates
CORNER_STEPS = 2  # further refinements, per level, about rough corners


class Solved(NamedTuple):
    """Snapshots of a solution on one mesh: a single one if steady, else one at the end of each time step.

    The initial state is left out: where it disagrees with the boundary data, no mesh resolves it, and it
    lasts no time.
    """

    snapshots: Array  # (k, N)
    weights: Array  # (k,), the lengths of the time steps
    diffusion: Array  # A at the quadrature points (m, q, 2, 2)


Solver = Callable[[Space, tuple[Space, Solved] | None], Solved]  # of one level, from the level before


def adapt(domain: PlanarDomain, solve: Solver, tolerance: float, max_dofs: int) -> tuple[Space, Solved, float]:
    """Solve on finer and finer meshes until the estimated relative L2 error is below the tolerance."""
    corners = sum(len(ring) for ring in domain.rings)
    space = Space(domain, triangulate(domain))
    solved, distances = solve(space, None), []
    while True:
        coarse, before = space, solved
        space = Space(domain, _refined(coarse, before, corners))
        solved = solve(space, (coarse, before))
        distances.append(distance(space, solved, coarse, before))
        error = _tail(distances)
        if not np.isfinite(error):
            raise not_unique()
        if (error <= tolerance and len(distances) >= FEWEST_DISTANCES) or space.size >= max_dofs:
            return space, solved, error


def _refined(space: Space, solved: Solved, corners: int) -> skfem.MeshTri:
    """The mesh refined where the surplus is large, and further about vertices of the polygon.

    These are the first `corners` of the mesh; those where the surplus is large in energy are taken to be
    algebraic singularities, which need many levels of refinement in few elements.
    """
    each = [space.surpluses(u, solved.diffusion) for u in solved.snapshots]
    energy, square = np.tensordot(solved.weights, each, axes=1)
    rough = _bulk(energy)
    vertices = np.unique(space.mesh.t[:, rough])
    mesh = space.mesh.refined(np.union1d(rough, _bulk(square)))
    for _ in range(CORNER_STEPS):
        at_corner = np.isin(mesh.t, vertices[vertices < corners]).any(axis=0)
        mesh = mesh.refined(np.flatnonzero(at_corner)) if at_corner.any() else mesh
    return mesh


def _bulk(squares: Array) -> Index:
    """The fewest elements that carry the bulk of an indicator (m,)."""
    order = np.argsort(-squares)
    carried = np.cumsum(squares[order])
    return order[: 1 + np.searchsorted(carried, BULK * carried[-1])]


def distance(space: Space, solved: Solved, coarse: Space, before: Solved) -> float:
    """Relative L2 distance, over space and time, between the solutions on two meshes."""
    prolongation = space.prolongation(coarse)
    squares = np.zeros(2)
    for weight, u, v in zip(solved.weights, solved.snapshots, before.snapshots, strict=True):
        fine = space.values(u)
        gap = fine - (prolongation @ v).reshape(fine.shape)
        squares += weight * np.array([space.norm(gap) ** 2, space.norm(fine) ** 2])
    return float(np.sqrt(squares[0] / squares[1])) if squares[1] > 0 else 0.0


def _tail(distances: Sequence[float]) -> float:
    """The error of the last of a sequence of solutions, from the distances between successive ones.

    The distances shrink by q per level, q being their mean ratio over the last few levels; the error is the
    sum of those to come, d q / (1 − q), but not taken smaller than the last distance.
    """
    recent = distances[-FEWEST_DISTANCES:]
    if len(recent) < 2 or recent[0] == 0:
        return SAFETY * recent[-1]
    ratio = min((recent[-1] / recent[0]) ** (1 / (len(recent) - 1)), 0.95)
    return SAFETY * recent[-1] * max(1.0, ratio / (1 - ratio))
