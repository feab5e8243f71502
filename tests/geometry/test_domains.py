"""The contract of every domain: sampling, boundary pieces, normals, corners, names."""

import copy
import math
import pickle

import numpy as np
import pytest

from pinnkit.errors import BadInput
from pinnkit.geometry import METHODS, Box, Domain, Interval, LShape, Planar, Polygon, Rectangle, SpaceTime

PLATE = Polygon(
    [(0, 0), (4, 0), (4, 3), (2, 2), (0, 3)],
    holes=[[(0.5, 0.5), (1, 0.5), (1, 1)], [(2, 0.5), (3, 0.5), (3, 1.5), (2, 1.5)]],
    names={"hot": ["edge_0", "hole_1"]},
)
SLIVER = Polygon([(0, 0), (1, 1), (1, 1.001), (0, 0.001)])
PLANAR: dict[str, Planar] = {
    "rectangle": Rectangle((-1, 2), (3, 2.5)),
    "l_shape": LShape(2.0),
    "plate": PLATE,
    "sliver": SLIVER,
    "difference": Rectangle((0, 0), (4, 4)) - LShape() - Rectangle((2, 2), (3, 3)),
    "far_away": Polygon([(5e6, 4e6), (5e6 + 3, 4e6 + 1), (5e6 + 1, 4e6 + 2)]),
}
DOMAINS: dict[str, Domain] = PLANAR | {
    "interval": Interval(-1, 3),
    "box": Box([0, -1, 2, 0], [1, 1, 2.5, 3]),
    "box_on_a_line": Box([-1], [3]),
    "box_in_time": Box([0, 0, 0], [1, 2, 1]) * (0, 2),
    "interval_in_time": Interval(0, 2) * (1, 4),
    "plate_in_time": PLATE * (0, 10),
}
any_domain = pytest.mark.parametrize("domain", DOMAINS.values(), ids=DOMAINS.keys())
any_planar = pytest.mark.parametrize("domain", PLANAR.values(), ids=PLANAR.keys())
any_method = pytest.mark.parametrize("method", METHODS)


def shift(domain: Domain) -> float:
    """A step that is small for the domain, but far above the round-off of its coordinates."""
    return 1e-7 * float((domain.bounds[1] - domain.bounds[0]).max())


@any_domain
@any_method
@pytest.mark.parametrize("n", [1, 50, 333])
def test_exactly_n_points_strictly_inside(
    domain: Domain, method: str, n: int, rng: np.random.Generator
) -> None:
    points = domain.sample(n, method, rng)
    assert points.shape == (n, domain.dimension)
    assert domain.contains_strictly(points).all()
    assert domain.contains(points).all()
    assert len(np.unique(points, axis=0)) == n


@any_domain
@any_method
def test_boundary_points_lie_on_the_boundary_with_outward_unit_normals(
    domain: Domain, method: str, rng: np.random.Generator
) -> None:
    sample = domain.sample_boundary(97, [*domain.pieces], method, rng)
    assert sample.points.shape == sample.normals.shape == (97, domain.dimension)
    np.testing.assert_allclose(np.linalg.norm(sample.normals, axis=1), 1, rtol=1e-14)
    assert domain.contains(sample.points).all()
    assert not domain.contains_strictly(sample.points).any()
    assert not domain.contains(sample.points + shift(domain) * sample.normals).any()
    assert domain.contains_strictly(sample.points - shift(domain) * sample.normals).all()


@any_domain
@any_method
def test_every_piece_is_sampled_in_proportion_to_its_measure(
    domain: Domain, method: str, rng: np.random.Generator
) -> None:
    sample = domain.sample_boundary(500, [*domain.pieces], method, rng)
    measures = np.array(list(domain.pieces.values()))
    counts = np.bincount(sample.pieces, minlength=len(measures))
    assert sample.names == tuple(domain.pieces)
    assert counts.min() >= 1
    assert np.abs(counts - 500 * measures / measures.sum()).max() <= 2


@any_domain
def test_sampling_again_gives_other_points_and_the_same_seed_the_same(domain: Domain) -> None:
    rng, twin = np.random.default_rng(3), np.random.default_rng(3)
    first = domain.sample(40, rng=rng)
    assert not np.isin(first, domain.sample(40, rng=rng)).any()
    np.testing.assert_array_equal(first, domain.sample(40, rng=twin))


@any_domain
@pytest.mark.parametrize("method", ["uniform", "sobol", "halton", "latin_hypercube"])
def test_points_are_uniform_in_measure(domain: Domain, method: str, rng: np.random.Generator) -> None:
    points = domain.sample(20_000, method, rng)
    lower, upper = domain.bounds
    middle = (lower + upper) / 2
    box = lower + (upper - lower) * rng.random((100_000, domain.dimension))
    truth = box[domain.contains(box)]
    for axis in range(domain.dimension):
        fraction, expected = np.mean(points[:, axis] < middle[axis]), np.mean(truth[:, axis] < middle[axis])
        assert abs(fraction - expected) < 5 * (0.5 / math.sqrt(20_000) + 0.5 / math.sqrt(len(truth)))


