"""The whole system, started as ``./local-dev/up`` starts it, and small simulated products for it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from azure.storage.blob import BlobServiceClient
from playwright.sync_api import Browser, BrowserContext

from e2e.browsing import CHROMIUM, SIZES, Visit, chromium
from localdev.demo.watch import FINAL, Seen, Watcher
from localdev.demo.work import DEM_REF, Store, default_order
from localdev.scene import SceneSpec, make_sentinel1
from localdev.stack import Stack, StackSpec
from localdev.stack.settings import write_setting
from orthoburst import Client
from orthocontracts import names

PATIENCE_S = 2.0


@dataclass(frozen=True)
class Site:
    """A running stack with its client, its store and a stocked DEM."""

    stack: Stack
    client: Client
    store: Store

    def wait_until(self, what: str, is_so: Callable[[Seen], bool], timeout_s: float = 240.0) -> Seen:
        """Look until it is so; an error names what was seen instead."""
        watcher = Watcher(self.client)
        deadline = time.monotonic() + timeout_s
        while True:
            seen = watcher.look()
            if is_so(seen):
                return seen
            if time.monotonic() > deadline:
                jobs = [(job.id, job.state, job.message) for job in seen.jobs]
                tasks = [
                    {name: task.get(name) for name in ("task_id", "state", "pool", "fault")} for task in seen.tasks
                ]
                raise AssertionError(f"not so within {timeout_s:g} s: {what}; jobs {jobs}; tasks {tasks}")
            time.sleep(0.3)

    def wait_until_over(self, jobs: int, timeout_s: float = 240.0) -> Seen:
        return self.wait_until(f"{jobs} jobs over", lambda seen: seen.is_over(jobs), timeout_s)

    def committed_digests(self) -> list[str]:
        """What the catalogue holds."""
        with BlobServiceClient.from_connection_string(self.store.connection) as service:
            container = service.get_container_client(names.CONTAINER_CATALOGUE)
            return [blob.name.removesuffix(".json") for blob in container.list_blobs()]


@pytest.fixture(scope="session")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Two Sentinel-1 products of one place (a zip and a SAFE folder), and the DEM under both."""
    folder = tmp_path_factory.mktemp("scenes")
    first = make_sentinel1(
        SceneSpec(folder / "a", size_lines_samples=(500, 600), fractal_seed=3, relief_m=900, zip_it=True)
    )
    assert first.dem_path is not None
    second = make_sentinel1(
        SceneSpec(folder / "b", size_lines_samples=(500, 600), dem_file=first.dem_path, seed=2, platform="S1B")
    )
    return {"zip": first.path, "folder": second.path, "dem": first.dem_path}


@contextmanager
def site_starter(folder: Path, scenes: dict[str, Path]) -> Iterator[Callable[..., Site]]:
    """Starts stacks with short leases; every one is stopped at the end."""
    started: list[Site] = []

    def start(**changes: object) -> Site:
        spec = StackSpec(
            folder=folder / f"stack-{len(started)}",
            **{
                "patience_s": PATIENCE_S,
                "cloud_startup_s": 0.5,
                "lease_s": 6,
                "host_lease_s": 6.0,
                "worker": {"ORTHOAGENT_POLL_UP_S": "5", "ORTHOAGENT_POLL_DOWN_S": "1"},
                "functions": {"ORTHOBURST_BACKOFF_S": "1"},
                **changes,
            },  # type: ignore[arg-type]
        )
        stack = Stack(spec).__enter__()
        site = Site(stack, Client(stack.api_url), Store(stack.azurite.connection_string))
        started.append(site)
        site.store.upload_aux(scenes["dem"], DEM_REF)
        write_setting(site.store.connection, names.BLOB_DEFAULT_ORDER, default_order(PATIENCE_S))
        return site

    try:
        yield start
    finally:
        for site in started:
            site.client.close()
            site.stack.__exit__(None, None, None)


@pytest.fixture
def start_site(tmp_path: Path, scenes: dict[str, Path]) -> Iterator[Callable[..., Site]]:
    """Starts stacks for one test."""
    with site_starter(tmp_path, scenes) as start:
        yield start


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Of a module, no longer: while it lives nobody else in the process can run an event loop."""
    if not CHROMIUM.exists():
        pytest.skip(f"no browser: {CHROMIUM} is not there")
    with chromium() as browser:
        yield browser


@pytest.fixture
def visit(browser: Browser) -> Iterator[Callable[..., Visit]]:
    """Opens the page at an address, each time in a browser that remembers nothing."""
    contexts: list[BrowserContext] = []

    def open_page(url: str, routes: dict[str, Any] | None = None, **options: Any) -> Visit:
        contexts.append(browser.new_context(**{"viewport": SIZES["desk"], "timezone_id": "UTC", **options}))
        return Visit(contexts[-1], f"{url}/", routes)

    yield open_page
    for context in contexts:
        context.close()


def is_running(seen: Seen) -> bool:
    return any(task["state"] == "running" for task in seen.tasks)


def is_settled(seen: Seen) -> bool:
    return bool(seen.tasks) and all(task["state"] in FINAL for task in seen.tasks)
