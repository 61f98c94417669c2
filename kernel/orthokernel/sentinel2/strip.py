"""A detector's image of one band, put together from its granules as windows of it are read."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Final, Self

import numpy as np
from numpy.typing import NDArray

from orthokernel.errors import AnnotationError
from orthokernel.product import BandReader

_OPEN_AT_ONCE: Final = 3
_DTYPE: Final = np.dtype(np.uint16)


@dataclass(frozen=True)
class Piece:
    """Lines from ``first`` to before ``stop`` of a detector's image, and how the file they are in is opened."""

    first: int
    stop: int
    source: str
    open: Callable[[], BandReader]


class StripReader:
    """See `orthokernel.product.BandReader`: lines of no granule are no data; a granule's file is opened when a window
    touches it.

    Parameters
    ----------
    pieces : sequence of Piece
    n_lines, n_samples : int
    dtype : numpy dtype
        Of all pieces.
    """

    nodata: float | None = 0.0

    def __init__(self, pieces: Sequence[Piece], n_lines: int, n_samples: int, dtype: np.dtype[Any] = _DTYPE) -> None:
        self.n_lines, self.n_samples, self.dtype = n_lines, n_samples, dtype
        self._pieces = sorted(pieces, key=lambda piece: piece.first)
        self._open: dict[int, BandReader] = {}
        self._lock = threading.Lock()

    def read(self, line_start: int, line_stop: int, sample_start: int, sample_stop: int) -> NDArray[Any]:
        """``(lines, samples)`` of the half-open window, clipped to the image; may come out empty.

        Raises
        ------
        TruncatedRasterError
        AnnotationError
            A granule's image is not of the size that its metadata say.
        """
        l0, l1 = max(line_start, 0), min(line_stop, self.n_lines)
        s0, s1 = max(sample_start, 0), min(sample_stop, self.n_samples)
        window = np.zeros((max(l1 - l0, 0), max(s1 - s0, 0)), self.dtype)
        with self._lock:
            for k, piece in enumerate(self._pieces):
                a, b = max(l0, piece.first), min(l1, piece.stop)
                if a < b and s0 < s1:
                    window[a - l0 : b - l0] = self._reader(k).read(a - piece.first, b - piece.first, s0, s1)
        return window

    def _reader(self, k: int) -> BandReader:
        if k not in self._open:
            # Windows move from granule to granule: those behind are closed, files are not held open by the hundred.
            for other in sorted(self._open, key=lambda one: abs(one - k))[_OPEN_AT_ONCE - 1 :]:
                self._open.pop(other).close()
            piece = self._pieces[k]
            reader = piece.open()
            size = piece.stop - piece.first, self.n_samples
            if (reader.n_lines, reader.n_samples) != size or reader.dtype != self.dtype:
                found = f"{reader.n_lines} x {reader.n_samples} pixels of {reader.dtype}"
                reader.close()
                raise AnnotationError(
                    piece.source, found, f"{size[0]} x {size[1]} of {self.dtype}, as its metadata say"
                )
            self._open[k] = reader
        return self._open[k]

    def close(self) -> None:
        """Let go of the files."""
        with self._lock:
            for reader in self._open.values():
                reader.close()
            self._open.clear()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
