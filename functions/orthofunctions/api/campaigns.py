"""Campaigns: what has long been there made anew, where nobody else's work wants to run."""

from __future__ import annotations

import json
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from fastapi.responses import JSONResponse
from starlette.concurrency import run_in_threadpool

from orthocontracts.campaigns import CampaignOrder
from orthofunctions.api.bodies import may_be_id, named_document, parse_json, read_body
from orthofunctions.api.context import Caller, Operator
from orthofunctions.api.problems import Error, ProblemError, error, invalid
from orthofunctions.api.shapes import answer, ref
from orthofunctions.domain.campaigns import CampaignAction, CampaignStateError
from orthofunctions.domain.records import CampaignRecord
from orthofunctions.usecases.campaign_rows import FAILED, all_campaigns, find_campaign, products_of
from orthofunctions.usecases.campaigns import (
    CampaignExistsError,
    CampaignRefusedError,
    change_state,
    plan_campaign,
)
from orthofunctions.usecases.ledger import account, books_of

router = APIRouter()

_NOT_SAID = {"version", "user", "created_at", "campaign_id"}
"""Of a campaign: by whoever asks, and when."""
_BODY = {"required": True, "content": {"application/json": {"schema": ref("NewCampaign")}}}


@router.get("/campaigns", **answer("Campaigns"))
def campaigns(asked: Operator) -> dict[str, Any]:
    """All campaigns, by id."""
    return {"campaigns": [_document(record, asked) for record in all_campaigns(asked.system.ports)]}


@router.post("/campaigns", status_code=201, openapi_extra={"requestBody": _BODY}, **answer("Campaign", status=201))
async def campaign(request: Request, asked: Operator) -> JSONResponse:
    """Plan a campaign and say what it would come to. Nothing is made before it is started."""
    body = await read_body(request, asked.system.settings.max_body_bytes)
    return await run_in_threadpool(_plan, body, asked)


def _plan(body: bytes, asked: Caller) -> JSONResponse:
    system, wanted = asked.system, _order_of(parse_json(body), asked)
    try:
        kept = plan_campaign(system.ports, system.rules, system.limits, wanted)
    except CampaignRefusedError as trouble:
        raise ProblemError(400, "Not kept", str(trouble)) from trouble
    except CampaignExistsError as trouble:
        raise ProblemError(409, "Another campaign has this id", str(trouble)) from trouble
    headers = {"Location": f"{asked.base_url}/campaigns/{kept.campaign_id}"}
    return JSONResponse(_document(kept, asked), 201, headers=headers)


@router.get("/campaigns/{campaign_id}", **answer("Campaign"))
def one_campaign(campaign_id: str, asked: Operator) -> dict[str, Any]:
    """How a campaign stands."""
    return _document(_find(campaign_id, asked), asked)


@router.get("/campaigns/{campaign_id}/failed", **answer("CampaignFailed"))
def failed(campaign_id: str, asked: Operator, limit: Annotated[int, Query(ge=1, le=1000)] = 100) -> dict[str, Any]:
    """Products of a campaign that have failed, and why; newest first."""
    record = _find(campaign_id, asked)
    found = products_of(asked.system.ports, record.campaign_id, FAILED, limit)
    return {
        "products": [
            {"product": one.ref, "jobID": one.job_id, "message": one.message, "attempt": one.attempt} for one in found
        ]
    }


@router.post("/campaigns/{campaign_id}/start", **answer("Campaign"))
def start(campaign_id: str, asked: Operator) -> dict[str, Any]:
    """Start a campaign that is planned. Products that come later are none of its business."""
    return _act(campaign_id, CampaignAction.START, asked)


@router.post("/campaigns/{campaign_id}/pause", **answer("Campaign"))
def pause(campaign_id: str, asked: Operator) -> dict[str, Any]:
    """Release nothing more of it. What runs goes on."""
    return _act(campaign_id, CampaignAction.PAUSE, asked)


@router.post("/campaigns/{campaign_id}/resume", **answer("Campaign"))
def resume(campaign_id: str, asked: Operator) -> dict[str, Any]:
    """Go on with a campaign that is paused."""
    return _act(campaign_id, CampaignAction.RESUME, asked)


@router.post("/campaigns/{campaign_id}/retry", **answer("Campaign"))
def retry(campaign_id: str, asked: Operator) -> dict[str, Any]:
    """Take its failed products once more."""
    return _act(campaign_id, CampaignAction.RETRY, asked)


@router.delete("/campaigns/{campaign_id}", **answer("Campaign"))
def cancel(campaign_id: str, asked: Operator) -> dict[str, Any]:
    """Cancel it. Images that are there stay."""
    return _act(campaign_id, CampaignAction.CANCEL, asked)


def _act(campaign_id: str, action: CampaignAction, asked: Caller) -> dict[str, Any]:
    record = _find(campaign_id, asked)
    try:
        return _document(change_state(asked.system.ports, record, action), asked)
    except (CampaignStateError, CampaignRefusedError) as trouble:
        raise ProblemError(409, "Not as it stands", str(trouble)) from trouble


def _find(campaign_id: str, asked: Caller) -> CampaignRecord:
    found = find_campaign(asked.system.ports, campaign_id) if may_be_id(campaign_id) else None
    if found is None:
        raise ProblemError(404, "No such campaign", f"there is no campaign {campaign_id[:100]}")
    return found


def _order_of(said: Any, asked: Caller) -> CampaignOrder:
    if not isinstance(said, dict):
        raise invalid([error("body", "it must be an object", found=said, expected="an object")])
    errors: list[Error] = [
        error(name, "not said in a campaign, leave it out", found=said[name])
        for name in sorted(_NOT_SAID & said.keys())
    ]
    if "id" not in said:
        errors.append(error("id", "a campaign has an id", expected="lower case, digits and hyphens"))
    if errors:
        raise invalid(errors)
    now = asked.system.ports.clock.now().isoformat()
    ours = {"campaign_id": said["id"], "user": asked.user, "created_at": now}
    return named_document(CampaignOrder, "campaign_id", said, **ours)


def _document(record: CampaignRecord, asked: Caller) -> dict[str, Any]:
    order = json.loads(record.document)
    del order["version"], order["campaign_id"]
    money = account(asked.system.ports, books_of(record.campaign_id))
    times = {"started": record.started_at, "ended": record.ended_at}
    return {
        "id": record.campaign_id,
        "state": str(record.state),
        **{name: at.isoformat().replace("+00:00", "Z") for name, at in times.items() if at is not None},
        "price": json.loads(record.price),
        "progress": {
            "taken": record.n_taken,
            "under_way": record.n_taken - record.n_done - record.n_failed - record.n_unfit,
            "done": record.n_done,
            "there": record.n_there,
            "failed": record.n_failed,
            "unfit": record.n_unfit,
            "all_taken": record.exhausted,
        },
        "spent": {
            "eur": round(money.spent_eur, 6),
            "reserved_eur": round(money.reserved_eur, 6),
            "on_prem_slot_s": round(money.on_prem_slot_s, 3),
            "cloud_slot_s": round(money.cloud_slot_s, 3),
        },
        "order": order,
    }
