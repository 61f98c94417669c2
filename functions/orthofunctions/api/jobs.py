"""OGC API - Processes 1.0, part two: jobs, their results, and why they ran where they did."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Annotated, Any

from fastapi import APIRouter, Query

from orthocontracts.states import JobState
from orthofunctions.api.context import Caller, Reader, Submitter
from orthofunctions.api.problems import ProblemError, no_such_job
from orthofunctions.usecases.cancel import cancel_job
from orthofunctions.usecases.copy import copy_results
from orthofunctions.usecases.costs import job_cost
from orthofunctions.usecases.explain import reasons_to_wait
from orthofunctions.usecases.jobs import find_job
from orthofunctions.usecases.results import result_links
from orthofunctions.usecases.retry import NothingToRetryError, retry_job
from orthofunctions.usecases.views import JobView, TaskView, live_agents, running_tasks, view_job, view_jobs

router = APIRouter()

DEFAULT_JOBS, MOST_JOBS = 100, 1000


@router.get("/jobs")
def jobs(asked: Reader, limit: Annotated[int, Query(ge=1, le=MOST_JOBS)] = DEFAULT_JOBS) -> dict[str, Any]:
    ports = asked.system.ports
    running = running_tasks(live_agents(ports, asked.system.rules))
    found = view_jobs(ports, asked.user, limit, running)
    return {
        "jobs": [status_document(view, asked) for view in found],
        "links": [asked.link("/jobs", "self", "this document")],
    }


@router.get("/jobs/{job_id}")
def job(job_id: str, asked: Reader) -> dict[str, Any]:
    return status_document(_view(job_id, asked), asked)


@router.get("/jobs/{job_id}/results")
def results(job_id: str, asked: Reader) -> dict[str, Any]:
    """The images that are there; those of a running job come as they are made."""
    view = _view(job_id, asked)
    valid = timedelta(minutes=asked.system.settings.link_minutes)
    outputs = result_links(asked.system.ports, view.outputs, valid)
    if view.state is JobState.FAILED and not outputs:
        kind = view.record.fault_kind or next((one.fault_kind for one in view.outputs if one.fault_kind), None)
        raise ProblemError(422, "The job failed", view.message, kind=kind)
    return {"outputs": outputs}


@router.delete("/jobs/{job_id}")
def dismiss(job_id: str, asked: Submitter) -> dict[str, Any]:
    if cancel_job(asked.system.ports, asked.user, _identifier(job_id)) is None:
        raise no_such_job(job_id)
    return status_document(_view(job_id, asked), asked)


@router.delete("/jobs")
def dismiss_all(asked: Submitter) -> dict[str, Any]:
    """Cancel all of the caller's jobs that are not over yet."""
    ports = asked.system.ports
    open_states = (JobState.ACCEPTED, JobState.RUNNING)
    found = [view.record.job_id for view in view_jobs(ports, asked.user, MOST_JOBS, {}) if view.state in open_states]
    for job_id in found:
        cancel_job(ports, asked.user, job_id)
    return {"dismissed": found}


@router.post("/jobs/{job_id}/retry", status_code=201)
def retry(job_id: str, asked: Submitter) -> dict[str, Any]:
    """The same request again, as a new job: for what failed. Images that are there are not made again."""
    ports = asked.system.ports
    view = _view(job_id, asked)
    if view.state not in (JobState.FAILED, JobState.DISMISSED):
        raise ProblemError(409, "Nothing to retry", f"job {job_id} is {view.state}: only a failed one is tried again")
    try:
        job = retry_job(ports, view.record)
    except NothingToRetryError as error:
        raise ProblemError(409, "Nothing to retry", str(error)) from error
    return status_document(view_job(ports, job, {}), asked)


@router.post("/jobs/{job_id}/copies", status_code=201)
def copies(job_id: str, asked: Submitter) -> dict[str, Any]:
    """Jobs that copy the job's images into blob storage, where they were left on site. None where all are there."""
    ports = asked.system.ports
    jobs = copy_results(ports, _view(job_id, asked).record)
    return {"jobs": [status_document(view_job(ports, job, {}), asked) for job in jobs]}


@router.get("/jobs/{job_id}/explain")
def explain(job_id: str, asked: Reader) -> dict[str, Any]:
    """For each task where it runs or waits, why, and what every pool had to offer then."""
    view, system = _view(job_id, asked), asked.system
    waits = reasons_to_wait(system.ports, system.rules, [task.record for task in view.tasks])
    cost = job_cost(system.ports, job_id, view.record.created_at)
    documents = [(task, task_document(task, waits.get(task.record.task_id))) for task in view.tasks]
    return {
        "jobID": job_id,
        "cost": {
            "eur": round(cost.eur, 6),
            "on_prem_slot_s": round(cost.on_prem_slot_s, 3),
            "cloud_slot_s": round(cost.cloud_slot_s, 3),
        },
        "tasks": [document for task, document in documents if not task.joined],
        "joined_tasks": [document for task, document in documents if task.joined],
        "outputs": [
            {
                "digest": output.digest,
                "title": output.title,
                "state": output.state,
                "task_id": output.task_id or None,
                "fault": _fault(output.fault_kind, output.fault_message),
            }
            for output in view.outputs
        ],
    }


def status_document(view: JobView, asked: Caller) -> dict[str, Any]:
    """The ``statusInfo`` of OGC API - Processes 1.0."""
    record = view.record
    path = f"/jobs/{record.job_id}"
    document = {
        "jobID": record.job_id,
        "processID": record.process,
        "type": "process",
        "status": view.state.value,
        "message": view.message,
        "progress": int(100 * view.progress),
        "created": _time(record.created_at),
        "started": _time(view.started_at),
        "finished": _time(view.ended_at),
        "request_id": record.request_id,
        "source": record.source,
        "links": [
            asked.link(path, "self", "this document"),
            asked.link(f"{path}/results", "http://www.opengis.net/def/rel/ogc/1.0/results", "results"),
            asked.link(f"{path}/explain", "related", "why it runs where it does"),
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
        "created": _time(record.created_at),
        "released": _time(record.released_at),
        "started": _time(record.started_at),
        "ended": _time(record.ended_at),
        "not_before": _time(record.not_before),
        "decision": task.decision,
        "waits": waits,
        "fault": _fault(record.fault_kind, record.fault_message),
    }
    return {name: value for name, value in document.items() if value is not None}


def _view(job_id: str, asked: Caller) -> JobView:
    ports = asked.system.ports
    record = find_job(ports, asked.user, _identifier(job_id))
    if record is None:
        raise no_such_job(job_id)
    return view_job(ports, record, running_tasks(live_agents(ports, asked.system.rules)))


def _identifier(job_id: str) -> str:
    if len(job_id) > 63 or not job_id.isascii() or not job_id.isalnum():
        raise no_such_job(job_id)
    return job_id


def _fault(kind: str | None, message: str | None) -> dict[str, str | None] | None:
    return {"kind": kind, "message": message} if kind else None


def _time(moment: datetime | None) -> str | None:
    return moment.isoformat().replace("+00:00", "Z") if moment else None
