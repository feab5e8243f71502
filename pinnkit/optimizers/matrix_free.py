"""Levenberg–Marquardt without a Jacobian: its steps by conjugate gradients, from J v and Jᵀ w alone."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice

import torch
from torch import Tensor

from pinnkit.optimizers.base import Info, LeastSquaresObjective, Optimizer, State, loss_of

Product = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class MatrixFreeGaussNewton(Optimizer):
    """δ ≈ argmin ‖r + J δ‖² + λ ‖D δ‖², for networks whose dense J would not fit.

    D estimates the column norms of J: E (Jᵀw)ⱼ² = ‖J eⱼ‖² for random signs w (Hutchinson 1990), a running mean of
    `probes` a step. Conjugate gradients stop once the gradient of the damped problem has fallen by the forcing term of
    Eisenstat & Walker (1996, choice 2), 0.9 (‖r‖ / ‖r before‖)², kept in [1e-6, `forcing`], or after `inner` products.
    Their iterates grow from a step along the gradient to the whole step: of those met after 1, 2, 4, … products the one
    of least loss is taken (Martens 2010). λ follows the gain ratio of the last (Nielsen 1999), and rises ever faster
    while none is of less loss than θ.
    """

    damping: float = 1e-3
    inner: int = 100
    forcing: float = 0.1
    probes: int = 4
    gain: float = 1e-6
    patience: int = 10

    def init(self, residuals: LeastSquaresObjective, theta: Tensor) -> State:
        forgotten = {"squares": torch.zeros_like(theta), "probes": 0}
        return {"damping": self.damping, "forcing": self.forcing, "idle": 0} | forgotten

    def step(self, residuals: LeastSquaresObjective, theta: Tensor, state: State) -> tuple[Tensor, State, Info]:
        r, jv, jtv = residuals.linearised(theta)
        if not bool(torch.isfinite(r).all()):
            return theta, state, Info(math.inf)
        squares, probes = self._probed(r, jtv, state)
        scale, before = _scale(squares), loss_of(r)
        iterates = cgls(lambda z: jv(z / scale), lambda w: jtv(w) / scale, r, state["damping"], state["forcing"])
        best, lowest, reached, promised = theta, before, before, before
        for z, left in _at_powers_of_two(iterates, self.inner):
            trial, promised = theta - z / scale, loss_of(left)
            reached = loss_of(residuals(trial))
            best, lowest = (trial, reached) if reached < lowest else (best, lowest)
        idle = 0 if lowest < (1 - self.gain) * before else state["idle"] + 1
        stop = "converged: the loss no longer falls" if idle >= self.patience else None
        change = _change((before - reached) / max(before - promised, 1e-300)) if lowest < before else 4.0**idle
        damping = state["damping"] * change
        forcing = min(max(0.9 * lowest / max(before, 1e-300), 1e-6), self.forcing)
        kept = {"damping": min(max(damping, 1e-26), 1e6), "forcing": forcing, "idle": idle}
        return best, {**kept, "squares": squares, "probes": probes}, Info(lowest, stop)

    def _probed(self, r: Tensor, jtv: Product, state: State) -> tuple[Tensor, int]:
        """The mean of (Jᵀw)² over the probes so far, of which each one since weighs at least 1 %, and their number."""
        squares, count = state["squares"], state["probes"]
        generator = torch.Generator().manual_seed(count)
        for _ in range(self.probes):
            count += 1
            signs = (2 * torch.randint(0, 2, (len(r),), generator=generator) - 1).to(r)
            squares = squares + (jtv(signs).square() - squares) / min(count, 100)
        return squares, count


def _scale(squares: Tensor) -> Tensor:
    """D, with columns that are as good as zero kept away from it."""
    largest = float(squares.max())
    return squares.clamp_min(1e-12 * largest).sqrt() if largest > 0 else torch.ones_like(squares)


def _change(ratio: float) -> float:
    """Factor of the damping after a step that kept `ratio` of what the linear model promised."""
    return min(max(1 - (2 * min(max(ratio, -1.0), 1.0) - 1) ** 3, 0.1), 4.0)


def _at_powers_of_two(iterates: Iterator[tuple[Tensor, Tensor]], most: int) -> Iterator[tuple[Tensor, Tensor]]:
    """The 1st, 2nd, 4th, …, and the last of at most so many."""
    last, shown = None, True
    for k, last in enumerate(islice(iterates, most), 1):
        shown = k & (k - 1) == 0
        if shown:
            yield last
    if last is not None and not shown:
        yield last


def cgls(jv: Product, jtv: Product, y: Tensor, damping: float, forcing: float) -> Iterator[tuple[Tensor, Tensor]]:
    """z → argmin ‖J z − y‖² + λ ‖z‖², and y − J z (Björck 1996, algorithm 7.4.1), until ‖gradient‖ ≤ `forcing` ‖Jᵀy‖.

    JᵀJ is never applied as a whole: the residual of the fit is carried along, which keeps the digits that squaring
    the condition number would cost.
    """
    left, p = y, jtv(y)
    z, gamma = torch.zeros_like(p), p @ p
    enough = forcing**2 * gamma
    while bool(gamma > enough):
        q = jv(p)
        a = gamma / (q @ q + damping * (p @ p))
        z, left = z + a * p, left - a * q
        yield z, left
        g = jtv(left) - damping * z
        former, gamma = gamma, g @ g
        p = g + gamma / former * p
