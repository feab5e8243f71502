"""Distance functions of boundary pieces, and the weights that blend data given on them.

A distance function vanishes on its pieces and nowhere else in the closed domain. Where the line of an edge meets the
domain in that edge alone, it is the distance from the line; else that of the segment of length L with middle c,

    √(f² + ((√(t² + f⁴/L²) − t)/2)²),    f: distance from the line,  t = ((L/2)² − |x − c|²)/L,

which has unit normal derivative on the segment and is smooth off its ends (Biswas & Shapiro 2004). Segments are joined
by R-equivalence 1/(Σ 1/dᵢ) (Rvachev; Sukumar & Srivastava, CMAME 389, 2022), lines by a product, which is smooth.

Data hᵢ on the edges are blended as u(x) = Σ wᵢ(x) hᵢ(sᵢ(x)), with sᵢ a place on edge i near x: on a box by linear
blending along each axis and their Boolean sum (Coons 1967; Gordon 1971), which is smooth, elsewhere by the inverse
distances wᵢ = dᵢ⁻¹/Σ dⱼ⁻¹ (Rvachev, Sheiko, Shapiro & Tsukanov 2001).

Everything is a function of tensors of coordinates, (n,) each, that can be differentiated, also next to edges and
vertices, where powers of 1/dᵢ would cancel: they are multiplied out.
"""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from itertools import accumulate, product
from typing import Any, NamedTuple

import numpy as np
import shapely
import torch
from numpy.typing import NDArray
from torch import Tensor

from pinnkit.geometry.domain import Domain
from pinnkit.geometry.interval import Interval
from pinnkit.geometry.polygon import Planar

SAME = 1e-9  # part of the extent within which a line meets the domain in an edge, or a polygon is a box
NEAR = 1e-3  # part of the extent within which powers of 1/d are multiplied out
REACH = 0.1  # parts of an edge beyond its ends that data are continued along it
Coordinates = Sequence[Tensor]


@dataclass(frozen=True)
class Edge:
    """An edge of a planar domain, or an end of an interval (then start = end); `inward` is the unit normal.

    `line`: the whole line of the edge meets the closed domain in this edge only.
    """

    name: str
    start: tuple[float, ...]
    end: tuple[float, ...]
    inward: tuple[float, ...]
    line: bool

    @property
    def length(self) -> float:
        return float(np.hypot.reduce(np.subtract(self.end, self.start)))

    def height(self, x: Coordinates) -> Tensor:
        """Signed distance from the line, positive inside, (n,)."""
        return sum(((c - a) * n for c, a, n in zip(x, self.start, self.inward, strict=True)), torch.zeros_like(x[0]))

    def distance(self, x: Coordinates) -> Tensor:
        """Distance function of the edge, (n,)."""
        return self.height(x) if self.line else self._of_segment(x)

    def _of_segment(self, x: Coordinates) -> Tensor:
        """The formula above; beside the segment (t > 0) as |f| √(1 + …), which keeps its derivatives at f = 0."""
        f, length = self.height(x), self.length
        ends = zip(x, self.start, self.end, strict=True)
        t = length / 4 - sum(((c - (a + b) / 2) ** 2 for c, a, b in ends), torch.zeros_like(f)) / length
        beside, tiny = t > 0, torch.finfo(f.dtype).tiny ** 0.25 * length
        near, far = torch.where(beside, t, length), torch.where(beside, -length, t)
        ratio = f**3 / (2 * length**2 * ((near**2 + (f**2 / length) ** 2).sqrt() + near))
        facing = torch.where(f > -SAME * length, 1.0, -1.0).to(f)
        f_off = torch.where(beside, length, f)
        trimmed = ((far**2 + (f_off**2 / length) ** 2 + tiny**2).sqrt() - far) / 2
        return torch.where(beside, facing * f * (1 + ratio**2).sqrt(), (f_off**2 + trimmed**2 + tiny**2).sqrt())

    def place(self, x: Coordinates) -> Tensor:
        """s, (n,), of a point start + s (end − start) of the edge, x itself on the edge.

        It is the nearest point of the line, levelling off smoothly beyond the ends. At re-entrant corners, where the
        domain is on both sides of an end, it is r₀/(r₀ + r₁) from the distances to the ends, between 0 and 1.
        """
        if self.start == self.end:
            return torch.zeros_like(x[0])
        if not self.line:
            r = [self._from(end, x) for end in (self.start, self.end)]
            return r[0] / (r[0] + r[1])
        along = (np.subtract(self.end, self.start) / self.length**2).tolist()
        s = sum(((c - a) * d for c, a, d in zip(x, self.start, along, strict=True)), torch.zeros_like(x[0]))
        return s + _excess(-s) - _excess(s - 1)

    def _from(self, vertex: tuple[float, ...], x: Coordinates) -> Tensor:
        tiny = torch.finfo(x[0].dtype).tiny ** 0.5
        return sum(((c - a) ** 2 for c, a in zip(x, vertex, strict=True)), torch.full_like(x[0], tiny)).sqrt()

    def at(self, s: Tensor) -> list[Tensor]:
        """Coordinates, (n,) each, of the places s."""
        return [a + (b - a) * s for a, b in zip(self.start, self.end, strict=True)]


