"""Singular functions at the corners of polygons, and about their holes.

Near a corner of interior angle ω the solution of −∇·(k∇u) = f with smooth data is smooth up to multiples of

    r^λ sin(λφ)  or  r^λ cos(λφ),      λ = m π/ω  for equal types of condition on both sides, else (m − ½) π/ω,

with the sine where the condition at φ = 0 fixes u and the cosine where it fixes the flux (Kondrat'ev 1967; Grisvard
1985). In ζ = log z they are Im and Re of exp(λζ). Where λ is a whole number that is a polynomial, left to the features,
but data that clash in the corner bring its companion ζ exp(λζ). A Robin condition is a flux condition perturbed by
u itself; each perturbation adds terms one power of r higher, with either phase, and one more logarithm where the
first had one.

The branch cut runs outside the domain, along the middle of the outer angle. Where that ray meets the domain again (a
hole, a notch) z is replaced by z/(1 − z/p) with p on the ray, still outside, and the cut ends at p; seen from the
corner this is one more perturbation. Holes themselves bring log r and r^(−m) about a point in them (the logarithmic
conjugation of Axler 1986; Trefethen 2018). All these functions are harmonic: where k is constant they leave the
equation untouched. Where u itself or u_t stands in the equation they are followed by their products with powers of r².
"""

import math
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from functools import lru_cache
from itertools import product
from typing import Any

import numpy as np
import shapely
import torch
from numpy.polynomial import Chebyshev, Polynomial
from numpy.typing import NDArray
from torch import Tensor

from pinnkit.coefficients import NotSecondOrder, boundary_coefficients, condition_on, interior_coefficients
from pinnkit.geometry import Corner, Planar, SpaceTime
from pinnkit.networks import closure, faa_di_bruno
from pinnkit.operators import Index
from pinnkit.problem import Problem
from pinnkit.taylor import leibniz

Array = NDArray[np.float64]
MOST_COLUMNS = 240
HIGHEST_EXPONENT = 12.0  # of unperturbed powers
HIGHEST_PERTURBED = 4.0
HIGHEST_REACTING = 8.0  # of terms multiplied by powers of r²
HIGHEST_LOGARITHM = 3.5
SMOOTH_ENOUGH = 2.5  # a corner whose lowest singular power is above is left to the features
POLES = 8  # powers r^(−m) about each hole
TIME_ORDER = 6  # singular functions of transient problems are multiplied by Chebyshev polynomials of lower degree


_LISTS = ("exponents", "logarithms", "functions", "coefficients")  # what is said of each corner


@dataclass(frozen=True)
class Term:
    """r^(2 squares) times Im (sine) or Re of ζ^logarithms exp(exponent ζ)."""

    exponent: float
    logarithms: int
    sine: bool
    squares: int = 0


@dataclass(frozen=True)
class Singularity:
    """A term about a point.

    z = (x − vertex)/scale, turned so that the branch cut is the negative real axis; φ = 0 at minus half the angle.

    `pole` is the distance along the cut, in units of scale, at which the cut ends.
    """

    vertex: tuple[float, float]
    middle: float
    angle: float
    scale: float
    pole: float
    term: Term


