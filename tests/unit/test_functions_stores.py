"""Storage placed as well as work: products read where they lie, images that stay on site, copies on demand, access."""

from __future__ import annotations

import hashlib
import json
from datetime import timedelta
from typing import Any

import pytest

from fakes.memory_ports import memory_ports
from fakes.products import ROME, members, put_safe
from fakes.world import COG, POOLS, Delivery, World
from orthocontracts import names
from orthocontracts.messages import Verdict
from orthocontracts.outputs import FileFacts
from orthocontracts.requests import Request
from orthocontracts.states import OutputState, TaskState
from orthocontracts.stores import ELSEWHERE, SCHEME, plain_path, split_site_url
from orthofunctions.domain.access import trust_scope
from orthofunctions.domain.faults import BrokenProductError, NoAccessError
from orthofunctions.domain.pending_index import index_rows, pending_task
from orthofunctions.domain.planning import Limits
from orthofunctions.domain.pools import PoolsFileError, SiteSpec, parse_site
from orthofunctions.domain.records import JobRecord, OutputRecord, TaskRecord
from orthofunctions.domain.rules import Rules
from orthofunctions.ports import Ports
from orthofunctions.usecases.copy import copy_results
from orthofunctions.usecases.explain import reasons_to_wait
from orthofunctions.usecases.inspect import inspect_product
from orthofunctions.usecases.plan import plan_request
from orthofunctions.usecases.results import result_links
from orthofunctions.usecases.rows import find

LIMITS, RULES = Limits(), Rules(patience_s=300)
TIFF = next(path for path in members(ROME) if path.startswith("measurement/"))
FOLDER = f"{ROME}.SAFE"


@pytest.fixture
def ports() -> Ports:
    return memory_ports()


def leave_on_site(ports: Ports, **changes: Any) -> None:
    """Turn the uploaded product into a stub: its image lies in the archive."""
    put_safe(ports.blobs)
    size = len(members(ROME)[TIFF])
    ports.blobs.delete("products", f"{FOLDER}/{TIFF}")
    files = {TIFF: {"path": f"2021/{FOLDER}/{TIFF}", "size_bytes": size, **changes}}
    text = json.dumps({"v": 1, "store": "archive", "files": files})
    ports.blobs.write("products", f"{FOLDER}/{ELSEWHERE}", text.encode())


def ask(request_id: str = "r1", user: str = "local") -> Request:
    return Request.model_validate(
        {
            "request_id": request_id, "user": user, "products": [f"products/{FOLDER}"],
            "grid": {"kind": "mgrs", "tiles": ["33TUG"]}, "terrain": {"height_m": 0},
        }
    )  # fmt: skip


def set_pools(ports: Ports, **changes: Any) -> None:
    """The world's centre with an archive at hand, in which its images stay."""
    hpc, cloud = POOLS.pools
    hpc = hpc.model_copy(update={"local": ("blobs", "archive"), "results_in": "archive"})
    site = {
        "stores": [{"name": "blobs"}, {"name": "archive"}],
        "pools": [json.loads(p.to_json()) for p in (hpc, cloud)],
    }
    ports.blobs.write(names.CONTAINER_SETTINGS, names.BLOB_POOLS, json.dumps({**site, **changes}).encode())


class TestProductsOnSite:
    def test_a_stub_is_the_same_product_wherever_its_image_lies(self, ports: Ports) -> None:
        whole = memory_ports()
        put_safe(whole.blobs)
        leave_on_site(ports)
        there, here = (
            inspect_product(ports.blobs, f"products/{FOLDER}"),
            inspect_product(whole.blobs, f"products/{FOLDER}"),
        )
        assert there.source == here.source
        assert (there.bytes_at, here.bytes_at) == ({"archive": len(members(ROME)[TIFF])}, {})

    def test_the_policy_knows_how_much_lies_where(self, ports: Ports) -> None:
        leave_on_site(ports)
        job = plan_request(ports, ask(), LIMITS, RULES)
        (task,) = find(ports.tables, TaskRecord, partition=job.job_id)
        pending = pending_task(index_rows(task)[0], 300.0)
        size = len(members(ROME)[TIFF])
        assert pending.sites == {"archive"}
        assert dict(pending.inputs) == {"blobs": task.input_bytes - size, "archive": size}

    def test_it_waits_for_a_pool_that_has_the_store_and_says_so(self, ports: Ports) -> None:
        leave_on_site(ports)
        job = plan_request(ports, ask(), LIMITS, RULES)
        (task,) = find(ports.tables, TaskRecord, partition=job.job_id)
        waits = reasons_to_wait(ports, RULES, [task])[task.task_id]
        assert waits == "its data lie in store archive, which no pool with workers has at hand"

    def test_the_ticket_says_where_the_image_lies_and_links_the_rest(self) -> None:
        world = World()
        set_pools(world.ports)
        leave_on_site(world.ports)
        plan_request(world.ports, ask(), LIMITS, world.rules)
        world.status("node-1")
        world.round()
        delivery = world.take()
        assert delivery is not None
        urls = {file.path: file.url for file in delivery.ticket.inputs}
        assert urls[f"products/{FOLDER}/{TIFF}"] == f"site://archive/2021/{FOLDER}/{TIFF}"
        assert urls[f"products/{FOLDER}/manifest.safe"].startswith("memory://")
        assert not any(path.endswith(ELSEWHERE) for path in urls)

    @pytest.mark.parametrize(
        ("changes", "wrong"),
        [
            ({"path": "../../etc/passwd"}, "not a plain path"),
            ({"path": "/etc/passwd"}, "not a plain path"),
            ({"path": "a/.ssh/id"}, "not a plain path"),
            ({"size_bytes": -1}, "greater than or equal to 0"),
        ],
    )
    def test_a_stub_that_cannot_be_used_says_why(self, ports: Ports, changes: dict[str, Any], wrong: str) -> None:
        leave_on_site(ports, **changes)
        with pytest.raises(BrokenProductError, match=wrong):
            inspect_product(ports.blobs, f"products/{FOLDER}")

    def test_an_image_of_another_size_than_the_manifest_has_is_refused(self, ports: Ports) -> None:
        leave_on_site(ports, size_bytes=3)
        with pytest.raises(BrokenProductError, match="3 bytes, not the"):
            inspect_product(ports.blobs, f"products/{FOLDER}")


