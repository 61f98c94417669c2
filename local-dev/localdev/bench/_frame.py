"""A Sentinel-1 frame on disk as it comes, full of speckle, and the mountains under it as GLO-30 comes."""

from __future__ import annotations

import math
import shutil
import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import rasterio
from rasterio.errors import NotGeoreferencedWarning
from rasterio.windows import Window

from localdev.bench._inputs import Float32Array, mountains, speckle_dn, write_dem
from localdev.scene import SceneSpec, make_sentinel1
from localdev.scene.modes import mode_of
from orthokernel import Grid

TILE = "33TTG"
RELIEF_M = 2500.0
WHOLE_FRAME = mode_of("IW", None, None).full_frame
PATCH_LINES = 1531
GLO30_PX = 3600
_MARGIN_DEG = 0.1


@dataclass(frozen=True)
class FrameInput:
    """A product and its terrain on disk.

    Attributes
    ----------
    safe : Path
        SAFE folder of a full IW GRD: uncompressed strips of one line, one after the other, speckle everywhere.
    dem : Path
        Folder of one-degree tiles of ellipsoidal heights (as GLO-30: EPSG:4326, one arc-second, tiled and deflated).
    """

    safe: Path
    dem: Path


def make_frame(
    folder: Path,
    polarisations: tuple[str, ...] = ("vv", "vh"),
    shape: tuple[int, int] = WHOLE_FRAME,
    relief_m: float = RELIEF_M,
    dem_px: int = GLO30_PX,
) -> FrameInput:
    """Make a frame centred on the tile, and mountains under all of the tile.

    Geometry, calibration and noise are the simulator's. Its pixels would take minutes, so the measurements are
    written here: the manifest's checksums of them are not theirs.

    Raises
    ------
    OSError
        The folder has too little room.
    """
    n_bytes = 2 * shape[0] * shape[1] * len(polarisations)
    if (free := shutil.disk_usage(folder).free) < n_bytes + 2 * 2**30:
        raise OSError(f"{folder} has {free / 2**30:.1f} GiB free: set TMPDIR to a folder with 4 GiB")
    grid = Grid.mgrs(TILE, 10.0)
    lon, lat = (float(part) for part in grid.lonlat(grid.n_rows / 2, grid.n_cols / 2))
    scene = make_sentinel1(
        SceneSpec(
            out_folder=folder,
            centre_lonlat_deg=(lon, lat),
            size_lines_samples=shape,
            window=(shape[0] // 2, shape[1] // 2, 16, 16),
            polarisations=polarisations,
        )
    )
    for k, path in enumerate(sorted((scene.path / "measurement").glob("*.tiff"))):
        fill_with_speckle(path, seed=1 + k)
    corners = grid.footprint_lonlat()
    west, south = corners.min(axis=0) - _MARGIN_DEG
    east, north = corners.max(axis=0) + _MARGIN_DEG
    write_dem_tiles(folder / "dem", (float(west), float(south), float(east), float(north)), relief_m, dem_px)
    return FrameInput(scene.path, folder / "dem")


def fill_with_speckle(path: Path, seed: int = 1) -> None:
    """Replace a measurement by one of the same size and tie points, every sample of it speckle.

    Written from the first line to the last, so that the strips lie in the file as they do in ESA's.
    """
    new = path.with_suffix(".filling")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        with rasterio.open(path) as sparse:
            points, crs = sparse.gcps
            height, width, tags = sparse.height, sparse.width, sparse.tags()
        profile = {"driver": "GTiff", "height": height, "width": width, "count": 1, "dtype": "uint16"}
        with rasterio.open(new, "w", **profile, blockysize=1, gcps=points, crs=crs) as filled:
            filled.update_tags(**tags)
            patch = speckle_dn(PATCH_LINES, width, seed)
            for line in range(0, height, PATCH_LINES):
                part = patch[: height - line]
                filled.write(part, 1, window=Window(0, line, width, part.shape[0]))  # type: ignore[no-untyped-call, unused-ignore]
    new.replace(path)


def write_dem_tiles(
    folder: Path, lonlat_bounds: tuple[float, float, float, float], relief_m: float, tile_px: int = GLO30_PX
) -> list[Path]:
    """One-degree tiles of mountains that cover west, south, east, north; named and laid out as GLO-30's are."""
    folder.mkdir(parents=True, exist_ok=True)
    west, south = (math.floor(value) for value in lonlat_bounds[:2])
    east, north = (math.ceil(value) for value in lonlat_bounds[2:])
    heights = mountains((north - south) * tile_px, (east - west) * tile_px, relief_m)
    paths = []
    for lat in range(south, north):
        for lon in range(west, east):
            row, col = (north - lat - 1) * tile_px, (lon - west) * tile_px
            paths.append(folder / _glo30_name(lon, lat))
            _write_dem_tile(paths[-1], lon, lat + 1, heights[row : row + tile_px, col : col + tile_px])
    return paths


def _glo30_name(lon: int, lat: int) -> str:
    north, east = ("N", "S")[lat < 0], ("E", "W")[lon < 0]
    return f"Copernicus_DSM_COG_10_{north}{abs(lat):02d}_00_{east}{abs(lon):03d}_00_DEM.tif"


def _write_dem_tile(path: Path, west: int, north: int, heights: Float32Array) -> None:
    step_deg = 1.0 / heights.shape[0]
    blocks = {"tiled": True, "blockxsize": 1024, "blockysize": 1024, "compress": "DEFLATE", "predictor": 3}
    # Heights are those of points: the first cell's centre is the corner of the square degree.
    write_dem(
        path, west - step_deg / 2, north + step_deg / 2, step_deg, heights.astype(np.float32, copy=False), **blocks
    )
