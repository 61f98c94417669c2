"""Images that stay where they were made, and copies of them in blob storage. Pure."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Final, get_args

from orthocontracts.digests import output_digest
from orthocontracts.outputs import CatalogueEntry, FileKind, OutputIdentity, OutputSpec, ResolvedTerrain, Source
from orthocontracts.requests import Request
from orthocontracts.stores import split_site_url
from orthocontracts.tasks import COPY, TaskSpec, task_id_of
from orthocontracts.version import KERNEL_RESULT_VERSION
from orthofunctions.domain.planning import Limits
from orthofunctions.domain.plans import Plan, PlannedOutput
from orthofunctions.domain.pools import BLOB_STORE, PoolSpec

ALWAYS_IN_BLOBS: Final[frozenset[FileKind]] = frozenset({"browse", "item"})
"""What catalogue and page show: a thousandth of an image."""


def stays_on_site(process: str, pool: PoolSpec) -> Collection[FileKind]:
    """The kinds of files that a pool's runs leave in its own store."""
    if process == COPY or pool.results_in == BLOB_STORE:
        return ()
    return frozenset(get_args(FileKind)) - ALWAYS_IN_BLOBS


def bytes_on_site(entry: CatalogueEntry) -> dict[str, int]:
    """How much of an image lies in stores of a site, by store; empty where all of it is in blob storage."""
    found: dict[str, int] = {}
    for file in entry.files.values():
        place = split_site_url(file.blob)
        if place is not None:
            found[place[0]] = found.get(place[0], 0) + file.size_bytes
    return found


def copy_identity(entry: CatalogueEntry) -> OutputIdentity:
    """What a copy of an image is, and so its digest: whoever asks for the same copy joins the one under way."""
    size_bytes = sum(file.size_bytes for file in entry.files.values())
    source = Source(ref=f"catalogue/{entry.digest}", content=entry.files["image"].md5, size_bytes=size_bytes)
    return entry.identity.model_copy(update={"process": COPY, "products": (source,)})


def copy_digest(entry: CatalogueEntry) -> str:
    return output_digest(copy_identity(entry))


def make_copy_plan(
    job_id: str, request: Request, entries: Sequence[CatalogueEntry], *, limits: Limits, now: datetime
) -> Plan:
    """One output per image, and tasks of so many as lie in the same stores and consist of the same files."""
    outputs: list[PlannedOutput] = []
    tasks: list[TaskSpec] = []
    alike: dict[tuple[str, ...], list[CatalogueEntry]] = {}
    for entry in entries:
        alike.setdefault((entry.identity.options.to_json(), *sorted(bytes_on_site(entry))), []).append(entry)
    for group in alike.values():
        for start in range(0, len(group), limits.max_outputs_per_task):
            part = group[start : start + limits.max_outputs_per_task]
            task_id = task_id_of(job_id, len(tasks) + 1)
            planned = [_planned(entry, task_id) for entry in part]
            outputs += planned
            tasks.append(_task(request, job_id, task_id, part, planned, now))
    return Plan(job_id=job_id, request=request, made_at=now, outputs=tuple(outputs), tasks=tuple(tasks))


def _planned(entry: CatalogueEntry, task_id: str) -> PlannedOutput:
    identity = copy_identity(entry)
    return PlannedOutput(
        digest=output_digest(identity), title=f"copy of {entry.digest}", identity=identity, task_id=task_id
    )


def _task(
    request: Request,
    job_id: str,
    task_id: str,
    entries: Sequence[CatalogueEntry],
    planned: Sequence[PlannedOutput],
    now: datetime,
) -> TaskSpec:
    there: dict[str, int] = {}
    for entry in entries:
        for store, n_bytes in bytes_on_site(entry).items():
            there[store] = there.get(store, 0) + n_bytes
    return TaskSpec(
        task_id=task_id,
        job_id=job_id,
        user=request.user,
        process=COPY,
        result_version=KERNEL_RESULT_VERSION,
        products=tuple(source for one in planned for source in one.identity.products),
        terrain=ResolvedTerrain(),
        options=entries[0].identity.options,
        outputs=tuple(OutputSpec(digest=one.digest, grid=one.identity.grid, title=one.title) for one in planned),
        created_at=now,
        deadline=request.deadline,
        patience_s=request.patience_s,
        urgent=request.urgent,
        input_bytes_at=there,
    )
