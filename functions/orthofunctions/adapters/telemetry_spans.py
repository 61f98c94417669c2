"""Spans by OpenTelemetry's SDK."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Final

from opentelemetry.context import Context
from opentelemetry.trace import (
    NonRecordingSpan,
    Span,
    SpanContext,
    SpanKind,
    StatusCode,
    TraceFlags,
    Tracer,
    set_span_in_context,
)

from orthocontracts.tracing import traceparent_or_none
from orthofunctions.telemetry import About, current_traceparent, going_on

_KINDS: Final = {
    "accept": SpanKind.SERVER,
    "plan": SpanKind.CONSUMER,
    "release": SpanKind.PRODUCER,
    "collect": SpanKind.CONSUMER,
    "callback": SpanKind.CLIENT,
}


class OtelTracer:
    """`orthofunctions.telemetry.Tracer` over a tracer of the SDK."""

    def __init__(self, tracer: Tracer) -> None:
        self._tracer = tracer

    @contextmanager
    def span(self, name: str, parent: str = "", **about: About) -> Iterator[str]:
        span = self._start(name, parent or current_traceparent(), about)
        try:
            with going_on(_traceparent_of(span)) as traceparent:
                yield traceparent
        except BaseException as error:
            # its kind only: a message may quote what nobody else should read
            span.set_attribute("error.type", type(error).__name__)
            span.set_status(StatusCode.ERROR)
            raise
        finally:
            span.end()

    def past(self, name: str, parent: str, began: datetime, ended: datetime, **about: About) -> None:
        self._start(name, parent, about, began).end(_ns(max(began, ended)))

    def _start(self, name: str, parent: str, about: dict[str, About], began: datetime | None = None) -> Span:
        return self._tracer.start_span(
            name,
            context_of(parent),
            kind=_KINDS.get(name, SpanKind.INTERNAL),
            attributes={f"orthoburst.{key}": value for key, value in about.items() if value is not None},
            start_time=None if began is None else _ns(began),
        )


def context_of(traceparent: str) -> Context:
    """What a span begins in: the trace it goes on with, or none at all."""
    plain = traceparent_or_none(traceparent)
    if plain is None:
        return Context()
    _, trace_id, span_id, flags = plain.split("-")
    parent = SpanContext(int(trace_id, 16), int(span_id, 16), is_remote=True, trace_flags=TraceFlags(int(flags, 16)))
    return set_span_in_context(NonRecordingSpan(parent), Context())


def _traceparent_of(span: Span) -> str:
    here = span.get_span_context()
    if not here.is_valid:
        return ""
    # only the flag that version 00 knows
    return f"00-{here.trace_id:032x}-{here.span_id:016x}-{here.trace_flags & TraceFlags.SAMPLED:02x}"


def _ns(moment: datetime) -> int:
    return int(moment.timestamp() * 1e9)
