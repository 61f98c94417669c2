"""Digest rows: who makes an output, who waits for it, and telling all of them how it ended.

The digest's row and its subscribers' rows share a partition and change in one transaction, by the ETag of the digest's
row. So nobody joins between the moment the subscribers are told and the moment the digest is closed: who tries makes
the closing begin again, and is told too.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum

from orthocontracts import names
from orthocontracts.messages import Fault
from orthocontracts.states import OutputState
from orthofunctions.domain.records import DigestRecord, DigestState, OutputRecord, SubscriberRecord
from orthofunctions.ports import Change, Ports, RowChangedError
from orthofunctions.usecases.events import tell_job
from orthofunctions.usecases.rows import load, swap
from orthofunctions.usecases.settle import settle_if_over

STATE_KEY = "state"
_SUBSCRIBERS_FROM, _SUBSCRIBERS_BELOW = "sub-", "sub."
_TRANSACTION = 99  # changes beside the digest's own


class Outcome(StrEnum):
    """What became of one of a task's outputs, as far as the task is concerned."""

    OPEN = "open"
    COMMITTED = "committed"
    FAILED = "failed"
    LEFT = "left"  # nobody waits for it any longer, or another task makes it


def outcome(ports: Ports, task_id: str, digest: str) -> Outcome:
    record = load(ports.tables, DigestRecord, digest, STATE_KEY)
    if record is None:
        # No row is ever deleted: the table was lost. Taken for nobody's wish, that ended work that others waited for.
        there = ports.blobs.facts(names.CONTAINER_CATALOGUE, names.catalogue_blob(digest)) is not None
        return Outcome.COMMITTED if there else Outcome.OPEN
    if record.state is DigestState.COMMITTED:
        return Outcome.COMMITTED
    if record.task_id != task_id or record.state is DigestState.ABANDONED:
        return Outcome.LEFT
    return Outcome.FAILED if record.state is DigestState.FAILED else Outcome.OPEN


def outcomes(ports: Ports, task_id: str, digests: Iterable[str]) -> dict[str, Outcome]:
    return {digest: outcome(ports, task_id, digest) for digest in digests}


def commit_digest(ports: Ports, digest: str) -> None:
    """The output is in the catalogue: tell everyone who waits for it. Any number of times."""
    while True:
        record = load(ports.tables, DigestRecord, digest, STATE_KEY)
        if record is None or record.state in (DigestState.EXPIRED, DigestState.GONE):
            return  # nobody waits for it
        if _close(ports, record, DigestState.COMMITTED, OutputState.COMMITTED, None):
            return


def fail_digest(ports: Ports, task_id: str, digest: str, fault: Fault) -> None:
    """The task could not make the output: tell everyone, unless someone else has claimed it since."""
    while True:
        record = load(ports.tables, DigestRecord, digest, STATE_KEY)
        if (
            record is None
            or record.task_id != task_id
            or record.state in (DigestState.COMMITTED, DigestState.ABANDONED)
        ):
            return
        if _close(ports, record, DigestState.FAILED, OutputState.FAILED, fault):
            return


def unsubscribe(ports: Ports, digest: str, job_id: str) -> None:
    """One job no longer wants the output. The last one to leave abandons it."""
    while True:
        record = load(ports.tables, DigestRecord, digest, STATE_KEY)
        if record is None:
            return
        everyone = subscribers(ports, digest)
        mine = [one for one in everyone if one.job_id == job_id]
        if not mine:
            return
        alone = len(everyone) == len(mine) and record.state is DigestState.OPEN
        changed = record.changed(state=DigestState.ABANDONED) if alone else record
        if _transact(ports, changed, mine):
            return


def subscribers(ports: Ports, digest: str) -> list[SubscriberRecord]:
    rows = ports.tables.query(
        names.TABLE_DIGESTS, partition=digest, key_from=_SUBSCRIBERS_FROM, key_below=_SUBSCRIBERS_BELOW
    )
    return [SubscriberRecord.from_row(row) for row in rows]


def _close(
    ports: Ports, record: DigestRecord, state: DigestState, output_state: OutputState, fault: Fault | None
) -> bool:
    """Outputs first, then the rows in one transaction. False where someone joined or left meanwhile."""
    waiting = subscribers(ports, record.digest)
    for subscriber in waiting:
        end_output(ports, subscriber.job_id, record.digest, output_state, fault)
    if record.state is state and not waiting:
        return True
    if not _transact(ports, record.changed(state=state), waiting):
        return False
    for subscriber in waiting:
        tell_job(ports, subscriber.job_id)
        settle_if_over(ports, subscriber.user, subscriber.job_id)
    return True


def _transact(ports: Ports, record: DigestRecord, leaving: list[SubscriberRecord]) -> bool:
    changes = [Change("replace", record.to_row())]
    changes += [Change("delete", one.to_row()) for one in leaving[:_TRANSACTION]]
    try:
        ports.tables.transact(names.TABLE_DIGESTS, changes)
    except RowChangedError:
        return False
    return len(leaving) <= _TRANSACTION


def end_output(ports: Ports, job_id: str, digest: str, state: OutputState, fault: Fault | None) -> None:
    """End one job's output. One that has ended stays as it is, but for a failed one that was made after all."""
    while True:
        output = load(ports.tables, OutputRecord, job_id, digest)
        # No row: its job is still being planned, and the plan's replay finds the digest closed.
        # Failed and now committed after all: what is committed stays, and its subscriber is still waiting.
        if output is None or output.state not in (OutputState.WANTED, OutputState.FAILED) or output.state is state:
            return
        ended = output.changed(
            state=state,
            ended_at=ports.clock.now(),
            fault_kind=fault.kind if fault else None,
            fault_message=fault.message if fault else None,
        )
        try:
            swap(ports.tables, ended)
        except RowChangedError:
            continue
        return
