"""Eigenvalue problems: the numbers λ for which a homogeneous problem has a solution other than zero.

The residual of a field with coefficients c is (A − λM) c, where A and M come from the residual functions at λ = 0 and
at λ = 1. With a shift σ > 0, the least-squares solution operator T: c ↦ argmin ‖(A + σM) · − M c‖ approximates a
compact operator whose largest eigenvalues are 1/(λ + σ) for the smallest λ; being compact, it has no spurious large
ones. Each λ is then the one that makes ‖(A − λM) c‖ smallest (compare Betcke & Trefethen 2005).

Once found, the modes are an ordinary solution: of a problem with a field and an unknown coefficient for each of them.
"""

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse.linalg import aslinearoperator, eigs
from torch import Tensor

from pinnkit.assembly import Assembly, assemble
from pinnkit.errors import BadInput
from pinnkit.problem import EIGENVALUE, Condition, Problem, Unknown, call_by_name
from pinnkit.residuals import Residuals
from pinnkit.settings import LeastSquares, Settings
from pinnkit.training import Training
from pinnkit.trial import Trial

CUTOFF = 1e-14  # of singular values, relative to the largest
SHIFT = 0.1  # relative to ‖A‖/‖M‖
DENSE = 100  # size of a matrix up to which all its eigenvalues are computed
FEW, MOST = 100, 3200  # polynomials to begin and to end with
SAMPLES = 8192  # by which modes are normalised
SETTLED = 1e-9  # relative change of the eigenvalues
REAL = 1e-3  # imaginary part of an eigenvalue, relative to its size, that is discretisation error
EQUAL = 1e-6  # relative distance of eigenvalues up to which they count as one
FOUND = "modes found"
FINDINGS = ("eigenvalues", "eigenvalue_errors")
Array = NDArray[np.float64]
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Modes:
    """Eigenvalues in ascending order (m,), and the linear parameters (m, columns + 1) of the fields, the bias last."""

    eigenvalues: Tensor
    heads: Tensor


def expanded(problem: Problem) -> Problem:
    """The problem of all modes together: fields u_1, u_2, … and unknown coefficients eigenvalue_1, eigenvalue_2, …"""
    numbers = range(1, problem.modes + 1)
    conditions = {
        name: replace(condition, residual=partial(_all_modes, name, condition, problem.fields[0], problem.modes))
        for name, condition in problem.conditions.items()
    }
    return replace(
        problem,
        conditions=conditions,
        fields=tuple(f"{problem.fields[0]}_{i}" for i in numbers),
        unknowns={f"{EIGENVALUE}_{i}": Unknown() for i in numbers},
        modes=0,
    )


def _all_modes(name: str, condition: Condition, field: str, modes: int, /, **env: Any) -> tuple[Tensor, ...]:
    rows: list[Tensor] = []
    for i in range(1, modes + 1):
        own = {f"{field}{end}": env[f"{field}_{i}{end}"] for end in ("", "_partner") if f"{field}_{i}{end}" in env}
        found = call_by_name(
            condition.residual, {**env, **own, EIGENVALUE: env[f"{EIGENVALUE}_{i}"]}, f"condition {name!r}"
        )
        rows += found if isinstance(found, tuple) else (found,)
    return tuple(rows)


