"""Structures: what they are, lattices, strains, ASE's atoms and back, and what is refused."""

from typing import Any

import numpy as np
import pytest
from ase.build import bulk, fcc111, molecule
from ase.calculators.emt import EMT
from ase.neighborlist import neighbor_list

from pinnkit.atoms.pairs import neighbours
from pinnkit.atoms.structure import Structure, b2, bcc, fcc, from_voigt, to_voigt
from pinnkit.errors import BadInput


@pytest.mark.parametrize(
    ("lattice", "distance", "count"),
    [
        (fcc(3.6, "Cu"), 3.6 / 2**0.5, 12),
        (bcc(2.9, "Fe"), 2.9 * 0.75**0.5, 8),
        (b2(2.9, "Ni", "Al"), 2.9 * 0.75**0.5, 8),
    ],
)
def test_lattices_have_their_nearest_neighbours(lattice: Structure, distance: float, count: int) -> None:
    positions = lattice.replicate(3, 3, 3).positions
    centre = np.linalg.norm(positions - positions.mean(0), axis=1).argmin()
    r = np.sort(np.linalg.norm(positions - positions[centre], axis=1))[1:]
    assert (np.abs(r - distance) < 1e-9).sum() == count and r[0] == pytest.approx(distance)


def test_lattices_are_those_of_ase() -> None:
    for own, other in (
        (fcc(3.6, "Cu"), bulk("Cu", "fcc", 3.6, cubic=True)),
        (bcc(2.9, "Fe"), bulk("Fe", "bcc", 2.9, cubic=True)),
    ):
        assert own.volume == pytest.approx(other.get_volume()) and len(own) == len(other)
    assert b2(2.9, "Ni", "Al").species == ("Ni", "Al")


def test_replicas_fill_the_larger_cell() -> None:
    one = fcc(3.6, "Cu")
    many = one.replicate(1, 2, 3)
    assert len(many) == 24 and many.volume == pytest.approx(6 * one.volume)
    fractions = np.linalg.solve(many.cell.T, many.positions.T).T
    assert (fractions > -1e-12).all() and (fractions < 1 - 1e-12).all()
    assert len(np.unique(fractions.round(9), axis=0)) == 24


def test_strain_moves_atoms_with_the_cell() -> None:
    strain = np.array([[0.1, 0.05, 0], [0, 0, 0], [0, 0, -0.2]])
    before, after = fcc(3.6, "Cu"), fcc(3.6, "Cu").strained(strain)
    np.testing.assert_allclose(
        np.linalg.solve(after.cell.T, after.positions.T), np.linalg.solve(before.cell.T, before.positions.T), atol=1e-12
    )
    assert after.volume == pytest.approx(before.volume * np.linalg.det(np.eye(3) + strain))


def test_ase_gives_and_takes() -> None:
    atoms = bulk("Cu", cubic=True).repeat(2)
    atoms.rattle(0.1, seed=1)
    atoms.calc = EMT()
    energy, forces, stress = atoms.get_potential_energy(), atoms.get_forces(), atoms.get_stress()
    own = Structure.from_ase(atoms)
    assert own.energy == energy and own.periodic == (True, True, True)
    np.testing.assert_array_equal(own.forces, forces)
    np.testing.assert_allclose(to_voigt(own.stress), stress)
    back = own.to_ase()
    np.testing.assert_array_equal(back.positions, atoms.positions)
    assert back.get_potential_energy() == energy
    np.testing.assert_allclose(back.get_stress(), stress)
    free = Structure.from_ase(molecule("H2O"))
    assert free.cell is None and free.energy is None and free.to_ase().calc is None


def test_slabs_of_ase_get_a_third_vector_only_where_nothing_repeats() -> None:
    slab = fcc111("Cu", (2, 2, 3))
    own = Structure.from_ase(slab)
    assert own.periodic == (True, True, False)
    np.testing.assert_array_equal(own.cell[:2], slab.cell[:2])
    found = neighbours(own, 3.0)
    expected = neighbor_list("ijS", slab, 3.0)
    assert sorted(zip(*found[:2], strict=True)) == sorted(zip(*expected[:2], strict=True))
    slab.pbc = True
    with pytest.raises(BadInput, match="cell: its volume is zero"):
        Structure.from_ase(slab)


def test_the_order_of_stresses_is_voigts() -> None:
    stress = from_voigt([1, 2, 3, 4, 5, 6])
    np.testing.assert_array_equal(stress, [[1, 6, 5], [6, 2, 4], [5, 4, 3]])
    np.testing.assert_array_equal(to_voigt(stress), [1, 2, 3, 4, 5, 6])


CUBE = np.eye(3)


@pytest.mark.parametrize(
    ("told", "words"),
    [
        ({"positions": [[0, 0, 0], [0, np.nan, 0]]}, "positions: y of atom 1 is nan; give finite numbers"),
        ({"positions": [[0, 0]]}, r"positions: shape \(1, 2\); give \(n, 3\)"),
        ({"positions": [["a", "b", "c"]]}, "positions: they are not an array of numbers"),
        ({"species": ("Cu",)}, "species: 1 for 2 positions"),
        ({"cell": np.diag([1.0, 0, 1])}, "cell: its volume is zero"),
        ({"cell": [[1, 0, 0], [2, 0, 0], [0, 0, 1]]}, "cell: its volume is zero"),
        ({"cell": np.eye(2)}, "cell: shape"),
        ({"periodic": (True, False, False)}, "cell: there is none along which to repeat"),
        ({"forces": np.zeros((3, 3))}, "forces: 3 for 2 atoms"),
    ],
)
def test_what_is_no_structure_is_refused_in_one_line(told: dict[str, Any], words: str) -> None:
    usual = {"positions": [[0, 0, 0], [1, 1, 1]], "species": ("Cu", "Cu")}
    with pytest.raises(BadInput, match=words):
        Structure(**{**usual, **told})


def test_without_a_cell_there_is_no_volume() -> None:
    for call in (lambda one: one.volume, lambda one: one.replicate(1, 1, 1)):
        with pytest.raises(BadInput, match="cell: there is none"):
            call(Structure(np.zeros((1, 3)), ("Cu",)))
    with pytest.raises(BadInput, match="a lattice constant is > 0"):
        fcc(0, "Cu")
