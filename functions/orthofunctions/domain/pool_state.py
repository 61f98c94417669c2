"""What a pool can take right now, from what its workers said and from what was released to it."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum

from orthofunctions.domain.pools import PoolSpec
from orthofunctions.domain.records import ActiveRecord, AgentRecord
from orthofunctions.domain.rules import Rules
from orthofunctions.domain.runtimes import RunTimes


class Basis(StrEnum):
    """What a capacity figure rests on."""

    ADVERTISED = "advertised"  # by workers that are alive
    LAST_KNOWN = "last known"  # nobody was heard from for a while
    ASSUMED = "assumed"  # nobody was heard from for longer: all the slots it has
    PAUSED = "paused"  # by an operator
    NONE = "none"  # its workers said goodbye, or were silent for too long
    CONFIGURED = "configured"  # a cloud pool: workers come when there is work


SILENT_FOR_S = 3600.0
"""After which a silent worker is no news."""


@dataclass(frozen=True)
class Coming:
    """Slots of a worker that is expected at a moment, in seconds since the epoch."""

    at_s: float
    slots: int
    result_version: int


@dataclass(frozen=True)
class PoolState:
    """A pool in a round: per result version, the slots it has and those our own releases take.

    ``busy`` counts releases, not what workers say they run: a worker's status is seconds old, our rows are not.
    ``idle`` are slots of a cloud pool whose workers linger: a release starts there at once. ``run_times`` are what its
    machine has taught, by process. ``coming`` are slots of workers that wait to be started. ``lasts_s`` is how long the
    workers of a result version that could take a release are still there, at most; none: for as long as it takes.
    """

    spec: PoolSpec
    basis: Basis
    slots: Mapping[int, int] = field(default_factory=dict)
    busy: Mapping[int, int] = field(default_factory=dict)
    idle: Mapping[int, int] = field(default_factory=dict)
    run_times: Mapping[str, RunTimes] = field(default_factory=dict)
    coming: Sequence[Coming] = ()
    lasts_s: Mapping[int, float] = field(default_factory=dict)

    def takes(self, result_version: int) -> bool:
        """Whether it has, or would start, workers for a result version."""
        return self.slots.get(result_version, 0) > 0

    def expected_run_s(self, process: str, megapixels: float) -> float:
        """How long a run takes here; one in ten takes longer."""
        return self.run_times.get(process, RunTimes()).p90_s(self.spec.nominal_s(megapixels))

    def free(self, result_version: int) -> int:
        """Slots a round may fill. Never more than the pool's ``max_slots`` in all, whatever workers advertise."""
        slots = min(self.slots.get(result_version, 0), self.spec.max_slots)
        if slots <= 0:
            return 0
        room = slots + self.spec.queue_ahead - self.busy.get(result_version, 0)
        room_in_all = self.spec.max_slots + self.spec.queue_ahead - sum(self.busy.values())
        return max(0, min(room, room_in_all))


def is_live(agent: AgentRecord, now: datetime, rules: Rules) -> bool:
    """Whether a worker was heard from lately and did not say it has gone."""
    return agent.state in ("online", "draining") and is_fresh(agent, now, rules)


def is_silent(agent: AgentRecord, now: datetime, rules: Rules) -> bool:
    """Whether a worker that did not say it has gone has lately ceased to be heard from: within the last hour."""
    silent_for = now - agent.received_at
    return agent.state in ("online", "draining") and rules.aged_out_s < silent_for.total_seconds() <= SILENT_FOR_S


def was_lost(before: AgentRecord, after: AgentRecord) -> bool:
    """Whether what came is a last will: a worker writes it as a connection begins, and the broker sends it at its end.

    So it comes after all that was said in between, and is older.
    """
    said_goodbye = after.at > before.at
    return after.state == "offline" and before.state in ("online", "draining") and not said_goodbye


def is_fresh(agent: AgentRecord, now: datetime, rules: Rules) -> bool:
    """Whether what is known of a worker is of late."""
    return now - agent.received_at <= timedelta(seconds=rules.aged_out_s)


def free_slots(agent: AgentRecord) -> int:
    """Slots of a worker that run nothing, by its own word; none while it drains."""
    if agent.state != "online":
        return 0
    return max(0, agent.slots - n_running(agent))


def n_running(agent: AgentRecord) -> int:
    """Tasks it says it runs."""
    return 0 if agent.running == "[]" else len(json.loads(agent.running))


