"""A request becomes a job with outputs and tasks: the one planner behind all doors."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Sequence, Set
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from functools import partial

from orthocontracts import names
from orthocontracts.messages import Fault
from orthocontracts.productids import name_in
from orthocontracts.products import mission_of
from orthocontracts.requests import Request
from orthocontracts.states import OutputState, TaskState
from orthocontracts.tasks import COPY, TaskSpec, job_of_task
from orthofunctions.domain.access import TRUST_SITE, trust_scope
from orthofunctions.domain.copies import bytes_on_site, make_copy_plan
from orthofunctions.domain.faults import NotHereError, NothingToCopyError, PlanError, ProductMissingError
from orthofunctions.domain.planning import Limits, make_plan
from orthofunctions.domain.plans import Plan
from orthofunctions.domain.pools import SiteSpec
from orthofunctions.domain.processes import check_missions
from orthofunctions.domain.records import JobRecord, TaskRecord
from orthofunctions.domain.rules import Rules
from orthofunctions.domain.shares import Turn
from orthofunctions.domain.urgency import hastened
from orthofunctions.ports import BlobMissingError, Ports, RowChangedError, RowExistsError
from orthofunctions.telemetry import carrying, current_traceparent
from orthofunctions.usecases.cancel import cancel_job
from orthofunctions.usecases.catalogue import read_entry
from orthofunctions.usecases.claims import settle_output
from orthofunctions.usecases.jobs import MAX_SWAPS, BusyRowError, announce, change_job, open_job
from orthofunctions.usecases.lookup import Lookup
from orthofunctions.usecases.needs import need
from orthofunctions.usecases.pending import enqueue, leave, wake
from orthofunctions.usecases.presence import check_here
from orthofunctions.usecases.redo import await_precise_orbits
from orthofunctions.usecases.rows import load, swap
from orthofunctions.usecases.settle import fail_job, settle_job
from orthofunctions.usecases.site import load_site
from orthofunctions.usecases.turns import assign_turns
from orthofunctions.usecases.wanted import stop_waiting, wait_for

logger = logging.getLogger(__name__)

PARALLEL_OUTPUTS = 8
LONGEST_SPEC = 24_000
"""Characters of a specification that a task's row may carry: a property of a row holds 32,768."""


def plan_request(ports: Ports, request: Request, limits: Limits, rules: Rules) -> JobRecord:
    """Plan a request, or go on where an earlier delivery of it was cut off.

    A request that cannot be planned ends its job with the reason and returns: asking again would not help. Trouble with
    storage raises, and the queue delivers the request again.
    """
    job = _planned(ports, request, limits, rules)
    if job.planned or job.cancelled:
        stop_waiting(ports, job.job_id, filter(None, map(name_in, request.products)))
    return job


def _planned(ports: Ports, request: Request, limits: Limits, rules: Rules) -> JobRecord:
    job = open_job(ports, request, "queue")
    if job.cancelled and not job.planned:  # perhaps while an earlier delivery of it was being planned
        return cancel_job(ports, job.user, job.job_id) or job
    if job.planned:
        return settle_job(ports, job)
    with ports.tracer.span("plan", job.traceparent, job=job.job_id, process=request.process):
        return _plan(ports, job, request, limits, rules)


def _plan(ports: Ports, job: JobRecord, request: Request, limits: Limits, rules: Rules) -> JobRecord:
    try:
        plan = _plan_once(ports, job, request, limits)
    except NotHereError as error:
        waiting = wait_for(ports, job, request, error.looked, rules) if rules.wanted_limit_s else error.fault()
        return waiting if isinstance(waiting, JobRecord) else _failed(ports, job, waiting)
    except PlanError as error:
        return _failed(ports, job, error.fault())
    await_precise_orbits(ports, plan)
    n_tasks = carry_out(ports, job, plan, rules)
    job = note_planned(ports, job, plan)
    logger.info("%d outputs, %d new tasks", len(plan.outputs), n_tasks, extra={"action": "planned", "job": job.job_id})
    announce(ports, job, "planned")
    if job.cancelled:
        # cancelled while we planned: whoever did it could not see all we have made since
        return cancel_job(ports, job.user, job.job_id) or job
    if n_tasks:
        wake(ports, f"planned {job.job_id}")
    return settle_job(ports, job)


def _failed(ports: Ports, job: JobRecord, fault: Fault) -> JobRecord:
    extra = {"action": "plan_failed", "job": job.job_id, "kind": fault.kind}
    logger.warning("cannot plan: %s", fault.message, extra=extra)
    return fail_job(ports, job, fault)


