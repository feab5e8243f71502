"""Steady heat conduction with an edge that is known from a cheap model, and from a few thermometers

    −∇·(k ∇u) = 0,   k = exp(grading y)        in Ω, a plate with its upper edge at y = 1
    −k ∂u/∂n = 0                               on its sides, x = 0 and x = 1
    u = measured all along                     on its other edges
    u(xᵢ, yᵢ) = measured value                 at `sensors` points less than `depth` below the upper edge,
                                               with noise of standard deviation `noise` · std(u)

On the upper edge nothing is known but what a cheap model says, which has a constant conductivity, a coarse resolution,
and burners of nominal strength:

    −Δu = 0,   u = g(x) = Σ 100 sⱼ exp(−((x − cⱼ)/width)²) on the upper edge        (as its cosine series)

In truth the burners are `strength` times as strong, and there is a `drift` cos(πx). The truth is exact on any Ω:

    u = Σ aₘ exp(μₘ (y − 1)) cos(mπx),      μₘ² + grading μₘ = (mπ)²

`shape` is square, lshape, or house (a pentagon with a hole), `low` elements (quartic, `resolution` across the plate),
or network (of `resolution` polynomials).
"""

from math import pi, sqrt

import numpy as np
import torch

from pinnkit import (
    BadInput,
    LowFidelity,
    Polygon,
    Problem,
    dirichlet,
    div,
    grad,
    laplacian,
    measured,
    neumann,
    pde,
)

SHAPES = {  # vertices, the last two those of the upper edge; a hole
    "square": ([(0, 0), (1, 0), (1, 1), (0, 1)],),
    "lshape": ([(0, 0), (0.5, 0), (0.5, 0.5), (1, 0.5), (1, 1), (0, 1)],),
    "house": ([(0, 0.3), (0.5, 0), (1, 0.3), (1, 1), (0, 1)], [(0.35, 0.35), (0.6, 0.3), (0.55, 0.5)]),
}
STRENGTHS, CENTRES, WAVES = np.array([1.0, 1.6, 0.8]), np.array([0.2, 0.45, 0.75]), np.arange(14.0)


def problem(
    shape: str = "lshape",
    low: str = "elements",
    resolution: int = 8,
    strength: float = 1.3,
    drift: float = 10.0,
    width: float = 0.1,
    grading: float = 0.5,
    sensors: int = 10,
    depth: float = 0.3,
    noise: float = 0.001,
    noise_seed: int = 0,
) -> Problem:
    if shape not in SHAPES:
        raise BadInput("problem.shape", f"unknown shape {shape!r}", f"choose from {', '.join(SHAPES)}")
    if sensors < 1:
        raise BadInput("problem.sensors", f"there are {sensors}", "take at least one")
    if not 0.1 <= depth <= 1:
        raise BadInput("problem.depth", f"it is {depth:g}", "it must be from 0.1 to 1")
    bumps = np.exp(-((WAVES[:, None] * pi * width / 2) ** 2)) * np.cos(pi * WAVES[:, None] * CENTRES)
    nominal = torch.from_numpy(100 * sqrt(pi) * width * (2 - (WAVES == 0)) * (bumps @ STRENGTHS))
    true = strength * nominal + drift * torch.from_numpy((WAVES == 1) * 1.0)
    m = pi * torch.from_numpy(WAVES)
    growth = torch.sqrt(grading**2 / 4 + m**2) - grading / 2

    def series(a, x, y):
        return (a * torch.exp(growth * (y[:, None] - 1)) * torch.cos(m * x[:, None])).sum(-1)

    def exact(x, y):
        return series(true, x, y)

    def k(y):
        return torch.exp(grading * y)

    def heat(u, x, y):
        return -div(k(y) * grad(u, x, y), x, y)

    domain = plate(*SHAPES[shape])

    rng = np.random.default_rng([noise_seed, 1])
    points = domain.sample(100 * sensors, "halton", rng)
    points = points[points[:, 1] > 1 - depth][:sensors]
    size = noise * float(exact(*torch.from_numpy(domain.sample(2000, "uniform", rng).T)).std())
    values = exact(*torch.from_numpy(points.T)).numpy() + size * rng.normal(size=sensors)
    cheap = Problem(
        domain,
        conditions={
            "heat": pde(lambda u, x, y: -laplacian(u, x, y)),
            "sides": neumann("sides"),
            "walls": dirichlet("walls", exact),
            "burners": dirichlet("top", lambda x, y: series(nominal, x, y)),
        },
    )
    return Problem(
        domain=domain,
        conditions={
            "heat": pde(heat),
            "sides": neumann("sides", conductivity=k),
            "walls": dirichlet("walls", exact),
            "sensors": measured(points, values, size or None),
        },
        free=("top",),
        low_fidelity=LowFidelity(cheap, by=low, resolution=resolution, cost=10.0),
        exact=exact,
    )


def plate(vertices, *holes):
    """The polygon with the groups top, sides and walls."""
    n = len(vertices)
    sides = [f"edge_{i}" for i in range(n) if vertices[i][0] == vertices[(i + 1) % n][0] in (0, 1)]
    walls = {f"edge_{i}" for i in range(n - 2)} - {*sides} | {f"hole_{j}" for j in range(len(holes))}
    return Polygon(vertices, holes, {"top": [f"edge_{n - 2}"], "sides": sides, "walls": sorted(walls)})
