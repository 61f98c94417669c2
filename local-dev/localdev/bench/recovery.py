"""The command of an operator after a loss: how long it takes and that nothing is missing afterwards.

Jobs with three images each, of which nine in ten are done, in a real emulator; what is lost is deleted, the command is
typed, and what it made is held against what there was. `docs/recovery.md` has the figures.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from azure.data.tables import TableServiceClient
from azure.storage.queue import QueueServiceClient

from localdev.bench._items import FIRST, delivered
from localdev.bench.case import Case
from localdev.servers import Azurite
from orthocontracts import names
from orthocontracts.digests import job_id_of
from orthocontracts.outputs import OutputSpec
from orthocontracts.requests import Request
from orthocontracts.states import JobState, OutputState, TaskState
from orthocontracts.tasks import TaskSpec, task_id_of
from orthocontracts.version import KERNEL_RESULT_VERSION
from orthofunctions.bootstrap import System, build
from orthofunctions.domain.plans import Plan, PlannedOutput
from orthofunctions.domain.principals import Scope
from orthofunctions.domain.records import JobRecord, KeyRecord, OutputRecord, TaskRecord
from orthofunctions.ports import Ports
from orthofunctions.provision import provision
from orthofunctions.settings import Settings
from orthofunctions.usecases.backup import back_up
from orthofunctions.usecases.keys import KeyOrder, make_key
from orthofunctions.usecases.rows import find

N_JOBS, N_KEYS, CLIENTS = 1000, 100, 8
TILES = ("31TCJ", "31TDJ", "31TEJ")
TOP = Path(__file__).resolve().parents[3]
LIMIT_S = 1800.0


@dataclass(frozen=True)
class Loss:
    """What is deleted, and what is typed then."""

    name: str
    tables: Sequence[str] = ()
    queues: bool = False
    options: Sequence[str] = ()


LOSSES = (
    Loss("everything but the blobs", names.TABLES, queues=True, options=("--queues-lost",)),
    Loss("nothing"),
    Loss("table outputs", (names.TABLE_OUTPUTS,)),
    Loss("the index of the catalogue", (names.TABLE_ITEMS,)),
    Loss("all queues", queues=True, options=("--queues-lost",)),
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--jobs", type=int, default=N_JOBS, help=f"jobs of three images (default: {N_JOBS})")


def cases(options: argparse.Namespace) -> Iterator[Case]:
    """One loss after the other, in the same account."""
    with (
        tempfile.TemporaryDirectory(prefix="bench-recovery-") as scratch,
        Azurite(Path(scratch) / "azurite", in_memory=True) as azurite,
    ):
        provision(azurite.connection_string)
        system = build(Settings.model_validate({"AzureWebJobsStorage": azurite.connection_string}))
        try:
            fill(system.ports, options.jobs)
            for loss in LOSSES:
                yield measured(system, azurite.connection_string, loss, options.jobs)
        finally:
            system.close()


def measured(system: System, connection: str, loss: Loss, n_jobs: int) -> Case:
    lose(connection, loss)
    began = time.monotonic()
    said = command(connection, loss.options)
    took_s = time.monotonic() - began
    missing = list(what_is_missing(system.ports, n_jobs))
    return Case(
        case=loss.name,
        figure=took_s,
        unit="s",
        peer=f"{n_jobs} jobs, {3 * n_jobs} images; {said}",
        ratio=None,
        at_least="nothing missing",
        holds=not missing,
        reason="; ".join(missing) or None,
        runs=f"load {os.getloadavg()[0]:.1f}",
    )


def fill(ports: Ports, n_jobs: int) -> None:
    """The blobs that so many jobs leave, nine in ten of them done, and the day's copy with some keys."""
    with ThreadPoolExecutor(CLIENTS) as clients:
        list(clients.map(lambda number: _put_job(ports, number), range(n_jobs)))
        list(clients.map(lambda number: make_key(ports, _key(number)), range(N_KEYS)))
    back_up(ports)


def is_done(number: int) -> bool:
    return number % 10 != 0


