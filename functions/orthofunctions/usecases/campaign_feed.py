"""The work of campaigns, a little at a time, by the clock.

A look at a campaign takes three steps: what has ended is counted, what is under way is planned where it is not yet, and
more products are taken where there is room. A campaign's row and those of its products share a partition, and each step
changes them in one transaction, or not at all: where whoever did it dies, the next look goes on from there. A product's
job has an id that follows from the campaign and the product, so planning it twice makes it once.

Requests are planned here and not by queue ``requests``: no user's request stands behind them.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass

from orthocontracts.campaigns import CampaignOrder
from orthocontracts.digests import job_id_of
from orthocontracts.states import JobState
from orthofunctions.domain.campaigns import CampaignState
from orthofunctions.domain.faults import PlanError
from orthofunctions.domain.planning import Limits
from orthofunctions.domain.records import (
    ActiveRecord,
    CampaignProductRecord,
    CampaignRecord,
    InventoryRecord,
    JobRecord,
)
from orthofunctions.domain.rules import Rules
from orthofunctions.ports import Change, LeaseHeldError, Ports, RowChangedError
from orthofunctions.usecases.apart import apart
from orthofunctions.usecases.campaign_price import Count, count, price_of
from orthofunctions.usecases.campaign_products import listed
from orthofunctions.usecases.campaign_requests import Wishes, whole_id
from orthofunctions.usecases.campaign_rows import (
    FAILED,
    MOST_WITH_IT,
    OPEN,
    all_campaigns,
    change_campaign,
    change_with_products,
    failed_key,
    find_campaign,
    find_product,
    order_of,
    products_of,
)
from orthofunctions.usecases.cancel import cancel_job
from orthofunctions.usecases.jobs import find_job
from orthofunctions.usecases.lease import RoundLease
from orthofunctions.usecases.ledger import account, books_of, free_lost
from orthofunctions.usecases.lookup import Lookup
from orthofunctions.usecases.plan import plan_request
from orthofunctions.usecases.rows import find, parts, swap
from orthofunctions.usecases.site import load_site

logger = logging.getLogger(__name__)

LONGEST_LOOK_S = 20.0
"""At all campaigns, between two calls of the timer."""
MOST_LISTED = 2000
"""Rows of the inventory read at one look."""
MOST_TROUBLE = 5
"""Times that something unforeseen may come between a product and its plan."""
_LONGEST_MESSAGE = 500
_AT_WORK = (CampaignState.RUNNING, CampaignState.PAUSED, CampaignState.CANCELLING)


def feed_campaigns(ports: Ports, rules: Rules, limits: Limits) -> int:
    """One look at every campaign that has work, each with its share of the time. Returns how many there were.

    Trouble with one is raised when all have been looked at: it holds up no other.
    """
    at_work = [record for record in all_campaigns(ports) if record.state in _AT_WORK or _is_counted(record)]
    with apart("campaigns", ports.meter) as each:
        for record in at_work:
            until_s = time.monotonic() + LONGEST_LOOK_S / len(at_work)
            with each(record.campaign_id):
                _Look(ports, rules, limits, record, until_s).go_on()
    return len(at_work)


@dataclass(frozen=True)
class _Ended:
    """A product whose job is over, or that has none: how, and why."""

    product: CampaignProductRecord
    done: bool = False
    there: bool = False
    unfit: bool = False
    message: str = ""


class _Look:
    """One look at one campaign."""

    def __init__(self, ports: Ports, rules: Rules, limits: Limits, record: CampaignRecord, until_s: float) -> None:
        self._ports, self._rules, self._limits, self._until_s = ports, rules, limits, until_s
        self._record, self._order = record, order_of(record)
        self._wishes = Wishes(ports, self._order, load_site(ports), record.started_at)

    def go_on(self) -> None:
        """Do what there is to do. Whoever changes the campaign meanwhile is right: the next look goes on."""
        if self._record.state in _AT_WORK:
            self._feed()
        if _is_counted(self._record):
            self._go_on_counting()

    def _feed(self) -> None:
        under_way = products_of(self._ports, self._record.campaign_id, OPEN, self._record.at_once)
        ended = self._ended(under_way)
        if not self._count(ended):
            return
        room = self._record.at_once - len(under_way) + len(ended)
        if self._record.state is CampaignState.RUNNING and room > 0:
            fresh = self._again(room) or self._take(room)
            # planned at once, not at the next look: a slot may be waiting for it
            if not self._count(self._ended(fresh)):
                return
        self._end_where_all_is_done()

    def _go_on_counting(self) -> None:
        """Its price is whole once its products are counted."""
        wishes = Wishes(self._ports, self._order, load_site(self._ports), self._order.created_at)
        counted = count(
            self._ports, self._order, wishes, Count.model_validate_json(self._record.counting), self._until_s
        )
        changes = {"counting": counted.to_json()}
        if counted.is_whole:
            price = price_of(self._ports, self._rules, self._limits, self._order, wishes, counted)
            changes = {"counting": "", "price": price.to_json()}
        change_campaign(self._ports, self._record, lambda there: there.changed(**changes) if there.counting else None)

    def _ended(self, products: Sequence[CampaignProductRecord]) -> list[_Ended]:
        look = Lookup(self._ports)
        jobs = [(product, self._jobs_of(product)) for product in products]
        is_running = self._record.state is CampaignState.RUNNING
        if is_running:
            look.learn(product.ref for product, found in jobs if None in found)
        ended = []
        for product, found in jobs:
            there = [job for job in found if job is not None]
            is_asked = len(there) == len(found)
            one = None
            if self._record.state is CampaignState.CANCELLING:
                one = self._cancelled(product)
            elif is_asked and all(job.final is not None for job in there):
                one = _end_of(product, there)
            elif is_running and not (is_asked and all(job.planned for job in there)):
                one = self._planned(product, look) if time.monotonic() < self._until_s else None
            if one is not None:
                ended.append(one)
        return ended

    def _jobs_of(self, product: CampaignProductRecord) -> list[JobRecord | None]:
        return [find_job(self._ports, self._order.user, job_id) for job_id in product.job_ids]

    def _planned(self, product: CampaignProductRecord, look: Lookup) -> _Ended | None:
        """Have a product's jobs planned; its end where there is nothing to be made."""
        try:
            (facts,) = look.products([product.ref])
            requests = [wish.request for wish in self._wishes.of(facts, _key(product), product.attempt)]
            if not requests:
                return _Ended(product, unfit=True)
            product = self._noted(product, [job_id_of(one.user, one.request_id) for one in requests])
            jobs = [plan_request(self._ports, request, self._limits, self._rules) for request in requests]
        except PlanError as error:
            return _Ended(product, message=f"{error.kind}: {error}")
        except RowChangedError:  # the next look goes on
            return None
        except Exception as error:  # one product nobody can plan must not hold up all others
            logger.exception("cannot plan %s", product.ref, extra={"action": "campaign_trouble"})
            return self._troubled(product, error)
        return _end_of(product, jobs) if all(job.final is not None for job in jobs) else None

    def _noted(self, product: CampaignProductRecord, job_ids: Sequence[str]) -> CampaignProductRecord:
        """Which jobs it has is written before there are any: whoever cancels it finds them all.

        Where its neighbours have changed since it was looked at before, jobs that were planned then stay among them; of
        one that was not, nobody would ever hear again.
        """
        job_ids = list(job_ids)
        for job in self._jobs_of(product):
            if job is None or job.job_id in job_ids:
                continue
            if job.planned and not job.cancelled:
                job_ids.append(job.job_id)
            else:
                cancel_job(self._ports, job.user, job.job_id)
        if set(job_ids) == set(product.job_ids):
            return product
        return swap(self._ports.tables, product.changed(parts=json.dumps(job_ids)))

    def _troubled(self, product: CampaignProductRecord, error: Exception) -> _Ended | None:
        troubled = product.changed(trouble=product.trouble + 1)
        try:
            swap(self._ports.tables, troubled)
        except RowChangedError:
            return None
        if troubled.trouble < MOST_TROUBLE:
            return None
        now = find_product(self._ports, troubled)
        return _Ended(now, message=f"{type(error).__name__}: {error}") if now is not None else None

    def _cancelled(self, product: CampaignProductRecord) -> _Ended:
        jobs = [cancel_job(self._ports, self._order.user, job_id) for job_id in product.job_ids]
        if all(job is not None and job.final is JobState.SUCCESSFUL for job in jobs):
            return _end_of(product, [job for job in jobs if job is not None])
        return _Ended(product, message="the campaign was cancelled")

    def _count(self, ended: Sequence[_Ended]) -> bool:
        """Take what has ended out of what is under way. False where somebody else changed the campaign meanwhile."""
        for part in parts(ended, MOST_WITH_IT // 2):
            failed = [one for one in part if not (one.done or one.unfit)]
            counted = self._record.changed(
                n_done=self._record.n_done + sum(one.done for one in part),
                n_there=self._record.n_there + sum(one.there for one in part),
                n_unfit=self._record.n_unfit + sum(one.unfit for one in part),
                n_failed=self._record.n_failed + len(failed),
            )
            changes = [Change("delete", one.product.to_row()) for one in part]
            for one in failed:
                product = one.product
                key = failed_key(product.attempt, _key(product))
                message = one.message[:_LONGEST_MESSAGE]
                changes.append(Change("insert", product.changed(key=key, message=message, parts="", etag="").to_row()))
            if not self._swap(counted, changes):
                return False
        return True

    def _again(self, room: int) -> list[CampaignProductRecord]:
        """Products that had failed when somebody asked for them once more."""
        found = products_of(self._ports, self._record.campaign_id, FAILED, min(room, MOST_WITH_IT // 2))
        old = [one for one in found if one.attempt < self._record.attempt]
        if not old:
            return []
        fresh = [_product(self._record, self._order, _key(one), one.ref, self._record.attempt) for one in old]
        changes = [Change("delete", one.to_row()) for one in old]
        changes += [Change("insert", one.to_row()) for one in fresh]
        counted = self._record.changed(n_failed=self._record.n_failed - len(old))
        return self._stored(fresh) if self._swap(counted, changes) else []

    def _take(self, room: int) -> list[CampaignProductRecord]:
        """The next products of the inventory."""
        if self._record.exhausted:
            return []
        room = min(room, MOST_WITH_IT)
        matcher = self._wishes.matcher
        found: list[InventoryRecord] = []
        cursor, exhausted = self._record.cursor, True
        for n_read, one in enumerate(listed(self._ports, self._order, matcher, cursor)):
            if len(found) >= room or n_read >= MOST_LISTED or time.monotonic() > self._until_s:
                exhausted = False
                break
            cursor = one.key
            if matcher.fits(one):
                found.append(one)
        fresh = [_product(self._record, self._order, one.key, one.ref, self._record.attempt) for one in found]
        taken = self._record.changed(cursor=cursor, exhausted=exhausted, n_taken=self._record.n_taken + len(found))
        if taken == self._record:
            return []
        return self._stored(fresh) if self._swap(taken, [Change("insert", one.to_row()) for one in fresh]) else []

    def _end_where_all_is_done(self) -> None:
        def ended(there: CampaignRecord) -> CampaignRecord | None:
            open_ones = there.n_taken - there.n_done - there.n_failed - there.n_unfit
            if open_ones > 0:
                return None
            if there.state is CampaignState.CANCELLING:
                return there.changed(state=CampaignState.CANCELLED, ended_at=self._ports.clock.now())
            again = products_of(self._ports, there.campaign_id, FAILED, 1)
            wants_again = any(one.attempt < there.attempt for one in again)
            if there.state is CampaignState.RUNNING and there.exhausted and not wants_again:
                return there.changed(state=CampaignState.DONE, ended_at=self._ports.clock.now())
            return None

        if ended(self._record) is not None and self._books_are_closed():
            change_campaign(self._ports, self._record, ended)

    def _books_are_closed(self) -> bool:
        """Whether nothing is reserved that is not for a release under way; while a round reserves nobody can say."""
        campaign = self._record.campaign_id
        if account(self._ports, books_of(campaign)).reserved_eur == 0:
            return True
        try:
            lease = RoundLease(self._ports)
        except LeaseHeldError:
            return False
        try:
            free_lost(self._ports, campaign, find(self._ports.tables, ActiveRecord, campaign=campaign))
        finally:
            lease.release()
        return True

    def _swap(self, changed: CampaignRecord, changes: Sequence[Change]) -> bool:
        if not change_with_products(self._ports, changed, changes):
            return False
        now = find_campaign(self._ports, changed.campaign_id)
        if now is None:
            return False
        self._record = now
        return True

    def _stored(self, fresh: Sequence[CampaignProductRecord]) -> list[CampaignProductRecord]:
        keys = {one.key for one in fresh}
        there = products_of(self._ports, self._record.campaign_id, OPEN, self._record.at_once + MOST_WITH_IT)
        return [one for one in there if one.key in keys]


def _product(record: CampaignRecord, order: CampaignOrder, key: str, ref: str, attempt: int) -> CampaignProductRecord:
    job_id = job_id_of(order.user, whole_id(order, key, attempt))
    return CampaignProductRecord(place=record.place, key=f"{OPEN}{key}", ref=ref, attempt=attempt, job_id=job_id)


def _is_counted(record: CampaignRecord) -> bool:
    return bool(record.counting) and record.state is not CampaignState.CANCELLED


def _key(product: CampaignProductRecord) -> str:
    """As the inventory has it."""
    if product.key.startswith(OPEN):
        return product.key.removeprefix(OPEN)
    return product.key.removeprefix(FAILED).partition("-")[2]


def _end_of(product: CampaignProductRecord, jobs: Sequence[JobRecord]) -> _Ended:
    """Of a product all of whose jobs are over."""
    failed = next((job for job in jobs if job.final is not JobState.SUCCESSFUL), None)
    if failed is None:
        return _Ended(product, done=True, there=all(job.started_at is None for job in jobs))
    message = failed.final_message or str(failed.final)
    return _Ended(product.changed(job_id=failed.job_id), message=message)