class Worker:
    """Delivers to the site's store, which is a dict here, or to blob storage: wherever its ticket says."""

    def __init__(self) -> None:
        self.store: dict[str, bytes] = {}

    def make(self, world: World, delivery: Delivery, *, spoil: bool = False) -> None:
        verdicts = []
        for digest in delivery.ticket.wanted:
            files = {}
            for kind, link in delivery.ticket.deliveries[delivery.number - 1].files[digest].items():
                data = self._copied(delivery, digest, kind) or COG + kind.encode()
                data += b"!" if spoil else b""
                if link.url.startswith(SCHEME):
                    self.store[link.blob] = data
                else:
                    container, _, name = link.blob.partition("/")
                    assert world.ports.blobs.create(container, name, data)
                files[kind] = FileFacts(blob=link.blob, size_bytes=len(data), md5=hashlib.md5(data).hexdigest())
            verdicts.append(Verdict(digest=digest, files=files))
        delivery.report("finished", tuple(verdicts))
        delivery.delete_message()
        world.deliver_results()

    def _copied(self, delivery: Delivery, digest: str, kind: str) -> bytes | None:
        spec = delivery.ticket.spec
        if spec.process != "copy":
            return None
        source = spec.products[[output.digest for output in spec.outputs].index(digest)]
        suffix = {"image": ".tif", "mask": "_mask.tif", "browse": ".png", "item": ".json"}[kind]
        url = next(file.url for file in delivery.ticket.inputs if file.path == f"{source.ref}{suffix}")
        if url.startswith(SCHEME):
            return self.store[url]
        container, _, name = url.removeprefix("memory://").partition("?")[0].partition("/")
        return delivery.world.ports.blobs.read(container, name)


def run(world: World, worker: Worker, **how: bool) -> None:
    world.status("node-1", slots=2)
    world.round()
    delivery = world.take()
    assert delivery is not None
    worker.make(world, delivery, **how)


def make_on_site() -> tuple[World, Worker, JobRecord]:
    world, worker = World(), Worker()
    set_pools(world.ports)
    world.job("one", "AB")
    run(world, worker)
    return world, worker, world.jobs()[0]


def links(world: World, job: JobRecord) -> list[dict[str, Any]]:
    outputs = find(world.ports.tables, OutputRecord, partition=job.job_id)
    return result_links(world.ports, outputs, timedelta(hours=1))


