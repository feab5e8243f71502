"""Learned potentials: symmetries to round-off, derivatives, fitting, what is refused."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation
from torch.testing import assert_close

from pinnkit.atoms.descriptors import SymmetryFunctions
from pinnkit.atoms.potentials.data import Shaken
from pinnkit.atoms.potentials.direct_forces import DirectForces
from pinnkit.atoms.potentials.field import labelled
from pinnkit.atoms.potentials.fitting import Fit, compare, fit, fit_energies
from pinnkit.atoms.potentials.lennard_jones import LennardJones
from pinnkit.atoms.potentials.potential import Potential
from pinnkit.atoms.potentials.raw_coordinates import RawPotential
from pinnkit.atoms.potentials.residuals import FitResiduals
from pinnkit.atoms.potentials.samples import balanced, samples
from pinnkit.atoms.structure import Structure, b2, fcc
from pinnkit.errors import BadInput
from pinnkit.settings import Settings

FIELD = LennardJones(0.0104, 3.4, cutoff=6.0)
PLACES = ((15.0, 2.7), (10.0, 2.9), (8.0, 3.15), (6.0, 3.45), (4.0, 3.8), (2.0, 4.2), (1.0, 4.8), (0.7, 5.6))
RADIAL = SymmetryFunctions(("Ar",), 6.0, PLACES)
BOTH = SymmetryFunctions(("Cl", "Na"), 4.5, ((1.0, 2.5), (0.5, 3.5)), ((0.02, 1.0, 1.0), (0.02, 2.0, -1.0)))


def settings(**more: object) -> Settings:
    return Settings.from_mapping({"problem": {"name": "potential"}, "network": {"layers": [12]}, **more})


def shaken(count: int = 24, seed: int = 0) -> list[Structure]:
    """Small crystals of argon, some with a vacancy."""
    return Shaken(FIELD, fcc(5.3, "Ar").replicate(1, 1, 2), 0.3, 0.03, count, 1)(seed).train


def salt(count: int = 8) -> list[Structure]:
    """Crystals of two species with labels that mean nothing."""
    rng = np.random.default_rng(3)
    perfect = b2(3.3, "Na", "Cl").replicate(1, 1, 2)
    moved = [perfect.moved(perfect.positions + 0.2 * rng.normal(size=(4, 3))) for _ in range(count)]
    return [one.labelled(rng.normal(), rng.normal(size=(4, 3)), np.eye(3) * rng.normal()) for one in moved]


@pytest.fixture(scope="module")
def argon() -> Fit:
    return fit(RADIAL, shaken(), settings(), members=2)


@pytest.fixture(scope="module")
def of_two() -> Potential:
    return fit(BOTH, salt(), settings()).potential


def turned(structure: Structure) -> tuple[Structure, np.ndarray]:
    """Turned, reflected and moved, with the cell."""
    turn = -Rotation.from_euler("xyz", [0.3, -1.1, 2.0]).as_matrix()
    assert structure.cell is not None
    return replace(structure, positions=structure.positions @ turn.T + [0.3, -7, 2], cell=structure.cell @ turn.T), turn


def test_no_symmetry_changes_the_energy(of_two: Potential) -> None:
    one = salt()[0]
    labels = of_two.energy_forces(one)
    other, turn = turned(one)
    same = of_two.energy_forces(other)
    assert same.energy == pytest.approx(labels.energy, rel=1e-12)
    np.testing.assert_allclose(same.forces, labels.forces @ turn.T, rtol=0, atol=1e-12 * np.abs(labels.forces).max())
    np.testing.assert_allclose(same.stress, turn @ labels.stress @ turn.T, rtol=0, atol=1e-12)
    order = np.array([2, 1, 3, 0])
    mixed = replace(one, positions=one.positions[order], species=tuple(np.array(one.species)[order]), forces=None)
    permuted = of_two.energy_forces(mixed)
    assert permuted.energy == pytest.approx(labels.energy, rel=1e-12)
    np.testing.assert_allclose(permuted.forces, labels.forces[order], rtol=0, atol=1e-12 * np.abs(labels.forces).max())
    swapped = replace(one, species=tuple({"Na": "Cl", "Cl": "Na"}[name] for name in one.species))
    assert abs(of_two.energy(swapped) - labels.energy) > 1e-3  # species do matter


def test_forces_sum_to_zero_and_a_supercell_says_the_same(argon: Fit) -> None:
    one = shaken()[0]
    labels = argon.potential.energy_forces(one)
    assert np.abs(labels.forces.sum(0)).max() < 1e-12 and np.abs(labels.forces).max() > 1e-3
    many = argon.potential.energy_forces(one.replicate(2, 1, 2))
    assert many.energy == pytest.approx(4 * labels.energy, rel=1e-12)
    np.testing.assert_allclose(many.forces[: len(one)], labels.forces, rtol=0, atol=1e-13)
    np.testing.assert_allclose(many.stress, labels.stress, rtol=0, atol=1e-13)


@pytest.mark.parametrize("case", ["argon", "of_two"])
def test_forces_and_stress_are_derivatives(case: str, argon: Fit, of_two: Potential) -> None:
    potential, one = (argon.potential, shaken()[1]) if case == "argon" else (of_two, salt()[1])
    labels, h, rng = potential.energy_forces(one), 1e-5, np.random.default_rng(5)
    for _ in range(3):
        move, strain = rng.normal(size=one.positions.shape), rng.normal(size=(3, 3))
        strain = strain + strain.T

        def slope(change: object) -> float:
            a, b, c, d = (potential.energy(change(s * h)) for s in (-2, -1, 1, 2))
            return (a - 8 * b + 8 * c - d) / (12 * h)

        by_move = slope(lambda s, move=move: one.moved(one.positions + s * move))
        size = np.abs(labels.forces).max()
        assert by_move == pytest.approx(-np.sum(labels.forces * move), rel=1e-7, abs=1e-7 * size)
        by_strain = slope(lambda s, strain=strain: one.strained(s * strain))
        assert by_strain == pytest.approx(one.volume * np.sum(labels.stress * strain), rel=1e-7, abs=1e-7 * size)


def test_pairs_beyond_the_cutoff_change_nothing(argon: Fit) -> None:
    one = shaken()[0]
    wide = argon.potential.energy_forces(one, argon.potential.pairs(one, 1.0))
    plain = argon.potential.energy_forces(one)
    assert wide.energy == pytest.approx(plain.energy, rel=1e-13)
    np.testing.assert_allclose(wide.forces, plain.forces, rtol=0, atol=1e-15)


def test_atoms_out_of_reach_feel_nothing(argon: Fit) -> None:
    far = Structure(np.array([[0.0, 0, 0], [50.0, 0, 0]]), ("Ar", "Ar"))
    labels = argon.potential.energy_forces(far)
    assert not labels.forces.any() and labels.stress is None
    assert labels.energy == pytest.approx(2 * argon.potential.energy(Structure(np.zeros((1, 3)), ("Ar",))), rel=1e-13)


@pytest.mark.parametrize("case", ["argon", "of_two"])
def test_the_jacobian_is_that_of_the_residual(case: str) -> None:
    functions, structures = (RADIAL, shaken(5)) if case == "argon" else (BOTH, salt(4))
    data = samples(functions, structures)
    atoms = fit_energies(data, len(functions.species), settings(network={"layers": [3]})).energies
    heads = sum(head.numel() for head in atoms.heads)
    residuals = FitResiduals(atoms, balanced(data, atoms.levels), torch.linspace(0.1, 0.2, heads, dtype=torch.float64))
    generator = torch.Generator().manual_seed(1)
    theta = residuals.theta + 0.1 * torch.randn(len(residuals.theta), dtype=torch.float64, generator=generator)
    r, matrix = residuals.jacobian(theta)
    assert_close(r, residuals(theta), rtol=1e-13, atol=0)
    assert_close(matrix, torch.func.jacrev(residuals)(theta), rtol=1e-9, atol=1e-9 * float(matrix.abs().max()))
    of_head, columns = residuals.linear_jacobian(theta)
    assert_close(of_head, r, rtol=1e-9, atol=1e-10 * float(r.abs().max()))
    assert_close(columns, matrix[:, residuals.linear], rtol=1e-10, atol=1e-12 * float(matrix.abs().max()))
    loss, gradient = residuals.gradient(theta)
    assert_close(gradient, matrix.mT @ r, rtol=1e-9, atol=1e-9 * float(gradient.abs().max()))
    assert float(loss) == pytest.approx(0.5 * float(r @ r), rel=1e-12)
    _, push, pull = residuals.linearised(theta)
    assert_close(push(gradient), matrix @ gradient, rtol=1e-9, atol=1e-9 * float((matrix @ gradient).abs().max()))
    assert_close(pull(r), gradient, rtol=1e-9, atol=1e-9 * float(gradient.abs().max()))


def test_the_residual_is_the_error_of_the_potential(argon: Fit) -> None:
    """What the optimizers see, from levers, is what the potential says, by automatic differentiation."""
    structures = shaken(6, seed=4)
    parts = samples(RADIAL, structures)
    atoms = argon.potential.members[0]
    single = argon.potential.single()[0]
    for one in parts:
        n = one.values.shape[1]
        predicted = FitResiduals(atoms, [one])
        r = predicted(predicted.theta)[: len(predicted.target)]
        same = [s for s in structures if len(s) == n]
        said = [single.energy_forces(s) for s in same]
        energies = torch.tensor([a.energy - s.energy for a, s in zip(said, same, strict=True)], dtype=torch.float64)
        pulls = [np.append((s.forces - a.forces).ravel(), s.volume * (a.stress - s.stress).ravel())
                 for a, s in zip(said, same, strict=True)]  # fmt: skip
        assert_close(r[: len(same)], energies, rtol=0, atol=1e-12)
        assert_close(r[len(same) :], torch.from_numpy(np.concatenate(pulls)), rtol=0, atol=1e-11)


@pytest.mark.parametrize(
    ("name", "steps"), [("gauss_newton", 5), ("lbfgs", 10), ("ssbroyden", 10), ("matrix_free", 3)]
)
def test_any_optimizer_improves_on_the_solved_head(name: str, steps: int, argon: Fit) -> None:
    found = fit(RADIAL, shaken(), settings(optimizer={"name": name}, training={"max_steps": steps}))
    assert len(found.history) == steps + 1 or found.stop_reason
    assert min(row["loss"] for row in found.history[1:]) < argon.history[-1]["loss"]


@pytest.mark.parametrize("name", ["adam", "soap"])
def test_first_order_methods_learn_from_a_random_head(name: str) -> None:
    chosen = settings(network={"layers": [12], "head": "random"}, optimizer=name, training={"max_steps": 100})
    losses = [row["loss"] for row in fit(RADIAL, shaken(), chosen).history]
    assert losses[-1] < 0.05 * losses[0]


def test_what_is_fitted_predicts_what_was_not_seen(argon: Fit) -> None:
    other = shaken(6, seed=1)
    assert compare(argon.potential, other).force_rmse_relative < 0.1
    same = fit(RADIAL, shaken(), settings(), members=2)
    assert same.potential.energy(other[0]) == argon.potential.energy(other[0])


def test_labels_may_be_missing() -> None:
    """Forces of a third of the structures are enough of them, and stress is not needed."""
    known = shaken(36)
    few = [replace(one, stress=None, forces=one.forces if k % 3 else None) for k, one in enumerate(known)]
    assert compare(fit(RADIAL, few, settings()).potential, shaken(6, seed=1)).force_rmse_relative < 0.15


def test_the_committee_is_its_mean_and_spread(argon: Fit) -> None:
    one = shaken(seed=2)[0]
    each = [member.energy_forces(one) for member in argon.potential.single()]
    labels, spread = argon.potential.energy_forces(one), argon.potential.spread(one)
    np.testing.assert_allclose(labels.forces, np.mean([e.forces for e in each], axis=0), rtol=0, atol=1e-14)
    np.testing.assert_allclose(spread.forces, np.std([e.forces for e in each], axis=0), rtol=0, atol=1e-14)
    assert spread.energy == pytest.approx(abs(each[0].energy - each[1].energy) / 2, rel=1e-9) and spread.energy > 0
    assert spread.stress is not None and spread.stress.any()


def test_a_plain_copy_is_the_same(argon: Fit, of_two: Potential) -> None:
    for potential, one in ((argon.potential, shaken()[0]), (of_two, salt()[0])):
        assert Potential.from_plain(potential.to_plain()).energy(one) == potential.energy(one)


def test_direct_forces_turn_but_do_not_balance() -> None:
    direct, one = DirectForces.fit(RADIAL, shaken(60)), shaken(seed=1)[0]
    forces, (other, turn) = direct.energy_forces(one).forces, turned(one)
    np.testing.assert_allclose(direct.energy_forces(other).forces, forces @ turn.T, rtol=0, atol=1e-13)
    assert np.abs(forces.sum(0)).max() > 1e-7
    assert compare(direct, shaken(6, seed=1)).force_rmse_relative < 0.3


def test_raw_coordinates_do_not_turn() -> None:
    """A network on coordinates interpolates what it saw, with forces that are derivatives, and knows no symmetry."""
    rng = np.random.default_rng(0)
    triangle = np.array([[0.0, 0, 0], [3.8, 0, 0], [1.9, 3.3, 0]])
    moved = [Structure(triangle + 0.1 * rng.normal(size=(3, 3)), ("Ar",) * 3) for _ in range(60)]
    clusters = [labelled(LennardJones(0.0104, 3.4), one) for one in moved]
    raw = RawPotential.fit(clusters[:50], settings())
    assert compare(raw, clusters[50:]).force_rmse_relative < 0.5
    one, h = clusters[0], 1e-4
    move = rng.normal(size=(3, 3))
    ends = [raw.energy_forces(one.moved(one.positions + s * move)).energy for s in (-h, h)]
    slope = -np.sum(raw.energy_forces(one).forces * move)
    assert (ends[1] - ends[0]) / (2 * h) == pytest.approx(slope, rel=1e-5, abs=1e-9)
    turn = Rotation.from_euler("z", 90, degrees=True).as_matrix()
    assert abs(raw.energy_forces(one.moved(one.positions @ turn.T)).energy - one.energy) > 1e-3


def test_what_cannot_be_used_is_refused_in_one_line(argon: Fit) -> None:
    one = shaken()[0]
    with pytest.raises(BadInput, match=r"^species: Xe is unknown here; known are Ar"):
        argon.potential.energy(replace(one, species=("Xe",) * len(one)))
    with pytest.raises(BadInput, match="same place"):
        argon.potential.energy(one.moved(one.positions * 0))
    with pytest.raises(BadInput, match="Xe is unknown"):
        fit(RADIAL, [replace(s, species=("Xe",) * len(s)) for s in shaken(5)], settings())
    with pytest.raises(BadInput, match="at least"):
        fit(RADIAL, shaken(4)[:2], settings())
    with pytest.raises(BadInput, match="no structure has an energy"):
        fit(RADIAL, [s.moved(s.positions) for s in shaken(5)], settings())
