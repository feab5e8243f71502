"""Adaptive quartic finite elements on polygons with holes, steady and transient, each with its own error.

The linear problem, in strong form, with piecewise named boundary conditions (Dirichlet where beta = 0):

    capacity u_t − ∇·(A ∇u) + b·∇u + c u = f,        alpha u + beta (A ∇u)·n = g,        u(t₀) = u₀.

Meshes are refined where the solution is rough: the *surplus* of an element is what its quartic loses by
projection to cubics. Elements are marked (Dörfler, SIAM J. Numer. Anal. 33, 1996) for the surplus both in
energy, which grades the mesh to corners, and in L2, which resolves the smooth part; so every level shrinks
all of the error, and the distances d between successive solutions form a nearly geometric sequence, whose
tail d·q/(1 − q) is the error estimate.
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from functools import cache, cached_property
from typing import Any, NamedTuple, Self

import numpy as np
import shapely
import skfem
from numpy.typing import NDArray
from scipy.sparse import coo_matrix, csc_matrix, csr_matrix
from scipy.sparse.linalg import SuperLU, splu
from skfem.quadrature import get_quadrature
from skfem.refdom import RefTri

from pinnkit.errors import BadInput
from pinnkit.forms import BoundaryCoefficients, Coefficients
from pinnkit.reference.mesh import PlanarDomain, locate, nearest_pieces, triangulate

Array = NDArray[np.float64]
Index = NDArray[np.intp]

QUADRATURE_ORDER = 8  # exact for the mass matrix of quartics
BULK = 0.7  # of the squared surplus that the marked elements carry (Dörfler's θ)
ATTEMPTS = 5  # at a fine enough sequence of time steps
COARSEST, FINEST = 3, 30  # halvings of the time span that make a time step
FEWEST_DISTANCES = 3  # before an error estimate is believed
SAFETY = 2.0  # factor of the error estimates
CORNER_STEPS = 2  # further refinements, per level, about rough corners
NEWTON_STEPS = 30


@dataclass(frozen=True)
class BoundaryValueProblem:
    """A linear second-order problem as functions of points (n, 2) and time.

    interior:   (points, t) -> Coefficients
    boundary:   (piece name, points, unit outward normals (n, 2), t) -> BoundaryCoefficients
    initial:    points -> u₀ (n,); None for steady problems
    """

    interior: Callable[[Array, float], Coefficients]
    boundary: Callable[[str, Array, Array, float], BoundaryCoefficients]
    initial: Callable[[Array], Array] | None = None


Linearise = Callable[[Array, Array, Array], Coefficients]  # points, current u (n,), current ∇u (n, 2)


class System(NamedTuple):
    """The discrete problem M u' + K u = F on the degrees of freedom that are not fixed."""

    stiffness: csr_matrix  # K (N, N)
    mass: csr_matrix  # M (N, N), weighted by the capacity
    load: Array  # F (N,)
    diffusion: Array  # A at the quadrature points (m, q, 2, 2), for the surplus


class Elements:
    """Quartic elements on triangles with the given corners (m, 3, 2) and degrees of freedom (m, 15)."""

    def __init__(self, corners: Array, dofs: Index) -> None:
        self.corners, self.dofs = corners, dofs
        self.inverses = np.linalg.inv((corners[:, 1:] - corners[:, :1]).transpose(0, 2, 1))

    @cached_property
    def tree(self) -> shapely.STRtree:
        return shapely.STRtree(shapely.polygons(self.corners))

    def interpolation(self, points: Array, cells: Index | None = None) -> tuple[Index, Array]:
        """Degrees of freedom and shape functions, both (n, 15), whose products sum to u at points (n, 2).

        The points lie in the given cells (n,); without them, in the cells that hold them or are nearest.
        """
        cells = locate(self.tree, points) if cells is None else cells
        local = self.inverses[cells] @ (points - self.corners[cells, 0])[..., None]
        return self.dofs[cells], _shapes(local[..., 0])


