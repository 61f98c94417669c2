"""What operators see and say of products: how many there are, which are kept whatever the site's rules say."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from orthocontracts import names
from orthofunctions.domain.pools import BLOB_STORE
from orthofunctions.domain.records import ArchiveRecord, RawState, TallyRecord
from orthofunctions.ports import Ports, Row
from orthofunctions.usecases.inventory import EVERYWHERE, GONE
from orthofunctions.usecases.presence import check_here, completing_blob
from orthofunctions.usecases.product_search import ProductState
from orthofunctions.usecases.raw_state import KEPT_PRODUCTS, change_state, new_state, state_of
from orthofunctions.usecases.tallies import tallies

KINDS: Final = ("state", "where", "mission", "product_type", "month")
"""What products may be counted by."""


class NoSuchProductError(Exception):
    """A reference to nothing that was uploaded."""

    def __init__(self, ref: str) -> None:
        super().__init__(f"{ref} is not there, and never was")


@dataclass(frozen=True)
class Count:
    kind: Mapping[str, str]
    n_products: int
    n_bytes: int


def count_products(ports: Ports, by: Sequence[str]) -> list[Count]:
    """How many products there are, and were, by some of `KINDS`. Rows that are kept counted are added up."""
    sums: dict[tuple[str, ...], tuple[int, int]] = {}
    for cell in (EVERYWHERE, GONE):
        for tally in tallies(ports, cell):
            kind = _kind_of(tally)
            key = tuple(kind[name] for name in by)
            n_products, n_bytes = sums.get(key, (0, 0))
            sums[key] = n_products + tally.n_products, n_bytes + tally.n_bytes
    return [Count(dict(zip(by, key, strict=True)), *summed) for key, summed in sorted(sums.items()) if any(summed)]


def keep_product(ports: Ports, ref: str, by: str) -> ArchiveRecord:
    """Keep a product whatever the rules say, until somebody lets go of it. One that is about to expire stays.

    Raises
    ------
    NoSuchProductError
    ProductGoneError
        Where it is too late.
    """
    first = _found(ports, ref)
    check_here(ports, [ref])
    ports.tables.put(names.TABLE_ARCHIVE, Row(KEPT_PRODUCTS, first.product, {"ref": ref, "by": by}))
    while True:
        check_here(ports, [ref])
        kept = change_state(ports, first, lambda now: now.changed(kept_by=by) if now.state is RawState.HERE else None)
        if kept.state is RawState.HERE:
            return kept


def release_product(ports: Ports, ref: str) -> ArchiveRecord:
    """Let the rules decide again.

    Raises
    ------
    NoSuchProductError
    """
    released = change_state(ports, _found(ports, ref), lambda now: now.changed(kept_by="") if now.kept_by else None)
    ports.tables.delete(names.TABLE_ARCHIVE, KEPT_PRODUCTS, released.product)
    return released


def _found(ports: Ports, ref: str) -> ArchiveRecord:
    """Its row, made up where it has none yet."""
    record = state_of(ports, ref)
    if record is not None:
        return record
    facts = ports.blobs.facts(names.CONTAINER_PRODUCTS, completing_blob(ref))
    if facts is None:
        raise NoSuchProductError(ref)
    return new_state(ref, facts.name, facts.last_modified)


def _kind_of(tally: TallyRecord) -> Mapping[str, str]:
    if tally.cell == GONE:
        state = ProductState.GONE
    else:
        state = ProductState.HERE if tally.where == BLOB_STORE else ProductState.ELSEWHERE
    return {
        "state": str(state),
        "where": tally.where,
        "mission": tally.mission,
        "product_type": tally.product_type,
        "month": tally.month,
    }
