"""The worker and a real broker: status, doorbell, cancel, drain, rights, and life without it."""

from __future__ import annotations

import base64
import json
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import paho.mqtt.client as mqtt
import psutil
import pytest

from integration.worker_kit import Agent, Storage, agents, is_alive, until
from localdev.servers import Broker, BrokerUser
from orthocontracts import names
from orthocontracts.messages import AgentStatus, Control, Doorbell

Start = Callable[..., Agent]


class Ear:
    """Hears all statuses and speaks as the functions do. Reconnects by itself."""

    def __init__(self, broker: Broker, user: str | None = None, password: str | None = None) -> None:
        self.heard: list[tuple[float, str, bytes]] = []
        self._client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2)
        if user is not None:
            self._client.username_pw_set(user, password)
        self._client.on_connect = lambda client, *_: client.subscribe(names.TOPIC_ALL_STATUS, qos=1)
        self._client.on_message = lambda _client, _data, message: self.heard.append(
            (time.monotonic(), message.topic, message.payload)
        )
        self._client.reconnect_delay_set(1, 1)
        self._client.connect("127.0.0.1", broker.port)
        self._client.loop_start()

    def say(self, topic: str, body: str, *, retain: bool = False) -> None:
        self._client.publish(topic, body.encode(), qos=1, retain=retain).wait_for_publish(10)

    def statuses(self, agent: str) -> list[AgentStatus]:
        topic = names.topic_status(agent)
        return [AgentStatus.model_validate_json(body) for _, heard, body in list(self.heard) if heard == topic and body]

    def last(self, agent: str) -> AgentStatus | None:
        return (self.statuses(agent) or [None])[-1]

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()


@pytest.fixture(scope="module")
def ear(broker: Broker) -> Iterator[Ear]:
    listening = Ear(broker)
    yield listening
    listening.close()


@pytest.fixture(scope="module")
def agent(storage: Storage, broker: Broker, ear: Ear, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Agent]:
    """One worker that would look at the queue by itself only every five minutes."""
    with agents(storage, tmp_path_factory.mktemp("agents")) as starter:
        worker = starter(broker=broker.url, poll_up_s=300, lease_s=60, grace_s=60)
        worker.wait_for("broker_up")
        worker.wait_for("worker_ready")
        until(lambda: (status := ear.last(worker.name)) and status.slots == 1, "its status")
        yield worker


def ring(ear: Ear, storage: Storage, agent: Agent) -> None:
    ear.say(names.topic_doorbell(agent.name), Doorbell(pool=storage.pool).to_json())


def test_a_ring_makes_it_look_and_its_status_tells_how_far_it_is(storage: Storage, ear: Ear, agent: Agent) -> None:
    task = storage.release({"steps": [0.4] * 5})
    ring(ear, storage, agent)
    storage.report(task, "finished")
    until(lambda: (status := ear.last(agent.name)) and not status.running, "a status without tasks")
    seen = [status for status in ear.statuses(agent.name) if status.running]
    assert {running.task_id for status in seen for running in status.running} == {task}
    assert seen[0].running[0].phase == "fetch"
    assert any(0 < running.progress < 1 for status in seen for running in status.running if running.phase == "compute")
    sequences = [status.sequence for status in ear.statuses(agent.name)]
    assert sequences == sorted(set(sequences))


def test_what_it_is_told_is_logged_with_the_trace_it_belongs_to(storage: Storage, ear: Ear, agent: Agent) -> None:
    trace = "0af7651916cd43dd8448eb211c80319c"
    above = f"00-{trace}-b7ad6b7169203331-01"
    ear.say(names.topic_doorbell(agent.name), Doorbell(pool=storage.pool, traceparent=above).to_json())
    agent.wait_for("rung", trace=trace)
    gone = Control(action="cancel", task_id="j-gone-0001", release=1, traceparent=above)
    ear.say(names.topic_control(agent.name), gone.to_json())
    agent.wait_for("control", task="j-gone-0001", trace=trace)
    ear.say(names.topic_doorbell(agent.name), f'{{"v": 1, "pool": "{storage.pool}", "traceparent": "00-nonsense"}}')
    untraced = until(lambda: [one for one in agent.events("rung") if "trace" not in one], "a ring of no trace")
    assert untraced


def test_a_slot_that_becomes_free_looks_at_once(storage: Storage, ear: Ear, agent: Agent) -> None:
    first, second = storage.release({"steps": [0.5]}), storage.release({"steps": [0.1]})
    ring(ear, storage, agent)
    storage.report(first, "finished")
    storage.report(second, "finished")


def test_a_cancel_kills_the_child_within_two_seconds_and_nothing_is_reported(
    storage: Storage, ear: Ear, agent: Agent
) -> None:
    task = storage.release({"steps": [60], "spawns": True})
    ring(ear, storage, agent)
    child = agent.child_pid(task)
    (helper,) = until(psutil.Process(child).children, "the child's own process")
    ear.say(names.topic_control(agent.name), Control(action="cancel", task_id=task, release=7).to_json())
    ear.say(names.topic_control(agent.name), '{"action": "explode"}')
    assert is_alive(child), "another release's cancel is not for this one"
    told_s = time.monotonic()
    ear.say(names.topic_control(agent.name), Control(action="cancel", task_id=task, release=1).to_json())
    until(lambda: not is_alive(child) and not is_alive(helper.pid), "the whole process group to die", 10)
    took_s = time.monotonic() - told_s
    assert took_s < 2
    until(lambda: storage.messages_left() == 0, "the message to be deleted")
    until(lambda: (status := ear.last(agent.name)) and not status.running, "a status without the task")
    assert [report.kind for report in storage.reports_of(task)] == ["started"]


