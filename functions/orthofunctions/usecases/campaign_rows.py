"""A campaign's rows: its own, and those of its products, in one partition; and the list of all campaigns."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from orthocontracts import names
from orthocontracts.campaigns import CampaignOrder
from orthofunctions.domain.records import CampaignProductRecord, CampaignRecord
from orthofunctions.ports import Change, Ports, Row, RowChangedError, RowExistsError
from orthofunctions.usecases.jobs import MAX_SWAPS, BusyRowError
from orthofunctions.usecases.rows import load, swap

_LIST = "list"
_OWN_ROW = "campaign"
OPEN, FAILED = "open-", "failed-"
MOST_WITH_IT = 90
"""Rows of products that change together with their campaign: a transaction holds a hundred changes."""


def place_of(campaign_id: str) -> str:
    return f"c-{campaign_id}"


def find_campaign(ports: Ports, campaign_id: str) -> CampaignRecord | None:
    return load(ports.tables, CampaignRecord, place_of(campaign_id), _OWN_ROW)


def insert_campaign(ports: Ports, record: CampaignRecord) -> CampaignRecord | None:
    """Keep a new campaign; None where there is one of its id. It is listed first: one that is listed only is none."""
    ports.tables.put(names.TABLE_CAMPAIGNS, Row(_LIST, record.campaign_id, {}))
    try:
        return record.changed(etag=ports.tables.insert(names.TABLE_CAMPAIGNS, record.to_row()).etag)
    except RowExistsError:
        return None


def all_campaigns(ports: Ports) -> Iterator[CampaignRecord]:
    """By id."""
    for row in list(ports.tables.query(names.TABLE_CAMPAIGNS, partition=_LIST)):
        record = find_campaign(ports, row.key)
        if record is not None:
            yield record


def order_of(record: CampaignRecord) -> CampaignOrder:
    return CampaignOrder.model_validate_json(record.document)


def products_of(
    ports: Ports, campaign_id: str, prefix: str, limit: int, after: str = ""
) -> list[CampaignProductRecord]:
    """Products that are open, or that have failed, the newest first."""
    rows = ports.tables.query(
        names.TABLE_CAMPAIGNS,
        partition=place_of(campaign_id),
        key_from=f"{after}!" if after else prefix,
        key_below=f"{prefix}~",
        limit=limit,
    )
    return [CampaignProductRecord.from_row(row) for row in rows]


def failed_key(attempt: int, key: str) -> str:
    """Those of earlier attempts come first."""
    return f"{FAILED}{attempt:04d}-{key}"


def find_product(ports: Ports, product: CampaignProductRecord) -> CampaignProductRecord | None:
    """A product's row as it is now."""
    return load(ports.tables, CampaignProductRecord, product.place, product.key)


def change_campaign(
    ports: Ports, record: CampaignRecord, change: Callable[[CampaignRecord], CampaignRecord | None]
) -> CampaignRecord:
    """Apply a change to the row as it is now; None leaves it."""
    for _ in range(MAX_SWAPS):
        changed = change(record)
        if changed is None:
            return record
        try:
            return swap(ports.tables, changed)
        except RowChangedError:
            record = _there(ports, record)
    raise BusyRowError(f"campaign {record.campaign_id}")


def change_with_products(ports: Ports, record: CampaignRecord, changes: Sequence[Change]) -> bool:
    """The campaign and rows of its products at once, `MOST_WITH_IT` of them at most. False where any has changed."""
    try:
        ports.tables.transact(names.TABLE_CAMPAIGNS, [Change("replace", record.to_row()), *changes])
    except (RowChangedError, RowExistsError):
        return False
    return True


def _there(ports: Ports, record: CampaignRecord) -> CampaignRecord:
    now = find_campaign(ports, record.campaign_id)
    if now is None:
        raise RowChangedError(f"campaign {record.campaign_id} is gone")
    return now
