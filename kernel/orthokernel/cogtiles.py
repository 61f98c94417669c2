"""One tile of an image: compressed, halved for the overview, told to be empty. Safe to use from several threads."""

from __future__ import annotations

import threading
from typing import Any, Literal

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

TILE_PX = 512
Overviews = Literal["average", "average_db", "nearest"]
"""Of 2 x 2 pixels: the mean of those with data; the mean of the power that decibels stand for; the upper left one."""

_AS_THEY_ARE, _INTEGER, _FLOAT = 1, 2, 3  # values of TIFF's predictor


class TileCoder:
    """Works on windows of a contiguous plane (R, C): its first ``n_rows`` rows, columns ``col0`` to before ``col1``."""

    def __init__(self, dtype: np.dtype[Any], no_data: float, overviews: Overviews) -> None:
        self._dtype, self._overviews = dtype, overviews
        self._no_data, self._off = dtype.type(no_data), dtype.type(beside(dtype, no_data))
        self.predictor = _FLOAT if dtype.kind == "f" else _AS_THEY_ARE if overviews == "nearest" else _INTEGER
        self._local = threading.local()

    def is_empty(self, plane: NDArray[Any], n_rows: int, col0: int, col1: int) -> bool:
        """Whether there is no data."""
        return bool(is_empty(plane, n_rows, col0, col1, self._no_data))

    def compressed(self, plane: NDArray[Any], n_rows: int, col0: int, col1: int) -> bytes:
        """The tile as a ZSTD frame; no data where it is larger than the window."""
        if not hasattr(self._local, "zstd"):
            self._local.zstd = _compressor(self.predictor == _FLOAT)
        frame: bytes = self._local.zstd.compress(self._predicted(plane, n_rows, col0, col1))
        return frame

    def empty(self) -> bytes:
        """A tile without data: 120 bytes of floats, which level 1 makes 5000."""
        nothing = np.full((1, 1), self._no_data, self._dtype)
        return zstandard.ZstdCompressor(level=5).compress(self._predicted(nothing, 1, 0, 1).tobytes())

    def _predicted(self, plane: NDArray[Any], n_rows: int, col0: int, col1: int) -> NDArray[Any]:
        """The tile's differences, in this thread's buffer."""
        if not hasattr(self._local, "tile"):
            self._local.tile = (
                np.empty((TILE_PX, 4 * TILE_PX), np.uint8)
                if self.predictor == _FLOAT
                else np.empty((TILE_PX, TILE_PX), self._dtype)
            )
        tile: NDArray[Any] = self._local.tile
        if self.predictor == _FLOAT:
            fill = self._no_data.view(np.uint32)
            float_predictor(plane.view(np.uint32), n_rows, col0, col1, fill, tile)
        elif self.predictor == _INTEGER:
            integer_predictor(plane, n_rows, col0, col1, self._no_data, tile)
        else:
            tile[:] = self._no_data
            tile[:n_rows, : col1 - col0] = plane[:n_rows, col0:col1]
        return tile

    def halve(
        self, plane: NDArray[Any], n_rows: int, col0: int, col1: int, out: NDArray[Any], out_row: int, out_col: int
    ) -> None:
        """Write the window at half its size, rounded up, into ``out`` from ``[out_row, out_col]`` on."""
        if self._overviews == "nearest":
            target = out[out_row : out_row + (n_rows + 1) // 2, out_col : out_col + (col1 - col0 + 1) // 2]
            target[:] = plane[:n_rows:2, col0:col1:2]
        elif self._dtype.kind == "u":
            halve_integers(plane, n_rows, col0, col1, self._no_data, self._off, out, out_row, out_col)
        elif self._overviews == "average_db":
            halve_decibels(plane, n_rows, col0, col1, out, out_row, out_col)
        else:
            halve_floats(plane, n_rows, col0, col1, out, out_row, out_col)


def beside(dtype: np.dtype[Any], no_data: float) -> float:
    """What a pixel with data is written as that would come to be no data; NaN stays."""
    if dtype.kind == "f":
        return no_data
    return no_data + 1 if no_data < np.iinfo(dtype).max else no_data - 1


def _compressor(of_floats: bool) -> zstandard.ZstdCompressor:
    """ZSTD at level 1. The bytes of floats, as differences, have repetitions and no skew worth Huffman's time.

    A target length of three says so: of speckle and of angles 0.4 to 0.8 % more bytes, in 0.65 of the time.
    Smaller hash tables and longer matches gain 5 % more, and lose 1 to 2 % of the size.
    """
    faster = {"target_length": 3} if of_floats else {}
    settings = zstandard.ZstdCompressionParameters.from_level(1, source_size=4 * TILE_PX**2, **faster)
    return zstandard.ZstdCompressor(compression_params=settings)
