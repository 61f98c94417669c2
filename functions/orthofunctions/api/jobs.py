"""OGC API - Processes 1.0, part two: jobs, their results, and why they ran where they did."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query
from fastapi.responses import Response

from orthocontracts.states import JobState
from orthofunctions.api.admission import admit_retries
from orthofunctions.api.context import Caller, Reader, Submitter
from orthofunctions.api.documents import fault_document, status_document, task_document
from orthofunctions.api.joblist import AskedJobs, place_of
from orthofunctions.api.paging import next_link, write_token
from orthofunctions.api.problems import ProblemError, error, invalid, no_such_job
from orthofunctions.api.results import results_answer
from orthofunctions.api.shapes import answer
from orthofunctions.domain.principals import Scope
from orthofunctions.domain.records import JobRecord
from orthofunctions.usecases.cancel import cancel_job
from orthofunctions.usecases.copy import copy_results
from orthofunctions.usecases.costs import job_cost
from orthofunctions.usecases.explain import reasons_to_wait, whereabouts
from orthofunctions.usecases.joblist import list_jobs, open_jobs
from orthofunctions.usecases.retry import NothingToRetryError, retry_job
from orthofunctions.usecases.views import JobView, live_agents, running_tasks, status_of, view_job
from orthofunctions.usecases.visible import find_visible_job, hidden_tasks, may_change

router = APIRouter()


@router.get("/jobs", **answer("JobList"))
def jobs(asked: Reader, query: AskedJobs) -> dict[str, Any]:
    """The caller's jobs, the newest first; with a group, those that are shared with it."""
    ports, group = asked.system.ports, query.filter.group
    if group is not None and group not in asked.principal.groups and not asked.principal.may(Scope.ADMIN):
        raise invalid([error("query.group", "you are not in this group", found=group)])
    running = running_tasks(live_agents(ports, asked.system.rules))
    found, more = list_jobs(ports, asked.user, query.filter, running, query.limit)
    links = [asked.link("/jobs", "self", "this document")]
    if more:
        token = write_token(*place_of(found[-1].record))
        links.append(next_link(asked, "/jobs", {**query.words, "token": token}))
    return {"jobs": [status_document(status, asked.system.rules, asked) for status in found], "links": links}


@router.get("/jobs/{job_id}", **answer("StatusInfo"))
def job(job_id: str, asked: Reader) -> dict[str, Any]:
    return status_answer(job_of(job_id, asked), asked)


@router.get(
    "/jobs/{job_id}/results",
    **answer("Results", says="The results; of a job that was asked for raw values just these"),
)
def results(
    job_id: str,
    asked: Reader,
    partial: Annotated[bool, Query(description="of a running job too: the images that are there")] = False,
) -> Response:
    return results_answer(asked.system, view_of(job_id, asked), partial=partial)


@router.delete("/jobs/{job_id}", **answer("StatusInfo"))
def dismiss(job_id: str, asked: Submitter) -> dict[str, Any]:
    """Stop a job. One that is over stays as it ended."""
    record = own_job(job_id, asked)
    return status_answer(cancel_job(asked.system.ports, record.user, job_id) or record, asked)


@router.delete("/jobs", **answer("Dismissed"))
def dismiss_all(asked: Submitter) -> dict[str, Any]:
    """Cancel all of the caller's jobs that are not over yet."""
    ports = asked.system.ports
    found = (cancel_job(ports, asked.user, one.job_id) for one in open_jobs(ports, asked.user))
    return {"dismissed": [one.job_id for one in found if one is not None and one.final is JobState.DISMISSED]}


@router.post("/jobs/{job_id}/retry", status_code=201, **answer("StatusInfo", status=201))
def retry(job_id: str, asked: Submitter) -> dict[str, Any]:
    """The same request again, as a new job: for what failed. Images that are there are not made again."""
    ports = asked.system.ports
    record = own_job(job_id, asked)
    status = status_of(ports, record, {})
    if status.state not in (JobState.FAILED, JobState.DISMISSED):
        raise ProblemError(409, "Nothing to retry", f"job {job_id} is {status.state}: only a failed one is tried again")
    if record.user == asked.user:
        admit_retries(asked, [record.job_id])
    try:
        return status_answer(retry_job(ports, record), asked)
    except NothingToRetryError as error:
        raise ProblemError(409, "Nothing to retry", str(error)) from error


@router.post("/jobs/{job_id}/copies", status_code=201, **answer("Copies", status=201))
def copies(job_id: str, asked: Submitter) -> dict[str, Any]:
    """Jobs that copy the job's images into blob storage, where they were left on site. None where all are there."""
    return {"jobs": [status_answer(job, asked) for job in copy_results(asked.system.ports, own_job(job_id, asked))]}


@router.get("/jobs/{job_id}/explain", **answer("Explanation"))
def explain(job_id: str, asked: Reader) -> dict[str, Any]:
    """For each task where it runs or waits, why, and what every pool had to offer then; and where products lie that
    were named by id.

    Of tasks of other people's jobs, which made images for this one too, it tells when and in which pool.
    """
    view, system = view_of(job_id, asked), asked.system
    hidden = hidden_tasks(system.ports, asked.principal, (task.record for task in view.tasks if task.joined))
    waits = reasons_to_wait(system.ports, system.rules, [task.record for task in view.tasks])
    campaigns = {task.record.campaign for task in view.tasks if task.record.campaign}
    cost = job_cost(system.ports, job_id, view.record.created_at, campaigns)
    documents = [
        (task, _plain(document) if task.record.task_id in hidden else document)
        for task in view.tasks
        for document in [task_document(task, waits.get(task.record.task_id))]
    ]
    return {
        "jobID": job_id,
        "products": whereabouts(system.ports, view.record),
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
                "task_id": None if output.task_id in hidden else output.task_id or None,
                "fault": fault_document(output.fault_kind, output.fault_message),
            }
            for output in view.outputs
        ],
    }


def _plain(document: dict[str, Any]) -> dict[str, Any]:
    """A task as somebody sees it who may not see its job: what its owner waits for and pays is theirs."""
    theirs = ("task_id", "agent", "decision", "waits", "fault")
    return {name: value for name, value in document.items() if name not in theirs}


def view_of(job_id: str, asked: Caller) -> JobView:
    ports = asked.system.ports
    return view_job(ports, job_of(job_id, asked), running_tasks(live_agents(ports, asked.system.rules)))


def job_of(job_id: str, asked: Caller) -> JobRecord:
    """A job that the caller may see: their own, shared with them, or for an admin any. Raises ProblemError: 404."""
    record = find_visible_job(asked.system.ports, asked.principal, _identifier(job_id))
    if record is None:
        raise no_such_job(job_id)
    return record


def own_job(job_id: str, asked: Caller) -> JobRecord:
    """A job that the caller may change. Raises ProblemError: 404, or 403 for one that is shared with them."""
    record = job_of(job_id, asked)
    if not may_change(asked.principal, record):
        raise ProblemError(403, "Not allowed", f"job {job_id} is shared with you: that is for its owner")
    return record


def status_answer(job: JobRecord, asked: Caller) -> dict[str, Any]:
    system = asked.system
    running = running_tasks(live_agents(system.ports, system.rules)) if job.final is None else {}
    return status_document(status_of(system.ports, job, running), system.rules, asked)


def _identifier(job_id: str) -> str:
    if len(job_id) > 63 or not job_id.isascii() or not job_id.isalnum():
        raise no_such_job(job_id)
    return job_id
