"""The worker's vitals in Prometheus' text format, version 0.0.4."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import accumulate

from orthoagent.status import StatusBoard
from orthoagent.vitals import BUCKETS_S, Histogram, Vitals

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
Sample = tuple[str, Mapping[str, str], float]
"""What follows the family's name, labels, value."""


def metrics_text(vitals: Vitals, board: StatusBoard, broker_up: bool) -> str:
    """Everything, as a scrape gets it."""
    return "".join(_lines(vitals, board, broker_up))


def _lines(vitals: Vitals, board: StatusBoard, broker_up: bool) -> Iterator[str]:
    yield from _family("build_info", "gauge", "1, with what this worker is", [("", board.about, 1)])
    yield from _one("slots", "gauge", "tasks it may run at a time", board.slots)
    yield from _one("running", "gauge", "tasks it runs", board.running)
    yield from _one("draining", "gauge", "1 while it takes nothing more", board.state == "draining")
    yield from _one("broker_up", "gauge", "1 while the doorbell works", broker_up)
    yield from _one("storage_answers", "gauge", "1 while storage answers", vitals.storage_answers)
    yield from _one("taken_total", "counter", "deliveries taken", vitals.taken)
    yield from _one("redelivered_total", "counter", "of those, deliveries after the first", vitals.redelivered)
    yield from _by("ended_total", "deliveries ended, by how", "how", vitals.ended)
    yield from _by("returned_total", "deliveries handed back, by why", "why", vitals.returned)
    yield from _by("failed_images_total", "images without files, by fault", "fault", vitals.failed)
    yield from _by("renewals_failed_total", "lease renewals that failed, by why", "why", vitals.renewals_failed)
    yield from _one("fetched_bytes_total", "counter", "inputs that came over the network", vitals.fetched_bytes)
    yield from _one("local_bytes_total", "counter", "inputs that were on site or kept", vitals.local_bytes)
    yield from _one("delivered_bytes_total", "counter", "files of images delivered", vitals.delivered_bytes)
    yield from _by("made_megapixels_total", "megapixels delivered, by process", "process", vitals.made_megapixels)
    yield from _family("phase_seconds", "histogram", "time a part of a delivery took", _histograms(vitals.took))
    yield from _one("compute_seconds_total", "counter", "time in the kernel", vitals.compute_s)
    yield from _by("children_lost_total", "kernels that died, by why", "why", vitals.children_lost)
    yield from _one("spans_lost_total", "counter", "spans that no collector took", vitals.spans_lost)


def _one(name: str, kind: str, meaning: str, value: float) -> Iterator[str]:
    return _family(name, kind, meaning, [("", {}, value)])


def _by(name: str, meaning: str, label: str, values: Mapping[str, float]) -> Iterator[str]:
    return _family(name, "counter", meaning, [("", {label: key}, value) for key, value in values.items()])


def _histograms(took: Mapping[tuple[str, str], Histogram]) -> Iterator[Sample]:
    bounds = [*(f"{bound:g}" for bound in BUCKETS_S), "+Inf"]
    for (phase, process), histogram in took.items():
        labels = {"phase": phase, "process": process}
        counts = list(accumulate(histogram.counts))
        for bound, count in zip(bounds, counts, strict=True):
            yield "_bucket", {**labels, "le": bound}, count
        yield "_sum", labels, histogram.sum_s
        yield "_count", labels, counts[-1]


def _family(name: str, kind: str, meaning: str, samples: Iterable[Sample]) -> Iterator[str]:
    whole = f"orthoagent_{name}"
    yield f"# HELP {whole} {meaning}\n# TYPE {whole} {kind}\n"
    for suffix, labels, value in samples:
        inside = ",".join(f'{label}="{_escaped(text)}"' for label, text in labels.items())
        yield f"{whole}{suffix}{f'{{{inside}}}' if inside else ''} {value:.15g}\n"


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
