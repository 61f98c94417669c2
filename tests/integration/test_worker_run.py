"""The worker on real storage: what it does with one release, and what it never does."""

from __future__ import annotations

import base64
import hashlib
import os
import re
import signal
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from figures import tell
from integration.worker_kit import Agent, Storage, agents, digest_of, is_alive, until
from localdev.servers import Azurite
from localdev.servers.process import free_ports
from orthocontracts import names
from orthocontracts.messages import Release
from orthocontracts.outputs import file_kinds
from orthocontracts.requests import Options
from prometheus_text import families

Start = Callable[..., Agent]


@pytest.fixture
def storage(azurite: Azurite) -> Iterator[Storage]:
    world = Storage(azurite)
    yield world
    world.close()


@pytest.fixture
def start(storage: Storage, tmp_path: Path) -> Iterator[Start]:
    with agents(storage, tmp_path) as starter:
        yield starter


@pytest.fixture(scope="module")
def served(azurite: Azurite, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Storage, Agent]]:
    """A pool with one worker, for the tests after which it works as before."""
    world = Storage(azurite)
    with agents(world, tmp_path_factory.mktemp("served")) as starter:
        yield world, starter(renew_s=0.5, broker="mqtt://user:word@127.0.0.1:1", health_port=free_ports(1)[0])
    world.close()


def scratch_of(agent: Agent) -> list[str]:
    return [path.name for path in (agent.folder / "scratch" / agent.name).iterdir() if path.is_dir()]


def test_a_release_ends_as_files_and_a_verdict_for_each_output(served: tuple[Storage, Agent]) -> None:
    storage, agent = served
    task = storage.release({"steps": [0.1]}, tiles=("33TTG", "33TUG"))
    finished = storage.report(task, "finished")
    started = storage.report(task, "started")
    assert (started.delivery, started.agent, started.pool) == (1, agent.name, storage.pool)
    assert {verdict.digest for verdict in finished.verdicts} == {digest_of(task + "33TTG"), digest_of(task + "33TUG")}
    for verdict in finished.verdicts:
        assert verdict.fault is None
        assert verdict.files is not None
        assert verdict.figures == {"dem_coverage": 1.0}
        assert set(verdict.files) == {"image", "mask", "browse", "item"}
        for facts in verdict.files.values():
            body = storage.blob(facts.blob)
            assert (len(body), hashlib.md5(body).hexdigest()) == (facts.size_bytes, facts.md5)
    until(lambda: storage.messages_left() == 0, "the message to be deleted")
    until(lambda: scratch_of(agent) == [], "the scratch folder to be removed")
    assert [report.kind for report in storage.reports_of(task)] == ["started", "finished"]
    log = agent.log_path.read_text()
    assert "sig=" not in log.replace("sig=***", "")
    assert "AccountKey=E" not in log


def test_the_extras_that_were_asked_for_are_delivered_and_reported(served: tuple[Storage, Agent]) -> None:
    storage, _ = served
    nrb = Options(radiometry="gamma0_rtc")
    task = storage.release({}, options=nrb)
    (verdict,) = storage.report(task, "finished").verdicts
    assert verdict.fault is None
    assert verdict.files is not None
    assert set(verdict.files) == set(file_kinds(nrb))
    for extra in nrb.extras:
        assert verdict.files[extra].blob.endswith(f"_{extra}.tif")
        assert storage.blob(verdict.files[extra].blob) == extra.encode()


def test_an_output_without_one_of_its_extras_is_not_delivered(served: tuple[Storage, Agent]) -> None:
    storage, _ = served
    task = storage.release({"forgets": "local_incidence"}, options=Options(radiometry="gamma0_rtc"))
    (fault,) = storage.faults(storage.report(task, "finished"))
    assert (fault.kind, fault.message) == ("NoResult", "the kernel made no local_incidence")


def test_one_output_may_fail_while_the_others_succeed(served: tuple[Storage, Agent]) -> None:
    storage, _ = served
    task = storage.release({"end": {"33TUG": "bad product"}}, tiles=("33TTG", "33TUG", "33TVG"))
    finished = storage.report(task, "finished")
    assert [verdict.fault is None for verdict in finished.verdicts] == [True, False, True]
    (fault,) = storage.faults(finished)
    assert (fault.kind, fault.permanent) == ("BrokenProductError", True)
    assert fault.message.startswith(f"in/products/{task}/scene.tif: a truncated annotation")


