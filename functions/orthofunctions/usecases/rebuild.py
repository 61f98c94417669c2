"""After a disaster: rows, index and queues from what cannot be made again, which is plans and catalogue entries.

A plan is replayed as a request is that comes twice, so nothing changes where nothing is missing, and it may be done
beside a system at work. What the catalogue has stays done; what it lacks is made again.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime

from pydantic import ValidationError

from orthocontracts import names
from orthocontracts.batches import BatchEnvelope
from orthocontracts.messages import Fault
from orthocontracts.requests import RequestEnvelope
from orthocontracts.states import OutputState
from orthocontracts.tasks import job_of_task
from orthofunctions.domain.plans import Plan
from orthofunctions.domain.records import JobRecord, OutputRecord
from orthofunctions.domain.rules import Rules
from orthofunctions.ports import BlobMissingError, Ports
from orthofunctions.usecases.backup import restore
from orthofunctions.usecases.batches import find_batch
from orthofunctions.usecases.index import repair_index
from orthofunctions.usecases.jobs import find_job, open_job
from orthofunctions.usecases.needs import need
from orthofunctions.usecases.owners import note_owner
from orthofunctions.usecases.pending import wake
from orthofunctions.usecases.plan import carry_out, note_planned
from orthofunctions.usecases.redo import await_again
from orthofunctions.usecases.repair import repair_outputs, repair_rows
from orthofunctions.usecases.rows import find
from orthofunctions.usecases.settle import fail_job, settle_job, settle_left
from orthofunctions.usecases.site import load_site
from orthofunctions.usecases.tour import SHARES, Share

logger = logging.getLogger(__name__)

PARALLEL_PLANS = 8


@dataclass
class Rebuilt:
    """What was made again.

    Attributes
    ----------
    n_plans : int
        Looked at.
    n_jobs, n_tasks, n_requests, n_rows, n_items : int
        Jobs whose row was missing, tasks, requests and batches to be planned, further rows, images that the
        catalogue's index lacked.
    n_restored : int
        Rows of the day's copy (`usecases.backup`) that were missing.
    copied_at : datetime, optional
        When that copy was made; what was changed since is as it was then.
    unreadable : list of str
        Plans that cannot be read: their jobs are to be asked for again.
    unplanned : list of str
        Jobs that were accepted, have no plan, and whose requests are in queue ``requests``, or lost with it.
    """

    n_plans: int = 0
    n_jobs: int = 0
    n_tasks: int = 0
    n_requests: int = 0
    n_rows: int = 0
    n_items: int = 0
    n_restored: int = 0
    copied_at: datetime | None = None
    unreadable: list[str] = field(default_factory=list)
    unplanned: list[str] = field(default_factory=list)


def rebuild(ports: Ports, rules: Rules, *, tell: Callable[[int], None] = lambda _: None) -> Rebuilt:
    """Make again what is missing of every job that has a plan, and the catalogue's index. Any number of times.

    Parameters
    ----------
    tell : callable
        Is told how many plans have been looked at.
    """
    done = Rebuilt()
    done.n_restored, done.copied_at = restore(ports)
    planned = [blob.name.removesuffix(".json") for blob in ports.blobs.list(names.CONTAINER_PLANS)]
    with ThreadPoolExecutor(PARALLEL_PLANS) as pool:
        for job_id, made in zip(planned, pool.map(lambda one: _replay(ports, rules, one), planned), strict=True):
            done.n_plans += 1
            if made is None:
                done.unreadable.append(job_id)
            else:
                done.n_jobs += made[0]
                done.n_tasks += made[1]
                done.n_rows += made[2]
            tell(done.n_plans)
    everything = Share(0, SHARES)
    done.n_rows += repair_rows(ports, rules, everything) + repair_outputs(ports, everything)
    done.n_items = repair_index(ports)
    _note_owners(ports)
    unplanned = [
        job for job in find(ports.tables, JobRecord) if not (job.planned or job.cancelled or job.final or job.expiring)
    ]
    sent = _send_again(ports, frozenset(planned), {(job.user, job.batch) for job in unplanned if job.batch})
    done.n_requests = len(sent)
    done.unplanned = [job.job_id for job in unplanned if sent.isdisjoint((job.job_id, f"{job.user}/{job.batch}"))]
    settle_left(ports, everything.jobs)
    wake(ports, "rebuilt")
    logger.warning("rebuilt: %s", done, extra={"action": "rebuilt"})
    return done


def give_up_unplanned(ports: Ports, job_ids: list[str]) -> None:
    """End jobs whose requests are lost, for whoever waits for them."""
    lost = Fault(kind="Lost", message="its request was lost with the storage; send it again")
    wanted = set(job_ids)
    for job in find(ports.tables, JobRecord):
        if job.job_id in wanted and not job.planned:
            fail_job(ports, job, lost)


def _note_owners(ports: Ports) -> None:
    """Each user once, with all groups their jobs are shared with."""
    groups: dict[str, set[str]] = {}
    for job in find(ports.tables, JobRecord):
        groups.setdefault(job.user, set()).update(filter(None, job.shared_with.split(",")))
    for user, shared in groups.items():
        note_owner(ports, user, sorted(shared))


def _replay(ports: Ports, rules: Rules, job_id: str) -> tuple[int, int, int] | None:
    """How many jobs, tasks and rows that wait for an orbit were made; None where the plan cannot be read."""
    try:
        plan = Plan.model_validate_json(ports.blobs.read(names.CONTAINER_PLANS, names.plan_blob(job_id)))
    except BlobMissingError:
        return 0, 0, 0  # it has expired since
    except ValidationError as error:
        logger.error(  # noqa: TRY400 (the trace says nothing more)
            "the plan of %s cannot be read: %s", job_id, error, extra={"action": "plan_unreadable", "job": job_id}
        )
        return None
    there = find_job(ports, plan.request.user, job_id)
    if there is not None and (there.cancelled or there.expiring):
        return 0, 0, 0
    n_rows = await_again(ports, plan)
    if there is not None and _is_over(ports, there, plan):
        return 0, 0, n_rows
    job = there or open_job(ports, plan.request, "queue", plan.made_at)
    need(ports, job.user, job.job_id, plan.request.products)
    n_tasks = carry_out(ports, job, plan, rules, releases=lambda task_id: _latest_release(ports, task_id))
    job = note_planned(ports, job, plan)
    settle_job(ports, job)
    return int(there is None), n_tasks, n_rows


def _is_over(ports: Ports, job: JobRecord, plan: Plan) -> bool:
    """Whether all rows of its outputs are there and nothing is waited for, which is so of most."""
    outputs = list(find(ports.tables, OutputRecord, partition=job.job_id))
    waited_for = any(output.state is OutputState.WANTED for output in outputs)
    return job.planned and len(outputs) == len(plan.outputs) and not waited_for


def _latest_release(ports: Ports, task_id: str) -> int:
    """The highest number among what a release leaves: an active row, a ticket, delivered files."""
    job_id = job_of_task(task_id)
    prefix = f"{task_id}-"
    active = ports.tables.query(
        names.TABLE_ACTIVE,
        partition=job_id,
        key_from=prefix,
        key_below=f"{task_id}.",  # "." follows "-"
    )
    found = [row.key for row in active]
    found += [blob.name.partition("/")[0] for blob in ports.blobs.list(names.CONTAINER_RESULTS, prefix)]
    for pool in load_site(ports).pools:
        container = names.ticket_container(pool.name)
        found += [blob.name.removesuffix(".json") for blob in ports.blobs.list(container, prefix)]
    return max((int(one.removeprefix(prefix)) for one in found), default=0)


def _send_again(ports: Ports, planned: frozenset[str], open_batches: set[tuple[str, str]]) -> set[str]:
    """Have requests planned that lie in storage: of jobs without a plan, of batches without a row or with such jobs.

    Returns
    -------
    set of str
        Ids of jobs, and ``user/batch`` of batches. A message too many does no harm.
    """
    sent: set[str] = set()
    for blob in ports.blobs.list(names.CONTAINER_REQUESTS):
        folder, _, name = blob.name.removesuffix(".json").rpartition("/")
        user = folder.removeprefix("batches/")
        if not user and name not in planned:
            message: RequestEnvelope | BatchEnvelope = RequestEnvelope(blob=f"{blob.container}/{blob.name}")
        elif user and ((user, name) in open_batches or find_batch(ports, user, name) is None):
            message = BatchEnvelope(batch=name, user=user, at=ports.clock.now())
        else:
            continue
        ports.queues.send(names.QUEUE_REQUESTS, message.to_json())
        sent.add(f"{user}/{name}" if user else name)
    return sent
