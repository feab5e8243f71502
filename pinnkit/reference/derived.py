"""References derived from a problem itself: its exact solution, or numerical ones that read its residuals."""

import logging
import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

from pinnkit.coefficients import (
    BoundaryCoefficients,
    Coefficients,
    NotSecondOrder,
    boundary_coefficients,
    condition_on,
    initial_values,
    interior_coefficients,
)  # fmt: skip
from pinnkit.errors import BadInput
from pinnkit.evaluation import Reference
from pinnkit.geometry import Planar, SpaceTime
from pinnkit.problem import Problem
from pinnkit.reference.kept import fingerprint, kept
from pinnkit.reference.spectral import Spectral

if TYPE_CHECKING:
    from pinnkit.reference.solution import Solution

Array = NDArray[np.float64]
CACHE_VERSION = 2
INSTANTS = 2001  # at which data on the boundary are compared to tell whether they change
log = logging.getLogger(__name__)


class Exact:
    """The problem's exact solution, right to round-off."""

    kind = "exact"

    def __init__(self, problem: Problem) -> None:
        self._problem = problem
        self.error_estimate, self.seconds = 1e-15, 0.0

    def value(self, points: Array) -> Array:
        return self._problem.exact_values(torch.from_numpy(points)).detach().numpy()


class FiniteElements:
    """Adaptive finite elements with the problem's own coefficients; solved once and kept on disk.

    Raises NotSecondOrder where the problem is not one linear second-order equation on a planar domain.
    """

    kind = "fem"

    def __init__(self, problem: Problem, tolerance: float, cache: Path | None) -> None:
        space = problem.domain.space if isinstance(problem.domain, SpaceTime) else problem.domain
        if not isinstance(space, Planar):
            raise NotSecondOrder("finite elements are for planar domains")
        start = time.perf_counter()
        key = fingerprint(problem, space, f"{CACHE_VERSION} {tolerance}")
        self._solution = kept(cache, key, _reader(problem), lambda: _solve(problem, space, tolerance))
        self.error_estimate: float = self._solution.error_estimate
        self.dofs: int = self._solution.dofs
        self.seconds = time.perf_counter() - start

    def value(self, points: Array) -> Array:
        return self._solution.value(points)[:, None]


def reference_for(problem: Problem, kind: str, tolerance: float, cache: Path | None) -> Reference | None:
    """The best reference the problem allows: exact if known, else spectral if to the tolerance, else finite elements,
    else none (logged).

    `kind` is auto, exact, spectral, fem or none. Raises BadInput if the one asked for cannot be had.
    """
    if kind == "none":
        return None
    if problem.exact is not None and kind in ("auto", "exact"):
        return Exact(problem)
    if kind == "exact":
        raise BadInput("reference.kind", "the problem has no exact solution", "use auto, fem or none")
    if kind in ("auto", "spectral"):
        spectral = _spectral(problem, kind, cache)
        if spectral is not None and (kind == "spectral" or _is_enough(spectral, tolerance)):
            return spectral
    return _finite_elements(problem, kind, tolerance, cache)


def _spectral(problem: Problem, kind: str, cache: Path | None) -> Spectral | None:
    try:
        return Spectral(problem, cache)
    except NotSecondOrder as reason:
        if kind == "spectral":
            raise BadInput("reference.kind", f"no spectral reference: {reason}", "use auto, fem or none") from None
        log.info("no spectral reference: %s", reason)
        return None


def _is_enough(spectral: Spectral, tolerance: float) -> bool:
    error, enough = spectral.error_estimate, spectral.error_estimate <= tolerance
    log.info("the spectral reference is %s: its error is below %.1e", "used" if enough else "too coarse", error)
    return enough


def _finite_elements(problem: Problem, kind: str, tolerance: float, cache: Path | None) -> FiniteElements | None:
    try:
        return FiniteElements(problem, tolerance, cache)
    except NotSecondOrder as reason:
        if kind == "fem":
            raise BadInput("reference.kind", f"no finite elements: {reason}", "use auto or none") from None
        log.warning("no reference: %s", reason)
        return None


