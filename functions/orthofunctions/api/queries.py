"""Query parameters that several routes share: a box of degrees, an interval of time."""

from __future__ import annotations

import math
import re
from datetime import UTC, datetime

from orthofunctions.api.problems import ProblemError

_RFC3339 = re.compile(r"\d{4}-\d{2}-\d{2}[Tt]\d{2}:\d{2}:\d{2}(\.\d{1,9})?([Zz]|[+-]\d{2}:\d{2})")
_OPEN = ("", "..")

Box = tuple[float, float, float, float]
Interval = tuple[datetime | None, datetime | None]


def bbox_of(text: str | None) -> Box | None:
    """``west, south, east, north`` of a parameter; west above east is across the antimeridian. Heights are left out.

    Raises
    ------
    ProblemError
        400 that says what was found.
    """
    if text is None:
        return None
    try:
        numbers = [float(part) for part in text.split(",")]
    except ValueError:
        numbers = []
    if len(numbers) not in (4, 6) or not all(map(math.isfinite, numbers)):
        raise _wrong("bbox", text, "four numbers west,south,east,north in degrees, or six with heights")
    half = len(numbers) // 2
    (west, south), (east, north) = numbers[:2], numbers[half : half + 2]
    if not (-180.0 <= west <= 180.0 and -180.0 <= east <= 180.0 and -90.0 <= south <= north <= 90.0):
        raise _wrong("bbox", text, "longitudes within -180 and 180, latitudes within -90 and 90, south below north")
    return west, south, east, north


def interval_of(text: str | None) -> Interval:
    """Start and stop of a parameter ``datetime``: a moment, or two with a slash between; ``..`` or nothing is open.

    Raises
    ------
    ProblemError
        400 that says what was found.
    """
    if text is None:
        return None, None
    parts = text.split("/")
    if len(parts) > 2 or (len(parts) == 1 and parts[0] in _OPEN) or (len(parts) == 2 and set(parts) <= set(_OPEN)):
        raise _wrong("datetime", text, "a moment, or two with a slash between, of which one may be ..")
    moments = [None if part in _OPEN else _moment(part, text) for part in parts]
    start, stop = moments[0], moments[-1]
    if start is not None and stop is not None and start > stop:
        raise _wrong("datetime", text, "a start that is not after the stop")
    return start, stop


def _moment(part: str, text: str) -> datetime:
    if not _RFC3339.fullmatch(part):
        raise _wrong("datetime", text, "moments with seconds and zone, for example 2026-05-01T12:00:00Z")
    try:
        return datetime.fromisoformat(part.upper()).astimezone(UTC)
    except (ValueError, OverflowError):
        raise _wrong("datetime", text, "moments that the calendar has") from None


def _wrong(name: str, found: str, expected: str) -> ProblemError:
    shown = found[:100]
    fault = {"at": f"query.{name}", "message": f"expected {expected}", "found": shown}
    return ProblemError(400, "Invalid request", f"{name}: expected {expected}, not {shown!r}", errors=[fault])
