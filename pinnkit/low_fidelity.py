"""A cheap approximation of the fields, and what is left of it under the equations of the problem.

What conditions leave open on free pieces of the boundary, a low fidelity u_L says roughly: coarse finite elements, a
coarse network, another conductivity, nominal data. With its values there the problem is closed; its solution w obeys
the equations and all other conditions exactly, whatever u_L did in the domain. Measured data then decide ρ and δ in

    u = ρ w + δ,

δ the features with their linear head, under the same residuals. This is the autoregression of Kennedy & O'Hagan (2000)
with the equation in the place of a stationary kernel.
"""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pinnkit.coefficients import NotSecondOrder
from pinnkit.errors import BadInput
from pinnkit.merit import solution_of
from pinnkit.problem import Condition, LowFidelity, Problem
from pinnkit.reference.derived import coarse_elements
from pinnkit.result import KnownSolution, Solution
from pinnkit.settings import LeastSquares, Network, Optimizer, ProblemChoice, Settings
from pinnkit.solving import trained
from pinnkit.trial import Enrichments

Array = NDArray[np.float64]
LENIENT = 1e-4  # weight of the values of u_L, rough as they are, beside that of the equations
RESOLVED = 400  # polynomials of w
NEURONS = 40  # beside the polynomials of a coarse network
CLOSING = "low_fidelity"  # name of the condition with the values of u_L
KINDS = {"elements": "coarse finite elements", "network": "a coarse network"}
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Cheap:
    """u_L as a function, of which kind it is, and how long it took."""

    kind: str
    value: Callable[[Array], Array]  # points (n, d) -> fields (n, fields)
    seconds: float


def cheap(problem: Problem) -> Cheap:
    """The low fidelity of a problem, solved. Raises BadInput where it cannot be, or is not finite."""
    low, start = problem.low_fidelity, time.perf_counter()
    assert low is not None
    kind, value = KINDS[low.by] if isinstance(low.of, Problem) else "a function", _value(low, problem)
    free = _free_points(problem)
    if not np.isfinite(value(free)).all():
        raise BadInput("low_fidelity", "it is not finite on the free pieces", "correct it, or leave it out")
    return Cheap(kind, value, time.perf_counter() - start)


def _value(low: LowFidelity, problem: Problem) -> Callable[[Array], Array]:
    of = low.of
    if not isinstance(of, Problem):
        return lambda points: problem.values_of(of, torch.from_numpy(points), "low_fidelity").detach().numpy()
    if low.by == "network":
        network = Network(layers=(NEURONS,), polynomials=low.resolution)
        return _solved(of, network, LeastSquares()).predict
    try:
        return coarse_elements(of, low.resolution)
    except NotSecondOrder as reason:
        what = f"no finite elements: {reason}"
        raise BadInput("low_fidelity", what, 'write by="network"') from None


def lifted(problem: Problem, low: Cheap) -> Solution:
    """w: the equations and all conditions but measured data, with the values of u_L on free pieces."""

    def closing(**env: Any) -> tuple[Tensor, ...]:
        points = torch.stack([env[name] for name in problem.coordinates], -1).detach()
        known = torch.from_numpy(low.value(points.double().cpu().numpy())).to(points)
        return tuple(env[name] - known[:, k] for k, name in enumerate(problem.fields))

    kept = {name: c for name, c in problem.conditions.items() if name not in problem.measured}
    conditions = {**kept, CLOSING: Condition(closing, problem.free, weight=LENIENT)}
    closed = replace(problem, conditions=conditions, free=(), exact=None, low_fidelity=None)
    return _solved(closed, Network(polynomials=RESOLVED), LeastSquares())


def _solved(problem: Problem, network: Network | None = None, optimizer: Optimizer | None = None) -> Solution:
    """The solution on seed 0: it is to be a known function, the same for all that draw features of their own."""
    told = Settings(ProblemChoice(problem.name))
    told = replace(told, network=network or told.network, optimizer=optimizer or told.optimizer)
    return solution_of(trained(problem, told, None, None, None, None, visible=False), {})


def with_function(problem: Problem, w: Solution) -> Problem:
    """The problem with w among its features, and no low fidelity any more."""
    own = KnownSolution(w)
    enrichment = own if problem.enrichment is None else Enrichments([problem.enrichment, own])
    return replace(problem, low_fidelity=None, enrichment=enrichment)


def informed(problem: Problem) -> Problem:
    """The problem with what its low fidelity says among its features, if it has one."""
    if problem.low_fidelity is None:
        return problem
    low = cheap(problem)
    log.info("low fidelity: %s in %.2g s", low.kind, low.seconds)
    return with_function(problem, lifted(problem, low))


def _free_points(problem: Problem) -> Array:
    rng = np.random.default_rng(0)
    return np.concatenate(
        [problem.domain.sample_boundary(32, piece, "uniform", rng).points
         for piece in problem.domain.resolve(problem.free)]
    )  # fmt: skip
