"""How well and how fast the problems that come with pinnkit are solved at their defaults, over several seeds.

    python tests/benchmarks/bars.py [--problems NAME …] [--seeds N]

prints a Markdown table: relative L2 error (median and worst), seconds of training and of the whole solve (medians;
sampling and assembly included, figures not), and how many runs are trusted. References are solved before, once.
"""

import argparse
import time
from collections.abc import Iterator
from statistics import median

from pinnkit import catalogue, solve


def rows(names: list[str], seeds: int) -> Iterator[str]:
    for name in names:
        solve(name, training={"max_steps": 1})  # solves and keeps the reference
        runs, whole = [], []
        for seed in range(seeds):
            start = time.perf_counter()
            runs.append(solve(name, seed=seed).metrics)
            whole.append(time.perf_counter() - start)
        errors = [run["relative_l2"] for run in runs]
        trusted = sum(run["verdict"] == "trusted" for run in runs)
        training = median(run["seconds"]["train"] for run in runs)
        yield (
            f"| {name} | {median(errors):.1e} | {max(errors):.1e} | {training:.1f} | {median(whole):.1f} "
            f"| {trusted} of {seeds} |"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--problems", nargs="+", default=list(catalogue.names()), choices=catalogue.names())
    parser.add_argument("--seeds", type=int, default=5)
    asked = parser.parse_args()
    print("| problem | relative L2, median | worst | training, s | whole, s | trusted |\n|---|---|---|---|---|---|")
    for row in rows(asked.problems, asked.seeds):
        print(row, flush=True)


if __name__ == "__main__":
    main()
