"""What subscribers were told of jobs, and what is not getting through; and what it is signed with."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import APIRouter, Query

from orthofunctions.api.context import Operator, Reader, Submitter, link_to
from orthofunctions.api.documents import callback_document, status_document, time_text
from orthofunctions.api.jobs import own_job
from orthofunctions.api.results import results_document
from orthofunctions.api.shapes import answer
from orthofunctions.bootstrap import System
from orthofunctions.domain.callbacks import CallbackKind, CallbackRecord, CallbackState, SecretRecord
from orthofunctions.domain.records import JobRecord, OutputRecord
from orthofunctions.usecases.rows import find
from orthofunctions.usecases.secrets import rotate_secret, secret_of
from orthofunctions.usecases.views import live_agents, running_tasks, status_of

router = APIRouter()


@router.get("/jobs/{job_id}/callbacks", **answer("Callbacks"))
def callbacks(job_id: str, asked: Reader) -> dict[str, Any]:
    """What is told, or was, of a job: for its owner, as addresses may hold secrets."""
    job = own_job(job_id, asked)
    found = find(asked.system.ports.tables, CallbackRecord, partition=job.job_id)
    return {"callbacks": [callback_document(record) for record in found]}


@router.get("/callbacks/failed", **answer("Callbacks"))
def failed(asked: Operator, limit: Annotated[int, Query(ge=1, le=1000)] = 100) -> dict[str, Any]:
    """What nobody could be told, of all users, the newest first: it is not tried again."""
    rows = find(asked.system.ports.tables, CallbackRecord, state=str(CallbackState.FAILED))
    found = sorted(rows, key=lambda record: record.created_at, reverse=True)
    return {"callbacks": [callback_document(record) for record in found[:limit]]}


@router.get("/callbacks/secret", **answer("Secret"))
def secret(asked: Submitter) -> dict[str, Any]:
    """What the caller's callbacks are signed with."""
    return _secret(secret_of(asked.system.ports, asked.user))


@router.post("/callbacks/secret", status_code=201, **answer("Secret", status=201))
def new_secret(asked: Submitter) -> dict[str, Any]:
    """Another secret. Callbacks carry a signature by the old one too for a day."""
    return _secret(rotate_secret(asked.system.ports, asked.user))


@dataclass(frozen=True)
class _From:
    base_url: str

    def link(self, path: str, rel: str, title: str, media_type: str = "application/json") -> dict[str, str]:
        return link_to(self.base_url, path, rel, title, media_type)


def callback_body(system: System, job: JobRecord, kind: CallbackKind) -> bytes:
    """What is sent: the results of a job that succeeded, else its ``statusInfo``."""
    ports = system.ports
    if kind is CallbackKind.SUCCESS:
        outputs = sorted(find(ports.tables, OutputRecord, partition=job.job_id), key=lambda one: one.title)
        return json.dumps(results_document(system, job, outputs)).encode()
    status = status_of(ports, job, running_tasks(live_agents(ports, system.rules)))
    return json.dumps(status_document(status, system.rules, _From(job.base_url))).encode()


def _secret(record: SecretRecord) -> dict[str, Any]:
    document = {
        "secret": record.secret,
        "made": time_text(record.made_at),
        "previous_until": time_text(record.previous_until),
    }
    return {name: value for name, value in document.items() if value is not None}
