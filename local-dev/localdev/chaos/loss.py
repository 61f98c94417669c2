"""Mass loss: all workers of the centre vanish at once, under work, and come back when the cloud's budget is used up."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from localdev.bench.dispatch import make_job
from localdev.stack import Stack, StackSpec
from localdev.stack.settings import write_setting
from localdev.stack.sleepers import Sleepers
from orthocontracts import names
from orthocontracts.states import TaskState
from orthofunctions.bootstrap import System, build
from orthofunctions.domain.records import ActiveRecord, TaskRecord
from orthofunctions.ports import Ports
from orthofunctions.settings import Settings
from orthofunctions.usecases.explain import reasons_to_wait
from orthofunctions.usecases.ledger import OF_RELEASE, account, month_of
from orthofunctions.usecases.roster import all_agents
from orthofunctions.usecases.rows import find, release_key

HPC, CLOUD = "hpc", "cloud"
EUR_PER_SLOT_HOUR = 36.0
KEEPALIVE_S, PATIENCE_S, LEASE_S, STARTUP_S = 10.0, 20.0, 15, 2.0
BUSY_S, CLOUD_RUN_S, BACK_RUN_S = 60.0, 8.0, 1.0
RULES = {
    "patience_s": PATIENCE_S, "keepalive_s": KEEPALIVE_S, "backoff_s": 1.0, "time_limit_s": 65.0, "run_grace_s": 10.0
}  # fmt: skip
"""A run comes to 0.77 EUR at most, of the budget's 2: that is held for it, however short it is."""
TASKS_A_JOB = 15
STEP_LIMIT_S = 300.0
LOOKS_AT_MONEY = 8  # to one at the cloud's releases, which takes longer
CENT_PART = 1e-9
LOOK_EVERY_S = 0.2


@dataclass(frozen=True)
class LossOrder:
    """``agents`` of the centre, of which all go; as many slots of the cloud as ``cloud``, and money for fewer tasks."""

    agents: int
    cloud: int
    tasks: int
    budget_eur: float


@dataclass(frozen=True)
class Loss:
    """What was seen.

    Attributes
    ----------
    noticed_s : float
        From the moment at which all workers vanished until a round would count no slot of theirs.
    given_back_s : float
        Until none of their tasks counted as released to them any longer.
    cloud_peak : int
        Releases of the cloud at a time, at most.
    committed_peak_eur, reserved_peak_eur, ceiling_peak_eur : float
        Of the month's account, at most: all that was spent or reserved, what was reserved, and what all of it might
        have come to.
    n_looks : int
        How often the account was read.
    spent_eur, overrun_eur : float
        At the end; and how much of it runs took beyond what had been reserved for them, which is their 90th percentile.
    n_cut_short : int
        Tasks of which a run was ended for want of money.
    n_cloud, n_back : int
        Tasks that ran in the cloud, and on workers that had come back.
    back_s, recovered_s : float
        From their return until the first task ran on one of them, and until all tasks were over.
    lost : int
        Tasks without a result.
    """

    noticed_s: float
    given_back_s: float
    cloud_peak: int
    committed_peak_eur: float
    reserved_peak_eur: float
    ceiling_peak_eur: float
    n_looks: int
    spent_eur: float
    overrun_eur: float
    n_cut_short: int
    n_cloud: int
    n_back: int
    back_s: float
    recovered_s: float
    lost: int


def mass_loss(folder: Path, order: LossOrder) -> Loss:
    """Run it. Every step has a limit: what it waited for in vain is said."""
    spec = StackSpec(
        folder, agents=0, cloud_limit=0, patience_s=PATIENCE_S,
        functions={f"ORTHOBURST_{name.upper()}": str(value) for name, value in RULES.items()},
    )  # fmt: skip
    with Stack(spec) as stack, contextlib.ExitStack() as exits:
        storage = stack.azurite.connection_string
        _write_site(storage, order)
        system = exits.enter_context(
            contextlib.closing(build(Settings.model_validate({"AzureWebJobsStorage": storage, **RULES})))
        )
        ports = system.ports

        def crew(pool: str, count: int, sleep_s: float) -> Sleepers:
            return exits.enter_context(
                Sleepers(
                    count, pool=pool, storage=storage, broker=stack.broker.url, scratch=folder / "crew",
                    sleep_s=sleep_s, lease_s=LEASE_S, every_s=KEEPALIVE_S,
                )
            )  # fmt: skip

        crew(CLOUD, order.cloud, CLOUD_RUN_S)
        centre = crew(HPC, order.agents, BUSY_S)
        _until(lambda: _online(ports, HPC) == order.agents, "all workers of the centre to be there")
        ledger = exits.enter_context(_Auditor(ports).at_work())
        _make_tasks(ports, order.tasks)
        _until(lambda: _running(ports, HPC) >= 0.9 * order.agents, "the centre to be busy")

        gone_at_s = time.monotonic()
        centre.kill()
        noticed_s = _until(lambda: _online(ports, HPC) == 0, "the loss to be noticed", gone_at_s)
        given_back_s = _until(
            lambda: not any(one.pool == HPC for one in find(ports.tables, ActiveRecord)), "the work to be given back",
            gone_at_s,
        )  # fmt: skip
        _until(lambda: _waits_for_money(system), "the budget to be used up")

        back_at_s, back_at = time.monotonic(), ports.clock.now()
        crew(HPC, order.agents, BACK_RUN_S)
        back_s = _until(lambda: _running(ports, HPC) > 0, "the work to return to the centre", back_at_s)
        recovered_s = _until(lambda: _all_over(ports), "all tasks to be over", back_at_s)
        _until(lambda: account(ports, _month(ports)).reserved_eur < CENT_PART, "all reservations to be settled")
        return _judged(ports, order, ledger, noticed_s, given_back_s, back_s, recovered_s, back_at)


