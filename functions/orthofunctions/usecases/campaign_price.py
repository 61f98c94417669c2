"""What a campaign would come to: its products are counted, and some of them, left to chance, reckoned as requests are.

A count of 100,000 products reads that many rows; to reckon them all would read each product. So the figures are those
of a sample, times what it stands for, and say so. Where the sample holds all products they are exact.
"""

from __future__ import annotations

import random
import time
from collections import Counter

from pydantic import Field

from orthocontracts.campaigns import CampaignOrder
from orthocontracts.model import Document
from orthofunctions.domain.faults import PlanError
from orthofunctions.domain.planning import Limits
from orthofunctions.domain.pools import SiteSpec
from orthofunctions.domain.records import InventoryRecord
from orthofunctions.domain.rules import Rules
from orthofunctions.ports import Ports
from orthofunctions.usecases.campaign_products import Matcher, listed
from orthofunctions.usecases.campaign_requests import Wish, Wishes
from orthofunctions.usecases.estimate import Estimate, Standing, TaskEstimate, estimate
from orthofunctions.usecases.lookup import Lookup
from orthofunctions.usecases.site import load_site

SAMPLE = 32
LONGEST_COUNT_S = 25.0
"""A call is answered: what is not counted by then is said to be more."""


class Price(Document):
    """What a campaign is expected to come to.

    ``products`` are those that the inventory lists for it; all other figures are estimates from ``sampled`` of them.
    """

    products: int
    counted_all: bool = Field(description="false: there are more, it took too long to count them")
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


def price_of(ports: Ports, rules: Rules, limits: Limits, order: CampaignOrder, *, sample: int = SAMPLE) -> Price:
    """Reckon a campaign. Nothing is written."""
    site = load_site(ports)
    matcher = Matcher(order, site, order.created_at)
    chance = random.Random(order.campaign_id)  # asked again, it looks at the same products
    kept: list[InventoryRecord] = []
    n_products, counted_all, until = 0, True, time.monotonic() + LONGEST_COUNT_S
    for record in listed(ports, order, matcher):
        if time.monotonic() > until:
            counted_all = False
            break
        if not matcher.fits(record):
            continue
        n_products += 1
        if len(kept) < sample:
            kept.append(record)
        elif (place := chance.randrange(n_products)) < sample:
            kept[place] = record
    asked, cannot = _asked(ports, Wishes(ports, order, site, order.created_at), kept)
    wishes = list({wish.request.request_id: wish for wishes in asked for wish in wishes}.values())
    found = dict(
        zip(
            (wish.request.request_id for wish in wishes),
            estimate(ports, rules, limits, [wish.request for wish in wishes]),
            strict=True,
        )
    )
    cannot.update(one.fault.kind for one in found.values() if one.fault is not None)
    return _scaled(site, n_products, len(kept), asked, found, cannot, counted_all=counted_all)


def _asked(ports: Ports, wishes: Wishes, kept: list[InventoryRecord]) -> tuple[list[list[Wish]], Counter[str]]:
    """What is asked of each product that there is something to be asked of."""
    look, asked, cannot = Lookup(ports), list[list[Wish]](), Counter[str]()
    look.learn(record.ref for record in kept)
    for record in kept:
        try:
            (product,) = look.products([record.ref])
            of_it = wishes.of(product, record.key, 1)
        except PlanError as error:
            cannot[error.kind] += 1
            continue
        if of_it:
            asked.append(of_it)
    return asked, cannot


def _scaled(
    site: SiteSpec,
    n_products: int,
    n_sampled: int,
    asked: list[list[Wish]],
    found: dict[str, Estimate],
    cannot: Counter[str],
    *,
    counted_all: bool,
) -> Price:
    """Of what products on a seam ask for together, each of them counts its part."""
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
