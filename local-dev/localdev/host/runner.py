"""Put a host together, run it until it is told to stop, and stop it without losing work."""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
import os
import signal
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Protocol

from localdev.host.blob_trigger import blob_workers
from localdev.host.connections import Connections
from localdev.host.host_json import HostJson, read_host_json
from localdev.host.http_trigger import KEY_SETTING, HttpDoor
from localdev.host.invoker import Invoker
from localdev.host.loader import App, load_app
from localdev.host.logs import log
from localdev.host.outputs import OutputSender
from localdev.host.queue_listener import LEASE_S
from localdev.host.queue_trigger import queue_listener
from localdev.host.specs import BlobTrigger, HttpTrigger, QueueTrigger, TimerTrigger
from localdev.host.timer_trigger import MOST_SETTING, TimerListener

HOST_ID_SETTING = "AzureFunctionsWebHost__hostid"


@dataclass(frozen=True, slots=True)
class HostOptions:
    """What the command line says.

    Attributes
    ----------
    queue_lease_s : float
        Visibility of a received message, renewed at half time: how long the messages of a killed host stay away.
    stop_grace_s : float
        How long a stop waits for what is running.
    """

    app: Path
    port: int = 0
    ready_file: Path | None = None
    queue_lease_s: float = LEASE_S
    blob_poll_s: float = 1.0
    stop_grace_s: float = 30.0


class Listener(Protocol):
    """Something that calls functions until told to stop, and returns when what it began is done."""

    async def run(self, stop: asyncio.Event) -> None: ...


class Host:
    """One functions host."""

    def __init__(self, options: HostOptions, environ: Mapping[str, str] = os.environ) -> None:
        self._options = options
        self._settings: HostJson = read_host_json(options.app / "host.json", environ)
        self._app: App = load_app(options.app)
        self._functions = [spec for spec in self._app.functions if not _is_disabled(spec.name, environ)]
        self._connections = Connections(environ)
        outputs = OutputSender(self._connections, self._settings.queues.message_encoding)
        self._invoker = Invoker(self._app.folder, outputs, self._settings.function_timeout_s)
        self._key = environ.get(KEY_SETTING)
        self._timers_s = float(most) if (most := environ.get(MOST_SETTING)) else None
        self._host_id = environ.get(HOST_ID_SETTING) or _default_host_id(self._app.folder)

    async def run(self) -> int:
        """Serve until SIGTERM or SIGINT; the exit status."""
        stop = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
        try:
            listeners = self._listeners()
            door = self._door()
            url = await door.start(self._options.port, self._options.stop_grace_s)
            tasks = [asyncio.create_task(each.run(stop), name=type(each).__name__) for each in listeners]
            self._announce(url)
            crashed = await self._until_stopped(tasks, stop)
            log("host_stopping")
            await asyncio.gather(door.stop(), self._drain(tasks))
            await self._app.close()
        finally:
            self._invoker.close()
            await self._connections.close()
        log("host_stopped")
        return 1 if crashed else 0

    @property
    def has_stuck_threads(self) -> bool:
        """Whether the interpreter would wait for threads that nobody waits for."""
        return self._invoker.stuck > 0

    def _listeners(self) -> list[Listener]:
        options, settings = self._options, self._settings
        lease_s = options.queue_lease_s
        listeners: list[Listener] = []
        blobs = []
        for spec in self._functions:
            match spec.trigger:
                case QueueTrigger() as queue:
                    make = partial(queue_listener, spec, queue, self._connections, self._invoker)
                    listeners.append(make(options=settings.queues, lease_s=lease_s))
                case TimerTrigger() as timer:
                    listeners.append(TimerListener(spec, timer, self._invoker, most_s=self._timers_s))
                case BlobTrigger() as blob:
                    blobs.append((spec, blob))
                case HttpTrigger():
                    pass
        listeners += blob_workers(
            blobs,
            self._connections,
            self._invoker,
            settings.blobs,
            host_id=self._host_id,
            lease_s=lease_s,
            interval_s=options.blob_poll_s,
        )
        return listeners

    def _door(self) -> HttpDoor:
        functions = [(spec, spec.trigger) for spec in self._functions if isinstance(spec.trigger, HttpTrigger)]
        return HttpDoor(functions, self._invoker, self._settings.route_prefix, key=self._key)

    def _announce(self, url: str) -> None:
        line = json.dumps({"api": url})
        if (file := self._options.ready_file) is not None:
            part = file.with_name(file.name + ".part")
            part.write_text(line + "\n")
            part.replace(file)
        log("host_ready", functions=[spec.name for spec in self._functions], api=url)  # who waits for it reads the file
        print(line, flush=True)

    async def _until_stopped(self, tasks: Sequence[asyncio.Task[None]], stop: asyncio.Event) -> bool:
        """Wait for the stop; True when a listener ended by itself, which is a bug in the host."""
        stopped = asyncio.create_task(stop.wait())
        await asyncio.wait([stopped, *tasks], return_when=asyncio.FIRST_COMPLETED)
        # A stop may find listeners that have ended already, as they should; one that failed is never in order.
        crashed = [task for task in tasks if task.done() and (not stop.is_set() or task.exception() is not None)]
        for task in crashed:
            log("listener_crashed", level=logging.ERROR, listener=task.get_name(), error=task.exception())
        stopped.cancel()
        stop.set()
        return bool(crashed)

    async def _drain(self, tasks: Sequence[asyncio.Task[None]]) -> None:
        """Let what runs finish; what does not in time keeps its lease and comes back when that ends."""
        if not tasks:
            return
        _, late = await asyncio.wait(tasks, timeout=self._options.stop_grace_s)
        if late:
            log("work_abandoned", level=logging.WARNING, listeners=len(late))
        for task in late:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _is_disabled(function: str, environ: Mapping[str, str]) -> bool:
    """Whether an app setting says, as in Azure, that nothing triggers a function."""
    names = (f"AzureWebJobs.{function}.Disabled", f"AzureWebJobs__{function}__Disabled")
    return any(environ.get(name, "").lower() in ("true", "1") for name in names)


def _default_host_id(folder: Path) -> str:
    return hashlib.sha256(str(folder).encode()).hexdigest()[:32]
