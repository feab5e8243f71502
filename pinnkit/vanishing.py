"""Singular functions that vanish where Dirichlet data hold exactly.

A singular function S is replaced by S − Σ wᵢ(x) S(Pᵢ(sᵢ(x))), itself less the interpolation of its own values on the
pieces, which keeps its singularity. Where S vanishes on the edges of its corner by itself (its phase is taken from the
edge that fixes u), these need no correction, and that of the others is made to vanish there too: wᵢ then has the
factor D(x)/D(Pᵢ), with D the product of their distances. In time it is multiplied by t − start where initial values
hold.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Protocol

import numpy as np
import torch
from numpy.polynomial.chebyshev import chebder
from torch import Tensor

from pinnkit.corners import CornerFunctions, Singularity
from pinnkit.geometry import Corner
from pinnkit.geometry.distance import Blend
from pinnkit.lift import Lift
from pinnkit.networks import closure, faa_di_bruno
from pinnkit.operators import Index
from pinnkit.problem import Problem
from pinnkit.taylor import leibniz, partials, splits

TIME = 2  # the number of this coordinate in planar problems
DEGREE = 14  # of the polynomials; in time of fewer, as each is multiplied
DEGREES_IN_TIME = (7, 5)


Zeros = tuple[int, ...]  # the numbers of the edges on which a function vanishes by itself


class Known(Protocol):
    """Known functions, as in an enrichment, from plain numbers."""

    count: int

    def jets(self, coordinates: Sequence[Tensor], indices: Sequence[Index]) -> Tensor: ...

    def to_plain(self) -> dict[str, Any]: ...


class Polynomials:
    """Chebyshev polynomials T_j(x̂) T_k(ŷ) T_l(t̂) on a box, j + k from 1 to a degree and l up to another one.

    Without j = k = 0, whose interpolation is everywhere exact.
    """

    def __init__(self, bounds: Sequence[Sequence[float]], degrees: tuple[int, int]) -> None:
        self.bounds, self.degrees = bounds, degrees
        planar = [(j, k) for j in range(degrees[0] + 1) for k in range(degrees[0] + 1 - j) if j + k]
        self.powers = [(*p, m) for p in planar for m in range(degrees[1] + 1)]
        self.count = len(self.powers)

    def to_plain(self) -> dict[str, Any]:
        return {"bounds": [list(side) for side in self.bounds], "degrees": list(self.degrees)}

    def jets(self, coordinates: Sequence[Tensor], indices: Sequence[Index]) -> Tensor:
        """Partial derivatives (C, n, count) at points with these coordinates, (n,) each."""
        columns = torch.tensor(self.powers, device=coordinates[0].device).T
        rows = []
        for index in indices:
            factors = [
                self._axis(c, i, index.count(i))[:, power]
                for i, (c, power) in enumerate(zip(coordinates, columns, strict=False))
            ]
            rows.append(math.prod(factors[1:], start=factors[0]))
        return torch.stack(rows)

    def _axis(self, x: Tensor, axis: int, order: int) -> Tensor:
        """Derivatives of all polynomials of one coordinate, (n, degree + 1), by T_j' = Σ 2j/(1 + δ_k0) T_k."""
        lower, upper = (side[axis] for side in self.bounds)
        place, degree = (2 * x - lower - upper) / (upper - lower), self.degrees[axis == TIME]
        out = [torch.ones_like(place), place]
        while len(out) <= degree:
            out.append(2 * place * out[-1] - out[-2])
        slope = place.new_tensor(chebder(np.eye(degree + 1)) if degree else [[0.0]]) * 2 / (upper - lower)
        rule = torch.zeros(degree + 1, degree + 1).to(place)
        rule[: len(slope)] = slope
        return torch.stack(out[: degree + 1], -1) @ torch.linalg.matrix_power(rule, order)


class VanishingFunctions:
    """Known functions less the interpolation of their values on the pieces of a lift, as an enrichment."""

    def __init__(self, groups: Sequence[tuple[Zeros, Known]], lift: Lift) -> None:
        self.groups, self.lift = tuple(groups), lift
        self.blends = [lift.pieces.blend(zeros) for zeros, _ in groups]
        self.count = sum(functions.count for _, functions in groups)

    def to_plain(self) -> list[dict[str, Any]]:
        """Plain numbers and lists, from which `from_plain` makes the same functions."""
        return [{"zeros": list(zeros), **functions.to_plain()} for zeros, functions in self.groups]

    @classmethod
    def from_plain(cls, plain: Sequence[dict[str, Any]], lift: Lift) -> "VanishingFunctions":
        return cls([(tuple(group["zeros"]), _known(group)) for group in plain], lift)

    def jets(self, coordinates: Sequence[Tensor], indices: Sequence[Index]) -> Tensor:
        """Partial derivatives (C, n, count) at points with these coordinates, (n,) each."""
        wanted = closure(indices)
        groups = zip(self.groups, self.blends, strict=True)
        columns = [self._group(functions, blend, coordinates, wanted) for (_, functions), blend in groups]
        out = torch.cat(columns, -1)
        if self.lift.start is not None:
            elapsed = partials(lambda x: self.lift.elapsed(x)[..., None], coordinates, wanted)
            out = leibniz(elapsed, out, wanted)
        return out[[wanted.index(index) for index in indices]]

    def _group(self, functions: Known, blend: Blend, coordinates: Sequence[Tensor], indices: Sequence[Index]) -> Tensor:
        space = list(dict.fromkeys(_in_space(index) for index in indices))
        out = functions.jets(coordinates, indices)
        if not blend.edges:
            return out
        weights, places = partials(blend.table, coordinates[:2], space).tensor_split(2, -1)
        moving, fixed = places.tensor_split([len(blend.edges) - blend.fixed], -1)
        at = [*moving.unbind(-1), *fixed.detach().unbind(-1)]  # a function has no derivatives in its own corner
        for k, w, s in zip(blend.edges, weights.unbind(-1), at, strict=True):
            weight, place = dict(zip(space, w[..., None], strict=True)), dict(zip(space, s[..., None], strict=True))
            trace = _Trace(functions, self.lift.pieces.edges[k].at(s[0]), coordinates[2:], self._along(k), place)
            out = out - torch.stack([_product(weight, trace, index) for index in indices])
        return out

    def _along(self, k: int) -> tuple[float, float]:
        edge = self.lift.pieces.edges[k]
        return edge.end[0] - edge.start[0], edge.end[1] - edge.start[1]


