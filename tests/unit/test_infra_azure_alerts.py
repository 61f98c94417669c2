"""The alerts of infra/azure find what the functions send: they are run, and send it as they do to Azure Monitor."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

import pytest

from bicepfiles.variants import FOLDER, variants
from fakes.otlp import collecting
from fakes.world import RULES, World
from orthoagent.status import StatusBoard
from orthocontracts import names
from orthofunctions.adapters.telemetry import OtelTelemetry
from orthofunctions.domain.exporting import Wanted
from orthofunctions.usecases.apart import apart
from orthofunctions.usecases.capacity import note_status
from orthofunctions.usecases.loads import note_loads
from orthofunctions.usecases.poison import reconcile_poison

QUERIES = {
    str(one.body["properties"]["displayName"]).partition(": ")[2]: one.body["properties"]["criteria"]["allOf"][0][
        "query"
    ]
    for one in variants()["prod"]
    if one.type.endswith("/scheduledQueryRules")
}
OLDEST_S = 7200


Properties = dict[str, str]
Tables = dict[str, list[Properties]]
Logged = Callable[[Callable[[], object]], Tables]
TABLES = {"MessageData": "AppTraces", "ExceptionData": "AppExceptions"}


def found(alert: str, tables: Tables) -> list[Properties]:
    """Those that a query of ours finds: it names actions, and may compare numbers."""
    table, *conditions = QUERIES[alert].split(" | where ")
    lines = tables[table]
    for condition in (one for several in conditions for one in several.split(" and ")):
        if one_of := re.fullmatch(r'tostring\(Properties\.action\) (?:==|in) \(?((?:"\w+"(?:, )?)+)\)?', condition):
            actions = re.findall(r"\w+", one_of[1])
            lines = [line for line in lines if line.get("action") in actions]
        elif above := re.fullmatch(r"toint\(Properties\.(\w+)\) > (\d+)", condition):
            lines = [line for line in lines if int(line[above[1]]) > int(above[2])]
        else:
            raise AssertionError(f"what is {condition}?")
    return lines


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
def logged(monkeypatch: pytest.MonkeyPatch) -> Iterator[Logged]:
    """What arrives of what a step logs, by the table that Azure Monitor puts it into."""
    with collecting() as server:
        key = "00000000-0000-0000-0000-0000feedbeef"
        where = f"InstrumentationKey={key};IngestionEndpoint={server.url}/"
        monkeypatch.setenv("APPLICATIONINSIGHTS_CONNECTION_STRING", where)
        telemetry = OtelTelemetry(Wanted(azure=frozenset({"logs"})))

        def lines(step: Callable[[], object]) -> Tables:
            server.items.clear()
            step()
            assert telemetry.flush(20)
            data = [item["data"] for item in server.items]
            return {
                table: [one["baseData"]["properties"] for one in data if one["baseType"] == kind]
                for kind, table in TABLES.items()
            }

        yield lines
        telemetry.close()


def test_a_calm_minute_alerts_nobody_and_breaks_the_silence(world: World, logged: Logged) -> None:
    calm = logged(lambda: note_loads(world.ports, RULES))
    assert found("silence", calm)
    assert not [name for name in ("poison", "oldest-task", "agents-lost", "trouble") if found(name, calm)]


def test_a_task_that_waits_for_too_long_is_told(world: World, logged: Logged) -> None:
    world.job("r")
    world.clock.advance(OLDEST_S)
    assert not found("oldest-task", logged(lambda: note_loads(world.ports, RULES)))
    world.clock.advance(2)
    assert found("oldest-task", logged(lambda: note_loads(world.ports, RULES)))


def test_a_worker_that_goes_without_a_goodbye_is_told(world: World, logged: Logged) -> None:
    board = StatusBoard(agent="node-17", pool="hpc", session="s", version="0", machine="m", min_s=10, every_s=30)
    will, told = board.connect(), board.tell(0)
    note_status(world.ports, told.to_json())
    assert found("agents-lost", logged(lambda: note_status(world.ports, will.to_json())))
    assert not found("agents-lost", logged(lambda: note_status(world.ports, will.to_json())))  # once


def test_a_worker_that_says_goodbye_is_not(world: World, logged: Logged) -> None:
    board = StatusBoard(agent="node-17", pool="hpc", session="s", version="0", machine="m", min_s=10, every_s=30)
    will, told, goodbye = board.connect(), board.tell(0), board.farewell()
    note_status(world.ports, told.to_json())
    assert not found("agents-lost", logged(lambda: note_status(world.ports, goodbye.to_json())))
    assert not found("agents-lost", logged(lambda: note_status(world.ports, will.to_json())))


def test_a_worker_that_falls_silent_is_told_for_an_hour(world: World, logged: Logged) -> None:
    world.status("node-17")
    for seconds, is_told in ((0, False), (RULES.aged_out_s + 1, True), (3500, True), (100, False)):
        world.clock.advance(seconds)
        assert bool(found("agents-lost", logged(lambda: note_loads(world.ports, RULES)))) is is_told


def test_what_cannot_be_read_or_failed_too_often_is_told(world: World, logged: Logged) -> None:
    assert found("poison", logged(lambda: note_status(world.ports, "no status")))
    for queue in names.QUEUES:
        world.queues.send(names.poison_queue(queue), "{}")
        assert found("poison", logged(lambda: reconcile_poison(world.ports, RULES))), queue


def test_a_thing_that_cannot_be_dealt_with_is_told(world: World, logged: Logged) -> None:
    def look() -> None:
        with pytest.raises(ValueError, match="broken"), apart("sweep", world.ports.meter) as each, each("j1/t1/1"):
            raise ValueError("broken")

    (told,) = found("trouble", logged(look))
    assert (told["doing"], told["what"]) == ("sweep", "j1/t1/1")


def test_every_alert_has_a_runbook() -> None:
    text = (FOLDER.parents[1] / "docs" / "runbooks.md").read_text()
    anchors = {heading.lower().replace(" ", "-") for heading in re.findall(r"^## (.+)$", text, re.MULTILINE)}
    assert {*QUERIES, "undelivered", "budget"} <= anchors
