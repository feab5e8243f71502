"""−Δu = 1, u = 0 on a polygon with twelve vertices, two re-entrant corners and a hole: how sure is the answer?

    python tests/benchmarks/random_polygon.py [--seeds N]

prints a Markdown table: the distance to adaptive finite elements with their own error, the distance to the spectral
reference with its own, and a bound on the error of the network itself by the maximum principle,

    max |e| ≤ max |u| on the boundary + R²/4 · max |Δu + 1| inside,        R the radius of a disc around the domain,

from many points that were not trained on (relative to max |u|).
"""

import argparse

import numpy as np

from pinnkit import Polygon, Problem, dirichlet, laplacian, pde, solve
from pinnkit.evaluation import relative_l2
from pinnkit.reference.derived import reference_for

VERTICES = [
    (0.0, 0.0), (0.9, -0.3), (1.9, -0.2), (2.5, 0.3), (2.6, 0.8), (1.9, 0.9),
    (2.4, 1.6), (1.9, 2.1), (1.2, 2.2), (0.5, 2.0), (0.6, 1.4), (-0.2, 0.9),
]  # fmt: skip
HOLE = [(0.9, 0.5), (1.4, 0.6), (1.3, 1.1), (0.9, 1.0)]


def problem() -> Problem:
    conditions = {"poisson": pde(lambda u, x, y: -laplacian(u, x, y) - 1), "wall": dirichlet("boundary", 0.0)}
    return Problem(Polygon(VERTICES, holes=[HOLE]), conditions, name="random_polygon")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=5)
    seeds = parser.parse_args().seeds
    posed, rng = problem(), np.random.default_rng(1)
    domain = posed.domain
    points, rim = domain.sample(20000, "uniform", rng), domain.sample_boundary(100_000, rng=rng).points
    radius = float(np.linalg.norm(np.ptp(domain.bounds, axis=0))) / 2
    references = {kind: reference_for(posed, kind, 1e-6, None) for kind in ("fem", "spectral")}
    print("| seed | finite elements, their error | distance | spectral, its error | distance | bound | seconds |")
    print("|---|---|---|---|---|---|---|")
    for seed in range(seeds):
        result = solve(posed, seed=seed)
        found, cells = result.predict(points), [str(seed)]
        for reference in references.values():
            distance = relative_l2(found, reference.value(points))
            cells += [f"{reference.error_estimate:.1e}", f"{distance:.1e}"]
        inside = np.abs(result.residuals(points)["poisson"]).max()
        bound = (np.abs(result.predict(rim)).max() + radius**2 / 4 * inside) / np.abs(found).max()
        print(f"| {' | '.join(cells)} | {bound:.1e} | {result.metrics['seconds']['train']:.1f} |", flush=True)


if __name__ == "__main__":
    main()
