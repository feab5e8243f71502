"""Helmholtz's equation on a square, with an exact solution

Δu + k² u = q   in (−1, 1)²,        u = 0   on the boundary

q = (k² − π²(m² + n²)) u such that u = sin(mπx) sin(nπy), with `modes` = [m, n] and k the `wavenumber`
"""

from math import pi

from torch import sin

from pinnkit import Problem, Rectangle, dirichlet, laplacian, pde


def problem(modes: tuple[int, int] = (1, 4), wavenumber: float = 1.0) -> Problem:
    m, n = modes

    def exact(x, y):
        return sin(m * pi * x) * sin(n * pi * y)

    def helmholtz(u, x, y):
        q = (wavenumber**2 - pi**2 * (m**2 + n**2)) * exact(x, y)
        return laplacian(u, x, y) + wavenumber**2 * u - q

    return Problem(
        domain=Rectangle((-1, -1), (1, 1)),
        conditions={"helmholtz": pde(helmholtz), "wall": dirichlet("boundary", 0.0)},
        exact=exact,
    )