class CornerFunctions:
    """Singular functions as an enrichment of a trial function."""

    def __init__(self, singularities: Sequence[Singularity], time: tuple[float, float] | None = None) -> None:
        self.singularities, self.time = tuple(singularities), time
        self.count = len(self.singularities) * (1 if time is None else TIME_ORDER)

    def to_plain(self) -> dict[str, Any]:
        """Plain numbers and lists, from which `from_plain` makes the same functions."""
        return {
            "singularities": [asdict(s) for s in self.singularities],
            "time": self.time and list(self.time),
        }

    @classmethod
    def from_plain(cls, plain: dict[str, Any]) -> "CornerFunctions":
        singularities = [
            Singularity(**{**s, "vertex": tuple(s["vertex"]), "term": Term(**s["term"])})
            for s in plain["singularities"]
        ]
        return cls(singularities, tuple(plain["time"]) if plain["time"] else None)

    def moved(self, centre: Sequence[float], to: Sequence[float], factor: float) -> "CornerFunctions":
        """The functions under the similarity of the plane x ↦ to + factor (x − centre)."""
        moved = []
        for s in self.singularities:
            x, y = (t + factor * (v - c) for v, c, t in zip(s.vertex, centre, to, strict=True))
            moved.append(replace(s, vertex=(x, y), scale=factor * s.scale))
        return CornerFunctions(moved, self.time)

    def intensities(self, weights: Tensor) -> list[dict[str, Any]]:
        """Coefficients of a steady field at each corner, from the weights (count,) of the functions.

        Near the vertex it is, up to smooth terms, Σ c r^λ (log r)^p sin(λφ), with the cosine where it says so.
        """
        corners: dict[Any, dict[str, Any]] = {}
        for s, weight in zip(self.singularities, weights.tolist(), strict=True):
            if s.angle > 0 and not s.term.squares:
                entry = {"vertex": list(s.vertex), "angle": s.angle} | {key: [] for key in _LISTS}
                lists = corners.setdefault(s.vertex, entry)
                values = s.term.exponent, s.term.logarithms, "sin" if s.term.sine else "cos"
                for key, value in zip(_LISTS, (*values, weight * s.scale**-s.term.exponent), strict=True):
                    lists[key].append(value)
        return list(corners.values())

    def jets(self, coordinates: Sequence[Tensor], indices: Sequence[Index]) -> Tensor:
        """Partial derivatives (C, n, count) at points with these coordinates, (n,) each.

        The functions are analytic in z, so ∂x and ∂y of order m are the m-th derivative times powers of ∂z/∂x and i.
        """
        in_space = [tuple(i for i in index if i < 2) for index in indices]
        wanted = closure(in_space)
        rows = self._in_space(coordinates[0], coordinates[1], wanted)[[wanted.index(index) for index in in_space]]
        if self.time is None:
            return rows
        times = [self._chebyshev(coordinates[2], index.count(2)) for index in indices]
        return torch.stack([(row[:, :, None] * t[:, None, :]).flatten(1) for row, t in zip(rows, times, strict=True)])

    def _in_space(self, x: Tensor, y: Tensor, indices: Sequence[Index]) -> Tensor:
        x0, y0, c, s, half, scale, inverse_pole, exponent, sine, squares = self._parameters(x)
        turn = torch.complex(c, -s) / scale
        z = torch.complex(x[:, None] - x0, y[:, None] - y0) * turn
        derivatives = self._derivatives(z, half, inverse_pole, exponent, max(map(len, indices)))
        rows = []
        for index in indices:
            values = derivatives[len(index)] * turn ** len(index) * 1j ** index.count(1)
            rows.append(torch.where(sine > 0, values.imag, values.real))
        jets, square = torch.stack(rows), _square((x[:, None] - x0) / scale, (y[:, None] - y0) / scale, scale, indices)
        for level in range(int(squares.max())):
            jets = torch.where(squares > level, leibniz(square, jets, indices), jets)
        return jets

    def _parameters(self, like: Tensor) -> Tensor:
        """The parameters of all singularities, (10, count)."""
        rows = [
            (
                *s.vertex,
                *(math.cos(s.middle), math.sin(s.middle)),
                *(s.angle / 2, s.scale, 1 / s.pole, s.term.exponent, s.term.sine, s.term.squares),
            )
            for s in self.singularities
        ]
        return torch.tensor(rows, dtype=like.dtype, device=like.device).T

    def _derivatives(self, z: Tensor, half: Tensor, inverse_pole: Tensor, exponent: Tensor, most: int) -> list[Tensor]:
        """f and its derivatives by z up to order `most`, where f = ζ^p exp(λζ) and ζ = log z − log(1 + z/pole)."""
        beyond = 1 + z * inverse_pole
        moved = z / beyond
        zeta = torch.complex(moved.abs().clamp_min(1e-300).log(), moved.angle() + half)
        inner: dict[Index, Tensor] = {
            (0,) * m: (-1) ** (m - 1) * math.factorial(m - 1) * (z**-m - (inverse_pole / beyond) ** m)
            for m in range(1, most + 1)
        }
        outer = self._by_zeta(zeta, exponent, most)
        return [outer[0], *(faa_di_bruno(outer, inner, (0,) * m) for m in range(1, most + 1))]

    def _by_zeta(self, zeta: Tensor, exponent: Tensor, most: int) -> list[Tensor]:
        """Derivatives of ζ^p exp(λζ) by ζ, with p each singularity's number of logarithms."""
        logarithms = [s.term.logarithms for s in self.singularities]
        powers = [torch.ones_like(zeta)]
        while len(powers) <= max(logarithms):
            powers.append(powers[-1] * zeta)

        def derived(i: int) -> Tensor:  # ∂^i ζ^p = p!/(p − i)! ζ^(p − i), each function with its own p
            weights = [[math.perm(p, i) * (p - i == k) for p in logarithms] for k in range(len(powers))]
            return sum((exponent.new_tensor(w) * power for w, power in zip(weights, powers, strict=True) if any(w)),
                       torch.zeros_like(zeta))  # fmt: skip

        terms = [derived(i) for i in range(min(most, max(logarithms)) + 1)]
        growth = torch.exp(exponent * zeta)
        return [
            growth * sum(math.comb(m, i) * exponent ** (m - i) * terms[i] for i in range(min(m, len(terms) - 1) + 1))
            for m in range(most + 1)
        ]

    def _chebyshev(self, t: Tensor, order: int) -> Tensor:
        """Derivatives of T_j, j < TIME_ORDER, on the time interval scaled to [−1, 1]: (n, TIME_ORDER)."""
        assert self.time is not None
        start, end = self.time
        tau, columns = (2 * t - start - end) / (end - start), []
        for j in range(TIME_ORDER):
            value = torch.zeros_like(tau)
            for coefficient in Chebyshev.basis(j).deriv(order).convert(kind=Polynomial).coef[::-1]:
                value = value * tau + float(coefficient)
            columns.append(value * (2 / (end - start)) ** order)
        return torch.stack(columns, -1)


