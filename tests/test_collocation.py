"""Collocation points lie where their conditions hold, in the numbers asked for, the same for the same seed."""

import numpy as np
import pytest
import shapely
from helpers import PROBLEMS, heat

from pinnkit.collocation import FEWEST, Amounts, collocate
from pinnkit.geometry import METHODS, Interval, LShape, Planar, Polygon, SpaceTime
from pinnkit.problem import Problem, dirichlet, initial, neumann, pde

NOTHING = pde(lambda u: u)
AMOUNTS = Amounts(interior=50, boundary=300, corner=30)
problems = pytest.mark.parametrize("name", PROBLEMS)


def on_pieces(problem: Problem, points: np.ndarray, pieces: tuple[str, ...]) -> np.ndarray:
    """Whether points lie on one of the pieces, to 1e-12."""
    space = problem.domain.space if isinstance(problem.domain, SpaceTime) else problem.domain
    here = np.zeros(len(points), bool)
    for piece in pieces:
        if piece == "initial":
            here |= points[:, -1] == problem.domain.time[0]
        elif isinstance(space, Planar):
            here |= shapely.distance(shapely.LineString(space.edges[piece]), shapely.points(points[:, :2])) < 1e-12
        else:
            here |= points[:, 0] == space.bounds[int(piece == "right"), 0]
    return here


@pytest.mark.parametrize("method", METHODS)
@problems
def test_points_lie_where_their_condition_holds(name: str, method: str) -> None:
    problem = PROBLEMS[name]()
    drawn = collocate(problem, method, AMOUNTS, seed=0)
    assert drawn.keys() == problem.conditions.keys()
    for key, condition in problem.conditions.items():
        points = drawn[key].points
        if condition.points is not None:
            assert points is condition.points and drawn[key].values is condition.values
        elif condition.on == "interior":
            assert problem.domain.contains(points).all() and drawn[key].normals is None
        else:
            assert on_pieces(problem, points, problem.domain.resolve(condition.on)).all()


@problems
def test_normals_are_unit_and_outward(name: str) -> None:
    problem = PROBLEMS[name]()
    for key, c in collocate(problem, "sobol", AMOUNTS, seed=0).items():
        if c.normals is not None:
            np.testing.assert_allclose(np.linalg.norm(c.normals, axis=1), 1, rtol=1e-12)
            step = 1e-6 * c.normals
            assert problem.domain.contains(c.points - step)[clear(problem, c.points)].all(), key
            assert not problem.domain.contains(c.points + step)[clear(problem, c.points)].any(), key


def clear(problem: Problem, points: np.ndarray) -> np.ndarray:
    """Away from corners, where a step along the normal leaves through the other edge."""
    lower, upper = problem.domain.bounds
    ends = np.minimum(points - lower, upper - points)
    return (np.sort(ends, axis=1)[:, 1:] > 1e-5).all(axis=1)


def test_how_many_points() -> None:
    """Boundary points in proportion to length; at singular corners graded ones on top."""
    problem = PROBLEMS["l_shape"]()
    plain = collocate(problem, "sobol", Amounts(50, 320, 0), seed=0)
    assert {key: len(c.points) for key, c in plain.items()} == {"heat": 50, "cold": 80, "rest": 240}
    graded = collocate(problem, "sobol", Amounts(50, 320, 30), seed=0)
    # twelve ends of edges, of which two belong to each of the two cold edges; nothing is graded inside
    assert {key: len(c.points) for key, c in graded.items()} == {"heat": 50, "cold": 80 + 120, "rest": 240 + 240}


def test_short_pieces_get_a_fair_number() -> None:
    ends = {"heat": NOTHING, "notch": dirichlet("notch_vertical"), "rest": neumann(("left", "right", "top", "bottom"))}
    drawn = collocate(Problem(LShape(), ends), "sobol", Amounts(10, 16, 0), seed=0)
    assert len(drawn["notch"].points) == FEWEST
    line = Problem(Interval(), {"heat": NOTHING, "ends": dirichlet("boundary"), "left": dirichlet("left")})
    assert {key: len(c.points) for key, c in collocate(line, "sobol", Amounts(10, 500, 0), 0).items()} == {
        "heat": 10, "ends": 2, "left": 1,
    }  # fmt: skip


