"""The timeline of a job: what happened when, and where the time went. Pure, and made from rows alone.

Every moment from a job's beginning to its end has a phase: on each task's lane, and on the path that its end followed
from.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from functools import cached_property
from typing import Any

from orthocontracts.states import TaskState
from orthofunctions.domain.endings import end_of
from orthofunctions.domain.history import Ending, History, PastDelivery, PastRelease
from orthofunctions.domain.phases import Pen, Phase, Segment, phases_of
from orthofunctions.domain.records import JobRecord, OutputRecord, TaskRecord


class What(StrEnum):
    """What happened. Of one moment in this order."""

    ACCEPTED = "accepted"
    PLANNED = "planned"
    READY = "ready"
    RELEASED = "released"
    STARTED = "started"
    DELIVERY_ENDED = "delivery_ended"
    RELEASE_ENDED = "release_ended"
    OUTPUT_ENDED = "output_ended"
    TASK_ENDED = "task_ended"
    ENDED = "ended"


_REPORTED = (Ending.DELIVERED, Ending.FAILED, Ending.FOUND)
_ORDER = {what: place for place, what in enumerate(What)}


@dataclass(frozen=True, kw_only=True)
class Happening:
    at: datetime
    what: What
    task_id: str | None = None
    release: int | None = None
    delivery: int | None = None
    pool: str | None = None
    agent: str | None = None
    how: str | None = None
    says: str = ""


@dataclass(frozen=True, kw_only=True)
class Part:
    """A task as a timeline is made of it.

    ``joined`` is another job's: what it did before this job was planned is none of this job's time. ``waits`` is why it
    waits now, and ``doing`` what its worker is at.
    """

    task: TaskRecord
    title: str = ""
    joined: bool = False
    waits: str = ""
    doing: str = ""

    @cached_property
    def history(self) -> History:
        return History.of(self.task.history)


@dataclass(frozen=True, kw_only=True)
class Lane:
    """A task's segments, without a gap between them, and what happened to it."""

    part: Part
    segments: Sequence[Segment]
    happened: Sequence[Happening]
    n_unknown: int  # earlier releases of which nothing is kept

    @property
    def task(self) -> TaskRecord:
        return self.part.task


@dataclass(frozen=True, kw_only=True)
class Timeline:
    job: JobRecord
    start: datetime
    end: datetime  # of the job; of one that is not over: now
    is_over: bool
    planned_at: datetime | None
    lanes: Sequence[Lane]
    critical: Lane | None  # the one that the job's end followed from, or waits for
    path: Sequence[Segment]  # from start to end
    happened: Sequence[Happening]

    @property
    def totals_s(self) -> dict[Phase, float]:
        """Seconds of all tasks by phase: they run side by side, so there may be more of them than the job took."""
        totals: dict[Phase, float] = {}
        for segment in (one for lane in self.lanes for one in lane.segments):
            totals[segment.phase] = totals.get(segment.phase, 0.0) + segment.seconds
        return totals

    @property
    def longest(self) -> tuple[Segment, float] | None:
        """What the path spent most time in, by phase and pool: the longest such segment, and the seconds of all."""
        sums_s: dict[tuple[Phase, str | None], float] = {}
        for one in self.path:
            sums_s[one.phase, one.pool] = sums_s.get((one.phase, one.pool), 0.0) + one.seconds
        if not sums_s:
            return None
        most = max(sums_s, key=lambda key: sums_s[key])
        segment = max((one for one in self.path if (one.phase, one.pool) == most), key=lambda one: one.seconds)
        return segment, sums_s[most]


