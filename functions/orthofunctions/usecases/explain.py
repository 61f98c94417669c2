"""Why tasks that are pending wait, with everything as it is now, and where products lie that were named by id."""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import datetime

from orthocontracts.states import TaskState
from orthocontracts.version import KERNEL_RESULT_VERSION
from orthofunctions.domain.pending_index import index_rows, pending_task
from orthofunctions.domain.records import JobRecord, TaskRecord, WantedRecord
from orthofunctions.domain.rules import Rules
from orthofunctions.domain.waiting import why_waits
from orthofunctions.ports import Ports
from orthofunctions.usecases.ledger import read_ledger
from orthofunctions.usecases.rows import load
from orthofunctions.usecases.site import Site
from orthofunctions.usecases.wanted import STATE_KEY


def whereabouts(ports: Ports, job: JobRecord) -> list[dict[str, str | None]]:
    """Of each product that a job names by id: where it lies and how it was found, or how its fetch stands."""
    if job.found:
        found: list[dict[str, str | None]] = json.loads(job.found)
        return found
    waits_for = [] if job.planned or job.cancelled else list(filter(None, job.waits_for.split(",")))
    states = [(name, load(ports.tables, WantedRecord, name, STATE_KEY)) for name in waits_for]
    return [{"asked": f"id:{name}", "ref": None, "how": _how_it_stands(state)} for name, state in states]


def _how_it_stands(state: WantedRecord | None) -> str:
    if state is None or state.fault_kind:
        return "looked for again"
    if state.agent and state.started_at:
        return f"{state.agent} fetches it since {_minute(state.started_at)}"
    return f"asked for at {_minute(state.asked_at)}; nobody has begun to fetch it"


def _minute(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M} UTC"


def reasons_to_wait(ports: Ports, rules: Rules, tasks: Iterable[TaskRecord]) -> dict[str, str]:
    """A sentence for each of the tasks that is pending, by its id."""
    pending = [task for task in tasks if task.state is TaskState.PENDING]
    if not pending:
        return {}
    now, site = ports.clock.now(), Site.read(ports)
    states = site.states(KERNEL_RESULT_VERSION, now, rules)
    ledger = read_ledger(ports, rules, site.settings, site.active, {task.user for task in pending}, now)
    return {
        task.task_id: why_waits(
            pending_task(index_rows(task)[0], rules.patience_s),
            states,
            ledger,
            now.timestamp(),
            not_before_s=task.not_before.timestamp() if task.not_before else None,
            confidence=rules.deadline_confidence,
        )
        for task in pending
    }
