"""Releases a second through the real dispatcher, emulator and broker, against the storage writes they must make."""

from __future__ import annotations

import argparse
import itertools
import secrets
import statistics
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from localdev.bench.case import Case
from localdev.servers import Azurite, Broker
from orthocontracts import names
from orthocontracts.digests import output_digest
from orthocontracts.messages import Release
from orthocontracts.outputs import GridSpec, OutputIdentity, OutputSpec, ResolvedTerrain, Source
from orthocontracts.requests import Options, Request
from orthocontracts.tasks import TaskSpec, task_id_of
from orthocontracts.version import KERNEL_RESULT_VERSION
from orthofunctions.bootstrap import System, build
from orthofunctions.domain.pending_index import index_rows
from orthofunctions.domain.plans import Plan, PlannedOutput
from orthofunctions.domain.pools import PoolSpec, SiteSpec
from orthofunctions.domain.records import ActiveRecord, AgentRecord, TaskRecord
from orthofunctions.ports import Change, Ports
from orthofunctions.provision import provision
from orthofunctions.settings import Settings
from orthofunctions.usecases.claims import settle_output
from orthofunctions.usecases.dispatch import dispatch
from orthofunctions.usecases.jobs import open_job
from orthofunctions.usecases.pending import enqueue
from orthofunctions.usecases.roster import Page, store_pages
from orthofunctions.usecases.rows import delete_all, find, parts, put_all, swap

N_RELEASES, CLIENTS, TIMES = 160, 8, 3
LEAST_RATIO = 0.6
POOL = "hpc"
PRODUCT = "products/image.tif"


def cases(_: argparse.Namespace) -> Iterator[Case]:
    """Releases of jobs with one task each, where nothing shares a partition, and of jobs with twenty."""
    with tempfile.TemporaryDirectory(prefix="bench-dispatch-") as scratch:
        folder = Path(scratch)
        with Azurite(folder / "azurite") as azurite, Broker(folder / "broker") as broker:
            provision(azurite.connection_string)
            settings = Settings.model_validate({"AzureWebJobsStorage": azurite.connection_string, "broker": broker.url})
            system = build(settings)
            try:
                _prepare(system.ports)
                for name, n_tasks in (("single", 1), ("split", 20)):
                    yield releases(system, name, n_tasks, broker.kind)
            finally:
                system.close()


