"""Campaigns: planned with a price, started, paused, resumed, cancelled. `campaign_feed` does their work."""

from __future__ import annotations

import time

from orthocontracts.campaigns import CampaignOrder
from orthofunctions.domain.campaigns import CampaignAction, CampaignState, moved
from orthofunctions.domain.planning import Limits
from orthofunctions.domain.records import CampaignRecord
from orthofunctions.domain.rules import Rules
from orthofunctions.ports import Ports
from orthofunctions.usecases import campaign_price
from orthofunctions.usecases.campaign_price import Count, count, price_of
from orthofunctions.usecases.campaign_requests import Wishes
from orthofunctions.usecases.campaign_rows import (
    all_campaigns,
    change_campaign,
    find_campaign,
    insert_campaign,
    order_of,
    place_of,
)
from orthofunctions.usecases.pending import wake
from orthofunctions.usecases.site import load_site

MOST_CHARACTERS = 30_000
"""Of a campaign's document: what a table keeps in one value."""
MOST_UNDER_WAY = 50
"""Campaigns that run or pause: a round looks at each that has work waiting."""


class CampaignRefusedError(Exception):
    """A campaign that cannot be kept or started; the message says why."""


class CampaignExistsError(Exception):
    """There is a campaign of that id, and it is another."""


def plan_campaign(ports: Ports, rules: Rules, limits: Limits, order: CampaignOrder) -> CampaignRecord:
    """Keep a campaign with its price; nothing is made before it is started. The same again is harmless.

    Raises
    ------
    CampaignRefusedError
    CampaignExistsError
    """
    document = order.to_json()
    if len(document) > MOST_CHARACTERS:
        raise CampaignRefusedError(
            f"the campaign has {len(document)} characters, {MOST_CHARACTERS} can be kept: simplify its area"
        )
    there = find_campaign(ports, order.campaign_id)
    if there is None:
        wishes = Wishes(ports, order, load_site(ports), order.created_at)
        counted = count(ports, order, wishes, Count(), time.monotonic() + campaign_price.LONGEST_COUNT_S)
        there = insert_campaign(
            ports,
            CampaignRecord(
                place=place_of(order.campaign_id),
                campaign_id=order.campaign_id,
                state=CampaignState.PLANNED,
                document=document,
                price=price_of(ports, rules, limits, order, wishes, counted).to_json(),
                counting="" if counted.is_whole else counted.to_json(),
                created_at=order.created_at,
                at_once=order.at_once,
                max_eur=order.max_eur,
                patience_s=order.patience_s,
            ),
        ) or find_campaign(ports, order.campaign_id)
    if there is None or order_of(there) != order.model_copy(update={"created_at": there.created_at}):
        raise CampaignExistsError(
            f"there is a campaign {order.campaign_id} already, and it is another: take another id"
        )
    return there


def change_state(ports: Ports, record: CampaignRecord, action: CampaignAction) -> CampaignRecord:
    """Start, pause, resume, retry or cancel a campaign. The same again is harmless.

    What is paused or cancelled is released no longer from the next round on; what runs goes on, or is cancelled by
    `campaign_feed`.

    Raises
    ------
    CampaignStateError
    CampaignRefusedError
        Where too many are under way.
    """
    now = ports.clock.now()
    if action is CampaignAction.START and record.state is CampaignState.PLANNED:
        under_way = [one for one in all_campaigns(ports) if one.state in (CampaignState.RUNNING, CampaignState.PAUSED)]
        if len(under_way) >= MOST_UNDER_WAY:
            raise CampaignRefusedError(f"{MOST_UNDER_WAY} campaigns are under way: wait for one, or cancel one")

    def change(there: CampaignRecord) -> CampaignRecord | None:
        state = moved(there.campaign_id, there.state, action)
        if action is CampaignAction.RETRY:
            return None if there.n_failed == 0 else there.changed(state=state, attempt=there.attempt + 1, ended_at=None)
        if state is there.state:
            return None
        started = {"started_at": now} if there.started_at is None and action is CampaignAction.START else {}
        ended = {"ended_at": now} if state is CampaignState.CANCELLED else {}
        return there.changed(state=state, **started, **ended)

    changed = change_campaign(ports, record, change)
    if action is CampaignAction.RESUME:
        wake(ports, f"campaign {record.campaign_id} was resumed")
    return changed
