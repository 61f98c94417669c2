"""Workers' statuses, from queue ``capacity`` into one row per worker."""

from __future__ import annotations

import json
import logging

from pydantic import ValidationError

from orthocontracts import names
from orthocontracts.messages import AgentStatus
from orthofunctions.domain.envelopes import NoStatusError, status_text
from orthofunctions.domain.pool_state import free_slots
from orthofunctions.domain.records import AgentRecord
from orthofunctions.ports import Ports, RowChangedError, RowExistsError
from orthofunctions.usecases.keep import keep_for_operators
from orthofunctions.usecases.pending import wake
from orthofunctions.usecases.rows import load, store

logger = logging.getLogger(__name__)

_TRIES = 10


def note_status(ports: Ports, body: str) -> None:
    """Take in one message of queue ``capacity``; the dispatcher is woken where it may release more, or must recall."""
    try:
        text = status_text(body)
        if text is None:
            return  # a retained status being cleared
        status = AgentStatus.model_validate_json(text)
    except (NoStatusError, ValidationError) as error:
        keep_for_operators(ports, names.QUEUE_CAPACITY, body, f"not a status: {error}")
        return
    for _ in range(_TRIES):
        before = load(ports.tables, AgentRecord, status.pool, status.agent)
        after = newer(before, _record(ports, status))
        if after is None:
            return
        try:
            store(ports.tables, after)
        except (RowChangedError, RowExistsError):
            continue
        if _matters(before, after):
            logger.info("%s is %s", after.agent, after.state, extra={"action": "capacity", "pool": after.pool})
            wake(ports, f"{after.agent} {after.state}")
        return
    raise RowChangedError(f"the row of {status.agent} kept changing")


def newer(before: AgentRecord | None, status: AgentRecord) -> AgentRecord | None:
    """What the worker's row becomes, or None where the status is older than what is known.

    Within a session the sequence number orders; a worker gives its last will a number above all statuses of the
    connection it ends. Between sessions the worker's own clock orders: they ran one after the other on one machine.
    """
    if before is None:
        return status
    same = status.session == before.session
    is_newer = status.sequence > before.sequence if same else status.at > before.at
    return status.changed(etag=before.etag) if is_newer else None


def _matters(before: AgentRecord | None, after: AgentRecord) -> bool:
    free_before = free_slots(before) if before else 0
    state_before = before.state if before else "offline"
    return free_slots(after) > free_before or after.state != state_before


def _record(ports: Ports, status: AgentStatus) -> AgentRecord:
    return AgentRecord(
        pool=status.pool,
        agent=status.agent,
        session=status.session,
        sequence=status.sequence,
        state=status.state,
        slots=status.slots,
        at=status.at,
        received_at=ports.clock.now(),
        running=json.dumps([json.loads(one.to_json()) for one in status.running]),
        walltime_left_s=status.walltime_left_s,
        result_version=status.result_version,
        version=status.version,
        machine=status.machine,
        starts_at=status.starts_at,
    )
