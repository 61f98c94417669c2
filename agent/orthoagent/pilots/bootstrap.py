"""Builds what ``orthoagent scale`` is made of, and runs it until it is told to end."""

from __future__ import annotations

import asyncio
import shlex
import signal
from collections.abc import Coroutine
from datetime import timedelta

from orthoagent.adapters.batch import BatchScheduler
from orthoagent.adapters.demand_line import DemandLine
from orthoagent.envfile import EnvFileError, read_env_file
from orthoagent.errors import AgentError
from orthoagent.logs import log
from orthoagent.pilots.announce import Announcer
from orthoagent.pilots.book import Book, own_folder
from orthoagent.pilots.demand import DemandHeard
from orthoagent.pilots.lives import ShortLives
from orthoagent.pilots.logs import keep_logs_few
from orthoagent.pilots.scale import Limits, Scale
from orthoagent.pilots.scheduler import PilotSpec
from orthoagent.settings import ScaleSettings

_WAYS_INTO_STORAGE = frozenset({"ORTHOAGENT_GRANT", "ORTHOAGENT_STORAGE", "ORTHOAGENT_STORAGE_ACCOUNT"})


async def run_scale(settings: ScaleSettings) -> None:
    """Follow the pool's demand until SIGTERM; pilots stay.

    Raises
    ------
    RightsError
        Where the broker refuses the login.
    PilotRefusedError
        Where the scheduler refuses the first pilot.
    AgentError
        Where the environment file is not usable, or another serves this pool.
    """
    if settings.broker is None:
        raise AgentError("ORTHOAGENT_BROKER is not set: there is no demand to follow")
    if not _WAYS_INTO_STORAGE & read_env_file(settings.env_file).keys():
        ways = ", ".join(sorted(_WAYS_INTO_STORAGE))
        raise EnvFileError(f"the environment file {settings.env_file} has none of {ways}: pilots need one")
    with own_folder(settings.folder):
        heard = DemandHeard(keep_s=settings.keep_s)
        line = DemandLine(settings.broker_address(), heard, pool=settings.pool, timeout_s=settings.echo_timeout_s)
        scheduler = BatchScheduler(settings.scheduler, pilot_spec(settings))
        scale = Scale(
            scheduler,
            line,
            heard=heard,
            book=Book(settings.folder, settings.pool),
            announcer=Announcer(pool=settings.pool, slots=settings.slots, scheduler=scheduler.name),
            lives=ShortLives(settings.linger_s),
            limits=Limits(settings.max_pilots, settings.slots, settings.look_every_s),
        )
        await _until_told(line.run(), scale.run(), keep_logs_few(settings.folder / "logs"))


async def _until_told(*parts: Coroutine[None, None, None]) -> None:
    told = asyncio.Event()
    for signum in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(signum, told.set)
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(part) for part in parts]
        await told.wait()
        for task in tasks:
            task.cancel()
    log("scale_ends")


def pilot_spec(settings: ScaleSettings) -> PilotSpec:
    """What each pilot asks for and runs."""
    cores = settings.cores or settings.slots
    options = {"partition": settings.partition, "account": settings.account, "qos": settings.qos}
    command = [*shlex.split(settings.agent_command), "run", "--until-empty", "--linger", f"{settings.linger_s:g}"]
    return PilotSpec(
        environment={
            "ORTHOAGENT_POOL": settings.pool,
            "ORTHOAGENT_SLOTS": str(settings.slots),
            "ORTHOAGENT_CORES": str(cores),
        },
        command=[*command, "--env-file", str(settings.env_file)],
        folder=settings.folder,
        cores=cores,
        walltime=timedelta(seconds=settings.walltime_s),
        memory_bytes=None if settings.memory_gb is None else int(settings.memory_gb * 1e9),
        options={name: value for name, value in options.items() if value},
        extra=settings.scheduler_args,
    )
