"""What requests would come to, and where they would run now: planned and decided as ever, and nothing written.

The figures are those of a round that would look at the requests this moment, beside all that waits already: the same
plan, the same turns, the same policy. What is in the catalogue costs nothing, and neither does what is being made for
somebody else; of several requests in one call that want the same image the first one pays.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from orthocontracts import names
from orthocontracts.digests import job_id_of
from orthocontracts.messages import Fault
from orthocontracts.requests import Request
from orthocontracts.version import KERNEL_RESULT_VERSION
from orthofunctions.domain.decisions import Decision
from orthofunctions.domain.faults import NotHereError, PlanError
from orthofunctions.domain.offers import Market, Offer, PendingTask
from orthofunctions.domain.pending_index import index_rows, pending_task
from orthofunctions.domain.planning import Limits
from orthofunctions.domain.plans import Plan
from orthofunctions.domain.policy import filled, plan_releases
from orthofunctions.domain.records import DigestRecord, DigestState, TaskRecord
from orthofunctions.domain.rules import Rules
from orthofunctions.domain.waiting import why_waits
from orthofunctions.ports import Ports
from orthofunctions.usecases.digests import STATE_KEY
from orthofunctions.usecases.dispatch import candidates_of_version
from orthofunctions.usecases.ledger import read_ledger
from orthofunctions.usecases.lookup import Lookup
from orthofunctions.usecases.plan import images, in_turn, new_task, on_the_centre_s
from orthofunctions.usecases.rows import load
from orthofunctions.usecases.site import Site
from orthofunctions.usecases.turns import foresee_turns

PARALLEL_READS = 16


class Standing(StrEnum):
    """Of an image that is asked for."""

    THERE = "there"
    UNDER_WAY = "under way"
    NEW = "new"


@dataclass(frozen=True)
class TaskEstimate:
    """One task that would be made. ``pool`` None: it would wait, and ``why`` says for what.

    ``eur`` is what is reserved at most in its pool; of one that waits, in the dearest pool it may yet go to.
    """

    megapixels: float
    pool: str | None
    why: str
    eur: float
    offers: Mapping[str, Offer]
    decision: Decision | None = None


@dataclass(frozen=True)
class Estimate:
    """What one request comes to, or why it cannot be planned."""

    fault: Fault | None = None
    standings: Counter[Standing] = field(default_factory=Counter)
    tasks: Sequence[TaskEstimate] = ()


def estimate(ports: Ports, rules: Rules, limits: Limits, requests: Sequence[Request]) -> list[Estimate]:
    """An estimate for each request, in order."""
    now, look = ports.clock.now(), Lookup(ports)
    look.learn(ref for request in requests for ref in request.products)
    plans = [_planned(request, rules, limits, look, now) for request in requests]
    standings = _standings(ports, {one.digest for plan in plans if isinstance(plan, Plan) for one in plan.outputs})
    made: list[list[TaskRecord]] = []
    found: list[Counter[Standing]] = []
    for plan in plans:
        outputs = plan.outputs if isinstance(plan, Plan) else ()
        found.append(Counter(standings[one.digest] for one in outputs))
        made.append(_to_make(plan, standings) if isinstance(plan, Plan) else [])
    decided = iter(_decided(ports, rules, look, [task for tasks in made for task in tasks], now))
    return [
        Estimate(plan) if isinstance(plan, Fault) else Estimate(None, counts, [next(decided) for _ in tasks])
        for plan, counts, tasks in zip(plans, found, made, strict=True)
    ]


def _planned(request: Request, rules: Rules, limits: Limits, look: Lookup, now: datetime) -> Plan | Fault:
    try:
        return images(job_id_of(request.user, request.request_id), request, limits, look, now)
    except NotHereError as error:
        more = ", have it fetched by submitting the request" if rules.wanted_limit_s else ""
        return error.fault().model_copy(update={"message": f"{error}{more}"[:2000]})
    except PlanError as error:
        return error.fault()


def _standings(ports: Ports, digests: Iterable[str]) -> dict[str, Standing]:
    wanted = sorted(digests)
    with ThreadPoolExecutor(PARALLEL_READS, "stand") as pool:
        return dict(zip(wanted, pool.map(lambda digest: _standing(ports, digest), wanted), strict=True))


def _standing(ports: Ports, digest: str) -> Standing:
    record = load(ports.tables, DigestRecord, digest, STATE_KEY)
    if record is not None and record.state is DigestState.OPEN:
        return Standing.UNDER_WAY
    gone = record is not None and record.state is DigestState.GONE
    there = not gone and ports.blobs.facts(names.CONTAINER_CATALOGUE, names.catalogue_blob(digest)) is not None
    return Standing.THERE if there else Standing.NEW


def _to_make(plan: Plan, standings: dict[str, Standing]) -> list[TaskRecord]:
    """The tasks for what is new; from here on it is under way for the requests that follow."""
    tasks = []
    for spec in plan.tasks:
        wanted = {digest for digest in spec.digests if standings[digest] is Standing.NEW}
        if wanted:
            tasks.append(new_task(spec, wanted, alone=False, makes_all=False))
            standings.update(dict.fromkeys(wanted, Standing.UNDER_WAY))
    return tasks


def _decided(
    ports: Ports, rules: Rules, look: Lookup, tasks: Sequence[TaskRecord], now: datetime
) -> list[TaskEstimate]:
    """Each task as a round would see it that has them all before it, and what waits besides."""
    if not tasks:
        return []
    site = Site.read(ports)
    states = site.states(KERNEL_RESULT_VERSION, now, rules)
    waiting: dict[str, PendingTask] = {}
    for version in site.versions(KERNEL_RESULT_VERSION, now, rules):
        found = candidates_of_version(ports, rules, states, version, now)
        waiting |= {task_id: one.pending for task_id, one in found.items()}
    mine = [pending_task(index_rows(task)[0], rules.patience_s) for task in _with_turns(ports, look, tasks, now)]
    waiting |= {one.task_id: one for one in mine}
    users = {one.user for one in waiting.values()}
    ledger = read_ledger(ports, rules, site.settings, site.active, users, now)
    decisions = plan_releases(waiting.values(), states, ledger, now.timestamp(), rules.deadline_confidence)
    by_task = {one.task_id: one for one in decisions}
    market = Market(states, ledger.egress_eur_per_gb, rules.deadline_confidence)
    after = filled(states, decisions, {task_id: one.result_version for task_id, one in waiting.items()})

    def of(task: PendingTask) -> TaskEstimate:
        offers = dict(zip((state.spec.name for state in states), market.offers(task), strict=True))
        decision = by_task.get(task.task_id)
        if decision is not None:
            return TaskEstimate(task.megapixels, decision.pool, decision.sentence, decision.cost_eur, offers, decision)
        why = why_waits(task, after, ledger, now.timestamp(), confidence=rules.deadline_confidence)
        able = [k for k, state in enumerate(states) if state.takes(task.result_version) and market.reads(k, task)]
        of_able = [offers[states[k].spec.name].reserve_eur for k in able]
        return TaskEstimate(task.megapixels, None, why, max(of_able, default=0.0), offers)

    return [of(task) for task in mine]


def _with_turns(ports: Ports, look: Lookup, tasks: Sequence[TaskRecord], now: datetime) -> list[TaskRecord]:
    """All of one user: a turn goes on from where the user's last one ends."""
    turns = foresee_turns(ports, look.site, tasks[0].user, on_the_centre_s(look.site, tasks), now)
    return [in_turn(task, turn) for task, turn in zip(tasks, turns, strict=True)]
