"""A curve from values of three costs

f(x) = (6x − 2)² sin(12x − 4)               dear, at x = 0, 0.4, 0.6, 1
h(x) = 3/4 f(x) + 5 (x − 1/2) − 2           between, at x = 0, 0.2, …, 1
g(x) = f(x)/2 + 10 (x − 1/2) − 5            cheap, at x = 0, 0.05, …, 1
"""

import numpy as np

from pinnkit import Fidelities, Fidelity


def problem() -> Fidelities:
    def dear(x):
        return (6 * x - 2) ** 2 * np.sin(12 * x - 4)

    def between(x):
        return 3 / 4 * dear(x) + 5 * (x - 1 / 2) - 2

    def cheap(x):
        return dear(x) / 2 + 10 * (x - 1 / 2) - 5

    fine, medium, coarse = np.array([0, 0.4, 0.6, 1]), np.linspace(0, 1, 6), np.linspace(0, 1, 21)
    return Fidelities(
        levels=(
            Fidelity(coarse, cheap(coarse), cost=1.0),
            Fidelity(medium, between(medium), cost=3.0),
            Fidelity(fine, dear(fine), cost=10.0),
        ),
        bounds=[0, 1],
        exact=dear,
    )
