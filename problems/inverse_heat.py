"""Finding a conductivity from noisy temperature sensors

    −∇·(k ∇u) = f(x, y)        in Ω = (0, 1)², k > 0 unknown,       f = source · 2π² sin(πx) sin(πy)
    u = 0                      on the boundary
    u(xᵢ, yᵢ) = measured value at `sensors` points, with noise of standard deviation `noise` · max|u|

The measurements are drawn with conductivity `truth`, for which u = (source/truth) sin(πx) sin(πy).
`data` names a CSV file with columns x, y, value to be used instead of drawn measurements.
"""

from math import pi

import numpy as np
from torch import sin

from pinnkit import Problem, Rectangle, Unknown, dirichlet, div, grad, measured, pde, read_csv


def problem(
    truth: float = 2.5,
    guess: float = 1.0,
    source: float = 10.0,
    sensors: int = 50,
    noise: float = 0.01,
    noise_seed: int = 0,
    data: str | None = None,
) -> Problem:
    def shape(x, y):
        return sin(pi * x) * sin(pi * y)

    def heat(u, x, y, k):
        return -div(k * grad(u, x, y), x, y) - source * 2 * pi**2 * shape(x, y)

    if data is None:
        rng = np.random.default_rng(noise_seed)
        points = rng.random((sensors, 2))
        clean = source / truth * np.sin(pi * points[:, 0]) * np.sin(pi * points[:, 1])
        values = clean + noise * source / truth * rng.standard_normal(sensors)
    else:
        points, values = read_csv(data, ("x", "y"), "value")

    return Problem(
        domain=Rectangle((0, 0), (1, 1)),
        conditions={
            "heat": pde(heat),
            "wall": dirichlet("boundary", 0.0),
            "sensors": measured(points, values),
        },
        unknowns={"k": Unknown(initial=guess, positive=True, true=truth if data is None else None)},
        exact=(lambda x, y: source / truth * shape(x, y)) if data is None else None,
    )
