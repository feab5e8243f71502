"""The answer as arrays on meshes of the domain, and from there to .npz and, for ParaView, to .vtu files.

Files of VTK's XML format: https://docs.vtk.org/en/latest/vtk_file_formats/vtkxml_file_format.html
"""

import base64
import io
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, Protocol, cast
from xml.sax.saxutils import quoteattr

import numpy as np
import skfem
from numpy.typing import NDArray

from pinnkit.committee_words import Judgement, Members
from pinnkit.errors import BadInput
from pinnkit.files import write_atomically
from pinnkit.geometry import Box, Domain, Interval, Planar, SpaceTime
from pinnkit.problem import Problem
from pinnkit.reference.mesh import triangulate
from pinnkit.settings import Settings
from pinnkit.transfer_words import Transferred

Array = NDArray[np.float64]
Index = NDArray[np.intp]

CELLS = 8_000  # triangles of a mesh, at least; four times as many at most, corners apart
INTERVALS = 800  # of a mesh in one dimension
SIDE = 160  # squares along each axis of an interval × time: solutions may have steep fronts there
COARSEST = 8.0  # triangles along the longer side, before refinement
RE_ENTRANT = 1.2 * math.pi  # angles beyond make the solution rough; those of a polygonal circle do not
CORNER_LEVELS = 5  # further refinements there
SNAPSHOTS = 5  # of a transient solution in a file
VTK_CELL_TYPE = {2: 3, 3: 5}  # by number of corners: line, triangle


class Reference(Protocol):
    """What the answer is compared with."""

    @property
    def kind(self) -> str: ...  # exact, fem, spectral or data

    def value(self, points: Array) -> Array: ...  # (n, d) -> (n, fields)


class Points(Protocol):
    """Where a condition was imposed."""

    @property
    def points(self) -> Array: ...  # (n, d)


class Reported(Protocol):
    """What of a result is told."""

    @property
    def problem(self) -> Any: ...  # its name and its description

    @property
    def metrics(self) -> Mapping[str, Any]: ...

    @property
    def settings(self) -> Settings: ...

    @property
    def transferred(self) -> Transferred | None: ...

    @property
    def judgement(self) -> Judgement | None: ...  # of a committee

    @property
    def corrected(self) -> Any: ...  # of a low fidelity, see correction.Corrected

    @property
    def captions(self) -> Mapping[str, str]: ...  # of figures other than those of a field, see finding.Finding

    @property
    def tiles(self) -> Mapping[str, Any]: ...  # other figures of merit than errors to begin with


class Answer(Reported, Protocol):
    """What of a result is shown and written."""

    @property
    def problem(self) -> Problem: ...

    @property
    def reference(self) -> Reference | None: ...

    @property
    def collocation(self) -> Mapping[str, Points]: ...

    @property
    def history(self) -> Sequence[Mapping[str, Any]]: ...

    @property
    def solution(self) -> Any: ...  # of a committee its Members

    def predict(self, points: Array) -> Array: ...  # (n, d) -> (n, fields)

    def residuals(self, points: Array) -> Mapping[str, Array]: ...  # (n, d) -> (n,) each


def committee_of(result: Answer) -> Members | None:
    """The committee whose answer it is, if it is one's."""
    return None if result.judgement is None else cast(Members, result.solution)


class Mesh(NamedTuple):
    """Intervals in one dimension, triangles in two: points (n, d) and corners of the cells (m, d + 1)."""

    points: Array
    cells: Index

    @property
    def centres(self) -> Array:
        """(m, d), strictly inside the domain."""
        return self.points[self.cells].mean(axis=1)


