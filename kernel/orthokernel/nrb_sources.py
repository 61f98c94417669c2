"""What a CEOS-ARD Item says of each Sentinel-1 product it was made from, and how well such products are placed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from orthocontracts.orbits import KINDS, ORBIT_NAME

_RESOLUTION_M = {
    ("IW", "high"): (20.0, 22.0),
    ("IW", "medium"): (88.0, 87.0),
    ("EW", "high"): (50.0, 50.0),
    ("EW", "medium"): (93.0, 87.0),
    ("SM", "full"): (9.0, 9.0),
    ("SM", "high"): (23.0, 23.0),
    ("SM", "medium"): (84.0, 84.0),
}
"""In range and azimuth: mid-range, mid-orbit, mean of the swaths.

Source: ESA, Sentinel-1 SAR technical guide, "Level-1 GRD products", table of product resolutions by mode.
"""

_NESZ_AT_MOST_DB = -22.0
"""The mission's requirement for every mode of GRD. Source: ESA, Sentinel-1 SAR user guide, acquisition modes."""

_LOCATION_ERROR_M = {
    "IW": ((2.03, 0.53), (-2.99, 0.22)),
    "EW": ((1.37, 2.27), (-3.41, 0.70)),
    "SM": ((2.02, 0.41), (-3.02, 0.26)),
}
"""Mean and standard deviation in azimuth, and in slant range: SLC products as they come, at corner reflectors.

The range bias is mostly the delay in the atmosphere, which we leave in as the products do. Source: D. Small and
A. Schubert, "Guide to Sentinel-1 Geocoding", UZH-S1-GC-AD, as taken over by the S1-NRB processor s1ard
(``SLC_ACC_MAP``). Sentinel-1A and 1B.
"""
_MEASURED_PLATFORMS = frozenset({"sentinel-1a", "sentinel-1b"})
_MEASURED_ORBITS = frozenset({"precise", "restituted"})

_TAKEN = (
    "id",
    "platform",
    "instruments",
    "start_time",
    "stop_time",
    "mode",
    "swath",
    "polarisations",
    "looking",
    "orbit_direction",
    "absolute_orbit",
    "relative_orbit",
    "heading_deg",
    "processing_facility",
    "processed_time",
    "ipf_version",
    "product_type",
    "looks",
    "line_spacing_m",
    "sample_spacing_m",
    "incidence_near_deg",
    "incidence_far_deg",
)


def source_of(product: Mapping[str, Any], acquisition_id: int) -> dict[str, Any]:
    """Source attributes (items 1.6 to 1.6.9) of one product; what it does not say is left out.

    Parameters
    ----------
    product : mapping
        One of ``OrthoResult.properties["products"]``.
    acquisition_id : int
        From 1, as in the acquisition image.
    """
    kind, file = _orbit(product)
    resolution = _RESOLUTION_M.get((product.get("mode", ""), product.get("resolution_class", "")))
    frequency_hz = product.get("radar_frequency_hz")
    source = {
        "acquisition_id": acquisition_id,
        **{key: product.get(key) for key in _TAKEN},
        "frequency_band": "C",
        "center_frequency_ghz": round(frequency_hz / 1e9, 6) if frequency_hz else None,
        "orbit_data_source": kind,
        "orbit_data_file": file,
        "product_level": "L1",
        "geometry": "ground-range",
        "range_resolution_m": resolution[0] if resolution else None,
        "azimuth_resolution_m": resolution[1] if resolution else None,
        "noise_equivalent_sigma0_at_most_db": _NESZ_AT_MOST_DB if "mode" in product else None,
    }
    return {key: value for key, value in source.items() if value is not None}


def _orbit(product: Mapping[str, Any]) -> tuple[str | None, str | None]:
    """Kind and file of the orbit that was used: an annotated orbit is of the kind of the file it came from."""
    used = product.get("orbit_source") or {}
    if used.get("kind") != "annotation":
        return used.get("kind"), used.get("file")
    file = product.get("annotated_orbit_file")
    named = ORBIT_NAME.fullmatch(file) if file else None
    return (KINDS[named["kind"].upper()], file) if named else ("annotated, of unknown source", None)


def accuracy_of(sources: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Item 4.3 as fields of the Item; empty where nobody has measured such products.

    Of several products the first speaks: they are of one pass, so of one satellite and mode.
    """
    first = sources[0]
    errors_m = _LOCATION_ERROR_M.get(first.get("mode", ""))
    known = all(
        source.get("platform") in _MEASURED_PLATFORMS and source.get("orbit_data_source") in _MEASURED_ORBITS
        for source in sources
    )
    if errors_m is None or not known:
        return {}
    azimuth, slant_range = ({"bias": bias, "stddev": deviation} for bias, deviation in errors_m)
    return {
        # In slant range "northern" is the line's and "eastern" the sample's direction, says the extension.
        "card4l:geometric_accuracy_type": "slant-range",
        "card4l:northern_geometric_accuracy": azimuth,
        "card4l:eastern_geometric_accuracy": slant_range,
        "orthoburst:geometric_accuracy_of": "source products, by the mission; not measured in this image",
    }
