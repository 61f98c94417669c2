"""A site in miniature around the functions: jobs, workers, a host that delivers messages until they are handled."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from fakes.crash import Crash, Fuse, fused
from fakes.memory_ports import ManualClock, MemoryBlobs, MemoryMessage, MemoryQueues, memory_ports
from orthocontracts import names
from orthocontracts.digests import output_digest
from orthocontracts.messages import AgentStatus, Fault, Release, Report, Verdict
from orthocontracts.outputs import (
    CatalogueEntry,
    FileFacts,
    GridSpec,
    OutputIdentity,
    OutputSpec,
    ResolvedTerrain,
    Source,
)
from orthocontracts.requests import Options, Request
from orthocontracts.states import OutputState
from orthocontracts.tasks import TaskSpec, task_id_of
from orthocontracts.tickets import Ticket
from orthocontracts.version import KERNEL_RESULT_VERSION
from orthofunctions.domain.item_places import digest_of_key
from orthofunctions.domain.plans import Plan, PlannedOutput
from orthofunctions.domain.pools import PoolSpec, SiteSpec
from orthofunctions.domain.records import ActiveRecord, JobRecord, OutputRecord, TaskRecord
from orthofunctions.domain.rules import Rules
from orthofunctions.ports import Ports
from orthofunctions.usecases.capacity import note_status
from orthofunctions.usecases.claims import settle_output
from orthofunctions.usecases.collect import collect
from orthofunctions.usecases.dispatch import dispatch
from orthofunctions.usecases.jobs import open_job
from orthofunctions.usecases.pending import enqueue
from orthofunctions.usecases.rows import find
from orthofunctions.usecases.sweep import sweep

COG = b"II*\x00\xc0\x00\x00\x00GDAL_STRUCTURAL_METADATA_SIZE=000140 bytes\nLAYOUT=IFDS_BEFORE_DATA\n"
PLAIN = Options()
RULES = Rules(patience_s=20, backoff_s=5, time_limit_s=600, run_grace_s=60, parallel_releases=1)
POOLS = SiteSpec(
    pools=(
        PoolSpec(name="hpc", kind="onprem", max_slots=4, start_limit_s=300),
        PoolSpec(name="cloud", kind="cloud", max_slots=2, startup_s=10, start_limit_s=300, price_per_slot_hour_eur=0.3),
    )
)

Verdicts = Callable[[Ticket, int], tuple[Verdict, ...]]


@dataclass
class World:
    """``ports`` is the world as it is; ``fuse`` may kill or hold up the functions' process at one of its writes."""

    rules: Rules = RULES
    visibility_s: float = 60
    fuse: Fuse | None = None
    clock: ManualClock = field(default_factory=ManualClock)
    crashed: bool = False
    statuses: int = 0

    def __post_init__(self) -> None:
        self.ports: Ports = self.make_ports()
        pools = POOLS.to_json().encode()
        self.ports.blobs.write(names.CONTAINER_SETTINGS, names.BLOB_POOLS, pools)
        self.ports.blobs.write("products", "image.tif", b"pixels")
        self.ports.blobs.write("products", "image_RPC.TXT", b"rpc")
        self.clock.advance(1)  # so that they are older than every plan

    def make_ports(self) -> Ports:
        return memory_ports(self.clock)

    @property
    def releases(self) -> list[str]:
        """Every release message that was ever sent."""
        return self.queues.releases

    @property
    def queues(self) -> MemoryQueues:
        assert isinstance(self.ports.queues, MemoryQueues)
        return self.ports.queues

    @property
    def blobs(self) -> MemoryBlobs:
        assert isinstance(self.ports.blobs, MemoryBlobs)
        return self.ports.blobs

    # The functions' process --------------------------------------------------------------------------------------

    def call(self, function: Callable[..., Any], *args: Any) -> bool:
        """Call a use case as the functions' process. False where the process died: the next call is a new process."""
        ports = self.ports
        if self.fuse is not None and not self.crashed:
            ports = fused(self.ports, self.fuse)
        try:
            function(ports, *args)
        except Crash:
            self.crashed = True
            self.check_promises()
            self.outlive_the_lease()
            return False
        return True

    def outlive_the_lease(self) -> None:
        """Wait until a dead round's lease has run out."""
        self.clock.advance(61)

    def deliver_results(self) -> None:
        """Deliver each report until it has been handled, as the functions host does."""
        while (message := self.queues.receive(names.QUEUE_RESULTS, 0)) is not None:
            if self.call(collect, self.rules, message.body):
                self.queues.remove(names.QUEUE_RESULTS, message)

    def round(self) -> None:
        self.queues.drain(names.QUEUE_DISPATCH, 100)
        self.call(dispatch, self.rules)

    def sweep(self) -> None:
        """Without ``repair``: the order of writes must do without it."""
        self.call(sweep, self.rules)

    # Jobs ----------------------------------------------------------------------------------------------------------

    def job(self, request_id: str, tiles: str = "AB", options: Options = PLAIN, **task_fields: Any) -> str:
        """A planned job with one task that wants an output per letter of ``tiles``. Returns the task's id."""
        now = self.clock.now()
        request = Request(request_id=request_id, products=("products/image.tif",), options=options)
        job = open_job(self.ports, request, "queue")
        task_id = task_id_of(job.job_id, 1)
        source = Source(ref="products/image.tif", content="c0ffee", size_bytes=6)
        outputs, planned = [], []
        for tile in tiles:
            grid = GridSpec(epsg=32633, left=float(ord(tile)), top=10.0, spacing=1.0, n_rows=1000, n_cols=1000)
            identity = OutputIdentity(
                process="orthorectify",
                products=(source,),
                grid=grid,
                options=options,
                terrain=ResolvedTerrain(height_m=0.0),
                trust="site",
                result_version=KERNEL_RESULT_VERSION,
            )
            digest = output_digest(identity)
            outputs.append(OutputSpec(digest=digest, grid=grid, title=tile))
            planned.append(PlannedOutput(digest=digest, title=tile, identity=identity, task_id=task_id))
        spec = TaskSpec(
            task_id=task_id,
            job_id=job.job_id,
            user=job.user,
            process="orthorectify",
            result_version=KERNEL_RESULT_VERSION,
            products=(source,),
            terrain=ResolvedTerrain(height_m=0.0),
            options=options,
            outputs=tuple(outputs),
            created_at=now,
        )
        plan = Plan(job_id=job.job_id, request=request, made_at=now, outputs=tuple(planned), tasks=(spec,))
        self.ports.blobs.create(names.CONTAINER_PLANS, names.plan_blob(job.job_id), plan.to_json().encode())
        settled = [settle_output(self.ports, job, one) for one in planned]
        claimed = [one for one in settled if one.output.task_id == task_id and one.output.state is OutputState.WANTED]
        if claimed:
            task = TaskRecord(
                job_id=job.job_id,
                task_id=task_id,
                user=job.user,
                created_at=now,
                result_version=KERNEL_RESULT_VERSION,
                makes_all=len(claimed) == len(outputs) and all(one.first for one in claimed),
                **{"spec": spec.to_json(), **task_fields},
            )
            enqueue(self.ports, task)
            self.ports.tables.insert(names.TABLE_TASKS, task.to_row())
        return task_id

    # Workers -------------------------------------------------------------------------------------------------------

    def status(self, agent: str, *, slots: int = 1, state: str = "online") -> None:
        self.statuses += 1
        status = AgentStatus(
            agent=agent,
            pool="hpc",
            session="s1",
            sequence=int(self.clock.now().timestamp()) * 1000 + self.statuses,
            state=state,  # type: ignore[arg-type]
            at=self.clock.now(),
            slots=slots,
            result_version=KERNEL_RESULT_VERSION,
        )
        self.call(note_status, status.to_json())

    def take(self, pool: str = "hpc") -> Delivery | None:
        """What a worker does first: take a message, read its ticket. A message without one is deleted."""
        queue = names.pool_queue(pool, KERNEL_RESULT_VERSION)
        while (message := self.queues.receive(queue, self.visibility_s)) is not None:
            release = Release.model_validate_json(message.body)
            ticket = names.ticket_blob(release.task_id, release.release)
            if self.ports.blobs.facts(names.ticket_container(pool), ticket) is None:
                self.queues.remove(queue, message)
                continue
            text = self.ports.blobs.read(names.ticket_container(pool), ticket)
            return Delivery(self, pool, message, Ticket.model_validate_json(text), message.dequeue_count)
        return None

    # What came of it -----------------------------------------------------------------------------------------------

    def tasks(self) -> list[TaskRecord]:
        return list(find(self.ports.tables, TaskRecord))

    def task(self, task_id: str) -> TaskRecord:
        return next(task for task in self.tasks() if task.task_id == task_id)

    def outputs(self) -> list[OutputRecord]:
        return list(find(self.ports.tables, OutputRecord))

    def jobs(self) -> list[JobRecord]:
        return list(find(self.ports.tables, JobRecord))

    def catalogue(self) -> list[CatalogueEntry]:
        return [
            CatalogueEntry.model_validate_json(self.ports.blobs.read(names.CONTAINER_CATALOGUE, blob.name))
            for blob in self.ports.blobs.list(names.CONTAINER_CATALOGUE)
        ]

    def indexed(self) -> set[str]:
        """Digests that a search finds; each has all its rows."""
        rows = list(self.ports.tables.query(names.TABLE_ITEMS))
        by_month = {digest_of_key(row.key) for row in rows if row.partition.startswith("when-")}
        by_place = {digest_of_key(row.key) for row in rows if not row.partition.startswith("when-")}
        assert by_month == by_place
        return by_place

    def active(self) -> list[ActiveRecord]:
        return list(find(self.ports.tables, ActiveRecord))

    def tickets(self) -> list[str]:
        return [blob.name for pool in ("hpc", "cloud") for blob in self.ports.blobs.list(names.ticket_container(pool))]

    def check_promises(self) -> None:
        """What must hold at every moment, whoever has just died."""
        there = {entry.digest for entry in self.catalogue()}
        for output in self.outputs():
            assert output.state is not OutputState.COMMITTED or output.digest in there, "committed without an entry"
        assert len(self.releases) == len(set(self.releases)), "two messages, so two leases, under one release number"

    def all_ended(self) -> bool:
        return all(task.state.is_final for task in self.tasks())


