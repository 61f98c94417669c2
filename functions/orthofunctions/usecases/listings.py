"""What catalogues of ``settings/catalogues.yaml`` list: their pages as products, whichever kind they are."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from orthocontracts import names
from orthocontracts.productids import folder_of
from orthofunctions.domain import odata, stacitems
from orthofunctions.domain.announced import Announced
from orthofunctions.domain.catalogues import CatalogueSpec, parse_catalogues
from orthofunctions.ports import BlobMissingError, Pages, PagesDownError, Ports


def catalogues(ports: Ports) -> tuple[CatalogueSpec, ...]:
    """Those of the site; none where it names none.

    Raises
    ------
    CataloguesFileError
    """
    try:
        text = ports.blobs.read(names.CONTAINER_SETTINGS, names.BLOB_CATALOGUES)
    except BlobMissingError:
        text = None
    return parse_catalogues(text)


def read_page(spec: CatalogueSpec, body: Any) -> tuple[list[Any], str | None]:
    """What a page lists, and the address of the next. Raises PagesDownError where it is none."""
    try:
        return odata.page_of(body) if spec.kind == "odata" else stacitems.page_of(body)
    except ValueError as error:
        raise PagesDownError(f"a page that cannot be read: {error}") from error


def product_of(spec: CatalogueSpec, listed: Any) -> Announced:
    """A product of a page. Raises NotAnnouncedError for what is none."""
    entry: Mapping[str, Any] = listed if isinstance(listed, dict) else {}
    if spec.kind == "odata":
        return odata.announced_by(spec.name, entry)
    return stacitems.announced_by(spec.name, entry, spec.published)


def listed_as(spec: CatalogueSpec, pages: Pages, name: str) -> list[Any]:
    """What a catalogue lists under a product's official name. Raises PagesDownError."""
    folder = folder_of(name)
    if spec.kind == "odata":
        url = odata.page_of_name(spec.url, folder)
    else:
        url = stacitems.page_of_ids(spec.url, (name, folder), spec.collections)
    return read_page(spec, pages.get(url))[0]