def _product(weight: Mapping[Index, Tensor], trace: "_Trace", index: Index) -> Tensor:
    """∂_I of wᵢ(x) S(Pᵢ(sᵢ(x)), t), by Leibniz' rule in space."""
    time = index[len(_in_space(index)) :]
    terms = [weight[one] * trace.derivative(other, time) for one, other in splits(_in_space(index))]
    return torch.stack(terms).sum(0)


class _Trace:
    """Functions on an edge, S(P(s(x)), t), by the chain rule from their derivatives along the edge."""

    def __init__(
        self,
        functions: Known,
        at: Sequence[Tensor],
        time: Sequence[Tensor],
        along: tuple[float, float],
        place: Mapping[Index, Tensor],
    ) -> None:
        self.functions, self.coordinates, self.along, self.place = functions, [*at, *time], along, place
        self.order = max(map(len, place))
        self.towers: dict[Index, list[Tensor]] = {}

    def derivative(self, index: Index, time: Index) -> Tensor:
        """∂_I ∂ₜ, (n, count), with I in space."""
        if time not in self.towers:
            self.towers[time] = self._tower(time)
        tower = self.towers[time]
        return faa_di_bruno(tower, self.place, index) if index else tower[0]

    def _tower(self, time: Index) -> list[Tensor]:
        """∂ₛᵐ = Σ (m over j) Pₓ^(m−j) P_y^j ∂ₓ^(m−j) ∂_y^j for m up to the order; 0 in a corner that has none."""
        mixed = {(m, j): (0,) * (m - j) + (1,) * j + time for m in range(self.order + 1) for j in range(m + 1)}
        found = self.functions.jets(self.coordinates, list(mixed.values())).nan_to_num(0.0, 0.0, 0.0)
        jets = dict(zip(mixed, found, strict=True))
        dx, dy = self.along
        return [
            torch.stack([math.comb(m, j) * dx ** (m - j) * dy**j * jets[m, j] for j in range(m + 1)]).sum(0)
            for m in range(self.order + 1)
        ]


def _in_space(index: Index) -> Index:
    return tuple(i for i in index if i != TIME)


def _known(plain: dict[str, Any]) -> Known:
    if "degrees" in plain:
        return Polynomials(plain["bounds"], tuple(plain["degrees"]))
    return CornerFunctions.from_plain(plain)


def vanishing(functions: CornerFunctions | None, problem: Problem, lift: Lift) -> VanishingFunctions | None:
    """The corner functions of a problem, made to vanish on the pieces of the lift; None without any.

    Where lift and distance are kinked in vertices, smooth solutions are not among lift + distance · features. So
    polynomials are added: together with their interpolation they have kinks only as far as they miss the data.
    """
    groups = _in_groups(functions.singularities, problem.domain.corners, lift) if functions else {}
    time = functions.time if functions else lift.time
    known: list[tuple[Zeros, Known]] = [(zeros, CornerFunctions(s, time)) for zeros, s in groups.items()]
    if not lift.pieces.smooth:
        degrees = (DEGREE, 0) if lift.time is None else DEGREES_IN_TIME
        known.append(((), Polynomials(problem.domain.bounds.tolist(), degrees)))
    return VanishingFunctions(known, lift) if known else None


def _in_groups(
    singularities: Sequence[Singularity], corners: Sequence[Corner], lift: Lift
) -> dict[Zeros, list[Singularity]]:
    """The functions that are kept, each once, by the edges on which they vanish."""
    at = {tuple(corner.vertex.tolist()): corner for corner in corners}
    groups: dict[Zeros, list[Singularity]] = {}
    for singularity in singularities:
        corner = at.get(singularity.vertex)
        own = _in_phase(singularity, corner, lift) if corner else (singularity, ())
        if own is not None:
            zeros = own[1] if lift.pieces.smooth else ()
            if own[0] not in groups.get(zeros, []):
                groups.setdefault(zeros, []).append(own[0])
    return groups


def _in_phase(singularity: Singularity, corner: Corner, lift: Lift) -> tuple[Singularity, Zeros] | None:
    """A function of a corner with the phase of the edge that fixes u, and its zeros; None for the other phase."""
    number = {edge.name: k for k, edge in enumerate(lift.pieces.edges)}
    before, after = (number.get(piece) for piece in corner.pieces)
    if (before is None and after is None) or math.isfinite(singularity.pole):
        return singularity, ()
    if after is None:
        assert before is not None
        term = replace(singularity.term, sine=True)
        return replace(singularity, angle=-singularity.angle, term=term), (before,)
    if not singularity.term.sine:
        return None
    both = before is not None and singularity.term.logarithms == 0
    return singularity, (before, after) if both and before is not None else (after,)
