"""Times and intervals of time as OGC APIs write them: ``2026-05-01T00:00:00Z``, ``../t``, ``t/..``, ``t1/t2``."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime


@dataclass(frozen=True)
class Interval:
    """From ``start`` to ``end``, both included; None where it is open."""

    start: datetime | None
    end: datetime | None

    def __contains__(self, moment: datetime) -> bool:
        return (self.start is None or self.start <= moment) and (self.end is None or moment <= self.end)


def parse_interval(text: str) -> Interval:
    """An interval; a day, or a second without fraction, counts as a whole one.

    Raises
    ------
    ValueError
        Says what is expected.
    """
    first, slash, last = text.partition("/")
    start = None if slash and first in ("", "..") else _parsed(first)
    end = start if not slash else (None if last in ("", "..") else _parsed(last))
    if start is None and end is None:
        raise ValueError("an interval needs a start or an end")
    if start is not None and end is not None and end[0] < start[0]:
        raise ValueError("the interval ends before it starts")
    return Interval(start[0] if start else None, end[1] if end else None)


def _parsed(text: str) -> tuple[datetime, datetime]:
    """The first and the last moment that a text means."""
    moment = _moment(text)
    if moment is None:
        raise ValueError(f"{text[:40]!r} is no time: 2026-05-01T12:00:00Z, or an interval t1/t2, t1/.., ../t2")
    if len(text) == len("2026-05-01"):
        return moment, moment.replace(hour=23, minute=59, second=59, microsecond=999_999)
    return moment, moment if "." in text else moment.replace(microsecond=999_999)


def _moment(text: str) -> datetime | None:
    if len(text) < len("2026-05-01") or text[4] != "-":
        return None
    try:
        moment = datetime.fromisoformat(text.upper())
        if moment.tzinfo is not None:
            return moment.astimezone(UTC)
    except (ValueError, OverflowError):
        return None
    return moment.replace(tzinfo=UTC) if len(text) == len("2026-05-01") else None
