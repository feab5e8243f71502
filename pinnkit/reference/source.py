"""Polynomial sources and particular solutions, in powers of z and its conjugate.

Since Δ = 4 ∂²/∂z∂z̄, the source Σ c_ab z^a z̄^b is that of −Σ c_ab z^(a+1) z̄^(b+1) / (4 (a + 1)(b + 1)).
"""

import numpy as np

from pinnkit.reference.rational import Array, Columns, Complex

DEGREE = 8
ROUND_OFF = 1e-12  # relative misfit of a source that is a polynomial: of a constant one up to 3e-13
ONE = np.ones((1, 1), complex)  # the coefficients of f = 1


def polynomial(z: Complex, f: Array) -> Complex | None:
    """Coefficients (9, 9) of the polynomial with values f (n,) at points z (n,); None where there is none."""
    a, b = (index.ravel() for index in np.indices((DEGREE + 1, DEGREE + 1)))
    a, b = a[a + b <= DEGREE], b[a + b <= DEGREE]
    columns = z[:, None] ** a * z.conj()[:, None] ** b
    found = np.linalg.lstsq(columns, f.astype(complex), rcond=None)[0]
    if np.abs(columns @ found - f).max() > ROUND_OFF * np.abs(f).max():
        return None
    coefficients = np.zeros((DEGREE + 1, DEGREE + 1), complex)
    coefficients[a, b] = found
    return coefficients


def particular(coefficients: Complex, z: Complex) -> Columns:
    """u with −Δu = f at points z (n,), as one column, for a source with the given coefficients.

    u is real, and so u_x − i u_y = 2 ∂u/∂z.
    """
    up = np.arange(1, len(coefficients) + 1)
    weights = -coefficients / (4 * up[:, None] * up)
    bar = z.conj()[:, None] ** up
    values = np.einsum("na,ab,nb->n", z[:, None] ** up, weights, bar)
    slopes = np.einsum("na,ab,nb->n", up * z[:, None] ** (up - 1), weights, bar)
    return Columns(values.real[:, None], 2 * slopes[:, None])
