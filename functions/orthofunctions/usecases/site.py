"""What the site is now: its pools, its workers, its releases under way."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from orthocontracts import names
from orthofunctions.domain.pool_state import PoolState, free_slots, is_live, pool_state
from orthofunctions.domain.pools import PoolSpec, parse_pools
from orthofunctions.domain.records import ActiveRecord, AgentRecord
from orthofunctions.domain.rules import Rules
from orthofunctions.ports import BlobMissingError, Ports
from orthofunctions.usecases.rows import find


def load_pools(ports: Ports) -> tuple[PoolSpec, ...]:
    """Raises PoolsFileError where the settings file is not usable."""
    try:
        return parse_pools(ports.blobs.read(names.CONTAINER_SETTINGS, names.BLOB_POOLS))
    except BlobMissingError:
        return parse_pools(None)


@dataclass(frozen=True)
class Site:
    pools: tuple[PoolSpec, ...]
    agents: Sequence[AgentRecord]
    active: Sequence[ActiveRecord]

    @classmethod
    def read(cls, ports: Ports) -> Site:
        return cls(
            pools=load_pools(ports),
            agents=tuple(find(ports.tables, AgentRecord)),
            active=tuple(find(ports.tables, ActiveRecord)),
        )

    def spec(self, pool: str | None) -> PoolSpec | None:
        return next((spec for spec in self.pools if spec.name == pool), None)

    def agents_of(self, pool: str) -> list[AgentRecord]:
        return [agent for agent in self.agents if agent.pool == pool]

    def states(self, current_version: int, now: datetime, rules: Rules) -> list[PoolState]:
        return [
            pool_state(
                spec,
                agents=self.agents_of(spec.name),
                active=[one for one in self.active if one.pool == spec.name],
                current_version=current_version,
                now=now,
                rules=rules,
            )
            for spec in self.pools
        ]

    def versions(self, current_version: int, now: datetime, rules: Rules) -> list[int]:
        """Result versions that some worker may make: ours, and those of live workers."""
        live = {agent.result_version for agent in self.agents if is_live(agent, now, rules) and agent.slots}
        return sorted(live | {current_version})

    def idle_agents(self, pool: str, now: datetime, rules: Rules) -> list[AgentRecord]:
        """Live workers with free slots, the freest first."""
        idle = [agent for agent in self.agents_of(pool) if is_live(agent, now, rules) and free_slots(agent) > 0]
        return sorted(idle, key=lambda agent: (-free_slots(agent), agent.agent))