def _excess(beyond: Tensor) -> Tensor:
    """e − e/(1 + (e/REACH)⁴)^¼ for e > 0, else 0."""
    e = beyond.clamp_min(0)
    return e - e / (1 + (e / REACH) ** 4) ** 0.25


def edges_of(domain: Domain, names: Sequence[str]) -> list[Edge]:
    """Boundary pieces of an interval or a planar domain."""
    if isinstance(domain, Interval):
        (lower,), (upper,) = domain.bounds.tolist()
        ends = {"left": ((lower,), (1.0,)), "right": ((upper,), (-1.0,))}
        return [Edge(name, ends[name][0], ends[name][0], ends[name][1], True) for name in names]
    assert isinstance(domain, Planar)
    return [_edge(domain, name) for name in names]


def _edge(domain: Planar, name: str) -> Edge:
    start, end = domain.edges[name]
    along = (end - start) / np.hypot(*(end - start))
    size = float(np.ptp(domain.bounds, axis=0).sum())
    line = shapely.LineString([start - size * along, end + size * along])
    met = shapely.intersection(line, domain.polygon.buffer(SAME * size, join_style="mitre"))
    alone = met.geom_type == "LineString" and met.length < float(np.hypot(*(end - start))) + 1e-5 * size
    return Edge(
        name,
        tuple(start.tolist()),
        tuple(end.tolist()),
        (-float(along[1]), float(along[0])),
        alone,
    )


class Blend(NamedTuple):
    """Σ weight · h(edge, place): weights and places, (n, K), of K terms on these edges.

    The places of the last `fixed` terms are ends of their edges.
    """

    edges: tuple[int, ...]
    table: Callable[[Coordinates], Tensor]  # (n, 2K), weights before places
    fixed: int = 0


