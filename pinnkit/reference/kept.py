"""References on disk: solved once for a problem, which is known by its coefficients at thousands of points."""

import hashlib
import logging
import os
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from pinnkit.coefficients import (
    NotSecondOrder,
    boundary_coefficients,
    condition_on,
    initial_values,
    interior_coefficients,
)  # fmt: skip
from pinnkit.geometry import Planar, SpaceTime
from pinnkit.problem import Problem

Array = NDArray[np.float64]
log = logging.getLogger(__name__)


class Arrays(Protocol):
    """What can be kept."""

    def to_arrays(self) -> dict[str, Array]: ...


T = TypeVar("T", bound=Arrays)


def kept(cache: Path | None, key: str, read: Callable[[Mapping[str, Array]], T], solve: Callable[[], T]) -> T:
    """The solution under the key in the cache, or a new one, which is then put there."""
    if cache is None:
        return solve()
    path = cache / "references" / f"{key}.npz"
    with suppress(Exception), path.open("rb") as file, np.load(file) as arrays:  # a damaged archive can raise anything
        return read(arrays)
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


def fingerprint(problem: Problem, space: Planar, method: str) -> str:
    """A hash of the method, and of everything in the problem that a reference depends on. Raises NotSecondOrder."""
    digest = hashlib.sha256(f"{method} {problem.domain.bounds.tolist()}".encode())
    for array in (*space.rings, *_coefficient_samples(problem)):
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()[:32]


def _coefficient_samples(problem: Problem) -> Iterator[Array]:
    rng = np.random.default_rng(0)
    inside = problem.domain.sample(16384, "uniform", rng)
    found = interior_coefficients(problem, inside)
    if not (np.linalg.eigvalsh(found.diffusion) > 0).all():
        raise NotSecondOrder("the equation is not elliptic in space")
    yield from found
    for piece in problem.domain.resolve("boundary"):
        name = condition_on(problem, piece)
        sample = problem.domain.sample_boundary(1024, piece, "uniform", rng)
        if name is None:
            raise NotSecondOrder(f"there is no condition on {piece}")
        edge = boundary_coefficients(problem, name, sample.points, sample.normals)
        yield from edge
    if isinstance(problem.domain, SpaceTime):
        yield initial_values(problem, problem.domain.space.sample(256, "uniform", rng))
