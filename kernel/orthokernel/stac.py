"""The STAC Item of an orthoimage. Source: STAC specification 1.0.0 and the extensions named in `EXTENSIONS`."""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyproj
import rasterio
from blake3 import blake3

from orthocontracts.tiles import tiles_intersecting
from orthokernel.extras import EXTRAS
from orthokernel.grid import Grid
from orthokernel.nrb import normalised_backscatter
from orthokernel.result import OrthoResult

STAC_VERSION = "1.0.0"
_BASE = "https://stac-extensions.github.io"
EXTENSIONS = {
    "proj": f"{_BASE}/projection/v1.1.0/schema.json",
    "raster": f"{_BASE}/raster/v1.1.0/schema.json",
    "file": f"{_BASE}/file/v2.1.0/schema.json",
    "processing": f"{_BASE}/processing/v1.2.0/schema.json",
    "sar": f"{_BASE}/sar/v1.0.0/schema.json",
    "sat": f"{_BASE}/sat/v1.0.0/schema.json",
    "view": f"{_BASE}/view/v1.0.0/schema.json",
    "mgrs": f"{_BASE}/mgrs/v1.0.0/schema.json",
    "eo": f"{_BASE}/eo/v1.1.0/schema.json",
    "classification": f"{_BASE}/classification/v1.1.0/schema.json",
    "ceos-ard": f"{_BASE}/ceos-ard/v0.2.0/schema.json",
}
_COG = "image/tiff; application=geotiff; profile=cloud-optimized"
_TILE_SIDE_M = 109_800.0


def write_item(
    result: OrthoResult, files: dict[str, Path], names: dict[str, Path], target: Path, digests: Mapping[str, str]
) -> None:
    """Write the Item of an orthoimage whose files lie, complete, under ``files`` and will be called ``names``.

    ``digests`` has the BLAKE3, in hexadecimal, of files that were summed while they were written.
    """
    item = make_item(result, files, names, digests)
    target.write_text(json.dumps(item, indent=2, allow_nan=False) + "\n", encoding="utf-8")


def make_item(
    result: OrthoResult, files: dict[str, Path], names: dict[str, Path], digests: Mapping[str, str]
) -> dict[str, Any]:
    """The Item as a dict of JSON types; asset links are file names, relative to the Item."""
    facts = result.properties["products"]
    first = facts[0]
    properties: dict[str, Any] = {**_times(facts), **_common(first), **_projection(result.grid)}
    used = ["proj", "raster", "file", "processing"]
    if first.get("mission") == "sentinel-1":
        properties |= _sar(first, result)
        used += ["sar", "sat"]
    elif "absolute_orbit" in first or "relative_orbit" in first:
        properties |= _orbit(first)
        used.append("sat")
    if view := _view(facts):
        properties |= view
        used.append("view")
    if first.get("eo_bands"):
        properties["eo:cloud_cover"] = _mean(facts, "cloud_cover_percent")
        used.append("eo")
    tile = mgrs_tile(result.grid)
    if tile is not None:
        zone, band, square = tile
        properties |= {"mgrs:utm_zone": zone, "mgrs:latitude_band": band, "mgrs:grid_square": square}
        used.append("mgrs")
    properties |= _processing(result)
    links: list[dict[str, str]] = []
    assets = _assets(result, files, names, digests)
    if result.radiometry == "gamma0_rtc":
        name = f"{tile[0]:02d}{tile[1]}{tile[2]}" if tile else None
        facility = result.properties.get("processing_facility")
        nrb = normalised_backscatter(result.properties, result.grid, name, result.resampling, assets, facility)
        properties |= nrb.properties
        links, assets = nrb.links, nrb.assets
        used += ["classification"] if nrb.missing else ["classification", "ceos-ard"]
    ring = result.footprint
    return {
        "type": "Feature",
        "stac_version": STAC_VERSION,
        "stac_extensions": [EXTENSIONS[name] for name in used],
        "id": names["image"].stem,
        "bbox": [round(float(v), 7) for v in (*_wrapped(ring.min(axis=0)), *_wrapped(ring.max(axis=0)))],
        "geometry": _geometry(ring),
        "properties": {key: value for key, value in properties.items() if value is not None},
        "links": links,
        "assets": assets,
    }


def mgrs_tile(grid: Grid) -> tuple[int, str, str] | None:
    """UTM zone, latitude band and square of a grid that is a Sentinel-2 tile; None for any other."""
    left, bottom, right, top = grid.bounds
    if abs(right - left - _TILE_SIDE_M) > 1e-6 or abs(top - bottom - _TILE_SIDE_M) > 1e-6 or grid.epsg is None:
        return None
    lon, lat = grid.lonlat((grid.n_rows - 1) / 2, (grid.n_cols - 1) / 2)
    lon0, lat0 = float(lon), float(lat)
    near = [(lon0 + dx, lat0 + dy) for dx, dy in ((0, 0), (1e-3, 0), (0, 1e-3), (0, 0))]
    for name in tiles_intersecting(near):
        found = Grid.mgrs(name, 10.0)
        if found.epsg == grid.epsg and np.allclose(found.bounds, grid.bounds, atol=1e-6):
            match = re.fullmatch(r"(\d{2})([A-Z])([A-Z]{2})", name)
            assert match is not None
            return int(match[1]), match[2], match[3]
    return None


