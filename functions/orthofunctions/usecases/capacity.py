"""Workers' statuses, from queue ``capacity`` into the roster."""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Collection, Mapping, Sequence

from orthocontracts import names
from orthocontracts.messages import AgentStatus, Statuses
from orthocontracts.wire import MAX_MQTT_BYTES, NotUnderstoodError, check_size, read_message
from orthofunctions.domain.envelopes import NoStatusError, is_several, unwrap
from orthofunctions.domain.pool_state import free_slots, was_lost
from orthofunctions.domain.records import AgentRecord
from orthofunctions.ports import Ports, RowChangedError
from orthofunctions.usecases.keep import keep_for_operators
from orthofunctions.usecases.pending import wake
from orthofunctions.usecases.roster import Page, pages, store_pages

logger = logging.getLogger(__name__)

_TRIES = 20
_one_at_a_time = threading.RLock()
"""The host runs many messages at a time. Those that change the same pages would only make each other try again."""


def note_status(ports: Ports, body: str) -> None:
    """Take in one message of queue ``capacity``; the dispatcher is woken where it may release more, or must recall."""
    try:
        statuses = _statuses(body)
    except (NoStatusError, NotUnderstoodError) as error:
        keep_for_operators(ports, names.QUEUE_CAPACITY, body, f"not a status: {error}")
        return
    by_pool: dict[str, dict[str, AgentStatus]] = {}
    for status in statuses:
        by_pool.setdefault(status.pool, {})[status.agent] = status
    with _one_at_a_time:
        reasons = [reason for pool, of_pool in by_pool.items() for reason in _note(ports, pool, of_pool.values())]
    if reasons:
        wake(ports, reasons[0] if len(reasons) == 1 else f"{reasons[0]} and {len(reasons) - 1} more")


def _statuses(body: str) -> Sequence[AgentStatus]:
    check_size(body, MAX_MQTT_BYTES)  # the envelope of a router makes it larger than what was sent
    came = unwrap(body)
    if came.text is None:
        return ()  # a retained status being cleared
    if is_several(came.text):
        statuses = read_message(Statuses, came.text).statuses
    else:
        statuses = (read_message(AgentStatus, came.text),)
    for status in statuses:
        if came.topic not in (None, names.topic_status(status.agent)) or came.sender not in (None, status.agent):
            raise NoStatusError("it speaks of an agent that did not send it")
    return statuses


def _note(ports: Ports, pool: str, statuses: Collection[AgentStatus]) -> list[str]:
    """Change the rows of a pool's workers. Returns what matters to the dispatcher."""
    by_page: dict[str, list[AgentStatus]] = {}
    for status in statuses:
        by_page.setdefault(names.agent_page(status.agent), []).append(status)
    reasons = _try_to_note(ports, pool, by_page)
    if reasons is not None:
        return reasons
    return [reason for key, of_page in by_page.items() for reason in _note_page(ports, pool, key, of_page)]


def _note_page(ports: Ports, pool: str, key: str, statuses: Sequence[AgentStatus]) -> list[str]:
    for _ in range(_TRIES):
        reasons = _try_to_note(ports, pool, {key: statuses})
        if reasons is not None:
            return reasons
    raise RowChangedError(f"page {key} of pool {pool} kept changing")


def _try_to_note(ports: Ports, pool: str, by_page: Mapping[str, Sequence[AgentStatus]]) -> list[str] | None:
    """All at once. None where others changed one of the pages meanwhile."""
    found = pages(ports, pool, by_page)
    changed: dict[str, Page] = {}
    moved: list[tuple[AgentRecord | None, AgentRecord]] = []
    for key, statuses in by_page.items():
        for status in statuses:
            before = found[key].agents.get(status.agent)
            after = newer(before, _record(ports, status))
            if after is not None:
                found[key].agents[status.agent] = after
                changed[key] = found[key]
                moved.append((before, after))
    if not store_pages(ports, list(changed.values())):
        return None
    for before, after in moved:
        if before is not None and was_lost(before, after):
            about = {"action": "agent_lost", "pool": pool, "agent": after.agent}
            logger.warning("lost worker %s of pool %s: it went without a goodbye", after.agent, pool, extra=about)
    matter = [after for before, after in moved if _matters(before, after)]
    for one in matter:
        logger.info("%s is %s", one.agent, one.state, extra={"action": "capacity", "pool": pool})
    return [f"{one.agent} {one.state}" for one in matter]


def newer(before: AgentRecord | None, status: AgentRecord) -> AgentRecord | None:
    """What the worker's row becomes, or None where the status is older than what is known.

    Within a session the sequence number orders; a worker gives its last will a number above all statuses of the
    connection it ends. Between sessions the worker's own clock orders: they ran one after the other on one machine.
    """
    if before is None:
        return status
    same = status.session == before.session
    is_newer = status.sequence > before.sequence if same else status.at > before.at
    return status if is_newer else None


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
