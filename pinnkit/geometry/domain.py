"""What a domain is: a bounded set with named boundary pieces, to be sampled inside and on its boundary.

A member of the family says how the unit cube is mapped onto it and how the unit cube of one dimension less is
mapped onto its pieces; sampling follows. Both maps are uniform in measure, need no rejection, hence cost the
same on thin domains, and carry the evenness of low-discrepancy points over. Normals come from the piece a
point was sampled on, never from its coordinates.
"""

import difflib
import math
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pinnkit.errors import BadInput
from pinnkit.geometry.sampling import Array, apportion, cell_centres, check_count, thin, unit, unit_blocks

MAX_LATTICE_CELLS = 2 * 10**7


@dataclass(frozen=True, eq=False)
class BoundarySample:
    """Points on the boundary, (n, d), and outward unit normals, (n, d); point i is on names[pieces[i]].

    The points of one piece follow each other, in the order of `names`.
    """

    points: Array
    normals: Array
    pieces: NDArray[np.intp]
    names: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class Corner:
    """A corner of a planar domain: with the domain on the left, pieces[0] arrives and pieces[1] leaves.

    Near the corner the domain is {vertex + r (cos(direction + φ), sin(direction + φ)) : 0 < φ < angle}, with
    `angle` in (0, 2π), other than π, and `direction` that of the leaving edge, both in radians; `lengths` are
    of both edges.
    """

    vertex: Array
    angle: float
    pieces: tuple[str, str]
    direction: float
    lengths: tuple[float, float]


@dataclass(frozen=True, eq=False, repr=False)
class Domain(ABC):
    """A bounded domain of R^d. Immutable.

    coordinates   names of the d coordinates; time is always "t" and the last
    bounds        smallest box around the domain, (2, d): lower, upper
    measure       length, area or volume
    pieces        names of the boundary pieces, in boundary order, and their measures (a point measures 1)
    groups        names that stand for several pieces; always has "boundary"
    corners       corners of a planar domain other than straight angles
    """

    coordinates: tuple[str, ...]
    bounds: Array
    measure: float
    pieces: Mapping[str, float]
    groups: Mapping[str, tuple[str, ...]]
    corners: tuple[Corner, ...] = ()

    def __post_init__(self) -> None:
        self.bounds.setflags(write=False)

    @property
    def dimension(self) -> int:
        """Number of coordinates, d."""
        return len(self.coordinates)

    @abstractmethod
    def contains(self, points: ArrayLike) -> NDArray[np.bool_]:
        """Whether each point, (n, d), lies in the closed domain, up to round-off; (n,)."""

    @abstractmethod
    def contains_strictly(self, points: ArrayLike) -> NDArray[np.bool_]:
        """Whether each point, (n, d), lies inside, off the boundary by more than round-off; (n,)."""

    @abstractmethod
    def from_unit(self, cube: Array) -> Array:
        """Map points of the open unit cube, (n, d), into the domain, (n, d), uniformly in measure."""

    @abstractmethod
    def boundary_from_unit(self, names: Sequence[str], counts: Sequence[int], cube: Array) -> tuple[Array, Array]:
        """Map points of the open unit cube, (sum(counts), d - 1), onto pieces: counts[k] onto names[k].

        Returns the points and the outward unit normals there, both (sum(counts), d).
        """

    def sample(self, n: int, method: str = "sobol", rng: np.random.Generator | None = None) -> Array:
        """Exactly n points strictly inside, (n, d).

        `method` is one of pinnkit.geometry.sampling.METHODS. "grid" is a regular lattice clipped to the
        domain, the same for every `rng`; the others give new points at every call.
        """
        if method == "grid":
            return self._lattice(n)
        return self.from_unit(unit(n, self.dimension, method, rng))

    def sample_boundary(
        self,
        n: int,
        on: str | Sequence[str] = "boundary",
        method: str = "sobol",
        rng: np.random.Generator | None = None,
    ) -> BoundarySample:
        """Exactly n points on the named pieces or groups, shared out by measure; none is a corner.

        Every piece gets at least one point, unless n is less than the number of pieces.
        """
        names = self.resolve(on)
        counts = apportion(n, [self.pieces[name] for name in names])
        cube = unit_blocks(counts, self.dimension - 1, method, rng)
        points, normals = self.boundary_from_unit(names, counts, cube)
        return BoundarySample(points, normals, np.repeat(np.arange(len(names)), counts), names)

    def resolve(self, on: str | Sequence[str]) -> tuple[str, ...]:
        """Names of pieces and groups to names of pieces, in the order asked for, each once.

        Raises BadInput for a name that is neither, or if nothing is named.
        """
        return named_pieces(on, self.pieces, self.groups)

    def __mul__(self, time: tuple[float, float]) -> "SpaceTime":
        return SpaceTime(self, *time)

    def _lattice(self, n: int) -> Array:
        """A regular lattice, refined until n points are strictly inside, and thinned evenly to n."""
        check_count(n)
        extent = self._lattice_extent()
        spacing = (self._fill() * extent.prod() / n) ** (1 / self.dimension)
        while True:
            shape = [math.ceil(side / spacing - 1e-9) for side in extent]
            inside = self._lattice_inside(shape)
            if len(inside) >= n:
                return thin(inside, n)
            spacing *= 0.98

    def _lattice_inside(self, shape: Sequence[int]) -> Array:
        if math.prod(shape) > MAX_LATTICE_CELLS:
            what = f"a grid with so many points in so thin a domain needs {math.prod(shape):.1e} cells"
            raise BadInput("sampling.method", what, "use sobol, which wastes no points")
        lower, upper = self.bounds
        points = lower + (upper - lower) * cell_centres(shape)
        return points[self.contains_strictly(points)]

    def _lattice_extent(self) -> Array:
        """Sides of the box around the domain, in units in which the cells of a lattice are cubes."""
        return self.bounds[1] - self.bounds[0]

    def _fill(self) -> float:
        """Part of the box around the domain that the domain fills."""
        return self.measure / float(np.prod(self.bounds[1] - self.bounds[0]))


