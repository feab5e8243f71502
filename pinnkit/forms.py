"""The coefficients of a linear second-order problem at points, as plain arrays.

capacity u_t − ∇·(A ∇u) + b·∇u + c u = f  in the domain,        α u + β (A ∇u)·n = g  on the boundary
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


class Coefficients(NamedTuple):
    """The equation's coefficients at n points."""

    diffusion: Array  # A (n, d, d)
    convection: Array  # b (n, d)
    reaction: Array  # c (n,)
    source: Array  # f (n,)
    capacity: Array  # (n,)


class BoundaryCoefficients(NamedTuple):
    """A boundary condition at n points; β = 0 all over a piece makes it a Dirichlet condition."""

    alpha: Array  # (n,)
    beta: Array  # (n,)
    g: Array  # (n,)
