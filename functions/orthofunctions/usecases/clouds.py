"""How cloudy a Sentinel-2 product is: of its own metadata, read by range, and only where somebody asks."""

from __future__ import annotations

import re
import zipfile
import zlib
from typing import Final

from orthocontracts import names
from orthofunctions.domain.facts import ProductFacts
from orthofunctions.ports import BlobChangedError, BlobMissingError, Blobs
from orthofunctions.usecases.ranged import ranged_zip

_MEMBER: Final = {"L1C": "MTD_MSIL1C.xml", "L2A": "MTD_MSIL2A.xml"}
_MOST_BYTES: Final = 4 * 1024 * 1024
_UNREADABLE: Final = (zipfile.BadZipFile, zlib.error, EOFError, KeyError, NotImplementedError, RuntimeError)
_ASSESSMENT: Final = re.compile(rb"<Cloud_Coverage_Assessment>\s*([0-9.]+)\s*</Cloud_Coverage_Assessment>")


def cloud_cover_percent(blobs: Blobs, product: ProductFacts) -> float | None:
    """None where the product does not tell."""
    member = _MEMBER.get(product.product_type)
    if member is None:
        return None
    try:
        data = _read(blobs, product, member)
    except (BlobMissingError, BlobChangedError, *_UNREADABLE):
        return None
    found = _ASSESSMENT.search(data)
    try:
        return float(found[1]) if found else None
    except ValueError:
        return None


def _read(blobs: Blobs, product: ProductFacts, member: str) -> bytes:
    path = product.source.ref.removeprefix("products/")
    if product.source.kind == "folder":
        return blobs.read(names.CONTAINER_PRODUCTS, f"{path}/{member}", length=_MOST_BYTES)
    facts = blobs.facts(names.CONTAINER_PRODUCTS, path)
    if facts is None:
        raise BlobMissingError(names.CONTAINER_PRODUCTS, path)
    with ranged_zip(blobs, facts) as archive:
        inside = next((one for one in archive.namelist() if one.count("/") <= 1 and one.endswith(member)), member)
        with archive.open(inside) as opened:
            return opened.read(_MOST_BYTES)
