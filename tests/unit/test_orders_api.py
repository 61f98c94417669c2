"""Standing orders over HTTP."""

from __future__ import annotations

from typing import Any

import pytest
import requests

from fakes.asgi import AsgiClient
from fakes.memory_ports import memory_ports
from fakes.products import ROME, put_safe
from orthoburst.http import Session
from orthoburst.job import Job
from orthofunctions.api.app import create_app
from orthofunctions.bootstrap import System
from orthofunctions.settings import Settings
from orthofunctions.usecases.plan import plan_request
from orthofunctions.usecases.redo import redo_with_precise_orbits
from orthofunctions.usecases.submit import read_request
from orthofunctions.usecases.upload import take_upload

ORDER: dict[str, Any] = {
    "id": "rome",
    "title": "Rome, always",
    "products": {"missions": ["sentinel-1"], "orbit_direction": "descending"},
    "options": {"radiometry": "gamma0"},
    "terrain": {"height_m": 0},
    "within_s": 3600,
}


@pytest.fixture
def system() -> System:
    settings = Settings.model_validate({"ORTHOBURST_STORAGE": "unused"})
    return System(settings, memory_ports(), settings.rules(), settings.limits(), requests.Session())


@pytest.fixture
def client(system: System) -> AsgiClient:
    return AsgiClient(create_app(lambda: system), base_url="http://127.0.0.1:7071")


def plan_all(system: System) -> None:
    for body in system.ports.queues.drain("requests", 100):
        plan_request(system.ports, read_request(system.ports, body), system.limits, system.rules)


def arrive(system: System) -> int:
    """How many jobs a new product makes."""
    put_safe(system.ports.blobs)
    return len(take_upload(system.ports, f"{ROME}.SAFE/manifest.safe"))


def test_an_order_is_made_seen_followed_and_taken_back(client: AsgiClient, system: System) -> None:
    made = client.post("/orders", json=ORDER)
    assert made.status_code == 201, made.text
    assert made.headers["location"] == "http://127.0.0.1:7071/orders/rome"
    assert client.post("/orders", json=ORDER).json() == made.json()
    document = made.json()
    assert (document["id"], document["user"], document["created_at"]) == ("rome", "local", "2026-05-01T12:00:00Z")
    assert client.get("/orders/rome").json() == document
    assert client.get("/orders").json() == {"orders": [document]}
    assert client.post("/orders", json={**ORDER, "title": "Roma"}).status_code == 409
    assert arrive(system) == 0  # its manifest does not say that the satellite descended
    assert client.post("/orders", json={**ORDER, "id": "all", "products": {}}).status_code == 201
    assert arrive(system) == 1
    (job,) = client.get("/jobs").json()["jobs"]
    assert job["source"] == "order"
    assert client.delete("/orders/all").json()["id"] == "all"
    assert client.delete("/orders/all").status_code == client.get("/orders/all").status_code == 404
    assert [one["id"] for one in client.get("/orders").json()["orders"]] == ["rome"]


def test_an_order_over_what_came_before_it(client: AsgiClient, system: System) -> None:
    arrive(system)
    body = {name: value for name, value in ORDER.items() if name not in ("id", "products")}
    order_id = client.post("/orders", json=body).json()["id"]
    page = client.post(f"/orders/{order_id}/backfill", json={"datetime": "2021-12-01T00:00:00Z/.."})
    assert page.status_code == 201
    assert (page.json()["products"], len(page.json()["jobs"]), "token" in page.json()) == (1, 1, False)
    again = client.post(f"/orders/{order_id}/backfill", json={})
    assert [job["jobID"] for job in again.json()["jobs"]] == [job["jobID"] for job in page.json()["jobs"]]
    none = client.post(f"/orders/{order_id}/backfill", json={"datetime": "../2021-12-01T00:00:00Z"})
    assert (none.json()["products"], none.json()["jobs"]) == (0, [])
    assert client.post("/orders/no-such/backfill", json={}).status_code == 404


