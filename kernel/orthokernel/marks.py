"""The mask of a block: which pixels are valid, and what their terrain was."""

# numba infers the types of what it compiles
# ruff: noqa: PLR0124
# mypy: disable-error-code="no-untyped-def, assignment"

from __future__ import annotations

from typing import Any

import numpy as np
from numba import boolean, float32, int64, njit, uint8
from numpy.lib.stride_tricks import as_strided
from numpy.typing import NDArray

_SIGNATURE = int64(float32[::1], int64[::1], uint8[::1], int64, boolean, uint8[::1], int64, int64, int64, int64)
_NOISE_FLOOR = 32


def mark_valid(data: NDArray[np.float32], flags: NDArray[np.uint8], power: bool, mask: NDArray[np.uint8]) -> int:
    """Write the mask of a part of a block; returns how many pixels are valid.

    Parameters
    ----------
    data : (B, R, C) float32
        The bands; NaN where there is no data.
    flags : (R, C) uint8
        `TerrainFlag` bits.
    power : bool
        The data are powers: zero is what noise removal and the clamp left of a sample, and is marked.
    mask : (R, C) uint8
        Written (may be ``flags``): 0 where no band is valid, else 1, the terrain's flags in the bits above it, and the
        noise floor's bit where a band is zero or less (see `MaskBit`).

    All three may be windows of larger arrays, whose rows lie in memory pixel after pixel.
    """
    if data.size == 0:
        return 0
    bands = _in_memory(data)
    # Where a band and a row begin: rows of a view with a stride are not vector code (2.7 ns a pixel, not 0.8).
    strides = np.array(data.strides, np.int64) // data.itemsize
    n_valid: int = _mark(
        bands, strides, _in_memory(flags), flags.strides[0], power, _in_memory(mask), mask.strides[0],
        *data.shape,
    )  # fmt: skip
    return n_valid


def _in_memory(view: NDArray[Any]) -> NDArray[Any]:
    """All elements from the first to the last of a view, one after the other, those between its rows among them."""
    if view.strides[-1] != view.itemsize or min(view.strides) < 0:
        raise ValueError(f"strides {view.strides} of {view.itemsize}-byte elements: expected contiguous rows")
    last = sum((n - 1) * stride for n, stride in zip(view.shape, view.strides, strict=True)) // view.itemsize
    return as_strided(view, (last + 1,), (view.itemsize,))


@njit(_SIGNATURE, cache=True, nogil=True)
def _mark(data, strides, flags, flags_stride, power, mask, mask_stride, n_bands, n_rows, n_cols):
    """As `mark_valid`, on flat arrays: ``strides`` are those of bands and rows of ``data``."""
    n_valid = 0
    valid = np.empty(n_cols, np.uint8)
    bits = np.empty(n_cols, np.uint8)
    for r in range(n_rows):
        valid[:] = 0
        bits[:] = 0
        for k in range(n_bands):
            at = np.uint64(k * strides[0] + r * strides[1])
            for c in range(n_cols):
                value = data[at + np.uint64(c)]
                valid[np.uint64(c)] |= np.uint8(value == value)
                bits[np.uint64(c)] |= np.uint8(value <= np.float32(0)) << np.uint8(5)  # False for NaN
        from_here, to = np.uint64(r * flags_stride), np.uint64(r * mask_stride)
        n_row = np.int32(0)
        for c in range(n_cols):
            ok = valid[np.uint64(c)]
            n_row += np.int32(ok)
            terrain = np.uint8((flags[from_here + np.uint64(c)] << np.uint8(1)) | np.uint8(1))
            bits[np.uint64(c)] = ok * terrain | (bits[np.uint64(c)] if power else np.uint8(0))
        for c in range(
            n_cols
        ):  # apart: flags and mask may be the same memory, and then no loop over both is vector code
            mask[to + np.uint64(c)] = bits[np.uint64(c)]
        n_valid += n_row
    return n_valid
