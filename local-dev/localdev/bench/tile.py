"""Disk to disk: a product's SAFE folder to a COG, held against what others take for it."""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from numpy.typing import NDArray
from rasterio.windows import Window

from localdev.bench import _ours_side
from localdev.bench._agree import require_same_place
from localdev.bench._cold import cold_command
from localdev.bench._frame import RELIEF_M, TILE, FrameInput, make_frame
from localdev.bench._optical import l1c_tile_vs_gdal
from localdev.bench._peers import GET_OTB, GET_SARSEN, find_otb, find_sarsen, otb_command
from localdev.bench._sides import Side, remove, run_process, take_turns, together
from localdev.bench.case import Case, Runs, not_measured
from orthokernel import Grid, Terrain, open_product
from orthokernel.radiometry import RADIOMETRIES

OURS = [sys.executable, "-m", "localdev.bench._ours_side"]
COPYING = [sys.executable, "-m", "localdev.bench._copy_side"]
SPACING_M = 10.0
TIMES = 3
TURNS = 7  # of sides that differ by less than a run and the next
COPY_WITHIN = 1.0
OTB_FASTER, OTB_PER_PIXEL_FASTER = 5.0, 20.0
OTB_GRID_M = 40.0
OTB_PARTS_PX = (700, 1800)
TWO_WITHIN = 1.6
SARSEN_FASTER = 50.0
SARSEN_PX, SARSEN_WARM_PX = 3000, 256
SARSEN_MB = 1500.0
COG_LEVEL = 1
PREDICTORS = {"1": "NO", "2": "STANDARD", "3": "FLOATING_POINT"}
FLATTENED = "gamma0_rtc"


def cases(_: argparse.Namespace) -> Iterator[Case]:
    """All cases of this bench, each when it is measured."""
    with tempfile.TemporaryDirectory(prefix="bench-tile-") as name:
        folder = Path(name)
        frame = make_frame(folder)
        yield from copy_and_two_polarisations(frame, folder)
        yield from versus_otb(frame, folder)
        yield from versus_sarsen(frame, folder)
        yield from cold_command(folder)
        yield l1c_tile_vs_gdal(folder)


def whole_tile() -> tuple[int, int, int, int]:
    """First and last row, first and last column."""
    n_rows, n_cols = Grid.mgrs(TILE, SPACING_M).shape
    return 0, n_rows, 0, n_cols


def copy_and_two_polarisations(frame: FrameInput, folder: Path) -> list[Case]:
    """`tile vs gdal copy` and `two polarisations`: the sides take turns."""
    one = _ours_side.request(frame.safe, frame.dem, folder / "one.tif", whole_tile(), TILE, bands=["vv"])
    two = _ours_side.request(frame.safe, frame.dem, folder / "two.tif", whole_tile(), TILE, bands=["vv", "vh"])
    with Side(OURS) as ours, Side(OURS) as both, Side(COPYING) as copying:
        first = ours.run(one, counted=False)  # the copy is of these pixels
        assert first["valid_fraction"] > 0.999, "the tile is not all over the frame"
        assert first["dem_coverage"] > 0.999, "the mountains are not under all of the tile"
        copy = _copy_request(frame, folder / "one.tif", folder / "copy.tif")
        facts = take_turns([(ours, one), (both, two), (copying, copy)], TURNS)[2]
        runs, runs_both, theirs = ours.runs(), both.runs(), copying.runs()
    remove([folder / "two.tif"])
    ratio = runs.median_s / theirs.median_s
    two_ratio = runs_both.median_s / runs.median_s
    return [
        Case(
            case="tile vs gdal copy",
            figure=runs.median_s,
            unit="s",
            peer=(
                f"GDAL {rasterio.__gdal_version__} only copying: {theirs} (reading {facts['read_s']:.2f} with "
                f"{facts['how_read']}, overviews {facts['overviews_s']:.2f}, COG {facts['cog_s']:.2f}, "
                f"{facts['bytes'] / 1e6:.0f} MB; filling its tiled memory file, {facts['fill_s']:.2f}, not counted)"
            ),
            ratio=ratio,
            at_least="no slower (ratio at most 1)",
            holds=ratio <= COPY_WITHIN,
            peak_mb=runs.peak_mb,
            runs=runs.spread,
        ),
        Case(
            case="two polarisations",
            figure=runs_both.median_s,
            unit="s",
            peer=f"ours, one polarisation: {runs}",
            ratio=two_ratio,
            at_least=f"at most {TWO_WITHIN:g}x",
            holds=two_ratio <= TWO_WITHIN,
            peak_mb=runs_both.peak_mb,
            runs=runs_both.spread,
        ),
    ]


