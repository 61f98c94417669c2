"""Jobs and images that a user has under way, and their cloud money.

Each job that is admitted leaves a row among its user's *open* ones, which learns from the job how many images it has
once that is planned. Rows of jobs that are over are deleted when they would stand in the way, so whoever is far from
the limit pays one query for it.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta

from orthocontracts import names
from orthofunctions.domain.endings import OVER
from orthofunctions.domain.pools import SiteSpec
from orthofunctions.domain.quotas import Quota, QuotaExceededError, Usage, check_room
from orthofunctions.ports import Ports, Row
from orthofunctions.usecases.jobs import find_job
from orthofunctions.usecases.ledger import OF_USER, account, month_of
from orthofunctions.usecases.rows import MOST_CHANGES, delete_all, parts, put_all
from orthofunctions.usecases.views import PARALLEL_JOBS, status_of

AT_ONCE = 64
"""Rows looked at in one go: a user whose jobs are all under way is told so after that many."""

RETRY_AFTER_S = 30
_COMES_S = 300.0  # a row is written before its job

_Open = dict[str, Row]
"""Of a user, by job."""


def quota_of(site: SiteSpec | None, user: str, max_open_jobs: int | None, max_open_outputs: int | None) -> Quota:
    """Cloud money is kept within its limit by dispatch: past it, work waits for the centre. It is not refused."""
    credits_eur = site.share_of(user).credits_eur if site is not None else None
    return Quota(max_open_jobs, max_open_outputs, credits_eur)


def admit(ports: Ports, user: str, job_ids: Sequence[str], quota: Quota) -> Usage:
    """Let a user have these jobs under way too. Jobs that are there already count once, whatever they are asked for.

    Calls at the same moment do not see each other: together they may pass the limit by what they ask for. So may one
    job by all its images but the first, which nobody knows before it is planned.

    Returns
    -------
    Usage
        What the user has under way with them.

    Raises
    ------
    QuotaExceededError
        Where that would be too much: then none is let in.
    """
    if not quota.counts_jobs:
        return Usage()
    found = _open_rows(ports, user, quota)
    new = _new(ports, user, [job_id for job_id in dict.fromkeys(job_ids) if job_id not in found])
    if new:
        found = _cleared(ports, user, found, lambda rows: _has_room(quota, _usage(rows, quota), len(new)))
        check_room(quota, _usage(found, quota), len(new))
        added = [Row(_place(user), job_id, {"at": ports.clock.now()}) for job_id in new]
        for some in parts(added, MOST_CHANGES):
            put_all(ports.tables, names.TABLE_OWNERS, some)
        found |= {row.key: row for row in added}
    return _usage(found, quota)


def usage_of(ports: Ports, user: str, quota: Quota) -> Usage:
    """What is used of each quota there is."""
    usage = Usage()
    if quota.counts_jobs:
        rows = _cleared(ports, user, _open_rows(ports, user, quota), lambda rows: not rows)
        usage = _usage(rows, quota)
    return Usage(usage.open_jobs, usage.open_outputs, cloud_eur_of(ports, user, quota))


def cloud_eur_of(ports: Ports, user: str, quota: Quota) -> float | None:
    """This month's, where it has a limit."""
    if quota.cloud_eur is None:
        return None
    return account(ports, month_of(ports.clock.now()), OF_USER + user).committed_eur


def _place(user: str) -> str:
    return f"u-{user}"


def _open_rows(ports: Ports, user: str, quota: Quota) -> _Open:
    """A user's rows; where images are counted, each with its job's once it is planned."""
    found = {row.key: row for row in ports.tables.query(names.TABLE_OWNERS, partition=_place(user))}
    if quota.open_outputs is None:
        return found
    with ThreadPoolExecutor(PARALLEL_JOBS) as pool:
        taught = pool.map(
            lambda row: _taught(ports, user, row), (row for row in found.values() if "n" not in row.values)
        )
        learned = [row for row in taught if row is not None]
    for some in parts(learned, MOST_CHANGES):
        put_all(ports.tables, names.TABLE_OWNERS, some)
    return found | {row.key: row for row in learned}


def _taught(ports: Ports, user: str, row: Row) -> Row | None:
    job = find_job(ports, user, row.key)
    if job is None or not job.planned:
        return None
    return Row(row.partition, row.key, {**row.values, "n": max(1, job.n_outputs)})


def _usage(rows: _Open, quota: Quota) -> Usage:
    if quota.open_outputs is None:
        return Usage(len(rows))
    return Usage(len(rows), sum(int(str(row.values.get("n", 1))) for row in rows.values()))


def _has_room(quota: Quota, usage: Usage, asked: int) -> bool:
    try:
        check_room(quota, usage, asked)
    except QuotaExceededError:
        return False
    return True


def _new(ports: Ports, user: str, job_ids: Sequence[str]) -> list[str]:
    with ThreadPoolExecutor(PARALLEL_JOBS) as pool:
        there = pool.map(lambda job_id: find_job(ports, user, job_id) is not None, job_ids)
        return [job_id for job_id, is_there in zip(job_ids, there, strict=True) if not is_there]


def _cleared(ports: Ports, user: str, rows: _Open, enough: Callable[[_Open], bool]) -> _Open:
    """What is left of a user's rows once those of jobs that are over are deleted, until that is enough.

    Looks at some at a time, left to chance, and stops where none of them was over: then hardly any is.
    """
    left = dict(rows)
    while left and not enough(left):
        some = random.sample(sorted(left), min(len(left), AT_ONCE))
        with ThreadPoolExecutor(PARALLEL_JOBS) as pool:
            ended = pool.map(lambda job_id: _is_over(ports, user, rows[job_id]), some)
            over = {job_id for job_id, is_over in zip(some, ended, strict=True) if is_over}
        delete_all(ports.tables, names.TABLE_OWNERS, ((_place(user), job_id) for job_id in over))
        left = {job_id: row for job_id, row in left.items() if job_id not in over}
        if not over:
            break
    return left


def _is_over(ports: Ports, user: str, row: Row) -> bool:
    job = find_job(ports, user, row.key)
    if job is not None:
        return status_of(ports, job, {}).state in OVER
    at = row.values["at"]
    assert isinstance(at, datetime)
    return ports.clock.now() - at > timedelta(seconds=_COMES_S)
