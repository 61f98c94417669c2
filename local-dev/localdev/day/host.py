"""The functions host in virtual time: the functions that Azure would load, by their own triggers.

Messages come back while their function fails, and some come twice though it did not, as a storage queue may deliver
them. A function that begins at a moment has ended at it: what two of them do to each other at the same time is for the
tests that hold a function up at each of its writes.
"""

from __future__ import annotations

import logging
import random
import time
from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import azure.functions as func
from azure.functions.timer import TimerRequest

from localdev.crash import Crash, Fuse, fused
from localdev.day.agenda import Agenda
from localdev.host.loader import load_app
from localdev.host.specs import BlobTrigger, FunctionSpec, QueueTrigger, TimerTrigger
from localdev.memory_ports import ManualClock, MemoryMessage, MemoryQueues
from orthocontracts import names
from orthofunctions.bootstrap import System, running_as
from orthofunctions.usecases.rounds import Rounds

FUNCTIONS = Path(__file__).parents[3] / "functions"
POLLS_AFTER_S = 0.5
HIDDEN_S = 5.0
MOST_DELIVERIES = 5
ROUND_S = 1.0
"""Wakes that come within a second are answered by one round, as they are while one runs."""
TWICE_SHARE = 0.005
"""Of messages that are delivered again after their function has dealt with them."""
MOST_WRITES = 12
SPARED = frozenset({"callbacks"})
"""Functions that nobody kills: who dies after a subscriber has answered tells it again, as promised."""
SLOWER_TIMERS = {"round": 30.0, "repair": 900.0, "loads": 600.0, "sweep": 60.0}
"""Seconds between runs of timers that find nothing new most times. In Azure they come every few seconds: the day has
fewer of them so that it can be had in minutes, which makes what they mend later, not other."""

logger = logging.getLogger(__name__)


class WatchedQueues(MemoryQueues):
    """Queues that tell when a message will be visible: nobody polls in virtual time."""

    def __init__(self, clock: ManualClock) -> None:
        super().__init__(clock)
        self._told: dict[str, Callable[[datetime], None]] = {}

    def watch(self, queue: str, tell: Callable[[datetime], None]) -> None:
        self._told[queue] = tell

    def send(self, queue: str, body: str, *, visible_in_s: float = 0) -> None:
        super().send(queue, body, visible_in_s=visible_in_s)
        if queue in self._told:
            self._told[queue](self._clock.now() + timedelta(seconds=visible_in_s))


@dataclass
class Calls:
    """What the functions' process did.

    Attributes
    ----------
    times : Counter
        By function.
    cpu_s : dict
        Seconds of processor, by function.
    failures : Counter
        By function and error. Each is tried again.
    n_killed : int
        Processes that died under them.
    """

    times: Counter[str] = field(default_factory=Counter)
    cpu_s: defaultdict[str, float] = field(default_factory=lambda: defaultdict(float))
    failures: Counter[str] = field(default_factory=Counter)
    n_killed: int = 0


class Host:
    """Calls functions of the app: with events, with messages, by the clock."""

    def __init__(
        self, agenda: Agenda, queues: WatchedQueues, system: System, rng: random.Random, killed_share: float
    ) -> None:
        self._agenda, self._queues, self._system, self._rng = agenda, queues, system, rng
        self._killed_share = killed_share
        self._woken: set[str] = set()
        self.calls = Calls()
        self._uploads: FunctionSpec | None = None
        for function in load_app(FUNCTIONS).functions:
            match function.trigger:
                case QueueTrigger(queue=queue):
                    queues.watch(queue, partial(self._expect, function, queue))
                case TimerTrigger() as timer:
                    self._by_the_clock(function, timer)
                case BlobTrigger():
                    self._uploads = function
                case _:
                    pass  # HTTP: nobody calls

    def blob_event(self, name: str) -> bool:
        """Deliver an event of a blob in container ``products``. False where the function failed."""
        assert self._uploads is not None
        return self._call(self._uploads, SimpleNamespace(container_name="products", blob_name=name))

    def _by_the_clock(self, function: FunctionSpec, timer: TimerTrigger) -> None:
        def run() -> None:
            self._call(function, TimerRequest())
            wait()

        def wait() -> None:
            now = self._agenda.clock.moment
            self._agenda.at(timer.schedule.after(now + timedelta(seconds=SLOWER_TIMERS.get(function.name, 0.0))), run)

        wait()

    def _expect(self, function: FunctionSpec, queue: str, visible_at: datetime) -> None:
        if queue != names.QUEUE_DISPATCH:
            self._agenda.at(visible_at + timedelta(seconds=POLLS_AFTER_S), partial(self._deliver, function, queue))
        elif queue not in self._woken:
            self._woken.add(queue)
            self._agenda.at(visible_at + timedelta(seconds=ROUND_S), partial(self._answer_wakes, function, queue))

    def _answer_wakes(self, function: FunctionSpec, queue: str) -> None:
        self._woken.discard(queue)
        message = self._queues.receive(queue, HIDDEN_S)
        if message is not None and self._call(function, _as_azure(message)):
            self._queues.remove(queue, message)
            self._queues.drain(queue, 10_000)
            return
        if message is not None:
            self._expect(function, queue, message.visible_at)

    def _deliver(self, function: FunctionSpec, queue: str) -> None:
        message = self._queues.receive(queue, HIDDEN_S)
        if message is None:
            return
        if message.dequeue_count > MOST_DELIVERIES:
            self._queues.remove(queue, message)
            self._queues.send(names.poison_queue(queue), message.body)
            return
        # the service lost the deletion, or gave the message to two
        again = message.dequeue_count == 1 and self._rng.random() < TWICE_SHARE
        if self._call(function, _as_azure(message)) and not again:
            self._queues.remove(queue, message)
        else:
            self._agenda.at(
                message.visible_at + timedelta(seconds=POLLS_AFTER_S), partial(self._deliver, function, queue)
            )

    def _call(self, function: FunctionSpec, argument: Any) -> bool:
        began_s = time.process_time()
        try:
            if function.name not in SPARED and self._rng.random() < self._killed_share:
                self._kill(function, argument)
            else:
                function.call(**{function.argument: argument})
        except Crash:
            self.calls.n_killed += 1
            return False
        except Exception as error:  # as a host: whatever it is, the message comes back
            logger.warning("%s failed: %r", function.name, error)
            self.calls.failures[f"{function.name}: {type(error).__name__}"] += 1
            return False
        finally:
            self.calls.times[function.name] += 1
            self.calls.cpu_s[function.name] += time.process_time() - began_s
        return True

    def _kill(self, function: FunctionSpec, argument: Any) -> None:
        """Call a function in a process that dies before one of its writes: whoever comes next is another."""
        ports = fused(self._system.ports, Fuse(self._rng.randrange(MOST_WRITES)))
        with running_as(replace(self._system, ports=ports, rounds=Rounds())):
            function.call(**{function.argument: argument})


def _as_azure(message: MemoryMessage) -> func.QueueMessage:
    return func.QueueMessage(body=message.body.encode())
