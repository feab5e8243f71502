"""Meshes cover the domain exactly; files hold what the answer says, read back independently of the writer."""

import base64
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
from answers import ANSWERS, Array, KnownAnswer, l_shape, l_shape_in_time, plate, rectangle
from committees import committee, size_of

from pinnkit.errors import BadInput
from pinnkit.export import CELLS, SNAPSHOTS, Mesh, mesh_of, snapshots, within, write_npz, write_vtu
from pinnkit.geometry import Box, Domain, Interval, LShape, Rectangle

DTYPES = {"Float64": "<f8", "Int64": "<i8", "UInt8": "<u1"}


@pytest.fixture(params=ANSWERS)
def known(request: pytest.FixtureRequest) -> KnownAnswer:
    return ANSWERS[request.param]()


def volumes(mesh: Mesh) -> Array:
    sides = mesh.points[mesh.cells[:, 1:]] - mesh.points[mesh.cells[:, :1]]
    return np.abs(np.linalg.det(sides)) / sides.shape[1]


def read_vtu(path: Path) -> tuple[ElementTree.Element, dict[str, Array]]:
    root = ElementTree.parse(path).getroot()
    return root, {array.attrib["Name"]: decoded(array) for array in root.iter("DataArray")}


def decoded(array: ElementTree.Element) -> Array:
    raw = base64.b64decode(array.text or "", validate=True)
    assert int.from_bytes(raw[:8], "little") == len(raw) - 8
    values = np.frombuffer(raw[8:], DTYPES[array.attrib["type"]])
    return values.reshape(-1, 3) if array.attrib["NumberOfComponents"] == "3" else values


THIN = Rectangle((0, 0), (20, 1))


@pytest.mark.parametrize("domain", [Interval(-1, 3), THIN, LShape(), plate(), Interval() * (0, 2)])
def test_a_mesh_fills_its_domain(domain: Domain) -> None:
    mesh = mesh_of(domain)
    assert volumes(mesh).sum() == pytest.approx(domain.measure, rel=1e-12)
    assert domain.contains_strictly(mesh.centres).all()
    assert np.array_equal(np.unique(mesh.cells), np.arange(len(mesh.points)))


@pytest.mark.parametrize("domain", [Rectangle(), LShape(), plate()])
def test_a_mesh_has_as_many_triangles_as_asked_for(domain: Domain) -> None:
    assert CELLS <= len(mesh_of(domain).cells) < 5 * CELLS


def test_a_mesh_is_fine_at_the_re_entrant_corner_only() -> None:
    mesh = mesh_of(LShape())
    sizes, distances = np.sqrt(volumes(mesh)), np.linalg.norm(mesh.centres, axis=1)
    assert sizes[distances.argmin()] < np.median(sizes) / 16
    assert sizes[distances > 0.2].min() > np.median(sizes) / 4


def test_a_domain_of_three_dimensions_is_not_meshed() -> None:
    with pytest.raises(BadInput, match="cannot be drawn"):
        mesh_of(LShape() * (0, 1))


@pytest.mark.parametrize("domain", [Box([0], [2]), Box([0, -1], [1, 2])])
def test_a_box_of_one_or_two_dimensions_is_meshed_whole(domain: Domain) -> None:
    assert volumes(mesh_of(domain)).sum() == pytest.approx(domain.measure, rel=1e-12)


def test_a_mesh_lies_within_its_domain_at_the_middle_of_what_it_does_not_show() -> None:
    points = within(Box([0, 0, 0, 2], [1, 1, 4, 3]), np.array([[0.25, 0.75]]))
    assert points.tolist() == [[0.25, 0.75, 2.0, 2.5]]
    assert within(LShape() * (0, 4), np.array([[0.25, 0.75]]), 3.0).tolist() == [[0.25, 0.75, 3.0]]


def test_vtu_holds_the_mesh_of_space(known: KnownAnswer, tmp_path: Path) -> None:
    write_vtu(known, tmp_path / "solution.vtu")
    root, arrays = read_vtu(tmp_path / "solution.vtu")
    mesh = snapshots(known)[0].mesh
    piece = root.find("UnstructuredGrid/Piece")
    assert piece is not None
    assert int(piece.attrib["NumberOfPoints"]) == len(mesh.points)
    assert int(piece.attrib["NumberOfCells"]) == len(mesh.cells)
    d = mesh.points.shape[1]
    assert np.array_equal(arrays["Points"], np.pad(mesh.points, ((0, 0), (0, 3 - d))))
    assert np.array_equal(arrays["connectivity"].reshape(-1, d + 1), mesh.cells)
    assert np.array_equal(arrays["offsets"], (d + 1) * np.arange(1, len(mesh.cells) + 1))
    assert set(arrays["types"]) == {{1: 3, 2: 5}[d]}


