"""Masks as vectors, which Sentinel-2 products have before processing baseline 04.00: GML of the EOP or HMA schema."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from orthokernel.errors import AnnotationError
from orthokernel.safexml import XmlDocument
from orthokernel.sentinel2.polygons import Ring

Float64Array = NDArray[np.float64]

_IMAGE: Final = "urn:ogc:def:derivedCRSType:OGC:1.0:image"
_EPSG: Final = re.compile(r"urn:(?:ogc:def:crs:EPSG:[\d.]*|cnes:gdlib:projectionType):(\d+)")
_FOOTPRINT: Final = re.compile(r"detector_footprint-B\w+-(\d\d)-\d+", re.IGNORECASE)


@dataclass(frozen=True)
class Feature:
    """One polygon of a mask: its exterior, and holes in it.

    Attributes
    ----------
    kind : str
        ``"QT_DEFECTIVE_PIXELS"``.
    identifier : str
    rings : tuple of (N, 2) float64
        As the mask's coordinates are.
    """

    kind: str
    identifier: str
    rings: tuple[Ring, ...]

    @property
    def detector(self) -> int | None:
        """Of a footprint, which its identifier tells: ``detector_footprint-B02-07-0``."""
        match = _FOOTPRINT.fullmatch(self.identifier)
        return int(match[1]) if match else None


@dataclass(frozen=True)
class VectorMask:
    """A mask.

    Attributes
    ----------
    source : str
        For errors.
    epsg : int or None
        Of the map that coordinates are on. None: they are sample and line in an image, 1 in the middle of its first
        pixel.
    upper_corner : (2,) float64
        Of the mask's envelope.
    features : tuple of Feature
    """

    source: str
    epsg: int | None
    upper_corner: Float64Array
    features: tuple[Feature, ...]


def read_mask(content: bytes, source: str) -> VectorMask:
    """Read a mask.

    Raises
    ------
    UnsafeXmlError, MalformedXmlError, AnnotationError
    """
    document = XmlDocument.parse(content, source)
    envelope = document.find("{*}boundedBy/{*}Envelope")
    name = envelope.element.get("srsName", "")
    match = _EPSG.fullmatch(name)
    if match is None and name != _IMAGE:
        raise AnnotationError(source, f"<Envelope srsName={name[:60]!r}>", "an EPSG code, or image coordinates")
    corner = envelope.numbers("{*}upperCorner")
    if corner.size < 2:
        raise AnnotationError(source, f"<upperCorner> of {corner.size} numbers", "two")
    return VectorMask(
        source,
        int(match[1]) if match else None,
        corner[:2],
        tuple(_feature(one) for one in document.find_all("{*}maskMembers/{*}MaskFeature")),
    )


def _feature(element: XmlDocument) -> Feature:
    identifier = next((value for key, value in element.element.items() if key.endswith("}id")), "")
    rings = element.find_all("{*}extentOf/{*}Polygon/*/{*}LinearRing")
    if not rings:
        raise AnnotationError(element.source, f"<MaskFeature {identifier[:60]}> without rings", "a polygon")
    return Feature(element.text("{*}maskType"), identifier, tuple(_ring(ring, identifier) for ring in rings))


def _ring(ring: XmlDocument, identifier: str) -> Ring:
    numbers = ring.numbers("{*}posList")
    dimension = int(ring.find("{*}posList").element.get("srsDimension", "2"))
    if dimension not in (2, 3) or numbers.size % dimension or numbers.size < 3 * dimension:
        raise AnnotationError(
            ring.source,
            f"<posList> of {numbers.size} numbers, {dimension} a point, in {identifier[:60]}",
            "two or three a point, three points or more",
        )
    return numbers.reshape(-1, dimension)[:, :2]
