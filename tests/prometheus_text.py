"""Prometheus' text format 0.0.4, read strictly: what a scrape would refuse, or take for something else, is an error."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, field

_NAME = r"[a-zA-Z_:][a-zA-Z0-9_:]*"
_LABEL = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\\\|\\"|\\n)*)"')
_SAMPLE = re.compile(rf"({_NAME})(?:\{{(.*)\}})? (\S+)")
_SUFFIXES = {"histogram": ("_bucket", "_sum", "_count"), "counter": ("",), "gauge": ("",)}


@dataclass
class Family:
    """A metric's samples, by name and labels."""

    name: str
    meaning: str
    kind: str = "untyped"
    samples: dict[tuple[str, frozenset[tuple[str, str]]], float] = field(default_factory=dict)

    def value(self, suffix: str = "", **labels: str) -> float:
        return self.samples[self.name + suffix, frozenset(labels.items())]


def families(text: str) -> dict[str, Family]:
    """By name. Raises ValueError, which quotes the line."""
    assert text.endswith("\n"), "the last line is cut"
    found: dict[str, Family] = {}
    current: Family | None = None
    for line in text.splitlines():
        if help_ := re.fullmatch(rf"# HELP ({_NAME}) (.+)", line):
            if help_[1] in found:
                raise ValueError(f"{line}: its lines are in two places")
            current = found[help_[1]] = Family(help_[1], help_[2])
        elif type_ := re.fullmatch(rf"# TYPE ({_NAME}) (\w+)", line):
            if current is None or current.name != type_[1] or current.samples or type_[2] not in _SUFFIXES:
                raise ValueError(f"{line}: after its help and before its samples, of a known kind")
            current.kind = type_[2]
        else:
            _add(current, line)
    for family in found.values():
        _check(family)
    return found


def _add(family: Family | None, line: str) -> None:
    sample = _SAMPLE.fullmatch(line)
    if sample is None or family is None or family.kind == "untyped":
        raise ValueError(f"{line}: no sample of a family that was told of")
    if sample[1] not in {family.name + suffix for suffix in _SUFFIXES[family.kind]}:
        raise ValueError(f"{line}: not of {family.name}")
    key = (sample[1], frozenset(_labels(sample[2] or "", line)))
    if key in family.samples:
        raise ValueError(f"{line}: twice")
    value = float(sample[3])
    if family.kind != "gauge" and not (value >= 0 and math.isfinite(value)):
        raise ValueError(f"{line}: a {family.kind} counts up from nothing")
    family.samples[key] = value


def _labels(text: str, line: str) -> Iterator[tuple[str, str]]:
    names = set()
    while text:
        label = _LABEL.match(text)
        if label is None or label[1] in names:
            raise ValueError(f"{line}: labels")
        names.add(label[1])
        yield label[1], re.sub(r"\\(.)", lambda one: "\n" if one[1] == "n" else one[1], label[2])
        text = text[label.end() :]
        if text and not (text.startswith(",") and text[1:]):
            raise ValueError(f"{line}: labels")
        text = text[1:]


def _check(family: Family) -> None:
    if family.kind == "untyped":
        raise ValueError(f"{family.name}: no type")
    if (family.kind == "counter") != family.name.endswith("_total"):
        raise ValueError(f"{family.name}: counters, and only they, end in _total")
    if family.kind != "histogram":
        return
    series: dict[frozenset[tuple[str, str]], list[tuple[float, float]]] = {}
    for (name, labels), value in family.samples.items():
        if name.endswith("_bucket"):
            bound = float(dict(labels)["le"])
            series.setdefault(frozenset(one for one in labels if one[0] != "le"), []).append((bound, value))
    for labels, buckets in series.items():
        bounds, counts = [bound for bound, _ in buckets], [count for _, count in buckets]
        if bounds != sorted(set(bounds)) or not math.isinf(bounds[-1]) or counts != sorted(counts):
            raise ValueError(f"{family.name}{dict(labels)}: buckets rise, up to +Inf")
        if family.value("_count", **dict(labels)) != counts[-1] or (family.name + "_sum", labels) not in family.samples:
            raise ValueError(f"{family.name}{dict(labels)}: count and sum")
    if len(family.samples) != sum(len(buckets) + 2 for buckets in series.values()):
        raise ValueError(f"{family.name}: a sum or count without buckets")
