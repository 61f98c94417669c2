"""Source pixels on their way into the loop: a ring of image lines that moves along with the output's blocks."""

# numba infers the types of what it compiles
# mypy: disable-error-code="no-untyped-def, no-untyped-call"

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from orthokernel.flattening.ring import AreaArrays, AreaRing
from orthokernel.loop import SourceArrays
from orthokernel.product import BandReader, ReadsInto
from orthokernel.sentinel1.border import BorderLevel, BorderMask

if TYPE_CHECKING:
    from orthokernel.flattening import RadarAreas

Float64Array = NDArray[np.float64]
Float32Array = NDArray[np.float32]

_LINES_PER_READ = 256
_LOOK_SAMPLES = 256
_NO_FACTOR = np.empty((0, 0), np.float32)
_WHOLE_LINES_FROM = 0.8  # of a line: lines one after the other are one read


@dataclass(frozen=True)
class NoiseRows:
    """Noise power at every sample, as `orthokernel.loop.SourceArrays` has it.

    Attributes
    ----------
    line : (M,) float64
    power : (M, n_samples) float32
        In the square of the pixels' unit; M = 0 where there is nothing to subtract.
    block : (B, 4) int64
        First and last line, first and last sample of each azimuth block.
    factor : (B, n_lines) float32
    """

    line: Float64Array
    power: Float32Array
    block: NDArray[np.int64]
    factor: Float32Array

    @classmethod
    def none(cls, n_lines: int, n_samples: int) -> NoiseRows:
        """Nothing to subtract."""
        return cls(
            np.empty(0),
            np.empty((0, n_samples), np.float32),
            np.empty((0, 4), np.int64),
            np.empty((0, n_lines), np.float32),
        )


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
        A of ``value = (pixel ** 2 - noise) / A ** 2``; L = 0 where pixels pass through.
    noise : NoiseRows
    noise_kept : str
        Why no noise is subtracted; empty where it is.
    border_level : BorderLevel or None
        What tells border noise from image; None where there is no border noise.
    gain, offset : float
        Without calibration ``value = gain * pixel + offset``.
    """

    no_data: float
    zero_border: bool
    calibration_line: Float64Array
    calibration: Float32Array
    noise: NoiseRows
    noise_kept: str = ""
    border_level: BorderLevel | None = None
    gain: float = 1.0
    offset: float = 0.0

    @classmethod
    def linear(
        cls, no_data: float, n_lines: int, n_samples: int, gain: float = 1.0, offset: float = 0.0
    ) -> SampleValues:
        """Pixels of an image of this size through a line, but for those without data."""
        no_lines, no_rows = np.empty(0), np.empty((0, n_samples), np.float32)
        nothing = NoiseRows.none(n_lines, n_samples)
        return cls(no_data, False, no_lines, no_rows, nothing, "pixels as they are", None, gain, offset)


@dataclass(frozen=True)
class Demand:
    """What a whole output will ask of an image: how many lines at once, and which samples (half-open)."""

    n_lines: int
    samples: tuple[int, int]


class SourceRing:
    """Lines of the bands of one image, read once each while the demand moves steadily over it.

    For a narrow demand just the samples asked for, and a margin, are read. Zeros at the edge of what was read may be
    the border's or dark samples: only then is that line read further out, until it says.

    `prepare` may run while the loop still reads what was returned before: it writes only into rows that the lines
    ``keep`` do not occupy.

    Parameters
    ----------
    readers : sequence of BandReader
        Of one size.
    values : sequence of SampleValues
        One for each, `alike`.
    areas : RadarAreas, optional
        Projected ground areas, to be held beside the lines; ``flatten``: each sample's value is divided by its area.
    """

    def __init__(
        self,
        readers: Sequence[BandReader],
        values: Sequence[SampleValues],
        areas: RadarAreas | None = None,
        flatten: bool = False,
    ) -> None:
        self._readers = readers
        self._reader = readers[0]
        self._values = values[0]
        # Two types only, because the loop is compiled once for each.
        small = all(reader.dtype in (np.uint8, np.uint16) for reader in readers)
        self._dtype = np.uint16 if small else np.float32
        self._pixels: NDArray[Any] = np.empty((len(readers), 0, 0), self._dtype)
        self._first = np.empty((len(readers), 0), np.int32)
        self._last = np.empty((len(readers), 0), np.int32)
        self._held = (0, 0)
        self._samples = (0, 0)
        self._expected = Demand(0, (0, 0))
        self._calibration_line, self._whole_calibration = _one_table(
            [(value.calibration_line, value.calibration) for value in values]
        )
        self._noise_line, self._whole_noise = _one_table([(value.noise.line, value.noise.power) for value in values])
        self._noise_block, self._noise_factor = _one_set_of_blocks([value.noise for value in values])
        self._calibration, self._noise = self._whole_calibration, self._whole_noise
        self._gain = np.array([value.gain for value in values], np.float32)
        self._offset = np.array([value.offset for value in values], np.float32)
        self._areas = None if areas is None else AreaRing(areas)
        self._flatten = flatten
        self._borders = [
            None if value.border_level is None else BorderMask(reader, value.border_level)
            for reader, value in zip(readers, values, strict=True)
        ]

    def expect(self, demand: Demand) -> None:
        """Make the ring that large when it is first needed, so that it need not be made and filled again."""
        self._expected = demand

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
        capacity = min(self._reader.n_lines, max(union + union // 8 + _LINES_PER_READ, self._expected.n_lines))
        n, wanted = self._reader.n_samples, samples[1] - samples[0]
        first, stop = self._expected.samples
        if not (first <= samples[0] and samples[1] <= stop):
            margin = wanted // 4 + 64
            first, stop = max(samples[0] - margin, 0), min(samples[1] + margin, n)
        whole = self._borders[0] is not None or stop - first > _WHOLE_LINES_FROM * n
        self._samples = (0, n) if whole and self._areas is None else (first, stop)
        width = self._samples[1] - self._samples[0]
        n_bands = len(self._readers)
        self._pixels = np.empty((n_bands, capacity, width), self._dtype)
        self._first = np.zeros((n_bands, capacity), np.int32)
        self._last = np.full((n_bands, capacity), width - 1, np.int32)
        self._held = (0, 0)
        if self._areas is not None:
            self._areas.allocate(capacity, self._samples)
        self._calibration = np.ascontiguousarray(self._whole_calibration[:, :, slice(*self._samples)])
        self._noise = np.ascontiguousarray(self._whole_noise[:, :, slice(*self._samples)])

    def _read(self, start: int, stop: int) -> None:
        capacity = self._pixels.shape[1]
        while start < stop:
            row = start % capacity
            count = min(stop - start, capacity - row, _LINES_PER_READ)
            rows = slice(row, row + count)
            if self._areas is not None:
                self._areas.read(start, rows)
            for band, reader in enumerate(self._readers):
                block, first, last = self._pixels[band, rows], self._first[band, rows], self._last[band, rows]
                if isinstance(reader, ReadsInto) and reader.dtype == block.dtype:
                    reader.read_into(start, self._samples[0], block)
                else:
                    block[:] = reader.read(start, start + count, *self._samples)
                border = self._borders[band]
                if border is not None:
                    border.mark(block, start, first, last)
                elif self._values.zero_border:
                    _valid_ends(block, first, last)
                    self._look_outside(reader, start, first, last)
            start += count

    @property
    def areas(self) -> AreaArrays | None:
        """Areas and visibility of the lines held; None where none were asked for."""
        return None if self._areas is None else self._areas.arrays

    def _look_outside(self, reader: BandReader, start: int, first: NDArray[np.int32], last: NDArray[np.int32]) -> None:
        """Correct the ends of lines with zeros at an edge of what was read: are they the border's?"""
        low, high = self._samples
        empty = first > last
        width = high - low
        left = self._has_data(reader, start, empty | (first > 0), low, -1)
        right = self._has_data(reader, start, (empty & left) | (~empty & (last < width - 1)), high, 1)
        dark = empty & left & right
        first[(~empty & left) | dark] = 0
        last[(~empty & right) | dark] = width - 1

    def _has_data(
        self, reader: BandReader, start: int, asked: NDArray[np.bool_], edge: int, way: int
    ) -> NDArray[np.bool_]:
        """Whether lines have any sample that is not zero from ``edge`` on, to the left (-1) or right (1)."""
        found = np.zeros(asked.shape, np.bool_)
        n = _LOOK_SAMPLES
        while asked.any() and 0 < edge < self._reader.n_samples:
            beyond = min(max(edge + way * n, 0), self._reader.n_samples)
            steps = np.flatnonzero(np.diff(asked, prepend=False, append=False))
            for k, stop in steps.reshape(-1, 2):
                part = reader.read(start + int(k), start + int(stop), min(edge, beyond), max(edge, beyond))
                found[k:stop] = (part != 0).any(axis=1)
            asked = asked & ~found
            edge, n = beyond, 4 * n
        return found

    def _arrays(self) -> SourceArrays:
        return SourceArrays(
            pixels=self._pixels,
            line0=self._held[0],
            line1=self._held[1],
            sample0=self._samples[0],
            n_lines=self._reader.n_lines,
            n_samples=self._reader.n_samples,
            first_valid=self._first,
            last_valid=self._last,
            no_data=self._values.no_data,
            gain=self._gain,
            offset=self._offset,
            calibration_line=self._calibration_line,
            calibration=self._calibration,
            noise_line=self._noise_line,
            noise=self._noise,
            noise_block=self._noise_block,
            noise_factor=self._noise_factor,
            factor=self._areas.factor if self._areas is not None and self._flatten else _NO_FACTOR,
        )