def test_drain_takes_nothing_until_resumed(storage: Storage, ear: Ear, agent: Agent) -> None:
    ear.say(names.topic_control(agent.name), Control(action="drain").to_json())
    until(lambda: (status := ear.last(agent.name)) and status.state == "draining", "a draining status")
    task = storage.release({})
    ring(ear, storage, agent)
    time.sleep(0.5)
    assert storage.reports_of(task) == []
    ear.say(names.topic_control(agent.name), Control(action="resume").to_json())
    storage.report(task, "finished")
    until(lambda: (status := ear.last(agent.name)) and status.state == "online", "an online status")


def test_a_late_will_is_corrected(ear: Ear, agent: Agent) -> None:
    now = ear.last(agent.name)
    assert now is not None
    late = now.model_copy(update={"state": "offline", "slots": 0, "session": "a-former-life"})
    ear.say(names.topic_status(agent.name), late.to_json(), retain=True)
    until(lambda: late in ear.statuses(agent.name), "the will")
    until(lambda: (status := ear.last(agent.name)) and status.state == "online", "the correction", 5)


def test_presence_carries_statuses_into_the_capacity_queue(
    storage: Storage, broker: Broker, agent: Agent, tmp_path: Path
) -> None:
    with agents(storage, tmp_path) as starter:
        forwarder = starter("presence", broker=broker.url)
        capacity = storage.queues.get_queue_client(names.QUEUE_CAPACITY)

        def found() -> AgentStatus | None:
            for message in capacity.receive_messages(messages_per_page=32):
                body = json.loads(base64.b64decode(message.content))
                capacity.delete_message(message)
                # several that came at once are in one message
                for status in map(AgentStatus.model_validate, body.get("statuses", [body])):
                    if status.agent == agent.name:
                        return status
            return None

        status = until(found, "the retained status of an agent that was there before")
        assert (status.pool, status.state, status.slots) == (storage.pool, "online", 1)
        assert forwarder.end() == 0


def test_an_agent_that_dies_is_offline_at_once_and_a_container_that_leaves_is_forgotten(
    storage: Storage, broker: Broker, ear: Ear, tmp_path: Path
) -> None:
    with agents(storage, tmp_path) as starter:
        dies = starter(broker=broker.url)
        leaves = starter("run", "--until-empty", "--linger", "0.5", broker=broker.url)
        dies.wait_for("broker_up")
        until(lambda: ear.last(dies.name), "a status")
        last = ear.last(dies.name)
        assert last is not None
        dies.kill()
        until(lambda: (status := ear.last(dies.name)) and status.state == "offline", "the last will", 5)
        will = ear.last(dies.name)
        assert will is not None
        assert (will.session, will.sequence > last.sequence) == (last.session, True)
        assert leaves.process.wait(60) == 0
        until(
            lambda: [body for _, topic, body in ear.heard if topic == names.topic_status(leaves.name)][-1:] == [b""],
            "its retained status to be cleared",
            5,
        )
        assert ear.last(leaves.name).state == "offline"


def test_without_a_broker_work_goes_on_and_the_status_is_right_soon_after_it_is_back(
    storage: Storage, tmp_path: Path
) -> None:
    broker = Broker(tmp_path / "broker")
    with agents(storage, tmp_path) as starter:
        worker = starter(broker=broker.url)
        worker.wait_for("broker_down")
        storage.report(storage.release({}), "finished")
        with broker:
            worker.wait_for("broker_up")
            broker.stop()
            storage.report(storage.release({}), "finished")
            task = storage.release({"steps": [30]})
            child = worker.child_pid(task)
            broker.start()
            back_s = time.monotonic()
            ear = Ear(broker)
            try:
                until(
                    lambda: (status := ear.last(worker.name)) and status.state == "online" and status.running, "it", 10
                )
                assert time.monotonic() - back_s < 5
                assert is_alive(child), "what ran goes on"
            finally:
                ear.close()


def test_denied_rights_end_the_worker_loudly(storage: Storage, tmp_path: Path) -> None:
    users = {
        "writes-not": BrokerUser("word", publish=[], subscribe=["orthoburst/v1/agents/#"]),
        "reads-not": BrokerUser("word", publish=["orthoburst/v1/agents/#"], subscribe=[]),
        "enters-not": BrokerUser("another"),
    }
    says = {
        "writes-not": "does not come back",
        "reads-not": "does not come back|refuses",
        "enters-not": "(?i)not authori[sz]ed|bad user name",
    }
    with Broker(tmp_path / "broker", users=users) as broker, agents(storage, tmp_path) as starter:
        workers = {
            user: starter(broker=broker.url.replace("//", f"//{user}:word@"), echo_timeout_s=2) for user in users
        }
        for user, worker in workers.items():
            assert worker.process.wait(60) == 3, user
            log = worker.log_path.read_text()
            assert re.search(says[user], log), log
            assert "word@" not in log
