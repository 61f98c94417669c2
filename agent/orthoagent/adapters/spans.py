"""Spans of deliveries by OpenTelemetry's SDK, sent by a thread of its own: no delivery waits for who collects them.

Imported only where a collector is set. The SDK's provider stays ours: nothing global is set, so that no library begins
to send spans of its own.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import threading
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

import requests
from opentelemetry.context import Context
from opentelemetry.sdk.resources import OTELResourceDetector, Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.trace import Span, SpanKind, Status, StatusCode, set_span_in_context
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from pydantic import SecretStr

from orthoagent.errors import AgentError
from orthoagent.logs import log, redact
from orthoagent.telemetry import Collector
from orthoagent.tracing import DeliveryId, DeliveryTrace, Part
from orthoagent.vitals import Vitals
from orthocontracts.messages import Fault

MOST_WAITING_SPANS = 2048
"""Of a collector that does not answer: the oldest are then let go."""
_CHATTER = ("opentelemetry", "azure.monitor.opentelemetry", "urllib3")
_LOGGERS = tuple(logging.getLogger(name) for name in _CHATTER)


class Spans:
    """The tracer where traces are collected."""

    def __init__(self, provider: TracerProvider, watched: Sequence[Watched], of: Mapping[str, str]) -> None:
        self._provider, self._watched, self._of = provider, watched, of
        self._tracer = provider.get_tracer("orthoagent")

    @classmethod
    def sent_to(
        cls, collector: Collector | None, insights: SecretStr | None, *, about: Mapping[str, str], vitals: Vitals
    ) -> Spans:
        """``about`` is the worker's ``agent``, ``pool`` and ``version``.

        Raises AgentError where an address cannot be used, ModuleNotFoundError where the extra is missing.
        """
        words, exporters = _LastWords(), dict[str, SpanExporter]()
        if collector is not None:
            exporters[collector.shown] = _to_collector(collector, words)
        if insights is not None:
            exporters["Application Insights"] = _to_insights(insights.get_secret_value())
        for logger in _LOGGERS:
            logger.handlers, logger.propagate = [words], False
        provider = TracerProvider(resource=_resource(about), shutdown_on_exit=False)
        watched = [Watched(name, exporter, words, vitals) for name, exporter in exporters.items()]
        for one in watched:
            provider.add_span_processor(BatchSpanProcessor(one, max_queue_size=MOST_WAITING_SPANS))
        log("telemetry", to=", ".join(exporters))
        return cls(provider, watched, {"agent": about["agent"], "pool": about["pool"]})

    def begin(self, of: DeliveryId) -> DeliveryTrace:
        above = TraceContextTextMapPropagator().extract({"traceparent": of.traceparent or ""}, Context())
        ids: dict[str, str | int] = {"task": of.task_id, "release": of.release, "delivery": of.delivery, **self._of}
        span = self._tracer.start_span("delivery", above, SpanKind.CONSUMER, _attributes(ids))
        return _Delivery(self, span, ids)

    def start_below(self, span: Span, name: str, ids: Mapping[str, str | int]) -> Span:
        # The ids again: of a worker that is killed only the parts that were over are ever seen.
        return self._tracer.start_span(name, set_span_in_context(span, Context()), attributes=_attributes(ids))

    async def close(self, limit_s: float) -> None:
        """Send what waits, for so long at most. The SDK's own flush knows no limit, so it is left behind then."""
        loop, sent = asyncio.get_running_loop(), asyncio.Event()

        def flush() -> None:
            with contextlib.suppress(Exception):
                self._provider.shutdown()
            with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
                loop.call_soon_threadsafe(sent.set)

        threading.Thread(target=flush, name="telemetry-flush", daemon=True).start()
        try:
            async with asyncio.timeout(limit_s):
                await sent.wait()
        except TimeoutError:
            log("telemetry_unsent", level=logging.WARNING, waited_s=limit_s)
        for one in self._watched:
            one.is_closed = True


class _Delivery:
    def __init__(self, spans: Spans, span: Span, ids: Mapping[str, str | int]) -> None:
        self._spans, self._span, self._ids = spans, span, ids

    @property
    def traceparent(self) -> str | None:
        carrier: dict[str, str] = {}
        TraceContextTextMapPropagator().inject(carrier, set_span_in_context(self._span, Context()))
        return carrier.get("traceparent")

    @contextlib.contextmanager
    def part(self, name: str) -> Iterator[Part]:
        told, span = Part(), self._spans.start_below(self._span, name, self._ids)
        try:
            yield told
        except BaseException:
            told.facts["stopped"] = "true"
            raise
        finally:
            _end(span, told)

    def end(self, told: Part) -> None:
        _end(self._span, told)


