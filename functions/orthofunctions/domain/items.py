"""The STAC Item of an image as the catalogue shows it: what its worker delivered, with the names that it has here.

Where the delivered Item cannot be used, one is made from the catalogue entry: what it is, where, when, which files. In
the index hrefs are places (``results/...`` or ``site://...``); they become links when somebody asks.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final, get_args

from pydantic import AwareDatetime, TypeAdapter, ValidationError

from orthocontracts.outputs import FILE_SUFFIX, CatalogueEntry, FileKind, GridSpec
from orthocontracts.productname import ProductNameError, last_part
from orthocontracts.products import Sentinel1Name, Sentinel2Name, Sentinel3Name, mission_of, parse_product
from orthocontracts.requests import EPSG_LONLAT, Radiometry
from orthocontracts.utm import utm_inverse
from orthofunctions.domain.search_areas import Area, AreaError, area_box, parse_area

STAC_VERSION: Final = "1.0.0"
GRID_EXTENSION: Final = "https://stac-extensions.github.io/grid/v1.1.0/schema.json"
FILE_EXTENSION: Final = "https://stac-extensions.github.io/file/v2.1.0/schema.json"
COG: Final = "image/tiff; application=geotiff; profile=cloud-optimized"
MEDIA_TYPES: Final[dict[FileKind, str]] = {"browse": "image/png", "item": "application/geo+json"}
MOST_BYTES: Final = 512 * 1024
"""Of a delivered Item: one that is larger is not believed to be one."""
MOST_POINTS: Final = 400
"""Of its footprint: an index row holds no more."""
_ASSETS: Final[dict[FileKind, tuple[str, list[str]]]] = {
    "image": ("data", ["data"]),
    "mask": ("mask", ["metadata"]),
    "browse": ("thumbnail", ["thumbnail", "overview"]),
}
_DEFAULT_RADIOMETRY: Final = {"sentinel-1": "sigma0", "sentinel-2": "reflectance", "sentinel-3": "physical"}
_MOMENT: Final = TypeAdapter(AwareDatetime)
_RFC3339: Final = re.compile(r"\d{4}-\d{2}-\d{2}[Tt]\d{2}:\d{2}:\d{2}(\.\d+)?([Zz]|[+-]\d{2}:\d{2})", re.ASCII)


def moment(text: object) -> datetime | None:
    """An RFC 3339 time with its zone, in UTC; None where it is none."""
    if not isinstance(text, str) or not _RFC3339.fullmatch(text):
        return None
    try:
        return _MOMENT.validate_python(text).astimezone(UTC)
    except (ValidationError, OverflowError, ValueError):
        return None


def rfc3339(when: datetime) -> str:
    return when.astimezone(UTC).isoformat(timespec="auto").replace("+00:00", "Z")


def item_of(entry: CatalogueEntry, delivered: bytes | None) -> dict[str, Any]:
    """The Item of an image, from what its worker delivered or else from its entry."""
    item = _usable(delivered) or _from_entry(entry)
    properties = {**item["properties"], **_added(entry, item["properties"])}
    extensions = list(
        dict.fromkeys([*item["stac_extensions"], *([GRID_EXTENSION] if entry.identity.grid.tile else [])])
    )
    geometry = item["geometry"]
    document = {
        "type": "Feature",
        "stac_version": STAC_VERSION,
        "stac_extensions": extensions,
        "id": entry.digest,
        "collection": collection_of(entry, properties),
        "geometry": geometry,
        "properties": properties,
        "links": item["links"],
        "assets": _assets(entry, item["assets"]),
    }
    if geometry is not None:
        document["bbox"] = area_box(parse_area(geometry, strict=False))
    return document


def collection_of(entry: CatalogueEntry, properties: Mapping[str, Any]) -> str:
    """``<mission>-<radiometry>``."""
    said = properties.get("orthoburst:radiometry")
    mission = mission_of(entry.identity.products[0].ref) or "rpc"
    radiometry = entry.identity.options.radiometry or (said if said in get_args(Radiometry) else None)
    return f"{mission}-{radiometry or _DEFAULT_RADIOMETRY.get(mission, 'dn')}".replace("_", "-")


def footprint_of(item: Mapping[str, Any]) -> Area | None:
    """None where nobody knows where the image is."""
    return None if item["geometry"] is None else parse_area(item["geometry"], strict=False)


def _usable(delivered: bytes | None) -> dict[str, Any] | None:
    """A delivered Item that has what every Item must have; its own pool made it, so it is looked at, not trusted."""
    if delivered is None or len(delivered) > MOST_BYTES:
        return None
    try:
        item = json.loads(delivered)
        json.dumps(item, allow_nan=False, ensure_ascii=False).encode()  # it is to be sent on as it is
        n_points = parse_area(item["geometry"], strict=False).n_points
    except (ValueError, KeyError, TypeError, RecursionError):  # AreaError is a ValueError
        return None
    if n_points > MOST_POINTS:
        return None
    properties, extensions = item.get("properties"), item.get("stac_extensions", [])
    assets, links = item.get("assets"), item.get("links", [])
    if not isinstance(properties, dict) or moment(properties.get("datetime")) is None:
        return None
    if not isinstance(assets, dict) or not all(isinstance(one, dict) for one in assets.values()):
        return None
    if not isinstance(extensions, list) or not all(isinstance(one, str) for one in extensions):
        return None
    if not isinstance(links, list):
        return None
    kept = [one for one in links if isinstance(one, dict) and str(one.get("href", "")).startswith(("http:", "https:"))]
    return {**item, "stac_extensions": extensions, "links": kept}


def _from_entry(entry: CatalogueEntry) -> dict[str, Any]:
    start, stop = _times(entry)
    grid = entry.identity.grid
    properties = {
        "datetime": start,
        **({"start_datetime": start, "end_datetime": stop} if stop else {"orthoburst:datetime_is": "created"}),
        "created": entry.committed_at,
        "proj:epsg": grid.epsg,
        "proj:shape": [grid.n_rows, grid.n_cols],
        "proj:transform": [grid.spacing, 0.0, grid.left, 0.0, -grid.spacing, grid.top],
        "orthoburst:products": [last_part(source.ref) for source in entry.identity.products],
        "orthoburst:item_is": "made from the catalogue entry",
    }
    return {
        "stac_extensions": ["https://stac-extensions.github.io/projection/v1.1.0/schema.json"],
        "geometry": _outline(grid),
        "properties": properties,
        "links": [],
        "assets": {},
    }


def _times(entry: CatalogueEntry) -> tuple[str, str | None]:
    """Start and end of what was seen; where names say nothing of it, when the image was made."""
    starts, stops = [], []
    for source in entry.identity.products:
        try:
            name = parse_product(source.ref)
        except ProductNameError:
            continue
        starts.append(name.start)
        stops.append(getattr(name, "stop", name.start))
    if not starts:
        return rfc3339(moment(entry.committed_at) or datetime.now(UTC)), None
    return rfc3339(min(starts)), rfc3339(max(stops))


def _outline(grid: GridSpec) -> dict[str, Any] | None:
    """The grid's edge, where its map is longitude and latitude or UTM."""
    right, bottom = grid.left + grid.n_cols * grid.spacing, grid.top - grid.n_rows * grid.spacing
    parts = [n / 4 for n in range(4)]
    edge = [(grid.left + (right - grid.left) * n, bottom) for n in parts]
    edge += [(right, bottom + (grid.top - bottom) * n) for n in parts]
    edge += [(right - (right - grid.left) * n, grid.top) for n in parts]
    edge += [(grid.left, grid.top - (grid.top - bottom) * n) for n in parts]
    if grid.epsg // 100 in (326, 327) and 1 <= grid.epsg % 100 <= 60:
        edge = [utm_inverse(x, y, grid.epsg % 100, south=grid.epsg // 100 == 327) for x, y in edge]
    elif grid.epsg != EPSG_LONLAT:
        return None
    ring = [[round(lon, 7), round(lat, 7)] for lon, lat in (*edge, edge[0])]
    if not all(math.isfinite(lon) and abs(lat) <= 90 for lon, lat in ring):
        return None
    geometry = {"type": "Polygon", "coordinates": [ring]}
    try:
        parse_area(geometry)
    except AreaError:
        return None
    return geometry


def _added(entry: CatalogueEntry, properties: Mapping[str, Any]) -> dict[str, Any]:
    """What is searched for and a worker need not say."""
    first = entry.identity.products[0].ref
    try:
        name: Sentinel1Name | Sentinel2Name | Sentinel3Name | None = parse_product(first)
    except ProductNameError:
        name = None
    platform = {"S1": "sentinel-1", "S2": "sentinel-2", "S3": "sentinel-3"}.get(name.platform[:2]) if name else None
    added: dict[str, Any] = {"orthoburst:pool": entry.pool, "orthoburst:spacing": entry.identity.grid.spacing}
    if name is not None and platform is not None:
        added["orthoburst:source_type"] = name.level if isinstance(name, Sentinel2Name) else name.product_type
        if "platform" not in properties:
            added["platform"] = f"{platform}{name.platform[2:].lower()}"
        for key in ("constellation", "mission"):
            if key not in properties:
                added[key] = platform
    if entry.identity.options.radiometry is not None:
        added["orthoburst:radiometry"] = entry.identity.options.radiometry
    if entry.identity.grid.tile:
        added["grid:code"] = f"MGRS-{entry.identity.grid.tile}"
    return added


def _assets(entry: CatalogueEntry, delivered: Mapping[str, Any]) -> dict[str, Any]:
    """Each file of the entry once: described as its worker did, where the names are the same."""
    described: dict[FileKind, tuple[str, dict[str, Any]]] = {}
    for key, asset in delivered.items():
        name = str(asset.get("href", "")).rpartition("/")[2]
        for kind in entry.files:
            if name == f"{entry.digest}{FILE_SUFFIX[kind]}":
                described[kind] = (key, asset)
    assets = {}
    for kind, file in entry.files.items():
        if kind == "item":
            continue
        key, roles = _ASSETS.get(kind, (kind, ["metadata"]))
        plain = {"type": MEDIA_TYPES.get(kind, COG), "roles": roles, "file:size": file.size_bytes}
        key, asset = described.get(kind, (key, plain))
        assets[key] = {**asset, "href": file.blob}
    return assets
