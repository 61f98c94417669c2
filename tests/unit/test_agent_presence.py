"""What presence sends at once, what it gathers, and how much goes into one message."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest
from pydantic import SecretStr

from orthoagent import presence as forwarding
from orthoagent.errors import StorageSilentError
from orthoagent.presence import FEW_AGENTS, MOST_BYTES, MOST_IN_A_MESSAGE, REPEAT_S, Presence
from orthocontracts import names
from orthocontracts.messages import AgentStatus, RunningTask, Statuses

pytestmark = pytest.mark.alone


class Outbox:
    def __init__(self) -> None:
        self.sent: list[list[AgentStatus]] = []
        self.silent = False

    async def send(self, body: str) -> None:
        if self.silent:
            raise StorageSilentError("away")
        assert len(body) < 48 * 1024
        several = "statuses" in body
        self.sent.append(
            list(Statuses.model_validate_json(body).statuses) if several else [AgentStatus.model_validate_json(body)]
        )


class Site:
    """A presence without its broker: statuses are handed to it."""

    def __init__(self) -> None:
        self.outbox = Outbox()
        self.presence = Presence(SecretStr("mqtt://x"), self.outbox, timeout_s=1)  # type: ignore[arg-type]
        self._sequence = 0

    def say(self, number: int, **fields: object) -> None:
        self._sequence += 1
        values = {"pool": "hpc", "session": "s", "state": "online", "slots": 1, "at": datetime.now(UTC)}
        status = AgentStatus.model_validate(
            {**values, "agent": f"node-{number:05d}", "sequence": self._sequence, **fields}
        )
        topic = names.topic_status(status.agent)
        self.presence._note(SimpleNamespace(topic=topic, payload=status.to_json().encode()))  # type: ignore[arg-type]

    async def for_s(self, seconds: float) -> None:
        forward = asyncio.create_task(self.presence._forward())
        await asyncio.sleep(seconds)
        forward.cancel()


def test_many_go_in_few_messages_of_neighbours() -> None:
    site = Site()

    async def run() -> None:
        for number in reversed(range(950)):
            site.say(number)
        await site.for_s(0.2)

    asyncio.run(run())
    assert len(site.outbox.sent) == 10
    order = [status.agent for batch in site.outbox.sent for status in batch]
    assert [names.agent_page(agent) for agent in order] == sorted(map(names.agent_page, order))
    assert len(order) == 950
    assert max(map(len, site.outbox.sent)) == MOST_IN_A_MESSAGE


def test_news_do_not_wait_for_what_repeats(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forwarding, "GATHER_S", 0.5)
    monkeypatch.setattr(forwarding, "REPEAT_S", 0.0)
    monkeypatch.setattr(forwarding, "MUCH", 1000)
    site = Site()
    came: list[float] = []

    async def run() -> None:
        for number in range(FEW_AGENTS + 1):
            site.say(number)
        await site.for_s(0.1)
        site.outbox.sent.clear()
        began = time.monotonic()
        for number in range(FEW_AGENTS + 1):
            site.say(number)
        site.say(7, state="offline", slots=0)
        forward = asyncio.create_task(site.presence._forward())
        while len(site.outbox.sent) < 2:
            await asyncio.sleep(0.01)
            if site.outbox.sent and not came:
                came.append(time.monotonic() - began)
        came.append(time.monotonic() - began)
        forward.cancel()

    asyncio.run(run())
    assert [one.agent for one in site.outbox.sent[0]] == ["node-00007"]
    assert len(site.outbox.sent[1]) == FEW_AGENTS
    assert came[0] < 0.35
    assert came[1] > 0.4


def test_progress_alone_is_no_news_a_task_that_begins_is() -> None:
    before = AgentStatus(agent="a", pool="p", session="s", sequence=1, state="online", at=datetime.now(UTC), slots=1)
    runs = before.model_copy(update={"running": (RunningTask(task_id="t", release=1),), "sequence": 2})
    on = runs.model_copy(update={"running": (RunningTask(task_id="t", release=1, progress=0.5),), "sequence": 3})
    assert forwarding._repeats(runs, on)
    assert not forwarding._repeats(before, runs)
    assert not forwarding._repeats(None, before)
    assert not forwarding._repeats(before, before.model_copy(update={"state": "draining"}))


def test_large_statuses_share_a_message_only_as_far_as_it_holds_them() -> None:
    site = Site()
    running = [{"task_id": f"t-{n}", "release": 1} for n in range(100)]

    async def run() -> None:
        for number in range(20):
            site.say(number, running=running)
        await site.for_s(0.2)

    asyncio.run(run())
    assert sum(map(len, site.outbox.sent)) == 20
    assert all(sum(len(one.to_json()) for one in batch) <= MOST_BYTES for batch in site.outbox.sent)


def test_of_what_comes_while_storage_is_silent_the_last_is_kept() -> None:
    site = Site()
    site.outbox.silent = True

    async def run() -> None:
        site.say(1)
        forward = asyncio.create_task(site.presence._forward())
        await asyncio.sleep(0.1)
        site.say(1, slots=3)
        site.outbox.silent = False
        while not site.outbox.sent:  # noqa: ASYNC110 (the outbox is no asyncio object)
            await asyncio.sleep(0.05)
        forward.cancel()

    asyncio.run(run())
    assert [one.slots for batch in site.outbox.sent for one in batch][-1] == 3


def test_what_was_said_a_moment_ago_is_not_said_again() -> None:
    site = Site()

    async def run() -> None:
        for number in range(FEW_AGENTS + 1):
            site.say(number)
        await site.for_s(0.1)
        site.outbox.sent.clear()
        site.say(1)
        site.say(2, at=datetime.now(UTC) + timedelta(seconds=REPEAT_S))

    asyncio.run(run())
    assert list(site.presence._waiting) == ["node-00002"]
