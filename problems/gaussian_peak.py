"""A narrow peak: Poisson's equation on a square, with an exact solution

−Δu = 4s (1 − s r²) exp(−s r²)   in (−1, 1)², r² = x² + y²,        u = exp(−s r²)   on the boundary

u = exp(−s r²), with s the `sharpness`
"""

from torch import exp

from pinnkit import Problem, Rectangle, dirichlet, laplacian, pde


def problem(sharpness: float = 50.0) -> Problem:
    s = sharpness

    def exact(x, y):
        return exp(-s * (x**2 + y**2))

    def poisson(u, x, y):
        return -laplacian(u, x, y) - 4 * s * (1 - s * (x**2 + y**2)) * exact(x, y)

    return Problem(
        domain=Rectangle((-1, -1), (1, 1)),
        conditions={"poisson": pde(poisson), "wall": dirichlet("boundary", exact)},
        exact=exact,
    )
