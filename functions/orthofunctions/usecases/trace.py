"""A job's timeline, from what the store has: no other source is asked, so every site can tell it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from orthocontracts.states import TaskState
from orthofunctions.domain.callbacks import CallbackRecord
from orthofunctions.domain.compared import Compared, compared
from orthofunctions.domain.endings import OVER
from orthofunctions.domain.pools import SiteSpec
from orthofunctions.domain.principals import Principal
from orthofunctions.domain.records import LearnedRecord, TaskRecord
from orthofunctions.domain.rules import Rules
from orthofunctions.domain.timeline import Part, Timeline, timeline_of
from orthofunctions.ports import Ports
from orthofunctions.usecases.explain import reasons_to_wait
from orthofunctions.usecases.learning import all_learned, learned, machine_of
from orthofunctions.usecases.rows import find
from orthofunctions.usecases.site import load_site
from orthofunctions.usecases.views import JobView
from orthofunctions.usecases.visible import hidden_tasks


@dataclass(frozen=True)
class Trace:
    """``hidden`` are tasks of jobs that the caller may not see; ``compared``, by task, the runs that ended well."""

    view: JobView
    timeline: Timeline
    callbacks: Sequence[CallbackRecord]
    compared: Mapping[str, Compared]
    hidden: frozenset[str]


def trace_job(ports: Ports, rules: Rules, view: JobView, principal: Principal) -> Trace:
    """The timeline of a job that the caller may see."""
    records = [task.record for task in view.tasks]
    waits = reasons_to_wait(ports, rules, records)
    parts = [
        Part(
            task=task.record,
            title=task.title,
            joined=task.joined,
            waits=waits.get(task.record.task_id, ""),
            doing=f"{task.running.phase}, {100 * task.running.progress:.0f} %" if task.running else "",
        )
        for task in view.tasks
    ]
    is_over = view.state in OVER
    return Trace(
        view=view,
        timeline=timeline_of(view.record, view.outputs, parts, ports.clock.now(), is_over=is_over),
        callbacks=sorted(find(ports.tables, CallbackRecord, partition=view.record.job_id), key=lambda c: c.created_at),
        compared=_compared(ports, records),
        hidden=hidden_tasks(ports, principal, (task.record for task in view.tasks if task.joined)),
    )


def _compared(ports: Ports, tasks: Sequence[TaskRecord]) -> dict[str, Compared]:
    ended = [one for one in tasks if one.state is TaskState.SUCCEEDED and one.started_at and one.ended_at]
    if not ended:
        return {}
    site, records = load_site(ports), all_learned(ports)
    found = ((one.task_id, _comparison(site, records, one)) for one in ended)
    return {task_id: one for task_id, one in found if one is not None}


def _comparison(site: SiteSpec, records: Sequence[LearnedRecord], task: TaskRecord) -> Compared | None:
    spec = site.pool(task.pool)
    if spec is None or task.started_at is None or task.ended_at is None:
        return None
    times = learned(records, spec).get(task.process)
    took_s = (task.ended_at - task.started_at).total_seconds()
    if times is None:
        return None
    return compared(took_s, spec.nominal_s(task.megapixels), times, task.process, machine_of(spec))
