"""One Cloud-Optimized GeoTIFF, written while its pixels are made.

A tile is compressed as soon as its pixels are there, and halved for the overview while they are in the cache. As the
file begins with its smallest overview, compressed tiles wait in a scratch file, without a name, until `close` puts
them in order: 0.4 s for half a gigabyte, most of it the checksum.
"""

from __future__ import annotations

import hashlib
import os
import struct
import tempfile
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self

import numpy as np
import zstandard
from numpy.typing import NDArray

from orthokernel.cogpixels import (
    float_predictor,
    halve_decibels,
    halve_floats,
    halve_integers,
    integer_predictor,
    is_empty,
)
from orthokernel.grid import Grid
from orthokernel.tiffdir import CLASSIC_BYTES, TiledImage, file_head, geo_fields, image_fields, no_data_field

Overviews = Literal["mean", "decibels", "nearest"]
"""Of 2 x 2 pixels, those with data: their mean, the mean of the power they stand for, or the upper left pixel."""

TILE_PX = 512
PREVIEW_PX = 1024
_PIECE_BYTES = 2**20  # of the finished file: read, summed and written while it is in the cache
_NO_PREDICTOR, _INTEGER, _FLOAT = 1, 2, 3


@dataclass(frozen=True)
class WrittenFile:
    """A finished file."""

    n_bytes: int
    sha256: str


