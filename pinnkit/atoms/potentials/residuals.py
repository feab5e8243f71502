"""The residual of energies, forces and stresses, as the optimizers take it, and how strongly to hold the head."""

from collections.abc import Iterator, Mapping, Sequence

import torch
from torch import Size, Tensor, nn
from torch.func import functional_call, vjp

from pinnkit.atoms.potentials.atomic_energies import AtomicEnergies
from pinnkit.atoms.potentials.samples import Samples
from pinnkit.optimizers.base import Linearised

RIDGES = tuple(10.0**-k for k in range(-1, 13))  # relative to the columns of the head


class _Jets(nn.Module):
    """Energies of atoms and their slopes by descriptors, (1 + D, n), as a function of parameters."""

    def __init__(self, atoms: AtomicEnergies) -> None:
        super().__init__()
        self.atoms = atoms

    def forward(self, values: Tensor, s: int) -> Tensor:
        return (self.atoms.basis(values, s) * self.atoms.heads[s]).sum(-1)


class FitResiduals:
    """r(θ) = weighted (prediction − label) of all samples, then ridge · head: a `LeastSquaresObjective`.

    `ridge` (heads,) belongs to the heads of all species one after the other; zero leaves them free.
    """

    def __init__(self, atoms: AtomicEnergies, samples: Sequence[Samples], ridge: Tensor | None = None) -> None:
        self.atoms, self.jets = atoms, _Jets(atoms)
        self.samples = [chunk for one in samples for chunk in one.above(atoms.levels).chunks()]
        self.target = torch.cat([one.target for one in self.samples])
        heads = sum(head.numel() for head in atoms.heads)
        self.ridge = self.target.new_zeros(heads) if ridge is None else ridge

    @property
    def shapes(self) -> Mapping[str, Size]:
        """The features of all species, then their heads."""
        names = dict(self.jets.named_parameters())
        order = sorted(names, key=lambda name: name.startswith("atoms.heads"))
        return {name: names[name].shape for name in order}

    @property
    def linear(self) -> Tensor:
        """The heads, at the end of θ."""
        total = sum(shape.numel() for shape in self.shapes.values())
        return torch.arange(total - len(self.ridge), total)

    @property
    def theta(self) -> Tensor:
        """The parameters as they are."""
        parameters = dict(self.jets.named_parameters())
        return torch.cat([parameters[name].detach().flatten() for name in self.shapes])

    def assign(self, theta: Tensor) -> None:
        """Set them."""
        parameters = dict(self.jets.named_parameters())
        with torch.no_grad():
            for name, value in self._split(theta).items():
                parameters[name].copy_(value)

    def _split(self, theta: Tensor) -> dict[str, Tensor]:
        sizes = [shape.numel() for shape in self.shapes.values()]
        parts = zip(self.shapes.items(), theta.split(sizes), strict=True)
        return {name: part.view(shape) for (name, shape), part in parts}

    def __call__(self, theta: Tensor) -> Tensor:
        parameters = self._split(theta)
        rows = [one.rows(self._evaluated(one, parameters)[..., None])[:, 0] for one in self.samples]
        return torch.cat([torch.cat(rows) - self.target, self.ridge * theta[len(theta) - len(self.ridge) :]])

    def _evaluated(self, one: Samples, parameters: Mapping[str, Tensor]) -> Tensor:
        """(1 + D, atoms)."""
        values = one.values.flatten(0, 1)
        found = values.new_zeros(1 + values.shape[1], len(values))
        for s, own in self._by_species(one):
            found = found.index_copy(1, own, functional_call(self.jets, dict(parameters), (values[own], s)))
        return found

    def _by_species(self, one: Samples) -> Iterator[tuple[int, Tensor]]:
        kinds = one.kinds.flatten()
        for s in range(len(self.atoms.heads)):
            own = (kinds == s).nonzero()[:, 0]
            if len(own):
                yield s, own

    def gradient(self, theta: Tensor) -> tuple[Tensor, Tensor]:
        theta = theta.detach().requires_grad_()
        loss = 0.5 * self(theta).square().sum()
        return loss.detach(), torch.autograd.grad(loss, theta)[0]

    def linearised(self, theta: Tensor) -> Linearised:
        r, back = vjp(self, theta)[:2]
        twice = vjp(lambda w: back(w)[0], torch.zeros_like(r))[1]  # Jᵀ w is linear in w: its transpose is J
        return r, lambda v: twice(v)[0], lambda w: back(w)[0]

    def linear_jacobian(self, theta: Tensor) -> tuple[Tensor, Tensor]:
        self.assign(theta)
        with torch.no_grad():
            matrix = torch.cat([torch.cat([self._columns(one) for one in self.samples]), torch.diag(self.ridge)])
            held = torch.cat([self.target, self.target.new_zeros(len(self.ridge))])
            return matrix @ theta[self.linear] - held, matrix

    def _columns(self, one: Samples) -> Tensor:
        """The rows of one chunk as a matrix that acts on the heads."""
        values, columns = one.values.flatten(0, 1), self.atoms.columns
        if len(self.atoms.heads) == 1:
            return one.rows(self.atoms.basis(values, 0))
        jets = values.new_zeros(1 + values.shape[1], len(values), len(self.ridge))
        for s, own in self._by_species(one):
            jets[:, own, s * columns : (s + 1) * columns] = self.atoms.basis(values[own], s)
        return one.rows(jets)

    def jacobian(self, theta: Tensor) -> tuple[Tensor, Tensor]:
        parameters = self._split(theta)
        matrix = torch.cat([one.rows(self._sensitivities(one, parameters)) for one in self.samples])
        held = matrix.new_zeros(len(self.ridge), len(theta))
        held[:, len(theta) - len(self.ridge) :] = torch.diag(self.ridge)
        with torch.no_grad():
            return self(theta), torch.cat([matrix, held])

    def _sensitivities(self, one: Samples, parameters: Mapping[str, Tensor]) -> Tensor:
        """The derivatives of energies and slopes of atoms by all parameters, (1 + D, atoms, P).

        Parameters are copied for each atom, so that one reverse sweep gives those of all atoms.
        """
        values = one.values.flatten(0, 1)
        found = values.new_zeros(1 + values.shape[1], len(values), sum(p.numel() for p in parameters.values()))
        for s, own in self._by_species(one):
            copies = {
                name: value.detach().expand(len(own), *value.shape).requires_grad_()
                for name, value in parameters.items()
            }
            outputs = functional_call(self.jets, copies, (values[own], s))
            for k, output in enumerate(outputs):
                grads = torch.autograd.grad(output.sum(), list(copies.values()), retain_graph=True, allow_unused=True)
                flat = [
                    (torch.zeros_like(copy) if grad is None else grad).reshape(len(own), -1)
                    for grad, copy in zip(grads, copies.values(), strict=True)
                ]
                found[k, own] = torch.cat(flat, 1)
        return found