def test_the_start_gets_as_many_points_as_the_whole_boundary() -> None:
    problem = Problem(Interval() * (1.0, 3.0), {"heat": NOTHING, "start": initial(), "ends": dirichlet("boundary")})
    drawn = collocate(problem, "sobol", Amounts(10, 100, 0), seed=0)
    assert len(drawn["start"].points) == 100 and len(drawn["ends"].points) == 100
    assert (drawn["start"].points[:, 1] == 1.0).all()
    assert np.ptp(drawn["ends"].points[:, 1]) > 1.9


def test_graded_points_crowd_towards_the_corner() -> None:
    """As many between 1e-4 and 1e-2 of the edge as between 1e-2 and 1, on both edges."""
    problem = PROBLEMS["l_shape"]()
    amounts = Amounts(interior=1, boundary=1, corner=2000)
    drawn = collocate(problem, "uniform", amounts, seed=0)
    for key, piece in (("cold", "notch_vertical"), ("rest", "notch_horizontal")):
        points = drawn[key].points[on_pieces(problem, drawn[key].points, (piece,))]
        near = np.hypot(*points.T)
        assert np.sum(near < 1e-2) == pytest.approx(1000, abs=120) and near.min() < 2e-4
        far = np.abs(np.hypot(*points.T) - 1)
        assert np.sum(far < 1e-2) == pytest.approx(1000, abs=120)


def test_edges_are_graded_at_their_singular_end_alone() -> None:
    """Between fixed values the right angle of this triangle is singular, its angles of 45° are not."""
    triangle = Polygon([(0, 0), (1, 0), (0, 1)])
    conditions = {"heat": heat(lambda u, x, y: 1.0), **{edge: dirichlet(edge) for edge in triangle.pieces}}
    amounts = [Amounts(interior=1, boundary=1, corner=n) for n in (0, 1000)]
    plain, graded = (collocate(Problem(triangle, conditions), "uniform", a, seed=0) for a in amounts)
    assert len(graded["edge_1"].points) == len(plain["edge_1"].points)  # the hypotenuse
    for leg in ("edge_0", "edge_2"):
        from_corner = np.hypot(*graded[leg].points[len(plain[leg].points) :].T)
        assert len(from_corner) == 1000
        assert np.mean(from_corner < 1e-2) == pytest.approx(0.5, abs=0.06)
        assert np.mean(from_corner > 0.99) < 0.02


def test_graded_points_in_time_fill_the_interval() -> None:
    problem = PROBLEMS["l_shape_in_time"]()
    drawn = collocate(problem, "sobol", Amounts(1, 1, 100), seed=0)
    assert np.ptp(drawn["cold"].points[:, 2]) > 0.95


@problems
def test_points_depend_on_seed_and_draw_alone(name: str) -> None:
    problem = PROBLEMS[name]()
    first, again, other_draw, other_seed = (
        collocate(problem, "sobol", AMOUNTS, seed, draw) for seed, draw in ((3, 0), (3, 0), (3, 1), (4, 0))
    )
    for key, condition in problem.conditions.items():
        np.testing.assert_array_equal(first[key].points, again[key].points)
        if condition.points is None and np.ptp(first[key].points, axis=0).max() > 0:
            for other in (other_draw, other_seed):
                assert other[key].points.shape == first[key].points.shape
                moved = np.abs(other[key].points - first[key].points).max(axis=1) > 1e-9
                assert moved.mean() > 0.5


def test_partners_are_translates() -> None:
    problem = PROBLEMS["periodic_strip"]()
    seam = collocate(problem, "sobol", AMOUNTS, seed=0)["seam"]
    np.testing.assert_allclose(seam.partner - seam.points, np.broadcast_to([1.0, 0.0], seam.points.shape), atol=1e-14)
    assert on_pieces(problem, seam.partner, ("right",)).all()
    assert collocate(problem, "sobol", AMOUNTS, seed=0)["walls"].partner is None
