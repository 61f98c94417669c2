"""A whole tile of Sentinel-2, disk to disk, beside GDAL."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import rasterio

from localdev.bench import _ours_side, _warp_side
from localdev.bench._sides import Side, take_turns
from localdev.bench.case import Case
from localdev.scene import Sentinel2Spec, make_sentinel2
from orthokernel import Grid

_TILE, _SPACING_M = "33TTG", 10.0
_BANDS = ("B02", "B03", "B04", "B08")
_NOISE_DN = 60.0
"""Makes images of the size that real ones have, 120 MB a band: it is decoding that takes the time."""
_NEIGHBOUR_EPSG = 32632
_TIMES = 3
_MOST_APART_DN = 10.0
"""Of the median pixel: GDAL places pixels within an eighth of one; half a pixel would make 40."""


def l1c_tile_vs_gdal(folder: Path) -> Case:
    """All 10 m bands of a full L1C tile onto the neighbouring zone, SAFE to COG: `l1c tile vs gdal`."""
    made = make_sentinel2(Sentinel2Spec(folder / "l1c", tile=_TILE, bands=_BANDS, size_60m_px=1830, noise_dn=_NOISE_DN))
    grid = neighbouring_grid()
    images = [next(made.path.glob(f"GRANULE/*/IMG_DATA/*_{band}.jp2")) for band in _BANDS]
    ours_out, theirs_out = folder / "l1c-ours.tif", folder / "l1c-gdal.tif"
    ask_ours = _ours_side.request_on(made.path, ours_out, grid, resampling="bilinear")
    ask_theirs = _warp_side.request(images, theirs_out, _NEIGHBOUR_EPSG, grid.transform, grid.shape)
    with (
        Side([sys.executable, "-m", "localdev.bench._ours_side"]) as ours,
        Side([sys.executable, "-m", "localdev.bench._warp_side"]) as theirs,
    ):
        facts = take_turns([(ours, ask_ours), (theirs, ask_theirs)], _TIMES)[0]
        runs, their_runs = ours.runs(), theirs.runs()
    assert facts["valid_fraction"] > 0.8, "the tile is not all over the grid"
    _require_the_same(ours_out, theirs_out)
    ratio = their_runs.median_s / runs.median_s
    return Case(
        case="l1c tile vs gdal",
        figure=runs.median_s,
        unit="s",
        peer=f"GDAL {rasterio.__gdal_version__}, stack warped into a COG: {their_runs}",
        ratio=ratio,
        at_least="no slower",
        holds=ratio >= 1.0,
        peak_mb=runs.peak_mb,
        runs=runs.spread,
    )


def neighbouring_grid() -> Grid:
    """As many pixels as a tile has, over most of it, on the map of the zone to the west."""
    tile = Grid.mgrs(_TILE, _SPACING_M)
    row, col = (np.array([n / 2]) for n in tile.shape)
    lon, lat = tile.lonlat(row, col)
    corner = Grid.from_bounds(_NEIGHBOUR_EPSG, (0.0, 0.0, _SPACING_M, _SPACING_M), _SPACING_M)
    at_row, at_col = corner.rowcol(lon, lat)
    row0, col0 = int(at_row[0]) - tile.n_rows // 2, int(at_col[0]) - tile.n_cols // 2
    return corner.window(row0, row0 + tile.n_rows, col0, col0 + tile.n_cols)


def _require_the_same(ours: Path, theirs: Path) -> None:
    with rasterio.open(ours) as one, rasterio.open(theirs) as other:
        for band in (1, 4):
            a, b = (image.read(band, window=((5000, 6000), (5000, 6000))).astype(float) for image in (one, other))
            both = (a > 0) & (b > 0)
            assert both.mean() > 0.9, "the warps do not overlap"
            apart = float(np.median(np.abs(a - b)[both]))
            assert apart <= _MOST_APART_DN, f"the warps differ by {apart:g}"
