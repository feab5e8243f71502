"""What is known of parameters before data are seen, as strengths of rows strength · (θ − θ₀) of the residual."""

import logging

import numpy as np
import torch
from torch import Tensor

from pinnkit.linear_algebra import leave_one_out
from pinnkit.residuals import Residuals

STRENGTHS = np.geomspace(1e-6, 1e2, 17)  # of a prior of the head, relative to the data
log = logging.getLogger(__name__)


def nearness(residuals: Residuals, strength: float, each: bool = False) -> Tensor:
    """Strengths that hold each tensor of the features, or each of its entries, near its value.

    They are relative to its root mean square.
    """
    theta, out = residuals.theta, torch.zeros_like(residuals.theta)
    for name in residuals.shapes:
        if name.startswith("features."):
            places = residuals.places([name])
            size = theta[places].square().mean().sqrt().clamp_min(1e-12)
            out[places] = strength / (size * (1 if each else len(places) ** 0.5))
    return out


def head_prior(residuals: Residuals, data: str) -> Tensor:
    """Strengths that draw the head towards zero, as cross-validation on the condition `data` has them.

    Features count by the size they have; singular functions by theirs, in the root mean square at all points.
    """
    theta, trial = residuals.theta, residuals.trial
    r, matrix = residuals.linear_jacobian(theta)
    rows = [block.rows for block in residuals.blocks]
    last = [block.name for block in residuals.blocks].index(data)
    noisy = slice(sum(rows[:last]), sum(rows[: last + 1]))
    sure = torch.ones(len(r), dtype=torch.bool, device=r.device)
    sure[noisy] = False
    pattern = torch.zeros_like(theta)
    pattern[residuals.places(["weight"])] = _sizes(residuals).repeat(len(trial.fields))
    unit = (residuals.linear[:, None] == residuals.places(["bias"])).any(1)  # a feature that is 1 everywhere
    seen = float(matrix[noisy][:, unit].square().sum(1).mean().sqrt())
    ridges = seen * torch.as_tensor(STRENGTHS).to(r)[:, None] * pattern[residuals.linear]
    scores = leave_one_out(matrix[sure], matrix[noisy], -r[sure], -r[noisy], ridges)
    best = int(scores.argmin())
    log.info("prior of the head: %.1e, error of prediction %.1e", STRENGTHS[best], float(scores[best].sqrt()))
    strength = seen * float(STRENGTHS[best])
    return strength * pattern + nearness(residuals, strength, each=True)


def _sizes(residuals: Residuals) -> Tensor:
    """1 for each feature, the root mean square for each singular function, (columns,)."""
    trial = residuals.trial
    ones = torch.ones(trial.width, dtype=trial.weight.dtype, device=trial.weight.device)
    if trial.enrichment is None:
        return ones
    points = torch.cat([block.field.points for block in residuals.blocks])
    values = trial.enrichment.jets(points.unbind(-1), [()])[0]
    return torch.cat([ones, values.square().mean(0).sqrt()])
