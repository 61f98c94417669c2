"""A file written tile by tile holds what it was given, and is a COG such as GDAL makes."""

from __future__ import annotations

import resource
import struct
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from affine import Affine
from blake3 import blake3
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from rasterio.shutil import copy as copy_raster
from rio_cogeo.cogeo import cog_validate

from orthofunctions.domain.cog import HEADER_BYTES, cog_defect
from orthokernel.cogfile import CogFile, WrittenFile
from orthokernel.cogtiles import Overviews
from orthokernel.grid import Grid
from reference.cog import pyramid

UTM = Affine(10, 0, 300_000, 0, -10, 4_700_000)
LAEA = "+proj=laea +lat_0=45 +lon_0=5 +x_0=0 +y_0=0 +ellps=GRS80 +units=m"


@pytest.fixture(scope="module")
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(2) as made:
        yield made


def pixels(shape: tuple[int, int, int], dtype: str, no_data: float, seed: int = 0) -> NDArray[Any]:
    """Speckle with holes, and a corner of nothing."""
    rng = np.random.default_rng(seed)
    values = rng.standard_gamma(4.4, shape, np.float32) * np.float32(0.1 if dtype == "float32" else 20)
    image = values.astype(dtype)
    image[rng.random(shape) < 0.1] = no_data
    image[:, : shape[1] // 2, : shape[2] // 2] = no_data
    return image


def write(
    path: Path,
    image: NDArray[Any],
    no_data: float,
    pool: ThreadPoolExecutor,
    grid: Grid | None = None,
    overviews: Overviews = "average",
    block_rows: int = 512,
    block_cols: int = 2**20,
    **more: Any,
) -> WrittenFile:
    grid = grid or Grid(32633, UTM, *image.shape[1:])  # type: ignore[arg-type]
    names = [f"band {k}" for k in range(len(image))]
    with CogFile(path, grid, image.dtype.name, no_data, names, pool, overviews, **more) as file:
        for row in range(0, grid.n_rows, block_rows):
            for col in range(0, grid.n_cols, block_cols):
                block = image[:, row : row + block_rows, col : col + block_cols].copy()
                file.write(row, block, col)
                block[:] = 99  # it may be used anew at once
        return file.close()


@pytest.mark.parametrize("classic_bytes", [2**32 - 1, 0], ids=["classic", "big"])
@pytest.mark.parametrize(
    ("shape", "dtype", "no_data", "overviews", "block_rows"),
    [
        ((1, 1, 1), "float32", np.nan, "average", 512),
        ((2, 513, 700), "float32", np.nan, "average", 512),
        ((1, 513, 700), "float32", np.nan, "average_db", 16),
        ((3, 1000, 3), "uint16", 0, "average", 256),
        ((1, 1100, 1025), "uint8", 255, "average", 1024),
        ((1, 1537, 1031), "uint8", 0, "nearest", 512),
        ((2, 600, 2100), "uint16", 7, "average", 100),
    ],
)
def test_pixels_and_overviews_come_back(
    tmp_path: Path, pool: ThreadPoolExecutor, shape: Any, dtype: str, no_data: float, overviews: Overviews,
    block_rows: int, classic_bytes: int,
) -> None:  # fmt: skip
    image = pixels(shape, dtype, no_data)
    path = tmp_path / "image.tif"
    written = write(path, image, no_data, pool, None, overviews, block_rows, classic_bytes=classic_bytes)
    content = path.read_bytes()
    assert (len(content), blake3(content).hexdigest()) == (written.n_bytes, written.blake3)
    assert content[:4] == (b"II*\0" if classic_bytes else b"II+\0")
    assert cog_defect(content[:HEADER_BYTES]) is None
    assert cog_validate(path, strict=True) == (True, [], [])
    twins = [pyramid(band, no_data, overviews) for band in image]
    with rasterio.open(path) as cog:
        np.testing.assert_array_equal(cog.read(), image)
        assert cog.dtypes == (dtype,) * shape[0]
        assert len(cog.overviews(1)) == len(twins[0]) - 1
    for level in range(1, len(twins[0])):
        with rasterio.open(path, overview_level=level - 1) as overview:
            read = overview.read()
        error = 1e-6 if dtype == "float32" else 0
        np.testing.assert_allclose(read, np.stack([twin[level] for twin in twins]), rtol=error, atol=error)


@settings(deadline=None, max_examples=25)
@given(
    st.tuples(st.integers(1, 2), st.integers(1, 1100), st.integers(1, 1100)),
    st.integers(1, 1100),
    st.integers(1, 1100),
    st.sampled_from(["float32", "uint8"]),
)
def test_however_the_blocks_come_the_file_is_the_same(
    pool: ThreadPoolExecutor, tmp_path_factory: pytest.TempPathFactory, shape: Any, rows: int, cols: int, dtype: str
) -> None:
    rows, cols = max(rows, shape[1] // 40), max(cols, shape[2] // 10)
    folder = tmp_path_factory.mktemp("blocks")
    image = pixels(shape, dtype, 0 if dtype == "uint8" else np.nan)
    no_data = 0 if dtype == "uint8" else np.nan
    once = write(folder / "a.tif", image, no_data, pool)
    assert write(folder / "b.tif", image, no_data, pool, block_rows=rows, block_cols=cols) == once
    assert write(folder / "c.tif", image, no_data, pool, block_cols=512) == once


@pytest.mark.parametrize(
    ("crs", "transform"),
    [
        (32633, UTM),
        (4326, Affine(1e-4, 0, 12, 0, -1e-4, 45)),
        (LAEA, UTM),
        (3413, Affine(7, 7, 300_000, 7, -7, 4_700_000)),
    ],
    ids=["utm", "degrees", "no code", "turned"],
)
def test_what_gdal_reads_is_what_gdal_writes(
    tmp_path: Path, pool: ThreadPoolExecutor, crs: Any, transform: Affine
) -> None:
    image = pixels((2, 700, 600), "float32", np.nan)
    grid = Grid(crs, transform, 700, 600)
    write(tmp_path / "ours.tif", image, np.nan, pool, grid)
    profile = {"driver": "GTiff", "height": 700, "width": 600, "count": 2, "dtype": "float32", "nodata": np.nan}
    with rasterio.open(tmp_path / "in.tif", "w", crs=grid.crs.to_wkt(), transform=transform, **profile) as source:
        source.write(image)
        source.descriptions = ("band 0", "band 1")
    copy_raster(
        tmp_path / "in.tif", tmp_path / "gdal.tif",
        driver="COG", COMPRESS="ZSTD", LEVEL=1, PREDICTOR="YES", BLOCKSIZE=512, STATISTICS="NO",
    )  # fmt: skip
    with rasterio.open(tmp_path / "ours.tif") as ours, rasterio.open(tmp_path / "gdal.tif") as gdal:
        assert ours.crs == gdal.crs
        assert ours.crs.to_wkt() == gdal.crs.to_wkt()
        assert ours.transform == gdal.transform
        assert ours.descriptions == gdal.descriptions
        assert np.isnan(ours.nodatavals).all()
        assert ours.tags() == gdal.tags()
        assert ours.colorinterp == gdal.colorinterp
        assert {**ours.profile, "interleave": 0, "nodata": 0} == {**gdal.profile, "interleave": 0, "nodata": 0}
        told = ours.tags(ns="IMAGE_STRUCTURE")
        assert {**gdal.tags(ns="IMAGE_STRUCTURE"), "INTERLEAVE": "BAND"} == told


def test_overviews_and_size_are_gdals(tmp_path: Path, pool: ThreadPoolExecutor) -> None:
    image = np.random.default_rng(3).standard_gamma(4.4, (1, 2048, 1536), np.float32)
    ours_path, gdal_path = tmp_path / "ours.tif", tmp_path / "gdal.tif"
    written = write(ours_path, image, np.nan, pool)
    profile = {"driver": "GTiff", "height": 2048, "width": 1536, "count": 1, "dtype": "float32", "nodata": np.nan}
    with rasterio.open(tmp_path / "in.tif", "w", crs=32633, transform=UTM, **profile) as source:
        source.write(image)
    copy_raster(
        tmp_path / "in.tif", gdal_path, driver="COG", COMPRESS="ZSTD", LEVEL=1, PREDICTOR="YES", BLOCKSIZE=512,
        OVERVIEW_RESAMPLING="AVERAGE", STATISTICS="NO",
    )  # fmt: skip
    with rasterio.open(ours_path) as ours, rasterio.open(gdal_path) as gdal:
        assert ours.overviews(1) == gdal.overviews(1) == [2, 4]
    for level in range(2):
        with (
            rasterio.open(ours_path, overview_level=level) as ours,
            rasterio.open(gdal_path, overview_level=level) as gdal,
        ):
            np.testing.assert_allclose(ours.read(), gdal.read(), rtol=1e-6)
    assert written.n_bytes < 1.01 * gdal_path.stat().st_size


def test_tiles_lie_as_the_header_promises(tmp_path: Path, pool: ThreadPoolExecutor) -> None:
    path = tmp_path / "image.tif"
    image = pixels((2, 1100, 700), "float32", np.nan)
    written = write(path, image, np.nan, pool)
    content = path.read_bytes()
    places = []
    with rasterio.open(path) as cog:
        for overview, (rows, cols) in ((1, (1, 1)), (0, (2, 1)), (None, (3, 2))):
            for band in (1, 2):
                for row in range(rows):
                    for col in range(cols):
                        where = f"{col}_{row}"
                        at, size = (
                            int(cog.get_tag_item(f"BLOCK_{what}_{where}", "TIFF", bidx=band, ovr=overview))
                            for what in ("OFFSET", "SIZE")
                        )
                        places.append((at, size))
    end = places[0][0] - 4
    for at, size in places:
        assert at == end + 4
        assert struct.unpack_from("<I", content, at - 4) == (size,)
        assert content[at + size : at + size + 4] == content[at + size - 4 : at + size]
        end = at + size + 4
    assert end == written.n_bytes


def test_nothing_takes_next_to_nothing(tmp_path: Path, pool: ThreadPoolExecutor) -> None:
    image = np.full((1, 3000, 3000), np.nan, np.float32)
    assert write(tmp_path / "image.tif", image, np.nan, pool).n_bytes < 60 * 200
    with rasterio.open(tmp_path / "image.tif") as cog:
        assert np.isnan(cog.read()).all()


def test_the_preview_is_a_level_of_the_pyramid(tmp_path: Path, pool: ThreadPoolExecutor) -> None:
    for shape, level in (((1, 300, 1024), 0), ((2, 1100, 2049), 2)):
        image = pixels(shape, "uint16", 0)
        grid = Grid(32633, UTM, *shape[1:])  # type: ignore[arg-type]
        with CogFile(tmp_path / "image.tif", grid, "uint16", 0, ["a", "b"][: shape[0]], pool) as file:
            for row in range(0, shape[1], 100):
                file.write(row, image[:, row : row + 100])
            np.testing.assert_array_equal(file.preview[0], pyramid(image[0], 0, "average")[level])


def test_a_file_that_is_not_closed_leaves_nothing(tmp_path: Path, pool: ThreadPoolExecutor) -> None:
    grid = Grid(32633, UTM, 600, 600)  # type: ignore[arg-type]
    with CogFile(tmp_path / "image.tif", grid, "uint8", 0, [""], pool) as file:
        file.write(0, np.ones((1, 512, 600), np.uint8))
        assert list(tmp_path.iterdir()) == []
        with pytest.raises(ValueError, match="3 tiles were not written"):
            file.close()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("moment", ["writing", "closing"])
def test_a_full_disk_is_an_error_and_leaves_nothing(tmp_path: Path, pool: ThreadPoolExecutor, moment: str) -> None:
    image = pixels((1, 1024, 1024), "float32", np.nan)
    grid = Grid(32633, UTM, 1024, 1024)  # type: ignore[arg-type]
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    with CogFile(tmp_path / "image.tif", grid, "float32", np.nan, [""], pool) as file:
        try:
            if moment == "writing":
                resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, hard))
            with pytest.raises(OSError, match="File too large"):  # noqa: PT012 (either of the two)
                file.write(0, image)
                resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, hard))
                file.close()
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert list(tmp_path.iterdir()) == []
