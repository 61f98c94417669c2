"""What a run left behind: what was made, how often it was committed, and what is missing."""

from __future__ import annotations

import hashlib
import statistics
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import rasterio
from azure.core.exceptions import ResourceNotFoundError
from azure.storage.blob import BlobServiceClient

from orthocontracts import names
from orthocontracts.outputs import CatalogueEntry
from orthocontracts.states import OutputState, TaskState
from orthofunctions.domain.records import JobRecord, OutputRecord, TaskRecord
from orthofunctions.ports import Ports
from orthofunctions.usecases.rows import find

LOST = ""
"""In place of a checksum, where the catalogue has no entry or its image is not there."""


@dataclass(frozen=True)
class Outcome:
    """After a run.

    Attributes
    ----------
    pixels : mapping
        Checksum of the pixels of every output's image, by digest.
    missing : list of str
        Requests that are not answered in full, and why.
    counted : int
        Attempts of tasks that were counted against them: failures and silences.
    """

    tasks: int
    succeeded: int
    counted: int
    pixels: dict[str, str]
    missing: list[str]

    @classmethod
    def read(cls, ports: Ports, connection: str, request_ids: Collection[str]) -> Outcome:
        tasks = list(find(ports.tables, TaskRecord))
        outputs: dict[str, list[OutputRecord]] = {}
        for output in find(ports.tables, OutputRecord):
            outputs.setdefault(output.job_id, []).append(output)
        digests = sorted({output.digest for several in outputs.values() for output in several})
        with BlobServiceClient.from_connection_string(connection) as service:
            pixels = {digest: _pixels(service, digest) for digest in digests}
        jobs = {job.request_id: job for job in find(ports.tables, JobRecord)}
        missing = [
            f"{request_id}: {why}"
            for request_id in request_ids
            if (why := _what_is_missing(jobs.get(request_id), outputs, pixels))
        ]
        missing += [f"{task.task_id}: {task.state}" for task in tasks if task.state is not TaskState.SUCCEEDED]
        return cls(
            tasks=len(tasks),
            succeeded=sum(task.state is TaskState.SUCCEEDED for task in tasks),
            counted=sum(task.failures + task.silences for task in tasks),
            pixels=pixels,
            missing=missing,
        )


def is_over(ports: Ports, request_ids: Collection[str]) -> bool:
    """Whether every request has a job whose planning has ended, and no task and no output is open any longer."""
    if any(not task.state.is_final for task in find(ports.tables, TaskRecord)):
        return False
    jobs = {job.request_id: job for job in find(ports.tables, JobRecord)}
    mine = [jobs.get(request_id) for request_id in request_ids]
    if not all(job is not None and (job.planned or job.fault_kind) for job in mine):
        return False
    return all(output.state is not OutputState.WANTED for output in find(ports.tables, OutputRecord))


def _what_is_missing(
    job: JobRecord | None, outputs: Mapping[str, Sequence[OutputRecord]], pixels: Mapping[str, str]
) -> str | None:
    if job is None:
        return "there is no job"
    mine = outputs.get(job.job_id, [])
    if not job.planned or len(mine) != job.n_outputs or not mine:
        return f"it was not planned: {job.fault_message}"
    for output in mine:
        if output.state is not OutputState.COMMITTED:
            return f"output {output.state}: {output.fault_message}"
        if pixels[output.digest] == LOST:
            return "its image is not there"
    return None


def _pixels(service: BlobServiceClient, digest: str) -> str:
    """Of the image as it lies in storage, decoded: bands, place and no-data."""
    try:
        entry = service.get_blob_client(names.CONTAINER_CATALOGUE, names.catalogue_blob(digest)).download_blob()
        blob = CatalogueEntry.model_validate_json(entry.readall()).files["image"].blob
        image = service.get_blob_client(*blob.split("/", 1)).download_blob().readall()
    except ResourceNotFoundError:
        return LOST
    with rasterio.MemoryFile(image) as memory, memory.open() as file:
        told = hashlib.sha256(repr((file.transform, file.crs.to_epsg(), file.dtypes, file.nodata)).encode())
        told.update(file.read().tobytes())
    return told.hexdigest()


@dataclass(frozen=True)
class Verdict:
    """What ``bench chaos --json`` prints. ``lost``, ``committed_twice`` and ``wrong_pixels`` must be 0."""

    tasks: int
    succeeded: int
    lost: int
    committed_twice: int
    wrong_pixels: int
    attempts_per_task: float
    counted_attempts: int
    seed: int
    seconds: float
    seconds_in_calm: float
    faults: dict[str, int]
    recovery_s: dict[str, dict[str, float]]
    recovery_among_others_s: dict[str, dict[str, float]]
    lease_s: float
    notes: list[str]

    @property
    def holds(self) -> bool:
        return not (self.lost or self.committed_twice or self.wrong_pixels)

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


def wrong_pixels(found: Mapping[str, str], true: Mapping[str, str]) -> int:
    """Outputs whose pixels are not those of the run without faults. What was lost is counted elsewhere."""
    return sum(pixels not in (LOST, true.get(digest)) for digest, pixels in found.items())


def committed_twice(commits: Iterable[tuple[float, str]]) -> int:
    return sum(count > 1 for count in Counter(digest for _, digest in commits).values())


def quantiles(seconds: Sequence[float]) -> dict[str, float]:
    ranked = sorted(seconds)
    p99 = ranked[min(len(ranked) - 1, int(0.99 * len(ranked)))]
    return {"n": len(ranked), "p50": round(statistics.median(ranked), 2), "p99": round(p99, 2)}
