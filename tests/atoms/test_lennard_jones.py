"""The Lennard-Jones oracle: closed forms, derivatives, clusters of the literature."""

from dataclasses import replace

import numpy as np
import pytest

from pinnkit.atoms.potentials.field import labelled
from pinnkit.atoms.potentials.lennard_jones import LennardJones, lowest
from pinnkit.atoms.structure import Structure, fcc
from pinnkit.errors import BadInput

CLUSTERS = {2: -1.0, 3: -3.0, 4: -6.0, 5: -9.103852, 6: -12.712062, 7: -16.505384}  # Hoare & Pal 1971
FIELD = LennardJones(0.0104, 3.4, cutoff=7.0)


def crystal(seed: int = 0, a: float = 5.3) -> Structure:
    """32 atoms, shaken, in a skew cell that is narrower than twice the cutoff."""
    rng = np.random.default_rng(seed)
    perfect = fcc(a, "Ar").replicate(2, 2, 2)
    assert perfect.cell is not None
    strain = np.eye(3) + 0.03 * rng.normal(size=(3, 3))
    positions = perfect.positions @ strain + 0.1 * rng.normal(size=(32, 3))
    return replace(perfect, positions=positions, cell=perfect.cell @ strain)


@pytest.mark.parametrize(("atoms", "energy"), CLUSTERS.items())
def test_clusters_have_the_energies_of_the_literature(atoms: int, energy: float) -> None:
    found = lowest(atoms, LennardJones(), starts=12)
    assert found.energy == pytest.approx(energy, abs=1e-6)
    assert np.abs(found.forces).max() < 1e-5


def test_two_atoms_attract_as_the_formula_says() -> None:
    found = labelled(LennardJones(2.0, 1.5), Structure(np.array([[0.0, 0, 0], [2.0, 0, 0]]), ("Ar", "Ar")))
    six = (1.5 / 2) ** 6
    assert found.energy == pytest.approx(8 * (six**2 - six), rel=1e-14)
    assert found.forces[1, 0] == pytest.approx(8 * (12 * six**2 - 6 * six) / 2, rel=1e-14)


def test_forces_and_stress_are_derivatives_of_the_energy() -> None:
    solid = crystal()
    labels, h = FIELD.energy_forces(solid), 1e-5
    rng = np.random.default_rng(1)
    for _ in range(3):
        move = rng.normal(size=(32, 3))
        ends = [FIELD.energy_forces(replace(solid, positions=solid.positions + s * move)).energy for s in (-h, h)]
        assert (ends[1] - ends[0]) / (2 * h) == pytest.approx(-np.sum(labels.forces * move), rel=1e-6)
        strain = rng.normal(size=(3, 3))
        strain = (strain + strain.T) / 2
        ends = []
        for s in (-h, h):
            map_ = np.eye(3) + s * strain
            ends.append(FIELD.energy_forces(replace(solid, positions=solid.positions @ map_, cell=solid.cell @ map_)))
        slope = (ends[1].energy - ends[0].energy) / (2 * h)
        assert slope == pytest.approx(solid.volume * np.sum(labels.stress * strain), rel=1e-6)


def test_nothing_pushes_the_whole() -> None:
    labels = FIELD.energy_forces(crystal())
    assert np.abs(labels.forces.sum(0)).max() < 1e-13
    np.testing.assert_allclose(labels.stress, labels.stress.T, rtol=0, atol=1e-16)


def test_the_cutoff_is_smooth() -> None:
    """Value and slope agree from both sides of onset and cutoff, and the slope with differences of the value."""
    for r in (0.7 * 7.0, 7.0):
        near = np.array([r - 1e-9, r + 1e-9])
        value, slope = FIELD.pair(near)
        assert abs(np.diff(value)[0]) < 1e-11 and abs(np.diff(slope)[0]) < 1e-11
    r, h = np.linspace(3, 7.5, 40), 1e-5
    differences = (FIELD.pair(r + h)[0] - FIELD.pair(r - h)[0]) / (2 * h)
    np.testing.assert_allclose(FIELD.pair(r)[1], differences, rtol=1e-7, atol=1e-10)
    assert not np.any(FIELD.pair(np.array([7.0, 8.0]))[0])


def test_a_replicated_crystal_has_the_energy_of_its_cells() -> None:
    one = fcc(5.3, "Ar")
    many = one.replicate(3, 2, 4)
    energies = [FIELD.energy_forces(s).energy / len(s) for s in (one, many)]
    assert energies[0] == pytest.approx(energies[1], rel=1e-13)


@pytest.mark.parametrize(
    ("key", "arguments"),
    [("epsilon", {"epsilon": 0.0}), ("sigma", {"sigma": -1.0}), ("cutoff", {"cutoff": 0.0}), ("onset", {"onset": 1.0})],
)
def test_what_is_not_positive_is_refused(key: str, arguments: dict[str, float]) -> None:
    with pytest.raises(BadInput, match=f"^{key}: "):
        LennardJones(**arguments)


def test_a_crystal_needs_a_cutoff() -> None:
    with pytest.raises(BadInput, match="infinitely many pairs"):
        labelled(LennardJones(), fcc(1.6, "Ar"))
