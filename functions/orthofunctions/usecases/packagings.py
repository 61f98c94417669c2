"""How the missions pack their products: the manifest, what in it decides pixels, and what name and manifest tell."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final
from xml.etree.ElementTree import Element

from orthocontracts.manifests import (
    SafeManifest,
    parse_safe_manifest,
    parse_sentinel2_manifest,
    parse_sentinel3_manifest,
)
from orthocontracts.outputs import Source
from orthocontracts.products import (
    ProductNameError,
    Sentinel2Name,
    Sentinel3Name,
    parse_product,
    parse_sentinel1,
    parse_sentinel2,
    parse_sentinel3,
)
from orthofunctions.domain.facts import ProductFacts
from orthofunctions.domain.faults import UnknownProductError
from orthofunctions.domain.footprints import SLIVER_M, widened


@dataclass(frozen=True)
class Packaging:
    """A mission's folders and zips.

    Attributes
    ----------
    manifest : str
        In the top folder; uploaded last.
    parse : callable
        Reads the manifest's root element; the second argument is the product's name for messages.
    decides_pixels : regular expression
        Members that must be there. Previews, reports and schemas may be left out of an upload.
    facts : callable
        What a plan needs to know.
    """

    manifest: str
    parse: Callable[[Element, str], SafeManifest]
    decides_pixels: re.Pattern[str]
    facts: Callable[[Source, SafeManifest], ProductFacts]


def packaging_of(ref: str) -> Packaging:
    """How a product is packed, by its name.

    Raises
    ------
    UnknownProductError
        Where it has no product's name, or that of a product that no images are made of.
    """
    try:
        name = parse_product(ref)
    except ProductNameError as error:
        raise UnknownProductError(str(error)) from error
    if isinstance(name, Sentinel2Name):
        return _SENTINEL2_L1B if name.level == "L1B" else _SENTINEL2
    if isinstance(name, Sentinel3Name):
        return _SENTINEL3
    if name.product_type not in ("GRDF", "GRDH", "GRDM"):
        raise UnknownProductError(f"{ref} is a Sentinel-1 {name.product_type}; this version makes images of GRD")
    return _SENTINEL1


STEEP_REACH_M: Final = {"S1": 11_000.0, "S2": 11_000.0}
"""Beams whose far edge is seen at 25 to 29 degrees: a mountain of 3 km shows there from 6.3 km further out, and on the
long sides of a frame of 80 x 170 km a ring is widened by six tenths of what is asked."""


def _sentinel1(source: Source, manifest: SafeManifest) -> ProductFacts:
    name = parse_sentinel1(source.ref)
    return ProductFacts(
        source=source,
        mission="sentinel-1",
        name=name.stem,
        pass_key=f"{name.pass_key}-{name.mode}",
        footprint_lonlat=manifest.footprint_lonlat,
        reach_lonlat=tuple(widened(manifest.footprint_lonlat, STEEP_REACH_M.get(name.mode, SLIVER_M))),
        start=manifest.start,
        stop=manifest.stop,
        orbit_direction=manifest.orbit_direction,
        relative_orbit=manifest.relative_orbit,
    )


ON_THE_MAP_M: Final = 1_000.0
"""How inexact the footprint of a product may be whose pixels lie on the map already."""


def _sentinel2(source: Source, manifest: SafeManifest) -> ProductFacts:
    name = parse_sentinel2(source.ref)
    return ProductFacts(
        source=source,
        mission="sentinel-2",
        name=name.stem,
        pass_key=name.pass_key,
        footprint_lonlat=manifest.footprint_lonlat,
        reach_lonlat=tuple(widened(manifest.footprint_lonlat, SLIVER_M if name.tile is None else ON_THE_MAP_M)),
        product_type=name.level,
        own_tile=name.tile,
        relative_orbit=name.relative_orbit,
    )


def _sentinel3(source: Source, manifest: SafeManifest) -> ProductFacts:
    name = parse_sentinel3(source.ref)
    return ProductFacts(
        source=source,
        mission="sentinel-3",
        name=name.stem,
        pass_key=name.pass_key,
        footprint_lonlat=manifest.footprint_lonlat,
        reach_lonlat=tuple(widened(manifest.footprint_lonlat, SLIVER_M)),
        product_type=name.product_type,
        orbit_direction=manifest.orbit_direction,
        relative_orbit=name.relative_orbit,
    )


_SENTINEL1: Final = Packaging(
    "manifest.safe", parse_safe_manifest, re.compile(r"(annotation|measurement)/"), _sentinel1
)
# True colour and preview images are pictures for people, reports are about processing.
_SENTINEL2: Final = Packaging(
    "manifest.safe",
    parse_sentinel2_manifest,
    re.compile(r"MTD_MSI\w+\.xml|GRANULE/[^/]+/(MTD_TL\.xml|IMG_DATA/(?!.*_TCI)|QI_DATA/MSK_)"),
    _sentinel2,
)
_SENTINEL2_L1B: Final = Packaging(
    "manifest.safe",
    parse_sentinel2_manifest,
    re.compile(r"(DATASTRIP/[^/]+/[^/]+\.xml|GRANULE/[^/]+/([^/]+\.xml|IMG_DATA/))"),
    _sentinel2,
)
# Meteorology, calibration, times, cartesian coordinates and scan indices go into no image; OLCI's tie points are the
# coarse copy of its coordinates.
_SENTINEL3: Final = Packaging(
    "xfdumanifest.xml",
    parse_sentinel3_manifest,
    re.compile(r"(?!tie_meteo|met_tx|viscal|time_|tie_geo_|removed_pixels|cartesian_|indices_)[^/]+\.nc$"),
    _sentinel3,
)
