"""What the metadata of an L1C or L2A product say: the user product's, and its tile's.

Source: "Sentinel-2 Products Specification Document", S2-PDGS-TAS-DI-PSD, issue 14.9, sections 4.6 to 4.9.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from orthokernel.errors import AnnotationError
from orthokernel.grid import Grid
from orthokernel.safexml import XmlDocument
from orthokernel.sentinel2.bands import BY_NUMBER

Float64Array = NDArray[np.float64]

COMMON_NAMES = {
    "b01": "coastal", "b02": "blue", "b03": "green", "b04": "red", "b05": "rededge", "b06": "rededge",
    "b07": "rededge", "b08": "nir", "b8a": "nir08", "b09": "nir09", "b10": "cirrus", "b11": "swir16", "b12": "swir22",
}  # fmt: skip


@dataclass(frozen=True)
class UserProduct:
    """The metadata of a product.

    Attributes
    ----------
    level : {"L1C", "L2A"}
    images : tuple of str
        Members, without ending.
    quantification : float
        ``reflectance = (pixel + offset) / quantification``.
    offsets : mapping of band to float
        Zero before processing baseline 04.00.
    no_data : float
    ring : (K, 2) float64 or None
        Footprint, ``lon_deg, lat_deg``.
    eo_bands : mapping of band to its wavelengths
    facts : mapping
        See `Product.properties`.
    """

    level: str
    images: tuple[str, ...]
    quantification: float
    aerosol_quantification: float
    vapour_quantification: float
    offsets: Mapping[str, float]
    no_data: float
    ring: Float64Array | None
    eo_bands: Mapping[str, Mapping[str, Any]]
    facts: Mapping[str, Any]


def parse_user_product(content: bytes, source: str) -> UserProduct:
    """Read ``MTD_MSIL1C.xml`` or ``MTD_MSIL2A.xml``.

    Raises
    ------
    UnsafeXmlError, MalformedXmlError, AnnotationError
    """
    document = XmlDocument.parse(content, source)
    level = document.text(".//PROCESSING_LEVEL").removeprefix("Level-")
    granules = document.find_all(".//Granule_List/Granule") or document.find_all(".//Granule_List/Granules")
    if len(granules) != 1:
        raise AnnotationError(source, f"{len(granules)} granules", "one tile a product, as there is since 2016")
    quantification, offset = (
        ("BOA_QUANTIFICATION_VALUE", "BOA_ADD_OFFSET")
        if level == "2A"
        else ("QUANTIFICATION_VALUE", "RADIO_ADD_OFFSET")
    )
    offsets = dict.fromkeys(BY_NUMBER.values(), 0.0)
    for entry in document.find_all(f".//{offset}"):
        name = BY_NUMBER.get(entry.element.get("band_id", ""))
        if name is None:
            raise AnnotationError(source, f"<{offset}> of band {entry.element.get('band_id')!r}", "band_id 0 to 12")
        offsets[name] = entry.number(".")
    baseline = document.text(".//PROCESSING_BASELINE")
    if tuple(int(part) for part in re.findall(r"\d+", baseline)) >= (4, 0) and not document.find_all(f".//{offset}"):
        raise AnnotationError(source, f"no <{offset}>", f"one for each band, as baseline {baseline} has them")
    return UserProduct(
        level=f"L{level}",
        images=tuple(entry.text(".") for entry in granules[0].find_all("IMAGE_FILE")),
        quantification=_divisor(document, quantification),
        aerosol_quantification=_divisor(document, "AOT_QUANTIFICATION_VALUE") if level == "2A" else 1.0,
        vapour_quantification=_divisor(document, "WVP_QUANTIFICATION_VALUE") if level == "2A" else 1.0,
        offsets=offsets,
        no_data=_no_data(document),
        ring=_footprint(document),
        eo_bands=_eo_bands(document),
        facts=_facts(document, baseline, level),
    )


def _divisor(document: XmlDocument, name: str) -> float:
    value = document.number(f".//{name}")
    if value <= 0:
        raise AnnotationError(document.source, f"<{name}> is {value:g}", "a positive number")
    return value


def _no_data(document: XmlDocument) -> float:
    for entry in document.find_all(".//Special_Values"):
        if entry.text("SPECIAL_VALUE_TEXT") == "NODATA":
            return entry.number("SPECIAL_VALUE_INDEX")
    return 0.0


def _footprint(document: XmlDocument) -> Float64Array | None:
    if document.optional_text(".//EXT_POS_LIST") is None:
        return None
    numbers = document.numbers(".//EXT_POS_LIST")
    if numbers.size % 2 or numbers.size < 8:
        raise AnnotationError(document.source, f"<EXT_POS_LIST> of {numbers.size} numbers", "pairs, four or more")
    lat_deg, lon_deg = numbers.reshape(-1, 2).T
    ring = np.stack([np.unwrap(lon_deg, period=360.0), lat_deg], axis=1)
    x, y = ring[:, 0] - ring[0, 0], ring[:, 1] - ring[0, 1]
    return ring if np.sum(x[:-1] * y[1:] - x[1:] * y[:-1]) > 0 else ring[::-1].copy()


def _eo_bands(document: XmlDocument) -> dict[str, dict[str, Any]]:
    """Wavelengths, of which the width at half maximum is that of the annotated spectral response."""
    found: dict[str, dict[str, Any]] = {name: {"common_name": common} for name, common in COMMON_NAMES.items()}
    for entry in document.find_all(".//Spectral_Information"):
        name = BY_NUMBER.get(entry.element.get("bandId", ""))
        if name is None:
            continue
        found[name]["center_wavelength_um"] = round(entry.number("Wavelength/CENTRAL") * 1e-3, 5)
        if entry.optional_text("Spectral_Response/VALUES") is not None:
            response, step_nm = entry.numbers("Spectral_Response/VALUES"), entry.number("Spectral_Response/STEP")
            above = np.flatnonzero(response >= 0.5 * response.max())
            found[name]["full_width_half_max_um"] = round(float(above[-1] - above[0] + 1) * step_nm * 1e-3, 5)
    return found


def _facts(document: XmlDocument, baseline: str, level: str) -> dict[str, Any]:
    cloud = document.optional_text(".//Cloud_Coverage_Assessment")
    datatake = document.find(".//Datatake")
    return {
        "constellation": "sentinel-2",
        "platform": document.text(".//SPACECRAFT_NAME").lower(),
        "instruments": ["msi"],
        "processing_level": f"L{level}",
        "processing_baseline": baseline,
        "product_type": document.text(".//PRODUCT_TYPE"),
        "relative_orbit": document.integer(".//SENSING_ORBIT_NUMBER"),
        "orbit_direction": document.text(".//SENSING_ORBIT_DIRECTION").lower(),
        "datatake_id": datatake.element.get("datatakeIdentifier"),
        "datatake_start_time": document.text(".//DATATAKE_SENSING_START"),
        **({} if cloud is None else {"cloud_cover_percent": float(cloud)}),
    }


@dataclass(frozen=True)
class Tile:
    """The metadata of a tile.

    Attributes
    ----------
    sensing_time : str
        UTC.
    grids : mapping of resolution in metres to Grid
    masks : mapping of (type, band or "") to member
    facts : mapping
        See `Product.properties`.
    """

    id: str
    sensing_time: str
    grids: Mapping[int, Grid]
    masks: Mapping[tuple[str, str], str]
    facts: Mapping[str, Any]


def parse_tile(content: bytes, source: str) -> Tile:
    """Read ``MTD_TL.xml``.

    Raises
    ------
    UnsafeXmlError, MalformedXmlError, AnnotationError
    """
    document = XmlDocument.parse(content, source)
    name = document.text(".//TILE_ID")
    absolute = re.search(r"_A(\d{6})_", name)
    document.time_utc(".//SENSING_TIME")
    return Tile(
        id=name,
        sensing_time=document.text(".//SENSING_TIME"),
        grids=_grids(document),
        masks={
            (entry.element.get("type", ""), BY_NUMBER.get(entry.element.get("bandId", ""), "")): entry.text(".")
            for entry in document.find_all(".//MASK_FILENAME")
        },
        facts={
            **({"absolute_orbit": int(absolute[1])} if absolute else {}),
            **_angles(document),
        },
    )


def _grids(document: XmlDocument) -> dict[int, Grid]:
    crs, source = document.text(".//HORIZONTAL_CS_CODE"), document.source
    grids = {}
    for place in document.find_all(".//Geoposition"):
        resolution = place.element.get("resolution", "")
        size = next((one for one in document.find_all(".//Size") if one.element.get("resolution") == resolution), None)
        if size is None or not resolution.isdigit():
            raise AnnotationError(source, f"no <Size resolution={resolution!r}>", "one for each <Geoposition>")
        x_m, y_m = place.number("XDIM"), -place.number("YDIM")
        if x_m != float(resolution) or y_m != float(resolution):
            raise AnnotationError(source, f"pixels of {x_m:g} x {y_m:g} m", f"{resolution} m, north up")
        left, top = place.number("ULX"), place.number("ULY")
        n_rows, n_cols = size.integer("NROWS"), size.integer("NCOLS")
        grids[int(resolution)] = Grid.from_bounds(crs, (left, top - n_rows * y_m, left + n_cols * x_m, top), x_m)
    if not grids:
        raise AnnotationError(source, "no <Geoposition>", "the tile's place on the map")
    return grids


def _angles(document: XmlDocument) -> dict[str, float]:
    """At the tile's centre: of the sun, and of the view, the mean over bands."""
    facts = {}
    if document.optional_text(".//Mean_Sun_Angle/ZENITH_ANGLE") is not None:
        facts["sun_elevation_deg"] = 90.0 - document.number(".//Mean_Sun_Angle/ZENITH_ANGLE")
        facts["sun_azimuth_deg"] = document.number(".//Mean_Sun_Angle/AZIMUTH_ANGLE")
    views = document.find_all(".//Mean_Viewing_Incidence_Angle")
    if views:
        zenith = np.radians([view.number("ZENITH_ANGLE") for view in views])
        azimuth = np.radians([view.number("AZIMUTH_ANGLE") for view in views])
        east, north = np.sum(np.sin(zenith) * np.sin(azimuth)), np.sum(np.sin(zenith) * np.cos(azimuth))
        facts["view_incidence_deg"] = float(np.degrees(zenith.mean()))
        facts["view_azimuth_deg"] = float(np.degrees(np.arctan2(east, north)) % 360.0)
    return facts
