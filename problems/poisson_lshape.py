"""Poisson's equation on the L-shape

−Δu = source   in (−1, 1)² without {x > 0, y < 0},        u = 0   on the boundary

There is no closed form; near the corner at the origin u = a r^(2/3) sin(2θ/3) + …, with a = 0.401931031014 for
source 1.
"""

from pinnkit import LShape, Problem, dirichlet, laplacian, pde


def problem(source: float = 1.0) -> Problem:
    def poisson(u, x, y):
        return -laplacian(u, x, y) - source

    return Problem(
        domain=LShape(),
        conditions={"poisson": pde(poisson), "wall": dirichlet("boundary", 0.0)},
    )
