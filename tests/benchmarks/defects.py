"""Point defects told apart by nearest neighbours, at sites and noise never seen, by several representations.

    python tests/benchmarks/defects.py [--seeds 5] [--supervised] [--unknown]

Shares of views whose nearest neighbour shows the same defect, by seed of data and networks; then medians over the seeds
under other noise and in lattices of another size, where the nearest view of training counts. `--supervised` tells the
learner which pairs show the same defect. `--unknown` shows sites of other structures instead, none of which is trained
with, and tells the share, in percent, that is said to be of no known defect: medians over the seeds, and the least.
"""

import argparse

import numpy as np
from peers import machine
from scipy.spatial import cKDTree

from pinnkit import solve
from pinnkit.atoms import Structure, fcc
from pinnkit.atoms.defects.crystals import Crystals, Disturbance

ACCURACIES = (
    "nearest_neighbour_accuracy",
    "raw_descriptor_accuracy",
    "raw_coordinate_accuracy",
    "trained_coordinate_accuracy",
)
NOISES, SITES, DRAWS = (0.0, 0.02, 0.04, 0.06), 30, 10
CRYSTALS = Crystals()
D = CRYSTALS.distance
CURVES = ("contrastive", "descriptors", "coordinates", "trained_coordinates")


def row(cells: list[str]) -> None:
    print(f"| {' | '.join(cells)} |", flush=True)


# --- structures with sites that are none of the known defects --------------------------------------------------------


def lattice(cell, fractions, species, repeats) -> Structure:
    cell = D * np.array(cell, dtype=float)
    return Structure(np.array(fractions) @ cell, species, cell, (True,) * 3).replicate(*repeats)


def without(whole: Structure, atoms) -> Structure:
    kept = np.setdiff1d(np.arange(len(whole)), atoms)
    return Structure(whole.positions[kept], tuple(whole.species[k] for k in kept), whole.cell, whole.periodic)


def with_atoms(whole: Structure, positions) -> Structure:
    species = (*whole.species, *("Ni",) * len(positions))
    return Structure(np.vstack([whole.positions, positions]), species, whole.cell, whole.periodic)


def glass(rng: np.random.Generator, count: int = 600) -> Structure:
    """Atoms at random, at nine tenths of the density of fcc, pushed apart until none are closer than 0.85 d."""
    width = (count * D**3 / np.sqrt(2) / 0.9) ** (1 / 3)
    x, closest = rng.random((count, 3)) * width, 0.0
    while closest < 0.85 * D:
        x = np.mod(np.mod(x, width), width)
        pairs = cKDTree(x, boxsize=width).query_pairs(0.9 * D, output_type="ndarray")
        steps = x[pairs[:, 0]] - x[pairs[:, 1]]
        steps -= width * np.round(steps / width)
        r = np.linalg.norm(steps, axis=1, keepdims=True)
        closest = r.min(initial=D)
        for side, sign in enumerate((0.25, -0.25)):
            np.add.at(x, pairs[:, side], sign * (0.9 * D - r) * steps / r)
    return Structure(x, ("Ni",) * count, width * np.eye(3), (True,) * 3)


def tilted() -> Structure:
    """A symmetric tilt boundary Σ5 (210) [001] of fcc at x = 0, not relaxed, in a ball of crystal."""
    block = fcc(np.sqrt(2) * D, "Ni").replicate(12, 12, 12).positions
    block = block - block[np.argmin(np.linalg.norm(block - block.mean(0), axis=1))]
    c, s = np.array([2, 1]) / np.sqrt(5)
    half = block @ np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]])
    half = half[(np.linalg.norm(half, axis=1) < 15) & (half[:, 0] > -0.05)]
    image = half[half[:, 0] > 0.3 * D] * [-1, 1, 1]
    positions = np.vstack([half, image])
    return Structure(positions, ("Ni",) * len(positions))


Site = tuple[Structure, np.ndarray]  # a structure, and sites of it that are all alike, (n, 3)


def unknown(rng: np.random.Generator) -> dict[str, Site]:
    amorphous, boundary = glass(rng), tilted()
    near = np.abs(boundary.positions[:, 0]) < 0.5 * D
    near &= np.linalg.norm(boundary.positions, axis=1) < 15 - CRYSTALS.cutoff
    disordered = {"glass": (amorphous, amorphous.positions), "grain boundary": (boundary, boundary.positions[near])}
    return lattices() | disordered | vacancies() | variants()


