"""Functions of two variables as numbers: piecewise Chebyshev series in tensor form.

On a grid of cells, f(a, b) = Σ c_jk T_j(â) T_k(b̂) with â, b̂ in [−1, 1] on each cell. The coefficients come from the
values at Chebyshev points by the discrete cosine sum; an axis along which they do not fall to round-off is bisected
(Trefethen, Approximation Theory and Approximation Practice, SIAM 2013).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Array = NDArray[np.float64]
Breaks = tuple[tuple[float, ...], tuple[float, ...]]

DEGREE = 31
TAIL = 4  # last coefficients, which have to be round-off
ROUND_OFF = 2e-14
MOST_CELLS = 64  # along one axis


class Unresolved(Exception):
    """The function is too rough, or not finite."""


@dataclass(frozen=True)
class Series:
    """f(a, b) on the cells between `breaks`, continued beyond; coefficients (cells, cells, degrees, degrees)."""

    breaks: Breaks
    coefficients: Array

    def __call__(self, a: Tensor, b: Tensor) -> Tensor:
        """f, (n,), at a and b, (n,) each; differentiable by both."""
        c = torch.as_tensor(self.coefficients).to(a)
        i, first = _polynomials(a, self.breaks[0], c.shape[2])
        j, second = _polynomials(b, self.breaks[1], c.shape[3])
        if c.shape[:2] == (1, 1):
            return ((first @ c[0, 0]) * second).sum(-1)
        return torch.einsum("nj,njk,nk->n", first, c[i, j], second)

    @property
    def size(self) -> float:
        """A bound of |f|."""
        return float(np.abs(self.coefficients).sum((2, 3)).max())

    def to_plain(self) -> dict[str, Any]:
        return {"breaks": [list(axis) for axis in self.breaks], "coefficients": self.coefficients.tolist()}

    @classmethod
    def from_plain(cls, plain: dict[str, Any]) -> "Series":
        first, second = (tuple(axis) for axis in plain["breaks"])
        return cls((first, second), np.array(plain["coefficients"], dtype=np.float64))


def fit(
    function: Callable[[Array, Array], Array], first: Sequence[float], second: Sequence[float], size: float = 0.0
) -> Series:
    """The series of function(a, b), arrays (n,) all, with a between the two of `first` and b of `second`.

    It is as good as round-off, relative to the largest value or to `size`, that of the numbers it was computed from.
    Raises Unresolved.
    """
    breaks = [list(first), list(second)]
    while True:
        c = _coefficients(function, breaks)
        threshold = ROUND_OFF * max(np.abs(c).max(), size)
        rough = _rough(c, threshold)
        if not any(cells.any() for cells in rough):
            return Series((tuple(breaks[0]), tuple(breaks[1])), _trimmed(c, threshold / 100))
        breaks = [_bisected(axis, cells) for axis, cells in zip(breaks, rough, strict=True)]
        if max(map(len, breaks)) > MOST_CELLS:
            raise Unresolved("it is not smooth enough to be kept as piecewise polynomials")


def _polynomials(x: Tensor, breaks: Sequence[float], degrees: int) -> tuple[Tensor, Tensor]:
    """Cells (n,), and Chebyshev polynomials (n, degrees) of the place within them."""
    edges = x.new_tensor(breaks)
    cell = (x.detach()[..., None] > edges[1:-1]).sum(-1)
    lower, upper = edges[cell], edges[cell + 1]
    place = (2 * x - lower - upper) / (upper - lower)
    out = [torch.ones_like(place), place]
    while len(out) < degrees:
        out.append(2 * place * out[-1] - out[-2])
    return cell, torch.stack(out[:degrees], -1)


def _coefficients(function: Callable[[Array, Array], Array], breaks: Sequence[Sequence[float]]) -> Array:
    """All coefficients, (cells, cells, degrees, degrees)."""
    n = DEGREE + 1
    quarter = np.outer(np.arange(n), 2 * np.arange(n) + 1) % (4 * n)  # whole numbers keep the angles exact
    cosine = np.cos(np.pi / (2 * n) * quarter)
    nodes = [_nodes(np.asarray(axis), cosine[1]) for axis in breaks]
    a, b = np.broadcast_arrays(nodes[0][:, None, :, None], nodes[1][None, :, None, :])
    values = function(a.reshape(-1), b.reshape(-1)).reshape(a.shape)
    if not np.isfinite(values).all():
        raise Unresolved("it is not finite")
    forward = cosine * (2 - (np.arange(n) == 0))[:, None] / n
    return np.asarray(np.einsum("pj,qk,abjk->abpq", forward, forward, values, optimize=True))


def _nodes(axis: Array, unit: Array) -> Array:
    """Chebyshev points (cells, n) of every cell."""
    return (axis[:-1, None] + axis[1:, None] + np.diff(axis)[:, None] * unit) / 2


def _rough(c: Array, threshold: float) -> tuple[Array, Array]:
    """Which cells along each axis have coefficients above round-off in their tail."""
    return (
        np.abs(c[:, :, -TAIL:, :]).max((1, 2, 3)) > threshold,
        np.abs(c[:, :, :, -TAIL:]).max((0, 2, 3)) > threshold,
    )


def _bisected(axis: Sequence[float], cells: Array) -> list[float]:
    middles = [(axis[k] + axis[k + 1]) / 2 for k in np.flatnonzero(cells).tolist()]
    return sorted([*axis, *middles])


def _trimmed(c: Array, threshold: float) -> Array:
    """Without trailing coefficients that do not change the values."""
    kept = np.argwhere(np.abs(c).max((0, 1)) > threshold)
    first, second = kept.max(0) + 1 if len(kept) else (1, 1)
    return np.ascontiguousarray(c[:, :, :first, :second])
