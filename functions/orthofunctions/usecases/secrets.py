"""What a user's callbacks are signed with: made when it is first asked for, changed when its owner wants it."""

from __future__ import annotations

import secrets
from datetime import timedelta

from orthofunctions.domain.callbacks import OLD_SECRET_HOURS, SecretRecord
from orthofunctions.ports import Ports, RowChangedError, RowExistsError
from orthofunctions.usecases.rows import load, swap

_BYTES = 32
_PURPOSE = "callbacks"


def secret_of(ports: Ports, user: str) -> SecretRecord:
    """The user's secret, made by whoever asks first."""
    while (record := load(ports.tables, SecretRecord, user, _PURPOSE)) is None:
        made = SecretRecord(user=user, secret=secrets.token_hex(_BYTES), made_at=ports.clock.now())
        try:
            return made.changed(etag=ports.tables.insert(SecretRecord.TABLE, made.to_row()).etag)
        except RowExistsError:
            continue
    return record


def rotate_secret(ports: Ports, user: str) -> SecretRecord:
    """A new secret. For a day callbacks are signed with the one before too, so that no receiver misses one."""
    while True:
        record = secret_of(ports, user)
        now = ports.clock.now()
        changed = record.changed(
            secret=secrets.token_hex(_BYTES),
            made_at=now,
            previous=record.secret,
            previous_until=now + timedelta(hours=OLD_SECRET_HOURS),
        )
        try:
            return swap(ports.tables, changed)
        except RowChangedError:
            continue
