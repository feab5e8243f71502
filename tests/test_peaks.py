"""Local sources are found, with their place and width, and resolved by local features; others are left alone."""

import numpy as np
import pytest
from torch import exp

from pinnkit import Polygon, Problem, Rectangle, catalogue, dirichlet, laplacian, load, pde, solve
from pinnkit.assembly import assemble, points_for
from pinnkit.errors import BadInput
from pinnkit.peaks import peaks
from pinnkit.settings import ProblemChoice, Settings
from pinnkit.training import Training

WIDTH, CENTRE = 0.04, (1.3, 0.6)


def heated(background: float = 0.0) -> Problem:
    """−Δu = g'' of a Gaussian of deviation 0.04 and some more, on (0, 2) × (0, 1)."""

    def spot(u, x, y):
        r2 = ((x - CENTRE[0]) ** 2 + (y - CENTRE[1]) ** 2) / WIDTH**2
        return -laplacian(u, x, y) - exp(-r2 / 2) / WIDTH**2 - background

    return Problem(Rectangle((0, 0), (2, 1)), {"spot": pde(spot), "walls": dirichlet("boundary")})


def begun(problem: Problem, **settings) -> Training:
    chosen = Settings.from_mapping({"problem": {"name": "none"}, **settings})
    return Training.start(problem, chosen, assemble(problem, chosen))


@pytest.mark.parametrize("background", [0.0, 3.0])
def test_a_spot_is_found(background: float) -> None:
    """In coordinates scaled to [−1, 1] it lies at (0.3, 0.2) and is twice as wide in y."""
    (place,) = peaks(begun(heated(background)))
    assert place == pytest.approx((0.3, 0.2, 0.04, 0.08), abs=4e-3)


def two_peaks(s: float = 60.0) -> Problem:
    """−Δu = f on (−1, 1)², u = exp(−s |x − a|²) + ½ exp(−s |x − b|²)."""
    places = ((0.5, 0.4, 1.0), (-0.5, -0.3, 0.5))

    def squared(x, y, a, b):
        return (x - a) ** 2 + (y - b) ** 2

    def exact(x, y):
        return sum(c * exp(-s * squared(x, y, a, b)) for a, b, c in places)

    def poisson(u, x, y):
        terms = [4 * s * c * (1 - s * (r2 := squared(x, y, a, b))) * exp(-s * r2) for a, b, c in places]
        return -laplacian(u, x, y) - sum(terms)

    conditions = {"poisson": pde(poisson), "walls": dirichlet("boundary", exact)}
    return Problem(Rectangle((-1, -1), (1, 1)), conditions, exact=exact)


def test_two_peaks_are_found_and_resolved() -> None:
    result = solve(two_peaks())
    first, second = result.settings.network.peaks
    assert first == pytest.approx((0.5, 0.4, 0.091, 0.091), abs=0.01)
    assert second == pytest.approx((-0.5, -0.3, 0.091, 0.091), abs=0.01)
    assert result.metrics["relative_l2"] < 1e-9


@pytest.mark.parametrize("name", ["poisson_square", "helmholtz", "heat_lshape", "heat_polygon", "heat_rod"])
def test_what_is_not_local_has_no_peak(name: str) -> None:
    assert peaks(begun(catalogue.build(ProblemChoice(name)))) == ()


def test_a_source_too_narrow_to_be_seen_is_none() -> None:
    assert peaks(begun(catalogue.build(ProblemChoice("gaussian_peak", parameters={"sharpness": 1e9})))) == ()


@pytest.mark.parametrize("sharpness", [30.0, 200.0])
def test_peaks_are_resolved(sharpness: float, tmp_path) -> None:
    result = solve("gaussian_peak", problem={"sharpness": sharpness}, folder=tmp_path / "run")
    assert result.metrics["relative_l2"] < 1e-10
    (place,) = result.settings.network.peaks
    assert place == pytest.approx((0, 0, *2 * [(2 * sharpness) ** -0.5]), abs=0.1 * sharpness**-0.5)
    points = np.random.default_rng(0).uniform(-1, 1, (50, 2))
    assert np.array_equal(load(tmp_path / "run").predict(points), result.predict(points))


def test_they_can_be_placed_by_hand_or_left_out() -> None:
    small = {"problem": {"sharpness": 30.0}, "optimizer": "least_squares"}
    by_hand = solve("gaussian_peak", network={"peaks": [[0, 0, 0.12, 0.12]], "polynomials": 50}, **small)
    without = solve("gaussian_peak", network={"peaks": [], "polynomials": 50}, **small)
    assert by_hand.metrics["relative_l2"] < 1e-10 < 1e-2 < without.metrics["relative_l2"]


@pytest.mark.parametrize("place", [[0, 0, 0.1], [0, 0, 0.1, 0.0], [0.1]])
def test_places_that_are_none_are_refused(place) -> None:
    with pytest.raises(BadInput, match=r"network\.peaks: .* is not a centre followed by positive widths; give 4"):
        solve("gaussian_peak", network={"peaks": [place]})


def test_points_gather_about_a_peak_and_stay_inside() -> None:
    """A triangle with the peak in a corner of it."""
    triangle = Polygon([(0, 0), (4, 0), (0, 2)])
    problem = Problem(triangle, {"equation": pde(lambda u: u)})
    settings = Settings.from_mapping(
        {"problem": {"name": "none"}, "network": {"peaks": [[-0.9, -0.9, 0.01, 0.01]]}, "sampling": {"interior": 100}}
    )
    points = points_for(problem, settings, 10)["equation"].points
    assert len(points) > 500 and triangle.contains_strictly(points).all()
    near = np.abs(points - [0.2, 0.1]) < [0.1, 0.05]
    assert near.all(1).sum() > 300
