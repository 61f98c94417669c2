"""The small picture of a product, and the map overlay that goes with it."""

from __future__ import annotations

import warnings
from pathlib import Path
from xml.etree.ElementTree import Element

import numpy as np
import rasterio
from rasterio.errors import NotGeoreferencedWarning

from localdev.scene.ellipsoid import Float64Array
from localdev.scene.manifest import NAMESPACES
from localdev.scene.xml import add, encode


def write_quick_look(path: Path, pictures: list[Float64Array]) -> None:
    """An RGB PNG: co-polarised in red, cross-polarised in green, their ratio in blue; one polarisation is grey."""
    first = pictures[0]
    second = pictures[1] if len(pictures) > 1 else None
    scale = 255.0 / max(2.2 * float(np.median(first[first > 0])) if (first > 0).any() else 1.0, 1e-9)
    red = first * scale
    if second is None:
        layers = [red, red, red]
    else:
        layers = [red, second * scale * 1.8, 110.0 * first / np.maximum(second, 1.0) * (first > 0) / 2.2]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        with rasterio.open(
            path, "w", driver="PNG", width=first.shape[1], height=first.shape[0], count=3, dtype="uint8"
        ) as sink:
            sink.write(np.clip(np.stack(layers), 0, 255).astype(np.uint8))


def overlay_xml(footprint: str) -> bytes:
    """``map-overlay.kml`` from a manifest's ``lat,lon`` corners."""
    corners = [pair.split(",") for pair in footprint.split()]
    root = Element("kml")
    document = add(root, "Document")
    add(document, "name", "Sentinel-1 Map Overlay")
    folder = add(document, "Folder")
    add(folder, "name", "Sentinel-1 Scene Overlay")
    overlay = add(folder, "GroundOverlay")
    add(overlay, "name", "Sentinel-1 Image Overlay")
    add(add(overlay, "Icon"), "href", "quick-look.png")
    quad = add(overlay, f"{{{NAMESPACES['gx']}}}LatLonQuad")
    add(quad, "coordinates", " ".join(f"{lon},{lat}" for lat, lon in corners))
    return encode(root)
