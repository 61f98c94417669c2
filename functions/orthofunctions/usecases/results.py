"""The files of a job's committed outputs, with links that expire."""

from __future__ import annotations

import json
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from typing import Any

from orthocontracts.outputs import FILE_SUFFIX, FileKind
from orthocontracts.states import OutputState
from orthocontracts.stores import split_site_url
from orthofunctions.domain.copies import bytes_on_site, copy_digest
from orthofunctions.domain.records import OutputRecord
from orthofunctions.ports import Ports
from orthofunctions.usecases.catalogue import read_entry

COG = "image/tiff; application=geotiff; profile=cloud-optimized"
OTHER_TYPES: dict[FileKind, str] = {"browse": "image/png", "item": "application/geo+json"}
PARALLEL_READS = 8


def result_links(ports: Ports, outputs: Iterable[OutputRecord], valid: timedelta) -> list[dict[str, Any]]:
    """One entry per committed output: digest, title, and ``href`` with type, size and MD5 of each of its files.

    A file that lies on site, and of which nobody has asked for a copy yet, has no ``href``.
    """
    committed = [output for output in outputs if output.state is OutputState.COMMITTED]
    if not committed:
        return []
    expires_at = ports.clock.now() + valid
    with ThreadPoolExecutor(PARALLEL_READS) as pool:
        found = pool.map(lambda output: _links(ports, output, expires_at), committed)
        return [one for one in found if one is not None]


def _links(ports: Ports, output: OutputRecord, expires_at: datetime) -> dict[str, Any] | None:
    entry = read_entry(ports, output.digest)
    if entry is None:  # taken out of the catalogue since
        return None
    copied = read_entry(ports, copy_digest(entry)) if bytes_on_site(entry) else None
    links: dict[str, Any] = {"digest": output.digest, "title": output.title, "pool": entry.pool}
    for kind, file in (copied or entry).files.items():
        facts = {
            "type": OTHER_TYPES.get(kind, COG),
            "blob": file.blob,
            "size_bytes": file.size_bytes,
            "md5": file.md5,
        }
        if split_site_url(file.blob) is None:
            container, _, name = file.blob.partition("/")
            facts["href"] = ports.links.read_url(container, name, expires_at)
        links[kind] = facts
    return links


def result_items(ports: Ports, outputs: Iterable[OutputRecord], valid: timedelta) -> list[dict[str, Any]]:
    """The STAC Item of every committed output, with links that expire in place of its assets' file names."""
    committed = [output for output in outputs if output.state is OutputState.COMMITTED]
    described = [one for one in result_links(ports, committed, valid) if "item" in one]
    if not described:
        return []
    with ThreadPoolExecutor(PARALLEL_READS) as pool:
        return list(pool.map(lambda one: _item(ports, one), described))


def _item(ports: Ports, links: dict[str, Any]) -> dict[str, Any]:
    container, _, name = links["item"]["blob"].partition("/")
    item: dict[str, Any] = json.loads(ports.blobs.read(container, name))
    files = {str(file["blob"]).rsplit("/", 1)[-1]: file for kind, file in links.items() if kind in FILE_SUFFIX}
    for asset in item.get("assets", {}).values():
        file = files.get(str(asset.get("href", "")).rsplit("/", 1)[-1])
        if file is not None and "href" in file:
            asset["href"] = file["href"]
    return item


def kept_on_site(ports: Ports, outputs: Iterable[OutputRecord]) -> list[str]:
    """Digests of committed outputs that lie on site and of which there is no copy yet."""
    found = []
    for output in outputs:
        entry = read_entry(ports, output.digest) if output.state is OutputState.COMMITTED else None
        if entry is not None and bytes_on_site(entry) and read_entry(ports, copy_digest(entry)) is None:
            found.append(output.digest)
    return found
