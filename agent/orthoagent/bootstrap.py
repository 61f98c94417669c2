"""Builds a worker, or a presence forwarder, from its settings, and runs it until it ends."""

from __future__ import annotations

import asyncio
import contextlib
import os
import platform
import signal
from collections.abc import AsyncIterator, Coroutine
from importlib.metadata import version
from typing import Any
from urllib.request import getproxies

import aiohttp

from orthoagent import logs
from orthoagent.adapters.allocation import allocation_left_s
from orthoagent.adapters.clients import open_storage
from orthoagent.adapters.fetch import Fetcher
from orthoagent.adapters.inotify import Inotify
from orthoagent.adapters.kept import KeptInputs
from orthoagent.adapters.mqtt import BrokerLine
from orthoagent.adapters.origins import Abroad, Origins, judged
from orthoagent.adapters.pinned import JudgingResolver
from orthoagent.adapters.process import ComputeChild, child_environment
from orthoagent.adapters.products import ProductBlobs
from orthoagent.adapters.scratch import own_scratch
from orthoagent.adapters.sites import Sites
from orthoagent.adapters.storage import Outbox, PoolQueue, Tickets
from orthoagent.adapters.throttle import Throttle
from orthoagent.adapters.transfer import Transfer
from orthoagent.adapters.upload import Uploader
from orthoagent.adapters.wanted import WantedQueue
from orthoagent.adapters.watch import SlotLimits
from orthoagent.archive import watch
from orthoagent.archive.announce import Announcer
from orthoagent.archive.journal import Journal
from orthoagent.doctor import examine
from orthoagent.errors import AgentError
from orthoagent.finding import Finding
from orthoagent.health import health_page
from orthoagent.logs import log
from orthoagent.presence import Presence
from orthoagent.procure.procurer import Procurer
from orthoagent.procure.runner import Eodag
from orthoagent.procure.shelves import Archive, Shelf, Uploads
from orthoagent.settings import (
    BrokerSettings,
    ProcureSettings,
    Settings,
    StorageSettings,
    WatchSettings,
    available_cores,
)
from orthoagent.status import StatusBoard
from orthoagent.telemetry import TelemetrySettings, open_tracer
from orthoagent.vitals import Vitals
from orthoagent.walltime import Walltime
from orthoagent.work import Workplace
from orthoagent.worker import Pace, Worker
from orthocontracts import names
from orthocontracts.version import KERNEL_RESULT_VERSION

GOODBYE_LIMIT_S = 3.0
# No limit on a whole transfer, which may be of gigabytes; only on silence within it.
_TRANSFER_TIMEOUT = aiohttp.ClientTimeout(total=None, sock_connect=10, sock_read=60)


async def run_worker(settings: Settings) -> None:
    """``orthoagent run``: returns when the worker was told to end, or found nothing to do for its linger time.

    Raises
    ------
    RightsError
        Where the broker denies this agent, at start.
    AgentError
        Where its scratch folder is in use or its compute child does not start.
    """
    walltime = Walltime.lasting(settings.walltime_s or await allocation_left_s(os.environ))
    board = _board(settings)
    if walltime.ends_at_s is not None:
        log("batch_job", left_s=walltime.left_s())
        board.ends_with(walltime.left_s)
    sites = Sites(settings.stores)
    vitals, limits = Vitals(), _limits(settings)
    with own_scratch(settings.agent_scratch, settings.agent):
        async with (
            open_tracer(TelemetrySettings(), board.about, vitals) as tracer,
            open_storage(settings) as storage,
            aiohttp.ClientSession(timeout=_TRANSFER_TIMEOUT, auto_decompress=False, trust_env=True) as http,
            open_abroad(settings) as abroad,
        ):
            place = Workplace(
                agent=settings.agent,
                pool=settings.pool,
                scratch=settings.agent_scratch,
                renew_every_s=settings.renew_every_s,
                tickets=Tickets(storage.container(names.ticket_container(settings.pool))),
                outbox=Outbox(storage.queue(names.QUEUE_RESULTS)),
                fetcher=_fetcher(settings, Origins(http, abroad), sites),
                uploader=Uploader(http, sites),
                board=board,
                limits=limits,
                vitals=vitals,
                walltime=walltime,
                tracer=tracer,
            )
            name = names.pool_queue(settings.pool, KERNEL_RESULT_VERSION)
            queue = PoolQueue(storage.queue(name), lease_s=settings.lease_s)
            worker = Worker(queue, _slots(settings, limits), place, _pace(settings))
            line = _line(settings, board, worker)
            _end_on_signals(worker)
            async with health_page(
                settings.health_host, settings.health_port, vitals, board, lambda: line is not None and line.is_up
            ):
                await _run_together(worker, line)


