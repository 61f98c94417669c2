"""What every delivered image must be."""

from __future__ import annotations

import json
from pathlib import Path

import pystac
import rasterio
from rio_cogeo.cogeo import cog_validate


def check_cog(image: Path) -> pystac.Item:
    """A valid COG, and a STAC Item that tells the same and names what lies beside it."""
    is_valid, errors, _ = cog_validate(image, strict=True)
    assert is_valid, errors
    item = pystac.Item.from_dict(json.loads(image.with_suffix(".json").read_text()))
    with rasterio.open(image) as file:
        assert item.properties["proj:code"] == f"EPSG:{file.crs.to_epsg()}"
        assert item.properties["proj:shape"] == [file.height, file.width]
    for asset in item.assets.values():
        assert (image.parent / asset.href).is_file(), asset.href
    assert image.with_suffix(".png").read_bytes().startswith(b"\x89PNG")
    return item