@any_domain
def test_groups_resolve_to_pieces(domain: Domain) -> None:
    for group, pieces in domain.groups.items():
        assert domain.resolve(group) == pieces
        assert set(pieces) <= set(domain.pieces)
    first = next(iter(domain.pieces))
    assert domain.resolve([first, first]) == (first,)


@any_domain
def test_an_unknown_piece_is_named_with_the_nearest_known(domain: Domain) -> None:
    with pytest.raises(
        BadInput,
        match=r"^boundary: no boundary piece 'boundry'; did you mean 'boundary'\? pieces are .* groups are",
    ):
        domain.resolve("boundry")


@any_domain
@pytest.mark.parametrize("on", [[], None, [["left"]]])
def test_no_piece_at_all_is_refused(domain: Domain, on: object) -> None:
    with pytest.raises(BadInput, match="no boundary piece"):
        domain.resolve(on)  # type: ignore[arg-type]


@any_domain
def test_domains_are_immutable_and_copies_are_equal(domain: Domain) -> None:
    with pytest.raises(AttributeError):
        domain.measure = 1.0  # type: ignore[misc]
    with pytest.raises(ValueError, match="read-only"):
        domain.bounds[0] = 0
    for twin in (copy.deepcopy(domain), pickle.loads(pickle.dumps(domain))):
        sample = twin.sample(10, rng=np.random.default_rng(0))
        np.testing.assert_array_equal(sample, domain.sample(10, rng=np.random.default_rng(0)))
        assert twin.pieces == domain.pieces


@any_domain
def test_points_of_another_dimension_are_refused(domain: Domain) -> None:
    with pytest.raises(BadInput, match=r"give an array of shape \(n, "):
        domain.contains(np.zeros((3, domain.dimension + 1)))


@any_planar
def test_edges_follow_the_rings_with_the_domain_on_the_left(domain: Planar) -> None:
    starts, ends = (np.array(side) for side in zip(*domain.edges.values(), strict=True))
    np.testing.assert_array_equal(starts, np.concatenate(domain.rings))
    np.testing.assert_array_equal(ends, np.concatenate([np.roll(ring, -1, axis=0) for ring in domain.rings]))
    x, y = (starts - starts[0]).T
    dx, dy = (ends - starts).T
    assert np.sum(x * dy - y * dx) / 2 == pytest.approx(domain.measure, rel=1e-8)
    np.testing.assert_allclose(np.hypot(dx, dy), list(domain.pieces.values()))


@any_planar
def test_a_corner_describes_the_sector_of_the_domain_at_its_vertex(domain: Planar) -> None:
    for corner in domain.corners:
        before, after = (domain.edges[name] for name in corner.pieces)
        np.testing.assert_array_equal(before[1], corner.vertex)
        np.testing.assert_array_equal(after[0], corner.vertex)
        assert corner.lengths == pytest.approx([domain.pieces[name] for name in corner.pieces])
        angle = corner.direction + np.array([0.01, 0.5, 0.99, 1.01, 1.5]) * corner.angle
        angle[3:] = corner.direction + corner.angle + np.array([0.01, 0.5]) * (2 * np.pi - corner.angle)
        reach = 1e-4 * min(corner.lengths)
        points = corner.vertex + reach * np.column_stack([np.cos(angle), np.sin(angle)])
        np.testing.assert_array_equal(domain.contains(points), [True, True, True, False, False])


@any_planar
def test_interior_angles_add_up_over_each_ring(domain: Planar) -> None:
    """(m - 2) π over the exterior, (m + 2) π over a hole, with the straight angles that are no corners."""
    straight = len(domain.pieces) - len(domain.corners)
    total = sum(corner.angle for corner in domain.corners) + straight * math.pi
    holes = len(domain.rings) - 1
    assert total == pytest.approx((len(domain.pieces) - 2 + 2 * holes) * math.pi, rel=1e-9)


@any_planar
def test_points_around_a_corner_are_spread_over_the_decades(domain: Planar, rng: np.random.Generator) -> None:
    corner = domain.corners[0]
    radius = 0.01 * min(corner.lengths)
    points = domain.sample_corner(corner, 4000, radius, rng, decades=2)
    distance = np.linalg.norm(points - corner.vertex, axis=1) / radius
    assert points.shape == (4000, 2)
    assert domain.contains(points).all()
    assert distance.max() <= 1 + 1e-6
    assert np.median(distance) == pytest.approx(0.1, rel=0.3)


def test_a_sector_that_misses_the_domain_is_refused() -> None:
    domain = Rectangle()
    with pytest.raises(BadInput, match="take a smaller radius"):
        domain.sample_corner(domain.corners[0], 10, 1e8)


