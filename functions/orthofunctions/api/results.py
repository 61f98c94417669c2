"""OGC API - Processes 1.0: a job's results, as a document or raw, by reference or by value."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from fastapi.responses import JSONResponse, Response

from orthocontracts.states import JobState
from orthofunctions.api.execution import OUTPUT
from orthofunctions.api.problems import RESULT_NOT_READY, ProblemError
from orthofunctions.bootstrap import System
from orthofunctions.domain.endings import OVER
from orthofunctions.domain.records import JobRecord, OutputRecord
from orthofunctions.usecases.results import result_items, result_links
from orthofunctions.usecases.views import JobView

GEO_JSON = "application/geo+json"
_MOST_LINK_HEADERS = 200


def results_document(system: System, job: JobRecord, outputs: Sequence[OutputRecord]) -> dict[str, Any]:
    """The images that are there, as the job's caller wanted them."""
    valid = timedelta(minutes=system.settings.link_minutes)
    if job.transmission == "value":
        items = result_items(system.ports, outputs, valid)
        return {OUTPUT: [{"value": item, "mediaType": GEO_JSON} for item in items]}
    return {OUTPUT: result_links(system.ports, outputs, valid)}


def results_answer(system: System, view: JobView, *, partial: bool) -> Response:
    """The answer to whoever asks for a job's results.

    Raises
    ------
    ProblemError
        404 of a job that is not over, unless ``partial``; 422 of one that failed without an image.
    """
    job = view.record
    if view.state not in OVER and not partial:
        raise ProblemError(
            404,
            "Results are not ready",
            f"job {job.job_id} is {view.state}; with ?partial=true the images that are there are shown",
            type_=RESULT_NOT_READY,
        )
    document = results_document(system, job, view.outputs)
    if view.state is JobState.FAILED and not document[OUTPUT]:
        kind = job.fault_kind or next((one.fault_kind for one in view.outputs if one.fault_kind), None)
        raise ProblemError(422, "The job failed", view.status.message, kind=kind)
    if job.response != "raw":
        return JSONResponse(document)
    if job.transmission == "value":
        return JSONResponse([one["value"] for one in document[OUTPUT]])
    return _as_headers(document[OUTPUT])


def _as_headers(entries: Sequence[dict[str, Any]]) -> Response:
    """Raw and by reference: 204, and a ``Link`` for every image."""
    links = [entry["image"] for entry in entries if "href" in entry["image"]][:_MOST_LINK_HEADERS]
    response = Response(status_code=204)
    for file in links:
        response.headers.append("Link", f'<{file["href"]}>; rel="item"; type="{file["type"]}"')
    return response
