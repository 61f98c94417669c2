"""Errors as RFC 9457 problem documents. What is wrong with a request is said by field: what came, what was expected."""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Iterable, Mapping
from typing import Any, Final

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from starlette.exceptions import HTTPException

logger = logging.getLogger(__name__)

MEDIA_TYPE = "application/problem+json"
_OGC = "http://www.opengis.net/def/exceptions/ogcapi-processes-1/1.0"
NO_SUCH_PROCESS = f"{_OGC}/no-such-process"
NO_SUCH_JOB = f"{_OGC}/no-such-job"
RESULT_NOT_READY = f"{_OGC}/result-not-ready"
_LONGEST: Final = 200
_NOTHING: Final = object()

Error = dict[str, Any]
"""``at``, ``message``, and where known ``found`` and ``expected``."""


class ProblemError(Exception):
    """An answer that is an error. ``extra`` members are added to the document."""

    def __init__(self, status: int, title: str, detail: str, *, type_: str = "about:blank", **extra: Any) -> None:
        super().__init__(title)
        self.status = status
        self.document = {"type": type_, "title": title, "status": status, "detail": detail, **extra}
        self.headers: dict[str, str] = {"WWW-Authenticate": "Bearer"} if status == 401 else {}

    def response(self) -> Response:
        # ASCII: what is quoted of a request may hold what UTF-8 has no bytes for
        return Response(json.dumps(self.document), self.status, headers=self.headers, media_type=MEDIA_TYPE)


def no_such_job(job_id: str) -> ProblemError:
    return ProblemError(404, "No such job", f"you have no job {job_id[:100]}", type_=NO_SUCH_JOB)


def error(at: str, message: str, *, found: Any = _NOTHING, expected: str | None = None) -> Error:
    """One thing that is wrong: ``at`` is the path to it, with dots."""
    said: Error = {"at": at[:_LONGEST], "message": message}
    if found is not _NOTHING:
        said["found"] = _shown(found)
    if expected is not None:
        said["expected"] = expected[:1000]
    return said


def invalid(errors: Iterable[Error]) -> ProblemError:
    """400 with everything that is wrong; ``detail`` says the first."""
    listed = list(errors)
    first = listed[0]
    more = f"; and {len(listed) - 1} more, see errors" if len(listed) > 1 else ""
    return ProblemError(400, "Invalid request", f"{first['at']}: {first['message']}{more}", errors=listed)


def errors_of(faults: Iterable[Mapping[str, Any]], *prefix: str) -> list[Error]:
    """What pydantic found, with what came and what was expected."""
    return [
        error(
            ".".join([*prefix, *map(str, one["loc"])]),
            str(one["msg"])[:1000],
            found=_NOTHING if one["type"] == "missing" else one.get("input", _NOTHING),
            expected=_expected(one),
        )
        for one in faults
    ]


_LIMITS = {"ge": "at least", "gt": "above", "le": "at most", "lt": "below"}
_KINDS = {"missing": "a value", "extra_forbidden": "nothing of this name"}


def _expected(fault: Mapping[str, Any]) -> str | None:
    known = fault.get("ctx", {})
    for word, said in _LIMITS.items():
        if word in known:
            return f"{said} {known[word]}"
    if "expected" in known:
        return str(known["expected"])
    if "expected_tags" in known:
        return str(known["expected_tags"])
    if "pattern" in known:
        return f"text that matches {known['pattern']}"
    for word, said in (("max_length", "at most"), ("min_length", "at least")):
        if word in known:
            return f"{said} {known[word]} {'letters' if str(fault['type']).startswith('string') else 'items'}"
    kind = str(fault["type"])
    return _KINDS.get(kind) or (kind.replace("_", " ") if kind.endswith(("_type", "_parsing")) else None)


def _shown(found: Any) -> Any:
    """What came, so short that it can be told again."""
    if found is None or isinstance(found, (bool, int)):
        return found if not isinstance(found, int) or abs(found) < 2**53 else str(found)[:_LONGEST]
    if isinstance(found, float):
        return found if math.isfinite(found) else str(found)
    if isinstance(found, str):
        return found if len(found) <= _LONGEST else f"{found[:_LONGEST]}…"
    try:
        text = json.dumps(found, default=str)
    except (ValueError, RecursionError):
        text = type(found).__name__
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"


def install(app: FastAPI) -> None:
    """Make every error of the app a problem document."""

    async def problem(_: Request, error: Exception) -> Response:
        assert isinstance(error, ProblemError)
        return error.response()

    async def http(_: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        found = ProblemError(error.status_code, str(error.detail), str(error.detail))
        found.headers |= error.headers or {}
        return found.response()

    async def refused(_: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)
        return invalid(errors_of(error.errors())).response()

    async def unexpected(request: Request, error: Exception) -> Response:
        logger.exception("%s %s", request.method, request.url.path, extra={"action": "api_error"}, exc_info=error)
        return ProblemError(
            500, "Internal error", f"{type(error).__name__}; try again, then ask your operator"
        ).response()

    app.add_exception_handler(ProblemError, problem)
    app.add_exception_handler(HTTPException, http)
    app.add_exception_handler(RequestValidationError, refused)
    app.add_exception_handler(Exception, unexpected)