class TestImagesOnSite:
    def test_the_image_stays_and_what_the_catalogue_shows_comes(self) -> None:
        world, worker, job = make_on_site()
        assert {task.state for task in world.tasks()} == {TaskState.SUCCEEDED}
        assert len(worker.store) == 4  # two images, two masks
        for result in links(world, job):
            assert "href" not in result["image"]
            assert result["image"]["blob"].startswith("site://archive/results/")
            assert result["browse"]["href"].startswith("memory://results/")

    def test_a_copy_is_a_job_of_its_own_and_the_results_have_links_then(self) -> None:
        world, worker, job = make_on_site()
        (copying,) = copy_results(world.ports, job)
        assert copy_results(world.ports, job)[0].job_id == copying.job_id
        plan_messages(world)
        task = next(one for one in world.tasks() if one.job_id == copying.job_id)
        assert task.process == "copy"
        assert pending_task(index_rows(task)[0], 0).sites == {"archive"}
        run(world, worker)
        assert {output.state for output in world.outputs()} == {OutputState.COMMITTED}
        before = {facts.blob: facts for entry in world.catalogue() for facts in entry.files.values()}
        for result in links(world, job):
            assert result["image"]["href"].startswith("memory://results/")
            assert result["image"]["md5"] in {one.md5 for blob, one in before.items() if blob.startswith(SCHEME)}
        assert copy_results(world.ports, job) == []

    def test_a_copy_that_differs_is_refused_and_made_again(self) -> None:
        world, worker, job = make_on_site()
        copy_results(world.ports, job)
        plan_messages(world)
        run(world, worker, spoil=True)
        task = next(one for one in world.tasks() if one.process == "copy")
        assert task.state is TaskState.PENDING
        assert "its image's image had" in str(task.fault_message)
        world.clock.advance(60)
        run(world, worker)
        assert "href" in links(world, job)[0]["image"]

    def test_copies_of_what_is_not_there_or_in_blob_storage_are_refused(self) -> None:
        world = World()
        world.job("one", "A")
        run(world, Worker())
        digest = world.outputs()[0].digest
        for number, (name, kind) in enumerate(((digest, "NothingToCopy"), ("0" * 64, "ProductMissing"))):
            request = Request(request_id=f"c{number}", process="copy", products=(f"catalogue/{name}",))
            assert plan_request(world.ports, request, LIMITS, world.rules).fault_kind == kind

    def test_a_worker_cannot_say_that_a_file_lies_in_a_store_its_pool_does_not_have(self) -> None:
        world, worker = World(), Worker()
        set_pools(world.ports)
        world.job("one", "A")
        world.status("node-1")
        world.round()
        delivery = world.take()
        assert delivery is not None
        set_pools(world.ports, pools=[json.loads(pool.to_json()) for pool in POOLS.pools])
        worker.make(world, delivery)
        assert "does not have store archive" in str(world.tasks()[0].fault_message)
        assert world.catalogue() == []

    def test_a_request_names_images_for_copies_and_products_for_images(self) -> None:
        with pytest.raises(ValueError, match="process copy takes catalogue/"):
            Request(request_id="a", process="copy", products=("products/x.tif",))
        with pytest.raises(ValueError, match="process orthorectify takes products/"):
            Request(request_id="a", products=("catalogue/" + "0" * 64,))


def plan_messages(world: World) -> None:
    """What the planner does with the messages of queue ``requests``."""
    for body in world.queues.drain(names.QUEUE_REQUESTS, 10):
        request = Request.model_validate(json.loads(body)["request"])
        plan_request(world.ports, request, LIMITS, world.rules)


class TestAccess:
    SITE = SiteSpec.model_validate(
        {
            "pools": [{"name": "hpc", "kind": "onprem", "max_slots": 1}],
            "groups": [{"name": "mapping", "members": ["ana", "ben"]}],
            "restricted": [{"prefix": "products/pleiades/", "readers": ["mapping", "eva"]}],
        }
    )

    def test_what_all_may_read_is_shared_by_all(self) -> None:
        assert trust_scope(self.SITE, "zoe", ["products/a.tif"]) == trust_scope(self.SITE, "ana", ["products/a.tif"])

    def test_restricted_products_are_for_their_readers_and_never_join(self) -> None:
        refs = ["products/a.tif", "products/pleiades/b.tif"]
        scopes = [trust_scope(self.SITE, user, refs) for user in ("ana", "ben", "eva")]
        assert len(set(scopes)) == 3
        with pytest.raises(NoAccessError, match=r"pleiades/b\.tif is restricted, and zoe is not among its readers"):
            trust_scope(self.SITE, "zoe", refs)

    def test_two_readers_have_their_own_outputs_and_tasks(self, ports: Ports) -> None:
        put_safe(ports.blobs)
        text = {**json.loads(self.SITE.to_json()), "restricted": [{"prefix": "products/", "readers": ["ana", "ben"]}]}
        ports.blobs.write(names.CONTAINER_SETTINGS, names.BLOB_POOLS, json.dumps(text).encode())
        jobs = [plan_request(ports, ask("r", user), LIMITS, RULES) for user in ("ana", "ben", "zoe")]
        assert [job.fault_kind for job in jobs] == [None, None, "NoAccess"]
        digests = [{one.digest for one in find(ports.tables, OutputRecord, partition=job.job_id)} for job in jobs]
        assert digests[0].isdisjoint(digests[1])
        assert len(list(find(ports.tables, TaskRecord))) == 2


@pytest.mark.parametrize("path", ["a/b.tif", "2026/05/S1A_IW.SAFE/measurement/x-001.tiff", "a+b/c_d"])
def test_plain_paths(path: str) -> None:
    assert split_site_url(f"site://archive/{path}") == ("archive", path)


@pytest.mark.parametrize("path", ["", "/a", "a//b", "a/../b", "a/.b", "a b", "a\x00b", "a/", "-rf/x", "x" * 501])
def test_paths_that_are_not_plain(path: str) -> None:
    with pytest.raises(ValueError, match="not a plain path"):
        plain_path(path)


def test_results_stay_in_a_store_the_pool_has() -> None:
    text = (
        b"stores: [{name: blobs}, {name: far}]\npools:\n  - {name: hpc, kind: onprem, max_slots: 1, results_in: far}\n"
    )
    with pytest.raises(PoolsFileError, match="pool hpc: results_in is 'far', which is not among its local"):
        parse_site(text)
