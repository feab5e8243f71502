"""Point sets in the unit cube, by name, and how many points of a sample each boundary piece gets.

Every method honours the number of points exactly and stays in the open cube, so that points mapped into a
domain are strictly inside and points mapped onto an edge are never its ends. The low-discrepancy sequences
are scrambled by a seed drawn from the generator: the same state of the generator gives the same points, and a
second call other points.
"""

import math
import operator
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from pinnkit.errors import BadInput

Array = NDArray[np.float64]

MAX_POINTS = 10**8
MARGIN = 2.0**-32  # kept from the faces of the cube; coordinates of a Sobol sequence are multiples of 2^-30


def unit(n: int, d: int, method: str = "sobol", rng: np.random.Generator | None = None) -> Array:
    """Exactly n points in the open unit cube, (n, d).

    All methods but "grid" depend on `rng` (None: fresh entropy). Raises BadInput for an unknown method or an
    impossible number of points.
    """
    if method not in METHODS:
        raise BadInput("sampling.method", f"unknown method {method!r}", f"choose from {', '.join(METHODS)}")
    check_count(n)
    if d == 0:
        return np.empty((n, 0))
    points = METHODS[method](n, d, np.random.default_rng(rng))
    return np.clip(points, MARGIN, 1 - MARGIN)


def unit_blocks(counts: Sequence[int], d: int, method: str, rng: np.random.Generator | None) -> Array:
    """A point set of counts[k] points in the open unit cube for each k, stacked to (sum(counts), d).

    A stretch of a sequence is as evenly spread as its start, so one sequence serves all blocks; the
    stratified methods have to be drawn block by block.
    """
    if method in STRATIFIED:
        return np.concatenate([unit(count, d, method, rng) for count in counts if count])
    return unit(sum(counts), d, method, rng)


def apportion(n: int, measures: Sequence[float]) -> list[int]:
    """Share n points among pieces in proportion to their measures: whole numbers that add up to n.

    Every piece gets at least one point if n allows it. With fewer points than pieces (a circle of 512 edges,
    200 points) they are spread evenly along the boundary and some pieces get none.
    """
    check_count(n)
    quota = n * np.asarray(measures) / np.sum(measures)
    least = 1 if n >= len(quota) else 0
    excess = np.maximum(quota - least, MARGIN)
    share = (n - least * len(quota)) * excess / excess.sum()
    return [least + int(count) for count in np.diff(np.rint(np.cumsum(share)), prepend=0)]


def cell_centres(shape: Sequence[int]) -> Array:
    """Centres of the cells of the unit cube cut into shape[i] along axis i, (prod(shape), d)."""
    axes = [(np.arange(cells) + 0.5) / cells for cells in shape]
    return np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, len(shape))


def thin(points: Array, n: int) -> Array:
    """n of the points, evenly spaced in their order."""
    return points[np.arange(n) * len(points) // n]


def check_count(n: int) -> None:
    """Raise BadInput unless n is a whole number of points that fits in memory."""
    try:
        count = operator.index(n)
    except TypeError:
        raise BadInput("sampling.n", f"{n!r} is not a whole number", "give a number of points") from None
    if not 1 <= count <= MAX_POINTS:
        raise BadInput("sampling.n", f"cannot sample {count} points", f"give a number from 1 to {MAX_POINTS}")


def _uniform(n: int, d: int, rng: np.random.Generator) -> Array:
    return rng.random((n, d))


def _grid(n: int, d: int, rng: np.random.Generator) -> Array:
    cells = math.ceil(n ** (1 / d) * (1 - 1e-12))
    return thin(cell_centres([cells] * d), n)


def _latin_hypercube(n: int, d: int, rng: np.random.Generator) -> Array:
    strata = rng.permuted(np.tile(np.arange(n)[:, None], d), axis=0)
    return (strata + rng.random((n, d))) / n


def _sobol(n: int, d: int, rng: np.random.Generator) -> Array:
    from scipy.stats import qmc

    return qmc.Sobol(d, rng=_seed(rng)).random_base2((n - 1).bit_length())[:n]


def _halton(n: int, d: int, rng: np.random.Generator) -> Array:
    from scipy.stats import qmc

    return qmc.Halton(d, rng=_seed(rng)).random(n)


def _seed(rng: np.random.Generator) -> int:
    """A seed from the generator's state; the child that scipy would spawn depends on more than that."""
    return int(rng.integers(2**63))


METHODS: dict[str, Callable[[int, int, np.random.Generator], Array]] = {
    "uniform": _uniform,
    "grid": _grid,
    "latin_hypercube": _latin_hypercube,
    "sobol": _sobol,
    "halton": _halton,
}
STRATIFIED = frozenset({"grid", "latin_hypercube"})