def note_planned(ports: Ports, job: JobRecord, plan: Plan) -> JobRecord:
    """Write into a job's row that all its plan asks for has been made, and where its products were found."""
    found = json.dumps([one.model_dump() for one in plan.found]) if plan.found else ""
    at = ports.clock.now()
    return change_job(
        ports,
        job,
        lambda now: (
            None if now.planned else now.changed(planned=True, n_outputs=len(plan.outputs), found=found, planned_at=at)
        ),
    )


def read_plan(ports: Ports, job_id: str) -> Plan | None:
    """The stored plan of a job."""
    try:
        return Plan.model_validate_json(ports.blobs.read(names.CONTAINER_PLANS, names.plan_blob(job_id)))
    except BlobMissingError:
        return None


def _plan_once(ports: Ports, job: JobRecord, request: Request, limits: Limits) -> Plan:
    """The job's plan, written before anything follows from it: what another delivery wrote first counts."""
    stored = read_plan(ports, job.job_id)
    if stored is not None:
        return stored
    need(ports, job.user, job.job_id, request.products)
    check_here(ports, request.products)
    if request.process == COPY:
        plan = _copies(ports, job.job_id, request, limits)
    else:
        plan = images(job.job_id, request, limits, Lookup(ports), ports.clock.now())
    if ports.blobs.create(names.CONTAINER_PLANS, names.plan_blob(job.job_id), plan.to_json().encode()):
        return plan
    return _plan_once(ports, job, request, limits)


def _copies(ports: Ports, job_id: str, request: Request, limits: Limits) -> Plan:
    entries = []
    for ref in request.products:
        entry = read_entry(ports, ref.removeprefix("catalogue/"))
        if entry is None or entry.identity.trust not in (TRUST_SITE, f"user:{request.user}"):
            raise ProductMissingError(f"{ref} is not there")
        if bytes_on_site(entry):
            entries.append(entry)
    if not entries:
        raise NothingToCopyError("these images are in blob storage already: take the links of their job's results")
    return make_copy_plan(job_id, request, entries, limits=limits, now=ports.clock.now())


def images(job_id: str, request: Request, limits: Limits, look: Lookup, now: datetime) -> Plan:
    """What a request for images comes to: nothing is written.

    Raises
    ------
    PlanError
        Where it cannot be made.
    """
    products = look.products(request.products)
    check_missions(request.asked, products)
    traits = [product.traits for product in products]
    needs_terrain = any(one.needs_terrain for one in traits)
    needs_instrument = any(one.needs_instrument for one in traits)
    plan = make_plan(
        job_id,
        request,
        products,
        look.terrain(request, products) if needs_terrain else None,
        instrument=look.instrument(request) if needs_instrument else None,
        orbits=look.orbits(request) if any(one.mission == "sentinel-1" for one in products) else None,
        trust=trust_scope(
            look.site,
            request.user,
            [*request.products, *(one.source.ref for one in products)],
            request.shared_with,
        ),
        limits=limits,
        now=now,
    )
    found = look.found(request.products)
    return plan.model_copy(update={"found": found}) if found else plan


def carry_out(
    ports: Ports, job: JobRecord, plan: Plan, rules: Rules, *, releases: Callable[[str], int] | None = None
) -> int:
    """Settle every output, then make the tasks that have any left to make. Returns how many; repeated, none.

    Parameters
    ----------
    releases : callable, optional
        Where rows of tasks may have been lost: the latest release that a task ever had. It begins above it, so that no
        two releases share a number.
    """
    with ThreadPoolExecutor(min(PARALLEL_OUTPUTS, len(plan.outputs))) as pool:
        settled = list(pool.map(carrying(partial(settle_output, ports, job)), plan.outputs))
    made = 0
    wanted = [one for one in settled if one.output.state is OutputState.WANTED]
    own = {spec.task_id for spec in plan.tasks}
    if plan.request.campaign is None:  # a campaign makes nothing more urgent than it is
        for joined in sorted({one.output.task_id for one in wanted} - own):
            _hasten(ports, joined, plan, rules)
    claimed = {spec.task_id: [one for one in wanted if one.output.task_id == spec.task_id] for spec in plan.tasks}
    alone = len(plan.tasks) == 1
    tasks = [
        new_task(
            spec,
            {one.output.digest for one in mine},
            alone=alone,
            makes_all=len(mine) == len(spec.outputs) and all(one.first for one in mine),
        )
        for spec in plan.tasks
        if (mine := claimed[spec.task_id])
    ]
    for task in _background(ports, plan, tasks) if plan.request.campaign else _with_turns(ports, job.user, tasks):
        again = task.changed(release=releases(task.task_id), makes_all=False) if releases else task
        _make_task(ports, again.changed(traceparent=current_traceparent() or job.traceparent))
        made += 1
    return made


