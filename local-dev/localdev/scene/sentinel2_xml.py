"""Metadata of Sentinel-2 L1C and L2A products: what readers need of them, where real ones have it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from xml.etree.ElementTree import Element, SubElement

import numpy as np
import pyproj

from localdev.scene.ellipsoid import Float64Array
from localdev.scene.xml import add, encode

_PSD = "https://psd-14.sentinel2.eo.esa.int/PSD"
_CENTRAL_NM = (442.7, 492.7, 559.8, 664.6, 704.1, 740.5, 782.8, 832.8, 864.7, 945.1, 1373.5, 1613.7, 2202.4)
_HALF_WIDTH_NM = (10, 33, 18, 15, 8, 7, 10, 53, 11, 10, 15, 46, 88)
_NAMES = ("B1", "B2", "B3", "B4", "B5", "B6", "B7", "B8", "B8A", "B9", "B10", "B11", "B12")
SUN_ZENITH_DEG, SUN_AZIMUTH_DEG = 27.5, 148.25


@dataclass(frozen=True)
class TilePlace:
    """Where the images lie: a square from the tile's upper left corner, in pixels of 60 m."""

    tile: str
    epsg: int
    left_m: float
    top_m: float
    size_60m_px: int

    def n_px(self, resolution_m: int) -> int:
        """Pixels on a side."""
        return self.size_60m_px * 60 // resolution_m

    def centres(self, resolution_m: int) -> tuple[Float64Array, Float64Array]:
        """Easting of the columns' and northing of the rows' middle."""
        k = (np.arange(self.n_px(resolution_m), dtype=np.float64) + 0.5) * resolution_m
        return self.left_m + k, self.top_m - k

    def ring_lonlat(self) -> Float64Array:
        """The corners, closed."""
        side_m = self.size_60m_px * 60.0
        x = self.left_m + side_m * np.array([0, 0, 1, 1, 0])
        y = self.top_m - side_m * np.array([0, 1, 1, 0, 0])
        return np.stack(pyproj.Transformer.from_crs(self.epsg, "OGC:CRS84", always_xy=True).transform(x, y), axis=1)


def user_xml(
    stem: str,
    level: str,
    platform: str,
    sensing: datetime,
    baseline: str,
    relative_orbit: int,
    offset: int,
    images: Sequence[str],
    ring_lonlat: Float64Array,
) -> bytes:
    """``MTD_MSIL1C.xml`` or ``MTD_MSIL2A.xml``."""
    number = level.removeprefix("L")
    at = _time(sensing)
    root = Element(f"n1:Level-{number}_User_Product", {"xmlns:n1": f"{_PSD}/User_Product_Level-{number}.xsd"})
    general = SubElement(root, "n1:General_Info")
    info = SubElement(general, "Product_Info")
    for name, value in {
        "PRODUCT_START_TIME": at,
        "PRODUCT_STOP_TIME": at,
        "PRODUCT_URI": f"{stem}.SAFE",
        "PROCESSING_LEVEL": f"Level-{number}",
        "PRODUCT_TYPE": f"S2MSI{number}",
        "PROCESSING_BASELINE": baseline,
        "GENERATION_TIME": at,
    }.items():
        add(info, name, value)
    datatake = add(info, "Datatake", None, datatakeIdentifier=f"G{platform}_{sensing:%Y%m%dT%H%M%S}_046789_N{baseline}")
    add(datatake, "SPACECRAFT_NAME", f"Sentinel-{platform[1:]}")
    add(datatake, "DATATAKE_TYPE", "INS-NOBS")
    add(datatake, "DATATAKE_SENSING_START", at)
    add(datatake, "SENSING_ORBIT_NUMBER", relative_orbit)
    add(datatake, "SENSING_ORBIT_DIRECTION", "DESCENDING")
    granules = SubElement(SubElement(info, "Product_Organisation"), "Granule_List")
    granule = add(granules, "Granule", None, imageFormat="JPEG2000")
    for image in images:
        add(granule, "IMAGE_FILE", image)
    _characteristics(SubElement(general, "Product_Image_Characteristics"), level, offset)
    geometry = SubElement(root, "n1:Geometric_Info")
    outer = SubElement(SubElement(geometry, "Product_Footprint"), "Product_Footprint")
    footprint = SubElement(outer, "Global_Footprint")
    add(footprint, "EXT_POS_LIST", " ".join(f"{lat:.9f} {lon:.9f}" for lon, lat in ring_lonlat))
    add(SubElement(root, "n1:Quality_Indicators_Info"), "Cloud_Coverage_Assessment", "12.5")
    return encode(root)


