"""Meshes are conforming, cover the polygon exactly, know its edges, and have no needless sharp angles."""

from dataclasses import dataclass

import numpy as np
import pytest
import shapely

from pinnkit.errors import BadInput
from pinnkit.reference.mesh import locate, nearest_pieces, smallest_angles, triangulate


@dataclass(frozen=True)
class Polygon:
    rings: list[np.ndarray]

    @property
    def edges(self):
        pairs = [pair for ring in self.rings for pair in zip(ring, np.roll(ring, -1, axis=0), strict=True)]
        return {f"edge_{k}": pair for k, pair in enumerate(pairs)}


def polygon(*rings):
    return Polygon([np.array(ring, dtype=float) for ring in rings])


def circle(n, radius=1.0, wave=0.0):
    angles = 2 * np.pi * np.arange(n) / n
    radii = radius * (1 + wave * np.cos(7 * angles))
    return np.stack([radii * np.cos(angles), radii * np.sin(angles)], axis=1)


L_SHAPE = [(-1, -1), (0, -1), (0, 0), (1, 0), (1, 1), (-1, 1)]
DOMAINS = {
    "square": polygon([(0, 0), (1, 0), (1, 1), (0, 1)]),
    "l_shape": polygon(L_SHAPE),
    "holes": polygon(
        [(0, 0), (4, 0), (4, 3), (0, 3)], [(1, 1), (1, 2), (2, 2), (2, 1)], [(3, 0.3), (2.9, 0.4), (3.2, 2.5)]
    ),
    "thousand_vertices": polygon(circle(1000, wave=0.2), circle(50, 0.3)[::-1]),
    "strip": polygon([(0, 0), (10, 0), (10, 0.05), (0, 0.1)]),
    "far_and_small": polygon(1e3 + 1e-3 * np.array(L_SHAPE)),
    "collinear": polygon([(0, 0), (0.1, 0), (0.101, 0), (1, 0), (1, 1), (0, 1)]),
    "spike": polygon([(0, 0), (1, 0), (1, 0.02)]),
}


@pytest.fixture(params=DOMAINS, scope="module")
def domain(request):
    return DOMAINS[request.param]


@pytest.fixture(scope="module")
def mesh(domain):
    return triangulate(domain)


def test_area_is_the_polygons(domain, mesh):
    a, b, c = mesh.p.T[mesh.t]
    areas = np.abs(np.linalg.det(np.stack([b - a, c - a], axis=-1))) / 2
    assert areas.sum() == pytest.approx(shapely.Polygon(domain.rings[0], domain.rings[1:]).area, rel=1e-9)


def test_first_vertices_are_the_polygons(domain, mesh):
    corners = np.concatenate(domain.rings)
    np.testing.assert_array_equal(mesh.p.T[: len(corners)], corners)


def test_boundary_facets_cover_each_edge(domain, mesh):
    facets = mesh.facets[:, mesh.boundary_facets()]
    starts, ends = mesh.p.T[facets]
    pieces = nearest_pieces(domain, (starts + ends) / 2)
    lengths = np.bincount(pieces, np.linalg.norm(ends - starts, axis=1), minlength=len(domain.edges))
    expected = [np.linalg.norm(end - start) for start, end in domain.edges.values()]
    np.testing.assert_allclose(lengths, expected, rtol=1e-9)


def test_angles(domain, mesh):
    angles = smallest_angles(mesh.p.T[mesh.t.T])
    own = np.concatenate([smallest_corner_angle(ring) for ring in domain.rings]).min()
    assert angles.min() > min(20.0, 0.99 * own)


def smallest_corner_angle(ring):
    into, out = np.roll(ring, 1, axis=0) - ring, np.roll(ring, -1, axis=0) - ring
    cosine = (into * out).sum(axis=1) / np.linalg.norm(into, axis=1) / np.linalg.norm(out, axis=1)
    return np.degrees(np.arccos(np.clip(cosine, -1, 1)))


def test_more_divisions_make_smaller_triangles():
    sizes = [triangulate(DOMAINS["l_shape"], divisions).param() for divisions in (4, 8, 16)]
    assert sizes[0] > 1.5 * sizes[1] > 2 * sizes[2]


def test_locate_finds_points_inside_on_the_boundary_and_just_outside(rng):
    domain = DOMAINS["l_shape"]
    mesh = triangulate(domain)
    corners = mesh.p.T[mesh.t.T]
    weights = rng.dirichlet(np.ones(3), len(corners))
    tree = shapely.STRtree(shapely.polygons(corners))
    inside = np.einsum("mi,mid->md", weights, corners)
    np.testing.assert_array_equal(locate(tree, inside), np.arange(len(corners)))
    ends = np.array(list(domain.edges.values()))
    edge_points = ends[:, 0] + 0.3 * (ends[:, 1] - ends[:, 0])
    for shift in (0.0, 1e-12, -1e-12):
        cells = locate(tree, edge_points + shift)
        gaps = shapely.distance(shapely.polygons(corners[cells]), shapely.points(edge_points + shift))
        assert gaps.max() < 2e-12


def test_unresolvable_polygons_are_refused():
    with pytest.raises(BadInput, match="geometry"):
        triangulate(polygon([(0, 0), (1, 0), (1, 1e-17), (0, 1e-17)]))


@pytest.fixture
def rng():
    return np.random.default_rng(0)
