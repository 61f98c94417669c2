"""Traces of real workers over real storage, as a collector gets them. One that fails harms no delivery."""

from __future__ import annotations

import gzip
import json
import os
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import pairwise
from pathlib import Path
from typing import Any, ClassVar

import httpx
import pytest

from fakes.certificates import certificate
from fakes.otlp import Collector, collecting, facts
from integration.proxy_kit import proxy
from integration.worker_kit import Agent, Storage, agents, orthoagent, until
from localdev.servers.process import free_ports
from orthocontracts.tracing import trace_id_of

Start = Callable[..., Agent]
TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
ABOVE = f"00-{TRACE}-{SPAN}-01"
SOON = {"OTEL_BSP_SCHEDULE_DELAY": "200", "NO_PROXY": "127.0.0.1"}


@pytest.fixture
def start(storage: Storage, tmp_path: Path) -> Iterator[Start]:
    with agents(storage, tmp_path) as starter:
        yield starter


@pytest.fixture
def taker() -> Iterator[Collector]:
    with collecting() as server:
        yield server


def told(server: Collector, **more: str) -> dict[str, str]:
    return {**SOON, "OTEL_EXPORTER_OTLP_ENDPOINT": server.url, **more}


def release(storage: Storage, script: dict[str, object], traceparent: str | None = ABOVE, **how: Any) -> str:
    """A task that belongs to a trace."""
    return storage.release(script, traceparent=traceparent, **how)


def test_a_delivery_is_one_span_with_its_parts_below_it(storage: Storage, start: Start, taker: Collector) -> None:
    task = release(storage, {"steps": [0.3, 0.3]})
    before_ns = time.time_ns()
    agent = start(environ=told(taker, OTEL_RESOURCE_ATTRIBUTES="site=north"))
    finished = storage.report(task, "finished")
    delivery = until(lambda: taker.whole_named("delivery"), "the delivery's span")[0]
    parts = {span.name: span for span in taker.whole if span.name != "delivery"}
    assert set(parts) == {"fetch", "compute", "deliver"}

    assert (delivery.trace_id.hex(), delivery.parent_span_id.hex()) == (TRACE, SPAN)
    for span in parts.values():
        assert (span.trace_id, span.parent_span_id) == (delivery.trace_id, delivery.span_id)
        assert delivery.start_time_unix_nano <= span.start_time_unix_nano
        assert span.end_time_unix_nano <= delivery.end_time_unix_nano
    order = [parts[name] for name in ("fetch", "compute", "deliver")]
    assert all(one.end_time_unix_nano <= next_.start_time_unix_nano for one, next_ in pairwise(order))
    assert before_ns < delivery.start_time_unix_nano < delivery.end_time_unix_nano < time.time_ns()
    took_s = (parts["compute"].end_time_unix_nano - parts["compute"].start_time_unix_nano) / 1e9
    assert took_s == pytest.approx(finished.figures["compute_s"], abs=0.1)
    assert took_s >= 0.6

    assert finished.traceparent == f"00-{TRACE}-{delivery.span_id.hex()}-01"
    said = facts(delivery)
    expected = {"job": task[:-5], "task": task, "release": 1, "delivery": 1, "agent": agent.name, "pool": storage.pool}
    assert {name: said[f"orthoburst.{name}"] for name in expected} == expected
    assert (said["orthoburst.process"], said["orthoburst.outcome"]) == ("orthorectify", "done")
    assert "orthoburst.user" not in said
    assert facts(parts["fetch"])["orthoburst.fetched_bytes"] == finished.figures["fetched_bytes"] > 0
    assert facts(parts["compute"])["orthoburst.megapixels"] == pytest.approx(0.01)
    files = [one for verdict in finished.verdicts for one in (verdict.files or {}).values()]
    assert facts(parts["deliver"])["orthoburst.delivered_bytes"] == sum(one.size_bytes for one in files)
    resource = taker.resources[0]
    assert resource["service.name"] == "orthoagent"
    assert resource["service.instance.id"] == agent.name
    assert resource["site"] == "north"

    for action in ("taken", "delivery_moves", "reported_finished"):
        assert {event["trace"] for event in agent.events(action) if event["task"] == task} == {TRACE}
    assert "trace" not in agent.events("worker_ready")[0]