def _copy_request(frame: FrameInput, image: Path, out: Path) -> dict[str, Any]:
    with rasterio.open(image) as made:
        structure = made.tags(ns="IMAGE_STRUCTURE")
        overviews, block_px = made.overviews(1), made.block_shapes[0][0]
    return {
        "image": str(image),
        "out": str(out),
        "measurement": str(measurement_of(frame)),
        "source_window": source_window(frame),
        "overviews": overviews,
        "block_px": block_px,
        "compress": structure["COMPRESSION"],
        "predictor": PREDICTORS[structure.get("PREDICTOR", "3")],
        "level": COG_LEVEL,
    }


def measurement_of(frame: FrameInput) -> Path:
    """The TIFF of the first polarisation."""
    return next((frame.safe / "measurement").glob("*-vv-*.tiff"))


def source_window(frame: FrameInput) -> tuple[int, int, int, int]:
    """First and last line, first and last sample that the tile needs, over all heights there are."""
    grid = Grid.mgrs(TILE, SPACING_M)
    rows = np.linspace(0, grid.n_rows - 1, 33)[:, None]
    cols = np.linspace(0, grid.n_cols - 1, 33)[None, :]
    lon, lat = grid.lonlat(rows, cols)
    with open_product(frame.safe) as product:
        model = product.sensor_model("vv")
    found = [model.ground_to_image(lon, lat, height_m) for height_m in (0.0, RELIEF_M)]
    lines = np.concatenate([line.ravel() for line, _ in found])
    samples = np.concatenate([sample.ravel() for _, sample in found])
    return (
        max(int(np.floor(np.nanmin(lines))) - 1, 0),
        min(int(np.ceil(np.nanmax(lines))) + 2, model.n_lines),
        max(int(np.floor(np.nanmin(samples))) - 1, 0),
        min(int(np.ceil(np.nanmax(samples))) + 2, model.n_samples),
    )


def versus_otb(frame: FrameInput, folder: Path) -> list[Case]:
    """`tile vs OTB`, as fast as it can and with its geometry at every pixel (on a part, scaled by pixels)."""
    names = ("tile vs OTB", "tile vs OTB, per-pixel grid")
    promises = (f"{OTB_FASTER:g}x faster", f"{OTB_PER_PIXEL_FASTER:g}x faster")
    otb = find_otb()
    if otb is None:
        return [not_measured(*pair, GET_OTB) for pair in _unmeasured(names, "OTB", promises)]
    grid = Grid.mgrs(TILE, SPACING_M)
    left, _, _, top = grid.bounds
    zone = int(TILE[:2])
    out = folder / "otb.tif"
    command = otb_command(
        otb, measurement_of(frame), frame.dem, out, (zone, left, top, grid.n_cols, grid.n_rows), OTB_GRID_M
    )
    processes = []
    request = _ours_side.request(frame.safe, frame.dem, folder / "one.tif", whole_tile(), TILE, bands=["vv"])
    with Side(OURS) as side:
        side.run(request, counted=False)
        for _ in range(2):
            side.run(request)
            processes.append(run_process(command))
        side.run(request)
        ours, fast = side.runs(), together(processes)
    _check_otb(frame, folder, out)
    remove([out])
    parts = []
    for size_px in OTB_PARTS_PX:
        middle = (grid.n_rows - size_px) // 2
        corner = (left + SPACING_M * middle, top - SPACING_M * middle)
        part = (zone, *corner, size_px, size_px)
        parts.append(run_process(otb_command(otb, measurement_of(frame), frame.dem, out, part, SPACING_M)))
        remove([out])
    slow_s = whole_from_parts(OTB_PARTS_PX, [part.median_s for part in parts], grid.n_rows * grid.n_cols)
    slow = Runs((slow_s,), parts[1].peak_mb)
    peers = (
        f"{otb.name}, {OTB_GRID_M:g} m grid, nearest: {fast}",
        f"{otb.name}, {SPACING_M:g} m grid, nearest: {parts[0].median_s:.3g} s for {OTB_PARTS_PX[0]}² and "
        f"{parts[1].median_s:.3g} s for {OTB_PARTS_PX[1]}², so {slow_s:.3g} s",
    )
    found = []
    limits = (OTB_FASTER, OTB_PER_PIXEL_FASTER)
    for name, peer, theirs, promise, limit in zip(names, peers, (fast, slow), promises, limits, strict=True):
        ratio = theirs.median_s / ours.median_s
        found.append(
            Case(name, ours.median_s, "s", peer, ratio, promise, ratio >= limit, None, ours.peak_mb, ours.spread)
        )
    return found


def whole_from_parts(sizes_px: tuple[int, int], seconds: list[float], n_pixels: int) -> float:
    """Time for all pixels from the times for two squares: what a start costs is not multiplied."""
    small, large = (size_px**2 for size_px in sizes_px)
    per_pixel_s = (seconds[1] - seconds[0]) / (large - small)
    return seconds[1] + per_pixel_s * (n_pixels - large)


def _unmeasured(names: tuple[str, ...], peer: str, promises: tuple[str, ...]) -> list[tuple[str, str, str, str]]:
    return [(name, "s", peer, promise) for name, promise in zip(names, promises, strict=True)]


