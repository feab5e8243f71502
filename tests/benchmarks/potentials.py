"""How well potentials are learned, how well motion keeps their energy, and what a committee is worth.

    python tests/benchmarks/potentials.py [--seeds N] [--parts bars drift optimizers active]

prints Markdown tables: `bars`, both problems at their default over several seeds; `drift`, the energy of copper by time
step and by cutoff; `optimizers`, the same features with heads alone, all parameters by Gauss–Newton, and by Adam;
`active`, structures that a committee asked for against as many at random, judged by states that hot motion reaches.
"""

import argparse
import time
from dataclasses import replace
from typing import Any

import numpy as np

from pinnkit import catalogue, solve
from pinnkit.atoms.potentials.data import thermal
from pinnkit.atoms.potentials.fitting import compare, fit
from pinnkit.atoms.potentials.learning import learn
from pinnkit.atoms.potentials.study import PotentialStudy
from pinnkit.settings import Settings

PROBLEMS = ("lj_potential", "copper_potential")


def study(name: str) -> PotentialStudy:
    built = catalogue.load(name).build()
    assert isinstance(built, PotentialStudy)
    return built


def settings(seed: int = 0, **more: Any) -> Settings:
    return Settings.from_mapping({"problem": {"name": "potential"}, "seed": seed, **more})


def bars(seeds: int) -> None:
    print("| problem | seed | forces | energy, meV/atom | drift, meV/atom/ps | direct forces | ΣF, eV/Å | rank | s |")
    print("|---|---|---|---|---|---|---|---|---|")
    for name in PROBLEMS:
        for seed in range(seeds):
            m = solve(name, seed=seed).metrics
            print(f"| {name} | {seed} | {m['force_rmse_relative']:.2%} | {m['energy_rmse_mev_per_atom']:.2g} "
                  f"| {m['energy_drift_mev_per_atom_ps']:.1e} | {m['direct_forces_drift_mev_per_atom_ps']:.1e} "
                  f"| {m['sum_of_forces']:.0e} | {m['rank_correlation']:.2f} | {m['seconds']['total']:.0f} |",
                  flush=True)  # fmt: skip


def drift(seeds: int) -> None:
    """The slope of a bounded oscillation, of size dt², is as large, divided by the length of the run."""
    copper = study("copper_potential")
    single = fit(copper.descriptors, copper.data(0).train, settings()).potential
    print("| time step, fs | length, ps | range of the energy, meV/atom | drift, meV/atom/ps |\n|---|---|---|---|")
    for timestep in (1.0, 2.0, 4.0):
        for length in (5.0, 20.0):
            run = replace(copper.motion, timestep=timestep, picoseconds=length).run(single, 0)
            print(f"| {timestep:g} | {length:g} | {np.ptp(run.energy):.1e} | {run.drift:.1e} |", flush=True)


def optimizers(seeds: int) -> None:
    print("| problem | optimizer | forces | seconds |\n|---|---|---|---|")
    cases = {"heads by least squares, 100 features": settings(),
             "all by Gauss–Newton, 20 features": settings(optimizer="gauss_newton", network={"layers": [20]}),
             "all by Adam, 20 features": settings(optimizer="adam", network={"layers": [20], "head": "random"}),
             }  # fmt: skip
    for name in PROBLEMS:
        one = study(name)
        labelled = one.data(0)
        for told, chosen in cases.items():
            began = time.perf_counter()
            found = fit(one.descriptors, labelled.train, chosen).potential
            seconds = time.perf_counter() - began
            error = compare(found, labelled.held_out).force_rmse_relative
            print(f"| {name} | {told} | {error:.2%} | {seconds:.1f} |", flush=True)


def active(seeds: int) -> None:
    """From cold argon to hot argon; as many others are those of further cold motion, or of hot motion at random.

    The latter need the truth to move, of which a committee needs no more than labels.
    """
    argon = study("lj_potential")
    where = argon.explore
    assert where is not None
    print("| seed | structures | forces before | after asking | as many cold ones | as many hot ones at random |")
    print("|---|---|---|---|---|---|")
    for seed in range(seeds):
        cold = thermal(where.oracle, where.start, 10.0, 60, 8.0, seed)
        judge = thermal(where.oracle, where.start, where.temperature, 20, 5.0, 1000 + seed)
        before = fit(argon.descriptors, cold[:10], settings(seed), 4).potential
        learned = learn(argon.descriptors, cold[:10], where, settings(seed), rounds=4)
        count = len(learned.structures)
        further = fit(argon.descriptors, cold[:count], settings(seed), 4).potential
        hot = thermal(where.oracle, where.start, where.temperature, count - 10, 5.0, 2000 + seed)
        random = fit(argon.descriptors, [*cold[:10], *hot], settings(seed), 4).potential
        models = (before, learned.fit.potential, further, random)
        errors = [compare(one, judge).force_rmse_relative for one in models]
        print(f"| {seed} | 10 + {count - 10} | " + " | ".join(f"{error:.2%}" for error in errors) + " |", flush=True)


PARTS = {"bars": bars, "drift": drift, "optimizers": optimizers, "active": active}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--parts", nargs="*", default=list(PARTS), choices=list(PARTS))
    chosen = parser.parse_args()
    for part in chosen.parts:
        print(f"\n{part}\n")
        PARTS[part](chosen.seeds)