def test_without_a_trace_above_the_worker_begins_one(storage: Storage, start: Start, taker: Collector) -> None:
    start(environ=told(taker))
    finished = storage.report(release(storage, {}, traceparent=None), "finished")
    (delivery,) = until(lambda: taker.whole_named("delivery"), "the delivery's span")
    assert delivery.parent_span_id == b""
    assert trace_id_of(finished.traceparent) == delivery.trace_id.hex()


def test_a_trace_that_is_not_sampled_stays_so(storage: Storage, start: Start, taker: Collector) -> None:
    start(environ=told(taker))
    finished = storage.report(release(storage, {}, traceparent=f"00-{TRACE}-{SPAN}-00"), "finished")
    assert finished.traceparent is not None
    assert (trace_id_of(finished.traceparent), finished.traceparent[-2:]) == (TRACE, "00")
    storage.report(release(storage, {}), "finished")
    assert len(until(lambda: taker.whole_named("delivery"), "the other delivery's span")) == 1


@pytest.mark.parametrize("off", [{}, {"OTEL_SDK_DISABLED": "true"}, {"OTEL_TRACES_EXPORTER": "none"}])
def test_without_an_exporter_what_came_is_passed_on(
    storage: Storage, start: Start, taker: Collector, off: dict[str, str]
) -> None:
    agent = start(environ={**(told(taker, **off) if off else SOON), "PYTHONPROFILEIMPORTTIME": "1"})
    task = release(storage, {})
    assert {storage.report(task, kind).traceparent for kind in ("started", "finished")} == {ABOVE}
    assert agent.events("taken")[0]["trace"] == TRACE
    assert agent.end() == 0
    imported = agent.log_path.read_text()
    assert "orthoagent.telemetry" in imported
    assert "opentelemetry.sdk" not in imported
    assert "azure.monitor" not in imported
    assert taker.requests == []


def test_failures_are_told_without_secrets(storage: Storage, start: Start, taker: Collector) -> None:
    headers = {"OTEL_EXPORTER_OTLP_HEADERS": "authorization=Bearer%20hush-hush"}
    agent = start(environ=told(taker, **headers))
    failed = release(storage, {"end": {"33TUG": "bad product"}}, tiles=("33TTG", "33TUG"))
    storage.report(failed, "finished")
    until(lambda: taker.whole_named("delivery"), "the delivery's span")
    spans = {span.name: span for span in taker.whole}
    assert spans["compute"].status.code == spans["delivery"].status.code == 2
    assert spans["compute"].status.message.startswith("BrokenProductError: in/products/")
    assert facts(spans["delivery"])["error.type"] == "BrokenProductError"
    assert (spans["fetch"].status.code, spans["deliver"].status.code) == (0, 0)
    unreadable = release(storage, {}, md5="0" * 32)
    storage.report(unreadable, "finished")
    until(lambda: len(taker.whole_named("delivery")) == 2, "the second delivery's span")
    assert taker.whole_named("fetch")[1].status.code == 2
    # What opens the collector is seen by the collector alone.
    assert {headers["authorization"] for _, headers in taker.requests} == {"Bearer hush-hush"}
    kept = release(storage, {"end": "secrets"})
    (fault,) = storage.faults(storage.report(kept, "finished"))
    assert "hush" not in fault.message
    everything = agent.log_path.read_text() + "".join(str(span) for span in taker.whole)
    assert not [
        word for word in ("hush-hush", "sig=", "AccountKey=E", "5ea15ea1") if word in everything.replace("sig=***", "")
    ]


def test_work_that_is_stopped_or_handed_back_says_so(storage: Storage, start: Start, taker: Collector) -> None:
    slow = release(storage, {"steps": [60]}, time_limit_s=3)
    agent = start(environ=told(taker), grace_s=0.2)
    storage.report(slow, "finished")
    (delivery,) = until(lambda: taker.whole_named("delivery"), "the delivery's span")
    assert facts(taker.whole_named("compute")[0])["orthoburst.stopped"] == "true"
    assert (facts(delivery)["error.type"], delivery.status.code) == ("TimeLimit", 2)
    handed = release(storage, {"steps": [60]})
    storage.report(handed, "started")
    agent.child_pid(handed)
    assert agent.end() == 0
    storage.report(handed, "returned")
    (returned,) = until(lambda: taker.whole_named("delivery")[1:], "the second, at exit")
    assert facts(returned)["orthoburst.outcome"] == "returned"
    assert facts(returned)["orthoburst.reason"] == "received SIGTERM"
    assert returned.status.code == 0