class _Auditor:
    """Reads the month's account and the cloud's releases again and again, in a thread of its own."""

    def __init__(self, ports: Ports) -> None:
        self._ports, self._stop = ports, threading.Event()
        self.committed_peak_eur = self.reserved_peak_eur = self.ceiling_peak_eur = 0.0
        self.cloud_peak = self.n_looks = 0

    @contextlib.contextmanager
    def at_work(self) -> Iterator[_Auditor]:
        thread = threading.Thread(target=self._look_on, daemon=True)
        thread.start()
        try:
            yield self
        finally:
            self._stop.set()
            thread.join()

    def _look_on(self) -> None:
        month = _month(self._ports)
        while not self._stop.is_set():
            for _ in range(LOOKS_AT_MONEY):
                total = account(self._ports, month)
                self.committed_peak_eur = max(self.committed_peak_eur, total.committed_eur)
                self.reserved_peak_eur = max(self.reserved_peak_eur, total.reserved_eur)
                self.ceiling_peak_eur = max(self.ceiling_peak_eur, total.ceiling_eur)
                self.n_looks += 1
            in_cloud = sum(1 for one in find(self._ports.tables, ActiveRecord) if one.pool == CLOUD)
            self.cloud_peak = max(self.cloud_peak, in_cloud)


def _write_site(storage: str, order: LossOrder) -> None:
    cloud = {
        "name": CLOUD, "kind": "cloud", "max_slots": order.cloud, "startup_s": STARTUP_S,
        "price_per_slot_hour_eur": EUR_PER_SLOT_HOUR,
    }  # fmt: skip
    pools = [{"name": HPC, "kind": "onprem", "max_slots": order.agents}, cloud]
    content = {"version": 1, "month_budget_eur": order.budget_eur, "pools": pools}
    write_setting(storage, names.BLOB_POOLS, content)


def _make_tasks(ports: Ports, count: int) -> None:
    """As the planner leaves them."""
    ports.blobs.write(names.CONTAINER_PRODUCTS, "image.tif", b"pixels")
    ports.blobs.write(names.CONTAINER_PRODUCTS, "image_RPC.TXT", b"rpc")
    time.sleep(1.0)  # what is younger than a plan is looked at again, in whole seconds
    sizes = [min(TASKS_A_JOB, count - first) for first in range(0, count, TASKS_A_JOB)]
    with ThreadPoolExecutor(4) as planners:
        list(planners.map(lambda one: make_job(ports, f"loss-{one[0]}", one[1]), enumerate(sizes)))


def _until(is_so: Callable[[], bool], what: str, since_s: float | None = None) -> float:
    """Wait for it; seconds since then."""
    began_s = time.monotonic()
    while not is_so():
        if time.monotonic() - began_s > STEP_LIMIT_S:
            raise TimeoutError(f"waited {STEP_LIMIT_S:g} s in vain for {what}")
        time.sleep(LOOK_EVERY_S)
    return time.monotonic() - (began_s if since_s is None else since_s)


def _online(ports: Ports, pool: str) -> int:
    return sum(1 for agent in all_agents(ports) if agent.pool == pool and agent.state == "online" and agent.slots)


def _running(ports: Ports, pool: str) -> int:
    return sum(1 for one in find(ports.tables, ActiveRecord) if one.pool == pool and one.started_at is not None)


def _waits_for_money(system: System) -> bool:
    """Whether tasks are told that the budget is used up, and the cloud works on nothing."""
    pending = list(find(system.ports.tables, TaskRecord, state=TaskState.PENDING.value))
    if not pending or any(one.pool == CLOUD for one in find(system.ports.tables, ActiveRecord)):
        return False
    return all(
        "budget of" in why and "used up" in why for why in reasons_to_wait(system.ports, system.rules, pending).values()
    )


def _all_over(ports: Ports) -> bool:
    if any(True for _ in find(ports.tables, ActiveRecord)):
        return False
    return all(task.state.is_final for task in find(ports.tables, TaskRecord))


def _month(ports: Ports) -> str:
    return month_of(ports.clock.now())


def _judged(
    ports: Ports,
    order: LossOrder,
    seen: _Auditor,
    noticed_s: float,
    given_back_s: float,
    back_s: float,
    recovered_s: float,
    back_at: datetime,
) -> Loss:
    done = [task for task in find(ports.tables, TaskRecord) if task.state is TaskState.SUCCEEDED]
    n_entries = sum(1 for _ in ports.blobs.list(names.CONTAINER_CATALOGUE))
    return Loss(
        noticed_s=noticed_s,
        given_back_s=given_back_s,
        cloud_peak=seen.cloud_peak,
        committed_peak_eur=seen.committed_peak_eur,
        reserved_peak_eur=seen.reserved_peak_eur,
        ceiling_peak_eur=seen.ceiling_peak_eur,
        n_looks=seen.n_looks,
        spent_eur=account(ports, _month(ports)).spent_eur,
        overrun_eur=sum(_overrun_eur(ports, task) for task in done if task.pool == CLOUD),
        n_cut_short=sum(task.cut_short for task in done),
        n_cloud=sum(task.pool == CLOUD for task in done),
        n_back=sum(task.pool == HPC and task.released_at is not None and task.released_at > back_at for task in done),
        back_s=back_s,
        recovered_s=recovered_s,
        lost=order.tasks - min(len(done), n_entries),
    )


def _overrun_eur(ports: Ports, task: TaskRecord) -> float:
    booked = ports.tables.get(names.TABLE_LEDGER, _month(ports), OF_RELEASE + release_key(task.task_id, task.release))
    return max(0.0, float(str(booked.values["eur"])) - task.reserved_eur) if booked is not None else 0.0