def test_a_crash_is_named_and_what_was_finished_before_counts(served: tuple[Storage, Agent]) -> None:
    storage, _ = served
    task = storage.release({"end": {"33TUG": "segfault"}}, tiles=("33TTG", "33TUG", "33TVG"))
    finished = storage.report(task, "finished")
    assert [verdict.fault is None for verdict in finished.verdicts] == [True, False, False]
    assert {fault.permanent for fault in storage.faults(finished)} == {False}
    assert "SIGSEGV" in storage.faults(finished)[0].message
    after = storage.release({"steps": []})
    assert not storage.faults(storage.report(after, "finished"))


def test_a_task_over_its_limit_is_stopped(served: tuple[Storage, Agent]) -> None:
    storage, agent = served
    task = storage.release({"steps": [60]}, time_limit_s=3)
    child = agent.child_pid(task)
    (fault,) = storage.faults(storage.report(task, "finished"))
    assert (fault.kind, fault.permanent) == ("TimeLimit", False)
    assert not is_alive(child)


def test_when_there_is_no_money_for_more_its_end_is_the_end_of_its_upload_too(served: tuple[Storage, Agent]) -> None:
    """Its images go to a server that takes them and never answers: within its limit it would try on and on."""
    storage, agent = served
    with socket.create_server(("127.0.0.1", 0)) as silent:
        task = storage.release(
            {"steps": [0.1]}, end_s=3, time_limit_s=2, uploads_to=f"http://127.0.0.1:{silent.getsockname()[1]}"
        )
        agent.wait_for("delivery_moves", event="child ended", task=task)
        finished = storage.report(task, "finished")
    (fault,) = storage.faults(finished)
    assert (fault.kind, fault.message) == ("TimeLimit", "stopped after 3 s, its limit, while delivering")
    assert 2 < sum(finished.figures[f"{phase}_s"] for phase in ("fetch", "compute", "deliver")) < 4
    slow = storage.release({"steps": [60]}, end_s=3, time_limit_s=3)
    child = agent.child_pid(slow)
    (fault,) = storage.faults(storage.report(slow, "finished"))
    assert fault.kind == "TimeLimit"
    assert not is_alive(child)
    until(lambda: not scratch_of(agent), "its scratch folders to be gone")


@pytest.mark.parametrize(
    ("end", "limit", "kind"),
    [
        ("hang", {"silence_s": 1.5}, "Hung"),
        ("eat memory", {"slot_memory_gb": 0.3}, "OutOfMemory"),
        ("fill scratch", {"slot_scratch_gb": 0.05}, "ScratchLimit"),
    ],
)
def test_a_kernel_that_hangs_or_takes_more_than_its_slot_has_fails_that_attempt_only(
    storage: Storage, start: Start, end: str, limit: dict[str, float], kind: str
) -> None:
    agent = start(**limit)
    task = storage.release({"end": {"33TUG": end}}, tiles=("33TTG", "33TUG"))
    child = agent.child_pid(task)
    finished = storage.report(task, "finished")
    assert [verdict.fault is None for verdict in finished.verdicts] == [True, False]
    (fault,) = storage.faults(finished)
    assert (fault.kind, fault.permanent) == (kind, False)
    assert not is_alive(child)
    after = storage.release({"steps": []})
    assert not storage.faults(storage.report(after, "finished"))
    assert agent.process.poll() is None


def test_a_task_whose_inputs_are_more_than_a_slot_may_store_is_not_fetched(storage: Storage, start: Start) -> None:
    start(slot_scratch_gb=1e-7)
    finished = storage.report(storage.release({"steps": [1.0] * 100}), "finished")
    (fault,) = storage.faults(finished)
    assert fault.kind == "ScratchLimit"
    assert "fetch_s" in finished.figures, "how long it tried, for the task's timeline"
    assert "ORTHOAGENT_SLOT_SCRATCH_GB" in fault.message


