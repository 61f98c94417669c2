"""Jobs need their products from before they are planned until they, and their tasks, are over.

Whoever sends a request to be planned, or plans one, writes that its job needs a product, and the planner looks at the
product's state only then. Whoever expires one marks it *expiring*, looks for needs again, and then marks it *gone*,
each by the row's ETag; only then is anything deleted. So a planner is either seen, or finds the mark: *expiring* it
takes back, of *gone* it tells its user.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from typing import Final

from orthocontracts import names
from orthofunctions.domain.records import ArchiveRecord, JobRecord, NeedRecord, TaskRecord
from orthofunctions.ports import Ports, RowChangedError
from orthofunctions.usecases.jobs import find_job
from orthofunctions.usecases.raw_state import change_state, new_state, product_key
from orthofunctions.usecases.rows import find, load, remove, swap

NEVER_OPENED: Final = timedelta(days=1)
"""After which a need whose job has no row means nothing: its door died between the two, or the job was forgotten."""


def in_blobs(refs: Iterable[str]) -> list[str]:
    """Those of references that name what was uploaded, each once."""
    return [ref for ref in dict.fromkeys(refs) if ref.startswith(f"{names.CONTAINER_PRODUCTS}/")]


def need(ports: Ports, user: str, job_id: str, refs: Iterable[str]) -> None:
    """From now on the products do not expire before the job is over."""
    for ref in in_blobs(refs):
        row = NeedRecord(
            product=product_key(ref), row=_row_of(job_id), user=user, job_id=job_id, since=ports.clock.now()
        )
        ports.tables.put(NeedRecord.TABLE, row.to_row())


def needs_of(ports: Ports, ref: str) -> Iterator[NeedRecord]:
    """Who needs a product, or did: those whose ``over_at`` is set."""
    rows = ports.tables.query(NeedRecord.TABLE, partition=product_key(ref), key_from="job-", key_below="job.")
    for row in rows:
        one = NeedRecord.from_row(row)
        if one.over_at is None and (over_at := _over_at(ports, one)) is not None:
            with contextlib.suppress(RowChangedError):  # asked for again meanwhile
                one = swap(ports.tables, one.changed(over_at=over_at))
        yield one


def let_go(ports: Ports, job: JobRecord, refs: Iterable[str]) -> None:
    """The job is being forgotten. That it needed the products, and until when, stays noted with them."""
    for ref in in_blobs(refs):
        mine = load(ports.tables, NeedRecord, product_key(ref), _row_of(job.job_id))
        if mine is None:
            continue
        over_at = mine.over_at or job.ended_at or mine.since
        _note_end(ports, ref, over_at)
        remove(ports.tables, mine)


def _note_end(ports: Ports, ref: str, over_at: datetime) -> None:
    def later(now: ArchiveRecord) -> ArchiveRecord | None:
        known = now.idle_since
        return now.changed(idle_since=over_at) if known is None or known < over_at else None

    change_state(ports, new_state(ref, "", over_at), later)


def _row_of(job_id: str) -> str:
    return f"job-{job_id}"


def _over_at(ports: Ports, one: NeedRecord) -> datetime | None:
    """None while the job needs it."""
    job = find_job(ports, one.user, one.job_id)
    if job is None:
        return one.since if ports.clock.now() - one.since > NEVER_OPENED else None
    tasks = find(ports.tables, TaskRecord, partition=one.job_id)
    if job.final is None or not all(task.state.is_final for task in tasks):
        return None  # its tasks may be at work for others
    return job.ended_at or one.since
