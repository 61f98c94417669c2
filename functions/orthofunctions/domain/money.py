"""What a month and its users may still spend, as the policy wants to know it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from orthofunctions.domain.offers import Market, PendingTask

CENT_PART: Final = 1e-9
"""What sums and differences of euros may be off by."""


@dataclass(frozen=True, slots=True)
class UserLedger:
    """What one user has, and may have; None: no limit.

    Of a month's ``credits_eur``, ``credits_left_eur`` is what is neither spent nor reserved; ``contingency_eur`` of
    that may be what releases under way cost in the end.
    """

    running: int = 0
    max_running: int | None = None
    credits_left_eur: float | None = None
    may_overdraw: bool = False
    contingency_eur: float = 0.0
    credits_eur: float | None = None


@dataclass(frozen=True, slots=True)
class Ledger:
    """The month's cloud money (``budget_eur`` None is no limit), and the users' own limits.

    ``committed_eur`` is spent or reserved, ``contingency_eur`` what releases under way may cost beyond that;
    ``longest_run_s`` is when a run is ended, whatever it is doing.
    """

    budget_eur: float | None = None
    committed_eur: float = 0.0
    users: Mapping[str, UserLedger] = field(default_factory=dict)
    egress_eur_per_gb: Mapping[str, float] = field(default_factory=dict)
    contingency_eur: float = 0.0
    longest_run_s: float = 0.0

    @property
    def left_eur(self) -> float | None:
        """Of the budget, whatever runs under way take; None: no limit."""
        return None if self.budget_eur is None else self.budget_eur - self.committed_eur - self.contingency_eur

    def whole_run_eur(self, task: PendingTask, market: Market, k: int) -> float:
        """What a release to the pool at place ``k`` may cost, or all that a month has for it where that is less."""
        user = self.users.get(task.user)
        limits = (self.budget_eur, None if user is None else user.credits_eur)
        most_eur = market.most_eur(k, task, self.longest_run_s)
        return min([most_eur, *(limit for limit in limits if limit is not None)])