@final
class SpaceTime(Domain):
    """space × (start, end), also written `space * (start, end)`; the coordinate "t" comes last.

    The pieces are those of the space (× time), "initial" (t = start) and "final" (t = end); the groups are
    those of the space, so "boundary" is the lateral boundary alone.
    """

    def __init__(self, space: Domain, start: float, end: float) -> None:
        if "t" in space.coordinates:
            raise BadInput("geometry", "the domain already has the coordinate t", "give a domain of space alone")
        start, end = check_interval("time", start, end)
        lateral = {name: measure * (end - start) for name, measure in space.pieces.items()}
        super().__init__(
            coordinates=(*space.coordinates, "t"),
            bounds=np.column_stack([space.bounds, [start, end]]),
            measure=space.measure * (end - start),
            pieces=lateral | {"initial": space.measure, "final": space.measure},
            groups=space.groups,
            corners=space.corners,
        )
        self.space: Final = space
        self.time: Final = (start, end)

    def __repr__(self) -> str:
        return f"{self.space!r} * {self.time!r}"

    def contains(self, points: ArrayLike) -> NDArray[np.bool_]:
        points = check_points(points, self.dimension)
        start, end = self.time
        return self.space.contains(points[:, :-1]) & (start <= points[:, -1]) & (points[:, -1] <= end)

    def contains_strictly(self, points: ArrayLike) -> NDArray[np.bool_]:
        points = check_points(points, self.dimension)
        start, end = self.time
        return self.space.contains_strictly(points[:, :-1]) & (start < points[:, -1]) & (points[:, -1] < end)

    def from_unit(self, cube: Array) -> Array:
        return np.column_stack([self.space.from_unit(cube[:, :-1]), self._time_from_unit(cube[:, -1])])

    def boundary_from_unit(self, names: Sequence[str], counts: Sequence[int], cube: Array) -> tuple[Array, Array]:
        points = np.empty((len(cube), self.dimension))
        normals = np.zeros_like(points)
        owner = np.repeat(np.asarray(names), counts)
        for cap, time, normal in (("initial", self.time[0], -1.0), ("final", self.time[1], 1.0)):
            rows = owner == cap
            points[rows, :-1] = self.space.from_unit(cube[rows])
            points[rows, -1], normals[rows, -1] = time, normal
        rows = np.isin(owner, list(self.space.pieces))
        lateral = {name: n for name, n in zip(names, counts, strict=True) if name in self.space.pieces}
        if lateral:
            points[rows, :-1], normals[rows, :-1] = self.space.boundary_from_unit(
                tuple(lateral), tuple(lateral.values()), cube[rows, :-1]
            )
            points[rows, -1] = self._time_from_unit(cube[rows, -1])
        return points, normals

    def _time_from_unit(self, cube: Array) -> Array:
        start, end = self.time
        return start + (end - start) * cube

    def _lattice_extent(self) -> Array:
        """Time has no unit of length: its axis gets as many cells as space gets on average along its axes."""
        sides = self.space._lattice_extent()
        return np.append(sides, sides.mean())


def named_pieces(
    on: str | Sequence[str], pieces: Mapping[str, float], groups: Mapping[str, tuple[str, ...]]
) -> tuple[str, ...]:
    """What Domain.resolve says, for any pieces and groups."""
    known = {name: (name,) for name in pieces} | dict(groups)
    remedy = f"pieces are {abbreviate(pieces)}; groups are {abbreviate(groups)}"
    asked = list(on) if isinstance(on, Iterable) and not isinstance(on, str) else [on]
    for name in asked:
        if not isinstance(name, str) or name not in known:
            near = difflib.get_close_matches(str(name), known, 1)
            hint = f"did you mean {near[0]!r}? " if near else ""
            raise BadInput("boundary", f"no boundary piece {name!r}", hint + remedy)
    if not asked:
        raise BadInput("boundary", "no boundary piece named", remedy)
    return tuple(dict.fromkeys(piece for name in asked for piece in known[name]))


def check_interval(what: str, lower: float, upper: float) -> tuple[float, float]:
    """The two as floats; BadInput unless they are finite and lower < upper."""
    try:
        lower, upper = float(lower), float(upper)
    except (TypeError, ValueError, OverflowError):
        raise BadInput("geometry", f"{what} from {lower!r} to {upper!r}", "give two finite numbers") from None
    if not (math.isfinite(lower) and math.isfinite(upper) and lower < upper):
        raise BadInput("geometry", f"{what} from {lower:g} to {upper:g}", "give finite numbers, lower < upper")
    return lower, upper


def check_points(points: ArrayLike, dimension: int) -> Array:
    """The points as an (n, d) array of floats; BadInput for another shape."""
    array = np.asarray(points, dtype=float)
    if array.ndim != 2 or array.shape[1] != dimension:
        raise BadInput("points", f"shape {array.shape}", f"give an array of shape (n, {dimension})")
    return array


def abbreviate(names: Iterable[str]) -> str:
    """The names, with commas; a long list is cut."""
    names = list(names)
    return ", ".join(names[:8]) + (f", … ({len(names)} in all)" if len(names) > 8 else "")
