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

import torch
from torch import Tensor

from pinnkit.networks import FeatureMap
from pinnkit.operators import Index

EUCLIDEAN = 3  # dimensions up to which k is measured by its length


class ChebyshevProducts(FeatureMap):
    """The first `width` products of Chebyshev polynomials in the scaled coordinates, without the constant."""

    degrees: Tensor  # (width, d)

    def __init__(self, inputs: int, width: int) -> None:
        super().__init__()
        self.width = width
        self.register_buffer("degrees", torch.tensor(_smallest(inputs, width + 1)[1:]), persistent=False)

    def jets(self, points: Tensor, indices: Sequence[Index]) -> Tensor:
        """Jets (C, n, width); the jets `points` (C, n, d) must be those of scaled coordinates, x̂ᵢ a multiple of xᵢ."""
        tables = _derivatives(points[0], int(self.degrees.max()), max(map(len, indices)))
        row = {index: points[i] for i, index in enumerate(indices)}
        rows = []
        for index in indices:
            orders = [index.count(i) for i in range(points.shape[2])]
            slopes = math.prod(row[(i,)][:, i] ** order for i, order in enumerate(orders) if order)
            factors = [tables[order][i][self.degrees[:, i]] for i, order in enumerate(orders)]
            rows.append(math.prod(factors[1:], start=factors[0] * slopes).T)
        return torch.stack(rows)


def _derivatives(x: Tensor, degree: int, order: int) -> list[Tensor]:
    """T_k^(m) at x (n, d), each m ≤ order a tensor (d, degree + 1, n), from T_k = 2x T_{k−1} − T_{k−2}."""
    one, zero = torch.ones_like(x), torch.zeros_like(x)
    tables = [[one, x, *(zero,) * (degree - 1)]] + [[zero, one if m == 1 else zero] for m in range(1, order + 1)]
    for k in range(2, degree + 1):
        tables[0][k] = 2 * x * tables[0][k - 1] - tables[0][k - 2]
        for m in range(1, order + 1):
            below = tables[m - 1][k - 1]
            tables[m].append(2 * m * below + 2 * x * tables[m][k - 1] - tables[m][k - 2])
    return [torch.stack(table[: degree + 1]).permute(2, 0, 1).contiguous() for table in tables]


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


class Wide(FeatureMap):
    """The features of a network, and polynomials beside them, whose derivatives are of all sizes."""

    def __init__(self, network: FeatureMap, polynomials: ChebyshevProducts) -> None:
        super().__init__()
        self.network, self.polynomials = network, polynomials
        self.width = network.width + polynomials.width

    @property
    def typical(self) -> int:
        return self.network.typical

    def jets(self, points: Tensor, indices: Sequence[Index]) -> Tensor:
        return torch.cat([part.jets(points, indices) for part in (self.network, self.polynomials)], -1)
