"""The files of a job's committed outputs, with links that expire."""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from typing import Any

from orthocontracts import names
from orthocontracts.outputs import CatalogueEntry, FileKind
from orthocontracts.states import OutputState
from orthofunctions.domain.records import OutputRecord
from orthofunctions.ports import BlobMissingError, Ports

COG = "image/tiff; application=geotiff; profile=cloud-optimized"
OTHER_TYPES: dict[FileKind, str] = {"browse": "image/png", "item": "application/geo+json"}
PARALLEL_READS = 8


def result_links(ports: Ports, outputs: Iterable[OutputRecord], valid: timedelta) -> list[dict[str, Any]]:
    """One entry per committed output: digest, title, and ``href`` with type, size and MD5 of each of its files."""
    committed = [output for output in outputs if output.state is OutputState.COMMITTED]
    if not committed:
        return []
    expires_at = ports.clock.now() + valid
    with ThreadPoolExecutor(PARALLEL_READS) as pool:
        found = pool.map(lambda output: _links(ports, output, expires_at), committed)
        return [one for one in found if one is not None]


def _links(ports: Ports, output: OutputRecord, expires_at: datetime) -> dict[str, Any] | None:
    try:
        data = ports.blobs.read(names.CONTAINER_CATALOGUE, names.catalogue_blob(output.digest))
    except BlobMissingError:  # taken out of the catalogue since
        return None
    entry = CatalogueEntry.model_validate_json(data)
    links: dict[str, Any] = {"digest": output.digest, "title": output.title, "pool": entry.pool}
    for kind, file in entry.files.items():
        container, _, name = file.blob.partition("/")
        links[kind] = {
            "href": ports.links.read_url(container, name, expires_at),
            "type": OTHER_TYPES.get(kind, COG),
            "blob": file.blob,
            "size_bytes": file.size_bytes,
            "md5": file.md5,
        }
    return links
