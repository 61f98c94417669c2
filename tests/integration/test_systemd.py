"""The units of ``infra/systemd`` under a real systemd, installed as docs/hpc.md says, with real storage and broker."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyproj
import pytest

from fakes.products import ROME
from integration.systemd_kit import missing_for_systemd
from integration.test_archive_watch import put
from integration.unit_kit import ENDED, SLEEPING, UNIT, UNITS, Node, ended, variables
from integration.worker_kit import Storage, until
from localdev.scene import RpcSpec, make_rpc_image
from localdev.servers import Azurite, Broker
from orthocontracts import names
from orthocontracts.messages import Demand
from orthocontracts.outputs import GridSpec

REASON = missing_for_systemd()
pytestmark = [pytest.mark.slow, pytest.mark.skipif(REASON is not None, reason=REASON or "")]


@pytest.fixture(scope="module")
def azurite(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Azurite]:
    """Of its own, as the broker is: the archive's watcher and pilots leave words behind."""
    with Azurite(tmp_path_factory.mktemp("azurite")) as server:
        yield server


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    with Broker(tmp_path_factory.mktemp("broker")) as server:
        yield server


@pytest.fixture(scope="module")
def node(azurite: Azurite, broker: Broker, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    with Node(tmp_path_factory.mktemp("node"), azurite, broker) as machine:
        machine.install()
        yield machine


@pytest.fixture(autouse=True)
def _stopped(node: Node) -> Iterator[None]:
    yield
    node.systemctl("stop", *UNITS)
    node.systemctl("reset-failed")


def real_task(storage: Storage, folder: Path) -> str:
    image = folder / "image.tif"
    make_rpc_image(RpcSpec(out_file=image, centre_lonlat_deg=(12.5, 42.0), size_lines_samples=(300, 300), threads=1))
    x, y = pyproj.Transformer.from_crs(4326, 32633, always_xy=True).transform(12.5, 42.0)
    grid = GridSpec(epsg=32633, left=round(x) - 40, top=round(y) + 50, spacing=2, n_rows=50, n_cols=40)
    return storage.release({}, product=image.read_bytes(), grid=grid, time_limit_s=300)


def test_installed_as_the_docs_say_the_agent_compiles_the_kernel_and_works(node: Node, tmp_path: Path) -> None:
    assert node.systemctl("is-enabled", UNIT) == "enabled"
    node.bring_compiled()
    task = real_task(node.storage, tmp_path)
    until(lambda: (status := node.status()) and (status.state, status.slots) == ("online", 1), "its presence")
    node.storage.report(task, "started")
    processes = node.run("pgrep", "-u", "orthoburst").split()
    assert len(set(processes)) == 2, "the agent and its child"
    for pid in processes:
        held = dict(re.findall(r"^(\w+):\t(.*)$", (node.root / "proc" / pid / "status").read_text(), re.MULTILINE))
        assert (held["NoNewPrivs"], held["Seccomp"], int(held["CapBnd"], 16)) == ("1", "2", 0)
        assert held["Uid"].split() == [node.run("id", "-u", "orthoburst")] * 4
    finished = node.storage.report(task, "finished", 240)
    assert (finished.agent, node.storage.faults(finished)) == (node.hostname, [])
    compiled = node.shell("find /var/cache/orthoagent -name '*.nbc' -user orthoburst -printf '%f\\n'")
    assert "polynomial.ground_to_image" in compiled
    node.run("journalctl", "--sync")
    complaints = re.findall("(?i).*(?:unknown|ignoring|not supported).*", node.run("journalctl", "-o", "cat", "_PID=1"))
    assert complaints == [], "systemd knows all that the units say"


def test_numba_needs_the_memory_that_the_unit_leaves_it(node: Node) -> None:
    program = '/opt/orthoburst/bin/python -c "import numba; print(numba.njit(lambda: 41 + 1)())"'
    unit = node.variant(UNIT, program)
    assert node.ends("compiles", unit) == "0"
    assert "42" in node.journal("compiles")
    denied = unit.replace("MemoryDenyWriteExecute=no", "MemoryDenyWriteExecute=yes")
    assert node.ends("compiles-not", denied) != "0"
    assert "cannot allocate executable memory" in node.journal("compiles-not")


PROBE = "/opt/orthoburst/bin/python /srv/checkout/tests/integration/unit_probe.py"


def test_what_a_user_may_the_units_forbid(node: Node) -> None:
    node.shell(
        "mkdir -m 1777 /srv/open; echo private >/home/alice/notes; mknod -m 666 /dev/another c 1 3;"
        "touch /tmp/of-another /var/tmp/of-another"
    )
    for other in ("scale", "watch", "procure"):
        node.write(f"/etc/orthoburst/{other}.env", "")
    probe = f"{PROBE} {node.broker.port}"
    plain = node.probed("plain", f"[Service]\nType=oneshot\nUser=orthoburst\nExecStart={probe}\n")
    assert [name for name, can in plain.items() if not can] == ["read the settings' file"]
    works = {"write its temporary folder", "connect to a server by its name"}
    may = {
        "orthoagent": {*works, "write its cache", "run code that it has written"},
        "orthoscale": {*works, "see processes of others", "run code that it has written"},
        "orthowatch": works,
        "orthoprocure": {*works, "run code that it has written"},
    }
    for unit in UNITS:
        found = node.probed(f"probe-{unit}", node.variant(unit, probe))
        assert {name for name, can in found.items() if can} == may[unit], unit


def test_a_stop_lets_work_end_and_hands_back_the_rest(node: Node) -> None:
    node.shell("install -d -o orthoburst /local/scratch")
    node.set_agent(**SLEEPING, slots=2, grace_s=4, scratch="/local/scratch")
    with node.dropped_in("ReadWritePaths=/local/scratch\n"):
        node.systemctl("start", UNIT)
        short, long = node.storage.release({"steps": [2]}), node.storage.release({"steps": [1] * 300})
        for task in (short, long):
            node.storage.report(task, "started")
        until(lambda: list((node.root / "local/scratch" / node.hostname).glob(f"{long}*")), "its scratch folder")
        assert "not applicable" in node.systemctl("reload", UNIT, check=False)
        begun_s = time.monotonic()
        node.systemctl("stop", UNIT)
        assert 4 <= time.monotonic() - begun_s < 30
        assert node.shown(UNIT, *ENDED) == ended("inactive", "success", 0)
    assert node.storage.report(short, "finished").agent == node.hostname
    assert node.storage.report(long, "returned").reason == "received SIGTERM"
    until(lambda: (status := node.status()) and status.state == "offline", "its goodbye")


def test_one_that_is_killed_comes_back_and_its_work_goes_on(node: Node) -> None:
    node.set_agent(**SLEEPING)
    node.systemctl("start", UNIT)
    task = node.storage.release({"steps": [2, 2]})
    node.storage.report(task, "started")
    before = node.status()
    assert before is not None
    node.systemctl("kill", "--signal=KILL", "--kill-whom=main", UNIT)
    until(lambda: (status := node.status()) and status.state == "offline", "its last will")
    finished = node.storage.report(task, "finished")
    assert (finished.delivery, node.storage.faults(finished)) == (2, [])
    after = until(lambda: (status := node.status()) and status.state == "online" and status, "its presence")
    assert after.session != before.session
    assert node.shown(UNIT, "NRestarts", "ActiveState") == {"NRestarts": "1", "ActiveState": "active"}


def test_memory_that_runs_out_ends_a_task_and_not_the_agent(node: Node) -> None:
    node.set_agent(**SLEEPING)
    with node.dropped_in("MemoryMax=330M\nMemorySwapMax=0\n"):
        node.systemctl("start", UNIT)
        if not node.shown(UNIT, "MemoryCurrent")["MemoryCurrent"].isdigit():
            pytest.skip("the control groups that systemd has here count no memory")
        eats, after = node.storage.release({"end": "eat memory"}), node.storage.release({})
        (fault,) = node.storage.faults(node.storage.report(eats, "finished"))
        assert "SIGKILL (out of memory?)" in fault.message
        node.storage.report(after, "finished")
        assert node.shown(UNIT, "NRestarts", "ActiveState") == {"NRestarts": "0", "ActiveState": "active"}


@pytest.mark.parametrize(
    ("unit", "settings", "says"),
    [
        ("agent", {"broker": "mqtt://node:hush@127.0.0.1", "slots": 0}, "ORTHOAGENT_SLOTS: Input should be greater"),
        ("scale", {"broker": "mqtt://node:hush@127.0.0.1", "max_pilots": 0}, "ORTHOAGENT_MAX_PILOTS: Input should be"),
        ("watch", {"storage": "AccountKey=hush", "folder": "/data", "store": "Ö"}, "ORTHOAGENT_STORE: String should"),
        ("procure", {"storage": "AccountKey=hush", "store": "archive"}, "ORTHOAGENT_STORE and ORTHOAGENT_ROOT are set"),
    ],
    ids=["agent", "scale", "watch", "procure"],
)
def test_settings_that_cannot_be_used_leave_it_failed_with_the_reason(
    node: Node, unit: str, settings: dict[str, object], says: str
) -> None:
    node.write(f"/etc/orthoburst/{unit}.env", variables(settings))
    node.systemctl("start", f"ortho{unit}")
    until(lambda: node.shown(f"ortho{unit}", "SubState")["SubState"] != "running", "its end")
    assert node.shown(f"ortho{unit}", *ENDED) == ended("failed", "exit-code", 2)
    journal = node.journal(f"ortho{unit}")
    assert says in journal
    assert "hush" not in journal


def test_a_program_that_is_not_there_is_an_error_of_the_start(node: Node) -> None:
    with node.dropped_in("ExecStart=\nExecStart=/opt/orthoburst/bin/nothing run\n"):
        assert "failed" in node.systemctl("start", UNIT, check=False)


SCHEDULER = {
    "squeue": "cat /shared/orthoburst/jobs 2>/dev/null || true",
    "sbatch": """name=$(sed -n 's/^#SBATCH --job-name=//p' "$1"); echo "Submitted batch job 7"
echo "7|$name|PENDING|N/A|Resources" >>/shared/orthoburst/jobs""",
    "scancel": "echo cancelled >>/shared/orthoburst/jobs",
}
"""Says what Slurm's commands say, and runs nothing: the real one has its tests in test_slurm_pilots.py."""


def test_scale_submits_under_its_unit_and_leaves_pilots_when_it_is_stopped(node: Node) -> None:
    for name, script in SCHEDULER.items():
        node.write(f"/srv/scheduler/{name}", f"#!/bin/sh\n{script}\n", "0755")
    node.set_agent("/shared/orthoburst/agent.env")
    node.run("chown", "orthoburst:", "/shared/orthoburst/agent.env")
    settings = {
        "pool": node.storage.pool,
        "scheduler": "slurm",
        "max_pilots": 2,
        "broker": node.broker.url,
        "env_file": "/shared/orthoburst/agent.env",
        "state": "/shared/orthoburst",
        "look_every_s": 0.5,
    }
    node.write("/etc/orthoburst/scale.env", variables(settings) + "PATH=/srv/scheduler:/usr/bin\n")
    demand = Demand(pool=node.storage.pool, slots=1, until=datetime.now(UTC) + timedelta(seconds=120))
    node.ear.say(names.topic_demand(node.storage.pool), demand.to_json(), retain=True)
    node.systemctl("start", "orthoscale")
    jobs = node.root / "shared/orthoburst/jobs"
    (pilot,) = until(
        lambda: jobs.exists() and re.findall(r"\|(pilot-[^|]+)\|.*\n", jobs.read_text()), "a pilot's whole line"
    )
    until(lambda: (status := node.ear.last(pilot)) and status.state == "starting", "word of the pilot")
    node.systemctl("stop", "orthoscale")
    assert node.shown("orthoscale", *ENDED) == ended("inactive", "success", 0)
    assert jobs.read_text().count("\n") == 1


def test_the_watcher_and_the_fetcher_work_under_their_units(node: Node) -> None:
    put(node.root / "srv/archive", ROME)
    storage = {"storage": node.storage.connection}
    watch = {**storage, "folder": "/srv/archive", "store": "site", "settle_s": 0.3}
    for unit, settings in (("watch", watch), ("procure", storage)):
        node.write(f"/etc/orthoburst/{unit}.env", variables(settings))
        node.systemctl("start", f"ortho{unit}")
    announced = node.storage.blobs.get_blob_client(names.CONTAINER_PRODUCTS, f"{ROME}.SAFE/manifest.safe")
    until(announced.exists, "a product of the archive")
    until(lambda: "procure_begins" in node.journal("orthoprocure"), "the fetcher")
    for unit in ("orthowatch", "orthoprocure"):
        node.systemctl("stop", unit)
        assert node.shown(unit, *ENDED) == ended("inactive", "success", 0)
