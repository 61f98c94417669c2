"""Queue triggers against the real emulator: deleted on success only, retried, poisoned, never run twice at once."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from azure.storage.queue import QueueMessage

from integration.host_stack import Stage, encoded, length, texts, wait_for
from localdev.servers import Azurite

A_MINUTE_EACH = {"AzureFunctionsJobHost__functionTimeout": "00:01:00"}


@pytest.fixture
def stage(azurite: Azurite, tmp_path: Path) -> Iterator[Stage]:
    """Names for one test; its hosts are stopped at the end."""
    stage = Stage(azurite, tmp_path)
    yield stage
    for host in stage.hosts:
        host.stop()


def test_success_deletes_failure_retries_and_then_poisons(stage: Stage) -> None:
    work, poison = stage.queue("work"), stage.queue("work-poison", make=False)
    relay, relayed = stage.queue("relay"), stage.queue("relayed", make=False)
    for content in ("good", {"failures": 2}, {"failures": 9}):
        work.send_message(encoded(content))
    work.send_message("{not base64}")
    relay.send_message(encoded("m"))
    stage.host().start()

    wait_for(lambda: length(work) == 0 and len(stage.story("work", "end")) == 2)
    # bad base64 goes to poison as it stands and the function never sees it
    assert sorted(texts(poison)) == sorted(["{not base64}", encoded({"failures": 9})])
    tries: dict[str, list[int]] = {str(each["body"]): [] for each in stage.story("work")}
    for each in stage.story("work", "begin"):
        tries[each["body"]].append(each["tries"])
    assert tries == {"good": [1], '{"failures": 2}': [1, 2, 3], '{"failures": 9}': [1, 2, 3]}
    times = [each["time"] for each in stage.story("work", "begin", body='{"failures": 2}')]
    assert min(times[1] - times[0], times[2] - times[1]) >= 0.9  # host.json: visibilityTimeout 1 s

    reasons = [event["reason"] for event in stage.logged("message_poisoned")]
    assert sum("not base64" in reason for reason in reasons) == 1
    assert "3 tries" in reasons
    failed = stage.logged("function_failed")
    assert len(failed) == 5
    assert {event["error"] for event in failed} == {"RuntimeError: as ordered"}

    wait_for(lambda: length(relay) == 0)
    assert sorted(texts(relayed)) == sorted([encoded("ma"), encoded("mb")])


def test_a_killed_host_loses_nothing(stage: Stage) -> None:
    work = stage.queue("work")
    work.send_message(encoded({"sleep_s": 1.5}))
    first = stage.host("first", lease_s=4, **A_MINUTE_EACH).start()
    wait_for(lambda: stage.story("work", "begin"))
    first.kill()
    assert length(work) == 1
    stage.host("second", lease_s=4, **A_MINUTE_EACH).start()
    wait_for(lambda: length(work) == 0)
    one, two = stage.story("work", "begin")
    assert (one["id"], one["tries"], two["tries"]) == (two["id"], 1, 2)
    assert one["pid"] != two["pid"]
    assert two["time"] - one["time"] > 3  # not before the lease of 4 s ended
    assert len(stage.story("work", "end")) == 1


def test_two_hosts_share_a_queue_and_no_message_runs_twice(stage: Stage) -> None:
    """Runs that last longer than the lease: without renewal the other host would take them over."""
    work = stage.queue("work")
    for number in range(12):
        work.send_message(encoded({"number": number, "sleep_s": 4 if number < 2 else 0.05}))
    hosts = [stage.host(name, lease_s=3, **A_MINUTE_EACH) for name in ("one", "two")]
    for host in hosts:
        host.start()
    wait_for(lambda: length(work) == 0)
    begun = stage.story("work", "begin")
    assert len(begun) == len(stage.story("work", "end")) == 12
    assert {each["tries"] for each in begun} == {1}


def test_a_message_that_another_has_taken_over_is_not_deleted(stage: Stage) -> None:
    """The host is frozen until its lease has run out, as a suspended machine would be.

    Time goes on meanwhile: with the app's own limit of 2 s the run would have failed when the host wakes.
    """
    work = stage.queue("work")
    work.send_message(encoded({"sleep_s": 3}))
    host = stage.host(lease_s=2, **A_MINUTE_EACH).start()
    wait_for(lambda: stage.story("work", "begin"))
    os.killpg(host.group, signal.SIGSTOP)
    taken: list[QueueMessage] = []

    def take_over() -> bool:
        taken.extend(work.receive_messages(visibility_timeout=60))
        return bool(taken)

    try:
        wait_for(take_over)
    finally:
        os.killpg(host.group, signal.SIGCONT)
    wait_for(lambda: stage.story("work", "end") and stage.logged("message_lost"))
    work.delete_message(taken[0])  # the taker's receipt still holds
    assert length(work) == 0


def test_a_stop_finishes_what_runs_and_takes_no_more(stage: Stage) -> None:
    work = stage.queue("work")
    for _ in range(9):
        work.send_message(encoded({"sleep_s": 1}))
    host = stage.host(**A_MINUTE_EACH).start()
    httpx.get(f"{host.url}/api/x")
    wait_for(lambda: len(stage.story("work", "begin")) >= 3)
    host.stop()
    assert host.exit_status == 0
    assert [each["event"] for each in stage.story("web")] == ["lifespan.startup", "lifespan.shutdown"]
    begun, ended = stage.story("work", "begin"), stage.story("work", "end")
    assert {each["id"] for each in begun} == {each["id"] for each in ended}
    assert length(work) == 9 - len(ended) > 0
    assert len(stage.logged("host_stopped")) == 1


def test_a_function_past_its_time_limit_fails(stage: Stage) -> None:
    """host.json: functionTimeout 2 s; an async function is interrupted, a sync one given up."""
    stage.queue("slow").send_message(encoded("x"))
    stage.queue("work").send_message(encoded({"sleep_s": 4}))
    host = stage.host().start()
    wait_for(lambda: len(stage.logged("function_timed_out")) >= 2)
    assert stage.story("slow", "interrupted")
    assert {event["function"] for event in stage.logged("function_timed_out")} == {"slow", "work"}
    begun = time.monotonic()
    host.stop()
    assert host.exit_status == 0
    assert time.monotonic() - begun < 5 + 3  # --stop-grace-s 5: a thread that hangs does not hold the host up


def test_the_host_outlives_a_storage_outage(tmp_path: Path) -> None:
    with Azurite(tmp_path / "azurite") as own:
        stage = Stage(own, tmp_path)
        work = stage.queue("work")
        host = stage.host().start()
        own.stop()
        wait_for(lambda: stage.logged("queue_not_read"))
        own.start()
        work.send_message(encoded("after"))
        wait_for(lambda: stage.story("work", "end"))
        assert host.running
        host.stop()
        assert host.exit_status == 0
