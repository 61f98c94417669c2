"""The commit: a delivered output is checked and enters the catalogue, once."""

from __future__ import annotations

import contextlib

from orthocontracts import names
from orthocontracts.messages import Fault, Report, Verdict
from orthocontracts.outputs import CatalogueEntry, FileFacts, FileKind, OutputIdentity, file_kinds
from orthocontracts.requests import Options
from orthocontracts.stores import split_site_url
from orthocontracts.tasks import COPY
from orthofunctions.domain.cog import HEADER_BYTES, cog_defect
from orthofunctions.domain.copies import ALWAYS_IN_BLOBS
from orthofunctions.domain.records import DigestRecord, DigestState
from orthofunctions.ports import BlobMissingError, Ports
from orthofunctions.usecases.catalogue import read_entry
from orthofunctions.usecases.digests import STATE_KEY, commit_digest
from orthofunctions.usecases.index import index_digest, index_entry
from orthofunctions.usecases.plans import PlannedTask
from orthofunctions.usecases.rows import load
from orthofunctions.usecases.site import load_site

BAD_DELIVERY = "BadDelivery"


def commit(ports: Ports, planned: PlannedTask, report: Report, verdict: Verdict) -> Fault | None:
    """Check a delivered output and enter it into the catalogue; whoever comes second adopts the first.

    Every step may be repeated, so a redelivered report completes what a dead collector began.

    Returns
    -------
    Fault or None
        What is wrong with the delivery; then nothing was entered.
    """
    if adopt(ports, verdict.digest):
        return None
    files = verdict.files or {}
    identity = planned.identities[verdict.digest]
    defect = (
        _incomplete(identity.options, files)
        or _defect(ports, report, verdict.digest, files)
        or _not_the_same(ports, identity, files)
    )
    if defect:
        return Fault(kind=BAD_DELIVERY, message=defect)
    entry = CatalogueEntry(
        digest=verdict.digest,
        identity=identity,
        files=files,
        task_id=report.task_id,
        release=report.release,
        delivery=report.delivery,
        pool=report.pool,
        agent=report.agent,
        committed_at=ports.clock.now().isoformat(),
        figures=verdict.figures,
    )
    if ports.blobs.create(names.CONTAINER_CATALOGUE, names.catalogue_blob(verdict.digest), entry.to_json().encode()):
        index_entry(ports, entry)
    else:
        index_digest(ports, verdict.digest)
    commit_digest(ports, verdict.digest)
    return None


def adopt(ports: Ports, digest: str) -> bool:
    """Whether the output is in the catalogue; if so, a search finds it, and everyone who waits for it has been told."""
    if ports.blobs.facts(names.CONTAINER_CATALOGUE, names.catalogue_blob(digest)) is None:
        return False
    record = load(ports.tables, DigestRecord, digest, STATE_KEY)
    # committed comes after the index: before it, whoever made the entry may have died in between
    if record is None or record.state not in (DigestState.COMMITTED, DigestState.EXPIRED, DigestState.GONE):
        index_digest(ports, digest)
    commit_digest(ports, digest)
    return True


def _incomplete(options: Options, files: dict[FileKind, FileFacts]) -> str | None:
    asked = file_kinds(options)
    if missing := [kind for kind in asked if kind not in files]:
        return f"the report names no {' and no '.join(missing)}"
    if surplus := [kind for kind in files if kind not in asked]:
        return f"the report names {' and '.join(surplus)}, which the options do not ask for"
    return None


def _defect(ports: Ports, report: Report, digest: str, files: dict[FileKind, FileFacts]) -> str | None:
    for kind, said in files.items():
        blob = names.result_blob(report.task_id, report.release, report.delivery, digest, kind)
        place = None
        if kind not in ALWAYS_IN_BLOBS:
            with contextlib.suppress(ValueError):  # then it is not where it belongs
                place = split_site_url(said.blob)
        if (place[1] if place else said.blob) != f"{names.CONTAINER_RESULTS}/{blob}":
            return f"{said.blob} is not where this delivery's {kind} belongs"
        if place is not None:
            # Nobody here can look at it: what the pool's own worker measured has to do.
            if not _has_at_hand(ports, report.pool, place[0]):
                return f"{said.blob}: pool {report.pool} does not have store {place[0]}"
            continue
        found = ports.blobs.facts(names.CONTAINER_RESULTS, blob)
        if found is None:
            return f"{said.blob} is not there"
        if found.size_bytes != said.size_bytes:
            return f"{said.blob} has {found.size_bytes} bytes; the report says {said.size_bytes}"
        if found.md5 != said.md5:
            return f"{said.blob} has MD5 {found.md5}; the report says {said.md5}"
    if split_site_url(files["image"].blob) is not None:
        return None
    image = names.result_blob(report.task_id, report.release, report.delivery, digest, "image")
    try:
        header = ports.blobs.read(names.CONTAINER_RESULTS, image, length=HEADER_BYTES)
    except BlobMissingError as error:
        return str(error)
    defect = cog_defect(header)
    return f"{names.CONTAINER_RESULTS}/{image} {defect}" if defect else None


def _not_the_same(ports: Ports, identity: OutputIdentity, files: dict[FileKind, FileFacts]) -> str | None:
    """For a copy: what differs from its image."""
    if identity.process != COPY:
        return None
    original = read_entry(ports, identity.products[0].ref.removeprefix("catalogue/"))
    if original is None:
        return "the image it is a copy of is no longer in the catalogue"
    for kind, file in original.files.items():
        if files[kind].md5 != file.md5:
            return f"{files[kind].blob} has MD5 {files[kind].md5}; its image's {kind} had {file.md5}"
    return None


def _has_at_hand(ports: Ports, pool: str, store: str) -> bool:
    spec = load_site(ports).pool(pool)
    return spec is not None and store in spec.local
