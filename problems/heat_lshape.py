"""Steady heat conduction in an L-shaped plate

    −∇·(k ∇u) = f                         in Ω = (−1, 1)² without {x > 0, y < 0}
    u = hot                               on the bottom edge
    u = cold                              on the right edge
    −k ∂u/∂n = 0                          on the left edge and on both edges of the notch (insulated)
    −k ∂u/∂n = h (u − ambient)            on the top edge (convection)

The flux is crowded at the re-entrant corner (0, 0), where ∇u grows like r^(−1/3). With the default values u is a
temperature in °C: a plate heated from below, cooled on the right, with air above.
"""

from pinnkit import LShape, Problem, dirichlet, div, grad, neumann, pde, robin


def problem(
    conductivity: float = 1.0,
    source: float = 0.0,
    hot: float = 80.0,
    cold: float = 20.0,
    ambient: float = 20.0,
    transfer: float = 2.0,
    size: float = 1.0,
) -> Problem:
    k, f = conductivity, source

    def heat(u, x, y):
        return -div(k * grad(u, x, y), x, y) - f

    return Problem(
        domain=LShape(size),
        conditions={
            "heat": pde(heat),
            "hot": dirichlet("bottom", hot),
            "cold": dirichlet("right", cold),
            "insulated": neumann(("left", "notch_vertical", "notch_horizontal"), 0.0, conductivity=k),
            "convection": robin("top", transfer, ambient, conductivity=k),
        },
    )
