"""Blob and timer triggers: each version once, over restarts too; ticks that do not overlap."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest
from azure.storage.queue import QueueClient

from integration.host_stack import Stage, texts, wait_for
from localdev.servers import Azurite


@pytest.fixture
def stage(azurite: Azurite, tmp_path: Path) -> Iterator[Stage]:
    """Names for one test; its hosts are stopped at the end."""
    stage = Stage(azurite, tmp_path)
    yield stage
    for host in stage.hosts:
        host.stop()


def test_each_version_of_a_blob_is_given_once(stage: Stage) -> None:
    products, texts_ = stage.container("products"), stage.container("texts")
    products.upload_blob("in/before", "one")
    products.upload_blob("out/other", "no")
    texts_.upload_blob("a/b.txt", "héllo")
    texts_.upload_blob("a/b.png", "no")
    host = stage.host().start()
    wait_for(lambda: stage.story("product") and stage.story("text"))
    products.upload_blob("in/deep/after", "two")
    wait_for(lambda: len(stage.story("product")) == 2)
    products.upload_blob("in/before", "one again", overwrite=True)
    wait_for(lambda: len(stage.story("product")) == 3)
    host.stop()
    assert host.exit_status == 0

    products.upload_blob("in/meanwhile", "three")
    stage.host("second").start()
    wait_for(lambda: len(stage.story("product")) == 4)
    products.upload_blob("in/last", "four")  # a later scan has seen the older ones again
    wait_for(lambda: len(stage.story("product")) == 5)
    told = [(each["blob"], each["content"]) for each in stage.story("product")]
    assert told == [
        ("in/before", "one"),
        ("in/deep/after", "two"),
        ("in/before", "one again"),
        ("in/meanwhile", "three"),
        ("in/last", "four"),
    ]
    (text,) = stage.story("text")
    assert (text["blob"], text["length"], text["content"]) == (f"{stage.prefix}-texts/a/b.txt", 6, "héllo")


def test_a_blob_that_fails_is_poisoned_while_ticks_come_on_time(stage: Stage) -> None:
    stage.container("products").upload_blob("in/x", "broken")
    poison = QueueClient.from_connection_string(stage.azurite.connection_string, "webjobs-blobtrigger-poison")
    stage.host(TICKS="*/2 * * * * *").start()
    wait_for(lambda: stage.logged("message_poisoned"))
    assert len(stage.story("product", "begin")) == 2  # host.json: poisonBlobThreshold 2
    messages = [json.loads(base64.b64decode(text)) for text in texts(poison)]
    (message,) = [each for each in messages if each["ContainerName"] == f"{stage.prefix}-products"]
    assert (message["BlobName"], message["FunctionId"]) == ("in/x", "Host.Functions.product")

    wait_for(lambda: len(stage.story("tick", "begin")) >= 3)
    for tick in stage.story("tick", "begin")[1:3]:  # the first came at the start
        assert tick["past_due"] or tick["time"] % 2 < 1.1


def test_ticks_do_not_overlap_and_late_ones_are_marked(stage: Stage) -> None:
    """Every second, 1.3 s each, and once at start."""
    stage.host(TICKS="* * * * * *", TICK_S="1.3").start()
    wait_for(lambda: len(stage.story("tick", "end")) >= 4)
    events = [each["event"] for each in stage.story("tick")]
    assert events[:8] == ["begin", "end"] * 4
    begun = stage.story("tick", "begin")
    assert not begun[0]["past_due"]
    assert all(later["time"] - earlier["time"] >= 1.3 for earlier, later in pairwise(begun))


def test_tests_need_not_wait_for_the_minute(stage: Stage) -> None:
    stage.host(TICKS="0 * * * * *", LOCALDEV_TIMERS_S="0.5").start()
    wait_for(lambda: len(stage.story("tick", "end")) >= 4)

    stage.hosts[0].stop()
    stage.story_file.write_text("")
    stage.host("yearly", LOCALDEV_TIMERS_S="0.5").start()
    wait_for(lambda: stage.story("tick", "end"))  # at the start
    time.sleep(1.5)
    assert len(stage.story("tick", "begin")) == 1, "what comes less often keeps its times"


def test_nothing_triggers_a_function_that_is_disabled(stage: Stage) -> None:
    stage.container("products").upload_blob("in/x", "one")
    stage.host(TICKS="* * * * * *", **{"AzureWebJobs.tick.Disabled": "true"}).start()
    wait_for(lambda: stage.story("product"))
    time.sleep(1.5)
    assert not stage.story("tick")
