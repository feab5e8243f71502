"""Dense linear algebra that more than one room needs."""

import torch
from torch import Tensor


def minimum_norm(matrix: Tensor, rhs: Tensor, cutoff: float = 1e-14) -> Tensor:
    """argmin ‖A w − b‖ of least norm in columns scaled to norm 1, by the singular value decomposition.

    Singular values below `cutoff` (at least ten units of round-off) times the largest are dropped. Pivoted QR (gelsy)
    takes as long; PyTorch's call of it gave different answers for the same matrix (measured with 2.13).
    """
    scale = matrix.norm(dim=0)
    scale = torch.where(scale > 0, scale, 1.0)
    cutoff = max(cutoff, 10 * torch.finfo(matrix.dtype).eps)
    if matrix.device.type == "cpu":
        return torch.linalg.lstsq(matrix / scale, rhs[:, None], rcond=cutoff, driver="gelsd").solution[:, 0] / scale
    q, upper = torch.linalg.qr(matrix / scale)
    u, s, vh = torch.linalg.svd(upper)
    inverse = torch.where(s > cutoff * s[0], 1 / s, 0.0)
    return vh.mH @ (inverse * (u.mH @ (q.mH @ rhs))) / scale
