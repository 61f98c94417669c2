"""What time is spent in, and how the phases of a delivery lie between what is known of it.

All times are of the functions' clock, whatever the clocks of workers say: they report how long their phases took.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from orthofunctions.domain.history import Ending, PastDelivery


class Phase(StrEnum):
    """What a job, or one of its tasks, spends time in."""

    QUEUE = "queue"  # accepted, and not looked at
    PLANNING = "planning"
    EARLIER = "earlier"  # releases of which nothing is kept
    SLOT = "slot"  # waits for a slot, or for a decision
    BACK_OFF = "back_off"
    START = "start"  # released: waits for a worker to begin
    FETCH = "fetch"
    COMPUTE = "compute"
    DELIVER = "deliver"
    RUN = "run"  # at work; what at is not known
    COMMIT = "commit"  # its worker has ended: the report is to be read, and its images checked and entered
    LOST = "lost"  # given to a worker of whom nothing came
    SETTLE = "settle"  # all is done, and the job's end is not written yet


@dataclass(frozen=True, kw_only=True)
class Segment:
    """A stretch of time. ``says`` is for people."""

    phase: Phase
    start: datetime
    end: datetime
    release: int | None = None
    delivery: int | None = None
    pool: str | None = None
    agent: str | None = None
    says: str = ""

    @property
    def about(self) -> tuple[object, ...]:
        """All but its time."""
        return (self.phase, self.release, self.delivery, self.pool, self.agent, self.says)

    @property
    def seconds(self) -> float:
        return (self.end - self.start).total_seconds()


@dataclass
class Pen:
    """Draws segments one after the other, without a gap, never back in time and never past ``limit``."""

    at: datetime
    limit: datetime
    segments: list[Segment] = field(default_factory=list)

    def draw(self, phase: Phase, until: datetime, like: Segment | None = None, *, says: str | None = None) -> None:
        """Go on until then with the phase; what else there is to say of it is as in ``like``."""
        until = min(until, self.limit)
        if until <= self.at:
            return
        like = like or Segment(phase=phase, start=self.at, end=until)
        drawn = Segment(
            phase=phase,
            start=self.at,
            end=until,
            release=like.release,
            delivery=like.delivery,
            pool=like.pool,
            agent=like.agent,
            says=like.says if says is None else says,
        )
        self.at = until
        if self.segments and self.segments[-1].about == drawn.about:
            drawn = replace(drawn, start=self.segments.pop().start)
        self.segments.append(drawn)


_RUN_PHASES: Final = (Phase.FETCH, Phase.COMPUTE, Phase.DELIVER)
_NOTHING_CAME: Final = frozenset({Ending.LOST, Ending.SILENT, Ending.RECALLED})


def phases_of(delivery: PastDelivery, not_before: datetime, over_at: datetime) -> Iterator[tuple[Phase, datetime]]:
    """What a delivery was at, each until when: the last until ``over_at``, from ``not_before`` on.

    Its phases are laid out from its start; where they do not fit before its end, its start was heard of late.
    """
    late = delivery.ended_at is not None and delivery.ended_at > over_at
    known = [timedelta(seconds=one) if one is not None else timedelta() for one in delivery.phases_s]
    length = sum(known, timedelta())
    began = delivery.started_at if delivery.started_at is not None else over_at - length
    if not late:
        began = min(began, over_at - length)
    at = min(max(began, not_before), over_at)
    yield Phase.START, at
    for phase, took in zip(_RUN_PHASES, known, strict=True):
        at = min(at + took, over_at)
        yield phase, at
    if late or delivery.how in _NOTHING_CAME:
        yield Phase.LOST, over_at
    elif length and delivery.how is not Ending.CANCELLED:
        yield Phase.COMMIT, over_at
    else:
        yield Phase.RUN, over_at