class Space:
    """Continuous quartics on a mesh of the domain."""

    def __init__(self, domain: PlanarDomain, mesh: skfem.MeshTri) -> None:
        self.mesh = mesh
        self.pieces = tuple(domain.edges)
        self.basis = skfem.Basis(mesh, skfem.ElementTriP4(), intorder=QUADRATURE_ORDER)
        self.rim = skfem.FacetBasis(mesh, skfem.ElementTriP4(), intorder=2 * QUADRATURE_ORDER)
        self.facet_pieces = nearest_pieces(domain, mesh.p[:, mesh.facets[:, self.rim.find]].mean(axis=1).T)
        self.elements = Elements(mesh.p.T[mesh.t.T], self.basis.element_dofs.T)
        self.points = _flat(np.asarray(self.basis.global_coordinates()))  # (m q, 2), of the quadrature
        self.weights: Array = self.basis.dx  # (m, q)
        self.shapes = _shapes(self.basis.X.T)  # (q, 15)
        self.size: int = self.basis.N

    @cached_property
    def gradients(self) -> Array:
        """Gradients of the shape functions at the quadrature points: (m, q, 2, 15)."""
        fields = [np.broadcast_to(field[0].grad, (2, *self.weights.shape)) for field in self.basis.basis]
        return np.ascontiguousarray(np.stack(fields).transpose(2, 3, 1, 0))

    @cached_property
    def rim_shapes(self) -> Array:
        """Shape functions at the quadrature points of the boundary facets: (k, q, 15)."""
        fields = [np.broadcast_to(np.asarray(field[0]), self.rim.dx.shape) for field in self.rim.basis]
        return np.stack(fields, axis=-1)

    def values(self, u: Array) -> Array:
        """u at the quadrature points: (m, q)."""
        return u[self.elements.dofs] @ self.shapes.T

    def slopes(self, u: Array) -> Array:
        """∇u at the quadrature points: (m, q, 2)."""
        return self._slopes(u[self.elements.dofs])

    def _slopes(self, nodal: Array) -> Array:
        return np.matmul(self.gradients, nodal[:, None, :, None])[..., 0]

    def norm(self, values: Array) -> float:
        """L2 norm of a function given at the quadrature points (m, q)."""
        return float(np.sqrt((values**2 * self.weights).sum()))

    def surpluses(self, u: Array, diffusion: Array) -> Array:
        """Squared energy and L2 norms, per element, of what the quartic u loses as a cubic: (2, m)."""
        lost = u[self.elements.dofs] @ _cubic_defect().T
        slopes = self._slopes(lost)
        energy = (slopes[..., None, :] @ diffusion @ slopes[..., None])[..., 0, 0]
        return (np.stack([energy, (lost @ self.shapes.T) ** 2]) * self.weights).sum(axis=-1)

    def prolongation(self, coarse: "Space") -> csr_matrix:
        """From the degrees of freedom of a coarser space to values at the quadrature points: (m q, N)."""
        parents = locate(coarse.elements.tree, self.elements.corners.mean(axis=1))
        dofs, shapes = coarse.elements.interpolation(self.points, np.repeat(parents, len(self.shapes)))
        starts = np.arange(0, dofs.size + 1, dofs.shape[1])
        return csr_matrix((shapes.ravel(), dofs.ravel(), starts), shape=(len(dofs), coarse.size))

    def matrix(self, cells: Array, dofs: Index) -> csr_matrix:
        """The sum of element matrices (m, 15, 15) of elements with the given degrees of freedom (m, 15)."""
        rows, columns = np.repeat(dofs, 15, axis=1), np.tile(dofs, 15)
        entries = cells.ravel(), (rows.ravel(), columns.ravel())
        return coo_matrix(entries, shape=(self.size, self.size)).tocsr()

    def vector(self, cells: Array, dofs: Index) -> Array:
        """The sum of element vectors (m, 15)."""
        total = np.bincount(dofs.ravel(), weights=cells.ravel(), minlength=self.size)
        return total.astype(np.float64, copy=False)

    def facets_by_piece(self) -> Iterator[tuple[str, Index]]:
        """Each boundary piece with its facets, as positions in `rim`."""
        order = np.argsort(self.facet_pieces, kind="stable")
        bounds = np.searchsorted(self.facet_pieces[order], np.arange(len(self.pieces) + 1))
        for piece, first, last in zip(self.pieces, bounds, bounds[1:], strict=False):
            if last > first:
                yield piece, order[first:last]


def _flat(coordinates: Array) -> Array:
    """Points (2, m, q) as (m q, 2)."""
    return coordinates.reshape(2, -1).T


