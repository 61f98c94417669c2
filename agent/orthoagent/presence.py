"""``orthoagent presence``: carries statuses from the broker into queue ``capacity``.

Functions hold no subscription. In Azure, Event Grid routes statuses into that queue; beside mosquitto this does.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from bisect import bisect_left
from itertools import groupby

import aiomqtt

from orthoagent.adapters.mqtt import client_for, is_refusal, subscribe
from orthoagent.adapters.storage import Outbox
from orthoagent.errors import RightsError, StorageSilentError
from orthoagent.logs import log
from orthoagent.patience import pauses_s
from orthocontracts import names
from orthocontracts.brokers import BrokerAddress
from orthocontracts.messages import AgentStatus, Statuses
from orthocontracts.wire import NotUnderstoodError, check_size, read_message

LONGEST_PAUSE_S = 3.0
MOST_IN_A_MESSAGE = 100
"""As many as a table's transaction changes."""
MOST_BYTES = 40_000
GATHER_NEWS_S, GATHER_MUCH_NEWS_S = 0.1, 0.5
"""How long news wait for others; and where many came last time, as when ten thousand agents start."""
MUCH = 50
GATHER_S = 5.0
"""How long a status that brings no news may wait for others. Much less than a keepalive."""
REPEAT_S = 40.0
"""What brings no news is passed on only so often: of statuses each 30 s every other. Three missing mean silence."""
FEW_AGENTS = 50
"""With so few nothing waits."""


