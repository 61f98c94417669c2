"""The picture of terrain flattening: what is drawn of given arrays."""

from __future__ import annotations

import numpy as np
import pytest
import rasterio

from localdev.picture import COLOURS, GAP_PX, LAYOVER, SHADOW, STRETCH_DB, VISIBLE, averaged, draw


def test_three_panels_in_one_stretch() -> None:
    low, high = (10 ** (db / 10) for db in STRETCH_DB)
    sigma0 = np.array([[low, high, np.nan], [0.0, 10 * high, np.sqrt(low * high)]])
    seen = np.array([[1, 3, 5], [0, 4, 7]], np.uint8)
    with rasterio.MemoryFile(draw(sigma0, sigma0[:, ::-1], seen)) as memory:
        with pytest.warns(rasterio.errors.NotGeoreferencedWarning):
            png = memory.open()
        with png:
            index, palette = png.read(1), png.colormap(1)
    assert index.shape == (2, 9 + 2 * GAP_PX)
    colours = np.array([[palette[value] for value in row] for row in index])
    grey, second, mask = colours[:, :3], colours[:, 3 + GAP_PX : 6 + GAP_PX], colours[:, 6 + 2 * GAP_PX :]
    np.testing.assert_array_equal(grey[..., 0], [[0, 255, 0], [0, 255, 127]])
    np.testing.assert_array_equal(grey[..., 3], [[255, 255, 0], [255, 255, 255]])
    np.testing.assert_array_equal(grey, second[:, ::-1])
    assert (colours[:, 3 : 3 + GAP_PX, 3] == 0).all()
    assert mask[1, 0, 3] == 0
    for (row, col), kind in {(0, 0): VISIBLE, (0, 1): SHADOW, (0, 2): LAYOVER, (1, 1): LAYOVER}.items():
        assert tuple(mask[row, col]) == (*COLOURS[kind], 255)
    assert len({tuple(pixel) for pixel in mask.reshape(-1, 4)}) == 5


def test_averages_of_linear_power_leave_out_what_is_missing() -> None:
    power = np.array([[1.0, 3.0, np.nan, np.nan], [5.0, np.nan, 7.0, np.nan]])
    np.testing.assert_array_equal(averaged(power, 2), [[3.0, np.nan]])
