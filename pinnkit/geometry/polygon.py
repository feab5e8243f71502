"""Planar domains: any polygon with holes, and the shapes whose edges have names of their own.

All geometry is in the rings, which have the domain on their left: the outward normal of an edge with
direction (cos a, sin a) is (sin a, -cos a), at the exterior and at holes alike.
"""

import re
from abc import ABC
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from os import PathLike
from pathlib import Path
from typing import Any, Final, final

import numpy as np
import shapely
from numpy.typing import ArrayLike, NDArray

from pinnkit.geometry.domain import Corner, Domain, check_points, named_pieces
from pinnkit.geometry.reading import read_json, read_text, rings_of_geojson, rings_of_geometry, rings_of_wkt
from pinnkit.geometry.rings import bad, normalised_rings, shown
from pinnkit.geometry.sampling import Array, check_count

Names = Mapping[str, str | Sequence[str]]
Groups = dict[str, tuple[str, ...]]

STRAIGHT = 1e-9  # radians from π within which an angle is no corner
ROUND_OFF = 1e-12  # part of the extent within which a point outside counts as on the boundary
CORE_MARGIN = 1e-9  # part of the extent that strictly interior points keep from the boundary
SAME_LINE = 1e-9  # part of the extent within which an edge of a - b lies on an edge of a or b


