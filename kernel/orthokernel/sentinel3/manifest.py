"""What the manifest of a Sentinel-3 product says.

Source: "Product Data Format Specification - OLCI Level 1", S3IPF PDS 004.1, and "- SLSTR Level 1", S3IPF PDS 005,
sections on the manifest.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import PurePosixPath
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from orthokernel.errors import AnnotationError
from orthokernel.safexml import XmlDocument

Float64Array = NDArray[np.float64]

MANIFEST: Final = "xfdumanifest.xml"
_SAFE: Final = "{http://www.esa.int/safe/sentinel/1.1}"
_S3: Final = "{http://www.esa.int/safe/sentinel/sentinel-3/1.0}"


_COMMON_NAMES: Final = {
    "oa04": "blue", "oa06": "green", "oa08": "red", "oa11": "rededge", "oa17": "nir", "s1": "green", "s2": "red",
    "s3": "nir", "s4": "cirrus", "s5": "swir16", "s6": "swir22", "s8": "lwir11", "s9": "lwir12",
}  # fmt: skip
"""Source: STAC extension eo 1.1, common names by wavelength; of bands that are close together the usual one."""


@dataclass(frozen=True)
class Manifest:
    """Facts of a product.

    Attributes
    ----------
    product_type : str
        ``OL_1_EFR``, without the underscores that fill it up.
    files : frozenset of str
        Members it lists.
    ring : (K, 2) float64 or None
        Footprint, longitude and latitude in degrees, closed, anticlockwise, longitudes continuous.
    facts : dict
        For `Product.properties`.
    eo_bands : dict
        By lower-case name of a band, ``center_wavelength_um``, ``full_width_half_max_um``, and ``common_name``.
    """

    product_type: str
    start_time: datetime
    stop_time: datetime
    files: frozenset[str]
    ring: Float64Array | None
    facts: dict[str, Any]
    eo_bands: dict[str, dict[str, Any]]


def parse_manifest(content: bytes, source: str) -> Manifest:
    """Parse ``xfdumanifest.xml``.

    Raises
    ------
    UnsafeXmlError, MalformedXmlError, AnnotationError
    """
    xml = XmlDocument.parse(content, source)
    product_type = xml.text(f".//{_S3}productType").rstrip("_")
    times = [_time(xml, f".//{_SAFE}acquisitionPeriod/{_SAFE}{name}") for name in ("startTime", "stopTime")]
    letter = xml.optional_text(f".//{_SAFE}platform/{_SAFE}number") or ""
    orbit = xml.element.find(f".//{_SAFE}orbitReference/{_SAFE}orbitNumber")
    instrument = xml.element.find(f".//{_SAFE}platform/{_SAFE}instrument/{_SAFE}familyName")
    facts = {
        "constellation": "sentinel-3",
        "platform": f"sentinel-3{letter.lower()}",
        "instruments": [(instrument.get("abbreviation") or "").lower()] if instrument is not None else None,
        "orbit_direction": None if orbit is None else orbit.get("groundTrackDirection"),
        "absolute_orbit": _integer(xml, f".//{_SAFE}orbitReference/{_SAFE}orbitNumber"),
        "relative_orbit": _integer(xml, f".//{_SAFE}orbitReference/{_SAFE}relativeOrbitNumber"),
        "processing_level": "L1B",
        "processing_baseline": xml.optional_text(f".//{_S3}baselineCollection"),
        "product_type": product_type,
        "timeliness": xml.optional_text(f".//{_S3}timeliness"),
        "start_time": times[0].isoformat().replace("+00:00", "Z"),
        "stop_time": times[1].isoformat().replace("+00:00", "Z"),
    }
    located = [element.element.get("href") or "" for element in xml.find_all(".//fileLocation")]
    return Manifest(
        product_type=product_type,
        start_time=times[0],
        stop_time=times[1],
        files=frozenset(str(PurePosixPath(name)) for name in located if name),
        ring=_ring(xml, source),
        facts={key: value for key, value in facts.items() if value is not None},
        eo_bands=_eo_bands(xml),
    )


def _time(xml: XmlDocument, path: str) -> datetime:
    text = xml.text(path)
    try:
        return datetime.fromisoformat(text.replace("Z", "+00:00")).replace(tzinfo=UTC)
    except ValueError as error:
        raise AnnotationError(xml.source, f"a time {text[:40]!r}", "one such as 2021-10-21T07:38:27.254946Z") from error


def _integer(xml: XmlDocument, path: str) -> int | None:
    text = xml.optional_text(path)
    return int(text) if text is not None and text.isdecimal() else None


def _ring(xml: XmlDocument, source: str) -> Float64Array | None:
    """Latitude and longitude alternate."""
    text = xml.optional_text(f".//{_SAFE}footPrint/{{http://www.opengis.net/gml}}posList")
    if text is None:
        return None
    try:
        values = np.array(text.split(), np.float64).reshape(-1, 2)
    except ValueError as error:
        raise AnnotationError(source, f"a footprint {text[:40]!r}...", "pairs of latitude and longitude") from error
    return closed_ring(values[:, 1], values[:, 0])


def closed_ring(lon_deg: Float64Array, lat_deg: Float64Array) -> Float64Array:
    """``(K, 2)``: closed, anticlockwise on the map, longitudes continuous."""
    ring = np.stack([np.unwrap(lon_deg, period=360.0), lat_deg], axis=1)
    if not np.allclose(ring[0], ring[-1]):
        ring = np.concatenate([ring, ring[:1]])
        ring[:, 0] = np.unwrap(ring[:, 0], period=360.0)
    x, y = ring[:, 0] - ring[0, 0], ring[:, 1] - ring[0, 1]
    return ring if float(np.sum(x[:-1] * y[1:] - x[1:] * y[:-1])) > 0 else ring[::-1].copy()


def _eo_bands(xml: XmlDocument) -> dict[str, dict[str, Any]]:
    """Wavelengths in the manifest are nanometres."""
    found: dict[str, dict[str, Any]] = {}
    for band in xml.find_all(f".//{_S3}band"):
        name = band.element.get("name")
        centre, width = (band.optional_text(f"{_S3}{key}") for key in ("centralWavelength", "bandwidth"))
        if name is None or centre is None or width is None:
            continue
        found[name.lower()] = {
            **({"common_name": _COMMON_NAMES[name.lower()]} if name.lower() in _COMMON_NAMES else {}),
            "center_wavelength_um": round(float(centre) / 1000.0, 7),
            "full_width_half_max_um": round(float(width) / 1000.0, 7),
        }
    return found
