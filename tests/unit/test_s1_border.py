"""The border of old products: found from the edges inwards, and nothing else."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from orthokernel.sentinel1.border import NOISE_SHARE, REACH, BorderLevel, BorderMask, find_ends, walk_down
from reference.image import Image
from reference.noise import border_at_start, border_down

NOISE = 1500.0
LOOKS = 4.4


def speckle(rng: np.random.Generator, shape: tuple[int, int], power: float) -> NDArray[np.uint16]:
    """Digital numbers of a given mean power."""
    return np.maximum(np.rint(np.sqrt(power * rng.standard_gamma(LOOKS, shape) / LOOKS)), 1).astype(np.uint16)


def level_for(n_samples: int) -> BorderLevel:
    return BorderLevel.of(np.zeros(1), np.full((1, n_samples), NOISE, np.float32))


def masked(pixels: NDArray[np.uint16]) -> NDArray[np.bool_]:
    """What the mask takes for border, in bands of lines as the ring reads them."""
    mask = BorderMask(Image(pixels), level_for(pixels.shape[1]))
    out = np.ones(pixels.shape, np.bool_)
    for start in range(0, len(pixels), 50):
        band = pixels[start : start + 50].copy()
        first, last = np.empty(len(band), np.int32), np.empty(len(band), np.int32)
        mask.mark(band, start, first, last)
        for k in range(len(band)):
            out[start + k, first[k] : last[k] + 1] = band[k, first[k] : last[k] + 1] == 0
    return out


def test_a_ragged_border_on_all_sides_is_found_to_the_pixel() -> None:
    rng = np.random.default_rng(0)
    pixels = speckle(rng, (500, 700), 40 * NOISE)
    line, sample = np.ogrid[:500, :700]
    width = 40 + np.round(8 * np.sin(line / 20)) + 0 * sample
    height = 25 + np.round(4 * np.cos(sample / 30)) + 0 * line
    border = (sample < width) | (sample > 699 - width) | (line < height) | (line > 499 - height)
    pixels[border] = rng.integers(0, 14, border.sum())
    found = masked(pixels)
    assert not (border & ~found).any()
    assert (found & ~border).sum() < 10, "slivers of under six lines between two borders, and nothing else"


def test_subswaths_that_begin_one_after_the_other() -> None:
    """Steps wider than the reach along the line: the columns' own border, from the first line on, tells."""
    rng = np.random.default_rng(1)
    n = 3 * REACH
    pixels = speckle(rng, (160, n), 10 * NOISE)
    border = np.zeros(pixels.shape, np.bool_)
    border[:60, REACH:] = True
    border[:120, 2 * REACH :] = True
    border[-40:, : 2 * REACH + 500] = True
    pixels[border] = rng.integers(0, 14, border.sum())
    found = masked(pixels)
    assert not (found & ~border).any()
    assert not (border & ~found).any()


@pytest.mark.parametrize("seed", range(3))
def test_water_at_the_noise_floor_stays(seed: int) -> None:
    """Nothing but noise, to the very edge and on all sides: half of it is below the noise, none of it is border."""
    rng = np.random.default_rng(seed)
    pixels = speckle(rng, (400, 1500), NOISE)
    assert (pixels.astype(float) ** 2 < NOISE).mean() > 0.5
    assert masked(pixels).mean() < 1e-3


def test_what_is_dark_inside_stays_and_so_does_what_lies_beyond_the_reach() -> None:
    rng = np.random.default_rng(4)
    pixels = speckle(rng, (300, 3 * REACH), 10 * NOISE)
    pixels[100:200, 300:900] = rng.integers(0, 14, (100, 600))  # low as border noise, but not connected to an edge
    pixels[220:230, :] = rng.integers(0, 14, (10, 3 * REACH))  # whole lines of it
    found = masked(pixels)
    assert not found[100:200].any()
    assert found[220:230, : REACH - 20].all()
    assert found[220:230, -REACH + 20 :].all()
    assert not found[220:230, REACH + 20 : 2 * REACH - 20].any()
    assert not found[:100].any()
    assert not found[200:220].any()
    assert not found[230:].any()


