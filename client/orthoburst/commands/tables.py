"""Files of many requests: CSV, a line each, or GeoJSON, a feature each."""

from __future__ import annotations

import csv
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from orthoburst.commands.places import area_of, features_of
from orthoburst.errors import UsageError
from orthoburst.execution import Execution, execution


@dataclass(frozen=True)
class Row:
    """One request of a file. ``where`` is what errors call it: ``orders.csv:7``."""

    where: str
    execution: Execution


def read_table(path: Path, shared: Mapping[str, Any]) -> list[Row]:
    """The requests of a file; ``shared`` are wishes of all that do not say otherwise.

    Raises
    ------
    UsageError
        That names the file, the line or feature, the column, what was found and what was expected.
    """
    if not path.is_file():
        raise UsageError(f"{path}: no such file")
    if path.suffix.lower() in (".json", ".geojson"):
        return _of_geojson(path, shared)
    if path.suffix.lower() in (".csv", ".tsv", ".txt"):
        return _of_csv(path, shared)
    raise UsageError(f"{path}: expected a .csv or .geojson file")


def _of_csv(path: Path, shared: Mapping[str, Any]) -> list[Row]:
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        line = path.read_bytes()[: error.start].count(b"\n") + 1
        raise UsageError(f"{path}:{line}: not UTF-8 text") from None
    first = text.split("\n", 1)[0]
    delimiter = next((one for one in ("\t", ";") if one in first), ",")
    lines = csv.reader(text.splitlines(keepends=True), delimiter=delimiter, strict=True)
    rows: list[Row] = []
    columns: list[str] | None = None
    try:
        for cells in lines:
            where = f"{path}:{lines.line_num}"
            if not any(cell.strip() for cell in cells) or cells[0].lstrip().startswith("#"):
                continue
            if columns is None:
                columns = _columns(where, cells)
                continue
            if len(cells) != len(columns):
                raise UsageError(f"{where}: {len(cells)} cells, but {len(columns)} columns: {', '.join(columns)}")
            named = {name: cell.strip() for name, cell in zip(columns, cells, strict=True) if cell.strip()}
            rows.append(_row(where, named, shared))
    except csv.Error as error:
        raise UsageError(f"{path}:{lines.line_num}: {error}") from None
    if not rows:
        raise UsageError(
            f"{path}:1: no request in it: a first line with columns ({', '.join(COLUMNS)}), then one a line"
        )
    return rows


def _columns(where: str, cells: list[str]) -> list[str]:
    columns = [cell.strip().lower() for cell in cells]
    for name in columns:
        if name not in COLUMNS:
            raise UsageError(f"{where}: no such column {name!r}; there are {', '.join(COLUMNS)}")
    if len(set(columns)) != len(columns):
        raise UsageError(f"{where}: a column is named twice")
    if "products" not in columns:
        raise UsageError(f"{where}: a column 'products' is needed")
    return columns


def _of_geojson(path: Path, shared: Mapping[str, Any]) -> list[Row]:
    rows = []
    for area, properties, number in features_of(path):
        where = f"{path}: feature {number}"
        named = {name: value for name, value in properties.items() if name in COLUMNS and value not in (None, "")}
        on_tiles = {"tiles", "footprint"} & {*named, *shared}
        rows.append(_row(where, named, shared if on_tiles else {**shared, "area": area}))
    return rows


def _row(where: str, named: Mapping[str, Any], shared: Mapping[str, Any]) -> Row:
    wishes: dict[str, Any] = {}
    for name, value in named.items():
        key, read = COLUMNS[name]
        try:
            found = read(value)
        except UsageError as error:
            raise UsageError(f"{where}: {name}: {error}") from None
        except (ValueError, TypeError) as error:
            raise UsageError(f"{where}: {name}: found {value!r:.60}, expected {_EXPECTED.get(name, error)}") from None
        if key == "terrain":
            wishes[key] = {**wishes.get(key, {}), **found}
        else:
            wishes[key] = found
    for name in ("tiles", "area", "grid"):  # the row's own place counts for more than that of all
        if name in wishes:
            shared = {key: value for key, value in shared.items() if key not in ("tiles", "area", "grid")}
    wished = {key: value for key, value in {**shared, **wishes}.items() if value is not None}
    products = wished.pop("products", None)
    if not products:
        raise UsageError(f"{where}: products: say which, or give --product for all")
    if "grid" in wished and "spacing_m" in wished:
        wished["grid"] = {**wished["grid"], "spacing_m": wished.pop("spacing_m")}
    try:
        return Row(where, execution(products, **wished))
    except TypeError as error:
        raise UsageError(f"{where}: {error}") from None


def _words(value: Any) -> list[str]:
    """Several in a cell are separated by spaces, a plus or a bar: commas and semicolons separate cells."""
    if isinstance(value, list) and all(isinstance(one, str) for one in value):
        return value
    if not isinstance(value, str):
        raise TypeError
    return value.replace("|", " ").replace("+", " ").split()


def _text(value: Any) -> str:
    return str(value)


def _switch(value: Any) -> bool:
    word = str(value).strip().lower()
    if word not in ("true", "yes", "1", "false", "no", "0"):
        raise ValueError
    return word in ("true", "yes", "1")


def _moment(value: Any) -> datetime:
    found = datetime.fromisoformat(str(value))
    if found.tzinfo is None:
        raise ValueError
    return found


def _area(value: Any) -> dict[str, Any]:
    return dict(value) if isinstance(value, dict) else area_of(str(value))


def _footprint(value: Any) -> dict[str, Any] | None:
    return {"kind": "footprint"} if _switch(value) else None


def _part(name: str, read: Callable[[Any], Any]) -> Callable[[Any], dict[str, Any]]:
    return lambda value: {name: read(value)}


COLUMNS: dict[str, tuple[str, Callable[[Any], Any]]] = {
    "products": ("products", _words),
    "request_id": ("request_id", _text),
    "process": ("process", _text),
    "tiles": ("tiles", _words),
    "area": ("area", _area),
    "footprint": ("grid", _footprint),
    "spacing_m": ("spacing_m", float),
    "bands": ("bands", _words),
    "radiometry": ("radiometry", _text),
    "resampling": ("resampling", _text),
    "noise_removal": ("noise_removal", _switch),
    "scale": ("scale", _text),
    "extras": ("extras", _words),
    "dem": ("terrain", _part("dem", _text)),
    "geoid": ("terrain", _part("geoid", _text)),
    "height_m": ("terrain", _part("height_m", float)),
    "gipp": ("gipp", _text),
    "iers": ("iers", _text),
    "orbits": ("orbits", _text),
    "deadline": ("deadline", _moment),
    "patience_s": ("patience_s", float),
    "urgent": ("urgent", _switch),
    "shared_with": ("shared_with", _words),
    "keep_days": ("keep_days", float),
    "notify": ("notify", _text),
}
"""Of a CSV file, and properties of a GeoJSON feature: the wish each stands for, and how it is read."""

_EXPECTED = {
    "spacing_m": "a number of metres",
    "height_m": "a number of metres",
    "patience_s": "a number of seconds",
    "keep_days": "a number of days",
    "noise_removal": "yes or no",
    "urgent": "yes or no",
    "footprint": "yes or no",
    "deadline": "a time with its zone, as 2026-05-01T12:00:00Z",
    "products": "names separated by spaces",
    "tiles": "tiles separated by spaces",
    "bands": "bands separated by spaces",
    "extras": "names separated by spaces",
    "shared_with": "groups separated by spaces",
}