def _check_otb(frame: FrameInput, folder: Path, theirs: Path) -> None:
    """Ours, nearest neighbour and digital numbers, of a window in the middle, against the same window of theirs."""
    first = (Grid.mgrs(TILE, SPACING_M).n_rows - 1024) // 2
    part = folder / "check.tif"
    window = (first, first + 1024, first, first + 1024)
    with Side(OURS) as side:
        side.run(
            _ours_side.request(
                frame.safe, frame.dem, part, window, TILE, bands=["vv"], radiometry="dn", resampling="nearest"
            )
        )
    require_same_place(_read(part), _read(theirs, Window(first, first, 1024, 1024)), "OTB")  # type: ignore[no-untyped-call, unused-ignore]


def _read(path: Path, window: Window | None = None) -> NDArray[Any]:
    """Rows from north to south; sarsen writes them from south to north."""
    with rasterio.open(path) as image:
        pixels = np.asarray(image.read(1, window=window))
        return pixels[::-1] if image.transform.e > 0 else pixels


def versus_sarsen(frame: FrameInput, folder: Path) -> Iterator[Case]:
    """`terrain correction vs sarsen` and `flattening vs sarsen`: 9 Mpx on a DEM that is on the output's grid already.

    sarsen works on its DEM's grid; its product is opened anew in every run, as ours is.
    """
    names = ("terrain correction vs sarsen", "flattening vs sarsen")
    promise = f"{SARSEN_FASTER:g}x faster, under {SARSEN_MB:g} MB"
    unmeasured = _unmeasured(names, "sarsen", (promise, promise))
    sarsen = find_sarsen()
    if sarsen is None:
        yield from (not_measured(*about, GET_SARSEN) for about in unmeasured)
        return
    dem, small_dem = folder / "sarsen-dem.tif", folder / "sarsen-small-dem.tif"
    window = write_utm_dem(frame.dem, dem, SARSEN_PX)
    write_utm_dem(frame.dem, small_dem, SARSEN_WARM_PX)
    for about, ours_as, theirs_as in zip(unmeasured, ("beta0", FLATTENED), (None, "gamma_bilinear"), strict=True):
        if ours_as not in RADIOMETRIES:
            yield not_measured(*about, f"the kernel has no radiometry {ours_as} yet")
            continue
        out, their_out = folder / "ours-sarsen.tif", folder / "sarsen.tif"
        request = _ours_side.request(frame.safe, dem, out, window, TILE, bands=["vv"], radiometry=ours_as)
        asked = {"safe": str(frame.safe), "dem": str(dem), "out": str(their_out), "correct_radiometry": theirs_as}
        with Side(OURS) as side, Side([sarsen.program, "-m", "localdev.bench._sarsen_side"]) as their_side:
            their_side.run({**asked, "dem": str(small_dem)}, counted=False)
            side.run(request, counted=False)
            for _ in range(TIMES):
                side.run(request)
            their_side.run(asked)
            for _ in range(TIMES):
                side.run(request)
            ours, theirs = side.runs(), their_side.runs()
        require_same_place(_read(out), _read(their_out), "sarsen")
        ratio = theirs.median_s / ours.median_s
        assert ours.peak_mb is not None
        yield Case(
            case=about[0],
            figure=ours.median_s,
            unit="s",
            peer=f"{sarsen.name}, {SARSEN_PX}², {theirs_as or 'nearest'}: {theirs}",
            ratio=ratio,
            at_least=promise,
            holds=ratio >= SARSEN_FASTER and ours.peak_mb < SARSEN_MB,
            peak_mb=ours.peak_mb,
            runs=ours.spread,
        )


def write_utm_dem(dem: Path, path: Path, size_px: int) -> tuple[int, int, int, int]:
    """Heights of the pixels in the middle of the tile; returns their rows and columns in it."""
    grid = Grid.mgrs(TILE, SPACING_M)
    first_row, first_col = (grid.n_rows - size_px) // 2, (grid.n_cols - size_px) // 2
    window = (first_row, first_row + size_px, first_col, first_col + size_px)
    part = grid.window(*window)
    profile = {
        "driver": "GTiff",
        "height": size_px,
        "width": size_px,
        "count": 1,
        "dtype": "float32",
        "crs": f"EPSG:326{TILE[:2]}",
        "transform": part.transform,
        "tiled": True,
        "compress": "DEFLATE",
    }
    terrain = Terrain(dem, None)
    with rasterio.open(path, "w", **profile) as target:
        for row in range(0, size_px, 256):
            rows = np.arange(row, min(row + 256, size_px))
            heights, _ = terrain.heights(*part.lonlat(rows[:, None], np.arange(size_px)[None, :]))
            target.write(heights.astype(np.float32), 1, window=Window(0, row, size_px, rows.size))  # type: ignore[no-untyped-call, unused-ignore]
    return window
