"""What only the adapters over Azure Storage have to prove: rivals, encodings, pages, signed links."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

import pytest
import requests
from azure.storage.queue import QueueClient

from integration.storage import azure_ports
from localdev.servers import Azurite
from orthofunctions.ports import (
    Change,
    Ports,
    Row,
    RowChangedError,
)

OPEN_FILES = Path("/proc/self/fd")


@pytest.fixture(scope="module")
def ports(azurite: Azurite) -> Iterator[Ports]:
    with azure_ports(azurite.connection_string) as ports:
        yield ports


@pytest.fixture
def name() -> str:
    return "t" + uuid4().hex[:12]


def test_threads_that_have_ended_leave_no_file_open(ports: Ports, name: str) -> None:
    """Where libuuid may open its file of the clock: it did so for each thread's first request, and never closed it."""
    ports.blobs.write(name, "x", b"")
    ports.tables.make_table(name)  # type: ignore[attr-defined]
    before = len(list(OPEN_FILES.iterdir()))
    for _ in range(10):
        with ThreadPoolExecutor(4) as pool:
            assert list(pool.map(lambda _: ports.blobs.read(name, "x"), range(4))) == [b""] * 4
            assert list(pool.map(lambda _: ports.tables.get(name, "p", "k"), range(4))) == [None] * 4
    # the pool of connections keeps some
    assert len(list(OPEN_FILES.iterdir())) < before + 16


class TestRivals:
    def test_only_one_of_many_creators_writes(self, ports: Ports, name: str) -> None:
        ports.blobs.write(name, "other", b"")
        with ThreadPoolExecutor(8) as pool:
            won = list(pool.map(lambda n: ports.blobs.create(name, "x", str(n).encode()), range(8)))
        assert won.count(True) == 1
        assert ports.blobs.read(name, "x") == str(won.index(True)).encode()

    def test_one_of_many_swaps_wins(self, ports: Ports, name: str) -> None:
        ports.tables.make_table(name)  # type: ignore[attr-defined]
        row = ports.tables.insert(name, Row("p", "k", {"n": -1}))

        def swap(number: int) -> bool:
            try:
                ports.tables.replace(name, Row("p", "k", {"n": number}, row.etag))
            except RowChangedError:
                return False
            return True

        with ThreadPoolExecutor(8) as pool:
            assert list(pool.map(swap, range(8))).count(True) == 1

    def test_a_query_runs_over_pages(self, ports: Ports, name: str) -> None:
        ports.tables.make_table(name)  # type: ignore[attr-defined]
        for start in range(0, 1100, 100):
            changes = [Change("insert", Row("p", f"{number:04d}", {})) for number in range(start, start + 100)]
            ports.tables.transact(name, changes)
        assert [row.key for row in ports.tables.query(name, partition="p")] == [f"{n:04d}" for n in range(1100)]


class TestQueues:
    def test_a_message_is_base64_and_never_expires(self, ports: Ports, name: str, azurite: Azurite) -> None:
        ports.queues.send_release(name, '{"σ":1}')
        assert ports.queues.length(name) == 1
        with QueueClient.from_connection_string(azurite.connection_string, name) as raw:
            (message,) = list(raw.receive_messages())
        assert base64.b64decode(message.content).decode() == '{"σ":1}'
        assert message.expires_on.year == 9999

    def test_drain_takes_everything_up_to_the_limit_and_survives_any_content(
        self, ports: Ports, name: str, azurite: Azurite
    ) -> None:
        for number in range(34):
            ports.queues.send_release(name, str(number))
        with QueueClient.from_connection_string(azurite.connection_string, name) as raw:
            raw.send_message("<<not base64>>")
        assert len(ports.queues.drain(name, 3)) == 3
        assert ports.queues.length(name) == 32
        assert "<<not base64>>" in ports.queues.drain(name, 100)
        assert ports.queues.length(name) == 0


class TestLinks:
    def test_a_create_link_writes_once_and_does_nothing_else(self, ports: Ports, name: str) -> None:
        ports.blobs.write(name, "other", b"")
        url = ports.links.create_url(name, "a/b.tif", datetime.now(UTC) + timedelta(minutes=5))
        headers = {"x-ms-blob-type": "BlockBlob"}
        assert requests.get(url, timeout=5).status_code == 403
        assert requests.put(url, data=b"1", headers=headers, timeout=5).status_code == 201
        assert requests.put(url, data=b"2", headers=headers, timeout=5).status_code in (403, 409)
        assert requests.get(url, timeout=5).status_code == 403
        assert requests.delete(url, timeout=5).status_code == 403
        assert ports.blobs.read(name, "a/b.tif") == b"1"

    def test_a_read_link_reads_until_it_expires(self, ports: Ports, name: str) -> None:
        ports.blobs.write(name, "a b/ä.tif", b"x")
        url = ports.links.read_url(name, "a b/ä.tif", datetime.now(UTC) + timedelta(minutes=5))
        assert requests.get(url, timeout=5).content == b"x"
        assert requests.put(url, data=b"2", headers={"x-ms-blob-type": "BlockBlob"}, timeout=5).status_code == 403
        expired = ports.links.read_url(name, "a b/ä.tif", datetime.now(UTC) - timedelta(minutes=5))
        assert requests.get(expired, timeout=5).status_code == 403
