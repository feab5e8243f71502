"""The Bayesian linear head: a closed-form Gaussian posterior of u on the features of one trained network.

Linearised in the head w at the solution (no approximation where the problem is linear), the residual rows are
A w − a for conditions, held to within ε, and B w − b for measured data, with noise σ; a priori w ~ N(0, s² Γ²), where
Γ are the sizes of `prior`. With RᵀR = AᵀA/ε² + Γ⁻²/s² and T = B R⁻¹, b is normal with mean B m and covariance
T Tᵀ + σ² I, whose density is the evidence; it chooses ε, s and σ (MacKay 1992, *Bayesian interpolation*). The posterior
covariance is

    R⁻¹ (I − Tᵀ (T Tᵀ + σ²)⁻¹ T) R⁻ᵀ.
"""

import logging
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pinnkit.prior import of_data, sizes
from pinnkit.problem import Condition, Problem
from pinnkit.residuals import Collocation, Residuals

Array = NDArray[np.float64]
FLAT = 1e-8  # strength, relative to that of features, of a prior that says nothing
PRIORS = np.geomspace(1e-6, 1e3, 19)  # of 1/s, relative to what a feature makes of the rows of data
ACCURACIES = np.geomspace(1e-8, 1e-1, 8)  # of ε likewise
NOISES = np.geomspace(1e-8, 1e1, 73)  # of σ likewise
CHUNK = 2000
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class HeadPosterior:
    """What is known of the head, and with it of the fields."""

    problem: Problem
    residuals: Residuals
    theta: Tensor
    factor: Tensor  # R, (p, p)
    directions: Tensor  # right singular vectors of T, (k, p)
    shrinkage: Tensor  # S² / (S² + σ²) of each, (k,)
    change: Tensor  # of the head to the posterior mean, (p,)

    def predict(self, points: Array) -> tuple[Array, Array]:
        """Mean and standard deviation of each field, (n, fields), at points (n, d)."""
        parts = [self._predict(part) for part in np.array_split(points, -(-len(points) // CHUNK))]
        means, deviations = zip(*parts, strict=True)
        return np.concatenate(means), np.concatenate(deviations)

    def _predict(self, points: Array) -> tuple[Array, Array]:
        fields = self.problem.fields
        conditions = {field: Condition(partial(_value, field), "data", points=points) for field in fields}
        problem = replace(self.problem, conditions=conditions, free=())
        at = Residuals(problem, self.residuals.trial, {field: Collocation(points) for field in fields})
        values, matrix = at.linear_jacobian(self.theta)
        scale = len(points) ** 0.5
        values, matrix = scale * values, scale * matrix
        deviation = self._deviation(matrix).reshape(len(fields), -1).T
        mean = (values + matrix @ self.change).reshape(len(fields), -1).T
        return mean.double().cpu().numpy(), deviation.double().cpu().numpy()

    def _deviation(self, rows: Tensor) -> Tensor:
        """Of linear combinations (n, p) of the head: (n,)."""
        seen = torch.linalg.solve_triangular(self.factor.mT, rows.mT, upper=False).mT
        explained = ((seen @ self.directions.mT).square() * self.shrinkage).sum(1)
        return (seen.square().sum(1) - explained).clamp_min(0).sqrt()


def _value(field: str, **env: Any) -> Tensor:
    value = env[field]
    assert isinstance(value, Tensor)
    return value


def head_posterior(residuals: Residuals) -> HeadPosterior:
    """The posterior at the trial function as it stands; the problem has measured data."""
    problem, theta, noisy = residuals.problem, residuals.theta, of_data(residuals)
    r, matrix = (part[: len(noisy)] for part in residuals.linear_jacobian(theta))  # the prior is found anew
    head = theta[residuals.linear]
    rhs = matrix @ head - r
    pattern = torch.full_like(theta, FLAT)
    pattern[residuals.places(["weight"])] = sizes(residuals).repeat(len(problem.fields)).clamp_min(FLAT)
    fits = _Rows(matrix[~noisy], rhs[~noisy], matrix[noisy], rhs[noisy], pattern[residuals.linear])
    best = max((fits.at(prior, within) for within in ACCURACIES for prior in PRIORS), key=lambda fit: fit.evidence)
    log.info("head: prior %.1e, accuracy %.1e, noise %.1e", *best.chosen)
    return HeadPosterior(problem, residuals, theta, best.factor, best.directions, best.shrinkage, best.mean - head)


@dataclass(frozen=True)
class _Fit:
    factor: Tensor
    directions: Tensor
    shrinkage: Tensor
    mean: Tensor
    chosen: tuple[float, float, float]  # prior, accuracy and noise
    evidence: float  # its logarithm


class _Rows:
    """A w = a within ε, B w = b with noise; compressed, so that each prior costs as much as the head is wide."""

    def __init__(self, sure: Tensor, sure_rhs: Tensor, noisy: Tensor, noisy_rhs: Tensor, pattern: Tensor) -> None:
        self.pattern, self.count = pattern, len(noisy)
        self.size = float(noisy.square().sum(1).mean().sqrt()) / len(pattern) ** 0.5
        self.sure, self.sure_rhs, _ = _compressed(sure, sure_rhs)
        self.noisy, self.noisy_rhs, self.beyond = _compressed(noisy, noisy_rhs)

    def at(self, prior: float, accuracy: float) -> _Fit:
        """The posterior for 1/s = prior · size and ε = accuracy · size, with the noise of the largest evidence."""
        within = accuracy * self.size
        stacked = torch.cat([self.sure / within, torch.diag(prior * self.size * self.pattern)])
        q, factor = torch.linalg.qr(stacked)
        before = q[: len(self.sure)].mT @ (self.sure_rhs / within)  # R m
        seen = torch.linalg.solve_triangular(factor.mT, self.noisy.mT, upper=False).mT
        u, s, vh = torch.linalg.svd(seen, full_matrices=False)
        off = self.noisy_rhs - seen @ before
        along = u.mT @ off
        across = max(float(off.square().sum() - along.square().sum()), 0.0) + self.beyond
        sigma = torch.as_tensor(NOISES * self.size).to(s)[:, None]
        variance = s.square() + sigma.square()
        rest = (self.count - len(s)) * sigma[:, 0].square().log() + across / sigma[:, 0].square()
        evidences = -0.5 * ((along.square() / variance + variance.log()).sum(1) + rest)
        best = int(evidences.argmax())
        rotated = before + vh.mT @ (s * along / variance[best])
        mean = torch.linalg.solve_triangular(factor, rotated[:, None], upper=True)[:, 0]
        chosen = prior, accuracy, float(NOISES[best])
        return _Fit(factor, vh, s.square() / variance[best], mean, chosen, float(evidences[best]))


def _compressed(matrix: Tensor, rhs: Tensor) -> tuple[Tensor, Tensor, float]:
    """Rows of the same normal equations, as many as there are columns at most, and the square of what is left of b."""
    if len(matrix) <= matrix.shape[1]:
        return matrix, rhs, 0.0
    q, upper = torch.linalg.qr(matrix)
    kept = q.mT @ rhs
    return upper, kept, max(float(rhs.square().sum() - kept.square().sum()), 0.0)
