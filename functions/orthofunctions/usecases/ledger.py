"""The month's money: a round reserves before it releases, and the end of a release settles what it really cost.

Rows of a month share a partition, so that a settlement, its user's row and the month's total change in one transaction;
the settlement's row can be inserted once only, whoever tries again. What a round that died had reserved and never
released stays reserved: the ledger may overstate what is spent, never understate it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from itertools import islice

from orthocontracts import names
from orthofunctions.domain.policy import Ledger, UserLedger
from orthofunctions.domain.pools import SiteSpec
from orthofunctions.domain.records import ActiveRecord
from orthofunctions.domain.rules import Rules
from orthofunctions.ports import Change, Ports, Row, RowChangedError, RowExistsError, Value

TOTAL, OF_USER, OF_RELEASE = "total", "u-", "s-"
_USERS_AT_ONCE = 90
_TRIES = 20
_TOLERANCE_EUR = 1e-9
_NOTHING_EUR = 1e-6
"""What sums and differences of cents may leave."""


@dataclass(frozen=True)
class Account:
    """What was spent in a month, by all or by one user. Slot-seconds of the centre are paid for: they cost nothing."""

    reserved_eur: float = 0.0
    spent_eur: float = 0.0
    on_prem_slot_s: float = 0.0
    cloud_slot_s: float = 0.0
    etag: str = ""

    @property
    def committed_eur(self) -> float:
        return self.reserved_eur + self.spent_eur

    @classmethod
    def of(cls, row: Row | None) -> Account:
        if row is None:
            return cls()
        kept = ("reserved_eur", "spent_eur", "on_prem_slot_s", "cloud_slot_s")
        return cls(**{name: float(str(row.values.get(name, 0.0))) for name in kept}, etag=row.etag)

    def change(self, month: str, key: str, *, reserved: float, spent: float, on_prem: float, cloud: float) -> Change:
        values = {
            "reserved_eur": max(0.0, self.reserved_eur + reserved),
            "spent_eur": self.spent_eur + spent,
            "on_prem_slot_s": self.on_prem_slot_s + on_prem,
            "cloud_slot_s": self.cloud_slot_s + cloud,
        }
        return Change("replace" if self.etag else "insert", Row(month, key, values, self.etag))


def month_of(moment: datetime) -> str:
    return moment.strftime("%Y-%m")


def books_of(campaign: str) -> str:
    """The partition of a campaign's money, from its start to its end: it is no month's."""
    return f"campaign-{campaign}"


def reserve_for_campaign(ports: Ports, campaign: str, amount_eur: float, max_eur: float) -> bool:
    """Add to a campaign's reservations, unless that would exceed what it may spend. False where it would."""
    return _reserved_changed(
        ports,
        campaign,
        lambda total: amount_eur if total.committed_eur + amount_eur <= max_eur + _TOLERANCE_EUR else None,
    )


def unreserve_for_campaign(ports: Ports, campaign: str, amount_eur: float) -> None:
    """Give back what was reserved for a release that was not made."""
    _reserved_changed(ports, campaign, lambda _: -amount_eur)


def free_lost(ports: Ports, campaign: str, active: Iterable[ActiveRecord]) -> Account:
    """A campaign's account, without what rounds had reserved that died before they released anything for it.

    Only under the lease of rounds, with the active releases as they were read under it: nobody else reserves then, and
    whoever settles a release deletes its active row afterwards. What of the two is more is nobody's.
    """
    known_eur = sum(one.reserved_eur for one in active if one.campaign == campaign)

    def lost(total: Account) -> float | None:
        lost_eur = total.reserved_eur - known_eur
        return -lost_eur if lost_eur > (_NOTHING_EUR if known_eur else 0.0) else None

    _reserved_changed(ports, campaign, lost)
    return account(ports, books_of(campaign))


def _reserved_changed(ports: Ports, campaign: str, by_eur: Callable[[Account], float | None]) -> bool:
    """Change what is reserved of a campaign's money; False where it is to stay as it is."""
    books = books_of(campaign)
    for _ in range(_TRIES):
        total = account(ports, books)
        reserved_eur = by_eur(total)
        if reserved_eur is None:
            return False
        change = total.change(books, TOTAL, reserved=reserved_eur, spent=0, on_prem=0, cloud=0)
        try:
            ports.tables.transact(names.TABLE_LEDGER, [change])
        except (RowChangedError, RowExistsError):
            continue
        return True
    raise RowChangedError(f"the books of campaign {campaign} kept changing")


def account(ports: Ports, month: str, key: str = TOTAL) -> Account:
    return Account.of(ports.tables.get(names.TABLE_LEDGER, month, key))


def accounts_of_users(ports: Ports, month: str) -> dict[str, Account]:
    rows = ports.tables.query(names.TABLE_LEDGER, partition=month, key_from=OF_USER, key_below="u.")
    return {row.key.removeprefix(OF_USER): Account.of(row) for row in rows}


