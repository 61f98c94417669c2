"""What the store says of the site, as gauges and as Prometheus reads them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import requests

from fakes.asgi import AsgiClient
from fakes.memory_ports import memory_ports
from fakes.world import POOLS, RULES, World
from orthocontracts import names
from orthofunctions.api.app import create_app
from orthofunctions.bootstrap import System
from orthofunctions.domain.principals import Scope
from orthofunctions.domain.prometheus import exposition
from orthofunctions.settings import Settings
from orthofunctions.telemetry import Reading
from orthofunctions.usecases.gauges import read_gauges
from orthofunctions.usecases.keys import KeyOrder, make_key
from orthofunctions.usecases.ledger import Claim, reserve


def values(world: World, **rules: Any) -> dict[tuple[str, ...], float]:
    readings = read_gauges(world.ports, replace(RULES, **rules))
    found = {(one.name.removeprefix("orthoburst."), *one.labels.values()): one.value for one in readings}
    assert len(found) == len(readings), "a series is there twice"
    return found


def test_an_idle_site_shows_zeros_and_not_nothing() -> None:
    found = values(World())
    assert set(found.values()) == {0}
    for queue in (*names.QUEUES, "requests-poison", names.pool_queue("hpc", 3)):
        assert ("queue.messages", queue) in found
        assert ("queue.age", queue) in found
    assert ("budget",) not in found


def test_a_queue_is_as_old_as_what_nobody_has_taken() -> None:
    world = World()
    world.queues.send("requests", "first")
    world.clock.advance(40)
    world.queues.send("requests", "second")
    world.queues.send("requests", "hidden", visible_in_s=600)
    found = values(world)
    assert (found["queue.messages", "requests"], found["queue.age", "requests"]) == (3, 40)
    message = world.queues.receive("requests", 60)
    assert message is not None
    assert message.body == "first"
    assert values(world)["queue.age", "requests"] == 0


def test_tasks_of_users_and_campaigns_are_told_apart() -> None:
    world = World()
    world.job("one")
    world.job("two", "CD", campaign="big")
    world.clock.advance(90)
    found = values(world)
    assert (found["tasks.waiting", "user"], found["tasks.waiting", "campaign"]) == (1, 1)
    assert found["task.oldest",] == 90


def test_workers_and_slots_are_counted_by_what_was_heard_last() -> None:
    world = World()
    world.status("node-1", slots=3)
    world.status("node-2", slots=2, state="draining")
    world.status("node-3", slots=4, state="starting")
    world.status("node-4", slots=9, state="offline")
    found = values(world)
    assert {state: found["agents", "hpc", state] for state in ("online", "draining", "starting", "lost")} == {
        "online": 1, "draining": 1, "starting": 1, "lost": 0,
    }  # fmt: skip
    assert (found["slots", "hpc", "free"], found["slots", "hpc", "busy"]) == (3, 0)
    world.clock.advance(RULES.aged_out_s + 1)
    later = values(world)
    assert (later["agents", "hpc", "lost"], later["agents", "hpc", "online"], later["slots", "hpc", "free"]) == (
        2,
        0,
        0,
    )


def test_money_is_what_is_spent_or_reserved() -> None:
    world = World()
    reserve(world.ports, None, {"ana": Claim(12.5, 3.25)}, world.clock.now())
    found = values(world, month_budget_eur=400.0)
    assert (found["spend",], found["contingency",], found["budget",]) == (12.5, 3.25, 400)
    in_file = POOLS.model_copy(update={"month_budget_eur": 250.0})
    world.blobs.write(names.CONTAINER_SETTINGS, names.BLOB_POOLS, in_file.to_json().encode())
    assert values(world, month_budget_eur=400.0)["budget",] == 250


def test_the_text_is_prometheus_own() -> None:
    readings = [
        Reading("orthoburst.queue.age", 7.25, "s", {"queue": 'a"b\\c\nd'}),
        Reading("orthoburst.spend", 0.1 + 0.2, "EUR"),
        Reading("orthoburst.queue.age", 0.0, "s", {"queue": "other"}),
    ]
    assert exposition(readings) == (
        "# HELP orthoburst_queue_age_seconds Age of the first message that nobody has taken\n"
        "# TYPE orthoburst_queue_age_seconds gauge\n"
        'orthoburst_queue_age_seconds{queue="a\\"b\\\\c\\nd"} 7.25\n'
        'orthoburst_queue_age_seconds{queue="other"} 0\n'
        "# HELP orthoburst_spend_EUR Cloud money of this month, spent or reserved\n"
        "# TYPE orthoburst_spend_EUR gauge\n"
        "orthoburst_spend_EUR 0.3\n"
    )


@pytest.mark.parametrize(("scope", "status"), [("operate", 200), ("submit", 403), (None, 401)])
def test_only_operators_and_their_prometheus_read_it(scope: str | None, status: int) -> None:
    settings = Settings.model_validate({"ORTHOBURST_STORAGE": "unused"})
    system = System(settings, memory_ports(), settings.rules(), settings.limits(), requests.Session())
    key, _ = make_key(system.ports, KeyOrder("prometheus", "ops", frozenset({Scope(scope or "read")}), "tests"))
    headers = {"Authorization": f"Bearer {key}"} if scope else {}
    answer = AsgiClient(create_app(lambda: system), "https://orthoburst.example").get("/metrics", headers=headers)
    assert answer.status_code == status
    if status == 200:
        assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
        assert answer.text.count("# TYPE") == 8
