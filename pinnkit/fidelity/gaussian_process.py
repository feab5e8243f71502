"""Gaussian-process regression (Rasmussen & Williams 2006, *Gaussian Processes for Machine Learning*).

    y = m(x) + f(x) + ε,     m = Σ β_j h_j,     f ~ GP(0, k),     ε ~ N(0, D),     p(β) flat

With K = k(X, X) + D and H = h(X), the coefficients β of the mean are integrated out (R & W 2.7, universal kriging), so
that their uncertainty is in every prediction. Hyper-parameters maximise the logarithm of what is left,

    −½ yᵀP y − ½ log|K| − ½ log|HᵀK⁻¹H| − ½ (n − q) log 2π,     P = K⁻¹ − K⁻¹H (HᵀK⁻¹H)⁻¹ HᵀK⁻¹,

by L-BFGS-B with the gradient ½ tr((ααᵀ − P) ∂K), α = P y. Inputs, values and functions of the mean are brought to unit
size first, so that units make no difference.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Annotated, NamedTuple, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import linalg, optimize

from pinnkit.conversion import LARGEST_SEED, Between, convert
from pinnkit.errors import BadInput

Array = NDArray[np.float64]
Basis = Callable[[Array], Array]  # (n, d) -> (n, q)
Noise = float | ArrayLike | None
Count = Annotated[int, Between(0, 10_000)]
Seed = Annotated[int, Between(0, LARGEST_SEED)]

LENGTHS, VARIANCES, NOISES = (1e-2, 1e2), (1e-14, 1e8), (1e-12, 1.0)  # bounds for data of unit size
LIKELY_LENGTHS, LIKELY_SHARES, LIKELY_NOISES = (0.05, 5.0), (0.01, 1.0), (1e-6, 0.3)  # where searches start
JITTERS = (0.0, 1e-12, 1e-10, 1e-8, 1e-6)  # on the diagonal, relative to its mean, until K has a Cholesky factor
WALL = 1e25  # cost where K has no Cholesky factor
STARTS = 10
MOST_ENTRIES = 2**21  # of k(X, x) at a time
LARGEST = 1e150  # squares of larger numbers overflow; what varies by less than its reciprocal is constant
FAR = 1e9  # in units of the data's extent: further off correlations are 0 for all lengths allowed
SAME = 1e-14  # relative difference of values that are equal but for round-off
UNDETERMINED = 1e-20  # share of a diagonal of K⁻¹ that P leaves, below which it is round-off
DEPENDENT = 1e-10  # least singular value, relative, of a basis whose functions can be told apart


# --- kernels ----------------------------------------------------------------------------------------------------------


def _squared_exponential(r2: Array) -> tuple[Array, Array]:
    """k and −2 dk/dr², of r² = Σ (Δx_j/ℓ_j)²."""
    k = np.exp(-r2 / 2)
    return k, k


def _matern_3_2(r2: Array) -> tuple[Array, Array]:
    s = np.sqrt(3 * r2)
    return (1 + s) * np.exp(-s), 3 * np.exp(-s)


def _matern_5_2(r2: Array) -> tuple[Array, Array]:
    s = np.sqrt(5 * r2)
    return (1 + s + s**2 / 3) * np.exp(-s), 5 / 3 * (1 + s) * np.exp(-s)


SHAPES = {"squared_exponential": _squared_exponential, "matern_3_2": _matern_3_2, "matern_5_2": _matern_5_2}


@dataclass(frozen=True)
class Term:
    """σ² c(r), r² = Σ (Δx_j/ℓ_j)² over some columns j of the inputs. Its parameters are log σ² and the log ℓ_j."""

    columns: tuple[int, ...]
    shape: str = "squared_exponential"

    def __post_init__(self) -> None:
        if self.shape not in SHAPES:
            raise BadInput("kernel", f"unknown kernel {self.shape!r}", f"choose from {', '.join(SHAPES)}")

    @property
    def size(self) -> int:
        return 1 + len(self.columns)

    def matrix(self, p: Array, squares: Array) -> Array:
        """(n, m), of squared differences (d, n, m)."""
        return np.asarray(np.exp(p[0]) * SHAPES[self.shape](self._scaled(p, squares).sum(0))[0])

    def slopes(self, p: Array, squares: Array) -> list[Array]:
        """Derivatives by the parameters, (n, m) each."""
        scaled = self._scaled(p, squares)
        k, steep = SHAPES[self.shape](scaled.sum(0))
        return [np.exp(p[0]) * k, *(np.exp(p[0]) * steep * part for part in scaled)]

    def _scaled(self, p: Array, squares: Array) -> Array:
        return np.asarray(squares[list(self.columns)] * np.exp(-2 * p[1:, None, None]))


@dataclass(frozen=True)
class Kernel:
    """A sum of terms; its parameters are those of the terms, one after another."""

    terms: tuple[Term, ...]

    @property
    def size(self) -> int:
        return sum(term.size for term in self.terms)

    @property
    def starts(self) -> list[int]:
        """Where the parameters of each term begin: these are the logarithms of the variances."""
        return [sum(term.size for term in self.terms[:i]) for i in range(len(self.terms))]

    def split(self, p: Array) -> list[Array]:
        return [p[start : start + term.size] for start, term in zip(self.starts, self.terms, strict=True)]

    def matrix(self, p: Array, squares: Array) -> Array:
        parts = zip(self.terms, self.split(p), strict=True)
        return np.asarray(np.sum([term.matrix(own, squares) for term, own in parts], axis=0))

    def slopes(self, p: Array, squares: Array) -> list[Array]:
        return [s for term, own in zip(self.terms, self.split(p), strict=True) for s in term.slopes(own, squares)]

    def variance(self, p: Array) -> float:
        """k(x, x)."""
        return float(np.exp(p[self.starts]).sum())


class Covariance(Protocol):
    """A covariance function that is known, in units of the data, added to the kernel."""

    def matrix(self, a: Array, b: Array) -> Array: ...  # (n, d), (m, d) -> (n, m)

    def diagonal(self, a: Array) -> Array: ...  # (n, d) -> (n,)


@dataclass(frozen=True)
class Hyperparameters:
    """In units of the data: the variance of each term of the kernel, and its length in each of its columns."""

    variances: tuple[float, ...]
    lengths: tuple[tuple[float, ...], ...]


# --- units ------------------------------------------------------------------------------------------------------------


class Scaling(NamedTuple):
    """(values − shift) / size, by column."""

    shift: Array
    size: Array

    @classmethod
    def of(cls, values: Array, centred: bool = True) -> "Scaling":
        """To extent 1; not centred to magnitude 1. Columns that do not vary have no extent: theirs is their size."""
        lower, upper = values.min(0), values.max(0)
        largest = np.abs(values).max(0)
        extent = upper - lower if centred else largest
        flat = extent <= np.maximum(SAME * largest, 1 / LARGEST)
        unit = np.where(largest > 1 / LARGEST, largest, 1.0)
        middle = np.where(flat, lower, lower + (upper - lower) / 2) if centred else np.zeros_like(lower)
        return cls(middle, np.where(flat, unit, extent))

    def __call__(self, values: Array) -> Array:
        return np.asarray((values - self.shift) / self.size)


def _varying(x: Array) -> NDArray[np.bool_]:
    """Which columns vary."""
    return np.asarray(np.ptp(x, axis=0) > np.maximum(SAME * np.abs(x).max(0), 1 / LARGEST))


class Mean(NamedTuple):
    """Functions of the mean at unit size: those of a basis, and a constant as the last if there is one."""

    basis: Basis | None
    constant: bool
    scaling: Scaling

    @classmethod
    def of(cls, basis: Basis | None, constant: bool, x: Array) -> "Mean":
        return cls(basis, constant, Scaling.of(evaluated(basis, x), centred=constant))

    def __call__(self, x: Array) -> Array:
        """(n, q)."""
        scaled = self.scaling(evaluated(self.basis, x))
        return np.column_stack([scaled, np.ones((len(x), 1))]) if self.constant else scaled

    def in_units(self, outputs: Scaling) -> tuple[Array, Array]:
        """T (q, q) and t (q,) of the coefficients T β + t in units of the data."""
        functions = len(self.scaling.size)
        T = np.diag(np.append(outputs.size / self.scaling.size, [outputs.size] * self.constant))
        t = np.zeros(len(T))
        if self.constant:
            T[-1, :functions] = -outputs.size * self.scaling.shift / self.scaling.size
            t[-1] = outputs.shift
        return T, t


def evaluated(basis: Basis | None, x: Array) -> Array:
    """Values (n, q) of a basis. Raises BadInput for others than finite ones."""
    if basis is None:
        return np.empty((len(x), 0))
    values = np.asarray(basis(x), dtype=float)
    if values.ndim != 2 or len(values) != len(x) or not np.isfinite(values).all():
        what = f"at {len(x)} points it gives values of shape {values.shape}, or some that are not finite"
        raise BadInput("basis", what, "return finite values (n, q)")
    return values


# --- regression -------------------------------------------------------------------------------------------------------


class _Factors(NamedTuple):
    """The linear algebra of one set of hyper-parameters, at unit size."""

    lower: Array  # Cholesky factor L of K
    half_basis: Array  # L⁻¹ H
    q: Array  # L⁻¹ H = Q R
    inverse_r: Array
    beta: Array
    weights: Array  # P y
    log_likelihood: float

    def projected(self) -> Array:
        """P (n, n), as (1 − QQᵀ) L⁻¹ times itself."""
        inverse = linalg.solve_triangular(self.lower, np.eye(len(self.lower)), lower=True)
        rest = inverse - self.q @ (self.q.T @ inverse)
        return np.asarray(rest.T @ rest)


@dataclass(frozen=True)
class _Likelihood:
    """The logarithmic marginal likelihood of data of unit size, of parameters p: the kernel's, and log s² of noise.

    squares     squared differences of the points (d, n, n)
    known       covariance (n, n) that does not depend on p
    find_noise  whether noise of variance s² is added to it
    """

    kernel: Kernel
    squares: Array
    y: Array
    h: Array
    known: Array
    find_noise: bool
    jitter: float = 0.0

    def factors(self, p: Array) -> _Factors:
        """Raises LinAlgError where K is not positive definite."""
        own, n = p[: self.kernel.size], len(self.y)
        K = self.kernel.matrix(own, self.squares) + self.known
        K[np.diag_indices(n)] += self.jitter * self._size(p) + (np.exp(p[-1]) if self.find_noise else 0.0)
        lower = linalg.cholesky(K, lower=True)
        half_basis, half = (linalg.solve_triangular(lower, part, lower=True) for part in (self.h, self.y))
        q, r = np.linalg.qr(half_basis)
        inverse_r = linalg.solve_triangular(r, np.eye(len(r))) if len(r) else r
        left = half - q @ (q.T @ half)
        left -= q @ (q.T @ left)  # a mean that fits nearly all leaves little but round-off
        likelihood = -0.5 * float(left @ left) - float(np.log(np.diag(lower)).sum())
        likelihood -= float(np.log(np.abs(np.diag(r))).sum()) + 0.5 * (n - len(r)) * np.log(2 * np.pi)
        weights = linalg.solve_triangular(lower, left, lower=True, trans="T")
        return _Factors(lower, half_basis, q, inverse_r, inverse_r @ (q.T @ half), weights, likelihood)

    def _size(self, p: Array) -> float:
        """Mean of the diagonal of K but for noise that is found."""
        return self.kernel.variance(p[: self.kernel.size]) + float(np.trace(self.known)) / len(self.known)

    def cost(self, p: Array) -> tuple[float, Array]:
        """The negative logarithm and its gradient; a wall where K is not positive definite."""
        try:
            found = self.factors(p)
        except linalg.LinAlgError:
            return WALL, np.zeros_like(p)
        outer = np.outer(found.weights, found.weights) - found.projected()
        own, trace = p[: self.kernel.size], float(np.trace(outer))
        slopes = np.array([float((outer * slope).sum()) for slope in self.kernel.slopes(own, self.squares)])
        slopes[self.kernel.starts] += self.jitter * np.exp(own[self.kernel.starts]) * trace
        if self.find_noise:
            slopes = np.append(slopes, np.exp(p[-1]) * trace)
        return -found.log_likelihood, -0.5 * slopes


@dataclass(frozen=True)
class GaussianProcess:
    """A process given observations: see `regress`.

    hyperparameters          of the kernel, in units of the data
    noise                    standard deviations (n,) of the observations, given or found
    coefficients             β (q,) of the mean: of the basis and, last, the constant; with their covariance (q, q)
    log_marginal_likelihood  of the observations, in their units
    jitter                   what the diagonal of K needed to have a Cholesky factor, relative to its mean
    """

    x: Array
    y: Array
    kernel: Kernel
    hyperparameters: Hyperparameters
    noise: Array
    coefficients: Array
    coefficients_covariance: Array
    log_marginal_likelihood: float
    jitter: float
    extra: Covariance | None
    _parameters: Array = field(repr=False)
    _inputs: Scaling = field(repr=False)
    _outputs: Scaling = field(repr=False)
    _mean: Mean = field(repr=False)
    _factors: _Factors = field(repr=False)

    def predict(self, x: ArrayLike) -> tuple[Array, Array]:
        """Mean and standard deviation (m,) of m + f, at points (m, d). Raises BadInput."""
        at = self._points(x)
        parts = -(-len(at) * len(self.y) // MOST_ENTRIES) or 1
        means, deviations = zip(*(self._predicted(part) for part in np.array_split(at, parts)), strict=True)
        return np.concatenate(means), np.concatenate(deviations)

    def covariance(self, a: ArrayLike, b: ArrayLike) -> Array:
        """Covariance (m, k) of m + f between points (m, d) and (k, d). Raises BadInput."""
        one, other = self._points(a), self._points(b)
        _, half, rest = self._conditioned(one)
        _, half_other, rest_other = (half, half, rest) if a is b else self._conditioned(other)
        prior = self._own(one, other) + self._extra(one, other)
        return np.asarray(self._outputs.size**2 * (prior - half.T @ half_other + rest @ rest_other.T))

    def sample(self, x: ArrayLike, n: int, seed: int = 0) -> Array:
        """n draws (n, m) of m + f at points (m, d). Raises BadInput."""
        at = self._points(x)
        values, vectors = linalg.eigh(self.covariance(at, at) / self._outputs.size**2)  # may be singular
        root = vectors * np.sqrt(np.maximum(values, 0.0))
        drawn = np.random.default_rng(seed).normal(size=(n, len(at)))
        return np.asarray(self.predict(at)[0] + self._outputs.size * drawn @ root.T)

    def part(self, x: ArrayLike, functions: int) -> tuple[Array, Array]:
        """Mean and standard deviation (m,) of f without `extra`, with the mean's functions from a number on.

        They stand beside what is left out as independent parts of a sum.
        """
        at = self._points(x)
        cross = self._own(self.x, at)
        half = linalg.solve_triangular(self._factors.lower, cross, lower=True)
        T, t = self._mean.in_units(self._outputs)
        values = np.column_stack([evaluated(self._mean.basis, at), np.ones((len(at), int(self._mean.constant)))])
        values[:, :functions] = 0.0
        unscaled = values @ T / self._outputs.size  # h β in units of the data, less that of t, is this times scaled β
        rest = (unscaled - half.T @ self._factors.half_basis) @ self._factors.inverse_r
        variance = self.kernel.variance(self._parameters) - (half**2).sum(0) + (rest**2).sum(1)
        mean = values @ t + self._outputs.size * (unscaled @ self._factors.beta + cross.T @ self._factors.weights)
        return mean, self._outputs.size * np.sqrt(np.maximum(variance, 0.0))

    def leave_one_out(self) -> tuple[Array, Array]:
        """Mean and standard deviation (n,) of each observation, with its noise, from all others (R & W 5.12).

        With P in place of K⁻¹ the mean is found anew without each (Dubrule 1983). Hyper-parameters stay. Raises
        BadInput where the others do not determine the mean.
        """
        projected = self._factors.projected()
        precision = np.diag(projected)
        whole = (linalg.solve_triangular(self._factors.lower, np.eye(len(self.y)), lower=True) ** 2).sum(0)
        alone = precision <= UNDETERMINED * whole
        if alone.any():
            what = f"the mean is not determined without observation {int(alone.argmax()) + 1} of {len(whole)}"
            raise BadInput("basis", what, "give more points, or a simpler mean")
        y = self._outputs(self.y)
        mean = y - self._factors.weights / precision
        return self._outputs.shift + self._outputs.size * mean, self._outputs.size / np.sqrt(precision)

    def with_extra(self, extra: Covariance) -> "GaussianProcess":
        """With another covariance beside the kernel that is the same, like 0, wherever there are observations."""
        return replace(self, extra=extra)

    def _points(self, x: ArrayLike) -> Array:
        return points(x, self.x.shape[1])

    def _own(self, a: Array, b: Array) -> Array:
        return self.kernel.matrix(self._parameters, _squares(self._inputs(a), self._inputs(b)))

    def _extra(self, a: Array, b: Array) -> Array | float:
        return 0.0 if self.extra is None else self.extra.matrix(a, b) / self._outputs.size**2

    def _extra_diagonal(self, a: Array) -> Array:
        return np.zeros(len(a)) if self.extra is None else self.extra.diagonal(a) / self._outputs.size**2

    def _conditioned(self, at: Array) -> tuple[Array, Array, Array]:
        """k(X, x) (n, m), L⁻¹ of it, and (h(x) − k(x, X) K⁻¹ H) R⁻¹ (m, q)."""
        cross = self._own(self.x, at) + self._extra(self.x, at)
        half = linalg.solve_triangular(self._factors.lower, cross, lower=True)
        return cross, half, (self._mean(at) - half.T @ self._factors.half_basis) @ self._factors.inverse_r

    def _predicted(self, at: Array) -> tuple[Array, Array]:
        cross, half, rest = self._conditioned(at)
        mean = self._mean(at) @ self._factors.beta + cross.T @ self._factors.weights
        variance = self.kernel.variance(self._parameters) + self._extra_diagonal(at)
        variance = variance - (half**2).sum(0) + (rest**2).sum(1)
        return self._outputs.shift + self._outputs.size * mean, self._outputs.size * np.sqrt(np.maximum(variance, 0.0))


def _squares(a: Array, b: Array) -> Array:
    """Squared differences (d, n, m) of points of unit size."""
    a, b = (np.clip(part, -FAR, FAR).T for part in (a, b))
    return np.asarray((a[:, :, None] - b[:, None, :]) ** 2)


def regress(
    x: ArrayLike,
    y: ArrayLike,
    *,
    noise: Noise = 0.0,
    kernel: Kernel | str = "squared_exponential",
    basis: Basis | None = None,
    constant: bool = True,
    hyperparameters: Hyperparameters | None = None,
    extra: Covariance | None = None,
    starts: int = STARTS,
    near: Hyperparameters | None = None,
    seed: int = 0,
    key: str = "data",
) -> GaussianProcess:
    """The process given values (n,) at points (n, d), or (n,) on a line.

    noise            standard deviation of the values, one for all or (n,); 0 for exact ones, None to have it found
    kernel           squared_exponential, matern_3_2 or matern_5_2 with one length per coordinate, or any sum of terms
    basis, constant  functions (n, d) → (n, q) of the mean, and whether a constant is one
    hyperparameters  those of the kernel; None for the most likely ones
    starts           how many searches for them begin at random, beside the usual one
    near             where to search instead, once
    extra            a known covariance of f beside that of the kernel

    Equal observations without noise at one point are one. Raises BadInput, with `key` in front, for what is not finite
    or of wrong shape, for different exact values at one point, and for fewer points than the mean needs.
    """
    starts, seed = convert(Count, starts, "starts"), convert(Seed, seed, "seed")
    x, y = _observations(x, y, key)
    deviations = _deviations(noise, len(y), key)
    x, y, deviations = _without_repetitions(x, y, deviations, noise is None, key)
    kernel = Kernel((Term(tuple(range(x.shape[1])), kernel),)) if isinstance(kernel, str) else kernel
    _check_columns(kernel, x.shape[1])
    inputs, outputs, mean = Scaling.of(x), Scaling.of(y, centred=constant), Mean.of(basis, constant, x)
    h = mean(x)
    _check_mean(h, hyperparameters is None or noise is None, key)
    known = np.diag((deviations / outputs.size) ** 2)
    known = known if extra is None else known + extra.matrix(x, x) / outputs.size**2
    task = _Likelihood(kernel, _squares(inputs(x), inputs(x)), outputs(y), h, known, noise is None)
    start = None if near is None else np.log(_at_unit_size(kernel, near, inputs, outputs))
    search = _Search(task, _bounds(task, _varying(x), inputs, outputs, hyperparameters), start)
    p, task, factors = search.best(starts, np.random.default_rng(seed), key)
    T, t = mean.in_units(outputs)
    root = T @ factors.inverse_r
    if noise is None:
        deviations = np.full(len(y), float(outputs.size) * np.exp(p[-1] / 2))
    likelihood = factors.log_likelihood - (len(y) - len(T)) * float(np.log(outputs.size))
    return GaussianProcess(
        x=x, y=y, kernel=kernel, hyperparameters=_in_units(kernel, p, inputs, outputs), noise=deviations,
        coefficients=T @ factors.beta + t, coefficients_covariance=root @ root.T,
        log_marginal_likelihood=likelihood - float(np.log(mean.scaling.size).sum()), jitter=task.jitter, extra=extra,
        _parameters=p[: kernel.size], _inputs=inputs, _outputs=outputs, _mean=mean, _factors=factors,
    )  # fmt: skip


# --- the search for hyper-parameters ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Search:
    """For the most likely parameters within bounds (parameters, 2); near those of a kernel if they are given."""

    task: _Likelihood
    bounds: Array
    near: Array | None = None

    def best(self, starts: int, rng: np.random.Generator, key: str) -> tuple[Array, _Likelihood, _Factors]:
        """They, with the least jitter that lets K be factorised, and its factors. Raises BadInput."""
        free = bool((self.bounds[:, 0] < self.bounds[:, 1]).any())
        drawn = self._starts(starts, rng) if free else [self.bounds[:, 0]]
        for jitter in JITTERS[1:] if free else JITTERS:  # without any, the search would run into round-off
            task = replace(self.task, jitter=jitter)
            found = [self._climb(task, start) if free else start for start in drawn]
            p = min(found, key=lambda one: task.cost(one)[0])
            try:
                return p, task, task.factors(p)
            except linalg.LinAlgError:
                continue
        raise BadInput(key, "the covariance is singular", "give noise, or leave out points that nearly coincide")

    def _climb(self, task: _Likelihood, start: Array) -> Array:
        options = {"maxiter": 1000, "ftol": 1e-15, "gtol": 1e-9, "maxcor": 20}
        start = self._sized(task, start) if self.near is None else start
        return np.asarray(
            optimize.minimize(task.cost, start, jac=True, method="L-BFGS-B", bounds=self.bounds, options=options).x
        )

    def _starts(self, count: int, rng: np.random.Generator) -> list[Array]:
        usual = self._between(np.full(len(self.bounds), 0.5))
        if self.near is None:
            return [usual, *(self._between(rng.random(len(self.bounds))) for _ in range(count))]
        start = np.append(self.near, usual[len(self.near) :])
        return [np.clip(start, self.bounds[:, 0], self.bounds[:, 1])]

    def _between(self, share: Array) -> Array:
        """A start in the likely part of the bounds, by shares of it (parameters,)."""
        kernel = self.task.kernel
        likely = np.log(np.array([LIKELY_LENGTHS] * len(self.bounds)))
        likely[kernel.starts] = np.log(LIKELY_SHARES)
        if self.task.find_noise:
            likely[-1] = np.log(LIKELY_NOISES)
        return np.clip(likely[:, 0] + share * (likely[:, 1] - likely[:, 0]), self.bounds[:, 0], self.bounds[:, 1])

    def _sized(self, task: _Likelihood, p: Array) -> Array:
        """All variances times one factor, the most likely one where there is no known covariance."""
        sizes = [*task.kernel.starts, *([-1] if task.find_noise else [])]
        try:
            found = replace(task, known=np.zeros_like(task.known)).factors(p)
        except linalg.LinAlgError:
            return p
        factor = float(task.y @ found.weights) / max(len(task.y) - task.h.shape[1], 1)
        out = p.copy()
        out[sizes] += np.log(max(factor, VARIANCES[0]))
        return np.clip(out, self.bounds[:, 0], self.bounds[:, 1])


def _bounds(
    task: _Likelihood, varying: NDArray[np.bool_], inputs: Scaling, outputs: Scaling, known: Hyperparameters | None
) -> Array:
    """Of all parameters, (parameters, 2); both are the same where a parameter is known, or data say nothing of it."""
    kernel = task.kernel
    if known is None:
        columns = [[VARIANCES, *(LENGTHS if varying[j] else (1.0, 1.0) for j in t.columns)] for t in kernel.terms]
        pairs = [pair for term in columns for pair in term]
    else:
        pairs = [(value, value) for value in _at_unit_size(kernel, known, inputs, outputs)]
    return np.log(np.array([*pairs, *([NOISES] if task.find_noise else [])], dtype=float))


def _at_unit_size(kernel: Kernel, known: Hyperparameters, inputs: Scaling, outputs: Scaling) -> list[float]:
    shapes = [len(term.columns) for term in kernel.terms]
    if len(known.variances) != len(shapes) or [len(lengths) for lengths in known.lengths] != shapes:
        what = f"there are {len(known.variances)} variances and {[len(lengths) for lengths in known.lengths]} lengths"
        raise BadInput("hyperparameters", what, f"give {len(shapes)} variances, and lengths of {shapes} columns")
    flat = [*known.variances, *(length for lengths in known.lengths for length in lengths)]
    if not all(np.isfinite(value) and value > 0 for value in flat):
        raise BadInput("hyperparameters", f"one of {flat} is not finite and > 0", "choose another value")
    out: list[float] = []
    for term, variance, lengths in zip(kernel.terms, known.variances, known.lengths, strict=True):
        out.append(float(variance / outputs.size**2))
        out += [float(length / inputs.size[j]) for j, length in zip(term.columns, lengths, strict=True)]
    return out


def _in_units(kernel: Kernel, p: Array, inputs: Scaling, outputs: Scaling) -> Hyperparameters:
    parts = list(zip(kernel.terms, kernel.split(p), strict=True))
    variances = tuple(float(outputs.size**2 * np.exp(own[0])) for _, own in parts)
    return Hyperparameters(
        variances, tuple(tuple(float(v) for v in inputs.size[list(t.columns)] * np.exp(own[1:])) for t, own in parts)
    )


# --- what is given ----------------------------------------------------------------------------------------------------


def points(x: ArrayLike, dimension: int | None = None, key: str = "points") -> Array:
    """Points as (n, d); (n,) are points on a line. Raises BadInput for other shapes and what is not finite."""
    out = _numbers(x, key)
    out = out[:, None] if out.ndim == 1 else out
    if out.ndim != 2 or not out.shape[1] or (dimension is not None and out.shape[1] != dimension):
        raise BadInput(key, f"points have the shape {out.shape}", f"give (n, {dimension or 'd'})")
    return out


def _numbers(values: ArrayLike, key: str) -> Array:
    """An array of finite numbers. Raises BadInput."""
    try:
        out = np.asarray(values)
        if np.iscomplexobj(out):
            raise TypeError("complex numbers")
        out = out.astype(float)
    except (TypeError, ValueError) as error:
        what = f"there is something else than numbers ({str(error).splitlines()[0]})"
        raise BadInput(key, what, "give an array of real numbers") from None
    if not (np.abs(out) <= LARGEST).all():  # also where it is NaN
        raise BadInput(key, f"a number is not finite, or above {LARGEST:g}", "correct it, or choose another unit")
    return out


def _observations(x: ArrayLike, y: ArrayLike, key: str) -> tuple[Array, Array]:
    values = _numbers(y, key)
    if values.ndim != 1 or not len(values):
        raise BadInput(key, f"values have the shape {values.shape}", "give (n,), at least one")
    at = points(x, key=key)
    if len(at) != len(values):
        raise BadInput(key, f"there are {len(at)} points and {len(values)} values", "give one value for each point")
    return at, values


def _deviations(noise: Noise, n: int, key: str) -> Array:
    """Standard deviations (n,) of noise that is known."""
    given = np.zeros(n) if noise is None else _numbers(noise, f"{key}.noise")
    if given.shape not in ((), (n,)) or (given < 0).any():
        what = f"it has the shape {given.shape}, or one is below 0"
        raise BadInput(f"{key}.noise", what, f"give one standard deviation, or {n}, each ≥ 0")
    return np.broadcast_to(given, n).copy()


def _without_repetitions(x: Array, y: Array, noise: Array, found: bool, key: str) -> tuple[Array, Array, Array]:
    """Exact observations only once at each point. Raises BadInput where they contradict each other."""
    exact = np.flatnonzero((noise == 0) & (not found))
    _, first, place = np.unique(x[exact], axis=0, return_index=True, return_inverse=True)
    original = exact[first[place.reshape(-1)]]
    apart = np.abs(y[exact] - y[original]) > SAME * float(np.abs(y).max())
    if apart.any():
        at = x[exact[int(apart.argmax())]].tolist()
        what = f"at {at} there are different values without noise"
        raise BadInput(key, what, "correct one, give its standard deviation, or have it found by noise=None")
    keep = np.ones(len(y), dtype=bool)
    keep[exact] = exact == original
    return x[keep], y[keep], noise[keep]


def _check_columns(kernel: Kernel, d: int) -> None:
    for term in kernel.terms:
        if any(j not in range(d) for j in term.columns):
            what = f"a term has the columns {list(term.columns)} of points with {d} coordinates"
            raise BadInput("kernel", what, f"choose from 0 to {d - 1}")


def _check_mean(h: Array, searched: bool, key: str) -> None:
    """Raises BadInput where the data do not determine the mean, or nothing beside it."""
    n, q = h.shape
    if n < q + searched:
        beside = ", and for how values vary about it" if searched else ""
        what = f"different points are too few ({n}) for a mean with {q} free coefficient{'s'[: q != 1]}{beside}"
        raise BadInput(key, what, f"give at least {q + searched}")
    sizes = linalg.svdvals(h) if q else np.ones(1)
    if sizes[-1] <= DEPENDENT * sizes[0]:
        what = "functions of the mean are multiples of each other at the points"
        raise BadInput(key, what, "give points where they differ, or a simpler mean")