def _monomials(points: Array, degree: int) -> Array:
    """The monomials 1, y, …, x^degree at points (n, 2): (n, (degree + 1)(degree + 2) / 2)."""
    x, y = (column[:, None] ** np.arange(degree + 1) for column in points.T)
    exponents = [(i, j) for i in range(degree + 1) for j in range(degree + 1 - i)]
    return np.stack([x[:, i] * y[:, j] for i, j in exponents], axis=1)


@cache
def _shape_coefficients() -> Array:
    """The quartic shape functions by monomials: (15, 15)."""
    return np.asarray(np.linalg.inv(_monomials(skfem.ElementTriP4.doflocs, 4)), dtype=np.float64)


def _shapes(points: Array) -> Array:
    """The quartic shape functions at points (n, 2) of the reference triangle: (n, 15)."""
    return _monomials(points, 4) @ _shape_coefficients()


@cache
def _cubic_defect() -> Array:
    """Nodal matrix (15, 15) of 1 − Π, Π being the L2 projection of quartics to cubics on a triangle."""
    points, weights = get_quadrature(RefTri, QUADRATURE_ORDER)
    cubics = _monomials(points.T, 3)
    weighted = cubics.T * weights
    coefficients = np.linalg.solve(weighted @ cubics, weighted @ _shapes(points.T))
    return np.eye(15) - _monomials(skfem.ElementTriP4.doflocs, 3) @ coefficients


def assemble(space: Space, problem: BoundaryValueProblem, coefficients: Coefficients, t: float) -> System:
    """The weak form: ∫ A∇u·∇v + (b·∇u + c u) v + ∫_∂ (alpha/beta) u v  =  ∫ f v + ∫_∂ (g/beta) v."""
    weights, shapes, gradients, dofs = space.weights, space.shapes, space.gradients, space.elements.dofs
    cells, nodes = weights.shape
    diffusion = coefficients.diffusion.reshape(cells, nodes, 2, 2)
    convection = coefficients.convection.reshape(cells, nodes, 1, 2)
    reaction = coefficients.reaction.reshape(cells, nodes) * weights
    capacity = coefficients.capacity.reshape(cells, nodes) * weights
    flux = (weights[..., None, None] * diffusion) @ gradients
    stiffness = gradients.reshape(cells, -1, 15).transpose(0, 2, 1) @ flux.reshape(cells, -1, 15)
    if convection.any():
        stiffness += shapes.T @ (weights[..., None] * (convection @ gradients)[:, :, 0])
    stiffness += shapes.T @ (reaction[..., None] * shapes)
    mass = space.matrix(shapes.T @ (capacity[..., None] * shapes), dofs)
    exchange, influx = _natural_conditions(space, problem, t)
    load = _source_load(space, coefficients.source) + influx
    return System(space.matrix(stiffness, dofs) + exchange, mass, load, diffusion)


def _source_load(space: Space, source: Array) -> Array:
    """∫ f v for f (m q,) at the quadrature points."""
    weighted = source.reshape(space.weights.shape) * space.weights
    return space.vector(weighted @ space.shapes, space.elements.dofs)


def _natural_conditions(space: Space, problem: BoundaryValueProblem, t: float) -> tuple[csr_matrix, Array]:
    """Matrix and load of the Neumann and Robin pieces."""
    points, normals = np.asarray(space.rim.global_coordinates()), np.asarray(space.rim.normals)
    transfer, influx = np.zeros((2, *space.rim.dx.shape))
    for piece, facets in space.facets_by_piece():
        given = problem.boundary(piece, _flat(points[:, facets]), _flat(normals[:, facets]), t)
        if given.beta.any():
            transfer[facets] = (given.alpha / given.beta).reshape(len(facets), -1)
            influx[facets] = (given.g / given.beta).reshape(len(facets), -1)
    dofs, shapes = space.rim.element_dofs.T, space.rim_shapes
    cells = shapes.transpose(0, 2, 1) @ ((space.rim.dx * transfer)[..., None] * shapes)
    loads = np.einsum("kq,kqi->ki", space.rim.dx * influx, shapes)
    return space.matrix(cells, dofs), space.vector(loads, dofs)


