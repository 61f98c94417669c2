"""The annotation file of a Sentinel-1 GRD measurement: what the geometry needs of it, in seconds and metres.

Source of every field: "Sentinel-1 Product Specification", S1-RS-MDA-52-7441, section 6.3.1 (L1 product annotations).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from orthokernel.errors import AnnotationError, UnsupportedProductError
from orthokernel.safexml import XmlDocument

Float64Array = NDArray[np.float64]

_NOISE_REMOVED = "imageAnnotation/processingInformation/thermalNoiseCorrectionPerformed"
_BEAMS = frozenset(f"S{beam}" for beam in range(1, 7))


@dataclass(frozen=True)
class StateVectors:
    """Orbit state vectors, Earth-fixed.

    Attributes
    ----------
    time_s : (N,) float64
        Since the first line's time, increasing.
    position_m, velocity_m_s : (N, 3) float64
        x, y, z; the velocity is that relative to the rotating Earth.
    """

    time_s: Float64Array
    position_m: Float64Array
    velocity_m_s: Float64Array


@dataclass(frozen=True)
class SlantToGroundRecords:
    """Coordinate conversion records, about one a second.

    ``slant_range_m = sum_k grsr[r, k] * (ground_range_m - ground_origin_m[r]) ** k``. The other way round,
    ``srgr`` with ``slant_origin_m``, is not its inverse but only near it: see `slant_range`.

    Attributes
    ----------
    time_s : (R,) float64
        Since the first line's time, increasing.
    slant_origin_m, ground_origin_m : (R,) float64
    srgr, grsr : (R, C) float64
    """

    time_s: Float64Array
    slant_origin_m: Float64Array
    srgr: Float64Array
    ground_origin_m: Float64Array
    grsr: Float64Array


@dataclass(frozen=True)
class GeolocationGrid:
    """ESA's own geolocation of about 10 x 21 image points, flattened: each attribute is (P,) float64."""

    line: Float64Array
    sample: Float64Array
    azimuth_time_s: Float64Array
    slant_range_time_s: Float64Array
    lon_deg: Float64Array
    lat_deg: Float64Array
    height_m: Float64Array
    incidence_deg: Float64Array


@dataclass(frozen=True)
class Annotation:
    """One polarisation's annotation. All ``*_s`` times of the parts count from ``first_line_time_utc``."""

    source: str
    mission_id: str
    mode: str
    """``"IW"``, ``"EW"`` or ``"SM"``."""
    swath: str
    """That of the whole image: the mode, or the beam ``"S1"`` to ``"S6"`` of SM."""
    polarisation: str
    direction: str
    absolute_orbit: int
    datatake_id: int
    start_time_utc: np.datetime64
    stop_time_utc: np.datetime64
    first_line_time_utc: np.datetime64
    line_interval_s: float
    sample_spacing_m: float
    line_spacing_m: float
    n_lines: int
    n_samples: int
    incidence_mid_swath_deg: float
    radar_frequency_hz: float
    orbit: StateVectors
    slant_to_ground: SlantToGroundRecords
    geolocation: GeolocationGrid
    thermal_noise_removed: bool = False
    heading_deg: float | None = None
    """Direction of flight, clockwise from north."""
    looks: dict[str, tuple[int, int]] = field(default_factory=dict)
    """Number of looks in range and in azimuth by sub-swath; empty where the file does not say."""

    @property
    def last_line_time_utc(self) -> np.datetime64:
        """Of the last line, to the microsecond."""
        last_us = round((self.n_lines - 1) * self.line_interval_s * 1e6)
        return np.datetime64(self.first_line_time_utc + np.timedelta64(last_us, "us"))


def parse_annotation(content: bytes, source: str) -> Annotation:
    """Parse an annotation file.

    Raises
    ------
    UnsafeXmlError, MalformedXmlError
        See `XmlDocument.parse`.
    UnsupportedProductError
        The product is not in ground range (SLC).
    AnnotationError
        A value is absent or makes no sense.
    """
    xml = XmlDocument.parse(content, source)
    header = xml.find("adsHeader")
    product_type = header.text("productType")
    if product_type != "GRD":
        raise UnsupportedProductError(source, f"product type {product_type}", "a Sentinel-1 GRD product")
    general = xml.find("generalAnnotation")
    mode, swath = _mode(header)
    image = xml.find("imageAnnotation/imageInformation")
    epoch = image.time_utc("productFirstLineUtcTime")

    def seconds(part: XmlDocument, path: str) -> float:
        return float((part.time_utc(path) - epoch) / np.timedelta64(1, "us")) * 1e-6

    annotation = Annotation(
        source=source,
        mission_id=header.text("missionId"),
        mode=mode,
        swath=swath,
        polarisation=header.text("polarisation").lower(),
        direction=general.text("productInformation/pass").lower(),
        absolute_orbit=header.integer("absoluteOrbitNumber"),
        datatake_id=header.integer("missionDataTakeId"),
        start_time_utc=header.time_utc("startTime"),
        stop_time_utc=header.time_utc("stopTime"),
        first_line_time_utc=epoch,
        line_interval_s=image.number("azimuthTimeInterval"),
        sample_spacing_m=image.number("rangePixelSpacing"),
        line_spacing_m=image.number("azimuthPixelSpacing"),
        n_lines=image.integer("numberOfLines"),
        n_samples=image.integer("numberOfSamples"),
        incidence_mid_swath_deg=image.number("incidenceAngleMidSwath"),
        radar_frequency_hz=general.number("productInformation/radarFrequency"),
        orbit=_parse_orbit(general, seconds),
        slant_to_ground=_parse_records(xml, seconds),
        geolocation=_parse_grid(xml, seconds),
        thermal_noise_removed=xml.optional_text(_NOISE_REMOVED) == "true",
        heading_deg=_heading(general),
        looks=_looks(xml),
    )
    if annotation.n_lines < 1 or annotation.n_samples < 1:
        raise AnnotationError(source, f"{annotation.n_lines} x {annotation.n_samples} pixels", "an image")
    if annotation.line_interval_s <= 0 or annotation.sample_spacing_m <= 0:
        raise AnnotationError(source, "a line interval or sample spacing of zero or less", "positive ones")
    return annotation


