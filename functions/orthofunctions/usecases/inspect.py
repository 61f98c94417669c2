"""What a request's products are, from their metadata."""

from __future__ import annotations

from orthocontracts.products import ProductNameError
from orthofunctions.domain.facts import ProductFacts
from orthofunctions.domain.faults import (
    BrokenProductError,
    NotAllowedError,
    ProductMissingError,
    UnknownProductError,
    UnreachableError,
)
from orthofunctions.ports import BlobChangedError, BlobFacts, Blobs, RemoteDownError, RemoteRefusedError
from orthofunctions.usecases.inspect_rpc import inspect_rpc_image
from orthofunctions.usecases.inspect_safe import inspect_safe_folder, inspect_safe_zip
from orthofunctions.usecases.packagings import packaging_of
from orthofunctions.usecases.places import Place, Places
from orthofunctions.usecases.stubs import stub_of


def inspect_product(blobs: Blobs, ref: str, places: Places | None = None) -> ProductFacts:
    """Facts of one product; without ``places`` of one that lies in blob storage.

    Raises
    ------
    PlanError
        Where it is missing, unknown, broken or unsafe, or lies where the site does not read.
    """
    places = places or Places(blobs)
    stub = stub_of(places, ref)
    if stub is not None:
        return inspect_product(blobs, stub)
    try:
        return _inspect(places, ref)
    except RemoteRefusedError as error:
        raise NotAllowedError(f"{ref}: {error}") from error
    except RemoteDownError as error:
        raise UnreachableError(f"{ref}: {error}; ask again later") from error
    except BlobChangedError as error:
        raise BrokenProductError(f"{ref} changed while it was read: ask again when it is complete") from error


def _inspect(places: Places, ref: str) -> ProductFacts:
    lower = ref.lower()
    if lower.endswith((".safe", ".sen3")):
        return inspect_safe_folder(places.find(ref))
    if lower.endswith(".zip"):
        packaging_of(ref)  # an unknown name is told of before a missing blob
        return inspect_safe_zip(*_file(places.find(ref)))
    if lower.endswith((".tif", ".tiff")):
        return inspect_rpc_image(*_file(places.find(ref)))
    raise UnknownProductError(str(ProductNameError(ref.removeprefix("products/"))))


def _file(place: Place) -> tuple[Place, BlobFacts]:
    facts = place.facts()
    if facts is None:
        raise ProductMissingError(f"{place.ref} is not there" + (": upload it first" if place.is_near else ""))
    return place, facts