async def run_presence(settings: StorageSettings) -> None:
    """``orthoagent presence``: forwards until it is told to end."""
    if settings.broker is None:
        raise AgentError("ORTHOAGENT_BROKER is not set: presence has nothing to forward")
    async with open_storage(settings) as storage:
        outbox = Outbox(storage.queue(names.QUEUE_CAPACITY))
        presence = Presence(settings.broker_address(), outbox, timeout_s=settings.echo_timeout_s)
        await _until_told_to_end(presence.run(), "presence")


async def run_watch(settings: WatchSettings) -> None:
    """``orthoagent watch``: announces until it is told to end.

    Raises
    ------
    AgentError
        Where another watcher has its journal, or the folder is not there.
    """
    if not settings.folder.is_dir():
        raise AgentError(f"{settings.folder} is no folder, or not one that this user may look into")
    notices = None if settings.once else Inotify.on(settings.folder)
    pace = watch.Pace(
        settle_s=settings.settle_s,
        rescan_s=settings.rescan_s,
        parallel=settings.parallel,
        once=settings.once,
        only_new=settings.only_new,
    )
    async with contextlib.AsyncExitStack() as stack:
        journal = stack.enter_context(Journal(settings.journal, str(settings.folder)))
        if notices is not None:
            stack.callback(notices.close)
        storage = await stack.enter_async_context(open_storage(settings))
        products = ProductBlobs(storage.container(names.CONTAINER_PRODUCTS))
        announcer = Announcer(products, settings.store, settings.root or settings.folder, settings.prefix)
        program = watch.Watch(settings.folder, announcer, journal, notices, pace)
        await _until_told_to_end(program.run(), "watch")


async def run_procure(settings: ProcureSettings) -> None:
    """``orthoagent procure``: fetches until it is told to end.

    Raises
    ------
    AgentError
        Where the store's folder is not there, or another of this id fetches here.
    """
    place = settings.place
    if place is not None and not place.is_dir():
        raise AgentError(f"{place} is no folder, or not one that this user may look into")
    limit = settings.fetch_mb_per_s
    eodag = Eodag(
        python=settings.eodag_python,
        providers=tuple(filter(None, settings.providers.split(","))),
        streams=settings.fetch_parallel,
        mb_per_s=None if limit is None else limit / settings.parallel,
        silence_s=settings.silence_s,
        order_limit_s=settings.order_limit_s,
    )
    work = settings.work / settings.agent
    with own_scratch(work, settings.agent):
        async with open_storage(settings) as storage:
            products = ProductBlobs(storage.container(names.CONTAINER_PRODUCTS))
            shelf: Shelf = Uploads(products)
            if place is not None:
                assert settings.store is not None  # both or none
                shelf = Archive(Announcer(products, settings.store, settings.root or place), place)
            procurer = Procurer(
                agent=settings.agent,
                queue=WantedQueue(storage.queue(names.QUEUE_WANTED), lease_s=settings.lease_s),
                outbox=Outbox(storage.queue(names.QUEUE_PROCURED)),
                shelf=shelf,
                eodag=eodag,
                work=work,
                parallel=settings.parallel,
                poll_s=settings.poll_s,
                renew_s=settings.lease_s / 3,
            )
            await _until_told_to_end(procurer.run(), "procure")


async def _until_told_to_end(program: Coroutine[Any, Any, None], name: str) -> None:
    task = asyncio.create_task(program, name=name)
    for signum in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(signum, task.cancel)
    with contextlib.suppress(asyncio.CancelledError):
        await task


async def _run_together(worker: Worker, line: BrokerLine | None) -> None:
    if line is None:
        await worker.run()
        return
    async with asyncio.TaskGroup() as group:
        talking = group.create_task(line.run(), name="broker")
        await worker.run()
        line.close()
        await asyncio.wait({talking}, timeout=GOODBYE_LIMIT_S)
        talking.cancel()


