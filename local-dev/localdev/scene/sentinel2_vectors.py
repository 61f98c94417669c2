"""Masks of a Sentinel-2 tile as vectors: what a pixel's detector was, and what is wrong with it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from localdev.scene.ellipsoid import Float64Array
from localdev.scene.msi import MSI_BANDS
from localdev.scene.sentinel2_quality import VECTOR_KINDS, Schema, mask_xml, patches
from localdev.scene.sentinel2_xml import TilePlace

Polygon = tuple[str, str, Sequence[Float64Array]]


def vector_masks(
    place: TilePlace, resolutions_m: Mapping[str, int], swath_edge_m: float | None, detector_m: float
) -> dict[tuple[str, str], bytes]:
    """All of them, by kind and band. Parameters: see `localdev.scene.sentinel2`."""
    schema, side_m = Schema.eop(f"urn:ogc:def:crs:EPSG:8.8.1:{place.epsg}"), 60.0 * place.size_60m_px
    corners = (place.left_m, place.top_m - side_m), (place.left_m + side_m, place.top_m)
    corner = np.array([place.left_m, place.top_m])
    masks = {}
    for band, resolution_m in resolutions_m.items():
        pixel_m = np.array([resolution_m, -resolution_m], float)
        number = MSI_BANDS[band].number
        found: dict[str, list[Polygon]] = {kind: [] for kind in VECTOR_KINDS}
        for k, patch in enumerate(patches(place.n_px(resolution_m), place.n_px(resolution_m))):
            rings = [ring * pixel_m + corner for ring in patch.rings]
            found[patch.file].append((patch.kind, f"{patch.kind.lower()}-{k}-B{number:02d}", rings))
        found["MSK_DETFOO"] = [
            ("DETECTOR_FOOTPRINT", f"detector_footprint-B{number:02d}-{detector:02d}-{k}", [ring])
            for k, (detector, ring) in enumerate(_footprints(place, swath_edge_m, detector_m))
        ]
        for kind, polygons in found.items():
            masks[kind, band] = mask_xml(schema, f"{kind}_{band}", corners, polygons)
    return masks


def _footprints(place: TilePlace, swath_edge_m: float | None, detector_m: float) -> list[tuple[int, Float64Array]]:
    """Detectors and the rings of what they saw of the tile, on the map, from the right one to the left."""
    side_m = 60.0 * place.size_60m_px
    left, top, bottom = place.left_m, place.top_m, place.top_m - side_m
    tile = np.array([(left, bottom), (left + side_m, bottom), (left + side_m, top), (left, top)])
    if swath_edge_m is not None:
        tile = _beyond(tile, (1.0, -0.2), left - 0.2 * top + swath_edge_m)
    across = (tile @ [1.0, 0.2]) / detector_m
    found = []
    for stripe in range(int(np.floor(across.max())), int(np.floor(across.min())) - 1, -1):
        ring = _beyond(tile, (1.0, 0.2), stripe * detector_m)
        ring = _beyond(ring, (-1.0, -0.2), -(stripe + 1) * detector_m)
        if len(ring) >= 3:
            found.append((1 + stripe % 12, np.concatenate([ring, ring[:1]])))
    return found


def _beyond(ring: Float64Array, normal: tuple[float, float], least: float) -> Float64Array:
    """What of a convex ring, open, is where ``normal @ place`` is ``least`` or more."""
    height = ring @ np.array(normal) - least
    kept = []
    for (place, at), (following, its) in zip(
        zip(ring, height, strict=True), zip(np.roll(ring, -1, axis=0), np.roll(height, -1), strict=True), strict=True
    ):
        if at >= 0:
            kept.append(place)
        if (at >= 0) != (its >= 0):
            kept.append(place + at / (at - its) * (following - place))
    return np.array(kept).reshape(-1, 2)
