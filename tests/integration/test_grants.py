"""A pool's grant on real storage: what its workers can do, what a rogue among them cannot, how it is renewed."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import requests
from azure.core.exceptions import HttpResponseError
from azure.storage.blob import BlobClient, ContainerClient
from azure.storage.queue import QueueClient

from integration.worker_kit import Storage, agents, orthoagent, until
from localdev.servers import Azurite, Broker
from orthocontracts import names
from orthocontracts.grants import PoolGrant, PresenceGrant, read_grant
from orthocontracts.version import KERNEL_RESULT_VERSION
from orthofunctions.adapters.grants import AccountKeyGrants
from orthofunctions.adapters.links import AccountKeyLinks
from orthofunctions.grant import main, write_private

OTHER = "other"


@pytest.fixture(scope="module")
def azurite(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Azurite]:
    """Of its own: with a file of pools, a catalogue, and another pool at work."""
    with Azurite(tmp_path_factory.mktemp("azurite")) as server:
        yield server


@pytest.fixture(scope="module")
def storage(azurite: Azurite) -> Iterator[Storage]:
    world = Storage(azurite)
    pools = "\n".join(f"  - {{name: {name}, kind: onprem, max_slots: 1}}" for name in (world.pool, OTHER))
    files = {
        f"{names.CONTAINER_SETTINGS}/{names.BLOB_POOLS}": f"pools:\n{pools}\n",
        f"{names.CONTAINER_CATALOGUE}/entry.json": "{}",
        f"{names.CONTAINER_RESULTS}/theirs.tif": "image",
        f"{names.ticket_container(OTHER)}/theirs-1.json": "secret",
        f"{names.ticket_container(world.pool)}/ours-1.json": "ticket",
    }
    for path, body in files.items():
        container, _, name = path.partition("/")
        if not world.blobs.get_container_client(container).exists():
            world.blobs.create_container(container)
        world.blobs.get_blob_client(container, name).upload_blob(body)
    queue = world.queues.create_queue(names.pool_queue(OTHER, KERNEL_RESULT_VERSION))
    queue.send_message("theirs")
    world.queues.get_queue_client(names.QUEUE_RESULTS).send_message("a report of theirs")
    yield world
    world.close()


@pytest.fixture(autouse=True)
def settings(azurite: Azurite, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ORTHOBURST_STORAGE", azurite.connection_string)


@pytest.fixture
def grant(storage: Storage, tmp_path: Path) -> PoolGrant:
    assert main(["--pool", storage.pool, "--days", "1", "--out", str(tmp_path / "grant")]) == 0
    read = read_grant((tmp_path / "grant").read_bytes())
    assert isinstance(read, PoolGrant)
    return read


def elsewhere(url: str, name: str, server: str | None = None) -> str:
    """The same signature for another queue, container or blob."""
    address, _, query = url.partition("?")
    head = address.rpartition("/")[0] if server is None else server
    return f"{head}/{name}?{query}"


def refused(call: object, *arguments: object, **more: object) -> None:
    with pytest.raises(HttpResponseError) as caught:
        list(call(*arguments, **more))  # type: ignore[operator]
    assert caught.value.status_code in (401, 403), caught.value


class TestIssuing:
    def test_the_file_is_for_its_owner_only_and_replaced_whole(self, storage: Storage, tmp_path: Path) -> None:
        path = tmp_path / "hpc.grant"
        for _ in range(2):
            assert main(["--pool", storage.pool, "--days", "0.5", "--out", str(path)]) == 0
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert os.listdir(tmp_path) == ["hpc.grant"]  # noqa: PTH208
        left = read_grant(path.read_bytes()).expires_at - datetime.now(UTC)
        assert timedelta(hours=11) < left <= timedelta(hours=12)

    def test_for_presence_on_standard_output(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert main(["--presence"]) == 0
        assert isinstance(read_grant(capsys.readouterr().out.encode()), PresenceGrant)

    def test_not_for_a_pool_that_the_site_does_not_have(
        self, storage: Storage, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert main(["--pool", "hcp"]) == 1
        assert f"has no pool hcp; it has {storage.pool}, {OTHER}" in capsys.readouterr().err

    @pytest.mark.parametrize("days", ["0", "-1", "91", "for ever"])
    def test_not_for_long(self, days: str) -> None:
        with pytest.raises(SystemExit):
            main(["--presence", "--days", days])


class TestWhatItGrants:
    def test_taking_renewing_and_deleting_messages_of_the_pool(self, storage: Storage, grant: PoolGrant) -> None:
        storage.pool_queue.send_message("ours")
        with QueueClient.from_queue_url(grant.queue) as queue:
            message = queue.receive_message(visibility_timeout=30)
            assert message is not None
            renewed = queue.update_message(message, visibility_timeout=30)
            queue.delete_message(message.id, renewed.pop_receipt)
            refused(queue.send_message, "a release of our own making")
            refused(queue.peek_messages)
            refused(queue.get_queue_properties)
            refused(queue.delete_queue)

    def test_reading_the_tickets_of_the_pool(self, grant: PoolGrant) -> None:
        with ContainerClient.from_container_url(grant.tickets) as tickets:
            assert tickets.download_blob("ours-1.json").readall() == b"ticket"
            refused(tickets.list_blobs)
            refused(tickets.upload_blob, "ours-2.json", b"forged")
            refused(tickets.upload_blob, "ours-1.json", b"forged", overwrite=True)
            refused(tickets.delete_blob, "ours-1.json")
            refused(tickets.delete_container)

    def test_adding_to_the_results(self, grant: PoolGrant) -> None:
        with QueueClient.from_queue_url(grant.results) as results:
            results.send_message("a report of ours")
            refused(results.receive_messages)
            refused(results.peek_messages)
            refused(results.clear_messages)
            refused(results.get_queue_properties)
            refused(results.delete_queue)

    def test_nothing_of_another_pool(self, grant: PoolGrant) -> None:
        queue = elsewhere(grant.queue, names.pool_queue(OTHER, KERNEL_RESULT_VERSION))
        with QueueClient.from_queue_url(queue) as theirs:
            refused(theirs.receive_messages)
            refused(theirs.peek_messages)
            refused(theirs.send_message, "forged")
        with ContainerClient.from_container_url(elsewhere(grant.tickets, names.ticket_container(OTHER))) as tickets:
            refused(tickets.download_blob, "theirs-1.json")
            refused(tickets.list_blobs)

    @pytest.mark.parametrize("container", names.CONTAINERS)
    def test_no_other_container(self, grant: PoolGrant, container: str) -> None:
        with ContainerClient.from_container_url(elsewhere(grant.tickets, container)) as other:
            refused(other.list_blobs)
            refused(other.upload_blob, "forged.json", b"{}")
            refused(other.download_blob, "entry.json")

    @pytest.mark.parametrize("queue", [*names.QUEUES, names.poison_queue(names.QUEUE_RESULTS)])
    def test_no_other_queue(self, grant: PoolGrant, queue: str) -> None:
        for url in (grant.queue, *([grant.results] if queue != names.QUEUE_RESULTS else [])):
            with QueueClient.from_queue_url(elsewhere(url, queue)) as other:
                refused(other.send_message, "forged")
                refused(other.receive_messages)

    def test_no_table(self, azurite: Azurite, grant: PoolGrant) -> None:
        tables = f"http://127.0.0.1:{azurite.table_port}/devstoreaccount1"
        for url in grant.signed_urls:
            for table in ("Tables", f"{names.TABLE_TASKS}()"):
                answer = requests.get(elsewhere(url, table, tables), headers={"Accept": "application/json"}, timeout=5)
                assert answer.status_code in (401, 403), answer.text

    def test_presence_adds_to_capacity_and_nothing_else(self, azurite: Azurite) -> None:
        with AccountKeyGrants(azurite.connection_string) as grants:
            own = grants.for_presence(datetime.now(UTC) + timedelta(minutes=5))
        with QueueClient.from_queue_url(own.capacity) as capacity:
            capacity.send_message("a status")
            refused(capacity.receive_messages)
        with QueueClient.from_queue_url(elsewhere(own.capacity, names.QUEUE_RESULTS)) as results:
            refused(results.send_message, "forged")

    def test_nothing_once_it_has_expired(self, storage: Storage, azurite: Azurite) -> None:
        with AccountKeyGrants(azurite.connection_string) as grants:
            old = grants.for_pool(storage.pool, KERNEL_RESULT_VERSION, datetime.now(UTC) - timedelta(seconds=5))
        with QueueClient.from_queue_url(old.queue) as queue:
            refused(queue.receive_messages)


def test_a_link_of_a_ticket_creates_its_file_and_does_nothing_else(storage: Storage, azurite: Azurite) -> None:
    until_ = datetime.now(UTC) + timedelta(minutes=5)
    url = AccountKeyLinks(azurite.connection_string).create_url(names.CONTAINER_RESULTS, "ours/1/a.tif", until_)
    with BlobClient.from_blob_url(url) as own:
        own.upload_blob(b"image")
        refused(own.upload_blob, b"another", overwrite=True)
        refused(own.download_blob)
        refused(own.delete_blob)
    address, _, query = url.partition("?")
    for path in ("results/theirs.tif", "results/ours/2/a.tif", "catalogue/entry.json", "catalogue/forged.json"):
        with BlobClient.from_blob_url(f"{address.replace('results/ours/1/a.tif', path)}?{query}") as other:
            refused(other.upload_blob, b"forged", overwrite=True)
    assert storage.blob("results/theirs.tif") == b"image"


class TestWorkers:
    @pytest.fixture(autouse=True)
    def no_report_yet(self, storage: Storage) -> None:
        storage.queues.get_queue_client(names.QUEUE_RESULTS).clear_messages()

    def issue(self, storage: Storage, path: Path, lasts_s: float) -> None:
        with AccountKeyGrants(storage.azurite.connection_string) as grants:
            ends = datetime.now(UTC).replace(microsecond=0) + timedelta(seconds=lasts_s)
            write_private(path, grants.for_pool(storage.pool, KERNEL_RESULT_VERSION, ends).to_json())

    def test_a_grant_is_renewed_under_a_running_worker(self, storage: Storage, tmp_path: Path) -> None:
        path = tmp_path / "grant"
        self.issue(storage, path, 8)
        with agents(storage, tmp_path) as starter:
            worker = starter(storage=None, grant=path)
            storage.report(storage.release({}), "finished")
            expired = worker.wait_for("grant_expired")
            warned = worker.wait_for("grant_expires_soon")
            assert str(warned["at"]) < str(warned["until"]) == str(expired["until"]) < str(expired["at"])
            late = storage.release({})
            path.write_text("half a gra")
            worker.wait_for("grant_unreadable")
            assert storage.reports_of(late) == []
            self.issue(storage, path, 3600)
            worker.wait_for("grant_renewed")
            storage.report(late, "finished")
            assert "sig=" not in worker.log_path.read_text().replace("sig=***", "")
            assert worker.end() == 0

    def test_one_that_cannot_be_used_ends_the_worker_at_once(self, storage: Storage, tmp_path: Path) -> None:
        open_, theirs, presence = (tmp_path / name for name in ("open", "theirs", "presence"))
        self.issue(storage, open_, 60)
        open_.chmod(0o644)
        assert main(["--pool", OTHER, "--out", str(theirs)]) == 0
        assert main(["--presence", "--out", str(presence)]) == 0
        says = {
            open_: "chmod 600",
            theirs: "is it another pool's",
            presence: f"not {names.ticket_container(storage.pool)}",
            tmp_path / "none": "No such file",
        }
        with agents(storage, tmp_path) as starter:
            workers = {path: starter(storage=None, grant=path, scratch=tmp_path / f"s-{path.name}") for path in says}
            for path, worker in workers.items():
                assert worker.process.wait(60) == 1
                assert says[path] in worker.log_path.read_text()

    def test_the_doctor_finds_that_it_suffices_or_what_it_lacks(self, storage: Storage, tmp_path: Path) -> None:
        ours, theirs = tmp_path / "ours", tmp_path / "theirs"
        self.issue(storage, ours, 60)
        assert main(["--pool", OTHER, "--out", str(theirs)]) == 0
        marks = {}
        for path in (ours, theirs):
            answer = orthoagent(
                "doctor", "--json", grant=path, agent="sick", pool=storage.pool, scratch=tmp_path, cache=tmp_path,
                compute="integration.worker_compute:act",
            )  # fmt: skip
            marks[path] = {one["check"] for one in json.loads(answer.stdout) if one["mark"] == "fail"}
        assert marks == {ours: set(), theirs: {"clock", "queue", "tickets"}}
        assert list(storage.queues.get_queue_client(names.QUEUE_RESULTS).peek_messages(32)) == []

    def test_one_way_into_storage_is_to_be_named(self, storage: Storage, tmp_path: Path) -> None:
        with agents(storage, tmp_path) as starter:
            for given in ({"storage": None}, {"grant": tmp_path / "grant"}):
                worker = starter(**given)
                assert worker.process.wait(60) == 2
                assert "set one of ORTHOAGENT_GRANT" in worker.log_path.read_text()


def test_presence_works_with_its_own(storage: Storage, broker: Broker, tmp_path: Path) -> None:
    assert main(["--presence", "--out", str(tmp_path / "presence")]) == 0
    with agents(storage, tmp_path) as starter:
        forwarder = starter("presence", storage=None, grant=tmp_path / "presence", broker=broker.url)
        starter(broker=broker.url).wait_for("broker_up")
        forwarder.wait_for("presence_listens")
        capacity = storage.queues.get_queue_client(names.QUEUE_CAPACITY)
        until(capacity.receive_message, "a status")
