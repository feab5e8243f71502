"""Steady heat conduction in a rectangular plate

    −∇·(k ∇u) = f                         in Ω = (0, width) × (0, height)
    u = hot                               on the left edge
    u = cold                              on the right edge
    −k ∂u/∂n = 0                          on the bottom edge (insulated)
    −k ∂u/∂n = h (u − ambient)            on the top edge (convection)

The heat that leaves through the top at once beside the hot edge makes u behave like r log r in that corner.
"""

from pinnkit import Problem, Rectangle, dirichlet, div, grad, neumann, pde, robin


def problem(
    conductivity: float = 1.0,
    source: float = 0.0,
    hot: float = 80.0,
    cold: float = 20.0,
    ambient: float = 20.0,
    transfer: float = 2.0,
    width: float = 2.0,
    height: float = 1.0,
) -> Problem:
    k, f = conductivity, source

    def heat(u, x, y):
        return -div(k * grad(u, x, y), x, y) - f

    return Problem(
        domain=Rectangle((0, 0), (width, height)),
        conditions={
            "heat": pde(heat),
            "hot": dirichlet("left", hot),
            "cold": dirichlet("right", cold),
            "insulated": neumann("bottom", 0.0, conductivity=k),
            "convection": robin("top", transfer, ambient, conductivity=k),
        },
    )