def alike(one: SampleValues, other: SampleValues) -> bool:
    """Whether two bands can share a ring: they differ at most in the figures of calibration, noise, border and line."""
    same_no_data = one.no_data == other.no_data or (np.isnan(one.no_data) and np.isnan(other.no_data))
    same_kind = all(
        bool(len(a)) == bool(len(b))
        for a, b in ((one.calibration_line, other.calibration_line), (one.noise.line, other.noise.line))
    )
    same_border = (one.border_level is None) == (other.border_level is None) and one.zero_border == other.zero_border
    return bool(same_no_data and same_kind and same_border)


def _one_table(tables: Sequence[tuple[Float64Array, Float32Array]]) -> tuple[Float64Array, Float32Array]:
    """Tables ``(B, L, S)`` at the lines ``(L,)`` of all bands; each is linear between its own lines as before."""
    lines = np.unique(np.concatenate([line for line, _ in tables]))
    return lines, np.stack([_at_lines(lines, line, rows) for line, rows in tables])


def _at_lines(lines: Float64Array, own: Float64Array, rows: Float32Array) -> Float32Array:
    if np.array_equal(lines, own):
        return rows
    return np.stack([np.interp(lines, own, column) for column in rows.T], axis=1).astype(np.float32)


def _one_set_of_blocks(noises: Sequence[NoiseRows]) -> tuple[NDArray[np.int64], Float32Array]:
    """Azimuth blocks ``(B, K, 4)`` and their factors ``(B, K, n_lines)``; where a band has fewer, empty ones."""
    most = max(len(noise.block) for noise in noises)
    block = np.zeros((len(noises), most, 4), np.int64)
    block[:, :, 1] = -1  # ends before it begins
    factor = np.ones((len(noises), most, noises[0].factor.shape[1]), np.float32)
    for band, noise in enumerate(noises):
        block[band, : len(noise.block)] = noise.block
        factor[band, : len(noise.block)] = noise.factor
    return block, factor


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
