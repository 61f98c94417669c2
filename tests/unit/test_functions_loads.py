"""How busy pools have been: noted minute by minute, told by the API, forgotten after two weeks."""

from __future__ import annotations

from datetime import timedelta

import pytest

from fakes.asgi import AsgiClient
from fakes.crash import Crash, Fuse, fused
from fakes.memory_ports import ManualClock
from fakes.products import put_safe
from orthocontracts import names
from orthocontracts.messages import AgentStatus, RunningTask
from orthocontracts.orders import StandingOrder
from orthocontracts.version import KERNEL_RESULT_VERSION
from orthofunctions.api.app import create_app
from orthofunctions.bootstrap import System
from orthofunctions.usecases.capacity import note_status
from orthofunctions.usecases.loads import KEPT, age_out_loads, load_history, note_loads
from orthofunctions.usecases.orders import add_order
from unit.test_api import make_system, submitted


@pytest.fixture
def system() -> System:
    return make_system()


@pytest.fixture
def client(system: System) -> AsgiClient:
    return AsgiClient(create_app(lambda: system), base_url="http://127.0.0.1:7071")


def clock_of(system: System) -> ManualClock:
    assert isinstance(system.ports.clock, ManualClock)
    return system.ports.clock


def busy_worker(system: System, sequence: int, **changes: object) -> None:
    now = system.ports.clock.now()
    running = (RunningTask(task_id="jx-1", release=1, progress=0.5),)
    values = {"state": "online", "slots": 2, "running": running, **changes}
    status = AgentStatus.model_validate(
        {"agent": "a1", "pool": "hpc", "session": "s", "sequence": sequence, "at": now, **values}
    )
    note_status(system.ports, status.to_json())


def test_a_minute_has_each_pools_slots_running_and_queued_and_what_waits(client: AsgiClient, system: System) -> None:
    put_safe(system.ports.blobs)
    submitted(client, system)
    busy_worker(system, 1)
    system.ports.queues.send_release(names.pool_queue("cloud", KERNEL_RESULT_VERSION), "{}")
    note_loads(system.ports, system.rules)
    assert client.get("/pools/history").json() == {
        "pools": {
            "hpc": [{"at": "2026-05-01T12:00:00Z", "slots": 2, "running": 1, "queued": 0}],
            "cloud": [{"at": "2026-05-01T12:00:00Z", "slots": 0, "running": 0, "queued": 1}],
        },
        "pending": [{"at": "2026-05-01T12:00:00Z", "n": 1}],
    }
    now = client.get("/pools").json()
    assert [(pool["slots"], pool["running"], pool["queued"]) for pool in now["pools"]] == [(2, 1, 0), (0, 0, 1)]
    assert now["pending"] == 1


def test_what_backs_off_waits_too_and_is_counted_once(client: AsgiClient, system: System) -> None:
    """The index has a ready task twice, and one that backs off in a place of its own."""
    put_safe(system.ports.blobs)
    submitted(client, system, request_id="one")
    submitted(client, system, request_id="two", options={"radiometry": "gamma0"})
    assert client.get("/pools").json()["pending"] == 2


def test_a_minute_noted_twice_is_one_row_and_the_later_counts(system: System) -> None:
    busy_worker(system, 1)
    note_loads(system.ports, system.rules)
    clock_of(system).advance(20)
    busy_worker(system, 2, running=())
    note_loads(system.ports, system.rules)
    ((_, load),) = load_history(system.ports, system.ports.clock.now() - timedelta(hours=1)).pools["hpc"]
    assert (load.slots, load.running) == (2, 0)


def test_a_note_that_is_cut_short_leaves_all_of_its_minute_or_nothing(system: System) -> None:
    fuse = Fuse(0)
    with pytest.raises(Crash):
        note_loads(fused(system.ports, fuse), system.rules)
    assert not load_history(system.ports, system.ports.clock.now() - timedelta(hours=1)).pending
    note_loads(system.ports, system.rules)
    history = load_history(system.ports, system.ports.clock.now() - timedelta(hours=1))
    assert (len(history.pending), {pool: len(found) for pool, found in history.pools.items()}) == (
        1,
        {"hpc": 1, "cloud": 1},
    )


