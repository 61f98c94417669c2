"""What a month has cost, and what it will have cost at its end if it goes on like this."""

from __future__ import annotations

import calendar
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from orthocontracts import names
from orthofunctions.domain.rules import Rules
from orthofunctions.ports import Ports
from orthofunctions.usecases.ledger import OF_RELEASE, Account, account, accounts_of_users, books_of, month_of
from orthofunctions.usecases.site import load_site


@dataclass(frozen=True)
class Month:
    """``forecast_eur`` None: the month is over, or has hardly begun."""

    month: str
    total: Account
    by_user: dict[str, Account]
    budget_eur: float | None
    forecast_eur: float | None


def month_costs(ports: Ports, rules: Rules, month: str | None = None) -> Month:
    """A month, ``2026-05``, by default this one."""
    now = ports.clock.now()
    asked = month or month_of(now)
    total = account(ports, asked)
    forecast_eur = _forecast_eur(total.committed_eur, now) if asked == month_of(now) else None
    budget_eur = load_site(ports).budget_eur(rules.month_budget_eur)
    return Month(asked, total, accounts_of_users(ports, asked), budget_eur, forecast_eur)


@dataclass(frozen=True)
class JobCost:
    """What the releases of a job that have ended took."""

    eur: float = 0.0
    on_prem_slot_s: float = 0.0
    cloud_slot_s: float = 0.0


def job_cost(ports: Ports, job_id: str, began: datetime, campaigns: Iterable[str] = ()) -> JobCost:
    """Of all months since the job began, and of the campaigns it worked for."""
    books = [books_of(campaign) for campaign in campaigns]
    month, last = began.replace(day=1), ports.clock.now()
    while month_of(month) <= month_of(last):
        books.append(month_of(month))
        month = (month + timedelta(days=32)).replace(day=1)
    found, first = JobCost(), OF_RELEASE + job_id
    for partition in books:
        rows = ports.tables.query(names.TABLE_LEDGER, partition=partition, key_from=f"{first}-", key_below=f"{first}.")
        for row in rows:
            eur, slot_s = float(str(row.values["eur"])), float(str(row.values["slot_s"]))
            found = JobCost(
                found.eur + eur,
                found.on_prem_slot_s + (0.0 if row.values["is_cloud"] else slot_s),
                found.cloud_slot_s + (slot_s if row.values["is_cloud"] else 0.0),
            )
    return found


def _forecast_eur(committed_eur: float, now: datetime) -> float | None:
    """In proportion to the time that has passed; nothing in a month's first day."""
    days = calendar.monthrange(now.year, now.month)[1]
    passed = (now - now.replace(day=1, hour=0, minute=0, second=0, microsecond=0)) / timedelta(days=1)
    return committed_eur * days / passed if passed >= 1 else None
