"""Functions Re F(z) with F nearly a rational function: what its parts and their derivatives are at points.

F consists of simple poles; polynomials in z; a few powers of w = (z − start)/(z − end), also with log w, cut between
start and end; and for every hole polynomials in 1/(z − c), and log(z − c), whose real part alone has a single value.
Every u = Re F has u_x − i u_y = F'(z), so that a column below is a real value and a complex slope. The polynomials are
orthogonalised on the points that are fitted, by the Arnoldi iteration (Brubeck, Nakatsukasa & Trefethen, "Vandermonde
with Arnoldi", SIAM Review 63, 2021), and elsewhere follow from its recurrence: monomials would lose all digits.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Complex = NDArray[np.complex128]


class Columns(NamedTuple):
    """Functions at n points: values u (n, m) and slopes u_x − i u_y (n, m)."""

    values: Array
    slopes: Complex


def hessenberg(z: Complex, degree: int) -> Complex:
    """The recurrence (degree + 1, degree) of polynomials that are orthonormal in the mean over the points z (n,)."""
    H = np.zeros((degree + 1, degree), complex)
    Q = np.ones((degree + 1, len(z)), complex)
    for k in range(degree):
        v = z * Q[k]
        for _ in range(2):  # twice is enough
            h = Q[: k + 1].conj() @ v / len(z)
            v = v - h @ Q[: k + 1]
            H[: k + 1, k] += h
        H[k + 1, k] = np.linalg.norm(v) / np.sqrt(len(z))
        Q[k + 1] = v / H[k + 1, k]
    return H


def polynomials(z: Complex, H: Complex) -> tuple[Complex, Complex]:
    """The polynomials with recurrence H and their derivatives at points z (n,), each (degree + 1, n)."""
    Q, D = np.ones((len(H), len(z)), complex), np.zeros((len(H), len(z)), complex)
    for k, column in enumerate(H.T):
        Q[k + 1] = (z * Q[k] - column[: k + 1] @ Q[: k + 1]) / column[k + 1]
        D[k + 1] = (z * D[k] + Q[k] - column[: k + 1] @ D[: k + 1]) / column[k + 1]
    return Q, D


@dataclass(frozen=True)
class Basis:
    """The functions fitted; lengths[j] is about how far poles[j] is from the domain, which makes columns of order 1."""

    poles: Complex  # (p,)
    lengths: Array  # (p,)
    cuts: Complex  # (2, q), start and end
    exponents: Array  # (2, q), of w and of log w
    recurrence: Complex  # (degree + 1, degree)
    centres: Complex  # (holes,)
    laurent: Complex  # (holes, degree + 1, degree)

    def columns(self, z: Complex) -> Columns:
        """The basis at points z (n,)."""
        values, slopes, logarithms, inverses = self._parts(z)
        return Columns(
            np.concatenate([values.real, values[1:].imag, logarithms]).T,
            np.concatenate([slopes, -1j * slopes[1:], inverses]).T,
        )

    def combined(self, z: Complex, coefficients: Array) -> Columns:
        """columns(z) @ coefficients (m, k), both values and slopes (n, k), without forming the columns."""
        values, slopes, logarithms, inverses = self._parts(z)
        real, imaginary, logarithmic = np.split(coefficients, [len(values), 2 * len(values) - 1])
        analytic = real.astype(complex)
        analytic[1:] -= 1j * imaginary
        u = (values.T @ analytic).real + logarithms.T @ logarithmic
        return Columns(u, slopes.T @ analytic + inverses.T @ logarithmic)

    def _parts(self, z: Complex) -> tuple[Complex, Complex, Array, Complex]:
        """Values and derivatives of the analytic functions, of which Re and Im are taken; real parts and derivatives
        of the logarithms. The analytic functions begin with 1, whose imaginary part is left out."""
        values, slopes = (np.concatenate(parts) for parts in zip(*self._analytic(z), strict=True))
        to_centres = z - self.centres[:, None]
        return values, slopes, np.log(np.abs(to_centres)), 1 / to_centres

    def _analytic(self, z: Complex) -> Iterator[tuple[Complex, Complex]]:
        """Polynomials in z, poles, powers, and polynomials in 1/(z − c) for each centre c."""
        yield polynomials(z, self.recurrence)
        inverse = 1 / (z - self.poles[:, None])
        yield self.lengths[:, None] * inverse, -self.lengths[:, None] * inverse**2
        yield self._powers(z)
        for c, H in zip(self.centres, self.laurent, strict=True):
            Q, D = polynomials(1 / (z - c), H)
            yield Q[1:], -D[1:] / (z - c) ** 2

    def _powers(self, z: Complex) -> tuple[Complex, Complex]:
        """w^p (log w)^q and its derivative, for q = 0 or 1."""
        start, end = self.cuts[..., None]
        p, q = self.exponents[..., None]
        w = (z - start) / (z - end)
        power, logarithm = w**p, np.log(w) ** q
        return power * logarithm, power * (p * logarithm + q) * (1 / (z - start) - 1 / (z - end))
