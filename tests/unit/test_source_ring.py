"""The ring of source lines: narrow reading finds the same border as whole lines, and reads less."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from orthokernel.loop import SourceArrays
from orthokernel.source import NoiseRows, SampleValues, SourceRing
from reference.image import Image

N_SAMPLES = 4000


def values_for(image: Image, zero_border: bool = True) -> SampleValues:
    no_rows = np.empty((0, image.n_samples), np.float32)
    nothing = NoiseRows.none(image.n_lines, image.n_samples)
    return SampleValues(float("nan"), zero_border, np.empty(0), no_rows, nothing)


def valid_samples(source: SourceArrays, lines: range, samples: range) -> NDArray[np.bool_]:
    """Which samples the ring says have data."""
    out = np.zeros((len(lines), len(samples)), np.bool_)
    for k, line in enumerate(lines):
        at = line % source.pixels.shape[1]
        column = np.arange(samples.start, samples.stop) - source.sample0
        out[k] = (column >= source.first_valid[0, at]) & (column <= source.last_valid[0, at])
    return out


def inside_border(pixels: NDArray[Any]) -> NDArray[np.bool_]:
    """The definition, on whole lines: not connected by zeros to either end."""
    filled = pixels != 0
    after_first = np.logical_or.accumulate(filled, axis=1)
    before_last = np.logical_or.accumulate(filled[:, ::-1], axis=1)[:, ::-1]
    return np.asarray(after_first & before_last)


@st.composite
def zero_patterns(draw: st.DrawFn) -> NDArray[np.uint16]:
    """Lines with ragged borders of any width, dark stretches inside, some wholly zero, some zero but for one sample."""
    n_lines = draw(st.integers(1, 12))
    pixels = np.full((n_lines, N_SAMPLES), 5, np.uint16)
    place = st.integers(0, N_SAMPLES)
    for line in range(n_lines):
        kind = draw(st.sampled_from(["whole", "border", "dark", "both", "empty", "lone"]))
        if kind in {"border", "both"}:
            left, right = sorted((draw(place), draw(place)))
            pixels[line, :left] = pixels[line, right:] = 0
        if kind in {"dark", "both"}:
            first, last = sorted((draw(place), draw(place)))
            pixels[line, first:last] = 0
        if kind in {"empty", "lone"}:
            pixels[line] = 0
        if kind == "lone":
            pixels[line, draw(st.integers(0, N_SAMPLES - 1))] = 1
    return pixels


@given(pixels=zero_patterns(), first=st.integers(0, N_SAMPLES - 2), width=st.integers(1, 700))
@settings(deadline=None, max_examples=150)
def test_a_narrow_window_knows_the_border_as_whole_lines_do(pixels: NDArray[np.uint16], first: int, width: int) -> None:
    samples = (first, min(first + width, N_SAMPLES))
    lines = (0, len(pixels))
    source = SourceRing([Image(pixels)], [values_for(Image(pixels))]).prepare(lines, samples, (0, 0))
    assert source.pixels.shape[2] < N_SAMPLES
    found = valid_samples(source, range(*lines), range(*samples))
    np.testing.assert_array_equal(found, inside_border(pixels)[:, slice(*samples)])
    held = source.pixels[0][:, samples[0] - source.sample0 : samples[1] - source.sample0]
    np.testing.assert_array_equal(held[np.arange(*lines) % len(held)], pixels[:, slice(*samples)])


def test_the_two_readings_agree_while_the_demand_moves() -> None:
    rng = np.random.default_rng(3)
    pixels = rng.integers(0, 3, (900, N_SAMPLES)).astype(np.uint16)  # a third of all is dark
    edge = (200 * np.sin(np.arange(900) / 60) + 300).astype(int)
    for line, left in enumerate(edge):
        pixels[line, :left] = 0
        pixels[line, N_SAMPLES - 2 * left :] = 0
    pixels[:7] = pixels[-9:] = 0
    truth = inside_border(pixels)
    ring, keep = SourceRing([Image(pixels)], [values_for(Image(pixels))]), (0, 0)
    for step in range(12):
        lines, samples = (70 * step, min(70 * step + 160, 900)), (90 + 110 * step, 700 + 110 * step)
        source = ring.prepare(lines, samples, keep)
        keep = lines
        found = valid_samples(source, range(*lines), range(*samples))
        np.testing.assert_array_equal(found, truth[slice(*lines), slice(*samples)])


@pytest.mark.parametrize(("first", "most"), [(1000, 0.36), (0, 0.25), (3300, 0.25)])
def test_a_narrow_window_reads_little_more_than_it_is_asked_for(first: int, most: float) -> None:
    """Of a frame of 4000 samples with borders of 300, a window of 700: no more than it and its margins."""
    pixels = np.full((300, N_SAMPLES), 9, np.uint16)
    pixels[:, :300] = pixels[:, -300:] = 0
    image = Image(pixels)
    SourceRing([image], [values_for(image)]).prepare((0, 300), (first, first + 700), (0, 0))
    assert image.read_samples / pixels.size < most


def test_without_a_zero_border_zeros_are_data() -> None:
    pixels = np.zeros((5, N_SAMPLES), np.uint16)
    image = Image(pixels)
    source = SourceRing([image], [values_for(image, zero_border=False)]).prepare((0, 5), (10, 90), (0, 0))
    assert valid_samples(source, range(5), range(10, 90)).all()
