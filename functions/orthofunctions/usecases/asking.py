"""What an order asks for when a product has come: now, or when the neighbours on its seams have come too."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from typing import Final

from orthocontracts.digests import job_id_of
from orthocontracts.orders import StandingOrder
from orthocontracts.requests import GridRequest, Request
from orthofunctions.domain.access import may_read
from orthofunctions.domain.facts import ProductFacts
from orthofunctions.domain.ordered import first_request, first_request_id, name_of_content
from orthofunctions.domain.records import JobRecord
from orthofunctions.domain.seams import Part, before, has_ends, parts_of, share_places
from orthofunctions.ports import Ports
from orthofunctions.usecases.jobs import find_job
from orthofunctions.usecases.orders import has_asked, has_room, may_ask
from orthofunctions.usecases.passes import Member
from orthofunctions.usecases.site import load_site
from orthofunctions.usecases.submit import submit
from orthofunctions.usecases.twins import Made, Twins

logger = logging.getLogger(__name__)

LEAST_WAIT_S: Final = 60.0
"""After a product was seen first, however long ago it arrived: of a backlog neighbours follow each other."""


@dataclass(frozen=True)
class Waiting:
    """How long images on a seam wait for the neighbour.

    Attributes
    ----------
    wait_s : float
        From a product's arrival; 0: they do not wait.
    seen_at : datetime, optional
        When the product was looked at first; None: now.
    """

    wait_s: float = 0.0
    seen_at: datetime | None = None


NO_WAITING: Final = Waiting()


@dataclass(frozen=True)
class Asked:
    """What an arrival came to.

    ``look_again_at`` is when the first of the images is due that wait for a neighbour; None where none waits.
    """

    jobs: list[JobRecord]
    look_again_at: datetime | None = None


@dataclass(frozen=True)
class Fit:
    """An order and the products of a pass that it is for; ``source`` is the door of its jobs."""

    order: StandingOrder
    source: str
    products: list[ProductFacts] = field(default_factory=list)


_Parts = list[tuple[Part, list[Part]]]


class Asking:
    """Asks, order by order, for what one product makes or changes."""

    def __init__(
        self,
        ports: Ports,
        product: ProductFacts,
        members: Sequence[Member],
        waiting: Waiting,
        *,
        may_wait_for_twin: bool,
        only_begun: bool,
    ) -> None:
        self._ports, self._product, self._waiting = ports, product, waiting
        self._may_wait_for_twin, self._only_begun = may_wait_for_twin, only_begun
        self._members = {member.facts.source.ref: member for member in members}
        self._site, self._now = load_site(ports), ports.clock.now()
        self._twins = Twins(ports, self._site)
        self._known: dict[object, _Parts] = {}

    def is_taken(self, product: ProductFacts, orders: Sequence[StandingOrder]) -> bool:
        """Whether one of the orders that a product of the pass fits is for it: not where all their months are full."""
        readers = [order for order in orders if may_read(self._site, order.user, product.source.ref)]
        if any(order.products_per_month is None for order in readers):
            return True
        arrived_at = self._members[product.source.ref].arrived_at
        for order in readers:
            instead = _Once(partial(self._made_instead, Fit(order, "order")))
            # a neighbour that is listed, and not counted yet, soon will be
            soon = product is not self._product and has_room(self._ports, order, arrived_at)
            if soon or self._counts(order, product, instead):
                return True
        return False

    def of_order(self, fit: Fit) -> Asked:
        order, product = fit.order, self._product
        refs = [ref for ref in self._members if may_read(self._site, order.user, ref)]
        slices = [self._members[ref].facts for ref in refs]
        fitting = [one for one in fit.products if one in slices]
        if product not in slices or (self._only_begun and not self._twins.made_of(order, product, slices)):
            return Asked([])
        instead = _Once(lambda one: self._made_instead(fit, one) if one in fitting else [])
        wanted = [one for one in fitting if self._counts(order, one, instead)]
        if not wanted or (product in fit.products and product not in wanted):
            return Asked([])
        wait_s = min(self._waiting.wait_s, order.within_s / 2 if order.within_s else self._waiting.wait_s)
        may_wait = wait_s > 0
        if not has_ends(product):  # a cloudy piece of a tile is none for an order of clear ones
            slices = wanted
        jobs, due = [], []
        for part, earlier in self._parts(order.grid, wanted, slices, may_wait):
            if instead(product) and all(map(instead, part.products)) and not self._jobs_of(order, [part]):
                jobs += [made.job for made in instead(product)]
                continue
            arrived_at = max(self._members[ref].arrived_at for ref in part.refs)
            due_at = self._due_at(arrived_at, wait_s)
            if part.waits and due_at > self._now:
                due.append(due_at)
                continue
            replaced = self._jobs_of(order, earlier)
            if earlier:
                announced = [made for one in part.products for made in instead(one)]
                replaced |= {made.job.job_id for made in announced if share_places(made.part, part)}
            jobs.append(submit(self._ports, _request(fit, part, arrived_at, tuple(sorted(replaced))), fit.source))
        if due:
            logger.info(
                "%s: seams of order %s wait for a neighbour until %s",
                product.name,
                order.order_id,
                min(due),
                extra={"action": "seam_waits"},
            )
        return Asked(list({job.job_id: job for job in jobs}.values()), min(due, default=None))

    def _parts(
        self, grid: GridRequest | None, wanted: list[ProductFacts], slices: list[ProductFacts], may_wait: bool
    ) -> _Parts:
        """Images of an order, each with what may have been made instead: once for all orders that are alike."""
        refs = [tuple(one.source.ref for one in some) for some in (wanted, slices)]
        key = (grid.to_json() if grid else "", *refs, may_wait)
        found = self._known.get(key)
        if found is None:
            parts = parts_of(grid, self._product, wanted, slices, may_wait=may_wait)
            found = [(part, before(part, grid, wanted, slices, may_wait=may_wait)) for part in parts]
            self._known[key] = found
        return found

    def _made_instead(self, fit: Fit, product: ProductFacts) -> list[Made]:
        """What the order has asked for of a product as it was announced; the site's default is for uploads alone."""
        may_wait = self._may_wait_for_twin and product is self._product
        return [] if fit.source != "order" else self._twins.made_instead(fit.order, product, may_wait=may_wait)

    def _counts(self, order: StandingOrder, product: ProductFacts, instead: _Once) -> bool:
        """Whether the order's month has room for a product: the one that came is counted, when it is seen first, and
        where it was not counted as it was announced."""
        if product is not self._product:
            arrived_at = self._members[product.source.ref].arrived_at
            when = (arrived_at, self._now)
            return has_asked(self._ports, order, name_of_content(product.source), when) or bool(instead(product))
        if instead(product) or may_ask(
            self._ports, order, name_of_content(product.source), self._waiting.seen_at or self._now
        ):
            return True
        ref = product.source.ref
        logger.info("%s: the month of order %s is full", ref, order.order_id, extra={"action": "order_full"})
        return False

    def _due_at(self, arrived_at: datetime, wait_s: float) -> datetime:
        seen_at = self._waiting.seen_at or self._now
        return max(arrived_at + timedelta(seconds=wait_s), seen_at + timedelta(seconds=min(wait_s, LEAST_WAIT_S)))

    def _jobs_of(self, order: StandingOrder, parts: Sequence[Part]) -> set[str]:
        """Those of the parts that were asked for: ids of their jobs."""
        ids = {job_id_of(order.user, first_request_id(order, part.sources, part.grid)) for part in parts}
        return {job_id for job_id in ids if find_job(self._ports, order.user, job_id) is not None}


class _Once:
    """What was made of products as they were announced, looked up when it is asked for."""

    def __init__(self, look_up: Callable[[ProductFacts], list[Made]]) -> None:
        self._look_up, self._found = look_up, dict[str, list[Made]]()

    def __call__(self, product: ProductFacts) -> list[Made]:
        ref = product.source.ref
        if ref not in self._found:
            self._found[ref] = self._look_up(product)
        return self._found[ref]


def _request(fit: Fit, part: Part, arrived_at: datetime, replaced: tuple[str, ...]) -> Request:
    request = first_request(fit.order, part, arrived_at, replaced)
    if fit.source == "order":
        return request
    return request.model_copy(update={"ordered": None})  # the site's default is nobody's order