def dirichlet_values(space: Space, problem: BoundaryValueProblem, t: float) -> Array:
    """g / alpha at the degrees of freedom on Dirichlet pieces, NaN at the free ones: (N,)."""
    values = np.full(space.size, np.nan)
    for piece, facets in space.facets_by_piece():
        names = space.rim.find[facets]
        ends = space.basis.nodal_dofs[0, space.mesh.facets[:, names]]
        dofs = np.concatenate([ends, space.basis.facet_dofs[:, names]])
        normals = np.repeat(np.asarray(space.rim.normals)[:, None, facets, 0], len(dofs), axis=1)
        given = problem.boundary(piece, _flat(space.basis.doflocs[:, dofs]), _flat(normals), t)
        if not given.beta.any():
            values[dofs.ravel()] = given.g / given.alpha
    return values


def _factorised(matrix: csc_matrix) -> SuperLU:
    """LU factors of a matrix with symmetric pattern; BadInput("problem") if it is singular."""
    symmetric = {"SymmetricMode": True}
    try:
        return splu(matrix, permc_spec="MMD_AT_PLUS_A", diag_pivot_thresh=0.01, options=symmetric)
    except RuntimeError as error:
        raise _not_unique() from error


def _not_unique() -> BadInput:
    return BadInput("problem", "the solution is not unique or not finite", "fix u on a part of the boundary")


def _solve(system: System, fixed: Array) -> Array:
    """The u (N,) with K u = F on the free degrees of freedom and the given values (not NaN) on the others."""
    free = np.flatnonzero(np.isnan(fixed))
    u = np.nan_to_num(fixed)
    rows = system.stiffness[free]
    if len(free) == len(fixed) and abs(rows.sum(axis=1)).max() <= 1e-12 * abs(rows).max():
        raise _not_unique()  # constants solve the homogeneous problem
    u[free] = _factorised(rows[:, free].tocsc()).solve(system.load[free] - rows @ u)
    if not np.isfinite(u).all():
        raise _not_unique()
    return u


class Solved(NamedTuple):
    """Snapshots of a solution on one mesh: a single one if steady, else one at the end of each time step.

    The initial state is left out: where it disagrees with the boundary data, no mesh resolves it, and it
    lasts no time.
    """

    snapshots: Array  # (k, N)
    weights: Array  # (k,), the lengths of the time steps
    diffusion: Array  # A at the quadrature points (m, q, 2, 2)


Solver = Callable[[Space, tuple[Space, Solved] | None], Solved]  # of one level, from the level before


def _adapt(domain: PlanarDomain, solve: Solver, tolerance: float, max_dofs: int) -> tuple[Space, Solved, float]:
    """Solve on finer and finer meshes until the estimated relative L2 error is below the tolerance."""
    corners = sum(len(ring) for ring in domain.rings)
    space = Space(domain, triangulate(domain))
    solved, distances = solve(space, None), []
    while True:
        coarse, before = space, solved
        space = Space(domain, _refined(coarse, before, corners))
        solved = solve(space, (coarse, before))
        distances.append(_distance(space, solved, coarse, before))
        error = _tail(distances)
        if not np.isfinite(error):
            raise _not_unique()
        if (error <= tolerance and len(distances) >= FEWEST_DISTANCES) or space.size >= max_dofs:
            return space, solved, error


def _refined(space: Space, solved: Solved, corners: int) -> skfem.MeshTri:
    """The mesh refined where the surplus is large, and further about vertices of the polygon.

    These are the first `corners` of the mesh; those where the surplus is large in energy are taken to be
    algebraic singularities, which need many levels of refinement in few elements.
    """
    each = [space.surpluses(u, solved.diffusion) for u in solved.snapshots]
    energy, square = np.tensordot(solved.weights, each, axes=1)
    rough = _bulk(energy)
    vertices = np.unique(space.mesh.t[:, rough])
    mesh = space.mesh.refined(np.union1d(rough, _bulk(square)))
    for _ in range(CORNER_STEPS):
        at_corner = np.isin(mesh.t, vertices[vertices < corners]).any(axis=0)
        mesh = mesh.refined(np.flatnonzero(at_corner)) if at_corner.any() else mesh
    return mesh


def _bulk(squares: Array) -> Index:
    """The fewest elements that carry the bulk of an indicator (m,)."""
    order = np.argsort(-squares)
    carried = np.cumsum(squares[order])
    return order[: 1 + np.searchsorted(carried, BULK * carried[-1])]


