"""Areas as people have them: a GeoJSON file, well-known text, four numbers."""

from __future__ import annotations

import json
import math
import re
from pathlib import Path
from typing import Any

from orthoburst.errors import UsageError

LARGEST_FILE_BYTES = 64 * 1024 * 1024
_NUMBER = r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?"
_WKT = re.compile(r"\s*(MULTIPOLYGON|POLYGON)\s*(?:Z\s*|M\s*|ZM\s*)?(\(.*\))\s*", re.IGNORECASE | re.DOTALL)
_TOKEN = re.compile(rf"\s*(?:(\()|(\))|(,)|({_NUMBER}))")
_GEOMETRIES = ("Polygon", "MultiPolygon")

Geometry = dict[str, Any]


def area_of(text: str) -> Geometry:
    """The area that was named: ``west,south,east,north``, well-known text, or a GeoJSON file.

    Raises
    ------
    UsageError
        Where it is none of these, or the file holds none or several.
    """
    if re.fullmatch(rf"\s*{_NUMBER}(\s*,\s*{_NUMBER}){{3}}\s*", text):
        return _rectangle(*bbox_of(text))
    if _WKT.fullmatch(text):
        return _of_wkt(text)
    path = Path(text)
    if not path.is_file():
        raise UsageError(
            f"--area {text[:80]}: no such file, and neither west,south,east,north nor POLYGON((lon lat, …))"
        )
    areas = [geometry for geometry, _, _ in features_of(path)]
    if len(areas) != 1:
        raise UsageError(f"{path}: holds {len(areas)} areas, --area is one: orthoburst batch takes a file of many")
    return areas[0]


def bbox_of(text: str) -> tuple[float, float, float, float]:
    """``west,south,east,north``. Raises UsageError."""
    try:
        west, south, east, north = (float(part) for part in text.split(","))
    except ValueError:
        raise UsageError(f"{text}: expected west,south,east,north in degrees") from None
    numbers = (west, south, east, north)
    if not all(map(math.isfinite, numbers)) or not -90 <= south < north <= 90 or max(abs(west), abs(east)) > 180:
        raise UsageError(f"{text}: expected west,south,east,north in degrees, south below north")
    return numbers


def features_of(path: Path) -> list[tuple[Geometry, dict[str, Any], int]]:
    """The polygons of a GeoJSON file, each with its properties and its number, counted from 1.

    Raises
    ------
    UsageError
        Where it is no GeoJSON, or something else than polygons is in it.
    """
    document = _document(path)
    kind = document.get("type")
    if kind in _GEOMETRIES:
        return [(document, {}, 1)]
    features = document.get("features") if kind == "FeatureCollection" else [document] if kind == "Feature" else None
    if not isinstance(features, list) or not features:
        raise UsageError(f"{path}: no GeoJSON with polygons: its type is {kind!r}")
    found: list[tuple[Geometry, dict[str, Any], int]] = []
    for number, feature in enumerate(features, start=1):
        geometry = feature.get("geometry") if isinstance(feature, dict) else None
        of_kind = geometry.get("type") if isinstance(geometry, dict) else None
        if not isinstance(geometry, dict) or of_kind not in _GEOMETRIES:
            raise UsageError(f"{path}: feature {number}: expected a Polygon or MultiPolygon, found {of_kind or 'none'}")
        properties = feature.get("properties") or {}
        if not isinstance(properties, dict):
            raise UsageError(f"{path}: feature {number}: its properties are no object")
        found.append((geometry, properties, number))
    return found


def _document(path: Path) -> dict[str, Any]:
    if path.stat().st_size > LARGEST_FILE_BYTES:
        raise UsageError(f"{path}: has more than {LARGEST_FILE_BYTES >> 20} MiB")
    try:
        document = json.loads(path.read_text(encoding="utf-8-sig"))
    except json.JSONDecodeError as error:
        raise UsageError(f"{path}:{error.lineno}: not JSON: {error.msg}") from None
    except (UnicodeDecodeError, RecursionError) as error:
        raise UsageError(f"{path}: not JSON: {type(error).__name__}") from None
    if not isinstance(document, dict):
        raise UsageError(f"{path}:1: no GeoJSON: it is a {type(document).__name__}")
    return document


def _rectangle(west: float, south: float, east: float, north: float) -> Geometry:
    ring = [[west, south], [east, south], [east, north], [west, north], [west, south]]
    return {"type": "Polygon", "coordinates": [ring]}


def _of_wkt(text: str) -> Geometry:
    matched = _WKT.fullmatch(text)
    assert matched is not None
    kind = "Polygon" if matched[1].upper() == "POLYGON" else "MultiPolygon"
    nested = _nested(matched[2], text)
    depth = 2 if kind == "Polygon" else 3
    if _depth(nested) != depth:
        raise UsageError(f"{text[:80]}: its brackets are not those of a {kind.upper()}")
    return {"type": kind, "coordinates": nested}


def _nested(body: str, text: str) -> list[Any]:
    """Brackets as lists, and ``lon lat`` as pairs; heights are left out."""
    stack: list[list[Any]] = [[]]
    point: list[float] = []
    at = 0

    def end_point() -> None:
        if point:
            if len(point) < 2:
                raise UsageError(f"{text[:80]}: expected pairs of longitude and latitude")
            stack[-1].append(point[:2])
            point.clear()

    while at < len(body.rstrip()):
        token = _TOKEN.match(body, at)
        if token is None:
            raise UsageError(f"{text[:80]}: cannot read {body[at : at + 20]!r}")
        at = token.end()
        if token[1]:
            stack.append([])
        elif token[2]:
            end_point()
            if len(stack) < 2:
                raise UsageError(f"{text[:80]}: a bracket too many")
            closed = stack.pop()
            stack[-1].append(closed)
        elif token[3]:
            end_point()
        else:
            point.append(float(token[4]))
    if len(stack) != 1 or len(stack[0]) != 1:
        raise UsageError(f"{text[:80]}: a bracket is missing")
    found: list[Any] = stack[0][0]
    return found


def _depth(nested: Any) -> int:
    """Lists of lists of points are 2 deep; -1 where branches differ or one is empty."""
    if nested and all(isinstance(one, float) for one in nested):
        return 0
    depths = {_depth(one) if isinstance(one, list) else -1 for one in nested}
    return depths.pop() + 1 if len(depths) == 1 and -1 not in depths else -1