def test_who_takes_over_from_a_killed_worker_has_a_span_beside_it(
    storage: Storage, start: Start, taker: Collector
) -> None:
    task = release(storage, {"steps": [3]})
    first = start(environ=told(taker))
    first.child_pid(task)
    until(lambda: taker.whole_named("fetch"), "what was over before the end to be sent")
    first.kill()
    second = start(environ=told(taker), name="second")
    finished = storage.report(task, "finished")
    (delivery,) = until(lambda: taker.whole_named("delivery"), "the delivery's span")
    said = facts(delivery)
    assert (said["orthoburst.agent"], said["orthoburst.delivery"], finished.delivery) == (second.name, 2, 2)
    assert delivery.parent_span_id.hex() == SPAN
    orphan, own = taker.whole_named("fetch")
    assert own.parent_span_id == delivery.span_id
    # Its delivery's span died with the first worker, but it says of which task and whose it was.
    assert facts(orphan)["orthoburst.task"] == task
    assert facts(orphan)["orthoburst.agent"] == first.name
    assert orphan.trace_id == delivery.trace_id


def slowness(agent: Agent, storage: Storage) -> float:
    """Seconds that ten deliveries take, one after the other."""
    began_s = time.monotonic()
    for _ in range(10):
        assert storage.faults(storage.report(release(storage, {}), "finished")) == []
    return time.monotonic() - began_s


@pytest.mark.parametrize("trouble", ["nobody there", "answers 500", "answers 503", "never answers"])
def test_a_collector_in_trouble_harms_and_delays_nothing(storage: Storage, start: Start, trouble: str) -> None:
    with collecting() as server:
        server.status = {"answers 500": 500, "answers 503": 503}.get(trouble, 200)
        server.delay_s = 30.0 if trouble == "never answers" else 0.0
        (nobody,) = free_ports(1)
        url = f"http://127.0.0.1:{nobody}" if trouble == "nobody there" else server.url
        agent = start(
            environ={**SOON, "OTEL_EXPORTER_OTLP_ENDPOINT": url, "OTEL_EXPORTER_OTLP_TIMEOUT": "2"}, log_level="INFO"
        )
        agent.wait_for("worker_ready")
        assert slowness(agent, storage) < 20
        down = agent.wait_for("telemetry_down")
        assert down["to"] == f"{url}/v1/traces"
        assert {"nobody there": "Connection refused", "never answers": "timed out"}.get(trouble, trouble) in str(
            down["why"]
        )
        time.sleep(4)  # several more tries, of which nothing is heard
        assert len(agent.events("telemetry_down")) == 1
        log = agent.log_path.read_text()
        assert "Traceback" not in log
        assert [event["message"] for event in agent.events("library")] == []
        release(storage, {})
        began_s = time.monotonic()
        assert agent.end() == 0
        assert time.monotonic() - began_s < 8


def test_a_collector_that_comes_back_is_told_of_once_and_gets_what_waited(storage: Storage, start: Start) -> None:
    (port,) = free_ports(1)
    url = f"http://127.0.0.1:{port}"
    (health,) = free_ports(1)
    environ = {**SOON, "OTEL_EXPORTER_OTLP_ENDPOINT": url, "OTEL_EXPORTER_OTLP_TIMEOUT": "1"}
    agent = start(environ=environ, health_port=health)
    storage.report(release(storage, {}), "finished")
    agent.wait_for("telemetry_down")
    with collecting(port) as server:
        storage.report(release(storage, {}), "finished")
        agent.wait_for("telemetry_up")
        until(lambda: server.whole_named("delivery"), "the later delivery's span")
        assert len(agent.events("telemetry_down")) == len(agent.events("telemetry_up")) == 1
        page = httpx.get(f"http://127.0.0.1:{health}/metrics").text
        lost = next(line for line in page.splitlines() if line.startswith("orthoagent_spans_lost_total"))
        assert int(lost.split()[1]) >= 1


def test_spans_go_through_the_site_s_proxy(storage: Storage, start: Start, taker: Collector) -> None:
    with proxy() as way_out:
        # Storage is on this machine too, and asked past the proxy by its own address.
        environ = told(taker) | {"HTTP_PROXY": way_out.url, "http_proxy": way_out.url, "NO_PROXY": "", "no_proxy": ""}
        start(environ=environ)
        storage.report(release(storage, {}), "finished")
        until(lambda: taker.whole_named("delivery"), "the delivery's span")
        assert f"POST {taker.url}/v1/traces" in way_out.asked


