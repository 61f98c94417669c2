"""`open_sentinel3`: which kind of Sentinel-3 product lies at a path."""

from __future__ import annotations

from pathlib import Path

from orthokernel.container import ProductContainer, open_container
from orthokernel.errors import MissingAnnotationError, UnsupportedProductError
from orthokernel.product import SUPPORTED, Product
from orthokernel.sentinel3.manifest import MANIFEST, parse_manifest
from orthokernel.sentinel3.olci import OlciProduct
from orthokernel.sentinel3.slstr import SlstrProduct


def open_sentinel3(path: Path) -> Product:
    """Open an OLCI L1B or SLSTR L1B product: folder or zip.

    Raises
    ------
    MissingAnnotationError
        No manifest.
    UnsupportedProductError
        Another instrument or level.
    ProductError
        See `OlciProduct` and `SlstrProduct`.
    """
    container = open_container(path)
    try:
        return _open(container)
    except BaseException:
        container.close()
        raise


def _open(container: ProductContainer) -> Product:
    if MANIFEST not in container.members:
        raise MissingAnnotationError(container.path, f"no {MANIFEST}", "a complete .SEN3 product")
    manifest = parse_manifest(container.read_bytes(MANIFEST), f"{container.path}:{MANIFEST}")
    if manifest.product_type in ("OL_1_EFR", "OL_1_ERR"):
        return OlciProduct(container, manifest)
    if manifest.product_type == "SL_1_RBT":
        return SlstrProduct(container, manifest)
    raise UnsupportedProductError(container.path, f"a Sentinel-3 product of type {manifest.product_type}", SUPPORTED)