def timeline_of(
    job: JobRecord, outputs: Sequence[OutputRecord], parts: Sequence[Part], now: datetime, *, is_over: bool
) -> Timeline:
    """All that the rows tell of a job up to its end, or up to now."""
    start = job.created_at
    end = max(start, (end_of(job, outputs, [part.task for part in parts]) if is_over else None) or now)
    planned_at = _planned_at(job, outputs, parts, end)
    lanes = [_lane(part, planned_at or start, end) for part in parts]
    critical = max(
        (lane for lane in lanes if lane.segments),
        key=lambda lane: (lane.segments[-1].end, not lane.task.state.is_final, lane.segments[0].start),
        default=None,
    )
    happened = [*_of_job(job, outputs, planned_at, end, is_over=is_over), *(h for lane in lanes for h in lane.happened)]
    return Timeline(
        job=job,
        start=start,
        end=end,
        is_over=is_over,
        planned_at=planned_at,
        lanes=lanes,
        critical=critical,
        path=_path(job, parts, planned_at, critical, end),
        happened=sorted(happened, key=lambda one: (one.at, _ORDER[one.what])),
    )


def _planned_at(
    job: JobRecord, outputs: Sequence[OutputRecord], parts: Sequence[Part], end: datetime
) -> datetime | None:
    """When planning was over: by what followed from it, where that came first.

    A row of before that was kept has nothing else, and one that was made anew after a disaster has a later time.
    """
    if not job.planned:
        return None
    mine = [part for part in parts if not part.joined]
    own = [part.task for part in mine]
    followed = [*(task.released_at for task in own), *(task.ended_at for task in own), *(o.ended_at for o in outputs)]
    followed += [one.released_at for part in mine for one in part.history.releases[:1]]
    said = [job.planned_at] if job.planned_at is not None else [task.created_at for task in own]
    first = min((one for one in (*said, *followed) if one is not None), default=end)
    return min(max(first, job.created_at), end)


def _path(
    job: JobRecord, parts: Sequence[Part], planned_at: datetime | None, critical: Lane | None, end: datetime
) -> list[Segment]:
    """Planning, the task that ended last, the rest: each moment once."""
    pen = Pen(job.created_at, end)
    if planned_at is None:
        pen.draw(Phase.QUEUE, end, says=f"{job.waits_for} is to be fetched" if job.waits_for else "")
        return pen.segments
    began = [part.task.created_at for part in parts if not part.joined]  # a plan's tasks bear the time of its beginning
    if began:
        pen.draw(Phase.QUEUE, min(*began, planned_at))
    pen.draw(Phase.PLANNING, planned_at)
    for one in critical.segments if critical is not None else ():
        pen.draw(one.phase, one.end, one)
    pen.draw(Phase.SETTLE, end)
    return pen.segments


def _of_job(
    job: JobRecord, outputs: Sequence[OutputRecord], planned_at: datetime | None, end: datetime, *, is_over: bool
) -> Iterator[Happening]:
    yield Happening(at=job.created_at, what=What.ACCEPTED, how=job.source)
    if planned_at is not None and job.planned_at is not None:
        yield Happening(at=planned_at, what=What.PLANNED)
    for one in outputs:
        if one.ended_at is not None:
            at = min(max(one.ended_at, job.created_at), end)
            how = str(one.state) if one.task_id else "found"
            yield Happening(at=at, what=What.OUTPUT_ENDED, how=how, says=one.title, task_id=one.task_id or None)
    if is_over:
        yield Happening(at=end, what=What.ENDED, how=job.final_state or None, says=job.final_message)


def _lane(part: Part, ready: datetime, end: datetime) -> Lane:
    task = part.task
    over_at = task.ended_at if task.state.is_final and task.ended_at is not None else end
    releases = _releases_of(part)
    begins = task.created_at if part.joined else ready
    pen = Pen(min(begins, over_at), over_at)
    happened = [Happening(at=pen.at, what=What.READY, task_id=task.task_id)]
    until: datetime | None = None
    why = ""
    number = n_unknown = 0
    for release in releases:
        if release.number > number + 1:
            n_unknown += release.number - number - 1
            pen.draw(Phase.EARLIER, release.released_at or pen.at)
        number = release.number
        then = f"until {release.why_there}" if release.why_there else ""
        _draw_wait(pen, release.released_at or pen.at, until, why, pool=release.pool, says=then)
        _draw_release(pen, release, part.doing)
        happened += _of_release(task, release)
        until, why = release.until, release.why_ended
    if task.state.is_final:
        _draw_wait(pen, over_at, until, why)
        how, says = str(task.state), task.fault_message or ""
        happened.append(Happening(at=over_at, what=What.TASK_ENDED, task_id=task.task_id, how=how, says=says))
    else:
        _draw_wait(pen, end, task.not_before or until, why or task.fault_message or "", says=part.waits)
    return Lane(
        part=part,
        segments=[one for cut in pen.segments if (one := _within(cut, ready, end)).end > one.start],
        happened=[one for one in happened if ready <= one.at <= end],
        n_unknown=n_unknown + max(0, task.release - number),
    )


