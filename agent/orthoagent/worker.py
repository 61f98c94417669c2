"""The loop all workers run: look at the queue, take what fits, wait for a ring; drain, then end."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from orthoagent.adapters.process import ComputeChild
from orthoagent.adapters.storage import Lease, PoolQueue
from orthoagent.delivery import DeliveryRun
from orthoagent.errors import StorageSilentError
from orthoagent.logs import log
from orthoagent.work import Workplace
from orthocontracts.messages import Control
from orthocontracts.tracing import trace_id_of

ABORT_LIMIT_S = 2.0
HAND_BACK_LIMIT_S = 10.0
"""How long handing back may take once the grace is over."""


@dataclass(frozen=True)
class Pace:
    """How often the loop looks by itself, and when it leaves."""

    poll_up_s: float
    poll_down_s: float
    grace_s: float
    leave_when_empty: bool = False
    linger_s: float = 0.0


class Worker:
    """Serves one pool's queue with as many deliveries at a time as there are slots."""

    def __init__(self, queue: PoolQueue, slots: Sequence[ComputeChild], place: Workplace, pace: Pace) -> None:
        self._queue, self._place, self._pace = queue, place, pace
        self._slots = tuple(slots)
        self._free = list(slots)
        self._runs: dict[asyncio.Task[None], DeliveryRun] = {}
        self._nudge = asyncio.Event()
        self._draining = False
        self._ending = False
        self._grace: asyncio.TimerHandle | None = None
        self._starting: asyncio.Future[list[None]] | None = None
        self.doorbell_works: Callable[[], bool] = lambda: False
        self._vitals = place.vitals

    # What others may tell the worker. None of these waits.

    def look_now(self) -> None:
        self._nudge.set()

    def control(self, message: Control) -> None:
        trace = trace_id_of(message.traceparent)
        log("control", received=message.action, task=message.task_id, release=message.release, trace=trace)
        match message.action:
            case "drain":
                self.drain("the pool's operator asked to drain")
            case "resume":
                self.resume()
            case "cancel":
                for run in self._runs_meant(message):
                    run.cancel()
            case "hand_back":
                for run in self._runs_meant(message):
                    run.hand_back("an operator stopped this run", "stopped")

    def _runs_meant(self, message: Control) -> list[DeliveryRun]:
        return [
            run
            for run in self._runs.values()
            if run.id.task_id == message.task_id and message.release in {None, run.id.release}
        ]

    def drain(self, reason: str) -> None:
        """Take nothing more; what runs may finish within the grace, then it is handed back."""
        if self._draining:
            return
        self._draining = True
        self._place.board.become("draining")
        log("drains", reason=reason, running=len(self._runs), grace_s=self._pace.grace_s)
        self._grace = asyncio.get_running_loop().call_later(self._pace.grace_s, self._hand_back, reason)
        self._nudge.set()

    def resume(self) -> None:
        if self._ending or not self._draining:
            return
        self._draining = False
        if self._grace is not None:
            self._grace.cancel()
        self._place.board.become("online")
        log("resumes")
        self._nudge.set()

    def end(self, reason: str) -> None:
        """Drain, then leave; a second call aborts what still runs."""
        if self._ending:
            log("aborts", running=len(self._runs))
            self._abort_all()
            return
        self._ending = True
        self.drain(reason)
        if self._starting is not None:
            self._starting.cancel()
        self._nudge.set()

    def leave(self, reason: str) -> None:
        """As ``end``, but said twice it changes nothing."""
        if not self._ending:
            self.end(reason)

    def _hand_back(self, reason: str) -> None:
        for run in self._runs.values():
            run.hand_back(reason, "drain")
        if self._ending:
            asyncio.get_running_loop().call_later(HAND_BACK_LIMIT_S, self._abort_all)

    def _abort_all(self) -> None:
        for run in self._runs.values():
            run.abort()
        asyncio.get_running_loop().call_later(ABORT_LIMIT_S, self._cancel_all)

    def _cancel_all(self) -> None:
        for task in self._runs:
            task.cancel()

    async def run(self) -> None:
        """Work until told to end, or until the queue stayed empty for the linger time.

        Raises
        ------
        ChildDoesNotStartError
            Where no compute child can be started: this worker would only break tasks.
        """
        try:
            if await self._open():
                await self._serve()
        finally:
            self._abort_all()
            if self._runs:
                await asyncio.wait(self._runs)
            await asyncio.gather(*(slot.kill() for slot in self._slots))

    async def _open(self) -> bool:
        """Get the slots ready. False where the worker was told to end meanwhile."""
        self._starting = asyncio.gather(*(slot.start() for slot in self._slots))
        try:
            await self._starting
        except asyncio.CancelledError:
            if not self._ending:
                raise
            return False
        self._vitals.ready = True
        self._place.board.open(len(self._slots))
        log("worker_ready", queue=self._queue.name, slots=len(self._slots))
        left_s = self._place.walltime.left_s()
        if left_s is not None:
            lead_s = self._pace.grace_s + HAND_BACK_LIMIT_S
            reason = "the batch job's walltime is nearly over"
            asyncio.get_running_loop().call_later(max(0.0, left_s - lead_s), self.leave, reason)
        return True

    async def _serve(self) -> None:
        empty_since_s: float | None = None
        while True:
            self._nudge.clear()
            found = False
            if not self._draining and self._free:
                found = await self._take_one()
            now_s = time.monotonic()
            if self._ending and not self._runs:
                return
            if found or self._runs or not self._vitals.storage_answers:
                empty_since_s = None
            elif empty_since_s is None:
                empty_since_s = now_s
            if found:
                continue
            leave_in_s = None
            if self._pace.leave_when_empty and empty_since_s is not None:
                leave_in_s = empty_since_s + self._pace.linger_s - now_s
                if leave_in_s <= 0:
                    log("leaves", reason="the queue stayed empty", linger_s=self._pace.linger_s)
                    return
            await self._wait(leave_in_s)

    async def _wait(self, leave_in_s: float | None) -> None:
        """Until a ring, a slot that becomes free, or the next look of its own."""
        # One that is about to leave looks often: whoever counts on it cannot know for how long it lingers.
        rung = self.doorbell_works() and leave_in_s is None
        pause_s = self._pace.poll_up_s if rung else self._pace.poll_down_s
        pause_s *= random.uniform(0.75, 1.25)
        if leave_in_s is not None:
            pause_s = min(pause_s, leave_in_s)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._nudge.wait(), pause_s)

    async def _take_one(self) -> bool:
        if not await asyncio.to_thread(self._place.fetcher.has_room, self._place.scratch):
            # Whatever it took would fail, and this worker would be free again at once: it would fail task after task.
            log("disk_full", level=logging.WARNING, folder=str(self._place.scratch))
            return False
        try:
            lease = await self._queue.take()
        except StorageSilentError as error:
            self._vitals.storage_answers = False
            log("storage_silent", level=logging.WARNING, doing="take a message", error=str(error))
            return False
        self._vitals.storage_answers = True
        if lease is None:
            return False
        if self._draining:
            # Told to drain while the question was under way.
            with contextlib.suppress(Exception):
                await lease.free()
            return False
        self._start(lease)
        return True

    def _start(self, lease: Lease) -> None:
        slot = self._free.pop()
        run = DeliveryRun(lease, slot, self._place)
        self._vitals.taken += 1
        self._vitals.redelivered += run.id.delivery > 1
        log("taken", logging.INFO, slot=slot.slot, **run.id.for_logs)
        task = asyncio.create_task(self._carry_out(run, slot), name=f"delivery {run.id.task_id}")
        self._runs[task] = run
        task.add_done_callback(self._forget)

    async def _carry_out(self, run: DeliveryRun, slot: ComputeChild) -> None:
        try:
            self._vitals.ended[await run.run()] += 1
        except Exception as error:
            # One delivery's trouble is not the others': its message comes back to some worker.
            log("delivery_broke", level=logging.ERROR, **run.id.for_logs, error=repr(error))
        finally:
            self._free.append(slot)

    def _forget(self, task: asyncio.Task[None]) -> None:
        del self._runs[task]
        self._nudge.set()
