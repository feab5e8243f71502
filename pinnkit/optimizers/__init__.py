"""Optimizers of ½ ‖r(θ)‖², all behind one contract."""

from pinnkit.optimizers.base import Info, LeastSquaresObjective, Optimizer, State
from pinnkit.optimizers.first_order import Adam
from pinnkit.optimizers.gauss_newton import LeastSquares, LevenbergMarquardt
from pinnkit.optimizers.lbfgs import LBFGS
from pinnkit.optimizers.schedule import Schedule

__all__ = [
    "LBFGS", "Adam", "Info", "LeastSquares", "LeastSquaresObjective", "LevenbergMarquardt", "Optimizer", "Schedule",
    "State",
]  # fmt: skip
