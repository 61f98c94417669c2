"""Every door: of a version nobody knows, too large, not JSON, of another kind, on a wrong topic. Nothing is guessed."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest

from fakes.world import World
from orthoagent.adapters.mqtt import BrokerLine
from orthoagent.presence import Presence
from orthoagent.status import StatusBoard
from orthocontracts import names
from orthocontracts.brokers import BrokerAddress
from orthocontracts.messages import AgentStatus, Control, Doorbell, Wake
from orthocontracts.wire import NotUnderstoodError, read_message
from orthofunctions.usecases.capacity import note_status
from orthofunctions.usecases.collect import collect
from orthofunctions.usecases.pending import is_wake
from orthofunctions.usecases.submit import RequestUnreadableError, read_request

ADDRESS = BrokerAddress.of("mqtt://nowhere")
STATUS = AgentStatus(
    agent="node-1", pool="hpc", session="s", sequence=1, state="online", at=datetime(2026, 5, 1, tzinfo=UTC), slots=1
)


def spoiled(good: str) -> dict[str, str]:
    """A message in every way in which it may not be read."""
    document = json.loads(good)
    return {
        "a later version": json.dumps({**document, "v": 2}),
        "no version": json.dumps({name: value for name, value in document.items() if name != "v"}),
        "too large": json.dumps({**document, "more": "x" * 70_000}),
        "not JSON": good[:-1],
        "not an object": "[]",
        "deep": "[" * 30_000,
        "empty": " ",
        "another kind": '{"v":1}',
    }


WAYS = sorted(spoiled('{"v":1}'))


class TestReading:
    @pytest.mark.parametrize("way", WAYS)
    def test_it_is_refused_and_the_reason_quotes_nothing_of_it(self, way: str) -> None:
        body = spoiled(Control(action="cancel", task_id="j1-0001").to_json())[way]
        for given in (body, body.encode()):
            with pytest.raises(NotUnderstoodError) as caught:
                read_message(Control, given)
            assert "j1-0001" not in str(caught.value)
            assert len(str(caught.value)) < 1000

    def test_one_that_is_larger_is_not_even_parsed(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(Control, "model_validate_json", lambda *_: pytest.fail("it was parsed"))
        with pytest.raises(NotUnderstoodError, match="at least 100 bytes, 99 are the most"):
            read_message(Control, b"x" * 100, most_bytes=99)
        with pytest.raises(NotUnderstoodError, match="100 bytes"):
            read_message(Control, "é" * 50, most_bytes=99)

    def test_a_field_of_a_later_release_is_ignored(self) -> None:
        assert read_message(Doorbell, '{"v":1,"pool":"hpc","loud":true}') == Doorbell(pool="hpc")

    def test_the_versions_of_what_a_message_holds_count_too(self) -> None:
        body = STATUS.to_json().replace('"running":[]', '"running":[{"v":2,"task_id":"j1-0001","release":1}]')
        with pytest.raises(NotUnderstoodError, match="version"):
            read_message(AgentStatus, body)


def line(heard: list[Any]) -> BrokerLine:
    board = StatusBoard(agent="node-1", pool="hpc", session="s", version="", machine="", min_s=1, every_s=1)
    return BrokerLine(
        ADDRESS,
        board,
        agent="node-1",
        pool="hpc",
        echo_timeout_s=1,
        clear_on_exit=False,
        on_control=heard.append,
        on_doorbell=lambda: heard.append("ring"),
    )


def feed(agent: BrokerLine, topic: str, *bodies: str) -> None:
    async def messages() -> Any:
        for body in bodies:
            yield SimpleNamespace(topic=topic, payload=body.encode())

    asyncio.run(agent._read(SimpleNamespace(messages=messages())))  # type: ignore[arg-type]


class TestAgent:
    @pytest.mark.parametrize("way", WAYS)
    def test_control_and_doorbell(self, way: str, caplog: pytest.LogCaptureFixture) -> None:
        heard: list[Any] = []
        drain, ring = Control(action="drain"), Doorbell(pool="hpc")
        for topic, good in ((names.topic_control("node-1"), drain), (names.topic_doorbell("node-1"), ring)):
            feed(line(heard), topic, spoiled(good.to_json())[way], good.to_json())
        assert heard == [drain, "ring"], "the good ones, and only those"
        assert caplog.messages == ["message_not_understood"] * 2

    def test_a_ring_for_another_pool_is_not_for_us(self) -> None:
        heard: list[Any] = []
        feed(line(heard), names.topic_doorbell("node-1"), Doorbell(pool="cloud").to_json())
        assert heard == []

    def test_a_control_on_the_doorbell_or_a_ring_on_control_is_neither(self) -> None:
        heard: list[Any] = []
        feed(line(heard), names.topic_doorbell("node-1"), Control(action="drain").to_json())
        feed(line(heard), names.topic_control("node-1"), Doorbell(pool="hpc").to_json())
        assert heard == []


class TestPresence:
    def note(self, topic: str, *bodies: str) -> dict[str, AgentStatus]:
        async def run() -> dict[str, AgentStatus]:
            presence = Presence(ADDRESS, None, timeout_s=1)  # type: ignore[arg-type]
            for body in bodies:
                presence._note(SimpleNamespace(topic=topic, payload=body.encode()))  # type: ignore[arg-type]
            return presence._waiting

        return asyncio.run(run())

    @pytest.mark.parametrize("way", WAYS)
    def test_statuses(self, way: str) -> None:
        topic, good = names.topic_status("node-1"), STATUS.to_json()
        assert self.note(topic, spoiled(good)[way]) == {}
        assert self.note(topic, spoiled(good)[way], good) == {"node-1": STATUS}

    def test_the_status_of_another_agent(self) -> None:
        assert self.note(names.topic_status("node-2"), STATUS.to_json()) == {}

    def test_one_that_grows_beyond_what_a_queue_message_holds(self) -> None:
        """Else it could not be forwarded, and would stand in the way of all others for ever."""
        running = ",".join(f'{{"task_id":"j-{number}","release":1}}' for number in range(1100))
        body = STATUS.to_json().replace('"running":[]', f'"running":[{running}]')
        assert len(body) < 40_000
        assert self.note(names.topic_status("node-1"), body) == {}


class TestQueues:
    @pytest.mark.parametrize("way", WAYS)
    def test_results(self, way: str) -> None:
        world = World()
        good = (
            '{"v":1,"kind":"started","task_id":"j1-0001","release":1,"delivery":1,"agent":"a","pool":"hpc",'
            '"at":"2026-05-01T00:00:00Z"}'
        )
        collect(world.ports, world.rules, spoiled(good)[way])
        assert len(kept(world, names.QUEUE_RESULTS)) == 1

    @pytest.mark.parametrize("way", [way for way in WAYS if way != "empty"])
    def test_capacity(self, way: str) -> None:
        world = World()
        body = spoiled(STATUS.to_json())[way]
        note_status(world.ports, body)
        note_status(world.ports, json.dumps({"specversion": "1.0", "data": body[:60_000]}))
        assert len(kept(world, names.QUEUE_CAPACITY)) == 2
        assert not list(world.ports.tables.query(names.TABLE_AGENTS))

    @pytest.mark.parametrize("way", WAYS)
    def test_dispatch(self, way: str) -> None:
        good = Wake(reason="a task ended").to_json()
        assert is_wake(good)
        assert not is_wake(spoiled(good)[way])

    @pytest.mark.parametrize("way", [way for way in WAYS if way != "no version"])
    def test_requests(self, way: str) -> None:
        """A request written by hand need not say its version: it is checked field by field, and none is ignored."""
        good = '{"v":1,"request":{"request_id":"r1","products":["products/a.tif"]}}'
        ports = World().ports
        assert read_request(ports, good).request_id == "r1"
        with pytest.raises(RequestUnreadableError):
            read_request(ports, spoiled(good)[way])


def kept(world: World, queue: str) -> list[str]:
    return [blob.name for blob in world.blobs.list(names.CONTAINER_CONTROL, f"poison/{queue}/")]
