"""The month's money: a round reserves before it releases, and the end of a release settles what it really cost.

Rows of a month share a partition, so that a settlement, its user's row and the month's total change in one transaction;
the settlement's row can be inserted once only, whoever tries again. Beside what is reserved for a release stands its
contingency, what it may cost beyond that at most: with it no sum of slow runs passes the budget. What a round that died
had reserved and never released is given back by the next one; until then the ledger overstates what may be spent.
"""

from __future__ import annotations

import contextlib
import logging
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import islice

from orthocontracts import names
from orthofunctions.domain.money import Ledger, UserLedger
from orthofunctions.domain.pools import SiteSpec
from orthofunctions.domain.records import ActiveRecord
from orthofunctions.domain.rules import Rules
from orthofunctions.ports import Change, Ports, Row, RowChangedError, RowExistsError, Value

logger = logging.getLogger(__name__)

TOTAL, OF_USER, OF_RELEASE = "total", "u-", "s-"
_USERS_AT_ONCE = 90
_TRIES = 20
_TOLERANCE_EUR = 1e-9
_NOTHING_EUR = 1e-6
"""What sums and differences of cents may leave."""


@dataclass(frozen=True)
class Claim:
    """What releases take of the month's money: their reservations, and what they may cost beyond these."""

    reserved_eur: float = 0.0
    contingency_eur: float = 0.0

    @property
    def ceiling_eur(self) -> float:
        return self.reserved_eur + self.contingency_eur

    def __add__(self, other: Claim) -> Claim:
        return Claim(self.reserved_eur + other.reserved_eur, self.contingency_eur + other.contingency_eur)

    def __neg__(self) -> Claim:
        return Claim(-self.reserved_eur, -self.contingency_eur)

    @classmethod
    def of(cls, active: Sequence[ActiveRecord]) -> Claim:
        """Of releases under way."""
        return cls(sum(one.reserved_eur for one in active), sum(one.contingency_eur or 0.0 for one in active))


