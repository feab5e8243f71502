"""Vertex lists: what is normalised, and what each unusable one is told."""

import logging
import math
from typing import Any

import numpy as np
import pytest

from pinnkit.errors import BadInput
from pinnkit.geometry import Polygon

SQUARE = [(0.0, 0.0), (2.0, 0.0), (2.0, 2.0), (0.0, 2.0)]
TRIANGLE = [(0.5, 0.5), (1.0, 0.5), (1.0, 1.0)]


def moved(ring: list[tuple[float, float]], dx: float, dy: float = 0.0) -> list[tuple[float, float]]:
    return [(x + dx, y + dy) for x, y in ring]


@pytest.mark.parametrize(
    ("exterior", "message"),
    [
        ([(0, 0), (2, 2), (2, 0), (0, 2)], r"edges cross or touch at \(1, 1\); list the vertices in order"),
        ([(0, 0), (2, 0), (1, 1), (2, 2), (0, 2), (1, 1)], r"edges cross or touch at \(1, 1\)"),
        ([(0, 0), (2, 0), (2, 2), (3, 3), (2, 2), (0, 2)], r"edges cross or touch at"),
        ([], "no vertices; give at least 3 distinct vertices"),
        ([(0, 0), (1, 1)], "2 distinct vertices; give at least 3"),
        ([(0, 0), (1, 1), (0, 0), (1, 1)], "2 distinct vertices; give at least 3"),
        ([(1, 1)] * 5, "1 distinct vertices"),
        ([(0, 0), (1, 1), (2, 2)], "area 0, all vertices lie on one line"),
        ([(0, 0), (1, 0), (2, 1e-14)], "area 0"),
        ([(0, 0), (math.nan, 1), (1, 1)], r"vertex 1 is \(nan, 1\); give finite coordinates"),
        ([(0, 0), (1, 0), (1, math.inf)], r"vertex 2 is \(1, inf\)"),
        ([(0, 0), (10**400, 0), (1, 1)], r"vertex 1 is \(inf, 0\)"),
        ([(0, 0), (1e300, 0), (0, 1e300)], r"extent 1e\+300 is outside \[1e-09, 1e\+09\]; rescale"),
        ([(-1e308, 0), (1e308, 0), (0, 1e308)], "extent inf is outside"),
        ([(0, 0), (1e-200, 0), (0, 1e-200)], "extent 1e-200 is outside"),
        (moved(TRIANGLE, 1e12), "extent 0.5 is lost in the distance from the origin; shift it"),
        ([(0, 0, 0), (1, 0, 0), (1, 1, 0)], r"vertex 0 is \(0, 0, 0\); a vertex is two numbers"),
        ([(0, 0), (1,), (1, 1)], r"vertex 1 is \(1,\); a vertex is two numbers"),
        ([(0, 0), (1, 0), ("1", "1")], r"vertex 2 is \('1', '1'\); a vertex is two numbers"),
        ([(0, 0), (1, 0), "11"], "vertex 2 is '11'; a vertex is two numbers"),
        ([0, 1, 2], "vertex 0 is 0; a vertex is two numbers"),
        ([(0, 0), (1, 0), (1, 1j)], "vertex 2 .* two numbers"),
        (None, "None is not a list"),
        (5, "5 is not a list"),
        ("square", "'square' is not a list"),
    ],
)
def test_unusable_exteriors(exterior: Any, message: str) -> None:
    with pytest.raises(BadInput, match=r"^geometry: exterior: " + message) as caught:
        Polygon(exterior)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("holes", "message"),
    [
        ([moved(TRIANGLE, 9)], r"hole 0 lies outside the exterior, at \(9.5, 0.5\)"),
        ([TRIANGLE, moved(TRIANGLE, 1.3)], r"hole 1 touches or crosses the exterior at \(2, "),
        ([moved(SQUARE, -1, -1)], "hole 0 touches or crosses the exterior"),
        ([[(-1, -1), (5, -1), (5, 5), (-1, 5)]], "hole 0 touches or crosses the exterior at"),
        ([SQUARE], "hole 0 touches or crosses the exterior"),
        ([[(0, 1), (1, 0.5), (1, 1.5)]], r"hole 0 touches or crosses the exterior at \(0, 1\)"),
        ([[(0.5, 0), (1, 0), (1, 1)]], "hole 0 touches or crosses the exterior at"),
        ([TRIANGLE, moved(TRIANGLE, 0.1)], "hole 0 and hole 1 overlap, touch or nest at"),
        ([TRIANGLE, [(0.8, 0.6), (0.9, 0.6), (0.9, 0.7)]], "hole 0 and hole 1 overlap, touch or nest"),
        ([TRIANGLE, [(1, 1), (1.5, 1), (1.5, 1.5)]], r"hole 0 and hole 1 .* at \(1, 1\)"),
        ([TRIANGLE, [(1, 0.5), (1.5, 0.5), (1, 1)]], "hole 0 and hole 1"),
        ([TRIANGLE, [(1.5, 1.5), (1.6, 1.5)]], "hole 1: 2 distinct vertices"),
        ([[(0.5, 0.5), (1, 1), (1, 0.5), (0.5, 1)]], r"hole 0: edges cross or touch at \(0.75, 0.75\)"),
        (7, "holes: 7 is not a list"),
        ([7], "hole 0: 7 is not a list"),
    ],
)
def test_unusable_holes(holes: Any, message: str) -> None:
    with pytest.raises(BadInput, match="^geometry: " + message):
        Polygon(SQUARE, holes)


@pytest.mark.parametrize(
    "exterior",
    [
        [*SQUARE, SQUARE[0]],
        [SQUARE[0], *SQUARE],
        [v for v in SQUARE for _ in range(2)],
        np.array(SQUARE),
        tuple(map(tuple, np.array(SQUARE, dtype=int))),
        [SQUARE[0], *SQUARE[:0:-1]],
        [SQUARE[0], *SQUARE[:0:-1], SQUARE[0]],
    ],
    ids=[
        "closed",
        "first repeated",
        "all repeated",
        "array",
        "integers",
        "clockwise",
        "clockwise and closed",
    ],
)
def test_one_polygon_written_in_many_ways(exterior: Any) -> None:
    domain = Polygon(exterior, [TRIANGLE])
    np.testing.assert_array_equal(domain.rings[0], SQUARE)
    np.testing.assert_array_equal(domain.rings[1], [TRIANGLE[0], TRIANGLE[2], TRIANGLE[1]])
    assert list(domain.pieces) == [f"edge_{k}" for k in range(4)] + [f"hole_0_edge_{k}" for k in range(3)]


def test_normalisation_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, logger="pinnkit.geometry.rings")
    Polygon([SQUARE[0], SQUARE[0], *SQUARE[:0:-1], SQUARE[0]])  # that it is closed is not worth a word
    assert [record.message for record in caplog.records] == [
        "exterior: 1 repeated vertices dropped",
        "exterior: orientation reversed, starting at the same vertex",
    ]


def test_a_straight_angle_parts_two_edges_but_is_no_corner() -> None:
    domain = Polygon([(0, 0), (1, 0), (2, 0), (2, 2), (0, 2)])
    assert len(domain.pieces) == 5
    assert len(domain.corners) == 4


def test_rings_are_read_only() -> None:
    with pytest.raises(ValueError, match="read-only"):
        Polygon(SQUARE).rings[0][0] = 7
