"""What a campaign would come to: its products are counted, and some of them, left to chance, reckoned as requests are.

A count of 100,000 products reads that many rows; to reckon them all would read each product. So the figures are those
of a sample, times what it stands for, and say so. Where the sample holds all products they are exact. A count goes on
where it was left, in another process too: its sample are the products whose keys have the least hashes.
"""

from __future__ import annotations

import hashlib
import time
from bisect import insort
from collections import Counter
from collections.abc import Sequence

from pydantic import Field

from orthocontracts.campaigns import CampaignOrder
from orthocontracts.model import Document
from orthofunctions.domain.faults import PlanError
from orthofunctions.domain.planning import Limits
from orthofunctions.domain.pools import SiteSpec
from orthofunctions.domain.rules import Rules
from orthofunctions.ports import Ports
from orthofunctions.usecases.campaign_products import listed
from orthofunctions.usecases.campaign_requests import Wish, Wishes
from orthofunctions.usecases.estimate import Estimate, Standing, TaskEstimate, estimate
from orthofunctions.usecases.lookup import Lookup
from orthofunctions.usecases.site import load_site

SAMPLE = 32
LONGEST_COUNT_S = 25.0
"""A call is answered: what is not counted by then is said to be more, and counted by the clock."""


class Price(Document):
    """What a campaign is expected to come to.

    ``products`` are those that the inventory lists for it; all other figures are estimates from ``sampled`` of them.
    """

    products: int
    counted_all: bool = Field(description="false: there are more, they are still being counted")
    sampled: int = Field(description="products that were looked at closely: all other figures are from these")
    exact: bool = Field(description="all products were looked at")
    products_fitting: int = Field(description="those that fit when they are looked at closely, and can be planned")
    images: int
    images_there: int = Field(description="in the catalogue, or being made: they cost nothing")
    tasks: int
    megapixels: float
    slot_hours: float = Field(description="of the centre's slots, or of the quickest pool's where there is no centre")
    eur: float = Field(description="what is paid where it all runs in the centre, at the 90th percentile of run times")
    cloud_eur: float | None = Field(
        default=None, description="the same in the cheapest cloud pool; None: there is none"
    )
    cannot: dict[str, int] = Field(default_factory=dict, description="products of the sample without a plan, by reason")


class Sampled(Document):
    """A product of the sample, and what left it to chance."""

    lot: str
    key: str
    ref: str


class Count(Document):
    """How far a campaign's products are counted: those up to ``cursor``."""

    cursor: str = ""
    products: int = 0
    is_whole: bool = False
    sample: tuple[Sampled, ...] = ()


def count(
    ports: Ports, order: CampaignOrder, wishes: Wishes, so_far: Count, until_s: float, *, sample: int = SAMPLE
) -> Count:
    """Go on with a count until a moment of the monotonic clock."""
    lots = [(one.lot, one) for one in so_far.sample]
    n_products, cursor, is_whole, matcher = so_far.products, so_far.cursor, True, wishes.matcher
    for record in listed(ports, order, matcher, cursor):
        if time.monotonic() > until_s:
            is_whole = False
            break
        cursor = record.key
        if not matcher.fits(record):
            continue
        n_products += 1
        lot = hashlib.sha256(f"{order.campaign_id}|{record.key}".encode()).hexdigest()[:16]  # asked again, the same
        if len(lots) < sample or lot < lots[-1][0]:
            insort(lots, (lot, Sampled(lot=lot, key=record.key, ref=record.ref)), key=lambda one: one[0])
            del lots[sample:]
    return Count(cursor=cursor, products=n_products, is_whole=is_whole, sample=tuple(one for _, one in lots))


def price_of(ports: Ports, rules: Rules, limits: Limits, order: CampaignOrder, wishes: Wishes, counted: Count) -> Price:
    """Reckon a campaign of which so many products are counted. Nothing is written."""
    asked, cannot = _asked(ports, wishes, counted.sample)
    different = list({wish.request.request_id: wish.request for wishes in asked for wish in wishes}.values())
    estimates = estimate(ports, rules, limits, different)
    found = {request.request_id: one for request, one in zip(different, estimates, strict=True)}
    cannot.update(one.fault.kind for one in estimates if one.fault is not None)
    return _scaled(load_site(ports), counted, asked, found, cannot)


def _asked(ports: Ports, wishes: Wishes, sample: Sequence[Sampled]) -> tuple[list[list[Wish]], Counter[str]]:
    """What is asked of each product that there is something to be asked of."""
    look, asked, cannot = Lookup(ports), list[list[Wish]](), Counter[str]()
    look.learn(one.ref for one in sample)
    for one in sample:
        try:
            (product,) = look.products([one.ref])
            of_it = wishes.of(product, one.key, 1)
        except PlanError as error:
            cannot[error.kind] += 1
            continue
        if of_it:
            asked.append(of_it)
    return asked, cannot


def _scaled(
    site: SiteSpec, counted: Count, asked: list[list[Wish]], found: dict[str, Estimate], cannot: Counter[str]
) -> Price:
    """Of what products on a seam ask for together, each of them counts its part."""
    n_products, n_sampled, counted_all = counted.products, len(counted.sample), counted.is_whole
    share = n_products / n_sampled if n_sampled else 0.0
    onprem = {pool.name for pool in site.pools if pool.kind == "onprem"}
    cloud = {pool.name for pool in site.pools if pool.kind == "cloud"}
    n_fitting, images, images_there, tasks, megapixels, slot_s, eur, cloud_eur = 0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0
    for wishes in asked:
        n_fitting += all(found[wish.request.request_id].fault is None for wish in wishes)
        for wish in wishes:
            one, part = found[wish.request.request_id], 1 / wish.shared_by
            if one.fault is not None:
                continue
            n_images = sum(one.standings.values())
            images += n_images * part
            images_there += (n_images - one.standings[Standing.NEW]) * part
            tasks += len(one.tasks) * part
            for task in one.tasks:
                run_s, cost_eur = _best(task, onprem) or _best(task, cloud) or (0.0, 0.0)
                megapixels += task.megapixels * part
                slot_s += run_s * part
                eur += cost_eur * part
                cloud_eur += (_best(task, cloud) or (0.0, 0.0))[1] * part
    return Price(
        products=n_products,
        counted_all=counted_all,
        sampled=n_sampled,
        exact=counted_all and n_sampled == n_products,
        products_fitting=round(n_fitting * share),
        images=round(images * share),
        images_there=round(images_there * share),
        tasks=round(tasks * share),
        megapixels=round(megapixels * share, 3),
        slot_hours=round(slot_s * share / 3600, 3),
        eur=round(eur * share, 2),
        cloud_eur=round(cloud_eur * share, 2) if cloud else None,
        cannot=dict(cannot),
    )


def _best(task: TaskEstimate, pools: set[str]) -> tuple[float, float] | None:
    """Seconds of a slot, and euros, in the cheapest of some pools."""
    offers = [offer for name, offer in task.offers.items() if name in pools]
    if not offers:
        return None
    best = min(offers, key=lambda offer: (offer.reserve_eur, offer.run_s))
    return best.transfer_s + best.run_s, best.reserve_eur
