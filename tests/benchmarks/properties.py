"""Models of thermal conductivity on draws of synthetic crystals: where the law holds, and where it leaves much out.

    python tests/benchmarks/properties.py [--seeds 5]

Medians over draws of materials, scatter and folds of the errors relative as in `properties.validation`:
cross-validated, beyond the data, and against the true values of materials not seen; and how often each one was chosen.
Gain: the error of the best model that takes no logarithms, and of the best that knows no law, over that of the chosen.
"""

import argparse
from collections import Counter

import numpy as np
from peers import machine

from pinnkit import solve

CASES = (
    ("30 samples, the law holds", {}),
    ("20 samples, the law holds", {"samples": 20}),
    ("40 samples, defects left out", {"samples": 40, "disorder": 0.05}),
)
IN_UNITS = ("linear", "quadratic", "network", "gaussian_process")
WITHOUT_LAW = (*IN_UNITS, "network_of_logarithms", "process_of_logarithms")
ERRORS = ("rmse", "extrapolation", "against_truth")


def gain(errors: dict, chosen: str, others: tuple[str, ...], kind: str) -> float:
    return min(errors[name][kind] for name in others) / errors[chosen][kind]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=5)
    seeds = range(parser.parse_args().seeds)
    print(machine())
    for title, problem in CASES:
        runs = [solve("property_regression", seed=s, problem={"noise_seed": s, **problem}).metrics for s in seeds]
        chosen = Counter(m["chosen"] for m in runs)
        print(f"\n### {title}\n\n| model | cross-validated | beyond the data | against the truth | chosen |")
        print("|---|---|---|---|---|")
        for name in runs[0]["cross_validated_errors"]:
            each = [np.median([m["cross_validated_errors"][name][kind] for m in runs]) for kind in ERRORS]
            print(f"| {name} | {' | '.join(f'{one:.3f}' for one in each)} | {chosen[name]} |")
        print()
        for words, others in (("no logarithms", IN_UNITS), ("no law", WITHOUT_LAW)):
            for kind in ERRORS:
                gains = [gain(m["cross_validated_errors"], m["chosen"], others, kind) for m in runs]
                print(f"gain over {words}, {kind}: median {np.median(gains):.2f}, at least {min(gains):.2f}")
        error = np.median([m["relative_l2"] for m in runs])
        seconds = np.median([m["seconds"]["train"] for m in runs])
        trusted = sum(m["verdict"] == "trusted" for m in runs)
        print(f"relative L2 error of the models chosen: {error:.3f}; {trusted} trusted; {seconds:.1f} s", flush=True)


if __name__ == "__main__":
    main()
