"""Workers whose kernel sleeps: those of the centre, and those that come when the cloud's queue has work."""

from __future__ import annotations

import hashlib
import random
from collections import Counter, defaultdict
from collections.abc import Set
from dataclasses import dataclass, field
from datetime import timedelta

from localdev.day.agenda import Agenda
from localdev.day.host import WatchedQueues
from localdev.memory_ports import MemoryBlobs, MemoryMessage
from orthocontracts import names
from orthocontracts.messages import AgentStatus, Fault, Release, Report, Statuses, Verdict
from orthocontracts.outputs import FileFacts
from orthocontracts.tickets import Ticket
from orthocontracts.version import KERNEL_RESULT_VERSION
from orthofunctions.domain.pools import PoolSpec

IMAGE = b"II*\x00\xc0\x00\x00\x00GDAL_STRUCTURAL_METADATA_SIZE=000140 bytes\nLAYOUT=IFDS_BEFORE_DATA\n"
"""As much of a Cloud-Optimized GeoTIFF as the collector looks at."""
LOOKS_AFTER_S = 1.0
LEASE_S = 60.0
STATUS_EVERY_S = 30.0
SLOTS_OF_A_NODE = 4
LINGER_S = 60.0
SPREAD = 0.25
"""Of the logarithm of run times around what the pool's file says."""
SILENT_SHARE, FAILED_SHARE = 0.003, 0.003
"""Of deliveries: nodes that die, kernels that crash. Both are tried again."""
CORRUPT = "TruncatedTiff"


@dataclass
class Books:
    """What the kernel did, written down by itself.

    Attributes
    ----------
    made : Counter
        How often each image was made, by digest.
    refused : Counter
        How often a task of each broken product was, by reference.
    busy_s : dict
        Seconds that slots worked, by pool.
    n_runs : Counter
        By pool.
    n_silent, n_failed : int
        Runs that were in vain.
    """

    made: Counter[str] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)
    busy_s: defaultdict[str, float] = field(default_factory=lambda: defaultdict(float))
    n_runs: Counter[str] = field(default_factory=Counter)
    n_silent: int = 0
    n_failed: int = 0


