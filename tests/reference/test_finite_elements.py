"""Finite elements against closed forms: exactness, rates of convergence, signs, honest error estimates."""

from dataclasses import dataclass

import numpy as np
import pytest
import shapely

from pinnkit.errors import BadInput
from pinnkit.forms import BoundaryCoefficients, Coefficients
from pinnkit.reference.elements import Space
from pinnkit.reference.evolution import ESDIRK4, Evolution
from pinnkit.reference.mesh import triangulate
from pinnkit.reference.steady import FiniteElementSolution, solve_steady
from pinnkit.reference.transient import TransientSolution, solve_transient
from pinnkit.reference.weak_form import BoundaryValueProblem, assemble, dirichlet_values, solve_system


@dataclass(frozen=True)
class Polygon:
    rings: list[np.ndarray]

    @property
    def edges(self):
        pairs = [pair for ring in self.rings for pair in zip(ring, np.roll(ring, -1, axis=0), strict=True)]
        return {f"edge_{k}": pair for k, pair in enumerate(pairs)}

    def points(self, n=20_000):
        lower, upper = self.rings[0].min(axis=0), self.rings[0].max(axis=0)
        points = np.random.default_rng(0).uniform(lower, upper, (n, 2))
        return points[shapely.contains_xy(shapely.Polygon(self.rings[0], self.rings[1:]), *points.T)]


def polygon(*rings):
    return Polygon([np.array(ring, dtype=float) for ring in rings])


SQUARE = polygon([(0, 0), (1, 0), (1, 1), (0, 1)])
L_SHAPE = polygon([(-1, -1), (0, -1), (0, 0), (1, 0), (1, 1), (-1, 1)])
HOLES = polygon([(0, 0), (2, 0), (2, 1.5), (0, 1.5)], [(0.5, 0.5), (0.6, 1), (1, 0.9)])


def coefficients(points, diffusion=1.0, convection=(0.0, 0.0), reaction=0.0, source=0.0, capacity=1.0):
    n, a = len(points), np.asarray(diffusion, dtype=float)
    return Coefficients(
        np.broadcast_to(a if a.ndim == 2 else a[..., None, None] * np.eye(2), (n, 2, 2)),
        np.broadcast_to(np.array(convection, dtype=float), (n, 2)),
        *(np.broadcast_to(np.asarray(field, dtype=float), n) for field in (reaction, source, capacity)),
    )


def conditions(value, flux, kinds):
    """Dirichlet data but on the pieces of `kinds`: "neumann" or "robin" (2 u + ½ flux)."""
    alphas_betas = {"dirichlet": (1.0, 0.0), "neumann": (0.0, 1.0), "robin": (2.0, 0.5)}

    def boundary(piece, points, normals, t):
        alpha, beta = (np.full(len(points), x) for x in alphas_betas[kinds.get(piece, "dirichlet")])
        data = alpha * value(points)
        if beta.any():
            data = data + beta * (flux(points) * normals).sum(axis=1)
        return BoundaryCoefficients(alpha, beta, data)

    return boundary


def sine(points):
    return np.sin(np.pi * points[:, 0]) * np.sin(np.pi * points[:, 1])


def sine_gradient(points):
    x, y = np.pi * points.T
    return np.pi * np.stack([np.cos(x) * np.sin(y), np.sin(x) * np.cos(y)], axis=1)


def power(exponent, wave=np.sin):
    """r^λ sin λθ (or cos) about the origin, θ from the positive x axis through the domain of the L-shape."""

    def value(points):
        r, angle = np.hypot(*points.T), np.mod(np.arctan2(points[:, 1], points[:, 0]) + 0.1, 2 * np.pi) - 0.1
        return r**exponent * wave(exponent * angle)

    return value


def relative_error(found, exact):
    return np.linalg.norm(found - exact) / np.linalg.norm(exact)


def no_flux(points):
    return np.zeros_like(points)


def variable(points):
    return 1 + 0.5 * np.sin(3 * points[:, 0]) + points[:, 1] ** 2


def variable_source(points):
    slope = np.stack([1.5 * np.cos(3 * points[:, 0]), 2 * points[:, 1]], axis=1)
    return 2 * np.pi**2 * variable(points) * sine(points) - (slope * sine_gradient(points)).sum(axis=1)


