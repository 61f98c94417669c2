"""Metadata of Sentinel-2 L1B products: the datastrip's and the granules', with what rigorous models read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from xml.etree.ElementTree import Element, SubElement

import numpy as np

from localdev.scene.ellipsoid import Float64Array
from localdev.scene.flight import MadeFlight
from localdev.scene.msi import LINE_PERIOD_S, MSI_BANDS, TDI_BANDS, Correction, Polynomial, Refining
from localdev.scene.sunlight import GAINS
from localdev.scene.xml import add, encode

_PSD = "https://psd-15.sentinel2.eo.esa.int/PSD"
ATTITUDE_STEP_S = 0.1
_MM = 1e3


@dataclass(frozen=True)
class GranuleNote:
    """A granule as its metadata have it.

    Attributes
    ----------
    id : str
        With the ending of the baseline.
    position : int
        Its first line in the detector's image, 0-based, in lines of a 10 m band.
    ring : (5, 2) float64
        Footprint ``lon_deg, lat_deg``.
    view, sun : (zenith, azimuth) in degrees
    """

    id: str
    detector: str
    position: int
    n_lines: int
    n_samples: int
    sensing: datetime
    ring: Float64Array
    view: tuple[float, float]
    sun: tuple[float, float]


@dataclass(frozen=True)
class DatastripNote:
    """A datastrip as its metadata have it; times are GPS seconds of the day that begins at ``day``.

    Attributes
    ----------
    known_s : (first, last)
        Between which whole seconds there are orbit and attitude.
    first_line_s : mapping of (band number, detector) to float
    gipp : sequence of str
        Names of parameter files, without ending.
    offset : int
        That is added to counts.
    """

    id: str
    platform: str
    baseline: str
    start: datetime
    stop: datetime
    day: datetime
    relative_orbit: int
    absolute_orbit: int
    ascending: bool
    flight: MadeFlight
    known_s: tuple[int, int]
    first_line_s: Mapping[tuple[int, str], float]
    granules: Sequence[GranuleNote]
    gipp: Sequence[str]
    refining: Refining | None
    offset: int


def datastrip_xml(note: DatastripNote) -> bytes:
    """``*_MTD_L1B_DS_*.xml``."""
    root = Element(
        "n1:Level-1B_DataStrip_ID",
        {
            "xmlns:n1": f"{_PSD}/S2_PDI_Level-1B_Datastrip_Metadata.xsd",
            "datastripIdentifier": note.id,
            "xmlns:xsi": "http://www.w3.org/2001/XMLSchema-instance",
        },
    )
    _general(SubElement(root, "n1:General_Info"), note)
    image = SubElement(root, "n1:Image_Data_Info")
    detectors = SubElement(SubElement(image, "Granules_Information", metadataLevel="Standard"), "Detector_List")
    for number in sorted({granule.detector for granule in note.granules}):
        granules = SubElement(SubElement(detectors, "Detector", detectorId=number), "Granule_List")
        for granule in note.granules:
            if granule.detector == number:
                add(SubElement(granules, "Granule", granuleId=granule.id), "POSITION", granule.position + 1)
    _sensor(SubElement(image, "Sensor_Configuration"), note)
    radiometric = SubElement(image, "Radiometric_Info", metadataLevel="Standard")
    add(radiometric, "SWIR_REARRANGEMENT_PROC", False)
    if note.offset:
        offsets = SubElement(radiometric, "Radiometric_Offset_List")
        for band in MSI_BANDS.values():
            add(offsets, "RADIO_ADD_OFFSET", note.offset, band_id=str(band.number))
    _refining(SubElement(image, "Geometric_Info", metadataLevel="Standard"), note.refining)
    ancillary = SubElement(root, "n1:Satellite_Ancillary_Data_Info")
    _ephemeris(ancillary, note)
    _attitudes(ancillary, note)
    _auxiliary(SubElement(root, "n1:Auxiliary_Data_Info", metadataLevel="Standard"), note)
    return encode(root)


def granule_xml(granule: GranuleNote, datastrip_id: str, masks: Mapping[tuple[str, str], str]) -> bytes:
    """``*_MTD_L1B_GR_*.xml``; ``masks`` are names by kind and band."""
    root = Element(
        "n1:Level-1B_Granule_ID",
        {
            "xmlns:n1": f"{_PSD}/S2_PDI_Level-1B_Granule_Metadata.xsd",
            "xmlns:xsi": "http://www.w3.org/2001/XMLSchema-instance",
        },
    )
    general = SubElement(root, "n1:General_Info")
    add(general, "GRANULE_ID", granule.id, metadataLevel="Brief")
    add(general, "DETECTOR_ID", granule.detector, metadataLevel="Brief")
    add(general, "DATASTRIP_ID", datastrip_id, metadataLevel="Brief")
    add(general, "DOWNLINK_PRIORITY", "NOMINAL", metadataLevel="Standard")
    add(general, "SENSING_TIME", _utc(granule.sensing, "microseconds"), metadataLevel="Standard")
    geometric = SubElement(root, "n1:Geometric_Info")
    footprint = SubElement(geometric, "Granule_Footprint", metadataLevel="Brief")
    corners = SubElement(SubElement(footprint, "Granule_Footprint"), "Footprint")
    add(corners, "EXT_POS_LIST", " ".join(f"{lat:.15g} {lon:.15g} 0" for lon, lat in granule.ring))
    add(footprint, "RASTER_CS_TYPE", "POINT")
    add(footprint, "PIXEL_ORIGIN", 1)
    place = SubElement(geometric, "Granule_Position", metadataLevel="Standard")
    add(place, "POSITION", granule.position + 1)
    header = SubElement(place, "Geometric_Header")
    lon, lat = granule.ring[:4].mean(axis=0)
    add(header, "GROUND_CENTER", f"{lat:.15g} {lon:.15g} 0")
    for name, angles in (("Incidence_Angles", granule.view), ("Solar_Angles", granule.sun)):
        element = SubElement(header, name)
        add(element, "ZENITH_ANGLE", f"{angles[0]:.15g}", unit="deg")
        add(element, "AZIMUTH_ANGLE", f"{angles[1]:.15g}", unit="deg")
    sizes = SubElement(geometric, "Granule_Dimensions", metadataLevel="Standard")
    for resolution_m in (10, 20, 60):
        size = SubElement(sizes, "Size", resolution=str(resolution_m))
        add(size, "NROWS", granule.n_lines * 10 // resolution_m)
        add(size, "NCOLS", granule.n_samples * 10 // resolution_m)
    quality = SubElement(root, "n1:Quality_Indicators_Info", metadataLevel="Standard")
    content = SubElement(quality, "Image_Content_QI")
    add(content, "CLOUDY_PIXEL_PERCENTAGE", 0)
    add(content, "DEGRADED_MSI_DATA_PERCENTAGE", 0)
    pixels = SubElement(quality, "Pixel_Level_QI", geometry="FULL_RESOLUTION")
    for (kind, band), name in masks.items():
        number = str(MSI_BANDS[band].number)
        add(pixels, "MASK_FILENAME", name, bandId=number, detectorId=granule.detector, type=kind)
    return encode(root)


def _general(general: Element, note: DatastripNote) -> None:
    taken = f"G{note.platform}_{note.start:%Y%m%dT%H%M%S}_{note.absolute_orbit:06d}_N{note.baseline}"
    datatake = SubElement(general, "Datatake_Info", datatakeIdentifier=taken, metadataLevel="Brief")
    add(datatake, "SPACECRAFT_NAME", f"Sentinel-{note.platform[1:]}")
    add(datatake, "DATATAKE_TYPE", "INS-NOBS")
    add(datatake, "DATATAKE_SENSING_START", _utc(note.start))
    add(datatake, "SENSING_ORBIT_NUMBER", note.relative_orbit)
    add(datatake, "SENSING_ORBIT_DIRECTION", "ASCENDING" if note.ascending else "DESCENDING")
    times = SubElement(general, "Datastrip_Time_Info", metadataLevel="Brief")
    add(times, "DATASTRIP_SENSING_START", _utc(note.start))
    add(times, "DATASTRIP_SENSING_STOP", _utc(note.stop))
    processing = SubElement(general, "Processing_Info", metadataLevel="Expertise")
    add(processing, "PROCESSING_BASELINE", note.baseline)
    add(processing, "PROCESSING_CENTER", "DPRM")


def _sensor(sensor: Element, note: DatastripNote) -> None:
    acquisition = SubElement(sensor, "Acquisition_Configuration")
    active = SubElement(acquisition, "Active_Detectors_List", metadataLevel="Expertise")
    for detector in sorted({granule.detector for granule in note.granules}):
        add(active, "ACTIVE_DETECTOR", detector)
    settings = SubElement(acquisition, "TDI_Configuration_List", metadataLevel="Standard")
    for name in TDI_BANDS:
        add(settings, "TDI_CONFIGURATION", "APPLIED", bandId=str(MSI_BANDS[name].number))
    spectral = SubElement(acquisition, "Spectral_Band_Info")
    for name, gain in GAINS.items():
        info = SubElement(spectral, "Spectral_Band_Information", bandId=str(MSI_BANDS[name].number))
        add(info, "PHYSICAL_GAINS", str(gain), geometry="FULL_RESOLUTION", metadataLevel="Standard")
    stamps = SubElement(sensor, "Time_Stamp", metadataLevel="Standard", usedModel="EXOGENEOUS")
    add(stamps, "LINE_PERIOD", f"{LINE_PERIOD_S * 1e3:.9f}", unit="ms")
    for number in sorted({number for number, _ in note.first_line_s}):
        stamp = SubElement(stamps, "Band_Time_Stamp", bandId=str(number))
        for (of, detector), first_s in sorted(note.first_line_s.items()):
            if of == number:
                element = SubElement(stamp, "Detector", detectorId=detector)
                add(element, "REFERENCE_LINE", 1)
                add(element, "GPS_TIME", _gps(note.day, first_s))
    add(stamps, "GPS_SYNC", True)


def _refining(info: Element, refining: Refining | None) -> None:
    add(info, "RGM", "COMPUTED")
    SubElement(info, "Image_Refining", flag="NOT_REFINED" if refining is None else "REFINED")
    if refining is None:
        return
    corrections = SubElement(SubElement(info, "Refined_Corrections_List"), "Refined_Corrections")
    _polynomials(SubElement(corrections, "Spacecraft_Position"), refining.position_m)
    _correction(SubElement(corrections, "MSI_State"), refining.msi)
    for plane, correction in refining.focal_planes.items():
        _correction(SubElement(corrections, "Focal_Plane_State", focalPlaneId=plane), correction)


def _correction(element: Element, correction: Correction) -> None:
    _polynomials(SubElement(element, "Rotation"), correction.angles_rad)
    _polynomial(SubElement(SubElement(element, "Homothety"), "Z"), correction.z_scale)


def _polynomials(element: Element, polynomials: tuple[Polynomial, Polynomial, Polynomial]) -> None:
    for axis, polynomial in zip("XYZ", polynomials, strict=True):
        _polynomial(SubElement(element, axis), polynomial)


def _polynomial(element: Element, polynomial: Polynomial) -> None:
    add(element, "DEGREE", len(polynomial) - 1)
    add(element, "COEFFICIENTS", " ".join(f"{coefficient:.15g}" for coefficient in polynomial))


def _ephemeris(ancillary: Element, note: DatastripNote) -> None:
    points = SubElement(SubElement(ancillary, "Ephemeris", metadataLevel="Standard"), "GPS_Points_List")
    time = np.arange(note.known_s[0], note.known_s[1] + 1.0)
    for at, position, velocity in zip(time, note.flight.position(time), note.flight.velocity(time), strict=True):
        point = SubElement(points, "GPS_Point")
        # Real ones are whole millimetres: here what is read is to be what was flown, to a micrometre.
        add(point, "POSITION_VALUES", " ".join(f"{_MM * part:.3f}" for part in position), unit="mm")
        add(point, "VELOCITY_VALUES", " ".join(f"{_MM * part:.3f}" for part in velocity), unit="mm/s")
        add(point, "GPS_TIME", _gps(note.day, at))
        add(point, "NSM", "KALMAN_FILTER")


def _attitudes(ancillary: Element, note: DatastripNote) -> None:
    attitudes = SubElement(SubElement(ancillary, "Attitudes"), "Corrected_Attitudes", metadataLevel="Standard")
    count = round((note.known_s[1] - note.known_s[0]) / ATTITUDE_STEP_S) + 1
    time = np.round(note.known_s[0] + ATTITUDE_STEP_S * np.arange(count), 1)
    for at, quaternion in zip(time, note.flight.quaternions(time), strict=True):
        values = SubElement(attitudes, "Values")
        add(values, "QUATERNION_VALUES", " ".join(f"{part:.15f}" for part in quaternion))
        add(values, "QUATERNION_VALIDITY", True)
        add(values, "GPS_TIME", _gps(note.day, at))


def _auxiliary(auxiliary: Element, note: DatastripNote) -> None:
    pose = note.flight.pose
    bulletin = SubElement(auxiliary, "IERS_Bulletin")
    for name, content, unit in (
        ("UT1_UTC", pose.ut1_minus_utc_s, "s"),
        ("GPS_TIME_UTC", pose.gps_minus_utc_s, "s"),
        ("GPS_TIME_TAI", -19.0, "s"),
        ("POLE_U_ANGLE", pose.pole_x_arcsec, "arcsec"),
        ("POLE_V_ANGLE", pose.pole_y_arcsec, "arcsec"),
    ):
        add(bulletin, name, f"{content:.10g}", unit=unit)
    files = SubElement(auxiliary, "GIPP_List")
    for name in note.gipp:
        add(files, "GIPP_FILENAME", name, type=name[9:19], version="0001")
    add(auxiliary, "REFERENCE_BAND", MSI_BANDS["B04"].number)


def _gps(day: datetime, seconds: float) -> str:
    """As real ones: microseconds, where there are any."""
    return (day + timedelta(microseconds=round(seconds * 1e6))).isoformat()


def _utc(time: datetime, timespec: str = "milliseconds") -> str:
    return f"{time.isoformat(timespec=timespec)}Z"
