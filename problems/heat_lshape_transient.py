"""Heating of an L-shaped plate, from its first moment towards the steady state

    ∂u/∂t = ∇·(k ∇u) + f                  in Ω × (0, duration), Ω = (−1, 1)² without {x > 0, y < 0}
    u = ambient                           at t = 0
    u = ambient + (hot − ambient) s(t)    on the bottom edge, with s(t) = 1 − (1 + t/τ) exp(−t/τ)
    u = cold                              on the right edge
    −k ∂u/∂n = 0                          on the left edge and on both edges of the notch (insulated)
    −k ∂u/∂n = h (u − ambient)            on the top edge (convection)

k is the diffusivity; heat capacity per volume is 1.
"""

from torch import exp

from pinnkit import LShape, Problem, derivative, dirichlet, div, grad, initial, neumann, pde, robin


def problem(
    conductivity: float = 1.0,
    source: float = 0.0,
    hot: float = 80.0,
    cold: float = 20.0,
    ambient: float = 20.0,
    transfer: float = 2.0,
    rise: float = 0.2,
    duration: float = 1.0,
    size: float = 1.0,
) -> Problem:
    k, f = conductivity, source

    def heat(u, x, y, t):
        return derivative(u, t) - div(k * grad(u, x, y), x, y) - f

    def heater(t):
        return ambient + (hot - ambient) * (1 - (1 + t / rise) * exp(-t / rise))

    return Problem(
        domain=LShape(size) * (0.0, duration),
        conditions={
            "heat": pde(heat),
            "start": initial(ambient),
            "hot": dirichlet("bottom", heater),
            "cold": dirichlet("right", cold),
            "insulated": neumann(("left", "notch_vertical", "notch_horizontal"), 0.0, conductivity=k),
            "convection": robin("top", transfer, ambient, conductivity=k),
        },
    )