def pool_gone(spec: PoolSpec, agents: Iterable[AgentRecord], now: datetime, rules: Rules) -> bool:
    """Whether every worker an on-prem pool ever had has said goodbye and none has come back for a keepalive.

    Silence is not goodbye: the broker may be down. A cloud pool without workers is one that waits for work.
    """
    known = list(agents)
    settled = now - timedelta(seconds=rules.keepalive_s)
    return (
        spec.kind == "onprem"
        and bool(known)
        and all(agent.state == "offline" and agent.received_at <= settled for agent in known)
    )


def pool_state(
    spec: PoolSpec,
    *,
    agents: Sequence[AgentRecord],
    active: Iterable[ActiveRecord],
    current_version: int,
    now: datetime,
    rules: Rules,
    run_times: Mapping[str, RunTimes] | None = None,
    paused: bool = False,
) -> PoolState:
    """The pool as a round sees it. ``agents`` and ``active`` are those of this pool, ``run_times`` of its machine."""
    busy: dict[int, int] = {}
    for release in active:
        busy[release.result_version] = busy.get(release.result_version, 0) + 1
    times = run_times or {}
    if paused:
        return PoolState(spec, Basis.PAUSED, {}, busy, run_times=times)
    live = [agent for agent in agents if is_live(agent, now, rules)]
    if spec.kind == "cloud":
        slots = {current_version: spec.max_slots}
        return PoolState(spec, Basis.CONFIGURED, slots, busy, _lingering(live, busy), times)
    coming = _coming(agents, now, rules)
    if live:
        lasts_s = _lasting(live, now)
        return PoolState(
            spec, Basis.ADVERTISED, _advertised(live), busy, run_times=times, coming=coming, lasts_s=lasts_s
        )
    silent = [agent for agent in agents if agent.state in ("online", "draining")]
    if not silent:
        return PoolState(spec, Basis.NONE, {}, busy, run_times=times, coming=coming)
    silence_s = (now - max(agent.received_at for agent in silent)).total_seconds()
    if silence_s <= rules.last_known_s:
        return PoolState(spec, Basis.LAST_KNOWN, _advertised(silent), busy, run_times=times)
    if silence_s <= 2 * rules.last_known_s:
        versions = {agent.result_version for agent in silent}
        return PoolState(spec, Basis.ASSUMED, dict.fromkeys(versions, spec.max_slots), busy, run_times=times)
    return PoolState(spec, Basis.NONE, {}, busy)


def _coming(agents: Iterable[AgentRecord], now: datetime, rules: Rules) -> tuple[Coming, ...]:
    """Workers that are expected at a known moment. One that is late counts as not expected at all."""
    expected = [
        Coming(agent.starts_at.timestamp(), agent.slots, agent.result_version)
        for agent in agents
        if agent.state == "starting" and agent.starts_at is not None and agent.starts_at >= now and agent.slots > 0
        if is_fresh(agent, now, rules)
    ]
    return tuple(sorted(expected, key=lambda one: one.at_s))


def _lasting(live: Sequence[AgentRecord], now: datetime) -> dict[int, float]:
    """By result version, for how long the last of the workers that have a slot free is still there.

    Of all that are online where none has one free. A version that has a worker without walltime is left out.
    """
    online = [agent for agent in live if agent.state == "online"]
    found: dict[int, float] = {}
    for agent in [one for one in online if free_slots(one)] or online:
        left_s = math.inf
        if agent.walltime_left_s is not None:
            left_s = max(0.0, agent.walltime_left_s - (now - agent.received_at).total_seconds())
        found[agent.result_version] = max(left_s, found.get(agent.result_version, 0.0))
    return {version: left_s for version, left_s in found.items() if left_s < math.inf}


def _lingering(live: Iterable[AgentRecord], busy: Mapping[int, int]) -> dict[int, int]:
    """Slots of a cloud pool's workers that no release of ours takes, by result version."""
    return {version: max(0, slots - busy.get(version, 0)) for version, slots in _advertised(live).items()}


def _advertised(agents: Iterable[AgentRecord]) -> dict[int, int]:
    slots: dict[int, int] = {}
    for agent in agents:
        # What a draining worker still runs is in ``busy``, so it must be in the slots too.
        usable = agent.slots if agent.state == "online" else n_running(agent)
        slots[agent.result_version] = slots.get(agent.result_version, 0) + usable
    return slots
