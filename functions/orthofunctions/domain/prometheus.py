"""Gauges in Prometheus' text format, version 0.0.4, under the names that a collector would give them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from orthofunctions.telemetry import Reading

MEDIA_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
_HELP: Final = {
    "orthoburst.queue.messages": "Messages on a queue, those that somebody works on included",
    "orthoburst.queue.age": "Age of the first message that nobody has taken",
    "orthoburst.tasks.waiting": "Tasks that wait for a decision, up to a thousand",
    "orthoburst.task.oldest": "How long the oldest of them has waited",
    "orthoburst.agents": "Workers, by what was last heard of them",
    "orthoburst.slots": "Slots of workers that are alive",
    "orthoburst.spend": "Cloud money of this month, spent or reserved",
    "orthoburst.contingency": "What runs under way may cost beyond that",
    "orthoburst.budget": "What may be spent or reserved in a month",
}
_SUFFIXES: Final = {"": "", "s": "_seconds"}


def exposition(readings: Iterable[Reading]) -> str:
    """Each name once, with its help and type, and below it a line for each set of labels."""
    by_name: dict[str, list[Reading]] = {}
    for one in readings:
        by_name.setdefault(one.name, []).append(one)
    return "".join(_family(name, ones) for name, ones in by_name.items())


def _family(name: str, readings: list[Reading]) -> str:
    unit = readings[0].unit
    plain = name.replace(".", "_") + _SUFFIXES.get(unit, f"_{unit}")
    lines = [f"# HELP {plain} {_HELP.get(name, name)}", f"# TYPE {plain} gauge"]
    lines += [f"{plain}{_labels(one.labels)} {one.value:.15g}" for one in readings]
    return "\n".join(lines) + "\n"


def _labels(labels: Mapping[str, str]) -> str:
    if not labels:
        return ""
    return "{" + ",".join(f'{name}="{_quoted(value)}"' for name, value in labels.items()) + "}"


def _quoted(value: str) -> str:
    return value.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