def coarse_elements(problem: Problem, divisions: float) -> Callable[[Array], Array]:
    """The field (n, 1) at points (n, 2) by finite elements on one coarse mesh. Raises NotSecondOrder."""
    from pinnkit.reference.steady import solve_coarsely  # scikit-fem takes half a second to import
    from pinnkit.reference.weak_form import BoundaryValueProblem

    if not isinstance(problem.domain, Planar):
        raise NotSecondOrder("coarse finite elements are for steady problems on planar domains")
    forms = _Forms(problem)
    found = solve_coarsely(problem.domain, BoundaryValueProblem(forms.interior, forms.boundary), divisions)
    return lambda points: found.value(points)[:, None]


def default_cache() -> Path:
    """Where references are kept: $PINNKIT_CACHE, or pinnkit in the user's cache folder."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(os.environ.get("PINNKIT_CACHE") or Path(base) / "pinnkit")


def _reader(problem: Problem) -> "Callable[[Mapping[str, Array]], Solution]":
    from pinnkit.reference.steady import FiniteElementSolution  # scikit-fem takes half a second to import
    from pinnkit.reference.transient import TransientSolution

    return (TransientSolution if problem.transient else FiniteElementSolution).from_arrays


def _solve(problem: Problem, space: Planar, tolerance: float) -> Any:
    from pinnkit.reference.steady import solve_steady  # scikit-fem takes half a second to import
    from pinnkit.reference.transient import solve_transient
    from pinnkit.reference.weak_form import BoundaryValueProblem

    log.info("solving the finite-element reference to %.0e", tolerance)
    forms = _Forms(problem)
    if isinstance(problem.domain, SpaceTime):
        form = BoundaryValueProblem(forms.interior, forms.boundary, lambda points: initial_values(problem, points))
        return solve_transient(space, form, problem.domain.time, tolerance)
    return solve_steady(space, BoundaryValueProblem(forms.interior, forms.boundary), tolerance)


class _Forms:
    """The problem's coefficients as finite elements ask for them: at points of space (n, 2) and a time.

    What does not depend on time is read once for given points.
    """

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        self._kept: dict[tuple[str, bytes], BoundaryCoefficients] = {}
        self._steady = {piece for piece in problem.domain.resolve("boundary") if self._is_steady(piece)}

    def interior(self, points: Array, t: float) -> Coefficients:
        return interior_coefficients(self.problem, self._at(points, t))

    def boundary(self, piece: str, points: Array, normals: Array, t: float) -> BoundaryCoefficients:
        if piece not in self._steady:
            return self._read(piece, points, normals, t)
        key = (piece, points.tobytes())
        if key not in self._kept:
            self._kept[key] = self._read(piece, points, normals, t)
        return self._kept[key]

    def _read(self, piece: str, points: Array, normals: Array, t: float) -> BoundaryCoefficients:
        return boundary_coefficients(self.problem, self._condition(piece), self._at(points, t), normals)

    def _is_steady(self, piece: str) -> bool:
        """Whether the coefficients on a piece are the same at several times."""
        if not isinstance(self.problem.domain, SpaceTime):
            return True
        sample = self.problem.domain.space.sample_boundary(8, piece, "uniform", np.random.default_rng(0))
        instants = np.linspace(*self.problem.domain.time, INSTANTS)
        points = np.column_stack([np.tile(sample.points, (INSTANTS, 1)), np.repeat(instants, 8)])
        name = self._condition(piece)
        found = boundary_coefficients(self.problem, name, points, np.tile(sample.normals, (INSTANTS, 1)))
        values = np.reshape(found, (3, INSTANTS, 8))
        return bool((values == values[:, :1]).all())

    def _condition(self, piece: str) -> str:
        name = condition_on(self.problem, piece)
        if name is None:
            raise NotSecondOrder(f"there is no condition on {piece}")
        return name

    def _at(self, points: Array, t: float) -> Array:
        return np.column_stack([points, np.full(len(points), t)]) if self.problem.transient else points
