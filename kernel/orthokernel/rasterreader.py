"""Pixels of an image file, one band at a time."""

from __future__ import annotations

import threading
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from rasterio.errors import RasterioError
from rasterio.windows import Window

from orthokernel.errors import TruncatedRasterError
from orthokernel.unreferenced import open_unreferenced


class RasterBandReader:
    """One band of a raster that GDAL reads (a `BandReader`).

    ``source`` is its name for errors, and ``nodata``, where given, the value without data whatever the file says.
    """

    def __init__(self, path: Path | str, band_index: int, source: object = None, nodata: float | None = None) -> None:
        self._path = path if source is None else source
        self._index, self._nodata = band_index, nodata
        self._source = open_unreferenced(path)
        # A GDAL dataset serves one thread at a time.
        self._lock = threading.Lock()

    @property
    def n_lines(self) -> int:
        return int(self._source.height)

    @property
    def n_samples(self) -> int:
        return int(self._source.width)

    @property
    def dtype(self) -> np.dtype[Any]:
        dtype: np.dtype[Any] = np.dtype(self._source.dtypes[self._index - 1])
        return dtype

    @property
    def nodata(self) -> float | None:
        if self._nodata is not None:
            return self._nodata
        value = self._source.nodatavals[self._index - 1]
        return None if value is None else float(value)

    def read(self, line_start: int, line_stop: int, sample_start: int, sample_stop: int) -> NDArray[Any]:
        """``(lines, samples)`` of the half-open window, clipped to the image; may come out empty.

        Raises
        ------
        TruncatedRasterError
            GDAL cannot read the pixels.
        """
        l0, l1 = max(line_start, 0), min(line_stop, self.n_lines)
        s0, s1 = max(sample_start, 0), min(sample_stop, self.n_samples)
        if l0 >= l1 or s0 >= s1:
            return np.empty((max(l1 - l0, 0), max(s1 - s0, 0)), self.dtype)
        try:
            with self._lock:
                pixels: NDArray[Any] = self._source.read(self._index, window=Window(s0, l0, s1 - s0, l1 - l0))
        except RasterioError as error:
            raise TruncatedRasterError(
                self._path, f"lines {l0} to {l1} that cannot be read ({error})", "a complete raster"
            ) from error
        return pixels

    def close(self) -> None:
        """Let go of the file."""
        with self._lock:
            self._source.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