def _distance(space: Space, solved: Solved, coarse: Space, before: Solved) -> float:
    """Relative L2 distance, over space and time, between the solutions on two meshes."""
    prolongation = space.prolongation(coarse)
    squares = np.zeros(2)
    for weight, u, v in zip(solved.weights, solved.snapshots, before.snapshots, strict=True):
        fine = space.values(u)
        gap = fine - (prolongation @ v).reshape(fine.shape)
        squares += weight * np.array([space.norm(gap) ** 2, space.norm(fine) ** 2])
    return float(np.sqrt(squares[0] / squares[1])) if squares[1] > 0 else 0.0


def _tail(distances: Sequence[float]) -> float:
    """The error of the last of a sequence of solutions, from the distances between successive ones.

    The distances shrink by q per level, q being their mean ratio over the last few levels; the error is the
    sum of those to come, d q / (1 − q), but not taken smaller than the last distance.
    """
    recent = distances[-FEWEST_DISTANCES:]
    if len(recent) < 2 or recent[0] == 0:
        return SAFETY * recent[-1]
    ratio = min((recent[-1] / recent[0]) ** (1 / (len(recent) - 1)), 0.95)
    return SAFETY * recent[-1] * max(1.0, ratio / (1 - ratio))


@dataclass(frozen=True)
class FiniteElementSolution:
    """A continuous piecewise quartic on triangles, and an estimate of its relative L2 error."""

    corners: Array  # (m, 3, 2)
    cell_dofs: Index  # (m, 15)
    nodal: Array  # (N,)
    error_estimate: float
    seconds: float

    @property
    def dofs(self) -> int:
        return len(self.nodal)

    @cached_property
    def _elements(self) -> Elements:
        return Elements(self.corners, self.cell_dofs)

    def value(self, points: Array) -> Array:
        """u at points (n, 2) of the domain: (n,). Points outside take the nearest triangle's polynomial."""
        dofs, shapes = self._elements.interpolation(points)
        return np.einsum("ni,ni->n", self.nodal[dofs], shapes)

    def to_arrays(self) -> dict[str, Array]:
        """All that there is to know, for an .npz file."""
        return _to_arrays(self)

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, Array]) -> Self:
        """The solution that `to_arrays` took apart."""
        return cls(**_from_arrays(cls, arrays))


def _to_arrays(solution: "FiniteElementSolution | TransientSolution") -> dict[str, Array]:
    return {field.name: np.asarray(getattr(solution, field.name)) for field in fields(solution)}


def _from_arrays(kind: type, arrays: Mapping[str, Array]) -> dict[str, Any]:
    """The fields of a solution; arrays without axes become numbers."""
    found = {field.name: np.asarray(arrays[field.name]) for field in fields(kind)}
    return {name: array if array.ndim else array.item() for name, array in found.items()}


def solve_steady(
    domain: PlanarDomain,
    problem: BoundaryValueProblem,
    tolerance: float = 1e-6,
    max_dofs: int = 200_000,
    linearise: Linearise | None = None,
) -> FiniteElementSolution:
    """Solve −∇·(A ∇u) + b·∇u + c u = f to the given relative L2 error, estimated, or as `max_dofs` allows.

    `linearise` makes it a nonlinear problem: it gives the coefficients of Newton's linearisation about a
    current u, and `problem` is then the linear problem whose solution is the first guess.
    Raises BadInput if the solution is not unique, not finite, or Newton's method does not converge.
    """
    start = time.perf_counter()

    def solve(space: Space, before: tuple[Space, Solved] | None) -> Solved:
        u, diffusion = _solve_level(space, problem, linearise, before)
        return Solved(u[None], np.ones(1), diffusion)

    space, solved, error = _adapt(domain, solve, tolerance, max_dofs)
    seconds = time.perf_counter() - start
    elements = space.elements
    return FiniteElementSolution(elements.corners, elements.dofs, solved.snapshots[0], error, seconds)


