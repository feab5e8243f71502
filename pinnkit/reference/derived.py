"""References derived from a problem itself: its exact solution, or finite elements with the coefficients of its residuals."""

import hashlib
import logging
import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from pinnkit.coefficients import (
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

Array = NDArray[np.float64]
CACHE_VERSION = 1
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Exact:
    """The problem's exact solution, right to round-off."""

    problem: Problem
    kind: str = "exact"
    error_estimate: float = 1e-15
    seconds: float = 0.0

    def value(self, points: Array) -> Array:
        return self.problem.exact_values(torch.from_numpy(points)).detach().numpy()


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
        key = _fingerprint(problem, space, tolerance)
        self._solution = _kept(cache, key, problem, lambda: _solve(problem, space, tolerance))
        self.error_estimate: float = self._solution.error_estimate
        self.dofs: int = self._solution.dofs
        self.seconds = time.perf_counter() - start

    def value(self, points: Array) -> Array:
        return self._solution.value(points)[:, None]


def reference_for(problem: Problem, kind: str, tolerance: float, cache: Path | None) -> Reference | None:
    """The best reference the problem allows: exact if known, else finite elements, else none (logged).

    `kind` is auto, exact, fem or none. Raises BadInput if the one asked for cannot be had.
    """
    if kind == "none":
        return None
    if problem.exact is not None and kind in ("auto", "exact"):
        return Exact(problem)
    if kind == "exact":
        raise BadInput("reference.kind", "the problem has no exact solution", "use auto, fem or none")
    try:
        return FiniteElements(problem, tolerance, cache)
    except NotSecondOrder as reason:
        if kind == "fem":
            raise BadInput("reference.kind", f"no finite elements: {reason}", "use auto or none") from None
        log.warning("no reference: %s", reason)
        return None


def default_cache() -> Path:
    """Where references are kept: $PINNKIT_CACHE, or pinnkit in the user's cache folder."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(os.environ.get("PINNKIT_CACHE") or Path(base) / "pinnkit")


def _solve(problem: Problem, space: Planar, tolerance: float):  # type: ignore[no-untyped-def]
    from pinnkit.reference import finite_elements as fem  # scikit-fem takes half a second to import

    def at(points: Array, t: float) -> Array:
        return np.column_stack([points, np.full(len(points), t)]) if problem.transient else points

    def interior(points: Array, t: float) -> fem.Coefficients:
        found = interior_coefficients(problem, at(points, t))
        return fem.Coefficients(found.A, found.b, found.c, found.f, found.capacity)

    def boundary(piece: str, points: Array, normals: Array, t: float) -> fem.BoundaryCoefficients:
        name = condition_on(problem, piece)
        if name is None:
            raise NotSecondOrder(f"there is no condition on {piece}")
        found = boundary_coefficients(problem, name, at(points, t), normals)
        return fem.BoundaryCoefficients(found.alpha, found.beta, found.g)

    log.info("solving the finite-element reference to %.0e", tolerance)
    if isinstance(problem.domain, SpaceTime):
        form = fem.BoundaryValueProblem(interior, boundary, lambda points: initial_values(problem, points))
        return fem.solve_transient(space, form, problem.domain.time, tolerance)
    return fem.solve_steady(space, fem.BoundaryValueProblem(interior, boundary), tolerance)


def _kept(cache: Path | None, key: str, problem: Problem, solve):  # type: ignore[no-untyped-def]
    """The cached solution under the key, or a new one, which is then cached."""
    if cache is None:
        return solve()
    from pinnkit.reference import finite_elements as fem

    kind = fem.TransientSolution if problem.transient else fem.FiniteElementSolution
    path = cache / "references" / f"{key}.npz"
    with suppress(OSError, ValueError, KeyError, EOFError), np.load(path) as arrays:
        return kind.from_arrays(arrays)
    solution = solve()
    try:
        _write(path, solution.to_arrays())
    except OSError as reason:
        log.warning("the reference is not kept for later: %s", reason)
    return solution


def _write(path: Path, arrays: dict[str, Array]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=path.parent, suffix=".npz", delete=False) as file:
        np.savez_compressed(file, **arrays)  # type: ignore[arg-type]
    os.replace(file.name, path)


def _fingerprint(problem: Problem, space: Planar, tolerance: float) -> str:
    """A hash of everything the reference depends on, coefficients by their values at a few hundred points."""
    digest = hashlib.sha256(f"{CACHE_VERSION} {tolerance} {problem.domain.bounds.tolist()}".encode())
    for array in (*space.rings, *_coefficient_samples(problem)):
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()[:32]


def _coefficient_samples(problem: Problem) -> Iterator[Array]:
    rng = np.random.default_rng(0)
    inside = problem.domain.sample(256, "uniform", rng)
    found = interior_coefficients(problem, inside)
    yield from (found.A, found.b, found.c, found.f, found.capacity)
    for piece in problem.domain.resolve("boundary"):
        name = condition_on(problem, piece)
        sample = problem.domain.sample_boundary(16, piece, "uniform", rng)
        if name is None:
            raise NotSecondOrder(f"there is no condition on {piece}")
        edge = boundary_coefficients(problem, name, sample.points, sample.normals)
        yield from (edge.alpha, edge.beta, edge.g)
    if isinstance(problem.domain, SpaceTime):
        yield initial_values(problem, problem.domain.space.sample(256, "uniform", rng))
