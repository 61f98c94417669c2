"""The kernel's loop against memory, its warps of RPC and of L1B against GDAL's, swaths against pyresample."""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import rasterio
from numpy.typing import NDArray
from rasterio.crs import CRS
from rasterio.enums import Resampling
from rasterio.rpc import RPC
from rasterio.warp import reproject

from localdev.bench import swath
from localdev.bench._frame import RELIEF_M, TILE, write_dem_tiles
from localdev.bench._inputs import ArrayRpcProduct, mountains, rpc_camera, speckle_dn, write_dem
from localdev.bench._l1b import l1b_vs_gdal
from localdev.bench._loop import TileLoop
from localdev.bench.case import Case, Runs, timed_in_turn, timed_runs
from localdev.scene import SceneSpec, make_sentinel1
from localdev.scene.sentinel3 import FULL_SIZE
from orthokernel import Grid, Terrain, open_product, orthorectify
from orthokernel.radiometry import sample_values
from orthokernel.rpc.coefficients import RpcCoefficients
from orthokernel.rpc.model import RpcModel

WITHIN = 12.0
GOAL = 8.0
PROMISED_THREADS = 2
FASTER = 20.0
RPC_SIZE_PX = 4096
RPC_PLACE = (5.2, 44.2)


def cases(_: argparse.Namespace) -> Iterator[Case]:
    """All cases of this bench, each when it is measured."""
    with tempfile.TemporaryDirectory() as folder:
        yield from loop_vs_memory(Path(folder))
        yield rpc_vs_gdal(Path(folder))
        yield l1b_vs_gdal(Path(folder))
    yield from swath.cases(argparse.Namespace(lines=FULL_SIZE[0]))


def loop_vs_memory(folder: Path) -> list[Case]:
    """Bilinear sigma0 of a whole tile from a Sentinel-1 frame, everything in memory, held against copying memory.

    The bytes are those that must move at least: terrain heights (4 each), source samples that the tile covers (2
    each), output (4). The bandwidth is that of copying, bytes read and bytes written, with as many threads, measured
    in turn with the loop: what else runs on the machine slows both. The terrain is the same mountains twice: on the
    output's grid already, and as a DEM of 30 m whose heights the timed work interpolates.
    """
    grid = Grid.mgrs(TILE, 10.0)
    lon, lat = grid.lonlat(grid.n_rows / 2, grid.n_cols / 2)
    # The frame's geometry and calibration only: its pixels are made below.
    scene = make_sentinel1(
        SceneSpec(
            out_folder=folder,
            centre_lonlat_deg=(float(lon), float(lat)),
            size_lines_samples=(16705, 26102),
            window=(8000, 13000, 16, 16),
        )
    )
    with open_product(scene.path) as product:
        model = product.sensor_model("vv")
        with product.open_band("vv") as reader:
            values = sample_values(product, "vv", reader, "sigma0")
    corners = grid.footprint_lonlat()
    bounds = (*(corners.min(axis=0) - 0.1), *(corners.max(axis=0) + 0.1))
    write_dem_tiles(folder / "dem", (float(bounds[0]), float(bounds[1]), float(bounds[2]), float(bounds[3])), RELIEF_M)
    terrain = Terrain(folder / "dem", None)
    loop = TileLoop(model, grid, terrain, speckle_dn(model.n_lines, model.n_samples), values)
    corner_lon, corner_lat = grid.lonlat(np.array([0, 0, 1]), np.array([0, 1, 0]))
    row, col, _ = terrain.nodes(corner_lon[None], corner_lat[None])[:, 0]
    n_pixels = grid.n_rows * grid.n_cols
    source_px = n_pixels * _per_pixel(*model.ground_to_image(corner_lon, corner_lat, 0.5 * RELIEF_M))
    dem_cells = n_pixels * _per_pixel(row, col)
    thread_counts = [1, 2] if (os.cpu_count() or 1) > 1 else [1]
    found = []
    for inside, cells in ((False, n_pixels), (True, dem_cells)):
        n_bytes = 4 * cells + 2 * source_px + 4 * n_pixels
        for threads in thread_counts:
            with ThreadPoolExecutor(threads) as pool:
                copying = MemoryCopy(threads, pool)
                runs, copies = timed_in_turn(lambda: loop.run(pool, threads, inside), copying.run, times=5)  # noqa: B023 (called at once)
            assert loop.filled, "the tile is not all over the frame"
            found.append(_against_memory(inside, threads, runs, n_pixels, n_bytes, copying.n_bytes / copies.median_s))
    return found


def _per_pixel(row: NDArray[np.float64], col: NDArray[np.float64]) -> float:
    """Area of a pixel in cells of another raster, from where a pixel, its right and its lower neighbour lie in it."""
    return abs(float((row[1] - row[0]) * (col[2] - col[0]) - (row[2] - row[0]) * (col[1] - col[0])))


