"""Singular functions: exponents, harmonic, homogeneous on both edges, without a jump anywhere in the domain."""

from functools import cache
from itertools import combinations_with_replacement
from math import cos, inf, isinf, pi, radians, sin

import numpy as np
import pytest
import torch
from helpers import PROBLEMS, heat, randn
from torch.testing import assert_close

from pinnkit import catalogue, solve
from pinnkit.coefficients import boundary_coefficients, condition_on
from pinnkit.corners import (
    MOST_COLUMNS,
    POLES,
    TIME_ORDER,
    CornerFunctions,
    Singularity,
    Term,
    corner_functions,
    corner_terms,
    singular_corners,
)  # fmt: skip
from pinnkit.geometry import Interval, LShape, Polygon, Rectangle
from pinnkit.operators import derivative, laplacian
from pinnkit.problem import Problem, dirichlet, neumann, pde, periodic, robin

# --- exponents ------------------------------------------------------------------------------------------------------

EVEN, ODD = ([m / 3 for m in range(first, 37, 2) if m % 3] for first in (2, 1))  # thirds up to 12 that are not whole

@pytest.mark.parametrize(
    ("degrees", "after", "before", "powers", "logarithmic"),
    [
        (270, True, True, EVEN, [2]),
        (270, False, False, EVEN, [2]),
        (270, True, False, ODD, [1, 3]),
        (270, False, True, ODD, [1, 3]),
        (240, True, True, [3 / 4 * m for m in range(1, 17) if m % 4], [3]),
        (240, True, False, [3 / 8 + 3 / 4 * m for m in range(16)], []),
        (90, True, True, [], [2]),
        (90, False, False, [], [2]),
        (90, True, False, [], [1, 3]),
        (100, True, True, [1.8, 3.6, 5.4, 7.2, 10.8], []),
        (120, False, True, [0.75 + 1.5 * m for m in range(8)], []),
        (60, True, True, [], [3]),
        (60, True, False, [1.5, 4.5, 7.5, 10.5], []),
        (50, True, True, [], []),  # 3.6 is smooth enough
        (45, True, True, [], []),
        (360 - 1e-9, True, True, [m + 0.5 for m in range(12)], [1, 2, 3]),
    ],
)
def test_exponents(degrees, after, before, powers, logarithmic) -> None:
    """mπ/ω for equal types, (m − ½)π/ω for unequal ones; whole ones appear with a logarithm."""
    terms = corner_terms(radians(degrees), after, before, -1)
    assert sorted(t.exponent for t in terms if t.logarithms == 0) == pytest.approx(powers, rel=1e-6)
    assert sorted(t.exponent for t in terms if t.logarithms == 1) == pytest.approx(logarithmic, rel=1e-6)
    assert all(t.sine == after and t.logarithms <= 1 for t in terms)


def test_a_perturbation_adds_higher_powers_of_either_phase() -> None:
    """Robin at 270°: r^(2/3) brings r^(5/3) and r^(8/3), and of each logarithm one more."""
    plain, cut, convection = (corner_terms(radians(270), False, False, more) for more in (-1, 0, 1))
    found = {(round(t.exponent, 9), t.logarithms, t.sine) for t in cut}
    for exponent in (5 / 3, 8 / 3, 7 / 3, 10 / 3):
        assert {(round(exponent, 9), 0, True), (round(exponent, 9), 0, False)} <= found
    assert max(t.logarithms for t in cut) == 1 and max(t.logarithms for t in convection) == 2
    assert all(t.exponent < 4 for t in convection)
    assert {(round(t.exponent, 9), t.logarithms, t.sine) for t in plain if t.exponent < 4} <= found
    assert len({(round(t.exponent, 9), t.logarithms, t.sine) for t in convection}) == len(convection)


# --- domains --------------------------------------------------------------------------------------------------------


LAPLACE = heat(lambda u, x, y: 1.0)


def wedge(degrees: float, after: str, before: str, turn: float = 0.4) -> Problem:
    """A sector of a polygonal disc: edge_0 leaves its tip (2, 1), the last edge arrives there."""
    steps = max(int(degrees / 40), 2)
    angles = [turn + radians(degrees) * i / steps for i in range(steps + 1)]
    ring = [(2.0, 1.0), *((2 + cos(a), 1 + sin(a)) for a in angles)]
    kinds = {"dirichlet": dirichlet, "neumann": neumann}
    edges = [f"edge_{k}" for k in range(len(ring))]
    conditions = {"after": kinds[after](edges[0]), "before": kinds[before](edges[-1]), "rim": dirichlet(edges[1:-1])}
    return Problem(Polygon(ring), {"heat": LAPLACE, **conditions})


