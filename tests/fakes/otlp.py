"""A collector for OTLP over HTTP, and Azure Monitor's ingestion, on loopback: what is sent is decoded and kept."""

from __future__ import annotations

import gzip
import json
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span


@dataclass(frozen=True)
class GotSpan:
    name: str
    trace: str
    id: str
    parent: str
    began_s: float
    took_s: float
    about: dict[str, Any]
    failed: bool
    service: str


@dataclass(frozen=True)
class GotLog:
    text: str
    severity: str
    trace: str
    about: dict[str, Any]


@dataclass
class Collector:
    """Answers with ``status``, after ``delay_s``. ``items`` are those of Azure Monitor."""

    url: str = ""
    status: int = 200
    delay_s: float = 0.0
    spans: list[GotSpan] = field(default_factory=list)
    whole: list[Span] = field(default_factory=list)
    """The same, with all they came with."""
    resources: list[dict[str, Any]] = field(default_factory=list)
    """Who told of them."""
    logs: list[GotLog] = field(default_factory=list)
    metrics: list[tuple[str, dict[str, Any], float]] = field(default_factory=list)
    items: list[dict[str, Any]] = field(default_factory=list)
    requests: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    """Path and headers of each."""

    @property
    def headers(self) -> list[dict[str, str]]:
        return [headers for path, headers in self.requests if path != "/told"]

    @property
    def told(self) -> list[dict[str, str]]:
        """Headers of callbacks, to ``/told``."""
        return [headers for path, headers in self.requests if path == "/told"]

    def named(self, name: str) -> list[GotSpan]:
        return [span for span in self.spans if span.name == name]

    def whole_named(self, name: str) -> list[Span]:
        return [span for span in self.whole if span.name == name]

    def values(self, name: str) -> dict[tuple[tuple[str, Any], ...], float]:
        """The last of each series."""
        return {tuple(sorted(labels.items())): value for one, labels, value in self.metrics if one == name}

    def wait_for(self, condition: Callable[[], object], timeout_s: float = 30.0) -> None:
        deadline = time.monotonic() + timeout_s
        while not condition():
            assert time.monotonic() < deadline, f"waited in vain; spans: {[one.name for one in self.spans]}"
            time.sleep(0.02)

    def take(self, path: str, body: bytes) -> None:
        match path:
            case "/v1/traces":
                request = ExportTraceServiceRequest.FromString(body)
                scopes = [scope for one in request.resource_spans for scope in one.scope_spans]
                self.whole += [span for scope in scopes for span in scope.spans]
                self.resources += [facts(one.resource) for one in request.resource_spans]
                self.spans += _spans(request)
            case "/v1/logs":
                self.logs += _logs(ExportLogsServiceRequest.FromString(body))
            case "/v1/metrics":
                self.metrics += _metrics(ExportMetricsServiceRequest.FromString(body))
            case "/v2.1/track":
                self.items += json.loads(body)
            case "/told":
                pass
            case _:
                raise AssertionError(f"nobody sends to {path}")


@contextmanager
def collecting(port: int = 0, certificate: Path | None = None) -> Iterator[Collector]:
    """With a certificate (and its key, in one file) for localhost it speaks TLS."""
    collector = Collector()
    stopped = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if self.headers.get("Content-Encoding") == "gzip":
                body = gzip.decompress(body)
            headers = {name.lower(): value for name, value in self.headers.items()}
            collector.requests.append((self.path, headers))
            stopped.wait(collector.delay_s)
            if collector.status == 200:
                collector.take(self.path, body)
            answer = _azures(body) if self.path.startswith("/v2") else b""
            self.send_response(collector.status)
            self.send_header("Content-Type", "application/json" if answer else "application/x-protobuf")
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_: object) -> None:
            pass

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, *_: object) -> None:
            """Who hangs up while it is kept waiting is no error of ours."""

    server = Server(("127.0.0.1", port), Handler)
    collector.url = f"http://127.0.0.1:{server.server_port}"
    if certificate is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        server.socket = context.wrap_socket(server.socket, True, do_handshake_on_connect=False)
        collector.url = f"https://localhost:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield collector
    finally:
        stopped.set()
        server.shutdown()
        thread.join()
        server.server_close()


def _azures(body: bytes) -> bytes:
    n = len(json.loads(body))
    return json.dumps({"itemsReceived": n, "itemsAccepted": n, "errors": []}).encode()


def facts(of: Any) -> dict[str, Any]:
    """Its attributes by name."""

    def value(one: KeyValue) -> Any:
        kind = one.value.WhichOneof("value")
        return getattr(one.value, kind) if kind else None

    return {one.key: value(one) for one in of.attributes}


def _spans(request: ExportTraceServiceRequest) -> list[GotSpan]:
    return [
        GotSpan(
            name=span.name,
            trace=span.trace_id.hex(),
            id=span.span_id.hex(),
            parent=span.parent_span_id.hex(),
            began_s=span.start_time_unix_nano / 1e9,
            took_s=(span.end_time_unix_nano - span.start_time_unix_nano) / 1e9,
            about=facts(span),
            failed=span.status.code == 2,
            service=str(facts(resource.resource).get("service.name")),
        )
        for resource in request.resource_spans
        for scope in resource.scope_spans
        for span in scope.spans
    ]


def _logs(request: ExportLogsServiceRequest) -> list[GotLog]:
    return [
        GotLog(one.body.string_value, one.severity_text, one.trace_id.hex(), facts(one))
        for resource in request.resource_logs
        for scope in resource.scope_logs
        for one in scope.log_records
    ]


def _metrics(request: ExportMetricsServiceRequest) -> list[tuple[str, dict[str, Any], float]]:
    """Of a histogram its sum."""
    found = []
    for resource in request.resource_metrics:
        for scope in resource.scope_metrics:
            for metric in scope.metrics:
                data = getattr(metric, str(metric.WhichOneof("data")))
                for point in data.data_points:
                    number = point.sum if metric.WhichOneof("data") == "histogram" else 0.0
                    if metric.WhichOneof("data") != "histogram":
                        number = getattr(point, str(point.WhichOneof("value")))
                    found.append((metric.name, facts(point), float(number)))
    return found
