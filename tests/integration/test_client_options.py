"""Options from the command line and the client through the real API, and every file of a result down again."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import threading
from collections.abc import Iterator
from datetime import datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import requests

from fakes.asgi import AsgiClient
from fakes.memory_ports import memory_ports
from fakes.products import ROME, put_safe
from orthoburst import Client, RefusedError
from orthoburst.cli import main
from orthocontracts import names
from orthocontracts.outputs import FILE_SUFFIX, CatalogueEntry, FileFacts, file_kinds
from orthocontracts.requests import FootprintGrid, GridRequest, Options, Request, TileGrid
from orthocontracts.states import OutputState
from orthofunctions.api.app import create_app
from orthofunctions.bootstrap import System
from orthofunctions.domain.records import OutputRecord
from orthofunctions.settings import Settings
from orthofunctions.usecases.plan import plan_request, read_plan
from orthofunctions.usecases.rows import find, swap
from orthofunctions.usecases.submit import read_request

PRODUCT = f"products/{ROME}.SAFE"


@dataclasses.dataclass
class StoreLinks:
    """Links to blobs that the site's own server hands out."""

    base_url: str = ""

    def read_url(self, container: str, name: str, expires_at: datetime) -> str:
        return f"{self.base_url}/store/{container}/{name}"

    def create_url(self, container: str, name: str, expires_at: datetime) -> str:
        raise AssertionError("nothing is delivered here")


@dataclasses.dataclass
class Site:
    """The API over HTTP with a store in memory."""

    url: str
    system: System
    fetched: list[str]

    @property
    def requests(self) -> list[Request]:
        """Taken off the queue."""
        ports = self.system.ports
        return [read_request(ports, body) for body in ports.queues.drain(names.QUEUE_REQUESTS, 10)]

    def make(self, request: Request) -> None:
        """Plan a request, and commit all its outputs with a few bytes for each file."""
        ports = self.system.ports
        plan_request(ports, request, self.system.limits, self.system.rules)
        for output in find(ports.tables, OutputRecord):
            plan = read_plan(ports, output.job_id)
            assert plan is not None
            identity = next(one.identity for one in plan.outputs if one.digest == output.digest)
            entry = CatalogueEntry(
                digest=output.digest,
                identity=identity,
                files={
                    kind: self._deliver(output.digest, kind, identity.options) for kind in file_kinds(identity.options)
                },
                task_id=output.task_id,
                release=1,
                delivery=1,
                pool="hpc",
                agent="a1",
                committed_at="2026-05-01T00:00:00Z",
            )
            ports.blobs.write(names.CONTAINER_CATALOGUE, names.catalogue_blob(output.digest), entry.to_json().encode())
            swap(ports.tables, output.changed(state=OutputState.COMMITTED))

    def _deliver(self, digest: str, kind: Any, options: Options) -> FileFacts:
        data = f"{kind} of {digest}".encode()
        if kind == "item":
            assets = {
                one: {"href": f"./{digest}{suffix}"}
                for one, suffix in FILE_SUFFIX.items()
                if one in file_kinds(options)
            }
            data = json.dumps({"assets": assets}).encode()
        blob = names.result_blob("j-0001", 1, 1, digest, kind)
        self.system.ports.blobs.write(names.CONTAINER_RESULTS, blob, data)
        return FileFacts(
            blob=f"{names.CONTAINER_RESULTS}/{blob}", size_bytes=len(data), md5=hashlib.md5(data).hexdigest()
        )


