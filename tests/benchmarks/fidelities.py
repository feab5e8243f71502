"""A cheap model and ten thermometers, fused under the equation and each alone, on three plates.

    python tests/benchmarks/fidelities.py [--seeds 5]

`low` is the cheap model alone, `data` a Gaussian process of the thermometers, `data + equations` a solution without the
cheap model, `fused` u = ρ w + δ. Relative L2 errors, medians and worst ratios over draws of thermometers and noise.
"""

import argparse

import numpy as np
from peers import machine

from pinnkit import solve

ALONE = ("low_only", "high_only", "high_and_equations")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=5)
    seeds = range(parser.parse_args().seeds)
    print(machine())
    print("\n| plate | draw | low | data | data + equations | fused | ρ | gain over the best alone | seconds |")
    print("|---|---|---|---|---|---|---|---|---|")
    gains = []
    for shape in ("square", "lshape", "house"):
        for seed in seeds:
            m = solve("multifidelity_heat", seed=seed, problem={"shape": shape, "noise_seed": seed}).metrics
            size = m["rmse"] / m["relative_l2"]
            errors = [m["alone"][name] / size for name in ALONE]
            gains.append(min(errors) / m["relative_l2"])
            shown = [*errors, m["relative_l2"]]
            cells = " | ".join(f"{error:.1e}" for error in shown)
            rho, seconds = m["rho"][0], m["seconds"]["train"]
            print(f"| {shape} | {seed} | {cells} | {rho:.3f} | {gains[-1]:.1f} | {seconds:.1f} |", flush=True)
    print(f"\ngain over the best alone: median {np.median(gains):.1f}, at least {min(gains):.1f}")


if __name__ == "__main__":
    main()
