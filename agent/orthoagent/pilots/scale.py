"""The loop of ``orthoagent scale``: look at the scheduler, tell what waits there, submit and cancel."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from dataclasses import dataclass
from typing import Protocol

from orthoagent.errors import CommandFailedError
from orthoagent.logs import log
from orthoagent.patience import pauses_s
from orthoagent.pilots.announce import Announcer
from orthoagent.pilots.book import Book, Changes, Entry
from orthoagent.pilots.demand import DemandHeard
from orthoagent.pilots.lives import ShortLives
from orthoagent.pilots.plan import Orders, pilots_for, plan
from orthoagent.pilots.scheduler import PilotRefusedError, Scheduler
from orthocontracts.messages import AgentStatus

MOST_AT_ONCE = 20
"""Submitted between two looks: the demand may have changed meanwhile."""
SOON_S = 1.0
"""From a change to the look that shows it."""
LONGEST_PAUSE_S = 60.0


@dataclass(frozen=True)
class Limits:
    """How many pilots, of how many slots, and how often to look."""

    at_most: int
    slots_each: int
    every_s: float


class Line(Protocol):
    """See ``adapters.demand_line``."""

    connections: int
    changed: asyncio.Event

    async def tell(self, status: AgentStatus, *, then_clear: bool = False) -> bool: ...


class Scale:
    """Keeps a pool's pilots at what the demand asks for."""

    def __init__(
        self,
        scheduler: Scheduler,
        line: Line,
        *,
        heard: DemandHeard,
        book: Book,
        announcer: Announcer,
        lives: ShortLives,
        limits: Limits,
    ) -> None:
        self._scheduler, self._line = scheduler, line
        self._heard, self._book, self._announcer, self._lives = heard, book, announcer, lives
        self._limits = limits
        self._has_looked = self._has_submitted = False
        self._connections = 0
        self._said: tuple[int | None, int, int] | None = None

    async def run(self) -> None:
        """Go on until cancelled. Pilots stay as they are then: the next life finds them.

        Raises
        ------
        PilotRefusedError
            Where the scheduler refuses the very first pilot: its options are wrong.
        """
        pauses = pauses_s(SOON_S, LONGEST_PAUSE_S)
        while True:
            self._line.changed.clear()
            try:
                pause_s = SOON_S if await self._round() else self._limits.every_s
                pauses = pauses_s(SOON_S, LONGEST_PAUSE_S)
            except (CommandFailedError, PilotRefusedError) as error:
                if isinstance(error, PilotRefusedError) and not self._has_submitted:
                    raise
                pause_s = next(pauses)
                log("scheduler_fails", level=logging.ERROR, error=str(error), again_in_s=round(pause_s, 1))
                await asyncio.sleep(pause_s)
                continue
            await self._wait(pause_s)

    async def _wait(self, pause_s: float) -> None:
        """A demand that comes is answered soon, yet many in a row do not have the scheduler asked for each."""
        least_s = min(SOON_S, pause_s)
        await asyncio.sleep(least_s)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._line.changed.wait(), pause_s - least_s)

    async def _round(self) -> bool:
        """Look, tell, act. Whether the scheduler has been given anything to do."""
        looked_at_s = time.time()
        changes = self._book.compare(await self._scheduler.look(), looked_at_s)
        self._note(changes, time.time())
        await self._tell()
        orders = self._orders(time.time())
        for agent in orders.cancel:
            await self._cancel(next(entry for entry in self._book.entries if entry.agent == agent))
        for _ in range(min(orders.submit, MOST_AT_ONCE)):
            await self._submit()
        return orders != Orders()

    def _note(self, changes: Changes, now_s: float) -> None:
        for entry in changes.queued:
            starts_in_s = None if entry.starts_at_s is None else round(entry.starts_at_s - now_s)
            log("pilot_waits", pilot=entry.agent, job=entry.job, reason=entry.reason, starts_in_s=starts_in_s)
        for entry in changes.began:
            log("pilot_runs", pilot=entry.agent, job=entry.job)
        for entry in changes.gone:
            began_s = entry.starts_at_s if entry.state == "running" else None
            ran_s = None if began_s is None else now_s - began_s
            log("pilot_gone", pilot=entry.agent, job=entry.job, ran_s=None if ran_s is None else round(ran_s))
            # What ended while nobody looked, or never came to be, says nothing about those to come.
            known = self._has_looked and entry.job is not None and not entry.is_cancelled
            if known and self._lives.ended(ran_s, now_s):
                pause_s = round(self._lives.pause_left_s(now_s))
                log("pilot_ended_early", level=logging.ERROR, pilot=entry.agent, job=entry.job, none_for_s=pause_s)
        self._has_looked = True

    async def _tell(self) -> None:
        now_s = time.time()
        if self._connections != self._line.connections:
            self._connections = self._line.connections
            self._announcer.forget()
        for entry in list(self._book.gone.values()):
            if await self._line.tell(self._announcer.farewell(entry, now_s), then_clear=True):
                self._book.told(entry)
        for status in self._announcer.due(self._book.entries, now_s):
            await self._line.tell(status)

    def _orders(self, now_s: float) -> Orders:
        limits, pilots = self._limits, [entry.pilot for entry in self._book.entries]
        slots = self._heard.slots(now_s)
        running = sum(pilot.state == "running" for pilot in pilots)
        if self._said != (slots, len(pilots), running):
            self._said = slots, len(pilots), running
            log("demand", slots=slots, pilots=len(pilots), running=running)
        if slots is None:
            return Orders()
        wanted, kept = (
            pilots_for(n, slots_each=limits.slots_each, at_most=limits.at_most)
            for n in (slots, self._heard.most_lately(now_s))
        )
        orders = plan(pilots, wanted=wanted, kept=kept, at_most=limits.at_most)
        return Orders(cancel=orders.cancel) if self._lives.pause_left_s(now_s) > 0 else orders

    async def _submit(self) -> None:
        entry = self._book.new(time.time())
        try:
            entry.job = await self._scheduler.submit(entry.agent)
        except PilotRefusedError:
            self._book.drop(entry)
            raise
        # Where the scheduler only did not answer, the job may be there: the next look finds it by its name, or not.
        self._has_submitted = True
        self._book.save()
        log("pilot_submitted", pilot=entry.agent, job=entry.job)

    async def _cancel(self, entry: Entry) -> None:
        assert entry.job is not None
        await self._scheduler.cancel(entry.job)
        entry.is_cancelled = True
        self._book.save()
        log("pilot_cancelled", pilot=entry.agent, job=entry.job)
