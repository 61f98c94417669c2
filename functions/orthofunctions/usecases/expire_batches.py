"""A batch is forgotten when the last of its jobs is: rows and blobs of batches do not outlive what they are about."""

from __future__ import annotations

import logging
from datetime import timedelta

from orthocontracts import names
from orthofunctions.domain.batch_states import split
from orthofunctions.domain.records import BatchRecord, JobRecord
from orthofunctions.ports import Ports
from orthofunctions.usecases.jobs import find_job
from orthofunctions.usecases.rows import find, remove

logger = logging.getLogger(__name__)

YOUNGEST = timedelta(days=1)


def expire_batches(ports: Ports) -> int:
    """Forget every batch of which no job is left. Returns how many."""
    before = ports.clock.now() - YOUNGEST
    old = [batch for batch in find(ports.tables, BatchRecord) if batch.created_at < before]
    return sum(_expire(ports, batch) for batch in old)


def _expire(ports: Ports, batch: BatchRecord) -> bool:
    """The blob first: the row leads to it, however often this is begun."""
    if not batch.opened or _has_jobs(ports, batch):
        return False
    ports.blobs.delete(names.CONTAINER_REQUESTS, names.batch_blob(batch.user, batch.batch_id))
    remove(ports.tables, batch)
    logger.info("expired", extra={"action": "expired", "batch": batch.batch_id})
    return True


def _has_jobs(ports: Ports, batch: BatchRecord) -> bool:
    """Mostly the first is still there; only where it is not are the user's others looked through."""
    if find_job(ports, batch.user, split(batch.job_ids)[0]) is not None:
        return True
    rows = ports.tables.query(JobRecord.TABLE, partition=batch.user, equal={"batch": batch.batch_id}, limit=1)
    return next(iter(rows), None) is not None
