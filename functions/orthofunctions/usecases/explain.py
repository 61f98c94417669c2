"""Why tasks that are pending wait, with everything as it is now."""

from __future__ import annotations

from collections.abc import Iterable

from orthocontracts.states import TaskState
from orthocontracts.version import KERNEL_RESULT_VERSION
from orthofunctions.domain.pending_index import index_rows, pending_task
from orthofunctions.domain.records import TaskRecord
from orthofunctions.domain.rules import Rules
from orthofunctions.domain.waiting import why_waits
from orthofunctions.ports import Ports
from orthofunctions.usecases.ledger import read_ledger
from orthofunctions.usecases.site import Site


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
