"""The study of a potential from beginning to end, small; and its two problems at their default size."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import pinnkit
from pinnkit import catalogue, load, solve
from pinnkit.atoms.descriptors import SymmetryFunctions
from pinnkit.atoms.extxyz import write_extxyz
from pinnkit.atoms.pairs import neighbours
from pinnkit.atoms.potentials.data import FromFile, Known, Labelled, Shaken, Thermal, thermal
from pinnkit.atoms.potentials.dynamics import simulate
from pinnkit.atoms.potentials.evidence import Motion
from pinnkit.atoms.potentials.field import labelled
from pinnkit.atoms.potentials.figures import figures
from pinnkit.atoms.potentials.fitting import compare, fit
from pinnkit.atoms.potentials.learning import Exploration, explore, learn
from pinnkit.atoms.potentials.lennard_jones import LennardJones
from pinnkit.atoms.potentials.study import LearnedPotential, PotentialStudy
from pinnkit.atoms.potentials.symmetry import INVARIANT, RAW, Clusters
from pinnkit.atoms.structure import Structure, fcc
from pinnkit.errors import BadInput
from pinnkit.settings import Settings

FIELD = LennardJones(0.0104, 3.4, cutoff=6.0)
PLACES = ((15.0, 2.7), (10.0, 2.9), (8.0, 3.15), (6.0, 3.45), (4.0, 3.8), (2.0, 4.2), (1.0, 4.8), (0.7, 5.6))
FUNCTIONS = SymmetryFunctions(("Ar",), 6.0, PLACES)
CUBE = fcc(5.3, "Ar")
SMALL = {"layers": [20]}


def study(**more: object) -> PotentialStudy:
    """Four atoms, a committee of two, and two picoseconds."""
    data = Shaken(FIELD, CUBE, 0.3, 0.03, 40, 10)
    chosen = {"data": data, "descriptors": FUNCTIONS, "motion": Motion(CUBE, 40.0, 5.0, 2.0), "members": 2, **more}
    return PotentialStudy(**chosen)  # type: ignore[arg-type]


def settings(**more: object) -> Settings:
    return Settings.from_mapping({"problem": {"name": "potential"}, "network": SMALL, **more})


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> tuple[LearnedPotential, Path]:
    folder = tmp_path_factory.mktemp("argon")
    clusters = Clusters(LennardJones(0.0104, 3.4), replace(FUNCTIONS, cutoff=9.0), atoms=3, sizes=(5, 60), held_out=20)
    return pinnkit.solve(study(clusters=clusters), folder=folder, network=SMALL), folder


def test_the_potential_keeps_to_its_bars(found: tuple[LearnedPotential, Path]) -> None:
    m = found[0].metrics
    assert m["force_rmse_relative"] < 0.02 and m["verdict"] == "trusted" and m["reference"]["kind"] == "data"
    assert m["relative_l2"] == pytest.approx(m["force_rmse_relative"], rel=0.05)
    assert m["sum_of_forces"] < 1e-12 and m["members"] == 2 and m["points"] == 40 and m["held_out"] == 10
    assert abs(m["energy_drift_mev_per_atom_ps"]) < 1e-3 and m["direct_forces_drift_mev_per_atom_ps"] != 0


def test_symmetry_is_worth_many_clusters(found: tuple[LearnedPotential, Path]) -> None:
    m = found[0].metrics["contrast"]
    assert m["structures"] == [5, 60]
    assert m["force_rmse_relative"][INVARIANT][-1] < 0.1 * m["force_rmse_relative"][RAW][-1]
    assert m["sum_of_forces"][INVARIANT] < 1e-12 < 1e-3 < m["sum_of_forces"][RAW]
    assert m["energy_range_of_rotations"][INVARIANT] < 1e-14 < 1e-4 < m["energy_range_of_rotations"][RAW]


def test_a_run_leaves_its_files(found: tuple[LearnedPotential, Path]) -> None:
    one, folder = found
    assert json.loads((folder / "metrics.json").read_text()) == one.metrics
    drawn = {path.stem for path in (folder / "plots").iterdir()}
    assert drawn == {"solution", "truth", "drift", "symmetry", "spread"} == set(one.captions)
    with np.load(folder / "solution.npz") as arrays:
        missed = arrays["forces"] - arrays["true_forces"]
        relative = np.sqrt(np.mean(missed**2)) / np.std(arrays["true_forces"])
        assert relative == pytest.approx(one.metrics["force_rmse_relative"], rel=1e-12)
        np.testing.assert_allclose(np.linalg.norm(missed.reshape(-1, 3), axis=1), arrays["force_errors"], rtol=1e-12)
        late = slice(len(arrays["times"]) // 10, None)
        slope = np.polyfit(arrays["times"][late], arrays["conserved"][late], 1)[0]
        assert slope == pytest.approx(one.metrics["energy_drift_mev_per_atom_ps"], rel=1e-6)
    assert (folder / "history.csv").read_text().startswith("step,seconds,loss")
    page = (folder / "report.html").read_text()
    assert f"<b>{one.metrics['force_rmse_relative']:.2%}</b>" in page and "<b>—</b>" not in page


def test_what_is_loaded_is_what_was_found(found: tuple[LearnedPotential, Path]) -> None:
    one, folder = found
    again = pinnkit.load(folder)
    assert isinstance(again, LearnedPotential) and again.metrics == one.metrics
    moved = CUBE.moved(CUBE.positions + 0.1 * np.random.default_rng(0).normal(size=(4, 3)))
    assert again.energy(moved) == one.energy(moved)
    np.testing.assert_array_equal(again.forces(moved), one.forces(moved))
    np.testing.assert_array_equal(again.spread(moved).forces, one.spread(moved).forces)
    assert set(figures(again)) == set(figures(one)) and again.lines() == one.lines()
    assert len(again.members) == 2


def test_members_are_those_of_the_task() -> None:
    small = study(motion=Motion(CUBE, 40.0, 5.0, 0.0))
    three = settings(task={"name": "committee", "members": 3})
    one = replace(small, members=None).answer(three)
    with pytest.raises(BadInput, match=r"task\.members says how many there are"):
        small.check(three)
    assert len(one.members) == 3 and one.metrics["energy_drift_mev_per_atom_ps"] is None
    alone = replace(small, members=1).answer(settings())
    assert alone.metrics["rank_correlation"] is None and not {"spread", "drift"} & set(alone.figures())


def test_too_little_accuracy_is_not_trusted() -> None:
    one = study(motion=Motion(CUBE, 40.0, 5.0, 0.0)).answer(settings(tolerance=1e-9))
    assert one.metrics["verdict"].startswith("untrusted") and one.missed_tolerance
    long = study(motion=Motion(CUBE, 40.0, 60.0, 3.0)).answer(settings())
    assert "a step of 60 fs is too long" in long.metrics["verdict"]


def test_the_parity_figure_shows_every_force(found: tuple[LearnedPotential, Path]) -> None:
    one = found[0]
    drawn = figures(one)
    above = drawn["solution"].axes[0]
    shown = max((np.asarray(line.get_xydata()) for line in above.get_lines()), key=len)
    np.testing.assert_array_equal(shown, np.stack([one.evidence.errors.forces[1], one.evidence.errors.forces[0]], 1))


def test_energies_that_are_wrong_are_not_trusted() -> None:
    """Where forces are right: energies of half of the structures are counted from elsewhere."""
    train, other = Shaken(FIELD, CUBE, 0.3, 0.03, 40, 10)(0)
    lifted = [one.labelled(one.energy + 2.0 * (k % 2), one.forces) for k, one in enumerate(other)]  # type: ignore[operator]
    told = study(data=Known(Labelled(train, lifted)), motion=Motion(CUBE, 40.0, 5.0, 0.0)).answer(settings()).metrics
    assert told["force_rmse_relative"] < 0.02 and told["energy_rmse_mev_per_atom"] > 100
    assert told["verdict"].startswith("untrusted: energies are ")


def test_forces_that_do_not_vary_judge_nothing(tmp_path: Path) -> None:
    """Of perfect crystals: what cannot be told is null in the files, and nothing in the figures breaks."""
    train, _ = Shaken(FIELD, CUBE, 0.3, 0.03, 40, 1)(0)
    still = [labelled(FIELD, fcc(a, "Ar")) for a in (5.2, 5.3, 5.4)]
    one = pinnkit.solve(study(data=Known(Labelled(train, still))), folder=tmp_path, network=SMALL)
    assert one.metrics["force_rmse_relative"] is None and "judge nothing" in one.metrics["verdict"]
    assert "NaN" not in (tmp_path / "metrics.json").read_text() and "do not vary" in one.lines()[0]


def test_a_potential_under_which_atoms_fly_apart_is_told() -> None:
    """Labels are nonsense: whatever is learned from them, the run says so and ends well."""
    train, other = Shaken(FIELD, CUBE, 0.3, 0.03, 40, 10)(0)
    rng = np.random.default_rng(0)
    spoiled = [one.labelled(1e3 * rng.normal(), 1e3 * rng.normal(size=one.positions.shape)) for one in train]
    one = study(data=Known(Labelled(spoiled, other))).answer(settings())
    assert one.metrics["verdict"].startswith("untrusted: forces are")
    assert one.evidence.warning and one.metrics["energy_drift_mev_per_atom_ps"] is None and "drift" not in one.figures()


def test_atoms_in_surroundings_never_seen_are_told(found: tuple[LearnedPotential, Path]) -> None:
    one = found[0]
    pool = Shaken(FIELD, CUBE, 0.3, 0.03, 40, 10)(0)
    assert max(one.beyond(seen).max() for seen in pool.train) == 0
    with pytest.raises(BadInput, match="nobody to disagree with"):
        one.members[0].spread(CUBE)
    pressed = [float(one.beyond(fcc(a, "Ar")).min()) for a in (5.3, 4.9, 4.7, 4.5)]
    assert pressed[0] < 0.1 < pressed[1] < pressed[2] < pressed[3]


def test_atoms_nearer_than_any_in_the_data_repel_each_other(found: tuple[LearnedPotential, Path]) -> None:
    """Down to no distance at all; nothing that was learned from is changed."""
    one = found[0]
    closest = float(one.potential.closest[0, 0])
    distances = closest * np.geomspace(0.85, 0.1, 12)
    pairs = [Structure([[0.0, 0, 0], [r, 0, 0]], ("Ar", "Ar")) for r in distances]
    energies, forces = np.array([one.energy(pair) for pair in pairs]), [one.forces(pair)[1, 0] for pair in pairs]
    assert (np.diff(energies) > 0).all() and min(forces) > 0.05
    assert (np.diff([one.beyond(pair)[0] for pair in pairs[6:]]) > 0).all()
    for seen in Shaken(FIELD, CUBE, 0.3, 0.03, 40, 10)(0).train:
        vectors = neighbours(seen, FUNCTIONS.cutoff).vectors(seen)
        assert np.linalg.norm(vectors, axis=1).min() >= closest - 1e-12


def test_motion_in_surroundings_never_seen_is_told(found: tuple[LearnedPotential, Path]) -> None:
    cold = simulate(found[0], CUBE, steps=100, timestep=5.0, temperature=20.0)
    assert cold.warning is None
    hot = simulate(found[0], CUBE, steps=1000, timestep=1.0, temperature=2000.0, friction=0.01)
    assert hot.warning is not None and "outside of the surroundings learned from" in hot.warning


# --- data -------------------------------------------------------------------------------------------------------------


def test_held_out_structures_are_of_other_runs() -> None:
    data = Thermal(FIELD, [fcc(5.2, "Ar"), fcc(5.4, "Ar")], [30.0, 60.0], 2, [CUBE])
    train, other = data(0)
    assert len(train) == 8 and len(other) == 2
    assert {one.cell[0, 0] for one in train} == {5.2, 5.4} and {one.cell[0, 0] for one in other} == {5.3}
    again = data(0).train
    np.testing.assert_array_equal(again[3].positions, train[3].positions)
    assert np.abs(data(1).train[3].positions - train[3].positions).max() > 1e-3


def test_a_file_is_learned_from(tmp_path: Path) -> None:
    structures = Shaken(FIELD, CUBE, 0.3, 0.03, 16, 1)(0).train
    path = tmp_path / "argon.xyz"
    write_extxyz(path, structures)
    labelled = FromFile(path)(0)
    assert len(labelled.train) == 12 and len(labelled.held_out) == 4
    energies = sorted(float(one.energy or 0) for part in labelled for one in part)
    np.testing.assert_allclose(energies, sorted(float(one.energy or 0) for one in structures), rtol=1e-9)
    write_extxyz(path, structures[:5] * 4)  # copies would be judged by themselves
    with pytest.raises(BadInput, match=r"holds 5 different structures; give at least 6"):
        FromFile(path)(0)
    write_extxyz(path, [one.moved(one.positions) for one in structures])
    with pytest.raises(BadInput, match=r"structure 1 of .* has no energy=…"):
        FromFile(path)(0)


# --- active learning --------------------------------------------------------------------------------------------------


def test_a_committee_finds_what_it_does_not_know() -> None:
    """From cold structures, it explores a hot crystal: what it labels there lowers the error there."""
    cold = thermal(FIELD, CUBE, 5.0, 12, 8.0, seed=0)
    hot = thermal(FIELD, CUBE, 120.0, 12, 8.0, seed=9)
    where = Exploration(FIELD, CUBE, 120.0, 5.0, disagreement=2e-3, wanted=4, stretches=20)
    before = fit(FUNCTIONS, cold, settings(), members=3)
    learned = learn(FUNCTIONS, cold, where, settings(), rounds=3, members=3)
    assert 0 < learned.added[0] <= 4 and len(learned.structures) == 12 + sum(learned.added)
    errors = [compare(one.potential, hot).force_rmse_relative for one in (before, learned.fit)]
    assert errors[1] < 0.3 * errors[0]
    with pytest.raises(BadInput, match="nobody to disagree with"):
        learn(FUNCTIONS, cold, where, settings(), rounds=1, members=1)


def test_a_committee_that_agrees_has_seen_enough() -> None:
    known = thermal(FIELD, CUBE, 40.0, 12, 8.0, seed=0)
    where = Exploration(FIELD, CUBE, 20.0, 5.0, disagreement=0.5, stretches=2)
    assert explore(fit(FUNCTIONS, known, settings(), members=2).potential, where, 0) == []


# --- problems ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("key", "change"),
    [
        ("problem.timestep", {"timestep": 1000.0}), ("problem.timestep", {"timestep": 0.0}),
        ("problem.picoseconds", {"picoseconds": -1.0}), ("problem.temperature", {"temperature": 0.0}),
        ("problem.members", {"members": 0}), ("problem.active", {"active": -1}),
        ("problem.members", {"members": 1, "active": 2}), ("problem.sigma", {"sigma": -1.0}),
        ("problem.cutoff", {"cutoff": 0.0}), ("problem.cutoff", {"cutoff": 3.0}), ("problem.count", {"count": 0}),
        ("problem.count", {"lattice": [5.3], "temperatures": [40.0], "count": 3}),
        ("problem.lattice", {"lattice": []}), ("problem.temperatures", {"temperatures": []}),
        ("problem.temperatures", {"temperatures": [-10.0, 80.0]}), ("problem.lattice", {"lattice": [0.5, 0.6]}),
    ],
)  # fmt: skip
def test_what_makes_no_sense_is_refused_before_anything_is_written(
    key: str, change: dict[str, object], tmp_path: Path
) -> None:
    with pytest.raises(BadInput, match=f"^{key}: "):
        pinnkit.solve("lj_potential", problem=change, folder=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_potential_is_no_equation() -> None:
    with pytest.raises(BadInput, match="no equation; write task=committee"):
        study().check(settings(task="transfer"))
    assert isinstance(catalogue.load("lj_potential").build(), PotentialStudy)


@pytest.mark.gallery
@pytest.mark.parametrize("name", ["lj_potential", "copper_potential"])
def test_the_problems_keep_to_their_bars(name: str) -> None:
    m = pinnkit.solve(name).metrics
    assert m["verdict"] == "trusted" and m["force_rmse_relative"] <= 0.02 and m["sum_of_forces"] <= 1e-12
    assert abs(m["energy_drift_mev_per_atom_ps"]) <= 1e-4
    assert abs(m["direct_forces_drift_mev_per_atom_ps"]) > 10 * abs(m["energy_drift_mev_per_atom_ps"])


def test_what_was_found_moves_atoms_by_itself(tmp_path: Path) -> None:
    """As the documentation has it, also once it is read again."""
    told = {"members": 2, "symmetry": False, "picoseconds": 0.1, "count": 2}
    found = solve("lj_potential", problem=told, folder=tmp_path / "run")
    crystal = fcc(5.3, "Ar").replicate(2, 2, 2)
    for friction in (None, 0.005):
        motions = [simulate(one, crystal, steps=4, timestep=5.0, temperature=60.0, friction=friction)
                   for one in (found, found.potential, load(tmp_path / "run"))]  # fmt: skip
        for other in motions[1:]:
            np.testing.assert_array_equal(other.positions, motions[0].positions)
