"""Writes an orthoimage as a Cloud-Optimized GeoTIFF, with mask, extras, browse image and STAC Item beside it."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Self

from rasterio.errors import RasterioError

from orthokernel.blocks import Window
from orthokernel.browse import shown_bands, write_browse
from orthokernel.cogfile import CogFile
from orthokernel.cogtiles import Overviews
from orthokernel.errors import OutputError
from orthokernel.extras import EXTRAS, Block
from orthokernel.grid import Grid
from orthokernel.options import Options
from orthokernel.product import Product
from orthokernel.progress import Progress
from orthokernel.result import OrthoResult
from orthokernel.scale import to_decibels
from orthokernel.stac import write_item
from orthokernel.storage import as_stored, storage_of


class CogSink:
    """Takes an orthoimage block by block; `finish` makes the files.

    Everything is written in a scratch folder beside the output. Files appear under their final names, one rename each,
    when they are complete, the Item last. A run that fails leaves nothing.

    Radar power, linear or in decibels, is float32 with NaN for no data. Integer pixels that pass through keep their
    type; their no-data value is the product's, or 0, and a pixel with data that resampling brings to that value is
    moved off it by one. Blocks come as the numbers that the file has (`Options.numbers`).
    """

    def __init__(self, path: Path, grid: Grid, products: Sequence[Product], options: Options) -> None:
        self._path, self._names = path, output_names(path, options.extras)
        self._scale = options.scale
        storage = storage_of(products[0], options.bands, options.radiometry)
        self.dtype, self.no_data = storage.dtype, storage.no_data
        self._stack = ExitStack()
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._scratch = Path(tempfile.mkdtemp(prefix=f".{path.stem}-", dir=path.parent))
            self._stack.callback(shutil.rmtree, self._scratch, ignore_errors=True)
            pool = self._stack.enter_context(ThreadPoolExecutor(options.threads, "orthokernel-compress"))
            self._made = {key: self._scratch / final.name for key, final in self._names.items()}
            means: Overviews = "average_db" if options.scale == "db" else "average"
            self._image = self._stack.enter_context(
                CogFile(
                    self._made["image"],
                    grid,
                    self.dtype,
                    self.no_data,
                    options.bands,
                    pool,
                    overviews=means,
                    scaling=(storage.scales, storage.shifts),
                    preview_bands=shown_bands(products[0], options.bands),
                )
            )
            self._mask = self._stack.enter_context(
                CogFile(self._made["mask"], grid, "uint8", 0, [""], pool, overviews="nearest")
            )
            self._extras = {
                name: self._stack.enter_context(_extra_file(self._made[name], grid, name, pool))
                for name in options.extras
            }
        except (OSError, RasterioError) as error:
            self._stack.close()
            raise OutputError(path, error) from error

    def write(self, window: Window, block: Block) -> None:
        """See `Sink.write`."""
        row0, _, col0, _ = window
        if self._scale == "db":
            to_decibels(block.data)
        try:
            self._image.write(row0, as_stored(block.data, self.dtype, self.no_data), col0)
            self._mask.write(row0, block.mask[None], col0)
            for name, file in self._extras.items():
                file.write(row0, block.extras[name][None], col0)
        except OSError as error:
            raise OutputError(self._path, error) from error

    def finish(self, result: OrthoResult, progress: Progress) -> None:
        """Make the COG, the mask, the extras, the browse image and the Item.

        Raises
        ------
        OutputError
            A file cannot be written.
        """
        made, names = self._made, self._names
        try:
            progress(0.0, "writing")
            files = {"image": self._image, "mask": self._mask, **self._extras}
            with ThreadPoolExecutor(2, "orthokernel-close") as closing:
                # The image's checksum takes as long as all the rest: it begins first.
                jobs = {name: closing.submit(file.close) for name, file in files.items()}
                browse, is_power = self._image.preview, _is_power(result)
                closing.submit(write_browse, browse, self.no_data, made["browse"], power=is_power).result()
            blake3 = {name: job.result().blake3 for name, job in jobs.items()}
            progress(0.8, "writing")
            write_item(result, made, names, made["item"], blake3)
            for key in (*files, "browse", "item"):
                os.replace(made[key], names[key])  # noqa: PTH105 (Path.replace is the same call)
        except (OSError, RasterioError) as error:
            raise OutputError(self._path, error) from error
        progress(1.0, "done")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()


def output_names(path: Path, extras: Sequence[str] = ()) -> dict[str, Path]:
    """The files of an output: ``image``, ``mask``, ``browse``, ``item``, and extras by their names."""
    return {
        "image": path,
        **{name: path.with_name(f"{path.stem}_{name}.tif") for name in ("mask", *extras)},
        "browse": path.with_suffix(".png"),
        "item": path.with_suffix(".json"),
    }


def _is_power(result: OrthoResult) -> bool:
    return result.scale == "linear" and result.radiometry in {"sigma0", "beta0", "gamma0", "gamma0_rtc"}


def _extra_file(path: Path, grid: Grid, name: str, pool: ThreadPoolExecutor) -> CogFile:
    extra = EXTRAS[name]
    return CogFile(path, grid, extra.dtype, extra.no_data, [name], pool, overviews=extra.overviews)
