"""The history of a task's row as it becomes with a move of the row: see `domain.history`."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from datetime import datetime

from orthocontracts.messages import Report
from orthocontracts.states import TaskState
from orthofunctions.domain.history import Ending, History, PastDelivery, PastRelease, phases_in
from orthofunctions.domain.records import TaskRecord


@dataclass(frozen=True)
class Told:
    """A report, and when it was read. What follows from it, the checking of its images say, takes its time."""

    report: Report
    at: datetime


_UNDER_RELEASE = (TaskState.RELEASED, TaskState.RUNNING)


def delivery_over(task: TaskRecord, how: Ending, now: datetime) -> str:
    """The task's latest delivery is over, and its release goes on: the message will come again, or has."""
    history = History.of(task.history)
    release = history.release(task.release)
    return history.with_release(_with_latest(release, task, how, now)).to_text()


def delivery_lost(task: TaskRecord, report: Report, now: datetime) -> str:
    """A worker says that it lost a delivery while storage was silent. The next may have been heard of before that."""
    history = History.of(task.history)
    if report.release != task.release and not history.knows(report.release):
        return task.history
    release = history.release(report.release)
    before = next((one for one in release.deliveries if one.number == report.delivery), None)
    current = (report.release, report.delivery) == (task.release, task.delivery)
    lost = PastDelivery(
        number=report.delivery,
        agent=report.agent,
        started_at=task.started_at if current else None,
        ended_at=before.ended_at if before is not None and before.ended_at is not None else now,
        how=Ending.LOST,
        phases_s=phases_in(report.figures),
    )
    return history.with_release(release.with_delivery(lost)).to_text()


def release_over(
    task: TaskRecord,
    how: Ending,
    now: datetime,
    *,
    why: str = "",
    until: datetime | None = None,
    told: Told | None = None,
) -> str:
    """The task's release is over, where it has one.

    Parameters
    ----------
    task : TaskRecord
        As it was before.
    until : datetime, optional
        The end of the back-off that follows.
    told : Told, optional
        What it follows from. It may be of an earlier delivery or release, whose images count all the same.
    """
    history = History.of(task.history)
    report = None if told is None else told.report
    if task.state in _UNDER_RELEASE:
        mine = told if report is not None and report.release == task.release else None
        release = _with_latest(history.release(task.release), task, _of_latest(task, how, report), now)
        release = replace(
            release if mine is None else release.with_delivery(_told(task, mine, how)),
            pool=task.pool or "",
            released_at=task.released_at,
            ended_at=now,
            how=how if report is None or mine is not None else Ending.FOUND,
            until=until,
            why_there=_sentence(task),
            why_ended=why,
        )
        history = history.with_release(release)
    if told is not None and told.report.release < task.release and history.knows(told.report.release):
        history = history.with_release(history.release(told.report.release).with_delivery(_told(task, told, how)))
    return history.to_text() if history.releases else task.history


def _of_latest(task: TaskRecord, how: Ending, report: Report | None) -> Ending:
    """How the latest delivery we know of ended, where its release did so."""
    if report is None or (report.release, report.delivery) == (task.release, task.delivery):
        return how
    later = report.release == task.release and report.delivery > task.delivery
    return Ending.SILENT if later else Ending.FOUND


def _with_latest(release: PastRelease, task: TaskRecord, how: Ending, now: datetime) -> PastRelease:
    if task.delivery == 0 or any(one.number == task.delivery and one.how is not None for one in release.deliveries):
        return release
    return release.with_delivery(
        PastDelivery(number=task.delivery, agent=task.agent or "", started_at=task.started_at, ended_at=now, how=how)
    )


def _told(task: TaskRecord, told: Told, how: Ending) -> PastDelivery:
    report = told.report
    current = (report.release, report.delivery) == (task.release, task.delivery)
    return PastDelivery(
        number=report.delivery,
        agent=report.agent,
        started_at=task.started_at if current else None,
        ended_at=told.at,
        how=how,
        phases_s=phases_in(report.figures),
    )


def _sentence(task: TaskRecord) -> str:
    """Why it was released to that pool."""
    try:
        return str(json.loads(task.decision)["sentence"]) if task.decision else ""
    except (ValueError, KeyError, TypeError):
        return ""
