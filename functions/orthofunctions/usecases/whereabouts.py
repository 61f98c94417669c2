"""Where a product lies that a request names by its official name alone: what is free is looked at first.

What has been uploaded or announced is in the inventory. Then the site's catalogues are asked, and only a place that the
site reads from counts. What neither has may be fetched: see `wanted`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from pydantic import TypeAdapter, ValidationError

from orthocontracts import names
from orthocontracts.productids import folder_of
from orthocontracts.references import scheme_of, split_reference
from orthocontracts.requests import ProductRef
from orthofunctions.domain.announced import NotAnnouncedError
from orthofunctions.domain.catalogues import CataloguesFileError
from orthofunctions.domain.faults import NotHereError
from orthofunctions.domain.pools import SiteSpec
from orthofunctions.ports import PagesDownError, Ports, RemoteRefusedError
from orthofunctions.usecases.listings import catalogues, listed_as, product_of
from orthofunctions.usecases.packagings import packaging_of
from orthofunctions.usecases.product_search import listed_by_name

_REF: TypeAdapter[str] = TypeAdapter(ProductRef)


@dataclass(frozen=True)
class Found:
    """A product's place, as a reference, and in words how it was found."""

    ref: str
    how: str


def find_product(ports: Ports, site: SiteSpec, name: str) -> Found:
    """The place of a product.

    Raises
    ------
    UnknownProductError
        Where no images are made of products of its kind.
    NotHereError
        Where it is nowhere that this site reads from; the message says where was looked.
    """
    packaging_of(name)
    refused: list[str] = []
    for found in (*_here(ports, site, name), *_announced(ports, name)):
        why = _refusal(ports, found)
        if why is None:
            return found
        refused.append(why)
    for found in _in_catalogues(ports, name, refused):
        why = _refusal(ports, found)
        if why is None:
            return found
        refused.append(why)
    raise NotHereError({name: refused})


def is_here(ports: Ports, site: SiteSpec, name: str) -> bool:
    """Whether it lies in the store. Asks no other server."""
    return next(_here(ports, site, name), None) is not None


def _here(ports: Ports, site: SiteSpec, name: str) -> Iterator[Found]:
    """Copies in the store: those for everybody before restricted ones. Whoever may not read those is told later."""
    listed = [one.ref for one in listed_by_name(ports, name) if one.arrived]
    for ref in sorted(listed, key=lambda ref: (_is_restricted(site, ref), ref)):
        yield Found(ref, "in the store")
    # An event may be late, or lost: what lies under its own name is there all the same.
    folder, manifest = folder_of(name), packaging_of(name).manifest
    for blob, path in ((f"{folder}/{manifest}", folder), *((zipped, zipped) for zipped in _zips(name))):
        if ports.blobs.facts(names.CONTAINER_PRODUCTS, blob) is not None:
            yield Found(f"{names.CONTAINER_PRODUCTS}/{path}", "in the store")


def _announced(ports: Ports, name: str) -> Iterator[Found]:
    for one in listed_by_name(ports, name):
        if not one.arrived:
            yield Found(one.ref, "announced")


def _in_catalogues(ports: Ports, name: str, refused: list[str]) -> Iterator[Found]:
    try:
        specs = catalogues(ports)
    except CataloguesFileError as error:
        refused.append(str(error))
        return
    for spec in specs:
        try:
            listed = listed_as(spec, ports.pages, name)
        except PagesDownError as error:
            refused.append(f"catalogue {spec.name} does not answer: {error}")
            continue
        if not listed:
            refused.append(f"catalogue {spec.name} does not list it")
        for entry in listed:
            try:
                product = product_of(spec, entry)
            except NotAnnouncedError as error:
                refused.append(f"catalogue {spec.name}: {error}")
                continue
            if product.name == name:
                yield Found(product.ref, f"in catalogue {spec.name}")


def _refusal(ports: Ports, found: Found) -> str | None:
    """Why the site does not read from there; None where it does."""
    if scheme_of(found.ref) in (None, "site"):
        return None
    try:
        _REF.validate_python(found.ref)
        ports.remote.check(split_reference(found.ref)[0])
    except ValidationError:
        return f"{found.how} as {found.ref[:200]}, which cannot be requested"
    except RemoteRefusedError as error:
        return f"{found.how} as {found.ref}, but {error}"
    return None


def _zips(name: str) -> Sequence[str]:
    return f"{name}.zip", f"{folder_of(name)}.zip"


def _is_restricted(site: SiteSpec, ref: str) -> bool:
    return any(ref.startswith(restricted.prefix) for restricted in site.restricted)
