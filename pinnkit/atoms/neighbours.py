"""Which atoms are closer than a cutoff, images in a repeated cell included."""

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
MOST_IMAGES = 5_000_000


class Pairs(NamedTuple):
    """Ordered pairs: the second atom (m,), moved by shift (m, 3) cells, as a neighbour of the first (m,)."""

    first: Index
    second: Index
    shift: Index


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
    shifts = _shifts(structure, wrapped, cutoff)
    cell = np.zeros((3, 3)) if structure.cell is None else structure.cell
    images = (wrapped[None] + (shifts @ cell)[:, None]).reshape(-1, 3)
    near = _near(images, wrapped, cutoff)
    owner, atom = (
        np.tile(np.arange(len(positions)), len(shifts))[near],
        np.repeat(np.arange(len(shifts)), len(positions)),
    )
    found = cKDTree(wrapped).sparse_distance_matrix(cKDTree(images[near]), cutoff, output_type="ndarray")
    first, image, distance = found["i"].astype(np.int64), found["j"], found["v"]
    second, step = owner[image], shifts[atom[near][image]]
    kept = (distance < cutoff) & ~((first == second) & ~step.any(1))
    first, second, step, distance = first[kept], second[kept], step[kept], distance[kept]
    shift = (step + home[first] - home[second]).astype(np.int64)  # from wrapped positions to those that were given
    order = np.lexsort((*shift.T[::-1], second, first))
    _refuse_coincident(first[order], second[order], distance[order])
    return Pairs(first[order], second[order], shift[order])


def _wrapped(structure: Structure) -> tuple[Array, Array]:
    """Positions moved into the cell along directions that repeat, and by how many cells (n, 3) they were outside."""
    if structure.cell is None:
        return structure.positions, np.zeros((len(structure), 3))
    fractions = np.linalg.solve(structure.cell.T, structure.positions.T).T
    home = np.floor(fractions) * np.array(structure.periodic)
    return structure.positions - home @ structure.cell, home


def _shifts(structure: Structure, wrapped: Array, cutoff: float) -> Array:
    """Cells (k, 3) whose atoms can be closer than the cutoff to those at home."""
    if structure.cell is None:
        return np.zeros((1, 3))
    heights = 1 / np.linalg.norm(np.linalg.inv(structure.cell), axis=0)  # between faces of the cell
    reach = np.where(structure.periodic, np.ceil(cutoff / heights), 0).astype(int)
    if np.prod(2.0 * reach + 1) * len(wrapped) > MOST_IMAGES:
        raise BadInput("cutoff", f"{cutoff} Å reaches over {reach.max()} cells", "take a smaller one, or a larger cell")
    axes = [np.arange(-k, k + 1.0) for k in reach]
    return np.stack(np.meshgrid(*axes, indexing="ij"), -1).reshape(-1, 3)


def _near(images: Array, wrapped: Array, cutoff: float) -> NDArray[np.intp]:
    """Images in the box of the atoms at home, widened by the cutoff."""
    inside = (images >= wrapped.min(0) - cutoff) & (images <= wrapped.max(0) + cutoff)
    return np.flatnonzero(inside.all(1))


def _refuse_coincident(first: Index, second: Index, distance: Array) -> None:
    close = np.flatnonzero(distance < COINCIDENT)
    if len(close):
        i, j = int(first[close[0]]), int(second[close[0]])
        other = "an image of itself" if i == j else f"atom {j}"
        raise BadInput("positions", f"atom {i} and {other} are at the same place", "move one of them, or leave it out")


def displacements(positions: Tensor, pairs: Pairs, cell: Tensor | None = None) -> Tensor:
    """r_j + shift · cell − r_i (m, 3), to be differentiated by positions (n, 3) and cell (3, 3)."""
    first, second = (torch.as_tensor(index, device=positions.device) for index in (pairs.first, pairs.second))
    moved = positions[second] - positions[first]
    if cell is None:
        return moved
    return moved + torch.as_tensor(pairs.shift, device=positions.device).to(cell) @ cell
