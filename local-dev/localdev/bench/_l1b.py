"""Granules of Sentinel-2 L1B onto a map, disk to disk, beside the nearest that GDAL can do."""

from __future__ import annotations

import sys
import warnings
from pathlib import Path

import numpy as np
import pyproj
import rasterio
from rasterio.errors import NotGeoreferencedWarning

from localdev.bench import _geolocation_side, _ours_side
from localdev.bench._sides import Side, take_turns
from localdev.bench.case import Case
from localdev.scene import Sentinel2L1BSpec, make_sentinel2_l1b
from orthokernel import Grid, Terrain, open_product
from orthokernel.sentinel2.l1b import L1BProduct

_BANDS = ("B02", "B08")
_DETECTORS = ("06", "07")
_EPSG, _SPACING_M = 32633, 10.0
_STEP_PX = 16
_TIMES = 3
_RELIEF_M = 1500.0


def l1b_vs_gdal(folder: Path) -> Case:
    """Two detectors' granules of real size in two bands, seam and all: `l1b granules vs gdal`.

    GDAL has no rigorous model of any pushbroom. Here it is given, as a geolocation array made beforehand and not
    timed, where the model's lines of sight meet the terrain at every 16th line and sample of the first band; for the
    other band, which looks elsewhere, and between those points over mountains, that is not right.
    """
    made = make_sentinel2_l1b(
        Sentinel2L1BSpec(
            folder / "l1b", bands=_BANDS, detectors=_DETECTORS, granules=1, granule_lines=2304, samples=2552,
            overlap_px=140, relief_m=_RELIEF_M, targets=0, common_targets=0,
        )
    )  # fmt: skip
    assert made.dem_path is not None
    with open_product(made.path) as product:
        assert isinstance(product, L1BProduct)
        grid = _grid_over(product)
        places = [_write_places(product, Terrain(made.dem_path, None), one, folder) for one in _DETECTORS]
    images = [
        [next(made.path.glob(f"GRANULE/*_D{detector}_*/IMG_DATA/*_{band}.jp2")) for band in _BANDS]
        for detector in _DETECTORS
    ]
    ours_out, theirs_out = folder / "l1b-ours.tif", folder / "l1b-gdal.tif"
    bands = [band.lower() for band in _BANDS]
    ask_ours = _ours_side.request_on(
        made.path, ours_out, grid, made.dem_path, bands=bands, radiometry="dn", resampling="bilinear"
    )
    ask_theirs = _geolocation_side.request(images, places, _STEP_PX, theirs_out, _EPSG, grid.transform, grid.shape)
    with (
        Side([sys.executable, "-m", "localdev.bench._ours_side"]) as ours,
        Side([sys.executable, "-m", "localdev.bench._geolocation_side"]) as theirs,
    ):
        take_turns([(ours, ask_ours), (theirs, ask_theirs)], _TIMES)
        runs, their_runs = ours.runs(), theirs.runs()
    _require_alike(ours_out, theirs_out)
    ratio = their_runs.median_s / runs.median_s
    return Case(
        case="l1b granules vs gdal",
        figure=runs.median_s,
        unit="s",
        peer=f"GDAL {rasterio.__gdal_version__}, through a geolocation array it is given (no model): {their_runs}",
        ratio=ratio,
        at_least="no slower",
        holds=ratio >= 1.0,
        peak_mb=runs.peak_mb,
        runs=runs.spread,
    )


def _grid_over(product: L1BProduct) -> Grid:
    x, y = pyproj.Transformer.from_crs("OGC:CRS84", _EPSG, always_xy=True).transform(*product.footprint.T)
    low, high = np.floor([x.min() / 60, y.min() / 60]) * 60, np.ceil([x.max() / 60, y.max() / 60]) * 60
    return Grid.from_bounds(_EPSG, (float(low[0]), float(low[1]), float(high[0]), float(high[1])), _SPACING_M)


def _write_places(product: L1BProduct, terrain: Terrain, detector: str, folder: Path) -> Path:
    """Where lines of sight of the first band meet the terrain, up to the last line and sample or beyond."""
    model = product.sensor_model(_BANDS[0], detector=detector)
    line = np.arange(0, model.n_lines + _STEP_PX, _STEP_PX)[:, None]
    sample = np.arange(0, model.n_samples + _STEP_PX, _STEP_PX)[None, :]
    lon, lat, _ = model.image_to_terrain(line, sample, terrain)
    path = folder / f"places-{detector}.tif"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        with rasterio.open(
            path, "w", driver="GTiff", count=2, height=lon.shape[0], width=lon.shape[1], dtype="float64"
        ) as sink:
            sink.write(np.stack([lon, lat]))
    return path


def _require_alike(ours: Path, theirs: Path) -> None:
    """The first band, for which GDAL's places are right: alike but for what it interpolates over mountains."""
    with rasterio.open(ours) as one, rasterio.open(theirs) as other:
        a, b = one.read(1).astype(float), other.read(1).astype(float)
    both = (a > 0) & (b > 0)
    assert both.mean() > 0.4, "the images do not overlap"
    assert (a > 0).mean() > 0.99 * (b > 0).mean(), "ours has holes"
    off = float(np.median(np.abs(a - b)[both]))
    assert off < 30.0, f"the images differ by {off:g} of 170 in the median"