class Planar(Domain, ABC):
    """A polygon with holes and a name for each edge.

    polygon       the shapely polygon
    rings         exterior counterclockwise, holes clockwise: vertices (k, 2), the first not repeated
    edges         name -> (start, end), the domain on the left
    named_groups  the groups given by `names`, each of pieces, groups and names before it

    The other groups are "boundary", "exterior", and with holes "holes", "hole_0", "hole_1" …
    """

    def __init__(self, rings: list[Array], edge_names: Sequence[str], names: Names | None = None) -> None:
        self.rings: Final = rings
        self.polygon: Final = shapely.Polygon(rings[0], rings[1:])
        self._start: Final = np.concatenate(rings)
        self._end: Final = np.concatenate([np.roll(ring, -1, axis=0) for ring in rings])
        for ends in (self._start, self._end):
            ends.setflags(write=False)
        self._length: Final = np.hypot(*(self._end - self._start).T)
        self._index: Final = {name: k for k, name in enumerate(edge_names)}
        pieces = dict(zip(edge_names, self._length.tolist(), strict=True))
        groups = _ring_groups(rings, edge_names)
        self.named_groups: Final = _named_groups(names or {}, pieces, groups)
        super().__init__(
            coordinates=("x", "y"),
            bounds=np.reshape(self.polygon.bounds, (2, 2)),
            measure=self.polygon.area,
            pieces=pieces,
            groups=groups | self.named_groups,
            corners=self._corners(edge_names),
        )

    def __repr__(self) -> str:
        holes = f", {len(self.rings) - 1} holes" if len(self.rings) > 1 else ""
        return f"{type(self).__name__}({len(self.pieces)} edges{holes}, area {self.measure:.6g})"

    def __sub__(self, other: "Planar") -> "Polygon":
        return self._combined(other, self.polygon.difference(other.polygon))

    def __or__(self, other: "Planar") -> "Polygon":
        return self._combined(other, self.polygon.union(other.polygon))

    def __and__(self, other: "Planar") -> "Polygon":
        return self._combined(other, self.polygon.intersection(other.polygon))

    @property
    def edges(self) -> dict[str, tuple[Array, Array]]:
        """Start and end, (2,) each, of every edge."""
        return dict(zip(self.pieces, zip(self._start, self._end, strict=True), strict=True))

    def contains(self, points: ArrayLike) -> NDArray[np.bool_]:
        points = check_points(points, 2)
        shapely.prepare(self.polygon)
        inside = shapely.intersects_xy(self.polygon, points)
        outside = shapely.points(points[~inside])
        inside[~inside] = shapely.dwithin(self.polygon, outside, self._round_off)
        return inside

    def contains_strictly(self, points: ArrayLike) -> NDArray[np.bool_]:
        shapely.prepare(self._core)
        return shapely.contains_xy(self._core, check_points(points, 2))

    def from_unit(self, cube: Array) -> Array:
        """Strips of the unit square, as wide as the triangles' shares of the area, go onto the triangles.

        A strip is mapped by (s, v) -> (1 - √s) A + √s (1 - v) B + √s v C, which is uniform in area.
        """
        corners, cumulative = self._triangles
        strip = np.searchsorted(cumulative[1:-1], cube[:, 0], side="right")
        s = np.sqrt((cube[:, 0] - cumulative[strip]) / (cumulative[strip + 1] - cumulative[strip]))[:, None]
        v = cube[:, 1:]
        a, b, c = (corners[strip, k] for k in range(3))
        return a + s * (b - a + v * (c - b))

    def boundary_from_unit(self, names: Sequence[str], counts: Sequence[int], cube: Array) -> tuple[Array, Array]:
        edge = np.repeat([self._index[name] for name in names], counts)
        along = self._end[edge] - self._start[edge]
        normals = np.column_stack([along[:, 1], -along[:, 0]]) / self._length[edge, None]
        return self._start[edge] + cube * along, normals

    def sample_corner(
        self,
        corner: Corner,
        n: int,
        radius: float,
        rng: np.random.Generator | None = None,
        decades: float = 4.0,
    ) -> Array:
        """n points inside, within `radius` of a corner, as many in each decade of the distance r; (n, 2).

        r = radius · 10^(-decades·U) and the angle from the leaving edge is uniform; points outside are drawn
        again. Raises BadInput if hardly any point of the sector lies inside.
        """
        check_count(n)
        rng = np.random.default_rng(rng)
        inside = np.empty((0, 2))
        for _ in range(100):
            points = _sector_points(corner, 2 * n + 16, radius, rng, decades)
            inside = np.concatenate([inside, points[shapely.contains_xy(self.polygon, points)]])
            if len(inside) >= n:
                return inside[:n]
        raise bad(f"a corner's sector of radius {radius:g} lies outside", "take a smaller radius")

    @cached_property
    def _round_off(self) -> float:
        """Distance at which a computed point can be told from the boundary."""
        return ROUND_OFF * self._extent + 4 * float(np.spacing(np.abs(self.bounds).max()))

    @cached_property
    def _extent(self) -> float:
        return float((self.bounds[1] - self.bounds[0]).max())

    @cached_property
    def _core(self) -> shapely.Geometry:
        return self.polygon.buffer(-CORE_MARGIN * self._extent, join_style="mitre")

    @cached_property
    def _triangles(self) -> tuple[Array, Array]:
        """A triangulation: vertices, (m, 3, 2), and cumulative shares of the area, (m + 1,), from 0 to 1."""
        parts = shapely.get_parts(shapely.constrained_delaunay_triangles(self.polygon))
        cumulative = np.append(0, np.cumsum(shapely.area(parts)))
        return shapely.get_coordinates(parts).reshape(-1, 4, 2)[:, :3], cumulative / cumulative[-1]

    def _corners(self, edge_names: Sequence[str]) -> tuple[Corner, ...]:
        direction = np.arctan2(*(self._end - self._start).T[::-1])
        index = np.arange(len(direction))
        ends = np.cumsum([len(ring) for ring in self.rings])[:-1]
        before = np.concatenate([np.roll(part, 1) for part in np.split(index, ends)])
        angle = np.mod(direction[before] + np.pi - direction, 2 * np.pi)
        return tuple(
            Corner(
                vertex=self._start[k],
                angle=float(angle[k]),
                pieces=(edge_names[int(before[k])], edge_names[int(k)]),
                direction=float(direction[k]),
                lengths=(float(self._length[before[k]]), float(self._length[k])),
            )
            for k in np.flatnonzero(np.abs(angle - np.pi) > STRAIGHT)
        )

    def _combined(self, other: "Planar", geometry: shapely.Geometry) -> "Polygon":
        """The polygon with the operands' own names for those of its edges that lie on edges so named.

        A name that both operands have means the edges of the first, if any of them is left.
        """
        result = Polygon.from_shapely(geometry)
        names = {
            name: on
            for operand in (other, self)
            for name, line in operand._named_lines().items()
            if (on := result._edges_on(line))
        }
        return Polygon(result.rings[0], result.rings[1:], names)

    def _named_lines(self) -> dict[str, shapely.Geometry]:
        """Names that tell more than the number of an edge or ring, and the lines they name."""
        segments = shapely.linestrings(np.stack([self._start, self._end], axis=1))
        groups = self._special_pieces() | self.named_groups
        return {
            name: shapely.union_all(segments[[self._index[piece] for piece in pieces]])
            for name, pieces in groups.items()
        }

    def _special_pieces(self) -> Groups:
        """The pieces that have names of their own."""
        return {name: (name,) for name in self.pieces}

    def _edges_on(self, line: shapely.Geometry) -> list[str]:
        """Names of the edges of which the start, the middle and the end lie on the line."""
        ends = np.stack([self._start, (self._start + self._end) / 2, self._end])
        on = shapely.dwithin(shapely.points(ends), line, SAME_LINE * self._extent).all(axis=0)
        return [name for name, lies in zip(self.pieces, on, strict=True) if lies]


