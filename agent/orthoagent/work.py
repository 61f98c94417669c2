"""The steps of one delivery, one after the other: ticket, inputs, images, files, report. What it learned stays here."""

from __future__ import annotations

import asyncio
import logging
import shutil
import time
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Literal

from orthoagent.adapters.fetch import Fetcher
from orthoagent.adapters.process import ComputeChild
from orthoagent.adapters.storage import Outbox, Tickets
from orthoagent.adapters.upload import Uploader
from orthoagent.adapters.watch import SlotLimits
from orthoagent.childwords import Failed, Made, OutputMade, Progress
from orthoagent.errors import FaultError, TicketNotUnderstoodError, TicketUnreadableError
from orthoagent.logs import log, redact
from orthoagent.needs import job_of, needed_inputs
from orthoagent.patience import patiently
from orthoagent.session import Event, State
from orthoagent.status import Phase, StatusBoard
from orthoagent.tracing import DeliveryId, Part, PassOn, Tracer
from orthoagent.vitals import Vitals
from orthoagent.walltime import Walltime
from orthocontracts.messages import TIME_LIMIT, Fault, Report, Verdict
from orthocontracts.outputs import FILE_SUFFIX, FileFacts, FileKind, OutputSpec, file_kinds
from orthocontracts.tasks import COPY
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
    tracer: Tracer = field(default_factory=PassOn)


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
        self.returned_for = ""
        """The reason of a return, in one of a few words."""

    @property
    def time_limit_s(self) -> float:
        return self._known_ticket().time_limit_s

    @property
    def end_s(self) -> float | None:
        return self._known_ticket().end_s

    def overran(self, while_in: State, limit_s: float) -> None:
        """Its time was up while it fetched, computed or, at its very end, delivered."""
        self._fault = Fault(kind=TIME_LIMIT, message=f"stopped after {limit_s:g} s, its limit, while {while_in}")

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
            if not isinstance(error, TicketNotUnderstoodError):
                return Event.TICKET_UNREADABLE
            self.returned_for = "version"
            return Event.TICKET_UNFIT
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
            self.returned_for = "version"
            self.reason = f"this worker makes result version {KERNEL_RESULT_VERSION}, not {ticket.spec.result_version}"
            return Event.TICKET_UNFIT
        if datetime.now(UTC) + timedelta(seconds=ticket.time_limit_s) > ticket.expires_at:
            self.returned_for = "links"
            self.reason = "its links would expire before its time limit"
            return Event.TICKET_UNFIT
        self.reason = self._place.walltime.unfit_for(ticket.expected_s)
        if self.reason is not None:
            self.returned_for = "walltime"
            return Event.TICKET_UNFIT
        return Event.TICKET_READ

    async def fetch(self, told: Part) -> Event:
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
            self._fault = told.fault = error.fault
            return Event.FETCH_FAILED
        except OSError as error:
            self._fault = told.fault = Fault(
                kind=type(error).__name__, message=f"the worker's scratch folder cannot be used: {error.strerror}"
            )
            return Event.FETCH_FAILED
        finally:
            self._took("fetch", began_s)
        self._place.vitals.fetched_bytes += fetched.fetched_bytes
        self._place.vitals.local_bytes += fetched.local_bytes
        self._figures |= {"fetched_bytes": float(fetched.fetched_bytes), "local_bytes": float(fetched.local_bytes)}
        told.facts |= {"fetched_bytes": fetched.fetched_bytes, "local_bytes": fetched.local_bytes}
        return Event.FETCHED

    async def compute(self, told: Part) -> Event:
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
        told.facts["megapixels"] = total
        began_s = time.monotonic()
        try:
            fault = await self._slot.run(job, on_line)
        finally:
            self._place.vitals.compute_s += self._took("compute", began_s)
        if fault is not None:
            self._fault = told.fault = fault
            self._place.vitals.children_lost[fault.kind] += 1
            self._log("child_died", level=logging.ERROR, kind=fault.kind, error=fault.message)
        told.fault = told.fault or self._first_fault()
        return Event.CHILD_ENDED

    def _copies(self) -> Iterable[tuple[str, OutputMade]]:
        """For a copy there is nothing to compute: each output is the files of its image as they were fetched."""
        spec, inputs = self._known_ticket().spec, self._folder / "in"
        for source, output in zip(spec.products, spec.outputs, strict=True):
            if output.digest in self._known_ticket().wanted:
                files = {kind: inputs / f"{source.ref}{FILE_SUFFIX[kind]}" for kind in file_kinds(spec.options)}
                yield output.digest, OutputMade(files=files)

    async def deliver(self, told: Part) -> Event:
        began_s, failed_before = time.monotonic(), set(self._verdicts)
        try:
            for number, (digest, made) in enumerate(self._made.items()):
                self.show("deliver", number / len(self._made))
                self._verdicts[digest] = await self._deliver_one(digest, made)
        finally:
            self._took("deliver", began_s)
        delivered = [verdict.files for verdict in self._verdicts.values() if verdict.files is not None]
        size = sum(facts.size_bytes for files in delivered for facts in files.values())
        self._place.vitals.delivered_bytes += size
        self._figures["delivered_bytes"] = float(size)
        told.facts |= {"delivered_bytes": size, "images": len(delivered)}
        told.fault = self._first_fault(but=failed_before)
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
            traceparent=of.traceparent,
        )
        await patiently(lambda: self._place.outbox.report(report), f"report {kind}", **of.for_logs)
        failed = sum(verdict.fault is not None for verdict in report.verdicts)
        self._log(f"reported_{kind}", outputs=len(report.verdicts), failed=failed, reason=self.reason)
        self._count(report)

    def _count(self, report: Report) -> None:
        """Once a report is out, what it says counts."""
        vitals = self._place.vitals
        if report.kind == "returned":
            vitals.returned[self.returned_for] += 1
        for verdict in report.verdicts:
            self._verdicts[verdict.digest] = verdict
            if verdict.fault is not None:
                vitals.failed[verdict.fault.kind] += 1
        if self._ticket is not None:
            made = {verdict.digest for verdict in report.verdicts if verdict.files is not None}
            megapixels = sum(one.grid.megapixels for one in self._ticket.spec.outputs if one.digest in made)
            vitals.made_megapixels[self._ticket.spec.process] += megapixels

    def _all_verdicts(self) -> Iterable[Verdict]:
        for digest in self._ticket.wanted if self._ticket is not None else ():
            yield self._verdicts.get(digest) or Verdict(digest=digest, fault=self._fault)

    def _first_fault(self, but: Collection[str] = ()) -> Fault | None:
        faults = (one.fault for digest, one in self._verdicts.items() if digest not in but)
        return next((fault for fault in faults if fault is not None), None)

    def told(self, outcome: str) -> Part:
        """What its trace says of the whole delivery, at its end."""
        facts: dict[str, str | int | float] = {"outcome": outcome, **self._figures}
        if self._ticket is not None:
            facts |= {"job": self._ticket.spec.job_id, "process": self._ticket.spec.process}
            facts["megapixels"] = sum(output.grid.megapixels for output in self._wanted())
        if self.reason is not None:
            facts["reason"] = redact(self.reason)
        return Part(facts, self._first_fault())

    def _took(self, phase: Phase, began_s: float) -> float:
        took_s = round(time.monotonic() - began_s, 3)
        self._figures[f"{phase}_s"] = took_s
        self._place.vitals.time(phase, self._known_ticket().spec.process, took_s)
        return took_s

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
