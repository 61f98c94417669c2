"""A made-up landscape: a random surface with the spectrum of real relief, as a GeoTIFF of heights."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import rasterio
from rasterio.transform import from_origin

from localdev.scene.ellipsoid import Float64Array
from localdev.scene.terrain import Bounds

POSTING_DEG = 1.0 / 3600.0
COARSE_POSTING_DEG = 3.0 / 3600.0  # beyond LARGE_DEG2, where 1" would take gigabytes
LARGE_DEG2 = 1.5
SPECTRAL_SLOPE = 2.2  # amplitude falls with wave number to this power: rounded massifs with rough flanks
LONGEST_WAVE_DEG = 0.1


def fractal_heights(n_rows: int, n_columns: int, seed: int, aspect: float, posting_deg: float) -> Float64Array:
    """A random surface between 0 and 1, shape (rows, columns), by spectral synthesis.

    Parameters
    ----------
    aspect : float
        Length of a step in column direction over one in row direction on the ground (the cosine of the latitude).
    """
    random = np.random.default_rng(seed)
    rows, columns = _fast_length(n_rows), _fast_length(n_columns)
    noise = np.fft.rfft2(random.standard_normal((rows, columns)))
    wave = np.hypot(np.fft.fftfreq(rows)[:, None], np.fft.rfftfreq(columns)[None, :] / aspect)
    corner = posting_deg / LONGEST_WAVE_DEG
    surface = np.fft.irfft2(noise / (corner**2 + wave**2) ** (SPECTRAL_SLOPE / 2.0), s=(rows, columns))
    surface = surface[:n_rows, :n_columns]
    return np.asarray((surface - surface.min()) / np.ptp(surface), dtype=np.float64)


def _fast_length(length: int) -> int:
    """A length beyond the given one, whose transform is quick, so that opposite edges do not match."""
    wanted = length + length // 8
    return -(-wanted // 64) * 64


def write_fractal_dem(
    path: Path,
    bounds: Bounds,
    seed: int,
    relief_m: float,
    *,
    sea_fraction: float = 0.0,
    posting_deg: float | None = None,
) -> None:
    """Write a DEM over an area: float32, EPSG:4326, pixels centred on whole multiples of the posting.

    ``sea_fraction`` of the area is cut to height 0; the rest rises to ``relief_m``.
    The posting is 1" unless given or the area is large, then 3".
    """
    west, south, east, north = bounds
    if posting_deg is None:
        posting_deg = COARSE_POSTING_DEG if (east - west) * (north - south) > LARGE_DEG2 else POSTING_DEG
    first_column = int(np.floor(west / posting_deg))
    first_row = int(np.ceil(north / posting_deg))
    n_columns = int(np.ceil(east / posting_deg)) - first_column + 1
    n_rows = first_row - int(np.floor(south / posting_deg)) + 1
    aspect = float(np.cos(np.radians(0.5 * (south + north))))
    height = fractal_heights(n_rows, n_columns, seed, aspect, posting_deg)
    if sea_fraction > 0.0:
        shore = float(np.quantile(height, sea_fraction))
        height = np.maximum(height - shore, 0.0) / (1.0 - shore)
    transform = from_origin(
        (first_column - 0.5) * posting_deg, (first_row + 0.5) * posting_deg, posting_deg, posting_deg
    )
    with rasterio.open(
        path,
        "w",
        driver="GTiff",
        width=n_columns,
        height=n_rows,
        count=1,
        dtype="float32",
        crs="EPSG:4326",
        transform=transform,
        tiled=True,
        blockxsize=256,
        blockysize=256,
        compress="deflate",
        predictor=3,
    ) as sink:
        sink.write((relief_m * height).astype(np.float32), 1)
