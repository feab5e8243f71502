"""Spectral references against closed forms, certified values and finite elements; their errors are what they claim."""

import logging
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest
import shapely
from torch import exp, sin

from pinnkit import catalogue
from pinnkit.errors import BadInput
from pinnkit.forms import BoundaryCoefficients, Coefficients
from pinnkit.geometry import LShape, Planar, Polygon, Rectangle
from pinnkit.operators import div, grad, laplacian
from pinnkit.problem import Problem, dirichlet, neumann, pde, robin
from pinnkit.reference import spectral
from pinnkit.reference.derived import reference_for
from pinnkit.reference.harmonic import HarmonicSolution, solve_harmonic
from pinnkit.reference.lightning import Lightning, Resolution
from pinnkit.reference.poisson import NotHarmonic, PoissonProblem
from pinnkit.reference.poles import as_points
from pinnkit.reference.rational import hessenberg, polynomials
from pinnkit.reference.source import particular, polynomial

Array = np.ndarray
Function = Callable[[Array, Array], Array]

ALPHA_BETA = {"dirichlet": (1.0, 0.0), "neumann": (0.0, 1.0), "robin": (2.0, 0.5)}
PLATE = Polygon([(0, 0), (3, 0), (3, 2), (0, 2)], [[(1, 0.5), (1, 1.5), (1.6, 1.5), (1.6, 0.5)]])
NOTCHED = Polygon([(0, 0), (2, 0), (2, 1), (1.02, 1), (1, 0.3), (0.98, 1), (0, 1)])
CHAMFERED = Polygon([(0, 0), (1, 0), (1, 0.999), (0.999, 1), (0, 1)])
SLIT = Polygon([(0, 0), (2, 0), (2, 1), (0, 1)], [[(0.4, 0.48), (0.4, 0.52), (1.6, 0.52), (1.6, 0.48)]])


def random_polygon(seed: int) -> Polygon:
    """Twelve vertices, and a hole of five."""
    rng = np.random.default_rng(seed)

    def ring(n: int, least: float, most: float) -> list[list[float]]:
        angle, r = 2 * np.pi * (np.arange(n) + 0.7 * rng.random(n)) / n, rng.uniform(least, most, n)
        return np.column_stack([r * np.cos(angle), r * np.sin(angle)]).tolist()

    return Polygon(ring(12, 0.4, 1.0), [ring(5, 0.18, 0.3)])


def poisson(
    domain: Planar, u: Function, slopes: Callable[[Array, Array], Array], f: float = 0.0, k: float = 1.0,
    kinds: Mapping[str, str] | None = None,
) -> PoissonProblem:  # fmt: skip
    """−∇·(k∇u) = f whose solution is u, with conditions of the given kinds, else Dirichlet."""

    def boundary(piece: str, points: Array, normals: Array) -> BoundaryCoefficients:
        alpha, beta = ALPHA_BETA[(kinds or {}).get(piece, "dirichlet")]
        g = alpha * u(*points.T) + (beta * k * (slopes(*points.T) * normals.T).sum(axis=0) if beta else 0)
        return BoundaryCoefficients(np.full(len(points), alpha), np.full(len(points), beta), g)

    return PoissonProblem.read(domain, *coefficients(domain, f, k), boundary)


def coefficients(domain: Planar, f: float, k: float) -> tuple[Array, Coefficients]:
    points = domain.sample(1000, "uniform", np.random.default_rng(0))
    n = len(points)
    zero, one = np.zeros(n), np.ones(n)
    return points, Coefficients(k * np.tile(np.eye(2), (n, 1, 1)), np.zeros((n, 2)), zero, f * one, one)


def true_error(solution: HarmonicSolution, domain: Planar, u: Function) -> float:
    points = domain.sample(4000, "uniform", np.random.default_rng(3))
    truth = u(*points.T)
    return float(np.linalg.norm(solution.value(points) - truth) / np.linalg.norm(truth))


def assert_honest(solution: HarmonicSolution, domain: Planar, u: Function) -> None:
    """The error is below what is claimed, by less than a factor of a hundred (round-off apart)."""
    error = true_error(solution, domain, u)
    assert error <= solution.error_estimate <= max(100 * error, 1e-13)


def smooth(x: Array, y: Array) -> Array:
    return np.exp(x) * np.cos(y) + x * y + 0.3 * x**2


def smooth_slopes(x: Array, y: Array) -> Array:
    return np.stack([np.exp(x) * np.cos(y) + y + 0.6 * x, -np.exp(x) * np.sin(y) + x])


def mixed(domain: Planar) -> dict[str, str]:
    return dict(zip(domain.pieces, ("dirichlet", "neumann", "robin") * 10, strict=False))