def test_a_task_starts_within_50_ms_and_needs_no_second_fetch_of_its_inputs(storage: Storage, start: Start) -> None:
    start()
    figures = []
    for _ in range(5):
        finished = storage.report(storage.release({"steps": [], "same": True}), "finished")
        figures.append(finished.figures)
    assert [one["local_bytes"] > 0 for one in figures] == [False, True, True, True, True]
    # From the fetched inputs to the child's last word: it writes four small files meanwhile.
    starts_s = sorted(one["compute_s"] for one in figures[1:])
    tell("start of a task in a warm child, median of four, ms", 1000 * starts_s[1], "under 50")
    assert starts_s[0] < 0.05, figures


@pytest.mark.parametrize(
    ("script", "given", "kind"),
    [
        ({"end": "disk full"}, {}, "DiskFull"),
        ({}, {"md5": "0" * 32}, "InputDamaged"),
    ],
)
def test_what_fails_says_why_and_may_be_tried_again(
    served: tuple[Storage, Agent], script: dict[str, object], given: dict[str, str], kind: str
) -> None:
    storage, _ = served
    task = storage.release(script, **given)  # type: ignore[arg-type]
    (fault,) = storage.faults(storage.report(task, "finished"))
    assert (fault.kind, fault.permanent) == (kind, False)


def test_a_child_sees_no_secrets(served: tuple[Storage, Agent]) -> None:
    storage, _ = served
    task = storage.release({"end": "secrets"})
    (fault,) = storage.faults(storage.report(task, "finished"))
    assert "ORTHOAGENT_POOL" in fault.message
    assert "ORTHOAGENT_STORAGE" not in fault.message
    assert "ORTHOAGENT_BROKER" not in fault.message


def test_a_release_without_ticket_was_recalled_and_is_dropped_in_silence(served: tuple[Storage, Agent]) -> None:
    storage, agent = served
    task = storage.release({}, with_ticket=False)
    agent.wait_for("delivery_moves", now="discarded", task=task)
    until(lambda: storage.messages_left() == 0, "the message to be deleted")
    assert storage.reports_of(task) == []


def test_a_ticket_withdrawn_in_mid_run_stops_the_child_within_one_renewal(served: tuple[Storage, Agent]) -> None:
    storage, agent = served
    task = storage.release({"steps": [60]})
    child = agent.child_pid(task)
    storage.withdraw_ticket(task)
    withdrawn_s = time.monotonic()
    until(lambda: not is_alive(child), "the child to die", 5)
    assert time.monotonic() - withdrawn_s < 0.5 + 1.5
    until(lambda: storage.messages_left() == 0, "the message to be deleted")
    assert [report.kind for report in storage.reports_of(task)] == ["started"]
    until(lambda: scratch_of(agent) == [], "the scratch folder to be removed")


def test_who_loses_the_message_stops_and_never_reports(served: tuple[Storage, Agent]) -> None:
    storage, agent = served
    task = storage.release({"steps": [60]})
    child = agent.child_pid(task)
    storage.pool_queue.clear_messages()
    agent.wait_for("lease_lost", task=task)
    until(lambda: not is_alive(child), "the child to die", 3)
    agent.wait_for("delivery_moves", now="abandoned", task=task)
    assert [report.kind for report in storage.reports_of(task)] == ["started"]


def test_a_killed_worker_loses_nothing(storage: Storage, start: Start) -> None:
    task = storage.release({"steps": [2]})
    first = start()
    child = first.child_pid(task)
    first.kill()
    until(lambda: not is_alive(child), "the orphan to end itself", 5)
    second = start(name=first.name)
    finished = storage.report(task, "finished")
    assert (finished.delivery, finished.agent) == (2, second.name)
    assert not storage.faults(finished)
    assert len(second.events("leftover_removed")) == 1
    until(lambda: storage.messages_left() == 0, "the message to be deleted")


def test_a_delivery_too_many_is_reported_and_not_tried(served: tuple[Storage, Agent]) -> None:
    storage, _ = served
    task = storage.release({"steps": []}, deliveries=0)
    (fault,) = storage.faults(storage.report(task, "finished"))
    assert (fault.kind, fault.permanent) == ("DeliveriesExhausted", False)
    assert [report.kind for report in storage.reports_of(task)] == ["finished"]


def test_links_that_would_end_too_soon_send_the_work_back(served: tuple[Storage, Agent]) -> None:
    storage, _ = served
    task = storage.release({}, time_limit_s=100, links_s=50)
    returned = storage.report(task, "returned")
    assert returned.reason == "its links would expire before its time limit"
    until(lambda: storage.messages_left() == 0, "the message to be deleted")


