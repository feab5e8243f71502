"""Coefficients read from residuals are exactly those that were written."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from helpers import PROBLEMS
from torch import exp, sin
from torch.testing import assert_close

from pinnkit.coefficients import (
    NotSecondOrder,
    boundary_coefficients,
    condition_on,
    conditions_on,
    equation,
    initial_values,
    interior_coefficients,
)  # fmt: skip
from pinnkit.geometry import Interval, Rectangle
from pinnkit.operators import derivative, diffusion, div, grad, laplacian, normal_derivative
from pinnkit.problem import Condition, Problem, Unknown, dirichlet, initial, neumann, pde, periodic, robin

POINTS = np.random.default_rng(0).uniform(0.1, 0.9, (11, 2))
X, Y = POINTS.T
ZERO, ONE = np.zeros(11), np.ones(11)
EYE = np.broadcast_to(np.eye(2), (11, 2, 2))
MATRIX = torch.tensor([[2.0, 0.5], [0.5, 1.0]], dtype=torch.float64)


def skew(u, x, y):
    """∇·(A∇u) with A = ((1 + x, xy), (xy, 2 + y))."""
    a, b = derivative(u, x), derivative(u, y)
    return div(((1 + x) * a + x * y * b, x * y * a + (2 + y) * b), x, y)


# residual, A, b, c, f
EQUATIONS = {
    "laplace": (lambda u, x, y: -laplacian(u, x, y), EYE, (ZERO, ZERO), ZERO, ZERO),
    "source": (lambda u, x, y: -laplacian(u, x, y) - sin(x) * y, EYE, (ZERO, ZERO), ZERO, np.sin(X) * Y),
    "wrong sign": (lambda u, x, y: laplacian(u, x, y) + 3 * u + y, EYE, (ZERO, ZERO), -3 * ONE, Y),
    "variable k": (lambda u, x, y: -diffusion(1 + x * y**2, u, x, y) - 1, (1 + X * Y**2)[:, None, None] * EYE,
                   (ZERO, ZERO), ZERO, ONE),
    "not in divergence form": (lambda u, x, y: -(1 + x**2) * laplacian(u, x, y), (1 + X**2)[:, None, None] * EYE,
                               (2 * X, ZERO), ZERO, ZERO),
    "convection": (lambda u, x, y: -laplacian(u, x, y) + 3 * derivative(u, x) - x * derivative(u, y), EYE,
                   (3 * ONE, -X), ZERO, ZERO),
    "conservative convection": (lambda u, x, y: -laplacian(u, x, y) + div((x * u, y**2 * u), x, y), EYE,
                                (X, Y**2), 1 + 2 * Y, ZERO),
    "reaction": (lambda u, x, y: -0.1 * laplacian(u, x, y) + exp(x) * u - 2, 0.1 * EYE, (ZERO, ZERO),
                 np.exp(X), 2 * ONE),
    "matrix": (lambda u, x, y: -diffusion(MATRIX, u, x, y), np.broadcast_to(MATRIX.numpy(), (11, 2, 2)),
               (ZERO, ZERO), ZERO, ZERO),
    "variable matrix": (lambda u, x, y: -skew(u, x, y),
                        np.stack([np.stack([1 + X, X * Y], 1), np.stack([X * Y, 2 + Y], 1)], 1),
                        (ZERO, ZERO), ZERO, ZERO),
    "mixed derivative": (lambda u, x, y: -laplacian(u, x, y) - derivative(u, x, y),
                         np.broadcast_to([[1, 0.5], [0.5, 1]], (11, 2, 2)), (ZERO, ZERO), ZERO, ZERO),
    "scaled": (lambda u, x, y: -7 * (diffusion(2.0, u, x, y) + y), 14 * EYE, (ZERO, ZERO), ZERO, 7 * Y),
}  # fmt: skip


def square(residual, **conditions: Condition) -> Problem:
    return Problem(Rectangle(), {"equation": pde(residual), **conditions})


@pytest.mark.parametrize("name", EQUATIONS)
def test_the_equation(name: str) -> None:
    residual, a, b, c, f = EQUATIONS[name]
    found = interior_coefficients(square(residual), POINTS)
    exact = {"rtol": 1e-13, "atol": 1e-13}
    np.testing.assert_allclose(found.diffusion, a, **exact)
    np.testing.assert_allclose(found.convection, np.stack(b, 1), **exact)
    np.testing.assert_allclose(found.reaction, c, **exact)
    np.testing.assert_allclose(found.source, f, **exact)
    np.testing.assert_allclose(found.capacity, ZERO, **exact)


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_the_heat_equation_in_time(sign: float) -> None:
    def heat(u, x, t):
        return sign * ((2 + x) * derivative(u, t) - diffusion(1 + x * t, u, x) - sin(t))

    problem = Problem(Interval() * (0.0, 1.0), {"heat": pde(heat), "start": initial(lambda x: 3 * x**2)})
    found = interior_coefficients(problem, POINTS)  # x, t
    np.testing.assert_allclose(found.diffusion[:, 0, 0], 1 + X * Y, rtol=1e-14)
    np.testing.assert_allclose(found.convection, ZERO[:, None], atol=1e-14)
    np.testing.assert_allclose(found.capacity, 2 + X, rtol=1e-14)
    np.testing.assert_allclose(found.source, np.sin(Y), rtol=1e-14)
    np.testing.assert_allclose(initial_values(problem, POINTS[:, :1]), 3 * X**2, rtol=1e-14)


def test_known_and_guessed_coefficients_keep_all_their_digits() -> None:
    problem = replace(PROBLEMS["inverse"](), unknowns={"k": Unknown(9.0, true=0.1), "c": Unknown(0.7)})
    found = interior_coefficients(problem, POINTS)
    np.testing.assert_allclose(found.diffusion, 0.1 * EYE, rtol=1e-15)
    np.testing.assert_allclose(found.reaction, 0.7, rtol=1e-15)


def conductivity(x, y):
    return 2 + x * y


RIGHT = np.column_stack([np.ones(5), np.linspace(0.1, 0.9, 5)])
OUTWARD = np.broadcast_to([1.0, 0.0], (5, 2))
K = 2 + RIGHT[:, 1]


@pytest.mark.parametrize(
    ("condition", "alpha", "beta", "g"),
    [
        (dirichlet("right", lambda y: 3 * y), 1.0, 0.0, 3 * RIGHT[:, 1]),
        (neumann("right", 5.0, conductivity), 0.0, 1.0, -5.0),  # k ∂u/∂n = −flux
        (robin("right", 4.0, 20.0, conductivity), 4.0, 1.0, 80.0),  # k ∂u/∂n + h u = h ambient
        (neumann("right", lambda y: y), 0.0, 1 / K, -RIGHT[:, 1]),  # written with k = 1
        (Condition(lambda u, x, y, normal: 2 * normal_derivative(u, normal, x, y) - 3 * u + 1, "right"), 3, -2 / K, 1),
    ],
    ids=["dirichlet", "neumann", "robin", "neumann without k", "mixed"],
)  # fmt: skip
def test_boundary_conditions_up_to_a_factor(condition: Condition, alpha, beta, g) -> None:
    problem = square(lambda u, x, y: -diffusion(conductivity(x, y), u, x, y), side=condition)
    found = boundary_coefficients(problem, "side", RIGHT, OUTWARD)
    wanted = np.stack([np.broadcast_to(np.asarray(part, float), 5) for part in (alpha, beta, g)])
    largest = np.abs(wanted[:2]).argmax(0), np.arange(5)
    factor = np.stack(found)[largest] / wanted[largest]
    np.testing.assert_allclose(np.stack(found), factor * wanted, rtol=1e-13, atol=1e-13)


def test_the_conormal_of_a_matrix() -> None:
    """n·A∇u = g is natural for ∇·(A∇u), n·∇u = g is not."""
    def flux(u, x, y, normal):
        return (normal * (MATRIX @ grad(u, x, y))).sum(0) - 7

    problem = square(
        lambda u, x, y: -diffusion(MATRIX, u, x, y), flux=Condition(flux, "right"), slope=neumann("right", 7.0)
    )
    found = boundary_coefficients(problem, "flux", RIGHT, OUTWARD)
    assert_close(torch.tensor(found.beta), torch.ones(5, dtype=torch.float64))
    np.testing.assert_allclose(found.g, 7.0)
    with pytest.raises(NotSecondOrder, match="'slope' has a derivative that is not along the conormal"):
        boundary_coefficients(problem, "slope", RIGHT, OUTWARD)


@pytest.mark.parametrize(
    ("residual", "reason"),
    [
        (lambda u, x, y: -laplacian(u, x, y) + u**2, "not linear"),
        (lambda u, x, y: -diffusion(1 + u, u, x, y), "not linear"),
        (lambda u, x, y: u * derivative(u, x) - laplacian(u, x, y), "not linear"),
        (lambda u, x, y: laplacian(laplacian(u, x, y), x, y), "order 3"),
        (lambda u, x, y: derivative(u, x, x, y), "order 3"),
        (lambda u, x, y: (u - x, u - y), "2 equations"),
        (lambda u, x, y: torch.ones(len(x), dtype=torch.float64), "does not depend on 'u'"),
    ],
    ids=["u²", "k(u)", "burgers", "biharmonic", "third order", "system", "constant"],
)  # fmt: skip
def test_other_equations_are_refused(residual, reason: str) -> None:
    with pytest.raises(NotSecondOrder, match=reason):
        interior_coefficients(square(residual), POINTS)


@pytest.mark.parametrize(
    "in_time", [lambda u, x, t: derivative(u, t, t), lambda u, x, t: derivative(u, x, t)], ids=["u_tt", "u_xt"]
)
def test_waves_are_refused(in_time) -> None:
    def residual(u, x, t):
        return in_time(u, x, t) - derivative(u, x, x)

    with pytest.raises(NotSecondOrder, match="derivatives in time beyond u_t"):
        interior_coefficients(Problem(Interval() * (0.0, 1.0), {"wave": pde(residual)}), POINTS)


def test_several_fields_and_several_equations_are_refused() -> None:
    with pytest.raises(NotSecondOrder, match="2 fields"):
        interior_coefficients(PROBLEMS["two_fields"](), POINTS)
    two = square(EQUATIONS["laplace"][0], other=pde(lambda u: u))
    with pytest.raises(NotSecondOrder, match="2 equations in the interior"):
        equation(two)
    assert equation(PROBLEMS["variable"]()) == "heat"


@pytest.mark.parametrize(
    "residual",
    [lambda u, x, y: derivative(u, x, x), lambda u, x, y: u**2 - 1, lambda u, x, y: derivative(u, y) + u],
    ids=["second derivative", "radiation", "tangential"],
)
def test_other_boundary_conditions_are_refused(residual) -> None:
    problem = square(EQUATIONS["laplace"][0], side=Condition(residual, "right"))
    with pytest.raises(NotSecondOrder):
        boundary_coefficients(problem, "side", RIGHT, OUTWARD)


def test_which_condition_holds_on_a_piece() -> None:
    problem = square(
        EQUATIONS["laplace"][0], cold=dirichlet(("left", "top")), warm=neumann("left"), seam=periodic("bottom", "top")
    )
    assert conditions_on(problem, "left") == ["cold", "warm"]
    assert condition_on(problem, "right") is None and condition_on(problem, "top") == "cold"
    for piece in ("left", "bottom"):
        with pytest.raises(NotSecondOrder, match="not a single pointwise one"):
            condition_on(problem, piece)


def test_initial_values_must_be_values() -> None:
    problem = PROBLEMS["transient"]()
    conditions = dict(problem.conditions)
    conditions["start"] = Condition(lambda u, x: 2 * u - 6 * x, "initial")
    found = initial_values(replace(problem, conditions=conditions), POINTS[:, :1])
    np.testing.assert_allclose(found, 3 * X, rtol=1e-14)
    conditions["start"] = Condition(lambda u, x: derivative(u, x), "initial")
    with pytest.raises(NotSecondOrder, match="has derivatives"):
        initial_values(replace(problem, conditions=conditions), POINTS[:, :1])
    del conditions["start"]
    with pytest.raises(NotSecondOrder, match="no initial condition"):
        initial_values(replace(problem, conditions=conditions), POINTS[:, :1])