DOMAINS = {
    "L": LShape(), "plate": PLATE, "notch": NOTCHED, "chamfer": CHAMFERED, "slit": SLIT,
    "random 0": random_polygon(0),
    "needle": Polygon([(0, 0), (5, 0), (0, 0.5)]), "small, far": Polygon([(99.999, 5), (100.001, 5), (100, 5.001)]),
}  # fmt: skip


@pytest.mark.parametrize("name", DOMAINS)
@pytest.mark.parametrize("kinds", [None, mixed], ids=["dirichlet", "mixed"])
def test_manufactured_solutions(name: str, kinds: Callable[[Planar], dict[str, str]] | None) -> None:
    """−2.5 Δu = −1.5, u = eˣ cos y + xy + 0.3 x², about the domain's own centre and on its own scale."""
    domain, k = DOMAINS[name], 2.5
    centre, scale = domain.bounds.mean(axis=0), float(np.ptp(domain.bounds, axis=0).max())

    def u(x: Array, y: Array) -> Array:
        return smooth((x - centre[0]) / scale, (y - centre[1]) / scale)

    def slopes(x: Array, y: Array) -> Array:
        return smooth_slopes((x - centre[0]) / scale, (y - centre[1]) / scale) / scale

    problem = poisson(domain, u, slopes, -0.6 * k / scale**2, k, kinds and kinds(domain))
    solution = solve_harmonic(problem)
    coordinates = np.finfo(float).eps * np.abs(domain.bounds).max() / scale  # what they are known to
    assert true_error(solution, domain, u) <= solution.error_estimate <= 1e-12 + coordinates


def test_certified_values_on_the_l_shape() -> None:
    """−Δu = 1, u = 0; values right to 1e-13."""
    problem = Problem(LShape(), {"p": pde(lambda u, x, y: -laplacian(u, x, y) - 1), "w": dirichlet("boundary")})
    reference = reference_for(problem, "auto", 1e-6, None)
    assert reference is not None and reference.kind == "spectral"
    points = np.array([[-0.5, 0.5], [0.5, 0.5], [-0.25, 0.25], [-0.1, 0.1], [-0.01, 0.01]])
    truth = [0.1310529620306, 0.1023621576560, 0.1441458373812, 0.0980664699182, 0.0233459630537]
    np.testing.assert_allclose(reference.value(points)[:, 0], truth, rtol=0, atol=2e-12)
    assert reference.error_estimate <= 1e-11
    corners = reference.value(np.array([[0.0, 0.0], [1.0, 0.0], [-1.0, -1.0]]))
    np.testing.assert_allclose(corners, 0, atol=1e-8)


def power(exponent: float, kind: Callable[[Array], Array]) -> tuple[Function, Callable[[Array, Array], Array]]:
    """r^p sin pθ or r^p cos pθ, and its gradient; θ from the positive x axis, anticlockwise."""

    def polar(x: Array, y: Array) -> tuple[Array, Array]:
        angle = np.arctan2(y, x)
        return np.hypot(x, y), angle + 2 * np.pi * (angle < -1e-9)

    def u(x: Array, y: Array) -> Array:
        r, angle = polar(x, y)
        return r**exponent * kind(exponent * angle)

    def slopes(x: Array, y: Array) -> Array:
        r, angle = polar(x, y)
        along = exponent * np.maximum(r, 1e-300) ** (exponent - 1)
        inner = (exponent - 1) * angle
        return along * np.stack([kind(inner), kind(inner + np.pi / 2)])

    return u, slopes


@pytest.mark.parametrize(
    ("exponent", "kind", "kinds"),
    [
        (2 / 3, np.sin, {}),
        (2 / 3, np.cos, {"notch_vertical": "neumann", "notch_horizontal": "neumann"}),
        (1 / 3, np.sin, {"notch_vertical": "neumann"}),
        (5 / 3, np.sin, {"notch_vertical": "neumann", "top": "robin"}),
        (1 / 2, np.sin, {}),
    ],
    ids=str,
)
def test_singular_functions_of_a_corner(exponent: float, kind: Callable[[Array], Array], kinds: dict[str, str]) -> None:
    """The last one has data that no leading term of the corner fits: poles have to do it."""
    u, slopes = power(exponent, kind)
    solution = solve_harmonic(poisson(LShape(), u, slopes, kinds=kinds))
    assert true_error(solution, LShape(), u) <= solution.error_estimate <= 1e-10