@dataclass
class _Level:
    """The full image, or one of its overviews: the row of tiles that is being filled, and where finished tiles are."""

    shape: tuple[int, int]
    at: NDArray[np.int64]  # (bands, tile rows, tile cols): place in the scratch file
    n_bytes: NDArray[np.int64]
    rows: NDArray[Any] | None = None  # (bands, TILE_PX, cols), made when it is wanted
    filled_px: int = 0
    tiles_done: dict[int, int] = field(default_factory=dict)

    @classmethod
    def of(cls, shape: tuple[int, int], n_bands: int) -> _Level:
        tiles = (n_bands, -(-shape[0] // TILE_PX), -(-shape[1] // TILE_PX))
        return cls(shape, np.full(tiles, -1, np.int64), np.zeros(tiles, np.int64))

    def tile_rows_px(self, tile_row: int) -> int:
        return min(TILE_PX, self.shape[0] - tile_row * TILE_PX)


class CogFile:
    """Takes an image block by block, from one thread.

    Parameters
    ----------
    path : Path
        The file. It appears in `close`; until then there is a nameless scratch file in its folder.
    grid : Grid
    dtype : str
        float32, uint8 or uint16.
    no_data : float
        Of floats always NaN.
    band_names : sequence of str
        Several bands lie in the file one after the other.
    pool : ThreadPoolExecutor
        Threads that compress. Several files may share it, but not a thread that writes or closes one.
    overviews : {"mean", "decibels", "nearest"}
        Each of half the size of the one before, rounded up, down to a single tile.
    predict : bool
        Compress differences of neighbouring pixels, which suits images and does not suit bits.
    classic_bytes : int
        A file larger than this becomes a BigTIFF.

    Raises
    ------
    OSError
        Here, in `write` and in `close`: no space, no right.
    """

    def __init__(
        self,
        path: Path,
        grid: Grid,
        dtype: str,
        no_data: float,
        band_names: Sequence[str],
        pool: ThreadPoolExecutor,
        overviews: Overviews = "mean",
        predict: bool = True,
        classic_bytes: int = CLASSIC_BYTES,
    ) -> None:
        self._path, self._pool, self._overviews, self._classic_bytes = path, pool, overviews, classic_bytes
        self.dtype = np.dtype(dtype)
        self._no_data = self.dtype.type(no_data)
        self._off = self.dtype.type(no_data + 1 if no_data != np.iinfo(self.dtype).max else no_data - 1) if (
            self.dtype.kind == "u"
        ) else self._no_data  # fmt: skip
        self._n_bands = len(band_names)
        self._predictor = _NO_PREDICTOR if not predict else _FLOAT if self.dtype.kind == "f" else _INTEGER
        self._geo = geo_fields(grid, self.dtype, no_data, band_names)
        self._levels = [_Level.of(grid.shape, self._n_bands)]
        while max(shape := self._levels[-1].shape) > TILE_PX:
            self._levels.append(_Level.of(((shape[0] + 1) // 2, (shape[1] + 1) // 2), self._n_bands))
        self._preview_level = next(k for k, level in enumerate(self._levels) if max(level.shape) <= PREVIEW_PX)
        self.preview = np.full(self._levels[self._preview_level].shape, self._no_data)
        """The first band at the finest level of at most 1024 x 1024 pixels: complete when all is written."""
        self._local = threading.local()
        self._lock = threading.Lock()
        self._scratch = tempfile.TemporaryFile(dir=path.parent, buffering=0)  # noqa: SIM115 (closed in __exit__)
        self._end = 0
        self._empty_at, self._empty_bytes = self._keep(
            self._compressed(np.full((TILE_PX, TILE_PX), self._no_data), 0, 0, 0, 0)
        )

    def write(self, row0: int, col0: int, rows: NDArray[Any]) -> None:
        """Take the next pixels: from the left, then downwards, anew in every block of rows.

        ``rows`` (bands, rows, cols) of the file's type starts at ``[row0, col0]``. Blocks of whole rows of tiles are
        compressed where they lie, and no longer looked at on return; smaller ones are gathered.
        """
        rows = np.ascontiguousarray(rows, self.dtype)
        level = self._levels[0]
        col1 = col0 + rows.shape[2]
        on_tiles = col0 % TILE_PX == 0 and (col1 % TILE_PX == 0 or col1 == level.shape[1])
        done = 0
        while done < rows.shape[1]:
            tile_row, inside = divmod(row0 + done, TILE_PX)
            n = min(level.tile_rows_px(tile_row) - inside, rows.shape[1] - done)
            part = rows[:, done : done + n]
            if on_tiles and n == level.tile_rows_px(tile_row):
                self._compress_row(0, tile_row, part, col0)
            else:
                gathered = self._gathered(level)
                gathered[:, inside : inside + n, col0:col1] = part
                level.filled_px += n * (col1 - col0)
                if level.filled_px == level.tile_rows_px(tile_row) * level.shape[1]:
                    level.filled_px = 0
                    self._compress_row(0, tile_row, gathered, 0)
            done += n

    def close(self) -> WrittenFile:
        """Make the file.

        Raises
        ------
        ValueError
            Pixels are missing.
        """
        missing = sum(int(np.count_nonzero(level.at < 0)) for level in self._levels)
        if missing:
            raise ValueError(f"{self._path}: {missing} tiles were not written")
        images = []
        for k, level in enumerate(self._levels):
            fields = image_fields(level.shape, self.dtype, self._n_bands, TILE_PX, self._predictor, overview=k > 0)
            geo = no_data_field(self._geo) if k else self._geo
            images.append(TiledImage([*fields, *geo], level.n_bytes.ravel()))
        head = file_head(images, self._n_bands > 1, self._classic_bytes)
        digest = hashlib.sha256(head)
        n_bytes = len(head)
        summing: Future[None] | None = None
        try:
            with self._path.open("wb", buffering=0) as target:
                _write_all(target.fileno(), head)
                for piece in self._pieces():
                    if summing is not None:
                        summing.result()
                    summing = self._pool.submit(digest.update, piece)
                    _write_all(target.fileno(), piece)
                    n_bytes += len(piece)
        except BaseException:
            self._path.unlink(missing_ok=True)
            raise
        finally:
            if summing is not None:
                summing.result()
        return WrittenFile(n_bytes, digest.hexdigest())

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._scratch.close()

    def _gathered(self, level: _Level) -> NDArray[Any]:
        if level.rows is None:
            level.rows = np.empty((self._n_bands, min(TILE_PX, level.shape[0]), level.shape[1]), self.dtype)
        return level.rows

    def _compress_row(self, k: int, tile_row: int, rows: NDArray[Any], col0: int) -> None:
        """Compress tiles of level k from a block that begins at column col0, and the overviews that become complete."""
        level = self._levels[k]
        n_rows, n_cols = level.tile_rows_px(tile_row), min(rows.shape[2], level.shape[1] - col0)
        if k == self._preview_level:
            first = tile_row * TILE_PX
            self.preview[first : first + n_rows, col0 : col0 + n_cols] = rows[0, :n_rows, :n_cols]
        if k + 1 < len(self._levels):
            self._gathered(self._levels[k + 1])
        jobs = [
            self._pool.submit(self._compress_tile, k, band, tile_row, (col0 + col) // TILE_PX, rows[band], n_rows, col)
            for col in range(0, n_cols, TILE_PX)
            for band in range(self._n_bands)
        ]
        wait(jobs)  # all of them, before the block is let go of
        for job in jobs:
            job.result()
        done = level.tiles_done.get(tile_row, 0) + len(jobs)
        level.tiles_done[tile_row] = done
        row_is_done = done == level.at.shape[0] * level.at.shape[2]
        last = tile_row == level.at.shape[1] - 1
        if row_is_done and k + 1 < len(self._levels) and (tile_row % 2 == 1 or last):
            self._compress_row(k + 1, tile_row // 2, self._gathered(self._levels[k + 1]), 0)

    def _compress_tile(
        self, k: int, band: int, tile_row: int, tile_col: int, plane: NDArray[Any], n_rows: int, col0: int
    ) -> None:
        """One tile of level k, which begins at column col0 of the plane; runs on the pool."""
        level = self._levels[k]
        col1 = min(col0 + TILE_PX, plane.shape[1])
        if k + 1 < len(self._levels):
            half = TILE_PX // 2
            out = self._gathered(self._levels[k + 1])[band]
            self._halve(plane, n_rows, col0, col1, out, (tile_row % 2) * half, tile_col * half)
        if is_empty(plane, 0, n_rows, col0, col1, self._no_data):
            at, n_bytes = self._empty_at, self._empty_bytes
        else:
            at, n_bytes = self._keep(self._compressed(plane, 0, n_rows, col0, col1))
        level.at[band, tile_row, tile_col], level.n_bytes[band, tile_row, tile_col] = at, n_bytes

    def _halve(
        self, plane: NDArray[Any], n_rows: int, col0: int, col1: int, out: NDArray[Any], out_row: int, out_col: int
    ) -> None:
        if self._overviews == "nearest":
            target = out[out_row : out_row + (n_rows + 1) // 2, out_col : out_col + (col1 - col0 + 1) // 2]
            target[:] = plane[:n_rows:2, col0:col1:2]
        elif self.dtype.kind == "u":
            halve_integers(plane, 0, n_rows, col0, col1, self._no_data, self._off, out, out_row, out_col)
        elif self._overviews == "decibels":
            halve_decibels(plane, 0, n_rows, col0, col1, out, out_row, out_col)
        else:
            halve_floats(plane, 0, n_rows, col0, col1, out, out_row, out_col)

    def _compressed(self, plane: NDArray[Any], row0: int, row1: int, col0: int, col1: int) -> bytes:
        if not hasattr(self._local, "zstd"):
            self._local.zstd = _compressor(self._predictor == _FLOAT)
            width = TILE_PX * (4 if self._predictor == _FLOAT else 1)
            self._local.tile = np.empty((TILE_PX, width), np.uint8 if self._predictor == _FLOAT else self.dtype)
        tile: NDArray[Any] = self._local.tile
        if self._predictor == _FLOAT:
            fill = self._no_data.view(np.uint32)
            float_predictor(plane.view(np.uint32), row0, row1, col0, col1, fill, tile)
        elif self._predictor == _INTEGER:
            integer_predictor(plane, row0, row1, col0, col1, self._no_data, tile)
        else:
            tile[:] = self._no_data
            tile[: row1 - row0, : col1 - col0] = plane[row0:row1, col0:col1]
        compressed: bytes = self._local.zstd.compress(tile)
        return compressed

    def _keep(self, compressed: bytes) -> tuple[int, int]:
        """Put a tile into the scratch file as it will lie in the file; where, and its size alone."""
        stored = b"".join((struct.pack("<I", len(compressed)), compressed, compressed[-4:]))
        with self._lock:
            at = self._end
            self._end += len(stored)
        written = 0
        while written < len(stored):
            written += os.pwrite(self._scratch.fileno(), memoryview(stored)[written:], at + written)
        return at, len(compressed)

    def _pieces(self) -> Iterator[memoryview]:
        """All tiles in the order of the file; a piece is valid until the next but one is asked for."""
        views = [memoryview(bytearray(_PIECE_BYTES)) for _ in range(2)]
        view, filled = views[0], 0
        for level in reversed(self._levels):
            for start, size in zip(level.at.ravel().tolist(), level.n_bytes.ravel().tolist(), strict=True):
                at, end = start, start + size + 8
                while at < end:
                    got = os.preadv(self._scratch.fileno(), [view[filled : filled + end - at]], at)
                    if got == 0:
                        raise OSError(f"{self._path}: its scratch file ends at {at}, expected {end} bytes")
                    at, filled = at + got, filled + got
                    if filled == _PIECE_BYTES:
                        yield view
                        views.reverse()
                        view, filled = views[0], 0
        if filled:
            yield view[:filled]


def _compressor(of_floats: bool) -> Any:
    """ZSTD at level 1. The bytes of floats, as differences, have repetitions and no skew worth Huffman's time.

    A target length of one says so: of speckle and of smooth angles the same size in 0.6 times the time.
    """
    settings = zstandard.ZstdCompressionParameters.from_level(1, source_size=4 * TILE_PX**2)
    if of_floats:
        settings = zstandard.ZstdCompressionParameters.from_level(1, source_size=4 * TILE_PX**2, target_length=1)
    return zstandard.ZstdCompressor(compression_params=settings)


def _write_all(file: int, data: bytes | memoryview) -> None:
    written = 0
    while written < len(data):
        written += os.write(file, memoryview(data)[written:])