def convected(points):
    convection = np.array([3.0, -5.0])
    source = (2 * np.pi**2 + 2) * sine(points) + sine_gradient(points) @ convection
    return coefficients(points, convection=convection, reaction=2.0, source=source)


def peak(points):
    return np.exp(-50 * ((points - 0.3) ** 2).sum(axis=1))


def peak_source(points):
    return (200 - 1e4 * ((points - 0.3) ** 2).sum(axis=1)) * peak(points)


TENSOR = np.array([[2.0, 0.5], [0.5, 1.0]])


def quadratic(points):
    x, y = points.T
    return 1 + x - 2 * y + x**2 - 3 * x * y + 0.5 * y**2


def quadratic_flux(points):
    x, y = points.T
    return np.stack([1 + 2 * x - 3 * y, -2 - 3 * x + y], axis=1) @ TENSOR


NATURAL = {"edge_2": "robin", "edge_3": "neumann", "edge_5": "robin"}
CASES = {  # domain, exact solution, interior, flux, kinds of boundary conditions
    "smooth": (SQUARE, sine, lambda x: coefficients(x, source=2 * np.pi**2 * sine(x)), sine_gradient, {}),
    "holes": (HOLES, sine, convected, sine_gradient, NATURAL),
    "variable": (
        L_SHAPE,
        sine,
        lambda x: coefficients(x, variable(x), source=variable_source(x)),
        lambda x: variable(x)[:, None] * sine_gradient(x),
        NATURAL,
    ),
    "corner": (L_SHAPE, power(2 / 3), coefficients, no_flux, {}),
    "neumann corner": (
        L_SHAPE, power(2 / 3, np.cos), coefficients, no_flux, {"edge_1": "neumann", "edge_2": "neumann"}
    ),
    "mixed corner": (L_SHAPE, power(1 / 3), coefficients, no_flux, {"edge_1": "neumann"}),
    "peak": (SQUARE, peak, lambda x: coefficients(x, source=peak_source(x)), no_flux, {}),
}  # fmt: skip


def boundary_value_problem(exact, interior, flux, kinds):
    return BoundaryValueProblem(lambda points, t: interior(points), conditions(exact, flux, kinds))


@pytest.mark.parametrize("tolerance", [1e-4, 1e-6])
@pytest.mark.parametrize("case", CASES)
def test_error_estimates_are_honest(case, tolerance):
    domain, exact, *rest = CASES[case]
    solution = solve_steady(domain, boundary_value_problem(exact, *rest), tolerance)
    points = domain.points()
    error = relative_error(solution.value(points), exact(points))
    assert solution.error_estimate <= tolerance
    assert error <= solution.error_estimate <= 40 * error


def test_quadratics_are_exact():
    interior = lambda x: coefficients(x, TENSOR, source=-(np.array([[2, -3], [-3, 1]]) * TENSOR).sum())  # noqa: E731
    problem = boundary_value_problem(quadratic, interior, quadratic_flux, NATURAL | {"edge_6": "neumann"})
    solution = solve_steady(HOLES, problem)
    points = HOLES.points()
    assert relative_error(solution.value(points), quadratic(points)) < 1e-10
    assert solution.error_estimate < 1e-10


def test_uniform_refinement_converges_with_order_five():
    domain, exact, *rest = CASES["smooth"]
    problem, mesh, errors = boundary_value_problem(exact, *rest), triangulate(SQUARE, 2.0), []
    for _ in range(3):
        space = Space(domain, mesh)
        system = assemble(space, problem, problem.interior(space.points, 0.0), 0.0)
        u = solve_system(system, dirichlet_values(space, problem, 0.0))
        gap = space.values(u).ravel() - exact(space.points)
        errors.append(space.norm(gap.reshape(space.weights.shape)))
        mesh = mesh.refined()
    assert np.log2(errors[-2] / errors[-1]) == pytest.approx(5, abs=0.3)


def test_adaptive_refinement_at_a_corner_is_as_fast_as_for_smooth_solutions():
    domain, exact, *rest = CASES["corner"]
    problem = boundary_value_problem(exact, *rest)
    found = [solve_steady(domain, problem, tolerance) for tolerance in (1e-5, 1e-8)]
    points = domain.points()
    errors = [relative_error(solution.value(points), exact(points)) for solution in found]
    order = np.log(errors[0] / errors[1]) / np.log(found[1].dofs / found[0].dofs)
    assert order > 2  # in the number of unknowns; 2.5 is that of quartics on smooth solutions