def _square(x: Tensor, y: Tensor, scale: Tensor, indices: Sequence[Index]) -> Tensor:
    """Jets (C, n, count) of x² + y², for x and y in units of `scale`."""
    nothing = torch.zeros_like(x)
    known = {(): x * x + y * y, (0,): 2 * x / scale, (1,): 2 * y / scale}
    known[0, 0] = known[1, 1] = nothing + 2 / scale**2
    return torch.stack([known.get(index, nothing) for index in indices])


def is_whole(exponent: float) -> bool:
    return abs(exponent - round(exponent)) < 1e-9


def corner_terms(
    angle: float, fixed_after: bool, fixed_before: bool, perturbed: int = 0, reacting: bool = False
) -> list[Term]:
    """The singular terms of a corner.

    `perturbed` is how many logarithms a perturbation adds (1 for Robin conditions), −1 where there is no perturbation.
    `reacting` says whether u itself or u_t stands in the equation.
    """
    shift = 0.0 if fixed_after == fixed_before else 0.5
    found = [(m - shift) * math.pi / angle for m in range(1, int(HIGHEST_EXPONENT * angle / math.pi + shift) + 1)]
    powers = [Term(e, 0, fixed_after) for e in found if not is_whole(e)]
    terms = [Term(e, 1, fixed_after) for e in found if is_whole(e) and e < HIGHEST_LOGARITHM]
    if powers and powers[0].exponent < SMOOTH_ENOUGH:
        terms += powers
    if perturbed >= 0:
        above = [t for term in terms for t in _perturbations(term, perturbed)]
        kept = [t for t in terms if t.exponent < HIGHEST_PERTURBED]
        terms = list({_key(t): t for t in [*kept, *above]}.values())
    return [t for term in terms for t in _with_squares(term)] if reacting else terms


