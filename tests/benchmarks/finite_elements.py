"""Finite elements (scikit-fem) against pinnkit at equal accuracy, in one run.

    python tests/benchmarks/finite_elements.py [--most-dofs N]

prints a Markdown table for −Δu = 2π² sin πx sin πy on the unit square, uniform meshes, and for −Δu = 1 on the L-shape:
P2 refined where the residual estimator

    η²_K = h²_K ‖1 + Δu_h‖²_K + ½ Σ_e h_e ‖[∂u_h/∂n]‖²_e

is large (Dörfler's marking, θ = ½; red-green-blue refinement), and two references of pinnkit's own: adaptive quartics
and the spectral one. Errors and times are those of peers.py: all meshes, assemblies and solves on the way count,
imports and the measuring of errors do not. The spectral reference is given with the error it certifies. Where adaptive
P2 does not reach 1e-8 within the degrees of freedom allowed, that is extrapolated by the rates fitted to the last
levels, and said to be. The ratio is their time over that of pinnkit to the same error: above 1 pinnkit is faster.
"""

import argparse
import time
from collections.abc import Iterator
from functools import partial
from math import pi
from typing import Any, NamedTuple

import numpy as np
import shapely
import skfem
from numpy.typing import NDArray
from peers import Case, machine
from scipy.sparse.linalg import splu
from skfem.helpers import dot, grad
from skfem.models.poisson import laplace

from pinnkit import Result
from pinnkit.reference.derived import FiniteElements
from pinnkit.reference.mesh import locate, triangulate
from pinnkit.reference.spectral import Spectral

Array = NDArray[np.float64]
UNIFORM = {"P1": (skfem.ElementTriP1, (64, 128, 256)), "P2": (skfem.ElementTriP2, (32, 64, 128)),
           "P4": (skfem.ElementTriP4, (8, 16, 32, 64))}  # fmt: skip
GOALS = (1e-6, 1e-8)
BULK = 0.5  # of the squared estimator that the marked elements carry
FITTED = 5  # levels from which rates are taken


class Level(NamedTuple):
    """A solution on one mesh."""

    basis: skfem.Basis
    u: Array
    seconds: float  # since the first mesh
    error: float


@skfem.LinearForm
def sine_load(v: Any, w: Any) -> Any:
    x, y = w.x
    return 2 * pi**2 * np.sin(pi * x) * np.sin(pi * y) * v


@skfem.LinearForm
def unit_load(v: Any, w: Any) -> Any:
    return v


@skfem.Functional
def squared_residual(w: Any) -> Any:
    return (w.h * (1 + w.laplacian)) ** 2


@skfem.Functional
def squared_jump(w: Any) -> Any:
    return w.h * dot(grad(w.inside) - grad(w.outside), w.n) ** 2


def solve(basis: skfem.Basis, load: skfem.LinearForm) -> Array:
    """−Δu = f, u = 0, by sparse factors in the ordering of minimal degree: half the time of scipy's default."""
    matrix, right, u = laplace.assemble(basis), load.assemble(basis), basis.zeros()
    free = basis.complement_dofs(basis.get_dofs())
    inner = matrix[free][:, free].tocsc()
    factors = splu(inner, permc_spec="MMD_AT_PLUS_A", diag_pivot_thresh=0.0, options={"SymmetricMode": True})
    u[free] = factors.solve(right[free])
    return u


def laplacian(basis: skfem.Basis, u: Array) -> Array:
    """Δu of quadratics, constant on each element: Σ ∇u(p_i)·∇λ_i over its vertices (m,)."""
    vertices = (np.array([[0.0, 1.0, 0.0], [0.0, 0.0, 1.0]]), np.ones(3))
    slopes = skfem.Basis(basis.mesh, basis.elem, quadrature=vertices).interpolate(u).grad
    corners = skfem.Basis(basis.mesh, skfem.ElementTriP1(), quadrature=vertices)
    return sum((slopes[..., i] * corners.basis[i][0].grad[..., i]).sum(axis=0) for i in range(3))


def estimator(basis: skfem.Basis, u: Array) -> Array:
    """η²_K of quadratics: (m,)."""
    mesh = basis.mesh
    inside = squared_residual.elemental(basis, laplacian=laplacian(basis, u)[:, None])
    sides = [skfem.InteriorFacetBasis(mesh, basis.elem, side=side) for side in (0, 1)]
    jumps = np.zeros(mesh.facets.shape[1])
    jumps[sides[0].find] = squared_jump.elemental(
        sides[0], inside=sides[0].interpolate(u), outside=sides[1].interpolate(u)
    )
    return inside + 0.5 * jumps[mesh.t2f].sum(axis=0)


