"""Results live until the last job that has them expires.

Every job holds the outputs it asked for, in table ``holders``, from before it looks into the catalogue. Whoever expires
one marks the digest's row *expired*, looks for holders again, and then marks it *gone*, each by the row's ETag; only
then is the catalogue entry deleted. So a job that comes meanwhile is either seen, or finds the mark and takes it back:
what it was told is there stays there. Delivered files that no entry names are swept later.
"""

from __future__ import annotations

import contextlib
import logging

from orthocontracts import names
from orthocontracts.states import OutputState
from orthofunctions.domain.callbacks import CallbackKind
from orthofunctions.domain.keeping import expires_at
from orthofunctions.domain.records import DigestRecord, DigestState, JobRecord, OutputRecord, TaskRecord
from orthofunctions.domain.rules import Rules
from orthofunctions.ports import BlobFacts, Ports, Row, RowChangedError
from orthofunctions.usecases.apart import apart
from orthofunctions.usecases.catalogue import read_entry
from orthofunctions.usecases.digests import STATE_KEY
from orthofunctions.usecases.index import forget_entry
from orthofunctions.usecases.needs import let_go
from orthofunctions.usecases.plans import PlanLostError, StoredPlan
from orthofunctions.usecases.rows import delete_all, find, load, remove, swap
from orthofunctions.usecases.settle import settle_job

logger = logging.getLogger(__name__)

_TRIES = 20


def hold(ports: Ports, digest: str, job_id: str) -> None:
    """From now on the output does not expire before the job does."""
    ports.tables.put(names.TABLE_HOLDERS, Row(digest, job_id, {}))


def kept(ports: Ports, digest: str) -> bool:
    """Whether an output is in the catalogue and stays there, now that its new job holds it.

    One that was about to expire is taken back. One that is gone already is deleted here: then it is to be made anew.
    """
    for _ in range(_TRIES):
        facts = ports.blobs.facts(names.CONTAINER_CATALOGUE, names.catalogue_blob(digest))
        if facts is None:
            return False
        record = load(ports.tables, DigestRecord, digest, STATE_KEY)
        if record is None or record.state not in (DigestState.EXPIRED, DigestState.GONE):
            return True
        if record.state is DigestState.GONE:
            _take_out(ports, digest, facts)
            return False
        _mark(ports, record, DigestState.COMMITTED)
    raise RowChangedError(f"digest {digest} kept changing")


def expire_jobs(ports: Ports, rules: Rules) -> int:
    """Expire every job whose time has come, and that is over. Returns how many."""
    now = ports.clock.now()
    due = [job for job in find(ports.tables, JobRecord) if job.expiring or (expires_at(job, rules) or now) < now]
    n_expired = 0
    with apart("expire", ports.meter) as each:
        for job in due:
            with each(job.job_id):
                n_expired += expire_job(ports, job)
    return n_expired


def expire_job(ports: Ports, job: JobRecord) -> bool:
    """Forget a job, and the results that no other job has. Repeating it completes what an earlier call began.

    False where it is not over, as its own tasks may still be at work for others, or where it was changed meanwhile.
    """
    job = settle_job(ports, job)  # while its outputs still say how it ended
    outputs = list(find(ports.tables, OutputRecord, partition=job.job_id))
    tasks = list(find(ports.tables, TaskRecord, partition=job.job_id))
    waits = any(output.state is OutputState.WANTED for output in outputs)
    if not job.planned or job.final is None or waits or not all(task.state.is_final for task in tasks):
        return False
    if job.pinned:  # since somebody found that its time had come
        return False
    if not job.expiring:
        try:
            job = swap(ports.tables, job.changed(expiring=True))  # from here on nobody pins it
        except RowChangedError:
            return False
    for output in outputs:
        if output.state is OutputState.COMMITTED:  # it is no longer promised
            with contextlib.suppress(RowChangedError):  # another does the same
                swap(ports.tables, output.changed(state=OutputState.CANCELLED))
        _let_go(ports, output.digest, job.job_id)
    with contextlib.suppress(PlanLostError):  # what it may still need is let go of when its products are looked at
        let_go(ports, job, StoredPlan.read(ports, job.job_id).plan.request.products)
    delete_all(ports.tables, names.TABLE_OUTPUTS, ((job.job_id, output.digest) for output in outputs))
    delete_all(ports.tables, names.TABLE_TASKS, ((job.job_id, task.task_id) for task in tasks))
    delete_all(ports.tables, names.TABLE_CALLBACKS, ((job.job_id, str(kind)) for kind in CallbackKind))
    ports.blobs.delete(names.CONTAINER_PLANS, names.plan_blob(job.job_id))
    ports.blobs.delete(names.CONTAINER_REQUESTS, f"{job.job_id}.json")
    remove(ports.tables, job)
    logger.info("expired", extra={"action": "expired", "job": job.job_id})
    return True


def _let_go(ports: Ports, digest: str, job_id: str) -> None:
    ports.tables.delete(names.TABLE_HOLDERS, digest, job_id)
    facts = ports.blobs.facts(names.CONTAINER_CATALOGUE, names.catalogue_blob(digest))
    record = load(ports.tables, DigestRecord, digest, STATE_KEY)
    if record is None or facts is None or _is_held(ports, digest):
        return
    if record.state is DigestState.COMMITTED:
        record = _mark(ports, record, DigestState.EXPIRED)
        if record is not None and _is_held(ports, digest):
            _mark(ports, record, DigestState.COMMITTED)
            return
    if record is not None and record.state is DigestState.EXPIRED:
        record = _mark(ports, record, DigestState.GONE)
    if record is not None and record.state is DigestState.GONE:
        _take_out(ports, digest, facts)


def _take_out(ports: Ports, digest: str, facts: BlobFacts) -> None:
    """Delete an entry that is gone, and before it what the index has of it."""
    entry = read_entry(ports, digest)
    now = ports.blobs.facts(facts.container, facts.name)
    if entry is None or now is None or now.etag != facts.etag:
        return  # another has, and it may have been made again
    forget_entry(ports, entry)
    ports.blobs.delete(facts.container, facts.name, etag=facts.etag)


def _is_held(ports: Ports, digest: str) -> bool:
    return next(iter(ports.tables.query(names.TABLE_HOLDERS, partition=digest, limit=1)), None) is not None


def _mark(ports: Ports, record: DigestRecord, state: DigestState) -> DigestRecord | None:
    """None where it was changed meanwhile."""
    try:
        return swap(ports.tables, record.changed(state=state))
    except RowChangedError:
        return None