def _key(number: int) -> KeyOrder:
    return KeyOrder("laptop", f"user-{number:03d}", frozenset({Scope.SUBMIT}), created_by="operator")


def _put_job(ports: Ports, number: int) -> None:
    request = Request(request_id=f"job-{number}", products=("products/image.tif",))
    job_id = job_id_of(request.user, request.request_id)
    task_id, now = task_id_of(job_id, 1), ports.clock.now()
    made = [delivered(tile, FIRST + timedelta(minutes=number), number) for tile in TILES]
    planned = [
        PlannedOutput(digest=one.entry.digest, title=tile, identity=one.entry.identity, task_id=task_id)
        for one, tile in zip(made, TILES, strict=True)
    ]
    identity = made[0].entry.identity
    outputs = tuple(
        OutputSpec(digest=one.entry.digest, grid=one.entry.identity.grid, title=tile)
        for one, tile in zip(made, TILES, strict=True)
    )
    spec = TaskSpec(
        task_id=task_id, job_id=job_id, user=request.user, process="orthorectify",
        result_version=KERNEL_RESULT_VERSION, products=identity.products, terrain=identity.terrain,
        options=identity.options, outputs=outputs, created_at=now,
    )  # fmt: skip
    plan = Plan(job_id=job_id, request=request, made_at=now, outputs=tuple(planned), tasks=(spec,))
    ports.blobs.write(names.CONTAINER_PLANS, names.plan_blob(job_id), plan.to_json().encode())
    if not is_done(number):
        return
    for one in made:
        container, _, name = one.entry.files["item"].blob.partition("/")
        ports.blobs.write(container, name, one.item)
        entry = one.entry.model_copy(update={"task_id": task_id})
        ports.blobs.write(names.CONTAINER_CATALOGUE, names.catalogue_blob(entry.digest), entry.to_json().encode())


def lose(connection: str, loss: Loss) -> None:
    """Delete it, as a storage account that is gone has."""
    with TableServiceClient.from_connection_string(connection) as tables:
        for table in loss.tables:
            tables.delete_table(table)
    if loss.queues:
        with QueueServiceClient.from_connection_string(connection) as queues:
            for queue in list(queues.list_queues()):
                queues.delete_queue(queue)


def command(connection: str, options: Sequence[str]) -> str:
    """What an operator types; the line that it says."""
    path = os.pathsep.join(str(TOP / one) for one in ("functions", "contracts"))
    done = subprocess.run(
        [sys.executable, "-m", "orthofunctions.rebuild", *options],
        env={**os.environ, "ORTHOBURST_STORAGE": connection, "PYTHONPATH": path},
        capture_output=True, text=True, timeout=LIMIT_S, check=False,
    )  # fmt: skip
    if done.returncode != 0:
        raise RuntimeError(f"rebuild ended with {done.returncode}: {done.stdout}{done.stderr[-2000:]}")
    return done.stdout.splitlines()[0].partition(": ")[2] if ": " in done.stdout else done.stdout


def what_is_missing(ports: Ports, n_jobs: int) -> Iterator[str]:
    """Whatever is not as it was before, in words."""
    n_done = sum(map(is_done, range(n_jobs)))
    jobs, outputs = list(find(ports.tables, JobRecord)), list(find(ports.tables, OutputRecord))
    tasks = list(find(ports.tables, TaskRecord))
    counted = {
        "jobs": (len(jobs), n_jobs),
        "jobs done": (_count(job.final is JobState.SUCCESSFUL for job in jobs), n_done),
        "images": (_count(output.state is OutputState.COMMITTED for output in outputs), 3 * n_done),
        "tasks that wait": (_count(task.state is TaskState.PENDING for task in tasks), n_jobs - n_done),
        "images in the index": (len({row.key for row in ports.tables.query(names.TABLE_ITEMS)}), 3 * n_done),
        "keys": (_count(True for _ in find(ports.tables, KeyRecord)), N_KEYS),
    }
    for what, (found, expected) in counted.items():
        if found != expected:
            yield f"{found} of {expected} {what}"


def _count(holds: Iterable[bool]) -> int:
    return sum(holds)
