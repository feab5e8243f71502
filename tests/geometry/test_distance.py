"""Distance functions and blended data: one contract over all domains and choices of pieces."""

import json
from typing import Any

import numpy as np
import pytest
import shapely
import torch
from hypothesis import given, settings
from test_random_polygons import polygons
from torch import Tensor

from pinnkit.geometry import Domain, Interval, LShape, Planar, Polygon, Rectangle
from pinnkit.geometry.distance import Pieces
from pinnkit.taylor import partials

TRIANGLE = [(0, 0), (2, 0.3), (0.4, 1.5)]
SQUARE = Rectangle((-2, -2), (3, 3))
COMB = Polygon([(0, 0), (5, 0), (5, 3), (4, 3), (4, 1), (3, 1), (3, 3), (2, 3), (2, 1), (1, 1), (1, 3), (0, 3)])
CASES: dict[str, tuple[Domain, Any]] = {
    "interval": (Interval(-1, 3), "boundary"),
    "one end": (Interval(-1, 3), "right"),
    "rectangle": (Rectangle((1, 2), (4, 3)), "boundary"),
    "one side": (Rectangle((1, 2), (4, 3)), "top"),
    "two sides that meet": (Rectangle((1, 2), (4, 3)), ("left", "bottom")),
    "two sides that face": (Rectangle((1, 2), (4, 3)), ("left", "right")),
    "three sides": (Rectangle((1, 2), (4, 3)), ("left", "top", "right")),
    "turned square": (Polygon([(0, 0), (1, 1), (0, 2), (-1, 1)]), "boundary"),
    "triangle": (Polygon(TRIANGLE), "boundary"),
    "one edge of a triangle": (Polygon(TRIANGLE), "edge_1"),
    "l-shape": (LShape(), "boundary"),
    "both sides of the notch": (LShape(), ("notch_vertical", "notch_horizontal")),
    "far sides": (LShape(), ("bottom", "right")),
    "hole alone": (SQUARE - Polygon(TRIANGLE), ["hole_0"]),
    "exterior alone": (SQUARE - Polygon(TRIANGLE), ["exterior"]),
    "hole and a side": (SQUARE - Polygon(TRIANGLE), ["hole_0", "bottom"]),
    "collinear pieces": (Polygon([(0, 0), (1, 0), (2, 0), (2, 1), (0, 1)]), ("edge_0", "edge_1", "edge_3")),
    "comb": (COMB, "boundary"),
    "tooth": (COMB, ("edge_3", "edge_9")),
    "millimetres": (LShape(1e-3), "boundary"),
    "l-shape with a hole": (LShape() - Rectangle((-0.6, 0.3), (-0.3, 0.6)), "boundary"),
}


@pytest.fixture(params=CASES)
def case(request) -> tuple[Domain, Pieces, tuple[str, ...]]:
    domain, on = CASES[request.param]
    names = domain.resolve(on)
    return domain, Pieces.of(domain, names), names


def columns(points: np.ndarray) -> tuple[Tensor, ...]:
    return torch.as_tensor(points).unbind(-1)


def smooth(x: Any) -> Tensor:
    """A function of the plane or the line, to take data from."""
    return torch.sin(1.3 * x[0] + 0.4) * torch.exp(0.3 * x[-1]) + x[-1] ** 2


def blended(pieces: Pieces, x: Any, data: Any, zeros: tuple[int, ...] = ()) -> Tensor:
    blend = pieces.blend(zeros)
    weights, places = blend.table(x).tensor_split(2, -1)
    terms = zip(blend.edges, weights.unbind(-1), places.unbind(-1), strict=True)
    return sum((w * data(k, pieces.edges[k].at(s)) for k, w, s in terms), torch.zeros_like(x[0]))


def test_distance_vanishes_on_the_pieces(case) -> None:
    domain, pieces, names = case
    on = domain.sample_boundary(300, names).points
    assert pieces.distance(columns(on)).abs().max() < 1e-15 * pieces.extent


def test_distance_is_positive_elsewhere(case) -> None:
    domain, pieces, names = case
    inside = domain.sample(2000)
    assert pieces.distance(columns(inside)).min() > 0
    others = [name for name in domain.pieces if name not in names]
    if others:
        assert pieces.distance(columns(domain.sample_boundary(500, others).points)).min() > 0


def test_normal_derivative_is_one_where_there_are_no_lines(case) -> None:
    domain, pieces, names = case
    if len(names) > 1 and any(edge.line for edge in pieces.edges):
        pytest.skip("a product of lines is smooth instead")
    on = domain.sample_boundary(200, names)
    d = len(domain.coordinates)
    jets = partials(lambda x: pieces.distance(x)[:, None], columns(on.points), [(), *((i,) for i in range(d))])
    slope = -(jets[1:, :, 0].T * torch.as_tensor(on.normals)).sum(1)
    assert (slope - 1).abs().max() < 1e-9


def test_distance_is_about_the_distance() -> None:
    """R-equivalence of k segments is between a k-th of the distance and a little more than all of it."""
    domain = SQUARE - Polygon(TRIANGLE)
    pieces = Pieces.of(domain, domain.resolve(["hole_0"]))
    points = domain.sample(2000)
    truth = shapely.distance(shapely.points(points), shapely.Polygon(TRIANGLE))
    ratio = pieces.distance(columns(points)).numpy() / truth
    assert ratio.min() > 1 / 3 - 1e-9 and ratio.max() < 3


def test_blended_data_are_the_data_on_every_piece(case) -> None:
    domain, pieces, names = case
    for name in names:
        x = columns(domain.sample_boundary(100, name).points)
        found = blended(pieces, x, lambda k, at: smooth(at))
        assert (found - smooth(x)).abs().max() < 1e-13


