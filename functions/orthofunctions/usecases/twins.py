"""Products that were announced in somebody else's archive and are uploaded too: each order asks for them once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from orthocontracts.digests import job_id_of
from orthocontracts.orders import StandingOrder
from orthocontracts.references import scheme_of
from orthocontracts.states import JobState
from orthofunctions.domain.access import may_read
from orthofunctions.domain.facts import ProductFacts
from orthofunctions.domain.ordered import first_request_id
from orthofunctions.domain.pools import SiteSpec
from orthofunctions.domain.records import InventoryRecord, JobRecord
from orthofunctions.domain.seams import Part, ever
from orthofunctions.ports import Ports
from orthofunctions.usecases.inventory import listed_of_name
from orthofunctions.usecases.jobs import find_job
from orthofunctions.usecases.passes import facts_of_announced, pass_of
from orthofunctions.usecases.plans import PlanLostError, StoredPlan


class TwinUnreadError(Exception):
    """Nobody knows yet what a product holds that was announced under the same name: its jobs are not planned."""


@dataclass(frozen=True)
class Made:
    """A job that an order has asked for, and of what."""

    job: JobRecord
    part: Part


class Twins:
    """What orders have asked for of products as they were announced. One arrival's: a product is looked up once."""

    def __init__(self, ports: Ports, site: SiteSpec) -> None:
        self._ports, self._site = ports, site
        self._passes: dict[str, list[tuple[ProductFacts, list[ProductFacts]]]] = {}
        self._parts: dict[tuple[str, ...], list[Part]] = {}

    def made_instead(self, order: StandingOrder, product: ProductFacts, *, may_wait: bool) -> list[Made]:
        """What the order has asked for of a product as it was announced, where it is what has been uploaded now. What
        is still to come, a seam say, its announcement asks for.

        Nothing where the upload is to be asked for: the order has no job, one failed (its server does not let us in,
        say), or what was announced holds something else, which only their plans know.

        Raises
        ------
        TwinUnreadError
            Where a plan is still to come, and ``may_wait``.
        """
        for announced, slices in self._announced(product):
            made = self.made_of(order, announced, slices)
            jobs = [one.job for one in made]
            if may_wait and not (jobs and all(job.planned for job in jobs)):
                raise TwinUnreadError
            if jobs and all(_is_well(job) for job in jobs) and self._is_same(product, jobs):
                return made
        return []

    def made_of(self, order: StandingOrder, product: ProductFacts, slices: Sequence[ProductFacts]) -> list[Made]:
        """What the order asked for when a product had come, or later when a neighbour had."""
        readable = [one for one in slices if may_read(self._site, order.user, one.source.ref)]
        if product not in readable:
            return []
        key = (order.grid.to_json() if order.grid else "", product.source.ref, *(one.source.ref for one in readable))
        parts = self._parts.get(key)
        if parts is None:
            parts = self._parts[key] = ever(order.grid, product, readable)
        by_id = {job_id_of(order.user, first_request_id(order, part.sources, part.grid)): part for part in parts}
        found = ((find_job(self._ports, order.user, job_id), part) for job_id, part in by_id.items())
        return [Made(job, part) for job, part in found if job is not None]

    def _announced(self, product: ProductFacts) -> list[tuple[ProductFacts, list[ProductFacts]]]:
        """What was announced under the name of a product that lies in blob storage, each with the slices of its
        pass."""
        ref = product.source.ref
        if ref not in self._passes:
            found = []
            for record in self._namesakes(product):
                announced = facts_of_announced(record)
                if announced is not None:
                    members = pass_of(self._ports, announced, record.arrived_at, {})
                    found.append((announced, [member.facts for member in members]))
            self._passes[ref] = found
        return self._passes[ref]

    def _namesakes(self, product: ProductFacts) -> list[InventoryRecord]:
        if scheme_of(product.source.ref) is not None:
            return []
        return [one for one in listed_of_name(self._ports, product.name) if scheme_of(one.ref) is not None]

    def _is_same(self, product: ProductFacts, jobs: Sequence[JobRecord]) -> bool:
        """Whether their plans have found what the product holds."""
        try:
            plans = [StoredPlan.read(self._ports, job.job_id).plan for job in jobs]
        except PlanLostError:
            return False
        outputs = [output for plan in plans for output in plan.outputs]
        planned = {source.content for output in outputs for source in output.identity.products}
        return bool(planned & {product.source.content, product.manifest_content})


def _is_well(job: JobRecord) -> bool:
    return job.planned and job.fault_kind is None and job.final is not JobState.FAILED