def _times(facts: list[dict[str, Any]]) -> dict[str, Any]:
    starts = sorted(fact["start_time"] for fact in facts if fact.get("start_time"))
    stops = sorted(fact["stop_time"] for fact in facts if fact.get("stop_time"))
    now = datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
    if not starts or not stops:
        # A product without a time: STAC wants one, so the Item has that of its making and says so.
        return {"datetime": now, "created": now, "orthoburst:datetime_is": "created"}
    return {"datetime": starts[0], "start_datetime": starts[0], "end_datetime": stops[-1], "created": now}


def _common(first: dict[str, Any]) -> dict[str, Any]:
    return {key: first[key] for key in ("constellation", "platform", "instruments") if first.get(key)}


def _projection(grid: Grid) -> dict[str, Any]:
    """Extension proj 1.1: ``proj:epsg`` is null where the system has no code, and ``proj:wkt2`` says it then."""
    values: dict[str, Any] = {
        "proj:shape": [grid.n_rows, grid.n_cols],
        "proj:transform": list(grid.transform)[:6],
        "proj:bbox": list(grid.bounds),
    }
    if grid.epsg is not None:
        values["proj:epsg"] = grid.epsg
    else:
        values["proj:wkt2"] = grid.crs.to_wkt(pyproj.enums.WktVersion.WKT2_2019)
    return values


_VIEW = {
    "view:incidence_angle": ("incidence_mid_swath_deg", "view_incidence_deg"),
    "view:azimuth": ("view_azimuth_deg",),
    "view:sun_azimuth": ("sun_azimuth_deg",),
    "view:sun_elevation": ("sun_elevation_deg",),
}


def _view(facts: list[dict[str, Any]]) -> dict[str, float]:
    found = {key: value for key, names in _VIEW.items() for name in names if (value := facts[0].get(name)) is not None}
    return {key: round(float(value), 3) for key, value in found.items()}


def _mean(facts: list[dict[str, Any]], name: str) -> float | None:
    values = [float(fact[name]) for fact in facts if fact.get(name) is not None]
    return round(sum(values) / len(values), 3) if values else None


def _orbit(first: dict[str, Any]) -> dict[str, Any]:
    return {
        "sat:orbit_state": str(first["orbit_direction"]).lower() if "orbit_direction" in first else None,
        "sat:absolute_orbit": first.get("absolute_orbit"),
        "sat:relative_orbit": first.get("relative_orbit"),
    }


def _sar(first: dict[str, Any], result: OrthoResult) -> dict[str, Any]:
    known = {"HH", "HV", "VH", "VV"}
    return {
        "sar:instrument_mode": first.get("mode"),
        "sar:frequency_band": "C",
        "sar:center_frequency": round(first["radar_frequency_hz"] / 1e9, 6) if "radar_frequency_hz" in first else None,
        "sar:polarizations": [band.upper() for band in result.bands if band.upper() in known] or None,
        "sar:product_type": first.get("product_type"),
        "sar:pixel_spacing_range": first.get("sample_spacing_m"),
        "sar:pixel_spacing_azimuth": first.get("line_spacing_m"),
        "sar:observation_direction": first.get("looking"),
        **_orbit(first),
    }


def _processing(result: OrthoResult) -> dict[str, Any]:
    facts = result.properties
    return {
        "processing:level": "L2",
        "processing:software": {"orthokernel": facts["kernel_version"]},
        "processing:lineage": (
            f"Orthorectified from {', '.join(fact['id'] for fact in facts['products'])}: "
            f"{result.radiometry}, {result.resampling} resampling"
        ),
        "orthoburst:products": [fact["id"] for fact in facts["products"]],
        "orthoburst:radiometry": result.radiometry,
        "orthoburst:resampling": result.resampling,
        "orthoburst:scale": result.scale,
        "orthoburst:orbit_source": facts["orbit_source"],
        "orthoburst:slant_to_ground": facts["slant_to_ground"],
        "orthoburst:noise_removal": facts["noise_removal"],
        "orthoburst:noise_kept": facts.get("noise_kept"),
        "orthoburst:border_noise_masked": facts.get("border_noise_masked"),
        "orthoburst:terrain": facts["terrain"],
        "orthoburst:geometry": facts["geometry"],
        "orthoburst:lattice_error_px": facts["lattice_error_px"],
        "orthoburst:dem_coverage": facts["dem_coverage"],
        "orthoburst:valid_fraction": round(result.valid_fraction, 6),
        "orthoburst:result_version": facts["result_version"],
    }