class Presence:
    """Forwards each agent's latest status; of those that come while storage is silent, only the last is kept.

    Ten thousand agents say every thirty seconds that they are still there: that goes to storage a hundred to a message.
    """

    def __init__(self, broker: BrokerAddress, outbox: Outbox, *, timeout_s: float) -> None:
        self._broker, self._outbox, self._timeout_s = broker, outbox, timeout_s
        self._waiting: dict[str, AgentStatus] = {}
        self._said: dict[str, AgentStatus] = {}
        self._news: set[str] = set()
        self._news_due_s: float | None = None
        self._repeats_due_s: float | None = None
        self._gather_news_s = GATHER_NEWS_S
        self._last_page = ""
        self._came = asyncio.Event()

    async def run(self) -> None:
        """Forward until cancelled. Raises RightsError where the broker refuses the login."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._listen(), name="listen")
            group.create_task(self._forward(), name="forward")

    async def _listen(self) -> None:
        pauses = pauses_s(longest_s=LONGEST_PAUSE_S)
        while True:
            try:
                async with client_for(self._broker, identifier="orthopresence", timeout_s=self._timeout_s) as client:
                    await subscribe(client, names.TOPIC_ALL_STATUS)
                    log("presence_listens")
                    pauses = pauses_s(longest_s=LONGEST_PAUSE_S)
                    async for message in client.messages:
                        self._note(message)
            except aiomqtt.MqttError as error:
                if is_refusal(error):
                    raise RightsError(str(error)) from error
                log("broker_down", level=logging.WARNING, error=str(error))
            await asyncio.sleep(next(pauses))

    def _note(self, message: aiomqtt.Message) -> None:
        payload = message.payload
        if not isinstance(payload, bytes) or not payload:
            self._said.pop(str(message.topic).split("/")[-2], None)
            return  # a container cleared its retained status, after it said offline
        try:
            status = read_message(AgentStatus, payload, most_bytes=MOST_BYTES)
            check_size(status.to_json(), MOST_BYTES)  # what was left to its defaults is said now
        except NotUnderstoodError as error:
            log("message_not_understood", level=logging.WARNING, topic=str(message.topic), why=str(error))
            return
        if names.topic_status(status.agent) != str(message.topic):
            log("status_of_another", level=logging.ERROR, topic=str(message.topic), agent=status.agent)
            return
        said, now_s, few = self._said.get(status.agent), time.monotonic(), len(self._said) <= FEW_AGENTS
        if said is not None and not few and status.agent not in self._waiting and _was_just_said(said, status):
            return
        self._waiting[status.agent] = status
        if not _repeats(said, status):
            self._news.add(status.agent)
            if self._news_due_s is None:
                self._news_due_s = now_s + (0.0 if few else self._gather_news_s)
        elif self._repeats_due_s is None:
            self._repeats_due_s = now_s + (0.0 if few else GATHER_S)
        self._came.set()

    async def _forward(self) -> None:
        pauses = pauses_s()
        while True:
            await self._until_due()
            batch = self._batch()
            if not batch:
                continue
            try:
                await self._outbox.send(_message(batch))
            except StorageSilentError as error:
                log("storage_silent", level=logging.WARNING, doing="forward statuses", error=str(error))
                await asyncio.sleep(next(pauses))
                continue
            pauses = pauses_s()
            for status in batch:
                self._said[status.agent] = status
                if self._waiting.get(status.agent) is status:
                    del self._waiting[status.agent]
                    self._news.discard(status.agent)
            if not self._news:
                self._news_due_s = None
                self._gather_news_s = GATHER_MUCH_NEWS_S if len(batch) > MUCH else GATHER_NEWS_S
            if not self._waiting:
                self._repeats_due_s = None

    async def _until_due(self) -> None:
        """News wait a moment, statuses that repeat what was said for longer: many go together."""
        while True:
            self._came.clear()
            due_s = min((one for one in (self._news_due_s, self._repeats_due_s) if one is not None), default=None)
            wait_s = None if due_s is None else due_s - time.monotonic()
            if wait_s is not None and wait_s <= 0:
                return
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._came.wait(), wait_s)

    def _batch(self) -> list[AgentStatus]:
        """So many as a message holds, page by page: those of a page are stored together."""
        chosen = sorted((names.agent_page(agent), agent) for agent in self._news or self._waiting)
        # On from where the last message ended: else the pages at the end would starve while there is much to say.
        start = bisect_left(chosen, (self._last_page, ""))
        chosen = chosen[start:] + chosen[:start]
        batch: list[AgentStatus] = []
        size = 0
        for page, of_page in groupby(chosen, key=lambda one: one[0]):
            statuses = [self._waiting[agent] for _, agent in of_page]
            size += sum(len(status.to_json()) for status in statuses)
            if batch and (size > MOST_BYTES or len(batch) + len(statuses) > MOST_IN_A_MESSAGE):
                break  # a page in two messages at a time is one that must wait for the other
            batch += statuses
            self._last_page = page
        return _as_much_as_fits(batch)


def _as_much_as_fits(batch: list[AgentStatus]) -> list[AgentStatus]:
    """The first of a page that is too large by itself."""
    size = 0
    for n, status in enumerate(batch):
        size += len(status.to_json())
        if n and (size > MOST_BYTES or n >= MOST_IN_A_MESSAGE):
            return batch[:n]
    return batch


def _message(batch: list[AgentStatus]) -> str:
    return batch[0].to_json() if len(batch) == 1 else Statuses(statuses=tuple(batch)).to_json()


def _was_just_said(said: AgentStatus, now: AgentStatus) -> bool:
    """Whether a status says just what was said a moment ago."""
    passing = {"sequence": now.sequence, "at": now.at, "walltime_left_s": now.walltime_left_s}
    return (now.at - said.at).total_seconds() < REPEAT_S and said.model_copy(update=passing) == now


def _repeats(before: AgentStatus | None, now: AgentStatus) -> bool:
    """Whether a status says nothing but that its worker is still there, and how far its tasks have come."""
    if before is None:
        return False
    running = tuple(one.model_copy(update={"progress": 0.0}) for one in before.running)
    now_running = tuple(one.model_copy(update={"progress": 0.0}) for one in now.running)
    passing = {"sequence": now.sequence, "at": now.at, "walltime_left_s": now.walltime_left_s, "running": now.running}
    return running == now_running and before.model_copy(update=passing) == now
