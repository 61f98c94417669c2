"""Two hundred agents whose kernel sleeps, twenty thousand tasks: tasks a second, none lost. An idle agent's cost."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import aiomqtt
import psutil

from localdev.bench.case import Case, not_measured
from localdev.bench.dispatch import make_job
from localdev.chaos.faults import COMPUTE
from localdev.chaos.proxy import StorageProxy
from localdev.servers import Azurite
from localdev.servers.mariadb import GET_MARIADB, MariaDb, has_mariadb
from localdev.stack import Stack, StackSpec
from localdev.stack.settings import write_setting
from localdev.stack.sleepers import Sleepers
from orthocontracts import names
from orthocontracts.states import TaskState
from orthofunctions.bootstrap import System, build
from orthofunctions.domain.records import TaskRecord
from orthofunctions.settings import Settings
from orthofunctions.usecases.rows import find

POOL = "hpc"
PROCESSES, PLANNERS, TASKS_A_JOB = 2, 8, 20
AHEAD = 1000
MANY = 2000
LOOK_EVERY_S, MOST_S = 15.0, 60.0
STUCK_AFTER_S = 180.0
ROWS_FOLLOW_S = 30.0
"""The catalogue, at most: a function that failed in between is called again after 5 s."""
IDLE_S = 60.0
MOST_MB, MOST_MESSAGES = 150.0, 1.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--agents", type=int, default=200, help="how many (default 200)")
    parser.add_argument("--tasks", type=int, default=20_000, help="how many (default 20000)")
    parser.add_argument("--sleep", type=float, default=1.0, metavar="S", help="seconds the kernel sleeps (default 1)")
    parser.add_argument("--no-idle", action="store_true", help="the load alone, not what an idle agent costs")


def cases(options: argparse.Namespace) -> Iterator[Case]:
    """An idle agent first, then the load."""
    if not options.no_idle:
        yield from _idle()
    if options.tasks > MANY and not has_mariadb():
        yield not_measured("tasks", "a second", "", "", f"MariaDB is not installed: {GET_MARIADB}")
        return
    with (
        tempfile.TemporaryDirectory(prefix="bench-load-") as scratch,
        _database(options.tasks, Path(scratch)) as database,
        Stack(StackSpec(Path(scratch), agents=0, cloud_limit=0, blob_database=database)) as stack,
    ):
        connection = stack.azurite.connection_string
        pool = {"name": POOL, "kind": "onprem", "max_slots": options.agents, "queue_ahead": 1}
        write_setting(connection, names.BLOB_POOLS, {"version": 1, "pools": [pool]})
        system = build(Settings.model_validate({"AzureWebJobsStorage": connection}))
        with contextlib.closing(system):
            feed = _Feed(system, options.tasks)
            feed.make_up_to(AHEAD)
            yield from _load(options, stack, feed, Path(scratch))


@contextlib.contextmanager
def _database(n_tasks: int, folder: Path) -> Iterator[str | None]:
    """Of the emulator's blobs, for many tasks: its own list it looks through for each, and sorts anew to delete one."""
    if n_tasks <= MANY:
        yield None
        return
    with MariaDb(folder / "database") as database:
        yield database.url


class _Feed:
    """Tasks as the planner leaves them, so many ahead of the work: an emulator looks through all rows of a table."""

    def __init__(self, system: System, count: int) -> None:
        self.system, self.count, self._made = system, count, 0
        ports = system.ports
        ports.blobs.write(names.CONTAINER_PRODUCTS, "image.tif", b"pixels")
        ports.blobs.write(names.CONTAINER_PRODUCTS, "image_RPC.TXT", b"rpc")
        time.sleep(1.0)  # what is younger than a plan is looked at again, in whole seconds

    def make_up_to(self, n_tasks: int) -> None:
        """As many in all, or all there are."""
        stop = min(n_tasks, self.count)
        firsts = range(self._made, stop, TASKS_A_JOB)
        with ThreadPoolExecutor(PLANNERS) as planners:
            sizes = [min(TASKS_A_JOB, stop - first) for first in firsts]
            list(planners.map(lambda first, size: make_job(self.system.ports, f"load-{first}", size), firsts, sizes))
        self._made = max(self._made, stop)


