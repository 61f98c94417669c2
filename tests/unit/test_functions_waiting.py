"""What people are told, word for word: why a task went where it went, and what one that waits waits for."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from orthofunctions.domain.money import Ledger, UserLedger
from orthofunctions.domain.offers import PendingTask
from orthofunctions.domain.policy import plan_releases
from orthofunctions.domain.pool_state import Basis, Coming, PoolState
from orthofunctions.domain.pools import PoolSpec
from orthofunctions.domain.runtimes import RunTimes
from orthofunctions.domain.waiting import why_waits

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC).timestamp()
EXACT = {"": RunTimes(sigma=0.0)}
HPC = PoolSpec(name="hpc", kind="onprem", max_slots=4, run_overhead_s=60, run_s_per_megapixel=1)
CLOUD = HPC.model_copy(
    update={"name": "cloud", "kind": "cloud", "startup_s": 120.0, "price_per_slot_hour_eur": 0.36, "max_slots": 2}
)
FULL = PoolState(HPC, Basis.ADVERTISED, {1: 4}, {1: 4}, run_times=EXACT)
FAR = PoolState(HPC.model_copy(update={"local": ()}), Basis.ADVERTISED, {1: 4}, {1: 3}, run_times=EXACT)
FREE = PoolState(HPC, Basis.ADVERTISED, {1: 4}, {1: 3}, run_times=EXACT)
SILENT = PoolState(HPC, Basis.LAST_KNOWN, {1: 4}, {1: 0}, run_times=EXACT)
PAUSED = PoolState(HPC, Basis.PAUSED, {}, {1: 1}, run_times=EXACT)
NONE = PoolState(HPC, Basis.NONE)
BURST = PoolState(CLOUD, Basis.CONFIGURED, {1: 2}, {1: 0}, run_times=EXACT)
BURST_FULL = PoolState(CLOUD, Basis.CONFIGURED, {1: 2}, {1: 2}, run_times=EXACT)


def task(**fields: object) -> PendingTask:
    """Of 540 Mpx: ten minutes, and two more where a worker has to start."""
    values: dict[str, object] = {
        "user": "ana", "created_s": NOW - 60, "patience_s": 300.0, "megapixels": 540.0, "result_version": 1
    }  # fmt: skip
    return PendingTask(task_id="t", **{**values, **fields})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("one", "pools", "ledger", "says"),
    [
        (task(), [FREE, BURST], Ledger(), "hpc: an on-prem slot was free"),
        (task(), [SILENT], Ledger(), "hpc: an on-prem slot was free (its capacity is last known)"),
        (
            task(created_s=NOW - 400),
            [FULL, BURST],
            Ledger(),
            "cloud: no on-prem slot came free within its patience of 300 s; 0.07 EUR reserved",
        ),
        (
            task(deadline_s=NOW + 720),
            [FULL, BURST],
            Ledger(),
            "cloud: no on-prem slot was free when its deadline 2026-05-01 12:12:00 UTC left no more time; "
            "0.07 EUR reserved",
        ),
        (
            task(deadline_s=NOW + 600),
            [FULL, BURST],
            Ledger(),
            "cloud: no pool is sure to make its deadline 2026-05-01 12:10:00 UTC any longer, this one is the soonest; "
            "0.07 EUR reserved",
        ),
        (
            task(created_s=NOW - 400, urgent=True),
            [FULL, BURST],
            Ledger(budget_eur=10, committed_eur=9.99, users={"ana": UserLedger(may_overdraw=True)}),
            "cloud: no on-prem slot came free within its patience of 300 s; 0.07 EUR reserved, beyond "
            "the month's budget: it is urgent",
        ),
        (
            task(created_s=NOW - 400, urgent=True),
            [FULL, BURST],
            Ledger(budget_eur=10, committed_eur=9.9, users={"ana": UserLedger(may_overdraw=True)}),
            "cloud: no on-prem slot came free within its patience of 300 s; 0.07 EUR reserved",
        ),
    ],
)
def test_decisions(one: PendingTask, pools: list[PoolState], ledger: Ledger, says: str) -> None:
    (decision,) = plan_releases([one], pools, ledger, NOW)
    assert decision.sentence == says


@pytest.mark.parametrize(
    ("one", "pools", "ledger", "says"),
    [
        (
            task(deadline_s=NOW + 720),
            [replace(FULL, coming=(Coming(NOW + 100, 2, 1),)), BURST],
            Ledger(),
            "hpc: no slot is free; hpc expects a worker at 2026-05-01 12:01:40 UTC, in time for its deadline",
        ),
        (
            task(),
            [FULL, BURST],
            Ledger(),
            "hpc: no slot is free; it goes to the cloud at 2026-05-01 12:04:00 UTC at the latest: "
            "its patience lasts until then",
        ),
        (
            task(deadline_s=NOW + 3600),
            [FULL, BURST],
            Ledger(),
            "hpc: no slot is free; it goes to the cloud at 2026-05-01 12:48:00 UTC at the latest: "
            "its deadline allows that",
        ),
        (task(), [FREE], Ledger(), "the next round looks at it"),
        (task(created_s=NOW - 400), [FULL, BURST_FULL], Ledger(), "hpc: no slot is free, and cloud is full"),
        (
            task(created_s=NOW - 400),
            [FULL, BURST],
            Ledger(budget_eur=10, committed_eur=9.99),
            "hpc: no slot is free, and this month's cloud budget of 10.00 EUR is used up",
        ),
        (
            task(created_s=NOW - 400, urgent=True),
            [FULL, BURST],
            Ledger(budget_eur=10, committed_eur=9.99),
            "hpc: no slot is free, and this month's cloud budget of 10.00 EUR is used up, "
            "which urgent tasks of ana may not exceed",
        ),
        (
            task(created_s=NOW - 4000, turn_s=NOW + 1200, deadline_s=NOW),
            [FULL, BURST],
            Ledger(budget_eur=0),
            "hpc: no slot is free, and this month's cloud budget of 0.00 EUR is used up; "
            "by ana's fair share its turn comes at 2026-05-01 12:20:00 UTC",
        ),
        (
            task(created_s=NOW - 400),
            [FULL, BURST],
            Ledger(users={"ana": UserLedger(credits_left_eur=0.01)}),
            "hpc: no slot is free, and ana has 0.01 EUR of this month's credits left",
        ),
        (
            task(),
            [FREE, BURST],
            Ledger(users={"ana": UserLedger(running=5, max_running=5)}),
            "ana may have 5 tasks at work, and has 5",
        ),
        (
            task(created_s=NOW - 400, urgent=True),
            [FULL, BURST],
            Ledger(budget_eur=10, committed_eur=7.2, contingency_eur=2.75),
            "hpc: no slot is free, and runs under way may yet cost 2.75 EUR of the 2.80 EUR that are left of this "
            "month's cloud budget of 10.00 EUR, which urgent tasks of ana may not exceed",
        ),
        (
            task(created_s=NOW - 400),
            [FULL, BURST],
            Ledger(users={"ana": UserLedger(credits_left_eur=0.5, contingency_eur=0.45)}),
            "hpc: no slot is free, and ana's runs under way may yet cost 0.45 EUR of the 0.50 EUR that are left of "
            "this month's credits",
        ),
        (
            task(created_s=NOW - 400, cut_short=True),
            [FULL, BURST],
            Ledger(budget_eur=10, committed_eur=9.8, contingency_eur=0.05, longest_run_s=3600),
            "hpc: no slot is free, and this month's cloud budget of 10.00 EUR is used up; a run of it was ended for "
            "want of money, so that it waits for 0.37 EUR",
        ),
        (
            task(inputs=(("blobs", 10**9),)),
            [FAR],
            Ledger(budget_eur=10, committed_eur=9.99, egress_eur_per_gb={"blobs": 0.1}),
            "hpc: its data would be carried there for 0.10 EUR, and this month's cloud budget of 10.00 EUR is used up",
        ),
        (
            task(inputs=(("blobs", 10**9),)),
            [replace(FAR, lasts_s={1: 60.0})],
            Ledger(budget_eur=10, committed_eur=9.99, egress_eur_per_gb={"blobs": 0.1}),
            "hpc: the batch jobs of its free workers end before the task would, and there is no cloud pool",
        ),
        (task(), [FULL], Ledger(), "hpc: no slot is free, and there is no cloud pool"),
        (task(), [NONE], Ledger(), "no pool has workers for it"),
        (task(), [PAUSED], Ledger(), "no pool has workers for it; hpc is paused"),
        (task(result_version=2), [FREE, BURST], Ledger(), "no pool has workers for it"),
        (task(), [], Ledger(), "the site has no pools"),
    ],
)
def test_what_a_waiting_task_waits_for(one: PendingTask, pools: list[PoolState], ledger: Ledger, says: str) -> None:
    assert why_waits(one, pools, ledger, NOW) == says


def test_a_back_off_comes_before_all_else() -> None:
    said = why_waits(task(), [FREE], Ledger(), NOW, not_before_s=NOW + 30)
    assert said == "waits until 2026-05-01 12:00:30 UTC before its next attempt"


def test_slots_of_batch_jobs_that_end_too_soon() -> None:
    ending = replace(FREE, lasts_s={1: 599.0})
    says = "hpc: the batch jobs of its free workers end before the task would, and there is no cloud pool"
    assert why_waits(task(), [ending], Ledger(), NOW) == says
    assert why_waits(task(), [replace(ending, lasts_s={1: 601.0})], Ledger(), NOW) == "the next round looks at it"
