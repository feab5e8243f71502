"""Cooling of a rod whose ends are kept at zero, with an exact solution

    ∂u/∂t = κ ∂²u/∂x²       in (0, 1) × (0, duration)
    u = sin(πx)             at t = 0
    u = 0                   at both ends

u = exp(−κπ²t) sin(πx)
"""

from math import pi

from torch import exp, sin

from pinnkit import Interval, Problem, derivative, dirichlet, initial, pde


def problem(diffusivity: float = 0.25, duration: float = 1.0) -> Problem:
    def heat(u, x, t):
        return derivative(u, t) - diffusivity * derivative(u, x, x)

    return Problem(
        domain=Interval(0, 1) * (0.0, duration),
        conditions={
            "heat": pde(heat),
            "start": initial(lambda x: sin(pi * x)),
            "ends": dirichlet("boundary", 0.0),
        },
        exact=lambda x, t: exp(-diffusivity * pi**2 * t) * sin(pi * x),
    )
