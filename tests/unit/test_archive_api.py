"""The archive over the API: what lies where, how many, what is kept, and whether the inventory is right."""

from __future__ import annotations

import base64
import json
from typing import Any
from urllib.parse import urlsplit

import pytest
import requests

from fakes.asgi import AsgiClient
from fakes.crash import Crash, Fuse, fused
from fakes.memory_ports import ManualClock, memory_ports
from fakes.products import NEXT_SLICE, ROME, affine_rpc, put_safe, rpc_tiff, safe_zip
from orthocontracts.stores import ELSEWHERE
from orthofunctions.api.app import create_app
from orthofunctions.bootstrap import System
from orthofunctions.domain.announced import Announced
from orthofunctions.domain.records import InventoryRecord, RawState
from orthofunctions.settings import Settings
from orthofunctions.usecases import check_archive as checking
from orthofunctions.usecases import product_search
from orthofunctions.usecases.announced import take_announced
from orthofunctions.usecases.expire_raw import expire_products
from orthofunctions.usecases.inventory import EVERYWHERE, all_products
from orthofunctions.usecases.raw_state import state_of, try_store
from orthofunctions.usecases.tallies import put_counted, remove_counted, tallies
from orthofunctions.usecases.upload import take_upload

REF = f"products/{ROME}.SAFE"
DAY_S = 86_400.0
ABROAD = "S1A_IW_GRDH_1SDV_20220101T051122_20220101T051147_041000_04DF00_0001"


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def system(clock: ManualClock) -> System:
    settings = Settings.model_validate({"ORTHOBURST_STORAGE": "unused"})
    return System(settings, memory_ports(clock), settings.rules(), settings.limits(), requests.Session())


@pytest.fixture
def client(system: System) -> AsgiClient:
    return AsgiClient(create_app(lambda: system), base_url="http://127.0.0.1:7071")


def upload(system: System, stem: str = ROME) -> str:
    ref = put_safe(system.ports.blobs, stem)
    take_upload(system.ports, f"{stem}.SAFE/manifest.safe")
    return ref


def announce(system: System) -> None:
    told = Announced.model_validate(
        {
            "catalogue": "cdse",
            "id": "1",
            "name": ABROAD,
            "ref": f"s3://eodata/2022/{ABROAD}.SAFE",
            "published_at": "2022-01-01T08:00:00Z",
            "start": "2022-01-01T05:11:22Z",
            "size_bytes": 1_000_000_000,
            "footprint_lonlat": [[11, 41], [13, 41], [13, 42], [11, 42]],
        }
    )
    take_announced(system.ports, told)


def stub(system: System) -> str:
    """A product whose pixels lie in the site's archive."""
    ref = put_safe(system.ports.blobs, NEXT_SLICE)
    folder = f"{NEXT_SLICE}.SAFE"
    image = next(one for one in system.ports.blobs.list("products", folder) if one.name.endswith(".tiff"))
    system.ports.blobs.delete("products", image.name)
    inside = image.name.removeprefix(f"{folder}/")
    there = {"store": "archive", "files": {inside: {"path": image.name, "size_bytes": image.size_bytes}}}
    system.ports.blobs.write("products", f"{folder}/{ELSEWHERE}", json.dumps(there).encode())
    take_upload(system.ports, f"{folder}/manifest.safe")
    return ref


def rule(system: System, **said: Any) -> None:
    system.ports.blobs.write("settings", "archive.yaml", json.dumps({"raw": [said]}).encode())


def refs(client: AsgiClient, **query: str) -> list[str]:
    answer = client.get("/products", params=query)
    assert answer.status_code == 200, answer.text
    return [one["id"] for one in answer.json()["features"]]


def counts(client: AsgiClient, by: str = "state") -> list[dict[str, Any]]:
    answer = client.get("/products/summary", params={"by": by})
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json()["counts"]
    return found


