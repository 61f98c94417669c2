"""A client that others wrote, OWSLib, against the functions under their host; and a subscriber that is called."""

from __future__ import annotations

import hashlib
import hmac
import http.server
import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from owslib.ogcapi.processes import Processes

from fakes.ogc_schemas import faults
from localdev.servers import Azurite, FunctionsHost
from orthofunctions.provision import provision

APP = Path(__file__).resolve().parents[2] / "functions"


class Subscriber:
    """A server on loopback that notes what it is told."""

    def __init__(self) -> None:
        self.told: list[tuple[str, dict[str, str], bytes]] = []
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                outer.told.append((self.path, dict(self.headers), body))
                self.send_response(204)
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.host = f"127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@pytest.fixture(scope="module")
def subscriber() -> Iterator[Subscriber]:
    made = Subscriber()
    yield made
    made.close()


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory, subscriber: Subscriber) -> Iterator[str]:
    """Where the functions answer."""
    folder = tmp_path_factory.mktemp("ogc")
    with Azurite(folder / "azurite") as azurite:
        provision(azurite.connection_string)
        settings = {
            "AzureWebJobsStorage": azurite.connection_string,
            "ORTHOBURST_CALLBACK_HOSTS": subscriber.host,
            "ORTHOBURST_CALLBACK_LOOPBACK": "true",
        }
        with FunctionsHost(APP, folder, settings, arguments=["--queue-lease-s", "5", "--stop-grace-s", "5"]) as host:
            yield host.url


def test_owslib_finds_describes_and_executes(url: str) -> None:
    service = Processes(f"{url}/")
    assert {one["id"] for one in service.processes()} == {"orthorectify", "radar-backscatter"}
    assert any(one.endswith("/conf/core") for one in service.conformance()["conformsTo"])
    assert service.api()["openapi"] == "3.0.3"
    described = service.process("radar-backscatter")
    assert faults(described, "process") == []
    assert described["inputs"]["options"]["schema"]["properties"]["radiometry"]["default"] == "gamma0_rtc"
    inputs = {"products": ["products/none.zip"], "terrain": {"height_m": 0}}
    outputs = {"outputs": {"transmissionMode": "reference"}}
    made = service.execute("orthorectify", inputs, outputs, async_=True)
    job = made["jobID"] if isinstance(made, dict) else str(made).rsplit("/", 1)[-1]
    with httpx.Client(base_url=url, timeout=60) as plain:
        status = _over(plain, job)
        assert faults(status, "statusInfo") == []
        assert status["status"] == "failed"
        assert status["message"].startswith("UnknownProduct")
        assert job in {one["jobID"] for one in plain.get("/jobs", params={"status": "failed"}).json()["jobs"]}


def test_a_subscriber_is_called_by_the_queue(url: str, subscriber: Subscriber) -> None:
    body = {
        "inputs": {"products": ["products/none.zip"], "terrain": {"height_m": 0}},
        "subscriber": {"successUri": f"http://{subscriber.host}/done", "failedUri": f"http://{subscriber.host}/failed"},
    }
    with httpx.Client(base_url=url, timeout=60) as plain:
        answer = plain.post("/processes/orthorectify/execution", json=body, headers={"Prefer": "respond-async"})
        assert (answer.status_code, answer.headers["preference-applied"]) == (201, "respond-async")
        job = answer.json()["jobID"]
        _until(lambda: bool(subscriber.told))
        ((path, headers, told),) = subscriber.told
        assert path == "/failed"
        assert (json.loads(told)["jobID"], json.loads(told)["status"]) == (job, "failed")
        stamp, mark = (part.split("=", 1)[1] for part in headers["Orthoburst-Signature"].split(","))
        secret = plain.get("/callbacks/secret").json()["secret"]
        assert hmac.new(secret.encode(), f"{stamp}.".encode() + told, hashlib.sha256).hexdigest() == mark
        _until(lambda: _callbacks(plain, job)[0]["state"] == "delivered")
        (seen,) = _callbacks(plain, job)
        assert (seen["status"], seen["attempts"]) == (204, 1)
        refused = plain.post("/processes/orthorectify/execution", json={**body, "subscriber": {"failedUri": f"{url}/"}})
        assert refused.json()["errors"][0]["at"] == "subscriber.failedUri"


def _callbacks(plain: httpx.Client, job: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = plain.get(f"/jobs/{job}/callbacks").json()["callbacks"]
    return found


def _over(plain: httpx.Client, job: str) -> dict[str, Any]:
    status: dict[str, Any] = {}

    def looked() -> bool:
        status.update(plain.get(f"/jobs/{job}").json())
        return status["status"] not in ("accepted", "running")

    _until(looked)
    return status


def _until(condition: Any, timeout_s: float = 45.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.1)
