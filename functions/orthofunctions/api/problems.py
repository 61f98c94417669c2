"""Errors as RFC 9457 problem documents."""

from __future__ import annotations

import logging
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

logger = logging.getLogger(__name__)

_OGC = "http://www.opengis.net/def/exceptions/ogcapi-processes-1/1.0"
NO_SUCH_PROCESS = f"{_OGC}/no-such-process"
NO_SUCH_JOB = f"{_OGC}/no-such-job"
RESULT_NOT_READY = f"{_OGC}/result-not-ready"


class ProblemError(Exception):
    """An answer that is an error. ``extra`` members are added to the document."""

    def __init__(self, status: int, title: str, detail: str, *, type_: str = "about:blank", **extra: Any) -> None:
        super().__init__(title)
        self.status = status
        self.document = {"type": type_, "title": title, "status": status, "detail": detail, **extra}

    def response(self) -> JSONResponse:
        headers = {"WWW-Authenticate": "Bearer"} if self.status == 401 else None
        return JSONResponse(
            self.document, status_code=self.status, media_type="application/problem+json", headers=headers
        )


def no_such_job(job_id: str) -> ProblemError:
    return ProblemError(404, "No such job", f"you have no job {job_id[:100]}", type_=NO_SUCH_JOB)


def install(app: FastAPI) -> None:
    """Make every error of the app a problem document."""

    async def problem(_: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, ProblemError)
        return error.response()

    async def http(_: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, HTTPException)
        return ProblemError(error.status_code, str(error.detail), str(error.detail)).response()

    async def invalid(_: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, RequestValidationError)
        faults = [{"at": ".".join(map(str, one["loc"])), "message": one["msg"]} for one in error.errors()]
        return ProblemError(400, "Invalid request", "see errors", errors=faults).response()

    async def unexpected(request: Request, error: Exception) -> JSONResponse:
        logger.exception("%s %s", request.method, request.url.path, extra={"action": "api_error"}, exc_info=error)
        return ProblemError(
            500, "Internal error", f"{type(error).__name__}; try again, then ask your operator"
        ).response()

    app.add_exception_handler(ProblemError, problem)
    app.add_exception_handler(HTTPException, http)
    app.add_exception_handler(RequestValidationError, invalid)
    app.add_exception_handler(Exception, unexpected)
