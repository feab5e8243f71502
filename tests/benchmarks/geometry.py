"""How fast points are sampled in a polygon of a thousand vertices with holes.

    python tests/benchmarks/geometry.py [--repeats N]

The bar is 0.1 s for 100,000 interior points and 10,000 boundary points with normals, the polygon prepared anew.
Prints a Markdown table of medians in milliseconds.
"""

import argparse
import time
from statistics import median

import numpy as np

from pinnkit import Polygon
from pinnkit.geometry.sampling import METHODS

INTERIOR, BOUNDARY = 100_000, 10_000


def ring(x: float, y: float, radius: float, vertices: int) -> np.ndarray:
    """A star-shaped ring with a wavy radius."""
    angle = np.linspace(0, 2 * np.pi, vertices, endpoint=False)
    r = radius * (1 + 0.2 * np.sin(9 * angle))
    return np.column_stack([x + r * np.cos(angle), y + r * np.sin(angle)])


def plate() -> Polygon:
    """1000 vertices, four holes."""
    holes = [ring(x, y, 0.12, 100) for x in (-0.3, 0.3) for y in (-0.3, 0.3)]
    return Polygon(ring(0, 0, 1.0, 600), holes)


def timed(method: str, seed: int) -> tuple[float, float, float]:
    """Milliseconds to make the polygon, to sample its interior, and its boundary."""
    rng, moments = np.random.default_rng(seed), [time.perf_counter()]
    polygon = plate()
    moments.append(time.perf_counter())
    inside = polygon.sample(INTERIOR, method, rng)
    moments.append(time.perf_counter())
    boundary = polygon.sample_boundary(BOUNDARY, "boundary", method, rng)
    moments.append(time.perf_counter())
    assert inside.shape == (INTERIOR, 2) and boundary.normals.shape == (BOUNDARY, 2)
    making, sampling, edges = (1e3 * np.diff(moments)).tolist()
    return making, sampling, edges


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=9)
    repeats = parser.parse_args().repeats
    print("| method | polygon, ms | interior, ms | boundary, ms | together, ms |\n|---|---|---|---|---|")
    for method in METHODS:
        parts = [timed(method, seed) for seed in range(repeats)]
        making, inside, edges = (median(part) for part in zip(*parts, strict=True))
        print(f"| {method} | {making:.0f} | {inside:.0f} | {edges:.0f} | {median(map(sum, parts)):.0f} |", flush=True)


if __name__ == "__main__":
    main()
