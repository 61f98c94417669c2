"""The steps of one delivery, one after the other: ticket, inputs, images, files, report. What it learned stays here."""

from __future__ import annotations

import asyncio
import logging
import os
import shutil
import time
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Literal

from orthoagent.adapters.fetch import Fetcher
from orthoagent.adapters.process import ComputeChild
from orthoagent.adapters.storage import Outbox, Tickets
from orthoagent.adapters.upload import Uploader
from orthoagent.adapters.watch import SlotLimits
from orthoagent.childwords import ComputeJob, Failed, Made, OutputMade, Progress
from orthoagent.errors import FaultError, TicketUnreadableError
from orthoagent.logs import log
from orthoagent.needs import needed_inputs
from orthoagent.patience import patiently
from orthoagent.session import Event, State
from orthoagent.status import Phase, StatusBoard
from orthoagent.vitals import Vitals
from orthoagent.walltime import Walltime
from orthocontracts.messages import Fault, Report, Verdict
from orthocontracts.outputs import FILE_SUFFIX, FileFacts, FileKind, OutputSpec, file_kinds
from orthocontracts.references import path_on_worker
from orthocontracts.tasks import COPY, TaskSpec
from orthocontracts.tickets import MAX_DELIVERIES, Delivery, Ticket
from orthocontracts.version import KERNEL_RESULT_VERSION


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
    limits: SlotLimits
    vitals: Vitals
    walltime: Walltime


@dataclass(frozen=True)
class DeliveryId:
    task_id: str
    release: int
    delivery: int

    @property
    def for_logs(self) -> dict[str, str | int]:
        return {"task": self.task_id, "release": self.release, "delivery": self.delivery}


