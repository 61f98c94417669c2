"""Workers whose storage or disk is in trouble: real storage behind a proxy, a real small disk."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from integration.worker_kit import Storage, agents, until
from localdev.chaos.proxy import StorageProxy
from localdev.chaos.site import small_disk
from localdev.chaos.trouble import Call, Trouble
from localdev.servers import Azurite
from orthoagent.adapters import scratch


@pytest.fixture
def storage(azurite: Azurite) -> Iterator[Storage]:
    world = Storage(azurite)
    yield world
    world.close()


def _is_renewal(call: Call) -> bool:
    return call.service == "queue" and call.method == "PUT" and "/messages/" in call.path


def test_a_message_lost_because_storage_did_not_answer_is_said_to_be(
    azurite: Azurite, storage: Storage, tmp_path: Path
) -> None:
    """Renewals fail, half of them after storage has carried them out: the worker no longer knows the receipt."""
    with StorageProxy(azurite, seed=1) as proxy, agents(storage, tmp_path) as start:
        storage.connection = proxy.connection_string
        agent = start(lease_s=3)
        task = storage.release({"steps": [60]})
        agent.child_pid(task)
        with proxy.during(Trouble("error", 1.0, status=500, concerns=_is_renewal)):
            until(lambda: len(agent.events("storage_silent")) >= 2, "a renewal that fails, and one that half fails")
        report = storage.report(task, "lost")
        assert (report.delivery, report.agent) == (1, agent.name)
        assert [one.kind for one in storage.reports_of(task)][:2] == ["started", "lost"]


def test_an_agent_whose_disk_is_full_takes_nothing(storage: Storage, tmp_path: Path) -> None:
    """It would fail at once, be free again at once, and so take task after task from those that could."""
    with small_disk(tmp_path / "disk") as disk, agents(storage, tmp_path) as start:
        if disk is None:
            pytest.skip("a small disk can be mounted only by root")
        filler = disk / "filler"
        filler.write_bytes(bytes(200 << 20))
        agent = start(scratch=disk)
        task = storage.release({})
        agent.wait_for("disk_full")
        time.sleep(1)
        assert storage.reports_of(task) == []
        filler.unlink()
        report = storage.report(task, "finished")
        assert storage.faults(report) == []


def test_what_a_full_disk_is(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def usage(free: int) -> object:
        return lambda _: type("Usage", (), {"free": free})()

    for free, is_full in ((scratch.SPARE_BYTES - 1, True), (scratch.SPARE_BYTES, False)):
        monkeypatch.setattr(scratch.shutil, "disk_usage", usage(free))
        assert scratch.is_full(tmp_path) is is_full
    monkeypatch.undo()
    assert not scratch.is_full(tmp_path / "not there")
