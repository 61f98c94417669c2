"""A job's timeline, from what the store has: no other source is asked, so every site can tell it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from orthocontracts.states import TaskState
from orthocontracts.tasks import job_of_task
from orthofunctions.domain.callbacks import CallbackRecord
from orthofunctions.domain.compared import Compared, compared
from orthofunctions.domain.endings import OVER
from orthofunctions.domain.pools import SiteSpec
from orthofunctions.domain.records import JobRecord, LearnedRecord, TaskRecord
from orthofunctions.domain.rules import Rules
from orthofunctions.domain.timeline import Part, Timeline, timeline_of
from orthofunctions.ports import Ports
from orthofunctions.usecases.explain import reasons_to_wait
from orthofunctions.usecases.jobs import find_job
from orthofunctions.usecases.learning import all_learned, learned, machine_of
from orthofunctions.usecases.rows import find
from orthofunctions.usecases.site import load_site
from orthofunctions.usecases.views import JobView


@dataclass(frozen=True)
class Trace:
    """``hidden`` are tasks of jobs that the caller may not see; ``compared``, by task, the runs that ended well."""

    view: JobView
    timeline: Timeline
    callbacks: Sequence[CallbackRecord]
    compared: Mapping[str, Compared]
    hidden: frozenset[str]


def trace_job(ports: Ports, rules: Rules, view: JobView, may_see: Callable[[JobRecord], bool]) -> Trace:
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
        hidden=_hidden(ports, [task.record for task in view.tasks if task.joined], may_see),
    )


def _hidden(ports: Ports, joined: Sequence[TaskRecord], may_see: Callable[[JobRecord], bool]) -> frozenset[str]:
    """A task whose job has expired was somebody's too: nothing is told of it."""
    seen: dict[tuple[str, str], bool] = {}
    for task in joined:
        place = (task.user, job_of_task(task.task_id))
        if place not in seen:
            job = find_job(ports, *place)
            seen[place] = job is not None and may_see(job)
    return frozenset(task.task_id for task in joined if not seen[task.user, job_of_task(task.task_id)])


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