def _end(span: Span, told: Part) -> None:
    span.set_attributes(_attributes(told.facts))
    if told.fault is not None:
        span.set_attribute("error.type", told.fault.kind)
        span.set_status(_status(told.fault))
    span.end()


def _status(fault: Fault) -> Status:
    return Status(StatusCode.ERROR, redact(f"{fault.kind}: {fault.message}")[:500])


def _attributes(facts: Mapping[str, str | int | float]) -> dict[str, str | int | float]:
    return {f"orthoburst.{name}": value for name, value in facts.items()}


class Watched(SpanExporter):
    """An exporter that says once that the other side does not take spans, and once that it does again."""

    def __init__(self, to: str, exporter: SpanExporter, words: _LastWords, vitals: Vitals) -> None:
        self._to, self._exporter, self._words, self._vitals = to, exporter, words, vitals
        self._answers = True
        self.is_closed = False

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        self._words.said.clear()
        try:
            result = self._exporter.export(spans)
        except Exception as error:
            self._words.said.append(f"{type(error).__name__}: {error}")
            result = SpanExportResult.FAILURE
        answers = result is SpanExportResult.SUCCESS
        if not answers:
            self._vitals.spans_lost += len(spans)
        if answers is not self._answers and not self.is_closed:
            if answers:
                log("telemetry_up", to=self._to)
            else:
                log("telemetry_down", level=logging.WARNING, to=self._to, why=self._words.why)
        self._answers = answers
        return result

    def shutdown(self) -> None:
        self._exporter.shutdown()

    def force_flush(self, timeout_millis: int = 30000) -> bool:
        return self._exporter.force_flush(timeout_millis)


class _LastWords(logging.Handler):
    """Keeps what the exporters say, for who tells it once: they say it again with every try, stack traces included."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.said: deque[str] = deque(maxlen=20)

    @property
    def why(self) -> str | None:
        """The first of it: the last only says that enough was tried."""
        return self.said[0][:500] if self.said else None

    def emit(self, record: logging.LogRecord) -> None:
        self.said.append(record.getMessage())


def _resource(about: Mapping[str, str]) -> Resource:
    """What all spans say of this worker: the site's own words, OTEL_RESOURCE_ATTRIBUTES and OTEL_SERVICE_NAME, win."""
    ours = {"service.name": "orthoagent", "service.version": about["version"], "service.instance.id": about["agent"]}
    return Resource.create().merge(Resource(dict(ours))).merge(OTELResourceDetector().detect())


class _Session(requests.Session):
    """Keeps why a request failed, which the exporter does not always say, and trusts whom it is told to.

    ``requests`` alone lets REQUESTS_CA_BUNDLE and CURL_CA_BUNDLE go before what its own session was given.
    """

    def __init__(self, collector: Collector, words: _LastWords) -> None:
        super().__init__()
        self._ca_file, self._words = collector.ca_file, words
        self._hidden = urlsplit(collector.url).query

    def merge_environment_settings(self, url: Any, proxies: Any, stream: Any, verify: Any, cert: Any) -> Any:
        return super().merge_environment_settings(url, proxies, stream, self._ca_file or verify, cert)

    def request(self, *given: Any, **more: Any) -> requests.Response:
        try:
            response = super().request(*given, **more)
        except requests.RequestException as error:
            # Errors quote the address: what lets in may be a part of it.
            self._words.said.append(str(error).replace(self._hidden, "***") if self._hidden else str(error))
            raise
        if not response.ok:
            self._words.said.append(f"it answers {response.status_code} {response.reason}")
        return response


def _to_collector(collector: Collector, words: _LastWords) -> SpanExporter:
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter  # noqa: PLC0415

    # Proxies are those of the environment; headers, timeout and compression it reads there itself.
    session = _Session(collector, words)
    return OTLPSpanExporter(endpoint=collector.url, certificate_file=collector.ca_file, session=session)


def _to_insights(connection_string: str) -> SpanExporter:
    # What it would tell Microsoft of itself, and ask of it every few minutes, is nothing that a worker needs.
    for name in ("STATSBEAT_DISABLED_ALL", "SDKSTATS_DISABLED", "CONTROLPLANE_DISABLED"):
        os.environ.setdefault(f"APPLICATIONINSIGHTS_{name}", "true")
    from azure.monitor.opentelemetry.exporter import AzureMonitorTraceExporter  # noqa: PLC0415 (a second more)

    try:
        # No disk: a worker's may be read-only, or gone with its container.
        return AzureMonitorTraceExporter(connection_string=connection_string, disable_offline_storage=True)
    except ValueError as error:
        raise AgentError(f"APPLICATIONINSIGHTS_CONNECTION_STRING cannot be used: {redact(str(error))}") from error
