"""One file of a mosaic: its header, and its cells as metres on the mosaic's lattice."""

from __future__ import annotations

import threading
from collections import OrderedDict
from dataclasses import dataclass

import numpy as np
import rasterio
from affine import Affine
from numpy.typing import NDArray
from rasterio.enums import Resampling
from rasterio.errors import RasterioError
from rasterio.io import DatasetReader
from rasterio.vrt import WarpedVRT
from rasterio.windows import Window

from orthokernel.errors import TerrainError
from orthokernel.terrain.datum import HeightDatum, height_datum

Float32Array = NDArray[np.float32]

_SRTM_VOID = -32768.0
_OPEN_FILES = 16


@dataclass(frozen=True)
class Header:
    """What a file says about itself."""

    path: str
    datum: HeightDatum
    transform: Affine
    n_rows: int
    n_cols: int

    @classmethod
    def read(cls, path: str) -> Header:
        try:
            with rasterio.open(path) as source:
                wkt = source.crs.to_wkt() if source.crs else None
                transform, n_rows, n_cols, count = source.transform, source.height, source.width, source.count
                is_complex = "complex" in source.dtypes[0]
        except RasterioError as error:
            raise TerrainError(path, f"cannot be opened ({error})", "a raster of heights") from error
        if count != 1 or is_complex:
            raise TerrainError(
                path, f"{count} bands of {'complex' if is_complex else 'real'} numbers", "one of heights"
            )
        return cls(path, height_datum(wkt, path), transform, n_rows, n_cols)

    def corners(self) -> list[tuple[float, float]]:
        return [self.transform @ (c, r) for c in (0, self.n_cols) for r in (0, self.n_rows)]


class OpenFiles:
    """Files that were read from lately, held open: what GDAL has decoded of them it then need not decode again.

    A mosaic's squares are not the files' blocks. Opened for each square, DEM blocks of 1024 x 1024 were decoded seven
    times over: 2.2 s under an MGRS tile, 0.5 s so. Thread-safe: one thread reads at a time.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._files: OrderedDict[str, DatasetReader] = OrderedDict()

    def read_cells(self, path: str, window: Window, metres_per_unit: float) -> Float32Array:
        """Cells of a window as they are, in metres; NaN where void.

        Raises
        ------
        TerrainError
            They cannot be read.
        """
        try:
            with self._lock:
                source = self._files.pop(path, None) or rasterio.open(path, sharing=False)
                self._files[path] = source
                if len(self._files) > _OPEN_FILES:
                    self._files.popitem(last=False)[1].close()
                return _metres(source, source.read(1, window=window), metres_per_unit)
        except RasterioError as error:
            raise _unreadable(path, error) from error


def read_interpolated(path: str, lattice: Affine, n_rows: int, n_cols: int, metres_per_unit: float) -> Float32Array:
    """Cells interpolated (bilinear) to a lattice in the raster's own coordinate system; else as `read_cells`."""
    try:
        with (
            rasterio.open(path) as source,
            WarpedVRT(
                source,
                crs=source.crs,
                transform=lattice,
                width=n_cols,
                height=n_rows,
                resampling=Resampling.bilinear,
                src_nodata=_SRTM_VOID if source.nodata is None else source.nodata,
                nodata=np.nan,
                dtype="float32",
            ) as warped,
        ):
            return _metres(source, warped.read(1), metres_per_unit)
    except RasterioError as error:
        raise _unreadable(path, error) from error


def _metres(source: DatasetReader, raw: NDArray[np.generic], metres_per_unit: float) -> Float32Array:
    values: Float32Array = raw.astype(np.float32, copy=False)
    of_voids = {_SRTM_VOID, source.nodata} - {None, np.nan}
    low, high = raw.min(), raw.max()  # NaN and infinity come through
    some = not np.isfinite(float(low) + float(high)) or any(low <= value <= high for value in of_voids)
    void = ~np.isfinite(values) if some else None
    if void is not None:
        for value in of_voids:
            void |= raw == value
    factor, offset = source.scales[0] * metres_per_unit, source.offsets[0] * metres_per_unit
    if factor != 1.0 or offset != 0.0:
        values = (values * factor + offset).astype(np.float32)
    if void is not None:
        values[void] = np.nan
    return values


def _unreadable(path: str, error: RasterioError) -> TerrainError:
    return TerrainError(path, f"cannot be read ({error})", "a complete raster of heights")
