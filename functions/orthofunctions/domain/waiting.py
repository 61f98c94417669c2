"""What a pending task waits for, in words."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from orthofunctions.domain.money import Ledger
from orthofunctions.domain.offers import Market, PendingTask
from orthofunctions.domain.policy import outlasts, plan_releases
from orthofunctions.domain.pool_state import Basis, PoolState
from orthofunctions.domain.runtimes import DEADLINE_CONFIDENCE

_SOON_S = 90.0


def why_waits(
    task: PendingTask,
    pools: Sequence[PoolState],
    ledger: Ledger,
    now_s: float,
    *,
    not_before_s: float | None = None,
    confidence: float = DEADLINE_CONFIDENCE,
) -> str:
    """Why a task that is pending has not been released, with everything as it is now."""
    if not_before_s is not None and not_before_s > now_s:
        return f"waits until {_clock(not_before_s)} before its next attempt"
    if task.campaign:
        return f"it works for campaign {task.campaign}: it runs when the centre has a slot that no user wants"
    user = ledger.users.get(task.user)
    if user is not None and user.max_running is not None and user.running >= user.max_running:
        return f"{task.user} may have {user.max_running} tasks at work, and has {user.running}"
    market = Market(pools, ledger.egress_eur_per_gb, confidence)
    able = [pool for k, pool in enumerate(pools) if pool.takes(task.result_version) and market.reads(k, task)]
    if not able:
        return _without_pools(pools, task)
    latest_s = market.latest_starts_s([task], now_s)[0]
    on_prem = [pool for pool in able if pool.spec.kind == "onprem"]
    cloud = [pool for pool in able if pool.spec.kind == "cloud"]
    if plan_releases([task], pools, ledger, now_s, confidence):
        return "the next round looks at it"
    slots = _names(on_prem) + (_why_no_slot(on_prem, task, market) if on_prem else "no on-prem pool has workers")
    if not cloud and not _where_carried(task, market):
        turn = _turn(task, now_s)
        return f"{slots}, and there is no cloud pool{turn}"
    if latest_s <= 0 and (awaited := _awaited(task, market)):
        return f"{slots}; {awaited}"
    if latest_s > 0 and cloud:
        reason = "its deadline allows that" if task.deadline_s is not None else "its patience lasts until then"
        return f"{slots}; it goes to the cloud at {_clock(now_s + latest_s)} at the latest: {reason}"
    if cloud and all(pool.free(task.result_version) <= 0 for pool in cloud):
        return f"{slots}, and {_names(cloud)} is full"
    return f"{slots}, and {_without_money(task, market, ledger)}{_turn(task, now_s)}"


def _without_money(task: PendingTask, market: Market, ledger: Ledger) -> str:
    """Whose money it is that is spent, or held for runs under way, which may cost more than was reserved for them."""
    user, needs_eur = ledger.users.get(task.user), _cheapest(task, market, ledger)
    if (
        user is not None
        and user.credits_left_eur is not None
        and user.credits_left_eur - user.contingency_eur < needs_eur
    ):
        left_eur, held_eur, of = max(0.0, user.credits_left_eur), user.contingency_eur, "this month's credits"
        used_up = f"{task.user} has {left_eur:.2f} EUR of {of} left"
        whose, urgent = f"{task.user}'s runs", ""
    else:
        budget_eur = ledger.budget_eur or 0.0
        left_eur, held_eur = max(0.0, budget_eur - ledger.committed_eur), ledger.contingency_eur
        of = f"this month's cloud budget of {budget_eur:.2f} EUR"
        urgent = f", which urgent tasks of {task.user} may not exceed" if task.urgent else ""
        used_up, whose = f"{of} is used up", "runs"
    again = ""
    if task.cut_short:
        again = f"; a run of it was ended for want of money, so that it waits for {needs_eur:.2f} EUR"
    if left_eur < needs_eur or held_eur <= 0:
        return f"{used_up}{urgent}{again}"
    may_cost = f"{whose} under way may yet cost {min(held_eur, left_eur):.2f} EUR"
    return f"{may_cost} of the {left_eur:.2f} EUR that are left of {of}{urgent}{again}"


def _why_no_slot(on_prem: Sequence[PoolState], task: PendingTask, market: Market) -> str:
    free = [pool for pool in on_prem if pool.free(task.result_version) > 0]
    offers = dict(zip((pool.spec.name for pool in market.pools), market.offers(task), strict=True))
    if free and not any(outlasts(pool, task, offers[pool.spec.name]) for pool in free):
        return ": the batch jobs of its free workers end before the task would"
    carried = [offers[market.pools[k].spec.name].reserve_eur for k in _where_carried(task, market)]
    return f": its data would be carried there for {min(carried):.2f} EUR" if carried else ": no slot is free"


def _where_carried(task: PendingTask, market: Market) -> list[int]:
    """Pools of the centre, by their places, that would run it, did not carrying its data there cost money."""
    return [
        k
        for k, (pool, offer) in enumerate(zip(market.pools, market.offers(task), strict=True))
        if pool.spec.kind == "onprem"
        and offer.reserve_eur > 0
        and pool.free(task.result_version) > 0
        and market.reads(k, task)
        and outlasts(pool, task, offer)
    ]


def _awaited(task: PendingTask, market: Market) -> str:
    offers = market.offers(task)
    for k, pool in enumerate(market.pools):
        for coming in pool.coming:
            if market.comes_in_time(k, coming, task, offers[k]):
                return f"{pool.spec.name} expects a worker at {_clock(coming.at_s)}, in time for its deadline"
    return ""


def _without_pools(pools: Sequence[PoolState], task: PendingTask) -> str:
    if any(pool.takes(task.result_version) for pool in pools):
        return f"its data lie in store {', '.join(sorted(task.sites))}, which no pool with workers has at hand"
    paused = [pool.spec.name for pool in pools if pool.basis is Basis.PAUSED]
    if paused:
        return f"no pool has workers for it; {', '.join(paused)} is paused"
    return "no pool has workers for it" if pools else "the site has no pools"


def _cheapest(task: PendingTask, market: Market, ledger: Ledger) -> float:
    """What is to be left for it somewhere."""
    offers = market.offers(task)
    paid = [k for k, pool in enumerate(market.pools) if pool.spec.kind == "cloud"] + _where_carried(task, market)
    if task.cut_short:
        return min((ledger.whole_run_eur(task, market, k) for k in paid), default=0.0)
    return min((offers[k].reserve_eur for k in paid), default=0.0)


def _turn(task: PendingTask, now_s: float) -> str:
    if task.turn_s is None or task.turn_s <= now_s + _SOON_S:
        return ""
    return f"; by {task.user}'s fair share its turn comes at {_clock(task.turn_s)}"


def _names(pools: Sequence[PoolState]) -> str:
    return ", ".join(pool.spec.name for pool in pools)


def _clock(moment_s: float) -> str:
    return f"{datetime.fromtimestamp(moment_s, UTC):%Y-%m-%d %H:%M:%S} UTC"