@dataclass(frozen=True)
class Account:
    """What was spent in a month, by all or by one user. Slot-seconds of the centre are paid for: they cost nothing."""

    reserved_eur: float = 0.0
    spent_eur: float = 0.0
    on_prem_slot_s: float = 0.0
    cloud_slot_s: float = 0.0
    contingency_eur: float = 0.0
    etag: str = ""

    @property
    def committed_eur(self) -> float:
        return self.reserved_eur + self.spent_eur

    @property
    def ceiling_eur(self) -> float:
        """What it comes to at most, with what is released already."""
        return self.committed_eur + self.contingency_eur

    @classmethod
    def of(cls, row: Row | None) -> Account:
        if row is None:
            return cls()
        kept = ("reserved_eur", "spent_eur", "on_prem_slot_s", "cloud_slot_s", "contingency_eur")
        return cls(**{name: float(str(row.values.get(name, 0.0))) for name in kept}, etag=row.etag)

    def change(
        self, month: str, key: str, claim: Claim, *, spent: float = 0.0, on_prem: float = 0.0, cloud: float = 0.0
    ) -> Change:
        values = {
            "reserved_eur": max(0.0, self.reserved_eur + claim.reserved_eur),
            "contingency_eur": max(0.0, self.contingency_eur + claim.contingency_eur),
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
    books = books_of(campaign)
    for _ in range(_TRIES):
        total = account(ports, books)
        if total.ceiling_eur + amount_eur > max_eur + _TOLERANCE_EUR:
            return False
        try:
            ports.tables.transact(names.TABLE_LEDGER, [total.change(books, TOTAL, Claim(amount_eur))])
        except (RowChangedError, RowExistsError):
            continue
        return True
    raise RowChangedError(f"the books of campaign {campaign} kept changing")


def unreserve_for_campaign(ports: Ports, campaign: str, amount_eur: float) -> None:
    """Give back what was reserved for a release that was not made."""
    reserve_for_campaign(ports, campaign, -amount_eur, math.inf)


def free_lost(ports: Ports, campaign: str, active: Iterable[ActiveRecord]) -> Account:
    """A campaign's account, without what rounds had reserved that died before they released anything for it.

    Only under the lease of rounds, as `_without_lost`.
    """
    return _without_lost(ports, books_of(campaign), TOTAL, [one for one in active if one.campaign == campaign])


def _without_lost(ports: Ports, books: str, key: str, active: Sequence[ActiveRecord]) -> Account:
    """An account, without what was reserved for releases that were never made.

    Only under the lease of rounds, with the account's active releases as they were read under it: nobody else reserves
    then, and whoever settles a release deletes its active row afterwards. What of the two is more is nobody's.
    """
    known = Claim.of(active)
    for _ in range(_TRIES):
        found = account(ports, books, key)
        lost = Claim(_lost(found.reserved_eur, known.reserved_eur), _lost(found.contingency_eur, known.contingency_eur))
        if lost.ceiling_eur <= 0:
            return found
        with contextlib.suppress(RowChangedError, RowExistsError):
            ports.tables.transact(names.TABLE_LEDGER, [found.change(books, key, -lost)])
    raise RowChangedError(f"account {key} of {books} kept changing")


def _lost(found_eur: float, known_eur: float) -> float:
    lost_eur = found_eur - known_eur
    return lost_eur if lost_eur > (_NOTHING_EUR if known_eur else 0.0) else 0.0


def account(ports: Ports, month: str, key: str = TOTAL) -> Account:
    return Account.of(ports.tables.get(names.TABLE_LEDGER, month, key))


def accounts_of_users(ports: Ports, month: str) -> dict[str, Account]:
    rows = ports.tables.query(names.TABLE_LEDGER, partition=month, key_from=OF_USER, key_below="u.")
    return {row.key.removeprefix(OF_USER): Account.of(row) for row in rows}


def read_ledger(
    ports: Ports,
    rules: Rules,
    site: SiteSpec,
    active: Iterable[ActiveRecord],
    users: Iterable[str],
    now: datetime,
    *,
    under_lease: bool = False,
) -> Ledger:
    """The ledger as the policy wants it, with the limits of the users who have work.

    ``under_lease`` of rounds, under which ``active`` was read too, what rounds that died had reserved is given back.
    """
    month, running = month_of(now), dict[str, int]()
    this_month: list[ActiveRecord] = []
    by_user: dict[str, list[ActiveRecord]] = {}
    for release in (one for one in active if not one.campaign):
        running[release.user] = running.get(release.user, 0) + 1
        if (release.released_at.year, release.released_at.month) == (now.year, now.month):
            this_month.append(release)
            by_user.setdefault(release.user, []).append(release)

    def current(key: str, mine: Sequence[ActiveRecord]) -> Account:
        return _without_lost(ports, month, key, mine) if under_lease else account(ports, month, key)

    total, limits = current(TOTAL, this_month), {}
    for user in set(users):
        share = site.share_of(user)
        if share.max_running is None and share.credits_eur is None and not share.may_overdraw:
            continue
        left_eur, held_eur = None, 0.0
        if share.credits_eur is not None:
            theirs = current(OF_USER + user, by_user.get(user, ()))
            left_eur, held_eur = share.credits_eur - theirs.committed_eur, theirs.contingency_eur
        limits[user] = UserLedger(
            running.get(user, 0), share.max_running, left_eur, share.may_overdraw, held_eur, share.credits_eur
        )
    egress = {store.name: store.egress_eur_per_gb for store in site.stores if store.egress_eur_per_gb}
    return Ledger(
        site.budget_eur(rules.month_budget_eur), total.committed_eur, limits, egress,
        contingency_eur=total.contingency_eur, longest_run_s=rules.longest_run_s,
    )  # fmt: skip


def reserve(
    ports: Ports,
    budget_eur: float | None,
    by_user: Mapping[str, Claim],
    now: datetime,
    *,
    beyond_budget_eur: float = 0.0,
) -> bool:
    """Add a round's claims to the month's, unless their ceilings would exceed the budget. False where they would.

    ``beyond_budget_eur`` of these may: it is for urgent work of users who may overdraw.
    """
    claims = {user: claim for user, claim in by_user.items() if claim.ceiling_eur > 0}
    to_come_eur = sum(claim.ceiling_eur for claim in claims.values()) - beyond_budget_eur
    for part in _parts(claims):
        if not _reserve(ports, budget_eur, part, month_of(now), to_come_eur):
            return False
        to_come_eur -= sum(claim.ceiling_eur for claim in part.values())
    return True


def _reserve(
    ports: Ports, budget_eur: float | None, by_user: Mapping[str, Claim], month: str, to_come_eur: float
) -> bool:
    for _ in range(_TRIES):
        total = account(ports, month)
        comes_to_eur = total.ceiling_eur + to_come_eur
        if budget_eur is not None and to_come_eur > _TOLERANCE_EUR and comes_to_eur > budget_eur + _TOLERANCE_EUR:
            return False
        changes = [total.change(month, TOTAL, sum(by_user.values(), Claim()))]
        for user, claim in by_user.items():
            theirs = account(ports, month, OF_USER + user)
            changes.append(theirs.change(month, OF_USER + user, claim))
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


def settle_release(ports: Ports, active: ActiveRecord, ended_at: datetime, ran_s: float = 0.0) -> None:
    """Book what a release cost that has ended, and give back what was claimed for it. Any number of times.

    Parameters
    ----------
    ports : Ports
    active : ActiveRecord
    ended_at : datetime
        When its end was heard of.
    ran_s : float
        What the worker that ended it says its delivery took; 0: nobody said. Where that is longer than was paid for it
        is booked all the same: it was really run. A campaign's is not.
    """
    slot_s = max(0.0, (ended_at - active.started_at).total_seconds()) if active.started_at else 0.0
    if active.paid_s is not None:
        # a run is ended when what it may cost is used up: whoever says so only later does not make it longer
        slot_s = min(slot_s, active.paid_s if active.campaign else max(active.paid_s, ran_s))
        if slot_s > active.paid_s:
            logger.warning(
                "it ran for %.0f s, and was to end after %.0f", slot_s, active.paid_s,
                extra={"action": "overran", "job": active.job_id, "task": active.task_id, "release": active.release},
            )  # fmt: skip
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
                found.change(month, account_key, -Claim.of([active]), spent=eur, on_prem=on_prem, cloud=cloud)
            )
        try:
            ports.tables.transact(names.TABLE_LEDGER, changes)
        except (RowChangedError, RowExistsError):
            if ports.tables.get(names.TABLE_LEDGER, month, key) is not None:
                return
            continue
        return
    raise RowChangedError(f"the ledger of {month} kept changing")


def _parts(by_user: Mapping[str, Claim]) -> Iterator[dict[str, Claim]]:
    """So many users as one transaction holds."""
    items = iter(by_user.items())
    while part := dict(islice(items, _USERS_AT_ONCE)):
        yield part
