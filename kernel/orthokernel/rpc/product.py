"""An image with RPC as a product."""

from __future__ import annotations

import os
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from rasterio.errors import RasterioError

from orthokernel.errors import ProductError, RpcError, UnknownBandError
from orthokernel.product import PlainProduct
from orthokernel.rasterreader import RasterBandReader
from orthokernel.rpc.coefficients import RpcCoefficients
from orthokernel.rpc.locate import locate_rpc
from orthokernel.rpc.model import RpcModel
from orthokernel.tiffcheck import check_tiff
from orthokernel.unreferenced import open_unreferenced

_FOOTPRINT_POINTS_PER_EDGE = 8


class RpcImage(PlainProduct):
    """An image file and its RPC (a `Product`). Bands are named ``b1``, ``b2``, … in the order of the file."""

    mission: Literal["rpc"] = "rpc"
    # An image file does not say when it was taken.
    start_time: datetime | None = None
    stop_time: datetime | None = None

    def __init__(self, path: Path, model: RpcModel, n_bands: int, rpc_from: str) -> None:
        self.path = path
        self.id = path.stem
        self.bands = tuple(f"b{k}" for k in range(1, n_bands + 1))
        self.rpc_from = rpc_from
        self._model = model

    @property
    def coefficients(self) -> RpcCoefficients:
        """The RPC, for this file's pixels."""
        return self._model.coefficients

    @property
    def footprint(self) -> NDArray[np.float64]:
        """``(K, 2)`` longitude and latitude in degrees at the RPC's middle height: a closed ring, anticlockwise."""
        t = np.arange(_FOOTPRINT_POINTS_PER_EDGE) / _FOOTPRINT_POINTS_PER_EDGE
        line = np.concatenate([0 * t, t, 1 + 0 * t, 1 - t, [0]]) * self._model.n_lines - 0.5
        sample = np.concatenate([t, 1 + 0 * t, 1 - t, 0 * t, [0]]) * self._model.n_samples - 0.5
        lon, lat = self._model.image_to_ground(line, sample, self.coefficients.height_off)
        ring = np.stack([np.unwrap(lon, period=360.0), lat], axis=1)
        x, y = ring[:, 0] - ring[0, 0], ring[:, 1] - ring[0, 1]
        doubled_area = float(np.sum(x[:-1] * y[1:] - x[1:] * y[:-1]))
        return ring if doubled_area > 0 else ring[::-1].copy()

    def sensor_model(
        self, band: str | None = None, *, slant_to_ground: Literal["linear", "nearest"] = "linear"
    ) -> RpcModel:
        """The RPC model, the same for all bands; ``slant_to_ground`` does not concern it."""
        del slant_to_ground
        if band is not None:
            self._index(band)
        return self._model

    def open_band(self, band: str) -> RasterBandReader:
        """A reader of a band's pixels."""
        return RasterBandReader(self.path, self._index(band))

    def properties(self) -> dict[str, Any]:
        """Facts for people and for a STAC Item."""
        return {
            "mission": self.mission,
            "geometry": "rational polynomials",
            "n_lines": self._model.n_lines,
            "n_samples": self._model.n_samples,
            "bands": list(self.bands),
            "rpc": self.rpc_from,
        }

    def _index(self, band: str) -> int:
        if band not in self.bands:
            raise UnknownBandError(self.path, f"band {band!r}", f"one of {', '.join(self.bands)}")
        return self.bands.index(band) + 1


def open_rpc_image(path: str | os.PathLike[str], rpc: str | os.PathLike[str] | None = None) -> RpcImage:
    """Open an image with RPC: its header and RPC are read and checked, its pixels are not.

    Parameters
    ----------
    path : path
        A raster that GDAL reads.
    rpc : path, optional
        The file with the RPC. Otherwise see `orthokernel.rpc.locate` for where they are looked for.

    Raises
    ------
    ProductError
        There is no raster, a TIFF is cut off, or (`RpcError`) there are no RPC or impossible ones.
    """
    image = Path(path)
    if not image.is_file():
        raise ProductError(image, "no such file", "an image with RPC")
    _check_whole(image)
    try:
        with open_unreferenced(image) as source:
            coefficients, rpc_from = locate_rpc(image, source, None if rpc is None else Path(rpc))
            n_lines, n_samples, n_bands = source.height, source.width, source.count
            complex_pixels = any("complex" in dtype for dtype in source.dtypes)
    except RasterioError as error:
        raise ProductError(image, f"not a raster ({error})", "an image with RPC") from error
    if complex_pixels:
        raise ProductError(image, "complex pixels", "real ones")
    model = RpcModel(coefficients, n_lines, n_samples)
    corners = model.image_to_ground([0, 0, n_lines - 1, n_lines - 1], [0, n_samples - 1] * 2, coefficients.height_off)
    if not np.isfinite(corners).all():
        raise RpcError(image, f"RPC ({rpc_from}) that do not reach the image's corners", "the RPC of this image")
    return RpcImage(image, model, n_bands, rpc_from)


def _check_whole(image: Path) -> None:
    with image.open("rb") as file:
        head = file.read(2)
        if head not in (b"II", b"MM"):
            return  # not a TIFF: GDAL's other drivers look themselves

        def read_at(offset: int, size: int) -> bytes:
            file.seek(offset)
            return file.read(size)

        check_tiff(read_at, image.stat().st_size, image)
