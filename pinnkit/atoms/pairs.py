"""Which atoms are closer than a cutoff, images in a repeated cell included."""

import math
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.spatial import cKDTree
from torch import Tensor

from pinnkit.atoms.structure import Array, Structure
from pinnkit.errors import BadInput

Index = NDArray[np.int64]
COINCIDENT = 1e-6  # Å
ROUND_OFF = 1e-9  # of fractions of a cell
MOST_IMAGES = 20_000_000


class Pairs(NamedTuple):
    """Ordered pairs: the second atom (m,), moved by shift (m, 3) cells, as a neighbour of the first (m,)."""

    first: Index
    second: Index
    shift: Index

    def vectors(self, structure: Structure) -> Array:
        """r_j + shift · cell − r_i (m, 3) in Å; to be differentiated, see `displacements`."""
        moved = structure.positions[self.second] - structure.positions[self.first]
        return np.asarray(moved if structure.cell is None else moved + self.shift @ structure.cell)


def neighbours(structure: Structure, cutoff: float) -> Pairs:
    """All ordered pairs with |r_j + shift · cell − r_i| < cutoff (Å), sorted by first, second and shift.

    Cells may be skew and smaller than the cutoff: an atom may be a neighbour of its own images, or several times of
    another one. Raises BadInput where atoms coincide.
    """
    if not 0 < cutoff < np.inf:
        raise BadInput("cutoff", f"it is {cutoff}", "it must be > 0 and finite, in Å")
    positions = structure.positions
    if not len(positions):
        return Pairs(*(np.empty(shape, dtype=np.int64) for shape in (0, 0, (0, 3))))
    wrapped, home = _wrapped(structure)
    atom, step = _images(structure, wrapped, cutoff)
    cell = np.zeros((3, 3)) if structure.cell is None else structure.cell
    images = cKDTree(wrapped[atom] + step @ cell)
    found = cKDTree(wrapped).sparse_distance_matrix(images, cutoff, output_type="ndarray")
    first, second, step, distance = found["i"].astype(np.int64), atom[found["j"]], step[found["j"]], found["v"]
    kept = (distance < cutoff) & ~((first == second) & ~step.any(1))
    first, second, step, distance = first[kept], second[kept], step[kept], distance[kept]
    shift = (step + home[first] - home[second]).astype(np.int64)  # from wrapped positions to those that were given
    order = np.lexsort((*shift.T[::-1], second, first))
    pairs = Pairs(first[order], second[order], shift[order])
    _refuse_coincident(pairs, distance[order])
    return pairs


def _wrapped(structure: Structure) -> tuple[Array, Array]:
    """Positions moved into the cell along directions that repeat, and by how many cells (n, 3) they were outside."""
    if structure.cell is None:
        return structure.positions, np.zeros((len(structure), 3))
    fractions = np.linalg.solve(structure.cell.T, structure.positions.T).T
    home = np.floor(fractions) * np.array(structure.periodic)
    return structure.positions - home @ structure.cell, home


def _images(structure: Structure, wrapped: Array, cutoff: float) -> tuple[Index, Array]:
    """Atoms (k,), and by how many cells (k, 3) each is moved: all images as near as the cutoff to the atoms at home.

    Along one lattice vector after another those are left out that are too far between the faces of the cell.
    """
    atom, step = np.arange(len(wrapped)), np.zeros((len(wrapped), 3))
    if structure.cell is None:
        return atom, step
    inverse = np.linalg.inv(structure.cell)
    fractions, margins = wrapped @ inverse, cutoff * np.linalg.norm(inverse, axis=0) + ROUND_OFF
    for axis in np.flatnonzero(structure.periodic):
        f, margin = fractions[:, axis], margins[axis]
        if len(atom) * (2 * margin + 3) > MOST_IMAGES:
            raise BadInput(
                "cutoff", f"{cutoff} Å reaches over {margin:.0f} cells", "take a smaller one, or a larger cell"
            )
        moves = np.arange(-math.ceil(margin), math.ceil(margin) + 1.0)
        there = f[atom, None] + moves
        row, move = np.nonzero((there >= f.min() - margin) & (there <= f.max() + margin))
        atom, step = atom[row], step[row]
        step[:, axis] = moves[move]
    return atom, step


def _refuse_coincident(pairs: Pairs, distance: Array) -> None:
    close = np.flatnonzero(distance < COINCIDENT)
    if len(close):
        i, j, shift = (index[close[0]] for index in pairs)
        other = f"an image of atom {j}" if shift.any() else f"atom {j}"
        raise BadInput("positions", f"atom {i} and {other} are at the same place", "move one of them, or leave it out")


def displacements(positions: Tensor, pairs: Pairs, cell: Tensor | None = None) -> Tensor:
    """r_j + shift · cell − r_i (m, 3), to be differentiated by positions (n, 3) and cell (3, 3)."""
    first, second = (torch.as_tensor(index, device=positions.device) for index in (pairs.first, pairs.second))
    moved = positions[second] - positions[first]
    if cell is None:
        return moved
    return moved + torch.as_tensor(pairs.shift, device=positions.device).to(cell) @ cell
