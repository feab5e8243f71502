"""Poisson's equation on the unit square, with an exact solution

−Δu = 2π² sin(πx) sin(πy)   in (0, 1)²,        u = 0   on the boundary

u = sin(πx) sin(πy)
"""

from math import pi

from torch import sin

from pinnkit import Problem, Rectangle, dirichlet, laplacian, pde


def problem() -> Problem:
    def poisson(u, x, y):
        return -laplacian(u, x, y) - 2 * pi**2 * sin(pi * x) * sin(pi * y)

    return Problem(
        domain=Rectangle((0, 0), (1, 1)),
        conditions={"poisson": pde(poisson), "wall": dirichlet("boundary", 0.0)},
        exact=lambda x, y: sin(pi * x) * sin(pi * y),
    )
