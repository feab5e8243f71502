"""Small problems and trial functions on which the numerical core is tested."""

from collections.abc import Callable
from math import pi
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, cos, exp, nn, sin

from pinnkit.collocation import Amounts, collocate
from pinnkit.geometry import Interval, LShape, Rectangle
from pinnkit.networks import MLP
from pinnkit.operators import derivative, div, grad, laplacian
from pinnkit.problem import Condition, Problem, Unknown, dirichlet, initial, measured, neumann, pde, periodic, robin
from pinnkit.residuals import Residuals
from pinnkit.trial import Enrichment, Trial, TrialShape

Array = NDArray[np.float64]


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def randn(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=generator(seed), dtype=torch.float64)


def coordinates(d: int, n: int = 7, seed: int = 0) -> tuple[Tensor, ...]:
    """d coordinates of n points in (0, 1)ᵈ, to be differentiated by."""
    points = torch.rand(d, n, generator=generator(seed), dtype=torch.float64)
    return tuple(x.clone().requires_grad_() for x in points)


class Plain(nn.Module):
    """Any module of a user's: it knows nothing of derivatives, and wants a batch of points (n, d)."""

    def __init__(self, features: nn.Module) -> None:
        super().__init__()
        self.features = features

    def forward(self, x: Tensor) -> Tensor:
        return self.features(torch.stack([x[:, i] for i in range(x.shape[1])], 1))


def trial_of(problem: Problem, features: nn.Module | None = None, enrichment: Enrichment | None = None) -> Trial:
    bounds = tuple(map(tuple, problem.domain.bounds.tolist()))
    unknowns = {name: unknown.raw() for name, unknown in problem.unknowns.items()}
    shape = TrialShape(problem.coordinates, problem.fields, bounds, unknowns)
    return Trial(features or MLP(len(problem.coordinates), (5, 4), "tanh", 1.5, generator()), shape, enrichment)


def residuals_of(
    problem: Problem, features: nn.Module | None = None, enrichment: Enrichment | None = None, points: int = 12
) -> Residuals:
    """Residuals at few points, graded ones among them where the problem has singular corners."""
    drawn = collocate(problem, "sobol", Amounts(points, points, 2), seed=0)
    return Residuals(problem, trial_of(problem, features, enrichment), drawn)


def heat(k: Callable[..., Any], source: float = 1.0) -> Condition:
    def residual(u, x, y):
        return -div(k(u, x, y) * grad(u, x, y), x, y) - source

    return pde(residual)


def poisson(weight: float = 1.0) -> Problem:
    """−Δu = 2π² sin πx sin πy on the unit square; u = sin πx sin πy."""

    def residual(u, x, y):
        return -laplacian(u, x, y) - 2 * pi**2 * sin(pi * x) * sin(pi * y)

    conditions = {"poisson": pde(residual), "wall": dirichlet("boundary", weight=weight)}
    return Problem(Rectangle(), conditions, exact=lambda x, y: sin(pi * x) * sin(pi * y))


def laplace(size: float = 1.0, corner: float = 0.0) -> Problem:
    """u = exp(2x) cos(2y) on a square, with the values on its left edge and on the others as two conditions."""

    def exact(x, y):
        return exp(2 * x) * cos(2 * y)

    conditions = {
        "laplace": pde(lambda u, x, y: -laplacian(u, x, y)),
        "left": dirichlet("left", exact),
        "rest": dirichlet(("right", "top", "bottom"), exact),
    }
    return Problem(Rectangle((corner, corner), (corner + size, corner + size)), conditions, exact=exact)


def variable() -> Problem:
    conditions = {
        "heat": heat(lambda u, x, y: 1 + x * y),
        "fixed": dirichlet("left", lambda y: y * (1 - y)),
        "flux": neumann("right", 0.3, lambda x, y: 1 + x * y),
        "convection": robin(("top", "bottom"), 2.0, 1.0, lambda x, y: 1 + x * y),
    }
    return Problem(Rectangle((0, 0), (2, 1)), conditions)


def nonlinear() -> Problem:
    return Problem(Rectangle(), {"heat": heat(lambda u, x, y: 1 + u**2), "wall": dirichlet("boundary", lambda x: x)})


def transient() -> Problem:
    def residual(u, x, t):
        return derivative(u, t) - derivative((1 + x**2) * derivative(u, x), x) - sin(t)

    conditions = {"heat": pde(residual), "ends": dirichlet("boundary"), "start": initial(lambda x: sin(pi * x))}
    return Problem(Interval() * (0.0, 0.5), conditions)


def two_fields() -> Problem:
    """div and curl of (u, v) are given: two equations in one condition."""

    def residual(u, v, x, y):
        return div((u, v), x, y) - x, derivative(v, x) - derivative(u, y) - u * y

    conditions = {"div_curl": pde(residual), "u": dirichlet("left", exp(torch.tensor(1.0)).item()),
                  "v": dirichlet(("top", "bottom", "right"), lambda x: cos(x), field="v", weight=3.0)}  # fmt: skip
    return Problem(Rectangle(), conditions, fields=("u", "v"))


def periodic_strip() -> Problem:
    conditions = {"heat": heat(lambda u, x, y: 1.0), "walls": dirichlet(("top", "bottom")),
                  "seam": periodic("left", "right")}  # fmt: skip
    return Problem(Rectangle(), conditions)


def inverse() -> Problem:
    def residual(u, x, y, k, c):
        return -div(k * grad(u, x, y), x, y) + c * u - 1

    points = np.array([[0.2, 0.3], [0.5, 0.5], [0.9, 0.1]])
    conditions = {"heat": pde(residual), "wall": dirichlet("boundary"),
                  "sensors": measured(points, np.array([0.1, 0.2, 0.05]), np.array([0.1, 0.2, 0.4]))}  # fmt: skip
    return Problem(Rectangle(), conditions, unknowns={"k": Unknown(0.7, positive=True), "c": Unknown(-0.2)})


def l_shape() -> Problem:
    conditions = {"heat": heat(lambda u, x, y: 1.0), "cold": dirichlet(("notch_vertical", "bottom")),
                  "rest": neumann(("left", "right", "top", "notch_horizontal"))}  # fmt: skip
    return Problem(LShape(), conditions)


def l_shape_in_time() -> Problem:
    def residual(u, x, y, t):
        return derivative(u, t) - laplacian(u, x, y)

    conditions = {"heat": pde(residual), "cold": dirichlet("boundary"), "start": initial(lambda x, y: x * y)}
    return Problem(LShape() * (0.0, 1.0), conditions)


PROBLEMS: dict[str, Callable[[], Problem]] = {
    f.__name__: f
    for f in (poisson, variable, nonlinear, transient, two_fields, periodic_strip, inverse, l_shape, l_shape_in_time)
}
