"""NetCDF-4 read by pieces: what the HDF5 library reads, window by window, through every filter and container."""

from __future__ import annotations

import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from orthokernel import errors
from orthokernel.container import FileRange, open_container
from orthokernel.netcdf import NetcdfFile

LAYOUTS: dict[str, dict[str, Any]] = {
    "contiguous": {},
    "chunked": {"chunks": (30, 50)},
    "deflated": {"chunks": (30, 50), "compression": "gzip"},
    "shuffled": {"chunks": (64, 64), "compression": "gzip", "shuffle": True},
    "summed": {"chunks": (7, 200), "compression": "gzip", "shuffle": True, "fletcher32": True},
    "another filter": {"chunks": (30, 50), "compression": "lzf"},
}


def whole(path: Path) -> FileRange:
    return FileRange(path, 0, path.stat().st_size)


@pytest.fixture(scope="module")
def pixels() -> np.ndarray[Any, Any]:
    return np.random.default_rng(0).integers(0, 4000, (101, 203))


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dtype", ["<u2", "<i4", ">i2", "<f8", "u1"])
def test_windows(tmp_path: Path, pixels: np.ndarray[Any, Any], layout: str, dtype: str) -> None:
    """Any window is that of the array, clipped, in the machine's own byte order."""
    with h5py.File(tmp_path / "a.nc", "w") as file:
        file.create_dataset("v", data=(pixels % 251).astype(dtype), **LAYOUTS[layout])
    expected = (pixels % 251).astype(np.dtype(dtype).newbyteorder("="))
    file_here = NetcdfFile(whole(tmp_path / "a.nc"), "a.nc")
    windows = (
        (0, 101, 0, 203),
        (29, 31, 49, 51),
        (-5, 10, 190, 300),
        (100, 101, 0, 1),
        (50, 50, 0, 10),
        (200, 210, 0, 9),
    )
    with file_here.open("v", threads=2) as reader:
        assert reader.dtype == expected.dtype
        for l0, l1, s0, s1 in windows:
            clipped = expected[max(l0, 0) : max(l1, 0), max(s0, 0) : max(s1, 0)]
            np.testing.assert_array_equal(reader.read(l0, l1, s0, s1), clipped)
    np.testing.assert_array_equal(file_here.read("v"), expected)


def test_several_threads(tmp_path: Path, pixels: np.ndarray[Any, Any]) -> None:
    with h5py.File(tmp_path / "a.nc", "w") as file:
        file.create_dataset("v", data=pixels.astype(np.uint16), **LAYOUTS["shuffled"])
    with NetcdfFile(whole(tmp_path / "a.nc"), "a.nc").open("v") as reader, ThreadPoolExecutor(8) as pool:
        for start, part in zip(
            range(0, 100, 3), pool.map(lambda a: reader.read(a, a + 3, 5, 180), range(0, 100, 3)), strict=True
        ):
            np.testing.assert_array_equal(part, pixels[start : start + 3, 5:180])


@pytest.mark.parametrize("kind", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_in_a_zip(tmp_path: Path, pixels: np.ndarray[Any, Any], kind: int) -> None:
    """Stored members are read where they lie."""
    with h5py.File(tmp_path / "a.nc", "w") as file:
        file.create_dataset("v", data=pixels, **LAYOUTS["another filter"])
        file.create_dataset("w", data=pixels, **LAYOUTS["shuffled"])
    with zipfile.ZipFile(tmp_path / "p.zip", "w", kind) as archive:
        archive.writestr("p.SEN3/xfdumanifest.xml", "<a/>")
        archive.write(tmp_path / "a.nc", "p.SEN3/a.nc")
    container = open_container(tmp_path / "p.zip")
    found = NetcdfFile(container.locate("a.nc"), "p.zip:a.nc")
    for name in ("v", "w"):
        np.testing.assert_array_equal(found.read(name), pixels)
    container.close()


def test_attributes_and_flags(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.nc", "w") as file:
        made = file.create_dataset("v", data=np.zeros((4, 4), np.uint32))
        made.attrs.update(
            {"_FillValue": np.uint32(7), "scale_factor": np.array([0.5]), "flag_meanings": "one two three"}
        )
        made.attrs["flag_masks"] = np.array([1, 2, 1 << 31], np.uint32)
        file.create_dataset("never", shape=(40, 40), dtype="i2", chunks=(8, 8), fillvalue=-3)
    file_here = NetcdfFile(whole(tmp_path / "a.nc"), "a.nc")
    variable = file_here.variable("v")
    assert (variable.fill, variable.scale, variable.shift) == (7.0, 0.5, 0.0)
    assert [variable.flag(name, 99) for name in ("one", "three", "four")] == [1, 1 << 31, 0]
    assert (file_here.read("never") == -3).all()
    with pytest.raises(errors.MissingAnnotationError, match=r"a\.nc: no variable w; expected it among never, v"):
        file_here.variable("w")


@pytest.mark.parametrize("size", [0, 100, 3000])
def test_cut_off(tmp_path: Path, pixels: np.ndarray[Any, Any], size: int) -> None:
    path = tmp_path / "a.nc"
    with h5py.File(path, "w") as file:
        file.create_dataset("v", data=pixels, **LAYOUTS["shuffled"])
    path.write_bytes(path.read_bytes()[:size])
    with pytest.raises(errors.TruncatedRasterError, match=r"a\.nc: a file that HDF5 cannot read"):
        NetcdfFile(whole(path), "a.nc")
