"""What a user may have under way, and has."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Quota:
    """None: no limit."""

    open_jobs: int | None = None
    open_outputs: int | None = None
    cloud_eur: float | None = None

    @property
    def counts_jobs(self) -> bool:
        return self.open_jobs is not None or self.open_outputs is not None


@dataclass(frozen=True)
class Usage:
    """None: nobody looked, as there is no limit. ``open_outputs`` of a job that has no plan yet are one."""

    open_jobs: int | None = None
    open_outputs: int | None = None
    cloud_eur: float | None = None


class QuotaExceededError(Exception):
    """A user would have more under way than they may."""

    def __init__(self, what: str, limit: int, usage: Usage, asked: int) -> None:
        used = usage.open_outputs if what == "images" else usage.open_jobs
        super().__init__(
            f"you have {used} {what} under way and may have {limit}: "
            f"{'this one has' if asked == 1 else f'these {asked} have'} to wait until some are over"
        )
        self.what = what
        self.limit = limit
        self.usage = usage


def check_room(quota: Quota, usage: Usage, asked: int) -> None:
    """Raise QuotaExceededError where so many more jobs, of an image at least, would be too many."""
    if quota.open_jobs is not None and (usage.open_jobs or 0) + asked > quota.open_jobs:
        raise QuotaExceededError("jobs", quota.open_jobs, usage, asked)
    if quota.open_outputs is not None and (usage.open_outputs or 0) + asked > quota.open_outputs:
        raise QuotaExceededError("images", quota.open_outputs, usage, asked)
