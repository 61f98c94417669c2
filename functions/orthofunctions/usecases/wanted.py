"""Jobs wait for products that nobody here has, and ``orthoagent procure`` is asked to fetch them.

A product's partition of table ``wanted`` has a row that says how its fetch stands, and one for each job that waits. The
first to join writes both in one transaction, the last to leave deletes both; every join changes the first row, so that
none is lost between. Whatever happens to the product, its jobs' requests are sent to be planned again: how a wait ends
is for the planner alone. Rows come before messages, and the clock sends again what somebody died before sending.
"""

from __future__ import annotations

import logging
import uuid
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from itertools import groupby
from typing import Final

from orthocontracts import names
from orthocontracts.messages import Fault
from orthocontracts.procurement import Procured, Wanted
from orthocontracts.requests import Request, RequestEnvelope
from orthofunctions.domain.records import JobRecord, WaiterRecord, WantedRecord
from orthofunctions.domain.rules import Rules
from orthofunctions.ports import ANY_ETAG, Change, Ports, Row, RowChangedError, RowExistsError
from orthofunctions.usecases.jobs import MAX_SWAPS, BusyRowError, change_job
from orthofunctions.usecases.rows import load, remove, swap
from orthofunctions.usecases.site import load_site
from orthofunctions.usecases.whereabouts import is_here

logger = logging.getLogger(__name__)

STATE_KEY: Final = "state"
EVENTS_MAY_TAKE = timedelta(minutes=2)
"""For how long after it was asked for a product is left to the events that tell of its arrival."""
PARALLEL_LOOKS: Final = 8


def wait_for(ports: Ports, job: JobRecord, request: Request, missing: Iterable[str], rules: Rules) -> JobRecord | Fault:
    """Have a job wait for products, each of which is asked for once, however many wait.

    Returns
    -------
    JobRecord or Fault
        The fault where one of them cannot be had, or was waited for long enough.
    """
    waits_for = sorted(missing)
    data = request.to_json().encode()
    ports.blobs.create(names.CONTAINER_REQUESTS, f"{job.job_id}.json", data)  # as `submit.send` keeps large ones
    for name in waits_for:
        waiter, state = _join(ports, job, name, rules)
        fault = _end_of(ports, waiter, state, rules)
        if fault is not None:
            return fault
        _ask_for(ports, state, rules)
    said = ",".join(waits_for)
    logger.info("waits for %s", said, extra={"action": "waits_for_products", "job": job.job_id})
    return change_job(ports, job, lambda now: None if now.waits_for == said else now.changed(waits_for=said))


def stop_waiting(ports: Ports, job_id: str, product_names: Iterable[str]) -> None:
    """Let a job leave its products. What is being fetched is fetched all the same. Any number of times."""
    for name in product_names:
        if ports.tables.get(WaiterRecord.TABLE, name, WaiterRecord.key_of(job_id)) is not None:
            _leave(ports, name, job_id)


def wake_waiters(ports: Ports, name: str) -> int:
    """Have all requests planned again that wait for a product. Returns how many."""
    waiters = _waiters(ports, name)
    for waiter in waiters:
        _plan_again(ports, waiter)
    return len(waiters)


def take_outcome(ports: Ports, outcome: Procured) -> None:
    """What ``orthoagent procure`` says of a product. Repeated, late or out of order it changes nothing."""
    for _ in range(MAX_SWAPS):
        state = load(ports.tables, WantedRecord, outcome.name, STATE_KEY)
        if state is None or state.ask != outcome.ask or outcome.kind == "fetched":
            break
        changed = _after(state, outcome)
        if changed is None:
            break
        try:
            swap(ports.tables, changed)
        except RowChangedError:
            continue
        logger.info("%s: %s", outcome.name, outcome.kind, extra={"action": "procured", "agent": outcome.agent})
        break
    else:
        raise BusyRowError(f"wanted {outcome.name}")
    if outcome.kind != "started":
        wake_waiters(ports, outcome.name)


def look_after_waiters(ports: Ports, rules: Rules) -> int:
    """Have those requests planned again whose wait is over, though nobody said so. Returns how many."""
    rows = ports.tables.query(WantedRecord.TABLE)
    by_name = [(name, list(group)) for name, group in groupby(rows, key=lambda row: row.partition)]
    with ThreadPoolExecutor(PARALLEL_LOOKS, "wanted") as pool:
        return sum(pool.map(lambda one: _look_after(ports, rules, *one), by_name))


def _look_after(ports: Ports, rules: Rules, name: str, rows: list[Row]) -> int:
    now = ports.clock.now()
    waiters = [WaiterRecord.from_row(row) for row in rows if row.key != STATE_KEY]
    state = next((WantedRecord.from_row(row) for row in rows if row.key == STATE_KEY), None)
    if state is not None and not waiters:
        remove(ports.tables, state)  # the last two left at the same time
    is_over = state is None or state.fault_kind or not state.told or _has_come(ports, state)
    oldest = now - timedelta(seconds=rules.wanted_limit_s)
    due = [waiter for waiter in waiters if is_over or waiter.since < oldest]
    for waiter in due:
        _plan_again(ports, waiter)
    return len(due)