def _within(segment: Segment, start: datetime, end: datetime) -> Segment:
    if start <= segment.start and segment.end <= end:
        return segment
    return replace(segment, start=max(segment.start, start), end=min(segment.end, end))


def _releases_of(part: Part) -> list[PastRelease]:
    """Those that are kept, and the latest, of which the row itself has the most."""
    task, history = part.task, part.history
    known = [one for one in history.releases if one.released_at is not None]
    if task.released_at is None or any(one.number == task.release for one in known):
        return known
    if task.state is TaskState.PENDING:
        return known  # a row of before its release's end was kept: since when it waits nobody knows
    latest = history.release(task.release)
    if task.delivery and all(one.number != task.delivery for one in latest.deliveries):
        latest = latest.with_delivery(
            PastDelivery(number=task.delivery, agent=task.agent or "", started_at=task.started_at)
        )
    return [
        *known,
        replace(latest, pool=task.pool or "", released_at=task.released_at, ended_at=task.ended_at),
    ]


def _draw_wait(
    pen: Pen, till: datetime, until: datetime | None, why: str, *, pool: str | None = None, says: str = ""
) -> None:
    """Back-off, where the release before ended with one, then waiting for a slot."""
    if until is not None:
        pen.draw(Phase.BACK_OFF, min(until, till), says=why)
    pen.draw(Phase.SLOT, till, Segment(phase=Phase.SLOT, start=pen.at, end=till, pool=pool, says=says))


def _draw_release(pen: Pen, release: PastRelease, doing: str) -> None:
    over_at = min(release.ended_at or pen.limit, pen.limit)
    like = Segment(phase=Phase.START, start=pen.at, end=pen.at, release=release.number, pool=release.pool)
    for place, one in enumerate(release.deliveries):
        later = [other.started_at for other in release.deliveries[place + 1 :] if other.started_at is not None]
        ended_at = max(pen.at, min(one.ended_at or over_at, over_at, *later))
        mine = replace(like, delivery=one.number, agent=one.agent)
        for phase, until in phases_of(one, pen.at, ended_at):
            pen.draw(phase, until, mine, says=doing if phase is Phase.RUN and release.ended_at is None else "")
        if one.how in _REPORTED:  # nothing else is awaited: what is left of the release is the collector's
            pen.draw(Phase.COMMIT, over_at if place + 1 == len(release.deliveries) else pen.at, mine)
    pen.draw(Phase.START, over_at, like, says=release.why_ended)


def _of_release(task: TaskRecord, release: PastRelease) -> Iterator[Happening]:
    of: dict[str, Any] = {"task_id": task.task_id, "release": release.number, "pool": release.pool}
    if release.released_at is not None:
        yield Happening(at=release.released_at, what=What.RELEASED, says=release.why_there, **of)
    for one in release.deliveries:
        by = {**of, "delivery": one.number, "agent": one.agent}
        if one.started_at is not None:
            yield Happening(at=one.started_at, what=What.STARTED, **by)
        if one.ended_at is not None and one.how is not None:
            yield Happening(at=one.ended_at, what=What.DELIVERY_ENDED, how=str(one.how), **by)
    if release.ended_at is not None and release.how is not None:
        yield Happening(
            at=release.ended_at, what=What.RELEASE_ENDED, how=str(release.how), says=release.why_ended, **of
        )
