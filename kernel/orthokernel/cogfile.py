"""One Cloud-Optimized GeoTIFF, written while its pixels are made.

A tile is compressed as soon as its pixels are there, and halved for the overview while they are in the cache. As the
file begins with its smallest overview, compressed tiles wait in scratch files, without a name, until `close` puts
them in order.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
from blake3 import blake3
from numpy.typing import NDArray

from orthokernel.cogscratch import Scratch
from orthokernel.cogtiles import TILE_PX, Overviews, TileCoder
from orthokernel.grid import Grid
from orthokernel.spare import Spare
from orthokernel.tiffdir import (
    CLASSIC_BYTES,
    LEADER_BYTES,
    TRAILER_BYTES,
    Scaling,
    TiledImage,
    file_head,
    geo_fields,
    image_fields,
    no_data_field,
)

PREVIEW_PX = 1024
_PIECE_BYTES = 2 * 2**20  # of the finished file: read, summed and written while it is in the cache
_MISSING = -1  # in place of where a tile is


@dataclass(frozen=True)
class WrittenFile:
    """A finished file."""

    n_bytes: int
    blake3: str


@dataclass
class _Level:
    """The full image, or one of its overviews: where its finished tiles are, and the row of tiles being filled."""

    shape: tuple[int, int]
    at: NDArray[np.int64]  # (bands, tile rows, tile cols): place in the scratch files, or `_MISSING`
    n_bytes: NDArray[np.int64]
    rows: NDArray[Any]  # of overviews: (bands, up to TILE_PX, cols)

    @classmethod
    def of(cls, shape: tuple[int, int], n_bands: int, dtype: np.dtype[Any], n_rows: int) -> _Level:
        tiles = (n_bands, -(-shape[0] // TILE_PX), -(-shape[1] // TILE_PX))
        rows = np.empty((n_bands, n_rows, shape[1]), dtype)
        return cls(shape, np.full(tiles, _MISSING, np.int64), np.zeros(tiles, np.int64), rows)

    def n_rows(self, tile_row: int) -> int:
        return min(TILE_PX, self.shape[0] - tile_row * TILE_PX)


@dataclass
class _Gathered:
    """A row of tiles of which not all pixels have come."""

    rows: NDArray[Any]
    n_px: int = 0


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
    overviews : {"average", "average_db", "nearest"}
        Each of half the size of the one before, rounded up, down to a single tile. Pixels of "nearest" are bits or
        classes: they are compressed as they are, others as differences from their neighbours.
    classic_bytes : int
        A file larger than this becomes a BigTIFF.
    scaling : tuple of sequences of float, optional
        Scale and offset of each band, written down: ``value = scale * number + offset``.
    preview_bands : sequence of int
        0-based.

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
        overviews: Overviews = "average",
        classic_bytes: int = CLASSIC_BYTES,
        scaling: Scaling | None = None,
        preview_bands: Sequence[int] = (0,),
    ) -> None:
        self._path, self._pool, self._classic_bytes = path, pool, classic_bytes
        self.dtype = np.dtype(dtype)
        self._coder = TileCoder(self.dtype, no_data, overviews)
        self._n_bands = len(band_names)
        self._geo = geo_fields(grid, self.dtype, no_data, band_names, scaling)
        self._levels = [_Level.of(grid.shape, self._n_bands, self.dtype, 0)]
        while max(shape := self._levels[-1].shape) > TILE_PX:
            half = ((shape[0] + 1) // 2, (shape[1] + 1) // 2)
            self._levels.append(_Level.of(half, self._n_bands, self.dtype, min(TILE_PX, half[0])))
        self._gathered: dict[int, _Gathered] = {}
        self._spare = Spare(self.dtype)
        self._preview_level = next(k for k, level in enumerate(self._levels) if max(level.shape) <= PREVIEW_PX)
        self._preview_bands = list(preview_bands)
        shape = self._levels[self._preview_level].shape
        self.preview = np.full((len(self._preview_bands), *shape), no_data, self.dtype)
        """Some bands at the finest level of at most 1024 x 1024 pixels: complete when all is written."""
        self._empty = self._coder.empty()
        self._scratch = Scratch(path.parent)

    def write(self, row0: int, rows: NDArray[Any], col0: int = 0) -> None:
        """Take the next pixels, downwards; within a block of rows from the left, if it comes in several.

        ``rows`` (bands, rows, cols) of the file's type starts at ``[row0, col0]`` and is no longer looked at on
        return. Whole rows of tiles are compressed where they lie; other blocks are gathered first.
        """
        rows = np.ascontiguousarray(rows, self.dtype)
        level, n_cols, done = self._levels[0], rows.shape[2], 0
        while done < rows.shape[1]:
            tile_row, inside = divmod(row0 + done, TILE_PX)
            n_rows = level.n_rows(tile_row)
            n = min(n_rows - inside, rows.shape[1] - done)
            part = rows[:, done : done + n]
            if (n, n_cols) == (n_rows, level.shape[1]):
                self._compress_row(0, tile_row, part)
            else:
                self._gather(tile_row, inside, col0, part)
            done += n

    def _gather(self, tile_row: int, inside: int, col0: int, part: NDArray[Any]) -> None:
        n_rows, n_cols = self._levels[0].n_rows(tile_row), self._levels[0].shape[1]
        if tile_row not in self._gathered:
            self._gathered[tile_row] = _Gathered(self._spare.take((self._n_bands, TILE_PX, n_cols)))
        gathered = self._gathered[tile_row]
        gathered.rows[:, inside : inside + part.shape[1], col0 : col0 + part.shape[2]] = part
        gathered.n_px += part.shape[1] * part.shape[2]
        if gathered.n_px == n_rows * n_cols:
            self._compress_row(0, tile_row, gathered.rows[:, :n_rows])
            self._spare.give(self._gathered.pop(tile_row).rows)

    def close(self) -> WrittenFile:
        """Make the file.

        Raises
        ------
        ValueError
            Pixels are missing.
        """
        missing = sum(int(np.count_nonzero(level.at == _MISSING)) for level in self._levels)
        if missing:
            raise ValueError(f"{self._path}: {missing} tiles were not written")
        images = []
        for k, level in enumerate(self._levels):
            predictor, is_overview = self._coder.predictor, k > 0
            fields = image_fields(level.shape, self.dtype, self._n_bands, TILE_PX, predictor, is_overview)
            geo = no_data_field(self._geo) if is_overview else self._geo
            images.append(TiledImage([*fields, *geo], level.n_bytes.ravel()))
        head = file_head(images, self._n_bands > 1, self._classic_bytes)
        digest = blake3(head)
        n_bytes = len(head)
        pieces = self._scratch.take(self._places(), _PIECE_BYTES)

        def read_next() -> memoryview | None:
            piece = next(pieces, None)
            if piece is not None:
                digest.update(piece)
            return piece

        coming = self._pool.submit(read_next)
        try:
            with self._path.open("wb", buffering=0) as target:
                _write_all(target.fileno(), head)
                while (piece := coming.result()) is not None:
                    coming = self._pool.submit(read_next)  # meanwhile this one is written
                    _write_all(target.fileno(), piece)
                    n_bytes += len(piece)
        except BaseException:
            self._path.unlink(missing_ok=True)
            raise
        finally:
            wait([coming])
        return WrittenFile(n_bytes, digest.hexdigest())

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._scratch.close()

    def _compress_row(self, k: int, tile_row: int, rows: NDArray[Any]) -> None:
        """Compress a row of tiles of level k, and of the overviews what that makes complete."""
        level = self._levels[k]
        n_rows, first = level.n_rows(tile_row), tile_row * TILE_PX
        if k == self._preview_level:
            self.preview[:, first : first + n_rows] = rows[self._preview_bands, :n_rows]
        jobs = [
            self._pool.submit(self._compress_tile, k, band, tile_row, tile_col, rows[band])
            for tile_col in range(level.at.shape[2])
            for band in range(self._n_bands)
        ]
        wait(jobs)  # all of them, before the rows are let go of
        for job in jobs:
            job.result()
        is_last = tile_row == level.at.shape[1] - 1
        if k + 1 < len(self._levels) and (tile_row % 2 == 1 or is_last):
            self._compress_row(k + 1, tile_row // 2, self._levels[k + 1].rows)

    def _compress_tile(self, k: int, band: int, tile_row: int, tile_col: int, plane: NDArray[Any]) -> None:
        """One tile of level k, from a plane of its row of tiles; runs on the pool."""
        level = self._levels[k]
        n_rows, col0 = level.n_rows(tile_row), tile_col * TILE_PX
        col1 = min(col0 + TILE_PX, level.shape[1])
        if k + 1 < len(self._levels):
            out, half_px = self._levels[k + 1].rows[band], TILE_PX // 2
            self._coder.halve(plane, n_rows, col0, col1, out, (tile_row % 2) * half_px, tile_col * half_px)
        is_empty = self._coder.is_empty(plane, n_rows, col0, col1)
        compressed = self._empty if is_empty else self._coder.compressed(plane, n_rows, col0, col1)
        parts = [struct.pack("<I", len(compressed)), compressed, compressed[-TRAILER_BYTES:]]
        level.at[band, tile_row, tile_col] = self._scratch.keep(2 * band + (k > 0), parts)
        level.n_bytes[band, tile_row, tile_col] = len(compressed)

    def _places(self) -> Iterator[tuple[int, int]]:
        """Of all tiles in the order of the file, with what they take there."""
        for level in reversed(self._levels):
            for at, n_bytes in zip(level.at.ravel().tolist(), level.n_bytes.ravel().tolist(), strict=True):
                yield at, LEADER_BYTES + n_bytes + TRAILER_BYTES


def _write_all(file: int, data: bytes | memoryview) -> None:
    written = 0
    while written < len(data):
        written += os.write(file, memoryview(data)[written:])
