"""The mask of a block: which pixels are valid, and what their terrain was."""

# mypy: disable-error-code="no-untyped-def"

from __future__ import annotations

import numpy as np
from numba import boolean, float32, int64, njit, uint8

# Parts of a block are views, contiguous or not: one signature for all of them, or each kind would be compiled again.
_SIGNATURE = int64(float32[:, :, :], uint8[:, :], boolean, uint8[:, :])
_NOISE_FLOOR = 32


@njit(_SIGNATURE, cache=True, nogil=True)
def mark_valid(data, flags, power, mask):
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
    """
    n_valid = 0
    valid = np.empty(mask.shape[1], np.uint8)
    for r in range(mask.shape[0]):
        for k in range(data.shape[0]):
            values = data[k, r]
            if k == 0:
                for c in range(valid.size):
                    valid[c] = values[c] == values[c]
            else:
                for c in range(valid.size):
                    valid[c] |= values[c] == values[c]
        row = mask[r]
        terrain = flags[r]
        n_row = 0
        for c in range(row.size):
            n_row += valid[c]
            row[c] = valid[c] * ((terrain[c] << 1) | 1)
        n_valid += n_row
        if power:
            for k in range(data.shape[0]):
                values = data[k, r]
                for c in range(row.size):
                    row[c] |= (values[c] <= 0) * _NOISE_FLOOR  # False for NaN
    return n_valid
