"""Campaigns over HTTP."""

from __future__ import annotations

from typing import Any

import pytest
import requests

from fakes.asgi import AsgiClient
from fakes.memory_ports import ManualClock, memory_ports
from fakes.products import ROME, put_safe
from orthofunctions.api.app import create_app
from orthofunctions.bootstrap import System
from orthofunctions.settings import Settings
from orthofunctions.usecases.campaign_feed import feed_campaigns
from orthofunctions.usecases.upload import take_upload

CAMPAIGN: dict[str, Any] = {
    "id": "rome-again",
    "products": {"missions": ["sentinel-1"]},
    "tiles": ["33TUG", "33TUH"],
    "terrain": {"height_m": 0},
}


@pytest.fixture
def system() -> System:
    settings = Settings.model_validate({"ORTHOBURST_STORAGE": "unused"})
    system = System(settings, memory_ports(), settings.rules(), settings.limits(), requests.Session())
    put_safe(system.ports.blobs)
    take_upload(system.ports, f"{ROME}.SAFE/manifest.safe")
    assert isinstance(system.ports.clock, ManualClock)
    system.ports.clock.advance(5)
    return system


@pytest.fixture
def client(system: System) -> AsgiClient:
    return AsgiClient(create_app(lambda: system), base_url="http://127.0.0.1:7071")


def test_a_campaign_is_planned_started_paused_resumed_and_cancelled(client: AsgiClient, system: System) -> None:
    made = client.post("/campaigns", json=CAMPAIGN)
    assert made.status_code == 201, made.text
    assert made.headers["location"] == "http://127.0.0.1:7071/campaigns/rome-again"
    document = made.json()
    assert (document["id"], document["state"]) == ("rome-again", "planned")
    price = document["price"]
    assert (price["products"], price["images"], price["images_there"], price["exact"]) == (1, 2, 0, True)
    assert document["order"]["tiles"] == ["33TUG", "33TUH"]
    assert client.post("/campaigns", json=CAMPAIGN).json() == document
    assert client.post("/campaigns", json={**CAMPAIGN, "at_once": 7}).status_code == 409
    assert client.get("/campaigns").json() == {"campaigns": [document]}
    assert client.get("/jobs").json()["jobs"] == []
    assert client.post("/campaigns/rome-again/pause").status_code == 409
    started = client.post("/campaigns/rome-again/start").json()
    assert (started["state"], started["started"]) == ("running", "2026-05-01T12:00:05Z")
    feed_campaigns(system.ports, system.rules, system.limits)
    progress = client.get("/campaigns/rome-again").json()["progress"]
    assert progress == {
        "taken": 1, "under_way": 1, "done": 0, "there": 0, "failed": 0, "unfit": 0, "all_taken": True,
    }  # fmt: skip
    (job,) = client.get("/jobs").json()["jobs"]
    explained = client.get(f"/jobs/{job['jobID']}/explain").json()
    assert "campaign rome-again" in str(explained["tasks"])
    assert client.post("/campaigns/rome-again/pause").json()["state"] == "paused"
    assert client.post("/campaigns/rome-again/resume").json()["state"] == "running"
    assert client.delete("/campaigns/rome-again").json()["state"] == "cancelling"
    feed_campaigns(system.ports, system.rules, system.limits)
    assert client.get("/campaigns/rome-again").json()["state"] == "cancelled"
    assert client.get("/campaigns/rome-again/failed").json()["products"][0]["message"] == "the campaign was cancelled"
    assert client.post("/campaigns/rome-again/start").status_code == 409


@pytest.mark.parametrize(
    ("body", "at", "says"),
    [
        ([], "body", "must be an object"),
        ({}, "id", "has an id"),
        ({"id": "a", "user": "ana"}, "user", "not said in a campaign"),
        ({"id": "Not An Id"}, "id", "pattern"),
        ({"id": "a", "tiles": ["99X"]}, "tiles", "no such zone and band"),
        ({"id": "a", "tiles": ["31TXX"]}, "tiles", "31TXX"),
        ({"id": "a", "tiles": []}, "tiles", "at least 1"),
        ({"id": "a", "products": {"missions": ["landsat"]}}, "products.missions.0", "sentinel-1"),
        ({"id": "a", "at_once": 0}, "at_once", "greater than or equal to 1"),
        ({"id": "a", "max_eur": -1}, "max_eur", "greater than or equal to 0"),
        ({"id": "a", "made_before": "two"}, "made_before", "integer"),
        ({"id": "a", "since": "2025-01-01T00:00:00Z", "until": "2024-01-01T00:00:00Z"}, "", "since must be before"),
        ({"id": "a", "deadline": "2025-01-01T00:00:00Z"}, "deadline", "not permitted"),
    ],
)
def test_what_is_wrong_is_named(client: AsgiClient, body: Any, at: str, says: str) -> None:
    refused = client.post("/campaigns", json=body)
    assert refused.status_code == 400, refused.text
    errors = refused.json()["errors"]
    assert [one for one in errors if one["at"] == at and says in one["message"]], errors
    assert client.get("/campaigns").json() == {"campaigns": []}


def test_what_is_not_there_is_not_there(client: AsgiClient) -> None:
    for path in ("/campaigns/none", "/campaigns/none/failed", "/campaigns/Not%20An%20Id", "/campaigns/campaign"):
        assert client.get(path).status_code == 404
    for action in ("start", "pause", "resume", "retry"):
        assert client.post(f"/campaigns/none/{action}").status_code == 404
    assert client.delete("/campaigns/none").status_code == 404