def frame() -> Problem:
    """A square with a square hole: the branch cuts of the hole's corners meet the domain beyond it."""
    domain = Polygon([(0, 0), (3, 0), (3, 3), (0, 3)], [[(1, 1), (2, 1), (2, 2), (1, 2)]])
    return Problem(domain, {"heat": LAPLACE, "in": dirichlet("hole_0", 1.0), "out": dirichlet("exterior")})


def channel() -> Problem:
    """A U whose inner corners look at the other leg."""
    ring = [(0, 0), (3, 0), (3, 3), (2, 3), (2, 1), (1, 1), (1, 3), (0, 3)]
    return Problem(Polygon(ring), {"heat": LAPLACE, "wall": dirichlet("boundary")})


def convection_l() -> Problem:
    walls = ("left", "bottom", "right", "top")
    conditions = {"wall": dirichlet(walls), "air": robin(("notch_vertical", "notch_horizontal"), 2.0)}
    return Problem(LShape(), {"heat": LAPLACE, **conditions})


STEADY = {
    "frame": frame,
    "channel": channel,
    "l": PROBLEMS["l_shape"],
    "convection": convection_l,
    "240 degrees": lambda: wedge(240, "dirichlet", "neumann"),
    "300 degrees": lambda: wedge(300, "neumann", "neumann", turn=2.0),
    "plate": lambda: catalogue.load("heat_polygon").build(),
}


in_time = PROBLEMS["l_shape_in_time"]


@cache
def functions(name: str) -> tuple[Problem, CornerFunctions]:
    problem = STEADY[name]()
    found = corner_functions(problem)
    assert found is not None
    return problem, found


ORDER_TWO = [(), (0,), (1,), (0, 0), (0, 1), (1, 1)]


def jets(terms: CornerFunctions, points: np.ndarray, indices=ORDER_TWO) -> tuple[torch.Tensor, ...]:
    """Partial derivatives, (n, count) each."""
    return terms.jets(torch.tensor(points).unbind(1), indices).unbind()


steady = pytest.mark.parametrize("name", STEADY)


@steady
def test_singular_functions_are_harmonic(name: str) -> None:
    problem, terms = functions(name)
    _, ux, uy, uxx, uxy, uyy = jets(terms, problem.domain.sample(40, "uniform", np.random.default_rng(0)))
    size = (uxx.abs() + uxy.abs() + uyy.abs()).amax(0)
    assert torch.isfinite(size).all() and (size > 0).all() and ux.any() and uy.any()
    assert ((uxx + uyy).abs() <= 1e-11 * size).all()


@pytest.mark.parametrize("name", [*STEADY, "in time"])
def test_derivatives_are_those_of_the_values(name: str) -> None:
    """Against reverse mode through the values, all functions mixed, up to order 3."""
    problem, terms = (in_time(), corner_functions(in_time())) if name == "in time" else functions(name)
    points = problem.domain.sample(10, "uniform", np.random.default_rng(0))
    coords = [torch.tensor(c, requires_grad=True) for c in points.T]
    indices = [i for m in range(4) for i in combinations_with_replacement(range(len(coords)), m)]
    found = terms.jets([c.detach() for c in coords], indices)
    scale = found.abs().amax((0, 1))
    mix = randn(terms.count) / scale
    nested = {(): terms.jets(coords, [()])[0] @ mix}
    for index in indices[1:]:
        nested[index] = derivative(nested[index[:-1]], coords[index[-1]])
    for row, index in zip(found @ mix, indices, strict=True):
        expected = nested[index].detach()
        assert_close(row, expected, rtol=1e-8, atol=1e-9 * float(expected.abs().max()))


