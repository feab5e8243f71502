"""Rational functions fitted to the boundary conditions of Poisson's equation ("lightning" solver).

Whatever is fitted solves −Δu = f exactly; the fit is a linear least-squares problem on the boundary (Gopal & Trefethen,
SIAM J. Numer. Anal. 57, 2019; for holes Baddoo, "Lightning solvers for potential flows", Fluids 5, 2020), of u and, in
further columns, of the functions that the bound of its error needs, see `certificate`:

the torsion function ψ, −Δψ = 1, and Green's functions G(·, s), both for homogeneous conditions.
"""

from functools import cached_property
from typing import NamedTuple

import numpy as np
import scipy.linalg
import shapely
from numpy.typing import NDArray

from pinnkit.reference.poisson import Conditions, PoissonProblem
from pinnkit.reference.poles import as_points, corner_poles, corners_of, slit_poles
from pinnkit.reference.rational import Array, Basis, Columns, Complex, hessenberg
from pinnkit.reference.rim import Index, Rim, ends, sample
from pinnkit.reference.source import ONE, particular

FITTED = 5.0  # points per pole
DAMPING = 1e-14  # of coefficients, against columns that depend on each other
NEAR_CORNERS = 0.5  # misfits count r^this at a distance r from a vertex, those of fluxes r
LARGEST_EXPONENT = 4.5  # of singular terms that poles are not left alone with
BLOCK = 500  # points evaluated together


class Resolution(NamedTuple):
    """Numbers of poles at the corners (m,), and the degree of polynomials."""

    poles: Index
    degree: int


class Jumps(NamedTuple):
    """Sums of slope · arg((z − start)/(z − end)): their values jump at the corner `start`, their cut lies outside."""

    start: Complex  # (j,)
    end: Complex  # (j,)
    slope: Array  # (j,)

    def columns(self, z: Complex) -> Columns:
        """At points z (n,), the sum as one column."""
        a, b = z[:, None] - self.start, z[:, None] - self.end
        return Columns(np.angle(a / b) @ self.slope[:, None], -1j * (1 / a - 1 / b) @ self.slope[:, None])


class Fit(NamedTuple):
    """The basis with its coefficients (N, 2 + g): of u, of ψ, and of Green's functions."""

    basis: Basis
    coefficients: Array


