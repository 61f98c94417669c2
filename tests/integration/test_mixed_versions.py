"""Two releases at work together: the one before, out of git's history, and this one, each as the functions of the
other's workers; and one in the other's place, program by program, while work goes on."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from integration.upgrade_kit import comes_from, loaded_site, release_before, request_for, tell_of
from integration.worker_kit import TOKEN, Storage, agents, until
from localdev.chaos.rolling import roll
from localdev.servers import Azurite
from localdev.stack.stack import TOP, source_path
from orthocontracts import names
from orthocontracts.requests import RequestEnvelope
from orthocontracts.tickets import NOT_UNDERSTOOD
from orthofunctions.usecases.keep import KEPT
from orthofunctions.usecases.kept import read_kept_again

pytestmark = pytest.mark.slow
TASKS, MOST_TASKS = 15, 600
TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


@pytest.fixture(scope="module")
def before(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return release_before(tmp_path_factory.mktemp("git"))


@pytest.mark.parametrize("old", ["workers", "functions"])
def test_functions_and_workers_of_two_releases_work_together(old: str, before: Path, tmp_path: Path) -> None:
    trees = {"workers": {"workers_from": before}, "functions": {"functions_from": before}}[old]
    with loaded_site(tmp_path, 10, agents=1, **trees) as site:
        agent, host = site.stack.agents[0], site.stack.host
        assert comes_from(agent, "orthoagent", before) == (old == "workers")
        assert comes_from(host, "orthofunctions", before) == (old == "functions")
        load = site.finish()
    tell_of(f"old {old}", load)
    load.holds(10)


def test_what_old_functions_could_not_read_is_done_once_they_are_new(before: Path, tmp_path: Path) -> None:
    """A request in an envelope with a trace, which that release took for no request."""
    with loaded_site(tmp_path, 0, agents=1, functions_from=before) as site:
        ports, request = site.watch.ports, request_for(site.product, 1)
        site.beside.append(request)
        ports.queues.send(names.QUEUE_REQUESTS, RequestEnvelope(request=request, traceparent=TRACE).to_json())
        kept = until(lambda: list(ports.blobs.list(names.CONTAINER_CONTROL, f"{KEPT}requests/")), "it to be kept")
        assert b"traceparent: Extra inputs" in ports.blobs.read(names.CONTAINER_CONTROL, kept[0].name)
        assert read_kept_again(ports) == 1, "by the new functions' timer, a minute later"
        until(lambda: list(ports.blobs.list(names.CONTAINER_CONTROL, f"{KEPT}requests/")), "it to be kept once more")
        site.stack.functions_from = TOP
        site.stack.host.stop(45)
        site.stack.renew_host().start()
        assert read_kept_again(ports) == 1
        site.finish().holds(1)


@pytest.mark.parametrize("age", ["old", "new"])
def test_a_worker_hands_back_a_ticket_whose_words_it_does_not_know(
    age: str, request: pytest.FixtureRequest, azurite: Azurite, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if age == "old":
        monkeypatch.setenv("PYTHONPATH", source_path(request.getfixturevalue("before")))
    storage = Storage(azurite)
    task = storage.release({"steps": []})
    tickets = storage.blobs.get_container_client(names.ticket_container(storage.pool))
    ticket = json.loads(tickets.download_blob(names.ticket_blob(task, 1)).readall())
    ticket["spec"]["sharpness"] = 2
    tickets.upload_blob(names.ticket_blob(task, 1), json.dumps(ticket), overwrite=True)
    with agents(storage, tmp_path) as start:
        start()
        report = storage.report(task, "finished" if age == "old" else "returned")
    storage.close()
    assert str(report.reason).startswith(NOT_UNDERSTOOD)
    assert "sharpness" in str(report.reason)
    assert (report.verdicts, report.token) == ((), TOKEN)


@pytest.mark.parametrize("way", ["restart", "upgrade-and-back"])
def test_a_rolling_restart_under_load_loses_nothing(way: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    start, *ways = [TOP, TOP] if way == "restart" else [before := request.getfixturevalue("before"), TOP, before]
    with loaded_site(tmp_path, MOST_TASKS, functions_from=start, workers_from=start) as site:
        for end in ways:
            site.wait_for(made := site.made + 4, open_tasks=2)
            restarted = {*roll(site.stack, end)}
            assert restarted >= {"node-1", "node-2", "presence", "functions-host", site.stack.broker.name, "Azurite"}
            assert comes_from(site.stack.agents[0], "orthoagent", end)
            assert comes_from(site.stack.host, "orthofunctions", end)
            assert site.made > made, "nothing was made meanwhile"
            site.wait_for(made + TASKS)
        site.ask_no_more()
        load = site.finish()
    tell_of(way, load)
    load.holds(len(site.requests))
