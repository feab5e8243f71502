"""What is known of parameters before data are seen, as strengths of rows strength · (θ − θ₀) of the residual.

Where conditions are missing, measured data decide what the others leave open. Data are noisy, conditions are not: a row
of data counts as little as its noise demands. And the head is drawn towards zero, as strongly as cross-validation on
the data asks for. This is the mean of a Gaussian posterior; drawn towards a sample of the prior instead, and with
perturbed data, the head is a sample of the posterior (Pearce et al. 2020, *Uncertainty in neural networks:
approximately Bayesian ensembling*).
"""

import logging

import numpy as np
import torch
from torch import Tensor

from pinnkit.linear_algebra import leave_one_out
from pinnkit.residuals import Anchor, Residuals

OPEN = 1e-3  # relative accuracy of conditions that data must not spoil
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


def lean_on_data(residuals: Residuals, sample: torch.Generator | None = None) -> None:
    """Weigh data by their noise, and draw the head towards zero, or towards a sample of its prior."""
    problem = residuals.problem
    for name in problem.measured:
        noise = problem.conditions[name].noise
        if noise:
            residuals.weights[name] *= min(1.0, (OPEN / noise) ** 2)
    strength, missed = head_prior(residuals)
    centre = residuals.theta
    if sample is not None:
        drawn = torch.randn(len(centre), generator=sample, dtype=torch.float64).to(centre)
        deviation = data_noise(residuals) or missed
        centre = centre + torch.where(strength > 0, deviation / strength.clamp_min(1e-300), 0.0) * drawn
    residuals.anchor = Anchor(strength, centre)


def data_noise(residuals: Residuals) -> float:
    """Root mean square of the noise in the rows of data; 0 where it is not known."""
    conditions, squares = residuals.problem.conditions, []
    for block in residuals.blocks:
        if conditions[block.name].noise:
            squares.append(float(residuals.factor(block)) * conditions[block.name].deviation)
    return float(np.sqrt(np.mean(np.square(squares)))) if squares else 0.0


def head_prior(residuals: Residuals) -> tuple[Tensor, float]:
    """Strengths that draw the head towards zero, as cross-validation on the data has them, and its error.

    Features count by the size they have; singular functions by theirs, in the root mean square at all points.
    """
    theta, trial = residuals.theta, residuals.trial
    r, matrix = residuals.linear_jacobian(theta)
    noisy = of_data(residuals)
    pattern = torch.zeros_like(theta)
    pattern[residuals.places(["weight"])] = sizes(residuals).repeat(len(trial.fields))
    unit = (residuals.linear[:, None] == residuals.places(["bias"])).any(1)  # a feature that is 1 everywhere
    seen = float(matrix[noisy][:, unit].square().sum(1).mean().sqrt())
    ridges = seen * torch.as_tensor(STRENGTHS).to(r)[:, None] * pattern[residuals.linear]
    scores = leave_one_out(matrix[~noisy], matrix[noisy], -r[~noisy], -r[noisy], ridges)
    best = int(scores.argmin())
    missed = float(scores[best].sqrt())
    log.info("prior of the head: %.1e, error of prediction %.1e", STRENGTHS[best], missed)
    strength = seen * float(STRENGTHS[best])
    return strength * pattern + nearness(residuals, strength, each=True), missed


def of_data(residuals: Residuals) -> Tensor:
    """Which rows of the residual, without those of an anchor, are measured data (rows,)."""
    measured, device = residuals.problem.measured, residuals.theta.device
    return torch.cat([torch.full((b.rows,), b.name in measured, device=device) for b in residuals.blocks])


def sizes(residuals: Residuals) -> Tensor:
    """1 for each feature, the root mean square for each singular function, 0 for functions of the problem, (columns,).

    The latter are of any size: what is known of ρ in u = ρ w + δ are the data alone.
    """
    trial = residuals.trial
    ones = torch.ones(trial.width, dtype=trial.weight.dtype, device=trial.weight.device)
    if trial.enrichment is None:
        return ones
    points = torch.cat([block.field.points for block in residuals.blocks])
    values = trial.enrichment.jets(points.unbind(-1), [()])[0]
    seen = values.square().mean(0).sqrt()
    own = residuals.problem.enrichment
    if own is not None:
        seen[-own.count :] = 0
    return torch.cat([ones, seen])
