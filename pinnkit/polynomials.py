"""Products of Chebyshev polynomials as features, beside those of a network ("functional link" and wide networks).

    features(x) = ( network(x), Π T_{kᵢ}(xᵢ) )        for all k ≠ 0 of the smallest size

Up to three dimensions the size of k is its Euclidean length (Trefethen 2017: smooth functions have equal resolution in
all directions with it); above, it is Π (1 + kᵢ), a hyperbolic cross, which resolves single coordinates and low
interactions first. Smooth solutions are reached at a geometric rate with coefficients of moderate size, where random
features alone need a multiple of the columns and coefficients that grow without bound.
"""

import heapq
import math
from collections.abc import Sequence
from itertools import groupby

import torch
from torch import Tensor

from pinnkit.networks import FeatureMap, closure
from pinnkit.operators import Index

EUCLIDEAN = 3  # dimensions up to which k is measured by its length


class ChebyshevProducts(FeatureMap):
    """The `width` smallest products of Chebyshev polynomials in the scaled coordinates, without the constant.

    They are sorted by their degrees, so that those with the same leading factors stand side by side and are computed
    as one outer product for each point.
    """

    degrees: Tensor  # (width, d)
    leading: Tensor  # (runs, d - 1)

    def __init__(self, inputs: int, width: int) -> None:
        super().__init__()
        degrees = sorted(_smallest(inputs, width + 1)[1:])
        runs = {leading: [k[-1] for k in run] for leading, run in groupby(degrees, key=lambda k: k[:-1])}
        self.width, self.runs = width, [slice(run[0], run[-1] + 1) for run in runs.values()]
        self.register_buffer("degrees", torch.tensor(degrees), persistent=False)
        self.register_buffer("leading", torch.tensor(list(runs), dtype=torch.long), persistent=False)

    def jets(self, points: Tensor, indices: Sequence[Index]) -> Tensor:
        """Jets (C, n, width); the jets `points` (C, n, d) must be those of scaled coordinates, x̂ᵢ a multiple of xᵢ."""
        tables = _derivatives(points[0], int(self.degrees.max()), max(map(len, indices)))
        row = {index: points[i] for i, index in enumerate(indices)}
        out = points.new_empty(len(indices), points.shape[1], self.width)
        for k, index in enumerate(indices):
            *orders, last = (index.count(i) for i in range(points.shape[2]))
            front = torch.ones_like(points[0, :, :1]).expand(-1, len(self.runs))
            for i in index:
                front = front * row[(i,)][:, i, None]
            for i, order in enumerate(orders):
                front = front * tables[order][i][:, self.leading[:, i]]
            self._outer(front, tables[last][-1], out[k])
        return out

    def _outer(self, front: Tensor, table: Tensor, out: Tensor) -> None:
        """Fill `out` (n, width): each column of `front` times those of its run in the table of the last factor."""
        begin = 0
        for column, run in zip(front.unbind(-1), self.runs, strict=True):
            end = begin + run.stop - run.start
            out[:, begin:end] = column[:, None] * table[:, run]
            begin = end


class InTime(FeatureMap):
    """Features of the coordinates of space, each times the first `order` polynomials in the last coordinate, time."""

    def __init__(self, features: FeatureMap, order: int) -> None:
        super().__init__()
        self.features, self.order, self.width = features, order, features.width * order

    def jets(self, points: Tensor, indices: Sequence[Index]) -> Tensor:
        t = points.shape[2] - 1
        split = [(tuple(i for i in index if i != t), index.count(t)) for index in indices]
        in_space = closure([space for space, _ in split])
        rows = torch.stack([points[indices.index(index)] for index in in_space])[..., :t]
        features = dict(zip(in_space, self.features.jets(rows, in_space), strict=True))
        speed = points[indices.index((t,)), :, t, None] if (t,) in indices else points.new_ones(1)
        times = _derivatives(points[0, :, t:], self.order - 1, max(m for _, m in split))
        return torch.stack(
            [(features[space][:, :, None] * (times[m][0] * speed**m)[:, None, :]).flatten(1) for space, m in split]
        )


def _derivatives(x: Tensor, degree: int, order: int) -> list[Tensor]:
    """T_k^(m) at x (n, d), each m ≤ order a tensor (d, n, degree + 1), from T_k = 2x T_{k−1} − T_{k−2}."""
    one, zero = torch.ones_like(x), torch.zeros_like(x)
    tables = [[one, x, *(zero,) * (degree - 1)]] + [[zero, one if m == 1 else zero] for m in range(1, order + 1)]
    for k in range(2, degree + 1):
        tables[0][k] = 2 * x * tables[0][k - 1] - tables[0][k - 2]
        for m in range(1, order + 1):
            below = tables[m - 1][k - 1]
            tables[m].append(2 * m * below + 2 * x * tables[m][k - 1] - tables[m][k - 2])
    return [torch.stack(table[: degree + 1]).permute(2, 1, 0).contiguous() for table in tables]


def _smallest(dimension: int, count: int) -> list[tuple[int, ...]]:
    """The `count` smallest multi-indices, smallest first."""
    first = (0,) * dimension
    heap, seen = [(_size(first), first)], {first}
    found: list[tuple[int, ...]] = []
    while len(found) < count:
        _, k = heapq.heappop(heap)
        found.append(k)
        for i in range(dimension):
            larger = (*k[:i], k[i] + 1, *k[i + 1 :])
            if larger not in seen:
                seen.add(larger)
                heapq.heappush(heap, (_size(larger), larger))
    return found


def _size(k: Sequence[int]) -> int:
    return sum(i * i for i in k) if len(k) <= EUCLIDEAN else math.prod(1 + i for i in k)
