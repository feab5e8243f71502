"""Steady problems by adaptive quartic finite elements; nonlinear ones by Newton's method on every mesh."""

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from pinnkit.errors import BadInput
from pinnkit.forms import Coefficients
from pinnkit.reference.adaptivity import Solved, adapt
from pinnkit.reference.elements import Space
from pinnkit.reference.mesh import Array, PlanarDomain, triangulate
from pinnkit.reference.solution import Solution
from pinnkit.reference.weak_form import BoundaryValueProblem, assemble, dirichlet_values, solve_system

NEWTON_STEPS = 30

Linearise = Callable[[Array, Array, Array], Coefficients]  # points, current u (n,), current ∇u (n, 2)


@dataclass(frozen=True)
class FiniteElementSolution(Solution):
    """A quartic on each triangle."""

    nodal: Array  # (N,)

    @property
    def dofs(self) -> int:
        return len(self.nodal)

    def value(self, points: Array) -> Array:
        """u at points (n, 2) of the domain: (n,)."""
        dofs, shapes = self.elements.interpolation(points)
        return np.einsum("ni,ni->n", self.nodal[dofs], shapes)


def solve_steady(
    domain: PlanarDomain,
    problem: BoundaryValueProblem,
    tolerance: float = 1e-6,
    max_dofs: int = 200_000,
    linearise: Linearise | None = None,
) -> FiniteElementSolution:
    """Solve −∇·(A ∇u) + b·∇u + c u = f to the given relative L2 error, estimated, or as `max_dofs` allows.

    `linearise` makes it a nonlinear problem: it gives the coefficients of Newton's linearisation about a
    current u, and `problem` is then the linear problem whose solution is the first guess.
    Raises BadInput if the solution is not unique, not finite, or Newton's method does not converge.
    """
    start = time.perf_counter()

    def solve(space: Space, before: tuple[Space, Solved] | None) -> Solved:
        u, diffusion = _solve_level(space, problem, linearise, before)
        return Solved(u[None], np.ones(1), diffusion)

    space, solved, error = adapt(domain, solve, tolerance, max_dofs)
    seconds = time.perf_counter() - start
    elements = space.elements
    return FiniteElementSolution(elements.corners, elements.dofs, error, seconds, solved.snapshots[0])


def solve_coarsely(domain: PlanarDomain, problem: BoundaryValueProblem, divisions: float) -> FiniteElementSolution:
    """Solve a linear problem on one mesh, of triangles not larger than the domain's longer side / `divisions`.

    Nobody estimates the error. Raises BadInput where the solution is not unique or not finite.
    """
    start = time.perf_counter()
    space = Space(domain, triangulate(domain, divisions))
    u, _ = _solve_level(space, problem, None, None)
    elements = space.elements
    return FiniteElementSolution(elements.corners, elements.dofs, np.nan, time.perf_counter() - start, u)


def _solve_level(
    space: Space,
    problem: BoundaryValueProblem,
    linearise: Linearise | None,
    before: tuple[Space, Solved] | None,
) -> tuple[Array, Array]:
    """The solution (N,) on one mesh and the diffusion there; Newton's method starts from the level before."""
    fixed = dirichlet_values(space, problem, 0.0)
    if linearise is None or before is None:
        system = assemble(space, problem, problem.interior(space.points, 0.0), 0.0)
        u = solve_system(system, fixed)
    else:
        dofs, shapes = before[0].elements.interpolation(space.basis.doflocs.T)
        u = np.einsum("ni,ni->n", before[1].snapshots[0][dofs], shapes)
    if linearise is None:
        return u, system.diffusion
    for _ in range(NEWTON_STEPS):
        coefficients = linearise(space.points, space.values(u).ravel(), space.slopes(u).reshape(-1, 2))
        system = assemble(space, problem, coefficients, 0.0)
        previous, u = u, solve_system(system, fixed)
        if np.linalg.norm(u - previous) <= 1e-10 * np.linalg.norm(u):
            return u, system.diffusion
    raise BadInput("problem", "Newton's method does not converge", "start from a better guess")