@dataclass(frozen=True)
class Pieces:
    """Boundary pieces of a domain with its extent; `box` if the domain is the box of these bounds."""

    edges: tuple[Edge, ...]
    extent: float
    box: tuple[tuple[float, ...], ...] | None

    @classmethod
    def of(cls, domain: Domain, names: Sequence[str]) -> "Pieces":
        """Pieces by their names; the domain is an interval or planar."""
        sides = np.ptp(domain.bounds, axis=0)
        boxed = len(domain.pieces) == 2 * domain.dimension and domain.measure > (1 - SAME) * sides.prod()
        bounds = tuple(map(tuple, domain.bounds.tolist())) if boxed else None
        return cls(tuple(edges_of(domain, names)), float(sides.max()), bounds)

    @property
    def smooth(self) -> bool:
        """Whether distance and blended data have no kinks in vertices."""
        ends = [end for edge in self.edges for end in (edge.start, edge.end)]
        return self.box is not None or (all(edge.line for edge in self.edges) and len(set(ends)) == len(ends))

    def to_plain(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_plain(cls, plain: dict[str, Any]) -> "Pieces":
        edges = [Edge(**{key: _tupled(value) for key, value in edge.items()}) for edge in plain["edges"]]
        return cls(tuple(edges), plain["extent"], _tupled(plain["box"]))

    def distance(self, x: Coordinates) -> Tensor:
        """A distance function of all the pieces, (n,), a length."""
        out = torch.full_like(x[0], self.extent)
        for edge in self.edges:
            if edge.line:
                out = out * edge.height(x) / self.extent
        segments = [edge.distance(x) / self.extent for edge in self.edges if not edge.line]
        return out * _inverse_weights(segments)[1] if segments else out

    def blend(self, zeros: Sequence[int] = ()) -> Blend:
        """The interpolation of data on the edges, from data that vanish on the edges `zeros` of their own."""
        if self.box is not None:
            return self._boolean_sum(zeros)
        others = tuple(k for k in range(len(self.edges)) if k not in zeros)
        return Blend(others, partial(self._inverse_distance, others, tuple(zeros)))

    def _inverse_distance(self, others: Sequence[int], zeros: Sequence[int], x: Coordinates) -> Tensor:
        edges = [self.edges[k] for k in others]
        places = [edge.place(x) for edge in edges]
        weights, _ = _inverse_weights([edge.distance(x) / self.extent for edge in edges])
        own = self._product(zeros, x)
        factors = [own / self._product(zeros, edge.at(s)) for edge, s in zip(edges, places, strict=True)]
        return torch.stack([*(w * f for w, f in zip(weights, factors, strict=True)), *places], -1)

    def _product(self, zeros: Sequence[int], x: Coordinates) -> Tensor:
        out = torch.ones_like(x[0])
        for k in zeros:
            out = out * self.edges[k].distance(x) / self.extent
        return out

    def _boolean_sum(self, zeros: Sequence[int]) -> Blend:
        """P₁ + P₂ − P₁P₂, with Pᵢ the linear blending along axis i; terms without data are left out."""
        assert self.box is not None
        faces: list[list[int]] = [[] for _ in self.box[0]]
        for k, edge in enumerate(self.edges):
            faces[int(np.argmax(np.abs(edge.inward)))].append(k)
        kept = [k for axis in faces for k in axis if k not in zeros]
        corners = [pair for pair in product(*faces) if len(pair) == 2 and pair[0] not in zeros]
        edges = (*kept, *(k for k, _ in corners))
        return Blend(edges, partial(self._blended, faces, kept, corners), len(corners))

    def _blended(
        self,
        faces: Sequence[Sequence[int]],
        kept: Sequence[int],
        corners: Sequence[tuple[int, ...]],
        x: Coordinates,
    ) -> Tensor:
        weight = {k: self._face_weight(k, axis, x) for axis in faces for k in axis}
        places = [self.edges[k].place(x) for k in kept]
        ends = [torch.full_like(x[0], self._corner_place(k, other)) for k, other in corners]
        products = [-weight[k] * weight[other] for k, other in corners]
        return torch.stack([*(weight[k] for k in kept), *products, *places, *ends], -1)

    def _face_weight(self, k: int, axis: Sequence[int], x: Coordinates) -> Tensor:
        """Linear from 1 on this face to 0 on the opposite one, if that is among the pieces; else 1."""
        opposite = [self.edges[other] for other in axis if other != k]
        if not opposite:
            return torch.ones_like(x[0])
        there = opposite[0].height(x)
        return there / (there + self.edges[k].height(x))

    def _corner_place(self, k: int, other: int) -> float:
        """0 or 1: the end at which an edge meets another one."""
        gap = self._ends(k)[:, None] - self._ends(other)
        return float(np.argmin(np.linalg.norm(gap, axis=-1).min(1)))

    def _ends(self, k: int) -> NDArray[np.float64]:
        return np.array([self.edges[k].start, self.edges[k].end])


def _inverse_weights(distances: Sequence[Tensor]) -> tuple[list[Tensor], Tensor]:
    """dᵢ⁻¹/Σ dⱼ⁻¹ and 1/Σ dⱼ⁻¹ of distances in units of the extent, with the denominators multiplied out.

    sᵢ = max(dᵢ, NEAR) keeps the products of many far edges from underflow; it cancels.
    """
    floor = torch.finfo(distances[0].dtype).eps ** 2  # equal weights at a vertex itself
    d = [distance + floor for distance in distances]
    s = [distance.detach().clamp_min(NEAR) for distance in d]
    q = [a / b for a, b in zip(d, s, strict=True)]
    ones = torch.ones_like(q[0])
    before = list(accumulate(q, torch.mul, initial=ones))
    after = list(accumulate(reversed(q), torch.mul, initial=ones))[::-1]
    raw = [a * b / c for a, b, c in zip(before[:-1], after[1:], s, strict=True)]
    total = sum(raw, torch.zeros_like(ones))
    return [w / total for w in raw], before[-1] / total


def _tupled(value: Any) -> Any:
    return tuple(map(_tupled, value)) if isinstance(value, list | tuple) else value
