"""What a CEOS-ARD Item says of its files: role, bits, byte order, and what the bits of the mask mean."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from orthokernel.result import MaskBit

_ROLES = {
    "data": "backscatter",
    "mask": "data-mask",
    "local_incidence": "local-incidence-angle",
    "scattering_area": "contributing-area",
    "acquisition": "acquisition-id",
}
"""By the asset's key; names of the extension card4l."""

_RATIOS = frozenset({"data", "scattering_area"})

_BITS = {
    MaskBit.VALID: ("valid", "some band has a value"),
    MaskBit.SEA: ("no_dem", "no DEM there: the height is the geoid's"),
    MaskBit.FILLED: ("dem_filled", "a void of the DEM, filled from its surroundings"),
    MaskBit.SHADOW: ("shadow", "behind a mountain: invalid"),
    MaskBit.LAYOVER: ("layover", "echoes of several places at once: invalid"),
    MaskBit.NOISE_FLOOR: ("noise_floor", "nothing is left above the noise in some band"),
}


def described_assets(assets: Mapping[str, Any], sources: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The assets with role, unit, bits a sample and byte order; the mask's bits and the acquisitions by name.

    Assets without ``raster:bands``, such as the browse image, stay as they are.
    """
    return {key: _described(key, asset, sources) if "raster:bands" in asset else asset for key, asset in assets.items()}


def _described(key: str, asset: Mapping[str, Any], sources: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    unit = {"unit": "1"} if key in _RATIOS else {}
    bands = [
        {**unit, **band, "bits_per_sample": 8 * np.dtype(band["data_type"]).itemsize} for band in asset["raster:bands"]
    ]
    roles = list(dict.fromkeys([*asset["roles"], *([_ROLES[key]] if key in _ROLES else [])]))
    made = {**asset, "roles": roles, "raster:bands": bands, "file:byte_order": "little-endian"}
    if key == "data":
        names = [band["name"].upper() for band in bands if "name" in band]
        made["sar:polarizations"] = names
    if key == "mask":
        made["classification:bitfields"] = _bitfields()
    if key == "acquisition":
        made["classification:classes"] = [
            {"value": source["acquisition_id"], "name": f"acquisition_{source['acquisition_id']}",
             "description": source["id"]}
            for source in sources
        ]  # fmt: skip
    return made


def _bitfields() -> list[dict[str, Any]]:
    return [
        {
            "name": name,
            "description": meaning,
            "offset": int(bit).bit_length() - 1,
            "length": 1,
            "classes": [
                {"value": 0, "name": f"not_{name}", "description": "no"},
                {"value": 1, "name": name, "description": "yes"},
            ],
        }
        for bit, (name, meaning) in _BITS.items()
    ]
