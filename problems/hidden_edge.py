"""Steady heat conduction with an edge that cannot be seen

    −Δu = 0                              in Ω = (0, 1)²
    u = 100 x                            on the edges left, right and bottom
    u(xᵢ, yᵢ) = measured value           at `sensors` points, with noise of standard deviation `noise` · std(u)

Nothing is known of the upper edge. The truth that sensors are drawn from is

    u = 100 (x + Σₖ cₖ sin(kπx) sinh(kπy) / sinh(kπ)),      k = 1 … 4,  cₖ normal with standard deviation 1/k

for the random number `truth`. Sensors are anywhere in the domain, or with `half=true` where x < 1/2 alone.
"""

from math import pi

import numpy as np
import torch

from pinnkit import Problem, Rectangle, dirichlet, laplacian, measured, pde


def problem(sensors: int = 20, noise: float = 0.01, noise_seed: int = 0, truth: int = 0, half: bool = False) -> Problem:
    modes = np.arange(1, 5)
    amplitudes = np.random.default_rng([truth, 0]).normal(size=len(modes)) / modes

    def exact(x, y):
        waves = [
            c * torch.sin(k * pi * x) * torch.sinh(k * pi * y) / np.sinh(k * pi)
            for k, c in zip(modes.tolist(), amplitudes.tolist(), strict=True)
        ]
        return 100 * (x + sum(waves))

    rng = np.random.default_rng([noise_seed, 1])
    domain = Rectangle((0, 0), (1, 1))
    size = float(exact(*torch.from_numpy(rng.random((2, 2000)))).std())
    points = rng.random((sensors, 2)) * (0.5 if half else 1.0, 1.0)
    values = exact(*torch.from_numpy(points.T)).numpy() + noise * size * rng.normal(size=sensors)

    return Problem(
        domain=domain,
        conditions={
            "heat": pde(lambda u, x, y: -laplacian(u, x, y)),
            "walls": dirichlet(["left", "right", "bottom"], lambda x: 100 * x),
            "sensors": measured(points, values, noise * size if noise > 0 else None),
        },
        free=("top",),
        exact=exact,
    )