@pytest.fixture
def site() -> Iterator[Site]:
    settings = Settings.model_validate({"ORTHOBURST_STORAGE": "unused"})
    links = StoreLinks()
    ports = dataclasses.replace(memory_ports(), links=links)
    system = System(settings, ports, settings.rules(), settings.limits(), requests.Session())
    put_safe(ports.blobs)
    fetched: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.path.startswith("/store/"):
                container, _, name = self.path.removeprefix("/store/").partition("/")
                fetched.append(name)
                self._answer(200, ports.blobs.read(container, name))
            else:
                self._pass_on()

        def do_POST(self) -> None:
            self._pass_on(content=self.rfile.read(int(self.headers["Content-Length"])))

        def _pass_on(self, **body: bytes) -> None:
            api = AsgiClient(create_app(lambda: system), base_url=links.base_url)
            answer = (api.post if body else api.get)(self.path, **body)
            self._answer(answer.status_code, answer.content)

        def _answer(self, status: int, body: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            """Be quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    links.base_url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    yield Site(links.base_url, system, fetched)
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.parametrize(
    ("words", "options"),
    [
        ("", Options()),
        ("--radiometry gamma0_rtc", Options(radiometry="gamma0_rtc")),
        (
            "--radiometry gamma0_rtc --extras scattering_area,layover_shadow --no-noise-removal",
            Options(radiometry="gamma0_rtc", extras=("scattering_area",), noise_removal=False),
        ),
        (
            "--radiometry sigma0 --scale db --noise-removal --bands vv vh --resampling cubic",
            Options(radiometry="sigma0", scale="db", noise_removal=True, bands=("vv", "vh"), resampling="cubic"),
        ),
        ("--scale linear --extras acquisition", Options(extras=("acquisition",))),
        (
            "--radiometry reflectance --bands b04 b8a --extras quality,scene_classification,detector",
            Options(
                radiometry="reflectance",
                bands=("b04", "b8a"),
                extras=("scene_classification", "detector", "quality"),
            ),
        ),
        ("--radiometry physical --bands oa08 s8", Options(radiometry="physical", bands=("oa08", "s8"))),
    ],
)
def test_what_is_typed_is_what_is_asked_for(site: Site, words: str, options: Options) -> None:
    assert main(["--url", site.url, "submit", PRODUCT, *words.split()]) == 0
    (request,) = site.requests
    assert request.options == options
    assert request.options.noise_removal is options.noise_removal


@pytest.mark.parametrize(
    ("words", "grid"),
    [
        ("", None),
        ("--footprint", FootprintGrid(kind="footprint")),
        ("--footprint --spacing 300", FootprintGrid(kind="footprint", spacing_m=300)),
        ("--spacing 20", TileGrid(spacing_m=20)),
        ("--tile 33TUG --spacing 20", TileGrid(tiles=("33TUG",), spacing_m=20)),
        ("--tile 33TUG", TileGrid(tiles=("33TUG",))),
    ],
)
def test_the_grid_that_is_typed_is_the_one_asked_for(site: Site, words: str, grid: GridRequest | None) -> None:
    assert main(["--url", site.url, "submit", PRODUCT, *words.split()]) == 0
    assert [request.grid for request in site.requests] == [grid]


def test_tiles_and_a_footprint_are_not_asked_for_together(site: Site) -> None:
    assert main(["--url", site.url, "submit", PRODUCT, "--footprint", "--tile", "33TUG"]) == 2
    assert site.requests == []


def test_files_of_an_instrument_may_be_named(site: Site) -> None:
    assert main(["--url", site.url, "submit", PRODUCT, "--gipp", "aux/gipp", "--iers", "aux/bulletin.txt"]) == 0
    assert [(request.gipp, request.iers) for request in site.requests] == [("aux/gipp", "aux/bulletin.txt")]


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ("--radiometry gamma0_rtc --scale db", "Normalised Radar Backscatter is linear"),
        ("--scale db", "ask for radiometry beta0, sigma0 or gamma0"),
        ("--extras layover_shadow,layover_shadow", "named twice"),
        ("--extras shade", "layover_shadow"),
        ("--radiometry sigma", "gamma0_rtc"),
    ],
)
def test_the_service_says_what_is_wrong_with_what_was_typed(
    site: Site, words: str, says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--url", site.url, "submit", PRODUCT, *words.split()]) == 1
    assert says in capsys.readouterr().err
    assert site.requests == []


def test_options_are_given_in_one_way(site: Site) -> None:
    with Client(site.url) as client:
        with pytest.raises(TypeError, match="either options or radiometry, extras"):
            client.submit([PRODUCT], options={}, radiometry="sigma0", extras=["acquisition"])
        with pytest.raises(RefusedError, match=r"inputs\.options\.noise_removal") as refused:
            client.submit([PRODUCT], options={"noise_removal": "perhaps"})
        assert refused.value.status == 400
        assert site.requests == []
        client.submit([PRODUCT], options={"noise_removal": False}, request_id="a")
        client.submit([PRODUCT], noise_removal=False, request_id="b")
    one, other = site.requests
    assert one.options == other.options == Options(noise_removal=False)


def test_every_file_of_flattened_gamma0_is_downloaded_once(site: Site, tmp_path: Path) -> None:
    with Client(site.url) as client:
        job = client.submit(
            [PRODUCT], tiles=["33TUG"], radiometry="gamma0_rtc", extras=["scattering_area"], terrain={"height_m": 0}
        )
        (request,) = site.requests
        site.make(request)
        (result,) = job.results()
        of_radar = [kind for kind in FILE_SUFFIX if kind not in ("scene_classification", "detector", "quality")]
        assert list(result.files) == of_radar
        assert result.image_url == result.files["image"].url
        (image,) = job.download(tmp_path)
        beside = {kind: tmp_path / f"{image.stem}{FILE_SUFFIX[kind]}" for kind in of_radar}
        assert set(tmp_path.iterdir()) == set(beside.values())
        for kind, path in beside.items():
            if kind != "item":
                assert path.read_text() == f"{kind} of {result.digest}"
        assets = json.loads(beside["item"].read_text())["assets"]
        assert all((tmp_path / asset["href"]).samefile(beside[kind]) for kind, asset in assets.items())
        site.fetched.clear()
        job.download(tmp_path)
        assert [name.rpartition(".")[2] for name in site.fetched] == ["json"]  # rewritten to name its neighbours


def test_results_as_json_name_every_file(site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    with Client(site.url) as client:
        job = client.submit([PRODUCT], tiles=["33TUG"], extras=["local_incidence"], terrain={"height_m": 0})
    (request,) = site.requests
    site.make(request)
    assert main(["--url", site.url, "results", job.id, "--json"]) == 0
    (result,) = json.loads(capsys.readouterr().out)
    assert list(result["files"]) == ["image", "mask", "browse", "item", "local_incidence"]
    assert {"url", "size_bytes", "md5"} == result["files"]["local_incidence"].keys()
