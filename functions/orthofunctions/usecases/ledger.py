"""The month's cloud money: a round reserves before it releases.

What a round that died had reserved stays reserved: the ledger may overstate what is spent, never understate it.
"""

from __future__ import annotations

from datetime import datetime

from orthocontracts import names
from orthofunctions.domain.policy import Ledger
from orthofunctions.domain.rules import Rules
from orthofunctions.ports import Ports, Row, RowChangedError, RowExistsError

_PARTITION = "month"
_RESERVED = "reserved_eur"


def read_ledger(ports: Ports, rules: Rules, now: datetime) -> Ledger:
    row = ports.tables.get(names.TABLE_LEDGER, _PARTITION, _month(now))
    return Ledger(rules.month_budget_eur, float(str(row.values[_RESERVED])) if row else 0.0)


def reserve(ports: Ports, rules: Rules, amount_eur: float, now: datetime) -> bool:
    """Add to the month's reservations, unless that would exceed the budget. False where it would."""
    while amount_eur > 0:
        row = ports.tables.get(names.TABLE_LEDGER, _PARTITION, _month(now))
        reserved_eur = amount_eur + (float(str(row.values[_RESERVED])) if row else 0.0)
        if rules.month_budget_eur is not None and reserved_eur > rules.month_budget_eur + 1e-9:
            return False
        changed = Row(_PARTITION, _month(now), {_RESERVED: reserved_eur}, row.etag if row else "")
        try:
            if row is None:
                ports.tables.insert(names.TABLE_LEDGER, changed)
            else:
                ports.tables.replace(names.TABLE_LEDGER, changed)
        except (RowChangedError, RowExistsError):
            continue
        return True
    return True


def _month(now: datetime) -> str:
    return now.strftime("%Y-%m")