def test_l_shape_against_certified_values():
    def unit(points):
        return coefficients(points, source=1.0)

    problem = boundary_value_problem(lambda x: np.zeros(len(x)), unit, no_flux, {})
    points = np.array([[-0.5, 0.5], [0.5, 0.5], [-0.5, -0.5], [-0.25, 0.25], [-0.1, 0.1], [-0.01, 0.01]])
    far, near = [0.1310529620306, 0.1023621576560, 0.1023621576560], [0.1441458373812, 0.0980664699182]
    certified = [*far, *near, 0.0233459630537]
    np.testing.assert_allclose(solve_steady(L_SHAPE, problem, 1e-7).value(points), certified, rtol=2e-7)


def test_values_at_the_boundary_and_just_outside():
    domain, exact, *rest = CASES["corner"]
    solution = solve_steady(domain, boundary_value_problem(exact, *rest), 1e-6)
    ends = np.array(list(domain.edges.values()))
    on_edges = ends[:, :1] + np.linspace(0, 1, 11)[:, None] * (ends[:, 1:] - ends[:, :1])
    points = on_edges.reshape(-1, 2)
    for shift in (0.0, 1e-12, -1e-12):
        np.testing.assert_allclose(solution.value(points + shift), exact(points), atol=2e-5)


def test_newton_solves_a_nonlinear_problem():
    """−Δu + u³ = f with the linearisation −Δu + 3 ū² u = f + 2 ū³."""

    def source(points):
        return 2 * np.pi**2 * sine(points) + sine(points) ** 3

    def linearise(points, u, gradient):
        return coefficients(points, reaction=3 * u**2, source=source(points) + 2 * u**3)

    problem = boundary_value_problem(sine, lambda x: coefficients(x, source=source(x)), no_flux, {})
    solution = solve_steady(SQUARE, problem, 1e-7, linearise=linearise)
    points = SQUARE.points()
    assert relative_error(solution.value(points), sine(points)) <= solution.error_estimate <= 1e-7


def test_pure_neumann_problems_are_refused():
    kinds = {f"edge_{k}": "neumann" for k in range(4)}
    with pytest.raises(BadInput, match="not unique"):
        solve_steady(SQUARE, boundary_value_problem(sine, coefficients, no_flux, kinds))


def test_max_dofs_stops_refinement_with_an_honest_estimate():
    domain, exact, *rest = CASES["mixed corner"]
    solution = solve_steady(domain, boundary_value_problem(exact, *rest), 1e-9, max_dofs=2000)
    points = domain.points()
    assert 2000 <= solution.dofs < 6000
    assert relative_error(solution.value(points), exact(points)) <= solution.error_estimate


def test_runge_kutta_order_conditions():
    c, a, b = ESDIRK4.nodes, ESDIRK4.stages, ESDIRK4.stages[-1]
    np.testing.assert_allclose(a.sum(axis=1), c, atol=1e-14)
    np.testing.assert_allclose((a @ c)[1:], c[1:] ** 2 / 2, atol=1e-14)  # stage order 2
    found = [b @ c, b @ c**2, b @ a @ c, b @ c**3, (b * c) @ a @ c, b @ a @ c**2, b @ a @ a @ c]
    np.testing.assert_allclose(found, [1 / 2, 1 / 3, 1 / 6, 1 / 4, 1 / 8, 1 / 12, 1 / 24], atol=1e-14)
    hat = ESDIRK4.embedded
    lower = [hat.sum(), hat @ c, hat @ c**2, hat @ a @ c]
    np.testing.assert_allclose(lower, [1, 1 / 2, 1 / 3, 1 / 6], atol=1e-14)


def heat(value, rate, laplacian, conductivity=lambda t: 1.0, capacity=1.0):
    """capacity u_t − k(t) Δu = f for a given u, with Dirichlet conditions."""

    def interior(points, t):
        source = capacity * rate(points, t) - conductivity(t) * laplacian(points, t)
        return coefficients(points, conductivity(t), source=source, capacity=capacity)

    def boundary(piece, points, normals, t):
        return BoundaryCoefficients(np.ones(len(points)), np.zeros(len(points)), value(points, t))

    return BoundaryValueProblem(interior, boundary, lambda points: value(points, 0.0))