def _solve_level(
    space: Space,
    problem: BoundaryValueProblem,
    linearise: Linearise | None,
    before: tuple[Space, Solved] | None,
) -> tuple[Array, Array]:
    """The solution (N,) on one mesh and the diffusion there; Newton's method starts from the level before."""
    fixed = dirichlet_values(space, problem, 0.0)
    if linearise is None or before is None:
        system = assemble(space, problem, problem.interior(space.points, 0.0), 0.0)
        u = _solve(system, fixed)
    else:
        dofs, shapes = before[0].elements.interpolation(space.basis.doflocs.T)
        u = np.einsum("ni,ni->n", before[1].snapshots[0][dofs], shapes)
    if linearise is None:
        return u, system.diffusion
    for _ in range(NEWTON_STEPS):
        coefficients = linearise(space.points, space.values(u).ravel(), space.slopes(u).reshape(-1, 2))
        system = assemble(space, problem, coefficients, 0.0)
        previous, u = u, _solve(system, fixed)
        if np.linalg.norm(u - previous) <= 1e-10 * np.linalg.norm(u):
            return u, system.diffusion
    raise BadInput("problem", "Newton's method does not converge", "start from a better guess")


class Tableau(NamedTuple):
    """A stiffly accurate Runge–Kutta method: explicit first stage, equal diagonal entries."""

    nodes: Array  # c (s,)
    stages: Array  # a (s, s), its last row being the weights b
    embedded: Array  # weights of the lower order (s,)


# The implicit part of ARK4(3)6L[2]SA: order 4 (embedded 3), stage order 2, L-stable.
# Kennedy & Carpenter, Appl. Numer. Math. 44 (2003).
ESDIRK4 = Tableau(
    np.array([0, 1 / 2, 83 / 250, 31 / 50, 17 / 20, 1]),
    np.array(
        [
            [0, 0, 0, 0, 0, 0],
            [1 / 4, 1 / 4, 0, 0, 0, 0],
            [8611 / 62500, -1743 / 31250, 1 / 4, 0, 0, 0],
            [5012029 / 34652500, -654441 / 2922500, 174375 / 388108, 1 / 4, 0, 0],
            [
                15267082809 / 155376265600,
                -71443401 / 120774400,
                730878875 / 902184768,
                2285395 / 8070912,
                1 / 4,
                0,
            ],
            [82889 / 524892, 0, 15625 / 83664, 69875 / 102672, -2260 / 8211, 1 / 4],
        ]
    ),
    np.array(
        [
            4586570599 / 29645900160,
            0,
            178811875 / 945068544,
            814220225 / 1159782912,
            -3700637 / 11593932,
            61727 / 225920,
        ]
    ),
)


class Trajectory(NamedTuple):
    """States and rates of change at the ends of time steps."""

    times: Array  # (k,)
    states: Array  # (k, N)
    rates: Array  # (k, N)