def releases(system: System, name: str, n_tasks: int, broker: str) -> Case:
    """Rounds of so many releases, of jobs with so many tasks, and the bare writes take turns; the medians count."""
    ports = system.ports
    ours, bare = [], []
    for turn in range(TIMES):
        for number in range(N_RELEASES // n_tasks):
            make_job(ports, f"{name}-{turn}-{number}", n_tasks)
        bare.append(N_RELEASES / bare_s(ports, f"bare{name}{turn}", n_tasks))
        start = time.perf_counter()
        n_released = dispatch(ports, system.rules)
        ours.append(n_released / (time.perf_counter() - start))
        assert n_released == N_RELEASES, f"{n_released} of {N_RELEASES} were released"
        for active in find(ports.tables, ActiveRecord):
            ports.tables.delete(names.TABLE_ACTIVE, active.job_id, active.release_key)
    ratio = statistics.median(ours) / statistics.median(bare)
    return Case(
        case=name,
        figure=statistics.median(ours),
        unit="releases a second",
        peer=(
            f"the bare writes of {CLIENTS} clients at once, jobs of {n_tasks}: {statistics.median(bare):.0f} a second "
            f"(active row, task row, ticket, queue message, index rows deleted; one transaction where rows share a "
            f"partition); broker {broker}"
        ),
        ratio=ratio,
        at_least=f"{LEAST_RATIO:g} of the bare writes",
        holds=ratio >= LEAST_RATIO,
        runs=f"{min(ours):.3g} to {max(ours):.3g}",
    )


def bare_s(ports: Ports, prefix: str, n_tasks: int) -> float:
    """Seconds for what so many releases write, and nothing else, on rows and blobs of their own."""
    now, payload = ports.clock.now(), secrets.token_bytes(2500)
    jobs: list[list[TaskRecord]] = []
    for number in range(N_RELEASES // n_tasks):
        job_id = f"{prefix}x{number}"
        tasks = [
            TaskRecord(
                job_id=job_id, task_id=task_id_of(job_id, one + 1), user="bare", created_at=now, decision="x" * 700,
                result_version=0,
            )
            for one in range(n_tasks)
        ]  # fmt: skip
        for task in tasks:
            enqueue(ports, task)
        jobs.append([one.changed(etag=ports.tables.insert(names.TABLE_TASKS, one.to_row()).etag) for one in tasks])

    def one_job(tasks: list[TaskRecord]) -> None:
        active = [
            ActiveRecord(
                job_id=task.job_id, release_key=f"{task.task_id}-1", task_id=task.task_id, release=1, pool="bare",
                result_version=0, released_at=now, start_by=now,
            ).to_row()
            for task in tasks
        ]  # fmt: skip
        put_all(ports.tables, names.TABLE_ACTIVE, active)
        if len(tasks) == 1:
            swap(ports.tables, tasks[0].changed(release=1))
        else:
            changes = [Change("replace", task.changed(release=1).to_row()) for task in tasks]
            ports.tables.transact(names.TABLE_TASKS, changes)

    def one_task(task: TaskRecord) -> None:
        ports.blobs.write(names.ticket_container(POOL), names.ticket_blob(task.task_id, 1), payload)
        message = Release(task_id=task.task_id, release=1)
        ports.queues.send_release(names.pool_queue("bare", 0), message.to_json())

    everyone = list(itertools.chain(*jobs))
    index = [(row.partition, row.key) for task in everyone for row in index_rows(task)]
    with ThreadPoolExecutor(CLIENTS) as clients:
        start = time.perf_counter()
        list(clients.map(one_job, jobs))
        list(clients.map(one_task, everyone))
        list(clients.map(lambda part: delete_all(ports.tables, names.TABLE_PENDING, part), parts(index, 100)))
        seconds = time.perf_counter() - start
        list(clients.map(lambda task: _take_away(ports, task), everyone))
    return seconds


def _take_away(ports: Ports, task: TaskRecord) -> None:
    ports.tables.delete(names.TABLE_ACTIVE, task.job_id, f"{task.task_id}-1")
    ports.tables.delete(names.TABLE_TASKS, task.job_id, task.task_id)
    ports.blobs.delete(names.ticket_container(POOL), names.ticket_blob(task.task_id, 1))


def _prepare(ports: Ports) -> None:
    """One centre whose one worker has slots for all."""
    pools = SiteSpec(pools=(PoolSpec(name=POOL, kind="onprem", max_slots=N_RELEASES),))
    ports.blobs.write(names.CONTAINER_SETTINGS, names.BLOB_POOLS, pools.to_json().encode())
    ports.blobs.write(names.CONTAINER_PRODUCTS, "image.tif", b"pixels")
    ports.blobs.write(names.CONTAINER_PRODUCTS, "image_RPC.TXT", b"rpc")
    time.sleep(1.0)  # what is younger than a plan is looked at again, in whole seconds
    now = ports.clock.now()
    worker = AgentRecord(
        pool=POOL, agent="worker", session="s", sequence=1, state="online", slots=N_RELEASES, at=now, received_at=now,
        result_version=KERNEL_RESULT_VERSION,
    )  # fmt: skip
    store_pages(ports, [Page(POOL, names.agent_page(worker.agent), {worker.agent: worker})])


def make_job(ports: Ports, request_id: str, n_tasks: int) -> None:
    """A planned job of so many tasks with one output each, as the planner leaves it."""
    now = ports.clock.now()
    request = Request(request_id=request_id, products=(PRODUCT,))
    job = open_job(ports, request, "queue")
    source = Source(ref=PRODUCT, content="c0ffee", size_bytes=6)
    planned, specs = [], []
    place = int(job.job_id.encode().hex(), 16)
    for number in range(n_tasks):
        task_id = task_id_of(job.job_id, number + 1)
        # A grid of its own for every output: nobody has made it, and nobody else is making it. It lies within its zone.
        left, top = 200_000.0 + place % 599_999 + number, 1e6 + place // 599_999 % 7_000_000
        grid = GridSpec(epsg=32633, left=left, top=top, spacing=1.0, n_rows=1000, n_cols=1000)
        identity = OutputIdentity(
            process="orthorectify", products=(source,), grid=grid, options=Options(),
            terrain=ResolvedTerrain(height_m=0.0), trust="site", result_version=KERNEL_RESULT_VERSION,
        )  # fmt: skip
        digest = output_digest(identity)
        planned.append(PlannedOutput(digest=digest, title="bench", identity=identity, task_id=task_id))
        specs.append(
            TaskSpec(
                task_id=task_id, job_id=job.job_id, user=job.user, process="orthorectify",
                result_version=KERNEL_RESULT_VERSION, products=(source,), terrain=ResolvedTerrain(height_m=0.0),
                options=Options(), outputs=(OutputSpec(digest=digest, grid=grid, title="bench"),), created_at=now,
            )
        )  # fmt: skip
    plan = Plan(job_id=job.job_id, request=request, made_at=now, outputs=tuple(planned), tasks=tuple(specs))
    ports.blobs.create(names.CONTAINER_PLANS, names.plan_blob(job.job_id), plan.to_json().encode())
    for output in planned:
        settled = settle_output(ports, job, output)
        task = TaskRecord(
            job_id=job.job_id, task_id=output.task_id, user=job.user, created_at=now, megapixels=1.0, input_bytes=6,
            result_version=KERNEL_RESULT_VERSION, makes_all=settled.first,
            spec=specs[0].to_json() if n_tasks == 1 else None,
        )  # fmt: skip
        enqueue(ports, task)
        ports.tables.insert(names.TABLE_TASKS, task.to_row())
