"""Traces, metrics and logs over OpenTelemetry. Imported where an exporter is configured, and only there.

An instance that Azure takes away may be frozen between two calls, or gone. What was not sent by then is lost: spans and
log lines wait for a second at most, figures for a minute, or for the timer that flushes.
"""

from __future__ import annotations

import atexit
import logging
import os
import threading
import uuid
from collections.abc import Callable
from importlib.metadata import version
from importlib.util import find_spec
from queue import SimpleQueue
from typing import Final

from azure.core.credentials import TokenCredential
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import BatchLogRecordProcessor
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import MetricReader, PeriodicExportingMetricReader
from opentelemetry.sdk.resources import SERVICE_INSTANCE_ID, SERVICE_NAME, SERVICE_VERSION, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

from orthofunctions.adapters.telemetry_exporters import log_exporters, metric_exporters, span_exporters
from orthofunctions.adapters.telemetry_figures import OtelMeter
from orthofunctions.adapters.telemetry_logs import OURS, FieldsHandler
from orthofunctions.adapters.telemetry_spans import OtelTracer
from orthofunctions.domain.exporting import Wanted
from orthofunctions.telemetry import Meter, NoMeter, NoTracer, Tracer

DISTRIBUTION: Final = "orthoburst"
SERVICE: Final = "orthoburst-functions"
AZURE: Final = "azure.monitor.opentelemetry.exporter"
CLOSE_S: Final = 2.0
_SPANS_WAIT: Final = "OTEL_BSP_SCHEDULE_DELAY"
_WAIT_MS: Final = 1000


Steps = list[Callable[[], object]]


class _Sender:
    """A thread that flushes: the SDK's own flush knows no limit. It is there from the start, as a process that ends may
    start none any longer."""

    def __init__(self) -> None:
        self._orders: SimpleQueue[tuple[Steps, threading.Event] | None] = SimpleQueue()
        self._lock = threading.Lock()
        self._done: threading.Event | None = None
        threading.Thread(target=self._work, name="telemetry", daemon=True).start()

    def run(self, steps: Steps, limit_s: float) -> bool:
        """Whether that was done in time. While something is not done yet nothing else is begun."""
        if not steps:
            return True
        with self._lock:
            if self._done is None or self._done.is_set():
                self._done = threading.Event()
                self._orders.put((steps, self._done))
            done = self._done
        return done.wait(limit_s)

    def end(self, steps: Steps) -> None:
        """The last thing it does, when it can. Does not wait for it."""
        self._orders.put((steps, threading.Event()))
        self._orders.put(None)

    def _work(self) -> None:
        while (order := self._orders.get()) is not None:
            steps, done = order
            for step in steps:
                try:
                    step()
                except Exception as error:
                    logging.getLogger(__name__).warning("telemetry is not sent: %s", type(error).__name__)
            done.set()


class OtelTelemetry:
    """The providers of one process. None of them is the process's global one: nobody else's spans come to us."""

    def __init__(self, wanted: Wanted, identity: Callable[[], TokenCredential] | None = None) -> None:
        if wanted.azure and find_spec(AZURE) is None:  # it is imported only where something is sent
            raise ModuleNotFoundError(f"No module named {AZURE!r}", name=AZURE)
        resource = _resource()
        self.tracer: Tracer = NoTracer()
        self.meter: Meter = NoMeter()
        self._flushes: Steps = []
        self._ends: Steps = []
        self._handler: FieldsHandler | None = None
        self._sender = _Sender()
        if wanted.has("traces"):
            self._trace(wanted, identity, resource)
        if wanted.has("logs"):
            self._log(wanted, identity, resource)
        if wanted.has("metrics"):
            self._measure(wanted, identity, resource)
        atexit.register(self.close)

    def _trace(self, wanted: Wanted, identity: Callable[[], TokenCredential] | None, resource: Resource) -> None:
        provider = TracerProvider(resource=resource, shutdown_on_exit=False)
        wait_ms = None if _SPANS_WAIT in os.environ else _WAIT_MS
        for exporter in span_exporters(wanted, identity):
            provider.add_span_processor(BatchSpanProcessor(exporter, schedule_delay_millis=wait_ms))
        self.tracer = OtelTracer(provider.get_tracer(OURS, version(DISTRIBUTION)))
        self._flushes.append(provider.force_flush)
        self._ends.append(provider.shutdown)

    def _log(self, wanted: Wanted, identity: Callable[[], TokenCredential] | None, resource: Resource) -> None:
        provider = LoggerProvider(resource=resource, shutdown_on_exit=False)
        for exporter in log_exporters(wanted, identity):
            provider.add_log_record_processor(BatchLogRecordProcessor(exporter))
        self._handler = FieldsHandler(provider)
        ours = logging.getLogger(OURS)
        ours.addHandler(self._handler)
        if ours.getEffectiveLevel() > logging.INFO:
            ours.setLevel(logging.INFO)
        self._flushes.append(provider.force_flush)
        self._ends.append(provider.shutdown)

    def _measure(self, wanted: Wanted, identity: Callable[[], TokenCredential] | None, resource: Resource) -> None:
        readers: list[MetricReader] = [
            PeriodicExportingMetricReader(exporter) for exporter in metric_exporters(wanted, identity)
        ]
        provider = MeterProvider(readers, resource, shutdown_on_exit=False)
        self.meter = OtelMeter(provider.get_meter(OURS, version(DISTRIBUTION)))
        self._flushes.append(provider.force_flush)
        self._ends.append(provider.shutdown)

    def flush(self, limit_s: float) -> bool:
        return self._sender.run(self._flushes, limit_s)

    def close(self) -> None:
        """Send what waits, for two seconds at most, and let go."""
        atexit.unregister(self.close)
        if self._handler is not None:
            logging.getLogger(OURS).removeHandler(self._handler)
            self._handler = None
        self._sender.run(self._flushes, CLOSE_S)
        # nobody waits for these: the SDK waits for an exporter that hangs up to half a minute
        self._sender.end(self._ends)
        self._flushes, self._ends = [], []


def _resource() -> Resource:
    """Who tells this. ``OTEL_SERVICE_NAME`` and ``OTEL_RESOURCE_ATTRIBUTES`` go before what is said here."""
    # instances count for themselves: without an id their counters would be taken for one that jumps
    ours = {SERVICE_VERSION: version(DISTRIBUTION), SERVICE_INSTANCE_ID: uuid.uuid4().hex}
    told = Resource.create().attributes
    if str(told[SERVICE_NAME]).startswith("unknown_service"):
        ours[SERVICE_NAME] = SERVICE
    return Resource.create({name: value for name, value in ours.items() if name == SERVICE_NAME or name not in told})
