"""Catalogue entries and Items as workers deliver them, of Sentinel-1 over many tiles and months."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from orthocontracts.digests import output_digest
from orthocontracts.names import result_blob
from orthocontracts.outputs import (
    CatalogueEntry,
    FileFacts,
    GridSpec,
    OutputIdentity,
    ResolvedTerrain,
    Source,
    file_kinds,
)
from orthocontracts.requests import Options, Radiometry
from orthocontracts.tiles import TILE_SIZE_M, tile_bounds, tile_ring_lonlat
from orthocontracts.version import KERNEL_RESULT_VERSION

SPACING_M = 10.0
FIRST = datetime(2024, 1, 1, 5, 0, tzinfo=UTC)


@dataclass(frozen=True)
class Delivered:
    """An image in the catalogue, and its Item as its worker wrote it."""

    entry: CatalogueEntry
    item: bytes


def delivered(tile: str, when: datetime, number: int, radiometry: Radiometry = "sigma0") -> Delivered:
    """One image of a tile, of the ``number``-th product."""
    bounds = tile_bounds(tile)
    stop = when + timedelta(seconds=25)
    name = f"S1A_IW_GRDH_1SDV_{when:%Y%m%dT%H%M%S}_{stop:%Y%m%dT%H%M%S}_{number % 1_000_000:06d}_043ED0_{number:04X}"[
        :67
    ]
    n_pixels = round(TILE_SIZE_M / SPACING_M)
    identity = OutputIdentity(
        process="orthorectify",
        products=(
            Source(ref=f"products/{name}.SAFE", content=f"{number:032x}", size_bytes=1_700_000_000, kind="folder"),
        ),
        grid=GridSpec(
            epsg=bounds.epsg, left=bounds.left, top=bounds.top, spacing=SPACING_M, n_rows=n_pixels, n_cols=n_pixels,
            tile=tile,
        ),
        options=Options(radiometry=radiometry),
        terrain=ResolvedTerrain(dem=Source(ref="aux/dem/glo30.vrt", content="c0ffee", size_bytes=1_000_000)),
        trust="site",
        result_version=KERNEL_RESULT_VERSION,
    )  # fmt: skip
    digest = output_digest(identity)
    task_id = f"j{number:019x}-0001"
    entry = CatalogueEntry(
        digest=digest,
        identity=identity,
        files={
            kind: FileFacts(
                blob=f"results/{result_blob(task_id, 1, 1, digest, kind)}",
                size_bytes=100_000_000,
                md5=hashlib.md5(f"{digest}{kind}".encode(), usedforsecurity=False).hexdigest(),
            )
            for kind in file_kinds(identity.options)
        },
        task_id=task_id,
        release=1,
        delivery=1,
        pool="hpc",
        agent="node-1",
        committed_at=(when + timedelta(hours=3)).isoformat(),
    )
    return Delivered(entry, json.dumps(_item(tile, name, when, stop, digest, radiometry)).encode())


def _item(tile: str, name: str, when: datetime, stop: datetime, digest: str, radiometry: str) -> dict[str, Any]:
    """What ``orthokernel.stac`` writes for such an image."""
    bounds = tile_bounds(tile)
    ring = [[round((lon + 180) % 360 - 180, 7), round(lat, 7)] for lon, lat in tile_ring_lonlat(tile, 4)]
    extensions = ("projection/v1.1.0", "raster/v1.1.0", "file/v2.1.0", "processing/v1.2.0", "sar/v1.0.0", "sat/v1.0.0",
                  "view/v1.0.0", "mgrs/v1.0.0")  # fmt: skip
    band = {"data_type": "float32", "nodata": "nan", "spatial_resolution": SPACING_M}
    n_pixels = round(TILE_SIZE_M / SPACING_M)

    def asset(suffix: str, kind: str, roles: list[str], **more: Any) -> dict[str, Any]:
        checksum = "1e20" + hashlib.sha256(f"{digest}{suffix}".encode()).hexdigest()
        facts = {"file:size": 100_000_000, "file:checksum": checksum}
        return {"href": f"./{digest}{suffix}", "type": kind, "roles": roles, **facts, **more}

    cog = "image/tiff; application=geotiff; profile=cloud-optimized"
    return {
        "type": "Feature",
        "stac_version": "1.0.0",
        "stac_extensions": [f"https://stac-extensions.github.io/{one}/schema.json" for one in extensions],
        "id": digest,
        "bbox": [min(x for x, _ in ring), min(y for _, y in ring), max(x for x, _ in ring), max(y for _, y in ring)],
        "geometry": {"type": "Polygon", "coordinates": [ring]},
        "properties": {
            "datetime": _time(when),
            "start_datetime": _time(when),
            "end_datetime": _time(stop),
            "created": _time(when + timedelta(hours=3)),
            "constellation": "sentinel-1",
            "platform": "sentinel-1a",
            "instruments": ["c-sar"],
            "proj:epsg": bounds.epsg,
            "proj:shape": [n_pixels, n_pixels],
            "proj:transform": [SPACING_M, 0.0, bounds.left, 0.0, -SPACING_M, bounds.top],
            "proj:bbox": [bounds.left, bounds.bottom, bounds.right, bounds.top],
            "sar:instrument_mode": "IW",
            "sar:frequency_band": "C",
            "sar:center_frequency": 5.405,
            "sar:polarizations": ["VV", "VH"],
            "sar:product_type": "GRD",
            "sar:pixel_spacing_range": 10.0,
            "sar:pixel_spacing_azimuth": 10.0,
            "sar:observation_direction": "right",
            "sat:orbit_state": "descending",
            "sat:absolute_orbit": 36201,
            "sat:relative_orbit": 22,
            "view:incidence_angle": 38.994,
            "mgrs:utm_zone": int(tile[:2]),
            "mgrs:latitude_band": tile[2],
            "mgrs:grid_square": tile[3:],
            "processing:level": "L2",
            "processing:software": {"orthokernel": "0.1.0"},
            "processing:lineage": f"Orthorectified from {name}: {radiometry}, bilinear resampling",
            "orthoburst:products": [name],
            "orthoburst:radiometry": radiometry,
            "orthoburst:resampling": "bilinear",
            "orthoburst:scale": "linear",
            "orthoburst:orbit_source": "precise",
            "orthoburst:slant_to_ground": "linear",
            "orthoburst:noise_removal": True,
            "orthoburst:terrain": {"dem": "glo30.vrt", "dem_mean_height_m": 312.4, "geoid": "egm2008.tif"},
            "orthoburst:geometry": {"model": "range-doppler", "bistatic": True, "orbit_degree": 7},
            "orthoburst:lattice_error_px": 0.0071,
            "orthoburst:dem_coverage": 1.0,
            "orthoburst:valid_fraction": 0.813,
            "orthoburst:result_version": KERNEL_RESULT_VERSION,
        },
        "links": [],
        "assets": {
            "data": asset(".tif", cog, ["data"], title=f"{radiometry}, linear",
                          **{"raster:bands": [{"name": "vv", **band}, {"name": "vh", **band}]}),
            "mask": asset("_mask.tif", cog, ["metadata"],
                          title="0: no data; bit 0 valid, bit 1 height from the geoid (no DEM), bit 2 DEM void filled, "
                          "bit 5 nothing above the noise floor",
                          **{"raster:bands": [{"data_type": "uint8", "nodata": 0}]}),
            "thumbnail": asset(".png", "image/png", ["thumbnail", "overview"]),
        },
    }  # fmt: skip


def _time(when: datetime) -> str:
    return when.isoformat().replace("+00:00", "Z")
