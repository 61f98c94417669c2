"""Found by Python at start where this folder is on PYTHONPATH: the clock of that process shows what a file adds to it.

``time.time`` and ``datetime.now`` are shifted, ``time.monotonic`` is not: as when somebody sets a machine's clock.
"""

from __future__ import annotations

import datetime as datetimes
import os
import time
from pathlib import Path
from typing import Any

OFFSET_FILE = os.environ.get("CHAOS_CLOCK_FILE")
LOOK_EVERY_S = 0.1

_real_time, _real_datetime = time.time, datetimes.datetime
_offset_s, _looked_s = 0.0, -1.0


def offset_s() -> float:
    """What the file says now."""
    global _offset_s, _looked_s  # noqa: PLW0603
    if time.monotonic() - _looked_s > LOOK_EVERY_S:
        _looked_s = time.monotonic()
        try:
            _offset_s = float(Path(OFFSET_FILE or "").read_text())
        except (OSError, ValueError):
            _offset_s = 0.0
    return _offset_s


class _AnyDatetime(type):
    def __instancecheck__(cls, instance: object) -> bool:
        return isinstance(instance, _real_datetime)

    def __subclasscheck__(cls, subclass: type) -> bool:
        return issubclass(subclass, _real_datetime)


class _Datetime(_real_datetime, metaclass=_AnyDatetime):  # type: ignore[valid-type, misc]
    """Makes real ones; only ``now`` is another."""

    def __new__(cls, *args: Any, **kwargs: Any) -> Any:
        return _real_datetime(*args, **kwargs)

    @classmethod
    def now(cls, tz: datetimes.tzinfo | None = None) -> Any:
        return _real_datetime.now(tz) + datetimes.timedelta(seconds=offset_s())

    @classmethod
    def utcnow(cls) -> Any:
        return cls.now(datetimes.UTC).replace(tzinfo=None)


if OFFSET_FILE:
    time.time = lambda: _real_time() + offset_s()
    datetimes.datetime = _Datetime  # type: ignore[misc]