class Evolution:
    """The system M u' + K u = F(t) on one mesh; matrices that do not depend on time are made only once."""

    def __init__(self, space: Space, problem: BoundaryValueProblem, times: tuple[float, float]) -> None:
        self.space, self.problem, self.times = space, problem, times
        self.steady_matrices = _are_constant(space, problem, times)
        self.factors: dict[float, SuperLU] = {}
        self.start = self.assemble(times[0])
        self.free = np.flatnonzero(np.isnan(self.fixed(times[0])))

    def assemble(self, t: float) -> System:
        return assemble(self.space, self.problem, self.problem.interior(self.space.points, t), t)

    def system(self, t: float) -> System:
        """The system at time t; where only the load changes, only the load is assembled."""
        if not self.steady_matrices:
            return self.assemble(t)
        source = self.problem.interior(self.space.points, t).source
        influx = _natural_conditions(self.space, self.problem, t)[1]
        return self.start._replace(load=_source_load(self.space, source) + influx)

    def fixed(self, t: float) -> Array:
        return dirichlet_values(self.space, self.problem, t)

    def factorised(self, system: System, rate: float) -> SuperLU:
        """Factors of K + rate M on the free degrees of freedom."""
        if not self.steady_matrices:
            self.factors.clear()
        key = round(np.log2(rate), 9)  # lengths of time steps that are meant to be equal differ by round-off
        if key not in self.factors:
            matrix = system.stiffness + rate * system.mass
            self.factors[key] = _factorised(matrix[self.free][:, self.free].tocsc())
        return self.factors[key]

    def initial_state(self) -> tuple[Array, Array]:
        """u₀, with the Dirichlet values where they are given, and its rate of change M u' = F − K u."""
        if self.problem.initial is None:
            raise BadInput("problem", "a transient problem needs an initial condition", "give one")
        t, span = self.times[0], 1e-4 * (self.times[1] - self.times[0])
        values = [self.fixed(t + k * span) for k in range(3)]
        u = np.where(np.isnan(values[0]), self.problem.initial(self.space.basis.doflocs.T), values[0])
        rate = np.nan_to_num((4 * values[1] - 3 * values[0] - values[2]) / (2 * span))
        excess = (self.start.load - self.start.stiffness @ u - self.start.mass @ rate)[self.free]
        rate[self.free] = _factorised(self.start.mass[self.free][:, self.free].tocsc()).solve(excess)
        return u, rate

    def step(self, t: float, length: float, u: Array, rate: Array) -> tuple[Array, Array, Array]:
        """State and rate after a time step, and the local error by the embedded method."""
        nodes, stages, embedded = ESDIRK4
        diagonal = 1 / (length * stages[-1, -1])
        rates, state = [rate], u
        for node, row in zip(nodes[1:], stages[1:], strict=True):
            system = self.system(t + node * length)
            state = np.nan_to_num(self.fixed(t + node * length))
            known = u + length * sum(a * k for a, k in zip(row, rates, strict=False))
            excess = system.load + system.mass @ (diagonal * (known - state)) - system.stiffness @ state
            state[self.free] = self.factorised(system, diagonal).solve(excess[self.free])
            rates.append(diagonal * (state - known))
        return state, rates[-1], length * ((stages[-1] - embedded) @ np.array(rates))

    def march(self, times: Array) -> Trajectory:
        """The trajectory with the given ends of time steps."""
        states = [self.initial_state()]
        for t, length in zip(times[:-1], np.diff(times), strict=True):
            states.append(self.step(t, length, *states[-1])[:2])
        return _trajectory(times, states)

    def march_adaptively(self, tolerance: float) -> Trajectory:
        """The trajectory by time steps of span / 2^k whose local errors are below the tolerance.

        The error of a step is relative to the largest ‖u‖ so far and weighted by the root of its share of the
        span, as in the L2 norm over time: initial layers, where data disagree, then cost a few dozen steps.
        """
        start, span = self.times[0], self.times[1] - self.times[0]
        states, size = [self.initial_state()], 0.0
        ticks, level = [0], COARSEST  # the time is counted in ticks of span / 2^FINEST
        while ticks[-1] < 2**FINEST:
            t, length = start + span * ticks[-1] / 2**FINEST, span / 2**level
            state, rate, error = self.step(t, length, *states[-1])
            size = max(size, self._norm(state))
            excess = self._norm(error) / 2 ** (level / 2) / (tolerance * size) if size > 0 else 0.0
            if excess > 1 and level < FINEST:
                level += 1
                continue
            states.append((state, rate))
            ticks.append(ticks[-1] + 2 ** (FINEST - level))
            if excess < 2**-5 and level > COARSEST and ticks[-1] % 2 ** (FINEST - level + 1) == 0:
                level -= 1
        return _trajectory(start + span * np.array(ticks) / 2**FINEST, states)

    def _norm(self, u: Array) -> float:
        return self.space.norm(self.space.values(u))


def _are_constant(space: Space, problem: BoundaryValueProblem, times: tuple[float, float]) -> bool:
    """Whether all coefficients but f and g are the same at the start, the end and in between."""
    instants = [times[0] + share * (times[1] - times[0]) for share in (0.0, 0.37, 1.0)]
    first, *others = [problem.interior(space.points, t)._replace(source=np.empty(0)) for t in instants]
    same = all(np.array_equal(a, b) for other in others for a, b in zip(first, other, strict=True))
    matrix, *matrices = [_natural_conditions(space, problem, t)[0] for t in instants]
    return same and all(np.array_equal(matrix.data, other.data) for other in matrices)


def _trajectory(times: Array, states: list[tuple[Array, Array]]) -> Trajectory:
    """The trajectory, its first rate replaced by that of the parabola through the first step's other data.

    The true one is unbounded where the initial state disagrees with the boundary data, and a cubic would
    follow it.
    """
    u, rates = (np.array(part) for part in zip(*states, strict=True))
    rates[0] = 2 * (u[1] - u[0]) / (times[1] - times[0]) - rates[1]
    return Trajectory(times, u, rates)