def test_what_lets_in_is_not_quoted_with_an_address(storage: Storage, start: Start) -> None:
    (nobody,) = free_ports(1)
    url = f"http://user:hush-1@127.0.0.1:{nobody}/in?key=hush-2"
    environ = {"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": url, "OTEL_EXPORTER_OTLP_TIMEOUT": "1"}
    agent = start(environ={**SOON, **environ})
    storage.report(release(storage, {}), "finished")
    down = agent.wait_for("telemetry_down")
    assert down["to"] == f"http://127.0.0.1:{nobody}/in"
    assert "Connection refused" in str(down["why"])
    assert "hush" not in agent.log_path.read_text()


class Ingestion(BaseHTTPRequestHandler):
    """Where Application Insights takes telemetry in."""

    taken: ClassVar[list[tuple[str, list[dict[str, Any]]]]] = []

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        items = json.loads(gzip.decompress(body) if self.headers["Content-Encoding"] == "gzip" else body)
        self.taken.append((self.path, items))
        answer = json.dumps({"itemsReceived": len(items), "itemsAccepted": len(items), "errors": []}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, format: str, *args: object) -> None:
        pass


def test_application_insights_gets_the_same_and_nothing_else(storage: Storage, start: Start) -> None:
    Ingestion.taken.clear()
    key = "11111111-1111-4111-8111-111111111111"
    with ThreadingHTTPServer(("127.0.0.1", 0), Ingestion) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        where = f"InstrumentationKey={key};IngestionEndpoint=http://127.0.0.1:{server.server_port}/"
        agent = start(environ={**SOON, "APPLICATIONINSIGHTS_CONNECTION_STRING": where})
        finished = storage.report(release(storage, {}), "finished")
        assert agent.end() == 0
        server.shutdown()
    items = {item["data"]["baseData"]["name"]: item for _, some in Ingestion.taken for item in some}
    assert set(items) == {"delivery", "fetch", "compute", "deliver"}
    assert {item["iKey"] for item in items.values()} == {key}
    assert {item["tags"]["ai.operation.id"] for item in items.values()} == {TRACE}
    delivery = items.pop("delivery")
    assert delivery["tags"]["ai.operation.parentId"] == SPAN
    span = delivery["data"]["baseData"]["id"]
    assert {item["tags"]["ai.operation.parentId"] for item in items.values()} == {span}
    assert finished.traceparent == f"00-{TRACE}-{span}-01"
    assert (delivery["tags"]["ai.cloud.role"], delivery["tags"]["ai.cloud.roleInstance"]) == ("orthoagent", agent.name)


@pytest.mark.parametrize("name", ["SSL_CERT_FILE", "OTEL_EXPORTER_OTLP_CERTIFICATE"])
def test_a_collector_of_the_site_s_authority_is_believed(
    storage: Storage, start: Start, tmp_path: Path, name: str
) -> None:
    authority = certificate(tmp_path, "localhost")
    with collecting(certificate=authority) as server:
        start(environ=told(server) | {name: str(authority)})
        storage.report(release(storage, {}), "finished")
        until(lambda: server.whole_named("delivery"), "the delivery's span")


def test_a_collector_of_an_unknown_authority_is_not(storage: Storage, start: Start, tmp_path: Path) -> None:
    with collecting(certificate=certificate(tmp_path, "localhost")) as server:
        agent = start(environ=told(server) | {"OTEL_EXPORTER_OTLP_TIMEOUT": "1"})
        storage.report(release(storage, {}), "finished")
        assert "certificate verify failed" in str(agent.wait_for("telemetry_down")["why"])
        assert server.requests == []