@pytest.mark.parametrize("name", ["l", "240 degrees", "300 degrees"])
def test_pure_powers_satisfy_the_conditions_on_both_edges(name: str) -> None:
    """u = 0 or ∂u/∂n = 0 along both edges of the corner, to round-off."""
    problem, terms = functions(name)
    checked = 0
    for corner in problem.domain.corners:
        mine = [k for k, s in enumerate(terms.singularities)
                if np.allclose(s.vertex, corner.vertex) and isinf(s.pole) and s.term.logarithms == 0]  # fmt: skip
        for piece in corner.pieces:
            start, end = problem.domain.edges[piece]
            along = (end - start) / np.hypot(*(end - start))
            points = start + np.linspace(0.1, 0.9, 7)[:, None] * (end - start)
            values, ux, uy, *_ = jets(terms, points)
            normal = np.array([[along[1], -along[0]]])
            fixed = boundary_coefficients(problem, condition_on(problem, piece), points[:1], normal).beta[0] == 0
            off = values if fixed else along[1] * ux - along[0] * uy
            size = (values.abs() + ux.abs() + uy.abs()).amax(0)
            checked += len(mine)
            assert (off[:, mine].abs() < 1e-11 * size[mine]).all()
    assert checked >= 8


def test_the_functions_are_the_textbook_ones() -> None:
    """r^(2/3) sin(2θ/3) at the notch of an L-shape, θ from the positive x axis."""
    problem = Problem(LShape(2.0), {"heat": LAPLACE, "wall": dirichlet("boundary")})
    terms = corner_functions(problem)
    points = problem.domain.sample(50, "uniform", np.random.default_rng(1))
    values, *_ = jets(terms, points)
    angle = np.mod(np.arctan2(points[:, 1], points[:, 0]), 2 * pi)
    expected = np.hypot(*points.T) ** (2 / 3) * np.sin(2 * angle / 3)
    notch = [k for k, s in enumerate(terms.singularities) if s.term == Term(pytest.approx(2 / 3), 0, True)]
    assert len(notch) == 1
    ratio = values[:, notch[0]].numpy() / expected
    np.testing.assert_allclose(ratio, 2 ** (-2 / 3), rtol=1e-12)  # r in units of the longer edge


def across_cuts(problem: Problem, terms: CornerFunctions, h: float = 1e-9) -> tuple[np.ndarray, np.ndarray]:
    """Largest jump of each function across the ray of its cut within the domain, against |u| + |∇u|; points tried."""
    jumps, counts = np.zeros(terms.count), np.zeros(terms.count, int)
    for k, s in enumerate(terms.singularities):
        heading = np.array([cos(s.middle + pi), sin(s.middle + pi)])
        ray = np.array(s.vertex) + np.linspace(1e-3, 4, 300)[:, None] * heading
        side = h * np.array([-heading[1], heading[0]])
        ray = ray[problem.domain.contains_strictly(ray + side) & problem.domain.contains_strictly(ray - side)]
        counts[k] = len(ray)
        if len(ray):
            left, right = (jets(CornerFunctions([s]), ray + e * side) for e in (1, -1))
            size = sum(part.abs() for side in (left, right) for part in side[:3])
            jumps[k] = float(((left[0] - right[0]).abs() / size).max())
    return jumps, counts


@steady
def test_no_function_jumps_inside_the_domain(name: str) -> None:
    jumps, _ = across_cuts(*functions(name))
    assert jumps.max() < 1e-7


@pytest.mark.parametrize("name", ["frame", "channel", "plate"])
def test_without_the_pole_the_cut_would_go_through_the_domain(name: str) -> None:
    problem, terms = functions(name)
    through = [Singularity(s.vertex, s.middle, s.angle, s.scale, inf, s.term) for s in terms.singularities
               if np.isfinite(s.pole) and s.term.exponent % 1 > 0.1]  # fmt: skip
    jumps, counts = across_cuts(problem, CornerFunctions(through))
    assert counts.max() > 5 and jumps.max() > 0.1


@steady
def test_functions_are_smooth_along_lines_through_the_domain(name: str) -> None:
    """Between neighbouring points of a chord a function changes as its gradient says."""
    problem, terms = functions(name)
    points = problem.domain.sample(400, "uniform", np.random.default_rng(2))
    h = 1e-7 * np.array([0.6, 0.8])
    values, ux, uy, *_ = jets(terms, points)
    moved = jets(terms, points + h)[0]
    change = h[0] * ux + h[1] * uy
    assert ((moved - values - change).abs() <= 1e-3 * change.abs() + 1e-9 * values.abs().amax(0)).all()


def test_holes_bring_a_logarithm_and_poles() -> None:
    _, terms = functions("frame")
    of_hole = [s for s in terms.singularities if s.term.exponent <= 0]
    assert len(of_hole) == 1 + 2 * POLES
    assert {s.vertex for s in of_hole} == {(1.5, 1.5)}
    assert [s.term for s in of_hole if s.term.exponent == 0] == [Term(0.0, 1, False)]
    for sine in (True, False):
        assert sorted(s.term.exponent for s in of_hole if s.term.sine == sine and not s.term.logarithms) == [
            -float(m) for m in range(POLES, 0, -1)
        ]


