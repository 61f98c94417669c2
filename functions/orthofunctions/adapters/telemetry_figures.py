"""Figures by OpenTelemetry's SDK."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from opentelemetry.metrics import Counter, Histogram, Meter

from orthofunctions.telemetry import Reading

MOST_SERIES: Final = 500
"""Combinations of labels of one instrument: some labels are words that workers choose."""


class OtelMeter:
    """`orthofunctions.telemetry.Meter` over a meter of the SDK. Instruments are made when they are first used."""

    def __init__(self, meter: Meter) -> None:
        self._meter = meter
        self._counters: dict[str, Counter] = {}
        self._histograms: dict[str, Histogram] = {}
        self._gauges: dict[str, Any] = {}
        self._series: dict[str, set[tuple[tuple[str, str], ...]]] = {}

    def count(self, name: str, n: int = 1, **about: str) -> None:
        # the SDK gives the same instrument for the same name: two threads that both ask do no harm
        if name not in self._counters:
            self._counters[name] = self._meter.create_counter(name)
        self._counters[name].add(n, self._labels(name, about))

    def record(self, name: str, value: float, unit: str, **about: str) -> None:
        if name not in self._histograms:
            self._histograms[name] = self._meter.create_histogram(name, unit)
        self._histograms[name].record(value, self._labels(name, about))

    def show(self, readings: Iterable[Reading]) -> None:
        for one in readings:
            if one.name not in self._gauges:
                self._gauges[one.name] = self._meter.create_gauge(one.name, one.unit)
            self._gauges[one.name].set(one.value, one.labels)

    def _labels(self, name: str, about: dict[str, str]) -> dict[str, str]:
        known = self._series.setdefault(name, set())
        key = tuple(sorted(about.items()))
        if key not in known and len(known) >= MOST_SERIES:
            return {"overflow": "true"}
        known.add(key)
        return about
