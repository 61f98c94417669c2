"""Inventory and store are held against each other, a part at a call, and what differs is mended.

First the rows: those whose product is not there go to the gone, those that were never counted are. Then the names in
the store: a product without a row is listed, as its upload would have; no order is asked for it.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, Final

from orthocontracts import names
from orthocontracts.products import product_of_upload
from orthofunctions.domain.faults import PlanError
from orthofunctions.domain.records import ArchiveRecord, InventoryRecord, RawState
from orthofunctions.ports import BlobFacts, Ports
from orthofunctions.usecases.deletions import blobs_of, finish_deletion, list_for_deletion
from orthofunctions.usecases.inspect import inspect_product
from orthofunctions.usecases.inventory import EVERYWHERE, take_stock
from orthofunctions.usecases.presence import completing_blob, note_arrival, note_missing
from orthofunctions.usecases.raw_state import new_state, state_of, try_store
from orthofunctions.usecases.rows import load
from orthofunctions.usecases.tallies import PRODUCTS_BELOW, put_counted

ROWS_A_CALL: Final = 500
PARALLEL: Final = 16
_FOLDERS: Final = (".SAFE/", ".SEN3/")


class TokenUnknownError(Exception):
    """A token that no answer had."""


@dataclass
class Checked:
    """What a call found. All of it is mended but ``unreadable`` and ``incomplete``."""

    n_rows: int = 0
    n_products: int = 0
    gone: list[str] = field(default_factory=list)
    counted: int = 0
    listed: list[str] = field(default_factory=list)
    deleted: list[str] = field(default_factory=list)
    """Left over of a deletion."""
    unreadable: list[tuple[str, str]] = field(default_factory=list)
    incomplete: list[str] = field(default_factory=list)
    """Folders without the manifest that is uploaded last: on their way, or given up by whoever uploaded them."""
    more: str = ""
    """Where to go on; "" where all has been looked at."""


def check_archive(ports: Ports, after: str = "") -> Checked:
    """Look at the next part.

    Raises
    ------
    TokenUnknownError
    """
    where = _read(after) if after else {"row": ""}
    if "row" in where:
        return _check_rows(ports, str(where["row"]))
    return _check_names(ports, where["left"])


def _check_rows(ports: Ports, after: str) -> Checked:
    rows = ports.tables.query(
        InventoryRecord.TABLE,
        partition=EVERYWHERE,
        key_from=f"{after}!" if after else None,
        key_below=PRODUCTS_BELOW,
    )
    records = [InventoryRecord.from_row(row) for row in islice(rows, ROWS_A_CALL)]
    checked = Checked(n_rows=len(records))

    def look(record: InventoryRecord) -> bool:
        if record.arrived and ports.blobs.facts(names.CONTAINER_PRODUCTS, record.arrived) is None:
            return note_missing(ports, record)
        if not record.counted:
            _count(ports, record)
        return False

    with ThreadPoolExecutor(PARALLEL, "check") as pool:
        missing = list(pool.map(look, records))
    checked.gone = [record.ref for record, is_missing in zip(records, missing, strict=True) if is_missing]
    checked.counted = sum(not record.counted for record in records) - sum(
        not record.counted for record, is_missing in zip(records, missing, strict=True) if is_missing
    )
    checked.more = _token({"row": records[-1].key} if len(records) == ROWS_A_CALL else {"left": [["", ""]]})
    return checked


def _count(ports: Ports, record: InventoryRecord) -> None:
    """Earlier functions wrote neither counts nor which store holds the rest of a stub."""
    try:
        if record.arrived:
            product = inspect_product(ports.blobs, record.ref)
            take_stock(ports, product, at=record.arrived_at, completed_by=record.arrived)
            return
    except PlanError:
        pass  # it was one when it came
    put_counted(ports, record)


def _check_names(ports: Ports, left: Sequence[Sequence[str]]) -> Checked:
    """One page of one folder. ``left``: folders, and the pages of them, that are still to be looked at."""
    *rest, (folder, token) = left
    page, more = ports.blobs.names_below(names.CONTAINER_PRODUCTS, folder, token)
    products, folders = [], []
    for name in page:
        if name.endswith(_FOLDERS):
            products.append(f"{names.CONTAINER_PRODUCTS}/{name[:-1]}")
        elif name.endswith("/"):
            folders.append([name, ""])
        elif (ref := product_of_upload(name)) is not None:
            products.append(ref)
    checked = Checked(n_products=len(products))
    with ThreadPoolExecutor(PARALLEL, "check") as pool:
        for mend in pool.map(lambda ref: _look_at(ports, ref), products):
            _note(checked, *mend)
    still = [*rest, *([[folder, more]] if more else []), *folders]
    checked.more = _token({"left": still}) if still else ""
    return checked


def _look_at(ports: Ports, ref: str) -> tuple[str, str, str]:
    """What was done about a product in the store: "" nothing, it is listed."""
    blob = completing_blob(ref)
    record = state_of(ports, ref)
    facts: BlobFacts | None = None
    if record is None:
        facts = ports.blobs.facts(names.CONTAINER_PRODUCTS, blob)
        if facts is None:
            return "incomplete", ref, ""
        record = new_state(ref, blob, facts.last_modified)
    if record.state is not RawState.GONE and load(ports.tables, InventoryRecord, EVERYWHERE, record.key) is not None:
        return "", ref, ""
    facts = facts or ports.blobs.facts(names.CONTAINER_PRODUCTS, blob)
    if facts is None:
        return "incomplete", ref, ""
    if not note_arrival(ports, ref, facts):
        _delete_what_is_left(ports, record)
        return "deleted", ref, ""
    try:
        product = inspect_product(ports.blobs, ref)
    except PlanError as error:
        return "unreadable", ref, str(error)
    take_stock(ports, product, at=facts.last_modified, completed_by=facts.name)
    return "listed", ref, ""


def _delete_what_is_left(ports: Ports, record: ArchiveRecord) -> None:
    """Of a product that has gone, whose list of blobs to delete may be lost."""
    if not record.deletion:
        deletion = list_for_deletion(ports, record, blobs_of(ports, record.ref))
        record = try_store(ports, record.changed(deletion=deletion)) or record
    finish_deletion(ports, record)


def _note(checked: Checked, what: str, ref: str, why: str) -> None:
    match what:
        case "listed":
            checked.listed.append(ref)
        case "deleted":
            checked.deleted.append(ref)
        case "unreadable":
            checked.unreadable.append((ref, why))
        case "incomplete":
            checked.incomplete.append(ref)


def _token(where: dict[str, Any]) -> str:
    return base64.urlsafe_b64encode(json.dumps(where).encode()).decode()


def _read(token: str) -> dict[str, Any]:
    try:
        where = json.loads(base64.b64decode(token.encode(), altchars=b"-_", validate=True))
        left = where.get("left", [["", ""]])
        known = where.keys() <= {"row", "left"} and isinstance(where.get("row", ""), str) and len(left) > 0
        if known and all(isinstance(name, str) for folder, page in left for name in (folder, page)):
            return dict(where)
    except (ValueError, TypeError, AttributeError, binascii.Error, RecursionError):
        pass
    raise TokenUnknownError("the token is none of an answer's: leave it out to begin anew")
