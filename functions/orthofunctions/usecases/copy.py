"""Copies of a job's images that were left on site: a job of its own, for what is not in blob storage yet."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from orthocontracts.requests import MAX_PRODUCTS, Request
from orthocontracts.tasks import COPY
from orthofunctions.domain.records import JobRecord, OutputRecord
from orthofunctions.ports import Ports
from orthofunctions.usecases.results import kept_on_site
from orthofunctions.usecases.rows import find, parts
from orthofunctions.usecases.submit import submit


def copy_results(ports: Ports, job: JobRecord) -> list[JobRecord]:
    """Jobs that bring a job's images into blob storage; none where all are there. Asked again, they are the same."""
    outputs = find(ports.tables, OutputRecord, partition=job.job_id)
    digests = sorted(kept_on_site(ports, outputs))
    return [_submit(ports, job.user, part) for part in parts(digests, MAX_PRODUCTS)]


def _submit(ports: Ports, user: str, digests: Sequence[str]) -> JobRecord:
    name = "copy-" + hashlib.sha256(" ".join(digests).encode()).hexdigest()[:32]
    refs = tuple(f"catalogue/{digest}" for digest in digests)
    return submit(ports, Request(request_id=name, user=user, process=COPY, products=refs, patience_s=0), "http")
