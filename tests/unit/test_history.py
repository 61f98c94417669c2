"""What a task's row keeps of its releases and deliveries: bounded, and never in the way."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from orthofunctions.domain.history import (
    LONGEST_TEXT,
    MOST_DELIVERIES,
    MOST_RELEASES,
    Ending,
    History,
    PastDelivery,
    PastRelease,
    phases_in,
)
from orthofunctions.domain.records import TaskRecord
from orthofunctions.ports import Row

NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)
TIMES = st.none() | st.integers(0, 10**12).map(lambda us: NOON + timedelta(microseconds=us))
TEXTS = st.text(max_size=300)
DELIVERIES = st.builds(
    PastDelivery,
    number=st.integers(1, 20),
    agent=TEXTS,
    started_at=TIMES,
    ended_at=TIMES,
    how=st.none() | st.sampled_from(Ending),
    phases_s=st.tuples(*[st.none() | st.floats(0, 1e7)] * 3),
)


def with_deliveries(release: PastRelease, deliveries: list[PastDelivery]) -> PastRelease:
    for one in deliveries:
        release = release.with_delivery(one)
    return release


RELEASES = st.builds(
    with_deliveries,
    st.builds(
        PastRelease,
        number=st.integers(1, 40),
        pool=TEXTS,
        released_at=TIMES,
        ended_at=TIMES,
        how=st.none() | st.sampled_from(Ending),
        until=TIMES,
        why_there=TEXTS,
        why_ended=TEXTS,
    ),
    st.lists(DELIVERIES, max_size=12),
)


def history_of(releases: list[PastRelease]) -> History:
    history = History()
    for release in releases:
        history = history.with_release(release)
    return history


@given(st.lists(RELEASES, max_size=20))
def test_it_comes_back_as_it_was_and_fits_into_a_row(releases: list[PastRelease]) -> None:
    history = history_of(releases)
    assert len(history.releases) <= MOST_RELEASES
    assert all(len(one.deliveries) <= MOST_DELIVERIES for one in history.releases)
    text = history.to_text()
    assert len(text) <= LONGEST_TEXT
    again = History.of(text)
    assert History.of(again.to_text()) == again
    kept = len(again.releases)
    assert [one.number for one in again.releases] == [one.number for one in history.releases][-kept:] if kept else True
    assert again.n_dropped + kept == history.n_dropped + len(history.releases), "those dropped are counted"
    for was, found in zip(history.releases[-kept:] if kept else (), again.releases, strict=True):
        assert (was.released_at, was.ended_at, was.until, was.how) == (
            found.released_at,
            found.ended_at,
            found.until,
            found.how,
        )
        assert [(one.number, one.agent, one.started_at, one.how) for one in was.deliveries] == [
            (one.number, one.agent, one.started_at, one.how) for one in found.deliveries
        ]


def test_the_largest_that_workers_and_sites_can_make_of_it_is_kept_whole() -> None:
    """Names of 63 characters, sentences as long as are kept, eight deliveries in each of twelve releases."""
    deliveries = tuple(
        PastDelivery(
            number=number,
            agent="a" * 63,
            started_at=NOON,
            ended_at=NOON,
            how=Ending.DELIVERED,
            phases_s=(99999.999, 99999.999, 99999.999),
        )
        for number in range(1, MOST_DELIVERIES + 1)
    )
    largest = [
        PastRelease(
            number=number,
            pool="p" * 63,
            released_at=NOON,
            ended_at=NOON,
            how=Ending.RECALLED,
            until=NOON,
            why_there="w" * 500,
            why_ended="f" * 500,
            deliveries=deliveries,
        )
        for number in range(1, 30)
    ]
    again = History.of(history_of(largest).to_text())
    assert (len(again.releases), again.n_dropped) == (MOST_RELEASES, 29 - MOST_RELEASES)
    assert again.releases[-1].number == 29


@given(st.text() | st.sampled_from(['{"r":1}', '{"r":[{}]}', "[]", "null", '{"r":[{"n":1,"t":1e400}]}', '{"r":"x"}']))
def test_a_text_that_is_no_history_is_none_at_all(text: str) -> None:
    assert History.of(text) == History()


@given(st.dictionaries(st.sampled_from(["fetch_s", "compute_s", "deliver_s", "x"]), st.floats()))
def test_only_sensible_seconds_are_taken_from_a_report(figures: dict[str, float]) -> None:
    assert all(one is None or 0 <= one < 1e8 for one in phases_in(figures))


def test_a_row_of_before_reads() -> None:
    task = TaskRecord.from_row(Row("job", "job-0001", {"user": "local", "created_at": NOON, "state": "pending"}, "e"))
    assert (task.history, task.traceparent) == ("", "")