def test_nonsense_on_the_queue_does_not_keep_good_work_waiting(served: tuple[Storage, Agent]) -> None:
    storage, agent = served
    storage.send_raw("this is not base64 !")
    storage.send_raw(base64.b64encode(b"not json").decode())
    storage.send('{"v": 1, "task_id": "../../etc", "release": 1}')
    storage.send('{"v": 2, "task_id": "jx-0001", "release": 1}')
    storage.send('{"task_id": "jx-0001", "release": 1}')
    task = storage.release({})
    assert not storage.faults(storage.report(task, "finished"))
    assert len(agent.events("message_not_understood")) == 5
    until(lambda: storage.messages_left() == 0, "the queue to be empty")


def test_a_ticket_of_words_it_does_not_know_is_handed_back_with_a_reason(served: tuple[Storage, Agent]) -> None:
    storage, agent = served
    container = storage.blobs.get_container_client(names.ticket_container(storage.pool))
    container.upload_blob(names.ticket_blob("jx-0001", 1), b'{"v": 2, "spec": "SECRET", "token": "a token"}')
    storage.send(Release(task_id="jx-0001", release=1).to_json())
    report = storage.report("jx-0001", "returned")
    assert report.reason is not None
    assert "version" in report.reason
    assert report.token == "a token", "else nobody would believe that it was handed back"
    assert "SECRET" not in report.reason + agent.log_path.read_text()


def test_a_ticket_that_speaks_of_another_task_ends_the_release_with_a_reason(served: tuple[Storage, Agent]) -> None:
    storage, _ = served
    another = storage.release({"steps": [0.1]})
    assert storage.faults(storage.report(another, "finished")) == []
    container = storage.blobs.get_container_client(names.ticket_container(storage.pool))
    ticket = container.download_blob(names.ticket_blob(another, 1)).readall()
    container.upload_blob(names.ticket_blob("jy-0001", 1), ticket)
    storage.send(Release(task_id="jy-0001", release=1).to_json())
    report = storage.report("jy-0001", "finished")
    assert report.verdicts == ()
    assert report.reason == f"the ticket speaks of {another} release 1"


def test_a_second_signal_ends_at_once_and_leaves_the_message_to_others(storage: Storage, start: Start) -> None:
    task = storage.release({"steps": [60]})
    agent = start(lease_s=60, grace_s=60)
    child = agent.child_pid(task)
    agent.process.terminate()
    agent.wait_for("drains")
    agent.process.terminate()
    assert agent.process.wait(3) == 0
    assert not is_alive(child)
    assert [report.kind for report in storage.reports_of(task)] == ["started"]
    again = until(storage.pool_queue.receive_message, "the message to be visible again", 2)
    assert again.dequeue_count == 2


def test_until_empty_works_off_the_queue_and_leaves(storage: Storage, start: Start) -> None:
    tasks = [storage.release({"steps": [0.1]}) for _ in range(3)]
    agent = start("run", "--until-empty", "--linger", "1")
    assert agent.process.wait(60) == 0
    assert all(not storage.faults(storage.report(task, "finished")) for task in tasks)
    assert len(agent.events("leaves")) == 1


def test_a_compute_function_that_cannot_be_imported_ends_the_worker(storage: Storage, start: Start) -> None:
    task = storage.release({})
    agent = start(compute="integration.worker_compute:missing")
    assert agent.process.wait(60) == 1
    assert "no attribute 'missing'" in agent.log_path.read_text()
    assert storage.reports_of(task) == []
    assert storage.messages_left() == 1


def test_a_drain_lets_short_work_finish_hands_long_work_back_and_takes_nothing_more(
    storage: Storage, start: Start
) -> None:
    short, long = storage.release({"steps": [1.5]}), storage.release({"steps": [60]})
    agent = start(grace_s=3, slots=2)
    children = {agent.child_pid(short), agent.child_pid(long)}
    assert len(children) == 2, "slots work side by side, each in a process of its own"
    waiting = storage.release({})
    assert agent.end() == 0
    assert not storage.faults(storage.report(short, "finished"))
    returned = storage.report(long, "returned")
    assert returned.reason == "received SIGTERM"
    assert {"fetch_s", "compute_s"} <= set(returned.figures), "for the task's timeline"
    assert returned.figures["compute_s"] > 1
    assert not any(map(is_alive, children))
    assert storage.messages_left() == 1, "only the release it never took"
    assert storage.reports_of(waiting) == []