@any_planar
def test_a_grid_is_part_of_a_regular_lattice(domain: Planar) -> None:
    points = domain.sample(150, "grid")
    for axis in range(2):
        steps = np.diff(np.sort(points[:, axis]))
        steps = steps[steps > 0.01 * shift(domain)]
        cells = 2 * steps / steps.min()  # where the lattice is thinned, no two points may be neighbours
        np.testing.assert_allclose(cells, np.round(cells), atol=1e-3)


def test_a_grid_that_needs_endless_cells_is_refused() -> None:
    with pytest.raises(BadInput, match=r"sampling.method: .*use sobol"):
        SLIVER.sample(100_000, "grid")


def test_the_l_shape_has_its_re_entrant_corner_at_the_origin() -> None:
    (corner,) = [corner for corner in LShape(0.5).corners if corner.angle > math.pi]
    np.testing.assert_array_equal(corner.vertex, [0, 0])
    assert corner.angle == pytest.approx(1.5 * math.pi)
    assert corner.pieces == ("notch_vertical", "notch_horizontal")
    assert corner.direction == 0
    assert LShape(0.5).measure == pytest.approx(0.75)


@pytest.mark.parametrize(
    ("piece", "normal"), [("left", [-1, 0]), ("right", [1, 0]), ("bottom", [0, -1]), ("top", [0, 1])]
)
def test_sides_of_a_rectangle(piece: str, normal: list[int], rng: np.random.Generator) -> None:
    domain = Rectangle((1, 2), (4, 3))
    sample = domain.sample_boundary(5, piece, rng=rng)
    np.testing.assert_array_equal(sample.normals, np.tile(normal, (5, 1)))
    axis, side = int(normal[0] == 0), int(sum(normal) > 0)
    np.testing.assert_array_equal(sample.points[:, axis], domain.bounds[side, axis])


def test_space_time_has_lateral_pieces_and_two_ends(rng: np.random.Generator) -> None:
    domain = LShape() * (1, 3)
    assert domain.coordinates == ("x", "y", "t")
    assert domain.measure == pytest.approx(6)
    assert domain.pieces["bottom"] == pytest.approx(2)
    assert domain.pieces["initial"] == domain.pieces["final"] == pytest.approx(3)
    assert domain.corners is domain.space.corners
    assert domain.time == (1, 3)
    assert domain.resolve("boundary") == tuple(domain.space.pieces)
    ends = domain.sample_boundary(10, ["initial", "final"], rng=rng)
    np.testing.assert_array_equal(ends.points[:, 2], [1.0] * 5 + [3.0] * 5)
    np.testing.assert_array_equal(ends.normals, [[0, 0, -1]] * 5 + [[0, 0, 1]] * 5)
    lateral = domain.sample_boundary(400, rng=rng)
    assert not lateral.normals[:, 2].any()
    assert lateral.points[:, 2].mean() == pytest.approx(2, abs=0.05)


def test_named_groups_may_use_pieces_and_groups() -> None:
    domain = Polygon(PLATE.rings[0], PLATE.rings[1:], {"warm": "holes", "all": ["edge_0", "warm"]})
    assert domain.resolve("all") == ("edge_0", *domain.resolve("holes"))
    assert domain.resolve(["hole_0", "exterior"])[:4] == (
        "hole_0_edge_0",
        "hole_0_edge_1",
        "hole_0_edge_2",
        "edge_0",
    )


@pytest.mark.parametrize("name", ["edge_0", "boundary", "holes", "initial"])
def test_a_name_that_is_taken_is_refused(name: str) -> None:
    with pytest.raises(BadInput, match=f"geometry: the name '{name}' is taken"):
        Polygon(PLATE.rings[0], PLATE.rings[1:], {name: ["edge_1"]})


@pytest.mark.parametrize(
    ("lower", "upper"), [(1, 0), (0, 0), (0, math.nan), (0, math.inf), ("a", 1), (None, 1)]
)
def test_empty_intervals_are_refused(lower: float, upper: float) -> None:
    with pytest.raises(BadInput, match=r"^geometry: interval from"):
        Interval(lower, upper)
    with pytest.raises(BadInput, match=r"^geometry: time from"):
        SpaceTime(LShape(), lower, upper)
    with pytest.raises(BadInput, match=r"^geometry: rectangle in x from"):
        Rectangle((lower, 0), (upper, 1))


@pytest.mark.parametrize("size", [0, -1, math.nan])
def test_an_l_shape_has_a_positive_size(size: float) -> None:
    with pytest.raises(BadInput, match=r"^geometry: L-shape"):
        LShape(size)


@pytest.mark.parametrize("point", [(1, 2, 3), 5, "ab", None])
def test_a_corner_of_a_rectangle_is_a_point(point: object) -> None:
    with pytest.raises(BadInput, match="give two numbers, x and y"):
        Rectangle(point, (9, 9))  # type: ignore[arg-type]


def test_time_is_added_once() -> None:
    with pytest.raises(BadInput, match="already has the coordinate t"):
        (Interval() * (0, 1)) * (0, 1)
