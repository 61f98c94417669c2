"""What a day has come to, as the functions wrote it down: jobs with their images, and what operators were told."""

from __future__ import annotations

import json
import re
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from localdev.day.run import Day
from orthocontracts import names
from orthofunctions.domain.records import JobRecord, OutputRecord

_TILE = re.compile(r"\b\d{2}[C-X][A-Z]{2}$")


@dataclass(frozen=True)
class Job:
    """A job, its images, and what it asked for.

    Attributes
    ----------
    refs : tuple of str
        Its products; of a job without a plan the one that its message names.
    grid : dict or None
        As it was asked for.
    replaces : tuple of str
        Jobs whose images were of fewer slices.
    """

    record: JobRecord
    outputs: tuple[OutputRecord, ...]
    refs: tuple[str, ...]
    grid: dict[str, Any] | None
    replaces: tuple[str, ...]

    @property
    def user(self) -> str:
        return self.record.user

    @property
    def created_at(self) -> datetime:
        return self.record.created_at

    @property
    def is_of_footprint(self) -> bool:
        return (self.grid or {}).get("kind") == "footprint"

    def tiles(self) -> Iterator[str]:
        """Of its images: a title ends with the tile."""
        for output in self.outputs:
            if found := _TILE.search(output.title):
                yield found.group()


def jobs_of(day: Day) -> list[Job]:
    outputs: defaultdict[str, list[OutputRecord]] = defaultdict(list)
    for row in day.ports.tables.query(OutputRecord.TABLE):
        output = OutputRecord.from_row(row)
        outputs[output.job_id].append(output)
    plans = {blob.name for blob in day.ports.blobs.list(names.CONTAINER_PLANS)}
    found = []
    for row in day.ports.tables.query(JobRecord.TABLE):
        record = JobRecord.from_row(row)
        blob = names.plan_blob(record.job_id)
        asked: dict[str, Any] = {}
        if blob in plans:
            asked = json.loads(day.ports.blobs.read(names.CONTAINER_PLANS, blob))["request"]
        refs = tuple(asked.get("products") or [_named(str(record.fault_message or record.final_message))])
        replaces = tuple(asked.get("replaces") or ())
        found.append(Job(record, tuple(outputs[record.job_id]), refs, asked.get("grid"), replaces))
    return found


def reports_of(day: Day) -> Counter[str]:
    """Kept messages of operators, by the product they are about."""
    found: Counter[str] = Counter()
    for blob in day.ports.blobs.list(names.CONTAINER_CONTROL, "poison/"):
        said = json.loads(day.ports.blobs.read(blob.container, blob.name))
        found[_named(str(said["why"]).partition(": ")[2])] += 1
    return found


def _named(message: str) -> str:
    """The product that a message is about: its first words."""
    word = message.split(" ", 1)[0].rstrip(":")
    for end in (".SAFE", ".SEN3"):
        word = word.partition(end)[0] + end if end in word else word
    return word
