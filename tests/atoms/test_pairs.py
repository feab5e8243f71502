"""Neighbours in any cell, against ASE and by brute force."""

from itertools import product

import numpy as np
import pytest
import torch
from ase.neighborlist import neighbor_list

from pinnkit.atoms.pairs import displacements, neighbours
from pinnkit.atoms.structure import Structure, fcc
from pinnkit.errors import BadInput


def random(seed: int) -> tuple[Structure, float]:
    """A few atoms, some outside of a skew cell that repeats along some vectors, and a cutoff."""
    rng = np.random.default_rng(seed)
    n, cell = int(rng.integers(1, 8)), np.eye(3) * rng.uniform(1.5, 6) + rng.normal(size=(3, 3)) * 0.6
    periodic = tuple(map(bool, rng.integers(0, 2, 3)))
    return Structure(5 * rng.normal(size=(n, 3)), ("Cu",) * n, cell, periodic), float(rng.uniform(0.5, 5))


def rows(first: np.ndarray, second: np.ndarray, shift: np.ndarray) -> list[tuple[int, ...]]:
    return [tuple(map(int, row)) for row in np.column_stack([first, second, shift])]


@pytest.mark.parametrize("seed", range(30))
def test_they_are_those_of_ase(seed: int) -> None:
    structure, cutoff = random(seed)
    found = rows(*neighbours(structure, cutoff))
    assert found == sorted(found)
    assert found == sorted(rows(*neighbor_list("ijS", structure.to_ase(), cutoff)))


def test_they_are_those_of_all_images() -> None:
    """A cell of a third of the cutoff: an atom has images of itself as neighbours."""
    rng = np.random.default_rng(5)
    cell = np.array([[1.5, 0.2, 0], [0.4, 1.7, 0.1], [0, -0.3, 1.4]])
    structure = Structure(rng.normal(size=(2, 3)), ("Cu", "Cu"), cell, (True, True, True))
    expected = [
        (i, j, *shift)
        for i, j in product(range(2), repeat=2)
        for shift in product(range(-9, 10), repeat=3)
        if 0 < np.linalg.norm(structure.positions[j] + np.array(shift) @ cell - structure.positions[i]) < 4.5
    ]
    assert rows(*neighbours(structure, 4.5)) == sorted(expected)


def test_a_cluster_needs_no_cell() -> None:
    structure = Structure([[0, 0, 0], [1, 0, 0], [0, 2.5, 0]], ("A", "A", "A"))
    assert rows(*neighbours(structure, 2.0)) == [(0, 1, 0, 0, 0), (1, 0, 0, 0, 0)]
    assert rows(*neighbours(Structure(np.zeros((0, 3)), ()), 2.0)) == []


def test_displacements_are_shorter_than_the_cutoff_and_follow_positions_and_cell() -> None:
    structure, cutoff = random(3)
    pairs = neighbours(structure, cutoff)
    positions, cell = (torch.from_numpy(x).requires_grad_() for x in (structure.positions, structure.cell))
    vectors = displacements(positions, pairs, cell)
    assert len(vectors) and (vectors.norm(dim=1) < cutoff).all()
    assert torch.autograd.gradcheck(lambda p, c: displacements(p, pairs, c), (positions, cell))


def test_many_atoms_are_found_as_few_are() -> None:
    crystal = fcc(3.6, "Cu").replicate(8, 8, 8)
    first = neighbours(crystal, 4.0).first
    assert (np.bincount(first) == 18).all() and len(first) == 18 * 2048


def test_many_atoms_in_a_very_skew_cell_are_those_of_ase() -> None:
    rng = np.random.default_rng(8)
    cell = np.array([[9.0, 0, 0], [8, 7, 0], [-6, 5, 8]])
    structure = Structure(rng.uniform(-1, 2, size=(150, 3)) @ cell, ("Cu",) * 150, cell, (True, True, True))
    assert rows(*neighbours(structure, 4.0)) == sorted(rows(*neighbor_list("ijS", structure.to_ase(), 4.0)))


@pytest.mark.parametrize(
    ("positions", "cell", "words"),
    [
        ([[0, 0, 0], [1, 0, 0], [1, 0, 0]], None, "positions: atom 1 and atom 2 are at the same place"),
        ([[0, 0, 0], [3, 0, 0]], 3.0, "positions: atom 0 and an image of atom 1 are at the same place"),
    ],
)
def test_atoms_at_the_same_place_are_refused(positions: list[list[float]], cell: float | None, words: str) -> None:
    told = (cell * np.eye(3), (True, True, True)) if cell else (None,)
    with pytest.raises(BadInput, match=words):
        neighbours(Structure(positions, ("A",) * len(positions), *told), 2.0)


@pytest.mark.parametrize("cutoff", [0.0, -1.0, np.nan, np.inf])
def test_cutoffs_that_are_none_are_refused(cutoff: float) -> None:
    with pytest.raises(BadInput, match="cutoff: it is"):
        neighbours(fcc(3.6, "Cu"), cutoff)


def test_cutoffs_beyond_all_bounds_are_refused() -> None:
    with pytest.raises(BadInput, match=r"cutoff: 1000.0 Å reaches over"):
        neighbours(fcc(3.6, "Cu"), 1000.0)
