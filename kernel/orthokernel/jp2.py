"""Pixels of a JPEG 2000 image, by window.

Sources: ISO/IEC 15444-1 annex I (boxes) and annex A (markers).
"""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import numba
import numpy as np
import rasterio
from numpy.typing import NDArray
from rasterio.errors import RasterioError
from rasterio.windows import Window

from orthokernel.container import FileRange
from orthokernel.errors import ProductError, TruncatedRasterError
from orthokernel.unreferenced import open_unreferenced

_SIGNATURE: Final = b"\x00\x00\x00\x0cjP  \r\n\x87\n"
_CODE_STREAM: Final = b"\xff\x4f\xff\x51"
_END: Final = b"\xff\xd9"
_KEPT_ROWS: Final = 2


class Jp2Reader:
    """One band of a JPEG 2000 image (see `orthokernel.product.BandReader`).

    Tiles are decoded whole, so the rows of tiles that a window touches are kept until a window lies beyond them. They
    are decoded on as many threads as the caller's compiled functions may take, each with a data set of its own: GDAL's
    own threads give zeros for a tile that they cannot decode, and no error (seen with GDAL 3.10).

    Parameters
    ----------
    where : FileRange
    source : object
        The image's name for errors.
    nodata : float or None
    flags : tuple of int, optional
        Components, 1-based, each a mask of zeros and ones: pixels are then one number of 8 bits, of which the lowest is
        set and the others are these masks.

    Raises
    ------
    TruncatedRasterError
        The file is cut off.
    ProductError
        It is no JPEG 2000.
    """

    def __init__(
        self, where: FileRange, source: object, nodata: float | None = None, flags: tuple[int, ...] = ()
    ) -> None:
        _check_whole(where, source)
        self._source, self._flags, self.nodata = source, flags, nodata
        self._where = where
        image = self._open()
        self._idle = [image]
        if max(flags, default=1) > image.count:
            image.close()
            raise ProductError(source, f"{image.count} components", f"{max(flags)} or more")
        self.n_lines, self.n_samples = int(image.height), int(image.width)
        self.dtype: np.dtype[Any] = np.dtype(np.uint8 if flags else image.dtypes[0])
        self._tile_lines, self._tile_samples = image.block_shapes[0]
        self._lock = threading.Lock()
        self._pool: ThreadPoolExecutor | None = None
        self._rows: dict[int, tuple[int, NDArray[Any]]] = {}
        """By row of tiles: its first sample, and its pixels."""

    def read(self, line_start: int, line_stop: int, sample_start: int, sample_stop: int) -> NDArray[Any]:
        """``(lines, samples)`` of the half-open window, clipped to the image; may come out empty.

        Raises
        ------
        TruncatedRasterError
            Tiles in it cannot be decoded.
        """
        l0, l1 = max(line_start, 0), min(line_stop, self.n_lines)
        s0, s1 = max(sample_start, 0), min(sample_stop, self.n_samples)
        window = np.empty((max(l1 - l0, 0), max(s1 - s0, 0)), self.dtype)
        if not window.size:
            return window
        first, last = l0 // self._tile_lines, (l1 - 1) // self._tile_lines
        with self._lock:
            for row in [row for row in self._rows if not first - _KEPT_ROWS < row <= last + _KEPT_ROWS]:
                del self._rows[row]
            for row in range(first, last + 1):
                sample0, pixels = self._tiles(row, s0, s1)
                top = row * self._tile_lines
                a, b = max(l0, top), min(l1, top + pixels.shape[0])
                window[a - l0 : b - l0] = pixels[a - top : b - top, s0 - sample0 : s1 - sample0]
        return window

    def _tiles(self, row: int, s0: int, s1: int) -> tuple[int, NDArray[Any]]:
        """The tiles of a row that hold some samples: the first of theirs, and their pixels."""
        kept = self._rows.get(row)
        if kept is not None and kept[0] <= s0 and s1 <= kept[0] + kept[1].shape[1]:
            return kept
        size = self._tile_samples
        first, stop = s0 // size * size, min(-(-s1 // size) * size, self.n_samples)
        top = row * self._tile_lines
        pixels = np.empty((min(self._tile_lines, self.n_lines - top), stop - first), self.dtype)
        starts = range(first, stop, size)
        windows = [Window(start, top, min(size, stop - start), len(pixels)) for start in starts]
        if self._pool is None and len(windows) > 1 and numba.get_num_threads() > 1:
            self._pool = ThreadPoolExecutor(numba.get_num_threads(), "orthokernel-decode")
        decoded = map(self._decode, windows) if self._pool is None else self._pool.map(self._decode, windows)
        for start, tile in zip(starts, decoded, strict=True):
            pixels[:, start - first : start - first + tile.shape[1]] = tile
        self._rows[row] = (first, pixels)
        return self._rows[row]

    def _decode(self, window: Window) -> NDArray[Any]:
        try:
            image = self._idle.pop()
        except IndexError:
            image = self._open()
        try:
            with rasterio.Env(GDAL_NUM_THREADS=1):
                found = image.read(list(self._flags) or [1], window=window)
        except RasterioError as error:
            lines = f"lines {window.row_off} to {window.row_off + window.height}"
            raise TruncatedRasterError(
                self._source, f"{lines} that cannot be decoded ({error})", "a complete image"
            ) from error
        finally:
            self._idle.append(image)
        if not self._flags:
            return np.asarray(found[0])
        number = np.ones(found.shape[1:], np.uint8)
        for bit, mask in enumerate(found, 1):
            number |= (mask != 0).astype(np.uint8) << bit
        return number

    def _open(self) -> rasterio.DatasetReader:
        try:
            return open_unreferenced(self._where.gdal_path, driver="JP2OpenJPEG")
        except RasterioError as error:
            raise ProductError(self._source, f"a JPEG 2000 that does not open ({error})", "a complete image") from error

    def close(self) -> None:
        """Let go of the file."""
        with self._lock:
            self._rows.clear()
            if self._pool is not None:
                self._pool.shutdown()
            for image in self._idle:
                image.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _check_whole(where: FileRange, source: object) -> None:
    """GDAL would give zeros for what a file that was cut off does not have: look at its boxes and its end."""
    size = min(where.size, Path(where.path).stat().st_size - where.offset)
    with where.path.open("rb") as file:

        def read_at(offset: int, count: int) -> bytes:
            file.seek(where.offset + offset)
            return file.read(max(min(count, size - offset), 0))

        head = read_at(0, len(_SIGNATURE))
        if head[:4] == _CODE_STREAM:
            end = size
        elif head == _SIGNATURE:
            end = _end_of_code_stream(read_at, size, source)
        else:
            raise ProductError(source, "a file that is no JPEG 2000", "one")
        if read_at(end - len(_END), len(_END)) != _END:
            raise TruncatedRasterError(source, "a code stream without its end", "a complete image")


def _end_of_code_stream(read_at: Any, size: int, source: object) -> int:
    at = 0
    while at + 8 <= size:
        header = read_at(at, 16)
        n_bytes, kind = int.from_bytes(header[:4], "big"), header[4:8]
        if n_bytes == 1:
            n_bytes = int.from_bytes(header[8:16], "big")
        end = size if n_bytes == 0 else at + n_bytes
        if end > size:
            raise TruncatedRasterError(source, f"{size} bytes", f"{end} or more, as its boxes say")
        if kind == b"jp2c":
            return end
        if end <= at:
            break
        at = end
    raise TruncatedRasterError(source, "no code stream", "a complete image")
