"""OGC API - Processes 1.0, part one: landing page, conformance, process descriptions, execution."""

from __future__ import annotations

import json
import uuid
from functools import cache
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse
from pydantic import ValidationError
from starlette.concurrency import run_in_threadpool

import orthocontracts.requests as words
from orthofunctions.api.context import Caller, Reader, Submitter
from orthofunctions.api.jobs import status_document
from orthofunctions.api.problems import NO_SUCH_PROCESS, ProblemError
from orthofunctions.api.schemas import openapi_schema
from orthofunctions.usecases.submit import submit
from orthofunctions.usecases.views import view_job

router = APIRouter()

_CONFORMANCE = "http://www.opengis.net/spec/ogcapi-processes-1/1.0/conf"
CONFORMS_TO = tuple(
    f"{_CONFORMANCE}/{name}" for name in ("core", "ogc-process-description", "json", "oas30", "job-list", "dismiss")
)
PROCESS = "orthorectify"
SUMMARY: dict[str, Any] = {
    "id": PROCESS,
    "version": "1.0.0",
    "title": "Orthorectify",
    "description": "Map-projected Cloud-Optimized GeoTIFFs with STAC Items from Sentinel-1 GRD, Sentinel-2 L1B, "
    "L1C and L2A, Sentinel-3 OLCI and SLSTR level 1, and RPC images",
    "jobControlOptions": ["async-execute", "dismiss"],
    "outputTransmission": ["reference"],
}
_NO_INPUTS = {"user", "process", "version", "subscriber", "batch"}
"""Of a request: said by the path, the caller's name or beside the inputs."""


@router.get("/")
def landing(asked: Reader) -> dict[str, Any]:
    return {
        "title": "orthoburst",
        "description": "Sentinel and very-high-resolution products into orthorectified, analysis-ready images",
        "links": [
            asked.link("/", "self", "this document"),
            asked.link("/openapi.json", "service-desc", "OpenAPI", "application/vnd.oai.openapi+json;version=3.0"),
            asked.link("/conformance", "http://www.opengis.net/def/rel/ogc/1.0/conformance", "conformance classes"),
            asked.link("/processes", "http://www.opengis.net/def/rel/ogc/1.0/processes", "processes"),
            asked.link("/jobs", "http://www.opengis.net/def/rel/ogc/1.0/job-list", "your jobs"),
            asked.link("/products", "related", "products in the store", "application/geo+json"),
            asked.link("/pools", "related", "pools, workers and queues"),
        ],
    }


@router.get("/conformance")
def conformance(_: Reader) -> dict[str, Any]:
    return {"conformsTo": list(CONFORMS_TO)}


@router.get("/processes")
def processes(asked: Reader) -> dict[str, Any]:
    link = asked.link(f"/processes/{PROCESS}", "self", "process description")
    return {"processes": [{**SUMMARY, "links": [link]}], "links": [asked.link("/processes", "self", "this document")]}


@router.get("/processes/{process}")
def process_description(process: str, asked: Reader) -> dict[str, Any]:
    _check_process(process)
    execute = asked.link(f"/processes/{PROCESS}/execution", "http://www.opengis.net/def/rel/ogc/1.0/execute", "execute")
    return {
        **SUMMARY,
        "inputs": _input_descriptions(),
        "outputs": {
            "outputs": {
                "title": "one entry per image: links to COG, browse image and STAC Item",
                "schema": {"type": "array", "items": {"type": "object"}},
            }
        },
        "links": [asked.link(f"/processes/{PROCESS}", "self", "this document"), execute],
    }


@router.post("/processes/{process}/execution", status_code=201)
async def execute(process: str, request: Request, asked: Submitter) -> JSONResponse:
    _check_process(process)
    body = await _body(request, asked.system.settings.max_body_bytes)
    return await _threaded(_execute, body, asked)


def _execute(body: bytes, asked: Caller) -> JSONResponse:
    order = _request_of(body, asked.user)
    ports = asked.system.ports
    job = submit(ports, order, "http")
    document = status_document(view_job(ports, job, {}), asked)
    return JSONResponse(document, status_code=201, headers={"Location": f"{asked.base_url}/jobs/{job.job_id}"})


def _request_of(body: bytes, user: str) -> words.Request:
    try:
        document = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise ProblemError(400, "Not JSON", f"the body is not JSON: {str(error)[:200]}") from error
    inputs = document.get("inputs") if isinstance(document, dict) else None
    if not isinstance(inputs, dict):
        raise ProblemError(400, "Invalid request", 'the body must be an object with "inputs", an object')
    if beside := _NO_INPUTS & inputs.keys():
        raise ProblemError(400, "Invalid request", f"{', '.join(sorted(beside))}: not inputs, leave them out")
    identified = {"request_id": f"r{uuid.uuid4().hex}", **inputs, "user": user, "process": PROCESS}
    try:
        return words.Request.model_validate_json(json.dumps(identified))
    except ValidationError as error:
        faults = [
            {"at": ".".join(["inputs", *map(str, one["loc"])]), "message": one["msg"]}
            for one in error.errors(include_url=False, include_input=False, include_context=False)
        ]
        detail = f"{faults[0]['at']}: {faults[0]['message']}"
        raise ProblemError(400, "Invalid request", detail, errors=faults) from error


async def _body(request: Request, most: int) -> bytes:
    too_large = ProblemError(413, "Too large", f"a request has at most {most} bytes")
    announced = request.headers.get("content-length", "0")
    if announced.isdigit() and int(announced) > most:
        raise too_large
    data = b""
    async for chunk in request.stream():
        data += chunk
        if len(data) > most:
            raise too_large
    return data


async def _threaded(function: Any, *arguments: Any) -> JSONResponse:
    # storage clients are synchronous: off the event loop
    answer: JSONResponse = await run_in_threadpool(function, *arguments)
    return answer


def _check_process(process: str) -> None:
    if process != PROCESS:
        raise ProblemError(404, "No such process", f"there is only {PROCESS}", type_=NO_SUCH_PROCESS)


@cache
def _input_descriptions() -> dict[str, Any]:
    schema = words.Request.model_json_schema()
    shared, required = schema.get("$defs", {}), set(schema.get("required", ())) - {"request_id"}
    described = {}
    for name, of_input in schema["properties"].items():
        if name in _NO_INPUTS:
            continue
        described[name] = {
            "title": name.replace("_", " "),
            **({"description": of_input["description"]} if "description" in of_input else {}),
            "schema": openapi_schema(of_input, shared),
            "minOccurs": 1 if name in required else 0,
            "maxOccurs": 1,
        }
    return described
