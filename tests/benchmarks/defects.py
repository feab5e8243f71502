"""Point defects told apart by nearest neighbours, at sites and noise never seen, by several representations.

    python tests/benchmarks/defects.py [--seeds 5] [--supervised]

Shares of views whose nearest neighbour shows the same defect, by seed of data and networks; then medians over the seeds
under other noise and in lattices of another size, where the nearest view of training counts. `--supervised` tells the
learner which pairs show the same defect.
"""

import argparse

import numpy as np
from peers import machine

from pinnkit import solve

ACCURACIES = (
    "nearest_neighbour_accuracy",
    "raw_descriptor_accuracy",
    "raw_coordinate_accuracy",
    "trained_coordinate_accuracy",
)
CURVES = ("contrastive", "descriptors", "coordinates", "trained_coordinates")


def row(cells: list[str]) -> None:
    print(f"| {' | '.join(cells)} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--supervised", action="store_true")
    asked = parser.parse_args()
    print(machine())
    names = ["contrastive", "symmetry functions", "coordinates", "coordinates, trained"]
    print()
    row(["seed", *names, "hardest", "loss (least)", "s"])
    row(["---"] * 8)
    runs = []
    for seed in range(asked.seeds):
        m = solve("crystal_defects", seed=seed, problem={"supervised": asked.supervised}).metrics
        worst = min(m["accuracy_by_defect"], key=m["accuracy_by_defect"].get)
        row([
            str(seed), *(f"{m[name]:.2%}" for name in ACCURACIES), f"{worst} {m['accuracy_by_defect'][worst]:.1%}",
            f"{m['loss']['loss']:.3f} ({m['loss']['least_loss']:.3f})",
            f"{m['seconds']['train']:.1f} of {m['seconds']['total']:.1f}",
        ])  # fmt: skip
        runs.append(m)
    for title, key in (("noise, share of d", "accuracy_by_noise"), ("lattice larger by", "accuracy_by_stretch")):
        print()
        row([title, *(f"{value:g}" for value in runs[0][key]["values"])])
        row(["---"] * (1 + len(runs[0][key]["values"])))
        for name in CURVES:
            row([name, *(f"{value:.1%}" for value in np.median([m[key][name] for m in runs], axis=0))])


if __name__ == "__main__":
    main()
