"""An operator's commands, as typed, against a real broker, storage and agents."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from integration.worker_kit import Agent, Storage, agents, is_alive, orthoagent, until
from localdev.servers import Broker, BrokerUser
from orthocontracts import names

Start = Callable[..., Agent]


@pytest.fixture(scope="module")
def crew(storage: Storage, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Broker, Agent, Agent]]:
    """Two agents of a pool, and nobody else on their broker."""
    with (
        Broker(tmp_path_factory.mktemp("broker")) as broker,
        agents(storage, tmp_path_factory.mktemp("agents")) as start,
    ):
        pair = [start(broker=broker.url, name=name, grace_s=60, poll_up_s=0.3) for name in ("node-a", "node-b")]
        for agent in pair:
            agent.wait_for("broker_up")
            agent.wait_for("worker_ready")
        yield broker, pair[0], pair[1]


def statuses(broker: Broker) -> dict[str, dict[str, object]]:
    answer = orthoagent("status", "--json", broker=broker.url)
    assert answer.returncode == 0, answer.stderr
    return {one["agent"]: one for one in json.loads(answer.stdout)}


def test_status_shows_every_agent_and_what_it_runs(storage: Storage, crew: tuple[Broker, Agent, Agent]) -> None:
    broker, *_ = crew
    task = storage.release({"steps": [8]})
    until(lambda: any(one["running"] for one in statuses(broker).values()), "the task to run")
    shown = orthoagent("status", broker=broker.url).stdout.splitlines()
    assert shown[0].split()[:4] == ["AGENT", "POOL", "STATE", "SLOTS"]
    assert [line.split()[0] for line in shown[1:]] == ["node-a", "node-b"]
    assert sum(task in line and "compute" in line for line in shown) == 1
    storage.report(task, "finished")
    empty = orthoagent("status", "--pool", "elsewhere", broker=broker.url)
    assert empty.returncode == 1
    assert "no agent of pool elsewhere" in empty.stderr


def test_drained_agents_take_nothing_until_they_are_resumed(
    storage: Storage, crew: tuple[Broker, Agent, Agent]
) -> None:
    broker, *_ = crew
    answer = orthoagent("drain", "--pool", storage.pool, broker=broker.url)
    assert (answer.returncode, answer.stdout) == (0, "drain: node-a, node-b\n") or sorted(
        answer.stdout.replace(",", "").split()[1:]
    ) == ["node-a", "node-b"]
    assert {one["state"] for one in statuses(broker).values()} == {"draining"}
    task = storage.release({})
    time.sleep(1.0)
    assert storage.reports_of(task) == []
    assert orthoagent("resume", "node-b", broker=broker.url).returncode == 0
    assert storage.report(task, "finished").agent == "node-b"
    assert orthoagent("resume", "node-a", broker=broker.url).returncode == 0


def test_a_stopped_run_is_handed_back_at_once(storage: Storage, crew: tuple[Broker, Agent, Agent]) -> None:
    broker, *pair = crew
    task = storage.release({"steps": [60]})
    until(lambda: any(one["running"] for one in statuses(broker).values()), "the task to run")
    started = storage.report(task, "started")
    agent = next(agent for agent in pair if agent.name == started.agent)
    child = agent.child_pid(task)
    answer = orthoagent("cancel", task, broker=broker.url)
    assert answer.returncode == 0, answer.stderr
    assert started.agent in answer.stdout
    assert not is_alive(child)
    assert storage.report(task, "returned").reason == "an operator stopped this run"


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("drain", "node-z"), "node-z is not known"),
        (("drain",), "name the agents to drain, or --pool"),
        (("cancel", "nothing-0001"), "no agent says that it runs nothing-0001"),
    ],
)
def test_orders_to_nobody_say_so(crew: tuple[Broker, Agent, Agent], arguments: tuple[str, ...], says: str) -> None:
    broker, *_ = crew
    answer = orthoagent(*arguments, broker=broker.url)
    assert answer.returncode == 1
    assert says in answer.stderr


def test_a_login_without_rights_learns_that_nothing_happened(storage: Storage, tmp_path: Path) -> None:
    own = [names.topic_status("n"), names.topic_control("n"), names.topic_doorbell("n")]
    users = {
        "n": BrokerUser("secret", publish=own[:1], subscribe=own),
        "guest": BrokerUser("secret", publish=(), subscribe=(names.TOPIC_ALL_STATUS,)),
    }
    with Broker(tmp_path / "broker", users=users) as broker, agents(storage, tmp_path) as start:
        agent = start(name="n", broker=broker.url.replace("//", "//n:secret@"))
        agent.wait_for("broker_up")
        answer = orthoagent("drain", "n", broker=broker.url.replace("//", "//guest:secret@"))
        assert answer.returncode == 1
        assert "may not write its control topic" in answer.stderr
        refused = orthoagent("status", broker=broker.url.replace("//", "//guest:wrong@"))
        assert refused.returncode in {1, 3}
        assert "secret" not in refused.stderr + answer.stderr
    gone = orthoagent("status", broker=broker.url)
    assert gone.returncode == 1
    assert "broker" in gone.stderr


class TestDoctor:
    def doctor(self, world: Storage, tmp_path: Path, *arguments: str, **settings: object) -> dict[str, dict[str, str]]:
        given = {
            "storage": world.azurite.connection_string,
            "agent": "sick",
            "pool": world.pool,
            "scratch": tmp_path / "scratch",
            "cache": tmp_path / "cache",
            "compute": "integration.worker_compute:act",
            **settings,
        }
        answer = orthoagent("doctor", "--json", *arguments, **given)
        found = {one["check"]: one for one in json.loads(answer.stdout)}
        assert answer.returncode == (1 if any(one["mark"] == "fail" for one in found.values()) else 0), answer.stderr
        assert all(one["advice"] for one in found.values() if one["mark"] != "ok")
        return found

    def test_a_node_that_is_fit(self, storage: Storage, broker: Broker, tmp_path: Path) -> None:
        (tmp_path / "archive").mkdir()
        stores = json.dumps({"archive": str(tmp_path / "archive")})
        found = self.doctor(storage, tmp_path, broker=broker.url, stores=stores, slot_scratch_gb=0.1)
        assert {one["mark"] for one in found.values()} == {"ok"}, found
        assert list(found) == [
            "machine", "scratch", "cache", "stores", "clock", "queue", "tickets", "results", "broker", "dem", "kernel",
        ]  # fmt: skip
        assert list(storage.queues.get_queue_client(names.QUEUE_RESULTS).peek_messages(32)) == []
        assert list((tmp_path / "scratch").iterdir()) == []

    def test_what_is_wrong_is_named_with_what_to_do(self, storage: Storage, tmp_path: Path) -> None:
        blocked = tmp_path / "a-file"
        blocked.write_text("")
        stores = json.dumps({"archive": str(tmp_path / "nowhere")})
        found = self.doctor(
            storage,
            tmp_path,
            "--dem",
            "site://archive/dem.tif",
            pool="unheard",
            scratch=blocked,
            cache=blocked,
            stores=stores,
            slots=200,
            broker="mqtt://127.0.0.1:9",
            compute="nowhere:nothing",
        )
        marks = {check: one["mark"] for check, one in found.items()}
        assert marks == {
            "machine": "warn", "scratch": "fail", "cache": "fail", "stores": "fail", "clock": "ok", "queue": "warn",
            "tickets": "warn", "results": "ok", "broker": "fail", "dem": "fail", "kernel": "fail",
        }  # fmt: skip
        assert "pools.yaml" in found["queue"]["advice"]
        assert "nowhere" in found["kernel"]["found"]

    def test_rights_that_are_missing(self, storage: Storage, tmp_path: Path) -> None:
        wrong = storage.azurite.connection_string.replace("AccountKey=E", "AccountKey=F")
        own = names.topic_status("sick")
        users = {"sick": BrokerUser("s", publish=(), subscribe=(own,))}
        with Broker(tmp_path / "broker", users=users) as broker:
            url = broker.url.replace("//", "//sick:s@")
            found = self.doctor(storage, tmp_path, storage=wrong, broker=url, echo_timeout_s=1)
        assert {check for check, one in found.items() if one["mark"] == "fail"} == {
            "queue", "tickets", "results", "broker",
        }  # fmt: skip
        assert "403" in found["queue"]["found"]
        assert "does not come back" in found["broker"]["found"] or "refuses" in found["broker"]["found"]

    def test_storage_that_is_not_there(self, storage: Storage, tmp_path: Path) -> None:
        connection = (
            "AccountName=x;AccountKey=eA==;BlobEndpoint=http://127.0.0.1:9/x;QueueEndpoint=http://127.0.0.1:9/x"
        )
        found = self.doctor(storage, tmp_path, storage=connection)
        assert {check for check, one in found.items() if one["mark"] == "fail"} == {
            "clock", "queue", "tickets", "results",
        }  # fmt: skip