def test_vtu_holds_the_values(known: KnownAnswer, tmp_path: Path) -> None:
    write_vtu(known, tmp_path / "solution.vtu")
    root, arrays = read_vtu(tmp_path / "solution.vtu")
    for shot in snapshots(known):
        suffix = "" if shot.time is None else f"(t={shot.time:g})"
        predicted, true = known.predict(shot.points), known.solution(shot.points)
        for k, field in enumerate(known.problem.fields):
            assert np.array_equal(arrays[f"{field}{suffix}"], predicted[:, k])
            assert np.array_equal(arrays[f"{field}_reference{suffix}"], true[:, k])
            assert np.array_equal(arrays[f"{field}_error{suffix}"], (predicted - true)[:, k])
    data = root.find("UnstructuredGrid/Piece/PointData")
    assert data is not None and data.attrib["Scalars"] == f"{known.problem.fields[0]}{suffix}"


def test_snapshots_go_from_the_start_to_the_end_of_time() -> None:
    times = [shot.time for shot in snapshots(l_shape_in_time())]
    assert times == [0, 0.25, 0.5, 0.75, 1] and len(times) == SNAPSHOTS


def test_npz_holds_points_and_values(known: KnownAnswer, tmp_path: Path) -> None:
    write_npz(known, tmp_path / "solution.npz")
    with np.load(tmp_path / "solution.npz") as file:
        arrays: dict[str, Any] = dict(file)
    assert tuple(arrays["fields"]) == known.problem.fields
    assert known.problem.domain.contains(arrays["points"]).all()
    assert np.array_equal(arrays["values"], known.predict(arrays["points"]))
    assert np.array_equal(arrays["reference"], known.solution(arrays["points"]))
    assert np.array_equal(arrays["error"], arrays["values"] - arrays["reference"])


def test_without_a_reference(tmp_path: Path) -> None:
    result = replace(l_shape(), reference=None)
    write_npz(result, tmp_path / "solution.npz")
    write_vtu(result, tmp_path / "solution.vtu")
    with np.load(tmp_path / "solution.npz") as file:
        assert np.isnan(file["reference"]).all() and np.isnan(file["error"]).all()
        assert file["reference"].shape == file["values"].shape
    assert set(read_vtu(tmp_path / "solution.vtu")[1]) == {"Points", "connectivity", "offsets", "types", "u"}


@pytest.mark.parametrize("make", [rectangle, l_shape_in_time])
def test_of_a_committee_spread_and_half_width_are_kept(make: Any, tmp_path: Path) -> None:
    result = committee(make())
    write_npz(result, tmp_path / "solution.npz")
    write_vtu(result, tmp_path / "solution.vtu")
    with np.load(tmp_path / "solution.npz") as file:
        arrays: dict[str, Any] = dict(file)
    points, fields = arrays["points"], result.problem.fields
    assert np.allclose(arrays["values"], result.predict(points), rtol=1e-15)
    assert arrays["spread"] == pytest.approx(np.tile(size_of(points), len(fields)), rel=1e-9)
    assert np.array_equal(arrays["half_width"], result.solution.half_width(arrays["spread"], 0.9))
    _, named = read_vtu(tmp_path / "solution.vtu")
    shots = snapshots(result)
    for j, shot in enumerate(shots):
        suffix, n = "" if shot.time is None else f"(t={shot.time:g})", len(shot.points)
        for k, field in enumerate(fields):
            for name in ("spread", "half_width"):
                assert np.array_equal(named[f"{field}_{name}{suffix}"], arrays[name][j * n : (j + 1) * n, k])


def test_other_answers_have_no_spread(tmp_path: Path) -> None:
    write_npz(l_shape(), tmp_path / "solution.npz")
    with np.load(tmp_path / "solution.npz") as file:
        assert set(file) == {"points", "fields", "values", "reference", "error"}
