"""Images and masks of a granule of Sentinel-2 L1B."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import rasterio
from numpy.typing import NDArray
from rasterio.errors import NotGeoreferencedWarning

from localdev.scene.msi import MSI_BANDS
from localdev.scene.sentinel2_l1b_xml import GranuleNote
from localdev.scene.sentinel2_quality import VECTOR_KINDS, Schema, components, mask_xml, patches

if TYPE_CHECKING:
    from localdev.scene.sentinel2_l1b import Sentinel2L1BSpec

_BLOCK_PX = 256
_IMAGE_CRS = "urn:ogc:def:derivedCRSType:OGC:1.0:image"


def write_masks(spec: Sentinel2L1BSpec, folder: Path, granule: GranuleNote) -> dict[tuple[str, str], str]:
    """Quality of a granule's bands: images, or before baseline 04.00 vectors. Names by kind and band, without ending.

    Images have a ninth component, of clouds seen on board, as those of L1B have and those of L1C have not.
    """
    (folder / "QI_DATA").mkdir()
    stem = granule.id.removesuffix(f"_N{spec.baseline}")
    names = {}
    for band in spec.bands:
        per_pixel = MSI_BANDS[band].per_pixel
        size = granule.n_lines // per_pixel, granule.n_samples // per_pixel
        if spec.offset:
            name = names["MSK_QUALIT", band] = f"{stem.replace('MSI_L1B_GR', 'MSK_QUALIT')}_{band}_MSIL1B"
            clouds = np.ones((1, *size), np.uint8)
            write_strip(folder / "QI_DATA" / f"{name}.jp2", np.concatenate([components(*size), clouds]))
            continue
        before = granule.position // per_pixel if spec.masks_of_strip else 0
        whole = size[0] * spec.granules if spec.masks_of_strip else size[0]
        corners = (1.0, 1.0), (float(size[1]), float(whole))
        for kind in VECTOR_KINDS:
            from_edges = np.array([0.5, 0.5 + before])  # counted from 1, in the middle of the first pixel
            polygons = [
                (patch.kind, f"{patch.kind.lower()}-{k}", [ring + from_edges for ring in patch.rings])
                for k, patch in enumerate(patches(*size))
                if patch.file == kind
            ]
            name = names[kind, band] = f"{stem.replace('MSI_L1B_GR', kind)}_{band}_MSIL1B"
            content = mask_xml(Schema.hma(_IMAGE_CRS), name, corners, polygons)
            (folder / "QI_DATA" / f"{name}.gml").write_bytes(content)
    return names


def write_strip(path: Path, pixels: NDArray[np.uint16] | NDArray[np.uint8]) -> None:
    """An image (components, lines, samples), without loss, and as real ones without georeference."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        with rasterio.open(
            path,
            "w",
            driver="JP2OpenJPEG",
            height=pixels.shape[1],
            width=pixels.shape[2],
            count=pixels.shape[0],
            dtype=pixels.dtype.name,
            QUALITY=100,
            REVERSIBLE="YES",
            YCC="NO",
            BLOCKXSIZE=_BLOCK_PX,
            BLOCKYSIZE=_BLOCK_PX,
        ) as image:
            image.write(pixels)
