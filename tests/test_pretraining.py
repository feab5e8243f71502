"""Pretrained features: what they hold, in which order and size, and which problems have no family."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from helpers import PROBLEMS
from torch import Tensor, cos, exp

from pinnkit import catalogue, solve
from pinnkit.assembly import network
from pinnkit.errors import BadInput
from pinnkit.geometry import Interval, LShape, Rectangle
from pinnkit.networks import Reduced
from pinnkit.operators import laplacian
from pinnkit.polynomials import ChebyshevProducts
from pinnkit.pretraining import bounds_of, box, pretrain, pretrained_network
from pinnkit.problem import Problem, dirichlet, pde
from pinnkit.settings import Network, Pretrain, ProblemChoice, Sampling, Settings

SQUARE = {"width": 1.0}
FEW = Settings(
    ProblemChoice("heat_rectangle", parameters=SQUARE),
    Pretrain(polynomials=60, features=20, heads=40),
    network=Network(layers=(8,), corners=False),
    sampling=Sampling(interior=200, boundary=80, corner=0),
)
MANY = replace(
    FEW,
    task=Pretrain(polynomials=200, features=80, heads=150, frequency=8.0),
    network=Network(layers=(8,)),
    sampling=Sampling(interior=600, boundary=200, corner=24),
)


def drawn(settings: Settings, inputs: int = 2) -> Reduced:
    """Features before pretraining."""
    return network(replace(settings, network=pretrained_network(settings)), inputs).fixed.parts[0]


def learned(settings: Settings, *members: Problem) -> Reduced:
    members = members or (catalogue.build(settings.problem),)
    features = drawn(settings, len(members[0].coordinates))
    pretrain(members, replace(settings, network=pretrained_network(settings)), features)
    return features


@pytest.fixture(scope="module")
def heat() -> Reduced:
    return learned(MANY)


def points(n: int = 1500, d: int = 2) -> Tensor:
    return torch.from_numpy(np.random.default_rng(5).uniform(-1, 1, (n, d)))


def left(features: Tensor, functions: Tensor) -> float:
    """The largest ‖f − best combination of the features and 1‖ / ‖f‖ of the functions, columns at the same points."""
    columns = torch.cat([features, torch.ones_like(features[:, :1])], 1)
    columns = columns / columns.norm(dim=0)
    missed = functions - columns @ torch.linalg.lstsq(columns, functions, driver="gelsd").solution
    return float((missed.norm(dim=0) / functions.norm(dim=0)).max())


def harmonic(x: Tensor, degrees: range) -> Tensor:
    """Re and Im of zᵐ."""
    z = torch.complex(x[:, 0], x[:, 1])
    return torch.stack([part for m in degrees for part in ((z**m).real, (z**m).imag)], 1)


# --- what they hold ---------------------------------------------------------------------------------------------------


def test_features_of_heat_hold_the_harmonic_polynomials(heat: Reduced) -> None:
    """Those of low degree nearly exactly, those of high degree far better than as many other features."""
    x = points()
    features, polynomials = heat(x), ChebyshevProducts(2, heat.width)(x)
    assert left(features, harmonic(x, range(1, 7))) < 1e-6
    high = harmonic(x, range(12, 17))
    assert left(features, high) < 1e-2 * left(polynomials, high)
    assert left(drawn(MANY)(x), harmonic(x, range(1, 7))) > 0.1


def test_features_of_heat_hold_a_solution_with_a_source(heat: Reduced) -> None:
    """Δ(x² + y²) = 4."""
    x = points()
    assert left(heat(x), x.square().sum(1, keepdim=True)) < 1e-6
    assert left(drawn(MANY)(x), x.square().sum(1, keepdim=True)) > 0.1


def test_features_of_a_family_in_time_hold_its_decaying_waves() -> None:
    """exp(−a k² t) sin kx and cos kx, of heat in a rod."""
    settings = replace(FEW, problem=ProblemChoice("heat_rod"), task=Pretrain(120, 40, 80, frequency=5.0))
    problem = catalogue.build(settings.problem)
    diffusivity = catalogue.load("heat_rod").parameters["diffusivity"]
    (x0, t0), (x1, t1) = problem.domain.bounds
    x, t = (points(d=2).numpy() * [(x1 - x0) / 2, (t1 - t0) / 2] + [(x0 + x1) / 2, (t0 + t1) / 2]).T
    waves = [np.exp(-diffusivity * k * k * t) * part(k * x) for k in (1, 2) for part in (np.sin, np.cos)]
    waves = torch.from_numpy(np.stack(waves, 1))
    assert left(learned(settings)(points()), waves) < 1e-4
    assert left(drawn(settings)(points()), waves) > 0.1


def laplace() -> Problem:
    """u = exp(5x) cos(5y) on the unit square."""

    def exact(x, y):
        return exp(5 * x) * cos(5 * y)

    conditions = {"laplace": pde(lambda u, x, y: -laplacian(u, x, y)), "wall": dirichlet("boundary", exact)}
    return Problem(Rectangle(), conditions, exact=exact)


def test_pretrained_features_solve_a_problem_of_their_family_better_than_as_many_polynomials() -> None:
    points = {"interior": 300, "boundary": 120}
    small = {"sampling": points, "optimizer": "least_squares", "evaluation": {"points": 500}}
    task = {"name": "pretrain", "polynomials": 150, "features": 60, "heads": 100, "frequency": 8.0}
    family = solve(laplace(), task=task, network={"layers": [2], "corners": False}, **small)
    usual = solve(laplace(), network={"layers": [2], "polynomials": 60, "corners": False}, **small)
    assert family.metrics["parameters"] == usual.metrics["parameters"]
    assert family.metrics["relative_l2"] < 0.1 * usual.metrics["relative_l2"]


def test_features_of_several_members_serve_each_of_them() -> None:
    """Harmonic polynomials are held on the square, and on the part of it that is a flat or a high member."""
    task, halves = replace(MANY.task, variations=({"width": 2.0}, {"width": 0.5})), [(1, 1), (1, 0.5), (0.5, 1)]
    members = [catalogue.build(ProblemChoice("heat_rectangle", parameters={"width": w})) for w in (1.0, 2.0, 0.5)]
    features, random = learned(replace(MANY, task=task), *members), drawn(MANY)
    for half in halves:
        x = points() * torch.tensor(half)
        assert left(features(x), harmonic(x, range(1, 7))) < min(1e-3, 1e-2 * left(random(x), harmonic(x, range(1, 7))))


# --- order and size ---------------------------------------------------------------------------------------------------


def test_sizes_are_those_of_the_family_and_fall(heat: Reduced) -> None:
    """The first is of size 1, and the features are orthogonal on the square, as far as 4000 points know it."""
    values = heat(points(20000))
    sizes = values.square().mean(0).sqrt()
    assert float(sizes[0]) == pytest.approx(1, abs=0.05)
    assert (sizes[1:] <= 1.1 * sizes[:-1]).all()
    assert float(sizes[40]) < 1e-3 and float(sizes[-1]) > 0
    normal = values / sizes
    assert float((normal.T @ normal / len(normal) - torch.eye(heat.width)).abs()[:40, :40].max()) < 0.2


@pytest.mark.parametrize("heads", [1, 7])
def test_where_there_are_fewer_heads_the_last_combinations_stay_random(heads: int) -> None:
    settings = replace(FEW, task=replace(FEW.task, heads=heads))
    before, after = drawn(settings).combinations, learned(settings).combinations
    assert torch.equal(after[heads:], before[heads:])
    assert not any(torch.equal(a, b) for a, b in zip(after[:heads], before[:heads], strict=True))
    assert bool(torch.isfinite(after).all())


def test_a_seed_gives_the_same_features_and_another_seed_others() -> None:
    one, again, other = (learned(replace(FEW, seed=seed)).combinations for seed in (0, 0, 1))
    assert torch.equal(one, again)
    assert not torch.allclose(one, other)


def test_units_of_the_data_do_not_matter() -> None:
    """Neither the temperatures nor the conductivity of the member enter: right-hand sides are those of the family."""
    same = ProblemChoice("heat_rectangle", parameters={**SQUARE, "hot": 1e5, "cold": -3.0, "source": 7.0})
    assert torch.equal(learned(FEW).combinations, learned(replace(FEW, problem=same)).combinations)


# --- where they are used ----------------------------------------------------------------------------------------------


def rectangle(width: float, height: float) -> Problem:
    conditions = {"p": pde(lambda u, x, y: u), "wall": dirichlet("boundary")}
    return Problem(Rectangle((1, -2), (1 + width, height - 2)), conditions)


@pytest.mark.parametrize("shapes", [[(1, 1)], [(2, 1)], [(1, 1), (2, 1), (1, 4)], [(30, 10), (0.1, 0.3)]])
def test_the_box_holds_every_member_under_a_similarity(shapes) -> None:
    members = [rectangle(*shape) for shape in shapes]
    halves = box(members)
    assert halves.max() == pytest.approx(1)
    for member in members:
        bounds = bounds_of(member, halves)
        assert (bounds[0] <= member.domain.bounds[0] + 1e-12).all()
        assert (bounds[1] >= member.domain.bounds[1] - 1e-12).all()
        np.testing.assert_allclose(bounds.mean(0), member.domain.bounds.mean(0))
        factors = np.ptp(bounds, axis=0) / (2 * halves)
        assert factors[0] == pytest.approx(factors[1])


def test_time_has_its_own_interval_in_the_box() -> None:
    conditions = {"p": pde(lambda u, x, y, t: u)}
    members = [Problem(LShape(size) * (0.0, end), conditions) for size, end in ((1.0, 2.0), (3.0, 5.0))]
    for member in members:
        np.testing.assert_allclose(bounds_of(member, box(members)), member.domain.bounds)
    rod = Problem(Interval(0, 4) * (1.0, 3.0), {"p": pde(lambda u, x, t: u)})
    np.testing.assert_allclose(bounds_of(rod, box([rod])), [[0, 1], [4, 3]])


# --- what is refused --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("problem", "words"),
    [
        ("nonlinear_poisson", "not linear"),
        (PROBLEMS["nonlinear"](), "not linear"),
        ("inverse_heat", "unknown coefficients"),
        ("membrane_lshape", "unknown"),
        (PROBLEMS["two_fields"](), "several fields"),
    ],
    ids=["nonlinear equation", "nonlinear flux", "unknowns", "modes", "fields"],
)
def test_problems_without_a_family_are_refused_in_one_line(problem, words: str) -> None:
    task = {"name": "pretrain", "polynomials": 30, "features": 10, "heads": 10}
    small = {"sampling": {"interior": 100, "boundary": 40, "corner": 0}, "network": {"layers": [4], "corners": False}}
    with pytest.raises(BadInput, match=words) as refused:
        solve(problem, task=task, reference={"kind": "none"}, **small)
    assert refused.value.key == "task"
    assert str(refused.value).count("; ") == 1 and len(str(refused.value).splitlines()) == 1


def test_more_features_than_polynomials_are_refused() -> None:
    with pytest.raises(BadInput, match="60 combinations of 30 polynomials"):
        pretrained_network(replace(FEW, task=Pretrain(polynomials=30, features=60)))