def _against_memory(inside: bool, threads: int, runs: Runs, n_pixels: int, n_bytes: float, bandwidth: float) -> Case:
    floor_s = n_bytes / bandwidth
    ratio = runs.median_s / floor_s
    promised = threads == PROMISED_THREADS
    return Case(
        case=f"loop vs memory{', DEM inside' if inside else ''}, {threads} thread{'s' if threads > 1 else ''}",
        figure=n_pixels / runs.median_s / 1e6,
        unit="Mpx/s",
        peer=f"copying memory at {bandwidth / 1e9:.1f} GB/s: {n_bytes / 1e9:.2f} GB in {floor_s:.3f} s",
        ratio=float(ratio),
        at_least=f"within {WITHIN:g}x (goal {GOAL:g}x)" if promised else "",
        holds=bool(ratio <= WITHIN) if promised else None,
        reason=None if promised else f"promised of {PROMISED_THREADS} threads",
        runs=f"{n_pixels / max(runs.seconds) / 1e6:.3g} to {n_pixels / min(runs.seconds) / 1e6:.3g}",
    )


class MemoryCopy:
    """Copies arrays that no cache holds, a pair for each thread; ``n_bytes`` are read and written by a run."""

    def __init__(self, threads: int, pool: ThreadPoolExecutor) -> None:
        n = 16 * 2**20
        self._pairs = [(np.ones(n), np.zeros(n)) for _ in range(threads)]
        self._pool = pool
        self.n_bytes = 2 * 8 * n * threads

    def run(self) -> None:
        """Copy once."""
        list(self._pool.map(lambda pair: np.copyto(pair[1], pair[0]), self._pairs))


def rpc_vs_gdal(folder: Path) -> Case:
    """The same bilinear warp of a 4096 x 4096 image by RPC over mountains, two threads each, arrays in and out."""
    lon, lat = RPC_PLACE
    coefficients = rpc_camera(RPC_SIZE_PX, 0.5, lon, lat, RELIEF_M)
    pixels = speckle_dn(RPC_SIZE_PX, RPC_SIZE_PX)
    dem = folder / "mountains.tif"
    write_dem(dem, lon - 0.05, lat + 0.05, 0.1 / 400, mountains(400, 400, RELIEF_M))
    terrain = Terrain(dem, None)
    x, y = rasterio.warp.transform("EPSG:4326", "EPSG:32631", [lon], [lat])
    half_m = 0.25 * RPC_SIZE_PX
    grid = Grid.from_bounds(32631, (x[0] - half_m, y[0] - half_m, x[0] + half_m, y[0] + half_m), 0.5)
    product = ArrayRpcProduct(pixels, RpcModel(coefficients, RPC_SIZE_PX, RPC_SIZE_PX))
    ours: dict[str, NDArray[np.float32]] = {}

    def run() -> None:
        result = orthorectify(product, grid, terrain, resampling="bilinear", threads=2)
        assert result.data is not None
        ours["image"] = result.data[0]

    runs = timed_runs(run)
    theirs = np.full(grid.shape, np.nan, np.float32)
    as_float = pixels.astype(np.float32)
    start = time.perf_counter()  # once: it takes seconds, and needs no warming up
    _gdal_warp(as_float, coefficients, dem, grid, theirs)
    gdal_seconds = time.perf_counter() - start
    both = np.isfinite(ours["image"]) & np.isfinite(theirs)
    assert both.mean() > 0.5, "the warps do not overlap"
    # GDAL's own tolerance leaves it some hundredths of a pixel off: 2 of 200 here, where half a pixel makes 40.
    assert np.median(np.abs(ours["image"] - theirs)[both]) < 5.0, "the warps do not agree"
    ratio = gdal_seconds / runs.median_s
    n = grid.n_rows * grid.n_cols
    return Case(
        case="rpc vs gdal",
        figure=n / runs.median_s / 1e6,
        unit="Mpx/s",
        peer=f"GDAL {rasterio.__gdal_version__}: {n / gdal_seconds / 1e6:.3g} Mpx/s",
        ratio=ratio,
        at_least=f"{FASTER:g}x faster",
        holds=ratio >= FASTER,
        runs=f"{n / max(runs.seconds) / 1e6:.3g} to {n / min(runs.seconds) / 1e6:.3g}",
    )


def _gdal_warp(
    pixels: NDArray[np.float32], c: RpcCoefficients, dem: Path, grid: Grid, out: NDArray[np.float32]
) -> None:
    rpc = RPC(
        c.height_off, c.height_scale, c.lat_off, c.lat_scale, list(c.line_den_coeff), list(c.line_num_coeff),
        c.line_off, c.line_scale, c.long_off, c.long_scale, list(c.samp_den_coeff), list(c.samp_num_coeff),
        c.samp_off, c.samp_scale, None, None,
    )  # fmt: skip
    reproject(
        pixels,
        out,
        rpcs=rpc,
        src_crs="EPSG:4326",
        dst_transform=grid.transform,
        dst_crs=CRS.from_epsg(32631),
        dst_nodata=np.nan,
        resampling=Resampling.bilinear,
        num_threads=2,
        RPC_DEM=str(dem),
        RPC_DEMINTERPOLATION="BILINEAR",
    )