@dataclass
class Delivery:
    """One worker with one message in its hands."""

    world: World
    pool: str
    message: MemoryMessage
    ticket: Ticket
    number: int
    agent: str = "node-1"

    def report(
        self,
        kind: str,
        verdicts: tuple[Verdict, ...] = (),
        reason: str | None = None,
        figures: dict[str, float] | None = None,
    ) -> None:
        report = Report(
            kind=kind,  # type: ignore[arg-type]
            task_id=self.ticket.spec.task_id,
            release=self.ticket.release,
            delivery=self.number,
            agent=self.agent,
            pool=self.pool,
            token=self.ticket.token,
            at=self.world.clock.now(),
            verdicts=verdicts,
            reason=reason,
            figures=figures or {},
        )
        self.world.ports.queues.send(names.QUEUE_RESULTS, report.to_json())

    def delete_message(self) -> None:
        self.world.queues.remove(names.pool_queue(self.pool, KERNEL_RESULT_VERSION), self.message)

    def upload(self, digest: str, image: bytes = COG) -> Verdict:
        """Deliver the files of an output by the links of this delivery."""
        files = {}
        for kind, link in self.ticket.deliveries[self.number - 1].files[digest].items():
            data = (image if kind == "image" else b"{}") + f"{self.ticket.release}.{self.number}".encode()
            container, _, name = link.blob.partition("/")
            assert self.world.ports.blobs.create(container, name, data), "a delivery's folder is its own"
            files[kind] = FileFacts(blob=link.blob, size_bytes=len(data), md5=hashlib.md5(data).hexdigest())
        return Verdict(digest=digest, files=files)

    def succeed(self, figures: dict[str, float] | None = None) -> None:
        verdicts = tuple(self.upload(digest) for digest in self.ticket.wanted)
        self.report("finished", verdicts, figures=figures)
        self.delete_message()

    def fault(self, digest: str, *, permanent: bool = True) -> Verdict:
        return Verdict(digest=digest, fault=Fault(kind="Broken", message="it broke", permanent=permanent))

    def fail(self, *, permanent: bool = False) -> None:
        self.report("finished", tuple(self.fault(digest, permanent=permanent) for digest in self.ticket.wanted))
        self.delete_message()

    def give_back(self) -> None:
        self.report("returned", reason="draining")
        self.delete_message()


def run_to_the_end(world: World, work: Callable[[Delivery], None], *, steps: int = 200) -> None:
    """Let rounds, workers, reports and sweeps take turns until every task has ended and nothing is on its way."""
    for _ in range(steps):
        world.status("node-1", slots=2)
        world.round()
        world.deliver_results()
        for pool in ("hpc", "cloud"):
            while (delivery := world.take(pool)) is not None:
                work(delivery)
                world.deliver_results()
        world.sweep()
        world.clock.advance(20)
        if world.all_ended() and not world.active() and not world.tickets():
            return
    raise AssertionError(f"not ended after {steps} steps: {[(task.task_id, task.state) for task in world.tasks()]}")
