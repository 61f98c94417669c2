"""Thermal noise of a Sentinel-1 file, sample by sample, straight from the XML and MPC-0392; and the border's twin."""

from __future__ import annotations

from xml.etree import ElementTree

import numpy as np
from numpy.typing import NDArray

Float64Array = NDArray[np.float64]


def noise_of_file(content: bytes, line: float, samples: Float64Array) -> Float64Array:
    """Noise power in DN ** 2 on one line, as annotated (no factor of old processors).

    Equation 1 of section 5: the range vector, interpolated in line between vectors and in sample inside them, times
    the azimuth vector of the block that holds the sample.
    """
    root = ElementTree.fromstring(content)
    new = root.findall(".//noiseRangeVector")
    tag = "noiseRangeLut" if new else "noiseLut"
    vectors = new or root.findall(".//noiseVector")
    rows = [np.interp(samples, _numbers(vector, "pixel"), _numbers(vector, tag)) for vector in vectors]
    lines = [float(vector.findtext("line", "")) for vector in vectors]
    power = np.array([np.interp(line, lines, column) for column in np.array(rows).T])
    for vector in root.findall(".//noiseAzimuthVector"):
        block = {name: int(vector.findtext(name, "")) for name in _BLOCK}
        if block["firstAzimuthLine"] <= line <= block["lastAzimuthLine"]:
            factor = float(np.interp(line, _numbers(vector, "line"), _numbers(vector, "noiseAzimuthLut")))
            mine = (samples >= block["firstRangeSample"]) & (samples <= block["lastRangeSample"])
            power[mine] *= factor
    return power


def noise_of_rows(
    line: Float64Array,
    power: Float64Array,
    blocks: list[tuple[int, int, int, int]],
    factor: Float64Array,
    at_line: int,
) -> Float64Array:
    """The same from dense rows: ``power`` (M, n) at ``line`` (M,), ``factor`` (B, n_lines) of inclusive blocks."""
    out = np.array([np.interp(at_line, line, column) for column in power.T])
    for (first_line, last_line, first_sample, last_sample), by_line in zip(blocks, factor, strict=True):
        if first_line <= at_line <= last_line:
            out[first_sample : last_sample + 1] *= by_line[at_line]
    return out


def border_at_start(row: Float64Array, level: Float64Array, reach: int) -> int:
    """Samples of border at the start of a line: where the sum of ``min(DN ** 2 / level - 1, 3)`` is least."""
    filled = np.flatnonzero(row)
    zeros = int(filled[0]) if filled.size else row.size
    steps = np.minimum(row**2 / level - 1.0, 3.0)[zeros : zeros + reach]
    sums = np.concatenate([[0.0], np.cumsum(steps)]) - min(zeros, 6)
    lowest = np.minimum.accumulate(sums)
    ended = np.flatnonzero(sums - lowest > 16.0)
    sums = sums[: int(ended[0]) + 1] if ended.size else sums
    return zeros + int(np.argmin(sums)) if sums.min() <= -6.0 else zeros


def border_down(column: Float64Array, level: Float64Array) -> int:
    """Lines of border at the start of a column: as along a line, but zeros are samples like others."""
    sums = np.concatenate([[0.0], np.cumsum(np.minimum(column**2 / level - 1.0, 3.0))])
    ended = np.flatnonzero(sums - np.minimum.accumulate(sums) > 16.0)
    return int(np.argmin(sums[: int(ended[0]) + 1] if ended.size else sums))


_BLOCK = ("firstAzimuthLine", "lastAzimuthLine", "firstRangeSample", "lastRangeSample")


def _numbers(vector: ElementTree.Element, tag: str) -> Float64Array:
    return np.array(vector.findtext(tag, "").split(), dtype=np.float64)
