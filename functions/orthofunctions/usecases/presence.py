"""Products come, are looked for, and turn out to have gone."""

from __future__ import annotations

import logging
from collections.abc import Iterable

from orthocontracts import names
from orthocontracts.products import ProductNameError, parse_product
from orthofunctions.domain.faults import ProductGoneError
from orthofunctions.domain.records import ArchiveRecord, InventoryRecord, RawState
from orthofunctions.ports import BlobFacts, Ports
from orthofunctions.usecases.deletions import finish_deletion, shelve
from orthofunctions.usecases.inventory import drop_rows, refs_of_name, rows_of
from orthofunctions.usecases.jobs import BusyRowError
from orthofunctions.usecases.needs import in_blobs
from orthofunctions.usecases.raw_state import TRIES, new_state, state_of, try_store

logger = logging.getLogger(__name__)

MISSING = "it was deleted from the store"


def completing_blob(ref: str) -> str:
    """The blob, in container ``products``, with which a product has arrived."""
    name = ref.partition("/")[2]
    manifests = {".SAFE": "manifest.safe", ".SEN3": "xfdumanifest.xml"}
    manifest = manifests.get(name[-5:])
    return f"{name}/{manifest}" if manifest else name


def note_arrival(ports: Ports, ref: str, blob: BlobFacts) -> bool:
    """The blob that completes a product is there: it can be had, from before it is listed.

    False where it is what was there before, and is about to be deleted. What is left of an earlier upload is deleted
    first, so that whoever inspects the product does not count on it.
    """
    for _ in range(TRIES):
        record = state_of(ports, ref)
        if record is not None and record.state is RawState.GONE:
            if blob.etag == record.etag_gone:
                return False
            record = finish_deletion(ports, record)
            if record.state is RawState.GONE and record.deletion:
                continue
        arrived = new_state(ref, blob.name, blob.last_modified)
        if record is not None:
            if record.key != arrived.key:  # an image with RPC: its key is the time of its upload
                drop_rows(ports, rows_of(ports, record.key))
            arrived = record.changed(state=RawState.HERE, key=arrived.key, blob=blob.name, gone_at=None, why="")
        if try_store(ports, arrived) is not None:
            return True
    raise BusyRowError(f"product {ref}")


def check_here(ports: Ports, refs: Iterable[str]) -> None:
    """Make sure that products which a job needs stay; what is about to expire is taken back.

    Raises
    ------
    ProductGoneError
        Where one has gone.
    """
    for ref in in_blobs(refs):
        for _ in range(TRIES):
            record = state_of(ports, ref)
            if record is None or record.state is RawState.HERE:
                break
            if record.state is RawState.EXPIRING:
                try_store(ports, record.changed(state=RawState.HERE))
                continue
            blob = ports.blobs.facts(names.CONTAINER_PRODUCTS, record.blob)
            if blob is None or not note_arrival(ports, ref, blob):
                raise ProductGoneError(why_gone(ports, record))
        else:
            raise BusyRowError(f"product {ref}")


def gone(ports: Ports, ref: str) -> ProductGoneError | None:
    """Why a product is not there, where it once was."""
    record = state_of(ports, ref)
    if record is None or record.state is not RawState.GONE:
        return None
    return ProductGoneError(why_gone(ports, record))


def why_gone(ports: Ports, record: ArchiveRecord) -> str:
    """When it went, why, and what to do."""
    when = f" on {record.gone_at:%Y-%m-%d %H:%M} UTC" if record.gone_at else ""
    others = [ref for ref in _refs_of(ports, record.ref) if ref != record.ref]
    do = f"ask for {others[0]}, where it is too" if others else "upload it again, and ask again"
    return f"{record.ref} has gone{when}: {record.why}; {do}"


def note_missing(ports: Ports, listed: InventoryRecord) -> bool:
    """A listed product whose completing blob is not there has gone. False where it is there after all."""
    record = state_of(ports, listed.ref) or new_state(listed.ref, listed.arrived, listed.arrived_at)
    if ports.blobs.facts(names.CONTAINER_PRODUCTS, listed.arrived) is not None:
        return False
    if record.state is RawState.GONE:
        if record.deletion:
            finish_deletion(ports, record)
        else:
            shelve(ports, record)
        return True
    missing = record.changed(
        state=RawState.GONE, key=listed.key, blob=listed.arrived, gone_at=ports.clock.now(), why=MISSING, etag_gone=""
    )
    stored = try_store(ports, missing)
    if stored is None:  # it has come again
        return False
    shelve(ports, stored)
    logger.info("%s is not there", listed.ref, extra={"action": "product_missing"})
    return True


def _refs_of(ports: Ports, ref: str) -> list[str]:
    try:
        return refs_of_name(ports, parse_product(ref).stem)
    except ProductNameError:
        return []