def test_what_lies_where_is_told_of_each_product_and_counted(
    client: AsgiClient, system: System, clock: ManualClock
) -> None:
    here, stubbed = upload(system), stub(system)
    announce(system)
    far = f"s3://eodata/2022/{ABROAD}.SAFE"
    assert refs(client) == [far, stubbed, here]
    assert refs(client, state="here") == [here]
    assert refs(client, state="elsewhere") == [far, stubbed]
    assert refs(client, where="archive") == [stubbed]
    assert refs(client, where="s3://eodata", type="GRD") == [far]
    assert refs(client, type="SLC") == []
    (of_here,) = [one for one in counts(client, "where") if one["where"] == "blobs"]
    n_bytes = sum(one.size_bytes for one in system.ports.blobs.list("products", f"{ROME}.SAFE/"))
    assert of_here == {"where": "blobs", "products": 1, "bytes": n_bytes}
    assert [(one["state"], one["where"], one["products"]) for one in counts(client, "state,where")] == [
        ("elsewhere", "archive", 1),
        ("elsewhere", "s3://eodata", 1),
        ("here", "blobs", 1),
    ]
    rule(system, days=1, unasked=True)
    clock.advance(2 * DAY_S)
    assert refs(client, waiting="true") == [here]
    assert expire_products(system.ports) == 1
    assert refs(client) == [far, stubbed]
    assert refs(client, state="gone") == [here]
    (feature,) = client.get("/products", params={"state": "gone", "bbox": "12,41,12.5,41.5"}).json()["features"]
    told = feature["properties"]
    assert (told["state"], told["gone"]) == ("gone", "2026-05-03T12:00:00Z")
    assert told["why"] == "this site keeps such products for 1 days, and no job needed it any longer"
    assert [(one["state"], one["products"]) for one in counts(client)] == [("elsewhere", 2), ("gone", 1)]
    assert counts(client, "month,mission")[0] == {
        "month": "2021-12",
        "mission": "sentinel-1",
        "products": 2,
        "bytes": counts(client, "month,mission")[0]["bytes"],
    }


def test_what_waits_to_expire_says_what_for(client: AsgiClient, system: System, clock: ManualClock) -> None:
    upload(system)
    rule(system, days=3)
    (feature,) = client.get("/products").json()["features"]
    assert feature["properties"]["expires"] == "2026-05-04T12:00:00Z"
    assert refs(client, waiting="true") == []
    clock.advance(4 * DAY_S)
    (feature,) = client.get("/products", params={"waiting": "true"}).json()["features"]
    assert feature["properties"]["waits_for"] == "unasked"
    client.post("/products/keep", json={"ref": REF})
    (feature,) = client.get("/products", params={"waiting": "true"}).json()["features"]
    assert feature["properties"]["waits_for"] == "kept"


def test_a_product_that_is_kept_stays_until_it_is_released(
    client: AsgiClient, system: System, clock: ManualClock
) -> None:
    upload(system)
    rule(system, days=1, unasked=True)
    clock.advance(2 * DAY_S)
    kept = client.post("/products/keep", json={"ref": REF})
    assert (kept.status_code, kept.json()) == (200, {"ref": REF, "state": "here", "kept_by": "local"})
    assert expire_products(system.ports) == 0
    assert client.post("/products/release", json={"ref": REF}).json() == {"ref": REF, "state": "here"}
    assert expire_products(system.ports) == 1
    late = client.post("/products/keep", json={"ref": REF})
    assert late.status_code == 409
    assert "has gone on 2026-05-03 12:00 UTC" in late.json()["detail"]


def test_one_that_is_about_to_expire_can_still_be_kept(client: AsgiClient, system: System) -> None:
    upload(system)
    record = state_of(system.ports, REF)
    assert record is not None
    assert try_store(system.ports, record.changed(state=RawState.EXPIRING)) is not None
    assert client.post("/products/keep", json={"ref": REF}).json()["kept_by"] == "local"
    now = state_of(system.ports, REF)
    assert now is not None
    assert now.state is RawState.HERE


