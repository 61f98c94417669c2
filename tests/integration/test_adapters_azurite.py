"""The storage adapters keep what ``orthofunctions.ports`` promises, on the real emulator."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
import requests
from azure.storage.queue import QueueClient

from integration.storage import azure_ports
from localdev.servers import Azurite
from orthofunctions.ports import (
    BlobMissingError,
    Change,
    LeaseHeldError,
    LeaseLostError,
    Ports,
    Row,
    RowChangedError,
    RowExistsError,
)


@pytest.fixture(scope="module")
def ports(azurite: Azurite) -> Iterator[Ports]:
    with azure_ports(azurite.connection_string) as ports:
        yield ports


@pytest.fixture
def name() -> str:
    return "t" + uuid4().hex[:12]


class TestBlobs:
    def test_a_blob_reads_back_with_its_facts(self, ports: Ports, name: str) -> None:
        ports.blobs.write(name, "a/b c.json", b"0123456789")
        facts = ports.blobs.facts(name, "a/b c.json")
        assert facts is not None
        assert facts.size_bytes == 10
        assert facts.md5 == hashlib.md5(b"0123456789").hexdigest()
        assert facts.last_modified.tzinfo is not None
        assert list(ports.blobs.list(name, "a/")) == [facts]
        assert list(ports.blobs.list(name, "b")) == []

    def test_ranges(self, ports: Ports, name: str) -> None:
        ports.blobs.write(name, "x", b"0123456789")
        assert ports.blobs.read(name, "x", offset=3, length=4) == b"3456"
        assert ports.blobs.read(name, "x", offset=8, length=40) == b"89"
        assert ports.blobs.read(name, "x", offset=3) == b"3456789"
        assert ports.blobs.read(name, "x", offset=10, length=5) == b""
        assert ports.blobs.read(name, "x", offset=3, length=0) == b""

    def test_what_is_missing(self, ports: Ports, name: str) -> None:
        assert ports.blobs.facts(name, "x") is None
        assert list(ports.blobs.list(name)) == []
        with pytest.raises(BlobMissingError):
            ports.blobs.read(name, "x")
        ports.blobs.delete(name, "x")

    def test_only_one_of_many_creators_writes(self, ports: Ports, name: str) -> None:
        ports.blobs.write(name, "other", b"")
        with ThreadPoolExecutor(8) as pool:
            won = list(pool.map(lambda n: ports.blobs.create(name, "x", str(n).encode()), range(8)))
        assert won.count(True) == 1
        assert ports.blobs.read(name, "x") == str(won.index(True)).encode()

    def test_a_lease_has_one_holder(self, ports: Ports, name: str) -> None:
        lease = ports.blobs.acquire_lease(name, "lease", 15)
        with pytest.raises(LeaseHeldError):
            ports.blobs.acquire_lease(name, "lease", 15)
        ports.blobs.renew_lease(name, "lease", lease)
        ports.blobs.release_lease(name, "lease", lease)
        second = ports.blobs.acquire_lease(name, "lease", 15)
        with pytest.raises(LeaseLostError):
            ports.blobs.renew_lease(name, "lease", lease)
        ports.blobs.release_lease(name, "lease", lease)  # lost: nothing to release, and the new holder keeps it
        with pytest.raises(LeaseHeldError):
            ports.blobs.acquire_lease(name, "lease", 15)
        ports.blobs.release_lease(name, "lease", second)


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

    def test_a_queue_that_is_not_there_is_empty(self, ports: Ports, name: str) -> None:
        assert ports.queues.length(name) == 0
        assert list(ports.queues.drain(name, 10)) == []


class TestTables:
    @pytest.fixture(autouse=True)
    def table(self, ports: Ports, name: str) -> str:
        ports.tables.make_table(name)  # type: ignore[attr-defined]
        return name

    def test_values_keep_their_types(self, ports: Ports, name: str) -> None:
        moment = datetime(2026, 5, 1, 12, 0, 0, 123456, tzinfo=UTC)
        values = {"s": "ä'b", "i": 3, "big": 7_000_000_000_000, "f": 2.0, "yes": True, "t": moment, "empty": ""}
        ports.tables.insert(name, Row("p", "k", values))
        row = ports.tables.get(name, "p", "k")
        assert row is not None
        assert row.values == values
        assert {key: type(value) for key, value in row.values.items()} == {
            key: type(value) for key, value in values.items()
        }

    def test_filters(self, ports: Ports, name: str) -> None:
        moment = datetime(2026, 5, 1, 12, 0, 0, 123456, tzinfo=UTC)
        values = {"s": "a'b", "i": 3, "f": 2.5, "yes": True, "t": moment}
        ports.tables.insert(name, Row("p", "k", values))
        ports.tables.insert(name, Row("p", "l", {"s": "x", "i": 4, "f": 2.0, "yes": False, "t": datetime.now(UTC)}))
        for field, value in values.items():
            assert [row.key for row in ports.tables.query(name, equal={field: value})] == ["k"], field

    def test_queries_come_in_key_order_and_stop_at_the_limit(self, ports: Ports, name: str) -> None:
        for partition, key in [("b", "2"), ("a", "3"), ("b", "1"), ("a", "1"), ("a", "2")]:
            ports.tables.put(name, Row(partition, key, {}))
        assert [(row.partition, row.key) for row in ports.tables.query(name)] == [
            ("a", "1"),
            ("a", "2"),
            ("a", "3"),
            ("b", "1"),
            ("b", "2"),
        ]
        assert [row.key for row in ports.tables.query(name, partition="a", key_from="2")] == ["2", "3"]
        assert [row.key for row in ports.tables.query(name, partition="a", key_below="2")] == ["1"]
        assert [row.key for row in ports.tables.query(name, partition="a", limit=2)] == ["1", "2"]

    def test_a_query_runs_over_pages(self, ports: Ports, name: str) -> None:
        for start in range(0, 1100, 100):
            changes = [Change("insert", Row("p", f"{number:04d}", {})) for number in range(start, start + 100)]
            ports.tables.transact(name, changes)
        assert [row.key for row in ports.tables.query(name, partition="p")] == [f"{n:04d}" for n in range(1100)]

    def test_compare_and_swap(self, ports: Ports, name: str) -> None:
        row = ports.tables.insert(name, Row("p", "k", {"n": 1}))
        with pytest.raises(RowExistsError):
            ports.tables.insert(name, Row("p", "k", {"n": 9}))
        newer = ports.tables.replace(name, Row("p", "k", {"n": 2}, row.etag))
        with pytest.raises(RowChangedError):
            ports.tables.replace(name, Row("p", "k", {"n": 3}, row.etag))
        with pytest.raises(RowChangedError):
            ports.tables.delete(name, "p", "k", etag=row.etag)
        with pytest.raises(RowChangedError, match="never read"):
            ports.tables.replace(name, Row("p", "k", {"n": 3}))
        assert ports.tables.get(name, "p", "k") == newer
        ports.tables.delete(name, "p", "k", etag=newer.etag)
        with pytest.raises(RowChangedError):
            ports.tables.replace(name, Row("p", "k", {"n": 3}, newer.etag))
        ports.tables.delete(name, "p", "k")

    def test_replace_drops_fields_that_are_gone(self, ports: Ports, name: str) -> None:
        row = ports.tables.insert(name, Row("p", "k", {"old": 1}))
        ports.tables.replace(name, Row("p", "k", {"new": 1}, row.etag))
        assert ports.tables.get(name, "p", "k").values == {"new": 1}  # type: ignore[union-attr]

    def test_one_of_many_swaps_wins(self, ports: Ports, name: str) -> None:
        row = ports.tables.insert(name, Row("p", "k", {"n": -1}))

        def swap(number: int) -> bool:
            try:
                ports.tables.replace(name, Row("p", "k", {"n": number}, row.etag))
            except RowChangedError:
                return False
            return True

        with ThreadPoolExecutor(8) as pool:
            assert list(pool.map(swap, range(8))).count(True) == 1

    def test_a_transaction_is_all_or_nothing(self, ports: Ports, name: str) -> None:
        one = ports.tables.insert(name, Row("p", "1", {"n": 1}))
        two = ports.tables.insert(name, Row("p", "2", {"n": 1}))
        ports.tables.transact(
            name,
            [
                Change("replace", Row("p", "1", {"n": 2}, one.etag)),
                Change("delete", two),
                Change("insert", Row("p", "3", {"n": 3})),
                Change("put", Row("p", "4", {"n": 4})),
            ],
        )
        after = list(ports.tables.query(name, partition="p"))
        assert [(row.key, row.values["n"]) for row in after] == [("1", 2), ("3", 3), ("4", 4)]
        with pytest.raises(RowChangedError):
            ports.tables.transact(
                name,
                [Change("put", Row("p", "4", {"n": 9})), Change("replace", Row("p", "1", {"n": 9}, one.etag))],
            )
        with pytest.raises(RowExistsError):
            ports.tables.transact(
                name, [Change("put", Row("p", "4", {"n": 9})), Change("insert", Row("p", "3", {"n": 9}))]
            )
        with pytest.raises(RowChangedError):
            ports.tables.transact(name, [Change("put", Row("p", "4", {"n": 9})), Change("delete", two)])
        assert list(ports.tables.query(name, partition="p")) == after

    def test_keys_with_forbidden_characters(self, ports: Ports, name: str) -> None:
        key = "products/A B#1?x=50%\\z'ä"
        row = ports.tables.insert(name, Row("a/b", key, {"n": 1}))
        assert ports.tables.get(name, "a/b", key) == row
        newer = ports.tables.replace(name, row)
        assert [found.key for found in ports.tables.query(name, partition="a/b", key_from=key)] == [key]
        ports.tables.transact(name, [Change("delete", newer)])
        assert ports.tables.get(name, "a/b", key) is None


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
