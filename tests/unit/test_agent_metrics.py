"""The worker's health page is Prometheus' text, to the letter, and counts what it says."""

from __future__ import annotations

import pytest

from orthoagent.metrics import metrics_text
from orthoagent.status import StatusBoard
from orthoagent.vitals import BUCKETS_S, Histogram, Vitals
from prometheus_text import families


def board(machine: str = "x86_64, 8 cores") -> StatusBoard:
    return StatusBoard(agent="node-1", pool="hpc", session="s", version="0.1.0", machine=machine, min_s=10, every_s=30)


def filled() -> Vitals:
    vitals = Vitals(storage_answers=True, taken=3, redelivered=1, fetched_bytes=10**16 + 1, spans_lost=4)
    vitals.ended["done"] += 2
    vitals.returned["drain"] += 1
    vitals.renewals_failed["silent"] += 7
    vitals.failed["BrokenProductError"] += 1
    vitals.made_megapixels["orthorectify"] += 120.56
    for took_s in (0.2, 1.0, 1.001, 47.0, 9999.0):
        vitals.time("compute", "orthorectify", took_s)
    vitals.time("fetch", "copy", 3)
    return vitals


def test_a_worker_that_has_done_nothing_has_a_page_that_prometheus_reads() -> None:
    found = families(metrics_text(Vitals(), board(), broker_up=False))
    assert found["orthoagent_storage_answers"].value() == 0
    assert found["orthoagent_ended_total"].samples == {}


def test_every_count_is_on_the_page() -> None:
    found = families(metrics_text(filled(), board(), broker_up=True))
    assert found["orthoagent_ended_total"].value(how="done") == 2
    assert found["orthoagent_returned_total"].value(why="drain") == 1
    assert found["orthoagent_redelivered_total"].value() == 1
    assert found["orthoagent_renewals_failed_total"].value(why="silent") == 7
    assert found["orthoagent_failed_images_total"].value(fault="BrokenProductError") == 1
    assert found["orthoagent_made_megapixels_total"].value(process="orthorectify") == 120.56
    assert found["orthoagent_fetched_bytes_total"].value() == 10**16
    assert found["orthoagent_spans_lost_total"].value() == 4
    labels = {"agent": "node-1", "pool": "hpc", "version": "0.1.0", "machine": "x86_64, 8 cores"}
    (((_, said), one),) = found["orthoagent_build_info"].samples.items()
    assert one == 1
    assert labels.items() <= dict(said).items()


def test_buckets_hold_what_took_as_long_and_all_that_took_less() -> None:
    took = families(metrics_text(filled(), board(), broker_up=True))["orthoagent_phase_seconds"]
    of = {"phase": "compute", "process": "orthorectify"}
    assert [took.value("_bucket", le=le, **of) for le in ("1", "2.5", "30", "60", "3600", "+Inf")] == [2, 3, 3, 4, 4, 5]
    assert took.value("_sum", **of) == pytest.approx(10048.201)
    assert took.value("_count", phase="fetch", process="copy") == 1


@pytest.mark.parametrize("bound", BUCKETS_S)
def test_a_bound_belongs_to_its_bucket(bound: float) -> None:
    at, beyond = Histogram(), Histogram()
    at.add(bound)
    beyond.add(bound + 1e-9)
    index = BUCKETS_S.index(bound)
    assert (at.counts[index], beyond.counts[index], beyond.counts[index + 1]) == (1, 0, 1)


@pytest.mark.parametrize("machine", ['with "quotes"', "back\\slash", "two\nlines", "back\\nslash and n", "ünïcode", ""])
def test_whatever_a_label_says_is_read_back(machine: str) -> None:
    (((_, labels), _),) = families(metrics_text(Vitals(), board(machine), broker_up=False))[
        "orthoagent_build_info"
    ].samples.items()
    assert dict(labels)["machine"] == machine


@pytest.mark.parametrize(
    "text",
    [
        "a 1\n",
        "# HELP a x\na 1\n",
        "# HELP a x\n# TYPE a gauge\na 1",
        "# HELP a x\n# TYPE a gauge\na 1\na 2\n",
        '# HELP a x\n# TYPE a gauge\na{b="c"d="e"} 1\n',
        '# HELP a x\n# TYPE a gauge\na{b="c\nd"} 1\n',
        "# HELP a x\n# TYPE a counter\na 1\n",
        "# HELP a_total x\n# TYPE a_total counter\na_total -1\n",
        "# HELP a_total x\n# TYPE a_total counter\nb_total 1\n",
        '# HELP a x\n# TYPE a histogram\na_bucket{le="1"} 1\na_sum 1\na_count 1\n',
        '# HELP a x\n# TYPE a histogram\na_bucket{le="1"} 2\na_bucket{le="+Inf"} 1\na_sum 1\na_count 1\n',
        '# HELP a x\n# TYPE a histogram\na_bucket{le="+Inf"} 1\na_sum 1\na_count 2\n',
    ],
)
def test_the_reader_of_these_tests_refuses_what_prometheus_does(text: str) -> None:
    with pytest.raises((ValueError, AssertionError, KeyError)):
        families(text)
