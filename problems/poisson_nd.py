"""Poisson's equation in any number of dimensions, with an exact solution

−Δu = π² Σᵢ cos(πxᵢ)   in (0, 1)ᵈ,        u = Σᵢ cos(πxᵢ)   on the boundary

u = Σᵢ cos(πxᵢ)
"""

from math import pi

from torch import cos, stack

from pinnkit import Box, Problem, dirichlet, laplacian, pde


def problem(dimension: int = 5) -> Problem:
    def exact(space):
        return cos(pi * stack(space)).sum(0)

    def poisson(u, space):
        return -laplacian(u, *space) - pi**2 * exact(space)

    return Problem(
        domain=Box([0.0] * dimension, [1.0] * dimension),
        conditions={"poisson": pde(poisson), "wall": dirichlet("boundary", exact)},
        exact=exact,
    )
