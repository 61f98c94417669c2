"""The collections of the catalogue: one for each mission and radiometry. Pure."""

from __future__ import annotations

from functools import cache
from typing import Any, Final

from orthofunctions.domain.items import COG, STAC_VERSION

_ITEM_ASSETS: Final = "https://stac-extensions.github.io/item-assets/v1.0.0/schema.json"
_COPERNICUS: Final = "https://sentinels.copernicus.eu/documents/247904/690755/Sentinel_Data_Legal_Notice"
_ESA: Final = {"name": "ESA", "roles": ["producer", "licensor"], "url": "https://sentinels.copernicus.eu"}

_MISSIONS: Final[dict[str, dict[str, Any]]] = {
    "sentinel-1": {
        "title": "Sentinel-1 GRD",
        "since": "2014-04-03T00:00:00Z",
        "summaries": {
            "constellation": ["sentinel-1"],
            "platform": ["sentinel-1a", "sentinel-1b", "sentinel-1c", "sentinel-1d"],
            "instruments": ["c-sar"],
        },
        "radiometries": ("sigma0", "beta0", "gamma0", "gamma0_rtc", "dn"),
    },
    "sentinel-2": {
        "title": "Sentinel-2",
        "since": "2015-06-23T00:00:00Z",
        "summaries": {
            "constellation": ["sentinel-2"],
            "platform": ["sentinel-2a", "sentinel-2b", "sentinel-2c", "sentinel-2d"],
            "instruments": ["msi"],
        },
        "radiometries": ("reflectance", "physical", "dn"),
    },
    "sentinel-3": {
        "title": "Sentinel-3 OLCI and SLSTR",
        "since": "2016-02-16T00:00:00Z",
        "summaries": {
            "constellation": ["sentinel-3"],
            "platform": ["sentinel-3a", "sentinel-3b", "sentinel-3c", "sentinel-3d"],
            "instruments": ["olci", "slstr"],
        },
        "radiometries": ("physical", "dn"),
    },
    "rpc": {
        "title": "Images with rational polynomial coefficients",
        "since": None,
        "summaries": {},
        "radiometries": ("dn",),
    },
}
_RADIOMETRIES: Final = {
    "dn": "digital numbers as delivered",
    "beta0": "radar brightness, beta nought",
    "sigma0": "backscatter coefficient, sigma nought, on the ellipsoid",
    "gamma0": "backscatter coefficient, gamma nought, on the ellipsoid",
    "gamma0_rtc": "terrain-flattened backscatter coefficient, gamma nought: CEOS-ARD Normalised Radar Backscatter",
    "reflectance": "reflectance: at the top of the atmosphere from level 1C, of the surface from level 2A; "
    "orthoburst:source_type says which",
    "physical": "physical quantities in their units",
}


def collection_ids() -> tuple[str, ...]:
    return tuple(_known())


def collection_document(collection: str) -> dict[str, Any] | None:
    """A STAC Collection but for its links to where it is served; None where there is none of that name."""
    found = _known().get(collection)
    if found is None:
        return None
    mission, radiometry = found
    about = _MISSIONS[mission]
    is_copernicus = mission != "rpc"
    return {
        "type": "Collection",
        "stac_version": STAC_VERSION,
        "stac_extensions": [_ITEM_ASSETS],
        "id": collection,
        "title": f"{about['title']}: {radiometry.replace('_', '-')}, orthorectified",
        "description": f"Orthorectified images of {about['title']}: {_RADIOMETRIES[radiometry]}.",
        "keywords": [mission, radiometry, "orthorectified", "analysis-ready"],
        "license": "proprietary",
        "providers": [
            *([_ESA] if is_copernicus else []),
            {"name": "orthoburst", "roles": ["processor", "host"]},
        ],
        "extent": {
            "spatial": {"bbox": [[-180.0, -90.0, 180.0, 90.0]]},
            "temporal": {"interval": [[about["since"], None]]},
        },
        "summaries": {**about["summaries"], "orthoburst:radiometry": [radiometry]},
        "item_assets": _item_assets(),
        "links": [
            {
                "rel": "license",
                "href": _COPERNICUS,
                "type": "application/pdf",
                "title": "Legal notice on the use of Copernicus Sentinel data",
            }
        ]
        if is_copernicus
        else [],
    }


@cache
def _known() -> dict[str, tuple[str, str]]:
    return {
        f"{mission}-{radiometry}".replace("_", "-"): (mission, radiometry)
        for mission, about in _MISSIONS.items()
        for radiometry in about["radiometries"]
    }


def _item_assets() -> dict[str, Any]:
    return {
        "data": {"type": COG, "roles": ["data"], "title": "the image, a band for each quantity"},
        "mask": {"type": COG, "roles": ["metadata"], "title": "where there are data, and where heights are from"},
        "thumbnail": {"type": "image/png", "roles": ["thumbnail", "overview"], "title": "a small picture of it"},
    }
