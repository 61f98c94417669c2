"""Whether a TIFF is whole: cut anywhere, or damaged anywhere, it never passes for a smaller one."""

from __future__ import annotations

import warnings
from functools import cache

import numpy as np
import pytest
import rasterio
from hypothesis import given, settings
from hypothesis import strategies as st
from rasterio.errors import NotGeoreferencedWarning

from orthokernel.errors import ProductError, TruncatedRasterError
from orthokernel.tiffcheck import TiffImage, check_tiff

LAYOUTS: dict[str, dict[str, object]] = {
    "strips": {"blockysize": 1},
    "big": {"BIGTIFF": "YES", "blockysize": 3},
    "big-endian": {"ENDIANNESS": "BIG", "blockysize": 1},
    "tiles": {"tiled": True, "blockxsize": 16, "blockysize": 16, "compress": "deflate"},
    "big-tiles": {"BIGTIFF": "YES", "tiled": True, "blockxsize": 32, "blockysize": 16},
}


@cache
def tiff(layout: str) -> bytes:
    pixels = np.arange(1, 40 * 70 + 1, dtype=np.uint16).reshape(1, 40, 70)
    with warnings.catch_warnings(), rasterio.MemoryFile() as file:
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        with file.open(driver="GTiff", width=70, height=40, count=1, dtype="uint16", **LAYOUTS[layout]) as dataset:
            dataset.write(pixels)
        return bytes(file.read())


def check(content: bytes) -> TiffImage:
    return check_tiff(lambda offset, size: content[offset : offset + size], len(content), "made.tif")


@pytest.mark.parametrize("layout", LAYOUTS)
def test_whole_tiff_passes_and_plain_lines_are_found(layout: str) -> None:
    content = tiff(layout)
    image = check(content)
    assert (image.n_lines, image.n_samples) == (40, 70)
    assert (image.rows_offset is None) == ("tiles" in layout)
    if image.rows_offset is not None:
        pixels = np.frombuffer(content, image.byte_order + "u2", 40 * 70, image.rows_offset)
        assert np.array_equal(pixels, np.arange(1, 40 * 70 + 1))


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_cut_is_found(layout: str) -> None:
    content = tiff(layout)
    for size in [*range(0, 400, 7), *range(400, len(content), 61), len(content) - 1]:
        with pytest.raises(ProductError):
            check(content[:size])
    with pytest.raises(TruncatedRasterError, match=r"made\.tif"):
        check(content[:-1])


@settings(max_examples=200, deadline=None)
@given(layout=st.sampled_from(sorted(LAYOUTS)), damage=st.lists(st.tuples(st.integers(0, 500), st.integers(1, 255))))
def test_damage_is_an_error_of_ours_or_none(layout: str, damage: list[tuple[int, int]]) -> None:
    content = bytearray(tiff(layout))
    for at, change in damage:
        content[at] ^= change
    try:
        image = check(bytes(content))
    except ProductError:
        return
    if image.rows_offset is not None:
        assert 0 <= image.rows_offset <= len(content)


def test_sparse_blocks_are_allowed() -> None:
    with warnings.catch_warnings(), rasterio.MemoryFile() as file:
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        with file.open(
            driver="GTiff", width=70, height=40, count=1, dtype="uint16", SPARSE_OK="TRUE", blockysize=1
        ) as d:
            d.write(np.ones((1, 1, 70), np.uint16), window=rasterio.windows.Window(0, 7, 70, 1))
        image = check(bytes(file.read()))
    assert image.rows_offset is None, "lines that are not in the file cannot be read straight from it"
