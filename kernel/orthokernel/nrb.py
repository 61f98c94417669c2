"""What CEOS-ARD Normalised Radar Backscatter asks of the STAC Item of terrain-flattened gamma0.

Every field and where it comes from is in ``docs/ceos-ard-nrb.md``; a test holds the two together. An Item names the
specification as its own only where nothing of the threshold level is missing; else `Nrb.missing` says what is.

Source: "CEOS-ARD Product Family Specification: Synthetic Aperture Radar", version 1.1 (2024), whose item numbers are
used here; STAC extension ceos-ard 0.2.0. Where extension card4l 0.1.0 (SAR) has a name for a field it is used. That
extension itself is not declared: its schema asks for version 5.5 of the former specification, for older versions of
other extensions than ours, and for addresses of the DEM and geoid that we do not know.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import pyproj

from orthocontracts.products import ProductNameError, parse_sentinel1
from orthokernel.grid import Grid
from orthokernel.nrb_assets import described_assets
from orthokernel.nrb_sources import accuracy_of, source_of

SPECIFICATION_VERSION = "1.1"
_DOCUMENT = "https://ceos.org/ard/files/PFS/SAR/v1.1/CEOS-ARD_PFS_Synthetic_Aperture_Radar_v1.1.pdf"
_NOISE_REMOVAL = (
    "https://sentiwiki.copernicus.eu/__attachments/1673968/"
    "DI-MPC-TN-MPC-0392%20-%20Thermal%20Denoising%20of%20Products%20Generated%20by%20Sentinel-1%20IPF%202024%20-%202.3.pdf"
)
_GEOCODING_GUIDE = "https://sentinel.esa.int/documents/247904/1653442/Guide-to-Sentinel-1-Geocoding.pdf"
_FLATTENING = (
    ("https://doi.org/10.1109/TGRS.2011.2120616", "Small 2011: flattened gamma0 by area"),
    ("https://doi.org/10.1109/TGRS.2022.3147472", "Shiroma et al. 2022: area projection"),
)
_COPERNICUS_DEM = "https://doi.org/10.5270/ESA-c5d3d65"
_ARCHIVE = "https://catalogue.dataspace.copernicus.eu/odata/v1/Products?$filter=Name%20eq%20"
_PDF = "application/pdf"
_SNAPPED_PX = 1e-6

_ASKED_OF_SOURCES = (
    ("1.6.2 instrument", ("platform", "instruments")),
    ("1.6.3 acquisition time", ("start_time",)),
    ("1.6.4 acquisition parameters", ("center_frequency_ghz", "mode", "polarisations", "looking", "swath")),
    ("1.6.5 orbit", ("orbit_direction", "orbit_data_source")),
    ("1.6.6 processing parameters", ("processing_facility", "processed_time", "ipf_version", "looks")),
    (
        "1.6.7 image attributes",
        (
            "line_spacing_m",
            "sample_spacing_m",
            "azimuth_resolution_m",
            "range_resolution_m",
            "incidence_near_deg",
            "incidence_far_deg",
        ),
    ),
    ("1.6.9 performance indicators", ("noise_equivalent_sigma0_at_most_db",)),
)


@dataclass(frozen=True)
class Nrb:
    """Parts of an Item.

    Attributes
    ----------
    properties : dict
    links : list of dict
    assets : dict
        Those given, with what the specification wants said of each.
    missing : tuple of str
        Items of the threshold level that are not met, by number; empty where all are.
    """

    properties: dict[str, Any]
    links: list[dict[str, str]]
    assets: dict[str, Any]
    missing: tuple[str, ...]


def normalised_backscatter(
    facts: Mapping[str, Any],
    grid: Grid,
    tile: str | None,
    resampling: str,
    assets: Mapping[str, Any],
    facility: str | None,
) -> Nrb:
    """What the Item of a terrain-flattened image has beside what every Item has.

    Parameters
    ----------
    facts : mapping
        `OrthoResult.properties`.
    grid : Grid
    tile : str or None
        The MGRS tile that the grid is.
    resampling : str
    assets : mapping
        Of the Item: ``data``, ``mask`` and the extra files, by key.
    facility : str or None
        Who runs the kernel.
    """
    products: Sequence[Mapping[str, Any]] = facts["products"]
    sources = [source_of(product, number) for number, product in enumerate(products, 1)]
    gridding = _gridding(grid, tile)
    accuracy = accuracy_of(sources)
    kinds = [source["orbit_data_source"] for source in sources if "orbit_data_source" in source]
    files = [source["orbit_data_file"] for source in sources if "orbit_data_file" in source]
    missing = [*_missing_sources(sources), *_missing(facts, assets, facility, gridding, accuracy)]
    linear = facts.get("scale", "linear") == "linear"
    properties: dict[str, Any] = {
        "gsd": grid.spacing_m,
        "processing:facility": facility,
        "proj:wkt2": grid.crs.to_wkt(pyproj.enums.WktVersion.WKT2_2019),
        "sar:product_type": "NRB",
        "orthoburst:number_of_acquisitions": len(sources),
        "orthoburst:sources": sources,
        "card4l:orbit_data_source": ", ".join(dict.fromkeys(kinds)) or None,
        "card4l:orbit_data_file": ", ".join(dict.fromkeys(files)) or None,
        "orthoburst:speckle_filter_applied": False,
        "card4l:pixel_coordinate_convention": "upper-left",
        "card4l:measurement_type": "gamma0",
        "card4l:measurement_convention": "linear power" if linear else "decibel",
        "card4l:conversion_eq": "10*log10(DN)" if linear else "DN",
        "card4l:noise_removal_applied": bool(facts["noise_removal"]),
        "card4l:resampling_method": resampling,
        "card4l:dem_resampling_method": "bilinear",
        "card4l:egm_resampling_method": "bilinear" if facts["terrain"].get("geoid") else None,
        "card4l:gridding_convention": gridding,
        **accuracy,
    }
    if missing:
        properties["orthoburst:nrb_missing"] = missing
    else:
        properties["ceosard:type"] = "radar"
        properties["ceosard:specification"] = "NRB"
        properties["ceosard:specification_version"] = SPECIFICATION_VERSION
    return Nrb(
        {key: value for key, value in properties.items() if value is not None},
        _links(sources, facts),
        described_assets(assets, properties["orthoburst:sources"]),
        tuple(missing),
    )


def _missing_sources(sources: Sequence[Mapping[str, Any]]) -> list[str]:
    missing = [
        f"{item}: {', '.join(lost)} of {source['id']}"
        for source in sources
        for item, keys in _ASKED_OF_SOURCES
        if (lost := [key for key in keys if key not in source])
    ]
    return missing + [
        f"1.6.1 source data access: {source['id']} is not a product name"
        for source in sources
        if _archived(source["id"]) is None
    ]


def _missing(
    facts: Mapping[str, Any],
    assets: Mapping[str, Any],
    facility: str | None,
    gridding: str | None,
    accuracy: Mapping[str, Any],
) -> list[str]:
    tests = (
        (facility, "1.7.1 product data access: no processing facility, name it as `facility`"),
        ("local_incidence" in assets, "2.4 local incident angle image: ask for the extra file local_incidence"),
        (
            len(facts["products"]) == 1 or "acquisition" in assets,
            "2.8 acquisition ID image: ask for the extra file acquisition",
        ),
        (facts.get("scale", "linear") == "linear", "3.1 backscatter measurements: in decibels"),
        ("constant_height_m" not in facts["terrain"], "4.2 digital elevation model: a constant height"),
        (accuracy, "4.3 geometric accuracy: no figures for this satellite or orbit"),
        (gridding, "4.5 gridding convention: the grid's edges are no multiples of its spacing"),
    )
    return [what for met, what in tests if not met]


def _gridding(grid: Grid, tile: str | None) -> str | None:
    """How the grid was laid; None where its edges follow no rule."""
    if tile is not None:
        return f"Sentinel-2 tile {tile} of the Military Grid Reference System: its upper left corner, 109.8 km a side"
    step = grid.transform
    if step.b or step.d:
        return None
    steps = step.c / step.a, step.f / step.e
    if any(not math.isclose(value, round(value), abs_tol=_SNAPPED_PX) for value in steps):
        return None
    return "pixel edges at whole multiples of the spacing from the origin of the coordinate system"


def _links(sources: Sequence[Mapping[str, Any]], facts: Mapping[str, Any]) -> list[dict[str, str]]:
    links = [{"rel": "ceos-ard-specification", "href": _DOCUMENT, "type": _PDF}]
    for source in sources:
        href = _archived(source["id"])
        if href is not None:
            links.append({"rel": "derived_from", "href": href, "type": "application/json", "title": source["id"]})
    links += [{"rel": "radiometric-terrain-correction", "href": href, "title": title} for href, title in _FLATTENING]
    if facts["noise_removal"]:
        links.append({"rel": "noise-removal", "href": _NOISE_REMOVAL, "type": _PDF, "title": "MPC-0392"})
    links.append({"rel": "geometric-accuracy", "href": _GEOCODING_GUIDE, "type": _PDF, "title": "UZH-S1-GC-AD"})
    dem = facts["terrain"].get("dem", ())
    if dem and all(name.startswith("Copernicus_DSM") for name in dem):
        links.append({"rel": "surface-model", "href": _COPERNICUS_DEM, "title": "Copernicus DEM"})
    return links


def _archived(product_id: str) -> str | None:
    """Query for a product by its name in the archive; None for what is not named as the archive names its products.

    Source: Copernicus Data Space Ecosystem, OData API, "Query by name". Nobody is asked here.
    """
    try:
        parse_sentinel1(product_id)
    except ProductNameError:
        return None
    return f"{_ARCHIVE}%27{quote(product_id)}.SAFE%27"
