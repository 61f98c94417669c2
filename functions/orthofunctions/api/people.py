"""Who the caller is here, and their API keys."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Annotated, Any

from fastapi import APIRouter, Query
from fastapi.responses import JSONResponse
from pydantic import Field, StringConstraints

from orthocontracts.model import Document, Identifier
from orthofunctions.api.admission import caller_quota
from orthofunctions.api.context import Caller, Reader
from orthofunctions.api.problems import ProblemError
from orthofunctions.api.shapes import answer
from orthofunctions.domain.keytext import id_of
from orthofunctions.domain.principals import Principal, Scope, with_implied
from orthofunctions.domain.records import KeyRecord
from orthofunctions.usecases.keys import KeyOrder, TooManyKeysError, find_key, keys_of, make_key, revoke_key, scopes_of
from orthofunctions.usecases.quotas import usage_of

router = APIRouter()

MOST_DAYS = 3650


class NewKey(Document):
    """A key that is asked for. Without ``expires_in_days`` it holds until it is revoked."""

    name: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=100)]
    scopes: tuple[Scope, ...] = Field(min_length=1, max_length=len(Scope))
    expires_in_days: float | None = Field(default=None, gt=0, le=MOST_DAYS)
    user: Identifier | None = Field(default=None, description="whose key it is, where an admin makes it for another")


@router.get("/whoami", **answer("WhoAmI"))
def whoami(asked: Reader) -> dict[str, Any]:
    """The caller as this service sees them, and what they may use."""
    system, principal = asked.system, asked.principal
    quota = caller_quota(asked)
    usage = usage_of(system.ports, asked.user, quota)
    per_minute = None if principal.via == "local" else system.settings.calls_per_minute or None
    return {
        "user": asked.user,
        "scopes": sorted(principal.scopes),
        "groups": sorted(principal.groups),
        "via": principal.via,
        "limits": {
            "calls_per_minute": per_minute,
            "open_jobs": quota.open_jobs,
            "open_images": quota.open_outputs,
            "cloud_eur_per_month": quota.cloud_eur,
        },
        "usage": {
            "open_jobs": usage.open_jobs,
            "open_images": usage.open_outputs,
            "cloud_eur": None if usage.cloud_eur is None else round(usage.cloud_eur, 6),
        },
    }


@router.post("/keys", status_code=201, **answer("MadeKey", status=201))
def make(order: NewKey, asked: Reader) -> JSONResponse:
    """Make an API key. It is shown in this answer and never again."""
    system, principal = asked.system, asked.principal
    scopes = with_implied(order.scopes)
    if beyond := sorted(scopes - principal.scopes):
        raise ProblemError(403, "Not allowed", f"you have not the scope {beyond[0]}, so no key of yours has it")
    user = order.user or asked.user
    if user != asked.user and not principal.may(Scope.ADMIN):
        raise ProblemError(403, "Not allowed", "only an admin makes keys for others")
    wanted = KeyOrder(
        name=order.name,
        user=user,
        scopes=scopes,
        created_by=asked.user,
        made_with=principal.key_id,
        expires_at=_end_of(order, asked),
    )
    try:
        key, record = make_key(system.ports, wanted)
    except TooManyKeysError as error:
        raise ProblemError(409, "Too many keys", str(error)) from error
    # no cache on the way keeps it
    return JSONResponse({"key": key, **_document(record)}, status_code=201, headers={"Cache-Control": "no-store"})


@router.get("/keys", **answer("Keys"))
def keys(
    asked: Reader, user: str | None = None, everyone: Annotated[bool, Query(description="for admins")] = False
) -> dict[str, Any]:
    """The caller's keys; for an admin those of another user, or of all."""
    if (everyone or user not in (None, asked.user)) and not asked.principal.may(Scope.ADMIN):
        raise ProblemError(403, "Not allowed", "only an admin sees the keys of others")
    found = keys_of(asked.system.ports, None if everyone else user or asked.user)
    return {"keys": [_document(record) for record in found]}


@router.delete("/keys/{key_id}", **answer("Key"))
def revoke(key_id: str, asked: Reader) -> dict[str, Any]:
    """Revoke a key. Within a minute no instance takes it any longer."""
    ports = asked.system.ports
    record = find_key(ports, key_id)
    if record is None or not _may_revoke(asked.principal, record):
        raise ProblemError(404, "No such key", f"you have no key {key_id[:100]}")
    revoked = revoke_key(ports, record)
    asked.system.callers.keys.forget(revoked)
    return _document(revoked)


def _may_revoke(principal: Principal, record: KeyRecord) -> bool:
    return record.user == principal.user or principal.may(Scope.ADMIN)


def _end_of(order: NewKey, asked: Caller) -> datetime | None:
    """A key that is made with a key ends with it at the latest: nobody stays for longer than they were let in."""
    now = asked.system.ports.clock.now()
    ends = now + timedelta(days=order.expires_in_days) if order.expires_in_days is not None else None
    with_key = find_key(asked.system.ports, asked.principal.key_id)
    if with_key is None or with_key.expires_at is None:
        return ends
    return with_key.expires_at if ends is None else min(ends, with_key.expires_at)


def _document(record: KeyRecord) -> dict[str, Any]:
    document = {
        "id": id_of(record.digest),
        "name": record.name,
        "user": record.user,
        "scopes": sorted(scopes_of(record)),
        "created": _time(record.created_at),
        "created_by": record.created_by,
        "made_with": record.made_with or None,
        "expires": _time(record.expires_at),
        "last_used": _time(record.used_at),
        "revoked": _time(record.revoked_at),
    }
    return {name: value for name, value in document.items() if value is not None}


def _time(moment: datetime | None) -> str | None:
    return moment.isoformat().replace("+00:00", "Z") if moment else None