def test_the_logarithm_between_two_polygons() -> None:
    domain = Polygon([(-1, -1), (1, -1), (0, 1.5)], [[(-0.3, -0.2), (0.3, -0.2), (0, 0.4)]])

    def u(x: Array, y: Array) -> Array:
        return np.log(np.hypot(x, y))

    kinds = {"edge_0": "neumann", "hole_0_edge_1": "neumann", "hole_0_edge_2": "robin"}
    solution = solve_harmonic(poisson(domain, u, lambda x, y: np.stack([x, y]) / (x**2 + y**2), kinds=kinds))
    assert true_error(solution, domain, u) <= solution.error_estimate <= 1e-10


def test_data_that_jump_at_corners() -> None:
    """u = 2/π arg z is 0 on one edge, 1 on the next; exact up to the corner itself, and about it in a hole."""

    def u(x: Array, y: Array) -> Array:
        return 2 / np.pi * np.arctan2(y, x)

    def boundary(piece: str, points: Array, normals: Array) -> BoundaryCoefficients:
        data = {"left": 1.0, "bottom": 0.0}.get(piece)
        n = len(points)
        return BoundaryCoefficients(np.ones(n), np.zeros(n), u(*points.T) if data is None else np.full(n, data))

    square = Rectangle((0, 0), (1, 1))
    solution = solve_harmonic(PoissonProblem.read(square, *coefficients(square, 0.0, 1.0), boundary))
    assert true_error(solution, square, u) <= solution.error_estimate <= 1e-11
    near = np.array([[1e-9, 1e-12], [1e-12, 1e-12], [1e-13, 1e-9]])
    np.testing.assert_allclose(solution.value(near), u(*near.T), atol=1e-3)


def heated(domain: Planar, name: str) -> Problem:
    """−Δu = 1 with u = 0, or with u = 0 on some edges, and flux and exchange on others."""
    pieces = tuple(domain.pieces)
    conditions = {"heat": pde(lambda u, x, y: -laplacian(u, x, y) - 1), "wall": dirichlet("boundary")}
    if name == "mixed":
        some = {"wall": dirichlet(pieces[::3]), "flux": neumann(pieces[1::3], -0.3), "air": robin(pieces[2::3], 2.0)}
        conditions |= some
    return Problem(domain, conditions)


OURS = {name: catalogue.load(name).build() for name in ("heat_lshape", "heat_polygon", "heat_rectangle")}
RANDOM = {f"{kind} {seed}": heated(random_polygon(seed), kind) for seed, kind in ((0, "cold"), (2, "mixed"))}


@pytest.mark.parametrize("problem", [*OURS.values(), *RANDOM.values()], ids=[*OURS, *RANDOM])
def test_finite_elements_agree(problem: Problem) -> None:
    elements = reference_for(problem, "fem", 1e-3, None)
    solution = solve_harmonic(spectral.poisson_problem(problem, problem.domain), 1e-6)
    assert elements.kind == "fem" and solution.error_estimate <= 1e-6
    points = problem.domain.sample(4000, "uniform", np.random.default_rng(5))
    found, other = solution.value(points), elements.value(points)[:, 0]
    distance = np.linalg.norm(found - other) / np.linalg.norm(found)
    assert distance <= elements.error_estimate + solution.error_estimate


@pytest.mark.parametrize("name", ["heat_lshape", "heat_rectangle"])
def test_our_problems_get_spectral_references(name: str) -> None:
    reference = reference_for(OURS[name], "auto", 1e-6, None)
    assert reference.kind == "spectral" and reference.seconds > 0
    assert reference.error_estimate <= 1e-11


@pytest.mark.parametrize(("name", "kind"), [("L", "cold"), ("L", "mixed"), ("plate", "mixed"), ("random 0", "cold")])
def test_the_claimed_error_is_honest_at_low_resolution(name: str, kind: str) -> None:
    """Against a far better solution: not less than the true error, and not a hundred times as much."""
    domain = DOMAINS[name]
    problem = spectral.poisson_problem(heated(domain, kind), domain)
    coarse = solve_harmonic(problem, 1e-4)
    fine = solve_harmonic(problem, coarse.error_estimate / 50)
    assert fine.error_estimate < coarse.error_estimate / 10
    assert_honest(coarse, domain, lambda x, y: fine.value(np.column_stack([x, y])))


@pytest.mark.parametrize("name", DOMAINS)
def test_poles_and_cuts_lie_outside(name: str) -> None:
    lightning = Lightning(poisson(DOMAINS[name], smooth, smooth_slopes))
    for n in (16, 60):
        basis, rim = lightning.basis(Resolution(np.full(len(lightning.corners.vertex), n), n))
        inside = lightning.polygon.buffer(-1e-9)
        assert not shapely.contains_xy(inside, as_points(np.append(basis.poles, basis.cuts[1]))).any()
        cuts = shapely.linestrings(np.stack([basis.cuts.real.T, basis.cuts.imag.T], axis=-1))
        assert not shapely.intersects(cuts, inside).any()
        assert len(rim.z) < 8 * len(basis.poles) + 40 * len(lightning.corners.vertex) + 8 * n


