"""What is told of a delivery to whoever draws traces. Without an exporter nothing is: what came is passed on."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Protocol

from orthocontracts.messages import Fault
from orthocontracts.tracing import trace_id_of


@dataclass(frozen=True)
class DeliveryId:
    """One reception of a release's message, and the trace that it belongs to."""

    task_id: str
    release: int
    delivery: int
    traceparent: str | None = None

    @property
    def for_logs(self) -> dict[str, str | int]:
        ids: dict[str, str | int] = {"task": self.task_id, "release": self.release, "delivery": self.delivery}
        trace = trace_id_of(self.traceparent)
        return ids if trace is None else ids | {"trace": trace}


@dataclass
class Part:
    """What a span will say when it ends. ``facts`` become attributes ``orthoburst.NAME``."""

    facts: dict[str, str | int | float] = field(default_factory=dict)
    fault: Fault | None = None


class DeliveryTrace(Protocol):
    """The span of one delivery. Nothing of it waits, and nothing of it raises."""

    @property
    def traceparent(self) -> str | None:
        """What the report says that it belongs to."""

    def part(self, name: str) -> AbstractContextManager[Part]:
        """A span below it, as long as the block runs; a block that is cancelled is marked as stopped."""

    def end(self, told: Part) -> None: ...


class Tracer(Protocol):
    def begin(self, of: DeliveryId) -> DeliveryTrace:
        """The delivery begins now, below what ``of`` says it belongs to."""


@dataclass(frozen=True)
class _PassedOn:
    traceparent: str | None

    @contextlib.contextmanager
    def part(self, name: str) -> Iterator[Part]:
        yield Part()

    def end(self, told: Part) -> None:
        pass


class PassOn:
    """The tracer where nobody collects traces."""

    def begin(self, of: DeliveryId) -> DeliveryTrace:
        return _PassedOn(of.traceparent)
