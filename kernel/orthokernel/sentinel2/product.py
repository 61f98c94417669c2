"""`open_sentinel2`: which kind of Sentinel-2 product lies at a path."""

from __future__ import annotations

import os
from pathlib import Path

from orthokernel.container import ProductContainer, open_container
from orthokernel.errors import UnsupportedProductError
from orthokernel.product import SUPPORTED, Product
from orthokernel.sentinel2.l1b import METADATA as DATASTRIP
from orthokernel.sentinel2.l1b import L1BProduct
from orthokernel.sentinel2.tile import USER_METADATA, TileProduct


def open_sentinel2(
    path: Path, gipp: str | os.PathLike[str] | None = None, iers: str | os.PathLike[str] | None = None
) -> Product:
    """Open a Sentinel-2 product.

    Parameters
    ----------
    path : Path
        Folder or zip.
    gipp, iers : path, optional
        See `orthokernel.product.open_product`.

    Raises
    ------
    UnsupportedProductError
        Not L1B, L1C or L2A.
    ProductError
        See `TileProduct` and `L1BProduct`.
    """
    container = open_container(path)
    try:
        return _open(container, gipp, iers)
    except BaseException:
        container.close()
        raise


def _open(
    container: ProductContainer, gipp: str | os.PathLike[str] | None, iers: str | os.PathLike[str] | None
) -> Product:
    if any(DATASTRIP.fullmatch(member) or "_MTD_L1B_GR_" in member for member in container.members):
        return L1BProduct(container, gipp, iers)
    tops = {member for member in container.members if "/" not in member}
    if any(USER_METADATA.fullmatch(member) for member in tops):
        return TileProduct(container)
    for member in sorted(tops):
        if "MSIL0" in member or "MSIL1A" in member:
            raise UnsupportedProductError(container.path, f"a Sentinel-2 product with {member}", SUPPORTED)
    if "_MSIL1C_" in container.name or "_MSIL2A_" in container.name:
        return TileProduct(container)  # which says what it lacks
    raise UnsupportedProductError(container.path, "a Sentinel-2 product without metadata it is known by", SUPPORTED)
