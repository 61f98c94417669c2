"""Batches: up to a thousand executions in one call, and one call that says how all of them are doing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

from fastapi import APIRouter, Query
from fastapi import Request as HttpRequest
from fastapi.responses import JSONResponse
from starlette.concurrency import run_in_threadpool

from orthocontracts.batches import MAX_EXECUTIONS, BatchOrder
from orthocontracts.requests import Request
from orthocontracts.states import JobState
from orthofunctions.api.admission import admit_requests, admit_retries
from orthofunctions.api.batch_body import AskedBatch, parse_batch
from orthofunctions.api.bodies import read_body
from orthofunctions.api.context import Caller, Reader, Submitter
from orthofunctions.api.estimates import estimate_document
from orthofunctions.api.paging import next_link, read_token, write_token
from orthofunctions.api.problems import ProblemError, error, invalid
from orthofunctions.api.shapes import answer, ref
from orthofunctions.domain.records import BatchRecord
from orthofunctions.usecases.batch_changes import cancel_batch, retry_failed
from orthofunctions.usecases.batch_views import BatchView, JobLook, as_noted, batches_of, requests_of, view_batch
from orthofunctions.usecases.batches import BatchTakenError, find_batch, submit_batch
from orthofunctions.usecases.views import live_agents, running_tasks

router = APIRouter()

DEFAULT_BATCHES, MOST_BATCHES = 20, 100
_BODY = {"required": True, "content": {"application/json": {"schema": ref("BatchRequest")}}}
_ANSWERS: dict[int | str, dict[str, Any]] = {
    200: answer("Estimates", says="With validate_only: what they would come to")["responses"][200],
    201: answer("Batch", status=201, says="The batch that was made")["responses"][201],
}


@router.post("/batches", status_code=201, openapi_extra={"requestBody": _BODY}, responses=_ANSWERS, response_model=None)
async def submit(request: HttpRequest, asked: Submitter) -> JSONResponse:
    """Submit up to 1000 executions, or none of them where one is not valid.

    The same ``batch`` is the same batch, however often it is sent. With ``validate_only`` nothing is submitted: the
    answer says of each execution whether it can be made, of what size it is, what it would cost and where it would run.
    """
    body = await read_body(request, asked.system.settings.max_batch_bytes)
    return await run_in_threadpool(_submit, body, asked)


def _submit(body: bytes, asked: Caller) -> JSONResponse:
    wanted = parse_batch(body, asked.user, asked.system.settings.allowed_hosts(), asked.base_url)
    if wanted.validate_only:
        return JSONResponse(estimate_document(asked.system, wanted.executions))
    if wanted.errors:
        first = wanted.errors[0]
        detail = f"nothing was submitted; execution {first['index']}: {first['at']}: {first['message']}"
        raise ProblemError(400, "Invalid request", detail, errors=wanted.errors)
    order = _order(wanted, asked.user)
    admit_requests(asked, order.requests)
    try:
        record = submit_batch(asked.system.ports, order)
    except BatchTakenError as error:
        raise ProblemError(409, "Another batch has this id", str(error)) from error
    document = _document(as_noted(record), asked, limit=MAX_EXECUTIONS)
    location = f"{asked.base_url}/batches/{record.batch_id}"
    return JSONResponse(document, status_code=201, headers={"Location": location})


@router.get("/batches", **answer("BatchList"))
def batches(
    asked: Reader,
    limit: Annotated[int, Query(ge=1, le=MOST_BATCHES)] = DEFAULT_BATCHES,
    token: Annotated[str | None, Query(description="of a next link")] = None,
) -> dict[str, Any]:
    """Your batches, newest first, without their jobs."""
    ports = asked.system.ports
    found = batches_of(ports, asked.user)
    if token is not None:
        created, batch_id = read_token(token, 2)
        found = [one for one in found if (_time(one), one.batch_id) < (created, batch_id)]
    shown = found[:limit]
    running = running_tasks(live_agents(ports, asked.system.rules))
    links = [asked.link("/batches", "self", "this document")]
    if len(found) > limit:
        token = write_token(_time(shown[-1]), shown[-1].batch_id)
        links.append(next_link(asked, "/batches", {"limit": limit, "token": token}))
    return {"batches": [_summary(view_batch(ports, one, running), asked) for one in shown], "links": links}


@router.get("/batches/{batch}", **answer("Batch"))
def batch(
    batch: str,
    asked: Reader,
    limit: Annotated[int, Query(ge=1, le=MAX_EXECUTIONS, description="jobs in the answer")] = MAX_EXECUTIONS,
    token: Annotated[int, Query(ge=0, le=MAX_EXECUTIONS, description="of a next link")] = 0,
    status: Annotated[list[str] | None, Query(description="only jobs in these states")] = None,
) -> dict[str, Any]:
    """A batch and its jobs as they are now."""
    view = _view(_find(batch, asked), asked)
    return _document(view, asked, limit=limit, start=token, states=_states(status))


@router.delete("/batches/{batch}", **answer("Batch"))
def dismiss(batch: str, asked: Submitter) -> dict[str, Any]:
    """Cancel every job of a batch that is not over yet."""
    record = _find(batch, asked)
    cancel_batch(asked.system.ports, record)
    return _document(_view(_find(batch, asked), asked), asked, limit=MAX_EXECUTIONS)


@router.post("/batches/{batch}/retry", status_code=201, **answer("Batch", status=201))
def retry(batch: str, asked: Submitter) -> dict[str, Any]:
    """Try every failed job of a batch again, as a new job in its place. Images that are there are not made again."""
    view = _view(_find(batch, asked), asked)
    admit_retries(asked, [job.job_id for job in view.jobs if job.state is JobState.FAILED])
    record = retry_failed(asked.system.ports, view)
    return _document(_view(record, asked), asked, limit=MAX_EXECUTIONS)


def _order(wanted: AskedBatch, user: str) -> BatchOrder:
    requests = tuple(one for one in wanted.executions if isinstance(one, Request))
    return BatchOrder(batch=wanted.batch, user=user, name=wanted.name, requests=requests)


def _find(batch: str, asked: Caller) -> BatchRecord:
    record = find_batch(asked.system.ports, asked.user, batch[:63])
    if record is None:
        raise ProblemError(404, "No such batch", f"you have no batch {batch[:100]}")
    return record


def _view(record: BatchRecord, asked: Caller) -> BatchView:
    ports = asked.system.ports
    return view_batch(ports, record, running_tasks(live_agents(ports, asked.system.rules)))


def _states(named: Sequence[str] | None) -> frozenset[JobState] | None:
    """Of ``status=failed,dismissed`` as of ``status=failed&status=dismissed``."""
    if not named:
        return None
    words = [word for text in named for word in text.split(",") if word]
    unknown = next((word for word in words if word not in set(JobState)), None)
    if unknown is not None:
        raise invalid([error("query.status", "there is no such state", found=unknown, expected=", ".join(JobState))])
    return frozenset(map(JobState, words))


def _summary(view: BatchView, asked: Caller) -> dict[str, Any]:
    record = view.record
    return {
        "batchID": record.batch_id,
        **({"name": record.name} if record.name else {}),
        "created": _time(record),
        "total": len(view.jobs),
        "states": view.states,
        "progress": int(100 * view.progress),
        "links": [asked.link(f"/batches/{record.batch_id}", "self", "this batch")],
    }


def _document(
    view: BatchView, asked: Caller, *, limit: int, start: int = 0, states: frozenset[JobState] | None = None
) -> dict[str, Any]:
    document = _summary(view, asked)
    numbers = [
        number
        for number, job in enumerate(view.jobs)
        if number >= start and job.state is not None and (states is None or job.state in states)
    ]
    shown, more = numbers[:limit], numbers[limit:]
    requests = requests_of(asked.system.ports, view.record)
    document["jobs"] = [
        _job(view.jobs[number], requests[number] if number < len(requests) else None) for number in shown
    ]
    if more:
        query = {"limit": limit, "token": more[0], "status": None if states is None else sorted(states)}
        document["links"].append(next_link(asked, f"/batches/{view.record.batch_id}", query))
    return document


def _job(job: JobLook, request: Request | None) -> dict[str, Any]:
    """A short ``statusInfo``."""
    assert job.state is not None
    document: dict[str, Any] = {
        "jobID": job.job_id,
        "type": "process",
        "status": job.state.value,
        "progress": int(100 * job.progress),
    }
    if job.message:
        document["message"] = job.message
    if request is not None:
        process = request.asked.process if request.asked else request.process
        document |= {"processID": process, "request_id": request.request_id, "title": _title(request)}
    return document


def _time(record: BatchRecord) -> str:
    return record.created_at.isoformat(timespec="microseconds").replace("+00:00", "Z")


def _title(request: Request) -> str:
    name = request.products[0].removeprefix("products/").removeprefix("id:")
    more = len(request.products) - 1
    return f"{name} + {more}" if more else name