class Lightning:
    """The fits of one problem at several resolutions.

    Functions stand in columns: u, ψ, and G(·, s) for s the vertices and middles of edges that are free, not Dirichlet.
    """

    def __init__(self, problem: PoissonProblem) -> None:
        self.problem, self.rings, self.polygon = problem, problem.rings, problem.polygon
        self.corners = corners_of(self.rings, self.polygon)
        holes = [shapely.Polygon(as_points(ring)) for ring in self.rings[1:]]
        self.centres = np.array([complex(*shapely.maximum_inscribed_circle(hole).coords[0]) for hole in holes], complex)
        rim = ends(self.rings)
        self._at_ends = problem.conditions(rim)
        self._arriving = 1 + 2 * np.argsort(rim.vertex[1::2])  # where in `ends` edges come to their vertex
        self.inner = problem.frame.inside(problem.domain.sample(4096, "sobol", np.random.default_rng(0)))

    @cached_property
    def jumps(self) -> Jumps:
        """What makes data that jump at a corner between Dirichlet edges continuous."""
        fixed = (self._at_ends.b[::2] == 0) & (self._at_ends.b[self._arriving] == 0)
        slope = (self._at_ends.g[self._arriving] - self._at_ends.g[::2]) / self.corners.angle
        chosen = fixed & (np.abs(slope) > 1e-14 * np.abs(self._at_ends.g).max())
        end = self.corners.vertex + self.corners.reach * self.corners.outward
        return Jumps(self.corners.vertex[chosen], end[chosen], slope[chosen])

    @cached_property
    def free(self) -> NDArray[np.bool_]:
        """Which vertices lie between free edges, and which edges are free: (2 m,)."""
        edges = self._at_ends.b[::2] > 0
        return np.concatenate([edges & (self._at_ends.b[self._arriving] > 0), edges])

    @cached_property
    def exponents(self) -> Array:
        """λ of the leading singular term r^λ at each vertex (m,): π/angle, half of it where conditions change."""
        edges = self._at_ends.b[::2] > 0
        mixed = edges != (self._at_ends.b[self._arriving] > 0)
        return np.pi / self.corners.angle / np.where(mixed, 2, 1)

    @cached_property
    def _charges(self) -> tuple[Complex, Array]:
        """Where G has its poles, and the angle of the domain there."""
        vertex = self.corners.vertex
        middles = vertex + np.concatenate([np.roll(ring, -1) - ring for ring in self.rings]) / 2
        angles = np.append(self.corners.angle, np.full(len(vertex), np.pi))
        return np.append(vertex, middles)[self.free], angles[self.free]

    def known(self, z: Complex) -> Columns:
        """What is known beforehand of all functions: (n, 2 + g)."""
        s, angles = self._charges
        green = Columns(-np.log(np.abs(z[:, None] - s)) / angles, -1 / (z[:, None] - s) / angles)
        u = added(particular(self.problem.source, z), self.jumps.columns(z))
        return Columns(*(np.concatenate(parts, axis=1) for parts in zip(u, particular(ONE, z), green, strict=True)))

    def basis(self, resolution: Resolution) -> tuple[Basis, Rim]:
        """The basis, and the points to fit it on."""
        poles, lengths = corner_poles(self.corners, resolution.poles, self.exponents)
        more, widths = slit_poles(self.rings, self.polygon, poles, resolution.degree / 8)
        poles, lengths = np.append(poles, more), np.append(lengths, widths)
        rim = sample(self.rings, poles, lengths, resolution.degree, FITTED)
        laurent = [hessenberg(1 / (rim.z - c), resolution.degree // 2) for c in self.centres]
        shape = (len(laurent), resolution.degree // 2 + 1, resolution.degree // 2)
        recurrences = hessenberg(rim.z, resolution.degree), np.reshape(laurent, shape).astype(complex)
        return Basis(poles, lengths, *self.powers, recurrences[0], self.centres, recurrences[1]), rim

    @cached_property
    def powers(self) -> tuple[Complex, Array]:
        """Cuts and exponents of the leading singular terms r^p, p = λ, 2λ and 3λ; r^p log r where p is an integer."""
        exponents = np.outer([1, 2, 3], self.exponents)
        chosen = exponents < LARGEST_EXPONENT
        nearest = np.round(exponents)
        integer = np.abs(exponents - nearest) < 1e-6
        cuts = np.stack([self.corners.vertex, self.corners.vertex + self.corners.reach * self.corners.outward])
        which = np.stack([np.where(integer, nearest, exponents), integer.astype(float)])
        return cuts[:, np.nonzero(chosen)[1]], which[:, chosen]

    def fit(self, resolution: Resolution) -> Fit:
        basis, rim = self.basis(resolution)
        conditions = self.problem.conditions(rim)
        known = applied(conditions, rim, self.known(rim.z))
        wanted = np.column_stack([conditions.g - known[:, 0], -known[:, 1:]])
        weights = _weights(rim, conditions)[:, None]
        return Fit(basis, least_squares(weights * _rows(basis, conditions, rim), weights * wanted))

    def values(self, fit: Fit, z: Complex) -> Columns:
        """All functions at points z (n,): (n, 2 + g)."""
        blocks = np.array_split(z, 1 + len(z) // BLOCK)
        each = [added(self.known(part), fit.basis.combined(part, fit.coefficients)) for part in blocks]
        return Columns(*(np.concatenate(parts) for parts in zip(*each, strict=True)))


def _weights(rim: Rim, conditions: Conditions) -> Array:
    return np.where(conditions.b == 0, rim.distance**NEAR_CORNERS, rim.distance / (1 + conditions.a * rim.distance))


def normal_part(rim: Rim, slopes: Complex) -> Array:
    """∂u/∂n for slopes u_x − i u_y (n, m)."""
    return (rim.normal[:, None] * slopes).real


def applied(conditions: Conditions, rim: Rim, columns: Columns) -> Array:
    """a u + b ∂u/∂n for each column (n, m)."""
    return conditions.a[:, None] * columns.values + conditions.b[:, None] * normal_part(rim, columns.slopes)


def _rows(basis: Basis, conditions: Conditions, rim: Rim) -> Array:
    """`applied` to the basis, block by block, as slopes take much memory."""
    blocks = np.array_split(np.arange(len(rim.z)), 1 + len(rim.z) // BLOCK)
    parts = [(conditions.at(k), rim.at(k)) for k in blocks]
    return np.concatenate([applied(some, part, basis.columns(part.z)) for some, part in parts])


def added(one: Columns, other: Columns) -> Columns:
    return Columns(one.values + other.values, one.slopes + other.slopes)


def least_squares(matrix: Array, wanted: Array) -> Array:
    """Coefficients (m, k) that fit matrix (n, m) to each column of `wanted` (n, k).

    By the QR factors of the damped problem, columns scaled; its bias is then taken back by two steps of refinement.
    """
    sizes = np.linalg.norm(matrix, axis=0)
    scaled, m = matrix / sizes, len(sizes)
    damped, padded = np.vstack([scaled, DAMPING * np.eye(m)]), np.vstack([wanted, np.zeros((m, wanted.shape[1]))])
    rotated, R = scipy.linalg.qr_multiply(damped, padded.T)
    found = scipy.linalg.solve_triangular(R, rotated.T)
    for _ in range(2):
        gradient = scaled.T @ (wanted - scaled @ found)
        found += scipy.linalg.solve_triangular(R, scipy.linalg.solve_triangular(R, gradient, trans=1))
    return found / sizes[:, None]