def _mode(header: XmlDocument) -> tuple[str, str]:
    """Mode and swath. Some writers put the beam of SM in both."""
    mode = header.text("mode").upper()
    swath = (header.optional_text("swath") or mode).upper()
    if mode in _BEAMS:
        mode, swath = "SM", mode
    if mode not in {"IW", "EW", "SM"}:
        raise UnsupportedProductError(header.source, f"acquisition mode {mode}", "a GRD product of mode IW, EW or SM")
    return mode, swath


def _heading(general: XmlDocument) -> float | None:
    path = "productInformation/platformHeading"
    return general.number(path) % 360.0 if general.optional_text(path) else None


def _looks(xml: XmlDocument) -> dict[str, tuple[int, int]]:
    """For the metadata only: what is not there is left out."""
    path = "imageAnnotation/processingInformation/swathProcParamsList/swathProcParams"
    looks = {}
    for part in xml.find_all(path):
        numbers = [part.optional_text(f"{way}Processing/numberOfLooks") or "" for way in ("range", "azimuth")]
        if all(number.isdecimal() for number in numbers):
            looks[part.optional_text("swath") or ""] = (int(numbers[0]), int(numbers[1]))
    return looks


Seconds = Callable[[XmlDocument, str], float]


def _parse_orbit(general: XmlDocument, seconds: Seconds) -> StateVectors:
    vectors = general.find_all("orbitList/orbit")
    time_s = np.array([seconds(vector, "time") for vector in vectors])
    if len(vectors) < 4 or not (np.diff(time_s) > 0).all():
        raise AnnotationError(general.source, f"{len(vectors)} orbit state vectors", "at least 4, in order of time")
    return StateVectors(
        time_s=time_s,
        position_m=np.array([[v.number(f"position/{axis}") for axis in "xyz"] for v in vectors]),
        velocity_m_s=np.array([[v.number(f"velocity/{axis}") for axis in "xyz"] for v in vectors]),
    )


def _parse_records(xml: XmlDocument, seconds: Seconds) -> SlantToGroundRecords:
    records = xml.find_all("coordinateConversion/coordinateConversionList/coordinateConversion")
    time_s = np.array([seconds(record, "azimuthTime") for record in records])
    if not records or not (np.diff(time_s) > 0).all():
        raise AnnotationError(
            xml.source, f"{len(records)} coordinate conversion records", "at least 1, in order of time"
        )
    return SlantToGroundRecords(
        time_s=time_s,
        slant_origin_m=np.array([record.number("sr0") for record in records]),
        srgr=_coefficients(xml.source, [record.numbers("srgrCoefficients") for record in records]),
        ground_origin_m=np.array([record.number("gr0") for record in records]),
        grsr=_coefficients(xml.source, [record.numbers("grsrCoefficients") for record in records]),
    )


def _coefficients(source: str, rows: list[Float64Array]) -> Float64Array:
    """Rows of unequal length padded with zeros: the missing powers."""
    if min(row.size for row in rows) < 2:
        raise AnnotationError(source, "a coordinate conversion with fewer than 2 coefficients", "a polynomial")
    table = np.zeros((len(rows), max(row.size for row in rows)))
    for index, row in enumerate(rows):
        table[index, : row.size] = row
    return table


def _parse_grid(xml: XmlDocument, seconds: Seconds) -> GeolocationGrid:
    points = xml.find_all("geolocationGrid/geolocationGridPointList/geolocationGridPoint")
    if len(points) < 4:
        raise AnnotationError(xml.source, f"{len(points)} geolocation grid points", "at least 4")

    def column(path: str) -> Float64Array:
        return np.array([point.number(path) for point in points])

    return GeolocationGrid(
        line=column("line"),
        sample=column("pixel"),
        azimuth_time_s=np.array([seconds(point, "azimuthTime") for point in points]),
        slant_range_time_s=column("slantRangeTime"),
        lon_deg=column("longitude"),
        lat_deg=column("latitude"),
        height_m=column("height"),
        incidence_deg=column("incidenceAngle"),
    )
