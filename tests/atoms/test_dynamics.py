"""Molecular dynamics: conserved energy, its order, temperatures, and steps that are too long."""

from dataclasses import replace

import numpy as np
import pytest

from pinnkit.atoms.pairs import Pairs, neighbours
from pinnkit.atoms.potentials.dynamics import ACCELERATION, BOLTZMANN, masses_of, simulate, thermal_velocities
from pinnkit.atoms.potentials.field import Labels
from pinnkit.atoms.potentials.lennard_jones import LennardJones
from pinnkit.atoms.structure import Structure, fcc
from pinnkit.errors import BadInput

FIELD = LennardJones(0.0104, 3.4, cutoff=6.0)
SOLID = fcc(5.3, "Ar").replicate(2, 1, 1)


class Springs:
    """Each atom tied to where it began: E = ½ k Σ |x − x₀|², exactly soluble."""

    def __init__(self, origin: np.ndarray, k: float) -> None:
        self.origin, self.k = origin, k

    def pairs(self, structure: Structure, skin: float = 0.0) -> Pairs:
        return neighbours(structure, 100.0)

    def energy_forces(self, structure: Structure, pairs: Pairs | None = None) -> Labels:
        x = structure.positions - self.origin
        return Labels(0.5 * self.k * float((x * x).sum()), -self.k * x, None)


class Whirl(Springs):
    """Springs, and beside them a force that is no derivative: it turns atoms round and round."""

    def energy_forces(self, structure: Structure, pairs: Pairs | None = None) -> Labels:
        labels = super().energy_forces(structure)
        x = structure.positions - self.origin
        return labels._replace(forces=labels.forces + 0.05 * np.cross([0, 0, 1], x))


TWO = Structure(np.array([[0.0, 0, 0], [9.0, 0, 0]]), ("Ar", "Ar"))
SPRINGS = Springs(TWO.positions, 0.5)


def test_an_oscillator_moves_as_the_formula_says() -> None:
    run = simulate(SPRINGS, TWO, steps=2000, timestep=0.5, temperature=50.0, every=100, seed=3)
    omega = np.sqrt(0.5 * ACCELERATION / 39.948)
    phase = omega * run.times[:, None, None]
    np.testing.assert_allclose(run.positions, TWO.positions + run.velocities[0] / omega * np.sin(phase), atol=1e-5)
    np.testing.assert_allclose(run.velocities, run.velocities[0] * np.cos(phase), atol=1e-7)


def test_the_energy_error_is_of_second_order_and_does_not_drift() -> None:
    runs = [simulate(FIELD, SOLID, steps=int(4000 / dt), timestep=dt, temperature=60.0, every=1) for dt in (4.0, 8.0)]
    fine, coarse = (float(np.ptp(run.energy)) for run in runs)
    assert coarse / fine == pytest.approx(4, rel=0.1)
    assert abs(runs[0].drift) < 1e-4 and runs[0].warning is None
    momentum = (masses_of(SOLID)[:, None] * runs[0].velocities).sum(1)
    assert np.abs(momentum).max() < 1e-12


def test_motion_can_be_reversed() -> None:
    there = simulate(FIELD, SOLID, steps=200, timestep=4.0, temperature=60.0)
    end, velocities = SOLID.moved(there.positions[-1]), -there.velocities[-1]
    back = simulate(FIELD, end, steps=200, timestep=4.0, temperature=0.0, velocities=velocities)
    np.testing.assert_allclose(back.positions[-1], SOLID.positions, atol=1e-10)


def test_a_list_of_pairs_with_a_skin_is_renewed_in_time() -> None:
    """A hot gas, in which everything changes its neighbours: the energy is kept only if no pair is missed."""
    gas = fcc(9.0, "Ar").replicate(2, 1, 1)
    run = simulate(FIELD, gas, steps=3000, timestep=2.0, temperature=200.0, every=20)
    assert np.linalg.norm(run.positions[-1] - run.positions[0], axis=1).min() > 1
    assert np.ptp(run.energy) < 0.02 * run.kinetic.mean() / len(gas) * 1e3


