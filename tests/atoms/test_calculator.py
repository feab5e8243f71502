"""ASE as the other side: derivatives by its differences, dynamics by its integrator, its labels."""

import sys
from dataclasses import replace

import numpy as np
import pytest

from pinnkit.atoms.descriptors import SymmetryFunctions
from pinnkit.atoms.potentials.calculator import AseField, PinnkitCalculator, effective_medium
from pinnkit.atoms.potentials.data import Shaken
from pinnkit.atoms.potentials.dynamics import simulate
from pinnkit.atoms.potentials.field import labelled
from pinnkit.atoms.potentials.fitting import compare, fit
from pinnkit.atoms.potentials.lennard_jones import LennardJones
from pinnkit.atoms.potentials.potential import Potential
from pinnkit.atoms.structure import Structure, fcc
from pinnkit.errors import BadInput
from pinnkit.settings import Settings

PLACES = ((15.0, 2.2), (8.0, 2.5), (6.0, 2.8), (4.0, 3.2), (2.0, 3.7), (1.0, 4.3))
FUNCTIONS = SymmetryFunctions(("Cu",), 5.0, PLACES, ((0.02, 1.0, 1.0), (0.02, 1.0, -1.0)))
CUBE = fcc(3.61, "Cu")


@pytest.fixture(scope="module")
def copper() -> Potential:
    structures = Shaken(effective_medium(), CUBE, 0.15, 0.03, 20, 1)(0).train
    settings = Settings.from_mapping({"problem": {"name": "potential"}, "network": {"layers": [20]}})
    return fit(FUNCTIONS, structures, settings).potential


def hot(seed: int = 5) -> Structure:
    return CUBE.moved(CUBE.positions + 0.1 * np.random.default_rng(seed).normal(size=(4, 3)))


def test_ase_finds_the_same_derivatives_by_differences(copper: Potential) -> None:
    from ase.calculators.fd import calculate_numerical_forces, calculate_numerical_stress

    atoms = hot().to_ase()
    atoms.calc = PinnkitCalculator(copper)
    np.testing.assert_allclose(calculate_numerical_forces(atoms, eps=1e-4), atoms.get_forces(), rtol=0, atol=1e-6)
    np.testing.assert_allclose(calculate_numerical_stress(atoms, eps=1e-5), atoms.get_stress(), rtol=0, atol=1e-7)
    labels = copper.energy_forces(hot())
    assert atoms.get_potential_energy() == pytest.approx(labels.energy, rel=1e-12)
    np.testing.assert_allclose(atoms.get_forces(), labels.forces, rtol=0, atol=1e-12)
    assert Structure.from_ase(atoms).energy == atoms.get_potential_energy()


def test_ase_integrates_the_same_motion(copper: Potential) -> None:
    from ase import units
    from ase.md.verlet import VelocityVerlet

    run = simulate(copper, CUBE, steps=40, timestep=2.0, temperature=300.0, every=1)
    atoms = CUBE.to_ase()
    atoms.calc = PinnkitCalculator(copper)
    atoms.set_masses([63.546] * 4)
    atoms.set_velocities(run.velocities[0] / units.fs)
    VelocityVerlet(atoms, timestep=2.0 * units.fs).run(40)
    np.testing.assert_allclose(atoms.positions, run.positions[-1], rtol=0, atol=1e-6)
    total = 1e3 * atoms.get_total_energy() / 4
    assert total == pytest.approx(run.energy[-1], abs=1e-4)


def test_ase_relaxes_a_cell(copper: Potential) -> None:
    from ase.filters import FrechetCellFilter
    from ase.optimize import BFGS

    atoms = CUBE.strained(0.02 * np.eye(3)).to_ase()
    atoms.calc = PinnkitCalculator(copper)
    assert BFGS(FrechetCellFilter(atoms), logfile=None).run(fmax=1e-3, steps=50)
    assert atoms.get_volume() ** (1 / 3) == pytest.approx(3.59, abs=0.02)  # 3.594 by effective medium theory


def test_labels_are_those_of_ase() -> None:
    from ase.calculators.emt import EMT
    from ase.calculators.lj import LennardJones as Theirs

    atoms = hot().to_ase()
    atoms.calc = EMT()
    one = labelled(effective_medium(), hot())
    assert one.energy == pytest.approx(atoms.get_potential_energy(), rel=1e-12)
    np.testing.assert_allclose(one.forces, atoms.get_forces(), rtol=0, atol=1e-12)
    np.testing.assert_allclose(one.stress, atoms.get_stress(voigt=False), rtol=0, atol=1e-12)
    cluster = Structure(2.4 * np.array([[0.0, 0, 0], [1, 0, 0], [0, 1, 0.2]]), ("Cu",) * 3)
    theirs = AseField(Theirs(sigma=2.3, epsilon=0.4, rc=1000.0)).energy_forces(cluster)
    ours = LennardJones(0.4, 2.3).energy_forces(cluster)
    assert theirs.energy == pytest.approx(ours.energy, rel=1e-9)
    np.testing.assert_allclose(theirs.forces, ours.forces, rtol=0, atol=1e-9)
    assert theirs.stress is None


def test_what_was_not_seen_is_predicted(copper: Potential) -> None:
    other = Shaken(effective_medium(), CUBE, 0.15, 0.03, 5, 1)(1).train
    assert compare(copper, other).force_rmse_relative < 0.1


def test_species_never_seen_are_refused_through_ase(copper: Potential) -> None:
    atoms = replace(hot(), species=("Au",) * 4).to_ase()
    atoms.calc = PinnkitCalculator(copper)
    with pytest.raises(BadInput, match="Au is unknown here; known are Cu"):
        atoms.get_potential_energy()


def test_what_is_no_potential_is_refused() -> None:
    with pytest.raises(BadInput, match="a str tells no energies and forces"):
        PinnkitCalculator("copper")  # type: ignore[arg-type]


def test_without_ase_the_extra_is_named(copper: Potential, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ase", None)
    for wants in (effective_medium, lambda: PinnkitCalculator(copper)):
        with pytest.raises(BadInput, match=r"pip install 'pinnkit\[atoms\]'"):
            wants()