def test_blended_data_that_jump_are_exact_on_either_side_and_bounded() -> None:
    domain = LShape()
    pieces = Pieces.of(domain, domain.resolve("boundary"))
    for k, name in enumerate(pieces.edges):
        x = columns(domain.sample_boundary(100, name.name).points)
        found = blended(pieces, x, lambda j, at: torch.full_like(at[0], float(j)))
        assert (found - k).abs().max() < 1e-13
    inside = blended(pieces, columns(domain.sample(2000)), lambda j, at: torch.full_like(at[0], float(j)))
    assert inside.min() > 0 and inside.max() < 5


@pytest.mark.parametrize("name", ["interval", "one end", "rectangle", "one side", "three sides", "two sides that meet"])
def test_on_boxes_bilinear_functions_are_reproduced(name) -> None:
    """Everywhere, if the pieces are all of the boundary; else what is constant across the missing ones."""
    domain, on = CASES[name]
    pieces = Pieces.of(domain, domain.resolve(on))
    whole = len(pieces.edges) == len(domain.pieces)
    x = columns(domain.sample(100))

    def function(k: int, at: Any) -> Tensor:
        return 1 + at[0] - 2 * at[-1] + at[0] * at[-1] if whole else torch.ones_like(at[0])

    if domain.dimension == 1 and whole:
        assert (blended(pieces, x, lambda k, at: 1 + 2 * at[0]) - 1 - 2 * x[0]).abs().max() < 1e-14
    else:
        assert (blended(pieces, x, function) - function(0, x)).abs().max() < 1e-13


def test_weights_are_a_partition_of_unity(case) -> None:
    domain, pieces, _ = case
    found = blended(pieces, columns(domain.sample(500)), lambda k, at: torch.ones_like(at[0]))
    assert (found - 1).abs().max() < 1e-13


def test_data_that_vanish_on_an_edge_are_corrected_off_it_alone() -> None:
    """The interpolation vanishes on the edges named zeros and agrees with the data on the others."""
    domain = LShape()
    pieces = Pieces.of(domain, domain.resolve(("bottom", "right")))

    def data(k: int, at: Any) -> Tensor:
        return (at[1] + 1) * torch.exp(at[0])

    for k, edge in enumerate(pieces.edges):
        x = columns(domain.sample_boundary(50, edge.name).points)
        assert (blended(pieces, x, data, (0,)) - data(k, x)).abs().max() < 1e-14


def test_all_is_finite_in_the_vertices_and_next_to_them(case) -> None:
    domain, pieces, _ = case
    if not isinstance(domain, Planar):
        pytest.skip("no vertices")
    vertices = np.concatenate(domain.rings)
    inwards = domain.sample(len(vertices)) - vertices
    indices = [(), (0,), (1,), (0, 0), (0, 1), (1, 1)]
    table = pieces.blend().table
    for step in (0.0, 1e-12, 1e-8):
        x = columns(vertices + step * inwards)
        assert pieces.distance(x).isfinite().all() and table(x).isfinite().all()
        if step == 1e-8:
            assert partials(lambda at: pieces.distance(at)[:, None], x, indices).isfinite().all()
            assert partials(table, x, indices).isfinite().all()


def test_derivatives_next_to_an_edge_keep_their_digits() -> None:
    """Second derivatives of blended data at 1e-8 from an edge are those on it to a part in 1e6."""
    domain = LShape()
    pieces = Pieces.of(domain, domain.resolve("boundary"))
    sample = domain.sample_boundary(100)
    interior = np.abs(np.abs(sample.points) - 0.5).min(axis=1) < 0.3  # well away from vertices
    on, normals = sample.points[interior], sample.normals[interior]

    def data(x: Any) -> Tensor:
        return blended(pieces, x, lambda k, at: smooth(at))[:, None]

    indices = [(), (0,), (1,), (0, 0), (0, 1), (1, 1)]
    at, near = (partials(data, columns(on - step * normals), indices) for step in (0.0, 1e-8))
    assert (at - near).abs().max() < 1e-6 * at.abs().max()


def test_plain_numbers_give_the_same_pieces(case) -> None:
    pieces = case[1]
    assert Pieces.from_plain(json.loads(json.dumps(pieces.to_plain()))) == pieces


def test_boxes_are_known_by_their_shape() -> None:
    square = Polygon([(0, 0), (1, 0), (1, 2), (0, 2)])
    assert Pieces.of(square, ["edge_0"]).box == ((0.0, 0.0), (1.0, 2.0))
    assert Pieces.of(Polygon(TRIANGLE), ["edge_0"]).box is None and Pieces.of(LShape(), ["bottom"]).box is None


@pytest.mark.parametrize(
    ("name", "is_smooth"),
    [("rectangle", True), ("one edge of a triangle", True), ("triangle", False), ("far sides", True), ("comb", False)],
)
def test_kinks_come_from_edges_that_meet_and_from_segments(name, is_smooth) -> None:
    domain, on = CASES[name]
    assert Pieces.of(domain, domain.resolve(on)).smooth == is_smooth


@settings(max_examples=25)
@given(polygons())
def test_any_polygon_with_holes(domain: Polygon) -> None:
    pieces = Pieces.of(domain, list(domain.pieces))
    on, inside = columns(domain.sample_boundary(200).points), columns(domain.sample(300))
    assert pieces.distance(on).abs().max() < 1e-13 * pieces.extent
    assert pieces.distance(inside).min() > 0
    size = 1 + max(float(c.abs().max()) for c in on)
    assert (blended(pieces, on, lambda k, at: at[0]) - on[0]).abs().max() < 1e-13 * size
