"""Windows of JPEG 2000 images are what a whole read gives, on one thread and on several."""

from __future__ import annotations

from pathlib import Path

import numba
import numpy as np
import pytest
import rasterio
from hypothesis import given, settings
from hypothesis import strategies as st
from rasterio.transform import from_origin

from orthokernel import errors
from orthokernel.container import FileRange
from orthokernel.jp2 import Jp2Reader

SHAPE = (150, 210)
TILE_PX = 64


def write(path: Path, pixels: np.ndarray) -> FileRange:  # type: ignore[type-arg]
    with rasterio.open(
        path, "w", driver="JP2OpenJPEG", height=pixels.shape[1], width=pixels.shape[2], count=pixels.shape[0],
        dtype=pixels.dtype.name, crs=32633, transform=from_origin(0, 0, 10, 10), QUALITY=100, REVERSIBLE="YES",
        YCC="NO", BLOCKXSIZE=TILE_PX, BLOCKYSIZE=TILE_PX,
    ) as image:  # fmt: skip
        image.write(pixels)
    return FileRange(path, 0, path.stat().st_size)


@pytest.fixture(scope="module")
def numbers() -> np.ndarray:  # type: ignore[type-arg]
    return np.random.default_rng(1).integers(0, 4000, (1, *SHAPE)).astype(np.uint16)


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory, numbers: np.ndarray) -> FileRange:  # type: ignore[type-arg]
    return write(tmp_path_factory.mktemp("jp2") / "numbers.jp2", numbers)


@settings(max_examples=40, deadline=None)
@given(
    windows=st.lists(
        st.tuples(st.integers(-20, 170), st.integers(-20, 170), st.integers(-20, 230), st.integers(-20, 230)),
        min_size=1,
        max_size=6,
    ),
    threads=st.sampled_from([1, 2]),
)
def test_any_window_in_any_order(
    image: FileRange,
    numbers: np.ndarray,  # type: ignore[type-arg]
    windows: list[tuple[int, int, int, int]],
    threads: int,
) -> None:
    before = numba.get_num_threads()
    numba.set_num_threads(min(threads, numba.config.NUMBA_NUM_THREADS))  # type: ignore[attr-defined]
    try:
        with Jp2Reader(image, "image") as reader:
            for a, b, c, d in windows:
                l0, l1, s0, s1 = min(a, b), max(a, b), min(c, d), max(c, d)
                clipped = numbers[0, max(l0, 0) : max(l1, 0), max(s0, 0) : max(s1, 0)]
                np.testing.assert_array_equal(reader.read(l0, l1, s0, s1), clipped)
    finally:
        numba.set_num_threads(before)


def test_masks_become_bits(tmp_path: Path) -> None:
    masks = np.random.default_rng(2).integers(0, 2, (8, 40, 50)).astype(np.uint8)
    with Jp2Reader(write(tmp_path / "masks.jp2", masks), "masks", flags=(1, 5, 8)) as reader:
        found = reader.read(0, 40, 0, 50)
    np.testing.assert_array_equal(found, 1 + 2 * masks[0] + 4 * masks[4] + 8 * masks[7])
    with pytest.raises(errors.ProductError, match="8 components; expected 9 or more"):
        Jp2Reader(FileRange(tmp_path / "masks.jp2", 0, (tmp_path / "masks.jp2").stat().st_size), "masks", flags=(9,))


def test_in_the_middle_of_another_file(tmp_path: Path, image: FileRange, numbers: np.ndarray) -> None:  # type: ignore[type-arg]
    content = image.path.read_bytes()
    (tmp_path / "archive").write_bytes(b"before" + content + b"after")
    with Jp2Reader(FileRange(tmp_path / "archive", 6, len(content)), "member") as reader:
        np.testing.assert_array_equal(reader.read(60, 70, 0, 210), numbers[0, 60:70])


def test_every_length_short_of_the_whole_is_refused(tmp_path: Path, image: FileRange) -> None:
    content = image.path.read_bytes()
    for n in (0, 3, 11, 12, 50, 90, len(content) // 2, len(content) - 1):
        (tmp_path / "part.jp2").write_bytes(content[:n])
        with pytest.raises(errors.ProductError, match="expected"):
            Jp2Reader(FileRange(tmp_path / "part.jp2", 0, n), "part")


def test_a_tile_that_does_not_decode_is_an_error_on_every_thread(tmp_path: Path, image: FileRange) -> None:
    content = bytearray(image.path.read_bytes())
    tile = content.rindex(b"\xff\x90\x00\x0a")
    content[tile : tile + 12] = bytes(12)
    (tmp_path / "hole.jp2").write_bytes(content)
    where = FileRange(tmp_path / "hole.jp2", 0, len(content))
    with Jp2Reader(where, "hole") as reader, pytest.raises(errors.TruncatedRasterError, match="cannot be decoded"):
        reader.read(0, SHAPE[0], 0, SHAPE[1])
