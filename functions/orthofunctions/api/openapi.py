"""The API's description in OpenAPI 3.0.3, which OGC API - Processes 1.0 asks for; FastAPI writes 3.1."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from orthofunctions.api.problems import MEDIA_TYPE
from orthofunctions.api.schemas import in_openapi_3_0, input_descriptions
from orthofunctions.api.shapes import SHAPES, ref
from orthofunctions.domain.processes import PROCESSES

VERSION = "3.0.3"
OPENAPI_TYPE = "application/vnd.oai.openapi+json;version=3.0"
_METHODS = ("get", "post", "put", "patch", "delete")
_PROBLEM = {"content": {MEDIA_TYPE: {"schema": ref("Problem")}}}
_LIKELY = {"400": "What is wrong with the request", "401": "Who asks?", "403": "Not allowed", "404": "Not there"}
_LEFT_TO_FASTAPI = frozenset({"HTTPValidationError", "ValidationError"})


def describe(app: FastAPI) -> dict[str, Any]:
    """The description, made at the first call."""
    if app.openapi_schema is None:
        made = get_openapi(
            title=app.title,
            version=app.version,
            description=app.description,
            routes=app.routes,
            separate_input_output_schemas=False,
        )
        document: dict[str, Any] = in_openapi_3_0(made) | {"openapi": VERSION}
        for operations in document.get("paths", {}).values():
            for method in _METHODS:
                if method in operations:
                    _with_problems(operations[method])
        components = document.setdefault("components", {})
        kept = {name: one for name, one in components.get("schemas", {}).items() if name not in _LEFT_TO_FASTAPI}
        components["schemas"] = {**kept, **SHAPES, "Inputs": _inputs()}
        components.setdefault("securitySchemes", {})["bearer"] = {"type": "http", "scheme": "bearer"}
        # neither on loopback, where no key is set
        document["security"] = [{"bearer": []}, {}]
        app.openapi_schema = document
    return app.openapi_schema


def _inputs() -> dict[str, Any]:
    """Those of any process; objects may be in qualified values too."""
    of_processes = [
        {
            "type": "object",
            "title": process.id,
            "properties": {name: one["schema"] for name, one in described.items()},
            "required": [name for name, one in described.items() if one["minOccurs"]],
        }
        for process in PROCESSES.values()
        if (described := input_descriptions(process.id))
    ]
    return {"anyOf": [*of_processes, {"type": "object", "title": "with qualified values"}]}


def _with_problems(operation: dict[str, Any]) -> None:
    responses = operation.setdefault("responses", {})
    if "HTTPValidationError" in str(responses.get("422", "")):
        del responses["422"]  # ours are 400
    for status, says in _LIKELY.items():
        responses.setdefault(status, {"description": says, **_PROBLEM})
    responses.setdefault("default", {"description": "What went wrong", **_PROBLEM})