@final
class Polygon(Planar):
    """A polygon from its vertices, in either order, closed or not; holes likewise; see normalised_rings.

    "edge_k" goes from vertex k to vertex k + 1 of the exterior counterclockwise, where vertex 0 is the first
    one given (so if they are given clockwise, edge_0 goes from the first to the last one given); repeated
    vertices do not count. "hole_j_edge_k" likewise, clockwise. `names` gives groups, say
    {"hot": ["edge_0", "hole_0"]}.
    """

    def __init__(
        self, exterior: Iterable[Any], holes: Iterable[Iterable[Any]] = (), names: Names | None = None
    ) -> None:
        rings = normalised_rings(exterior, holes)
        prefixes = ["", *(f"hole_{j}_" for j in range(len(rings) - 1))]
        edge_names = [
            f"{prefix}edge_{k}" for prefix, ring in zip(prefixes, rings, strict=True) for k in range(len(ring))
        ]
        super().__init__(rings, edge_names, names)

    @classmethod
    def from_shapely(cls, geometry: shapely.Geometry, names: Names | None = None) -> "Polygon":
        """A shapely Polygon."""
        exterior, *holes = rings_of_geometry(geometry)
        return cls(exterior, holes, names)

    @classmethod
    def from_wkt(cls, text: str, names: Names | None = None) -> "Polygon":
        """A polygon in well-known text: POLYGON ((0 0, 1 0, 1 1, 0 0))."""
        exterior, *holes = rings_of_wkt(text)
        return cls(exterior, holes, names)

    @classmethod
    def from_geojson(cls, source: str | PathLike[str] | Mapping[str, Any]) -> "Polygon":
        """A GeoJSON object or the path of a file with one; a Feature's `properties.names` gives the names."""
        rings, names = rings_of_geojson(source if isinstance(source, Mapping) else read_json(source))
        exterior, *holes = rings or [[]]
        return cls(exterior, holes, names)

    def _special_pieces(self) -> Groups:
        return {}


def polygon(source: Any) -> Planar:
    """The planar domain that a user means by a vertex list, WKT, a path, GeoJSON, or a shapely geometry.

    A path ends in .wkt or else is a GeoJSON file; a planar domain stays what it is.
    """
    if isinstance(source, Planar):
        return source
    if isinstance(source, shapely.Geometry):
        return Polygon.from_shapely(source)
    if isinstance(source, Mapping):
        return Polygon.from_geojson(source)
    if isinstance(source, str | PathLike):
        return _polygon_of_text(source)
    return Polygon(source)


def _polygon_of_text(source: str | PathLike[str]) -> Polygon:
    suffix = Path(source).suffix.lower()
    if suffix == ".wkt":
        return Polygon.from_wkt(read_text(source))
    if suffix not in (".json", ".geojson") and re.match(r"\s*[A-Za-z]+[\sA-Za-z]*(\(|EMPTY)", str(source)):
        return Polygon.from_wkt(str(source))
    return Polygon.from_geojson(source)


def _ring_groups(rings: list[Array], edge_names: Sequence[str]) -> Groups:
    ends = np.cumsum([len(ring) for ring in rings])
    exterior, *holes = (tuple(edge_names[end - len(ring) : end]) for ring, end in zip(rings, ends, strict=True))
    groups = {"boundary": tuple(edge_names), "exterior": exterior}
    if holes:
        groups["holes"] = tuple(edge_names[len(exterior) :])
    return groups | {f"hole_{j}": names for j, names in enumerate(holes)}


def _named_groups(names: Names, pieces: Mapping[str, float], groups: Groups) -> Groups:
    if not isinstance(names, Mapping):
        raise bad(f"names are {shown(names)}", 'give groups of edges: {"hot": ["edge_0", "edge_3"]}')
    named: Groups = {}
    for name, on in names.items():
        if name in pieces or name in groups or name in ("initial", "final"):
            raise bad(f"the name {name!r} is taken", "choose another for this group of edges")
        named[name] = named_pieces(on, pieces, groups | named)
    return named


def _sector_points(corner: Corner, n: int, radius: float, rng: np.random.Generator, decades: float) -> Array:
    r = radius * 10 ** (-decades * rng.random(n))
    angle = corner.direction + corner.angle * rng.random(n)
    return corner.vertex + r[:, None] * np.column_stack([np.cos(angle), np.sin(angle)])
