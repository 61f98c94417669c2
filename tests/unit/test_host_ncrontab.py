"""NCRONTAB schedules."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from localdev.host.ncrontab import Ncrontab

START = datetime(2024, 2, 27, 23, 59, 58, 500_000, tzinfo=UTC)  # a Tuesday


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("* * * * * *", ["2024-02-27 23:59:59", "2024-02-28 00:00:00"]),
        ("*/20 * * * * *", ["2024-02-28 00:00:00", "2024-02-28 00:00:20"]),
        ("0 */5 * * * *", ["2024-02-28 00:00:00", "2024-02-28 00:05:00"]),
        ("0 3/20 * * * *", ["2024-02-28 00:03:00", "2024-02-28 00:23:00", "2024-02-28 00:43:00"]),
        ("0 0 9-17/4 * * *", ["2024-02-28 09:00:00", "2024-02-28 13:00:00", "2024-02-28 17:00:00"]),
        ("5,10 30 1,13 * * *", ["2024-02-28 01:30:05", "2024-02-28 01:30:10", "2024-02-28 13:30:05"]),
        ("0 0 0 29 2 *", ["2024-02-29 00:00:00", "2028-02-29 00:00:00"]),
        (
            "0 0 12 * * MON-FRI",
            ["2024-02-28 12:00:00", "2024-02-29 12:00:00", "2024-03-01 12:00:00", "2024-03-04 12:00:00"],
        ),
        ("0 0 0 * jan sunday", ["2025-01-05 00:00:00", "2025-01-12 00:00:00"]),
        ("0 0 0 * * 7", ["2024-03-03 00:00:00"]),
        # both day fields must fit, unlike Unix cron
        ("0 0 0 13 * 5", ["2024-09-13 00:00:00", "2024-12-13 00:00:00"]),
        ("15 10 * * *", ["2024-02-28 10:15:00"]),
    ],
)
def test_next_times(text: str, expected: list[str]) -> None:
    schedule, moment, found = Ncrontab.parse(text), START, []
    for _ in expected:
        moment = schedule.after(moment)
        found.append(moment.strftime("%Y-%m-%d %H:%M:%S"))
    assert found == expected


def test_other_zones_are_taken_to_utc() -> None:
    paris = START.astimezone(tz=None)
    assert Ncrontab.parse("0 0 0 * * *").after(paris) == datetime(2024, 2, 28, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "0 fields"),
        ("* * * *", "4 fields"),
        ("60 * * * * *", "60.*second"),
        ("* * 24 * * *", "24.*hour"),
        ("* * * 0 * *", "'0' is no day"),
        ("* * * * 13 *", "13.*month"),
        ("* * * * foo *", "foo.*month"),
        ("*/0 * * * * *", r"\*/0.*second"),
        ("30-10 * * * * *", "backwards"),
        ("*-5 * * * * *", "second"),
        ("1,,2 * * * * *", "second"),
        ("00:00:05", "1 fields"),
    ],
)
def test_what_makes_no_sense_is_named(text: str, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        Ncrontab.parse(text)


def test_a_day_that_never_comes() -> None:
    with pytest.raises(ValueError, match="never"):
        Ncrontab.parse("0 0 0 30 2 *").after(START)


FIELD_RANGES = [(0, 59), (0, 59), (0, 23), (1, 28), (1, 12), (0, 6)]
fields = st.tuples(*(st.one_of(st.just("*"), st.integers(low, high).map(str)) for low, high in FIELD_RANGES[:4]))


@given(fields=fields, moment=st.datetimes(datetime(2020, 1, 1), datetime(2030, 1, 1), timezones=st.just(UTC)))
def test_the_next_time_fits_and_none_is_skipped(fields: tuple[str, ...], moment: datetime) -> None:
    """Against a walk that looks at the largest unit that can still be wrong."""
    found = Ncrontab.parse(" ".join([*fields, "*", "*"])).after(moment)
    second, minute, hour, day = (None if field == "*" else int(field) for field in fields)

    def fits(time: datetime) -> timedelta:
        """How far to walk on; nothing when it fits."""
        if day is not None and time.day != day:
            return timedelta(days=1) - timedelta(hours=time.hour, minutes=time.minute, seconds=time.second)
        if hour is not None and time.hour != hour:
            return timedelta(hours=1) - timedelta(minutes=time.minute, seconds=time.second)
        if minute is not None and time.minute != minute:
            return timedelta(minutes=1) - timedelta(seconds=time.second)
        return timedelta(seconds=0 if second in (None, time.second) else 1)

    walked = moment.replace(microsecond=0) + timedelta(seconds=1)
    while step := fits(walked):
        walked += step
    assert found == walked
