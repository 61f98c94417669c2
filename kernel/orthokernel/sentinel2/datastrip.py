"""The datastrip's metadata: orbit, attitude, line times, refining, and where its granules lie."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from orthokernel.errors import AnnotationError
from orthokernel.safexml import XmlDocument
from orthokernel.sentinel2.bands import BANDS, Band, FocalPlane
from orthokernel.sentinel2.calibration import Calibration, read_calibration
from orthokernel.sentinel2.frames import EarthOrientation

Float64Array = NDArray[np.float64]
Polynomial = Float64Array
"""Coefficients, lowest power first, of seconds since the middle of the datastrip."""

_MM_M = 1e-3
_BY_NUMBER = {str(band.number): band for band in BANDS}
NOMINAL_RESOLUTION_M = 10
"""What LINE_PERIOD and positions of granules are counted in."""


@dataclass(frozen=True)
class Correction:
    """Refining of one frame: polynomials of angles about X, Y, Z in radians, and of the scale of Z less 1."""

    angles: tuple[Polynomial, Polynomial, Polynomial] = (np.zeros(1), np.zeros(1), np.zeros(1))
    z_scale: Polynomial = field(default_factory=lambda: np.zeros(1))


@dataclass(frozen=True)
class Refining:
    """What ESA's refining against reference images has corrected. All zero where it has not.

    Attributes
    ----------
    position_m : three polynomials
        In the local orbital frame: Z to the centre of the Earth, X along the orbital momentum.
    msi : Correction
        Of piloting to MSI frame.
    focal_plane : mapping of focal plane to Correction
    """

    position_m: tuple[Polynomial, Polynomial, Polynomial] = (np.zeros(1), np.zeros(1), np.zeros(1))
    msi: Correction = field(default_factory=Correction)
    focal_plane: Mapping[FocalPlane, Correction] = field(default_factory=dict)


@dataclass(frozen=True)
class Datastrip:
    """All times are GPS seconds of the day whose Julian date is ``jd_day``.

    Attributes
    ----------
    source : str
        Name of the file.
    id : str
        Of the datastrip.
    satellite : str
        As files name it: ``S2A``.
    start_utc, stop_utc : datetime64[us]
        When it was sensed.
    orbit_time_s : (N,) float64
    position_m, velocity_m_s : (N, 3) float64
        ITRF; the velocity is that against the turning Earth.
    attitude_time_s : (M,) float64
    attitude : (M, 4) float64
        Unit quaternions x, y, z, w that turn vectors of the piloting frame into EME2000.
    middle_s : float
        Middle of the datastrip.
    line_period_s : float
        Of a 10 m band.
    first_line_s : mapping of (band number, detector) to float
        When the first line of the datastrip's image begins.
    granules : mapping of granule id to (detector, first line)
        0-based, in lines of a 10 m band.
    tdi : mapping of band number to str
    gipp : frozenset of str
        Names, without ending, of the parameter files that ESA processed it with.
    calibration : Calibration
    facts : mapping
        For people and STAC Items.
    """

    source: str
    id: str
    satellite: str
    start_utc: np.datetime64
    stop_utc: np.datetime64
    jd_day: float
    orbit_time_s: Float64Array
    position_m: Float64Array
    velocity_m_s: Float64Array
    attitude_time_s: Float64Array
    attitude: Float64Array
    orientation: EarthOrientation
    middle_s: float
    line_period_s: float
    first_line_s: Mapping[tuple[int, str], float]
    granules: Mapping[str, tuple[str, int]]
    tdi: Mapping[int, str]
    refining: Refining
    gipp: frozenset[str]
    calibration: Calibration
    facts: Mapping[str, Any]

    def line_period_of(self, band: Band) -> float:
        """Seconds between lines of a band."""
        return self.line_period_s * band.resolution_m / NOMINAL_RESOLUTION_M

    def first_line_of(self, band: Band, detector: str) -> float:
        """When its first line begins. Raises AnnotationError where the datastrip does not say."""
        try:
            return self.first_line_s[band.number, detector]
        except KeyError:
            raise AnnotationError(
                self.source, f"no Time_Stamp of band {band.name}, detector {detector}", "one"
            ) from None


def read_datastrip(content: bytes, source: str) -> Datastrip:
    """Read ``*_MTD_L1B_DS_*.xml``.

    Raises
    ------
    AnnotationError
        Where something is missing or contradicts itself.
    """
    document = XmlDocument.parse(content, source)
    ancillary = document.find("{*}Satellite_Ancillary_Data_Info")
    general = document.find("{*}General_Info")
    bulletin = document.find("{*}Auxiliary_Data_Info/IERS_Bulletin")
    times = general.find("Datastrip_Time_Info")
    start, stop = times.time_utc("DATASTRIP_SENSING_START"), times.time_utc("DATASTRIP_SENSING_STOP")
    day = start.astype("datetime64[D]")
    satellite = _satellite(general)
    gps_minus_utc_s = bulletin.number("GPS_TIME_UTC")
    sensor = document.find("{*}Image_Data_Info/Sensor_Configuration")
    points = ancillary.find_all("Ephemeris/GPS_Points_List/GPS_Point")
    attitudes = ancillary.find_all("Attitudes/Corrected_Attitudes/Values")
    orbit_time_s, keep = _once(np.array([_seconds(point, "GPS_TIME", day) for point in points]), source, "GPS_Point")
    attitude_time_s, keep_attitudes = _once(
        np.array([_seconds(value, "GPS_TIME", day) for value in attitudes]), source, "Corrected_Attitudes"
    )
    return Datastrip(
        source=source,
        id=_identifier(document),
        satellite=satellite,
        start_utc=start,
        stop_utc=stop,
        jd_day=float(day.astype(int)) + 2_440_587.5,
        orbit_time_s=orbit_time_s,
        position_m=_MM_M * np.array([point.numbers("POSITION_VALUES") for point in points])[keep],
        velocity_m_s=_MM_M * np.array([point.numbers("VELOCITY_VALUES") for point in points])[keep],
        attitude_time_s=attitude_time_s,
        attitude=_unit(np.array([value.numbers("QUATERNION_VALUES") for value in attitudes])[keep_attitudes]),
        orientation=EarthOrientation(
            ut1_minus_utc_s=bulletin.number("UT1_UTC"),
            pole_x_arcsec=bulletin.number("POLE_U_ANGLE"),
            pole_y_arcsec=bulletin.number("POLE_V_ANGLE"),
            tai_minus_utc_s=gps_minus_utc_s - bulletin.number("GPS_TIME_TAI"),
        ),
        middle_s=float((start - day + (stop - start) / 2) / np.timedelta64(1, "us")) * 1e-6 + gps_minus_utc_s,
        line_period_s=1e-3 * sensor.number("Time_Stamp/LINE_PERIOD"),
        first_line_s=_first_lines(sensor, day),
        granules=_granules(document),
        tdi={
            int(one.element.get("bandId", "-1")): one.text(".")
            for one in sensor.find_all("Acquisition_Configuration/TDI_Configuration_List/TDI_CONFIGURATION")
        },
        refining=_refining(document),
        gipp=frozenset(one.text(".") for one in document.find_all("{*}Auxiliary_Data_Info/GIPP_List/GIPP_FILENAME")),
        calibration=read_calibration(
            document, satellite, general.optional_text("Processing_Info/PROCESSING_BASELINE") or "", day
        ),
        facts=_facts(document, general),
    )


def _identifier(document: XmlDocument) -> str:
    found = document.element.get("datastripIdentifier")
    if not found:
        raise AnnotationError(document.source, "no attribute datastripIdentifier", "the datastrip's name")
    return found


def _satellite(general: XmlDocument) -> str:
    """``S2A`` of ``Sentinel-2A``."""
    name = general.text("Datatake_Info/SPACECRAFT_NAME")
    match = re.fullmatch(r"Sentinel-2([A-Z])", name, re.IGNORECASE)
    if match is None:
        raise AnnotationError(general.source, f"<SPACECRAFT_NAME> is {name[:40]!r}", "Sentinel-2 and a letter")
    return f"S2{match[1].upper()}"


def _facts(document: XmlDocument, general: XmlDocument) -> dict[str, Any]:
    datatake = general.find("Datatake_Info")
    identifier = datatake.element.get("datatakeIdentifier", "")
    absolute = re.fullmatch(r"GS2[A-Z]_\d{8}T\d{6}_(\d{6})_N[\d.]+", identifier)
    baseline = general.optional_text("Processing_Info/PROCESSING_BASELINE")
    refined = document.find_all("{*}Image_Data_Info/Geometric_Info/Image_Refining[@flag='REFINED']")
    return {
        "constellation": "sentinel-2",
        "platform": datatake.text("SPACECRAFT_NAME").lower(),
        "instruments": ["msi"],
        "processing_level": "L1B",
        **({} if baseline is None else {"processing_baseline": baseline}),
        "product_type": "S2MSI1B",
        "relative_orbit": datatake.integer("SENSING_ORBIT_NUMBER"),
        **({} if absolute is None else {"absolute_orbit": int(absolute[1])}),
        "orbit_direction": datatake.text("SENSING_ORBIT_DIRECTION").lower(),
        "datatake_id": identifier,
        "refined": bool(refined),
    }


def _seconds(element: XmlDocument, path: str, day: np.datetime64) -> float:
    """Of the day; all digits that are there, not only whole microseconds."""
    whole, _, fraction = element.text(path).removesuffix("Z").partition(".")
    try:
        return float((np.datetime64(whole, "s") - day) / np.timedelta64(1, "s")) + float(f"0.{fraction or 0}")
    except ValueError:
        raise AnnotationError(element.source, f"<{path}> is {element.text(path)[:40]!r}", "a GPS time") from None


def _once(time_s: Float64Array, source: str, what: str) -> tuple[Float64Array, NDArray[np.int64]]:
    """Times in order, each once, and which they were."""
    times, keep = np.unique(time_s, return_index=True)
    if times.size < 8:
        raise AnnotationError(source, f"{times.size} of <{what}>", "8 or more, around the image")
    return times, keep


def _unit(quaternions: Float64Array) -> Float64Array:
    """Unit length, and no two neighbours of opposite sign."""
    turned = np.cumprod(np.r_[1.0, np.sign((quaternions[1:] * quaternions[:-1]).sum(1))])
    unit: Float64Array = quaternions * (turned / np.linalg.norm(quaternions, axis=1))[:, None]
    return unit


def _first_lines(sensor: XmlDocument, day: np.datetime64) -> dict[tuple[int, str], float]:
    period_s = 1e-3 * sensor.number("Time_Stamp/LINE_PERIOD")
    found = {}
    for stamp in sensor.find_all("Time_Stamp/Band_Time_Stamp"):
        number = stamp.element.get("bandId", "")
        if number not in _BY_NUMBER:
            raise AnnotationError(sensor.source, f"<Band_Time_Stamp> of band {number}", "one of 0 to 12")
        band = _BY_NUMBER[number]
        for detector in stamp.find_all("Detector"):
            # Counted from 1, in lines of a 10 m band; 0 means 1.
            reference = detector.integer("REFERENCE_LINE")
            own_period_s = period_s * band.resolution_m / NOMINAL_RESOLUTION_M
            before_s = reference * period_s - own_period_s if reference > 1 else 0.0
            key = band.number, detector.element.get("detectorId", "")
            found[key] = _seconds(detector, "GPS_TIME", day) - before_s
    return found


def _granules(document: XmlDocument) -> dict[str, tuple[str, int]]:
    return {
        granule.element.get("granuleId", ""): (
            detector.element.get("detectorId", ""),
            granule.integer("POSITION") - 1,
        )
        for detector in document.find_all("{*}Image_Data_Info/Granules_Information/Detector_List/Detector")
        for granule in detector.find_all("Granule_List/Granule")
    }


def _refining(document: XmlDocument) -> Refining:
    info = document.find("{*}Image_Data_Info/Geometric_Info")
    flags = info.find_all("Image_Refining")
    if not flags or flags[0].element.get("flag") != "REFINED":
        return Refining()
    corrections = info.find("Refined_Corrections_List/Refined_Corrections")
    position = _three(corrections, "Spacecraft_Position")
    planes: dict[FocalPlane, Correction] = {}
    for band in BANDS:
        path = f"Focal_Plane_State[@focalPlaneId='{band.focal_plane}']"
        planes[band.focal_plane] = _correction(corrections, path)
    return Refining(position, _correction(corrections, "MSI_State"), planes)


def _correction(element: XmlDocument, path: str) -> Correction:
    if not element.find_all(path):
        return Correction()
    return Correction(_three(element, f"{path}/Rotation"), _polynomial(element, f"{path}/Homothety/Z"))


def _three(element: XmlDocument, path: str) -> tuple[Polynomial, Polynomial, Polynomial]:
    x, y, z = (_polynomial(element, f"{path}/{axis}") for axis in "XYZ")
    return x, y, z


def _polynomial(element: XmlDocument, path: str) -> Polynomial:
    return element.numbers(f"{path}/COEFFICIENTS") if element.find_all(f"{path}/COEFFICIENTS") else np.zeros(1)
