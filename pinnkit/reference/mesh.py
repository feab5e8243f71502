"""Conforming triangle meshes of polygons with holes, by Delaunay refinement.

The boundary is exact: every vertex of the polygon is a vertex of the mesh (its first ones, in the order of
the rings) and every boundary facet lies on one edge of the polygon. After Ruppert, "A Delaunay refinement
algorithm for quality 2-dimensional mesh generation", J. Algorithms 18 (1995): edges with a point inside
their diametral circle are split, triangles that are skinny or large receive their circumcentre, until
neither is left. Points are inserted many at a time, so that a mesh costs a few dozen Delaunay calls.
"""

from collections.abc import Mapping, Sequence
from typing import Protocol

import numpy as np
import shapely
import skfem
from numpy.typing import NDArray
from scipy.spatial import Delaunay, cKDTree

from pinnkit.errors import BadInput

Array = NDArray[np.float64]
Index = NDArray[np.intp]
Mask = NDArray[np.bool_]

SMALLEST_ANGLE = 25.0  # degrees, wanted wherever the polygon's own angles are not sharper
MOST_POINTS = 200_000
ROUNDS = 200  # of insertion; typical polygons need 10 to 40


class PlanarDomain(Protocol):
    """A polygon with holes: vertex rings (the domain lies on their left) and named straight edges."""

    @property
    def rings(self) -> Sequence[Array]: ...  # each (k, 2), the exterior first

    @property
    def edges(self) -> Mapping[str, tuple[Array, Array]]: ...  # start (2,), end (2,)


def triangulate(domain: PlanarDomain, divisions: float = 8.0) -> skfem.MeshTri:
    """The mesh of `domain` whose triangles are not larger than its longer side / `divisions`.

    Raises BadInput("geometry") if that takes too many or too small triangles.
    """
    polygon = shapely.Polygon(domain.rings[0], list(domain.rings[1:]))
    shapely.prepare(polygon)
    points = np.concatenate(list(domain.rings))
    segments = _ring_segments(domain.rings)
    sharp = _is_sharp(domain.rings)
    largest = np.ptp(domain.rings[0], axis=0).max() / divisions
    for _ in range(ROUNDS):
        if len(points) > MOST_POINTS:
            raise _unmeshable()
        split = _encroached(points, segments)
        if split.any():
            points, segments = _split(points, segments, split, sharp)
            continue
        triangles = _inside(points, polygon)
        centres = _wanted_points(points, triangles, largest, sharp)
        split = _encroached_by(centres, points, segments)
        if split.any():
            points, segments = _split(points, segments, split, sharp)
        elif len(centres):
            points = np.concatenate([points, centres])
        else:
            break
    return _checked_mesh(points, _inside(points, polygon), polygon.area)


def nearest_pieces(domain: PlanarDomain, points: Array) -> Index:
    """Which edge, counted in the order of `domain.edges`, is nearest to each of the points (n, 2): (n,)."""
    starts = np.array([start for start, _ in domain.edges.values()], dtype=float)
    ends = np.array([end for _, end in domain.edges.values()], dtype=float)
    edges = shapely.linestrings(np.stack([starts, ends], axis=1))
    point_index, edge_index = shapely.STRtree(edges).query_nearest(shapely.points(points), all_matches=False)
    nearest = np.empty(len(points), dtype=np.intp)
    nearest[point_index] = edge_index
    return nearest


def locate(tree: shapely.STRtree, points: Array) -> Index:
    """A triangle of the tree that holds each of the points (n, 2), or is nearest to it: (n,)."""
    shapes = shapely.points(points)
    cells = np.full(len(points), -1, dtype=np.intp)
    found, holders = tree.query(shapes, predicate="intersects")
    cells[found] = holders
    lost = np.flatnonzero(cells < 0)
    if len(lost):
        found, nearest = tree.query_nearest(shapes[lost], all_matches=False)
        cells[lost[found]] = nearest
    return cells


def _ring_segments(rings: Sequence[Array]) -> Index:
    """Pairs of consecutive vertices of all rings, numbered through: (m, 2)."""
    first, pairs = 0, []
    for ring in rings:
        own = np.arange(len(ring))
        pairs.append(first + np.stack([own, np.roll(own, -1)], axis=1))
        first += len(ring)
    return np.concatenate(pairs)


def _is_sharp(rings: Sequence[Array]) -> Mask:
    """Whether the two edges at each vertex meet at less than 90 degrees, inside or outside of the domain."""
    into = np.concatenate([np.roll(ring, 1, axis=0) - ring for ring in rings])
    out = np.concatenate([np.roll(ring, -1, axis=0) - ring for ring in rings])
    return (into * out).sum(axis=1) > 1e-9 * np.linalg.norm(into, axis=1) * np.linalg.norm(out, axis=1)


def _encroached(points: Array, segments: Index) -> Mask:
    """Which segments have a point, other than their ends, in their closed diametral circle."""
    ends = points[segments]
    middles, radii = ends.mean(axis=1), np.linalg.norm(ends[:, 1] - ends[:, 0], axis=1) / 2
    inside = cKDTree(points).query_ball_point(middles, radii * (1 + 1e-9), return_length=True)
    return np.asarray(inside) > 2


