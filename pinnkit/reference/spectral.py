"""Spectral references of problems that turn out to be Poisson's equation on a polygon."""

import time
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pinnkit.coefficients import NotSecondOrder, boundary_coefficients, condition_on, interior_coefficients
from pinnkit.forms import BoundaryCoefficients
from pinnkit.geometry import Planar
from pinnkit.problem import Problem
from pinnkit.reference.harmonic import HarmonicSolution, solve_harmonic
from pinnkit.reference.kept import fingerprint, kept
from pinnkit.reference.poisson import NotHarmonic, PoissonProblem

Array = NDArray[np.float64]
METHOD = "spectral 1"  # to be counted up when solutions change
SAMPLES = 16384  # at which coefficients are recognised


class Spectral:
    """Rational functions with poles about the corners; solved once, as well as can be, and kept on disk.

    Raises NotSecondOrder where the problem is not Poisson's equation, with k constant and a polynomial source.
    """

    kind = "spectral"

    def __init__(self, problem: Problem, cache: Path | None) -> None:
        start = time.perf_counter()
        if not isinstance(problem.domain, Planar):
            raise NotSecondOrder("the domain is not planar, or there is time")
        key = fingerprint(problem, problem.domain, METHOD)
        try:
            poisson = poisson_problem(problem, problem.domain)
            self._solution = kept(cache, key, HarmonicSolution.from_arrays, lambda: solve_harmonic(poisson))
        except NotHarmonic as reason:
            raise NotSecondOrder(str(reason)) from None
        self.error_estimate, self.dofs = self._solution.error_estimate, self._solution.dofs
        self.seconds = time.perf_counter() - start

    def value(self, points: Array) -> Array:
        return self._solution.value(points)[:, None]


def poisson_problem(problem: Problem, domain: Planar) -> PoissonProblem:
    """What a problem says in its residuals, as Poisson's equation. Raises NotHarmonic or NotSecondOrder."""

    def boundary(piece: str, points: Array, normals: Array) -> BoundaryCoefficients:
        name = condition_on(problem, piece)
        if name is None:
            raise NotSecondOrder(f"there is no condition on {piece}")
        return boundary_coefficients(problem, name, points, normals)

    points = domain.sample(SAMPLES, "uniform", np.random.default_rng(0))
    return PoissonProblem.read(domain, points, interior_coefficients(problem, points), boundary)
