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
from orthocontracts.requests import Request
from orthofunctions.domain.faults import PlanError
from orthofunctions.domain.planning import Limits
from orthofunctions.domain.pools import SiteSpec
from orthofunctions.domain.records import InventoryRecord
from orthofunctions.domain.rules import Rules
from orthofunctions.ports import Ports
from orthofunctions.usecases.campaign_products import Matcher, listed, request_for
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
    requests, cannot = _requests(ports, order, kept)
    found = estimate(ports, rules, limits, requests)
    cannot.update(one.fault.kind for one in found if one.fault is not None)
    return _scaled(site, n_products, len(kept), found, cannot, counted_all=counted_all)


def _requests(ports: Ports, order: CampaignOrder, kept: list[InventoryRecord]) -> tuple[list[Request], Counter[str]]:
    look, requests, cannot = Lookup(ports), list[Request](), Counter[str]()
    look.learn(record.ref for record in kept)
    for record in kept:
        try:
            (product,) = look.products([record.ref])
        except PlanError as error:
            cannot[error.kind] += 1
            continue
        request = request_for(ports, order, product, record.key, 1)
        if request is not None:
            requests.append(request)
    return requests, cannot


def _scaled(
    site: SiteSpec, n_products: int, n_sampled: int, found: list[Estimate], cannot: Counter[str], *, counted_all: bool
) -> Price:
    share = n_products / n_sampled if n_sampled else 0.0
    good = [one for one in found if one.fault is None]
    tasks = [task for one in good for task in one.tasks]
    standings = sum((one.standings for one in good), Counter[Standing]())
    images = sum(standings.values())
    onprem = {pool.name for pool in site.pools if pool.kind == "onprem"}
    cloud = {pool.name for pool in site.pools if pool.kind == "cloud"}
    at_home = [_best(task, onprem) or _best(task, cloud) or (0.0, 0.0) for task in tasks]
    in_cloud = [_best(task, cloud) or (0.0, 0.0) for task in tasks]
    return Price(
        products=n_products,
        counted_all=counted_all,
        sampled=n_sampled,
        exact=counted_all and n_sampled == n_products,
        products_fitting=round(len(good) * share),
        images=round(images * share),
        images_there=round((images - standings[Standing.NEW]) * share),
        tasks=round(len(tasks) * share),
        megapixels=round(sum(task.megapixels for task in tasks) * share, 3),
        slot_hours=round(sum(run_s for run_s, _ in at_home) * share / 3600, 3),
        eur=round(sum(eur for _, eur in at_home) * share, 2),
        cloud_eur=round(sum(eur for _, eur in in_cloud) * share, 2) if cloud else None,
        cannot=dict(cannot),
    )


def _best(task: TaskEstimate, pools: set[str]) -> tuple[float, float] | None:
    """Seconds of a slot, and euros, in the cheapest of some pools."""
    offers = [offer for name, offer in task.offers.items() if name in pools]
    if not offers:
        return None
    best = min(offers, key=lambda offer: (offer.reserve_eur, offer.run_s))
    return best.transfer_s + best.run_s, best.reserve_eur
