"""Small runs, so that whole ones can be tested in a fraction of a second each."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

SMALL: dict[str, Any] = {
    "sampling": {"interior": 200, "boundary": 80, "corner": 0},
    "network": {"layers": [32], "polynomials": 0, "corners": False},
    "optimizer": "least_squares",
    "evaluation": {"points": 2000},
}
TINY: dict[str, Any] = {  # steps are few, and no clock decides how many: for transfers, of which each has six arms
    "sampling": {"interior": 200, "boundary": 80, "corner": 0},
    "network": {"layers": [8], "polynomials": 0, "corners": False},
    "training": {"max_steps": 3, "max_seconds": 600.0},
    "evaluation": {"points": 500},
}
PRETRAIN: dict[str, Any] = {"name": "pretrain", "polynomials": 60, "features": 20, "heads": 40}
COMMAND = (
    "sampling.interior=200", "sampling.boundary=80", "sampling.corner=0", "network.layers=[32]", 
    "network.polynomials=20", "network.corners=false", "evaluation.points=2000",
)  # fmt: skip

FILES = {
    "checkpoints/last.pt", "history.csv", "metrics.json", "report.html", "solution.npz", "solution.vtu", "status.json",
    "plots/solution.png", "plots/error.png", "plots/residual.png", "plots/loss.png", "plots/points.png",
}  # fmt: skip

REACTION = '''"""Diffusion with reaction

−∇·(k ∇u) + u = (1 + 2π² k) sin(πx) sin(πy)   in (0, 1)²,     u = 0   on the boundary
"""

from math import pi

from torch import sin

from pinnkit import Problem, Rectangle, dirichlet, div, grad, pde


def problem(k: float = 1.0, label: str | None = None) -> Problem:
    def shape(x, y):
        return sin(pi * x) * sin(pi * y)

    def reaction(u, x, y):
        return -div(k * grad(u, x, y), x, y) + u - (1 + 2 * pi**2 * k) * shape(x, y)

    conditions = {"reaction": pde(reaction), "wall": dirichlet("boundary")}
    return Problem(Rectangle((0, 0), (1, 1)), conditions, exact=shape)
'''

BLOWS_UP = '''"""An equation that leaves the finite numbers once u is above 1/700"""

from torch import exp

from pinnkit import Problem, Rectangle, dirichlet, laplacian, pde


def problem() -> Problem:
    def explosion(u, x, y):
        return -laplacian(u, x, y) - exp(exp(700 * u)) + 1

    return Problem(Rectangle((0, 0), (1, 1)), {"explosion": pde(explosion), "wall": dirichlet("boundary", 1.0)})
'''


def left_in(folder: Path) -> set[str]:
    """The files in a folder, by their paths relative to it."""
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def grid(n: int = 9) -> NDArray[np.float64]:
    """Points (n², 2) of the open unit square."""
    axis = (np.arange(n) + 0.5) / n
    return np.stack(np.meshgrid(axis, axis, indexing="ij"), -1).reshape(-1, 2)
