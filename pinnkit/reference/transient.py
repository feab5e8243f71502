"""Transient problems by quartic finite elements on one adapted mesh, with adapted time steps."""

import time
from dataclasses import dataclass

import numpy as np

from pinnkit.reference.adaptivity import Solved, adapt, distance
from pinnkit.reference.elements import Space
from pinnkit.reference.evolution import Evolution, Trajectory, hermite, interpolated
from pinnkit.reference.mesh import Array, PlanarDomain, triangulate
from pinnkit.reference.solution import Solution
from pinnkit.reference.weak_form import BoundaryValueProblem

ATTEMPTS = 5  # at a fine enough sequence of time steps


@dataclass(frozen=True)
class TransientSolution(Solution):
    """A quartic on each triangle, cubic in each time step."""

    times: Array  # (k,)
    states: Array  # (k, N)
    rates: Array  # (k, N)

    @property
    def dofs(self) -> int:
        return self.states.shape[1]

    def value(self, points: Array) -> Array:
        """u at points (n, 3), each x, y, t, of the domain and the time span: (n,)."""
        dofs, shapes = self.elements.interpolation(points[:, :2])
        step, weights = hermite(self.times, points[:, 2])
        tables = (self.states, step), (self.rates, step), (self.states, step + 1), (self.rates, step + 1)
        ends = np.array([(table[row[:, None], dofs] * shapes).sum(axis=1) for table, row in tables])
        return (weights * ends).sum(axis=0)


def solve_transient(
    domain: PlanarDomain,
    problem: BoundaryValueProblem,
    times: tuple[float, float],
    tolerance: float = 1e-4,
    max_dofs: int = 50_000,
) -> TransientSolution:
    """Solve capacity u_t − ∇·(A ∇u) + b·∇u + c u = f to the given relative L2 error in space-time, estimated.

    One mesh serves all times. It is adapted on a coarse sequence of time steps, on which its error is
    estimated as for steady problems; then time steps are chosen on it, and the distance to the solution by
    steps of half the length, which is the one returned, is the error in time.
    Raises BadInput if the solution is not unique or not finite.
    """
    start = time.perf_counter()
    first = Evolution(Space(domain, triangulate(domain)), problem, times)
    coarse_times = first.march_adaptively(tolerance).times
    lengths = np.diff(coarse_times)

    def solve(space: Space, before: tuple[Space, Solved] | None) -> Solved:
        evolution = Evolution(space, problem, times)
        return Solved(evolution.march(coarse_times).states[1:], lengths, evolution.start.diffusion)

    space, _, error_in_space = adapt(domain, solve, tolerance / 2, max_dofs)
    path, error_in_time = _march_accurately(Evolution(space, problem, times), tolerance / 2)
    elements, error = space.elements, error_in_space + error_in_time
    return TransientSolution(elements.corners, elements.dofs, error, time.perf_counter() - start, *path)


def _march_accurately(evolution: Evolution, tolerance: float) -> tuple[Trajectory, float]:
    """The trajectory, and its relative L2 distance (below the tolerance) to that by steps twice as long."""
    space = evolution.space
    for attempt in range(ATTEMPTS):
        rough = evolution.march_adaptively(tolerance / 10 ** (attempt + 0.5))
        fine = evolution.march(_halved(rough.times))
        before = Solved(interpolated(rough, fine.times[1:]), np.diff(fine.times), evolution.start.diffusion)
        error = distance(space, before._replace(snapshots=fine.states[1:]), space, before)
        if error <= tolerance:
            break
    return fine, error


def _halved(times: Array) -> Array:
    """The times and the middles between them."""
    return np.sort(np.append(times, (times[:-1] + times[1:]) / 2))
