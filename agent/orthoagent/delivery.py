"""Carries out one delivery: feeds its session with what happens and does the steps that come back."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import shutil
import time
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from orthoagent.adapters.fetch import Fetcher
from orthoagent.adapters.process import ComputeChild
from orthoagent.adapters.storage import Lease, Outbox, Tickets
from orthoagent.adapters.upload import Uploader
from orthoagent.childwords import ComputeJob, Failed, Made, OutputMade, Progress
from orthoagent.errors import FaultError, LeaseLostError, StorageSilentError, TicketUnreadableError
from orthoagent.logs import log
from orthoagent.patience import patiently
from orthoagent.session import Event, Session, State, Step
from orthoagent.status import Phase, StatusBoard
from orthocontracts.messages import Fault, Report, Verdict
from orthocontracts.outputs import FileFacts, FileKind, OutputSpec
from orthocontracts.tickets import MAX_DELIVERIES, Delivery, Ticket
from orthocontracts.version import KERNEL_RESULT_VERSION

SHORT_PAUSE_S = 1.0
"""Between tries to renew while storage is silent."""


@dataclass(frozen=True)
class Workplace:
    """What all deliveries of a worker share."""

    agent: str
    pool: str
    scratch: Path
    renew_every_s: float
    tickets: Tickets
    outbox: Outbox
    fetcher: Fetcher
    uploader: Uploader
    board: StatusBoard


class DeliveryRun:
    """One delivery, from the message to the report."""

    def __init__(self, lease: Lease, slot: ComputeChild, place: Workplace) -> None:
        self.task_id, self.release = lease.release.task_id, lease.release.release
        self.delivery = lease.delivery
        self._lease, self._slot, self._place = lease, slot, place
        self._session = Session()
        self._events: asyncio.Queue[tuple[Event, int | None]] = asyncio.Queue()
        self._work: asyncio.Task[None] | None = None
        self._work_number = 0
        self._ticket: Ticket | None = None
        self._folder = place.scratch / f"{self.task_id}-{self.release}-{self.delivery}"
        self._made: dict[str, OutputMade] = {}
        self._verdicts: dict[str, Verdict] = {}
        self._fault = Fault(kind="NoResult", message="the worker ended without a result for this output")
        """What is reported for an output that has no verdict of its own."""
        self._reason: str | None = None
        self._figures: dict[str, float] = {}

    # What others may tell this delivery. None of these waits.

    def cancel(self) -> None:
        self._tell(Event.CANCEL)

    def hand_back(self, reason: str) -> None:
        self._reason = self._reason or reason
        self._tell(Event.HAND_BACK)

    def abort(self) -> None:
        self._tell(Event.ABORT)

    def _tell(self, event: Event) -> None:
        self._events.put_nowait((event, None))

    async def run(self) -> State:
        """Work until the session is at its end; leaves no process, no file and no task behind."""
        keeper = asyncio.create_task(self._keep_lease(), name=f"lease {self.task_id}")
        keeper.add_done_callback(self._on_task_ended)
        timer: asyncio.TimerHandle | None = None
        self._show("fetch")
        try:
            self._begin(self._session.begin())
            while not self._session.state.is_final:
                event, work_number = await self._events.get()
                if work_number is not None and work_number != self._work_number:
                    continue  # of work that was stopped meanwhile
                before = self._session.state
                steps = self._session.on(event)
                self._log("delivery_moves", was=before, event=event, now=self._session.state)
                if event is Event.TICKET_READ and self._ticket is not None:
                    loop = asyncio.get_running_loop()
                    timer = loop.call_later(self._ticket.time_limit_s, self._tell, Event.TIME_LIMIT)
                if event is Event.TIME_LIMIT:
                    self._on_time_limit(before)
                if steps[:1] == (Step.STOP_WORK,):
                    await self._stop_work()
                    steps = steps[1:]
                if steps:
                    self._begin(steps)
            return self._session.state
        finally:
            if timer is not None:
                timer.cancel()
            await self._stop_work()
            await _end(keeper)
            await asyncio.to_thread(shutil.rmtree, self._folder, ignore_errors=True)
            self._place.board.clear(self.task_id, self.release)

    def _on_time_limit(self, before: State) -> None:
        assert self._ticket is not None
        if before in {State.FETCHING, State.COMPUTING}:
            self._fault = Fault(
                kind="TimeLimit", message=f"stopped after {self._ticket.time_limit_s:g} s while {before}: its limit"
            )

    # Steps

    def _begin(self, steps: tuple[Step, ...]) -> None:
        self._work_number += 1
        self._work = asyncio.create_task(self._do(steps, self._work_number), name=f"{steps[0]} {self.task_id}")
        self._work.add_done_callback(self._on_task_ended)

    async def _do(self, steps: tuple[Step, ...], number: int) -> None:
        for step in steps:
            event = await self._step(step)
            if event is not None:
                self._events.put_nowait((event, number))
                return
        self._events.put_nowait((Event.CLOSED, number))

    def _on_task_ended(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and task.exception() is not None:
            # A bug. Nothing is reported: the message comes back and another worker may fare better.
            self._log("delivery_broke", level=logging.ERROR, doing=task.get_name(), error=repr(task.exception()))
            self.abort()

    async def _stop_work(self) -> None:
        self._work_number += 1
        work, self._work = self._work, None
        if work is not None:
            await _end(work)

    async def _step(self, step: Step) -> Event | None:
        match step:
            case Step.READ_TICKET:
                return await self._read_ticket()
            case Step.REPORT_STARTED:
                await self._report("started")
            case Step.FETCH:
                return await self._fetch()
            case Step.COMPUTE:
                return await self._compute()
            case Step.DELIVER:
                return await self._deliver()
            case Step.CONFIRM_LEASE:
                try:
                    await patiently(self._lease.renew, "confirm the lease", **self._ids())
                except LeaseLostError:
                    return Event.LEASE_LOST
            case Step.REPORT_FINISHED:
                await self._report("finished")
            case Step.REPORT_RETURNED:
                await self._report("returned")
            case Step.DELETE_MESSAGE:
                # A message that stays is delivered again, finds no ticket or an adopted result, and goes then.
                await patiently(self._lease.delete, "delete the message", **self._ids())
            case Step.FREE_MESSAGE:
                with contextlib.suppress(LeaseLostError, StorageSilentError):
                    await self._lease.free()
            case Step.STOP_WORK:
                raise AssertionError("work is stopped by the driver, before the steps that follow")
        return None

    async def _read_ticket(self) -> Event:
        try:
            ticket = await patiently(
                lambda: self._place.tickets.read(self.task_id, self.release), "read the ticket", **self._ids()
            )
        except TicketUnreadableError as error:
            self._reason = str(error)[:500]
            self._log("ticket_unreadable", level=logging.ERROR, error=str(error))
            return Event.TICKET_UNREADABLE
        if ticket is None:
            return Event.TICKET_MISSING
        self._ticket = ticket
        if self.delivery > MAX_DELIVERIES or self._folders() is None:
            self._fault = Fault(
                kind="DeliveriesExhausted",
                message=f"release {self.release} was delivered {self.delivery - 1} times and no worker brought it to "
                "an end: they may have run out of memory or been evicted",
            )
            return Event.DELIVERIES_EXHAUSTED
        if ticket.spec.result_version != KERNEL_RESULT_VERSION:
            self._reason = (
                f"this worker makes results of version {KERNEL_RESULT_VERSION}, not {ticket.spec.result_version}"
            )
            return Event.TICKET_EXPIRES
        if datetime.now(UTC) + timedelta(seconds=ticket.time_limit_s) > ticket.expires_at:
            self._reason = "its links would expire before its time limit"
            return Event.TICKET_EXPIRES
        return Event.TICKET_READ

    async def _fetch(self) -> Event:
        ticket = self._the_ticket()
        total = max(1, sum(file.size_bytes for file in ticket.inputs))
        got = 0

        def on_bytes(count: int) -> None:
            nonlocal got
            got += count
            self._show("fetch", got / total)

        began = time.monotonic()
        try:
            await asyncio.to_thread(shutil.rmtree, self._folder, ignore_errors=True)
            await self._place.fetcher.fetch(ticket.inputs, self._folder / "in", on_bytes)
        except FaultError as error:
            self._fault = error.fault
            return Event.FETCH_FAILED
        except OSError as error:
            self._fault = Fault(
                kind=type(error).__name__, message=f"the scratch folder cannot be used: {error.strerror}"
            )
            return Event.FETCH_FAILED
        self._figures |= {"fetch_s": _since(began), "fetched_bytes": float(got)}
        return Event.FETCHED

    async def _compute(self) -> Event:
        ticket = self._the_ticket()
        outputs = self._wanted()
        inputs, terrain = self._folder / "in", ticket.spec.terrain
        job = ComputeJob(
            folder=self._folder,
            products=tuple(inputs / source.ref for source in ticket.spec.products),
            dem=inputs / terrain.dem.ref if terrain.dem else None,
            geoid=inputs / terrain.geoid.ref if terrain.geoid else None,
            height_m=terrain.height_m,
            options=ticket.spec.options,
            outputs=outputs,
        )
        total = sum(output.grid.megapixels for output in outputs)
        shares = {output.digest: output.grid.megapixels / total for output in outputs}
        done: dict[str, float] = {}

        def on_line(line: Progress | Made | Failed) -> None:
            if line.digest not in shares:
                return
            done[line.digest] = line.fraction if isinstance(line, Progress) else 1.0
            if isinstance(line, Made):
                self._made[line.digest] = line.made
            elif isinstance(line, Failed):
                self._verdicts[line.digest] = Verdict(digest=line.digest, fault=line.fault)
                self._log("output_failed", level=logging.WARNING, digest=line.digest, error=line.fault.message)
            self._show("compute", sum(shares[digest] * part for digest, part in done.items()))

        self._show("compute")
        began = time.monotonic()
        try:
            death = await self._slot.run(job, on_line)
        finally:
            self._figures["compute_s"] = _since(began)
        if death is not None:
            self._fault = Fault(kind="ComputeDied", message=death[:2000])
            self._log("child_died", level=logging.ERROR, error=death)
        return Event.CHILD_ENDED

    async def _deliver(self) -> Event:
        folders = self._folders()
        assert folders is not None
        began = time.monotonic()
        for number, (digest, made) in enumerate(self._made.items()):
            self._show("deliver", number / len(self._made))
            try:
                facts: dict[FileKind, FileFacts] = {}
                for kind, to in folders.files[digest].items():
                    until = self._the_ticket().expires_at
                    facts[kind] = await self._place.uploader.put(made.files[kind], to, until=until)
                self._verdicts[digest] = Verdict(digest=digest, files=facts, figures=made.figures)
            except FaultError as error:
                self._verdicts[digest] = Verdict(digest=digest, fault=error.fault)
            except (OSError, KeyError) as error:
                self._verdicts[digest] = Verdict(
                    digest=digest, fault=Fault(kind=type(error).__name__, message="a finished file cannot be delivered")
                )
                self._log("delivery_failed", level=logging.ERROR, digest=digest, error=repr(error))
        self._figures["deliver_s"] = _since(began)
        return Event.DELIVERED

    async def _report(self, kind: str) -> None:
        report = Report.model_validate(
            {
                "kind": kind,
                "task_id": self.task_id,
                "release": self.release,
                "delivery": self.delivery,
                "agent": self._place.agent,
                "pool": self._place.pool,
                "at": datetime.now(UTC),
                "verdicts": tuple(self._all_verdicts()) if kind == "finished" else (),
                "reason": self._reason,
                "figures": self._figures,
            }
        )
        await patiently(lambda: self._place.outbox.report(report), f"report {kind}", **self._ids())
        failed = sum(verdict.fault is not None for verdict in report.verdicts)
        self._log(f"reported_{kind}", outputs=len(report.verdicts), failed=failed, reason=self._reason)

    def _all_verdicts(self) -> Iterable[Verdict]:
        for digest in self._ticket.wanted if self._ticket is not None else ():
            yield self._verdicts.get(digest) or Verdict(digest=digest, fault=self._fault)

    # The lease

    async def _keep_lease(self) -> None:
        """Renew, and look at the ticket: so cancel and recall arrive without a broker too."""
        pause_s = self._place.renew_every_s
        told_gone = False
        while not self._lease.is_closed:
            await asyncio.sleep(pause_s)
            pause_s = self._place.renew_every_s
            try:
                await self._lease.renew()
                if not told_gone and not await self._place.tickets.is_there(self.task_id, self.release):
                    told_gone = True
                    self._tell(Event.TICKET_GONE)
            except LeaseLostError as error:
                self._log("lease_lost", level=logging.WARNING, error=str(error))
                self._tell(Event.LEASE_LOST)
                return
            except StorageSilentError as error:
                # Compute on: nobody else can take the message from a storage that does not answer either.
                self._log("storage_silent", level=logging.WARNING, doing="renew", error=str(error))
                pause_s = min(SHORT_PAUSE_S, self._place.renew_every_s)

    # Small things

    def _the_ticket(self) -> Ticket:
        assert self._ticket is not None
        return self._ticket

    def _wanted(self) -> tuple[OutputSpec, ...]:
        ticket = self._the_ticket()
        return tuple(output for output in ticket.spec.outputs if output.digest in ticket.wanted)

    def _folders(self) -> Delivery | None:
        return next((folder for folder in self._the_ticket().deliveries if folder.number == self.delivery), None)

    def _show(self, phase: Phase, progress: float = 0.0) -> None:
        self._place.board.show(self.task_id, self.release, phase, progress)

    def _ids(self) -> dict[str, str | int]:
        return {"task": self.task_id, "release": self.release, "delivery": self.delivery}

    def _log(self, action: str, level: int = logging.INFO, **fields: str | float | None) -> None:
        log(action, level=level, **self._ids(), **fields)


async def _end(task: asyncio.Task[None]) -> None:
    """Cancel and wait until it is over, whatever it ends with."""
    task.cancel()
    await asyncio.wait({task})
    if not task.cancelled():
        task.exception()


def _since(began_s: float) -> float:
    return round(time.monotonic() - began_s, 3)