def _characteristics(parent: Element, level: str, offset: int) -> None:
    for text, index in (("NODATA", 0), ("SATURATED", 65535)):
        special = SubElement(parent, "Special_Values")
        add(special, "SPECIAL_VALUE_TEXT", text)
        add(special, "SPECIAL_VALUE_INDEX", index)
    if level == "L1C":
        add(parent, "QUANTIFICATION_VALUE", 10_000, unit="none")
        offsets, name = SubElement(parent, "Radiometric_Offset_List"), "RADIO_ADD_OFFSET"
    else:
        values = SubElement(parent, "QUANTIFICATION_VALUES_LIST")
        add(values, "BOA_QUANTIFICATION_VALUE", 10_000, unit="none")
        add(values, "AOT_QUANTIFICATION_VALUE", "1000.0", unit="none")
        add(values, "WVP_QUANTIFICATION_VALUE", "1000.0", unit="cm")
        offsets, name = SubElement(parent, "BOA_ADD_OFFSET_VALUES_LIST"), "BOA_ADD_OFFSET"
    for band in range(13) if offset else ():
        add(offsets, name, offset, band_id=str(band))
    spectral = SubElement(parent, "Spectral_Information_List")
    for band, (name, centre, half) in enumerate(zip(_NAMES, _CENTRAL_NM, _HALF_WIDTH_NM, strict=True)):
        entry = add(spectral, "Spectral_Information", None, bandId=str(band), physicalBand=name)
        add(SubElement(entry, "Wavelength"), "CENTRAL", str(centre), unit="nm")
        response = SubElement(entry, "Spectral_Response")
        add(response, "STEP", 1, unit="nm")
        add(response, "VALUES", " ".join(["0.1", *["1"] * (2 * half), "0.1"]))


def tile_xml(
    place: TilePlace,
    level: str,
    platform: str,
    sensing: datetime,
    absolute_orbit: int,
    baseline: str,
    masks: Mapping[tuple[str, int], str],
) -> bytes:
    """``MTD_TL.xml``."""
    number = level.removeprefix("L")
    root = Element(f"n1:Level-{number}_Tile_ID", {"xmlns:n1": f"{_PSD}/S2_PDI_Level-{number}_Tile_Metadata.xsd"})
    general = SubElement(root, "n1:General_Info")
    made = f"{sensing:%Y%m%dT%H%M%S}"
    name = f"{platform}_OPER_MSI_{level}_TL_2APS_{made}_A{absolute_orbit:06d}_T{place.tile}_N{baseline}"
    add(general, "TILE_ID", name)
    add(general, "SENSING_TIME", _time(sensing))
    geometry = SubElement(root, "n1:Geometric_Info")
    coding = SubElement(geometry, "Tile_Geocoding")
    add(coding, "HORIZONTAL_CS_CODE", f"EPSG:{place.epsg}")
    for resolution_m in (10, 20, 60):
        size = add(coding, "Size", None, resolution=str(resolution_m))
        add(size, "NROWS", place.n_px(resolution_m))
        add(size, "NCOLS", place.n_px(resolution_m))
    for resolution_m in (10, 20, 60):
        position = add(coding, "Geoposition", None, resolution=str(resolution_m))
        add(position, "ULX", str(int(place.left_m)))
        add(position, "ULY", str(int(place.top_m)))
        add(position, "XDIM", resolution_m)
        add(position, "YDIM", -resolution_m)
    angles = SubElement(geometry, "Tile_Angles")
    sun = SubElement(angles, "Mean_Sun_Angle")
    add(sun, "ZENITH_ANGLE", str(SUN_ZENITH_DEG), unit="deg")
    add(sun, "AZIMUTH_ANGLE", str(SUN_AZIMUTH_DEG), unit="deg")
    views = SubElement(angles, "Mean_Viewing_Incidence_Angle_List")
    for band in range(13):
        view = add(views, "Mean_Viewing_Incidence_Angle", None, bandId=str(band))
        add(view, "ZENITH_ANGLE", "7.5", unit="deg")
        add(view, "AZIMUTH_ANGLE", "106.0", unit="deg")
    images = SubElement(SubElement(root, "n1:Quality_Indicators_Info"), "Pixel_Level_QI")
    for (kind, band), member in masks.items():
        add(images, "MASK_FILENAME", member, bandId=str(band), type=kind)
    return encode(root)