def _assets(
    result: OrthoResult, files: dict[str, Path], names: dict[str, Path], digests: Mapping[str, str]
) -> dict[str, Any]:
    scale = "dB" if result.scale == "db" else result.scale
    with rasterio.open(files["image"]) as image:
        bands = [_about_band(result, band, k, image) for k, band in enumerate(result.bands)]
    known = result.properties["products"][0].get("eo_bands", {})
    about = {"eo:bands": [_about_eo(band, known[band]) for band in result.bands]} if known else {}
    is_backscatter = result.radiometry not in {"dn", "reflectance", "physical"}
    title = f"{result.radiometry}, {scale}" if is_backscatter else result.radiometry
    entries: tuple[tuple[str, str, str, list[str], dict[str, Any]], ...] = (
        ("data", "image", _COG, ["data"], {"title": title, "raster:bands": bands, **about}),
        ("mask", "mask", _COG, ["metadata"], {
            "title": "0: no data; bit 0 valid, bit 1 height from the geoid (no DEM), bit 2 DEM void filled, "
            "bit 5 nothing above the noise floor",
            "raster:bands": [{"data_type": "uint8", "nodata": 0}],
        }),
        *((name, name, _COG, ["metadata"], _about_extra(name, result)) for name in names if name in EXTRAS),
        ("thumbnail", "browse", "image/png", ["thumbnail", "overview"], {}),
    )  # fmt: skip
    return {
        key: {
            "href": f"./{names[name].name}",
            "type": kind,
            "roles": roles,
            "file:size": files[name].stat().st_size,
            "file:checksum": _multihash(digests.get(name) or blake3(files[name].read_bytes()).hexdigest()),
            **more,
        }
        for key, name, kind, roles, more in entries
    }


def _about_band(result: OrthoResult, band: str, k: int, image: rasterio.DatasetReader) -> dict[str, Any]:
    """An entry of raster:bands."""
    no_data = "nan" if image.nodata is None or np.isnan(image.nodata) else image.nodata
    unit = "dB" if result.scale == "db" else result.properties["units"][band]
    scale, offset = image.scales[k], image.offsets[k]
    return {
        "name": band,
        "data_type": image.dtypes[0],
        "nodata": no_data,
        "spatial_resolution": result.grid.spacing_m,
        **({"unit": unit} if unit else {}),
        **({"scale": scale, "offset": offset} if (scale, offset) != (1.0, 0.0) else {}),
    }


def _about_eo(band: str, facts: dict[str, Any]) -> dict[str, Any]:
    """An entry of eo:bands."""
    names = {"center_wavelength": "center_wavelength_um", "full_width_half_max": "full_width_half_max_um"}
    found = {"common_name": facts.get("common_name"), **{key: facts.get(name) for key, name in names.items()}}
    return {"name": band, **{key: value for key, value in found.items() if value is not None}}


def _about_extra(name: str, result: OrthoResult) -> dict[str, Any]:
    extra = EXTRAS[name]
    title = result.properties["extras_mean"].get(name, extra.title)
    no_data = "nan" if np.isnan(extra.no_data) else extra.no_data
    band = {"data_type": extra.dtype, "nodata": no_data, **({"unit": extra.unit} if extra.unit else {})}
    return {"title": title, "raster:bands": [band]}


def _multihash(digest: str) -> str:
    """BLAKE3 as a multihash in hexadecimal (0x1e: the function, 0x20: 32 bytes), as the file extension wants it.

    SHA-256 took half a second for a tile of half a gigabyte, after everything else was done.
    """
    return "1e20" + digest


def _wrapped(lonlat: Any) -> tuple[float, float]:
    return (float(lonlat[0]) + 180.0) % 360.0 - 180.0, float(lonlat[1])


def _geometry(ring: Any) -> dict[str, Any]:
    """The footprint as GeoJSON, cut at the antimeridian as RFC 7946 section 3.1.9 asks."""
    if ring[:, 0].min() >= -180.0 and ring[:, 0].max() <= 180.0:
        return {"type": "Polygon", "coordinates": [_coordinates(ring)]}
    shifted = ring - [360.0 * np.floor((ring[:, 0].min() + 180.0) / 360.0), 0.0]
    west = _clip(shifted, 180.0, keep_below=True)
    east = _clip(shifted, 180.0, keep_below=False)
    parts = [part for part in (west, east - [360.0, 0.0]) if len(part) > 3]
    return {"type": "MultiPolygon", "coordinates": [[_coordinates(part)] for part in parts]}


def _clip(ring: Any, lon: float, keep_below: bool) -> Any:
    """The part of a convex ring on one side of a meridian (Sutherland and Hodgman 1974)."""
    sign = 1.0 if keep_below else -1.0
    kept: list[Any] = []
    for a, b in itertools.pairwise(ring):
        inside_a, inside_b = sign * (lon - a[0]) >= 0, sign * (lon - b[0]) >= 0
        if inside_a:
            kept.append(a)
        if inside_a != inside_b:
            kept.append(a + (b - a) * (lon - a[0]) / (b[0] - a[0]))
    return np.array([*kept, kept[0]]) if kept else np.empty((0, 2))


def _coordinates(ring: Any) -> list[list[float]]:
    return [[round(float(lon), 7), round(float(lat), 7)] for lon, lat in ring]
