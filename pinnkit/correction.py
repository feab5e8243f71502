"""A low fidelity corrected under the equations, u = ρ w + δ, next to what each fidelity says alone."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pinnkit.errors import BadInput
from pinnkit.evaluation import Reference, relative_l2
from pinnkit.fidelity import regress
from pinnkit.linear_algebra import minimum_norm
from pinnkit.low_fidelity import Cheap, cheap, lifted, with_function
from pinnkit.merit import solution_of
from pinnkit.prior import data_noise, of_data
from pinnkit.problem import Problem
from pinnkit.result import Solution
from pinnkit.settings import Auto, LeastSquares, Multifidelity, Optimizer, Settings
from pinnkit.solving import trained
from pinnkit.training import Training

Array = NDArray[np.float64]


class Alone(NamedTuple):
    """Fields (n, fields) at points (n, d), and the seconds that took."""

    predict: Callable[[Array], Array]
    seconds: float


@dataclass(frozen=True)
class Corrected:
    """ρ (fields, fields) with its standard deviation, w, and the others: by name, without what they lack."""

    rho: Array
    rho_deviation: Array
    lifted: Solution
    alone: Mapping[str, Alone]
    metrics: Mapping[str, Any]

    def scaled(self, points: Array) -> Array:
        """ρ w, (n, fields), at points (n, d)."""
        return self.lifted.predict(points) @ self.rho.T


def begin(problem: Problem) -> tuple[Problem, Cheap, Solution]:
    """The problem with w among its features, u_L, and w. Raises BadInput."""
    low = cheap(problem)
    w = lifted(problem, low)
    return with_function(problem, w), low, w


def compare(
    problem: Problem, settings: Settings, training: Training, low: Cheap, w: Solution, reference: Reference | None
) -> Corrected:
    """What a training of the problem with w has found, beside the low fidelity, and the data without it."""
    own = Alone(solution_of(training, {}).predict, training.seconds)
    alone = {"low_only": Alone(low.value, low.seconds), **_high_only(problem, settings), **_without(problem, settings)}
    rho, deviation = _rho(training, w)
    sensors = sum(len(points) for name in problem.measured if (points := problem.conditions[name].points) is not None)
    assert problem.low_fidelity is not None
    told = {
        "low_fidelity": low.kind,
        "rho": np.diag(rho).tolist(), "rho_deviation": np.diag(deviation).tolist(),
        "cost": {"low": 1.0, "high": problem.low_fidelity.cost * sensors},
        "alone_seconds": {name: one.seconds for name, one in alone.items()},
        **_errors(problem, settings, {"fused": own, **alone}, reference),
    }  # fmt: skip
    return Corrected(rho, deviation, w, alone, told)


def _errors(
    problem: Problem, settings: Settings, found: Mapping[str, Alone], reference: Reference | None
) -> dict[str, Any]:
    if reference is None:
        return {"rmse": None, "alone": dict.fromkeys(name for name in found if name != "fused")}
    rng = np.random.default_rng([settings.seed, 1, 0])
    points = problem.domain.sample(settings.evaluation.points, "uniform", rng)
    truth = reference.value(points)
    size = float(np.sqrt(np.mean(truth**2)))
    rmse = {name: relative_l2(one.predict(points), truth) * (size or 1.0) for name, one in found.items()}
    return {"rmse": rmse.pop("fused"), "alone": rmse}


def _rho(training: Training, w: Solution) -> tuple[Array, Array]:
    """ρ of each field on each of w, and its standard deviation σ / ‖j⊥‖.

    j⊥ is the part of its column of J, prior rows included, that the rest of the head cannot imitate, and σ the noise of
    data rows. That of an evidence that holds conditions to round-off would take what w lacks of them for knowledge.
    """
    trial, residuals = training.assembly.trial, training.assembly.residuals
    scale = (trial.amplitude[:, None] / w.trial.amplitude.to(trial.amplitude)[None]).double().cpu().numpy()
    last = trial.weight.detach()[:, -w.trial.weight.shape[0] :].double().cpu().numpy()
    places = residuals.places(["weight"]).reshape(trial.weight.shape)[:, -w.trial.weight.shape[0] :]
    r, matrix = residuals.linear_jacobian(training.theta)
    noisy = of_data(residuals)
    sigma = data_noise(residuals) or float(r[: len(noisy)][noisy].square().mean().sqrt())
    own = [_own_part(matrix, int((residuals.linear == place).nonzero())) for place in places.reshape(-1)]
    deviation = np.array([sigma / part if part > 0 else np.inf for part in own]).reshape(places.shape)
    return scale * last, scale * deviation


def _own_part(matrix: Tensor, k: int) -> float:
    """The length of what the other columns of a matrix cannot imitate of one."""
    others = torch.cat([matrix[:, :k], matrix[:, k + 1 :]], 1)
    return float((matrix[:, k] - others @ minimum_norm(others, matrix[:, k])).norm())


def _high_only(problem: Problem, settings: Settings) -> dict[str, Alone]:
    """A Gaussian process of the measured values, where there are enough and one field."""
    task, start = settings.task, time.perf_counter()
    assert isinstance(task, Multifidelity)
    kept = [problem.conditions[name] for name in problem.measured if "measured" in problem.conditions[name].values]
    if len(problem.fields) > 1 or not kept:
        return {}
    points = np.concatenate([c.points for c in kept if c.points is not None])
    values = np.concatenate([c.values["measured"] for c in kept])
    noise = np.concatenate([c.deviation * c.values["spread"] for c in kept])
    try:
        process = regress(points, values, noise=noise, kernel=task.kernel, starts=task.starts, seed=settings.seed)
    except BadInput:  # too few
        return {}
    return {"high_only": Alone(lambda x: process.predict(x)[0][:, None], time.perf_counter() - start)}


def _head_alone(optimizer: Optimizer) -> Optimizer:
    return LeastSquares() if isinstance(optimizer, Auto) else optimizer


def _without(problem: Problem, settings: Settings) -> dict[str, Alone]:
    """The data under the equations, without the low fidelity; the head alone is solved for, as it is with it."""
    start = time.perf_counter()
    told = replace(settings, resume=None, optimizer=_head_alone(settings.optimizer))
    solution = solution_of(trained(replace(problem, low_fidelity=None), told, None, None, None, None, False), {})
    return {"high_and_equations": Alone(solution.predict, time.perf_counter() - start)}
