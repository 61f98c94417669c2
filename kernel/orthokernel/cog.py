"""Writes an orthoimage as a Cloud-Optimized GeoTIFF, with its mask, browse image and STAC Item beside it."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
import rasterio
from numpy.typing import NDArray
from rasterio.crs import CRS
from rasterio.errors import RasterioError
from rasterio.shutil import copy as copy_raster
from rasterio.windows import Window as RasterWindow

from orthokernel.blocks import Window
from orthokernel.browse import write_browse
from orthokernel.errors import OutputError
from orthokernel.grid import Grid
from orthokernel.ortho import Options
from orthokernel.product import Product
from orthokernel.progress import Progress
from orthokernel.result import OrthoResult
from orthokernel.stac import write_item

TILE_PX = 512
_CACHE_BYTES = 192 * 2**20


class CogSink:
    """Takes an orthoimage block by block; `finish` makes the files.

    Blocks go to an uncompressed tiled TIFF in a scratch folder beside the output (it never leaves the page cache of
    a machine with room), from which GDAL's COG driver makes the output. Files appear under their final names, one
    rename each, when they are complete, the Item last. A run that fails leaves nothing.

    Radar power is float32 with NaN for no data. Integer pixels that pass through keep their type; their no-data
    value is the product's, or 0, and a pixel with data that resampling brings to that value is moved off it by one.
    """

    def __init__(self, path: Path, grid: Grid, products: Sequence[Product], options: Options) -> None:
        self._path = path
        self._threads = options.threads
        self.dtype, self.no_data = _storage(products[0], options)
        self._stack = ExitStack()
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._scratch = Path(tempfile.mkdtemp(prefix=f".{path.stem}-", dir=path.parent))
            self._stack.callback(shutil.rmtree, self._scratch, ignore_errors=True)
            self._stack.enter_context(_gdal(self._threads))
            profile = {
                "driver": "GTiff",
                "height": grid.n_rows,
                "width": grid.n_cols,
                "crs": CRS.from_wkt(grid.crs.to_wkt()),
                "transform": grid.transform,
                "tiled": True,
                "blockxsize": TILE_PX,
                "blockysize": TILE_PX,
                "interleave": "band",
                "BIGTIFF": "IF_SAFER",
                "SPARSE_OK": True,
            }
            n_bands = len(options.bands)
            self._image = self._open(
                "image.tif", {**profile, "count": n_bands, "dtype": self.dtype, "nodata": self.no_data}
            )
            for k, band in enumerate(options.bands):
                self._image.set_band_description(k + 1, band)
            self._mask = self._open("mask.tif", {**profile, "count": 1, "dtype": "uint8", "nodata": 0})
        except OSError as error:
            self._stack.close()
            raise OutputError(path, error) from error

    def _open(self, name: str, profile: dict[str, Any]) -> Any:
        dataset = rasterio.open(self._scratch / name, "w", **profile)
        self._stack.callback(dataset.close)
        return dataset

    def write(self, window: Window, data: NDArray[np.float32], mask: NDArray[np.uint8]) -> None:
        """See `Sink.write`."""
        row0, row1, col0, col1 = window
        where = RasterWindow(col0, row0, col1 - col0, row1 - row0)
        try:
            self._image.write(as_stored(data, self.dtype, self.no_data), window=where)
            self._mask.write(mask, 1, window=where)
        except (OSError, RasterioError) as error:
            raise OutputError(self._path, error) from error

    def finish(self, result: OrthoResult, progress: Progress) -> None:
        """Make the COG, the mask, the browse image and the Item.

        Raises
        ------
        OutputError
            A file cannot be written.
        """
        names = output_names(self._path)
        made = {key: self._scratch / f"final-{path.name}" for key, path in names.items()}
        try:
            self._image.close()
            self._mask.close()
            progress(0.0, "writing")
            predictor = "FLOATING_POINT" if np.dtype(self.dtype).kind == "f" else "STANDARD"
            self._make_cog("image.tif", made["image"], predictor, "AVERAGE")
            progress(0.8, "writing")
            self._make_cog("mask.tif", made["mask"], "NO", "NEAREST")
            write_browse(made["image"], made["browse"], power=result.radiometry != "dn")
            write_item(result, made, names, made["item"])
            for key in ("image", "mask", "browse", "item"):
                os.replace(made[key], names[key])  # noqa: PTH105 (Path.replace is the same call)
        except (OSError, RasterioError) as error:
            raise OutputError(self._path, error) from error
        progress(1.0, "done")

    def _make_cog(self, scratch_name: str, target: Path, predictor: str, overviews: str) -> None:
        copy_raster(
            self._scratch / scratch_name,
            target,
            driver="COG",
            COMPRESS="ZSTD",
            LEVEL=1,
            PREDICTOR=predictor,
            BLOCKSIZE=TILE_PX,
            OVERVIEW_RESAMPLING=overviews,
            NUM_THREADS=self._threads,
            BIGTIFF="IF_SAFER",
            STATISTICS="NO",
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()


def output_names(path: Path) -> dict[str, Path]:
    """The files beside an output: ``image``, ``mask``, ``browse``, ``item``."""
    return {
        "image": path,
        "mask": path.with_name(f"{path.stem}_mask.tif"),
        "browse": path.with_suffix(".png"),
        "item": path.with_suffix(".json"),
    }


def as_stored(data: NDArray[np.float32], dtype: str, no_data: float) -> NDArray[Any]:
    """Values as the file has them: ``data`` (..., rows, cols), NaN where there is none."""
    kind = np.dtype(dtype)
    if kind.kind == "f":
        return data.astype(kind, copy=False)
    limits = np.iinfo(kind)
    missing = np.isnan(data)
    stored = np.clip(np.rint(np.where(missing, 0, data)), limits.min, limits.max).astype(kind)
    off = no_data + 1 if no_data < limits.max else no_data - 1
    stored[~missing & (stored == no_data)] = off
    stored[missing] = no_data
    return stored


def _storage(product: Product, options: Options) -> tuple[str, float]:
    """Type and no-data value of the output."""
    if options.radiometry != "dn":
        return "float32", float("nan")
    with product.open_band(options.bands[0]) as reader:
        if reader.dtype.kind not in "ui" or reader.dtype.itemsize > 2:
            return "float32", float("nan")
        return reader.dtype.name, 0.0 if reader.nodata is None else float(reader.nodata)


def _gdal(threads: int) -> rasterio.Env:
    """GDAL with a bounded cache, and no side-car files of its own."""
    return rasterio.Env(GDAL_CACHEMAX=_CACHE_BYTES, GDAL_NUM_THREADS=threads, GDAL_PAM_ENABLED=False)
