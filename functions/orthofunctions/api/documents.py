"""Documents about jobs and their tasks, as the API answers with them and callbacks carry them."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Protocol

from orthofunctions.domain.callbacks import CallbackRecord, CallbackState
from orthofunctions.domain.keeping import expires_at
from orthofunctions.domain.rules import Rules
from orthofunctions.usecases.views import JobStatus, TaskView

RESULTS = "http://www.opengis.net/def/rel/ogc/1.0/results"


class Linker(Protocol):
    """Knows where its reader reaches the API."""

    def link(self, path: str, rel: str, title: str, media_type: str = ...) -> dict[str, str]: ...


def status_document(status: JobStatus, rules: Rules, where: Linker) -> dict[str, Any]:
    """The ``statusInfo`` of OGC API - Processes 1.0."""
    record = status.record
    path = f"/jobs/{record.job_id}"
    document = {
        "jobID": record.job_id,
        "processID": record.process,
        "type": "process",
        "status": status.state.value,
        "message": status.message,
        "progress": int(100 * status.progress),
        "created": time_text(record.created_at),
        "started": time_text(status.started_at),
        "finished": time_text(status.ended_at),
        "request_id": record.request_id,
        "source": record.source,
        "batch": record.batch,
        "order": record.order,
        "replaces": record.replaces.split(",") if record.replaces else None,
        "pinned": record.pinned,
        "expires": time_text(expires_at(record, rules)),
        "links": [
            where.link(path, "self", "this document"),
            where.link(f"{path}/results", RESULTS, "results"),
            where.link(f"{path}/explain", "related", "why it runs where it does"),
            where.link(f"{path}/trace", "related", "what happened when"),
        ],
    }
    return {name: value for name, value in document.items() if value is not None}


def task_document(task: TaskView, waits: str | None) -> dict[str, Any]:
    record = task.record
    document = {
        "task_id": record.task_id,
        "title": task.title,
        "state": record.state.value,
        "pool": record.pool,
        "agent": record.agent,
        "progress": round(task.progress, 3),
        "phase": task.running.phase if task.running else None,
        "release": record.release,
        "failures": record.failures,
        "silences": record.silences,
        "megapixels": record.megapixels,
        "created": time_text(record.created_at),
        "released": time_text(record.released_at),
        "started": time_text(record.started_at),
        "ended": time_text(record.ended_at),
        "not_before": time_text(record.not_before),
        "decision": task.decision,
        "waits": waits,
        "fault": fault_document(record.fault_kind, record.fault_message),
    }
    return {name: value for name, value in document.items() if value is not None}


def callback_document(record: CallbackRecord) -> dict[str, Any]:
    document = {
        "jobID": record.job_id,
        "user": record.user,
        "kind": str(record.kind),
        "uri": record.uri,
        "state": record.state.value,
        "attempts": record.attempts,
        "created": time_text(record.created_at),
        "next_try": time_text(record.next_at) if record.state is CallbackState.WAITING else None,
        "delivered": time_text(record.delivered_at),
        "status": record.status,
        "error": record.error,
    }
    return {name: value for name, value in document.items() if value is not None}


def fault_document(kind: str | None, message: str | None) -> dict[str, str | None] | None:
    return {"kind": kind, "message": message} if kind else None


def time_text(moment: datetime | None) -> str | None:
    return moment.isoformat().replace("+00:00", "Z") if moment else None
