"""Whose job it is, and who else may see it: those of its groups, and admins."""

from __future__ import annotations

from collections.abc import Iterable

from orthocontracts.tasks import job_of_task
from orthofunctions.domain.principals import Principal, Scope
from orthofunctions.domain.records import JobRecord, TaskRecord
from orthofunctions.ports import Ports
from orthofunctions.usecases.jobs import find_job
from orthofunctions.usecases.owners import possible_owners, sharing_with
from orthofunctions.usecases.rows import find


def find_visible_job(ports: Ports, principal: Principal, job_id: str) -> JobRecord | None:
    """A job that the caller may see: their own, one shared with a group of theirs, or, for an admin, any."""
    own = find_job(ports, principal.user, job_id)
    if own is not None or not (principal.groups or principal.may(Scope.ADMIN)):
        return own
    found = (find_job(ports, owner, job_id) for owner in possible_owners(ports, job_id))
    return next((job for job in found if job is not None and may_see(principal, job)), None)


def may_see(principal: Principal, job: JobRecord) -> bool:
    return may_change(principal, job) or not principal.groups.isdisjoint(groups_of(job))


def may_change(principal: Principal, job: JobRecord) -> bool:
    """Whether the caller may cancel, retry or pin it: its owner, or an admin."""
    return job.user == principal.user or principal.may(Scope.ADMIN)


def hidden_tasks(ports: Ports, principal: Principal, tasks: Iterable[TaskRecord]) -> frozenset[str]:
    """Of tasks that make images for several jobs, the ids of those whose own job the caller may not see.

    One whose job has expired was somebody's too: it is hidden.
    """
    seen: dict[tuple[str, str], bool] = {}
    hidden = set()
    for task in tasks:
        place = (task.user, job_of_task(task.task_id))
        if place not in seen:
            job = find_job(ports, *place)
            seen[place] = job is not None and may_see(principal, job)
        if not seen[place]:
            hidden.add(task.task_id)
    return frozenset(hidden)


def groups_of(job: JobRecord) -> frozenset[str]:
    return frozenset(job.shared_with.split(",")) - {""}


def shared_jobs(ports: Ports, group: str) -> list[JobRecord]:
    """Jobs that are shared with a group, the newest first. As with one's own, all rows of their users are read."""
    found = [
        job
        for owner in sharing_with(ports, group)
        for job in find(ports.tables, JobRecord, partition=owner)
        if group in groups_of(job)
    ]
    return sorted(found, key=lambda job: (job.created_at, job.job_id), reverse=True)
