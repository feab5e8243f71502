"""A nonlinear Poisson equation on the unit square, with an exact solution

−Δu + u³ = f   in (0, 1)²,        u = 0   on the boundary

f is such that u = sin(πx) sin(πy)
"""

from math import pi

from torch import sin

from pinnkit import Problem, Rectangle, dirichlet, laplacian, pde


def problem() -> Problem:
    def exact(x, y):
        return sin(pi * x) * sin(pi * y)

    def poisson(u, x, y):
        f = 2 * pi**2 * exact(x, y) + exact(x, y) ** 3
        return -laplacian(u, x, y) + u**3 - f

    return Problem(
        domain=Rectangle((0, 0), (1, 1)),
        conditions={"poisson": pde(poisson), "wall": dirichlet("boundary", 0.0)},
        exact=exact,
    )
