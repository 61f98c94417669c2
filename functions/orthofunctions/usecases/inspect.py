"""What a request's products and terrain are, from their metadata."""

from __future__ import annotations

from collections.abc import Callable

from orthocontracts import names
from orthocontracts.outputs import Instrument, ResolvedTerrain, Source
from orthocontracts.products import ProductNameError
from orthocontracts.requests import TerrainRequest
from orthofunctions.domain.facts import ProductFacts
from orthofunctions.domain.faults import AuxiliaryMissingError, ProductMissingError, UnknownProductError
from orthofunctions.ports import BlobFacts, Blobs
from orthofunctions.usecases.contents import content_of, content_of_folder
from orthofunctions.usecases.inspect_rpc import inspect_rpc_image
from orthofunctions.usecases.inspect_safe import inspect_safe_folder, inspect_safe_zip
from orthofunctions.usecases.packagings import packaging_of


def inspect_product(blobs: Blobs, ref: str) -> ProductFacts:
    """Facts of one product.

    Raises
    ------
    PlanError
        Where it is missing, unknown, broken or unsafe.
    """
    lower = ref.lower()
    if lower.endswith((".safe", ".sen3")):
        return inspect_safe_folder(blobs, ref)
    if lower.endswith(".zip"):
        packaging_of(ref)  # an unknown name is told of before a missing blob
        return _file(blobs, ref, inspect_safe_zip)
    if lower.endswith((".tif", ".tiff")):
        return _file(blobs, ref, inspect_rpc_image)
    raise UnknownProductError(str(ProductNameError(ref.removeprefix("products/"))))


def resolve_terrain(blobs: Blobs, terrain: TerrainRequest) -> ResolvedTerrain:
    """The terrain's files as they are now.

    Raises
    ------
    AuxiliaryMissingError
        Where one is not there.
    """
    return ResolvedTerrain(
        dem=_auxiliary(blobs, terrain.dem), geoid=_auxiliary(blobs, terrain.geoid), height_m=terrain.height_m
    )


def resolve_instrument(blobs: Blobs, gipp: str, iers: str | None) -> Instrument:
    """The instrument's files as they are now.

    Raises
    ------
    AuxiliaryMissingError
        Where one is not there.
    """
    folder = gipp.rstrip("/")
    files = list(blobs.list(names.CONTAINER_AUX, f"{folder.removeprefix('aux/')}/"))
    if not files:
        raise AuxiliaryMissingError(
            f"{folder} holds nothing: upload the instrument's parameters, or name another folder"
        )
    source = Source(
        ref=folder, content=content_of_folder(files), size_bytes=sum(file.size_bytes for file in files), kind="folder"
    )
    return Instrument(gipp=source, iers=_auxiliary(blobs, iers))


def _auxiliary(blobs: Blobs, ref: str | None) -> Source | None:
    if ref is None:
        return None
    facts = blobs.facts(names.CONTAINER_AUX, ref.removeprefix("aux/"))
    if facts is None:
        raise AuxiliaryMissingError(f"{ref} is not there: upload it, or name another")
    return Source(ref=ref, content=content_of(facts), size_bytes=facts.size_bytes)


def _file(blobs: Blobs, ref: str, inspect: Callable[[Blobs, str, BlobFacts], ProductFacts]) -> ProductFacts:
    facts = blobs.facts(names.CONTAINER_PRODUCTS, ref.removeprefix("products/"))
    if facts is None:
        raise ProductMissingError(f"{ref} is not there: upload it first")
    return inspect(blobs, ref, facts)