@pytest.mark.parametrize(
    ("environ", "says"),
    [
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "collector:4318"}, "must be like http://collector:4318"),
        (
            {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:4317", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"},
            "OTEL_EXPORTER_OTLP_PROTOCOL is grpc: workers speak http/protobuf, which collectors take on port 4318",
        ),
        (
            {"OTEL_EXPORTER_OTLP_ENDPOINT": "https://c:4318", "OTEL_EXPORTER_OTLP_CERTIFICATE": "/nowhere/ca.pem"},
            "/nowhere/ca.pem is no file",
        ),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c", "OTEL_TRACES_EXPORTER": "zipkin"}, "workers know otlp and none"),
        (
            {"APPLICATIONINSIGHTS_CONNECTION_STRING": "InstrumentationKey=no-key"},
            "APPLICATIONINSIGHTS_CONNECTION_STRING cannot be used",
        ),
    ],
)
def test_what_cannot_be_used_ends_the_start(storage: Storage, start: Start, environ: dict[str, str], says: str) -> None:
    agent = start(environ=environ)
    assert agent.process.wait(60) == 1
    (event,) = agent.events("failed")
    assert says in str(event["error"])


def test_a_collector_without_the_packages_ends_the_start(storage: Storage, start: Start, tmp_path: Path) -> None:
    blocked = tmp_path / "blocked" / "opentelemetry"
    blocked.mkdir(parents=True)
    (blocked / "__init__.py").write_text("raise ModuleNotFoundError('no', name='opentelemetry')")
    before = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, (str(blocked.parent), before)))
    try:
        agent = start(environ={"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:4318"})
    finally:
        os.environ.pop("PYTHONPATH") if before is None else os.environ.__setitem__("PYTHONPATH", before)
    assert agent.process.wait(60) == 1
    (event,) = agent.events("failed")
    assert "pip install 'orthoburst[telemetry]'" in str(event["error"])


class TestDoctor:
    def finding(self, storage: Storage, tmp_path: Path, environ: dict[str, str]) -> dict[str, str] | None:
        with pytest.MonkeyPatch.context() as patch:
            for name, value in environ.items():
                patch.setenv(name, value)
            answer = orthoagent(
                "doctor", "--json", storage=storage.connection, pool=storage.pool, scratch=tmp_path / "scratch",
                cache=tmp_path / "cache", compute="integration.worker_compute:act",
            )  # fmt: skip
        assert "hush" not in answer.stdout + answer.stderr
        assert answer.returncode == 0, answer.stderr  # a worker works without it
        found = [one for one in json.loads(answer.stdout) if one["check"] == "collector"]
        return found[0] if found else None

    def test_asks_the_collector_as_the_worker_would(self, storage: Storage, taker: Collector, tmp_path: Path) -> None:
        environ = told(taker, OTEL_EXPORTER_OTLP_HEADERS="authorization=Bearer%20hush-hush")
        finding = self.finding(storage, tmp_path, environ)
        assert finding is not None
        assert (finding["mark"], finding["found"]) == ("ok", f"{taker.url}/v1/traces takes traces")
        ((path, headers),) = taker.requests
        assert (path, headers["authorization"]) == ("/v1/traces", "Bearer hush-hush")
        assert taker.whole == []

    def test_believes_whom_the_worker_would(self, storage: Storage, tmp_path: Path) -> None:
        authority = certificate(tmp_path, "localhost")
        with collecting(certificate=authority) as server:
            known = self.finding(storage, tmp_path, told(server, SSL_CERT_FILE=str(authority)))
            unknown = self.finding(storage, tmp_path, told(server))
        assert known is not None
        assert unknown is not None
        assert (known["mark"], unknown["mark"]) == ("ok", "warn")
        assert "certificate" in unknown["found"].lower()

    @pytest.mark.parametrize(
        ("status", "says"), [(401, "refuses (401)"), (404, "has nothing there (404)"), (500, "answers 500")]
    )
    def test_says_what_is_wrong(
        self, storage: Storage, taker: Collector, tmp_path: Path, status: int, says: str
    ) -> None:
        taker.status = status
        finding = self.finding(storage, tmp_path, told(taker))
        assert finding is not None
        assert finding["mark"] == "warn"
        assert says in finding["found"]
        assert finding["advice"]

    def test_says_where_nobody_answers(self, storage: Storage, tmp_path: Path) -> None:
        (nobody,) = free_ports(1)
        url = f"http://user:hush@127.0.0.1:{nobody}"
        finding = self.finding(storage, tmp_path, {"OTEL_EXPORTER_OTLP_ENDPOINT": url})
        assert finding is not None
        assert finding["mark"] == "warn"
        assert f"http://127.0.0.1:{nobody}/v1/traces is not reached" in finding["found"]

    def test_asks_nobody_where_none_is_set(self, storage: Storage, tmp_path: Path) -> None:
        assert self.finding(storage, tmp_path, {}) is None
