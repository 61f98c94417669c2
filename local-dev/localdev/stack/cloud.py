"""The cloud pool of one machine: worker processes started on queue length, as KEDA starts container jobs.

The rule is that of KEDA's scaled job with ``queueLength`` 1 and all messages counted, hidden ones included: as many
workers as messages, up to a limit, less those already there. Each takes ``startup_s`` to come, as a container does.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from azure.core.exceptions import AzureError, ResourceNotFoundError
from azure.storage.queue import QueueServiceClient

from localdev.servers.process import Server, ServerError

log = logging.getLogger(__name__)

POLL_S = 0.5


def workers_to_start(messages: int, present: int, limit: int) -> int:
    """How many workers to add for that many messages, with that many there or coming."""
    return max(0, min(messages, limit) - present)


@dataclass
class _Worker:
    server: Server
    due: float
    started: bool = False


@dataclass
class CloudPool:
    """Starts workers for a queue and forgets those that left by themselves.

    Parameters
    ----------
    connection : str
        Storage connection string.
    queue : str
        The pool's queue.
    limit : int
        Most workers at a time.
    startup_s : float
        Delay between the decision and the start of a worker.
    make_worker : callable
        From a worker's number to its server (not yet started).
    """

    connection: str
    queue: str
    limit: int
    startup_s: float
    make_worker: Callable[[int], Server]
    _workers: list[_Worker] = field(default_factory=list)
    _made: int = 0
    _stop: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None

    def start(self) -> None:
        self._thread = threading.Thread(target=self._run, name="cloud-pool", daemon=True)
        self._thread.start()

    @property
    def servers(self) -> list[Server]:
        """The workers that run now."""
        return [worker.server for worker in self._workers if worker.started and worker.server.running]

    @property
    def started_total(self) -> int:
        return self._made

    def stop(self) -> None:
        self._stop.set()
        if self._thread is not None:
            self._thread.join()
        for worker in self._workers:
            worker.server.stop()
        self._workers.clear()

    def _run(self) -> None:
        with QueueServiceClient.from_connection_string(self.connection, retry_total=0) as service:
            queue = service.get_queue_client(self.queue)
            while not self._stop.wait(POLL_S):
                self._forget_the_gone()
                try:
                    messages = queue.get_queue_properties().approximate_message_count or 0
                except ResourceNotFoundError:
                    messages = 0
                except AzureError as error:
                    log.warning("cloud pool: the queue does not answer: %s", type(error).__name__)
                    continue
                for _ in range(workers_to_start(messages, len(self._workers), self.limit)):
                    self._made += 1
                    self._workers.append(_Worker(self.make_worker(self._made), time.monotonic() + self.startup_s))
                self._start_the_due()

    def _start_the_due(self) -> None:
        for worker in self._workers:
            if not worker.started and time.monotonic() >= worker.due:
                worker.started = True
                try:
                    worker.server.start()
                except ServerError as error:
                    log.warning("cloud pool: %s", error)

    def _forget_the_gone(self) -> None:
        for worker in list(self._workers):
            if worker.started and not worker.server.running:
                worker.server.stop()
                self._workers.remove(worker)
