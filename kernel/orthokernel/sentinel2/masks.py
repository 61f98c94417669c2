"""Masks of a tile or a granule: which detector has given a pixel, and what is wrong with it.

Since processing baseline 04.00 they are images, before they are vectors. Of a vector mask the detector of a pixel is
that whose footprint has its middle (footprints overlap by a metre or two: the first counts); something is wrong with a
pixel where a polygon covers any of it, because those of defective columns can be narrower than a pixel.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import PurePosixPath
from types import TracebackType
from typing import Any, Final, Self

import numpy as np
from numpy.typing import NDArray

from orthokernel.container import ProductContainer
from orthokernel.errors import AnnotationError, MissingAnnotationError, MissingMeasurementError
from orthokernel.jp2 import Jp2Reader
from orthokernel.product import BandReader
from orthokernel.sentinel2.gml import VectorMask, read_mask
from orthokernel.sentinel2.polygons import Polygons, Ring, mark_covered, mark_middles

MASK_NAMES: Final = ("detector", "quality")
ToPixels = Callable[[VectorMask, Ring], Ring]
"""A mask's coordinates, of which the mask says what they are, as edges of pixels (`orthokernel.sentinel2.polygons`)."""

QUALITY: Final = (
    "0: no data; bit 0 looked at, bit 1 ancillary data lost, bit 2 ancillary data degraded, bit 3 image data lost, "
    "bit 4 image data degraded, bit 5 defective, bit 6 crosstalk partially corrected, bit 7 saturated (first band)"
)
_IMAGE_OF: Final = {"detector": "MSK_DETFOO", "quality": "MSK_QUALIT"}
_VECTORS_OF: Final = {
    "detector": ("MSK_DETFOO",),
    "quality": ("MSK_TECQUA", "MSK_NODATA", "MSK_DEFECT", "MSK_SATURA"),
}
_COMPONENTS: Final = (1, 2, 3, 4, 5, 7, 8)
"""Of MSK_QUALIT, as bits from 1 on (PSD 15.0, table 107); the sixth is no data, which the image says itself."""
_BIT_OF_KIND: Final = {
    "ANC_LOST": 1,
    "ANC_DEG": 2,
    "MSI_LOST": 3,
    "MSI_DEG": 4,
    "QT_DEFECTIVE_PIXELS": 5,
    "QT_PARTIALLY_CORRECTED_PIXELS": 6,
    "QT_SATURATED_PIXELS_L1A": 7,
    "QT_SATURATED_PIXELS_L1B": 7,
}
_NO_DATA: Final = "QT_NODATA_PIXELS"
_IMAGE_ENDINGS, _VECTOR_ENDING = (".jp2",), ".gml"


