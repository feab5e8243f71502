"""Files of extended XYZ: our own again, ASE's, and damaged ones."""

from pathlib import Path

import ase.io
import numpy as np
import pytest
from ase.build import bulk, molecule
from ase.calculators.emt import EMT

from pinnkit.atoms.extxyz import read_extxyz, write_extxyz
from pinnkit.atoms.structure import Structure
from pinnkit.errors import BadInput


def labelled(seed: int) -> Structure:
    atoms = bulk("Cu", cubic=True) * (1, 1, 2)
    atoms.rattle(0.1, seed=seed)
    atoms.calc = EMT()
    atoms.get_potential_energy(), atoms.get_forces(), atoms.get_stress()
    return Structure.from_ase(atoms)


def assert_alike(one: Structure, other: Structure, tolerance: float = 0.0) -> None:
    assert one.species == other.species and one.periodic == other.periodic
    for name in ("positions", "cell", "energy", "forces", "stress"):
        mine, theirs = getattr(one, name), getattr(other, name)
        assert (mine is None) == (theirs is None)
        if mine is not None:
            np.testing.assert_allclose(mine, theirs, rtol=0, atol=tolerance)


def test_what_is_written_is_read_to_the_last_bit(tmp_path: Path) -> None:
    frames = [labelled(1), Structure.from_ase(molecule("H2O")), labelled(2)]
    write_extxyz(tmp_path / "x.xyz", frames)
    again = read_extxyz(tmp_path / "x.xyz")
    assert len(again) == 3
    for one, other in zip(frames, again, strict=True):
        assert_alike(one, other)


def test_ase_reads_what_we_write(tmp_path: Path) -> None:
    frames = [labelled(1), Structure.from_ase(molecule("H2O"))]
    write_extxyz(tmp_path / "x.xyz", frames)
    for own, atoms in zip(frames, ase.io.read(tmp_path / "x.xyz", ":", format="extxyz"), strict=True):
        assert_alike(own, Structure.from_ase(atoms), 1e-12)


def test_we_read_what_ase_writes(tmp_path: Path) -> None:
    frames = [labelled(1), labelled(2), Structure.from_ase(molecule("CH4"))]
    ase.io.write(tmp_path / "x.xyz", [one.to_ase() for one in frames], format="extxyz")
    for own, other in zip(frames, read_extxyz(tmp_path / "x.xyz"), strict=True):
        assert_alike(own, other, 1e-7)  # it writes eight decimals


def test_columns_and_keys_of_others_are_passed_over(tmp_path: Path) -> None:
    (tmp_path / "x.xyz").write_text(
        "2\n"
        "Lattice='2 0 0 0 2 0 0 0 2' energy=-1.5 Properties=id:I:1:species:S:1:tag:R:2:pos:R:3:force:R:3\n"
        "1 H 9 9 0 0 0 0.1 0 0\n2 O 9 9 1 1 1 -0.1 0 0\n\n"
        "1\n\nHe 1 2 3\n"
    )
    first, second = read_extxyz(tmp_path / "x.xyz")
    assert first.species == ("H", "O") and first.periodic == (True, True, True) and first.energy == -1.5
    np.testing.assert_array_equal(first.forces, [[0.1, 0, 0], [-0.1, 0, 0]])
    assert second.species == ("He",) and second.cell is None and second.energy is None
    np.testing.assert_array_equal(second.positions, [[1, 2, 3]])


def test_a_mark_of_the_byte_order_is_no_number(tmp_path: Path) -> None:
    (tmp_path / "x.xyz").write_text("1\n\nHe 1 2 3\n", encoding="utf-8-sig")
    assert read_extxyz(tmp_path / "x.xyz")[0].species == ("He",)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "it has no frames"),
        ("two\n\nH 0 0 0\n", r"x.xyz:1: 'two' is no number of atoms"),
        ("0\n\n", r"x.xyz:1: '0' is no number of atoms"),
        ("2\n\nH 0 0 0\n", "it ends before the 2 atoms of .*x.xyz:1"),
        ("1\n\nH 0 0\n", "x.xyz:3: it has 3 columns, not 4"),
        ("1\n\nH 0 nan 0\n", "x.xyz:3: '0 nan 0' are not 3 finite numbers"),
        ("1\nenergy=many\nH 0 0 0\n", "x.xyz:2: 'many' are not 1 finite numbers"),
        ('1\nLattice="1 0 0"\nH 0 0 0\n', "x.xyz:2: '1 0 0' are not 9 finite numbers"),
        ('1\nLattice="1 0 0 1 0 0 0 0 1"\nH 0 0 0\n', "x.xyz:2: cell: its volume is zero"),
        ("1\npbc=T\nH 0 0 0\n", "x.xyz:2: pbc is 'T'"),
        ("1\nProperties=pos:R:3\n0 0 0\n", "x.xyz:2: Properties names no species"),
        ("1\nProperties=species:S\nH 0 0 0\n", "x.xyz:2: Properties is"),
    ],
)
def test_damaged_files_are_refused_with_their_line(text: str, words: str, tmp_path: Path) -> None:
    (tmp_path / "x.xyz").write_text(text)
    with pytest.raises(BadInput, match=words):
        read_extxyz(tmp_path / "x.xyz")


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"data: .*none.xyz: it cannot be read"):
        read_extxyz(tmp_path / "none.xyz")
