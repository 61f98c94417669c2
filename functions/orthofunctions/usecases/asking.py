"""What an order asks for when a product has come: now, or when the neighbours on its seams have come too."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from orthocontracts.digests import job_id_of
from orthocontracts.orders import StandingOrder
from orthocontracts.requests import GridRequest, Request
from orthofunctions.domain.access import may_read
from orthofunctions.domain.facts import ProductFacts
from orthofunctions.domain.ordered import first_request, first_request_id, name_of_content
from orthofunctions.domain.records import JobRecord
from orthofunctions.domain.seams import Part, before, has_ends, parts_of
from orthofunctions.ports import Ports
from orthofunctions.usecases.jobs import find_job
from orthofunctions.usecases.orders import has_asked, may_ask
from orthofunctions.usecases.passes import Member
from orthofunctions.usecases.site import load_site
from orthofunctions.usecases.submit import submit

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

    def __init__(self, ports: Ports, product: ProductFacts, members: Sequence[Member], waiting: Waiting) -> None:
        self._ports, self._product, self._waiting = ports, product, waiting
        self._members = {member.facts.source.ref: member for member in members}
        self._site, self._now = load_site(ports), ports.clock.now()
        self._known: dict[object, _Parts] = {}

    def of_order(self, fit: Fit) -> Asked:
        order, product = fit.order, self._product
        refs = [ref for ref in self._members if may_read(self._site, order.user, ref)]
        slices = [self._members[ref].facts for ref in refs]
        wanted = [one for one in fit.products if one in slices and self._counts(order, one)]
        if not wanted or product not in slices or (product in fit.products and product not in wanted):
            return Asked([])
        wait_s = min(self._waiting.wait_s, order.within_s / 2 if order.within_s else self._waiting.wait_s)
        may_wait = wait_s > 0
        if not has_ends(product):  # a cloudy piece of a tile is none for an order of clear ones
            slices = wanted
        jobs, due = [], []
        for part, earlier in self._parts(order.grid, wanted, slices, may_wait):
            arrived_at = max(self._members[ref].arrived_at for ref in part.refs)
            due_at = self._due_at(arrived_at, wait_s)
            if part.waits and due_at > self._now:
                due.append(due_at)
                continue
            replaced = self._jobs_of(order, earlier)
            jobs.append(submit(self._ports, _request(fit, part, arrived_at, replaced), fit.source))
        if due:
            logger.info(
                "%s: seams of order %s wait for a neighbour until %s",
                product.name,
                order.order_id,
                min(due),
                extra={"action": "seam_waits"},
            )
        return Asked(jobs, min(due, default=None))

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

    def _counts(self, order: StandingOrder, product: ProductFacts) -> bool:
        """Whether the order's month has room for a product: the one that came is counted, when it is seen first."""
        if product is not self._product:
            arrived_at = self._members[product.source.ref].arrived_at
            return has_asked(self._ports, order, name_of_content(product.source), (arrived_at, self._now))
        if may_ask(self._ports, order, name_of_content(product.source), self._waiting.seen_at or self._now):
            return True
        ref = product.source.ref
        logger.info("%s: the month of order %s is full", ref, order.order_id, extra={"action": "order_full"})
        return False

    def _due_at(self, arrived_at: datetime, wait_s: float) -> datetime:
        seen_at = self._waiting.seen_at or self._now
        return max(arrived_at + timedelta(seconds=wait_s), seen_at + timedelta(seconds=min(wait_s, LEAST_WAIT_S)))

    def _jobs_of(self, order: StandingOrder, parts: Sequence[Part]) -> tuple[str, ...]:
        """Those of the parts that were asked for: ids of their jobs."""
        ids = sorted({_job_id(order, part) for part in parts})
        return tuple(job_id for job_id in ids if find_job(self._ports, order.user, job_id) is not None)


def _request(fit: Fit, part: Part, arrived_at: datetime, replaced: tuple[str, ...]) -> Request:
    request = first_request(fit.order, part, arrived_at, replaced)
    if fit.source == "order":
        return request
    return request.model_copy(update={"ordered": None})  # the site's default is nobody's order


def _job_id(order: StandingOrder, part: Part) -> str:
    return job_id_of(order.user, first_request_id(order, [one.source for one in part.products], part.grid))