def test_a_history_goes_over_midnight_and_no_further_back_than_asked(client: AsgiClient, system: System) -> None:
    clock = clock_of(system)
    for _ in range(30):  # from 12:00 to 02:30 of the next day
        note_loads(system.ports, system.rules)
        clock.advance(1800)
    clock.advance(-1800)
    told = client.get("/pools/history?hours=4").json()["pools"]["hpc"]
    assert [one["at"][8:16] for one in told] == [
        *("01T22:30", "01T23:00", "01T23:30"),
        *("02T00:00", "02T00:30", "02T01:00", "02T01:30", "02T02:00", "02T02:30"),
    ]


@pytest.mark.parametrize("hours", ["0", "-1", "49", "nan", "x"])
def test_hours_that_make_no_sense_are_refused(client: AsgiClient, hours: str) -> None:
    assert client.get(f"/pools/history?hours={hours}").status_code == 400


def test_days_older_than_two_weeks_are_forgotten(system: System) -> None:
    clock = clock_of(system)
    began = clock.now()
    for _ in range(20):
        note_loads(system.ports, system.rules)
        clock.advance(86_400)
    age_out_loads(system.ports)
    age_out_loads(system.ports)
    days = {at.date() for at, _ in load_history(system.ports, began).pending}
    assert min(days) == (clock.now() - KEPT).date()
    assert len(days) == KEPT.days


def test_a_worker_says_how_long_its_batch_job_lasts(client: AsgiClient, system: System) -> None:
    busy_worker(system, 1, walltime_left_s=600)
    clock_of(system).advance(30)
    (worker,) = client.get("/pools").json()["pools"][0]["workers"]
    assert worker["walltime_left_s"] == 570
    busy_worker(system, 2)
    assert client.get("/pools").json()["pools"][0]["workers"][0]["walltime_left_s"] is None


def test_standing_orders_are_told_as_the_file_has_them(client: AsgiClient, system: System) -> None:
    assert client.get("/orders").json() == {"orders": []}
    text = b'{"sentinel1": {"grid": {"kind": "mgrs", "spacing_m": 20}}, "terrain": {"height_m": 0}, "user": "archive"}'
    system.ports.blobs.write(names.CONTAINER_SETTINGS, names.BLOB_DEFAULT_ORDER, text)
    (order,) = client.get("/orders").json()["orders"]
    assert (order["id"], order["user"], order["terrain"]) == ("default", "archive", {"height_m": 0})
    assert list(order["missions"]) == ["sentinel1"]
    assert order["missions"]["sentinel1"]["grid"] == {"kind": "mgrs", "spacing_m": 20}


def test_ones_own_standing_orders_come_after_the_sites(client: AsgiClient, system: System) -> None:
    values = {"order_id": "fields", "title": "Fields", "created_at": system.ports.clock.now()}
    for user in ("local", "somebody-else"):
        add_order(system.ports, StandingOrder.model_validate({**values, "user": user}))
    system.ports.blobs.write(names.CONTAINER_SETTINGS, names.BLOB_DEFAULT_ORDER, b"{}")
    default, own = client.get("/orders").json()["orders"]
    assert (default["id"], default["missions"]) == ("default", {})
    assert (own["id"], own["user"], own["title"], own["products"]) == ("fields", "local", "Fields", {})


def test_a_standing_order_that_cannot_be_used_says_where(client: AsgiClient, system: System) -> None:
    system.ports.blobs.write(names.CONTAINER_SETTINGS, names.BLOB_DEFAULT_ORDER, b'{"sentinel9": {}}')
    answer = client.get("/orders")
    assert answer.status_code == 500
    assert "settings/default_order.json: sentinel9" in answer.json()["detail"]
