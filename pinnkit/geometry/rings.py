"""Vertex lists as users bring them, checked and brought to one form: rings with the domain on their left.

Whatever has one obvious meaning is accepted and logged (clockwise order, repeated vertices, a repeated first
vertex); everything else raises BadInput that says which vertex, which hole, where.
"""

import logging
import re
from collections.abc import Iterable, Sequence
from numbers import Real
from typing import Any

import numpy as np
import shapely

from pinnkit.errors import BadInput
from pinnkit.geometry.sampling import Array

log = logging.getLogger(__name__)

EXTENTS = (1e-9, 1e9)
FLAT = 1e-12  # area / extent² below which vertices are collinear, distance / extent below which they coincide


def normalised_rings(exterior: Iterable[Any], holes: Iterable[Iterable[Any]]) -> list[Array]:
    """Rings of a polygon, (k, 2) each: the exterior counterclockwise, holes clockwise, no repeated vertices.

    The first vertex of each ring stays the first. Raises BadInput unless they bound one domain: finite
    vertices, no edges that cross or touch, holes inside the exterior and apart from it and from each other.
    """
    rings = [_ring(exterior, "exterior", counterclockwise=True)]
    rings += [_ring(hole, f"hole {k}", counterclockwise=False) for k, hole in enumerate(_listed(holes, "holes"))]
    for ring in rings:
        ring.setflags(write=False)
    _check_holes(shapely.Polygon(rings[0]), [shapely.Polygon(ring) for ring in rings[1:]])
    return rings


def bad(what: str, remedy: str) -> BadInput:
    """The error of all unusable geometry."""
    return BadInput("geometry", what, remedy)


def shown(thing: object) -> str:
    """Whatever the user gave, in part of a line."""
    return " ".join(repr(thing).split())[:80]


def point_text(x: float, y: float) -> str:
    """A point as messages show it."""
    return f"({x:.6g}, {y:.6g})"


def _ring(vertices: Iterable[Any], what: str, counterclockwise: bool) -> Array:
    ring = _without_repeats(_vertices(vertices, what), what)
    _check_simple(ring, what)
    if shapely.LinearRing(ring).is_ccw != counterclockwise:
        log.info("%s: orientation reversed, starting at the same vertex", what)
        ring = np.roll(ring[::-1], 1, axis=0)
    return ring


def _vertices(vertices: Iterable[Any], what: str) -> Array:
    """The vertices as an array (k, 2) of finite floats of a reasonable size."""
    listed = _listed(vertices, what)
    for k, vertex in enumerate(listed):
        if not _is_pair(vertex):
            raise bad(f"{what}: vertex {k} is {shown(vertex)}", "a vertex is two numbers, x and y")
    array = np.array([[_number(c) for c in vertex] for vertex in listed]).reshape(-1, 2)
    infinite = np.flatnonzero(~np.isfinite(array).all(axis=1))
    if len(infinite):
        raise bad(f"{what}: vertex {infinite[0]} is {point_text(*array[infinite[0]])}", "give finite coordinates")
    _check_extent(array, what)
    return array


def _listed(items: Iterable[Any], what: str) -> list[Any]:
    if isinstance(items, str | bytes) or not isinstance(items, Iterable):
        raise bad(
            f"{what}: {shown(items)} is not a list",
            "give a list of vertices [x, y] for the exterior and each hole",
        )
    return list(items)


def _is_pair(vertex: Any) -> bool:
    pair = isinstance(vertex, Sequence | np.ndarray) and len(vertex) == 2
    return pair and all(isinstance(coordinate, Real) for coordinate in vertex)


def _number(coordinate: Real) -> float:
    """As a float; inf for a whole number beyond all floats."""
    try:
        return float(coordinate)
    except OverflowError:
        return np.inf


def _check_extent(array: Array, what: str) -> None:
    if not len(array):
        raise bad(f"{what}: no vertices", "give at least 3 distinct vertices")
    with np.errstate(over="ignore"):
        extent = float(np.ptp(array, axis=0).max())
    if extent > 0 and not EXTENTS[0] <= extent <= EXTENTS[1]:
        raise bad(f"{what}: extent {extent:g} is outside [{EXTENTS[0]:g}, {EXTENTS[1]:g}]", "rescale to other units")
    if 0 < extent < EXTENTS[0] * np.abs(array).max():
        raise bad(f"{what}: extent {extent:g} is lost in the distance from the origin", "shift it to the origin")


def _without_repeats(array: Array, what: str) -> Array:
    """The vertices that differ from the one before, in the cycle."""
    least = FLAT * np.ptp(array, axis=0).max()
    ring = array[np.append(True, np.abs(np.diff(array, axis=0)).max(axis=1) > least)]
    repeated = len(array) - len(ring)
    if len(ring) > 1 and np.abs(ring[-1] - ring[0]).max() <= least:
        ring = ring[:-1]  # a ring may well be closed, as GeoJSON and WKT want it
    if repeated:
        log.info("%s: %d repeated vertices dropped", what, repeated)
    if (distinct := len(np.unique(ring, axis=0))) < 3:
        raise bad(f"{what}: {distinct} distinct vertices", "give at least 3")
    return ring


def _check_simple(ring: Array, what: str) -> None:
    hull = shapely.MultiPoint(ring).convex_hull
    if hull.area <= FLAT * np.ptp(ring, axis=0).max() ** 2:
        raise bad(f"{what}: area 0, all vertices lie on one line", "give vertices that enclose an area")
    reason = shapely.is_valid_reason(shapely.Polygon(ring))
    if place := re.search(r"\[(\S+) (\S+)\]", reason):
        where = point_text(float(place[1]), float(place[2]))
        raise bad(f"{what}: edges cross or touch at {where}", "list the vertices in order around the boundary")


def _check_holes(shell: shapely.Polygon, holes: list[shapely.Polygon]) -> None:
    for k, hole in enumerate(holes):
        if not shell.intersects(hole):
            where = point_text(*hole.exterior.coords[0])
            raise bad(f"hole {k} lies outside the exterior, at {where}", "move it inside or leave it out")
        if not shell.contains_properly(hole):
            where = _somewhere(hole.intersection(shell.exterior))
            raise bad(f"hole {k} touches or crosses the exterior at {where}", "keep it inside, or cut the exterior")
    tree = shapely.STRtree(holes)
    for j, k in tree.query(np.array(holes, dtype=object), predicate="intersects").T:
        if j < k:
            where = _somewhere(holes[j].intersection(holes[k]))
            raise bad(
                f"hole {j} and hole {k} overlap, touch or nest at {where}",
                "join them to one or move them apart",
            )


def _somewhere(geometry: shapely.Geometry) -> str:
    return point_text(*shapely.get_coordinates(geometry)[0])
