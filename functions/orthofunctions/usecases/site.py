"""What the site is now: its pools, its workers, its releases under way."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from orthocontracts import names
from orthofunctions.domain.pool_state import PoolState, free_slots, is_live, pool_state
from orthofunctions.domain.pools import PoolsFileError, PoolSpec, SiteSpec, parse_site
from orthofunctions.domain.records import ActiveRecord, AgentRecord, LearnedRecord
from orthofunctions.domain.rules import Rules
from orthofunctions.domain.runtimes import expected_startup_s, start_limit_s
from orthofunctions.ports import BlobMissingError, Ports
from orthofunctions.usecases.learning import all_learned, learned, startup
from orthofunctions.usecases.pause import paused_pools
from orthofunctions.usecases.roster import all_agents
from orthofunctions.usecases.rows import find

logger = logging.getLogger(__name__)


def load_site(ports: Ports) -> SiteSpec:
    """What ``settings/pools.yaml`` says, read anew each time: a changed file needs no restart.

    A file that is not usable changes nothing: the one before it stays in force, and the log says what is wrong.

    Raises
    ------
    PoolsFileError
        The file is not usable and there was none before it.
    """
    text = _read(ports, names.CONTAINER_SETTINGS, names.BLOB_POOLS)
    try:
        site = parse_site(text)
    except PoolsFileError as error:
        before = _read(ports, names.CONTAINER_CONTROL, names.BLOB_POOLS_IN_FORCE)
        if before is None:
            raise
        logger.warning("%s; the file before it stays in force", error, extra={"action": "pools_file"})
        return parse_site(before)
    if text is not None and text != _read(ports, names.CONTAINER_CONTROL, names.BLOB_POOLS_IN_FORCE):
        ports.blobs.write(names.CONTAINER_CONTROL, names.BLOB_POOLS_IN_FORCE, text)
    return site


def _read(ports: Ports, container: str, name: str) -> bytes | None:
    try:
        return ports.blobs.read(container, name)
    except BlobMissingError:
        return None


@dataclass(frozen=True)
class Site:
    """The site as a round sees it: what its file says, its workers, its releases under way."""

    settings: SiteSpec
    agents: Sequence[AgentRecord]
    active: Sequence[ActiveRecord]
    learned: Sequence[LearnedRecord] = ()
    paused: frozenset[str] = frozenset()

    @classmethod
    def read(cls, ports: Ports) -> Site:
        return cls(
            settings=load_site(ports),
            agents=tuple(all_agents(ports)),
            active=tuple(find(ports.tables, ActiveRecord)),
            learned=all_learned(ports),
            paused=paused_pools(ports),
        )

    @property
    def pools(self) -> tuple[PoolSpec, ...]:
        """In the order of the file."""
        return self.settings.pools

    def spec(self, pool: str | None) -> PoolSpec | None:
        return self.settings.pool(pool)

    def agents_of(self, pool: str) -> list[AgentRecord]:
        return [agent for agent in self.agents if agent.pool == pool]

    def states(self, current_version: int, now: datetime, rules: Rules) -> list[PoolState]:
        return [
            pool_state(
                self._as_taught(spec),
                agents=self.agents_of(spec.name),
                active=[one for one in self.active if one.pool == spec.name],
                current_version=current_version,
                now=now,
                rules=rules,
                run_times=learned(self.learned, spec),
                paused=spec.name in self.paused,
            )
            for spec in self.pools
        ]

    def _as_taught(self, spec: PoolSpec) -> PoolSpec:
        if spec.kind == "onprem":
            return spec
        taught = expected_startup_s(spec.startup_s, startup(self.learned, spec))
        return spec.model_copy(update={"startup_s": taught})

    def start_limit_s(self, spec: PoolSpec) -> float:
        """How long a release may wait for a worker of a pool before it is recalled."""
        if spec.kind == "onprem":
            return spec.start_limit_s
        return start_limit_s(spec.startup_s, startup(self.learned, spec), spec.start_limit_s)

    def versions(self, current_version: int, now: datetime, rules: Rules) -> list[int]:
        """Result versions that some worker may make: ours, and those of live workers."""
        live = {agent.result_version for agent in self.agents if is_live(agent, now, rules) and agent.slots}
        return sorted(live | {current_version})

    def idle_agents(self, pool: str, now: datetime, rules: Rules) -> list[AgentRecord]:
        """Live workers with free slots, the freest first."""
        idle = [agent for agent in self.agents_of(pool) if is_live(agent, now, rules) and free_slots(agent) > 0]
        return sorted(idle, key=lambda agent: (-free_slots(agent), agent.agent))
