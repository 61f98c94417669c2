"""OGC API - Processes 1.0: the processes, and having one executed."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Header, Query, Request
from fastapi.responses import JSONResponse
from starlette.concurrency import run_in_threadpool

from orthofunctions.api.admission import admit_requests
from orthofunctions.api.bodies import parse_json, read_body
from orthofunctions.api.context import Caller, Reader, Submitter
from orthofunctions.api.documents import status_document
from orthofunctions.api.execution import OUTPUT, request_of
from orthofunctions.api.paging import next_link, read_token, write_token
from orthofunctions.api.problems import NO_SUCH_PROCESS, ProblemError
from orthofunctions.api.schemas import input_descriptions
from orthofunctions.api.shapes import answer, ref
from orthofunctions.domain.processes import PROCESSES, Process
from orthofunctions.usecases.submit import submit
from orthofunctions.usecases.views import status_of

router = APIRouter()

MOST_PROCESSES = 100
_EXECUTE = "http://www.opengis.net/def/rel/ogc/1.0/execute"
_BODY = {"required": True, "content": {"application/json": {"schema": ref("Execute")}}}
_LOCATION = {"Location": {"description": "the job", "schema": {"type": "string"}}}


@router.get("/processes", **answer("ProcessList"))
def processes(
    asked: Reader, limit: Annotated[int, Query(ge=1, le=MOST_PROCESSES)] = MOST_PROCESSES, token: str | None = None
) -> dict[str, Any]:
    after = read_token(token, 1)[0] if token else ""
    left = [process for name, process in sorted(PROCESSES.items()) if name > after]
    links = [asked.link("/processes", "self", "this document")]
    if len(left) > limit:
        links.append(next_link(asked, "/processes", {"limit": limit, "token": write_token(left[limit - 1].id)}))
    return {"processes": [_summary(process, asked) for process in left[:limit]], "links": links}


@router.get("/processes/{process}", **answer("Process"))
def process_description(process: str, asked: Reader) -> dict[str, Any]:
    found = _process(process)
    summary = _summary(found, asked)
    summary["links"].append(asked.link(f"/processes/{found.id}/execution", _EXECUTE, "execute"))
    return {
        **summary,
        "inputs": input_descriptions(found.id),
        "outputs": {
            OUTPUT: {
                "title": "Images",
                "description": "one entry per image. By reference: links to COG, browse image, STAC Item and extras, "
                "with size and MD5; by value: the STAC Items",
                "schema": {"type": "array", "items": {"type": "object"}},
            }
        },
    }


@router.post(
    "/processes/{process}/execution",
    status_code=201,
    openapi_extra={"requestBody": _BODY},
    **answer("StatusInfo", status=201, says="The job that was made", headers=_LOCATION),
)
async def execute(
    process: str, request: Request, asked: Submitter, prefer: Annotated[str | None, Header()] = None
) -> JSONResponse:
    """Make a job. It runs asynchronously, whatever is preferred: no process offers anything else."""
    found = _process(process)
    body = await read_body(request, asked.system.settings.max_body_bytes)
    # storage clients are synchronous: off the event loop
    made: JSONResponse = await run_in_threadpool(_execute, found, body, asked)
    if "respond-async" in {one.strip().lower() for one in (prefer or "").replace(";", ",").split(",")}:
        made.headers["Preference-Applied"] = "respond-async"
    return made


def _execute(process: Process, body: bytes, asked: Caller) -> JSONResponse:
    system = asked.system
    hosts = system.settings.allowed_hosts()
    order = request_of(parse_json(body), process, asked.user, hosts, asked.base_url)
    admit_requests(asked, [order])
    job = submit(system.ports, order, "http")
    document = status_document(status_of(system.ports, job, {}), system.rules, asked)
    return JSONResponse(document, 201, headers={"Location": f"{asked.base_url}/jobs/{job.job_id}"})


def _process(name: str) -> Process:
    if name not in PROCESSES:
        known = ", ".join(sorted(PROCESSES))
        raise ProblemError(
            404, "No such process", f"there is no process {name[:100]!r}; there are {known}", type_=NO_SUCH_PROCESS
        )
    return PROCESSES[name]


def _summary(process: Process, asked: Caller) -> dict[str, Any]:
    return {
        "id": process.id,
        "version": process.version,
        "title": process.title,
        "description": process.description,
        "keywords": list(process.keywords),
        "jobControlOptions": ["async-execute", "dismiss"],
        "outputTransmission": ["reference", "value"],
        "links": [asked.link(f"/processes/{process.id}", "self", "process description")],
    }