def lattices() -> dict[str, Site]:
    """That are not trained with."""
    hcp_cell = [[1, 0, 0], [-0.5, np.sqrt(0.75), 0], [0, 0, np.sqrt(8 / 3)]]
    hcp = lattice(hcp_cell, [[0, 0, 0], [1 / 3, 2 / 3, 0.5]], ("Ni",) * 2, (8, 8, 5))
    faces = fcc(1, "Ni").positions
    cubic = lattice(np.eye(3), [[0, 0, 0]], ("Ni",), (8, 8, 8))
    diamond = lattice(4 / np.sqrt(3) * np.eye(3), np.vstack([faces, faces + 0.25]), ("Ni",) * 8, (4, 4, 4))
    ordered = lattice(np.sqrt(2) * np.eye(3), faces, ("Al", "Ni", "Ni", "Ni"), (6, 6, 6))
    return {
        "hcp": (hcp, hcp.positions), "hcp vacancy": (without(hcp, [7]), hcp.positions[[7]]),
        "simple cubic": (cubic, cubic.positions), "diamond": (diamond, diamond.positions),
        "L1₂ A": (ordered, ordered.positions[::4]), "L1₂ B": (ordered, ordered.positions[1::4]),
    }  # fmt: skip


def vacancies() -> dict[str, Site]:
    """Two of them side by side, and what is next to one."""
    found = {}
    for name in ("fcc", "bcc", "b2"):
        whole = CRYSTALS.supercell(name)
        here, width = len(whole) // 4 * 2, np.diag(whole.cell)
        away = whole.positions - whole.positions[here]
        away = np.linalg.norm(away - width * np.round(away / width), axis=1)
        there = np.flatnonzero(np.abs(away - D) < 1e-6)[0]
        found[f"{name} divacancy"] = without(whole, [here, there]), whole.positions[[here]]
        found[f"{name} beside a vacancy"] = without(whole, [here]), whole.positions[[there]]
    return found


def variants() -> dict[str, Site]:
    """Other interstitials and dumbbells, and a surface."""
    bcc, edge = CRYSTALS.supercell("bcc"), CRYSTALS.edge("bcc")
    place = bcc.positions[[100]] + edge / 2 * np.array([1, 1, 0])
    whole = CRYSTALS.supercell("fcc")
    split, middle = np.outer([0.31, -0.31], [1, 1, 0]) * D, whole.positions[[100]]  # as far apart as along ⟨100⟩
    top = Structure(whole.positions, whole.species, whole.cell * np.array([[1], [1], [2]]), whole.periodic)
    return {
        "bcc octahedral interstitial": (with_atoms(bcc, place), place),
        "fcc dumbbell ⟨110⟩": (with_atoms(without(whole, [100]), middle + split), middle),
        "fcc (100) surface": (top, whole.positions[whole.positions[:, 2] > whole.positions[:, 2].max() - 0.1]),
    }


def said_unknown(found, structure: Structure, sites: np.ndarray, noise: float, rng: np.random.Generator) -> float:
    """The share of sites, under noise of the atoms and of what is taken for the site."""
    matches = []
    for _ in range(DRAWS):
        chosen = sites[rng.integers(len(sites), size=SITES)]
        positions = structure.positions + noise * D * rng.normal(size=structure.positions.shape)
        matches += found.classify(structure.moved(positions), chosen + noise * D * rng.normal(size=chosen.shape))
    return 100 * float(np.mean([not match.known for match in matches]))


def tell_unknown(seeds: int) -> None:
    found = [solve("crystal_defects", seed=seed) for seed in range(seeds)]
    row(["site", *(f"noise {noise:g}" for noise in NOISES)])
    row(["---"] * (1 + len(NOISES)))
    known = {f"17 defects, lattices {stretch:+.0%}": stretch for stretch in (0.0, 0.03, -0.03, 0.06, -0.06)}
    for name, stretch in known.items():
        shares = [[of_known(one, noise, stretch) for one in found] for noise in NOISES]
        row([name, *(f"{np.median(one):.1f} ({max(one):.1f})" for one in shares)])
    for name, (structure, sites) in unknown(np.random.default_rng(0)).items():
        rng = np.random.default_rng(1)
        shares = [[said_unknown(one, structure, sites, noise, rng) for one in found] for noise in NOISES]
        row([name, *(f"{np.median(one):.0f} ({min(one):.0f})" for one in shares)])


def of_known(found, noise: float, stretch: float) -> float:
    """Of 2000 views of known defects; here the largest share is told."""
    disturbed = Disturbance(noise, found.problem.strain, 0.0 if stretch else found.problem.size, stretch)
    seen, _ = found.problem.draw(2000, (0.5, 1.0), disturbed, np.random.default_rng(2))
    return 100 * float(np.mean([not match.known for match in found.classify(seen)]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--supervised", action="store_true")
    parser.add_argument("--unknown", action="store_true")
    asked = parser.parse_args()
    print(machine())
    if asked.unknown:
        tell_unknown(asked.seeds)
        return
    names = ["contrastive", "descriptors", "coordinates", "coordinates, trained"]
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