def _with_squares(term: Term) -> list[Term]:
    """The term and its companions r^(2j)· in the expansion of a solution of Δu = c u (Almansi 1899)."""
    most = int(max(HIGHEST_REACTING - term.exponent, 0.0) / 2)
    return [replace(term, squares=j) for j in range(most + 1)]


def _perturbations(term: Term, more_logarithms: int) -> Iterator[Term]:
    for j in (1, 2):
        exponent = term.exponent + j
        highest = term.logarithms + j * more_logarithms if term.logarithms else 0
        for logarithms in range(term.logarithms, highest + 1):
            if exponent < HIGHEST_PERTURBED:
                yield Term(exponent, logarithms, True)
                yield Term(exponent, logarithms, False)


def _key(term: Term) -> tuple[float, int, bool]:
    return round(term.exponent, 9), term.logarithms, term.sine


def corner_functions(problem: Problem) -> CornerFunctions | None:
    """The singular functions of a planar diffusion problem (the strongest, if they are too many); None without any.

    Corners between pieces whose conditions cannot be read as α u + β (A∇u)·n = g, or where A is no multiple of the
    identity, are left out. A piece without a condition brings the functions of both types.
    """
    domain = _space(problem)
    if not isinstance(domain, Planar) or len(problem.fields) != 1:
        return None
    found = [s for corner in domain.corners for s in _of_corner(problem, domain, corner)]
    found += [s for hole in domain.polygon.interiors for s in _of_hole(hole)] if found else []
    time = problem.domain.time if isinstance(problem.domain, SpaceTime) else None
    most = MOST_COLUMNS // (1 if time is None else TIME_ORDER)
    found = sorted(found, key=_strength)[:most]
    return CornerFunctions(found, time) if found else None


def _strength(s: Singularity) -> float:
    """Less for stronger singularities."""
    return abs(s.term.exponent) + 2 * s.term.squares - 0.5 * s.term.logarithms


def _space(problem: Problem) -> Any:
    return problem.domain.space if isinstance(problem.domain, SpaceTime) else problem.domain


def singular_corners(problem: Problem) -> list[Corner]:
    """Corners with singular functions of their own."""
    domain = _space(problem)
    if not isinstance(domain, Planar) or len(problem.fields) != 1:
        return []
    return [corner for corner in domain.corners if _terms(problem, domain, corner)]


def _of_corner(problem: Problem, domain: Planar, corner: Corner) -> list[Singularity]:
    reach = reach_of(domain, corner)
    scale = max(corner.lengths) if math.isinf(reach) else reach
    middle = corner.direction + corner.angle / 2
    vertex = (float(corner.vertex[0]), float(corner.vertex[1]))
    return [
        Singularity(vertex, middle, corner.angle, scale, reach / scale / 2, term)
        for term in _terms(problem, domain, corner, math.isfinite(reach))
    ]


def _of_hole(hole: shapely.LinearRing) -> list[Singularity]:
    """log r, Re and Im of z^(−m) about the centre of the largest disc in a hole."""
    inside = shapely.Polygon(hole)
    disc = shapely.maximum_inscribed_circle(inside)
    centre = shapely.get_coordinates(disc)[0]
    terms = [Term(0.0, 1, False)] + [Term(-float(m), 0, sine) for m in range(1, POLES + 1) for sine in (True, False)]
    return [
        Singularity((float(centre[0]), float(centre[1])), 0.0, 0.0, float(disc.length), math.inf, term)
        for term in terms
    ]


