"""Workers' last statuses, forty to a row.

A table gives Python some three thousand rows a second: ten thousand workers, a row each, would take every round seconds
to read. They share rows by a hash of their names, each a JSON text that is changed by the row's ETag.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any, Final

from orthocontracts import names
from orthofunctions.domain.records import AgentRecord
from orthofunctions.ports import Change, Ports, Row, RowChangedError, RowExistsError
from orthofunctions.usecases.rows import MOST_CHANGES, parts

logger = logging.getLogger(__name__)

_CHARACTERS: Final = 30_000  # a text of a table holds 32 Ki
_CLOSE: Final = 4
_TIMES: Final = ("at", "received_at", "starts_at")
_FIELDS: Final = frozenset(field.name for field in fields(AgentRecord)) - {"pool"}


@dataclass(frozen=True)
class Page:
    """One row: workers of a pool by name. Change ``agents``, then `store_pages`."""

    pool: str
    key: str
    agents: dict[str, AgentRecord]
    etag: str = ""

    @classmethod
    def of(cls, row: Row) -> Page:
        """A row that cannot be read, of another version say, is an empty page: workers tell again soon."""
        text = "".join(str(row.values[name]) for name in sorted(row.values))
        try:
            agents = [_agent(row.partition, values) for values in json.loads(text or "[]")]
        except (AttributeError, TypeError, ValueError) as error:
            logger.warning(
                "row %s of pool %s: %s", row.key, row.partition, error, extra={"action": "agents_unreadable"}
            )
            agents = []
        return cls(row.partition, row.key, {agent.agent: agent for agent in agents}, row.etag)

    def to_row(self) -> Row:
        text = json.dumps([_values(agent) for agent in self.agents.values()], separators=(",", ":"))
        chunks = parts(text, _CHARACTERS)
        return Row(self.pool, self.key, {f"agents_{n:02d}": str(chunk) for n, chunk in enumerate(chunks)}, self.etag)


def all_agents(ports: Ports) -> Iterator[AgentRecord]:
    for page in all_pages(ports):
        yield from page.agents.values()


def all_pages(ports: Ports) -> Iterator[Page]:
    return (Page.of(row) for row in ports.tables.query(names.TABLE_AGENTS))


def find_agent(ports: Ports, pool: str, agent: str) -> AgentRecord | None:
    key = names.agent_page(agent)
    return pages(ports, pool, {key})[key].agents.get(agent)


def pages(ports: Ports, pool: str, keys: Collection[str]) -> dict[str, Page]:
    """Pages of a pool by key, empty ones where there are none yet. Neighbours are read in one request."""
    found: dict[str, Page] = {key: Page(pool, key, {}) for key in keys}
    for first, last in _runs(sorted(found)):
        if first == last:
            row = ports.tables.get(names.TABLE_AGENTS, pool, first)
            rows = [row] if row else []
        else:
            rows = list(ports.tables.query(names.TABLE_AGENTS, partition=pool, key_from=first, key_below=f"{last}~"))
        found |= {row.key: Page.of(row) for row in rows if row.key in found}
    return found


def _runs(keys: Sequence[str]) -> Iterator[tuple[str, str]]:
    """First and last of keys that lie close to each other: a request costs as much as a few pages."""
    first = last = keys[0]
    for key in keys[1:]:
        if int(key) - int(last) > _CLOSE:
            yield first, last
            first = key
        last = key
    yield first, last


def store_pages(ports: Ports, changed: Sequence[Page]) -> bool:
    """Store pages of one pool. False where one was changed meanwhile: read them again. Some may be stored then."""
    for part in parts(changed, MOST_CHANGES):
        try:
            rows = [page.to_row() for page in part]
            ports.tables.transact(
                names.TABLE_AGENTS, [Change("replace" if row.etag else "insert", row) for row in rows]
            )
        except (RowChangedError, RowExistsError):
            return False
    return True


def _values(agent: AgentRecord) -> dict[str, Any]:
    """What of it is not said by the row, and not at its default."""
    values = {name: value for name, value in vars(agent).items() if name != "pool" and value not in ("", None)}
    return {name: value.isoformat() if name in _TIMES else value for name, value in values.items()}


def _agent(pool: str, values: dict[str, Any]) -> AgentRecord:
    """What a newer version says besides is left out."""
    known = {name: value for name, value in values.items() if name in _FIELDS}
    for name in _TIMES:
        if name in known:
            known[name] = datetime.fromisoformat(known[name])
    return AgentRecord(pool=pool, **known)
