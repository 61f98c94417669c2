"""The commit: a delivered output is checked and enters the catalogue, once."""

from __future__ import annotations

from orthocontracts import names
from orthocontracts.messages import Fault, Report, Verdict
from orthocontracts.outputs import CatalogueEntry, FileFacts, FileKind
from orthofunctions.domain.cog import HEADER_BYTES, cog_defect
from orthofunctions.ports import BlobMissingError, Ports
from orthofunctions.usecases.digests import commit_digest
from orthofunctions.usecases.plans import PlannedTask

REQUIRED: tuple[FileKind, ...] = ("image", "mask", "item")
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
    if defect := _defect(ports, report, verdict.digest, files):
        return Fault(kind=BAD_DELIVERY, message=defect)
    entry = CatalogueEntry(
        digest=verdict.digest,
        identity=planned.identities[verdict.digest],
        files=files,
        task_id=report.task_id,
        release=report.release,
        delivery=report.delivery,
        pool=report.pool,
        agent=report.agent,
        committed_at=ports.clock.now().isoformat(),
        figures=verdict.figures,
    )
    ports.blobs.create(names.CONTAINER_CATALOGUE, names.catalogue_blob(verdict.digest), entry.to_json().encode())
    commit_digest(ports, verdict.digest)
    return None


def adopt(ports: Ports, digest: str) -> bool:
    """Whether the output is in the catalogue; if so, everyone who waits for it has been told."""
    if ports.blobs.facts(names.CONTAINER_CATALOGUE, names.catalogue_blob(digest)) is None:
        return False
    commit_digest(ports, digest)
    return True


def _defect(ports: Ports, report: Report, digest: str, files: dict[FileKind, FileFacts]) -> str | None:
    missing = [kind for kind in REQUIRED if kind not in files]
    if missing:
        return f"the report names no {' and no '.join(missing)}"
    for kind, said in files.items():
        blob = names.result_blob(report.task_id, report.release, report.delivery, digest, kind)
        if said.blob != f"{names.CONTAINER_RESULTS}/{blob}":
            return f"{said.blob} is not where this delivery's {kind} belongs"
        found = ports.blobs.facts(names.CONTAINER_RESULTS, blob)
        if found is None:
            return f"{said.blob} is not there"
        if found.size_bytes != said.size_bytes:
            return f"{said.blob} has {found.size_bytes} bytes; the report says {said.size_bytes}"
        if found.md5 != said.md5:
            return f"{said.blob} has MD5 {found.md5}; the report says {said.md5}"
    image = names.result_blob(report.task_id, report.release, report.delivery, digest, "image")
    try:
        header = ports.blobs.read(names.CONTAINER_RESULTS, image, length=HEADER_BYTES)
    except BlobMissingError as error:
        return str(error)
    defect = cog_defect(header)
    return f"{names.CONTAINER_RESULTS}/{image} {defect}" if defect else None
