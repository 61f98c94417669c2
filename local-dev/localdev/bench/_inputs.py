"""Inputs that are never trivial: speckle over the whole source, mountains under the whole output."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self

import numpy as np
import rasterio
from affine import Affine
from numpy.typing import NDArray

from orthokernel.product import PlainProduct
from orthokernel.rpc.coefficients import RpcCoefficients
from orthokernel.rpc.model import RpcModel

Float32Array = NDArray[np.float32]


def speckle_dn(n_lines: int, n_samples: int, seed: int = 1) -> NDArray[np.uint16]:
    """Digital numbers of 4.4-look speckle around 200: a random patch, laid side by side over the whole window."""
    rng = np.random.default_rng(seed)
    patch = (200 * np.sqrt(rng.gamma(4.4, 1 / 4.4, (1531, 2003)))).clip(1, 65535).astype(np.uint16)
    repeats = (-(-n_lines // patch.shape[0]), -(-n_samples // patch.shape[1]))
    return np.ascontiguousarray(np.tile(patch, repeats)[:n_lines, :n_samples])


def mountains(n_rows: int, n_cols: int, relief_m: float, seed: int = 2) -> Float32Array:
    """Fractal heights from 0 to ``relief_m``: noise whose amplitude falls with frequency to the power 1.9."""
    rng = np.random.default_rng(seed)
    n = 2048
    u, v = np.meshgrid(np.fft.fftfreq(n), np.fft.rfftfreq(n), indexing="ij")
    spectrum = np.fft.rfft2(rng.standard_normal((n, n))) / np.maximum(np.hypot(u, v), 1 / n) ** 1.9
    heights = np.fft.irfft2(spectrum, (n, n))
    heights = relief_m * (heights - heights.min()) / np.ptp(heights)
    rows, cols = np.linspace(0, n - 1, n_rows), np.linspace(0, n - 1, n_cols)
    along = np.stack([np.interp(cols, np.arange(n), row) for row in heights]).astype(np.float32)
    top = np.minimum(rows.astype(int), n - 2)
    part = (rows - top)[:, None].astype(np.float32)
    return np.asarray(along[top] + part * (along[top + 1] - along[top]), np.float32)


class ArrayReader:
    """A `BandReader` of an array."""

    nodata: float | None = None

    def __init__(self, pixels: NDArray[Any]) -> None:
        self.pixels = pixels
        self.n_lines, self.n_samples = pixels.shape
        self.dtype = pixels.dtype

    def read(self, line_start: int, line_stop: int, sample_start: int, sample_stop: int) -> NDArray[Any]:
        """A view."""
        return self.pixels[line_start:line_stop, sample_start:sample_stop]

    def close(self) -> None:
        """Nothing is held."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class ArrayRpcProduct(PlainProduct):
    """A `Product` whose pixels are in memory."""

    mission: Literal["rpc"] = "rpc"
    bands: tuple[str, ...] = ("b1",)
    start_time: datetime | None = None
    stop_time: datetime | None = None
    path = Path("memory")
    id = "memory"

    def __init__(self, pixels: NDArray[Any], model: RpcModel) -> None:
        self._pixels, self._model = pixels, model

    @property
    def footprint(self) -> NDArray[np.float64]:
        """Corners at the model's middle height."""
        n_lines, n_samples = self._pixels.shape
        lon, lat = self._model.image_to_ground(
            np.array([0, n_lines, n_lines, 0, 0]), np.array([0, 0, n_samples, n_samples, 0]), 800.0
        )
        return np.stack([lon, lat], axis=1)

    def sensor_model(self, band: str | None = None, *, slant_to_ground: str = "linear") -> RpcModel:
        """See `Product`."""
        return self._model

    def open_band(self, band: str) -> ArrayReader:
        """See `Product`."""
        return ArrayReader(self._pixels)

    def properties(self) -> dict[str, Any]:
        """Nothing."""
        return {}


def rpc_camera(size_px: int, spacing_m: float, lon_deg: float, lat_deg: float, relief_m: float) -> RpcCoefficients:
    """RPC of an oblique camera over a place: cubic terms of the size real ones have."""
    half_m = 0.5 * size_px * spacing_m
    lat_scale = half_m / 111_200.0
    # 1, L, P, H, LP, LH, PH, L², P², H², then the cubic terms (L longitude, P latitude, H height)
    cubic = [2e-6, 1e-6, 2e-6, 1e-6, 1e-6, 1e-6, 1e-6, 1e-6, 1e-6, 0.0]
    sample = [0.002, 1.02, 0.11, 0.31, 3e-4, 2e-3, 1e-3, 4e-4, 2e-4, 1e-4, *cubic]
    line = [-0.001, 0.12, -1.01, 0.18, 2e-4, 1e-3, 2e-3, 3e-4, 4e-4, 1e-4, *cubic]
    denominator = [1.0, 2e-4, 3e-4, 1e-3, 1e-6, 1e-6, 1e-6, 1e-6, 1e-6, 1e-6, *[0.0] * 10]
    return RpcCoefficients(
        line_off=0.5 * size_px,
        line_scale=0.5 * size_px,
        samp_off=0.5 * size_px,
        samp_scale=0.5 * size_px,
        long_off=lon_deg,
        long_scale=lat_scale / float(np.cos(np.radians(lat_deg))),
        lat_off=lat_deg,
        lat_scale=lat_scale,
        height_off=0.5 * relief_m,
        height_scale=0.5 * relief_m,
        line_num_coeff=tuple(line),
        line_den_coeff=tuple(denominator),
        samp_num_coeff=tuple(sample),
        samp_den_coeff=tuple(denominator),
    )


def write_dem(
    path: Path, west: float, north: float, step_deg: float, heights: Float32Array, **creation: object
) -> None:
    """A geographic DEM of ellipsoidal heights; ``creation`` are options of GDAL's GeoTIFF driver."""
    profile = {
        "driver": "GTiff",
        "height": heights.shape[0],
        "width": heights.shape[1],
        "count": 1,
        "dtype": "float32",
        "crs": "EPSG:4326",
        "transform": Affine(step_deg, 0.0, west, 0.0, -step_deg, north),
        **creation,
    }
    with rasterio.open(path, "w", **profile) as target:
        target.write(heights, 1)