def test_a_thermostat_keeps_its_temperature() -> None:
    """Of springs, whose equipartition is exact: ⟨E_kin⟩ = ⟨E_pot⟩ = 3/2 k_B T for an atom."""
    many = Structure(np.array([[30.0 * k, 0, 0] for k in range(60)]), ("Ar",) * 60)
    springs = Springs(many.positions, 0.5)
    run = simulate(springs, many, steps=6000, timestep=10.0, temperature=70.0, friction=0.01, every=20, seed=1)
    late = slice(len(run) // 4, None)
    assert run.temperature[late].mean() == pytest.approx(70, rel=0.03)
    assert run.potential[late].mean() / 60 == pytest.approx(1.5 * BOLTZMANN * 70, rel=0.03)
    again = simulate(springs, many, steps=40, timestep=10.0, temperature=70.0, friction=0.01, every=20, seed=1)
    np.testing.assert_array_equal(again.positions[-1], run.positions[2])


def test_thermal_velocities_have_their_temperature_and_no_momentum() -> None:
    masses = np.repeat([1.008, 63.546], 4000)
    v = thermal_velocities(masses, 300.0, np.random.default_rng(0))
    assert np.abs(masses @ v).max() < 1e-9
    for part in (slice(0, 4000), slice(4000, None)):
        energy = 0.5 * (masses[part, None] * v[part] ** 2).sum() / ACCELERATION / 4000
        assert energy == pytest.approx(1.5 * BOLTZMANN * 300, rel=0.03)


def test_forces_without_an_energy_drift() -> None:
    whirl = Whirl(TWO.positions, 0.5)
    kept = simulate(SPRINGS, TWO, steps=1000, timestep=2.0, temperature=50.0)
    lost = simulate(whirl, TWO, steps=1000, timestep=2.0, temperature=50.0, measure=SPRINGS)
    assert abs(lost.drift) > 1e4 * abs(kept.drift)


def test_the_drift_is_the_slope_of_the_energy() -> None:
    run = simulate(SPRINGS, TWO, steps=1000, timestep=2.0, temperature=0.0)
    heated = replace(run, potential=2e-3 * 0.25 * run.times / 1e3)  # 0.25 meV per atom and ps
    assert heated.drift == pytest.approx(0.25, rel=1e-12)


def test_a_step_that_is_long_is_told_and_one_that_is_too_long_refused() -> None:
    run = simulate(FIELD, SOLID, steps=200, timestep=60.0, temperature=80.0)
    assert run.warning is not None and "60 fs is too long" in run.warning
    with pytest.raises(BadInput, match=r"^timestep: .*1000 fs an atom moves by"):
        simulate(FIELD, SOLID, steps=20, timestep=1000.0, temperature=80.0)
    with pytest.raises(BadInput, match=r"^timestep: .*the energy has changed by"):
        simulate(Springs(TWO.positions, 50.0), TWO, steps=50, timestep=22.0, temperature=1e-6, every=1)


@pytest.mark.parametrize(
    ("key", "change"),
    [
        ("steps", {"steps": 0}), ("timestep", {"timestep": 0.0}), ("timestep", {"timestep": float("nan")}),
        ("temperature", {"temperature": -1.0}), ("masses", {"masses": [1.0]}),
        ("masses", {"masses": [1.0] * 7 + [0.0]}), ("temperature", {"temperature": float("nan")}),
        ("friction", {"friction": -1.0}), ("every", {"every": 0}), ("steps", {"steps": 2.5}),
        ("velocities", {"velocities": [[0.0, 0.0, 0.0]]}), ("velocities", {"velocities": "slow"}),
    ],
)  # fmt: skip
def test_what_is_no_motion_is_refused(key: str, change: dict[str, object]) -> None:
    with pytest.raises(BadInput, match=f"^{key}: "):
        simulate(FIELD, SOLID, **({"steps": 2, "timestep": 1.0, "temperature": 1.0} | change))  # type: ignore[arg-type]


def test_an_unknown_element_needs_a_mass() -> None:
    with pytest.raises(BadInput, match="the mass of A, Q is not known"):
        masses_of(replace(SOLID, species=("A", "Q") * 4))
