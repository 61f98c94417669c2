"""Readers of what is not one variable of one file as it is."""

from __future__ import annotations

from types import TracebackType
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from orthokernel.product import BandReader
from orthokernel.sentinel3.flags import blank


class ArrayReader:
    """An array (lines, samples) in memory (a `BandReader`)."""

    def __init__(self, pixels: NDArray[Any], nodata: float | None = None) -> None:
        self._pixels = pixels
        self.nodata = nodata
        self.n_lines, self.n_samples = pixels.shape

    @property
    def dtype(self) -> np.dtype[Any]:
        return self._pixels.dtype

    def read(self, line_start: int, line_stop: int, sample_start: int, sample_stop: int) -> NDArray[Any]:
        """See `BandReader.read`."""
        return self._pixels[max(line_start, 0) : max(line_stop, 0), max(sample_start, 0) : max(sample_stop, 0)]

    def close(self) -> None:
        """Nothing is held."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class _Through:
    """A reader that hands on another's."""

    def __init__(self, inner: BandReader) -> None:
        self._inner = inner

    @property
    def n_lines(self) -> int:
        return self._inner.n_lines

    @property
    def n_samples(self) -> int:
        return self._inner.n_samples

    @property
    def dtype(self) -> np.dtype[Any]:
        return self._inner.dtype

    @property
    def nodata(self) -> float | None:
        return self._inner.nodata

    def close(self) -> None:
        """Let go of the file."""
        self._inner.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class MaskedReader(_Through):
    """Pixels of which some are no data because a bit of ``quality`` (lines, samples) says so."""

    def __init__(self, inner: BandReader, quality: NDArray[np.uint8], bit: int, nodata: float) -> None:
        super().__init__(inner)
        self._quality, self._bit, self._nodata = quality, bit, nodata

    @property
    def nodata(self) -> float | None:
        return self._nodata

    def read(self, line_start: int, line_stop: int, sample_start: int, sample_stop: int) -> NDArray[Any]:
        """See `BandReader.read`."""
        pixels = self._inner.read(line_start, line_stop, sample_start, sample_stop)
        l0, s0 = max(line_start, 0), max(sample_start, 0)
        here = self._quality[l0 : l0 + pixels.shape[0], s0 : s0 + pixels.shape[1]]
        blank(pixels, here, self._bit, pixels.dtype.type(self._nodata))
        return pixels


class PowerOfTenReader(_Through):
    """Values of a variable that has their decimal logarithm: float32, NaN where there is none."""

    def __init__(self, inner: BandReader, scale: float, shift: float) -> None:
        super().__init__(inner)
        self._scale, self._shift = scale, shift

    @property
    def dtype(self) -> np.dtype[Any]:
        return np.dtype(np.float32)

    @property
    def nodata(self) -> float | None:
        return None

    def read(self, line_start: int, line_stop: int, sample_start: int, sample_stop: int) -> NDArray[Any]:
        """See `BandReader.read`."""
        pixels = self._inner.read(line_start, line_stop, sample_start, sample_stop)
        values = np.power(10.0, self._scale * pixels.astype(np.float64) + self._shift).astype(np.float32)
        if self._inner.nodata is not None:
            values[pixels == self._inner.nodata] = np.nan
        return values


class WithFurther(_Through):
    """An image, and to the right of it further measurements that each of its lines has."""

    def __init__(self, grid: BandReader, further: BandReader) -> None:
        super().__init__(grid)
        self.grid, self._further = grid, further

    @property
    def n_samples(self) -> int:
        return self.grid.n_samples + self._further.n_samples

    def read(self, line_start: int, line_stop: int, sample_start: int, sample_stop: int) -> NDArray[Any]:
        """See `BandReader.read`."""
        n = self.grid.n_samples
        if sample_stop <= n:
            return self.grid.read(line_start, line_stop, sample_start, sample_stop)
        parts = [
            self.grid.read(line_start, line_stop, sample_start, n),
            self._further.read(line_start, line_stop, sample_start - n, sample_stop - n),
        ]
        return np.concatenate(parts, axis=1)

    def close(self) -> None:
        """Let go of both files."""
        self.grid.close()
        self._further.close()


def on_grid(reader: BandReader) -> BandReader:
    """A reader without the further measurements beside its image: they have no neighbours to interpolate with."""
    return reader.grid if isinstance(reader, WithFurther) else reader
