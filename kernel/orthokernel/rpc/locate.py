"""Which RPC belongs to an image, and what part of the RPC's image it is.

In this order, the first that is there:

1. the file the caller names;
2. files named after the image: ``NAME_RPC.TXT``, ``NAME.RPB``, ``RPC_….XML`` of a DIMAP ``IMG_…``, ``NAME.geom``;
3. the tags in the image itself (GeoTIFF's RPC tag, NITF's RPC00B, GDAL's ``.aux.xml``);
4. the folder's only ``RPC_*.XML``.

A file beside the image wins over tags because that is where corrected coefficients are put.
"""

from __future__ import annotations

import re
from pathlib import Path

from affine import Affine
from rasterio.io import DatasetReader

from orthokernel.errors import RpcError
from orthokernel.rpc.coefficients import RpcCoefficients
from orthokernel.rpc.dimap import read_dimap_rpc
from orthokernel.rpc.text import read_text_rpc

_TILE_NAME = re.compile(r"_R(\d+)C(\d+)$")


def locate_rpc(image: Path, source: DatasetReader, rpc: Path | None) -> tuple[RpcCoefficients, str]:
    """Coefficients for the pixels of an open image, and where they are from.

    Raises
    ------
    RpcError
        There are none, or bad ones; or the image is a part whose place in the whole is unknown.
    """
    beside = rpc or _named_after(image)
    tags = source.tags(ns="RPC")
    if beside is None and not tags:
        beside = _only_dimap(image)
    if beside is None and not tags:
        raise RpcError(
            image,
            "no RPC",
            "RPC tags, or beside the image NAME_RPC.TXT, NAME.RPB or one RPC_*.XML (DIMAP)",
        )
    if beside is not None:
        if not beside.is_file():
            raise RpcError(beside, "no such file", "a file with RPC")
        xml = beside.suffix.lower() == ".xml"
        coefficients = read_dimap_rpc(beside) if xml else read_text_rpc(beside)
        where = beside.name
    else:
        coefficients, where = RpcCoefficients.from_items(tags, image), "tags"
    return _for_part(coefficients, image, source, whole_image=beside is not None), where


def _named_after(image: Path) -> Path | None:
    wanted = [f"{image.stem}_RPC.TXT", f"{image.stem}.RPB"]
    if image.stem.upper().startswith("IMG_"):
        # A Pléiades mosaic of tiles IMG_…_R1C1 has one RPC_….XML.
        wanted += [f"RPC_{stem[4:]}.XML" for stem in (image.stem, _TILE_NAME.sub("", image.stem))]
    wanted.append(f"{image.stem}.geom")
    present = {file.name.upper(): file for file in image.parent.iterdir()}
    return next((present[name.upper()] for name in wanted if name.upper() in present), None)


def _only_dimap(image: Path) -> Path | None:
    found = [f for f in image.parent.iterdir() if f.name.upper().startswith("RPC_") and f.suffix.upper() == ".XML"]
    if len(found) > 1:
        raise RpcError(image, f"{len(found)} RPC_*.XML beside it", "one, or the right one named")
    return found[0] if found else None


def _for_part(
    coefficients: RpcCoefficients, image: Path, source: DatasetReader, *, whole_image: bool
) -> RpcCoefficients:
    """Move the coefficients to the pixels of a crop, whose geotransform says where it lies in the full image.

    Only a geotransform without coordinate system is a place in an image. It holds for tags as well: who cuts an image
    and shifts the tags (as GDAL does) writes no geotransform.
    """
    transform: Affine = source.transform
    if source.crs is not None:
        return coefficients
    a, b, c, d, e, f = tuple(transform)[:6]
    upside_down = e < 0 and (a, b, c, d) == (-e, 0.0, 0.0, 0.0) and f in (0.0, -e * source.height)
    if transform == Affine.identity() or upside_down:
        tile = _TILE_NAME.search(image.stem)
        if whole_image and tile and (tile[1], tile[2]) != ("1", "1"):
            raise RpcError(
                image,
                f"tile row {tile[1]}, column {tile[2]} of an image, without its place in it",
                "the tiles joined into one image (gdalbuildvrt or the product's DIM_*.XML), or a geotransform "
                "with the tile's first column and line",
            )
        return coefficients
    if b != 0 or d != 0 or a <= 0 or e <= 0:
        raise RpcError(
            image,
            f"geotransform {(a, b, c, d, e, f)} without coordinate system",
            "first column and line of the crop in the full image, and positive steps",
        )
    return coefficients.rebased(first_line=f, first_sample=c, line_step=e, sample_step=a)
