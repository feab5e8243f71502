"""Polygons as they come from files and other programs: shapely geometries, WKT and GeoJSON."""

import json
from collections.abc import Mapping
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import shapely

from pinnkit.errors import BadInput
from pinnkit.geometry.rings import bad

Rings = list[Any]  # vertex lists: the exterior, then the holes


def rings_of_geometry(geometry: shapely.Geometry) -> Rings:
    """Rings of a shapely polygon; BadInput for another, an empty or a disconnected geometry."""
    if isinstance(geometry, shapely.MultiPolygon) and len(geometry.geoms) == 1:
        geometry = geometry.geoms[0]
    if isinstance(geometry, shapely.MultiPolygon | shapely.Polygon) and geometry.is_empty:
        raise bad("the polygon is empty", "give at least 3 vertices")
    if isinstance(geometry, shapely.MultiPolygon):
        raise _in_parts(len(geometry.geoms))
    if not isinstance(geometry, shapely.Polygon):
        raise bad(f"a {geometry.geom_type} bounds no domain", "give a Polygon")
    return [ring.coords for ring in (geometry.exterior, *geometry.interiors)]


def rings_of_wkt(text: str) -> Rings:
    """Rings of a polygon in well-known text."""
    with np.errstate(invalid="ignore"):  # NaN is refused later, with the vertex
        geometry = shapely.from_wkt(text, on_invalid="fix")
    if geometry is None:
        raise bad(f"not well-known text: {text.strip()[:40]!r}", "write POLYGON ((x y, x y, ...), (hole ...))")
    return rings_of_geometry(geometry)


def rings_of_geojson(source: Mapping[str, Any]) -> tuple[Rings, Mapping[str, Any]]:
    """Rings and names of edges of a GeoJSON Polygon, or a Feature or FeatureCollection of one; see RFC 7946.

    The names are `properties.names` of the Feature.
    """
    feature = _only_feature(source)
    geometry = _field(feature, "geometry") if _field(feature, "type") == "Feature" else feature
    return _rings_of_coordinates(geometry), _field(_field(feature, "properties"), "names") or {}


def read_json(path: str | PathLike[str]) -> Mapping[str, Any]:
    """The JSON object in a file."""
    try:
        content = json.loads(read_text(path))
    except (json.JSONDecodeError, RecursionError) as fault:
        raise bad(f"{path} is not JSON: {fault}", "give a GeoJSON file") from None
    if not isinstance(content, dict):
        raise bad(f"{path} holds no JSON object", "give a GeoJSON file")
    return content


def read_text(path: str | PathLike[str]) -> str:
    """The text of a UTF-8 file."""
    try:
        return Path(path).read_text(encoding="utf-8-sig")
    except (OSError, ValueError) as fault:
        reason = getattr(fault, "strerror", None) or "not a UTF-8 text file"
        raise bad(f"cannot read {str(path)!r}: {reason}", "give a .geojson, .json or .wkt file") from None


def _only_feature(source: Mapping[str, Any]) -> Any:
    if source.get("type") != "FeatureCollection":
        return source
    return _only_part(source.get("features"))


def _rings_of_coordinates(geometry: Any) -> Rings:
    kind, coordinates = _field(geometry, "type"), _field(geometry, "coordinates")
    if kind == "MultiPolygon":
        coordinates = _only_part(coordinates)
    if kind not in ("Polygon", "MultiPolygon") or not isinstance(coordinates, list | tuple):
        raise bad(f"a GeoJSON geometry of type {kind!r}", "give a Polygon with its coordinates")
    return list(coordinates)


def _field(thing: Any, key: str) -> Any:
    """The value at a key, None where JSON has something else than an object with this key."""
    return thing.get(key) if isinstance(thing, Mapping) else None


def _only_part(parts: Any) -> Any:
    if not isinstance(parts, list | tuple) or len(parts) != 1:
        raise _in_parts(len(parts) if isinstance(parts, list | tuple) else 0)
    return parts[0]


def _in_parts(count: int) -> BadInput:
    return bad(f"the domain is in {count} parts", "one connected domain is wanted: give one part, or join them")
