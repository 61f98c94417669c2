"""Reading the catalogue: one entry per image, written once by the collector."""

from __future__ import annotations

from orthocontracts import names
from orthocontracts.outputs import CatalogueEntry
from orthofunctions.ports import BlobMissingError, Ports


def read_entry(ports: Ports, digest: str) -> CatalogueEntry | None:
    """None where the image is not there. One that cannot be read raises."""
    try:
        data = ports.blobs.read(names.CONTAINER_CATALOGUE, names.catalogue_blob(digest))
    except BlobMissingError:
        return None
    return CatalogueEntry.model_validate_json(data)