def _has_come(ports: Ports, state: WantedRecord) -> bool:
    is_late = ports.clock.now() - state.asked_at > EVENTS_MAY_TAKE
    return is_late and is_here(ports, load_site(ports), state.name)


def _join(ports: Ports, job: JobRecord, name: str, rules: Rules) -> tuple[WaiterRecord, WantedRecord]:
    """The job's own row, and how the fetch stands: asked for anew where it failed, or took too long, before the job
    came."""
    for _ in range(MAX_SWAPS):
        state = load(ports.tables, WantedRecord, name, STATE_KEY)
        waiter = load(ports.tables, WaiterRecord, name, WaiterRecord.key_of(job.job_id))
        if waiter is not None and state is not None:
            return waiter, state
        now = ports.clock.now()
        own = WaiterRecord(name=name, row=WaiterRecord.key_of(job.job_id), job_id=job.job_id, since=now)
        anew = WantedRecord(name=name, row=STATE_KEY, ask=uuid.uuid4().hex, asked_at=now)
        if state is None:
            change = Change("insert", anew.to_row())
        elif state.fault_kind or now - state.asked_at > timedelta(seconds=rules.wanted_limit_s):
            change = Change("replace", anew.changed(etag=state.etag).to_row())
        else:
            change = Change("replace", state.to_row())  # as it is, for its ETag: whoever is about to delete it sees us
        try:
            ports.tables.transact(WantedRecord.TABLE, [change, Change("put", own.to_row())])
        except (RowChangedError, RowExistsError):
            continue
    raise BusyRowError(f"wanted {name}")


def _end_of(ports: Ports, waiter: WaiterRecord, state: WantedRecord, rules: Rules) -> Fault | None:
    """Why a job waits no longer."""
    if state.fault_kind:
        return Fault(kind=state.fault_kind, message=f"id:{state.name}: {state.fault_message}", permanent=True)
    if ports.clock.now() - waiter.since <= timedelta(seconds=rules.wanted_limit_s):
        return None
    waited = f"{rules.wanted_limit_s / 3600:.3g} h"
    if state.agent:
        said = f"{state.agent} began to fetch it, and has not brought it within {waited}"
    else:
        said = f"nobody began to fetch it within {waited}: does `orthoagent procure` run?"
    return Fault(kind="ProductMissing", message=f"id:{state.name}: {said}", permanent=True)


def _ask_for(ports: Ports, state: WantedRecord, rules: Rules) -> None:
    if state.told:
        return
    until = state.asked_at + timedelta(seconds=rules.wanted_limit_s)
    message = Wanted(name=state.name, ask=state.ask, until=until)
    ports.queues.send(names.QUEUE_WANTED, message.to_json())
    try:
        swap(ports.tables, state.changed(told=True))
    except RowChangedError:
        return  # another has joined, and asks once more: whoever fetches finds it there


def _after(state: WantedRecord, outcome: Procured) -> WantedRecord | None:
    if state.fault_kind:
        return None
    if outcome.kind == "failed":
        fault = outcome.fault or Fault(kind="ProductMissing", message="it could not be fetched")
        return state.changed(fault_kind=fault.kind, fault_message=fault.message)
    return state.changed(agent=outcome.agent, started_at=outcome.at)


def _leave(ports: Ports, name: str, job_id: str) -> None:
    for _ in range(MAX_SWAPS):
        state = load(ports.tables, WantedRecord, name, STATE_KEY)
        key = WaiterRecord.key_of(job_id)
        others = [one for one in _waiters(ports, name) if one.job_id != job_id]
        if others or state is None:
            ports.tables.delete(WaiterRecord.TABLE, name, key)
            return
        last = [Change("delete", state.to_row()), Change("delete", Row(name, key, {}, ANY_ETAG))]
        try:
            ports.tables.transact(WantedRecord.TABLE, last)
        except RowChangedError:
            if ports.tables.get(WaiterRecord.TABLE, name, key) is None:
                return
        else:
            return
    raise BusyRowError(f"wanted {name}")


def _waiters(ports: Ports, name: str) -> list[WaiterRecord]:
    rows = ports.tables.query(WaiterRecord.TABLE, partition=name, key_from=WaiterRecord.PREFIX, key_below="job.")
    return [WaiterRecord.from_row(row) for row in rows]


def _plan_again(ports: Ports, waiter: WaiterRecord) -> None:
    envelope = RequestEnvelope(blob=f"{names.CONTAINER_REQUESTS}/{waiter.job_id}.json")
    ports.queues.send(names.QUEUE_REQUESTS, envelope.to_json())
