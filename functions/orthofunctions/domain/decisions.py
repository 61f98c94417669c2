"""What was decided on a task, and what its user is told of it: where to, why there, how the other pools stood."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cached_property
from typing import Final

from pydantic import TypeAdapter

from orthofunctions.domain.money import CENT_PART
from orthofunctions.domain.offers import Market, PendingTask
from orthofunctions.domain.pool_state import Basis, PoolState

_A_CENT: Final = 0.005


@dataclass(slots=True)
class PoolFigures:
    """What a round knew of one pool when it decided on a task. ``in_time`` None: the task has no deadline."""

    kind: str
    basis: Basis
    free_slots: int
    start_in_s: float | None
    transfer_s: float
    run_s: float
    cost_eur: float
    in_time: bool | None = None


@dataclass(frozen=True, slots=True)
class Decision:
    """Stored with the task and shown to its user: why here, and what stood elsewhere.

    ``cost_eur`` is what is reserved: the run at its 90th percentile, and start-up. ``contingency_eur`` is what it may
    cost beyond that: the longest run that is allowed, or as much as there is money for.
    """

    task_id: str
    pool: str
    cost_eur: float
    sentence: str
    figures: Mapping[str, PoolFigures]
    contingency_eur: float = 0.0

    @property
    def ceiling_eur(self) -> float:
        """What it costs at most."""
        return self.cost_eur + self.contingency_eur

    def to_json(self) -> str:
        return _DECISION.dump_json(replace(self, figures=dict(self.figures))).decode()

    @classmethod
    def from_json(cls, text: str | bytes) -> Decision:
        return _DECISION.validate_json(text)


_DECISION: Final = TypeAdapter(Decision)


class FiguresSeen(Mapping[str, PoolFigures]):
    """The figures of all pools as they stood before a task was placed: worked out when they are looked at."""

    def __init__(
        self, market: Market, task: PendingTask, now_s: float, free: Sequence[int], start_s: Sequence[float]
    ) -> None:
        self._market, self._task, self._now_s, self._free, self._start_s = market, task, now_s, free, start_s

    @cached_property
    def _figures(self) -> dict[str, PoolFigures]:
        deadline_s, figures = self._task.deadline_s, {}
        offers = self._market.offers(self._task)
        for pool, offer, free, start_s in zip(self._market.pools, offers, self._free, self._start_s, strict=True):
            in_time = None
            if deadline_s is not None:
                sure_s = offer.sure_s - pool.spec.startup_s + start_s
                in_time = free > 0 and sure_s <= deadline_s - self._now_s + CENT_PART
            figures[pool.spec.name] = PoolFigures(
                pool.spec.kind, pool.basis, free, start_s if free > 0 else None, offer.transfer_s, offer.run_s,
                offer.reserve_eur, in_time,
            )  # fmt: skip
        return figures

    def __getitem__(self, pool: str) -> PoolFigures:
        return self._figures[pool]

    def __iter__(self) -> Iterator[str]:
        return iter(self._figures)

    def __len__(self) -> int:
        return len(self._figures)


def sentence_of(task: PendingTask, chosen: PoolState, cost_eur: float, late: bool) -> str:
    """For people: where to, why there, what it may cost."""
    name = chosen.spec.name
    if chosen.spec.kind == "onprem":
        known = "" if chosen.basis is Basis.ADVERTISED else f" (its capacity is {chosen.basis})"
        return f"{name}: an on-prem slot was free{known}"
    money = f"; {cost_eur:.2f} EUR reserved" if cost_eur >= _A_CENT else ""
    if task.deadline_s is None:
        return f"{name}: no on-prem slot came free within its patience of {task.patience_s:g} s{money}"
    at = f"{datetime.fromtimestamp(task.deadline_s, UTC):%Y-%m-%d %H:%M:%S} UTC"
    if late:
        return f"{name}: no pool is sure to make its deadline {at} any longer, this one is the soonest{money}"
    return f"{name}: no on-prem slot was free when its deadline {at} left no more time{money}"