def _terms(problem: Problem, domain: Planar, corner: Corner, cut: bool = False) -> list[Term]:
    known = _known(problem, domain)
    if known is None or not set(corner.pieces) <= known.types.keys():
        return []
    before, after = (known.types[piece] for piece in corner.pieces)
    if before is after is None:
        return []
    perturbed = 1 if "robin" in (before, after) else 0 if cut else -1
    fixed_after, fixed_before = ([True, False] if kind is None else [kind == "dirichlet"] for kind in (after, before))
    pairs, reacting = product(fixed_after, fixed_before), tuple(corner.vertex) in known.reacting
    return list(dict.fromkeys(t for a, b in pairs for t in corner_terms(corner.angle, a, b, perturbed, reacting)))


@dataclass(frozen=True)
class _Known:
    """What corners need to know of a problem.

    types      dirichlet, neumann or robin of each piece, None where there is no condition; pieces are left out where
               the condition cannot be read, or A is no multiple of the identity
    reacting   vertices where the equation has a term in u itself or in u_t
    """

    types: dict[str, str | None]
    reacting: set[tuple[float, ...]]


@lru_cache(maxsize=64)
def _known(problem: Problem, domain: Planar) -> _Known | None:
    """Asked at the vertices and in the middle of edges, all at once; None where the equation cannot be read."""
    starts, ends = (np.array([edge[i] for edge in domain.edges.values()]) for i in (0, 1))
    vertices = np.array([corner.vertex for corner in domain.corners])
    middles, normals = (starts + ends) / 2, (ends - starts)[:, ::-1] * [1, -1]
    normals = normals / np.hypot(*normals.T)[:, None]
    if isinstance(problem.domain, SpaceTime):
        instant = np.full((len(middles) + len(vertices), 1), np.mean(problem.domain.time))
        middles, vertices = np.split(np.hstack([np.concatenate([middles, vertices]), instant]), [len(middles)])
        normals = np.hstack([normals, 0 * instant[: len(normals)]])
    try:
        found = interior_coefficients(problem, np.concatenate([middles, vertices]))
    except NotSecondOrder:
        return None
    reacts = (found.reaction != 0) | (found.capacity != 0)
    at = {tuple(vertex[:2]) for vertex, yes in zip(vertices, reacts[len(middles) :], strict=True) if yes}
    isotropic = [np.allclose(A, np.eye(2) * A[0, 0], rtol=1e-9, atol=0.0) for A in found.diffusion[: len(middles)]]
    pieces = [piece for piece, yes in zip(domain.edges, isotropic, strict=True) if yes]
    places = {piece: i for i, piece in enumerate(domain.edges)}
    return _Known(_types(problem, pieces, middles, normals, places), at)


def _types(
    problem: Problem, pieces: Sequence[str], middles: Array, normals: Array, places: dict[str, int]
) -> dict[str, str | None]:
    on: dict[str, list[str]] = {}
    types: dict[str, str | None] = {}
    for piece in pieces:
        with suppress(NotSecondOrder):
            name = condition_on(problem, piece)
            if name is None:
                types[piece] = None
            else:
                on.setdefault(name, []).append(piece)
    for name, its in on.items():
        with suppress(NotSecondOrder):
            rows = [places[piece] for piece in its]
            found = boundary_coefficients(problem, name, middles[rows], normals[rows])
            for piece, alpha, beta in zip(its, found.alpha, found.beta, strict=True):
                types[piece] = "dirichlet" if beta == 0 else "robin" if alpha != 0 else "neumann"
    return types


def reach_of(domain: Planar, corner: Corner) -> float:
    """Distance from the corner at which its branch cut would enter the domain again; infinite if it never does."""
    middle = corner.direction + corner.angle / 2 + math.pi
    heading = np.array([math.cos(middle), math.sin(middle)])
    size = float(np.ptp(domain.bounds, axis=0).sum())
    ray = shapely.LineString([corner.vertex + 1e-9 * size * heading, corner.vertex + size * heading])
    inside = shapely.intersection(ray, domain.polygon)
    if inside.is_empty or inside.length < 1e-9 * size:
        return math.inf
    return float(shapely.distance(inside, shapely.Point(corner.vertex)))
