"""The compiled mask equals its NumPy twin."""

from __future__ import annotations

import numpy as np
import pytest

from orthokernel.marks import mark_valid
from orthokernel.result import MaskBit


@pytest.mark.parametrize("n_bands", [1, 2, 3])
@pytest.mark.parametrize("power", [False, True])
def test_a_pixel_is_valid_where_any_band_is_and_keeps_its_terrain(n_bands: int, power: bool) -> None:
    rng = np.random.default_rng(n_bands)
    data = rng.random((n_bands, 37, 53)).astype(np.float32)
    data[rng.random(data.shape) < 0.5] = np.nan
    flags = rng.choice(np.array([0, 1, 2, 4], np.uint8), (60, 80))[5:42, 9:62]
    mask = np.full((40, 60), 99, np.uint8)
    data[0, 5:9, 5:9] = 0.0
    count = mark_valid(data, flags, power, mask[2:39, 3:56])
    valid = ~np.isnan(data).all(axis=0)
    floor = (data == 0).any(axis=0) & power
    expected = np.where(valid, 2 * flags + 1, 0) + np.where(floor, MaskBit.NOISE_FLOOR, 0)
    assert count == valid.sum()
    np.testing.assert_array_equal(mask[2:39, 3:56], expected)
    assert (mask[0] == 99).all()
    assert (mask[:, 56:] == 99).all()
