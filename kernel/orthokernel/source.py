"""Source pixels on their way into the loop: a ring of image lines that moves along with the output's blocks."""

# numba infers the types of what it compiles
# mypy: disable-error-code="no-untyped-def, no-untyped-call"

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from orthokernel.loop import SourceArrays
from orthokernel.product import BandReader

Float64Array = NDArray[np.float64]
Float32Array = NDArray[np.float32]

_LINES_PER_READ = 256
_NO_FACTOR = np.empty((0, 0), np.float32)


@dataclass(frozen=True)
class SampleValues:
    """How a band's pixels become values.

    Attributes
    ----------
    no_data : float
        Pixel value without data; NaN where there is none.
    zero_border : bool
        Zeros connected to either end of a line are no data; a zero elsewhere is a dark sample.
    calibration_line : (L,) float64
    calibration : (L, n_samples) float32
        A of ``value = (pixel / A) ** 2``; L = 0 where pixels pass through.
    """

    no_data: float
    zero_border: bool
    calibration_line: Float64Array
    calibration: Float32Array


class SourceRing:
    """Lines of the bands of one image, read once each while the demand moves steadily over it.

    Lines are kept at full width: Sentinel-1's TIFFs have strips of one line, which are read whole anyway, and only
    the ends of a line tell which zeros belong to the border. For a narrow demand on other images just the samples
    asked for, and a margin, are read.

    `prepare` may run while the loop still reads what was returned before: it writes only into rows that the lines
    ``keep`` do not occupy.

    Parameters
    ----------
    readers : sequence of BandReader
        Of one size.
    values : sequence of SampleValues
        One for each, alike but for the calibration (`alike`).
    """

    def __init__(self, readers: Sequence[BandReader], values: Sequence[SampleValues]) -> None:
        self._readers = readers
        self._values = values[0]
        self._calibration_line, self._calibration = _one_table(values)
        # Two types only, because the loop is compiled once for each.
        small = all(reader.dtype in (np.uint8, np.uint16) for reader in readers)
        self._dtype = np.uint16 if small else np.float32
        self._pixels: NDArray[Any] = np.empty((len(readers), 0, 0), self._dtype)
        self._first = np.empty((len(readers), 0), np.int32)
        self._last = np.empty((len(readers), 0), np.int32)
        self._held = (0, 0)
        self._samples = (0, 0)

    def prepare(self, lines: tuple[int, int], samples: tuple[int, int], keep: tuple[int, int]) -> SourceArrays:
        """Hold the half-open range of ``lines`` and ``samples``, both within the image, without losing ``keep``."""
        low, high = lines
        if not self._fits(lines, samples, keep):
            self._allocate(lines, samples, keep)
        held_low, held_high = self._held
        if high <= held_low or low >= held_high or held_low == held_high:
            missing = [(low, high)]
        else:
            missing = [(low, min(high, held_low)), (max(low, held_high), high)]
        for start, stop in missing:
            self._read(start, stop)
        self._held = self._now_held(lines)
        return self._arrays()

    def _fits(self, lines: tuple[int, int], samples: tuple[int, int], keep: tuple[int, int]) -> bool:
        union = max(lines[1], keep[1]) - min(lines[0], keep[0]) if keep[0] < keep[1] else lines[1] - lines[0]
        inside = self._samples[0] <= samples[0] and samples[1] <= self._samples[1]
        return inside and union <= self._pixels.shape[1]

    def _now_held(self, lines: tuple[int, int]) -> tuple[int, int]:
        """The lines of the ring after reading: as many of the former ones as were not overwritten."""
        low, high = lines
        capacity = self._pixels.shape[1]
        held_low, held_high = self._held
        if high < held_low or low > held_high or held_low == held_high:
            return lines
        if held_low <= low and high <= held_high:
            return self._held
        if high >= held_high:
            return max(min(low, held_low), high - capacity), high
        return low, min(held_high, low + capacity)

    def _allocate(self, lines: tuple[int, int], samples: tuple[int, int], keep: tuple[int, int]) -> None:
        """A new ring, with room for the demand's next steps; the former one lives on while the loop holds it."""
        union = max(lines[1], keep[1]) - min(lines[0], keep[0]) if keep[0] < keep[1] else lines[1] - lines[0]
        capacity = min(self._readers[0].n_lines, union + union // 8 + _LINES_PER_READ)
        wanted = samples[1] - samples[0]
        if self._values.zero_border or wanted > self._readers[0].n_samples // 2:
            self._samples = (0, self._readers[0].n_samples)
        else:
            margin = wanted // 4 + 64
            self._samples = (max(samples[0] - margin, 0), min(samples[1] + margin, self._readers[0].n_samples))
        width = self._samples[1] - self._samples[0]
        n_bands = len(self._readers)
        self._pixels = np.empty((n_bands, capacity, width), self._dtype)
        self._first = np.zeros((n_bands, capacity), np.int32)
        self._last = np.full((n_bands, capacity), width - 1, np.int32)
        self._held = (0, 0)

    def _read(self, start: int, stop: int) -> None:
        capacity = self._pixels.shape[1]
        while start < stop:
            row = start % capacity
            count = min(stop - start, capacity - row, _LINES_PER_READ)
            rows = slice(row, row + count)
            for band, reader in enumerate(self._readers):
                block = self._pixels[band, rows]
                block[:] = reader.read(start, start + count, *self._samples)
                if self._values.zero_border:
                    _valid_ends(block, self._first[band, rows], self._last[band, rows])
            start += count

    def _arrays(self) -> SourceArrays:
        low, high = self._samples
        return SourceArrays(
            pixels=self._pixels,
            line0=self._held[0],
            line1=self._held[1],
            sample0=low,
            n_lines=self._readers[0].n_lines,
            n_samples=self._readers[0].n_samples,
            first_valid=self._first,
            last_valid=self._last,
            no_data=self._values.no_data,
            calibration_line=self._calibration_line,
            calibration=np.ascontiguousarray(self._calibration[:, :, low:high]),
            factor=_NO_FACTOR,
        )


def alike(one: SampleValues, other: SampleValues) -> bool:
    """Whether two bands can share a ring: they differ at most in their calibration."""
    same_no_data = one.no_data == other.no_data or (np.isnan(one.no_data) and np.isnan(other.no_data))
    calibrated = bool(len(one.calibration_line)) == bool(len(other.calibration_line))
    return bool(same_no_data and calibrated and one.zero_border == other.zero_border)


def _one_table(values: Sequence[SampleValues]) -> tuple[Float64Array, Float32Array]:
    """Calibrations ``(B, L, S)`` at the lines ``(L,)`` of all bands; each is linear between its own lines as before."""
    lines = np.unique(np.concatenate([value.calibration_line for value in values]))
    return lines, np.stack([_at_lines(value, lines) for value in values])


def _at_lines(value: SampleValues, lines: Float64Array) -> Float32Array:
    own = value.calibration_line
    if np.array_equal(lines, own):
        return value.calibration
    return np.stack([np.interp(lines, own, column) for column in value.calibration.T], axis=1).astype(np.float32)


@njit(cache=True, nogil=True)
def _valid_ends(pixels, first, last):
    """First and last column of each line that is not zero: ``first > last`` where all of it is."""
    for i in range(pixels.shape[0]):
        n = pixels.shape[1]
        a, b = 0, n - 1
        while a < n and pixels[i, a] == 0:
            a += 1
        while b >= a and pixels[i, b] == 0:
            b -= 1
        first[i] = a
        last[i] = b
