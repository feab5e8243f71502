"""Differences, unions and intersections of planar domains, and the names that survive them."""

import pytest

from pinnkit.errors import BadInput
from pinnkit.geometry import LShape, Planar, Polygon, Rectangle

BIG, SMALL = Rectangle((0, 0), (4, 4)), Rectangle((1, 1), (2, 2))


def ends(domain: Planar, group: str) -> list[tuple[float, ...]]:
    """Coordinates of the edges of a group, each with its smaller end first, in order."""
    return sorted(
        sum(sorted(tuple(map(float, end)) for end in domain.edges[e]), ()) for e in domain.resolve(group)
    )


def test_areas_add_up() -> None:
    other = Polygon([(3, 1), (6, 2), (3, 3)])
    union, both, rest = BIG | other, BIG & other, BIG - other
    assert union.measure + both.measure == pytest.approx(BIG.measure + other.measure)
    assert rest.measure + both.measure == pytest.approx(BIG.measure)


def test_names_of_edges_become_groups() -> None:
    domain = Rectangle((0, 0), (4, 4)) - Rectangle((3, 3), (5, 5))
    assert ends(domain, "top") == [(0, 4, 3, 4)]
    assert ends(domain, "right") == [(4, 0, 4, 3)]
    assert ends(domain, "left") == [(0, 0, 0, 4)]


def test_a_name_of_both_means_the_first() -> None:
    domain = BIG - SMALL
    assert ends(domain, "left") == [(0, 0, 0, 4)]
    assert len(domain.resolve("hole_0")) == 4


def test_an_edge_cut_in_two_keeps_its_name_on_both_parts() -> None:
    domain = BIG - Polygon([(1, 3), (2, 3), (2, 9), (1, 9)], names={"slot": ["edge_0", "edge_1", "edge_3"]})
    assert ends(domain, "top") == [(0, 4, 1, 4), (2, 4, 4, 4)]
    assert ends(domain, "slot") == [(1, 3, 1, 4), (1, 3, 2, 3), (2, 3, 2, 4)]


def test_names_survive_repeated_algebra_and_vanish_with_their_edges() -> None:
    domain = (LShape() - Rectangle((-0.5, 0.2), (-0.2, 0.5))) & Rectangle((-2, -0.5), (2, 2))
    assert ends(domain, "notch_vertical") == [(0, -0.5, 0, 0)]
    assert ends(domain, "bottom") == [(-1, -0.5, 0, -0.5)]
    assert "hole_0" in domain.groups


@pytest.mark.parametrize(
    ("combine", "message"),
    [
        (lambda: BIG - Rectangle((1, -1), (2, 5)), "in 2 parts; one connected domain is wanted"),
        (lambda: SMALL | Rectangle((8, 8), (9, 9)), "in 2 parts"),
        (lambda: SMALL | Rectangle((2, 2), (3, 3)), "in 2 parts"),
        (lambda: SMALL - BIG, "empty"),
        (lambda: SMALL & Rectangle((8, 8), (9, 9)), "empty"),
        (lambda: SMALL & Rectangle((2, 1), (3, 2)), "a LineString bounds no domain"),
    ],
)
def test_results_that_are_no_domain(combine, message: str) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(BadInput, match="^geometry: .*" + message):
        combine()