@pytest.mark.parametrize(
    ("path", "body", "status", "says"),
    [
        ("keep", {"ref": "products/none.zip"}, 404, "is not there, and never was"),
        ("release", {"ref": "products/none.zip"}, 404, "is not there, and never was"),
        ("keep", {"ref": "s3://eodata/x"}, 400, "it must name what was uploaded"),
        ("keep", {"ref": "aux/../products/x"}, 400, "it must name what was uploaded"),
        ("keep", {}, 400, "it must be a text"),
        ("keep", {"ref": REF, "days": 3}, 400, "nothing of this name is asked for"),
        ("keep", [REF], 400, "it must be an object"),
        ("check", {"after": "x"}, 400, "the token is none of an answer's"),
        ("check", {"after": base64.urlsafe_b64encode(b'{"left": []}').decode()}, 400, "the token is none"),
        ("check", {"after": base64.urlsafe_b64encode(b'{"left": [3]}').decode()}, 400, "the token is none"),
        ("check", {"after": base64.urlsafe_b64encode(b'[["", ""]]').decode()}, 400, "the token is none"),
        ("check", {"after": 3}, 400, "it must be a text"),
    ],
)
def test_what_cannot_be_done_says_why(client: AsgiClient, path: str, body: Any, status: int, says: str) -> None:
    answer = client.post(f"/products/{path}", json=body)
    assert answer.status_code == status, answer.text
    assert says in answer.text


def test_a_summary_says_by_which_rules_products_go_or_why_none_do(client: AsgiClient, system: System) -> None:
    assert client.get("/products/summary").json() == {"counts": [], "rules": []}
    rule(system, days=3, missions=["sentinel-2"])
    said = client.get("/products/summary").json()["rules"]
    assert said == [
        {
            "prefix": "products/",
            "missions": ["sentinel-2"],
            "product_types": [],
            "days": 3.0,
            "idle_days": 0.0,
            "unasked": False,
        }
    ]
    rule(system, days="soon")
    assert "settings/archive.yaml: raw.0.days" in client.get("/products/summary").json()["rules_error"]
    assert client.get("/products").status_code == 200
    assert client.get("/products/summary", params={"by": "colour"}).status_code == 400


# The check ---------------------------------------------------------------------------------------------------------


def check(client: AsgiClient) -> dict[str, Any]:
    """All of it, call by call."""
    whole: dict[str, Any] = {}
    after = ""
    for _ in range(100):
        answer = client.post("/products/check", json={"after": after} if after else {})
        assert answer.status_code == 200, answer.text
        for name, value in answer.json().items():
            if name != "token":
                whole[name] = whole.get(name, type(value)()) + value
        after = answer.json().get("token", "")
        if not after:
            return {name: value for name, value in whole.items() if value and not name.startswith("n_")}
    raise AssertionError("it never ends")


def test_a_check_of_what_is_right_finds_nothing(
    client: AsgiClient, system: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checking, "ROWS_A_CALL", 1)
    upload(system)
    stub(system)
    announce(system)
    assert check(client) == {}


def test_a_check_mends_what_it_finds(
    client: AsgiClient, system: System, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checking, "ROWS_A_CALL", 1)
    blobs = system.ports.blobs
    upload(system)
    blobs.delete("products", f"{ROME}.SAFE/manifest.safe")
    unlisted = f"own/deep/{NEXT_SLICE}.zip"
    blobs.write("products", unlisted, safe_zip(NEXT_SLICE))
    for name in ("own/a.tif", "own/b.tif", "own/deep/c.tif"):
        blobs.write("products", name, rpc_tiff(affine_rpc()))
    blobs.write("products", "broken.tif", b"no TIFF")
    blobs.write("products", "notes.txt", b"")
    found = check(client)
    assert found["gone"] == [REF]
    images = [f"products/own/{name}.tif" for name in ("a", "b", "deep/c")]
    assert sorted(found["listed"]) == sorted([*images, f"products/{unlisted}"])
    (unreadable,) = found["unreadable"]
    assert (unreadable["ref"], found["incomplete"]) == ("products/broken.tif", [REF])
    assert check(client) == {"unreadable": [unreadable], "incomplete": [REF]}
    assert [(one["state"], one["products"]) for one in counts(client)] == [("gone", 1), ("here", 4)]
    assert len(refs(client)) == 4