def mesh_of(domain: Domain, cells: int = CELLS) -> Mesh:
    """A mesh, of a planar domain with at least that many triangles and finer at re-entrant corners.

    An interval × time is meshed as a rectangle, and so is the section of a box along its first two coordinates. Raises
    BadInput for other domains.
    """
    match domain:
        case Planar():
            return _transposed(_refined(domain, cells))
        case Interval() | Box(dimension=1):
            first = np.arange(INTERVALS)
            points = np.linspace(domain.bounds[0], domain.bounds[1], INTERVALS + 1)
            return Mesh(points, np.stack([first, first + 1], axis=1))
        case Box() | SpaceTime(space=Interval() | Box()):
            lower, upper = domain.bounds[:, :2]
            return _transposed(skfem.MeshTri.init_tensor(*np.linspace(lower, upper, SIDE + 1).T))
    raise BadInput("geometry", f"{domain!r} cannot be drawn", "take an interval, a planar domain or a box")


def within(domain: Domain, points: Array, time: float | None = None) -> Array:
    """Points of a mesh as points (n, d) of the domain: at a time if there is one, other coordinates in the middle."""
    points = at_time(points, time)
    middle = domain.bounds.mean(0)[points.shape[1] :]
    return np.column_stack([points, np.tile(middle, (len(points), 1))])


def _refined(domain: Planar, cells: int) -> skfem.MeshTri:
    mesh = triangulate(domain, COARSEST)
    while mesh.nelements < cells:
        mesh = mesh.refined()
    rough = [corner.vertex for corner in domain.corners if corner.angle > RE_ENTRANT]
    for _ in range(CORNER_LEVELS if rough else 0):
        nearest = [np.hypot(*(mesh.p.T - vertex).T).argmin() for vertex in rough]
        mesh = mesh.refined(np.flatnonzero(np.isin(mesh.t, nearest).any(axis=0)))
    return mesh


def _transposed(mesh: skfem.MeshTri) -> Mesh:
    return Mesh(mesh.p.T, mesh.t.T.astype(np.intp))


@dataclass(frozen=True)
class Snapshot:
    """The answer on a mesh: of a steady problem, or at one time of a transient one.

    points        all coordinates, (n, d): those of the mesh, the time, and the middle of the others
    prediction    (n, fields)
    reference     (n, fields), NaN where there is none
    bands         of a committee its spread and the half width of its band, (n, fields) each, by name
    """

    mesh: Mesh
    time: float | None
    points: Array
    prediction: Array
    reference: Array
    bands: Mapping[str, Array]

    @property
    def error(self) -> Array:
        """prediction − reference, (n, fields)."""
        return self.prediction - self.reference


def snapshot(result: Answer, mesh: Mesh, time: float | None = None) -> Snapshot:
    """The answer on a mesh, at a time if the mesh is one of space alone."""
    points = within(result.problem.domain, mesh.points, time)
    prediction, bands = _predicted(result, points)
    known = result.reference
    reference = np.full_like(prediction, np.nan) if known is None else known.value(points)
    return Snapshot(mesh, time, points, prediction, reference, bands)


def _predicted(result: Answer, points: Array) -> tuple[Array, dict[str, Array]]:
    """The fields, and of a committee its bands: its members are evaluated once for both."""
    committee = committee_of(result)
    if committee is None or result.judgement is None:
        return result.predict(points), {}
    values = committee.values(points)
    spread = values.std(0, ddof=1)
    return values.mean(0), {"spread": spread, "half_width": committee.half_width(spread, result.judgement.level)}


def at_time(points: Array, time: float | None) -> Array:
    """Points of space (n, d) as points of space-time (n, d + 1); unchanged if there is no time."""
    return points if time is None else np.column_stack([points, np.full(len(points), time)])


def snapshots(result: Answer, count: int = SNAPSHOTS, cells: int = CELLS) -> list[Snapshot]:
    """The answer on one mesh of space: a single snapshot, or `count` from the start to the end of time."""
    domain = result.problem.domain
    if not isinstance(domain, SpaceTime) or isinstance(domain.space, Box):
        return [snapshot(result, mesh_of(domain, cells))]
    mesh = mesh_of(domain.space, cells)
    return [snapshot(result, mesh, time) for time in np.linspace(*domain.time, count).tolist()]


