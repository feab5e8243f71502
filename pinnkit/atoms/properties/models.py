"""Models of a scalar property y > 0 or of any sign, (n,), of n materials by d descriptors, (n, d).

All but one are linear in what is fitted,

    y = w₀ + Σ w_j φ_j(x)                                        `LeastSquares`
    ln y = Σ a_c ln x_c + w₀ + Σ w_j φ_j(ln x)                   `InLogarithms`, exponents a_c known, none by default

so that a power law C Π x_c^a_c is the second with φ = ln x, a law with one free constant the second without φ, and a
law that is corrected by a learned factor the second with φ the neurons of a network. The other one is a Gaussian
process, whose noise and lengths are those of greatest likelihood.

Penalties λ ‖w‖² and the choice among several sets of features are those of least leave-one-out error, which costs no
second fit: with H = Φ (ΦᵀΦ + λ)⁻¹ Φᵀ + 1/n, Φ centred, the error of value i left out is (y − Hy)_i / (1 − H_ii)
(Allen 1974; Golub, Heath & Wahba 1979). Nothing but the training data is seen, so that cross-validation of these models
is nested by itself.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from pinnkit.fidelity import GaussianProcess, regress
from pinnkit.networks import MLP

Array = NDArray[np.float64]
FeatureMap = Callable[[Array], Array]  # (n, d) scaled to about [−1, 1] -> (n, p)
Features = Callable[[int, int], FeatureMap]  # number of descriptors, seed -> map

PENALTIES = np.logspace(-6, 4, 41)  # relative to the greatest eigenvalue of ΦᵀΦ; the last leaves nothing but a mean
NEURONS = 64
SLOPES = (0.5, 1.5)  # of neurons, per half-width of the descriptors
PROCESS_STARTS = 0  # at random, beside the usual one: more of them took longer and predicted no better
DEPENDENT = 1e-10  # least singular value, relative, of columns that can be told apart
LARGEST = 300.0  # logarithm beyond which nothing is predicted: squares stay finite


class Fitted(Protocol):
    """A property (m,) of descriptors (m, d)."""

    def predict(self, x: Array, /) -> Array: ...


class Model(ABC):
    """What can be fitted to descriptors x (n, d) and values y (n,); the seed is that of whatever is drawn."""

    @abstractmethod
    def fit(self, x: Array, y: Array, seed: int = 0) -> Fitted:
        """The model of these data."""


# --- features ---------------------------------------------------------------------------------------------------------


def nothing(d: int, seed: int) -> FeatureMap:
    """No features: a constant alone is fitted."""
    return lambda x: x[:, :0]


def straight(d: int, seed: int) -> FeatureMap:
    """The descriptors themselves."""
    return lambda x: x


def quadratic(d: int, seed: int) -> FeatureMap:
    """The descriptors, their squares and products."""
    first, second = np.triu_indices(d)
    return lambda x: np.column_stack([x, x[:, first] * x[:, second]])


def only(columns: Sequence[int]) -> Features:
    """Some of the descriptors."""
    return lambda d, seed: lambda x: x[:, list(columns)]


def neurons(slope: float) -> Features:
    """`NEURONS` tanh neurons with weights drawn once, as in `networks.MLP`: the head alone is fitted."""

    def drawn(d: int, seed: int) -> FeatureMap:
        layer = MLP(d, [NEURONS], "tanh", slope, torch.Generator().manual_seed(seed))

        def features(x: Array) -> Array:
            with torch.no_grad():
                return np.asarray(layer(torch.as_tensor(x, dtype=torch.float64)).numpy())

        return features

    return drawn


# --- least squares ----------------------------------------------------------------------------------------------------


class Scaling(NamedTuple):
    """To [−1, 1]; columns that do not vary to 0."""

    middle: Array
    half: Array

    @classmethod
    def of(cls, x: Array) -> "Scaling":
        half = np.ptp(x, axis=0) / 2
        return cls((x.max(0) + x.min(0)) / 2, np.where(half > 0, half, 1.0))

    def __call__(self, x: Array) -> Array:
        return np.asarray((x - self.middle) / self.half)


@dataclass(frozen=True, eq=False)
class Line:
    """w₀ + Σ w_j (φ_j(x) − their mean), and the root of the mean squared leave-one-out error."""

    scaling: Scaling
    features: FeatureMap
    centre: Array
    constant: float
    weights: Array
    left_out: float

    def predict(self, x: Array) -> Array:
        return np.asarray(self.constant + (self.features(self.scaling(x)) - self.centre) @ self.weights)


@dataclass(frozen=True)
class LeastSquares(Model):
    """Linear in features: the best of several sets of them, and of penalties if they are `penalised`."""

    sets: tuple[Features, ...]
    penalised: bool = False

    def fit(self, x: Array, y: Array, seed: int = 0) -> Line:
        scaling = Scaling.of(x)
        maps = [features(x.shape[1], seed) for features in self.sets]
        return min((_line(scaling, one, x, y, self.penalised) for one in maps), key=lambda line: line.left_out)


def _line(scaling: Scaling, features: FeatureMap, x: Array, y: Array, penalised: bool) -> Line:
    phi = features(scaling(x))
    centre, constant = phi.mean(0), float(y.mean())
    weights, left_out = ridge(phi - centre, y - constant, PENALTIES if penalised else np.zeros(1))
    return Line(scaling, features, centre, constant, weights, left_out)


def ridge(phi: Array, y: Array, penalties: Array) -> tuple[Array, float]:
    """Weights (p,) of centred features (n, p) and values (n,), and the root-mean-square leave-one-out error.

    The penalty is the one of least such error; they are relative to the greatest eigenvalue of φᵀφ.
    """
    u, s, vt = np.linalg.svd(phi, full_matrices=False)
    kept = s > len(y) * np.finfo(float).eps * max(s.max(initial=0.0), np.finfo(float).tiny)
    u, s, vt = u[:, kept], s[kept], vt[kept]
    shrunk = s**2 / (s**2 + penalties[:, None] * (s**2).max(initial=0.0))  # (penalties, p)
    left = y - (shrunk * (u.T @ y)) @ u.T
    room = 1 - 1 / len(y) - shrunk @ (u.T**2)
    errors = np.sqrt(np.mean((left / np.maximum(room, np.finfo(float).eps)) ** 2, axis=1))
    best = int(np.argmin(errors))
    return np.asarray(vt.T @ (shrunk[best] / s * (u.T @ y))), float(errors[best])


class Coefficients(NamedTuple):
    """Coefficients of least squares, (p,), and their standard errors."""

    values: Array
    standard_errors: Array


def coefficients(x: Array, y: Array) -> Coefficients:
    """Those of y = w₀ + Σ w_j x_j + ε, without w₀: cov w = s² (XᵀX)⁻¹, X centred, s² = Σ r²/(n − d − 1).

    Where columns depend on each other, so that the data do not determine them, all standard errors are infinite.
    """
    scaling = Scaling.of(x)
    phi, (n, d) = scaling(x) - scaling(x).mean(0), x.shape
    weights, _, rank, _ = np.linalg.lstsq(phi, y - y.mean(), rcond=DEPENDENT)
    if rank < d:
        return Coefficients(weights / scaling.half, np.full(d, np.inf))
    variance = np.sum((y - y.mean() - phi @ weights) ** 2) / max(n - d - 1, 1)
    deviations = np.sqrt(variance * np.diag(np.linalg.pinv(phi.T @ phi)))
    return Coefficients(weights / scaling.half, deviations / scaling.half)


# --- other models -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Mean:
    """The mean of a process."""

    process: GaussianProcess

    def predict(self, x: Array) -> Array:
        return np.asarray(self.process.predict(x)[0])


@dataclass(frozen=True)
class Process(Model):
    """A Gaussian process with Matérn-5/2 covariance, a length for each descriptor, and noise that is found."""

    def fit(self, x: Array, y: Array, seed: int = 0) -> Mean:
        return Mean(regress(x, y, noise=None, kernel="matern_5_2", starts=PROCESS_STARTS, seed=seed))


@dataclass(frozen=True, eq=False)
class Power:
    """exp(a · z + inner(z)), z = ln x but for some columns."""

    positive: NDArray[np.bool_]
    exponents: Array
    inner: Fitted

    def predict(self, x: Array) -> Array:
        z = logarithms(x, self.positive)
        return np.asarray(np.exp(np.clip(z @ self.exponents + self.inner.predict(z), -LARGEST, LARGEST)))


@dataclass(frozen=True)
class InLogarithms(Model):
    """Another model of ln y less the logarithm of a law Π x_c^a_c that is known up to a factor.

    `positive` says of which descriptors logarithms are taken; others enter as they are, y then by exponentials of them.
    What comes out is the median of a property whose scatter is log-normal.
    """

    inner: Model
    positive: tuple[bool, ...]
    exponents: tuple[float, ...] = ()

    def fit(self, x: Array, y: Array, seed: int = 0) -> Power:
        positive = np.array(self.positive)
        known = np.array(self.exponents or [0.0] * len(positive))
        z = logarithms(x, positive)
        return Power(positive, known, self.inner.fit(z, np.log(y) - z @ known, seed))


def logarithms(x: Array, positive: NDArray[np.bool_]) -> Array:
    """ln x in the columns (d,) that are positive, x in others."""
    return np.where(positive, np.log(np.where(positive, x, 1.0)), x)


def network() -> LeastSquares:
    """A layer of neurons, steep or not, with a penalised head."""
    return LeastSquares(tuple(neurons(slope) for slope in SLOPES), penalised=True)
