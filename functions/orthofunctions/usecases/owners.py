"""Whose a job can be, by its id alone: users by the mark in the ids of their jobs, and by the groups they share with.

Jobs lie in their user's partition. One row a user leads from a mark to the few users who have it; it is written before
their first job and stays, so a job that is there is always found.
"""

from __future__ import annotations

from collections.abc import Iterable

from orthocontracts.digests import mark_in, user_mark
from orthofunctions.domain.records import OwnerRecord
from orthofunctions.ports import Ports
from orthofunctions.usecases.rows import find


def note_owner(ports: Ports, user: str, groups: Iterable[str] = ()) -> None:
    """A user is about to have a job, shared with these groups. Any number of times."""
    for place in (_of_mark(user_mark(user)), *map(_of_group, groups)):
        ports.tables.put(OwnerRecord.TABLE, OwnerRecord(place=place, user=user).to_row())


def possible_owners(ports: Ports, job_id: str) -> list[str]:
    """Users whose job it can be: one or two."""
    return [owner.user for owner in find(ports.tables, OwnerRecord, partition=_of_mark(mark_in(job_id)))]


def sharing_with(ports: Ports, group: str) -> list[str]:
    """Users who have shared jobs with a group."""
    return [owner.user for owner in find(ports.tables, OwnerRecord, partition=_of_group(group))]


def _of_mark(mark: str) -> str:
    return f"m-{mark}"


def _of_group(group: str) -> str:
    return f"g-{group}"