def write_npz(result: Answer, path: Path) -> None:
    """Arrays points (n, d), fields (names); values, reference, error = values − reference, (n, fields).

    The rows of a transient problem's snapshots follow each other. Without a reference, reference and error
    are NaN. Of a committee there are spread and half_width as well, (n, fields).
    """
    shots = snapshots(result)
    arrays = {
        "points": [shot.points for shot in shots],
        "values": [shot.prediction for shot in shots],
        "reference": [shot.reference for shot in shots],
        "error": [shot.error for shot in shots],
    }
    arrays |= {name: [shot.bands[name] for shot in shots] for name in shots[0].bands}
    joined: dict[str, Any] = {name: np.concatenate(parts) for name, parts in arrays.items()}
    buffer = io.BytesIO()
    np.savez_compressed(buffer, fields=np.array(result.problem.fields), **joined)
    write_atomically(path, buffer.getvalue())


def write_vtu(result: Answer, path: Path) -> None:
    """An unstructured grid with point data u, u_reference and u_error for each field u.

    Of a committee there are u_spread and u_half_width as well. Of a transient problem these are u(t=0.25) …; its first
    field at the final time is the active one.
    """
    shots = snapshots(result)
    active = _array_name(result.problem.fields[0], shots[-1])
    write_atomically(path, _vtu(shots[0].mesh, dict(_named_arrays(shots, result)), active).encode())


def _named_arrays(shots: Sequence[Snapshot], result: Answer) -> Iterator[tuple[str, Array]]:
    for shot in shots:
        for k, field in enumerate(result.problem.fields):
            yield _array_name(field, shot), shot.prediction[:, k]
            if result.reference is not None:
                yield _array_name(f"{field}_reference", shot), shot.reference[:, k]
                yield _array_name(f"{field}_error", shot), shot.error[:, k]
            for name, values in shot.bands.items():
                yield _array_name(f"{field}_{name}", shot), values[:, k]


def _array_name(field: str, shot: Snapshot) -> str:
    return field if shot.time is None else f"{field}(t={shot.time:.6g})"


def _vtu(mesh: Mesh, arrays: Mapping[str, Array], active: str) -> str:
    n, (m, corners) = len(mesh.points), mesh.cells.shape
    points = np.pad(mesh.points, ((0, 0), (0, 3 - mesh.points.shape[1])))
    types = np.full(m, VTK_CELL_TYPE[corners], dtype=np.uint8)
    data = "\n".join(_data_array(name, values) for name, values in arrays.items())
    return f"""<?xml version="1.0"?>
<VTKFile type="UnstructuredGrid" version="1.0" byte_order="LittleEndian" header_type="UInt64">
<UnstructuredGrid><Piece NumberOfPoints="{n}" NumberOfCells="{m}">
<Points>{_data_array("Points", points, components=3)}</Points>
<Cells>
{_data_array("connectivity", mesh.cells.ravel())}
{_data_array("offsets", corners * np.arange(1, m + 1))}
{_data_array("types", types)}
</Cells>
<PointData Scalars={quoteattr(active)}>
{data}
</PointData>
</Piece></UnstructuredGrid>
</VTKFile>
"""


def _data_array(name: str, values: NDArray[Any], components: int = 1) -> str:
    """Inline binary: base64 of the number of bytes (UInt64) and the bytes, both little-endian."""
    kind = {"f": "Float64", "i": "Int64", "u": "UInt8"}[values.dtype.kind]
    raw = values.astype(values.dtype.newbyteorder("<")).tobytes()
    text = base64.b64encode(np.array(len(raw), dtype="<u8").tobytes() + raw).decode()
    attributes = f'type="{kind}" Name={quoteattr(name)} NumberOfComponents="{components}" format="binary"'
    return f"<DataArray {attributes}>{text}</DataArray>"