def test_rows_of_older_functions_are_counted_by_a_check(client: AsgiClient, system: System) -> None:
    upload(system)
    (record,) = all_products(system.ports)
    assert remove_counted(system.ports, record)
    old = record.changed(counted=False, etag="")
    system.ports.tables.put(InventoryRecord.TABLE, old.to_row())
    assert counts(client) == []
    assert check(client) == {"counted": 1}
    assert [(one["state"], one["products"]) for one in counts(client)] == [("here", 1)]
    assert refs(client) == [REF]


def test_a_stub_that_earlier_functions_listed_does_not_expire(
    client: AsgiClient, system: System, clock: ManualClock
) -> None:
    ref = stub(system)
    (record,) = all_products(system.ports)
    system.ports.tables.put(InventoryRecord.TABLE, record.changed(counted=False, store="").to_row())
    rule(system, days=1, unasked=True)
    clock.advance(2 * DAY_S)
    assert expire_products(system.ports) == 0
    assert check(client) == {"counted": 1}
    assert refs(client, where="archive") == [ref]
    assert refs(client, waiting="true") == []


def test_what_a_lost_deletion_left_is_deleted_by_a_check(
    client: AsgiClient, system: System, clock: ManualClock
) -> None:
    upload(system)
    rule(system, days=1, unasked=True)
    clock.advance(2 * DAY_S)
    record, manifest = state_of(system.ports, REF), system.ports.blobs.facts("products", f"{ROME}.SAFE/manifest.safe")
    assert record is not None
    assert manifest is not None
    gone = record.changed(state=RawState.GONE, gone_at=clock.now(), why="it was old", etag_gone=manifest.etag)
    assert try_store(system.ports, gone) is not None
    (row,) = all_products(system.ports)
    assert remove_counted(system.ports, row)
    assert check(client) == {"deleted": [REF]}
    assert list(system.ports.blobs.list("products")) == []


# Counting ----------------------------------------------------------------------------------------------------------


def test_a_product_is_counted_once_whoever_dies(system: System) -> None:
    upload(system)
    (record,) = all_products(system.ports)
    ports = system.ports
    for at in range(20):
        fuse = Fuse(at)
        try:
            put_counted(fused(ports, fuse), record.changed(size_bytes=at + 1))
        except Crash:
            put_counted(ports, record.changed(size_bytes=at + 1))
        found = list(tallies(ports, EVERYWHERE))
        assert (sum(one.n_products for one in found), sum(one.n_bytes for one in found)) == (1, at + 1)
        if not fuse.blown:
            break
    assert at > 0


def test_two_that_count_at_once_are_both_counted(system: System) -> None:
    upload(system)
    (record,) = all_products(system.ports)
    other = record.changed(key="0000000001-0123456789abcdef", etag="")
    third = record.changed(key="0000000002-0123456789abcdef", etag="")
    put_counted(fused(system.ports, Fuse(0, meanwhile=lambda: put_counted(system.ports, third))), other)
    found = list(tallies(system.ports, EVERYWHERE))
    assert len(found) == 2, "the loser takes another shard"
    assert sum(one.n_products for one in found) == 3


def test_a_row_that_was_written_again_is_not_deleted(system: System) -> None:
    upload(system)
    (record,) = all_products(system.ports)
    put_counted(system.ports, record)
    assert not remove_counted(system.ports, record)
    (record,) = all_products(system.ports)
    assert remove_counted(system.ports, record)
    assert sum(one.n_products for one in tallies(system.ports, EVERYWHERE)) == 0


def test_a_long_look_for_what_is_rare_is_answered_in_parts(
    client: AsgiClient, system: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(product_search, "MOST_LOOKED_AT", 1)
    upload(system)
    stub(system)
    pages, path = [], "/products?where=blobs"
    while path:
        page = client.get(path).json()
        pages.append([one["id"] for one in page["features"]])
        following = [urlsplit(link["href"]) for link in page["links"] if link["rel"] == "next"]
        path = f"{following[0].path}?{following[0].query}" if following else ""
    assert pages == [[], [REF]]
