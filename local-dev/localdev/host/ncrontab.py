"""NCRONTAB: schedules of six fields (second minute hour day month weekday), in UTC."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
WEEKDAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
ITEM = re.compile(r"(?P<first>\*|\w+)(?:-(?P<last>\w+))?(?:/(?P<step>\d+))?")
HORIZON = timedelta(days=366 * 8 + 1)  # 29 February can be eight years away, over a century


@dataclass(frozen=True, slots=True)
class _Field:
    name: str
    least: int
    most: int
    names: tuple[str, ...] = ()
    offset: int = 0


FIELDS = (
    _Field("second", 0, 59),
    _Field("minute", 0, 59),
    _Field("hour", 0, 23),
    _Field("day", 1, 31),
    _Field("month", 1, 12, MONTHS, 1),
    _Field("weekday", 0, 6, WEEKDAYS),
)


@dataclass(frozen=True, slots=True)
class Ncrontab:
    """A parsed schedule: for each field the values it allows.

    A day must satisfy both its day and its weekday field, as in NCrontab (Unix cron takes either).
    """

    text: str
    seconds: frozenset[int]
    minutes: frozenset[int]
    hours: frozenset[int]
    days: frozenset[int]
    months: frozenset[int]
    weekdays: frozenset[int]

    @classmethod
    def parse(cls, text: str) -> Ncrontab:
        """Read ``{second} {minute} {hour} {day} {month} {weekday}``; five fields start with the minute.

        Raises
        ------
        ValueError
            Naming the field that makes no sense.
        """
        parts = text.split()
        if len(parts) == 5:
            parts = ["0", *parts]
        if len(parts) != 6:
            raise ValueError(
                f"schedule {text!r} has {len(parts)} fields; it needs six: second minute hour day month day-of-week"
            )
        return cls(text, *(_values(part, spec, text) for part, spec in zip(parts, FIELDS, strict=True)))

    def after(self, moment: datetime) -> datetime:
        """The first time that is later than a moment.

        Parameters
        ----------
        moment : datetime
            Aware; taken to UTC.

        Raises
        ------
        ValueError
            When there is none (30 February).
        """
        moment = moment.astimezone(UTC)
        second = moment.replace(microsecond=0) + timedelta(seconds=1)
        day = second.replace(hour=0, minute=0, second=0)
        while day - moment < HORIZON:
            if self._on_day(day):
                start = second.hour, second.minute, second.second
                for hour in sorted(self.hours):
                    for minute in sorted(self.minutes):
                        if (hour, minute, 59) < start:
                            continue
                        for each in sorted(self.seconds):
                            if (hour, minute, each) >= start:
                                return day.replace(hour=hour, minute=minute, second=each)
            day += timedelta(days=1)
            second = day
        raise ValueError(f"schedule {self.text!r} never comes")

    def _on_day(self, day: datetime) -> bool:
        weekday = (day.weekday() + 1) % 7
        return day.month in self.months and day.day in self.days and weekday in self.weekdays


def _values(part: str, spec: _Field, text: str) -> frozenset[int]:
    values: set[int] = set()
    for item in part.split(","):
        match = ITEM.fullmatch(item)
        if match is None:
            raise ValueError(f"schedule {text!r}: {item!r} is no {spec.name}")
        first, last, step = match["first"], match["last"], int(match["step"] or 1)
        if step == 0 or (first == "*" and last is not None):
            raise ValueError(f"schedule {text!r}: {item!r} is no {spec.name}")
        low = spec.least if first == "*" else _number(first, spec, text)
        if last is not None:
            high = _number(last, spec, text)
        elif first == "*" or match["step"]:
            high = spec.most
        else:
            high = low
        if low > high:
            raise ValueError(f"schedule {text!r}: {item!r} runs backwards")
        values.update(range(low, high + 1, step))
    return frozenset(values)


def _number(word: str, spec: _Field, text: str) -> int:
    if word.lower()[:3] in spec.names:
        return spec.names.index(word.lower()[:3]) + spec.offset
    if word.isdigit():
        number = int(word)
        if spec.names is WEEKDAYS and number == 7:
            number = 0
        if spec.least <= number <= spec.most:
            return number
    raise ValueError(f"schedule {text!r}: {word!r} is no {spec.name} ({spec.least} to {spec.most})")
