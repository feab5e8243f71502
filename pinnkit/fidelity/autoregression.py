"""Observations of one quantity at several levels of fidelity, from low to high, joined by Gaussian processes.

    Autoregression             f_t(x) = ρ_{t−1}(x) f_{t−1}(x) + δ_t(x)     (Kennedy & O'Hagan 2000, Biometrika 87)
    NonlinearAutoregression    f_t(x) = g_t(x, f_{t−1}(x))                 (Perdikaris et al. 2017, Proc. R. Soc. A 473)

Levels are fitted one after another (Le Gratiet & Garnier 2014, Int. J. Uncertainty Quantification 4): given the levels
below, f_{t−1} is a Gaussian process of mean μ and covariance C, so that f_t is one of

    mean  ρ(x) μ(x) + h(x)β,      covariance  E[ρ(x)ρ(x′)] C(x, x′) + k_δ(x, x′).

ρ and β are found together by generalised least squares. Where level t − 1 was observed without noise at the points of
level t, C is 0 there: this is the recursion for nested designs. Elsewhere C carries what is not known of f_{t−1}, with
all its correlations, into level t, and what level t says of f_{t−1} as well. That is the posterior of the joint
covariance of Kennedy & O'Hagan, at the cost of its blocks.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple, Protocol, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pinnkit.errors import BadInput
from pinnkit.fidelity.gaussian_process import (
    SAME,
    STARTS,
    Basis,
    GaussianProcess,
    Kernel,
    Noise,
    Term,
    evaluated,
    points,
    regress,
)

Array = NDArray[np.float64]
Data = Sequence[tuple[ArrayLike, ArrayLike]]  # points (n, d) and values (n,) of each level, from low to high
Chosen = TypeVar("Chosen")
ROUNDS = 30  # of finding ρ with the covariance that it gives level t, and the other way round
SETTLED = 1e-8  # relative change of E[ρρ′] that ends them
NODES, WEIGHTS = np.polynomial.hermite_e.hermegauss(32)


class Levels(Protocol):
    """Models of all levels, from low to high, −1 for the highest."""

    def __len__(self) -> int: ...

    def predict(self, x: ArrayLike, level: int = -1) -> tuple[Array, Array]: ...  # mean and deviation (n,)


class Estimate(NamedTuple):
    """Coefficients (k,) and their standard deviations (k,)."""

    mean: Array
    deviation: Array


# --- linear -----------------------------------------------------------------------------------------------------------


def unit(x: Array) -> Array:
    """The basis (n, 1) of a ρ that is the same everywhere."""
    return np.ones((len(x), 1))


@dataclass(frozen=True)
class _Carried:
    """E[ρ(x)ρ(x′)] C(x, x′), of a ρ with functions (n, k) and second moments (k, k) of their coefficients."""

    below: "Level"
    functions: Basis
    moments: Array

    def matrix(self, a: Array, b: Array) -> Array:
        ratios = evaluated(self.functions, a) @ self.moments @ evaluated(self.functions, b).T
        return np.asarray(ratios * self.below.covariance(a, b))

    def diagonal(self, a: Array) -> Array:
        values = evaluated(self.functions, a)
        return np.asarray(((values @ self.moments) * values).sum(1) * self.below.predict(a)[1] ** 2)


@dataclass(frozen=True)
class _Trend:
    """The functions (n, k) of the mean that ρ multiplies, and others beside."""

    below: "Level"
    functions: Basis
    beside: Basis | None

    def __call__(self, x: Array) -> Array:
        carried = evaluated(self.functions, x) * self.below.predict(x)[0][:, None]
        return carried if self.beside is None else np.column_stack([carried, evaluated(self.beside, x)])


@dataclass(frozen=True)
class Level:
    """One level given all observations up to it. `functions` (n, k) are those of its ρ; None for the lowest."""

    process: GaussianProcess
    functions: Basis | None = None

    @property
    def count(self) -> int:
        """How many coefficients ρ has."""
        return 0 if self.functions is None else evaluated(self.functions, self.process.x[:1]).shape[1]

    @property
    def rho(self) -> Estimate:
        variances = np.diag(self.process.coefficients_covariance)[: self.count]
        return Estimate(self.process.coefficients[: self.count], np.sqrt(variances))

    @property
    def moments(self) -> Array:
        """E[ρρᵀ] (k, k)."""
        mean, k = self.rho.mean, self.count
        return np.asarray(np.outer(mean, mean) + self.process.coefficients_covariance[:k, :k])

    def predict(self, x: Array) -> tuple[Array, Array]:
        """Mean and standard deviation (m,) at points (m, d)."""
        return self.process.predict(x)

    def covariance(self, a: Array, b: Array) -> Array:
        """(m, k) between points (m, d) and (k, d); 0 where the level was observed without noise."""
        unknown = ~self._known(a)[:, None] & ~self._known(b)
        return np.where(unknown, self.process.covariance(a, b), 0.0)

    def _known(self, x: Array) -> NDArray[np.bool_]:
        """Which points are those of exact observations: what jitter and round-off leave there is no uncertainty."""
        return np.fromiter((tuple(point) in self._exact for point in x.tolist()), bool, len(x))

    @cached_property
    def _exact(self) -> set[tuple[float, ...]]:
        return {tuple(point) for point in self.process.x[self.process.noise == 0].tolist()}


@dataclass(frozen=True)
class Autoregression:
    """f_t = ρ_{t−1} f_{t−1} + δ_t, level by level."""

    levels: tuple[Level, ...]

    @classmethod
    def fit(
        cls,
        data: Data,
        *,
        noise: Sequence[Noise] | None = None,
        kernel: str = "squared_exponential",
        rho: Basis = unit,
        basis: Basis | None = None,
        starts: int = STARTS,
        seed: int = 0,
    ) -> "Autoregression":
        """Fit levels of points (n, d) and values (n,), from low to high. Designs need not be nested.

        noise   of each level, as in `regress`; by default there is none
        rho     functions (n, d) → (n, k) whose linear combination ρ is
        basis   functions (n, d) → (n, q) of the mean of the lowest level and of each δ, beside a constant

        Raises BadInput for fewer than two levels, levels of different dimensions, a level with too few points for ρ
        and the mean of δ, one below that does not vary, and for what `regress` refuses.
        """
        levels: list[Level] = []
        for t, (x, y, own) in enumerate(_given(data, noise)):
            options: dict[str, Any] = {
                "noise": own,
                "kernel": kernel,
                "starts": starts,
                "seed": seed,
                "key": f"data[{t}]",
            }
            if levels:
                levels.append(_above(levels[-1], x, y, rho, basis, options))
            else:
                levels.append(Level(regress(x, y, basis=basis, **options)))
        return cls(tuple(levels))

    def __len__(self) -> int:
        return len(self.levels)

    @property
    def rho(self) -> tuple[Estimate, ...]:
        """The coefficients of each ρ, from low to high, with their standard deviations."""
        return tuple(level.rho for level in self.levels[1:])

    def predict(self, x: ArrayLike, level: int = -1) -> tuple[Array, Array]:
        """Mean and standard deviation (n,) of f of a level, at points (n, d). Raises BadInput."""
        return _chosen(self.levels, level).predict(self._points(x))

    def delta(self, x: ArrayLike, level: int = -1) -> tuple[Array, Array]:
        """Mean and standard deviation (n,) of δ of a level above the lowest, at points (n, d). Raises BadInput."""
        chosen = _chosen(self.levels, level)
        if chosen.functions is None:
            raise BadInput("level", "the lowest level has no δ", "choose one above it")
        return chosen.process.part(self._points(x), chosen.count)

    def _points(self, x: ArrayLike) -> Array:
        return points(x, self.levels[0].process.x.shape[1])


def _above(below: Level, x: Array, y: ArrayLike, rho: Basis, basis: Basis | None, options: dict[str, Any]) -> Level:
    """The level above another. ρ stands in the mean and in the covariance, which is that of the last ρ found."""
    carried_mean = below.predict(x)[0]
    if len(x) > 1 and np.ptp(carried_mean) <= SAME * np.abs(carried_mean).max():
        what = "the level below does not vary at these points, so that ρ cannot be told from the mean of δ"
        raise BadInput(options["key"], what, "leave that level out, or give points where it varies")
    trend = _Trend(below, rho, basis)
    level = Level(regress(x, y, basis=trend, **options), rho)
    nested = not below.covariance(x, x).any()
    for i in range(ROUNDS):
        carried = _Carried(below, rho, level.moments)
        if nested:  # nothing is carried to observations: there is nothing to repeat
            return Level(level.process.with_extra(carried), rho)
        near = level.process.hyperparameters if i else None
        level = Level(regress(x, y, basis=trend, extra=carried, near=near, **options), rho)
        if np.abs(level.moments - carried.moments).max() <= SETTLED * np.abs(level.moments).max():
            break
    return level


# --- nonlinear --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class NonlinearLevel:
    """One level as a function of the coordinates and of the level below; the lowest of the coordinates alone."""

    process: GaussianProcess
    below: "NonlinearLevel | None" = None

    def predict(self, x: Array) -> tuple[Array, Array]:
        """Mean and standard deviation (m,), over f_{t−1} by quadrature."""
        if self.below is None:
            return self.process.predict(x)
        mean, deviation = self.below.predict(x)
        weights = WEIGHTS / WEIGHTS.sum()
        inputs = np.column_stack([np.tile(x, (len(NODES), 1)), (mean + NODES[:, None] * deviation).ravel()])
        means, deviations = (part.reshape(len(NODES), -1) for part in self.process.predict(inputs))
        average = weights @ means
        return average, np.sqrt(weights @ (deviations**2 + (means - average) ** 2))


@dataclass(frozen=True)
class NonlinearAutoregression:
    """f_t = g_t(x, f_{t−1}(x)), level by level, g_t of the kernel k_ρ(x, x′) k_f(f, f′) + k_δ(x, x′).

    Predictions are means and variances over f_{t−1}, taken as Gaussian, by 32 nodes of Gauss and Hermite: for one level
    above the lowest that is no approximation, and there is no sampling error. Levels are meant to be nested: at points
    outside the design below, the mean of f_{t−1} stands for f_{t−1}.
    """

    levels: tuple[NonlinearLevel, ...]

    @classmethod
    def fit(
        cls,
        data: Data,
        *,
        noise: Sequence[Noise] | None = None,
        kernel: str = "squared_exponential",
        starts: int = STARTS,
        seed: int = 0,
    ) -> "NonlinearAutoregression":
        """Fit levels of points (n, d) and values (n,), from low to high. Raises BadInput as `Autoregression.fit`."""
        levels: list[NonlinearLevel] = []
        for t, (x, y, own) in enumerate(_given(data, noise)):
            options: dict[str, Any] = {"noise": own, "starts": starts, "seed": seed, "key": f"data[{t}]"}
            if not levels:
                levels.append(NonlinearLevel(regress(x, y, kernel=kernel, **options)))
                continue
            space = tuple(range(x.shape[1]))
            both = Kernel((Term((*space, len(space)), kernel), Term(space, kernel)))
            inputs = np.column_stack([x, levels[-1].predict(x)[0]])
            levels.append(NonlinearLevel(regress(inputs, y, kernel=both, **options), levels[-1]))
        return cls(tuple(levels))

    def __len__(self) -> int:
        return len(self.levels)

    def predict(self, x: ArrayLike, level: int = -1) -> tuple[Array, Array]:
        """Mean and standard deviation (n,) of f of a level, at points (n, d). Raises BadInput."""
        return _chosen(self.levels, level).predict(points(x, self.levels[0].process.x.shape[1]))


# --- what is given ----------------------------------------------------------------------------------------------------


def _given(data: Data, noise: Sequence[Noise] | None) -> list[tuple[Array, ArrayLike, Noise]]:
    """Points, values and noise of each level. Raises BadInput where levels do not go together."""
    levels = [_pair(level, f"data[{t}]") for t, level in enumerate(data)]
    if len(levels) < 2:
        raise BadInput("data", f"there are {len(levels)} levels", "give two at least, from low to high fidelity")
    noise = [0.0] * len(levels) if noise is None else noise
    if len(noise) != len(levels):
        raise BadInput("noise", f"it is given for {len(noise)} of {len(levels)} levels", "give one for each")
    if len({x.shape[1] for x, _ in levels}) > 1:
        what = f"points of the levels have {', '.join(str(x.shape[1]) for x, _ in levels)} coordinates"
        raise BadInput("data", what, "give the same coordinates on all levels")
    return [(x, y, own) for (x, y), own in zip(levels, noise, strict=True)]


def _pair(level: Sequence[ArrayLike], key: str) -> tuple[Array, ArrayLike]:
    if len(level) != 2:
        raise BadInput(key, f"there are {len(level)} arrays", "give points (n, d) and values (n,)")
    return points(level[0], key=key), level[1]


def _chosen(levels: Sequence[Chosen], level: int) -> Chosen:
    if not -len(levels) <= level < len(levels):
        raise BadInput("level", f"there is no level {level} of {len(levels)}", f"choose 0 to {len(levels) - 1}, or −1")
    return levels[level]
