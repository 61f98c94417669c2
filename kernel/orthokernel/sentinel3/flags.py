"""Flags of products as the eight bits of `quality`, and duplicates that lie elsewhere than what they repeat.

The bits of `quality` are in the order of the masks it is made from; bit 0 is always set: the pixel was looked at.
"""

# numba infers the types of what it compiles
# mypy: disable-error-code="no-untyped-def, no-untyped-call"

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

import numpy as np
from numba import njit
from numpy.typing import NDArray

_LINES_AT_ONCE: Final = 256

_outer = njit(nogil=True, error_model="numpy", cache=True)


def quality_of(flags: NDArray[Any], masks: Sequence[int], threads: int) -> NDArray[np.uint8]:
    """`as_quality` of ``flags`` (L, S), unsigned integers, on threads; ``masks`` are seven."""
    quality = np.empty(flags.shape, np.uint8)
    of_bits = np.array(masks, np.uint64)

    def work(first: int) -> None:
        lines = slice(first, first + _LINES_AT_ONCE)
        as_quality(flags[lines], of_bits, quality[lines])

    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(work, range(0, flags.shape[0], _LINES_AT_ONCE)))
    return quality


@_outer
def as_quality(flags, masks, quality):
    """``quality`` (L, S) uint8: bit 0, and bit k + 1 where ``flags`` (L, S) has a bit of ``masks[k]``, (7,) uint64."""
    for i in range(flags.shape[0]):
        for j in range(flags.shape[1]):
            bits = 1
            for k in range(masks.shape[0]):
                if int(flags[i, j]) & int(masks[k]) != 0:
                    bits |= 2 << k
            quality[i, j] = bits


@_outer
def mark_apart(quality, duplicated, lat, lon, mark, marks):
    """Set ``mark`` in ``marks`` where a pixel has the bit ``duplicated`` and yet not the place of either neighbour.

    Returns how many do. One that has the place of the pixel it repeats is harmless: the quad between them has no area.
    """
    n_samples = lat.shape[1]
    count = 0
    for i in range(lat.shape[0]):
        for j in range(n_samples):
            if quality[i, j] & duplicated == 0:
                continue
            before = j > 0 and lat[i, j - 1] == lat[i, j] and lon[i, j - 1] == lon[i, j]
            after = j < n_samples - 1 and lat[i, j + 1] == lat[i, j] and lon[i, j + 1] == lon[i, j]
            if not before and not after:
                marks[i, j] |= mark
                count += 1
    return count


@_outer
def blank(pixels, quality, bit, no_data):
    """Set pixels to ``no_data`` where ``quality`` has a bit."""
    for i in range(pixels.shape[0]):
        for j in range(pixels.shape[1]):
            if quality[i, j] & bit != 0:
                pixels[i, j] = no_data
