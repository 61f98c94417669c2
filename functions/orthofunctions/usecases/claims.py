"""Who makes an output: nobody, where the catalogue has it; the task that claimed its digest; else this job's own."""

from __future__ import annotations

from dataclasses import dataclass

from orthocontracts import names
from orthocontracts.states import OutputState
from orthofunctions.domain.plans import PlannedOutput
from orthofunctions.domain.records import DigestRecord, DigestState, JobRecord, OutputRecord, SubscriberRecord
from orthofunctions.ports import Change, Ports, RowChangedError, RowExistsError
from orthofunctions.usecases.expire import hold, kept
from orthofunctions.usecases.jobs import BusyRowError

MAX_TRIES = 20


@dataclass(frozen=True)
class Settled:
    """An output of a job: committed, or wanted from ``output.task_id``.

    ``first`` is whether the planned task makes it and is the first that ever claimed it: until that task has run,
    nobody can have made the output.
    """

    output: OutputRecord
    first: bool = False


def settle_output(ports: Ports, job: JobRecord, planned: PlannedOutput) -> Settled:
    """Find out who makes an output, and subscribe the job to it. Repeating it changes nothing.

    The job's own row comes first: whoever commits the output after we subscribed must find it. Then the digest's row
    and the subscription change in one transaction, by the digest's ETag, so that a commit is either before it (and the
    catalogue has the output) or after it (and tells the subscriber).
    """
    output = _own_row(ports, job, planned)
    hold(ports, planned.digest, job.job_id)
    for _ in range(MAX_TRIES):
        if output.state is not OutputState.WANTED:
            return Settled(output)
        try:
            if kept(ports, planned.digest):
                output = _changed(
                    ports, output.changed(state=OutputState.COMMITTED, task_id="", ended_at=ports.clock.now())
                )
                continue
            digest = _subscribe(ports, job, planned)
            if digest.task_id != output.task_id:
                return Settled(_changed(ports, output.changed(task_id=digest.task_id)))
            mine = digest.task_id == planned.task_id and digest.state is DigestState.OPEN
            return Settled(output, first=mine and digest.claims == 1)
        except (RowChangedError, RowExistsError):
            output = _own_row(ports, job, planned)
    raise BusyRowError(f"digest {planned.digest}")


def _in_catalogue(ports: Ports, planned: PlannedOutput) -> bool:
    return ports.blobs.facts(names.CONTAINER_CATALOGUE, names.catalogue_blob(planned.digest)) is not None


def _own_row(ports: Ports, job: JobRecord, planned: PlannedOutput) -> OutputRecord:
    row = ports.tables.get(OutputRecord.TABLE, job.job_id, planned.digest)
    if row is not None:
        return OutputRecord.from_row(row)
    output = OutputRecord(job_id=job.job_id, digest=planned.digest, title=planned.title, task_id=planned.task_id)
    try:
        return output.changed(etag=ports.tables.insert(OutputRecord.TABLE, output.to_row()).etag)
    except RowExistsError:
        return _own_row(ports, job, planned)


def _subscribe(ports: Ports, job: JobRecord, planned: PlannedOutput) -> DigestRecord:
    """Who makes the output, with this job among the subscribers. Raises where the row changed meanwhile."""
    subscriber = SubscriberRecord(
        digest=planned.digest, row=SubscriberRecord.key_of(job.job_id), job_id=job.job_id, user=job.user
    ).to_row()
    row = ports.tables.get(DigestRecord.TABLE, planned.digest, "state")
    if row is None:
        claim = DigestRecord(digest=planned.digest, state=DigestState.OPEN, task_id=planned.task_id)
        ports.tables.transact(DigestRecord.TABLE, [Change("insert", claim.to_row()), Change("put", subscriber)])
        return claim
    digest = DigestRecord.from_row(row)
    if digest.state in (DigestState.COMMITTED, DigestState.EXPIRED) and _in_catalogue(ports, planned):
        raise RowChangedError("committed since we looked into the catalogue")
    if digest.task_id != planned.task_id and digest.state is not DigestState.OPEN:
        # failed, abandoned or expired; or committed, and its catalogue item is gone
        digest = digest.changed(state=DigestState.OPEN, task_id=planned.task_id, claims=digest.claims + 1)
    ports.tables.transact(DigestRecord.TABLE, [Change("replace", digest.to_row()), Change("put", subscriber)])
    return digest


def _changed(ports: Ports, output: OutputRecord) -> OutputRecord:
    return output.changed(etag=ports.tables.replace(OutputRecord.TABLE, output.to_row()).etag)
