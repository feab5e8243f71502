"""The residual vector r(θ) of a problem at collocation points: all that the optimizers see.

    loss(θ) = ½ ‖r(θ)‖²,      r = ( √weight_c / (scale_c √n_c) · residual_c(xᵢ) )   over conditions c and points xᵢ

scale_c is the root mean square of ∂residual_c/∂W over points and features: how strongly the head moves it. It makes
every condition dimensionless by itself (a second derivative in millimetres weighs no more than in metres), so the
weights are relative and 1 is a good start.

Rows belong to single points. The Jacobian is therefore one reverse sweep with every parameter copied once per point:
∂(Σᵢ rᵢ)/∂θᵢ is row i.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.func import functional_call, vmap

from pinnkit.linear_algebra import minimum_norm
from pinnkit.networks import FeatureMap
from pinnkit.operators import Index, Jet
from pinnkit.optimizers.base import Linearised, loss_of
from pinnkit.problem import Environment, Problem
from pinnkit.trial import Prepared, Trial

Parameters = dict[str, Tensor]
ANCHOR = "prior"  # name of the term of the anchor
UNSEEN = 1e-6  # length of a column of J, where conditions are scaled to 1, that is as good as zero


@dataclass(frozen=True)
class Collocation:
    """Points of one condition (n, d), with normals (n, d) on the boundary, partner points (n, d), named values (n,)."""

    points: NDArray[np.float64]
    normals: NDArray[np.float64] | None = None
    partner: NDArray[np.float64] | None = None
    values: Mapping[str, NDArray[np.float64]] = field(default_factory=dict)

    def part(self, which: slice) -> "Collocation":
        """Some of the points alone."""
        normals, partner = (None if a is None else a[which] for a in (self.normals, self.partner))
        return Collocation(self.points[which], normals, partner, {key: v[which] for key, v in self.values.items()})


@dataclass(frozen=True)
class Anchor:
    """What is known of θ beforehand: rows strength · (θ − centre) of the residual, where the strength is positive."""

    strength: Tensor  # (P,)
    centre: Tensor  # (P,)

    def __post_init__(self) -> None:
        object.__setattr__(self, "places", self.strength.nonzero()[:, 0])

    places: Tensor = field(init=False)

    def rows(self, theta: Tensor) -> Tensor:
        return (self.strength * (theta - self.centre))[self.places]

    def jacobian(self, columns: Tensor) -> Tensor:
        """Derivatives of the rows by θ at these positions."""
        return torch.diag(self.strength)[self.places][:, columns]


class _Field:
    """The trial function at fixed points with the derivatives that are wanted; more are added when asked for."""

    def __init__(self, trial: Trial, points: Tensor, wanted: Sequence[Index]) -> None:
        self.trial, self.points = trial, points
        self.prepared: Prepared = trial.prepare(points, wanted)

    def at(self, parameters: Parameters, rowwise: bool) -> tuple[tuple[Tensor, ...], dict[str, Tensor]]:
        """Coordinates and fields, differentiable by the coordinates and by the parameters."""
        coordinates = tuple(c.clone().requires_grad_() for c in self.points.unbind(-1))
        if self.trial.knows_its_derivatives:
            values = self._jets(coordinates, parameters)
        else:
            x = torch.stack(coordinates, -1)
            out = vmap(self._call_one)(parameters, x) if rowwise else self._call(parameters, x)
            values = list(out.unbind(-1))
        return coordinates, dict(zip(self.trial.fields, values, strict=True))

    def _call_one(self, parameters: Parameters, x: Tensor) -> Tensor:
        return self._call(parameters, x[None])[0]

    def _call(self, parameters: Parameters, at: Prepared | Tensor) -> Tensor:
        return functional_call(self.trial, parameters, (at,))

    def _jets(self, coordinates: tuple[Tensor, ...], parameters: Parameters) -> list[Tensor]:
        current = self._call(parameters, self.prepared)

        def table(column: int, index: Index) -> Tensor:
            nonlocal current
            if index not in self.prepared.indices:
                self.prepared = self.trial.prepare(self.points, [*self.prepared.indices, index])
                current = self._call(parameters, self.prepared)
            return current[self.prepared.indices.index(index), :, column]

        return [Jet(coordinates, partial(table, column)).field() for column in range(len(self.trial.fields))]


class _Block:
    """One condition on its collocation points."""

    def __init__(
        self, name: str, problem: Problem, trial: Trial, collocation: Collocation, wanted: Sequence[Index]
    ) -> None:
        def tensor(a: NDArray[np.float64]) -> Tensor:
            return torch.as_tensor(a).to(trial.weight)

        self.name, self.problem = name, problem
        self.n = self.rows = len(collocation.points)
        self.field = _Field(trial, tensor(collocation.points), wanted)
        self.partner = None if collocation.partner is None else _Field(trial, tensor(collocation.partner), wanted)
        self.values = {key: tensor(value) for key, value in collocation.values.items()}
        if collocation.normals is not None:
            spatial = [i for i, c in enumerate(problem.coordinates) if c != "t"]
            self.values["normal"] = tensor(collocation.normals[:, spatial].T.copy())

    @property
    def indices(self) -> list[Index]:
        """The derivatives that the residual was found to need."""
        return list({*self.field.prepared.indices, *(self.partner.prepared.indices if self.partner else ())})

    @property
    def order(self) -> int:
        """Of the highest derivative in the residual."""
        return max(map(len, self.indices))

    def environment(self, parameters: Parameters, rowwise: bool) -> Environment:
        coordinates, fields = self.field.at(parameters, rowwise)
        unknowns = {k: u.value(parameters[f"unknowns.{k}"]) for k, u in self.problem.unknowns.items()}
        environment = self.problem.environment(coordinates, fields, **unknowns, **self.values)
        if self.partner is not None:
            there, others = self.partner.at(parameters, rowwise)
            beyond = self.problem.environment(there, others)
            environment |= {f"{key}_partner": value for key, value in beyond.items()}
        return environment

    def residual(self, parameters: Parameters, rowwise: bool = False) -> Tensor:
        """(equations, n), unscaled."""
        rows = self.problem.residual(self.name, self.environment(parameters, rowwise))
        self.rows = rows.numel()
        return rows


class Residuals:
    """r(θ), its Jacobian and its gradient for one problem, trial function and set of collocation points."""

    def __init__(self, problem: Problem, trial: Trial, collocation: Mapping[str, Collocation]) -> None:
        self.problem, self.trial = problem, trial
        self.shapes = {name: p.shape for name, p in trial.named_parameters()}
        self.sizes = [shape.numel() for shape in self.shapes.values()]
        self.solvable = tuple(name for name in self.shapes if not name.startswith("features."))
        self.redraw(collocation)
        self.scales = {name: torch.ones_like(trial.weight.detach()[0, 0]) for name in collocation}
        self.weights = {name: problem.conditions[name].weight for name in collocation}
        self.anchor: Anchor | None = None

    def redraw(self, collocation: Mapping[str, Collocation]) -> None:
        """Take other points; the scales stay, so that losses before and after can be compared."""
        self.collocation = dict(collocation)
        blocks = [self._planned(name, points) for name, points in collocation.items()]
        held = self.trial.exact.conditions if self.trial.exact else ()
        self.blocks = [block for block in blocks if block.name not in held]
        self.held = [block for block in blocks if block.name in held]  # rows of round-off, which are left out

    def _planned(self, name: str, points: Collocation) -> _Block:
        """A block that carries the derivatives its residual needs, found on two of its points."""
        trial = self.trial
        small = _Block(name, self.problem, trial, points.part(slice(0, 2)), [()])
        small.residual({key: p.detach() for key, p in trial.named_parameters()})
        return _Block(name, self.problem, trial, points, small.indices)

    def normalise(self) -> None:
        """Set the scale of each condition from how strongly the features of the head move it."""
        theta, features = self.theta, self.trial.features
        typical = features.typical if isinstance(features, FeatureMap) else self.trial.width
        for block in self.blocks:
            _, matrix = self._block_jacobian(block, theta, ("weight",))
            columns = matrix.reshape(len(matrix), len(self.trial.fields), -1)[:, :, :typical]
            seen = columns[columns != 0] / self.factor(block)
            self.scales[block.name] = seen.square().mean().sqrt() if len(seen) else torch.ones_like(seen.sum())

    def rescale_output(self, features: int = 64) -> None:
        """Set offset and amplitude to mean and size of the solution, found roughly: a fit with a few of the features.

        The head starts from zero.
        """
        trial, theta = self.trial, self.theta
        ends = trial.weight.numel() + trial.bias.numel()
        r, matrix = self.linear_jacobian(theta)
        column = torch.arange(len(self.linear), device=theta.device)
        of_head = column < trial.weight.numel()
        few = torch.where(of_head, column % trial.weight.shape[1] < min(features, trial.width), column < ends)
        if bool(torch.isfinite(matrix).all() and torch.isfinite(r).all()):
            theta[self.linear[few]] -= minimum_norm(matrix[:, few], r)
            self.assign(theta)
        with torch.no_grad():
            values = torch.cat([trial(block.field.points) for block in self.blocks])
            offset, amplitude = values.mean(0), self._unknown_part(values).std(0)
            usable = torch.isfinite(amplitude) & (amplitude > 1e-12 * offset.abs())
            trial.offset.copy_(torch.where(usable & (trial.exact is None), offset, 0.0))
            trial.amplitude.copy_(torch.where(usable, amplitude, 1.0))
            trial.weight.zero_()
            trial.bias.zero_()
            for name in self.scales:
                self.scales[name] = self.scales[name] * trial.amplitude.mean()

    def scale_like(self, other: "Residuals") -> None:
        """Take the scales, the offset and the amplitude of other residuals of the same problem."""
        self.scales = dict(other.scales)
        with torch.no_grad():
            self.trial.offset.copy_(other.trial.offset)
            self.trial.amplitude.copy_(other.trial.amplitude)

    def _unknown_part(self, values: Tensor) -> Tensor:
        """Values (n, fields) at the points of all blocks, less what the trial function holds whatever θ is."""
        return values - torch.cat([self.trial.known(block.field.points) for block in self.blocks])

    @property
    def theta(self) -> Tensor:
        """The trial function's parameters as one vector (P,)."""
        return torch.cat([p.detach().reshape(-1) for p in self.trial.parameters()])

    @property
    def linear(self) -> Tensor:
        """Where in θ the parameters of a fit with frozen features stand: the head, and the unknown coefficients."""
        return self.places(self.solvable)

    def places(self, names: Sequence[str]) -> Tensor:
        """Where in θ the parameters of these names stand."""
        flags = [torch.full((size,), name in names) for name, size in zip(self.shapes, self.sizes, strict=True)]
        return torch.cat(flags).nonzero()[:, 0].to(self.trial.weight.device)

    def assign(self, theta: Tensor) -> None:
        """Write θ into the trial function."""
        with torch.no_grad():
            for p, value in zip(self.trial.parameters(), self._split(theta).values(), strict=True):
                p.copy_(value)

    def _split(self, theta: Tensor) -> Parameters:
        parts = theta.split(self.sizes)
        return {name: part.view(shape) for (name, shape), part in zip(self.shapes.items(), parts, strict=True)}

    def factor(self, block: _Block) -> Tensor:
        """√weight / (scale √n), by which the condition's rows are multiplied."""
        return self.weights[block.name] ** 0.5 / (self.scales[block.name] * block.n**0.5)

    def __call__(self, theta: Tensor) -> Tensor:
        """r(θ), (rows,)."""
        parameters = self._split(theta)
        rows = [(self.factor(b) * b.residual(parameters)).reshape(-1).detach() for b in self.blocks]
        return torch.cat([*rows, self.anchor.rows(theta)] if self.anchor else rows)

    def gradient(self, theta: Tensor) -> tuple[Tensor, Tensor]:
        """loss and ∂loss/∂θ = Jᵀr by one reverse sweep."""
        theta = theta.detach().requires_grad_()
        parameters = self._split(theta)
        losses = [0.5 * (self.factor(b) * b.residual(parameters)).square().sum() for b in self.blocks]
        if self.anchor:
            losses.append(0.5 * self.anchor.rows(theta).square().sum())
        loss = torch.stack(losses).sum()
        return loss.detach(), torch.autograd.grad(loss, theta)[0]

    def jacobian(self, theta: Tensor) -> tuple[Tensor, Tensor]:
        """r (rows,) and J = ∂r/∂θ (rows, P)."""
        return self._jacobian(theta, tuple(self.shapes))

    def linearised(self, theta: Tensor) -> Linearised:
        """r (rows,), v ↦ J v and w ↦ Jᵀ w: one reverse sweep each, through r and through w ↦ Jᵀ w, linear in w."""
        theta = theta.detach().requires_grad_()
        parameters = self._split(theta)
        rows = [(self.factor(b) * b.residual(parameters)).reshape(-1) for b in self.blocks]
        r = torch.cat([*rows, self.anchor.rows(theta)] if self.anchor else rows)
        seed = torch.zeros_like(r, requires_grad=True)
        (pulled,) = torch.autograd.grad(r, theta, seed, create_graph=True)

        def jv(v: Tensor) -> Tensor:
            return torch.autograd.grad(pulled, seed, v, retain_graph=True)[0]

        def jtv(w: Tensor) -> Tensor:
            return torch.autograd.grad(r, theta, w, retain_graph=True)[0]

        return r.detach(), jv, jtv

    def linear_jacobian(self, theta: Tensor) -> tuple[Tensor, Tensor]:
        """r (rows,) and the columns of J at the positions `linear`; the reverse sweep ends at the head."""
        return self._jacobian(theta, self.solvable)

    def _jacobian(self, theta: Tensor, names: Sequence[str]) -> tuple[Tensor, Tensor]:
        pieces = [self._block_jacobian(block, theta, names) for block in self.blocks]
        if self.anchor:
            pieces.append((self.anchor.rows(theta.detach()), self.anchor.jacobian(self.places(names))))
        return torch.cat([r for r, _ in pieces]), torch.cat([j for _, j in pieces])

    def _block_jacobian(self, block: _Block, theta: Tensor, names: Sequence[str]) -> tuple[Tensor, Tensor]:
        parameters = {k: p.expand(block.n, *p.shape) for k, p in self._split(theta.detach()).items()}
        copies = [parameters[name].requires_grad_() for name in self.shapes if name in names]
        rows = self.factor(block) * block.residual(parameters, rowwise=True)
        slopes = [self._row_gradients(row, copies) for row in rows.unbind()]
        return rows.detach().reshape(-1), torch.cat(slopes)

    @staticmethod
    def _row_gradients(row: Tensor, copies: Sequence[Tensor]) -> Tensor:
        grads = torch.autograd.grad(row.sum(), copies, retain_graph=True, materialize_grads=True)
        return torch.cat([g.reshape(len(row), -1) for g in grads], 1)

    def deviations(self, theta: Tensor) -> dict[str, float]:
        """Standard deviation of each unknown coefficient (of its logarithm where that is searched), to first order.

        s / ‖j⊥‖ with s² = ‖r‖²/(rows − parameters) and j⊥ the part of its column of J that the head cannot imitate;
        infinite where that part is round-off.
        """
        r, matrix = self.linear_jacobian(theta)
        first, found = len(self.linear) - len(self.problem.unknowns), {}
        spread = float(r.norm()) / max(len(r) - len(self.linear), 1) ** 0.5
        names = [name.removeprefix("unknowns.") for name in self.shapes if name.startswith("unknowns.")]
        for k, name in enumerate(names):
            column = matrix[:, first + k]
            others = torch.cat([matrix[:, : first + k], matrix[:, first + k + 1 :]], 1)
            own = float((column - others @ minimum_norm(others, column, 1e-12)).norm())
            found[name] = spread / own if own > UNSEEN else math.inf
        return found

    def terms(self, theta: Tensor) -> dict[str, float]:
        """The loss of each condition."""
        parameters = self._split(theta)
        terms = {
            b.name: 0.5 * float((self.factor(b) * b.residual(parameters)).detach().square().sum())
            for b in [*self.blocks, *self.held]
        }
        return terms | ({ANCHOR: loss_of(self.anchor.rows(theta))} if self.anchor else {})


def residual_at(problem: Problem, trial: Trial, name: str, collocation: Collocation, chunk: int = 1000) -> Tensor:
    """The residual of one condition, (equations, n), unscaled, at any points."""
    parameters = {key: p.detach() for key, p in trial.named_parameters()}
    first = _Block(name, problem, trial, collocation.part(slice(0, 2)), [()])
    first.residual(parameters)
    rows = []
    for start in range(0, len(collocation.points), chunk):
        part = collocation.part(slice(start, start + chunk))
        rows.append(_Block(name, problem, trial, part, first.indices).residual(parameters).detach())
    return torch.cat(rows, 1)
