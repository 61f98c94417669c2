"""GDAL's side: only copying, at its best. Reads a window of the measurement, makes a COG of pixels that it is given."""

from __future__ import annotations

import time
import warnings
from pathlib import Path
from typing import Any

import rasterio
from rasterio.enums import Resampling
from rasterio.errors import NotGeoreferencedWarning
from rasterio.io import MemoryFile
from rasterio.shutil import copy as copy_raster
from rasterio.windows import Window

from localdev.bench._serve import serve
from localdev.bench._sides import remove

READS: tuple[dict[str, str], ...] = ({}, {"GTIFF_DIRECT_IO": "YES"}, {"GTIFF_VIRTUAL_MEM_IO": "YES"})
"""GDAL's ways to read uncompressed strips; the fastest one counts."""
_CACHE_BYTES = 2 * 2**30


class _Copying:
    """The pixels in a tiled in-memory file, filled before the clock starts."""

    def __init__(self) -> None:
        self._pixels: Any = None
        self._memory: MemoryFile | None = None
        self._best: dict[str, str] | None = None
        self._fill_s = 0.0

    def prepare(self, asked: dict[str, Any]) -> dict[str, Any]:
        remove([Path(asked["out"])])
        with rasterio.open(asked["image"]) as image:
            if self._pixels is None:
                self._pixels = image.read()
                self._profile = {
                    key: image.profile[key] for key in ("height", "width", "count", "dtype", "crs", "transform")
                }
        if self._best is None:
            self._best = min(READS, key=lambda way: _read_s(asked, way))
        if self._memory is not None:
            self._memory.close()
        self._memory = MemoryFile()
        start = time.perf_counter()
        with (
            rasterio.Env(GDAL_CACHEMAX=_CACHE_BYTES, GDAL_NUM_THREADS="ALL_CPUS"),
            self._memory.open(
                driver="GTiff",
                tiled=True,
                blockxsize=asked["block_px"],
                blockysize=asked["block_px"],
                nodata=float("nan"),
                **self._profile,
            ) as target,
        ):
            target.write(self._pixels)
        self._fill_s = time.perf_counter() - start
        return {}

    def work(self, asked: dict[str, Any]) -> dict[str, Any]:
        assert self._memory is not None
        start = time.perf_counter()
        _read_s(asked, self._best or {})
        read = time.perf_counter()
        options = {"GDAL_CACHEMAX": _CACHE_BYTES, "GDAL_NUM_THREADS": "ALL_CPUS", "GDAL_PAM_ENABLED": False}
        with rasterio.Env(**options):
            with rasterio.open(self._memory.name, "r+") as dataset:
                dataset.build_overviews(asked["overviews"], Resampling.average)
            built = time.perf_counter()
            copy_raster(
                self._memory.name,
                asked["out"],
                driver="COG",
                COMPRESS=asked["compress"],
                LEVEL=asked["level"],
                PREDICTOR=asked["predictor"],
                BLOCKSIZE=asked["block_px"],
                OVERVIEWS="FORCE_USE_EXISTING",
                NUM_THREADS="ALL_CPUS",
                BIGTIFF="IF_SAFER",
                STATISTICS="NO",
            )
        return {
            "fill_s": self._fill_s,
            "read_s": read - start,
            "overviews_s": built - read,
            "cog_s": time.perf_counter() - built,
            "how_read": next(iter(self._best or {}), "GDAL's defaults"),
            "bytes": Path(asked["out"]).stat().st_size,
        }


def _read_s(asked: dict[str, Any], way: dict[str, str]) -> float:
    line_start, line_stop, sample_start, sample_stop = asked["source_window"]
    start = time.perf_counter()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        with rasterio.Env(**way), rasterio.open(asked["measurement"]) as source:
            window = Window(sample_start, line_start, sample_stop - sample_start, line_stop - line_start)  # type: ignore[no-untyped-call, unused-ignore]
            source.read(1, window=window)
    return time.perf_counter() - start


if __name__ == "__main__":
    copying = _Copying()
    serve(copying.prepare, copying.work)