class Work:
    """Does the steps. Each returns the event it ended with; cancelling one leaves nothing running."""

    def __init__(self, of: DeliveryId, slot: ComputeChild, place: Workplace) -> None:
        self._of, self._slot, self._place = of, slot, place
        self._folder = place.scratch / f"{of.task_id}-{of.release}-{of.delivery}"
        self._ticket: Ticket | None = None
        self._token = ""
        self._made: dict[str, OutputMade] = {}
        self._verdicts: dict[str, Verdict] = {}
        self._fault = Fault(kind="NoResult", message="the worker ended without a result for this output")
        """What is reported for an output that has no verdict of its own."""
        self._figures: dict[str, float] = {}
        self.reason: str | None = None

    @property
    def time_limit_s(self) -> float:
        return self._known_ticket().time_limit_s

    def overran(self, while_in: State) -> None:
        """The time limit came while it fetched or computed."""
        self._fault = Fault(
            kind="TimeLimit", message=f"stopped after {self.time_limit_s:g} s, its limit, while {while_in}"
        )

    def tidy(self) -> None:
        """Remove the delivery's scratch folder. Blocks."""
        shutil.rmtree(self._folder, ignore_errors=True)

    async def read_ticket(self) -> Event:
        of = self._of
        try:
            ticket = await patiently(
                lambda: self._place.tickets.read(of.task_id, of.release), "read the ticket", **of.for_logs
            )
        except TicketUnreadableError as error:
            self.reason, self._token = str(error)[:500], error.token
            self._log("ticket_unreadable", level=logging.ERROR, error=str(error))
            return Event.TICKET_UNREADABLE
        if ticket is None:
            return Event.TICKET_MISSING
        self._ticket, self._token = ticket, ticket.token
        if of.delivery > MAX_DELIVERIES or self._links() is None:
            self._fault = Fault(
                kind="DeliveriesExhausted",
                message=f"release {of.release} was delivered {of.delivery - 1} times and no worker brought it to an "
                "end: they may have run out of memory or been evicted",
            )
            return Event.DELIVERIES_EXHAUSTED
        if ticket.spec.result_version != KERNEL_RESULT_VERSION:
            self.reason = f"this worker makes result version {KERNEL_RESULT_VERSION}, not {ticket.spec.result_version}"
            return Event.TICKET_UNFIT
        if datetime.now(UTC) + timedelta(seconds=ticket.time_limit_s) > ticket.expires_at:
            self.reason = "its links would expire before its time limit"
            return Event.TICKET_UNFIT
        self.reason = self._place.walltime.unfit_for(ticket.expected_s)
        if self.reason is not None:
            return Event.TICKET_UNFIT
        return Event.TICKET_READ

    async def fetch(self) -> Event:
        ticket = self._known_ticket()
        inputs = needed_inputs(ticket)
        total_bytes = max(1, sum(file.size_bytes for file in inputs))
        got_bytes = 0

        def on_bytes(count: int) -> None:
            nonlocal got_bytes
            got_bytes += count
            self.show("fetch", got_bytes / total_bytes)

        began_s = time.monotonic()
        try:
            await asyncio.to_thread(self.tidy)
            fetched = await self._place.fetcher.fetch(
                inputs,
                self._folder / "in",
                on_bytes,
                limit_bytes=self._place.limits.scratch_bytes,
                bands=ticket.spec.options.bands,
            )
        except FaultError as error:
            self._fault = error.fault
            return Event.FETCH_FAILED
        except OSError as error:
            self._fault = Fault(
                kind=type(error).__name__, message=f"the worker's scratch folder cannot be used: {error.strerror}"
            )
            return Event.FETCH_FAILED
        finally:
            self._figures["fetch_s"] = _since(began_s)
        self._place.vitals.fetched_bytes += fetched.fetched_bytes
        self._place.vitals.local_bytes += fetched.local_bytes
        self._figures |= {
            "fetched_bytes": float(fetched.fetched_bytes),
            "local_bytes": float(fetched.local_bytes),
        }
        return Event.FETCHED

    async def compute(self) -> Event:
        if self._known_ticket().spec.process == COPY:
            self._made = dict(self._copies())
            return Event.CHILD_ENDED
        job = job_of(self._known_ticket().spec, self._folder, self._wanted())
        total = sum(output.grid.megapixels for output in job.outputs)
        shares = {output.digest: output.grid.megapixels / total for output in job.outputs}
        done: dict[str, float] = {}

        def on_line(line: Progress | Made | Failed) -> None:
            done[line.digest] = line.fraction if isinstance(line, Progress) else 1.0
            if isinstance(line, Made):
                self._made[line.digest] = line.made
            elif isinstance(line, Failed):
                self._verdicts[line.digest] = Verdict(digest=line.digest, fault=line.fault)
                self._log("output_failed", level=logging.WARNING, digest=line.digest, error=line.fault.message)
            self.show("compute", sum(shares[digest] * part for digest, part in done.items()))

        self.show("compute")
        began_s = time.monotonic()
        try:
            fault = await self._slot.run(job, on_line)
        finally:
            self._figures["compute_s"] = _since(began_s)
            self._place.vitals.compute_s += _since(began_s)
        if fault is not None:
            self._fault = fault
            self._place.vitals.count_lost_child(fault.kind)
            self._log("child_died", level=logging.ERROR, kind=fault.kind, error=fault.message)
        return Event.CHILD_ENDED

    def _copies(self) -> Iterable[tuple[str, OutputMade]]:
        """For a copy there is nothing to compute: each output is the files of its image as they were fetched."""
        spec, inputs = self._known_ticket().spec, self._folder / "in"
        for source, output in zip(spec.products, spec.outputs, strict=True):
            if output.digest in self._known_ticket().wanted:
                files = {kind: inputs / f"{source.ref}{FILE_SUFFIX[kind]}" for kind in file_kinds(spec.options)}
                yield output.digest, OutputMade(files=files)

    async def deliver(self) -> Event:
        began_s = time.monotonic()
        try:
            for number, (digest, made) in enumerate(self._made.items()):
                self.show("deliver", number / len(self._made))
                self._verdicts[digest] = await self._deliver_one(digest, made)
        finally:
            self._figures["deliver_s"] = _since(began_s)
        return Event.DELIVERED

    async def _deliver_one(self, digest: str, made: OutputMade) -> Verdict:
        links = self._links()
        assert links is not None
        missing = [kind for kind in links.files[digest] if kind not in made.files]
        if missing:
            return Verdict(
                digest=digest, fault=Fault(kind="NoResult", message=f"the kernel made no {' and no '.join(missing)}")
            )
        facts: dict[FileKind, FileFacts] = {}
        try:
            for kind, to in links.files[digest].items():
                until = self._known_ticket().expires_at
                facts[kind] = await self._place.uploader.put(made.files[kind], to, until=until)
        except FaultError as error:
            return Verdict(digest=digest, fault=error.fault)
        except OSError as error:
            self._log("delivery_failed", level=logging.ERROR, digest=digest, error=str(error))
            fault = Fault(kind=type(error).__name__, message=f"a finished file cannot be read: {error.strerror}")
            return Verdict(digest=digest, fault=fault)
        return Verdict(digest=digest, files=facts, figures=made.figures)

    async def report(self, kind: Literal["started", "finished", "returned", "lost"]) -> None:
        of = self._of
        report = Report(
            kind=kind,
            task_id=of.task_id,
            release=of.release,
            delivery=of.delivery,
            agent=self._place.agent,
            pool=self._place.pool,
            token=self._token,
            at=datetime.now(UTC),
            verdicts=tuple(self._all_verdicts()) if kind == "finished" else (),
            reason=self.reason,
            figures=self._figures,
        )
        await patiently(lambda: self._place.outbox.report(report), f"report {kind}", **of.for_logs)
        failed = sum(verdict.fault is not None for verdict in report.verdicts)
        self._log(f"reported_{kind}", outputs=len(report.verdicts), failed=failed, reason=self.reason)

    def _all_verdicts(self) -> Iterable[Verdict]:
        for digest in self._ticket.wanted if self._ticket is not None else ():
            yield self._verdicts.get(digest) or Verdict(digest=digest, fault=self._fault)

    def show(self, phase: Phase, progress: float = 0.0) -> None:
        """Tell the status board where this delivery is."""
        self._place.board.show(self._of.task_id, self._of.release, phase, progress)

    def _known_ticket(self) -> Ticket:
        assert self._ticket is not None
        return self._ticket

    def _wanted(self) -> tuple[OutputSpec, ...]:
        ticket = self._known_ticket()
        return tuple(output for output in ticket.spec.outputs if output.digest in ticket.wanted)

    def _links(self) -> Delivery | None:
        return next((links for links in self._known_ticket().deliveries if links.number == self._of.delivery), None)

    def _log(self, action: str, level: int = logging.INFO, **fields: str | float | None) -> None:
        log(action, level=level, **self._of.for_logs, **fields)


def job_of(spec: TaskSpec, folder: Path, outputs: tuple[OutputSpec, ...]) -> ComputeJob:
    """What a child is to make of a task whose inputs lie below ``folder/in``."""
    inputs = folder / "in"
    orbits = [inputs / path_on_worker(source.ref) for source in spec.orbits or ()]
    return ComputeJob(
        folder=folder,
        products=tuple(inputs / path_on_worker(source.ref) for source in spec.products),
        dem=inputs / path_on_worker(spec.terrain.dem.ref) if spec.terrain.dem else None,
        geoid=inputs / spec.terrain.geoid.ref if spec.terrain.geoid else None,
        height_m=spec.terrain.height_m,
        gipp=inputs / spec.instrument.gipp.ref if spec.instrument else None,
        iers=inputs / spec.instrument.iers.ref if spec.instrument and spec.instrument.iers else None,
        orbits=Path(os.path.commonpath(path.parent for path in orbits)) if orbits else None,
        options=spec.options,
        outputs=outputs,
    )


def _since(began_s: float) -> float:
    return round(time.monotonic() - began_s, 3)
