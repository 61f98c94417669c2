"""Requests at the door, before anything is written: may their user share them so, and have them under way too?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from orthocontracts.digests import job_id_of
from orthocontracts.requests import Request
from orthofunctions.api.context import Caller
from orthofunctions.api.problems import ProblemError, error, invalid
from orthofunctions.domain.quotas import Quota, QuotaExceededError, Usage
from orthofunctions.usecases.quotas import RETRY_AFTER_S, admit, cloud_eur_of, quota_of
from orthofunctions.usecases.references import refused_references
from orthofunctions.usecases.retry import again_id


def admit_requests(asked: Caller, requests: Sequence[Request]) -> None:
    """Let requests of the caller in, all or none. The answer says what is left of their quotas.

    Raises
    ------
    ProblemError
        400 where one is shared with a group the caller is not in, or names a server that the site does not read from,
        429 where they have too much under way.
    """
    ports = asked.system.ports
    for number, request in enumerate(requests):
        at = "inputs.shared_with" if len(requests) == 1 else f"executions.{number}.inputs.shared_with"
        check_groups(asked, request.shared_with, at)
        inputs = at.removesuffix(".shared_with")
        if refused := [error(f"{inputs}.{where}", why) for where, why in refused_references(ports, request)]:
            raise invalid(refused)
    _admit(asked, [request.request_id for request in requests])


def admit_retries(asked: Caller, job_ids: Sequence[str]) -> None:
    """Let failed jobs of the caller be tried again, all or none. Raises ProblemError: 429."""
    _admit(asked, [again_id(job_id) for job_id in job_ids])


def _admit(asked: Caller, request_ids: Sequence[str]) -> None:
    ports, quota = asked.system.ports, caller_quota(asked)
    try:
        usage = admit(ports, asked.user, [job_id_of(asked.user, one) for one in request_ids], quota)
    except QuotaExceededError as exceeded:
        _tell(asked, quota, exceeded.usage)
        asked.headers["Retry-After"] = str(RETRY_AFTER_S)
        raise ProblemError(429, "Too many", str(exceeded), limit=exceeded.limit) from exceeded
    _tell(asked, quota, replace(usage, cloud_eur=cloud_eur_of(ports, asked.user, quota)))


def check_groups(asked: Caller, groups: Sequence[str], at: str) -> None:
    """Raises ProblemError: 400 where something is shared with a group that the caller is not in."""
    if strange := sorted(set(groups) - asked.principal.groups):
        raise invalid([error(at, f"you are not in the group {strange[0]}; {_yours(asked)}", found=strange[0])])


def caller_quota(asked: Caller) -> Quota:
    system = asked.system
    site, settings = system.callers.site(system.ports), system.settings
    return quota_of(site, asked.user, settings.max_open_jobs_per_user, settings.max_open_outputs_per_user)


def _tell(asked: Caller, quota: Quota, usage: Usage) -> None:
    """A structured field (RFC 9651), a list: ``open-jobs;limit=20;used=3, cloud-eur;limit=50.0;used=1.5``."""
    told = []
    if quota.open_jobs is not None:
        told.append(f"open-jobs;limit={quota.open_jobs};used={usage.open_jobs}")
    if quota.open_outputs is not None:
        told.append(f"open-images;limit={quota.open_outputs};used={usage.open_outputs}")
    if quota.cloud_eur is not None and usage.cloud_eur is not None:
        told.append(f"cloud-eur;limit={quota.cloud_eur:.3f};used={usage.cloud_eur:.3f}")
    if told:
        asked.headers["Orthoburst-Quota"] = ", ".join(told)


def _yours(asked: Caller) -> str:
    groups = sorted(asked.principal.groups)
    return f"yours: {', '.join(groups[:20])}" if groups else "you are in none"
