"""What a task's row keeps of what became of its releases and deliveries: text that rides along with writes of the row.

The row's own fields say how things are. Here is what the next release or delivery would overwrite, and what is known
only at an end: how it ended, and how long a worker took for each phase. It is for people: work never depends on it,
so whatever is wrong with it is forgotten rather than raised.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, Final

MOST_RELEASES: Final = 12
"""The latest are kept. Three attempts are all a task has; only recalls and work handed back make it more."""
MOST_DELIVERIES: Final = 8
LONGEST_TEXT: Final = 24_000
"""Characters: a property of a row holds 32,768."""
_LONGEST_SAYS: Final = 160
PHASES: Final = ("fetch", "compute", "deliver")
"""Of a run, in their order. A worker reports the seconds of each as ``<phase>_s``."""


class Ending(StrEnum):
    """How a delivery or a release ended."""

    DELIVERED = "delivered"
    FAILED = "failed"
    RETURNED = "returned"  # handed back unharmed
    LOST = "lost"  # its worker said that storage was silent
    SILENT = "silent"  # nothing was heard of it again
    RECALLED = "recalled"
    CANCELLED = "cancelled"
    FOUND = "found"  # its images were there already: an earlier delivery's, or another task's


RECALLED: Final = "Recalled"
HANDED_BACK: Final = "HandedBack"
SILENT: Final = "SilentDelivery"
_OF_FAULT: Final = {RECALLED: Ending.RECALLED, HANDED_BACK: Ending.RETURNED, SILENT: Ending.SILENT}


def ending_of(fault_kind: str) -> Ending:
    """How a release ended that is ended for a fault."""
    return _OF_FAULT.get(fault_kind, Ending.FAILED)


@dataclass(frozen=True, kw_only=True)
class PastDelivery:
    """``started_at`` None: its start was not heard of before its end. ``phases_s``: of fetch, compute, deliver."""

    number: int
    agent: str = ""
    started_at: datetime | None = None
    ended_at: datetime | None = None
    how: Ending | None = None
    phases_s: tuple[float | None, ...] = (None, None, None)


@dataclass(frozen=True, kw_only=True)
class PastRelease:
    """``how`` None: not over yet, and the task's row has what is not here. ``until``: the end of the back-off then."""

    number: int
    pool: str = ""
    released_at: datetime | None = None
    ended_at: datetime | None = None
    how: Ending | None = None
    until: datetime | None = None
    why_there: str = ""
    why_ended: str = ""
    deliveries: tuple[PastDelivery, ...] = ()

    def with_delivery(self, delivery: PastDelivery) -> PastRelease:
        """With it as it is told now; what was known of it and is not told stays."""
        before = next((one for one in self.deliveries if one.number == delivery.number), None)
        if before is not None:
            known = zip(delivery.phases_s, before.phases_s, strict=True)
            delivery = replace(
                delivery,
                agent=delivery.agent or before.agent,
                started_at=before.started_at or delivery.started_at,
                phases_s=tuple(before_s if now_s is None else now_s for now_s, before_s in known),
            )
        others = [one for one in self.deliveries if one.number != delivery.number]
        ordered = sorted([*others, delivery], key=lambda one: one.number)
        return replace(self, deliveries=tuple(ordered[-MOST_DELIVERIES:]))


@dataclass(frozen=True)
class History:
    """Releases in their order; ``n_dropped`` earlier ones are not kept."""

    releases: tuple[PastRelease, ...] = ()
    n_dropped: int = 0

    @classmethod
    def of(cls, text: str) -> History:
        if not text:
            return cls()
        try:
            document = json.loads(text)
            return cls(tuple(_release_of(one) for one in document["r"]), int(document.get("x", 0)))
        except (ValueError, TypeError, KeyError, IndexError, AttributeError, OverflowError):
            return cls()

    def to_text(self) -> str:
        """Of at most `LONGEST_TEXT` characters: the oldest releases are dropped first."""
        kept = self
        while True:
            releases = [_without_nothing(_document_of(one)) for one in kept.releases]
            document: dict[str, Any] = {"r": releases, "x": kept.n_dropped} if kept.n_dropped else {"r": releases}
            text = json.dumps(document, separators=(",", ":"), ensure_ascii=True)
            if len(text) <= LONGEST_TEXT or not kept.releases:
                return text
            kept = History(kept.releases[1:], kept.n_dropped + 1)

    def release(self, number: int) -> PastRelease:
        return next((one for one in self.releases if one.number == number), PastRelease(number=number))

    def knows(self, number: int) -> bool:
        return any(one.number == number for one in self.releases)

    def with_release(self, release: PastRelease) -> History:
        others = [one for one in self.releases if one.number != release.number]
        ordered = sorted([*others, release], key=lambda one: one.number)
        n_surplus = max(0, len(ordered) - MOST_RELEASES)
        return History(tuple(ordered[n_surplus:]), self.n_dropped + n_surplus)


def phases_in(figures: Mapping[str, float]) -> tuple[float | None, ...]:
    """The seconds of each phase that a report has. Workers are not trusted with more than a sensible number."""
    found = (figures.get(f"{phase}_s") for phase in PHASES)
    return tuple(
        round(value, 3) if value is not None and math.isfinite(value) and 0 <= value < 1e8 else None for value in found
    )


def brief(text: str) -> str:
    return text if len(text) <= _LONGEST_SAYS else f"{text[: _LONGEST_SAYS - 1]}…"


# Short names and seconds since the epoch: a row has this beside everything else, and most rows have one release.


def _document_of(release: PastRelease) -> dict[str, Any]:
    return {
        "n": release.number,
        "p": release.pool,
        "t": _seconds(release.released_at),
        "e": _seconds(release.ended_at),
        "h": release.how,
        "u": _seconds(release.until),
        "w": brief(release.why_there),
        "f": brief(release.why_ended),
        "d": [
            _without_nothing(
                {
                    "n": one.number,
                    "a": one.agent,
                    "t": _seconds(one.started_at),
                    "e": _seconds(one.ended_at),
                    "h": one.how,
                    "s": None if one.phases_s == (None, None, None) else list(one.phases_s),
                }
            )
            for one in release.deliveries
        ],
    }


def _without_nothing(document: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in document.items() if value not in (None, "", [])}


def _release_of(document: Mapping[str, Any]) -> PastRelease:
    return PastRelease(
        number=int(document["n"]),
        pool=str(document.get("p", "")),
        released_at=_moment(document.get("t")),
        ended_at=_moment(document.get("e")),
        how=_ending(document.get("h")),
        until=_moment(document.get("u")),
        why_there=str(document.get("w", "")),
        why_ended=str(document.get("f", "")),
        deliveries=tuple(_delivery_of(one) for one in document.get("d", ())),
    )


def _delivery_of(document: Mapping[str, Any]) -> PastDelivery:
    phases_s = tuple(None if one is None else float(one) for one in document.get("s", (None, None, None)))
    if len(phases_s) != len(PHASES):
        raise ValueError(f"{len(phases_s)} phases")
    return PastDelivery(
        number=int(document["n"]),
        agent=str(document.get("a", "")),
        started_at=_moment(document.get("t")),
        ended_at=_moment(document.get("e")),
        how=_ending(document.get("h")),
        phases_s=phases_s,
    )


def _ending(text: str | None) -> Ending | None:
    return None if text is None else Ending(text)


def _seconds(moment: datetime | None) -> float | None:
    return None if moment is None else round(moment.timestamp(), 6)


def _moment(seconds: float | None) -> datetime | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC)
