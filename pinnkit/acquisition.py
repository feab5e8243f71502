"""Where to measure next: the points that take most from a committee's disagreement.

Greedily, the point of largest variance is taken and the members' covariance conditioned on a measurement there,
C ← C − c cᵀ / (c_k + σ²), so that the next point is not its neighbour (uncertainty sampling with a Gaussian model; cf.
Krause, Singh & Guestrin 2008, *Near-optimal sensor placements in Gaussian processes*).
"""

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def most_informative(values: Array, count: int, noise: float = 0.0) -> NDArray[np.intp]:
    """Indices (≤ count,) of candidates, from what the members (N, n) say there; `noise` is a measurement's deviation.

    Fewer are given where the members agree everywhere once those are known; with much noise a point may come again.
    """
    deviations = (values - values.mean(0)) / np.sqrt(len(values) - 1)
    start, chosen = float(deviations.var(0).max()), []
    for _ in range(min(count, values.shape[1])):
        variances = np.square(deviations).sum(0)
        k = int(variances.argmax())
        if variances[k] <= 1e-9 * start:
            break
        chosen.append(k)
        seen = deviations[:, k] / np.sqrt(variances[k])
        left = 1 - np.sqrt(noise**2 / (variances[k] + noise**2))  # of the square root of I − c cᵀ/(c + σ²)
        deviations = deviations - left * np.outer(seen, seen @ deviations)
    return np.array(chosen, dtype=np.intp)
