"""OGC API - Processes 1.0: how the list of jobs is asked for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any

from fastapi import Depends, Query

from orthocontracts.states import JobState
from orthofunctions.api.paging import read_token
from orthofunctions.api.problems import Error, error, invalid
from orthofunctions.api.queries import interval_of
from orthofunctions.domain.records import JobRecord
from orthofunctions.usecases.joblist import JobFilter

DEFAULT_JOBS, MOST_JOBS = 100, 1000
_LONGEST_S = 10**10
_MANY = "several are separated by commas, or are parameters of their own"

_Words = Annotated[list[str] | None, Query(description=_MANY)]
_Seconds = Annotated[int | None, Query(ge=0, le=_LONGEST_S, description="seconds from start to end, or until now")]


@dataclass(frozen=True)
class JobQuery:
    """What is asked of the list, and the same in words, for the link to the next page."""

    filter: JobFilter
    limit: int
    words: Mapping[str, Any]


def _job_query(
    type: _Words = None,
    processID: _Words = None,
    status: _Words = None,
    datetime: Annotated[
        str | None, Query(description="when it was made: a time, or an interval t1/t2, t1/.., ../t2")
    ] = None,
    minDuration: _Seconds = None,
    maxDuration: _Seconds = None,
    batch: Annotated[str | None, Query(description="those of one batch")] = None,
    group: Annotated[str | None, Query(description="those that are shared with a group of the caller's")] = None,
    limit: Annotated[int, Query(ge=1, le=MOST_JOBS)] = DEFAULT_JOBS,
    token: Annotated[str | None, Query(description="of a link to the next page")] = None,
) -> JobQuery:
    errors: list[Error] = []
    types, processes, states = _split(type), _split(processID), _split(status)
    known = [state.value for state in JobState]
    errors += [
        error("query.type", "there is no such type of job", found=one, expected="process")
        for one in types
        if one != "process"
    ]
    errors += [
        error("query.status", "there is no such status", found=one, expected=", ".join(known))
        for one in states
        if one not in known
    ]
    if errors:
        raise invalid(errors)
    start, stop = interval_of(datetime)
    wanted = JobFilter(
        processes=frozenset(processes),
        states=frozenset(map(JobState, states)),
        created_from=start,
        created_to=_whole(stop),
        min_s=minDuration,
        max_s=maxDuration,
        batch=batch,
        group=group,
        after=_place(token) if token is not None else None,
    )
    words = {
        "type": types,
        "processID": processes,
        "status": states,
        "datetime": datetime,
        "minDuration": minDuration,
        "maxDuration": maxDuration,
        "batch": batch,
        "group": group,
        "limit": limit,
    }
    return JobQuery(wanted, limit, words)


AskedJobs = Annotated[JobQuery, Depends(_job_query)]


def place_of(job: JobRecord) -> tuple[str, str]:
    """What the token of a page that ends with a job holds."""
    return job.created_at.isoformat(), job.job_id


def _place(token: str) -> tuple[datetime, str]:
    moment, job_id = read_token(token, 2)
    try:
        when = datetime.fromisoformat(moment)
        if when.tzinfo is not None:
            return when, job_id
    except ValueError:
        pass
    raise invalid([error("query.token", "no token of this list", found=token)])


def _whole(stop: datetime | None) -> datetime | None:
    """A second without fraction is meant as a whole: jobs are made between two of them."""
    return stop if stop is None or stop.microsecond else stop.replace(microsecond=999_999)


def _split(values: list[str] | None) -> list[str]:
    return [word for value in values or () for word in value.split(",") if word]