CORNER = power(2 / 3)
TRANSIENT = {  # domain, u, problem
    "corner": (
        L_SHAPE,
        lambda x, t: CORNER(x) * (1 + np.sin(4 * t)),
        heat(
            lambda x, t: CORNER(x) * (1 + np.sin(4 * t)),
            lambda x, t: 4 * CORNER(x) * np.cos(4 * t),
            lambda x, t: np.zeros(len(x)),
        ),
    ),
    "decay": (
        SQUARE,
        lambda x, t: np.exp(-t) * sine(x),
        heat(
            lambda x, t: np.exp(-t) * sine(x),
            lambda x, t: -np.exp(-t) * sine(x),
            lambda x, t: -2 * np.pi**2 * np.exp(-t) * sine(x),
            capacity=2.0,
        ),
    ),
}


@pytest.mark.parametrize("case", TRANSIENT)
def test_transient_error_estimates_are_honest(case):
    domain, exact, problem = TRANSIENT[case]
    solution = solve_transient(domain, problem, (0.0, 1.0), 1e-4)
    points = domain.points()
    times = np.random.default_rng(1).uniform(0, 1, len(points))
    error = relative_error(solution.value(np.column_stack([points, times])), exact(points, times))
    assert error <= solution.error_estimate <= 1e-4
    assert solution.error_estimate <= 100 * error


@pytest.mark.parametrize("conductivity", [lambda t: 1.0, lambda t: 1 + t], ids=["constant", "variable"])
def test_time_steps_converge_with_order_four(conductivity):
    """u = cos 8t, constant in space, driven by the source."""
    interior = lambda x, t: coefficients(  # noqa: E731
        x, conductivity(t), reaction=1.0, source=np.cos(8 * t) - 8 * np.sin(8 * t)
    )
    insulated = conditions(lambda x: 0.0, no_flux, {f"edge_{k}": "neumann" for k in range(4)})
    problem = BoundaryValueProblem(interior, insulated, lambda x: np.ones(len(x)))
    evolution = Evolution(Space(SQUARE, triangulate(SQUARE, 2.0)), problem, (0.0, 1.0))
    paths = [evolution.march(np.linspace(0, 1, steps + 1)) for steps in (16, 32)]
    errors = [np.abs(path.states[-1] - np.cos(8)).max() for path in paths]
    assert np.log2(errors[0] / errors[1]) == pytest.approx(4, abs=0.5)


def test_initial_state_that_disagrees_with_the_boundary():
    """Cooling of a unit square from u = 1 with u = 0 on its boundary, against the series."""
    odd = np.arange(1, 400, 2)

    def slab(x, t):
        modes = np.sin(np.pi * np.outer(x, odd)) * np.exp(-((np.pi * odd) ** 2) * t[:, None])
        return modes @ (4 / np.pi / odd)

    problem = BoundaryValueProblem(
        lambda x, t: coefficients(x),
        conditions(lambda x: np.zeros(len(x)), no_flux, {}),
        lambda x: np.ones(len(x)),
    )
    solution = solve_transient(SQUARE, problem, (0.0, 0.1), 5e-3)
    points, times = SQUARE.points(2000), np.random.default_rng(1).uniform(0, 0.1, 2000)
    exact = slab(points[:, 0], times) * slab(points[:, 1], times)
    error = relative_error(solution.value(np.column_stack([points, times])), exact)
    assert error <= solution.error_estimate <= 5e-3


def test_transient_problems_need_an_initial_condition():
    problem = boundary_value_problem(sine, coefficients, no_flux, {})
    with pytest.raises(BadInput, match="initial"):
        solve_transient(SQUARE, problem, (0.0, 1.0))


def test_solutions_survive_a_file(tmp_path):
    domain, exact, *rest = CASES["corner"]
    steady = solve_steady(domain, boundary_value_problem(exact, *rest), 1e-3)
    transient = solve_transient(SQUARE, TRANSIENT["decay"][2], (0.0, 1.0), 1e-2)
    for solution, kind, dimension in ((steady, FiniteElementSolution, 2), (transient, TransientSolution, 3)):
        np.savez(tmp_path / "solution.npz", **solution.to_arrays())
        with np.load(tmp_path / "solution.npz") as arrays:
            again = kind.from_arrays(arrays)
        points = np.random.default_rng(0).uniform(0, 1, (100, dimension))
        np.testing.assert_array_equal(again.value(points), solution.value(points))
        assert (again.error_estimate, again.dofs) == (solution.error_estimate, solution.dofs)
