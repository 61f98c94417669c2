"""A stack of two releases, and a load for it: the release before is taken from git's history, where that is here."""

from __future__ import annotations

import io
import subprocess
import sys
import tarfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import pytest

from fakes.products import affine_rpc, rpc_text, rpc_tiff
from figures import tell
from localdev.chaos.outcome import Outcome, committed_twice, is_over
from localdev.chaos.proxy import StorageProxy
from localdev.chaos.watch import Watch
from localdev.chaos.work import Feeder
from localdev.demo.work import Store
from localdev.servers import Azurite, Server
from localdev.stack import Stack, StackSpec
from localdev.stack.stack import TOP
from orthoburst import Client
from orthocontracts.requests import Request
from recorded import RELEASE

TESTS = Path(__file__).resolve().parents[1]
LEASE_S = 30
"""Of a message: a machine that stands still for some seconds makes no delivery silent."""
HOST_LEASE_S = 8


def release_before(folder: Path) -> Path:
    """The source tree of the release before, from git. Skips where its commit is not here, as in a shallow checkout."""
    commit = str(RELEASE["commit"])
    done = subprocess.run(["git", "-C", str(TOP), "archive", commit], capture_output=True, check=False)
    if done.returncode:
        pytest.skip(f"commit {commit} of the release before is not in this checkout: git fetch --unshallow")
    tree = folder / "release-before"
    with tarfile.open(fileobj=io.BytesIO(done.stdout)) as archive:
        archive.extractall(tree, filter="data")
    return tree


@dataclass(frozen=True)
class Load:
    """What was seen in the end."""

    outcome: Outcome
    twice: int
    releases: int
    seconds: float

    @property
    def again(self) -> int:
        """Releases beyond one a task: what was handed back, recalled or failed."""
        return self.releases - self.outcome.tasks

    def holds(self, count: int) -> None:
        of = self.outcome
        assert not of.missing
        assert (of.tasks, of.succeeded, self.twice) == (count, count, 0)
        assert of.counted == 0, "no restart is an attempt"


@dataclass(frozen=True)
class Site:
    stack: Stack
    store: Store
    watch: Watch
    feeder: Feeder
    requests: list[Request]
    product: str
    began_s: float
    beside: list[Request] = field(default_factory=list)
    """What the test asks for itself."""

    @property
    def request_ids(self) -> list[str]:
        return [request.request_id for request in (*self.requests, *self.beside)]

    @property
    def is_over(self) -> bool:
        return self.feeder.fed >= len(self.requests) and is_over(self.watch.ports, self.request_ids)

    def ask_no_more(self) -> None:
        """What has been asked for so far is all."""
        self.feeder.stop()
        del self.requests[self.feeder.fed :]

    @property
    def made(self) -> int:
        """Images in the catalogue."""
        return len(self.watch.proxy.commits)

    def wait_for(self, made: int, *, open_tasks: int = 0, limit_s: float = 120) -> None:
        """Until so many images are there, and as many tasks under way."""
        end_s = time.monotonic() + limit_s
        while self.made < made or self.watch.open_tasks < open_tasks:
            found = f"{self.made} of {made} images, {self.watch.open_tasks} tasks under way"
            assert time.monotonic() < end_s, f"{found} after {limit_s:g} s"
            time.sleep(0.1)

    def finish(self, limit_s: float = 180) -> Load:
        """Until everything that was asked for is over."""
        end_s = time.monotonic() + limit_s
        while not self.is_over:
            assert time.monotonic() < end_s, Outcome.read(self.watch.ports, self.store.connection, self.request_ids)
            time.sleep(0.3)
        outcome = Outcome.read(self.watch.ports, self.store.connection, self.request_ids)
        for task in self.watch.tasks:
            if task.failures or task.silences:  # shown where that fails the test
                print(task.task_id, task.failures, task.silences, task.fault_kind, task.fault_message, task.history)
        releases = sum(task.release for task in self.watch.tasks)
        seconds = time.monotonic() - self.began_s
        return Load(outcome, committed_twice(self.watch.proxy.commits), releases, seconds)


@contextmanager
def loaded_site(
    folder: Path, count: int, *, functions_from: Path = TOP, workers_from: Path = TOP, agents: int = 2
) -> Iterator[Site]:
    """A running stack that is being asked for so many images, over HTTP and by queue message in turn."""
    proxies: list[StorageProxy] = []

    @contextmanager
    def between(azurite: Azurite) -> Iterator[str]:
        with StorageProxy(azurite, 0) as proxy:
            proxies.append(proxy)
            yield proxy.connection_string

    spec = StackSpec(
        folder=folder,
        agents=agents,
        slots=2,
        cloud_limit=1,
        cloud_startup_s=0.5,
        patience_s=2.0,
        lease_s=LEASE_S,
        host_lease_s=HOST_LEASE_S,
        functions_from=functions_from,
        workers_from=workers_from,
        worker={
            "PYTHONPATH": str(TESTS),
            "ORTHOAGENT_COMPUTE": "integration.sleeping_compute:act",
            "ORTHOAGENT_POLL_UP_S": "5",
            "ORTHOAGENT_POLL_DOWN_S": "1",
        },
        functions={
            "ORTHOBURST_BACKOFF_S": "1",
            "ORTHOBURST_MAX_BACKOFF_S": "4",
            "ORTHOBURST_WRITE_GRACE_S": "20",
            "AzureWebJobs.poison.Disabled": "true",  # what it puts back tests put back themselves
        },
    )
    with Stack(spec, between) as stack, Client(stack.api_url, timeout_s=10) as client:
        store = Store(stack.azurite.connection_string)
        product = store.upload_product(_rpc_image(folder))
        requests = [request_for(product, number) for number in range(count)]
        with Watch(store.connection, proxies[0]) as watch:
            feeder = Feeder(requests, store, client, lambda: watch.open_tasks)
            feeder.start()
            try:
                yield Site(stack, store, watch, feeder, list(requests), product, time.monotonic())
            finally:
                feeder.stop()


def _rpc_image(folder: Path) -> Path:
    image = folder / "image.tif"
    image.with_name("image_RPC.TXT").write_bytes(rpc_text(affine_rpc()))
    image.write_bytes(rpc_tiff(None))
    return image


def request_for(product: str, number: int) -> Request:
    return Request.model_validate(
        {
            "request_id": f"roll-{number}",
            "products": [product],
            "grid": {"kind": "footprint", "spacing_m": round(2.0 + 0.05 * number, 2)},
            "terrain": {"height_m": 0},
            "options": {"resampling": "cubic"},
        }
    )


def tell_of(what: str, load: Load) -> None:
    of = load.outcome
    tell(f"{what}: lost", len(of.missing), "0")
    tell(f"{what}: committed twice", load.twice, "0")
    tell(f"{what}: attempts counted, of {of.tasks} tasks in {load.seconds:.0f} s", of.counted, "0 for a restart")
    tell(f"{what}: released once more", load.again, "what was handed back")


def comes_from(server: Server, package: str, tree: Path) -> bool:
    """Whether a running program imports a package of ours from a tree."""
    process = psutil.Process(server.group).children()[0]
    found = subprocess.run(
        [sys.executable, "-c", f"import {package}; print({package}.__file__)"],
        env=process.environ(),
        cwd=process.cwd(),
        check=True,
        capture_output=True,
        text=True,
    )
    return Path(found.stdout.strip()).is_relative_to(tree)
