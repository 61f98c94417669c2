"""A product by its official name alone, ``id:S2B_MSIL1C_…``: where it lies is looked up when its request is planned."""

from __future__ import annotations

from typing import Final

from orthocontracts.productname import ProductNameError
from orthocontracts.products import parse_product

PREFIX: Final = "id:"
ENDINGS: Final = (".SAFE.zip", ".SEN3.zip", ".zip", ".SAFE", ".SEN3")


def plain_id(ref: str) -> str:
    """The one way to write it: ``id:NAME`` without what says how the product is packed.

    Raises
    ------
    ProductNameError
        Where it is no product's official name.
    """
    name = _unpacked(ref.removeprefix(PREFIX))
    stem = parse_product(name).stem
    if name != stem:
        raise ProductNameError(name)
    return f"{PREFIX}{stem}"


def name_in(ref: str) -> str | None:
    """The product's name of ``id:NAME``; None for a reference that says where it lies."""
    return ref.removeprefix(PREFIX) if ref.startswith(PREFIX) else None


def with_prefix(ref: str) -> str:
    """What people type: a bare official name is an id, all else is a reference as it stands."""
    try:
        return plain_id(ref) if "/" not in ref and ":" not in ref else ref
    except ProductNameError:
        return ref


def folder_of(name: str) -> str:
    """The folder that a product of this name is: ``NAME.SAFE``, Sentinel-3's ``NAME.SEN3``."""
    return f"{name}.SEN3" if name.startswith("S3") else f"{name}.SAFE"


def _unpacked(name: str) -> str:
    return next((name.removesuffix(ending) for ending in ENDINGS if name.endswith(ending)), name)
