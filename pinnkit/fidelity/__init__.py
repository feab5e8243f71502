"""Regression by Gaussian processes, and observations of several levels of fidelity joined by them."""

from pinnkit.fidelity.autoregression import Autoregression, Data, Estimate, Levels, NonlinearAutoregression
from pinnkit.fidelity.gaussian_process import (
    SHAPES,
    Basis,
    Covariance,
    GaussianProcess,
    Hyperparameters,
    Kernel,
    Noise,
    Term,
    regress,
)

__all__ = [
    "SHAPES",
    "Autoregression",
    "Basis",
    "Covariance",
    "Data",
    "Estimate",
    "GaussianProcess",
    "Hyperparameters",
    "Kernel",
    "Levels",
    "Noise",
    "NonlinearAutoregression",
    "Term",
    "regress",
]