def test_polynomials_by_recurrence_are_orthonormal_and_have_the_right_derivatives() -> None:
    z = np.exp(2j * np.pi * np.arange(400) / 400) * (1 + 0.3 * np.cos(np.arange(400)))
    Q, D = polynomials(z, hessenberg(z, 30))
    np.testing.assert_allclose(Q @ Q.conj().T / 400, np.eye(31), atol=1e-12)
    ahead, behind = (polynomials(z + h, hessenberg(z, 30))[0] for h in (1e-6, -1e-6))
    np.testing.assert_allclose(D, (ahead - behind) / 2e-6, atol=1e-6 * np.abs(D).max())


def test_polynomial_sources_are_recognised_and_solved() -> None:
    rng = np.random.default_rng(0)
    z = rng.uniform(-1, 1, 300) + 1j * rng.uniform(-1, 1, 300)
    x, y = z.real, z.imag
    found = polynomial(z, x**8 - 3 * x**2 * y**5 + 0.25)
    assert found is not None
    h = 1e-3
    stencil = [particular(found, z + step).values[:, 0] for step in (h, -h, 1j * h, -1j * h)]
    minus_laplacian = (4 * particular(found, z).values[:, 0] - sum(stencil)) / h**2
    np.testing.assert_allclose(minus_laplacian, x**8 - 3 * x**2 * y**5 + 0.25, atol=1e-4)
    assert polynomial(z, np.sin(3 * x)) is None and polynomial(z, x**9) is None


def unlike(name: str) -> Problem:
    """A problem that is not for us."""
    equations = {
        "source": lambda u, x, y: -laplacian(u, x, y) - sin(5 * x),
        "diffusion": lambda u, x, y: -div((1 + x * y) * grad(u, x, y), x, y),
        "term in u": lambda u, x, y: -laplacian(u, x, y) + u,
        "maximum": lambda u, x, y: -laplacian(u, x, y) - 1,
    }
    walls = {"cold": dirichlet(("left", "right", "top")), "side": neumann("bottom", 1.0)}
    if name == "maximum":
        walls["side"] = robin("bottom", -0.1)
    return Problem(Rectangle(), {"heat": pde(equations[name]), **walls})


@pytest.mark.parametrize(
    ("name", "reason"),
    [("source", "not a polynomial"), ("diffusion", "not constant"), ("term in u", "u itself"), ("maximum", "hotter")],
)
def test_finite_elements_are_used_elsewhere(name: str, reason: str, caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(BadInput, match=f"reference.kind: no spectral reference: .*{reason}.*; use auto, fem or none"):
        reference_for(unlike(name), "spectral", 1e-3, None)
    with caplog.at_level(logging.INFO, "pinnkit"):
        assert reference_for(unlike(name), "auto", 1e-2, None).kind == "fem"
    assert "no spectral reference" in caplog.text and reason in caplog.text


def test_a_solution_that_is_not_unique_is_none_of_ours() -> None:
    with pytest.raises(NotHarmonic, match="not unique"):
        poisson(Rectangle(), smooth, smooth_slopes, kinds=dict.fromkeys(Rectangle().pieces, "neumann"))


def test_finite_elements_are_used_where_the_tolerance_is_not_reached(caplog: pytest.LogCaptureFixture) -> None:
    """Data with a kink within an edge converge slowly."""
    problem = Problem(Rectangle(), {"p": pde(lambda u, x, y: -laplacian(u, x, y)),
                                    "w": dirichlet("boundary", lambda x, y: (x - 0.3).abs() * exp(y))})  # fmt: skip
    with caplog.at_level(logging.INFO, "pinnkit"):
        assert reference_for(problem, "auto", 1e-6, None).kind == "fem"
    assert "too coarse" in caplog.text


def test_solutions_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    problem = catalogue.load("heat_rectangle").build()
    points = problem.domain.sample(100, "uniform", np.random.default_rng(0))
    first = reference_for(problem, "spectral", 1e-6, tmp_path)
    (path,) = tmp_path.rglob("*.npz")
    monkeypatch.setattr(spectral, "solve_harmonic", None)
    second = reference_for(problem, "auto", 1e-8, tmp_path)
    np.testing.assert_array_equal(first.value(points), second.value(points))
    assert (first.error_estimate, first.dofs) == (second.error_estimate, second.dofs)
    monkeypatch.undo()
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2] + b"\x00\xff\x00\xff" + data[len(data) // 2 + 4 :])
    again = reference_for(problem, "spectral", 1e-6, tmp_path)
    np.testing.assert_allclose(again.value(points), first.value(points), rtol=1e-12)
