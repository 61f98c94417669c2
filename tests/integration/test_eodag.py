"""The real EODAG, in a Python of its own, before a provider that cuts, lies and refuses; and a job that waits for it.

EODAG is not in the lock of development, because it holds other packages back: it is installed here, or this skips.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from fakes.file_server import FileServer, cut, served, status
from fakes.products import S2_RINGS, S2_TILE, put_packed
from fakes.provider import BUCKET, KEY_ID, LOGIN, PASSWORD, SECRET, Answer, Provider
from integration.storage import HandClock, azure_ports
from integration.worker_kit import until
from localdev.servers import Azurite
from orthoagent.procure.child import run
from orthoagent.procure.runner import collection_of
from orthoagent.procure.whole import NotWholeError, whole_product
from orthocontracts import names
from orthocontracts.procurement import Procured, Wanted
from orthocontracts.requests import Request
from orthofunctions.domain.planning import Limits
from orthofunctions.domain.rules import Rules
from orthofunctions.grant import main as grant
from orthofunctions.ports import Ports
from orthofunctions.provision import provision
from orthofunctions.usecases.explain import whereabouts
from orthofunctions.usecases.jobs import find_job
from orthofunctions.usecases.plan import plan_request
from orthofunctions.usecases.submit import read_request, submit
from orthofunctions.usecases.wanted import take_outcome

pytestmark = pytest.mark.slow

WRONG = "not-the-password"
SENT_BYTES = 300_000


@dataclass(frozen=True)
class End:
    """The events of a fetch, and where its product lies."""

    events: list[dict[str, Any]]
    folder: Path

    @property
    def last(self) -> dict[str, Any]:
        return self.events[-1]


Ends = dict[str, End]


def named(number: int) -> str:
    """A product of its own for each trouble."""
    return f"{S2_TILE[:-6]}{number:06d}"


N_TROUBLES = 16
WHOLE, CUT, NO_RANGES, BUSY, ORDERED, SHORT, LIES, GONE, UNLISTED, LOCKED = map(named, range(10))
PARTS, CROWDED, SLOWLY, FILES, OBJECTS, ESCAPES = map(named, range(10, N_TROUBLES))
IN_PARTS = (PARTS, CROWDED, FILES, OBJECTS)
PROVIDERS = {LOCKED: "locked", FILES: "files", OBJECTS: "bucket", ESCAPES: "bucket"}
MB_PER_S = 0.1


def zip_of(name: str, ports: Ports) -> bytes:
    """Large enough to be cut, and of bytes that do not shrink."""
    noise = os.urandom(SENT_BYTES)
    ref = put_packed(ports.blobs, name, "2", S2_RINGS[S2_TILE], zip_it=True, members={"noise.bin": noise})
    return ports.blobs.read("products", ref.removeprefix("products/"))


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Python with EODAG."""
    uv = shutil.which("uv", path=f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    if uv is None:
        pytest.skip("uv is not here to install EODAG with")
    folder = tmp_path_factory.mktemp("eodag") / "venv"
    for arguments in (
        ["venv", "--quiet", "--python", sys.executable, str(folder)],
        ["pip", "install", "--quiet", "--python", str(folder / "bin/python"), "eodag>=4,<5"],
    ):
        made = subprocess.run([uv, *arguments], check=False, capture_output=True, text=True, timeout=180)
        if made.returncode:
            pytest.skip(f"EODAG cannot be had here: {made.stderr.strip()[-300:]}")
    return folder / "bin/python"


@pytest.fixture(scope="module")
def zips() -> dict[str, bytes]:
    from fakes.memory_ports import memory_ports

    return {name: zip_of(name, memory_ports()) for name in map(named, range(N_TROUBLES)) if name != UNLISTED}


@pytest.fixture(scope="module")
def provider(zips: dict[str, bytes], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Provider]:
    store = FileServer(keys={BUCKET: (KEY_ID, SECRET)})
    with store, Provider(zips, store=store) as found, pytest.MonkeyPatch.context() as patch:
        home = tmp_path_factory.mktemp("home")
        (home / "providers").mkdir()
        found.write_settings(home / "providers", "near", PASSWORD)
        found.write_settings(home / "providers", "locked", WRONG)
        found.write_settings_of_files(home / "providers", "files")
        found.write_settings_of_bucket(home / "providers", "bucket")
        patch.setenv("HOME", str(home))
        patch.setenv("EODAG_PROVIDERS_CFG_DIR", str(home / "providers"))
        patch.setenv("EODAG_EXT_COLLECTIONS_CFG_URI", "")
        patch.delenv("EODAG_CFG_FILE", raising=False)
        yield found


@pytest.fixture(scope="module")
def ends(python: Path, provider: Provider, tmp_path_factory: pytest.TempPathFactory) -> Ends:
    """All troubles, one after the other."""
    provider.answers |= {
        CUT: [Answer(stop_at=100_000), Answer(stop_at=70_000), Answer()],
        NO_RANGES: [Answer(stop_at=100_000), Answer(ranges=False)],
        BUSY: [Answer(status=503, retry_after="1"), Answer()],
        ORDERED: [Answer(status=202), Answer(status=202), Answer()],
        SHORT: [Answer(stop_at=50_000), Answer(stop_at=0)],
        LIES: [Answer(says_bytes=200_000)],
        GONE: [Answer(status=404)],
        PARTS: [Answer(stop_at=100_000), Answer(stop_at=40_000, piece_s=0.2), Answer(piece_s=0.2)],
        CROWDED: [Answer(piece_s=0.05)],
    }
    provider.most_at_once[CROWDED] = 2
    for name in (FILES, OBJECTS):
        provider.put_in_store(name)
    provider.store.files[f"/{BUCKET}/{ESCAPES}.SAFE/../../../escaped.bin"] = b"not here"
    provider.store.troubles |= {
        f"/files/{FILES}.SAFE/noise.bin": [cut(100_000), served, status(503)],
        f"/{BUCKET}/{OBJECTS}.SAFE/noise.bin": [cut(100_000), served, status(503)],
    }
    troubles = list(map(named, range(N_TROUBLES)))
    folders = [tmp_path_factory.mktemp("fetched") for _ in troubles]
    orders = [
        {
            "name": name,
            "collection": collection_of(name),
            "folder": str(folder),
            "providers": [PROVIDERS.get(name, "near")],
            "without": [],
            "streams": 4 if name in IN_PARTS else 2,
            "part_bytes": 40_000 if name in IN_PARTS else 1 << 25,
            "mb_per_s": MB_PER_S if name == SLOWLY else None,
            "silence_s": 4,
            "order_limit_s": 20,
        }
        for name, folder in zip(troubles, folders, strict=True)
    ]
    done = subprocess.run(
        [str(python), str(Path(__file__).with_name("eodag_many.py")), run.__file__],
        input=json.dumps(orders),
        stdout=subprocess.PIPE,
        check=True,
        text=True,
        timeout=300,
    )
    found = zip(troubles, json.loads(done.stdout), folders, strict=True)
    return {name: End(events, folder) for name, events, folder in found}


@pytest.mark.parametrize(
    "name",
    [WHOLE, CUT, NO_RANGES, BUSY, ORDERED, PARTS, CROWDED, SLOWLY],
    ids=["whole", "cut", "no ranges", "busy", "on tape", "in parts", "crowded", "slowly"],
)
def test_a_product_comes_whole(name: str, ends: Ends, zips: dict[str, bytes]) -> None:
    assert ends[name].last == {**ends[name].last, "event": "done", "provider": "near"}
    assert whole_product(ends[name].folder, name).read_bytes() == zips[name]


def test_what_was_cut_is_resumed_where_it_broke(ends: Ends, provider: Provider) -> None:
    assert [one["event"] for one in ends[CUT].events] == ["found", "resumes", "resumes", "done"]
    first, *more = provider.ranges[CUT]
    assert first == ""
    assert len(more) == 2
    begins = [int(re.fullmatch(r"bytes=(\d+)-", text)[1]) for text in more]  # type: ignore[index]
    assert 0 < begins[0] <= 100_000 <= 100_000 + 70_000 >= begins[1] > begins[0]


def test_parts_come_side_by_side(ends: Ends, provider: Provider) -> None:
    assert provider.peaks[PARTS] >= 3
    assert provider.ranges[PARTS][0] == ""
    assert all(re.fullmatch(r"bytes=\d+-\d*", text) for text in provider.ranges[PARTS][1:]), provider.ranges[PARTS]
    assert "resumes" in [one["event"] for one in ends[PARTS].events]


def test_who_allows_two_connections_is_asked_for_no_third_for_long(ends: Ends, provider: Provider) -> None:
    assert provider.peaks[CROWDED] == 2
    refused = [one for one in ends[CROWDED].events if one["event"] == "connection_refused"]
    assert 1 <= len(refused) <= 3
    assert "quota" in refused[0]["why"]


def test_it_keeps_to_its_limit_of_speed(ends: Ends, zips: dict[str, bytes]) -> None:
    at_s = {one["event"]: one["at_s"] for one in ends[SLOWLY].events}
    assert at_s["done"] - at_s["found"] >= 0.9 * len(zips[SLOWLY]) / (MB_PER_S * 1e6)


@pytest.mark.parametrize("name", [FILES, OBJECTS], ids=["files", "objects of a bucket"])
def test_a_product_of_many_files_comes_whole_in_parts_and_resumed(name: str, ends: Ends, provider: Provider) -> None:
    assert ends[name].last == {**ends[name].last, "event": "done", "provider": PROVIDERS[name]}
    found = whole_product(ends[name].folder, name)
    start = "/files" if name == FILES else f"/{BUCKET}"
    sent = {path: data for path, data in provider.store.files.items() if path.startswith(f"{start}/{name}.SAFE/")}
    assert {f"{start}/{name}.SAFE/{path.relative_to(found)}": path.read_bytes() for path in found.rglob("*.*")} == sent
    asked = provider.store.asked_of(f"{start}/{name}.SAFE/noise.bin")
    assert len(asked) > 3, "its large file came in parts"
    assert all("Range" in headers for headers in asked[1:])
    assert "resumes" in [one["event"] for one in ends[name].events]
    if name == FILES:
        assert {headers.get("Authorization") for headers in asked} == {LOGIN}
    assert not provider.store.refused, "boto3 signs it"


@pytest.mark.parametrize(
    ("name", "kind", "says"),
    [
        (SHORT, "FetchFailed", "nothing arrived for 4 s; last: broke off"),
        (GONE, "FetchFailed", "has it no longer \\(status 404\\)"),
        (UNLISTED, "ProductMissing", "no provider lists it \\(near\\)"),
        (LOCKED, "FetchFailed", "refuses the login: look at EODAG's settings"),
        (ESCAPES, "FetchFailed", "an object whose name leaves the product's folder"),
    ],
    ids=["short", "gone", "not listed", "wrong login", "escapes"],
)
def test_what_does_not_come_is_said(name: str, kind: str, says: str, ends: Ends) -> None:
    failed = ends[name].last
    assert (failed["event"], failed["kind"]) == ("failed", kind)
    assert re.search(says, failed["message"]), failed
    assert WRONG not in json.dumps(ends[name].events)
    assert not list(ends[name].folder.iterdir())


def test_a_length_that_is_a_lie_is_found_out(ends: Ends) -> None:
    assert ends[LIES].last["event"] == "done"
    with pytest.raises(NotWholeError, match="the end of the zip"):
        whole_product(ends[LIES].folder, LIES)


def test_a_job_that_names_an_id_waits_and_is_planned_when_it_has_come(
    azurite: Azurite, python: Path, provider: Provider, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From the request to the plan on real storage, with a grant: the fetcher is the real program."""
    provision(azurite.connection_string)
    rules = Rules(wanted_limit_s=3600)
    monkeypatch.setenv("ORTHOBURST_STORAGE", azurite.connection_string)
    assert grant(["--procure", "--days", "1", "--out", str(tmp_path / "grant")]) == 0
    process = subprocess.Popen(
        [sys.executable, "-m", "orthoagent", "procure", "--providers", "locked,near", "--eodag-python", str(python)],
        env={
            **{name: value for name, value in os.environ.items() if not name.startswith("ORTHOAGENT_")},
            "ORTHOAGENT_GRANT": str(tmp_path / "grant"),
            "ORTHOAGENT_SCRATCH": str(tmp_path / "scratch"),
            "ORTHOAGENT_AGENT": "fetcher",
            "ORTHOAGENT_POLL_S": "0.2",
        },
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        with azure_ports(azurite.connection_string) as stopped:
            ports = replace(stopped, clock=HandClock(datetime.now(UTC)))
            asked = {"request_id": f"eodag-{os.getpid()}", "user": "ada", "products": [f"id:{WHOLE}"]}
            job = submit(ports, Request.model_validate(asked), "http")
            heard: list[Procured] = []

            def planned() -> bool:
                for body in ports.queues.drain(names.QUEUE_REQUESTS, 32):
                    plan_request(ports, read_request(ports, body), Limits(), rules)
                for body in ports.queues.drain(names.QUEUE_PROCURED, 32):
                    heard.append(Procured.model_validate_json(body))
                    take_outcome(ports, heard[-1])
                found = find_job(ports, "ada", job.job_id)
                return found is not None and found.planned

            until(planned, "the plan", 120)
            found = find_job(ports, "ada", job.job_id)
            assert found is not None
            assert found.fault_message is None
            assert found.n_outputs == 1
            assert whereabouts(ports, found)[0]["ref"] == f"products/{WHOLE}.zip"
            assert [one.kind for one in heard] == ["started", "fetched"]
            assert not list(ports.tables.query(names.TABLE_WANTED, partition=WHOLE))
            stale = Wanted(name=LOCKED, ask="0" * 32, until=datetime(2020, 1, 1, tzinfo=UTC))
            ports.queues.send(names.QUEUE_WANTED, stale.to_json())
            until(lambda: ports.queues.length(names.QUEUE_WANTED) == 0, "the end of what nobody wants")
    finally:
        process.terminate()
        _, log = process.communicate(timeout=30)
    assert process.returncode == 0, log
    actions = [json.loads(line)["action"] for line in log.splitlines() if line.startswith("{")]
    assert "provider_failed" in actions, "it asked the other one first"
    assert "product_wanted_no_more" in actions
    for secret in (WRONG, PASSWORD, "Basic ", "sig="):
        assert secret not in re.sub(r"sig=\*\*\*", "", log)