class MaskFiles:
    """Where the masks are that metadata list.

    Parameters
    ----------
    container : ProductContainer
    source : str
        The metadata's name for errors.
    listed : mapping of (kind, band) to str
        A member, or only its name, with or without ending: baselines differ.
    folder : str
        In which members lie that are told by name.
    """

    def __init__(
        self, container: ProductContainer, source: str, listed: Mapping[tuple[str, str], str], folder: str = ""
    ) -> None:
        self._container, self._source, self._listed = container, source, listed
        self._by_stem: dict[str, str] = {}
        for member in container.members:
            path = PurePosixPath(member)
            if member.startswith(folder) and path.suffix in (*_IMAGE_ENDINGS, _VECTOR_ENDING):
                self._by_stem[path.stem] = member

    def has(self, name: str) -> bool:
        """Whether there is any file of it, of any band."""
        kinds = {_IMAGE_OF[name], *_VECTORS_OF[name]}
        return any(kind in kinds and self._member(kind, band) is not None for kind, band in self._listed)

    def open(self, name: str, band: str, size: tuple[int, int], to_pixels: ToPixels) -> BandReader:
        """A reader of a mask of a band.

        Parameters
        ----------
        name : str
            One of `MASK_NAMES`.
        size : (lines, samples)
        to_pixels : callable

        Raises
        ------
        MissingAnnotationError
            The metadata do not list it.
        MissingMeasurementError
            They do, and the file is not there.
        AnnotationError
            What it masks is not known, or where.
        TruncatedRasterError, ProductError
            It is an image that is cut off, or none.
        """
        image = self._member(_IMAGE_OF[name], band)
        if image is not None and image.endswith(_IMAGE_ENDINGS):
            flags = _COMPONENTS if name == "quality" else ()
            return Jp2Reader(self._container.locate(image), f"{self._container.path}:{image}", None, flags)
        polygons: list[list[Ring]] = []
        values: list[int] = []
        for kind in [_IMAGE_OF[name]] if (_IMAGE_OF[name], band) in self._listed else _VECTORS_OF[name]:
            mask = self._vectors(kind, band)
            for feature in mask.features:
                if feature.kind == _NO_DATA:
                    continue
                value = feature.detector if name == "detector" else _BIT_OF_KIND.get(feature.kind)
                if value is None:
                    raise AnnotationError(
                        mask.source,
                        f"<maskType> {feature.kind[:40]!r} of {feature.identifier[:60]!r}",
                        "a detector's footprint" if name == "detector" else f"one of {', '.join(_BIT_OF_KIND)}",
                    )
                polygons.append([to_pixels(mask, ring) for ring in feature.rings])
                values.append(value if name == "detector" else 1 << value)
        return VectorMaskReader(Polygons.of(polygons, values), size, name)

    def _vectors(self, kind: str, band: str) -> VectorMask:
        if (kind, band) not in self._listed:
            raise MissingAnnotationError(self._source, f"no {kind} of {band.upper()} among its masks", "one")
        member = self._member(kind, band)
        if member is None:
            raise MissingMeasurementError(
                self._container.path, f"no file {self._listed[kind, band]}", f"the mask that {self._source} lists"
            )
        return read_mask(self._container.read_bytes(member), f"{self._container.path}:{member}")

    def _member(self, kind: str, band: str) -> str | None:
        listed = self._listed.get((kind, band))
        if listed is None or listed in self._container.members:
            return listed
        name = PurePosixPath(listed).name
        stem = name.removesuffix(".jp2").removesuffix(_VECTOR_ENDING)
        return self._by_stem.get(stem)


class VectorMaskReader:
    """Polygons as pixels (see `orthokernel.product.BandReader`), made window by window."""

    nodata: float | None = None
    dtype: np.dtype[Any] = np.dtype(np.uint8)

    def __init__(self, polygons: Polygons, size: tuple[int, int], name: str) -> None:
        self.n_lines, self.n_samples = size
        self._polygons, self._name = polygons, name

    def read(self, line_start: int, line_stop: int, sample_start: int, sample_stop: int) -> NDArray[Any]:
        """``(lines, samples)`` of the half-open window, clipped to the image; may come out empty."""
        l0, l1 = max(line_start, 0), min(line_stop, self.n_lines)
        s0, s1 = max(sample_start, 0), min(sample_stop, self.n_samples)
        shape = max(l1 - l0, 0), max(s1 - s0, 0)
        if self._name == "detector":
            window = np.zeros(shape, np.uint8)
            mark_middles(self._polygons, l0, s0, window)
        else:
            window = np.ones(shape, np.uint8)  # looked at
            mark_covered(self._polygons, l0, s0, window)
        return window

    def close(self) -> None:
        """Nothing is held."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def on_map(epsg: int | None, left_m: float, top_m: float, resolution_m: float) -> ToPixels:
    """For masks of a tile. What is returned raises AnnotationError for a mask of another map."""

    def to_pixels(mask: VectorMask, ring: Ring) -> Ring:
        if mask.epsg != epsg:
            raise AnnotationError(mask.source, f"coordinates of EPSG:{mask.epsg}", f"EPSG:{epsg}, as the tile has")
        return np.stack([(ring[:, 0] - left_m) / resolution_m, (top_m - ring[:, 1]) / resolution_m], axis=1)

    return to_pixels


def in_image(n_lines: int, first_line: int) -> ToPixels:
    """For masks of a granule, whose lines may count from its own first or, where the mask reaches further than the
    granule does, from that of the detector's image of the datastrip.

    Parameters
    ----------
    n_lines : int
        Of the granule.
    first_line : int
        Its first in the image of the datastrip, 0-based.
    """

    def to_pixels(mask: VectorMask, ring: Ring) -> Ring:
        if mask.epsg is not None:
            raise AnnotationError(mask.source, f"coordinates of EPSG:{mask.epsg}", "sample and line of an image")
        before = first_line if mask.upper_corner[1] > n_lines else 0
        return ring - [0.5, 0.5 + before]

    return to_pixels
