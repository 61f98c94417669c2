"""The part of a round that is for campaigns: after the users' releases are written, with what they leave."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime

from orthofunctions.domain.background import Standing, plan_background
from orthofunctions.domain.campaigns import CampaignState
from orthofunctions.domain.decisions import Decision
from orthofunctions.domain.offers import Market
from orthofunctions.domain.pool_state import PoolState
from orthofunctions.domain.records import ActiveRecord, TaskRecord
from orthofunctions.domain.rules import Rules
from orthofunctions.ports import Ports
from orthofunctions.usecases.campaign_rows import find_campaign
from orthofunctions.usecases.inputs import Known
from orthofunctions.usecases.lease import RoundLease
from orthofunctions.usecases.ledger import free_lost, reserve_for_campaign, unreserve_for_campaign
from orthofunctions.usecases.pending import Candidate, background_candidates, current_tasks
from orthofunctions.usecases.release import Chosen, bundles, chosen_for, release
from orthofunctions.usecases.rows import load, release_key
from orthofunctions.usecases.site import Site

logger = logging.getLogger(__name__)

MOST_IN_A_ROUND = 40
"""Releases, each some six calls of storage: the next round with users' work does not wait for more."""
_ENDED = (CampaignState.DONE, CampaignState.CANCELLED)
MOST_WAITING = 1000
"""Looked at: what all campaigns together have waiting, and more is not fed."""


class Background:
    """Campaigns' work in one round. ``states`` are the pools as the users' releases leave them.

    ``n_waiting`` is how much of it is left, which counts as demand: pilots that come for it serve users as well.
    """

    def __init__(
        self, ports: Ports, rules: Rules, lease: RoundLease, site: Site, states: Sequence[PoolState], now: datetime
    ) -> None:
        self._ports, self._rules, self._lease, self._site = ports, rules, lease, site
        self._states, self._now = states, now
        self.n_waiting = 0

    def release(
        self, versions: Sequence[int], egress_eur_per_gb: Mapping[str, float], known: Known
    ) -> list[ActiveRecord]:
        """Decide, and carry it out.

        Raises
        ------
        LeaseLostError
        """
        waiting: dict[str, Candidate] = {}
        for version in versions:
            waiting |= background_candidates(self._ports, self._rules, version, self._now, MOST_WAITING)
        if not waiting:
            return []
        campaigns = self._campaigns({one.pending.campaign for one in waiting.values()})
        mine = [one.pending for one in waiting.values() if one.pending.campaign in campaigns]
        decisions = plan_background(
            mine, self._states, campaigns, self._now.timestamp(), self._rules.longest_run_s, egress_eur_per_gb
        )
        market = Market(self._states, egress_eur_per_gb)
        chosen = self._chosen(decisions[:MOST_IN_A_ROUND], waiting, market)
        released = [
            one
            for bundle in bundles(chosen, MOST_IN_A_ROUND)
            for one in release(self._ports, self._rules, self._lease, bundle, known)
        ]
        self._give_back(chosen, {one.release_key for one in released})
        self.n_waiting = len(mine) - len(released)
        return released

    def _campaigns(self, names: set[str]) -> dict[str, Standing]:
        """Those that run: what is paused, or being cancelled, stays where it is. What is left of one that has ended is
        wanted by another, and runs where it costs nothing."""
        running = Counter(one.campaign for one in self._site.active)
        found: dict[str, Standing] = {}
        for name in sorted(names):
            record = find_campaign(self._ports, name)
            if record is None or record.state not in (CampaignState.RUNNING, *_ENDED):
                continue
            left_eur = 0.0
            if record.max_eur and record.state is CampaignState.RUNNING:
                self._lease.keep()
                left_eur = max(0.0, record.max_eur - free_lost(self._ports, name, self._site.active).committed_eur)
            found[name] = Standing(running[name], left_eur, record.patience_s)
        return found

    def _chosen(self, decisions: Sequence[Decision], waiting: Mapping[str, Candidate], market: Market) -> list[Chosen]:
        """Decisions on tasks that are pending indeed, their money reserved."""
        places = {state.spec.name: k for k, state in enumerate(self._states)}
        tasks = self._tasks([waiting[one.task_id] for one in decisions])
        chosen = []
        for one in decisions:
            candidate, task = waiting[one.task_id], tasks.get(one.task_id)
            # one that a user has come to want since is a user's: the next round looks at it as such
            if task is None or not task.campaign or not self._affords(task.campaign, one.cost_eur):
                continue
            chosen.append(chosen_for(one, candidate, task, market, places[one.pool]))
        return chosen

    def _give_back(self, chosen: Sequence[Chosen], released: set[str]) -> None:
        """What was reserved for tasks that were not released in the end. The sweep does where there is a row of it."""
        for one in chosen:
            key = release_key(one.task.task_id, one.task.release + 1)
            if one.decision.cost_eur <= 0 or key in released:
                continue
            self._lease.keep()
            if load(self._ports.tables, ActiveRecord, one.task.job_id, key) is None:
                unreserve_for_campaign(self._ports, one.task.campaign, one.decision.cost_eur)

    def _tasks(self, candidates: Sequence[Candidate]) -> dict[str, TaskRecord]:
        by_job: dict[str, list[Candidate]] = {}
        for candidate in candidates:
            by_job.setdefault(candidate.job_id, []).append(candidate)
        found: dict[str, TaskRecord] = {}
        for of_a_job in by_job.values():
            found |= current_tasks(self._ports, of_a_job, self._now)
        return found

    def _affords(self, campaign: str, cost_eur: float) -> bool:
        if cost_eur <= 0:
            return True
        self._lease.keep()
        record = find_campaign(self._ports, campaign)
        return record is not None and reserve_for_campaign(self._ports, campaign, cost_eur, record.max_eur or 0.0)
