"""Properties of random star-shaped polygons with holes, and the speed on a polygon of 1000 vertices."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from pinnkit.geometry import METHODS, Polygon

few_examples = settings(max_examples=30, deadline=None)


def star(centre: tuple[float, float], radii: list[float]) -> NDArray[np.float64]:
    angle = 2 * np.pi * np.arange(len(radii)) / len(radii)
    return np.array(centre) + np.array(radii)[:, None] * np.column_stack([np.cos(angle), np.sin(angle)])


@st.composite
def polygons(draw: st.DrawFn) -> Polygon:
    """A star around the origin with up to two holes on either side of it, anywhere in the plane."""
    exterior = draw(st.lists(st.floats(2.0, 4.0), min_size=5, max_size=12))
    radii = st.lists(st.floats(0.1, 0.4), min_size=3, max_size=6)
    holes = [star((x, 0), draw(radii)) for x in draw(st.sampled_from([[], [0.5], [-0.5, 0.5]]))]
    shift = np.array([draw(st.floats(-50, 50)), draw(st.floats(-50, 50))])
    return Polygon(star((0, 0), exterior) + shift, [hole + shift for hole in holes])


@few_examples
@given(polygons())
def test_normals_close_over_every_ring_and_the_divergence_theorem_holds(domain: Polygon) -> None:
    groups = ["exterior", *(f"hole_{k}" for k in range(len(domain.rings) - 1))]
    flux = 0.0
    for group in groups:
        names = domain.resolve(group)
        sample = domain.sample_boundary(len(names), group)
        lengths = np.array([domain.pieces[name] for name in names])
        np.testing.assert_allclose(lengths @ sample.normals, 0, atol=1e-11)
        flux += lengths @ np.sum(sample.points * sample.normals, axis=1)
    assert flux == pytest.approx(2 * domain.measure, rel=1e-10)


@few_examples
@given(polygons(), st.sampled_from(sorted(METHODS)), st.integers(0, 2**32))
def test_points_are_inside_and_normals_point_out(domain: Polygon, method: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    assert domain.contains_strictly(domain.sample(100, method, rng)).all()
    sample = domain.sample_boundary(100, method=method, rng=rng)
    assert not domain.contains(sample.points + 1e-7 * sample.normals).any()
    assert domain.contains_strictly(sample.points - 1e-7 * sample.normals).all()


@few_examples
@given(polygons())
def test_interior_angles_add_up(domain: Polygon) -> None:
    of = {
        name: sum(c.angle - math.pi for c in domain.corners if c.pieces[1] in domain.resolve(name))
        for name in domain.groups
        if name == "exterior" or name.startswith("hole_")
    }
    assert of.pop("exterior") == pytest.approx(-2 * math.pi, abs=1e-6)
    assert list(of.values()) == pytest.approx([2 * math.pi] * len(of), abs=1e-6)


@few_examples
@given(polygons(), st.integers(0, 2**32))
def test_means_over_the_samples_are_means_over_the_domain(domain: Polygon, seed: int) -> None:
    """The centroid by uniform points, within five standard errors; by Sobol points, a tenth of that."""
    centroid = np.array(domain.polygon.centroid.coords[0])
    error = 5 * 4.0 / math.sqrt(4096)
    for method, bound in {"uniform": error, "sobol": error / 5}.items():
        mean = domain.sample(4096, method, np.random.default_rng(seed)).mean(axis=0)
        assert np.abs(mean - centroid).max() < bound


def test_integrals_by_sobol_points_converge_faster_than_by_random_points() -> None:
    """Root-mean-square error of the mean of x² over a star with a hole; random points give order 1/2."""
    domain = Polygon(star((0, 0), [1.0, 0.6, 1.2, 0.7, 0.9, 0.8, 1.1]), [star((0.1, 0), [0.2] * 5)])
    truth = domain.sample(2**18, rng=np.random.default_rng(1))[:, 0] ** 2

    def error(n: int) -> float:
        means = [np.mean(domain.sample(n, rng=np.random.default_rng(s))[:, 0] ** 2) for s in range(20)]
        return float(np.sqrt(np.mean((np.array(means) - truth.mean()) ** 2)))

    order = math.log(error(128) / error(8192)) / math.log(64)
    assert order > 0.7