def test_the_logarithm_about_a_hole_is_that_of_the_distance() -> None:
    _, terms = functions("frame")
    k = next(k for k, s in enumerate(terms.singularities) if s.term.exponent == 0)
    points = np.array([[0.5, 0.5], [2.5, 1.5], [1.5, 0.1]])
    values, *_ = jets(terms, points)
    expected = np.log(np.hypot(*(points - 1.5).T) / terms.singularities[k].scale)
    np.testing.assert_allclose(values[:, k].numpy(), expected, rtol=1e-12)


@pytest.mark.parametrize("name", [*STEADY, "in time"])
def test_plain_data_make_the_same_functions(name: str) -> None:
    terms = corner_functions(in_time()) if name == "in time" else functions(name)[1]
    again = CornerFunctions.from_plain(terms.to_plain())
    points = np.random.default_rng(0).uniform(0.1, 0.4, (5, 3 if terms.time else 2))
    assert again.count == terms.count and again.singularities == terms.singularities and again.time == terms.time
    assert torch.equal(jets(again, points)[4], jets(terms, points)[4])


def test_in_time_they_are_multiplied_by_polynomials() -> None:
    """Every function appears with T₀ … T₅ of the scaled time; together they carry any such dependence."""
    terms = corner_functions(in_time())
    steady_terms = CornerFunctions(terms.singularities)
    assert terms.count == TIME_ORDER * steady_terms.count
    points = np.array([[-0.3, 0.4, 0.1], [0.2, 0.7, 0.8]])
    degrees = torch.arange(TIME_ORDER, dtype=torch.float64)
    chebyshev = torch.cos(degrees * torch.acos(torch.tensor(2 * points[:, 2:] - 1)))
    expected = jets(steady_terms, points[:, :2])[0][:, :, None] * chebyshev[:, None, :]
    assert_close(jets(terms, points)[0], expected.flatten(1), rtol=1e-12, atol=1e-14)


def star(points: int) -> Polygon:
    radii = np.where(np.arange(2 * points) % 2, 0.5, 1.0)
    angles = pi * np.arange(2 * points) / points
    return Polygon(np.column_stack([radii * np.cos(angles), radii * np.sin(angles)]))


def test_there_are_not_too_many_and_the_strongest_are_kept() -> None:
    problem = Problem(star(40), {"heat": LAPLACE, "wall": dirichlet("boundary")})
    terms = corner_functions(problem)
    assert terms.count == MOST_COLUMNS
    reentrant = [c for c in problem.domain.corners if c.angle > pi]
    for corner in reentrant:
        assert any(np.allclose(s.vertex, corner.vertex) and s.term.exponent < 1 for s in terms.singularities)


def test_in_time_there_are_not_too_many_either() -> None:
    steady_problem = Problem(star(30), {"heat": LAPLACE, "wall": dirichlet("boundary")})
    problem = Problem(steady_problem.domain * (0.0, 1.0), steady_problem.conditions)
    assert corner_functions(problem).count == MOST_COLUMNS


def test_singular_corners() -> None:
    """At 90° it is the clash of data that is singular; at 60°, between fixed values, nothing of low order is."""
    assert len(singular_corners(PROBLEMS["l_shape"]())) == 6
    triangle = Problem(Polygon([(0, 0), (1, 0), (0.5, 3**0.5 / 2)]), {"heat": LAPLACE, "wall": dirichlet("boundary")})
    assert all(corner.angle < 1.1 for corner in singular_corners(triangle))


@pytest.mark.parametrize(
    "problem",
    [
        PROBLEMS["transient"](),
        PROBLEMS["two_fields"](),
        Problem(Interval(), {"heat": pde(lambda u, x: -laplacian(u, x)), "ends": dirichlet("boundary")}),
        Problem(LShape(), {"heat": heat(lambda u, x, y: 1 + u**2), "wall": dirichlet("boundary")}),
        Problem(LShape(), {"heat": pde(lambda u, x, y: -derivative(u, x, x) - 2 * derivative(u, y, y)),
                           "wall": dirichlet("boundary")}),
        Problem(LShape(), {"heat": LAPLACE}),
    ],
    ids=["one dimension in time", "two fields", "interval", "nonlinear", "anisotropic", "no conditions"],
)  # fmt: skip
def test_what_has_no_known_singular_functions_gets_none(problem: Problem) -> None:
    assert corner_functions(problem) is None and singular_corners(problem) == []


