"""A curve from four dear values and eleven cheap ones (Forrester, Sóbester & Keane 2007)

    f(x) = (6x − 2)² sin(12x − 4)               dear, at x = 0, 0.4, 0.6, 1
    g(x) = f(x)/2 + 10 (x − 1/2) − 5            cheap, at x = 0, 0.1, …, 1

`noise` is the standard deviation of all values. `data` names CSV files with columns x and value (and sigma), from the
cheapest to the dearest, to be used instead.
"""

import numpy as np

from pinnkit import Fidelities, Fidelity


def problem(noise: float = 0.0, noise_seed: int = 0, data: list[str] | None = None) -> Fidelities:
    if data:
        return Fidelities.from_csv(data)

    def dear(x):
        return (6 * x - 2) ** 2 * np.sin(12 * x - 4)

    def cheap(x):
        return dear(x) / 2 + 10 * (x - 1 / 2) - 5

    fine, coarse, rng = np.array([0, 0.4, 0.6, 1]), np.linspace(0, 1, 11), np.random.default_rng(noise_seed)
    return Fidelities(
        levels=(
            Fidelity(coarse, cheap(coarse) + noise * rng.normal(size=len(coarse)), noise, cost=1.0),
            Fidelity(fine, dear(fine) + noise * rng.normal(size=len(fine)), noise, cost=10.0),
        ),
        bounds=[0, 1],
        exact=dear,
    )
