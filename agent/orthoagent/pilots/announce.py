"""What is said in a pilot's name before it runs, and after it has gone. Pure but for the ids it draws."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version

from orthoagent.pilots.book import Entry
from orthocontracts.messages import AgentStatus
from orthocontracts.version import KERNEL_RESULT_VERSION

AGAIN_S = 30.0
"""A status that is older than three of these counts no more."""
NOTEWORTHY_S = 5.0
"""Schedulers move expected starts by a second at every look."""


@dataclass(frozen=True)
class _Said:
    at_s: float
    starts_at_s: float | None


class Announcer:
    """Knows which statuses are due. A pilot that runs speaks for itself."""

    def __init__(self, *, pool: str, slots: int, scheduler: str) -> None:
        self._pool, self._slots, self._scheduler = pool, slots, scheduler
        self._session = f"scale-{secrets.token_hex(8)}"
        self._sequence = 0
        self._said: dict[str, _Said] = {}

    def forget(self) -> None:
        """The broker is new: say everything again."""
        self._said.clear()

    def due(self, entries: Iterable[Entry], now_s: float) -> Iterator[AgentStatus]:
        """Statuses to publish now; one that is asked for counts as said."""
        for entry in entries:
            said = self._said.get(entry.agent)
            if entry.state == "queued" and (said is None or _is_old(said, entry, now_s)):
                self._said[entry.agent] = _Said(now_s, entry.starts_at_s)
                yield self._status(entry, now_s)

    def farewell(self, entry: Entry, now_s: float) -> AgentStatus:
        """For one that is gone."""
        self._said.pop(entry.agent, None)
        return self._status(entry, now_s, is_gone=True)

    def _status(self, entry: Entry, now_s: float, *, is_gone: bool = False) -> AgentStatus:
        self._sequence += 1
        starts_at = None if is_gone or entry.starts_at_s is None else datetime.fromtimestamp(entry.starts_at_s, UTC)
        return AgentStatus(
            agent=entry.agent,
            pool=self._pool,
            session=self._session,
            sequence=self._sequence,
            state="offline" if is_gone else "starting",
            at=datetime.fromtimestamp(now_s, UTC),
            starts_at=starts_at,
            slots=0 if is_gone else self._slots,
            result_version=KERNEL_RESULT_VERSION,
            version=version("orthoburst"),
            machine=f"{self._scheduler} job {entry.job}"[:100],
        )


def _is_old(said: _Said, entry: Entry, now_s: float) -> bool:
    if now_s - said.at_s >= AGAIN_S or (said.starts_at_s is None) != (entry.starts_at_s is None):
        return True
    return abs((said.starts_at_s or 0.0) - (entry.starts_at_s or 0.0)) >= NOTEWORTHY_S
