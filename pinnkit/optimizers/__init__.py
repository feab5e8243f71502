"""Optimizers of ½ ‖r(θ)‖², all behind one contract."""

from pinnkit.optimizers.base import Info, LeastSquaresObjective, Optimizer, State
from pinnkit.optimizers.first_order import Adam
from pinnkit.optimizers.gauss_newton import LeastSquares, LevenbergMarquardt, VariableProjection
from pinnkit.optimizers.lbfgs import LBFGS
from pinnkit.optimizers.matrix_free import MatrixFreeGaussNewton
from pinnkit.optimizers.quasi_newton import SelfScaledBroyden
from pinnkit.optimizers.schedule import Schedule
from pinnkit.optimizers.soap import SOAP
from pinnkit.optimizers.spring import Spring

__all__ = [
    "LBFGS", "SOAP", "Adam", "Info", "LeastSquares", "LeastSquaresObjective", "LevenbergMarquardt",
    "MatrixFreeGaussNewton", "Optimizer", "Schedule", "SelfScaledBroyden", "Spring", "State",
    "VariableProjection",
]  # fmt: skip
