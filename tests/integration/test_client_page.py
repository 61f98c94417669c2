"""The page about the client does what it says: its blocks of Python, in order, against the real service."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from fakes.products import ROME
from integration.client_kit import Service, real_service
from orthoburst import Client, OrthoburstError
from orthoburst.commands.output import EXIT_CODES
from orthoburst.commands.tables import COLUMNS

PAGE = (Path(__file__).parents[2] / "docs" / "client.md").read_text()
BLOCKS = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with real_service(tmp_path_factory.mktemp("page")) as found:
        yield found


def make_all(service: Service, stop: threading.Event) -> None:
    """Be all workers of the site: make what every planned job asks for."""
    made: set[str] = set()
    with Client(service.url) as client:
        while not stop.wait(0.3):
            try:
                open_jobs = [job for job in client.jobs() if not job.is_over and job.message != "waits for its plan"]
            except OrthoburstError:
                continue
            for job in open_jobs:
                if job.id not in made:
                    made.add(job.id)
                    service.make(job.id)


def test_every_block_runs(service: Service, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ORTHOBURST_URL", service.url)
    names = {"product": f"products/{ROME}.SAFE", "tiles": ["33TUG", "33TUH", "33TVG"]}
    stop = threading.Event()
    workers = threading.Thread(target=make_all, args=(service, stop))
    workers.start()
    try:
        assert len(BLOCKS) == 5
        for block in BLOCKS:
            exec(compile(block, "docs/client.md", "exec"), names)
    finally:
        stop.set()
        workers.join()
    client, batch = names["client"], names["batch"]
    assert isinstance(client, Client)
    assert batch.states == {"successful": 3}  # type: ignore[attr-defined]
    assert names["estimate"]["total"]["images"] == 3  # type: ignore[index]
    assert names["estimate"]["total"]["there"] == 1, "the first job made it"  # type: ignore[index]
    assert len(names["table"]) == 3
    assert names["late"].state == "dismissed"  # type: ignore[attr-defined]
    assert names["late"].id in {job.id for job in names["everything"]}  # type: ignore[attr-defined]
    assert len(list((tmp_path / "images").glob("*.tif"))) >= 3
    client.close()


def test_the_page_knows_every_column_and_exit_code() -> None:
    for name in COLUMNS:
        assert f"`{name}`" in PAGE, name
    for line in EXIT_CODES.splitlines()[1:]:
        code, told = line.split(maxsplit=1)
        assert f"| {code} | {told} |" in PAGE, line