def test_two_workers_of_one_id_on_one_machine_are_refused(served: tuple[Storage, Agent]) -> None:
    storage, agent = served
    agent.wait_for("worker_ready")
    with agents(storage, agent.folder) as starter:
        second = starter(name=agent.name)
        assert second.process.wait(60) == 1
    assert "already runs here" in second.log_path.read_text()


def test_a_message_taken_by_another_worker_is_lost_to_the_first(served: tuple[Storage, Agent]) -> None:
    """A worker that is frozen past its lease wakes up to find its delivery taken."""
    storage, first = served
    task = storage.release({"steps": [2]})
    first.child_pid(task)
    os.kill(first.process.pid, signal.SIGSTOP)
    try:
        with agents(storage, first.folder) as starter:
            second = starter()
            finished = storage.report(task, "finished")
    finally:
        os.kill(first.process.pid, signal.SIGCONT)
    assert (finished.agent, finished.delivery) == (second.name, 2)
    first.wait_for("delivery_moves", now="abandoned", task=task)
    assert [report.agent for report in storage.reports_of(task) if report.kind == "finished"] == [second.name]


def test_computing_goes_on_while_storage_is_down(tmp_path: Path) -> None:
    with Azurite(tmp_path / "azurite") as azurite:
        world = Storage(azurite)
        with agents(world, tmp_path) as starter:
            agent = starter()
            task = world.release({"steps": [4]})
            child = agent.child_pid(task)
            azurite.stop()
            agent.wait_for("storage_silent", doing="renew")
            assert is_alive(child)
            azurite.start()
            finished = world.report(task, "finished")
            assert (finished.delivery, world.faults(finished)) == (1, [])
        world.close()


def test_the_health_page_shows_what_it_does(served: tuple[Storage, Agent]) -> None:
    storage, agent = served
    storage.report(storage.release({}), "finished")
    address = f"http://127.0.0.1:{agent.wait_for('health_page')['port']}"
    until(lambda: httpx.get(f"{address}/healthz").json()["running"] == 0, "the slot to be free")
    health = httpx.get(f"{address}/healthz")
    assert health.status_code == 200
    assert health.json() == {
        "ready": True,
        "storage": True,
        "broker": False,
        "state": "online",
        "slots": 1,
        "running": 0,
    }
    page = httpx.get(f"{address}/metrics")
    assert page.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    found = families(page.text)
    assert found["orthoagent_ended_total"].value(how="done") >= 1
    made = found["orthoagent_made_megapixels_total"].value(process="orthorectify")
    assert made > 0
    took = found["orthoagent_phase_seconds"]
    counts = [took.value("_count", phase=phase, process="orthorectify") for phase in ("fetch", "compute", "deliver")]
    assert min(counts) >= 1
    assert found["orthoagent_delivered_bytes_total"].value() > 0


def test_a_worker_ends_before_its_walltime_does(storage: Storage, start: Start) -> None:
    agent = start(walltime_s=10.5, grace_s=0)
    assert agent.process.wait(60) == 0
    assert agent.events("drains")[0]["reason"] == "the batch job's walltime is nearly over"


def test_a_task_that_would_outlast_the_batch_job_is_handed_back(storage: Storage, start: Start) -> None:
    agent = start(walltime_s=100, grace_s=0)
    long, short = storage.release({}, expected_s=100), storage.release({}, expected_s=60)
    storage.report(short, "finished")
    returned = storage.report(long, "returned")
    assert re.fullmatch(r"it may take 100 s, and this worker's batch job ends in \d+ s", returned.reason or "")
    assert [report.kind for report in storage.reports_of(long)] == ["returned"]
    assert agent.end() == 0


def test_sigusr1_drains_and_a_second_one_aborts_nothing(storage: Storage, start: Start) -> None:
    agent = start(grace_s=20)
    task = storage.release({"steps": [1.0]})
    agent.child_pid(task)
    agent.process.send_signal(signal.SIGUSR1)
    agent.wait_for("drains", reason="received SIGUSR1")
    agent.process.send_signal(signal.SIGUSR1)
    storage.report(task, "finished")
    assert agent.process.wait(60) == 0
    assert agent.events("aborts") == []