Split = tuple[list[Samples], list[Samples]]  # to fit, and to validate


def held(atoms: AtomicEnergies, splits: Sequence[Split]) -> Tensor:
    """The ridge (heads,) under which heads that are fitted to one part predict the other part best.

    The ridge of each column of the head is a number of RIDGES times the norm of that column, over all splits.
    """
    found = [_validated(FitResiduals(atoms, kept), FitResiduals(atoms, other)) for kept, other in splits]
    missed = torch.stack([errors for errors, _ in found]).sum(0)
    norms = torch.stack([norms for _, norms in found]).mean(0)
    return RIDGES[int(missed.argmin())] * norms


def _validated(residuals: FitResiduals, validation: FitResiduals) -> tuple[Tensor, Tensor]:
    """Squared errors of prediction under each of RIDGES, and the norms of the columns."""
    _, matrix = residuals.linear_jacobian(residuals.theta)
    _, other = validation.linear_jacobian(residuals.theta)
    matrix, other = matrix[: len(residuals.target)], other[: len(validation.target)]
    norms = matrix.norm(dim=0)
    norms = torch.where(norms > 0, norms, 1.0)
    q, upper = torch.linalg.qr(matrix / norms)
    u, s, vh = torch.linalg.svd(upper, full_matrices=False)
    along, seen = u.mT @ (q.mT @ residuals.target), other / norms @ vh.mT
    missed = [(seen @ (s / (s * s + r * r) * along) - validation.target).square().sum() for r in RIDGES]
    return torch.stack(missed), norms
