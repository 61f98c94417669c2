"""The bell over a real broker: publishes, survives the broker's absence, never holds anyone up."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import aiomqtt
import pytest

from localdev.servers import Broker
from localdev.servers.broker import BrokerUser
from orthocontracts.brokers import BrokerAddress
from orthofunctions.adapters.bell import MAX_WAITING, MqttBell


async def _listen(url: str, topic: str, count: int, ready: asyncio.Event, **login: str) -> list[tuple[str, str, bool]]:
    address = BrokerAddress.of(url)
    async with aiomqtt.Client(address.host, address.port, **login) as client:
        await client.subscribe(topic, qos=1)
        ready.set()
        found = []
        async for message in client.messages:
            assert isinstance(message.payload, bytes)
            found.append((str(message.topic), message.payload.decode(), bool(message.retain)))
            if len(found) == count:
                break
        return found


async def _heard(broker: Broker, topic: str, count: int, publish, **login: str) -> list[tuple[str, str, bool]]:
    ready = asyncio.Event()
    listener = asyncio.create_task(_listen(broker.url, topic, count, ready, **login))
    await asyncio.wait_for(ready.wait(), 10)
    publish()
    return await asyncio.wait_for(listener, 20)


def test_messages_arrive_in_order_and_retained_ones_stay(broker: Broker) -> None:
    bell = MqttBell(BrokerAddress.of(broker.url))
    try:

        def publish() -> None:
            for number in range(100):
                bell.publish("bell/one/x", str(number))

        found = asyncio.run(_heard(broker, "bell/one/#", 100, publish))
        assert [body for _, body, _ in found] == [str(number) for number in range(100)]
        bell.publish("bell/kept/x", "old", retain=True)
        bell.publish("bell/kept/x", "new", retain=True)
    finally:
        bell.close()
    assert asyncio.run(_heard(broker, "bell/kept/#", 1, lambda: None)) == [("bell/kept/x", "new", True)]


def test_a_broker_that_is_down_holds_nobody_up_and_is_rung_when_it_comes_back(tmp_path: Path) -> None:
    broker = Broker(tmp_path)
    bell = MqttBell(BrokerAddress.of(broker.url))
    try:
        started = time.monotonic()
        for number in range(MAX_WAITING + 500):
            bell.publish("t", str(number))
        bell.publish("bell/kept/y", "latest", retain=True)
        assert time.monotonic() - started < 2
        with broker:
            found = asyncio.run(_heard(broker, "bell/kept/#", 1, lambda: None))
            assert found == [("bell/kept/y", "latest", found[0][2])]
            broker.kill()
            broker.start()
            again = asyncio.run(
                _heard(broker, "bell/again", 1, lambda: bell.publish("bell/again", "after the broker's restart"))
            )
            assert again[0][1] == "after the broker's restart"
            bell.close()
    finally:
        bell.close()


def test_closing_with_no_broker_ends_soon() -> None:
    bell = MqttBell(BrokerAddress.of("mqtt://127.0.0.1:9"))
    bell.publish("t", "x")
    started = time.monotonic()
    bell.close()
    assert time.monotonic() - started < 5
    assert bell._thread is not None
    assert not bell._thread.is_alive()


def test_user_and_password(tmp_path: Path) -> None:
    with Broker(tmp_path, users={"functions": BrokerUser("se cret")}) as broker:
        bell = MqttBell(BrokerAddress.of(broker.url, user="functions", password="se cret"))
        try:
            found = asyncio.run(
                _heard(broker, "a", 1, lambda: bell.publish("a", "b"), username="functions", password="se cret")
            )
            assert found[0][1] == "b"
        finally:
            bell.close()


def test_addresses() -> None:
    plain = BrokerAddress.of("mqtt://broker.site")
    assert (plain.host, plain.port, plain.tls, plain.websocket) == ("broker.site", 1883, False, False)
    assert (plain.path, plain.tls_context()) == ("/mqtt", None)
    assert BrokerAddress.of("ws://broker.site/").path == "/mqtt"
    assert BrokerAddress.of("ws://broker.site/deep/path").path == "/deep/path"
    secret = BrokerAddress.of("wss://me:p%40ss@broker.site:444")
    assert (secret.port, secret.tls, secret.websocket, secret.user, secret.password) == (444, True, True, "me", "p@ss")
    assert "p@ss" not in repr(secret)
    with pytest.raises(ValueError, match="like mqtt://") as caught:
        BrokerAddress.of("https://me:hidden@broker.site")
    assert "hidden" not in str(caught.value)
