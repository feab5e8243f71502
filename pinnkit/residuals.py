"""The residual vector r(θ) of a problem at collocation points: all that the optimizers see.

    loss(θ) = ½ ‖r(θ)‖²,      r = ( √weight_c / (scale_c √n_c) · residual_c(xᵢ) )   over conditions c and their points xᵢ

scale_c is the root mean square of ∂residual_c/∂W over the features: how strongly the head moves that residual. It makes
every condition dimensionless by itself (a second derivative in millimetres weighs no more than in metres), so the
weights are relative and 1 is a good start.

Rows belong to single points. The Jacobian is therefore one reverse sweep with every parameter copied once per point:
∂(Σᵢ rᵢ)/∂θᵢ is row i.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.func import functional_call, vmap

from pinnkit.operators import Index, Jet
from pinnkit.problem import Environment, Problem
from pinnkit.trial import Prepared, Trial

Parameters = dict[str, Tensor]


@dataclass(frozen=True)
class Collocation:
    """Points of one condition: positions (n, d), normals (n, d) on the boundary, partner points (n, d), named values (n,)."""

    points: NDArray[np.float64]
    normals: NDArray[np.float64] | None = None
    partner: NDArray[np.float64] | None = None
    values: Mapping[str, NDArray[np.float64]] = field(default_factory=dict)


class _Field:
    """The trial function at fixed points, on demand: derivatives are planned from what was asked for before."""

    def __init__(self, trial: Trial, points: Tensor) -> None:
        self.trial, self.points = trial, points
        self.prepared: Prepared = trial.prepare(points, [()])

    def at(self, parameters: Parameters, rowwise: bool) -> tuple[tuple[Tensor, ...], dict[str, Tensor]]:
        """Coordinates and fields, differentiable by the coordinates and by the parameters."""
        coordinates = tuple(c.clone().requires_grad_() for c in self.points.unbind(-1))
        if self.trial.knows_its_derivatives:
            values = self._jets(coordinates, parameters)
        else:
            x = torch.stack(coordinates, -1)
            out = vmap(self._call)(parameters, x) if rowwise else self._call(parameters, x)
            values = list(out.unbind(-1))
        return coordinates, dict(zip(self.trial.fields, values, strict=True))

    def _call(self, parameters: Parameters, at: Prepared | Tensor) -> Tensor:
        return functional_call(self.trial, parameters, (at,))

    def _jets(self, coordinates: tuple[Tensor, ...], parameters: Parameters) -> list[Tensor]:
        current = self._call(parameters, self.prepared)

        def table(index: Index, column: int) -> Tensor:
            nonlocal current
            if index not in self.prepared.indices:  # only ever in the first evaluation
                self.prepared = self.trial.prepare(self.points, [*self.prepared.indices, index])
                current = self._call(parameters, self.prepared)
            return current[self.prepared.indices.index(index), :, column]

        return [
            Jet(coordinates, lambda index, m=m: table(index, m)).field()
            for m in range(len(self.trial.fields))
        ]


class _Block:
    """One condition on its collocation points."""

    def __init__(
        self, name: str, problem: Problem, trial: Trial, collocation: Collocation, like: Tensor
    ) -> None:
        def tensor(a: NDArray[np.float64]) -> Tensor:
            return torch.as_tensor(a, dtype=like.dtype, device=like.device)

        self.name, self.problem = name, problem
        self.rows = 0
        self.n = len(collocation.points)
        self.field = _Field(trial, tensor(collocation.points))
        self.partner = None if collocation.partner is None else _Field(trial, tensor(collocation.partner))
        self.values = {key: tensor(value) for key, value in collocation.values.items()}
        if collocation.normals is not None:
            spatial = [i for i, c in enumerate(problem.coordinates) if c != "t"]
            self.values["normal"] = tensor(collocation.normals[:, spatial].T.copy())

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
        self.blocks: list[_Block] = []
        like = trial.weight.detach()
        self.redraw(collocation)
        self.scales = {
            block.name: torch.ones((), dtype=like.dtype, device=like.device) for block in self.blocks
        }
        self.weights = {block.name: problem.conditions[block.name].weight for block in self.blocks}

    def redraw(self, collocation: Mapping[str, Collocation]) -> None:
        """Take other points; the scales stay, so that losses before and after can be compared."""
        like = self.trial.weight.detach()
        self.collocation = dict(collocation)
        self.blocks = [
            _Block(name, self.problem, self.trial, points, like) for name, points in collocation.items()
        ]

    def normalise(self) -> None:
        """Set the scale of each condition from how strongly the features of the head move it."""
        _, matrix = self.jacobian(self.theta)
        columns, start = self.linear[: self.trial.width], 0
        for block in self.blocks:
            rows = matrix[start : start + block.rows]
            size = rows[:, columns].square().mean().sqrt() * self.scales[block.name]
            self.scales[block.name] = torch.where(size > 0, size, 1.0)
            start += block.rows

    def rescale_output(self) -> None:
        """Make offset and amplitude those of the present solution at the collocation points; the solution stays."""
        trial = self.trial
        with torch.no_grad():
            values = torch.cat([trial(block.field.points) for block in self.blocks])
            offset, amplitude = values.mean(0), values.std(0)
            usable = torch.isfinite(amplitude) & (amplitude > 1e-12 * offset.abs()) & (amplitude > 0)
            offset, amplitude = torch.where(usable, offset, 0.0), torch.where(usable, amplitude, 1.0)
            trial.weight.mul_((trial.amplitude / amplitude)[:, None])
            trial.bias.copy_((trial.offset + trial.amplitude * trial.bias - offset) / amplitude)
            trial.offset.copy_(offset)
            trial.amplitude.copy_(amplitude)
            for name in self.scales:
                self.scales[name] = self.scales[name] * amplitude.mean()

    def is_affine(self) -> bool:
        """Whether r is affine in the linear parameters, as for a linear PDE without unknown coefficients."""
        if self.problem.unknowns:
            return False
        generator = torch.Generator().manual_seed(0)
        base, columns = self.theta, self.linear
        steps = torch.randn(len(columns), generator=generator, dtype=torch.float64).to(base)
        ends = [base.index_add(0, columns, sign * steps) for sign in (1.0, -1.0)]
        high, low, middle = self(ends[0]), self(ends[1]), self(base)
        return bool((high + low - 2 * middle).norm() <= 1e-6 * (high - low).norm())

    @property
    def theta(self) -> Tensor:
        """The trial function's parameters as one vector (P,)."""
        return torch.cat([p.detach().reshape(-1) for p in self.trial.parameters()])

    @property
    def linear(self) -> Tensor:
        """Where in θ the parameters stand in which the trial function is linear."""
        flags = [
            torch.full((size,), name in ("weight", "bias"))
            for name, size in zip(self.shapes, self.sizes, strict=True)
        ]
        return torch.cat(flags).nonzero()[:, 0].to(self.trial.weight.device)

    def assign(self, theta: Tensor) -> None:
        """Write θ into the trial function."""
        with torch.no_grad():
            for p, value in zip(self.trial.parameters(), self._split(theta).values(), strict=True):
                p.copy_(value)

    def _split(self, theta: Tensor) -> Parameters:
        parts = theta.split(self.sizes)
        return {
            name: part.view(shape) for (name, shape), part in zip(self.shapes.items(), parts, strict=True)
        }

    def _factor(self, block: _Block) -> Tensor:
        return self.weights[block.name] ** 0.5 / (self.scales[block.name] * block.n**0.5)

    def __call__(self, theta: Tensor) -> Tensor:
        """r(θ), (rows,)."""
        parameters = self._split(theta)
        return torch.cat(
            [(self._factor(b) * b.residual(parameters)).reshape(-1).detach() for b in self.blocks]
        )

    def gradient(self, theta: Tensor) -> tuple[Tensor, Tensor]:
        """loss and ∂loss/∂θ = Jᵀr by one reverse sweep."""
        theta = theta.detach().requires_grad_()
        parameters = self._split(theta)
        losses = [0.5 * (self._factor(b) * b.residual(parameters)).square().sum() for b in self.blocks]
        loss = torch.stack(losses).sum()
        return loss.detach(), torch.autograd.grad(loss, theta)[0]

    def jacobian(self, theta: Tensor) -> tuple[Tensor, Tensor]:
        """r (rows,) and J = ∂r/∂θ (rows, P)."""
        pieces = [self._block_jacobian(block, theta) for block in self.blocks]
        return torch.cat([r for r, _ in pieces]), torch.cat([j for _, j in pieces])

    def _block_jacobian(self, block: _Block, theta: Tensor) -> tuple[Tensor, Tensor]:
        copies = {
            k: p.expand(block.n, *p.shape).requires_grad_() for k, p in self._split(theta.detach()).items()
        }
        rows = self._factor(block) * block.residual(copies, rowwise=True)
        slopes = [
            self._row_gradients(row, list(copies.values()), keep=row is not rows[-1]) for row in rows.unbind()
        ]
        return rows.detach().reshape(-1), torch.cat(slopes)

    @staticmethod
    def _row_gradients(row: Tensor, copies: Sequence[Tensor], keep: bool) -> Tensor:
        grads = torch.autograd.grad(row.sum(), copies, retain_graph=True, materialize_grads=True)
        return torch.cat([g.reshape(len(row), -1) for g in grads], 1)

    def terms(self, theta: Tensor) -> dict[str, float]:
        """The loss of each condition."""
        parameters = self._split(theta)
        return {
            b.name: 0.5 * float((self._factor(b) * b.residual(parameters)).detach().square().sum())
            for b in self.blocks
        }


def field_at(
    trial: Trial, points: Tensor, parameters: Parameters
) -> tuple[tuple[Tensor, ...], dict[str, Tensor]]:
    """Coordinates and fields at points (n, d), differentiable by the coordinates."""
    return _Field(trial, points).at(parameters, rowwise=False)
