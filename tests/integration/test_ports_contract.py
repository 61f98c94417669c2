"""What ``orthofunctions.ports`` promises, kept alike by the adapters on the emulator and by the ports in memory."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from datetime import UTC, datetime
from uuid import uuid4

import pytest

from fakes.memory_ports import memory_ports
from integration.storage import azure_ports
from localdev.servers import Azurite
from orthofunctions.ports import (
    BlobChangedError,
    BlobMissingError,
    Change,
    LeaseHeldError,
    LeaseLostError,
    Ports,
    Row,
    RowChangedError,
    RowExistsError,
)


@pytest.fixture(scope="module", params=["azurite", "memory"])
def ports(request: pytest.FixtureRequest) -> Iterator[Ports]:
    if request.param == "memory":
        yield memory_ports()
        return
    azurite: Azurite = request.getfixturevalue("azurite")
    with azure_ports(azurite.connection_string) as over_azurite:
        yield over_azurite


@pytest.fixture
def name(ports: Ports) -> str:
    """A name of the test's own, for a container, a queue or a table; the table is there."""
    name = "t" + uuid4().hex[:12]
    make_table = getattr(ports.tables, "make_table", None)
    if make_table is not None:
        make_table(name)
    return name


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

    def test_one_version_is_read_or_none(self, ports: Ports, name: str) -> None:
        ports.blobs.write(name, "x", b"0123456789")
        facts = ports.blobs.facts(name, "x")
        assert facts is not None
        assert ports.blobs.read(name, "x", offset=3, length=4, etag=facts.etag) == b"3456"
        ports.blobs.write(name, "x", b"9876543210")
        with pytest.raises(BlobChangedError):
            ports.blobs.read(name, "x", offset=3, length=4, etag=facts.etag)

    def test_what_is_missing(self, ports: Ports, name: str) -> None:
        assert ports.blobs.facts(name, "x") is None
        assert list(ports.blobs.list(name)) == []
        with pytest.raises(BlobMissingError):
            ports.blobs.read(name, "x")
        ports.blobs.delete(name, "x")

    def test_a_blob_is_deleted_only_as_it_was_seen(self, ports: Ports, name: str) -> None:
        ports.blobs.write(name, "x", b"1")
        seen = ports.blobs.facts(name, "x")
        assert seen is not None
        ports.blobs.write(name, "x", b"2")
        ports.blobs.delete(name, "x", etag=seen.etag)
        assert ports.blobs.read(name, "x") == b"2"
        newer = ports.blobs.facts(name, "x")
        assert newer is not None
        ports.blobs.delete(name, "x", etag=newer.etag)
        assert ports.blobs.facts(name, "x") is None
        ports.blobs.delete(name, "x", etag=newer.etag)

    def test_names_right_below_a_folder_come_page_by_page(self, ports: Ports, name: str) -> None:
        assert ports.blobs.names_below(name) == ([], "")
        for blob in ("a.zip", "b/1", "b/c/2", "b/c/3", "d.SAFE/m", "d.SAFE/n/o"):
            ports.blobs.write(name, blob, b"")
        for folder, below in (("", ["a.zip", "b/", "d.SAFE/"]), ("b/", ["b/1", "b/c/"]), ("x/", [])):
            found: list[str] = []
            token = ""
            while True:
                page, token = ports.blobs.names_below(name, folder, token)
                found += page
                if not token:
                    break
            assert sorted(found) == below

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
    def test_a_queue_that_is_not_there_is_empty(self, ports: Ports, name: str) -> None:
        assert ports.queues.length(name) == 0
        assert list(ports.queues.drain(name, 10)) == []

    def test_messages_wait_until_they_are_visible(self, ports: Ports, name: str) -> None:
        ports.queues.send_release(name, "now")
        ports.queues.send(name, "later", visible_in_s=60)
        assert ports.queues.length(name) == 2
        assert list(ports.queues.drain(name, 10)) == ["now"]
        assert ports.queues.length(name) == 1

    def test_the_oldest_of_those_that_nobody_has_taken(self, ports: Ports, name: str) -> None:
        assert ports.queues.oldest(name) is None
        ports.queues.send_release(name, "later")
        ports.queues.drain(name, 1)
        ports.queues.send(name, "hidden", visible_in_s=60)
        assert ports.queues.oldest(name) is None
        ports.queues.send(name, "here")
        at = ports.queues.oldest(name)
        assert at is not None
        assert at.tzinfo is not None


class TestTables:
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

    def test_a_query_for_some_fields_reads_no_others(self, ports: Ports, name: str) -> None:
        whole = ports.tables.insert(name, Row("a", "1", {"wanted": 1, "large": "x" * 1000}))
        (lean,) = ports.tables.query(name, fields=["wanted", "absent"])
        assert lean == Row("a", "1", {"wanted": 1}, whole.etag)

    def test_compare_and_swap(self, ports: Ports, name: str) -> None:
        row = ports.tables.insert(name, Row("p", "k", {"n": 1}))
        with pytest.raises(RowExistsError):
            ports.tables.insert(name, Row("p", "k", {"n": 9}))
        newer = ports.tables.replace(name, Row("p", "k", {"n": 2}, row.etag))
        with pytest.raises(RowChangedError):
            ports.tables.replace(name, Row("p", "k", {"n": 3}, row.etag))
        with pytest.raises(RowChangedError):
            ports.tables.delete(name, "p", "k", etag=row.etag)
        with pytest.raises(RowChangedError):
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

    def test_a_range_of_partitions(self, ports: Ports, name: str) -> None:
        for partition in ("a-1", "a-2", "b-1"):
            ports.tables.put(name, Row(partition, "k", {}))
        found = ports.tables.query(name, partition_from="a-", partition_below="a-2")
        assert [row.partition for row in found] == ["a-1"]
