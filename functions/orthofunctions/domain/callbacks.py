"""Telling a job's subscriber: what is told when, how it is signed, and how often it is tried."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from orthocontracts import names
from orthocontracts.model import Document, Identifier
from orthocontracts.requests import Subscriber
from orthocontracts.states import JobState
from orthofunctions.domain.records import Record

MAX_ATTEMPTS: Final = 10
_FIRST_WAIT_S, _FACTOR, _LONGEST_WAIT_S = 30.0, 3.0, 6 * 3600.0
LOST_AFTER_S: Final = 300.0
"""A message that is so late beyond its time is taken for lost and sent again."""
OLD_SECRET_HOURS: Final = 24
SIGNATURE_HEADER: Final = "Orthoburst-Signature"


class CallbackKind(StrEnum):
    SUCCESS = "success"
    FAILED = "failed"
    IN_PROGRESS = "in-progress"


class CallbackState(StrEnum):
    WAITING = "waiting"
    DELIVERED = "delivered"
    FAILED = "failed"  # given up


@dataclass(frozen=True, kw_only=True)
class CallbackRecord(Record):
    """One thing to tell about one job. There is never a second row for it."""

    TABLE = names.TABLE_CALLBACKS
    PARTITION = "job_id"
    KEY = "kind"

    job_id: str
    kind: CallbackKind
    user: str
    uri: str
    state: CallbackState = CallbackState.WAITING
    created_at: datetime
    next_at: datetime  # not tried before
    attempts: int = 0
    status: int | None = None  # HTTP status of the last answer
    error: str | None = None  # why the last attempt failed
    delivered_at: datetime | None = None
    traceparent: str = ""


@dataclass(frozen=True, kw_only=True)
class SecretRecord(Record):
    """What a user's callbacks are signed with. The one before counts for a day more."""

    TABLE = names.TABLE_SECRETS
    PARTITION = "user"
    KEY = "purpose"

    user: str
    purpose: str = "callbacks"
    secret: str
    made_at: datetime
    previous: str | None = None
    previous_until: datetime | None = None

    def in_force(self, now: datetime) -> tuple[str, ...]:
        old = self.previous if self.previous_until is not None and now < self.previous_until else None
        return (self.secret, old) if old else (self.secret,)


class CallbackDue(Document):
    """A message on queue ``callbacks``."""

    v: int = 1
    job_id: Identifier
    kind: CallbackKind


def kind_of(state: JobState) -> CallbackKind:
    return CallbackKind.SUCCESS if state is JobState.SUCCESSFUL else CallbackKind.FAILED


def uri_for(subscriber: Subscriber, kind: CallbackKind) -> str | None:
    match kind:
        case CallbackKind.SUCCESS:
            return subscriber.success_uri
        case CallbackKind.FAILED:
            return subscriber.failed_uri
        case CallbackKind.IN_PROGRESS:
            return subscriber.in_progress_uri


def wait_after(attempts: int) -> timedelta:
    """How long to wait after so many attempts in vain: ten of them take most of a day."""
    return timedelta(seconds=min(_LONGEST_WAIT_S, _FIRST_WAIT_S * _FACTOR ** (attempts - 1)))


def signature(secrets: Sequence[str], at: datetime, body: bytes) -> str:
    """``t=<seconds since the epoch>,v1=<HMAC-SHA256 of "t.body">``, a ``v1`` for every secret in force.

    The time is signed too, so that what was overheard cannot be told again later.
    """
    stamp = str(int(at.timestamp()))
    signed = stamp.encode() + b"." + body
    marks = [hmac.new(secret.encode(), signed, hashlib.sha256).hexdigest() for secret in secrets]
    return ",".join([f"t={stamp}", *(f"v1={mark}" for mark in marks)])
