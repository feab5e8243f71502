"""Dirichlet data as a function of the whole domain, and the distance that keeps everything else off them.

    lift(x, t) = u₀(x) + M(x, t),      M(x, t) = Σ_v c_v(t) a_v(x) + Σ_i wᵢ(x) hᵢ(sᵢ(x), t)

agrees with the data on each edge and with u₀ at the start of time: hᵢ are the data less u₀ and less the first sum, in
which a_v = 1 − φ/ω, harmonic and bounded, is 1 on one edge of a corner and 0 on the other and takes up the jump c_v of
the data there. Where data and u₀ disagree at the start, M − (1 − χ) M(·, start) replaces M with χ = τ/(τ + d²), which
is 1 on the edges and 0 at the start. All of it is plain numbers.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from pinnkit.chebyshev import Series
from pinnkit.geometry.distance import Blend, Coordinates, Pieces
from pinnkit.operators import Index
from pinnkit.taylor import partials


@dataclass(frozen=True)
class Angle:
    """a = 1 − φ/ω about a corner, with φ = 0 at minus half the angle ω from the direction `middle`.

    The branch cut is opposite to `middle` and ends at the distance 1/`inverse_pole`, where z/(1 + z/pole) takes the
    place of z, so that a is 1 and 0 only up to smooth functions that vanish in the corner.
    """

    vertex: tuple[float, float]
    cosine: float
    sine: float
    angle: float
    inverse_pole: float

    def __call__(self, x: Coordinates) -> Tensor:
        dx, dy = x[0] - self.vertex[0], x[1] - self.vertex[1]
        along, across = self.cosine * dx + self.sine * dy, self.cosine * dy - self.sine * dx
        ahead = along + self.inverse_pole * (along**2 + across**2) + torch.finfo(dx.dtype).tiny
        return 0.5 - torch.atan2(across, ahead) / self.angle


@dataclass(frozen=True)
class Lift:
    """Dirichlet data that hold exactly: `lift` has them, `distance` vanishes where they are given.

    data        hᵢ(s, t) for each edge of `pieces`
    jumps       a_v with c_v(t), kept as a series in its second variable
    time        start and end
    start       u₀, where the initial values are held too
    clashes     whether data and u₀ disagree at the start
    scale       a length that makes the distance dimensionless and of size 1
    conditions  the names of the conditions that hold
    """

    pieces: Pieces
    data: tuple[Series, ...]
    jumps: tuple[tuple[Angle, Series], ...]
    time: tuple[float, float] | None
    start: Series | None
    clashes: bool
    scale: float
    conditions: tuple[str, ...]

    def jets(self, coordinates: Sequence[Tensor], indices: Sequence[Index]) -> Tensor:
        """Partial derivatives (C, n, 2) of distance and lift."""
        return partials(lambda x: torch.stack([self.distance(x), self.lift(x)], -1), coordinates, indices)

    def distance(self, x: Coordinates) -> Tensor:
        """(n,), positive inside, about 1 at most."""
        lateral = self.pieces.distance(self._space(x)) / self.scale
        return lateral if self.start is None else lateral * self.elapsed(x)

    def elapsed(self, x: Coordinates) -> Tensor:
        """Part of the time that has passed, (n,)."""
        assert self.time is not None
        return (x[-1] - self.time[0]) / (self.time[1] - self.time[0])

    def lift(self, x: Coordinates) -> Tensor:
        """(n,), in the units of the data."""
        space = self._space(x)
        out = self._lateral(space, torch.zeros_like(x[0]) if self.time is None else x[-1])
        if self.clashes:
            assert self.time is not None
            near = (self.pieces.distance(space) / self.pieces.extent) ** 2 + torch.finfo(out.dtype).tiny
            gone = self.elapsed(x)
            out = out - near / (gone + near) * self._lateral(space, torch.full_like(out, self.time[0]))
        return out if self.start is None else out + at(self.start, space)

    def _lateral(self, space: Coordinates, t: Tensor) -> Tensor:
        """M(x, t), (n,)."""
        jumps = [angle(space) * size(t, t) for angle, size in self.jumps]
        return sum([*jumps, *self._blended(space, t)], torch.zeros_like(t))

    def _blended(self, space: Coordinates, t: Tensor) -> list[Tensor]:
        if not self.blend.edges:
            return []
        weights, places = self.blend.table(space).tensor_split(2, -1)
        terms = zip(self.blend.edges, weights.unbind(-1), places.unbind(-1), strict=True)
        return [w * self.data[k](s, t) for k, w, s in terms]

    @cached_property
    def blend(self) -> Blend:
        return self.pieces.blend()

    def _space(self, x: Coordinates) -> Coordinates:
        return x if self.time is None else x[:-1]

    def to_plain(self) -> dict[str, Any]:
        """Plain numbers and lists, from which `from_plain` makes the same functions."""
        return {
            "pieces": self.pieces.to_plain(),
            "data": [series.to_plain() for series in self.data],
            "jumps": [{"angle": vars(angle).copy(), "size": size.to_plain()} for angle, size in self.jumps],
            "time": self.time and list(self.time),
            "start": self.start and self.start.to_plain(),
            "clashes": self.clashes,
            "scale": self.scale,
            "conditions": list(self.conditions),
        }

    @classmethod
    def from_plain(cls, plain: dict[str, Any]) -> "Lift":
        return cls(
            Pieces.from_plain(plain["pieces"]),
            tuple(map(Series.from_plain, plain["data"])),
            tuple((_angle(jump["angle"]), Series.from_plain(jump["size"])) for jump in plain["jumps"]),
            plain["time"] and tuple(plain["time"]),
            plain["start"] and Series.from_plain(plain["start"]),
            plain["clashes"],
            plain["scale"],
            tuple(plain["conditions"]),
        )


def at(series: Series, space: Coordinates) -> Tensor:
    """A series in one or two coordinates of space, (n,)."""
    return series(space[0], space[1] if len(space) > 1 else torch.zeros_like(space[0]))


def _angle(plain: dict[str, Any]) -> Angle:
    return Angle(**{**plain, "vertex": tuple(plain["vertex"])})