def manifest_xml(
    folder: Path,
    files: Sequence[str],
    level: str,
    platform: str,
    sensing: datetime,
    absolute_orbit: int,
    relative_orbit: int,
    ring_lonlat: Float64Array,
) -> bytes:
    """``manifest.safe``."""
    root = Element(
        "xfdu:XFDU",
        {
            "xmlns:gml": "http://www.opengis.net/gml",
            "xmlns:safe": "http://www.esa.int/safe/sentinel/1.1",
            "xmlns:xfdu": "urn:ccsds:schema:xfdu:1",
            "version": f"esa/safe/sentinel/1.1/sentinel-2/msi/archive_{level.lower()}_user_product",
        },
    )
    package = SubElement(root, "informationPackageMap")
    about = f"SENTINEL-2 MSI Level-{level[1:]} User Product"
    add(package, "xfdu:contentUnit", None, textInfo=about, unitType=f"Product_Level-{level[1:]}")
    section = SubElement(root, "metadataSection")

    def wrapped(name: str) -> Element:
        entry = add(section, "metadataObject", None, ID=name, category="DMD", classification="DESCRIPTION")
        return SubElement(SubElement(entry, "metadataWrap"), "xmlData")

    add(SubElement(wrapped("acquisitionPeriod"), "safe:acquisitionPeriod"), "safe:startTime", _time(sensing))
    orbit = SubElement(wrapped("measurementOrbitReference"), "safe:orbitReference")
    add(orbit, "safe:orbitNumber", f"{absolute_orbit:06d}", groundTrackDirection="descending", type="start")
    add(orbit, "safe:relativeOrbitNumber", relative_orbit, type="start")
    about_platform = SubElement(wrapped("platform"), "safe:platform")
    add(about_platform, "safe:familyName", "SENTINEL")
    add(about_platform, "safe:number", platform[1:])
    prints = SubElement(SubElement(wrapped("measurementFrameSet"), "safe:frameSet"), "safe:footPrint")
    add(prints, "gml:coordinates", " ".join(f"{lat:.12f} {lon:.12f}" for lon, lat in ring_lonlat))
    data = SubElement(root, "dataObjectSection")
    for member in files:
        content = (folder / member).read_bytes()
        entry = add(data, "dataObject", None, ID=member.replace("/", "_"))
        stream = add(entry, "byteStream", None, mimeType="application/octet-stream", size=str(len(content)))
        add(stream, "fileLocation", None, locatorType="URL", href=f"./{member}")
        add(stream, "checksum", hashlib.sha3_256(content).hexdigest(), checksumName="SHA3-256")
    return encode(root)


def _time(moment: datetime) -> str:
    return f"{moment.isoformat(timespec='milliseconds')}Z"
