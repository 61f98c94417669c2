"""Draws what terrain flattening does: simulated mountains as sigma0, as flattened gamma0, and what radar sees of them.

``./local-dev/picture OUT.png`` made the picture of ``docs/terrain-flattening.md``.
"""

from __future__ import annotations

import argparse
import struct
import sys
import tempfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pyproj
import rasterio
from numpy.typing import NDArray

from localdev.scene import SceneSpec, make_sentinel1
from orthokernel import Grid, Terrain, open_product, orthorectify
from orthokernel.radiometry import Radiometry

SIZE_PX = 1800
RELIEF_M, SEED = 4500.0, 7  # 2900 m of it in the picture
LEVEL_DB = -8.0
SPACING_M, AVERAGED_PX = 10.0, 3
EPSG = 32633
SIDE_PX = 460
GAP_PX = 12
STRETCH_DB = (-20.0, 4.0)
FIRST_GREY, GREYS = 1, 250
VISIBLE, SHADOW, LAYOVER, BOTH = range(FIRST_GREY + GREYS, FIRST_GREY + GREYS + 4)
COLOURS = {VISIBLE: (214, 214, 214), SHADOW: (38, 84, 164), LAYOVER: (240, 140, 32), BOTH: (140, 52, 160)}
BITS = {1: VISIBLE, 2: SHADOW, 4: LAYOVER, 6: BOTH}

UInt8Array = NDArray[np.uint8]
Float64Array = NDArray[np.float64]


def main(arguments: list[str] | None = None) -> int:
    """Simulate, orthorectify twice, draw."""
    parser = argparse.ArgumentParser(prog="picture", description="Draw what terrain flattening does.")
    parser.add_argument("out", metavar="OUT.png", type=Path)
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        sigma0, gamma0, seen = make_images(Path(folder))
    options.out.write_bytes(draw(sigma0, gamma0, seen))
    print(f"picture: {options.out}, {options.out.stat().st_size / 1000:.0f} kB", file=sys.stderr)
    return 0


def make_images(folder: Path) -> tuple[Float64Array, Float64Array, UInt8Array]:
    """sigma0 and flattened gamma0 (linear), and bits of layover and shadow, of one scene on one map."""
    scene = make_sentinel1(
        SceneSpec(
            folder, size_lines_samples=(SIZE_PX, SIZE_PX), level_db=LEVEL_DB, fractal_seed=SEED, relief_m=RELIEF_M
        )
    )
    assert scene.dem_path is not None
    terrain = Terrain(scene.dem_path, None)
    side_m = SIDE_PX * AVERAGED_PX * SPACING_M
    with open_product(scene.path) as product:
        middle = 0.5 * (SIZE_PX - 1)
        model = product.sensor_model("vv")
        lon, lat, _ = model.image_to_terrain(np.array([middle]), np.array([middle]), terrain)
        x, y = _on_map(float(lon[0]), float(lat[0]))
        grid = Grid.from_bounds(EPSG, (x, y, x + side_m, y + side_m), SPACING_M)
        wanted: dict[Radiometry, list[str]] = {"sigma0": [], "gamma0_rtc": ["layover_shadow"]}
        for radiometry, extras in wanted.items():
            orthorectify(product, grid, terrain, radiometry=radiometry, extras=extras, out=folder / f"{radiometry}.tif")
    return (
        averaged(_read(folder / "sigma0.tif").astype(np.float64), AVERAGED_PX),
        averaged(_read(folder / "gamma0_rtc.tif").astype(np.float64), AVERAGED_PX),
        _read(folder / "gamma0_rtc_layover_shadow.tif")[
            AVERAGED_PX // 2 :: AVERAGED_PX, AVERAGED_PX // 2 :: AVERAGED_PX
        ],
    )


def averaged(power: Float64Array, n: int) -> Float64Array:
    """Mean of what has a value in squares of ``n`` pixels; NaN where most have none."""
    rows, cols = (size // n for size in power.shape)
    squares = power[: rows * n, : cols * n].reshape(rows, n, cols, n)
    known = np.isfinite(squares)
    count = known.sum(axis=(1, 3))
    total = np.where(known, squares, 0.0).sum(axis=(1, 3))
    return np.where(count > n * n // 2, total / np.maximum(count, 1), np.nan)


def draw(sigma0: Float64Array, gamma0: Float64Array, seen: UInt8Array) -> bytes:
    """A PNG: three panels side by side, the first two in the same stretch of decibels.

    Parameters
    ----------
    sigma0, gamma0 : (R, C) float64
        Linear; NaN is transparent.
    seen : (R, C) uint8
        As in the file: bit 0 imaged, bit 1 shadow, bit 2 layover; 0 is transparent.
    """
    colours = np.zeros(256, np.uint8)
    for bits in range(8):
        # Shadow and layover tell more than that there is a ground point at all.
        colours[bits] = BITS.get(bits & 6 or bits, 0)
    gap = np.zeros((sigma0.shape[0], GAP_PX), np.uint8)
    return palette_png(np.hstack([greys(sigma0), gap, greys(gamma0), gap, colours[seen]]))


def greys(power: Float64Array) -> UInt8Array:
    """Palette indices of decibels between the ends of the stretch; 0 where there is no value."""
    low, high = STRETCH_DB
    known = np.isfinite(power)
    shown = 10.0 * np.log10(np.maximum(np.where(known, power, 1.0), 1e-9))
    index = FIRST_GREY + np.rint((GREYS - 1) * np.clip((shown - low) / (high - low), 0.0, 1.0))
    return np.where(known, index, 0).astype(np.uint8)


def palette_png(index: UInt8Array) -> bytes:
    """A PNG of palette indices ``(rows, cols)``. Source: PNG specification, second edition, section 11.2."""
    n_rows, n_cols = index.shape
    palette = np.zeros((256, 3), np.uint8)
    palette[FIRST_GREY : FIRST_GREY + GREYS] = np.rint(np.linspace(0, 255, GREYS))[:, None]
    for entry, colour in COLOURS.items():
        palette[entry] = colour
    lines = np.zeros((n_rows, 1 + n_cols), np.uint8)  # each line starts with its filter type, 0
    lines[:, 1:] = index

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", struct.pack(">IIBBBBB", n_cols, n_rows, 8, 3, 0, 0, 0))
        + chunk(b"PLTE", palette.tobytes())
        + chunk(b"tRNS", b"\x00")
        + chunk(b"IDAT", zlib.compress(lines.tobytes(), 9))
        + chunk(b"IEND", b"")
    )


def _read(path: Path) -> NDArray[Any]:
    with rasterio.open(path) as file:
        band: NDArray[Any] = file.read(1)
    return band


def _on_map(lon_deg: float, lat_deg: float) -> tuple[float, float]:
    """Lower left corner of a map square around a place, a multiple of the spacing."""
    x, y = pyproj.Transformer.from_crs("OGC:CRS84", EPSG, always_xy=True).transform(lon_deg, lat_deg)
    half_m = 0.5 * SIDE_PX * AVERAGED_PX * SPACING_M
    return round((x - half_m) / SPACING_M) * SPACING_M, round((y - half_m) / SPACING_M) * SPACING_M


if __name__ == "__main__":
    sys.exit(main())
