"""What use cases tell of themselves while they work: spans and figures. Without exporters it costs nothing.

A traceparent (W3C Trace Context) travels in rows and messages. Within a call the one in force is kept here, beside the
thread or task that works; other threads are not told of it: what starts them hands it on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, ParamSpec, Protocol, TypeVar

P = ParamSpec("P")
R = TypeVar("R")
About = str | int | float | bool | None

_current: Final[ContextVar[str]] = ContextVar("traceparent", default="")


def current_traceparent() -> str:
    """Of the span that we are in, or of the caller that we go on for; "" outside of any."""
    return _current.get()


@contextmanager
def going_on(traceparent: str | None) -> Iterator[str]:
    """Work for a trace that began elsewhere. With none, what was in force stays so."""
    if not traceparent:
        yield current_traceparent()
        return
    token = _current.set(traceparent)
    try:
        yield traceparent
    finally:
        _current.reset(token)


def carrying(call: Callable[P, R]) -> Callable[P, R]:
    """The same, for other threads: in the trace that is in force here."""
    here = current_traceparent()

    def carried(*args: P.args, **kwargs: P.kwargs) -> R:
        with going_on(here):
            return call(*args, **kwargs)

    return carried


class Tracer(Protocol):
    """Makes spans. ``about`` becomes attributes ``orthoburst.<name>``: ids and words, nothing of a person or secret."""

    def span(self, name: str, parent: str = "", **about: About) -> AbstractContextManager[str]:
        """Gives the traceparent that goes on in what is sent. Without ``parent`` the one in force is, or a new trace
        begins."""
        ...

    def past(self, name: str, parent: str, began: datetime, ended: datetime, **about: About) -> None:
        """A span of what is over, and was not worked on here: a wait."""
        ...


class NoTracer:
    """Makes no spans, and passes on what it was given."""

    def span(self, name: str, parent: str = "", **about: About) -> AbstractContextManager[str]:
        return going_on(parent)

    def past(self, name: str, parent: str, began: datetime, ended: datetime, **about: About) -> None:
        pass


@dataclass(frozen=True)
class Reading:
    """A gauge's value now. ``unit`` as OpenTelemetry writes it: ``s``, ``EUR``, or "" for a number of things."""

    name: str
    value: float
    unit: str = ""
    labels: dict[str, str] = field(default_factory=dict)


class Meter(Protocol):
    """Takes figures. Names are OpenTelemetry's; ``about`` are the labels, of which there must not be many."""

    def count(self, name: str, n: int = 1, **about: str) -> None: ...

    def record(self, name: str, value: float, unit: str, **about: str) -> None:
        """One more value of a distribution."""
        ...

    def show(self, readings: Iterable[Reading]) -> None:
        """What gauges show from now on."""
        ...


class NoMeter:
    """Takes figures, and lets them go."""

    def count(self, name: str, n: int = 1, **about: str) -> None:
        pass

    def record(self, name: str, value: float, unit: str, **about: str) -> None:
        pass

    def show(self, readings: Iterable[Reading]) -> None:
        pass


class Telemetry(Protocol):
    """Whatever is exported, in one hand."""

    @property
    def tracer(self) -> Tracer: ...

    @property
    def meter(self) -> Meter: ...

    def flush(self, limit_s: float) -> bool:
        """Send what waits. False where that was not done in time: it goes on by itself."""
        ...

    def close(self) -> None: ...
