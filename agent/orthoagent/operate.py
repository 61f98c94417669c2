"""What an operator asks of agents and tells them, from anywhere with rights, through the broker alone."""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from datetime import UTC, datetime
from typing import Literal

import aiomqtt

from orthoagent.adapters.mqtt import client_for, subscribe
from orthoagent.errors import AgentError
from orthocontracts import names
from orthocontracts.brokers import BrokerAddress
from orthocontracts.messages import AgentStatus, Control
from orthocontracts.wire import MAX_MQTT_BYTES, NotUnderstoodError, read_message

QUIET_S = 0.5
"""Retained statuses come at once when one subscribes; a pause this long means that all are there."""
REACT_LIMIT_S = 10.0

Action = Literal["drain", "resume", "hand_back"]


class Crew:
    """The agents of a broker, by their last statuses."""

    def __init__(self, client: aiomqtt.Client) -> None:
        self._client = client
        self._changed = asyncio.Event()
        self.statuses: dict[str, AgentStatus] = {}

    async def listen(self) -> None:
        """Take in statuses until cancelled."""
        async for message in self._client.messages:
            agent = str(message.topic).split("/")[-2]
            payload = message.payload if isinstance(message.payload, bytes) else b""
            try:
                self.statuses[agent] = read_message(AgentStatus, payload, most_bytes=MAX_MQTT_BYTES)
            except NotUnderstoodError:
                self.statuses.pop(agent, None)  # an empty one: a container that left
            self._changed.set()

    async def until_quiet(self) -> None:
        with contextlib.suppress(TimeoutError):
            while True:
                self._changed.clear()
                await asyncio.wait_for(self._changed.wait(), QUIET_S)

    async def tell(
        self, orders: Iterable[tuple[str, Control]], done: Callable[[AgentStatus, Control], bool]
    ) -> list[str]:
        """Give each agent its order and wait until their statuses show it; returns the agents whose do not.

        A broker drops what a login may not publish without a word: it looks as if the agents were deaf.
        """
        waiting = dict(orders)
        for agent, control in waiting.items():
            await self._client.publish(names.topic_control(agent), control.to_json().encode(), qos=1)
        deadline_s = time.monotonic() + REACT_LIMIT_S
        while True:
            self._changed.clear()
            waiting = {
                agent: control
                for agent, control in waiting.items()
                if (status := self.statuses.get(agent)) is None or not done(status, control)
            }
            left_s = deadline_s - time.monotonic()
            if not waiting or left_s <= 0:
                return sorted(waiting)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._changed.wait(), left_s)


@contextlib.asynccontextmanager
async def crew(broker: BrokerAddress, timeout_s: float) -> AsyncIterator[Crew]:
    """The agents that the broker knows, kept up to date.

    Raises
    ------
    AgentError
        Where the broker does not answer, or refuses the login.
    """
    client = client_for(broker, identifier=f"orthooperator-{os.urandom(4).hex()}", timeout_s=timeout_s)
    try:
        async with client:
            found = Crew(client)
            await subscribe(client, names.TOPIC_ALL_STATUS)
            listening = asyncio.create_task(found.listen(), name="statuses")
            try:
                await found.until_quiet()
                yield found
            finally:
                listening.cancel()
                await asyncio.wait({listening})
    except aiomqtt.MqttError as error:
        raise AgentError(f"the broker cannot be asked: {error}") from error


async def show_status(broker: BrokerAddress, timeout_s: float, pool: str | None) -> list[AgentStatus]:
    """The last status of every agent, or of a pool's, by name."""
    async with crew(broker, timeout_s) as found:
        return sorted(_of_pool(found, pool), key=lambda status: (status.pool, status.agent))


async def drain_or_resume(
    broker: BrokerAddress, timeout_s: float, action: Literal["drain", "resume"], agents: Sequence[str], pool: str | None
) -> list[str]:
    """Tell agents, by name or all that run in a pool; returns those that obeyed.

    Raises
    ------
    AgentError
        For one that is not there, or does not react.
    """
    wanted = {"drain": ("draining", "offline"), "resume": ("online",)}[action]
    async with crew(broker, timeout_s) as found:
        chosen = [status.agent for status in _of_pool(found, pool) if _runs(status)] if pool else list(agents)
        for agent in chosen:
            status = found.statuses.get(agent)
            if status is None or not _runs(status):
                raise AgentError(f"{agent} is {'not known' if status is None else status.state}: see orthoagent status")
        deaf = await found.tell(
            [(agent, Control(action=action)) for agent in chosen], lambda status, _: status.state in wanted
        )
    _raise_for_deaf(deaf)
    return chosen


async def hand_back(broker: BrokerAddress, timeout_s: float, tasks: Sequence[str]) -> list[str]:
    """Have runs of tasks stopped and handed back, each by the agent that runs it; returns those agents.

    Raises
    ------
    AgentError
        For a task that no agent runs, or an agent that does not react.
    """
    async with crew(broker, timeout_s) as found:
        runs = {one.task_id: status.agent for status in found.statuses.values() for one in status.running}
        missing = [task for task in tasks if task not in runs]
        if missing:
            raise AgentError(f"no agent says that it runs {', '.join(missing)}: see orthoagent status")
        deaf: list[str] = []
        for task in tasks:
            control = Control(action="hand_back", task_id=task)
            deaf += await found.tell([(runs[task], control)], _let_go)
    _raise_for_deaf(deaf)
    return sorted({runs[task] for task in tasks})


def _let_go(status: AgentStatus, control: Control) -> bool:
    return all(one.task_id != control.task_id for one in status.running)


def _raise_for_deaf(deaf: Sequence[str]) -> None:
    if deaf:
        raise AgentError(
            f"{', '.join(deaf)} did not react within {REACT_LIMIT_S:g} s: either an agent hangs, or this login may not "
            "write its control topic (a broker drops that in silence)"
        )


def _of_pool(found: Crew, pool: str | None) -> list[AgentStatus]:
    return [status for status in found.statuses.values() if pool in {None, status.pool}]


def _runs(status: AgentStatus) -> bool:
    return status.state in {"online", "draining"}


def table(statuses: Sequence[AgentStatus]) -> str:
    """Statuses for people, one a line."""
    rows = [("AGENT", "POOL", "STATE", "SLOTS", "SEEN", "ENDS IN", "RUNNING")]
    now = datetime.now(UTC)
    for status in statuses:
        running = ", ".join(f"{one.task_id} {one.phase} {one.progress:.0%}" for one in status.running)
        left = "" if status.walltime_left_s is None else _span(status.walltime_left_s)
        seen = f"{_span((now - status.at).total_seconds())} ago"
        rows.append((status.agent, status.pool, status.state, str(status.slots), seen, left, running))
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return "\n".join("  ".join(map(str.ljust, row, widths)).rstrip() for row in rows)


def _span(seconds: float) -> str:
    if seconds < 120:
        return f"{max(0.0, seconds):.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.0f} h"
