"""The exporters: OTLP over HTTP, and Azure Monitor.

They work on threads of their own, from queues of which the oldest is dropped where they are full: nobody who makes a
span, a log line or a figure waits for a collector.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

from azure.core.credentials import TokenCredential
from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk._logs import ReadableLogRecord
from opentelemetry.sdk._logs.export import LogRecordExporter, LogRecordExportResult
from opentelemetry.sdk.metrics import Counter, Histogram
from opentelemetry.sdk.metrics.export import (
    AggregationTemporality,
    MetricExporter,
    MetricExportResult,
    MetricsData,
)
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

from orthofunctions.domain.exporting import CONNECTION_STRING, Wanted

IDENTITY: Final = "APPLICATIONINSIGHTS_AUTHENTICATION_STRING"
_SPEAKING: Final = ("_base", "trace._exporter", "logs._exporter", "metrics._exporter")
_SELDOM_S: Final = 600.0
_ANSWER_S: Final = 5
_RETRIES: Final = 2
QUIET: Final = (
    "APPLICATIONINSIGHTS_STATSBEAT_DISABLED_ALL",  # figures of the exporter itself, sent to Microsoft
    "APPLICATIONINSIGHTS_SDKSTATS_DISABLED",  # the same once more, sent to the customer
    "APPLICATIONINSIGHTS_CONTROLPLANE_DISABLED",  # asks a service of Microsoft's how it should behave
)
_DELTAS: Final[dict[type, AggregationTemporality]] = {
    Counter: AggregationTemporality.DELTA,
    Histogram: AggregationTemporality.DELTA,
}


class _Seldom(logging.Filter):
    """Exporters tell of a collector that is away each time they try: once in ten minutes says as much."""

    def __init__(self) -> None:
        super().__init__()
        self._told: dict[str, float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        last = self._told.get(str(record.msg))
        if last is not None and record.created - last < _SELDOM_S:
            return False
        self._told[str(record.msg)] = record.created
        return True


_seldom = _Seldom()


def _quieten(*modules: str) -> None:
    for module in modules:
        logging.getLogger(module).addFilter(_seldom)


def span_exporters(wanted: Wanted, identity: Callable[[], TokenCredential] | None) -> Iterator[SpanExporter]:
    if "traces" in wanted.otlp:
        _quieten(OTLPSpanExporter.__module__)
        yield OTLPSpanExporter()
    if "traces" in wanted.azure:
        yield _AzureSpans(identity)


def log_exporters(wanted: Wanted, identity: Callable[[], TokenCredential] | None) -> Iterator[LogRecordExporter]:
    if "logs" in wanted.otlp:
        _quieten(OTLPLogExporter.__module__)
        yield OTLPLogExporter()
    if "logs" in wanted.azure:
        yield _AzureLogs(identity)


def metric_exporters(wanted: Wanted, identity: Callable[[], TokenCredential] | None) -> Iterator[MetricExporter]:
    if "metrics" in wanted.otlp:
        _quieten(OTLPMetricExporter.__module__)
        yield OTLPMetricExporter()
    if "metrics" in wanted.azure:
        yield _AzureMetrics(identity)


class _Late:
    """An exporter of Azure Monitor, made by the thread that first sends: importing it takes longer than a call may."""

    def __init__(self, name: str, identity: Callable[[], TokenCredential] | None) -> None:
        self._name, self._identity = name, identity
        self._made: Any = None

    def get(self) -> Any:
        if self._made is None:
            for variable in QUIET:
                os.environ.setdefault(variable, "true")
            from azure.monitor.opentelemetry import exporter  # noqa: PLC0415

            _quieten(*(f"{exporter.__name__}.export.{one}" for one in _SPEAKING))

            options: dict[str, Any] = {
                "connection_string": os.environ[CONNECTION_STRING],
                "disable_offline_storage": True,  # what is not sent is lost, and fills no disk
                "timeout": _ANSWER_S,
                "read_timeout": _ANSWER_S,
                "retry_total": _RETRIES,
            }
            # where the variable is set the exporter makes the identity that it names
            if self._identity is not None and IDENTITY not in os.environ:
                options["credential"] = self._identity()
            self._made = getattr(exporter, self._name)(**options)
        return self._made

    def shutdown(self) -> None:
        if self._made is not None:
            self._made.shutdown()


class _AzureSpans(SpanExporter):
    def __init__(self, identity: Callable[[], TokenCredential] | None) -> None:
        self._late = _Late("AzureMonitorTraceExporter", identity)

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        result: SpanExportResult = self._late.get().export(spans)
        return result

    def shutdown(self) -> None:
        self._late.shutdown()


class _AzureLogs(LogRecordExporter):
    def __init__(self, identity: Callable[[], TokenCredential] | None) -> None:
        self._late = _Late("AzureMonitorLogExporter", identity)

    def export(self, batch: Sequence[ReadableLogRecord]) -> LogRecordExportResult:
        result: LogRecordExportResult = self._late.get().export(batch)
        return result

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        return True

    def shutdown(self) -> None:
        self._late.shutdown()


class _AzureMetrics(MetricExporter):
    def __init__(self, identity: Callable[[], TokenCredential] | None) -> None:
        super().__init__(preferred_temporality=_DELTAS)  # as its own says, which is not imported yet
        self._late = _Late("AzureMonitorMetricExporter", identity)

    def export(self, metrics_data: MetricsData, timeout_millis: float = 10_000, **kwargs: Any) -> MetricExportResult:
        result: MetricExportResult = self._late.get().export(metrics_data, timeout_millis)
        return result

    def force_flush(self, timeout_millis: float = 10_000) -> bool:
        return True

    def shutdown(self, timeout_millis: float = 30_000, **kwargs: Any) -> None:
        self._late.shutdown()
