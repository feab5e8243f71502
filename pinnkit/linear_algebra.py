"""Dense linear algebra that more than one room needs."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

MANY = 1000  # columns from which on damping takes the place of truncation


def minimum_norm(matrix: Tensor, rhs: Tensor, cutoff: float = 1e-14) -> Tensor:
    """argmin ‖A w − b‖ of least norm in columns scaled to norm 1, by the singular value decomposition.

    Singular values below `cutoff` (at least ten units of round-off) times the largest are dropped. Pivoted QR (gelsy)
    takes as long; PyTorch's call of it gave different answers for the same matrix (measured with 2.13).
    With many columns small singular values are damped instead, argmin ‖A w − b‖² + ‖cutoff · w‖²: one QR factorisation
    does that in less than half the time, and leaves residuals as small.
    """
    scale = matrix.norm(dim=0)
    scale = torch.where(scale > 0, scale, 1.0)
    cutoff = max(cutoff, 10 * torch.finfo(matrix.dtype).eps)
    method = _damped if matrix.shape[1] > MANY else _truncated
    return method(matrix / scale, rhs, cutoff) / scale


def _truncated(matrix: Tensor, rhs: Tensor, cutoff: float) -> Tensor:
    if matrix.device.type == "cpu":
        return torch.linalg.lstsq(matrix, rhs[:, None], rcond=cutoff, driver="gelsd").solution[:, 0]
    q, upper = torch.linalg.qr(matrix)
    u, s, vh = torch.linalg.svd(upper)
    inverse = torch.where(s > cutoff * s[0], 1 / s, 0.0)
    return vh.mH @ (inverse * (u.mH @ (q.mH @ rhs)))


def _damped(matrix: Tensor, rhs: Tensor, damping: float) -> Tensor:
    n = matrix.shape[1]
    below = damping * torch.eye(n, dtype=matrix.dtype, device=matrix.device)
    factors, reflectors = torch.geqrf(torch.cat([matrix, below]))
    extended = torch.cat([rhs, rhs.new_zeros(n)])[:, None]
    rotated = torch.ormqr(factors, reflectors, extended, transpose=True)[:n]
    return torch.linalg.solve_triangular(factors[:n], rotated, upper=True)[:, 0]


def leave_one_out(sure: Tensor, noisy: Tensor, sure_rhs: Tensor, noisy_rhs: Tensor, ridges: Tensor) -> Tensor:
    """Mean squared error of prediction of each noisy row from all others, for each of several ridges (k, columns).

    The fit is argmin ‖A w − a‖² + ‖B w − b‖² + ‖ridge · w‖², A and a sure, B and b noisy; row i is missed by
    (b − B w)ᵢ / (1 − hᵢ), h the diagonal of B (AᵀA + BᵀB + ridge²)⁻¹ Bᵀ (Allen 1974).
    """
    upper = torch.linalg.qr(torch.cat([sure, sure_rhs[:, None]], 1)).R
    kept, rhs, rows = upper[:, :-1], upper[:, -1], len(noisy)
    scores = []
    for ridge in ridges:
        basis, _ = torch.linalg.qr(torch.cat([kept, noisy, torch.diag(ridge)]))
        here = basis[len(kept) : len(kept) + rows]
        extended = torch.cat([rhs, noisy_rhs, torch.zeros_like(ridge)])
        missed = noisy_rhs - here @ (basis.mT @ extended)
        scores.append((missed / (1 - here.square().sum(1)).clamp_min(1e-12)).square().mean())
    return torch.stack(scores)


@contextmanager
def one_thread() -> Iterator[None]:
    """Small matrices gain nothing from threads, and beside other work these wait for each other ten times as long."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