def _hermite(times: Array, instants: Array) -> tuple[Index, Array]:
    """The step (n,) of each instant, and the weights (4, n) of u, u' at its start and u, u' at its end."""
    step = np.clip(np.searchsorted(times, instants, side="right") - 1, 0, len(times) - 2)
    length = times[step + 1] - times[step]
    s = (instants - times[step]) / length
    first = (1 + 2 * s) * (1 - s) ** 2, length * s * (1 - s) ** 2
    last = s**2 * (3 - 2 * s), length * s**2 * (s - 1)
    return step, np.array([*first, *last])


def _interpolated(path: Trajectory, instants: Array) -> Array:
    """States at the given instants (n,), by cubic Hermite interpolation: (n, N)."""
    step, (a, b, c, d) = _hermite(path.times, instants)
    first = a[:, None] * path.states[step] + b[:, None] * path.rates[step]
    return first + c[:, None] * path.states[step + 1] + d[:, None] * path.rates[step + 1]


def _halved(times: Array) -> Array:
    """The times and the middles between them."""
    return np.sort(np.append(times, (times[:-1] + times[1:]) / 2))


@dataclass(frozen=True)
class TransientSolution:
    """Quartics on triangles, cubic in each time step, and an estimate of their relative L2 error."""

    corners: Array  # (m, 3, 2)
    cell_dofs: Index  # (m, 15)
    times: Array  # (k,)
    states: Array  # (k, N)
    rates: Array  # (k, N)
    error_estimate: float
    seconds: float

    @property
    def dofs(self) -> int:
        return self.states.shape[1]

    @cached_property
    def _elements(self) -> Elements:
        return Elements(self.corners, self.cell_dofs)

    def value(self, points: Array) -> Array:
        """u at points (n, 3), each x, y, t, of the domain and the time span: (n,)."""
        dofs, shapes = self._elements.interpolation(points[:, :2])
        step, weights = _hermite(self.times, points[:, 2])
        tables = (self.states, step), (self.rates, step), (self.states, step + 1), (self.rates, step + 1)
        ends = np.array([(table[row[:, None], dofs] * shapes).sum(axis=1) for table, row in tables])
        return (weights * ends).sum(axis=0)

    def to_arrays(self) -> dict[str, Array]:
        """All that there is to know, for an .npz file."""
        return _to_arrays(self)

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, Array]) -> Self:
        """The solution that `to_arrays` took apart."""
        return cls(**_from_arrays(cls, arrays))


def solve_transient(
    domain: PlanarDomain,
    problem: BoundaryValueProblem,
    times: tuple[float, float],
    tolerance: float = 1e-4,
    max_dofs: int = 50_000,
) -> TransientSolution:
    """Solve capacity u_t − ∇·(A ∇u) + b·∇u + c u = f to the given relative L2 error in space-time, estimated.

    One mesh serves all times. It is adapted on a coarse sequence of time steps, on which its error is
    estimated as for steady problems; then time steps are chosen on it, and the distance to the solution by
    steps of half the length, which is the one returned, is the error in time.
    Raises BadInput if the solution is not unique or not finite.
    """
    start = time.perf_counter()
    first = Evolution(Space(domain, triangulate(domain)), problem, times)
    coarse_times = first.march_adaptively(tolerance).times
    lengths = np.diff(coarse_times)

    def solve(space: Space, before: tuple[Space, Solved] | None) -> Solved:
        evolution = Evolution(space, problem, times)
        return Solved(evolution.march(coarse_times).states[1:], lengths, evolution.start.diffusion)

    space, _, error_in_space = _adapt(domain, solve, tolerance / 2, max_dofs)
    path, error_in_time = _march_accurately(Evolution(space, problem, times), tolerance / 2)
    elements, error = space.elements, error_in_space + error_in_time
    return TransientSolution(elements.corners, elements.dofs, *path, error, time.perf_counter() - start)


def _march_accurately(evolution: Evolution, tolerance: float) -> tuple[Trajectory, float]:
    """The trajectory, and its relative L2 distance (below the tolerance) to that by steps twice as long."""
    space = evolution.space
    for attempt in range(ATTEMPTS):
        rough = evolution.march_adaptively(tolerance / 10 ** (attempt + 0.5))
        fine = evolution.march(_halved(rough.times))
        before = Solved(_interpolated(rough, fine.times[1:]), np.diff(fine.times), evolution.start.diffusion)
        error = _distance(space, before._replace(snapshots=fine.states[1:]), space, before)
        if error <= tolerance:
            break
    return fine, error