def train(problem: Problem, settings: Settings, keep: Callable[[Training], None]) -> Training:
    """The modes with as many polynomials as settle the eigenvalues, else as many as the settings say.

    `findings` of the training are the eigenvalues, and how far each may be off relative to itself (or to a hundredth of
    the next one that is not wanted, if that is more): twice its distance to the one from the attempt before. `keep` is
    called after every attempt.
    """
    fixed = settings.network.polynomials
    attempts = [fixed // 2, fixed] if fixed else [FEW * 2**k for k in range(20) if FEW * 2**k <= MOST]
    latest: Training | None = None
    errors: list[float] = []
    for count in attempts:
        chosen = replace(settings, network=replace(settings.network, polynomials=count), optimizer=LeastSquares())
        following, beyond = _attempt(problem, chosen, latest)
        if latest is not None:
            changes = _changes(following.findings["eigenvalues"], latest.findings["eigenvalues"], beyond)
            if errors and max(changes) > max(errors):
                break  # round-off: more features do harm
            errors = following.findings["eigenvalue_errors"] = changes
            log.info("%d polynomials: eigenvalues change by %.1e", count, max(errors))
        latest = following
        keep(latest)
        if latest.stopped_by_limit or (errors and max(errors) < SETTLED):
            break
    assert latest is not None
    return latest


def _changes(values: Sequence[float], others: Sequence[float], beyond: float) -> list[float]:
    """Twice the distances, relative to the values or to a hundredth of the one beyond: the smallest may be zero."""
    return [2 * abs(a - b) / max(abs(a), 0.01 * abs(beyond)) for a, b in zip(values, others, strict=True)]


def _attempt(problem: Problem, settings: Settings, before: Training | None) -> tuple[Training, float]:
    """The modes with features as the settings say, and the next eigenvalue."""
    start = time.perf_counter()
    single = assemble(problem, settings)
    found = find(single.residuals, problem.modes + 1)
    modes = Modes(found.eigenvalues[:-1], found.heads[:-1])
    training = _training(problem, settings, single, before)
    _take(training, modes)
    training.advance_by(time.perf_counter() - start, FOUND)
    training.findings = dict(zip(FINDINGS, (modes.eigenvalues.tolist(), [1.0] * problem.modes), strict=True))
    return training, float(found.eigenvalues[-1])


def _training(problem: Problem, settings: Settings, single: Assembly, before: Training | None = None) -> Training:
    together = expanded(problem)
    return Training.start(together, settings, _together(together, single), before)


def begun(problem: Problem, settings: Settings) -> Training:
    """A training of all modes with features as the settings say, before they are found."""
    return _training(problem, settings, assemble(problem, settings))


def aligned(trial: Trial, eigenvalues: Sequence[float], values: Array, model: Array) -> None:
    """Turn modes so that they come as near as they can to those of a model, in each group of equal eigenvalues.

    `values` and `model` (n, modes) are those of both at some points. The rotation is Q = V Uᵀ, where U Σ Vᵀ is the
    singular value decomposition of the groups' products (orthogonal Procrustes problem; Schönemann 1966): a sign for
    an eigenvalue that stands alone. The residual of a group stays what it was.
    """
    turn = np.zeros((len(eigenvalues),) * 2)
    for group in _groups(eigenvalues):
        u, _, vh = np.linalg.svd(values[:, group].T @ model[:, group])
        turn[np.ix_(group, group)] = (u @ vh).T
    matrix = torch.as_tensor(turn).to(trial.weight)
    with torch.no_grad():
        for own in (trial.weight, trial.bias):
            size = trial.amplitude.reshape(-1, *[1] * (own.dim() - 1))
            own.copy_(matrix @ (size * own) / size)


def _groups(eigenvalues: Sequence[float]) -> list[list[int]]:
    """Positions of eigenvalues, in ascending order, that are equal up to discretisation error."""
    groups = [[0]]
    for i in range(1, len(eigenvalues)):
        alike = abs(eigenvalues[i] - eigenvalues[i - 1]) <= EQUAL * max(abs(eigenvalues[i]), abs(eigenvalues[i - 1]))
        if alike:
            groups[-1].append(i)
        else:
            groups.append([i])
    return groups


def _together(problem: Problem, single: Assembly) -> Assembly:
    """Trial function and residuals for all modes, with the features and the points of a single one."""
    shape = replace(single.trial.shape, fields=problem.fields, unknowns=dict.fromkeys(problem.unknowns, 0.0))
    trial = Trial(single.trial.features, shape, single.trial.enrichment).to(single.trial.weight)
    residuals = Residuals(problem, trial, single.residuals.collocation)
    residuals.scale_like(single.residuals)
    return replace(single, trial=trial, residuals=residuals)


def _take(training: Training, modes: Modes) -> None:
    """Set the trial function to the modes, each positive where it is largest and of mean square 1/|Ω|.

    Those of equal eigenvalues are made orthogonal.
    """
    trial, domain = training.assembly.trial, training.problem.domain
    with torch.no_grad():
        trial.weight.copy_(modes.heads[:, :-1])
        trial.bias.copy_(modes.heads[:, -1])
        values = trial(torch.as_tensor(domain.sample(SAMPLES, rng=np.random.default_rng(0))).to(trial.weight))
        turn = _orthonormal(values, _groups(modes.eigenvalues.tolist())) / domain.measure**0.5
        values = values @ turn.mT
        largest = values.gather(0, values.abs().argmax(0)[None])[0]
        turn = largest.sign()[:, None] * turn
        trial.weight.copy_(turn @ trial.weight)
        trial.bias.copy_(turn @ trial.bias)
        for raw, value in zip(trial.unknowns.values(), modes.eigenvalues, strict=True):
            raw.copy_(value)
    training.theta = training.assembly.residuals.theta


def _orthonormal(values: Tensor, groups: Sequence[Sequence[int]]) -> Tensor:
    """The matrix T, block-diagonal in the groups, for which values (n, modes) @ Tᵀ have products n δ_ij in each group.

    T = G^(−1/2) of the products G (Löwdin 1950) treats all modes of a group alike.
    """
    turn = values.new_zeros((values.shape[1],) * 2)
    for group in groups:
        at = torch.tensor(group, device=values.device)
        own = values[:, at]
        size, vectors = torch.linalg.eigh(own.mT @ own / len(values))
        turn[at[:, None], at] = (vectors / size.sqrt()) @ vectors.mT
    return turn


def find(residuals: Residuals, count: int) -> Modes:
    """The modes with the `count` smallest eigenvalues, from residuals of the problem of a single one.

    Raises BadInput where the problem has none, because the eigenvalue does not occur linearly.
    """
    A, M = _pencil(residuals)
    norms = torch.sqrt(A.square().sum(0) + M.square().sum(0))
    columns = torch.where(norms > 0, norms, 1.0)
    A, M = A / columns, M / columns
    shift = SHIFT * float(A.norm() / M.norm())
    q, upper = torch.linalg.qr(A + shift * M)
    u, s, vh = torch.linalg.svd(upper)
    kept = s > CUTOFF * s[0]
    back = vh[kept].mH / s[kept]  # from coordinates y to coefficients
    operator = u[:, kept].mH @ (q.mH @ (M @ back))
    heads = [back @ y for y in _dominant(operator, count)]
    pairs = sorted(((_rayleigh(A @ c, M @ c), c / columns) for c in heads), key=lambda pair: pair[0])
    return Modes(pairs[0][1].new_tensor([value for value, _ in pairs]), torch.stack([c for _, c in pairs]))


def _pencil(residuals: Residuals) -> tuple[Tensor, Tensor]:
    """A and M of the residual (A − λM) c."""
    theta = residuals.theta.index_fill(0, residuals.linear, 0.0)  # the features stay as they are
    place = residuals.linear[-1]  # of the eigenvalue in θ: the last parameter
    at = []
    for value in (0.0, 1.0, 2.0):
        theta[place] = value
        r, matrix = residuals.linear_jacobian(theta)
        if float(r.norm()) > 0:
            raise BadInput("modes", "the problem is not homogeneous", "leave out sources and boundary data")
        at.append(matrix[:, :-1])
    A, M, more = at[0], at[0] - at[1], at[1] - at[2]
    if not float(M.norm()) > 0 or float((more - M).norm()) > 1e-9 * float(M.norm()):
        raise BadInput("modes", "the eigenvalue does not occur linearly", "write … − eigenvalue · u = 0")
    return A, M


def _dominant(solution: Tensor, count: int) -> list[Tensor]:
    """Eigenvectors of the largest positive eigenvalues of a matrix."""
    matrix = solution.cpu().numpy()
    n = len(matrix)
    if n < DENSE or n < 4 * count:
        values, vectors = np.linalg.eig(matrix)
    else:
        start = np.random.default_rng(0).standard_normal(n)
        values, vectors = eigs(aslinearoperator(matrix), 2 * count + 6, which="LR", v0=start)
    found: list[Array] = []
    for i in np.argsort(-values.real, kind="stable"):
        real = abs(values[i].imag) <= REAL * abs(values[i]) and values[i].real > 0
        if real and values[i].imag >= 0:  # of a pair one; it stands for two equal eigenvalues, which round-off parted
            found += _real_span(vectors[:, i], two=values[i].imag > 0)
    if len(found) < count:
        raise BadInput("modes", f"there are only {len(found)} real eigenvalues", "ask for fewer, or give more features")
    return [torch.as_tensor(vector.copy()).to(solution) for vector in found[:count]]


def _real_span(vector: NDArray[np.complex128], two: bool) -> list[Array]:
    """A real vector, or two that span what real and imaginary part of a complex one do."""
    return list(np.linalg.qr(np.stack([vector.real, vector.imag], 1))[0].T) if two else [vector.real]


def _rayleigh(a: Tensor, m: Tensor) -> float:
    """argmin ‖a − λm‖."""
    return float((m @ a) / (m @ m))
