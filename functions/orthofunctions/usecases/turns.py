"""Turns: where a user's new tasks stand in the queue of all, and the clock that all of them share."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Sequence
from datetime import datetime

from orthocontracts import names
from orthofunctions.domain.pools import SiteSpec
from orthofunctions.domain.shares import FairClock, Turn, next_turn
from orthofunctions.ports import Ports, Row, RowChangedError, RowExistsError, Value

_OF_SITE, _CLOCK, _OF_USER = "site", "clock", "user"
_TRIES = 20
_MOST_NAMED = 500  # users: a row's text has its limits


def assign_turns(ports: Ports, site: SiteSpec, user: str, run_s: Sequence[float], now: datetime) -> list[Turn]:
    """The turns of a user's next tasks, in order. Asked again for the same tasks, they come a little later."""
    for _ in range(_TRIES):
        row = ports.tables.get(names.TABLE_SHARES, _OF_USER, user)
        turns = _turns(ports, site, user, run_s, now, row)
        changed = Row(_OF_USER, user, {"finish_s": turns[-1].finish_s}, row.etag if row else "")
        try:
            if row is None:
                ports.tables.insert(names.TABLE_SHARES, changed)
            else:
                ports.tables.replace(names.TABLE_SHARES, changed)
        except (RowChangedError, RowExistsError):
            continue
        return turns
    raise RowChangedError(f"the shares of {user} kept changing")


def foresee_turns(ports: Ports, site: SiteSpec, user: str, run_s: Sequence[float], now: datetime) -> list[Turn]:
    """The turns that tasks of a user would get now. Nothing is written."""
    return _turns(ports, site, user, run_s, now, ports.tables.get(names.TABLE_SHARES, _OF_USER, user))


def _turns(
    ports: Ports, site: SiteSpec, user: str, run_s: Sequence[float], now: datetime, row: Row | None
) -> list[Turn]:
    clock, active = _read_clock(ports)
    weight = weight_of(site, user, {*active, user})
    finish_s = float(str(row.values["finish_s"])) if row else 0.0
    turns: list[Turn] = []
    for seconds in run_s:
        turns.append(next_turn(clock, finish_s, weight, seconds, now.timestamp()))
        finish_s = turns[-1].finish_s
    return turns


def advance_clock(ports: Ports, site: SiteSpec, tags_s: Iterable[float], slots: float, active: Collection[str]) -> None:
    """After a round: the clock stands at what was served last. Written by the holder of the dispatcher's lease only."""
    clock, _ = _read_clock(ports)
    virtual_s = max([clock.virtual_s, *tags_s])
    weight = sum(weight_of(site, user, active) for user in active) or 1.0
    values: dict[str, Value] = {
        "virtual_s": virtual_s,
        "slots": float(slots),
        "active_weight": weight,
        "active": json.dumps(sorted(active)[:_MOST_NAMED]),
    }
    ports.tables.put(names.TABLE_SHARES, Row(_OF_SITE, _CLOCK, values))


def weight_of(site: SiteSpec, user: str, active: Collection[str]) -> float:
    """A user's own weight; a group's is shared by those of its members who have work."""
    if user in site.users:
        return site.users[user].weight
    group = site.group_of(user)
    if group is None:
        return site.everyone.weight
    n_active = sum(member in active and member not in site.users for member in group.members)
    return group.weight / max(1, n_active)


def _read_clock(ports: Ports) -> tuple[FairClock, frozenset[str]]:
    row = ports.tables.get(names.TABLE_SHARES, _OF_SITE, _CLOCK)
    if row is None:
        return FairClock(), frozenset()
    virtual_s, slots, weight = (float(str(row.values[name])) for name in ("virtual_s", "slots", "active_weight"))
    return FairClock(virtual_s, slots, weight), frozenset(json.loads(str(row.values["active"])))