def test_a_dark_sample_inside_is_not_no_data() -> None:
    pixels = np.full((90, 400), 200, np.uint16)
    pixels[40, 200] = 0
    assert not masked(pixels).any()


def test_zeros_are_border_whatever_their_width() -> None:
    rng = np.random.default_rng(5)
    pixels = speckle(rng, (60, 2 * REACH + 900), 10 * NOISE)
    pixels[:, : REACH + 300] = 0
    pixels[30] = 0
    found = masked(pixels)
    border = np.zeros(pixels.shape, np.bool_)
    border[:, : REACH + 300] = True
    border[30] = True
    np.testing.assert_array_equal(found, border)


def test_the_level_follows_the_noise_but_not_to_zero() -> None:
    noise = np.full((2, 50), 1000.0, np.float32)
    noise[0, 40:] = 0.0
    noise[1] = 0.0
    level = BorderLevel.of(np.array([0.0, 9.0]), noise).power
    assert level[0, :40] == pytest.approx(NOISE_SHARE * 1000.0)
    assert level[0, 40:] == pytest.approx(NOISE_SHARE * 500.0)
    assert level[1] == pytest.approx(900.0)


@given(seed=st.integers(0, 2**32 - 1), zeros=st.integers(0, 12), low=st.integers(0, 90), contrast=st.floats(0.5, 30))
@settings(deadline=None, max_examples=100)
def test_one_end_equals_its_twin(seed: int, zeros: int, low: int, contrast: float) -> None:
    rng = np.random.default_rng(seed)
    row = speckle(rng, (1, 300), contrast * NOISE)
    row[0, zeros : zeros + low] = speckle(rng, (1, low), rng.uniform(0.05, 0.9) * NOISE)
    row[0, :zeros] = 0
    level = rng.uniform(500, 1500, (2, 300)).astype(np.float32)
    lines = np.array([0.0, 10.0])
    ends = np.empty(2, np.int64)
    find_ends(row[0], 4, lines, level, ends)
    between = 0.6 * level[0].astype(float) + 0.4 * level[1]
    expected = border_at_start(row[0].astype(float), between, REACH)
    assert ends[0] == expected
    if expected < 300:
        assert ends[1] == 299 - border_at_start(row[0, ::-1].astype(float), between[::-1], REACH)


@given(seed=st.integers(0, 2**32 - 1), step=st.sampled_from([1, -1]))
@settings(deadline=None, max_examples=40)
def test_columns_equal_their_twin_whatever_the_bands(seed: int, step: int) -> None:
    rng = np.random.default_rng(seed)
    pixels = speckle(rng, (90, 25), rng.uniform(0.5, 20) * NOISE)
    for column, low in enumerate(rng.integers(0, 60, 25)):
        pixels[:low, column] = rng.integers(0, 20, low)
    image = pixels[::step]  # border at its start in the order in which lines are taken
    lines, level = np.array([0.0, 89.0]), rng.uniform(500, 1500, (2, 25)).astype(np.float32)
    total, least = np.zeros(25, np.float32), np.zeros(25, np.float32)
    border, running = np.zeros(25, np.int32), np.ones(25, np.bool_)
    for done in range(0, 90, 30):
        start = done if step == 1 else 89 - done
        low = start if step == 1 else start - 29
        band = np.ascontiguousarray(image[low : low + 30])
        walk_down(band, low, start, step, done, lines, level, total, least, border, running)
    part = np.arange(90.0)[::step] / 89.0
    for column in range(25):
        between = level[0, column] + part * (level[1, column] - float(level[0, column]))
        assert border[column] == border_down(pixels[:, column].astype(float), between)
