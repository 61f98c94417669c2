"""A request's way through the planner: faults that end its job, redelivery, digests found, joined and claimed."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest

from fakes.memory_ports import ManualClock, MemoryQueues, memory_ports
from fakes.products import ROME, affine_rpc, manifest, members, put_safe, rpc_text, rpc_tiff, safe_zip
from orthocontracts import names
from orthocontracts.requests import Request
from orthocontracts.states import OutputState, TaskState
from orthofunctions.domain.pending_index import BY_TURN, READY, due_at
from orthofunctions.domain.planning import Limits
from orthofunctions.domain.records import DigestRecord, DigestState, JobRecord, OutputRecord, TaskRecord
from orthofunctions.domain.rules import Rules
from orthofunctions.ports import Ports
from orthofunctions.usecases.pending import candidates, current_tasks
from orthofunctions.usecases.plan import plan_request, read_plan
from orthofunctions.usecases.rows import find, load, swap
from orthofunctions.usecases.submit import RequestUnreadableError, read_request, submit

LIMITS, RULES = Limits(), Rules(patience_s=300)
TILES = {"kind": "mgrs", "tiles": ["33TUG", "33TUH", "33TTG"]}


@pytest.fixture
def ports() -> Ports:
    return memory_ports()


def ask(request_id: str = "r1", **changes: Any) -> Request:
    return Request.model_validate(
        {
            "request_id": request_id,
            "products": [f"products/{ROME}.SAFE"],
            "grid": TILES,
            "terrain": {"height_m": 0},
            **changes,
        }
    )


def outputs_of(ports: Ports, job: JobRecord) -> list[OutputRecord]:
    return list(find(ports.tables, OutputRecord, partition=job.job_id))


def tasks_of(ports: Ports, job: JobRecord) -> list[TaskRecord]:
    return list(find(ports.tables, TaskRecord, partition=job.job_id))


def indexed(ports: Ports) -> set[str]:
    """Tasks in the index, each in the order of urgency and in that of turns."""
    rows = list(ports.tables.query(names.TABLE_PENDING))
    found = {str(row.values["task_id"]) for row in rows}
    classes = {(str(row.values["task_id"]), row.partition.split("-")[1]) for row in rows}
    assert classes == {(task_id, order) for task_id in found for order in (READY, BY_TURN)}
    return found


def test_a_request_becomes_outputs_and_a_pending_task_in_the_index_and_wakes_the_dispatcher(ports: Ports) -> None:
    put_safe(ports.blobs)
    job = plan_request(ports, ask(), LIMITS, RULES)
    assert job.planned
    assert job.fault_kind is None
    outputs, tasks = outputs_of(ports, job), tasks_of(ports, job)
    assert [output.state for output in outputs] == [OutputState.WANTED] * 3
    (task,) = tasks
    assert task.state is TaskState.PENDING
    assert {output.task_id for output in outputs} == {task.task_id}
    assert task.megapixels == pytest.approx(3 * 10980**2 / 1e6)
    assert indexed(ports) == {task.task_id}
    assert ports.queues.length(names.QUEUE_DISPATCH) == 1


def test_a_redelivered_request_changes_nothing(ports: Ports) -> None:
    put_safe(ports.blobs)
    first = plan_request(ports, ask(), LIMITS, RULES)
    stored, tasks = read_plan(ports, first.job_id), tasks_of(ports, first)
    ports.blobs.write("products", f"{ROME}.SAFE/manifest.safe", manifest(members(ROME)) + b" ")
    assert plan_request(ports, ask(), LIMITS, RULES) == first
    assert read_plan(ports, first.job_id) == stored
    assert tasks_of(ports, first) == tasks
    assert ports.queues.length(names.QUEUE_DISPATCH) == 1


def test_a_stored_plan_counts_even_where_the_product_has_gone_since(ports: Ports) -> None:
    put_safe(ports.blobs)
    job = plan_request(ports, ask(), LIMITS, RULES)
    stored = load(ports.tables, JobRecord, "local", job.job_id)
    assert stored is not None
    swap(ports.tables, stored.changed(planned=False))  # as if the process had died before its last write
    ports.blobs.delete("products", f"{ROME}.SAFE/manifest.safe")
    again = plan_request(ports, ask(), LIMITS, RULES)
    assert again.planned
    assert again.fault_kind is None


def test_what_the_catalogue_has_is_answered_at_once_and_makes_no_task(ports: Ports) -> None:
    put_safe(ports.blobs)
    first = plan_request(ports, ask(), LIMITS, RULES)
    for output in outputs_of(ports, first)[:2]:
        ports.blobs.write(names.CONTAINER_CATALOGUE, names.catalogue_blob(output.digest), b"{}")
    second = plan_request(ports, ask("r2"), LIMITS, RULES)
    states = [output.state for output in outputs_of(ports, second)]
    assert states == [OutputState.COMMITTED, OutputState.COMMITTED, OutputState.WANTED]
    assert [output.task_id for output in outputs_of(ports, second)][:2] == ["", ""]
    assert tasks_of(ports, second) == []


def test_what_is_under_way_is_joined(ports: Ports) -> None:
    put_safe(ports.blobs)
    first = plan_request(ports, ask(), LIMITS, RULES)
    more = {"kind": "mgrs", "tiles": [*TILES["tiles"], "33TTF"]}
    second = plan_request(ports, ask("r2", user="other", grid=more), LIMITS, RULES)
    (task,) = tasks_of(ports, second)
    makers = {output.title.rsplit(" ", 1)[1]: output.task_id for output in outputs_of(ports, second)}
    assert makers.pop("33TTF") == task.task_id
    assert set(makers.values()) == {tasks_of(ports, first)[0].task_id}
    assert task.megapixels == pytest.approx(10980**2 / 1e6)
    for output in outputs_of(ports, first):
        row = ports.tables.get(DigestRecord.TABLE, output.digest, f"sub-{second.job_id}")
        assert row is not None
        assert row.values["user"] == "other"


@pytest.mark.parametrize(
    ("first", "second", "due_s"),
    [
        ({}, {}, 300),
        ({}, {"patience_s": 10}, 70),  # asked for a minute later
        ({"patience_s": 20}, {"patience_s": 10}, 20),
        ({}, {"deadline": "2026-05-01T12:02:00Z"}, 120),
        ({"deadline": "2026-05-01T12:02:00Z"}, {"deadline": "2026-05-01T13:00:00Z"}, 120),
        ({"deadline": "2026-05-01T13:00:00Z"}, {"patience_s": 10}, 70),
    ],
)
def test_a_joined_task_is_as_urgent_as_the_most_urgent_request(
    ports: Ports, first: dict[str, Any], second: dict[str, Any], due_s: float
) -> None:
    put_safe(ports.blobs)
    job = plan_request(ports, ask("r1", **first), LIMITS, RULES)
    assert isinstance(ports.clock, ManualClock)
    start = ports.clock.now()
    ports.clock.advance(60)
    plan_request(ports, ask("r2", **second), LIMITS, RULES)
    (task,) = tasks_of(ports, job)
    assert (due_at(task, RULES.patience_s) - start).total_seconds() == due_s
    (found,) = candidates(ports, RULES, task.result_version, ports.clock.now(), 10).values()
    assert current_tasks(ports, [found], ports.clock.now()) == {task.task_id: task}
    expected_s = (start + timedelta(seconds=due_s)).timestamp()
    assert expected_s in (found.pending.deadline_s, found.pending.created_s + found.pending.patience_s)


def test_a_task_under_way_is_left_alone_by_who_joins_it(ports: Ports) -> None:
    put_safe(ports.blobs)
    job = plan_request(ports, ask("r1"), LIMITS, RULES)
    (task,) = tasks_of(ports, job)
    task = swap(ports.tables, task.changed(state=TaskState.RELEASED, release=1))
    plan_request(ports, ask("r2", patience_s=0), LIMITS, RULES)
    assert tasks_of(ports, job) == [task]


@pytest.mark.parametrize("state", [DigestState.FAILED, DigestState.ABANDONED, DigestState.COMMITTED])
def test_a_closed_digest_without_a_catalogue_item_is_claimed_anew(ports: Ports, state: DigestState) -> None:
    put_safe(ports.blobs)
    first = plan_request(ports, ask(), LIMITS, RULES)
    for output in outputs_of(ports, first):
        digest = load(ports.tables, DigestRecord, output.digest, "state")
        assert digest is not None
        swap(ports.tables, digest.changed(state=state))
    second = plan_request(ports, ask("r2"), LIMITS, RULES)
    (task,) = tasks_of(ports, second)
    for output in outputs_of(ports, second):
        digest = load(ports.tables, DigestRecord, output.digest, "state")
        assert digest is not None
        assert (digest.state, digest.task_id, digest.claims) == (DigestState.OPEN, task.task_id, 2)


def test_a_commit_that_comes_between_looking_and_joining_is_seen(ports: Ports, monkeypatch: pytest.MonkeyPatch) -> None:
    put_safe(ports.blobs)
    first = plan_request(ports, ask(grid={"kind": "mgrs", "tiles": ["33TUG"]}), LIMITS, RULES)
    (output,) = outputs_of(ports, first)
    transact, commits = ports.tables.transact, []

    def commit_first(table: str, changes: Any) -> None:
        if table == DigestRecord.TABLE and not commits:
            commits.append(1)
            ports.blobs.write(names.CONTAINER_CATALOGUE, names.catalogue_blob(output.digest), b"{}")
            digest = load(ports.tables, DigestRecord, output.digest, "state")
            assert digest is not None
            swap(ports.tables, digest.changed(state=DigestState.COMMITTED))
        transact(table, changes)

    monkeypatch.setattr(ports.tables, "transact", commit_first)
    second = plan_request(ports, ask("r2", grid={"kind": "mgrs", "tiles": ["33TUG"]}), LIMITS, RULES)
    assert commits == [1]
    assert [one.state for one in outputs_of(ports, second)] == [OutputState.COMMITTED]
    assert tasks_of(ports, second) == []


def test_a_cancelled_request_is_not_planned(ports: Ports) -> None:
    put_safe(ports.blobs)
    job = submit(ports, ask(), "http")
    swap(ports.tables, job.changed(cancelled=True))
    assert plan_request(ports, ask(), LIMITS, RULES).planned is False
    assert tasks_of(ports, job) == []


def test_a_request_cancelled_while_it_is_planned_leaves_no_work(ports: Ports, monkeypatch: pytest.MonkeyPatch) -> None:
    put_safe(ports.blobs)
    create = ports.blobs.create

    def cancel_now(container: str, name: str, data: bytes) -> bool:
        if container == names.CONTAINER_PLANS:
            (job,) = find(ports.tables, JobRecord)
            swap(ports.tables, job.changed(cancelled=True))
        return create(container, name, data)

    monkeypatch.setattr(ports.blobs, "create", cancel_now)
    job = plan_request(ports, ask(), LIMITS, RULES)
    assert {output.state for output in outputs_of(ports, job)} == {OutputState.CANCELLED}
    assert {task.state for task in tasks_of(ports, job)} <= {TaskState.CANCELLED}


BOMB = '<!DOCTYPE x [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;&a;&a;">]>'


@pytest.mark.parametrize(
    ("blob", "data", "kind", "says"),
    [
        ("nothing.zip", None, "UnknownProduct", "not a product name"),
        (f"{ROME}.zip", None, "ProductMissing", "upload it first"),
        ("a.tif", None, "ProductMissing", "upload it first"),
        ("notes.txt", b"x", "UnknownProduct", "not a product name"),
        (f"{ROME}.zip", b"PK no zip", "BrokenProduct", "not a whole zip"),
        (f"{ROME}.zip", safe_zip()[:-30], "BrokenProduct", "not a whole zip"),
        (f"{ROME}.zip", safe_zip(extra={"../../etc/passwd": b"x"}), "UnsafeProduct", "leaves the folder"),
        (f"{ROME}.zip", safe_zip(extra={"/etc/passwd": b"x"}), "UnsafeProduct", "leaves the folder"),
        (f"{ROME}.zip", safe_zip(extra={"other/manifest.safe": b"x"}), "BrokenProduct", "2 SAFE manifests"),
        (f"{ROME}.zip", safe_zip(manifest_xml=manifest({}, prologue=BOMB)), "UnsafeProduct", "entity declaration"),
        (f"{ROME}.zip", safe_zip(manifest_xml=b"<XFDU>"), "BrokenProduct", "not well-formed XML"),
        (f"{ROME}.zip", safe_zip(manifest_xml=b"<XFDU/>"), "BrokenProduct", "no readable startTime"),
        (f"{ROME.replace('GRDH', 'SLC_')}.zip", safe_zip(), "UnknownProduct", "SLC"),
        ("a.tif", b"II*\x00", "BrokenProduct", "cut off"),
        ("a.tif", b"not a tiff at all, but long enough", "BrokenProduct", "does not begin as a TIFF"),
        ("a.tif", rpc_tiff(None), "BrokenProduct", "no RPC in its tags and no a_RPC.TXT beside it"),
        ("a.tif", rpc_tiff(affine_rpc()), "OffProduct", "no product touches tile 33TTG, 33TUG, 33TUH"),
    ],
)
def test_what_is_wrong_with_a_product_ends_its_job_with_the_reason(
    ports: Ports, blob: str, data: bytes | None, kind: str, says: str
) -> None:
    if data is not None:
        ports.blobs.write("products", blob, data)
    job = plan_request(ports, ask(products=[f"products/{blob}"]), LIMITS, RULES)
    assert job.planned
    assert job.fault_kind == kind
    assert says in (job.fault_message or "")
    assert tasks_of(ports, job) == []
    assert ports.queues.length(names.QUEUE_DISPATCH) == 0
    assert plan_request(ports, ask(products=[f"products/{blob}"]), LIMITS, RULES) == job  # a redelivery changes nothing


def test_a_safe_folder_without_what_its_manifest_lists_is_refused(ports: Ports) -> None:
    ref = put_safe(ports.blobs)
    path = next(path for path in members(ROME) if path.startswith("measurement/"))
    ports.blobs.write("products", f"{ROME}.SAFE/{path}", b"short")
    assert "has 5 bytes, not the 64" in (plan_request(ports, ask("r1"), LIMITS, RULES).fault_message or "")
    ports.blobs.delete("products", f"{ROME}.SAFE/{path}")
    assert f"lacks {path}" in (plan_request(ports, ask("r2"), LIMITS, RULES).fault_message or "")
    ports.blobs.delete("products", f"{ROME}.SAFE/manifest.safe")
    missing = plan_request(ports, ask("r3", products=[ref]), LIMITS, RULES)
    assert missing.fault_kind == "ProductMissing"


def test_previews_may_be_missing(ports: Ports) -> None:
    put_safe(ports.blobs)
    ports.blobs.delete("products", f"{ROME}.SAFE/preview/quick-look.png")
    assert plan_request(ports, ask(), LIMITS, RULES).fault_kind is None


def test_a_zip_is_planned_from_its_ends_not_its_middle(ports: Ports, monkeypatch: pytest.MonkeyPatch) -> None:
    import random

    pixels = {f"{ROME}.SAFE/measurement/more.tiff": random.Random(1).randbytes(4_000_000)}
    ports.blobs.write("products", f"{ROME}.zip", safe_zip(extra=pixels))
    read, fetched = ports.blobs.read, []

    def counting(container: str, name: str, **which: Any) -> bytes:
        data = read(container, name, **which)
        fetched.append(len(data) if container == "products" else 0)
        return data

    monkeypatch.setattr(ports.blobs, "read", counting)
    job = plan_request(ports, ask(products=[f"products/{ROME}.zip"]), LIMITS, RULES)
    assert job.fault_kind is None
    assert sum(fetched) < 1_200_000


def test_a_sidecar_is_part_of_the_content(ports: Ports) -> None:
    from orthofunctions.usecases.inspect import inspect_product

    ports.blobs.write("products", "d/a.tif", rpc_tiff(affine_rpc()))
    tags_only = inspect_product(ports.blobs, "products/d/a.tif")
    ports.blobs.write("products", "d/a_RPC.TXT", rpc_text(affine_rpc(lon=6.2)))
    with_sidecar = inspect_product(ports.blobs, "products/d/a.tif")
    assert with_sidecar.source.content != tags_only.source.content
    assert with_sidecar.footprint_lonlat[0][0] == pytest.approx(tags_only.footprint_lonlat[0][0] + 1.0)


def test_the_sites_terrain_stands_in_and_a_missing_one_is_named(ports: Ports) -> None:
    put_safe(ports.blobs)
    assert "no default" in (plan_request(ports, ask("r1", terrain=None), LIMITS, RULES).fault_message or "")
    order = {"terrain": {"dem": "aux/dem.tif"}}
    ports.blobs.write(names.CONTAINER_SETTINGS, names.BLOB_DEFAULT_ORDER, json.dumps(order).encode())
    job = plan_request(ports, ask("r2", terrain=None), LIMITS, RULES)
    assert (job.fault_kind, "aux/dem.tif" in (job.fault_message or "")) == ("AuxiliaryMissing", True)
    ports.blobs.write(names.CONTAINER_AUX, "dem.tif", b"heights")
    job = plan_request(ports, ask("r3", terrain=None), LIMITS, RULES)
    plan = read_plan(ports, job.job_id)
    assert plan is not None
    assert plan.tasks[0].terrain.dem is not None
    assert plan.tasks[0].terrain.dem.size_bytes == 7


def test_storage_trouble_is_not_the_requests_fault(ports: Ports, monkeypatch: pytest.MonkeyPatch) -> None:
    put_safe(ports.blobs)
    swaps = []

    def away(*_: Any, **__: Any) -> None:
        swaps.append(1)
        raise ConnectionError("storage is away")

    with monkeypatch.context() as patch:
        patch.setattr(ports.blobs, "list", away)
        with pytest.raises(ConnectionError):
            plan_request(ports, ask(), LIMITS, RULES)
    assert swaps
    assert plan_request(ports, ask(), LIMITS, RULES).fault_kind is None


@pytest.mark.parametrize("table", [OutputRecord.TABLE, DigestRecord.TABLE, TaskRecord.TABLE, JobRecord.TABLE])
def test_a_process_that_dies_at_any_table_is_finished_by_the_redelivery(
    ports: Ports, monkeypatch: pytest.MonkeyPatch, table: str
) -> None:
    put_safe(ports.blobs)
    writes = {name: getattr(ports.tables, name) for name in ("insert", "replace", "transact")}
    died = []

    def dying(name: str) -> Any:
        def write(where: str, *arguments: Any) -> Any:
            if where == table and not died:
                died.append(name)
                raise SystemExit("killed")
            return writes[name](where, *arguments)

        return write

    for name in writes:
        monkeypatch.setattr(ports.tables, name, dying(name))
    with pytest.raises(SystemExit):
        plan_request(ports, ask(), LIMITS, RULES)
    job = plan_request(ports, ask(), LIMITS, RULES)
    assert len(tasks_of(ports, job)) == 1
    assert len(outputs_of(ports, job)) == 3
    assert len(indexed(ports)) == 1


class TestMessages:
    def test_a_large_request_travels_as_a_blob(self, ports: Ports) -> None:
        request = ask(options={"bands": ["b" * 2000]})
        submit(ports, request, "http", inline_bytes=1000)
        assert isinstance(ports.queues, MemoryQueues)
        (body,) = ports.queues.bodies(names.QUEUE_REQUESTS)
        assert len(body) < 200
        assert read_request(ports, body) == request

    def test_the_largest_request_fits_a_message_or_a_blob(self, ports: Ports) -> None:
        request = ask(
            products=[f"products/{n:02d}{'p' * 230}.tif" for n in range(16)],
            grid={"kind": "mgrs", "tiles": ["33TUG"] * 200},
            options={"bands": ["b" * 100] * 32},
        )
        submit(ports, request, "http")
        assert isinstance(ports.queues, MemoryQueues)
        (body,) = ports.queues.bodies(names.QUEUE_REQUESTS)
        assert len(body.encode()) <= 48 * 1024
        assert read_request(ports, body) == request

    def test_a_bare_request_is_taken_too(self, ports: Ports) -> None:
        assert read_request(ports, ask().to_json()) == ask()

    @pytest.mark.parametrize(
        ("body", "kind"),
        [
            ("", "NotJson"),
            ("{", "NotJson"),
            ("[" * 40_000, "NotJson"),
            ("[" * 100_000, "RequestTooLarge"),
            ('{"v": 2, "blob": "requests/none.json"}', "NotARequest"),
            ("3", "NotARequest"),
            ("{}", "NotARequest"),
            ('{"request": {"request_id": "r1"}}', "NotARequest"),
            ('{"products": ["products/a.tif"]}', "NotARequest"),
            ('{"products": ["products/../a.tif"], "request_id": "r1"}', "NotARequest"),
            ('{"blob": "requests/none.json"}', "RequestBlobMissing"),
            ('{"blob": "settings/pools.json"}', "NotARequest"),
        ],
    )
    def test_what_is_no_request_says_why(self, ports: Ports, body: str, kind: str) -> None:
        with pytest.raises(RequestUnreadableError) as caught:
            read_request(ports, body)
        assert caught.value.kind == kind
        assert str(caught.value)

    def test_a_blob_that_is_no_request_or_too_large(self, ports: Ports) -> None:
        ports.blobs.write("requests", "a.json", b"[]")
        ports.blobs.write("requests", "b.json", b" " * (1024 * 1024 + 1))
        for name, kind in (("a", "NotARequest"), ("b", "RequestTooLarge")):
            with pytest.raises(RequestUnreadableError) as caught:
                read_request(ports, json.dumps({"blob": f"requests/{name}.json"}))
            assert caught.value.kind == kind


def test_the_ticket_brings_the_sidecar_that_the_plan_read(ports: Ports) -> None:
    from orthofunctions.usecases.sidecars import named_sidecar, only_dimap

    def found(image: str) -> str | None:
        facts = named_sidecar(ports.blobs, "products", image) or only_dimap(ports.blobs, "products", image)
        return facts.name if facts else None

    for name in ("d/RPC_PHR_1.XML", "d/IMG_PHR_1_R1C1.TIF", "d/b.tif", "d/b_rpc.txt", "e/RPC_x.xml", "e/a.tif"):
        ports.blobs.write("products", name, b"x")
    ports.blobs.write("products", "d/RPC_OTHER.XML", b"x")
    assert found("d/IMG_PHR_1_R1C1.TIF") == "d/RPC_PHR_1.XML"
    assert found("d/b.tif") == "d/b_rpc.txt"
    assert found("e/a.tif") == "e/RPC_x.xml"
    assert found("d/none.tif") is None  # two of them: no telling whose
    assert found("RPC_.tif") is None
