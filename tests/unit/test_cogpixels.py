"""The writer's compiled functions equal their NumPy twins."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from orthokernel.cog import as_stored
from orthokernel.cogpixels import (
    float_predictor,
    halve_decibels,
    halve_floats,
    halve_integers,
    integer_predictor,
    is_empty,
)
from orthokernel.cogtiles import beside
from reference.cog import as_integers, float_predicted, float_restored, halved

SIDE = 24

windows = st.tuples(
    st.integers(1, SIDE), st.integers(0, 7).map(lambda k: 2 * k), st.integers(1, SIDE), st.integers(0, 2**32 - 1)
)
"""Rows, first column, columns, seed."""


def floats(rng: np.random.Generator, shape: tuple[int, int]) -> NDArray[np.float32]:
    """Of any bits at all in one part, of power with holes in the other."""
    values = rng.gamma(4.4, 0.1, shape).astype(np.float32)
    values[rng.random(shape) < 0.3] = np.nan
    return values


@settings(deadline=None, max_examples=150)
@given(windows)
def test_bytes_of_floats_come_back_as_they_were(window: tuple[int, int, int, int]) -> None:
    n_rows, col0, n_cols, seed = window
    rng = np.random.default_rng(seed)
    words = rng.integers(0, 2**32, (n_rows, col0 + n_cols + 3), np.uint32)
    out = np.full((SIDE, 4 * SIDE), 99, np.uint8)
    fill = np.float32(np.nan).view(np.uint32)
    float_predictor(words, n_rows, col0, col0 + n_cols, fill, out)
    tile = np.full((SIDE, SIDE), fill, np.uint32)
    tile[:n_rows, :n_cols] = words[:, col0 : col0 + n_cols]
    with np.errstate(invalid="ignore"):  # signalling NaN among any bits
        np.testing.assert_array_equal(out, float_predicted(tile.view(np.float32)))
        restored = float_restored(out).view(np.uint32)
    quiet = np.isnan(tile.view(np.float32))  # whose last bit the processor may set
    np.testing.assert_array_equal(restored[~quiet], tile[~quiet])


@settings(deadline=None, max_examples=150)
@given(windows, st.sampled_from(["uint8", "uint16"]))
def test_differences_of_integers_add_up_again(window: tuple[int, int, int, int], dtype: str) -> None:
    n_rows, col0, n_cols, seed = window
    kind = np.dtype(dtype)
    plane = np.random.default_rng(seed).integers(0, np.iinfo(kind).max, (n_rows, col0 + n_cols + 3), kind, True)
    out = np.full((SIDE, SIDE), 99, kind)
    integer_predictor(plane, n_rows, col0, col0 + n_cols, kind.type(7), out)
    tile = np.full((SIDE, SIDE), 7, kind)
    tile[:n_rows, :n_cols] = plane[:, col0 : col0 + n_cols]
    np.testing.assert_array_equal(np.cumsum(out, axis=1, dtype=kind), tile)


@settings(deadline=None, max_examples=150)
@given(windows, st.sampled_from(["average", "average_db"]))
def test_floats_are_halved_as_by_the_twin(window: tuple[int, int, int, int], overviews: str) -> None:
    n_rows, col0, n_cols, seed = window
    plane = floats(np.random.default_rng(seed), (n_rows, col0 + n_cols + 3))
    if overviews == "average_db":
        plane = 10 * np.log10(plane)
    out = np.full((SIDE, 40), 99, np.float32)
    function = halve_decibels if overviews == "average_db" else halve_floats
    function(plane, n_rows, col0, col0 + n_cols, out, 3, 5)
    expected = np.full_like(out, 99)
    part = halved(plane[:, col0 : col0 + n_cols], np.nan, overviews)
    expected[3 : 3 + part.shape[0], 5 : 5 + part.shape[1]] = part
    np.testing.assert_allclose(out, expected, rtol=1e-6, atol=1e-6)


@settings(deadline=None, max_examples=150)
@given(windows, st.sampled_from([("uint8", 0), ("uint8", 255), ("uint8", 100), ("uint16", 0), ("uint16", 65535)]))
def test_integers_are_halved_as_by_the_twin(window: tuple[int, int, int, int], stored: tuple[str, int]) -> None:
    n_rows, col0, n_cols, seed = window
    kind, no_data = np.dtype(stored[0]), stored[1]
    rng = np.random.default_rng(seed)
    near = np.clip(no_data + rng.integers(-3, 4, (n_rows, col0 + n_cols + 3)), 0, np.iinfo(kind).max)
    plane = np.where(rng.random(near.shape) < 0.4, no_data, near).astype(kind)
    out = np.full((SIDE, 40), 99, kind)
    none, off = kind.type(no_data), kind.type(beside(kind, no_data))
    halve_integers(plane, n_rows, col0, col0 + n_cols, none, off, out, 3, 5)
    expected = np.full_like(out, 99)
    part = halved(plane[:, col0 : col0 + n_cols], no_data, "average")
    expected[3 : 3 + part.shape[0], 5 : 5 + part.shape[1]] = part
    np.testing.assert_array_equal(out, expected)


@pytest.mark.parametrize(("dtype", "no_data"), [("float32", np.nan), ("uint8", 255), ("uint16", 0)])
def test_a_window_is_empty_where_all_of_it_is(dtype: str, no_data: float) -> None:
    kind = np.dtype(dtype).type
    plane = np.full((9, 11), no_data, dtype)
    plane[8, :], plane[:, :2], plane[:, 10] = 3, 3, 3
    assert is_empty(plane, 8, 2, 10, kind(no_data))
    assert not is_empty(plane, 9, 2, 10, kind(no_data))
    assert not is_empty(plane, 8, 1, 10, kind(no_data))
    assert not is_empty(plane, 8, 2, 11, kind(no_data))


@pytest.mark.parametrize(("dtype", "no_data"), [("uint8", 0.0), ("uint8", 255.0), ("uint16", 0.0), ("uint16", 77.0)])
def test_floats_are_stored_as_by_the_twin(dtype: str, no_data: float) -> None:
    rng = np.random.default_rng(1)
    data: NDArray[Any] = rng.uniform(-20, 1.05 * np.iinfo(dtype).max, (2, 60, 70)).astype(np.float32)
    data[0, :30] = rng.integers(0, 2 * int(no_data) + 9, (30, 70)) + np.float32(0.5)
    data[rng.random(data.shape) < 0.2] = np.nan
    data[1, 0, :2] = np.inf, -np.inf
    np.testing.assert_array_equal(as_stored(data, dtype, no_data), as_integers(data, dtype, no_data))
    np.testing.assert_array_equal(
        as_stored(data[:, ::2, 3:], dtype, no_data), as_integers(data, dtype, no_data)[:, ::2, 3:]
    )
