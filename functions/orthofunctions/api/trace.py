"""What happened to a job and when: where its time went."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter
from fastapi.responses import JSONResponse, Response

from orthocontracts.tracing import trace_id_of
from orthofunctions.api.context import Reader
from orthofunctions.api.documents import time_text
from orthofunctions.api.jobs import view_of
from orthofunctions.api.shapes import answer
from orthofunctions.domain.callbacks import CallbackRecord
from orthofunctions.domain.phases import Phase, Segment
from orthofunctions.domain.timeline import Happening, Lane
from orthofunctions.usecases.trace import Trace, trace_job

router = APIRouter()

_WORDS = {
    Phase.QUEUE: "waiting for its plan",
    Phase.PLANNING: "planning",
    Phase.EARLIER: "in releases of which nothing is kept",
    Phase.SLOT: "waiting for a slot",
    Phase.BACK_OFF: "waiting before another attempt",
    Phase.START: "waiting for a worker to begin",
    Phase.FETCH: "fetching",
    Phase.COMPUTE: "computing",
    Phase.DELIVER: "delivering",
    Phase.RUN: "at work",
    Phase.COMMIT: "being checked and entered into the catalogue",
    Phase.LOST: "with workers of whom nothing came",
    Phase.SETTLE: "its end being written",
}


@router.get("/jobs/{job_id}/trace", **answer("Trace"))
def trace(job_id: str, asked: Reader) -> Response:
    """The job's timeline: each moment of it, and of each of its tasks, with what it was spent in.

    Of tasks of other people's jobs, which made images for this one too, it tells when and in which pool.
    """
    system = asked.system
    made = trace_job(system.ports, system.rules, view_of(job_id, asked), asked.principal)
    line, view = made.timeline, made.view
    totals_s = line.totals_s
    document = _known(
        {
            "jobID": job_id,
            "status": view.state.value,
            "created": time_text(line.start),
            "planned": time_text(line.planned_at),
            "finished": time_text(line.end) if line.is_over else None,
            "as_of": time_text(line.end),
            "total_s": (line.end - line.start).total_seconds(),
            "trace_id": trace_id_of(view.record.traceparent),
            "longest": _longest(made),
            "path": [_segment(made, line.critical, one) for one in line.path],
            "phases": {phase.value: round(totals_s[phase], 6) for phase in Phase if phase in totals_s},
            "tasks": [_lane(made, one) for one in line.lanes],
            "events": [_event(made, one) for one in line.happened],
            "callbacks": [_callback(made, one) for one in made.callbacks],
        }
    )
    return JSONResponse(document)  # of hundreds of tasks: FastAPI would look at each of its values first


def _longest(made: Trace) -> dict[str, Any] | None:
    line = made.timeline
    if line.longest is None:
        return None
    segment, seconds = line.longest
    share = seconds / (line.end - line.start).total_seconds()
    where = f" in {segment.pool}" if segment.pool else ""
    hidden = _is_hidden(made, line.critical)
    says = [] if hidden or not segment.says else [segment.says]
    run = None if line.critical is None or hidden else made.compared.get(line.critical.task.task_id)
    if run is not None:
        says.append(run.says)
    return {
        "phase": segment.phase.value,
        "pool": segment.pool,
        "seconds": seconds,
        "share": round(share, 4),
        "summary": f"{100 * share:.0f} % {_WORDS[segment.phase]}{where}",
        "says": says,
    }


def _lane(made: Trace, lane: Lane) -> dict[str, Any]:
    task, hidden = lane.task, _is_hidden(made, lane)
    run = made.compared.get(task.task_id)
    document = {
        "task_id": None if hidden else task.task_id,
        "title": lane.part.title,
        "state": task.state.value,
        "joined": lane.part.joined,
        "critical": lane is made.timeline.critical,
        "seconds": sum(one.seconds for one in lane.segments),
        "releases_unknown": lane.n_unknown or None,
        "segments": [_segment(made, lane, one) for one in lane.segments],
        "fault": task.fault_message if task.fault_message and not hidden else None,
        "run": None
        if run is None or hidden
        else {
            "took_s": run.took_s,
            "median_s": round(run.median_s, 3),
            "p90_s": round(run.p90_s, 3),
            "n_runs": run.n_runs,
            "slow": run.is_slow,
            "says": run.says,
        },
    }
    return _known(document)


def _segment(made: Trace, lane: Lane | None, one: Segment) -> dict[str, Any]:
    hidden = _is_hidden(made, lane)
    document = {
        "phase": one.phase.value,
        "start": time_text(one.start),
        "end": time_text(one.end),
        "seconds": one.seconds,
        "release": one.release,
        "delivery": one.delivery,
        "pool": one.pool,
        "agent": None if hidden else one.agent or None,
        "says": None if hidden else one.says or None,
    }
    return _known(document)


def _event(made: Trace, one: Happening) -> dict[str, Any]:
    hidden = one.task_id in made.hidden
    # the title of an output is this job's own
    says = one.says if not hidden or one.what.value == "output_ended" else ""
    document = {
        "at": time_text(one.at),
        "after_s": (one.at - made.timeline.start).total_seconds(),
        "what": one.what.value,
        "task_id": None if hidden else one.task_id,
        "joined": True if hidden else None,
        "release": one.release,
        "delivery": one.delivery,
        "pool": one.pool or None,
        "agent": None if hidden else one.agent or None,
        "how": one.how,
        "says": says or None,
    }
    return _known(document)


def _callback(made: Trace, record: CallbackRecord) -> dict[str, Any]:
    """Without the address: that may hold a secret, and who may see the job need not be its owner."""
    told = record.delivered_at
    return _known(
        {
            "kind": str(record.kind),
            "state": record.state.value,
            "attempts": record.attempts,
            "created": time_text(record.created_at),
            "delivered": time_text(told),
            "seconds": (told - record.created_at).total_seconds() if told else None,
        }
    )


def _is_hidden(made: Trace, lane: Lane | None) -> bool:
    return lane is not None and lane.task.task_id in made.hidden


def _known(document: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in document.items() if value is not None}
