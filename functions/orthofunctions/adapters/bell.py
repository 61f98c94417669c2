"""MQTT, best effort: one background thread publishes what use cases hand over and never makes them wait."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
import time
from collections import deque
from dataclasses import dataclass

import aiomqtt

from orthocontracts.brokers import BrokerAddress

logger = logging.getLogger(__name__)

MAX_WAITING = 1000  # messages held while the broker is away; the oldest go first
STALE_AFTER_S = 30.0  # a doorbell older than an agent's next poll tells it nothing; retained messages do not age
RETRY_FIRST_S = 0.5
RETRY_MOST_S = 15.0
PUBLISH_TIMEOUT_S = 10.0
BATCH = 32  # publications awaiting their acknowledgement together


@dataclass(frozen=True)
class _Publication:
    topic: str
    body: str
    retain: bool
    at: float


class MqttBell:
    """``orthofunctions.ports.Bell``: connects at the first publication, reconnects for as long as the process lives."""

    def __init__(self, address: BrokerAddress) -> None:
        self._address = address
        self._waiting: deque[_Publication] = deque(maxlen=MAX_WAITING)
        self._start_lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._rung: asyncio.Event | None = None
        self._ready = threading.Event()
        self._closing = False

    def publish(self, topic: str, body: str, *, retain: bool = False) -> None:
        """Hand a message over and return at once. Never raises for anything the broker does."""
        if self._closing:
            return
        if retain:  # only the newest matters: an older one still waiting would arrive for nothing
            for older in [one for one in list(self._waiting) if one.retain and one.topic == topic]:
                with contextlib.suppress(ValueError):  # the other thread has just taken it
                    self._waiting.remove(older)
        self._waiting.append(_Publication(topic, body, retain, time.monotonic()))
        self._wake()

    def close(self, timeout_s: float = 2.0) -> None:
        """Publish what is waiting if the broker answers in time, then end the thread."""
        self._closing = True
        if self._thread is None:
            return
        self._wake()
        self._thread.join(timeout_s)
        if self._thread.is_alive() and self._loop is not None:
            loop = self._loop
            with contextlib.suppress(RuntimeError):  # it ended meanwhile
                loop.call_soon_threadsafe(lambda: [task.cancel() for task in asyncio.all_tasks(loop)])
            self._thread.join(timeout_s)

    def _wake(self) -> None:
        with self._start_lock:
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="mqtt-bell", daemon=True)
                self._thread.start()
        self._ready.wait(1.0)
        if self._loop is not None and self._rung is not None:
            with contextlib.suppress(RuntimeError):  # the loop has closed: the process is ending
                self._loop.call_soon_threadsafe(self._rung.set)

    def _run(self) -> None:
        with contextlib.suppress(asyncio.CancelledError):
            asyncio.run(self._serve())

    async def _serve(self) -> None:
        self._loop, self._rung = asyncio.get_running_loop(), asyncio.Event()
        self._ready.set()
        pause_s = RETRY_FIRST_S
        while not (self._closing and not self._waiting):
            try:
                async with self._client() as client:
                    logger.info("connected to the broker", extra={"action": "broker_connected"})
                    pause_s = RETRY_FIRST_S
                    await self._publish_while_connected(client, self._rung)
                    return
            except (aiomqtt.MqttError, OSError, ValueError) as error:
                logger.warning("the broker is away: %s", error, extra={"action": "broker_away"})
                if self._closing:
                    return
                await asyncio.sleep(pause_s)
                pause_s = min(2 * pause_s, RETRY_MOST_S)

    async def _publish_while_connected(self, client: aiomqtt.Client, rung: asyncio.Event) -> None:
        while True:
            rung.clear()
            while batch := self._take():
                try:
                    await asyncio.gather(
                        *(client.publish(one.topic, one.body, qos=1, retain=one.retain) for one in batch)
                    )
                except (aiomqtt.MqttError, OSError):
                    self._waiting.extendleft(reversed(batch))  # a second arrival is harmless, a lost one delays
                    raise
            if self._closing:
                return
            await self._until_rung_or_gone(client, rung)

    async def _until_rung_or_gone(self, client: aiomqtt.Client, rung: asyncio.Event) -> None:
        """Sleep until there is something to publish. A lost connection shows here too, not at the next message."""
        waits = [asyncio.ensure_future(rung.wait()), asyncio.ensure_future(anext(aiter(client.messages)))]
        try:
            done, _ = await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
            if waits[1] in done:
                waits[1].result()  # raises MqttError where the connection is gone
        finally:
            for wait in waits:
                wait.cancel()
            await asyncio.gather(*waits, return_exceptions=True)

    def _take(self) -> list[_Publication]:
        batch: list[_Publication] = []
        oldest = time.monotonic() - STALE_AFTER_S
        while self._waiting and len(batch) < BATCH:
            try:
                one = self._waiting.popleft()
            except IndexError:  # another thread's full deque dropped it
                break
            if one.retain or one.at >= oldest:
                batch.append(one)
        return batch

    def _client(self) -> aiomqtt.Client:
        address = self._address
        client = aiomqtt.Client(
            address.host,
            address.port,
            username=address.user,
            password=address.password,
            transport="websockets" if address.websocket else "tcp",
            websocket_path=address.path if address.websocket else None,
            tls_context=address.tls_context(),
            protocol=aiomqtt.ProtocolVersion.V311,
            timeout=PUBLISH_TIMEOUT_S,
            keepalive=30,
            logger=logger,
        )
        client.pending_calls_threshold = BATCH  # so many at once are no reason for a warning
        return client


class SilentBell:
    """Where no broker is configured: work goes on, agents poll."""

    def publish(self, topic: str, body: str, *, retain: bool = False) -> None:
        pass

    def close(self, timeout_s: float = 0.0) -> None:
        pass
