"""Partial derivatives of known functions at points, and of products: constants of a forward pass."""

from collections.abc import Callable, Sequence
from itertools import combinations

import torch
from torch import Tensor

from pinnkit.operators import Index, derivative

Function = Callable[[Sequence[Tensor]], Tensor]


def partials(function: Function, coordinates: Sequence[Tensor], indices: Sequence[Index]) -> Tensor:
    """∂_I f (C, n, k) of a function (n, k) of the coordinates, (n,) each, by nested reverse differentiation.

    `indices` hold all their sub-indices, shortest first. The values alone stay differentiable.
    """
    if len(indices) == 1:
        return function(coordinates)[None]
    with torch.enable_grad():
        x = [c.detach().clone().requires_grad_() for c in coordinates]
        columns = [_table(column, x, indices) for column in function(x).unbind(-1)]
    return torch.stack(columns, -1).detach()


def _table(u: Tensor, x: Sequence[Tensor], indices: Sequence[Index]) -> Tensor:
    """All partial derivatives (C, n) of one function (n,)."""
    rows: dict[Index, Tensor] = {(): u}
    for index in indices[1:]:
        rows[index] = derivative(rows[index[:-1]], x[index[-1]])
    return torch.stack([rows[index] for index in indices])


def leibniz(a: Tensor, b: Tensor, indices: Sequence[Index]) -> Tensor:
    """Jets (C, n, …) of a product from those of its factors: ∂_I(ab) = Σ ∂_B a ∂_{I∖B} b over parts B of I.

    `indices` hold all their sub-indices.
    """
    row = {index: k for k, index in enumerate(indices)}
    terms = [[a[row[i]] * b[row[j]] for i, j in splits(index)] for index in indices]
    return torch.stack([torch.stack(found).sum(0) for found in terms])


def splits(index: Index) -> list[tuple[Index, Index]]:
    """All ways to share the positions of an index out to two."""
    positions = range(len(index))
    parts = [part for m in range(len(index) + 1) for part in combinations(positions, m)]
    return [(tuple(index[p] for p in part), tuple(index[p] for p in positions if p not in part)) for part in parts]