@pytest.mark.parametrize(
    ("body", "at", "says"),
    [
        ([], "body", "must be an object"),
        ({"user": "ana"}, "user", "not said in an order"),
        ({"id": "Not An Id"}, "id", "pattern"),
        ({"id": 3}, "id", "valid string"),
        ({"products": {"missions": ["landsat"]}}, "products.missions.0", "sentinel-1"),
        ({"products": {"area": {"type": "Point", "coordinates": [1, 2]}}}, "products.area", "Polygon"),
        ({"grid": {"kind": "mgrs", "spacing_m": 7}}, "grid.mgrs.spacing_m", "does not divide"),
        ({"subscriber": {"successUri": "https://example.com"}}, "subscriber.successUri", ""),
        ({"shared_with": ["ocean"]}, "shared_with", "you are not in the group ocean"),
        ({"within_s": -1}, "within_s", "greater than 0"),
        ({"colour": "red"}, "colour", "Extra inputs"),
        ({"redo_with_precise_orbit": True}, "redo_with_precise_orbit", "name the folder of orbit files"),
        ({"redo_with_precise_orbit": 3, "orbits": "aux/o"}, "redo_with_precise_orbit", "valid boolean"),
        (
            {"redo_with_precise_orbit": True, "orbits": "aux/o", "products": {"missions": ["sentinel-2"]}},
            "redo_with_precise_orbit",
            "is for Sentinel-1",
        ),
        ({"orbits": "orbits"}, "orbits", "pattern"),
    ],
)
def test_what_is_wrong_with_an_order_is_said_by_field(client: AsgiClient, body: Any, at: str, says: str) -> None:
    refused = client.post("/orders", json=body)
    assert refused.status_code == 400, refused.text
    fault = refused.json()["errors"][0]
    assert (fault["at"], says in fault["message"]) == (at, True), fault
    assert client.get("/orders").json() == {"orders": []}


def test_an_order_that_is_made_again_with_precise_orbits(client: AsgiClient, system: System) -> None:
    again = {**ORDER, "id": "again", "products": {}, "redo_with_precise_orbit": True}
    assert client.post("/orders", json=again).status_code == 400
    system.ports.blobs.write("settings", "default_order.json", b'{"orbits": "aux/orbits"}')
    assert client.get("/orders").json()["orders"][0]["orbits"] == "aux/orbits"
    made = client.post("/orders", json=again)
    assert (made.status_code, made.json()["redo_with_precise_orbit"]) == (201, True)
    own = client.post("/orders", json={**again, "id": "own", "orbits": "s3://eodata/aux/POEORB"})
    assert (own.status_code, own.json()["orbits"]) == (201, "s3://eodata/aux/POEORB")
    assert arrive(system) == 2
    jobs = client.get("/jobs").json()["jobs"]
    assert {job["order"] for job in jobs} == {"again", "own"}
    assert not any("replaces" in job for job in jobs)
    plan_all(system)
    name = "S1B_OPER_AUX_POEORB_OPOD_20220112T112345_V20211222T225942_20211224T005942.EOF"
    system.ports.blobs.write("aux", f"orbits/{name}", b"<precise/>")
    assert redo_with_precise_orbits(system.ports) == 1
    redone = [job for job in client.get("/jobs").json()["jobs"] if "replaces" in job]
    first = next(job["jobID"] for job in jobs if job["order"] == "again")
    assert [(job["order"], job["replaces"], job["source"]) for job in redone] == [("again", [first], "order")]
    status = client.get(f"/jobs/{redone[0]['jobID']}").json()
    assert status["replaces"] == [first]
    assert Job(Session("http://127.0.0.1:7071", None, 1.0), status).replaces == (first,)


@pytest.mark.parametrize("body", [[], {"after": "x"}, {"datetime": 3}, {"datetime": "today"}, {"since": "x"}])
def test_a_back_fill_that_means_nothing_is_refused(client: AsgiClient, body: Any) -> None:
    client.post("/orders", json=ORDER)
    assert client.post("/orders/rome/backfill", json=body).status_code == 400