class Workers:
    """All workers of one pool."""

    def __init__(
        self,
        spec: PoolSpec,
        agenda: Agenda,
        queues: WatchedQueues,
        blobs: MemoryBlobs,
        books: Books,
        rng: random.Random,
        *,
        corrupt: Set[str],
    ) -> None:
        self._spec, self._agenda, self._queues, self._blobs = spec, agenda, queues, blobs
        self._books, self._rng, self._corrupt = books, rng, corrupt
        self._queue = names.pool_queue(spec.name, KERNEL_RESULT_VERSION)
        self._slots = spec.max_slots if spec.kind == "onprem" else 0
        self._busy = self._coming = self._sequence = 0
        queues.watch(self._queue, lambda _: agenda.after(LOOKS_AFTER_S, self._look))
        if spec.kind == "onprem":
            agenda.after(0.0, self._say)

    def _say(self) -> None:
        """Every node's status, in one message, as `orthoagent presence` forwards them."""
        self._sequence += 1
        now = self._agenda.clock.now()
        statuses = [
            AgentStatus(
                agent=f"node-{node:03d}", pool=self._spec.name, session="s", sequence=self._sequence, state="online",
                at=now, slots=min(SLOTS_OF_A_NODE, self._slots - node * SLOTS_OF_A_NODE),
                result_version=KERNEL_RESULT_VERSION,
            )
            for node in range(-(-self._slots // SLOTS_OF_A_NODE))
        ]  # fmt: skip
        self._queues.send(names.QUEUE_CAPACITY, Statuses(statuses=tuple(statuses)).to_json())
        self._agenda.after(STATUS_EVERY_S, self._say)

    def _look(self) -> None:
        if self._spec.kind == "cloud":
            self._scale()
        while self._busy < self._slots and (delivery := self._take()) is not None:
            self._begin(*delivery)

    def _scale(self) -> None:
        """A container for each message that waits, of which none is idle or coming."""
        waiting = self._queues.length(self._queue) - self._busy
        n_new = min(
            waiting - (self._slots - self._busy) - self._coming, self._spec.max_slots - self._slots - self._coming
        )
        for _ in range(max(0, n_new)):
            self._coming += 1
            self._agenda.after(self._spec.startup_s * self._rng.uniform(0.7, 1.3), self._come)

    def _come(self) -> None:
        self._coming -= 1
        self._slots += 1
        self._look()
        self._agenda.after(LINGER_S, self._leave)

    def _leave(self) -> None:
        if self._busy < self._slots:
            self._slots -= 1

    def _take(self) -> tuple[MemoryMessage, Ticket] | None:
        """A message and its ticket; one without is deleted."""
        while (message := self._queues.receive(self._queue, LEASE_S)) is not None:
            release = Release.model_validate_json(message.body)
            blob = names.ticket_blob(release.task_id, release.release)
            container = names.ticket_container(self._spec.name)
            if self._blobs.facts(container, blob) is not None:
                return message, Ticket.model_validate_json(self._blobs.read(container, blob))
            self._queues.remove(self._queue, message)
        return None

    def _begin(self, message: MemoryMessage, ticket: Ticket) -> None:
        self._busy += 1
        wanted = [one for one in ticket.spec.outputs if one.digest in ticket.wanted]
        nominal_s = self._spec.nominal_s(sum(one.grid.megapixels for one in wanted))
        run_s = nominal_s * self._rng.lognormvariate(0.0, SPREAD)
        delivery = message.dequeue_count
        self._report(ticket, delivery, "started")
        chance = self._rng.random()
        if chance < SILENT_SHARE:
            run_s *= self._rng.random()
            message.visible_at = self._agenda.clock.now() + timedelta(seconds=run_s + LEASE_S)
            self._agenda.after(run_s, lambda: self._die(run_s))
            return
        message.visible_at = self._agenda.clock.now() + timedelta(days=2)  # it is renewed again and again
        crashes = chance < SILENT_SHARE + FAILED_SHARE
        self._agenda.after(run_s, lambda: self._end(message, ticket, delivery, run_s, crashes=crashes))

    def _die(self, run_s: float) -> None:
        self._books.n_silent += 1
        self._free(run_s)
        self._agenda.after(LEASE_S + LOOKS_AFTER_S, self._look)

    def _end(self, message: MemoryMessage, ticket: Ticket, delivery: int, run_s: float, *, crashes: bool) -> None:
        blob = names.ticket_blob(ticket.spec.task_id, ticket.release)
        if self._blobs.facts(names.ticket_container(self._spec.name), blob) is not None:
            broken = [source.ref for source in ticket.spec.products if source.ref in self._corrupt]
            self._books.refused.update(broken)
            self._books.n_failed += crashes
            verdicts = tuple(self._verdict(ticket, delivery, one, broken, crashes=crashes) for one in ticket.wanted)
            self._report(ticket, delivery, "finished", verdicts)
        self._queues.remove(self._queue, message)
        self._free(run_s)

    def _verdict(self, ticket: Ticket, delivery: int, digest: str, broken: list[str], *, crashes: bool) -> Verdict:
        if broken:
            message = f"{broken[0]}: strip 17 lies beyond the end of the file"
            return Verdict(digest=digest, fault=Fault(kind=CORRUPT, message=message, permanent=True))
        if crashes:
            return Verdict(digest=digest, fault=Fault(kind="Crashed", message="signal 11"))
        files = {}
        for kind, link in ticket.deliveries[delivery - 1].files[digest].items():
            data = IMAGE if kind == "image" else b"{}"
            container, _, name = link.blob.partition("/")
            if not self._blobs.create(container, name, data):
                raise AssertionError(f"{link.blob} was there already: two deliveries share a folder")
            files[kind] = FileFacts(blob=link.blob, size_bytes=len(data), md5=hashlib.md5(data).hexdigest())
        self._books.made[digest] += 1
        return Verdict(digest=digest, files=files)

    def _report(self, ticket: Ticket, delivery: int, kind: str, verdicts: tuple[Verdict, ...] = ()) -> None:
        report = Report.model_validate(
            {
                "kind": kind, "task_id": ticket.spec.task_id, "release": ticket.release, "delivery": delivery,
                "agent": f"{self._spec.name}-{ticket.spec.task_id}"[:60], "pool": self._spec.name,
                "token": ticket.token, "at": self._agenda.clock.now(), "verdicts": verdicts,
            }
        )  # fmt: skip
        self._queues.send(names.QUEUE_RESULTS, report.to_json())

    def _free(self, run_s: float) -> None:
        self._busy -= 1
        self._books.busy_s[self._spec.name] += run_s
        self._books.n_runs[self._spec.name] += 1
        self._look()
        if self._spec.kind == "cloud":
            self._agenda.after(LINGER_S, self._leave)
