"""Drives one delivery: feeds its session with what happens and has the steps done that come back."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from dataclasses import replace

from orthoagent.adapters.process import ComputeChild
from orthoagent.adapters.storage import Lease
from orthoagent.errors import LeaseLostError, StorageSilentError
from orthoagent.logs import log
from orthoagent.patience import patiently
from orthoagent.session import Event, Session, State, Step
from orthoagent.tracing import DeliveryId
from orthoagent.work import Work, Workplace

SHORT_PAUSE_S = 1.0
"""Between tries to renew while storage is silent."""


class DeliveryRun:
    """One delivery, from the message to the report."""

    def __init__(self, lease: Lease, slot: ComputeChild, place: Workplace) -> None:
        release = lease.release
        asked = DeliveryId(release.task_id, release.release, lease.delivery, release.traceparent)
        self._trace = place.tracer.begin(asked)
        self.id = replace(asked, traceparent=self._trace.traceparent)
        self._lease, self._place = lease, place
        self._session = Session()
        self._work = Work(self.id, slot, place)
        self._events: asyncio.Queue[tuple[Event, int | None]] = asyncio.Queue()
        self._doing: asyncio.Task[None] | None = None
        self._doing_number = 0
        self._hand_back_reason = self._hand_back_for = ""

    # What others may tell this delivery. None of these waits.

    def cancel(self) -> None:
        self._tell(Event.CANCEL)

    def hand_back(self, reason: str, why: str) -> None:
        """``why`` is the reason in a word, to be counted by."""
        self._hand_back_reason, self._hand_back_for = reason, why
        self._tell(Event.HAND_BACK)

    def abort(self) -> None:
        self._tell(Event.ABORT)

    def _tell(self, event: Event) -> None:
        self._events.put_nowait((event, None))

    async def run(self) -> State:
        """Work until the session is at its end; leaves no process, no file and no task behind."""
        keeper = asyncio.create_task(self._keep_lease(), name=f"lease {self.id.task_id}")
        keeper.add_done_callback(self._on_task_ended)
        timers: list[asyncio.TimerHandle] = []
        self._work.show("fetch")
        try:
            self._begin(self._session.begin())
            while not self._session.state.is_final:
                event, number = await self._events.get()
                if number is not None and number != self._doing_number:
                    continue  # of steps that were stopped meanwhile
                before = self._session.state
                steps = self._session.on(event)
                self._log("delivery_moves", was=before, event=event, now=self._session.state)
                if event is Event.TICKET_READ:
                    timers = self._set_timers()
                if event is Event.TIME_LIMIT and before in {State.FETCHING, State.COMPUTING}:
                    self._work.overran(before, self._work.time_limit_s)
                if event is Event.TIME_OVER and before is not self._session.state:
                    self._work.overran(before, self._work.end_s or 0.0)
                if event is Event.HAND_BACK and before is not self._session.state:
                    self._work.reason, self._work.returned_for = self._hand_back_reason, self._hand_back_for
                await self._follow(steps)
            if self._lease.lost_in_silence:
                await self._work.report("lost")
            return self._session.state
        finally:
            for timer in timers:
                timer.cancel()
            await self._stop()
            await _end(keeper)
            await asyncio.to_thread(self._work.tidy)
            self._place.board.clear(self.id.task_id, self.id.release)
            state = self._session.state
            self._trace.end(self._work.told(state if state.is_final else "broken"))

    def _set_timers(self) -> list[asyncio.TimerHandle]:
        loop = asyncio.get_running_loop()
        timers = [loop.call_later(self._work.time_limit_s, self._tell, Event.TIME_LIMIT)]
        if self._work.end_s is not None:
            timers.append(loop.call_later(self._work.end_s, self._tell, Event.TIME_OVER))
        return timers

    async def _follow(self, steps: tuple[Step, ...]) -> None:
        if steps[:1] == (Step.STOP_WORK,):
            await self._stop()
            steps = steps[1:]
        if steps:
            self._begin(steps)

    def _begin(self, steps: tuple[Step, ...]) -> None:
        self._doing_number += 1
        self._doing = asyncio.create_task(self._do(steps, self._doing_number), name=f"{steps[0]} {self.id.task_id}")
        self._doing.add_done_callback(self._on_task_ended)

    async def _stop(self) -> None:
        self._doing_number += 1
        doing, self._doing = self._doing, None
        if doing is not None:
            await _end(doing)

    def _on_task_ended(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and task.exception() is not None:
            # A bug. Nothing is reported: the message comes back and another worker may fare better.
            self._log("delivery_broke", level=logging.ERROR, doing=task.get_name(), error=repr(task.exception()))
            self.abort()

    async def _do(self, steps: tuple[Step, ...], number: int) -> None:
        for step in steps:
            event = await self._step(step)
            if event is not None:
                self._events.put_nowait((event, number))
                return
        self._events.put_nowait((Event.CLOSED, number))

    async def _step(self, step: Step) -> Event | None:
        match step:
            case Step.READ_TICKET:
                return await self._work.read_ticket()
            case Step.REPORT_STARTED:
                await self._work.report("started")
            case Step.FETCH:
                with self._trace.part("fetch") as told:
                    return await self._work.fetch(told)
            case Step.COMPUTE:
                with self._trace.part("compute") as told:
                    return await self._work.compute(told)
            case Step.DELIVER:
                with self._trace.part("deliver") as told:
                    return await self._work.deliver(told)
            case Step.CONFIRM_LEASE:
                try:
                    await patiently(self._lease.renew, "confirm the lease", **self.id.for_logs)
                except LeaseLostError:
                    return Event.LEASE_LOST
            case Step.REPORT_FINISHED:
                await self._work.report("finished")
            case Step.REPORT_RETURNED:
                await self._work.report("returned")
            case Step.DELETE_MESSAGE:
                await patiently(self._lease.delete, "delete the message", **self.id.for_logs)
            case Step.FREE_MESSAGE:
                with contextlib.suppress(LeaseLostError, StorageSilentError):
                    await self._lease.free()
            case Step.STOP_WORK:
                raise AssertionError("work is stopped before the steps that follow, not among them")
        return None

    async def _keep_lease(self) -> None:
        """Renew, and look at the ticket: so cancel and recall arrive without a broker too."""
        pause_s = self._place.renew_every_s
        told_gone = False
        while not self._lease.is_closed:
            await asyncio.sleep(pause_s)
            pause_s = self._place.renew_every_s
            try:
                await self._lease.renew()
                if not told_gone and not await self._place.tickets.is_there(self.id.task_id, self.id.release):
                    told_gone = True
                    self._tell(Event.TICKET_GONE)
            except LeaseLostError as error:
                self._place.vitals.renewals_failed["lost"] += 1
                self._log("lease_lost", level=logging.WARNING, error=str(error))
                self._tell(Event.LEASE_LOST)
                return
            except StorageSilentError as error:
                self._place.vitals.renewals_failed["silent"] += 1
                # Compute on: nobody else can take the message from a storage that does not answer either.
                self._log("storage_silent", level=logging.WARNING, doing="renew", error=str(error))
                pause_s = min(SHORT_PAUSE_S, self._place.renew_every_s)

    def _log(self, action: str, level: int = logging.INFO, **fields: str | None) -> None:
        log(action, level=level, **self.id.for_logs, **fields)


async def _end(task: asyncio.Task[None]) -> None:
    """Cancel and wait until it is over, whatever it ends with."""
    task.cancel()
    await asyncio.wait({task})
    if not task.cancelled():
        task.exception()
