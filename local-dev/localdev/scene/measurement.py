"""The measurement TIFF: 16-bit, uncompressed, one line a strip, tied to the ground by the geolocation grid."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import datetime
from pathlib import Path

import numpy as np
import rasterio
from rasterio.control import GroundControlPoint
from rasterio.errors import NotGeoreferencedWarning
from rasterio.windows import Window as RasterWindow

from localdev.scene.annotation import GeolocationGrid
from localdev.scene.annotation_xml import Statistics
from localdev.scene.pixels import UInt16Array, Window

QUICK_LOOK_LONGEST = 512


class _Summary:
    """Mean, deviation and a coarse picture, gathered while lines pass."""

    def __init__(self, n_lines: int, n_samples: int) -> None:
        self.factor = max(1, -(-max(n_lines, n_samples) // QUICK_LOOK_LONGEST))
        shape = (-(-n_lines // self.factor), -(-n_samples // self.factor))
        self._total = np.zeros(shape)
        self._lines, self._samples = n_lines, n_samples
        self._count, self._sum, self._squares = 0, 0.0, 0.0

    def take(self, first_line: int, first_sample: int, band: UInt16Array) -> None:
        values = band.astype(np.float64)
        self._count += band.size
        self._sum += float(values.sum())
        self._squares += float((values**2).sum())
        rows = (first_line + np.arange(band.shape[0])) // self.factor
        columns = (first_sample + np.arange(band.shape[1])) // self.factor
        column_sums = np.add.reduceat(values, np.flatnonzero(np.diff(columns, prepend=-1)), axis=1)
        np.add.at(self._total, (rows[:, None], np.unique(columns)[None, :]), column_sums)

    def statistics(self) -> Statistics:
        mean = self._sum / max(self._count, 1)
        return Statistics(mean, max(self._squares / max(self._count, 1) - mean**2, 0.0) ** 0.5)

    def picture(self) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
        rows = np.minimum(self._lines - self.factor * np.arange(self._total.shape[0]), self.factor)
        columns = np.minimum(self._samples - self.factor * np.arange(self._total.shape[1]), self.factor)
        return np.asarray(self._total / (rows[:, None] * columns[None, :]), dtype=np.float64)


def write_measurements(
    paths: list[Path],
    *,
    shape: tuple[int, int],
    window: Window,
    grid: GeolocationGrid,
    title: str,
    start: datetime,
    bands: Iterator[tuple[int, list[UInt16Array]]],
) -> tuple[list[Statistics], list[np.ndarray[tuple[int, ...], np.dtype[np.float64]]]]:
    """Write one TIFF per polarisation from bands of lines; ``title`` is what the files say they are.

    Strips outside the window are never written: the file is sparse and they read as zero.

    Returns
    -------
    statistics : list of Statistics
    pictures : list of (h, w) float64
        Block means of the digital numbers, at most 512 long.
    """
    n_lines, n_samples = shape
    points = [
        GroundControlPoint(row=line, col=sample, x=lon, y=lat, z=height, id=str(k + 1))
        for k, (line, sample, lon, lat, height) in enumerate(
            zip(grid.line, grid.sample, grid.lon_deg, grid.lat_deg, grid.height_m, strict=True)
        )
    ]
    summaries = [_Summary(n_lines, n_samples) for _ in paths]
    with ExitStack() as stack:
        stack.enter_context(warnings.catch_warnings())
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        sinks = []
        for path in paths:
            sink = stack.enter_context(
                rasterio.open(
                    path,
                    "w",
                    driver="GTiff",
                    width=n_samples,
                    height=n_lines,
                    count=1,
                    dtype="uint16",
                    blockysize=1,
                    sparse_ok=True,
                    bigtiff="IF_SAFER",
                    gcps=points,
                    crs="EPSG:4326",
                )
            )
            sink.update_tags(
                TIFFTAG_IMAGEDESCRIPTION=title,
                TIFFTAG_SOFTWARE="orthoburst scene simulator",
                TIFFTAG_DATETIME=f"{start:%Y:%m:%d %H:%M:%S}",
            )
            sinks.append(sink)
        for first_line, images in bands:
            for sink, summary, image in zip(sinks, summaries, images, strict=True):
                place = RasterWindow(window.first_sample, first_line, image.shape[1], image.shape[0])  # type: ignore[no-untyped-call, unused-ignore]
                sink.write(image, 1, window=place)
                summary.take(first_line, window.first_sample, image)
    return [summary.statistics() for summary in summaries], [summary.picture() for summary in summaries]