def _encroached_by(centres: Array, points: Array, segments: Index) -> Mask:
    """Which segments would have one of the centres in their diametral circle."""
    if not len(centres):
        return np.zeros(len(segments), dtype=bool)
    ends = points[segments]
    distances, _ = cKDTree(centres).query(ends.mean(axis=1))
    return distances < np.linalg.norm(ends[:, 1] - ends[:, 0], axis=1) / 2 * (1 + 1e-9)


def _split(points: Array, segments: Index, chosen: Mask, sharp: Mask) -> tuple[Array, Index]:
    """Cut the chosen segments in two: in the middle, or on a circle about a sharp vertex.

    Around a vertex with a sharp angle the cuts of both edges lie on common circles whose radii are powers of
    two, without which they would encroach upon each other forever (Ruppert 1995, section 5).
    """
    starts, ends = segments[chosen].T
    is_sharp = np.pad(sharp, (0, len(points) - len(sharp)))
    backwards = is_sharp[ends] & ~is_sharp[starts]
    apex, other = np.where(backwards, ends, starts), np.where(backwards, starts, ends)
    lengths = np.linalg.norm(points[other] - points[apex], axis=1)
    shell = np.exp2(np.round(np.log2(lengths / 2))) / lengths
    fraction = np.where(is_sharp[apex], shell, 0.5)[:, None]
    cuts = points[apex] * (1 - fraction) + points[other] * fraction
    new = len(points) + np.arange(len(cuts))
    halves = np.concatenate([np.stack([starts, new], axis=1), np.stack([new, ends], axis=1)])
    return np.concatenate([points, cuts]), np.concatenate([segments[~chosen], halves])


def _inside(points: Array, polygon: shapely.Polygon) -> Index:
    """The Delaunay triangles in the polygon, without flat ones on its straight edges: (m, 3)."""
    triangles = Delaunay(points - points.mean(axis=0)).simplices
    corners = points[triangles]
    areas, longest = _twice_areas(corners), _side_lengths(corners).max(axis=1)
    centroids = corners.mean(axis=1)
    return triangles[(areas > 1e-10 * longest**2) & shapely.contains_xy(polygon, *centroids.T)]


def _twice_areas(corners: Array) -> Array:
    """Twice the areas of triangles with the given corners (m, 3, 2): (m,)."""
    u, v = corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
    return np.abs(u[:, 0] * v[:, 1] - u[:, 1] * v[:, 0])


def _side_lengths(corners: Array) -> Array:
    """Lengths of the sides opposite to each corner: (m, 3)."""
    return np.linalg.norm(np.roll(corners, -1, axis=1) - np.roll(corners, 1, axis=1), axis=2)


def smallest_angles(corners: Array) -> Array:
    """The smallest angle of each triangle with the given corners (m, 3, 2), in degrees: (m,)."""
    sides = np.sort(_side_lengths(corners), axis=1)
    sine = _twice_areas(corners) / (sides[:, 1] * sides[:, 2])
    return np.degrees(np.arcsin(np.clip(sine, 0, 1)))


def _wanted_points(points: Array, triangles: Index, largest: float, sharp: Mask) -> Array:
    """Circumcentres of skinny and large triangles, none in another's circumcircle: (k, 2).

    A triangle whose smallest angle is at a sharp vertex of the polygon is not skinny: nothing can widen it.
    """
    corners = points[triangles]
    sides = _side_lengths(corners)
    radii = sides.prod(axis=1) / (2 * _twice_areas(corners))
    narrow = triangles[np.arange(len(triangles)), sides.argmin(axis=1)]
    forced = (narrow < len(sharp)) & sharp[np.minimum(narrow, len(sharp) - 1)]
    skinny = (smallest_angles(corners) < SMALLEST_ANGLE) & ~forced
    bad = np.flatnonzero(skinny | (radii > largest))
    bad = bad[np.argsort(-radii[bad])]
    return _thinned(_circumcentres(corners[bad]), radii[bad])


def _circumcentres(corners: Array) -> Array:
    """Circumcentres of triangles (m, 3, 2): (m, 2)."""
    u, v = corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
    uu, vv = (u**2).sum(axis=1), (v**2).sum(axis=1)
    cross = 2 * (u[:, 0] * v[:, 1] - u[:, 1] * v[:, 0])
    offset = np.stack([v[:, 1] * uu - u[:, 1] * vv, u[:, 0] * vv - v[:, 0] * uu], axis=1)
    return corners[:, 0] + offset / cross[:, None]


def _thinned(centres: Array, radii: Array) -> Array:
    """Those centres that are not within the radius of an earlier one that is kept."""
    if not len(centres):
        return centres
    near = cKDTree(centres).query_ball_point(centres, radii)
    kept = np.ones(len(centres), dtype=bool)
    for i, neighbours in enumerate(near):
        if kept[i]:
            kept[neighbours] = False
            kept[i] = True
    return centres[kept]


def _checked_mesh(points: Array, triangles: Index, area: float) -> skfem.MeshTri:
    """The mesh of the used points, once its area is the polygon's."""
    missing = abs(_twice_areas(points[triangles]).sum() / 2 - area)
    if not missing <= 1e-9 * area:
        raise _unmeshable()
    used, renumbered = np.unique(triangles, return_inverse=True)
    numbered = renumbered.reshape(triangles.shape).T.astype(np.int32)
    return skfem.MeshTri(np.ascontiguousarray(points[used].T), np.ascontiguousarray(numbered))


def _unmeshable() -> BadInput:
    return BadInput("geometry", "the polygon is too thin or too finely detailed to be meshed", "simplify it")
