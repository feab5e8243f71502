"""Descriptors against dscribe, central differences, and the symmetries of space."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from ase.build import molecule
from dscribe.descriptors import ACSF

from pinnkit.atoms.descriptors import SymmetryFunctions, inverse_distances, usual_symmetry_functions
from pinnkit.atoms.pairs import displacements, neighbours
from pinnkit.atoms.structure import Structure, b2, fcc
from pinnkit.errors import BadInput

RADIAL = ((1.0, 2.0), (0.5, 0.0), (4.0, 3.0))
ANGULAR = ((0.01, 1.0, 1.0), (0.05, 2.0, -1.0), (0.1, 4.0, 1.0))


def shaken(structure: Structure, seed: int = 0, size: float = 0.1) -> Structure:
    rng = np.random.default_rng(seed)
    return structure.moved(structure.positions + size * rng.normal(size=structure.positions.shape))


CASES = {
    "water": Structure.from_ase(molecule("H2O")),
    "ethanol": Structure.from_ase(molecule("CH3CH2OH")),
    "alloy": shaken(b2(2.9, "Ni", "Al").replicate(2, 2, 2)),
    "small cell": shaken(fcc(3.6, "Cu"), 1, 0.2),  # a cutoff beyond it
}


def described(structure: Structure, functions: SymmetryFunctions) -> torch.Tensor:
    return _of(torch.from_numpy(structure.positions), structure, functions)


def _of(positions: torch.Tensor, structure: Structure, functions: SymmetryFunctions) -> torch.Tensor:
    pairs = neighbours(structure, functions.cutoff)
    cell = None if structure.cell is None else torch.from_numpy(structure.cell)
    kinds = torch.tensor([functions.species.index(symbol) for symbol in structure.species])
    return functions(displacements(positions, pairs, cell), pairs, kinds)


def functions_of(structure: Structure, cutoff: float = 4.0) -> SymmetryFunctions:
    """With species in the order of their atomic numbers, as dscribe has them."""
    order = ["H", "C", "O", "Al", "Ni", "Cu"]
    return SymmetryFunctions(tuple(sorted(set(structure.species), key=order.index)), cutoff, RADIAL, ANGULAR)


@pytest.mark.parametrize("name", CASES)
def test_they_are_those_of_dscribe(name: str) -> None:
    """Its columns: of each species a sum of f_c, which we leave out, then G²; then G⁴ of each pair of species."""
    structure = CASES[name]
    own = functions_of(structure)
    kinds = len(own.species)
    told = {"g2_params": list(map(list, RADIAL)), "g4_params": list(map(list, ANGULAR))}
    acsf = ACSF(r_cut=4.0, species=list(own.species), periodic=structure.cell is not None, **told)
    other = acsf.create(structure.to_ase())
    first = np.arange(kinds * (1 + len(RADIAL))).reshape(kinds, -1)[:, 1:].ravel()
    theirs = [(a, b) for b in range(kinds) for a in range(b + 1)]  # the order of its pairs of species
    start, each = kinds * (1 + len(RADIAL)), np.arange(len(ANGULAR))
    kept = np.concatenate([first, *(start + theirs.index(couple) * len(ANGULAR) + each for couple in own.couples)])
    found = described(structure, own).numpy()
    assert found.shape == (len(structure), own.count) and len(own.labels) == own.count
    np.testing.assert_allclose(found, other[:, kept], rtol=0, atol=1e-12)


def rotation(seed: int) -> np.ndarray:
    q = np.linalg.qr(np.random.default_rng(seed).normal(size=(3, 3)))[0]
    return q * np.sign(np.linalg.det(q))


@pytest.mark.parametrize("name", CASES)
def test_no_symmetry_of_space_changes_them(name: str) -> None:
    structure, own = CASES[name], functions_of(CASES[name])
    rng, turn = np.random.default_rng(3), rotation(2)
    before = described(structure, own).numpy()
    cell = None if structure.cell is None else structure.cell @ turn.T
    order = rng.permutation(len(structure))
    moved = Structure((structure.positions @ turn.T + [3.1, -2.2, 0.7])[order],
                      tuple(structure.species[k] for k in order), cell, structure.periodic)  # fmt: skip
    after = described(moved, own).numpy()
    assert np.abs(after - before[order]).max() <= 1e-12 * np.abs(before).max()


@pytest.mark.parametrize("name", CASES)
def test_derivatives_are_those_of_differences(name: str) -> None:
    structure, own = CASES[name], functions_of(CASES[name])
    x = torch.from_numpy(structure.positions).requires_grad_()
    weights = torch.from_numpy(np.random.default_rng(1).normal(size=(len(structure), own.count)))
    (slope,) = torch.autograd.grad((weights * _of(x, structure, own)).sum(), x)
    np.testing.assert_allclose(slope.sum(0), 0, atol=1e-12 * float(slope.abs().max()))
    for atom, axis in ((0, 0), (1, 2), (len(structure) - 1, 1)):
        step = np.zeros_like(structure.positions)
        step[atom, axis] = 1e-5
        ends = [
            float((weights * described(structure.moved(structure.positions + s * step), own)).sum()) for s in (1, -1)
        ]
        assert float(slope[atom, axis]) == pytest.approx((ends[0] - ends[1]) / 2e-5, abs=1e-7)


@pytest.mark.parametrize("name", CASES)
def test_slopes_are_all_first_derivatives(name: str) -> None:
    """Against reverse sweeps, with pairs beyond the cutoff in the list."""
    structure = CASES[name]
    own = replace(functions_of(structure), angular=(*ANGULAR, (0.05, 2.5, 1.0)))
    pairs = neighbours(structure, own.cutoff + 0.5)
    cell = None if structure.cell is None else torch.from_numpy(structure.cell)
    vectors = displacements(torch.from_numpy(structure.positions), pairs, cell).requires_grad_()
    values, slopes = own.slopes(vectors, pairs, own.kinds(structure.species))
    swept = own(vectors, pairs, own.kinds(structure.species))
    assert torch.equal(values, swept) and not slopes.requires_grad
    for k in range(own.count):
        (expected,) = torch.autograd.grad(swept[:, k].sum(), vectors, retain_graph=True)
        torch.testing.assert_close(slopes[:, k], expected, rtol=0, atol=1e-13)


def test_slopes_make_the_changes_of_all_atoms() -> None:
    """By the position of one atom against central differences; moving all atoms together changes nothing."""
    structure, own = CASES["small cell"], functions_of(CASES["small cell"])
    pairs = neighbours(structure, own.cutoff)
    vectors = displacements(torch.from_numpy(structure.positions), pairs, torch.from_numpy(structure.cell))
    slopes = own.slopes(vectors, pairs, own.kinds(structure.species))[1].numpy()
    n = len(structure)
    change = np.zeros((n, n, own.count, 3))  # of the descriptors of i by the position of j
    np.add.at(change, (pairs.first, pairs.second), slopes)
    np.add.at(change, (pairs.first, pairs.first), -slopes)
    np.testing.assert_allclose(change.sum(1), 0, atol=1e-13 * np.abs(change).max() * len(slopes))
    for j, axis in ((0, 0), (2, 1), (3, 2)):
        step = np.zeros((n, 3))
        step[j, axis] = 1e-5
        ends = [described(structure.moved(structure.positions + s * step), own).numpy() for s in (1, -1)]
        np.testing.assert_allclose(change[:, j, :, axis], (ends[0] - ends[1]) / 2e-5, rtol=0, atol=1e-8)


def test_nothing_is_described_by_nothing() -> None:
    own = SymmetryFunctions(("A",), 2.0, RADIAL, ANGULAR)
    pairs = neighbours(Structure([[0, 0, 0], [9, 0, 0]], ("A", "A")), 2.0)
    values, slopes = own.slopes(torch.zeros(0, 3, dtype=torch.float64), pairs, own.kinds(("A", "A")))
    assert values.shape == (2, 6) and not values.any() and slopes.shape == (0, 6, 3)


@pytest.mark.parametrize("angular", ANGULAR)
def test_second_derivatives_of_atoms_in_line_do_not_depend_on_where_the_line_points(
    angular: tuple[float, float, float],
) -> None:
    """1 ± cos θ is 0 there but for round-off, and its powers must not have a kink."""
    own = SymmetryFunctions(("A",), 4.0, (), (angular,))

    def stiffness(turn: np.ndarray) -> np.ndarray:
        x = torch.from_numpy(np.array([[0, 0, 0], [1.1, 0, 0], [-1.3, 0, 0]]) @ turn.T)
        pairs = neighbours(Structure(x.numpy(), ("A",) * 3), 4.0)
        kinds = own.kinds(("A",) * 3)
        of = torch.autograd.functional.hessian(lambda p: own(displacements(p, pairs), pairs, kinds).sum(), x)
        return np.linalg.eigvalsh(of.reshape(9, 9).numpy())

    expected = stiffness(np.eye(3))
    for seed in range(8):
        np.testing.assert_allclose(stiffness(rotation(seed)), expected, rtol=0, atol=1e-12)


def test_they_can_be_differentiated_twice() -> None:
    structure = CASES["water"]
    own = functions_of(structure)
    x = torch.from_numpy(structure.positions).requires_grad_()
    assert torch.autograd.gradgradcheck(lambda p: _of(p, structure, own), (x,))


def test_atoms_come_and_go_smoothly_at_the_cutoff() -> None:
    own = SymmetryFunctions(("A",), 2.0, ((0.5, 1.0),), ((0.1, 1.0, 1.0),))
    near, at = (described(Structure([[0, 0, 0], [1, 0, 0], [0, r, 0]], ("A",) * 3), own)[0] for r in (2 - 1e-4, 2.0))
    assert float((near - at).abs().max()) < 1e-7


def test_a_longer_list_of_pairs_changes_nothing() -> None:
    structure, own = CASES["alloy"], functions_of(CASES["alloy"])
    pairs = neighbours(structure, 5.0)
    vectors = displacements(torch.from_numpy(structure.positions), pairs, torch.from_numpy(structure.cell))
    kinds = torch.tensor([own.species.index(symbol) for symbol in structure.species])
    torch.testing.assert_close(own(vectors, pairs, kinds), described(structure, own), rtol=0, atol=1e-13)


def test_the_usual_ones_tell_crystals_apart() -> None:
    own = usual_symmetry_functions(("Cu",), 5.0)
    assert own.count == 16 and own.radial[-1].shift == 5.0
    one, other = (described(fcc(a, "Cu"), own)[0] for a in (3.6, 3.7))
    assert float((one - other).norm() / one.norm()) > 0.01
    assert usual_symmetry_functions(("Al", "Ni"), 5.0).count == 2 * 8 + 3 * 8


@pytest.mark.parametrize(
    ("told", "words"),
    [
        ({"cutoff": 0.0}, "cutoff: it is 0"),
        ({"species": ()}, "species: they are none"),
        ({"species": ("A", "A")}, "species: they are A, A; name each of them once"),
        ({"radial": ((0.1,),)}, r"radial: its rows are not all finite numbers; give rows \(eta, shift\)"),
        ({"angular": ((0.1, float("nan"), 1.0),)}, "angular: its rows are not all finite"),
        ({"angular": ((0.1, 0.9, 1.0),)}, "angular: η ≥ 0, ζ ≥ 1 and λ = ±1"),
        ({"angular": ((0.1, 1.0, 0.5),)}, "angular: η ≥ 0, ζ ≥ 1 and λ = ±1"),
    ],
)
def test_what_describes_nothing_is_refused(told: dict[str, object], words: str) -> None:
    with pytest.raises(BadInput, match=words):
        SymmetryFunctions(**{"species": ("A",), "cutoff": 3.0, "radial": RADIAL, **told})


def test_species_that_are_not_described_are_refused() -> None:
    own = SymmetryFunctions(("Al", "Ni"), 3.0, RADIAL)
    assert own.kinds(("Ni", "Al", "Ni")).tolist() == [1, 0, 1]
    with pytest.raises(BadInput, match="species: Cu is unknown here; known are Al, Ni"):
        own.kinds(("Ni", "Cu"))


# --- clusters as a whole ----------------------------------------------------------------------------------------------


def test_inverse_distances_descend_within_pairs_of_species() -> None:
    positions = torch.tensor([[0.0, 0, 0], [2, 0, 0], [0, 1, 0], [0, 0, 4]], dtype=torch.float64)
    found = inverse_distances(positions, ("B", "A", "A", "B"))
    a_b = sorted([1 / 2, 1 / 1, 1 / 20**0.5, 1 / 17**0.5], reverse=True)
    torch.testing.assert_close(found, torch.tensor([1 / 5**0.5, *a_b, 1 / 4], dtype=torch.float64))


def test_no_symmetry_changes_inverse_distances() -> None:
    rng = np.random.default_rng(0)
    positions, species = rng.normal(size=(7, 3)), tuple("AABBBCA")
    order = rng.permutation(7)
    moved = (positions @ rotation(1).T + [1, 2, 3])[order]
    before, after = (inverse_distances(torch.from_numpy(x), s)
                     for x, s in ((positions, species), (moved, tuple(species[k] for k in order))))  # fmt: skip
    torch.testing.assert_close(before, after, rtol=1e-12, atol=0)
    x = torch.from_numpy(positions).requires_grad_()
    assert torch.autograd.gradcheck(lambda p: inverse_distances(p, species), (x,))


def test_inverse_distances_of_one_place_are_refused() -> None:
    with pytest.raises(BadInput, match="positions: atoms 0 and 2 are at the same place"):
        inverse_distances(torch.tensor([[0.0, 0, 0], [1, 0, 0], [0, 0, 0]]), ("A",) * 3)
