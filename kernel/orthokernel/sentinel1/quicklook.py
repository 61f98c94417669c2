"""The quick-look of a product as a band: real pixels in the geometry of the GRD, averaged down by about 50.

Quick-look pixel k covers the GRD samples from ``k * scale - 0.5`` to ``(k + 1) * scale - 0.5`` (edges, with integers at
pixel centres), where ``scale`` is the ratio of the sizes: both images span the same swath.
"""

from __future__ import annotations

import zlib
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from rasterio.errors import RasterioError
from rasterio.io import MemoryFile

from orthokernel.errors import ProductError, TruncatedRasterError
from orthokernel.sensor import BreakLines
from orthokernel.sentinel1.range_doppler import RangeDopplerModel
from orthokernel.sentinel1.raster import clipped
from orthokernel.sentinel1.terrain_intersection import TerrainHit
from orthokernel.unreferenced import open_unreferenced

if TYPE_CHECKING:
    from orthokernel.terrain import Terrain

Float64Array = NDArray[np.float64]

PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"


class QuicklookReader:
    """The first channel of the quick-look PNG (the co-polarised one), held in memory: about 0.2 MB."""

    def __init__(self, content: bytes, source: object) -> None:
        _require_whole_png(content, source)
        try:
            with MemoryFile(content) as file, open_unreferenced(file.name, driver="PNG") as dataset:
                self._pixels: NDArray[Any] = dataset.read(1)
        except RasterioError as error:
            raise ProductError(source, f"a quick-look that cannot be read ({error})", "a PNG") from error
        self.n_lines, self.n_samples = self._pixels.shape
        self.dtype: np.dtype[Any] = self._pixels.dtype
        self.nodata: float | None = None

    def read(self, line_start: int, line_stop: int, sample_start: int, sample_stop: int) -> NDArray[Any]:
        """``(lines, samples)`` uint8, clipped to the image. See `BandReader.read`."""
        lines = slice(*clipped(line_start, line_stop, self.n_lines))
        samples = slice(*clipped(sample_start, sample_stop, self.n_samples))
        return self._pixels[lines, samples].copy()

    def close(self) -> None:
        """Nothing to let go of."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _require_whole_png(content: bytes, source: object) -> None:
    """Walk the chunks with their checksums to the end mark: GDAL answers a cut-off PNG with zeros.

    Source: "Portable Network Graphics (PNG) Specification", W3C (2003), section 5.
    """
    at = len(PNG_SIGNATURE)
    while content.startswith(PNG_SIGNATURE) and at + 12 <= len(content):
        size = int.from_bytes(content[at : at + 4], "big")
        kind, body_end = content[at + 4 : at + 8], at + 8 + size
        if zlib.crc32(content[at + 4 : body_end]) != int.from_bytes(content[body_end : body_end + 4], "big"):
            break
        if kind == b"IEND":
            return
        at = body_end + 4
    raise TruncatedRasterError(source, f"a PNG of {len(content)} bytes that breaks off at {at}", "a whole quick-look")


class QuicklookModel:
    """The full-resolution sensor model with scaled line and sample; a `SensorModel`."""

    def __init__(self, full: RangeDopplerModel, n_lines: int, n_samples: int) -> None:
        self.n_lines = n_lines
        self.n_samples = n_samples
        self._full = full
        self._line_scale = full.n_lines / n_lines
        self._sample_scale = full.n_samples / n_samples

    def _to_small(self, line: Float64Array, sample: Float64Array) -> tuple[Float64Array, Float64Array]:
        return (line + 0.5) / self._line_scale - 0.5, (sample + 0.5) / self._sample_scale - 0.5

    def _to_full(self, line: ArrayLike, sample: ArrayLike) -> tuple[Float64Array, Float64Array]:
        full_line = (np.asarray(line, dtype=np.float64) + 0.5) * self._line_scale - 0.5
        full_sample = (np.asarray(sample, dtype=np.float64) + 0.5) * self._sample_scale - 0.5
        return full_line, full_sample

    @property
    def height_support_m(self) -> tuple[float, float]:
        """That of the full-resolution model."""
        return self._full.height_support_m

    @property
    def break_lines(self) -> BreakLines:
        """Those of the full-resolution model in quick-look pixels."""
        full = self._full.break_lines
        return BreakLines(
            line=(full.line + 0.5) / self._line_scale - 0.5,
            first_sample=(full.first_sample + 0.5) / self._sample_scale - 0.5,
            step_samples=full.step_samples / self._sample_scale,
            correction_px=full.correction_px / self._sample_scale,
            kind=full.kind,
        )

    def ground_to_image(
        self, lon_deg: ArrayLike, lat_deg: ArrayLike, height_m: ArrayLike
    ) -> tuple[Float64Array, Float64Array]:
        """See `SensorModel.ground_to_image`; both images end at the same edges."""
        return self._to_small(*self._full.ground_to_image(lon_deg, lat_deg, height_m))

    def ground_to_smooth(
        self, lon_deg: ArrayLike, lat_deg: ArrayLike, height_m: ArrayLike
    ) -> tuple[Float64Array, Float64Array]:
        """See `SensorModel.ground_to_smooth`."""
        return self._to_small(*self._full.ground_to_smooth(lon_deg, lat_deg, height_m))

    def image_to_ground(
        self, line: ArrayLike, sample: ArrayLike, height_m: ArrayLike
    ) -> tuple[Float64Array, Float64Array]:
        """See `SensorModel.image_to_ground`."""
        return self._full.image_to_ground(*self._to_full(line, sample), height_m)

    def image_to_terrain(
        self, line: ArrayLike, sample: ArrayLike, terrain: Terrain
    ) -> tuple[Float64Array, Float64Array, Float64Array]:
        """See `SensorModel.image_to_terrain`."""
        return self._full.image_to_terrain(*self._to_full(line, sample), terrain)

    def image_to_terrain_hits(self, line: ArrayLike, sample: ArrayLike, terrain: Terrain) -> TerrainHit:
        """See `RangeDopplerModel.image_to_terrain_hits`."""
        return self._full.image_to_terrain_hits(*self._to_full(line, sample), terrain)
