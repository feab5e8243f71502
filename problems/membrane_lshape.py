"""Vibration of a membrane in the shape of an L

−Δu = λ u   in (−1, 1)² without {x > 0, y < 0},        u = 0   on the boundary

The smallest eigenvalues are 9.63972384402194, 15.19725192645431, 2π², … (Betcke & Trefethen 2005).
"""

from pinnkit import LShape, Problem, dirichlet, laplacian, pde


def problem(modes: int = 3) -> Problem:
    def membrane(u, x, y, eigenvalue):
        return -laplacian(u, x, y) - eigenvalue * u

    return Problem(
        domain=LShape(),
        conditions={"membrane": pde(membrane), "rim": dirichlet("boundary", 0.0)},
        modes=modes,
    )
