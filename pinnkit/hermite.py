"""Local features: products of Hermite functions about a place, on all scales from its own up to that of the domain.

    ψ_k(t) = (2^k k! √π)^(−1/2) H_k(t) exp(−t²/2),    features = Π ψ_{kᵢ}((x̂ᵢ − cᵢ) / (2^m wᵢ)),    m = −1, 0, 1, …

Peaks of about the width w are reached at a geometric rate (Boyd, Chebyshev and Fourier Spectral Methods, Dover 2001,
chapter 17), and the wider scales follow what decays slowly around them, as the field of a small source does.
"""

import math
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from pinnkit.networks import FeatureMap
from pinnkit.operators import Index

MOST = 160  # functions on one scale
NARROWEST, WIDEST = 0.5, 0.6  # scales: the first relative to the width, the last as part of the domain's half-width


def scales(widths: Sequence[float]) -> Iterator[list[float]]:
    """The widths of the scales, the smallest first, in coordinates scaled to [−1, 1]."""
    scale = NARROWEST
    while scale == NARROWEST or scale * max(widths) <= WIDEST:
        yield [scale * width for width in widths]
        scale *= 2


class HermiteProducts(FeatureMap):
    """All products of Hermite functions up to the total degree that keeps them to `most`, on a single scale."""

    degrees: Tensor  # (width, d)

    def __init__(self, centre: Sequence[float], widths: Sequence[float], most: int = MOST) -> None:
        super().__init__()
        self.centre, self.widths, d = tuple(centre), tuple(widths), len(centre)
        self.degree = max(k for k in range(most) if math.comb(k + d, d) <= most)
        self.register_buffer("degrees", torch.tensor(list(_up_to(self.degree, d))), persistent=False)
        self.width = len(self.degrees)

    def jets(self, points: Tensor, indices: Sequence[Index]) -> Tensor:
        """Jets (C, n, width); the jets `points` (C, n, d) must be those of scaled coordinates."""
        place = (points[0] - points.new_tensor(self.centre)) / points.new_tensor(self.widths)
        tables = _derivatives(place, self.degree, max(map(len, indices)))
        row = {index: points[i] for i, index in enumerate(indices)}
        rows = []
        for index in indices:
            slopes = [row[(i,)][:, i, None] / self.widths[i] for i in index]
            factors = [tables[index.count(i)][i][:, self.degrees[:, i]] for i in range(len(self.centre))]
            rows.append(math.prod([*factors[1:], *slopes], start=factors[0]))
        return torch.stack(rows)


def _up_to(degree: int, dimension: int) -> Iterator[tuple[int, ...]]:
    """All multi-indices of at most this total degree."""
    if dimension == 0:
        yield ()
        return
    for k in range(degree + 1):
        yield from ((k, *rest) for rest in _up_to(degree - k, dimension - 1))


def _derivatives(t: Tensor, degree: int, order: int) -> list[Tensor]:
    """ψ_k^(m) at t (n, d), m ≤ order, each (d, n, degree + 1), by ψ_k' = √(k/2) ψ_{k−1} − √((k+1)/2) ψ_{k+1}."""
    table = [torch.exp(-t * t / 2) / math.pi**0.25]
    for k in range(degree + order):
        before = math.sqrt(k / (k + 1)) * table[k - 1] if k else 0
        table.append(math.sqrt(2 / (k + 1)) * t * table[k] - before)
    out = [table]
    for _ in range(order):
        table = [
            (math.sqrt(k / 2) * table[k - 1] if k else 0) - math.sqrt((k + 1) / 2) * table[k + 1]
            for k in range(len(table) - 1)
        ]
        out.append(table)
    return [torch.stack(table[: degree + 1]).permute(2, 1, 0) for table in out]
