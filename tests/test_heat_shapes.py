"""The plates of heat_shapes: closed forms, conditions that cover the boundary and do not clash, reproducible draws."""

import logging
from math import radians, sin, sqrt

import numpy as np
import pytest
from runs import SMALL

from pinnkit import Problem, catalogue, solve
from pinnkit.coefficients import boundary_coefficients, conditions_on
from pinnkit.errors import BadInput
from pinnkit.geometry import Corner
from pinnkit.reference.spectral import poisson_problem
from pinnkit.wellposed import check

FIXED = "lshape", "tee", "ushape", "holes", "sector"
every_plate = pytest.mark.parametrize("shape", [*FIXED, *(f"random_{seed}" for seed in range(8))])


def plate(shape: str, **more: float) -> Problem:
    return catalogue.load("heat_shapes").build(shape=shape, **more)


def prescribed(problem: Problem, piece: str, corner: Corner) -> float | None:
    """The value that a piece prescribes in a corner; None where it prescribes none."""
    (name,) = conditions_on(problem, piece)
    start, end = problem.domain.edges[piece]
    along = (end - start) / np.hypot(*(end - start))
    found = boundary_coefficients(problem, name, corner.vertex[None], np.array([[along[1], -along[0]]]))
    return None if found.beta.any() else float(found.g[0] / found.alpha[0])


@every_plate
def test_every_plate_is_well_posed_and_has_a_rational_reference(shape: str, caplog):
    problem = plate(shape, conductivity=0.7)
    with caplog.at_level(logging.WARNING):
        check(problem)
    assert not caplog.records
    assert poisson_problem(problem, problem.domain).conductivity == pytest.approx(0.7)


@every_plate
def test_every_edge_has_one_condition(shape: str):
    problem = plate(shape)
    assert all(len(conditions_on(problem, piece)) == 1 for piece in problem.domain.pieces)


@every_plate
def test_hot_and_cold_edges_do_not_meet(shape: str):
    problem = plate(shape, hot=80.0, cold=20.0)
    for corner in problem.domain.corners:
        before, after = (prescribed(problem, piece, corner) for piece in corner.pieces)
        assert before is None or after is None or before == after


@pytest.mark.parametrize(
    ("shape", "kinds"),
    [
        ("lshape", {"hot", "cold", "insulated", "heated", "cooled"}),
        ("tee", {"hot", "cold", "insulated", "heated", "cooled"}),
        ("ushape", {"insulated", "heated", "cooled"}),
        ("holes", {"hot", "cold", "insulated", "heated", "cooled"}),
        ("sector", {"cold", "insulated", "heated", "cooled"}),
    ],
)
def test_kinds_of_edges(shape: str, kinds: set[str]):
    assert set(plate(shape).conditions) == {"heat", *kinds}


@pytest.mark.parametrize(
    ("shape", "area"),
    [
        ("lshape", 3.0),
        ("tee", 0.6 * 1.2 + 2 * 0.6),
        ("ushape", 3 * 2 - 1.4 * 1.4),
        ("holes", 2 * 1.4 - (3 * sqrt(3) / 2 + 5 * sin(radians(72)) / 2) * 0.2**2),
        ("sector", 10 * sin(radians(12)) / 2 * (1 - 0.5**2)),
    ],
)
def test_areas(shape: str, area: float):
    assert plate(shape).domain.measure == pytest.approx(area, rel=1e-12)


def test_a_random_plate_is_its_seed():
    for seed in range(20):
        one, again, other = plate(f"random_{seed}"), plate(f"random_{seed}"), plate(f"random_{seed + 1}")
        assert np.array_equal(one.domain.rings[0], again.domain.rings[0])
        assert one.domain.named_groups == again.domain.named_groups
        assert not np.array_equal(one.domain.rings[0], other.domain.rings[0])


def test_random_plates_are_neither_sharp_nor_small():
    for seed in range(100):
        problem = plate(f"random_{seed}")
        distances = np.hypot(*problem.domain.rings[0].T)
        assert 6 <= len(distances) <= 9 and 0.5 <= distances.min() < distances.max() <= 1
        assert min(np.degrees(corner.angle) for corner in problem.domain.corners) > 40
        assert min(problem.domain.pieces.values()) > 0.2
        assert {"hot", "cold", "cooled"} & problem.conditions.keys()  # one of them keeps the level of u
        assert {"hot", "heated"} & problem.conditions.keys()


def test_a_seed_is_the_same_plate_on_all_machines():
    domain = plate("random_0").domain
    assert domain.rings[0][0] == pytest.approx([0.6293447246278573, 0.08375435628012902], abs=1e-12)
    assert domain.named_groups == {
        "heated": ("edge_0", "edge_8"),
        "insulated": ("edge_1", "edge_2", "edge_3"),
        "hot": ("edge_4", "edge_5", "edge_6", "edge_7"),
    }


@pytest.mark.parametrize("shape", ["ushpae", "random", "random_", "random_-1", "random_x", "tee_1"])
def test_shapes_that_do_not_exist_are_refused(shape: str):
    with pytest.raises(BadInput, match=rf"problem\.shape: unknown shape '{shape}'; choose from lshape, .* or random_N"):
        plate(shape)


FINER = {
    **SMALL,
    "network": {"layers": [60], "polynomials": 60},
    "sampling": {"interior": 500, "boundary": 300, "corner": 20},
    "reference": {"kind": "none"},
}


def test_what_enters_the_u_leaves_by_convection():
    """0.8 flux + f |Ω| = h ∫ (u − ambient) ds over its bottom and its right tip."""
    f, flux, h, ambient = 5.0, 40.0, 2.0, 20.0
    result = solve("heat_shapes", problem={"shape": "ushape", "source": f, "flux": flux}, **FINER)
    domain, (places, weights) = result.problem.domain, np.polynomial.legendre.leggauss(40)
    leaves = 0.0
    for piece in domain.named_groups["cooled"]:
        start, end = domain.edges[piece]
        u = result.predict(start + np.outer((1 + places) / 2, end - start))[:, 0]
        leaves += h * domain.pieces[piece] * (weights / 2) @ (u - ambient)
    assert leaves == pytest.approx(0.8 * flux + f * domain.measure, rel=1e-3)


def test_the_sector_is_coldest_at_its_cold_end_and_hottest_at_its_heated_arc():
    result = solve("heat_shapes", problem={"shape": "sector"}, **FINER)
    inside = result.predict(result.problem.domain.sample(2000, "uniform", np.random.default_rng(0)))
    rim = result.problem.domain.sample_boundary(2000, "heated", "uniform", np.random.default_rng(0))
    assert inside.min() > 20 - 0.05
    assert inside.max() < result.predict(rim.points).max() + 0.05
