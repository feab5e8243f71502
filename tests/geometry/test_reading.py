"""Polygons from files and other programs: WKT, GeoJSON, shapely."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import shapely

from pinnkit.errors import BadInput
from pinnkit.geometry import Interval, LShape, polygon

EXTERIOR = [[0.0, 0.0], [2.0, 0.0], [2.0, 2.0], [0.0, 2.0]]
HOLE = [[0.5, 0.5], [0.5, 1.0], [1.0, 1.0]]
SHAPE = shapely.Polygon(EXTERIOR, [HOLE])
GEOMETRY = json.loads(shapely.to_geojson(SHAPE))
FEATURE = {"type": "Feature", "geometry": GEOMETRY, "properties": {"names": {"hot": ["edge_0", "hole_0"]}}}


def written(folder: Path, name: str, content: str) -> Path:
    path = folder / name
    path.write_text(content, encoding="utf-8")
    return path


@pytest.mark.parametrize(
    "source",
    [
        SHAPE,
        shapely.MultiPolygon([SHAPE]),
        SHAPE.wkt,
        "  polygon((0 0,2 0,2 2,0 2),(0.5 0.5,0.5 1,1 1))",
        GEOMETRY,
        FEATURE,
        {"type": "FeatureCollection", "features": [FEATURE]},
        {"type": "Feature", "geometry": GEOMETRY, "properties": None},
        {"type": "Feature", "geometry": GEOMETRY, "properties": [1]},
        {"type": "MultiPolygon", "coordinates": [GEOMETRY["coordinates"]]},
    ],
)
def test_every_way_to_bring_a_polygon(source: Any) -> None:
    domain = polygon(source)
    np.testing.assert_array_equal(domain.rings[0], EXTERIOR)
    np.testing.assert_array_equal(domain.rings[1], HOLE)


def test_a_vertex_list_and_a_domain() -> None:
    np.testing.assert_array_equal(polygon(EXTERIOR).rings[0], EXTERIOR)
    domain = LShape()
    assert polygon(domain) is domain


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.geojson", json.dumps(FEATURE)),
        ("a.json", "\ufeff" + json.dumps(FEATURE)),
        ("plate (1).GeoJSON", json.dumps(GEOMETRY)),
        ("a.wkt", SHAPE.wkt + "\n"),
    ],
)
def test_files(tmp_path: Path, name: str, content: str) -> None:
    path = written(tmp_path, name, content)
    for source in (path, str(path)):
        assert polygon(source).polygon.equals(SHAPE)


def test_a_feature_names_groups_of_edges() -> None:
    assert polygon(FEATURE).resolve("hot") == ("edge_0", "hole_0_edge_0", "hole_0_edge_1", "hole_0_edge_2")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "is not JSON"),
        ("[1, 2]", "holds no JSON object"),
        ("{}", "type None"),
        ('{"type": "Point", "coordinates": [0, 0]}', "type 'Point'; give a Polygon"),
        ('{"type": "Polygon"}', "type 'Polygon'; give a Polygon with its coordinates"),
        ('{"type": "Polygon", "coordinates": []}', "no vertices"),
        ('{"type": "Polygon", "coordinates": [5]}', "exterior: 5 is not a list"),
        ('{"type": "Polygon", "coordinates": [[[0, NaN], [1, 0], [0, 1]]]}', r"vertex 0 is \(0, nan\)"),
        ('{"type": "Polygon", "coordinates": [[[0, 0, 5], [1, 0, 5], [0, 1, 5]]]}', "two numbers"),
        ('{"type": "MultiPolygon", "coordinates": [[], []]}', "in 2 parts; one connected domain"),
        ('{"type": "FeatureCollection", "features": []}', "in 0 parts"),
        ('{"type": "FeatureCollection", "features": [7]}', "type None"),
        ('{"type": "Feature", "geometry": null}', "type None"),
        (json.dumps(FEATURE | {"properties": {"names": {"hot": ["edge_9"]}}}), "no boundary piece 'edge_9'"),
        (json.dumps(FEATURE | {"properties": {"names": ["edge_0"]}}), "names are"),
        ('{"type": "FeatureCollection"}', "in 0 parts"),
    ],
)
def test_unusable_geojson(tmp_path: Path, content: str, message: str) -> None:
    with pytest.raises(BadInput, match=message):
        polygon(written(tmp_path, "a.geojson", content))


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("POLYGON ((0 0, 1 0", "not well-known text: 'POLYGON"),
        ("POLYGON EMPTY", "the polygon is empty"),
        ("POINT (0 0)", "a Point bounds no domain; give a Polygon"),
        ("LINESTRING (0 0, 1 1)", "a LineString bounds no domain"),
        ("MULTIPOLYGON (((0 0, 1 0, 0 1, 0 0)), ((5 5, 6 5, 5 6, 5 5)))", "in 2 parts; one connected"),
        ("POLYGON Z ((0 0 1, 1 0 1, 0 1 1, 0 0 1))", r"vertex 0 is \(0.0, 0.0, 1.0\)"),
        ("POLYGON ((0 0, 2 2, 2 0, 0 2, 0 0))", r"edges cross or touch at \(1, 1\)"),
        (shapely.Polygon(), "the polygon is empty"),
        (shapely.MultiPolygon(), "the polygon is empty"),
        (Interval(), "is not a list"),
        (3.0, "is not a list"),
        (
            [np.zeros((3, 2))],
            r"vertex 0 is array\(\[\[0., 0.\], \[0., 0.\], \[0., 0.\]\]\); a vertex is two numbers",
        ),
        ("nowhere.geojson", "cannot read 'nowhere.geojson': No such file"),
        ("nowhere.wkt", "cannot read 'nowhere.wkt': No such file"),
        ("/", "cannot read '/': Is a directory"),
        ("a\0b", "cannot read"),
    ],
)
def test_unusable_sources(source: Any, message: str) -> None:
    with pytest.raises(BadInput, match="^geometry: .*" + message) as caught:
        polygon(source)
    assert "\n" not in str(caught.value)


def test_a_binary_file_is_no_text(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(BadInput, match="not a UTF-8 text file"):
        polygon(tmp_path / "a.json")


def test_an_unclosed_ring_of_wkt_is_closed() -> None:
    np.testing.assert_array_equal(polygon("POLYGON ((0 0, 2 0, 2 2, 0 2))").rings[0], EXTERIOR)