def marked(squares: Array) -> Array:
    """The fewest elements that carry the bulk of the squared estimator."""
    order = np.argsort(-squares)
    carried = np.cumsum(squares[order])
    return order[: 1 + np.searchsorted(carried, BULK * carried[-1])]


def values(basis: skfem.Basis, u: Array, points: Array) -> Array:
    """u at points (n, 2): (n,). scikit-fem's own search for their elements takes minutes."""
    mesh = basis.mesh
    cells = locate(shapely.STRtree(shapely.polygons(mesh.p[:, mesh.t].transpose(2, 1, 0))), points)
    local = mesh.mapping().invF(points.T[:, :, None], tind=cells)
    shapes = [basis.elem.gbasis(mesh.mapping(), local, i, tind=cells)[0][:, 0] for i in range(basis.Nbfun)]
    return sum(u[basis.element_dofs[i, cells]] * shape for i, shape in enumerate(shapes))


def uniform(case: Case, element: skfem.Element, cells: int) -> Level:
    start = time.perf_counter()
    sides = np.linspace(0, 1, cells + 1)
    basis = skfem.Basis(skfem.MeshTri.init_tensor(sides, sides), element)
    u = solve(basis, sine_load)
    seconds = time.perf_counter() - start
    return Level(basis, u, seconds, case.error(values(basis, u, case.points)))


def adaptive(case: Case, goal: float, most_dofs: int) -> Iterator[Level]:
    """Solutions on finer and finer meshes, until the error or the degrees of freedom end it."""
    seconds, error, basis, u = 0.0, 1.0, None, None
    while error > goal and (basis is None or most_dofs > basis.N):
        start = time.perf_counter()
        mesh = triangulate(case.problem.domain) if basis is None else basis.mesh.refined(marked(estimator(basis, u)))
        basis = skfem.Basis(mesh, skfem.ElementTriP2())
        u = solve(basis, unit_load)
        seconds += time.perf_counter() - start
        error = case.error(values(basis, u, case.points))
        yield Level(basis, u, seconds, error)


def extrapolated(levels: list[Level], goal: float) -> tuple[float, float]:
    """Degrees of freedom and seconds at which the error would be the goal, by the fitted powers of the error."""
    last = levels[-FITTED:]
    errors = np.log([level.error for level in last])
    fits = [np.polyfit(errors, np.log(column), 1) for column in
            ([level.basis.N for level in last], [level.seconds for level in last])]  # fmt: skip
    dofs, seconds = (float(np.exp(np.polyval(fit, np.log(goal)))) for fit in fits)
    return dofs, seconds


def row(case: Case, method: str, dofs: float, error: float, seconds: float, own: Result) -> str:
    needed = case.seconds_to(error, own)
    figures = f"{dofs:.0f} | {error:.1e} | {seconds:.3g} | {needed:.2g} | {seconds / needed:.2g}"
    return f"| {case.name} | {method} | {figures} |"


def on_the_square(case: Case) -> Iterator[str]:
    _, own = case.run()
    for name, (element, sizes) in UNIFORM.items():
        for cells in sizes:
            level = uniform(case, element(), cells)
            yield row(case, f"{name}, {cells} × {cells} × 2", level.basis.N, level.error, level.seconds, own)


def on_the_lshape(case: Case, most_dofs: int) -> Iterator[str]:
    _, own = case.run()
    tell, levels = partial(row, case, own=own), list(adaptive(case, GOALS[-1], most_dofs))
    for goal in GOALS:
        reached = next((level for level in levels if level.error <= goal), None)
        if reached:
            yield tell("adaptive P2", reached.basis.N, reached.error, reached.seconds)
    if levels[-1].error > GOALS[-1]:
        yield tell("adaptive P2", levels[-1].basis.N, levels[-1].error, levels[-1].seconds)
        dofs, seconds = extrapolated(levels, GOALS[-1])
        yield tell("adaptive P2, extrapolated", dofs, GOALS[-1], seconds)
    for goal in GOALS:
        quartics = FiniteElements(case.problem, goal, None)
        error = case.error(quartics.value(case.points))
        yield tell("adaptive P4 (`reference.kind=fem`)", quartics.dofs, error, quartics.seconds)
    start = time.perf_counter()
    spectral = Spectral(case.problem, None)
    seconds = time.perf_counter() - start
    yield tell("spectral (`reference.kind=spectral`)", spectral.dofs, spectral.error_estimate, seconds)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--most-dofs", type=int, default=1_500_000)
    asked = parser.parse_args()
    print(f"{machine()}\n")
    print("| case | method | degrees of freedom | relative L2 | s | pinnkit to that error, s | ratio |\n|" + "---|" * 7)
    for line in on_the_square(Case("poisson_square")):
        print(line, flush=True)
    for line in on_the_lshape(Case("poisson_lshape"), asked.most_dofs):
        print(line, flush=True)


if __name__ == "__main__":
    main()
