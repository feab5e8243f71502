"""Continuous quartic elements on triangles: shape functions, values and slopes, integrals, surpluses.

The *surplus* of an element is what its quartic loses by projection to cubics: large where u is rough.
"""

from collections.abc import Iterator
from functools import cache, cached_property

import numpy as np
import shapely
import skfem
from scipy.sparse import coo_matrix, csr_matrix
from skfem.quadrature import get_quadrature
from skfem.refdom import RefTri

from pinnkit.reference.mesh import Array, Index, PlanarDomain, locate, nearest_pieces

QUADRATURE_ORDER = 8  # exact for the mass matrix of quartics


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
        return self.dofs[cells], shape_functions(local[..., 0])


class Space:
    """Continuous quartics on a mesh of the domain."""

    def __init__(self, domain: PlanarDomain, mesh: skfem.MeshTri) -> None:
        self.mesh = mesh
        self.pieces = tuple(domain.edges)
        self.basis = skfem.Basis(mesh, skfem.ElementTriP4(), intorder=QUADRATURE_ORDER)
        self.rim = skfem.FacetBasis(mesh, skfem.ElementTriP4(), intorder=2 * QUADRATURE_ORDER)
        self.facet_pieces = nearest_pieces(domain, mesh.p[:, mesh.facets[:, self.rim.find]].mean(axis=1).T)
        self.elements = Elements(mesh.p.T[mesh.t.T], self.basis.element_dofs.T)
        self.points = flattened(np.asarray(self.basis.global_coordinates()))  # (m q, 2), of the quadrature
        self.weights: Array = self.basis.dx  # (m, q)
        self.shapes = shape_functions(self.basis.X.T)  # (q, 15)
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


def flattened(coordinates: Array) -> Array:
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


def shape_functions(points: Array) -> Array:
    """The quartic shape functions at points (n, 2) of the reference triangle: (n, 15)."""
    return _monomials(points, 4) @ _shape_coefficients()


@cache
def _cubic_defect() -> Array:
    """Nodal matrix (15, 15) of 1 − Π, Π being the L2 projection of quartics to cubics on a triangle."""
    points, weights = get_quadrature(RefTri, QUADRATURE_ORDER)
    cubics = _monomials(points.T, 3)
    weighted = cubics.T * weights
    coefficients = np.linalg.solve(weighted @ cubics, weighted @ shape_functions(points.T))
    return np.eye(15) - _monomials(skfem.ElementTriP4.doflocs, 3) @ coefficients