def read_ledger(
    ports: Ports, rules: Rules, site: SiteSpec, active: Iterable[ActiveRecord], users: Iterable[str], now: datetime
) -> Ledger:
    """The ledger as the policy wants it, with the limits of the users who have work."""
    month, running = month_of(now), dict[str, int]()
    for release in (one for one in active if not one.campaign):
        running[release.user] = running.get(release.user, 0) + 1
    limits = {}
    for user in set(users):
        share = site.share_of(user)
        if share.max_running is None and share.credits_eur is None and not share.may_overdraw:
            continue
        left = None
        if share.credits_eur is not None:
            left = share.credits_eur - account(ports, month, OF_USER + user).committed_eur
        limits[user] = UserLedger(running.get(user, 0), share.max_running, left, share.may_overdraw)
    egress = {store.name: store.egress_eur_per_gb for store in site.stores if store.egress_eur_per_gb}
    return Ledger(site.budget_eur(rules.month_budget_eur), account(ports, month).committed_eur, limits, egress)


def reserve(
    ports: Ports,
    budget_eur: float | None,
    by_user_eur: Mapping[str, float],
    now: datetime,
    *,
    beyond_budget_eur: float = 0.0,
) -> bool:
    """Add to the month's reservations, unless that would exceed the budget. False where it would, or others did.

    ``beyond_budget_eur`` of it may: it is for urgent work of users who may overdraw.
    """
    by_user = {user: amount_eur for user, amount_eur in by_user_eur.items() if amount_eur > 0}
    return all(_reserve(ports, budget_eur, part, month_of(now), beyond_budget_eur) for part in _parts(by_user))


def _reserve(
    ports: Ports, budget_eur: float | None, by_user: Mapping[str, float], month: str, beyond_eur: float
) -> bool:
    for _ in range(_TRIES):
        total, amount_eur = account(ports, month), sum(by_user.values())
        if budget_eur is not None:
            within = total.committed_eur + amount_eur - beyond_eur
            if amount_eur > beyond_eur and within > budget_eur + _TOLERANCE_EUR:
                return False
        changes = [total.change(month, TOTAL, reserved=amount_eur, spent=0, on_prem=0, cloud=0)]
        for user, eur in by_user.items():
            theirs = account(ports, month, OF_USER + user)
            changes.append(theirs.change(month, OF_USER + user, reserved=eur, spent=0, on_prem=0, cloud=0))
        try:
            ports.tables.transact(names.TABLE_LEDGER, changes)
        except (RowChangedError, RowExistsError):
            continue
        return True
    raise RowChangedError(f"the ledger of {month} kept changing")


def return_reservation(ports: Ports, active: ActiveRecord) -> None:
    """Give back what was reserved for a release that never came to be. Any number of times.

    Its settlement has a key of its own: another round may yet make a release of the same number.
    """
    _book(ports, active, f"{active.release_key}-never-{active.released_at.timestamp():.6f}", active.released_at, 0.0)


def settle_release(ports: Ports, active: ActiveRecord, ended_at: datetime) -> None:
    """Book what a release cost that has ended, and give back what was reserved for it. Any number of times."""
    slot_s = max(0.0, (ended_at - active.started_at).total_seconds()) if active.started_at else 0.0
    if active.campaign and active.eur_per_slot_s:
        # a run is ended when what is reserved for it is used up: whoever says so only later does not make it longer
        paid_s = (active.reserved_eur - active.egress_eur) / active.eur_per_slot_s - active.startup_s
        slot_s = min(slot_s, max(0.0, paid_s))
    _book(ports, active, active.release_key, ended_at, slot_s)


def _book(ports: Ports, active: ActiveRecord, name: str, ended_at: datetime, slot_s: float) -> None:
    key = OF_RELEASE + name
    # a campaign's money is its own: neither its user's credits nor the month's budget know of it
    month = books_of(active.campaign) if active.campaign else month_of(active.released_at)
    accounts = (TOTAL,) if active.campaign else (OF_USER + active.user, TOTAL)
    eur = active.eur_per_slot_s * (slot_s + active.startup_s) + active.egress_eur if slot_s else 0.0
    values: dict[str, Value] = {
        "user": active.user,
        "pool": active.pool,
        "is_cloud": active.is_cloud,
        "slot_s": slot_s,
        "eur": eur,
        "at": ended_at,
    }
    row = Row(month, key, values)
    on_prem, cloud = (0.0, slot_s) if active.is_cloud else (slot_s, 0.0)
    for _ in range(_TRIES):
        changes = [Change("insert", row)]
        for account_key in accounts:
            found = account(ports, month, account_key)
            changes.append(
                found.change(month, account_key, reserved=-active.reserved_eur, spent=eur, on_prem=on_prem, cloud=cloud)
            )
        try:
            ports.tables.transact(names.TABLE_LEDGER, changes)
        except (RowChangedError, RowExistsError):
            if ports.tables.get(names.TABLE_LEDGER, month, key) is not None:
                return
            continue
        return
    raise RowChangedError(f"the ledger of {month} kept changing")


def _parts(by_user: Mapping[str, float]) -> Iterator[dict[str, float]]:
    """So many users as one transaction holds."""
    items = iter(by_user.items())
    while part := dict(islice(items, _USERS_AT_ONCE)):
        yield part