def test_corners_at_a_periodic_seam_are_left_out() -> None:
    problem = Problem(Rectangle(), {"heat": LAPLACE, "walls": dirichlet(("top", "bottom")),
                                    "seam": periodic("left", "right")})  # fmt: skip
    assert not any(np.isclose(c.vertex[0], 0) for c in singular_corners(problem))


def test_the_stress_intensity_of_the_l_shape() -> None:
    """−Δu = 1: the coefficient of r^(2/3) sin(2θ/3) at the re-entrant corner is known to twelve digits."""
    corners = solve("poisson_lshape", network={"polynomials": 400}).metrics["corners"]
    (corner,) = [corner for corner in corners if corner["angle"] > 4]
    assert corner["vertex"] == [0.0, 0.0]
    assert corner["exponents"][0] == pytest.approx(2 / 3)
    assert corner["coefficients"][0] == pytest.approx(0.401931031014, abs=1e-9)


def test_products_with_powers_of_the_distance() -> None:
    """Δ(r² h) = 4h + 4 r ∂h/∂r for harmonic h: 4 (1 + λ) r^λ sin(λφ) for a power; nothing without squares."""
    corner = LShape().corners[2]
    terms = [Term(2 / 3, 0, True), Term(2 / 3, 0, True, 1)]
    middle = corner.direction + corner.angle / 2
    one = [Singularity((0.0, 0.0), middle, corner.angle, 1.0, inf, term) for term in terms]
    x = torch.tensor(LShape().sample(50))
    jets = CornerFunctions(one).jets(x.unbind(-1), [(), (0,), (1,), (0, 0), (1, 1)])
    laplacian, values = jets[3] + jets[4], jets[0]
    assert laplacian[:, 0].abs().max() < 1e-10
    assert laplacian[:, 1].tolist() == pytest.approx((4 * (1 + 2 / 3) * values[:, 0]).tolist(), rel=1e-9)


# --- what transfer asks for -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [*STEADY, "in time"])
def test_moved_functions_are_the_same_ones_elsewhere(name: str) -> None:
    """f'(to + s (x − centre)) = f(x), and each derivative by space is smaller by s."""
    problem, terms = (in_time(), corner_functions(in_time())) if name == "in time" else functions(name)
    centre, to, factor = np.array([0.3, -0.2]), np.array([5.0, 7.0]), 2.5
    here = problem.domain.sample(40, "uniform", np.random.default_rng(0))
    there = here.copy()
    there[:, :2] = to + factor * (here[:, :2] - centre)
    moved = terms.moved(centre.tolist(), to.tolist(), factor)
    assert moved.count == terms.count and moved.time == terms.time
    for index in ORDER_TWO:
        (found,), (expected,) = jets(moved, there, [index]), jets(terms, here, [index])
        assert_close(found * factor ** len(index), expected, rtol=1e-9, atol=1e-10 * float(expected.abs().max()))


def terms_at(problem: Problem, vertex: tuple[float, float]) -> set[Term]:
    found = corner_functions(problem)
    return {s.term for s in found.singularities if s.vertex == vertex} if found else set()


def l_with(**conditions) -> Problem:
    """−Δu = 1 on the L-shape, whose notch at (0, 0) lies between notch_vertical and notch_horizontal."""
    return Problem(LShape(), {"heat": LAPLACE, "rest": dirichlet(("left", "right", "top", "bottom")), **conditions})


@pytest.mark.parametrize("known", [dirichlet, neumann])
@pytest.mark.parametrize(("named", "other"), [("notch_vertical", "notch_horizontal"),
                                              ("notch_horizontal", "notch_vertical")])  # fmt: skip
def test_beside_a_piece_without_a_condition_there_are_functions_of_both_types(known, named: str, other: str) -> None:
    notch = (0.0, 0.0)
    fixed, flux = (terms_at(l_with(one=known(named), two=kind(other)), notch) for kind in (dirichlet, neumann))
    assert fixed and flux and not fixed & flux
    assert terms_at(l_with(one=known(named)), notch) == fixed | flux


def test_between_pieces_without_conditions_there_are_no_functions() -> None:
    assert terms_at(l_with(), (0.0, 0.0)) == set()
    assert not any(np.allclose(c.vertex, 0) for c in singular_corners(l_with()))
