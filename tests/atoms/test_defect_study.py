"""Crystal defects: what is learned tells them apart where nothing was seen, and is the same after reading it again."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.spatial.transform import Rotation

from pinnkit import catalogue, load, solve
from pinnkit.atoms.defects.crystals import Crystals
from pinnkit.atoms.defects.figures import figures
from pinnkit.atoms.defects.merit import HeldOut, principal
from pinnkit.atoms.defects.study import CrystalDefects, DefectRepresentation
from pinnkit.atoms.structure import Structure, fcc
from pinnkit.errors import BadInput, CheckpointUnusable
from pinnkit.settings import ProblemChoice
from pinnkit.tasks import summary

CHOSEN = ("fcc perfect", "fcc vacancy", "bcc perfect", "bcc vacancy", "b2 perfect A", "b2 antisite A", "b2 vacancy B")
SMALL: dict[str, Any] = {"chosen": CHOSEN, "pairs": 2000, "steps": 500, "held_out": 600, "batch": 64, "width": 32}


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> tuple[DefectRepresentation, Path]:
    folder = tmp_path_factory.mktemp("crystal_defects")
    found = solve(CrystalDefects(**SMALL), folder=folder, seed=1)
    assert isinstance(found, DefectRepresentation)
    return found, folder


def test_what_is_learned_beats_what_it_is_learned_from(small: tuple[DefectRepresentation, Path]) -> None:
    m = small[0].metrics
    assert m["nearest_neighbour_accuracy"] > 0.97
    assert 1 - m["nearest_neighbour_accuracy"] < 0.5 * (1 - m["raw_descriptor_accuracy"])
    assert m["raw_coordinate_accuracy"] < m["trained_coordinate_accuracy"] < 0.75
    assert m["points"] == 4000 and m["seconds"]["train"] < m["seconds"]["total"]
    assert m["parameters"] == sum(a * b + b for a, b in ((129, 32), (32, 32), (32, 16)))


def test_accuracy_falls_with_noise(small: tuple[DefectRepresentation, Path]) -> None:
    curve = small[0].metrics["accuracy_by_noise"]
    learned = dict(zip(curve["values"], curve["contrastive"], strict=True))
    assert min(learned[0.01], learned[0.02]) > 0.98 and learned[0.12] < learned[0.06] - 0.05
    sizes = small[0].metrics["accuracy_by_stretch"]
    assert dict(zip(sizes["values"], sizes["contrastive"], strict=True))[0.0] > 0.97


def test_accuracies_are_those_of_the_confusion(small: tuple[DefectRepresentation, Path]) -> None:
    found = small[0]
    table = found.judged.confusion("contrastive", len(CHOSEN))
    assert_allclose(table.sum(1), 1)
    weights = np.bincount(found.judged.labels) / len(found.judged.labels)
    assert found.metrics["nearest_neighbour_accuracy"] == pytest.approx(float(weights @ table.diagonal()))
    assert list(found.metrics["accuracy_by_defect"]) == list(found.problem.names)
    assert_allclose(list(found.metrics["accuracy_by_defect"].values()), table.diagonal())


def test_defects_of_crystals_are_named(small: tuple[DefectRepresentation, Path]) -> None:
    found, crystals = small[0], small[0].problem.crystals
    for kind in found.problem.kinds:
        structure, centre = crystals.with_defect(kind, site=11)
        (match,) = found.classify(structure, centre)
        assert match.defect == kind.name and match.similarity > 0.9
    structure, _ = crystals.with_defect(found.problem.kinds[0])
    assert [match.defect for match in found.classify(structure, [0, 7])] == ["fcc perfect"] * 2


def hcp(d: float, symbol: str) -> Structure:
    """Nearest neighbours at d, 600 atoms."""
    cell = d * np.array([[1, 0, 0], [-0.5, np.sqrt(0.75), 0], [0, 0, np.sqrt(8 / 3)]])
    one = Structure(np.array([[0, 0, 0], [1 / 3, 2 / 3, 1 / 2]]) @ cell, (symbol,) * 2, cell, (True,) * 3)
    return one.replicate(8, 8, 5)


def test_what_is_no_known_defect_is_said_to_be_none(small: tuple[DefectRepresentation, Path]) -> None:
    """Lattices that were never shown, a place in nothing, and a crystal with an element in place of another."""
    found, d = small[0], small[0].problem.crystals.distance
    cubic = Structure(np.zeros((1, 3)), ("Ni",), d * np.eye(3), (True,) * 3)
    one = fcc(np.sqrt(2) * d, "Ni")
    ordered = Structure(one.positions, ("Al", "Ni", "Ni", "Ni"), one.cell, one.periodic)
    alone = Structure(np.zeros((1, 3)), ("Ni",))
    for structure in (hcp(d, "Ni"), cubic, ordered, alone):
        (match,) = found.classify(structure, [0])
        assert not match.known and match.typical <= 0.01
    (vacancy,) = found.classify(alone, [[50.0, 0.0, 0.0]])
    assert not vacancy.known


def test_views_of_known_defects_are_seldom_said_to_be_none(small: tuple[DefectRepresentation, Path]) -> None:
    """Of 1000 views as the held-out ones one in a hundred, within four standard deviations; with less noise fewer."""
    found, rng = small[0], np.random.default_rng(3)
    problem = found.problem
    seen, truth = problem.draw(1000, (0.5, 1.0), problem.disturbed, rng)
    matches = found.classify(seen)
    alarms = np.mean([not match.known for match in matches])
    assert abs(alarms - 0.01) < 4 * np.sqrt(0.0099 * (1 / 1000 + 1 / 600))
    right = [match.defect == problem.names[k] for match, k in zip(matches, truth, strict=True)]
    assert np.mean(right) > 0.97
    calm, _ = problem.draw(300, (0.5, 1.0), problem.by_noise[0.02], rng)
    assert np.mean([not match.known for match in found.classify(calm)]) <= 0.01


def test_most_views_put_out_of_order_are_found_out(small: tuple[DefectRepresentation, Path]) -> None:
    m = small[0].metrics
    assert m["others_said_unknown"] > 0.6
    alarms = dict(zip(m["accuracy_by_noise"]["values"], m["accuracy_by_noise"]["said_unknown"], strict=True))
    assert alarms[0.02] <= 0.01 and alarms[0.06] < 0.03 and alarms[0.12] > 0.5


class Bare:
    """Atoms in nothing, with no more than is asked for."""

    def __init__(self, structure: Structure) -> None:
        self.positions, self.symbols = structure.positions, list(structure.species)

    def get_chemical_symbols(self) -> list[str]:
        return self.symbols


def test_atoms_of_ase_are_seen_as_they_are(small: tuple[DefectRepresentation, Path]) -> None:
    pytest.importorskip("ase")
    found = small[0]
    structure, vacancy = found.problem.crystals.with_defect(found.problem.kinds[1], site=11)
    atoms = structure.to_ase()
    assert found.classify(atoms, vacancy) == found.classify(structure, vacancy)
    assert found.classify(atoms, vacancy)[0].defect == "fcc vacancy"
    assert_array_equal(found.embed(atoms, [0, 5]), found.embed(structure, [0, 5]))
    free = Structure(structure.positions, structure.species)
    assert_array_equal(found.embed(Bare(free), [0, 5]), found.embed(free, [0, 5]))


def test_a_turned_shifted_and_reordered_crystal_is_the_same(small: tuple[DefectRepresentation, Path]) -> None:
    found, rng = small[0], np.random.default_rng(0)
    structure, centre = found.problem.crystals.with_defect(found.problem.kinds[4])
    structure = structure.moved(structure.positions + 0.1 * rng.normal(size=structure.positions.shape))
    turn, order = Rotation.from_quat(rng.normal(size=4)).as_matrix(), rng.permutation(len(structure))
    assert structure.cell is not None
    other = Structure(
        (structure.positions @ turn.T + 5.0)[order], tuple(structure.species[k] for k in order),
        structure.cell @ turn.T, structure.periodic,
    )  # fmt: skip
    one = found.embed(structure, centre)
    assert one.shape == (1, 16) and np.linalg.norm(one) == pytest.approx(1)
    assert_allclose(found.embed(other, centre @ turn.T + 5.0), one, atol=1e-10)


def test_a_run_leaves_its_files_and_is_read_again(small: tuple[DefectRepresentation, Path]) -> None:
    found, folder = small
    plots = {path.stem for path in (folder / "plots").iterdir()}
    assert plots == set(found.captions) == {"solution", "confusion", "noise", "loss"}
    assert json.loads((folder / "metrics.json").read_text()) == found.metrics
    again = load(folder)
    assert isinstance(again, DefectRepresentation) and again.metrics == found.metrics
    structure, centre = found.problem.crystals.with_defect(found.problem.kinds[1])
    assert_array_equal(again.embed(structure, centre), found.embed(structure, centre))
    assert again.classify(structure, centre) == found.classify(structure, centre)
    assert figures(again).keys() == plots
    with np.load(folder / "solution.npz") as arrays:
        assert_array_equal(arrays["known"], found.known)


def test_figures_show_what_was_found(small: tuple[DefectRepresentation, Path]) -> None:
    drawn = figures(small[0])
    titles = [ax.get_title(loc="left") for ax in drawn["solution"].axes]
    assert titles[0] == f"contrastive: {small[0].metrics['nearest_neighbour_accuracy']:.1%}" and len(titles) == 3
    left = drawn["noise"].axes[0]
    curve = np.asarray(left.get_lines()[0].get_ydata())
    assert_allclose(curve, small[0].metrics["accuracy_by_noise"]["contrastive"])
    assert len(drawn["confusion"].axes) == 2 and len(drawn["loss"].axes[0].get_lines()) == 3


def test_the_summary_tells_all_representations(small: tuple[DefectRepresentation, Path]) -> None:
    text = summary(small[0])
    assert "of the same defect, at sites never seen" in text and "descriptors" in text and "trained" in text


def test_a_report_begins_with_accuracies(small: tuple[DefectRepresentation, Path]) -> None:
    found, folder = small
    accuracy = f"{found.metrics['nearest_neighbour_accuracy']:.2%}"
    assert found.tiles["nearest neighbours of the same defect"] == accuracy
    assert f"<b>{accuracy}</b>" in (folder / "report.html").read_text(encoding="utf-8")
    hardest = min(found.metrics["accuracy_by_defect"].values())
    assert [value for key, value in found.tiles.items() if "hardest" in key] == [f"{hardest:.2%}"]


def test_a_file_of_an_older_version_is_refused(small: tuple[DefectRepresentation, Path]) -> None:
    plain = small[0].to_plain()
    del plain["novelty"]
    with pytest.raises(CheckpointUnusable, match="older version"):
        DefectRepresentation.from_plain(plain)


def test_a_run_is_repeated_to_the_bit() -> None:
    tiny: dict[str, Any] = {"chosen": CHOSEN[:2], "pairs": 20, "steps": 3, "held_out": 20, "batch": 4}
    one, other, third = (solve(CrystalDefects(**tiny), seed=seed) for seed in (3, 3, 4))
    assert_array_equal(one.arrays()["known"], other.arrays()["known"])
    assert np.abs(one.arrays()["known"] - third.arrays()["known"]).max() > 1e-3


def test_an_atom_must_stand_where_the_defect_has_one_and_none_where_it_has_none(small) -> None:
    """In a perfect crystal: empty holes hold nothing that has an atom, and an impurity is no vacancy."""
    found, d = small[0], 2.5
    a = d * np.sqrt(2)
    crystal = fcc(a, "Ni").replicate(6, 6, 6)
    holes = a * (np.array([[3.5, 3, 3], [3.25, 3.25, 3.25]]))
    assert not any(match.known for match in found.classify(crystal, holes) if "vacancy" not in match.defect)
    impure = Structure(crystal.positions, ("Al", *crystal.species[1:]), crystal.cell, crystal.periodic)
    assert not any(match.known for match in found.classify(impure, [0]) if "vacancy" in match.defect)
    assert found.classify(crystal, [0])[0].known
    vacant = Structure(crystal.positions[1:], crystal.species[1:], crystal.cell, crystal.periodic)
    (missing,) = found.classify(vacant, crystal.positions[:1])
    assert missing.known and missing.defect == "fcc vacancy"


def test_as_little_as_is_allowed_is_learned_from() -> None:
    """With ten held-out views no p-value is below 1/11: nothing is said to be unknown."""
    found = solve(CrystalDefects(chosen=CHOSEN[:2], pairs=2, steps=1, held_out=10, batch=2))
    (match,) = found.classify(hcp(2.5, "Ni"), [0])
    assert (match.typical == 0 or match.typical >= 1 / 11) and found.metrics["others_said_unknown"] == 0


def test_an_accuracy_that_is_missed_is_said() -> None:
    tiny: dict[str, Any] = {"chosen": CHOSEN[:4], "pairs": 20, "steps": 1, "held_out": 50, "batch": 4, "noise": 0.12}
    found = solve(CrystalDefects(**tiny))
    assert found.metrics["verdict"].startswith("untrusted: ") and not found.missed_tolerance
    assert solve(CrystalDefects(**tiny), tolerance=1e-3).missed_tolerance
    assert solve(CrystalDefects(**tiny), tolerance=0.99).metrics["verdict"] == "trusted"


def test_principal_components_are_those_of_the_covariance() -> None:
    points = np.random.default_rng(0).normal(size=(300, 4)) * [1, 5, 0.1, 2] + 7
    found = principal(points)
    assert_allclose(found.var(0, ddof=1), np.sort(np.linalg.eigvalsh(np.cov(points.T)))[::-1][:2], rtol=1e-10)


def test_held_out_views_come_back_from_plain_values() -> None:
    rng = np.random.default_rng(1)
    one = HeldOut.of({"contrastive": rng.normal(size=(30, 5))}, rng.integers(3, size=30))
    again = HeldOut.from_plain(json.loads(json.dumps(one.to_plain())))
    assert_array_equal(again.labels, one.labels)
    assert_array_equal(again.maps["contrastive"], one.maps["contrastive"])
    assert again.accuracy("contrastive") == one.accuracy("contrastive")


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"batch": 1}, "problem.batch: a pair alone has nothing to differ from; take at least 2"),
        ({"batch": 0}, "problem.batch: "),
        ({"batch": 100, "pairs": 50}, "problem.batch: 100 of 50 pairs; "),
        ({"temperature": 0.0}, "problem.temperature: it must be >= 0.001"),
        ({"temperature": -1.0}, "problem.temperature: "),
        ({"lattices": ("hcp",)}, "problem.lattices: unknown lattice 'hcp'; choose from fcc, bcc, b2"),
        ({"lattices": ()}, "problem.lattices: there are none; take two or more"),
        ({"chosen": ("fcc vacancy",)}, "problem.defects: there is one: fcc vacancy; take two or more"),
        ({"chosen": ("fcc vacancy", "fcc vacancies")}, "problem.defects: unknown defect 'fcc vacancies'; choose from"),
        ({"noise": -0.01}, "problem.noise: "),
        ({"noise": float("nan")}, "problem.noise: "),
        ({"strain": -0.01}, "problem.strain: "),
        ({"size": 1.0}, "problem.size: "),
        ({"pairs": 1}, "problem.pairs: "),
        ({"held_out": 0}, "problem.held_out: "),
        ({"steps": 0}, "problem.steps: "),
        ({"dimension": 1}, "problem.dimension: "),
        ({"supervised": 1}, "problem.supervised: "),
        ({"crystals": Crystals(repeats=4)}, "images of their own defect; take at least 6, or a smaller problem.cutoff"),
        ({"crystals": Crystals(cutoff=2.6)}, "problem.cutoff: 2.6 Å hardly reach the nearest neighbours, 2.5 Å away"),
        ({"crystals": Crystals(distance=0.0)}, "problem.distance: "),
        ({"crystals": Crystals(species=("Ni", "Ni"))}, "problem.species: they are Ni, Ni; name two"),
        ({"crystals": Crystals(repeats=100)}, "problem.supercell: "),
    ],
)  # fmt: skip
def test_what_cannot_be_learned_is_refused_in_one_line(wrong: dict[str, Any], words: str) -> None:
    with pytest.raises(BadInput) as refused:
        CrystalDefects(**wrong)
    assert words in str(refused.value) and "\n" not in str(refused.value)


def test_sites_that_cannot_be_seen_are_refused(small: tuple[DefectRepresentation, Path]) -> None:
    found = small[0]
    with pytest.raises(BadInput, match="sites: there are none"):
        found.embed(fcc(3.5, "Ni"))
    with pytest.raises(BadInput, match=r"^structure: a dict has no atoms; give a Structure, or Atoms of ASE$"):
        found.embed({}, [0])
    with pytest.raises(BadInput, match="species: Cu is unknown here"):
        found.embed(fcc(3.5, "Cu"), [0])


def test_a_task_for_equations_is_refused() -> None:
    with pytest.raises(BadInput, match="task"):
        solve(CrystalDefects(**SMALL), task="committee")


def test_the_problem_has_the_defaults_of_the_study() -> None:
    built, usual = catalogue.build(ProblemChoice("crystal_defects")), CrystalDefects()
    assert isinstance(built, CrystalDefects)
    for key in ("noise", "strain", "size", "pairs", "held_out", "batch", "temperature", "steps", "dimension", "width"):
        assert getattr(built, key) == getattr(usual, key)
    assert built.names == usual.names and built.crystals == usual.crystals


@pytest.mark.gallery
def test_the_bar_is_met() -> None:
    """Five seeds and more: benchmarks/defects.py."""
    m = solve("crystal_defects").metrics
    assert m["verdict"] == "trusted" and m["nearest_neighbour_accuracy"] >= 0.997
    assert 1 - m["raw_descriptor_accuracy"] > 3 * (1 - m["nearest_neighbour_accuracy"])
    assert m["trained_coordinate_accuracy"] < 0.7 and m["others_said_unknown"] > 0.75