async def run_doctor(settings: Settings, dem: str | None) -> AsyncIterator[Finding]:
    """``orthoagent doctor``."""
    # Only the first slot's child: they are all alike.
    async for finding in examine(settings, dem, lambda: _slots(settings, _limits(settings))[0]):
        yield finding


def _board(settings: Settings) -> StatusBoard:
    return StatusBoard(
        agent=settings.agent,
        pool=settings.pool,
        session=os.urandom(8).hex(),
        version=version("orthoburst"),
        machine=f"{platform.machine()}, {settings.cores or available_cores()} cores",
        min_s=settings.status_min_s,
        every_s=settings.status_every_s,
    )


def _limits(settings: Settings) -> SlotLimits:
    return SlotLimits(
        memory_bytes=_bytes(settings.slot_memory_gb),
        scratch_bytes=_bytes(settings.slot_scratch_gb),
        silence_s=settings.silence_s,
    )


def _bytes(gigabytes: float | None) -> int | None:
    return None if gigabytes is None else int(gigabytes * 1e9)


@contextlib.asynccontextmanager
async def open_abroad(settings: Settings) -> AsyncIterator[Abroad]:
    """What asks other people's servers. Behind a proxy it is the proxy that resolves their names."""
    hosts = settings.allowed_hosts()
    resolver = (
        None if getproxies().keys() & {"http", "https", "all"} else JudgingResolver(judged(hosts, settings.buckets))
    )
    async with aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(resolver=resolver),
        timeout=_TRANSFER_TIMEOUT,
        auto_decompress=False,
        trust_env=True,
        cookie_jar=aiohttp.DummyCookieJar(),
    ) as http:
        yield Abroad(http, hosts, settings.buckets, settings.logins)


def _fetcher(settings: Settings, origins: Origins, sites: Sites) -> Fetcher:
    transfer = Transfer(
        origins,
        streams=settings.fetch_parallel * settings.slots,
        throttle=Throttle(settings.fetch_mb_per_s * 1e6 if settings.fetch_mb_per_s else None),
    )
    return Fetcher(transfer, sites, _kept_inputs(settings), parallel=settings.fetch_parallel)


def _kept_inputs(settings: Settings) -> KeptInputs | None:
    if not settings.inputs_gb:
        return None
    kept = KeptInputs(settings.kept_inputs, int(settings.inputs_gb * 1e9))
    kept.open()
    return kept


def _slots(settings: Settings, limits: SlotLimits) -> list[ComputeChild]:
    environment = child_environment(
        os.environ,
        numba_cache=settings.numba_cache,
        threads=settings.threads_per_slot,
        facility=settings.facility,
    )
    return [
        ComputeChild(
            number,
            settings.compute,
            environment=environment,
            limits=limits,
            warm=settings.warm,
            jobs_per_process=settings.child_tasks,
        )
        for number in range(settings.slots)
    ]


def _pace(settings: Settings) -> Pace:
    return Pace(
        poll_up_s=settings.poll_up_s,
        poll_down_s=settings.poll_down_s,
        grace_s=settings.grace_s,
        leave_when_empty=settings.until_empty,
        linger_s=settings.linger_s,
    )


def _line(settings: Settings, board: StatusBoard, worker: Worker) -> BrokerLine | None:
    if settings.broker is None:
        return None
    line = BrokerLine(
        settings.broker_address(),
        board,
        agent=settings.agent,
        pool=settings.pool,
        echo_timeout_s=settings.echo_timeout_s,
        # A container's id never comes back: its retained status would stay for ever.
        clear_on_exit=settings.until_empty,
        on_control=worker.control,
        on_doorbell=worker.look_now,
    )
    worker.doorbell_works = lambda: line.is_up
    return line


def _end_on_signals(worker: Worker) -> None:
    loop = asyncio.get_running_loop()
    for signum in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(signum, worker.end, f"received {signum.name}")
    # Slurm's `--signal=B:USR1@120`: the job is about to end. The worker may know already, which is no reason to abort.
    loop.add_signal_handler(signal.SIGUSR1, worker.leave, "received SIGUSR1")


def set_up_logs(settings: BrokerSettings) -> None:
    logs.set_up(settings.log_level)