def _load(options: argparse.Namespace, stack: Stack, feed: _Feed, scratch: Path) -> Iterator[Case]:
    share = -(-options.agents // PROCESSES)
    with contextlib.ExitStack() as stopped:
        agents = [
            stopped.enter_context(
                Sleepers(
                    min(share, options.agents - first), first=first, pool=POOL, storage=stack.azurite.connection_string,
                    broker=stack.broker.url, scratch=scratch / "agents", sleep_s=options.sleep,
                )
            )
            for first in range(0, options.agents, share)
        ]  # fmt: skip
        began_s = time.monotonic()
        tasks = _until_done(feed)
        took_s = time.monotonic() - began_s - LOOK_EVERY_S
        done = sum(one.end() for one in agents)
    succeeded = sum(task.state is TaskState.SUCCEEDED for task in tasks)
    of = f"{options.tasks} tasks, {options.agents} agents, {took_s:.0f} s"
    entries = _committed(feed.system)
    lost = float(options.tasks - min(succeeded, entries))
    yield Case("tasks", succeeded / took_s, "a second", of, None, "", None, "nothing was promised")
    yield Case("lost", lost, "", of, None, "0", lost == 0)
    for task in tasks:
        if task.release > 1 or task.delivery > 1:
            print(f"more than one run: {task.task_id}: {task.history}", file=sys.stderr, flush=True)
    yield Case("doubled", float(done - succeeded), "", "runs beyond one a task", None, "0", done == succeeded)


def _until_done(feed: _Feed) -> list[TaskRecord]:
    """All, once they have their result or nothing has got one for a long time."""
    made, changed_s, look_s = 0, time.monotonic(), 0.0
    while made < feed.count and time.monotonic() - changed_s < STUCK_AFTER_S:
        time.sleep(min(max(LOOK_EVERY_S, 9.0 * look_s), MOST_S))  # a look at many entries is a load, too
        began_s = time.monotonic()
        now_made = _committed(feed.system)
        look_s = time.monotonic() - began_s
        if now_made > made:
            made, changed_s = now_made, time.monotonic()
            print(f"{made} of {feed.count}", file=sys.stderr, flush=True)
            feed.make_up_to(made + AHEAD)
    given_up_s = time.monotonic() + ROWS_FOLLOW_S
    while True:
        time.sleep(LOOK_EVERY_S)
        tasks = list(find(feed.system.ports.tables, TaskRecord))
        if all(task.state.is_final for task in tasks) or time.monotonic() > given_up_s:
            return tasks


def _committed(system: System) -> int:
    """Of the catalogue, not of rows: reading those would be a part of the load."""
    return sum(1 for _ in system.ports.blobs.list(names.CONTAINER_CATALOGUE))


def _idle() -> Iterator[Case]:
    """Memory and traffic of one real agent that has nothing to do, with its compute child warm."""
    proxies: list[StorageProxy] = []
    own: dict[str, str] = {}

    @contextlib.contextmanager
    def between(azurite: Azurite) -> Iterator[str]:
        """Only the agent reaches storage through the proxy: what it counts is the agent's."""
        with StorageProxy(azurite, 0) as proxy:
            proxies.append(proxy)
            own["ORTHOAGENT_STORAGE"] = proxy.connection_string
            yield azurite.connection_string

    with tempfile.TemporaryDirectory(prefix="bench-load-idle-") as scratch:
        spec = StackSpec(Path(scratch), agents=1, cloud_limit=0, worker_of={"node-1": own})
        with Stack(spec, between) as stack:
            time.sleep(5)
            before = proxies[0].requests.total()
            messages = asyncio.run(_count_messages(stack.broker.port, "node-1"))
            requests = proxies[0].requests.total() - before
            agent, child = _memory(stack.agents[0].group)
    yield Case(
        "idle memory", agent.rss_mb, "MB", f"{agent.pss_mb:.0f} MB proportional; its warm compute child {child}",
        agent.rss_mb / MOST_MB, f"under {MOST_MB:g} MB", agent.rss_mb < MOST_MB,
    )  # fmt: skip
    rate = messages / IDLE_S
    yield Case("idle MQTT", rate, "messages a second", "", rate / MOST_MESSAGES, "under 1", rate < MOST_MESSAGES)
    yield Case(
        "idle storage", requests / IDLE_S, "requests a second", "while the doorbell is up", None, "", None,
        "nothing was promised",
    )  # fmt: skip


async def _count_messages(port: int, agent: str) -> int:
    """To and from an agent."""
    found = 0
    async with aiomqtt.Client("127.0.0.1", port) as client:
        await client.subscribe(f"orthoburst/v1/agents/{agent}/#")
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(IDLE_S):
                async for message in client.messages:
                    found += not message.retain
    return found


@dataclass(frozen=True)
class _Memory:
    """In MB: resident, and less what is shared with others."""

    rss_mb: float
    pss_mb: float

    @classmethod
    def of(cls, processes: Iterable[psutil.Process]) -> _Memory:
        found = [process.memory_full_info() for process in processes]
        return cls(sum(one.rss for one in found) / 1e6, sum(one.pss for one in found) / 1e6)

    def __str__(self) -> str:
        return f"{self.rss_mb:.0f} MB ({self.pss_mb:.0f} proportional)"


def _memory(group: int) -> tuple[_Memory, _Memory]:
    """Of the agent, and of its compute child."""
    below = psutil.Process(group).children(recursive=True)
    children = [process for process in below if COMPUTE in process.cmdline()]
    return _Memory.of(process for process in below if process not in children), _Memory.of(children)