def _hasten(ports: Ports, task_id: str, plan: Plan, rules: Rules) -> None:
    """A task we joined that still waits becomes as urgent as we are, and one of a campaign is ours. Its row in the
    index comes first, as ever."""
    for _ in range(MAX_SWAPS):
        task = load(ports.tables, TaskRecord, job_of_task(task_id), task_id)
        is_waiting = task is not None and task.state is TaskState.PENDING
        # one of a campaign that runs is a user's from now on too, should it have to run again
        if task is None or task.state.is_final or not (is_waiting or task.campaign):
            return
        hastened_task = hastened(
            task,
            deadline=plan.request.deadline,
            patience_s=plan.request.patience_s,
            asked_at=plan.made_at,
            site_patience_s=rules.patience_s,
        )
        if hastened_task is task:
            return
        if task.campaign:
            hastened_task = _turned(ports, plan.request.user, hastened_task)
        if is_waiting:
            enqueue(ports, hastened_task)
        try:
            swap(ports.tables, hastened_task)
        except RowChangedError:
            continue
        if not is_waiting:
            return
        leave(ports, task, hastened_task)
        wake(ports, f"{task_id} is wanted sooner")
        return
    raise BusyRowError(f"task {task_id}")


def _with_turns(ports: Ports, user: str, tasks: Sequence[TaskRecord]) -> list[TaskRecord]:
    """The tasks that are not there yet, each with its turn among all that wait."""
    new = _not_there(ports, tasks)
    if not new:
        return []  # an earlier delivery made them; they may be well under way
    site = load_site(ports)
    turns = assign_turns(ports, site, user, on_the_centre_s(site, new), ports.clock.now())
    return [in_turn(task, turn) for task, turn in zip(new, turns, strict=True)]


def _background(ports: Ports, plan: Plan, tasks: Sequence[TaskRecord]) -> list[TaskRecord]:
    """The tasks that are not there yet, as a campaign's: they have no turn, and nobody's turn comes later for them."""
    return [task.changed(campaign=plan.request.campaign) for task in _not_there(ports, tasks)]


def _not_there(ports: Ports, tasks: Sequence[TaskRecord]) -> list[TaskRecord]:
    return [task for task in tasks if ports.tables.get(TaskRecord.TABLE, task.job_id, task.task_id) is None]


def _turned(ports: Ports, user: str, task: TaskRecord) -> TaskRecord:
    """A campaign's task that a user wants now: it has that user's next turn."""
    site = load_site(ports)
    (turn,) = assign_turns(ports, site, user, on_the_centre_s(site, [task]), ports.clock.now())
    return in_turn(task, turn)


def on_the_centre_s(site: SiteSpec, tasks: Sequence[TaskRecord]) -> list[float]:
    """What each task is nominally worth of a slot: fair shares are counted in it."""
    centre = next((spec for spec in site.pools if spec.kind == "onprem"), site.pools[0])
    return [centre.nominal_s(task.megapixels) for task in tasks]


def in_turn(task: TaskRecord, turn: Turn) -> TaskRecord:
    return task.changed(turn_at=datetime.fromtimestamp(turn.at_s, UTC), fair_tag_s=turn.tag_s)


def new_task(spec: TaskSpec, wanted: Set[str], *, alone: bool, makes_all: bool) -> TaskRecord:
    """The row of a task that makes the wanted ones of its outputs; ``alone`` where its job has no other."""
    text = spec.to_json() if alone else ""
    return TaskRecord(
        job_id=spec.job_id,
        task_id=spec.task_id,
        user=spec.user,
        created_at=spec.created_at,
        deadline=spec.deadline,
        patience_s=spec.patience_s,
        urgent=spec.urgent,
        megapixels=sum(output.grid.megapixels for output in spec.outputs if output.digest in wanted),
        input_bytes=sum(source.size_bytes for source in spec.products),
        input_bytes_at=json.dumps(spec.input_bytes_at) if spec.input_bytes_at else "",
        result_version=spec.result_version,
        process=_kind_of_run(spec),
        spec=text if 0 < len(text) <= LONGEST_SPEC else None,
        makes_all=makes_all,
    )


def _kind_of_run(spec: TaskSpec) -> str:
    """What run times are learned by: the radiometry of radar, on which the work depends; of others the mission."""
    if spec.process == COPY:
        return COPY
    mission = mission_of(spec.products[0].ref)
    if mission in ("sentinel-2", "sentinel-3"):
        return mission if spec.instrument is None else f"{mission}-l1b"
    return spec.options.radiometry or "default"


def _make_task(ports: Ports, task: TaskRecord) -> None:
    enqueue(ports, task)
    try:
        ports.tables.insert(TaskRecord.TABLE, task.to_row())
    except RowExistsError:
        logger.info("made meanwhile", extra={"action": "task_exists", "job": task.job_id, "task": task.task_id})
