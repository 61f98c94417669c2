"""What the demo sees of the system: through the client, as a user would."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

from orthoburst import Client
from orthoburst.job import Job

FINAL = frozenset({"succeeded", "failed", "cancelled"})


@dataclass(frozen=True)
class Seen:
    """A moment's view."""

    jobs: tuple[Job, ...]
    tasks: tuple[dict[str, Any], ...]
    pools: tuple[dict[str, Any], ...]

    @property
    def states(self) -> Counter[str]:
        return Counter(task["state"] for task in self.tasks)

    @property
    def by_pool(self) -> Counter[str]:
        """Committed tasks per pool."""
        return Counter(task["pool"] for task in self.tasks if task["state"] == "succeeded")

    def is_over(self, expected_jobs: int) -> bool:
        return (
            len(self.jobs) >= expected_jobs
            and all(job.is_over for job in self.jobs)
            and all(task["state"] in FINAL for task in self.tasks)
        )


class Watcher:
    """Looks again, asking only about jobs that were not over the last time."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._settled: dict[str, tuple[dict[str, Any], ...]] = {}

    def look(self) -> Seen:
        jobs = tuple(reversed(list(self._client.jobs(limit=1000))))
        tasks: list[dict[str, Any]] = []
        for job in jobs:
            if job.id not in self._settled:
                found = tuple(job.explain())
                if job.is_over and all(task["state"] in FINAL for task in found):
                    self._settled[job.id] = found
                tasks.extend(found)
            else:
                tasks.extend(self._settled[job.id])
        return Seen(jobs, tuple(tasks), tuple(self._client.pools()))
