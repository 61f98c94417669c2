"""Messages nobody could use are kept for operators, not thrown away."""

from __future__ import annotations

import hashlib
import json
import logging
from typing import Final

from orthocontracts import names
from orthofunctions.ports import Ports

logger = logging.getLogger(__name__)

KEPT: Final = "poison/"
"""Messages for operators, in container ``control``, by queue."""


def times_kept(ports: Ports, queue: str, body: str) -> int:
    """Note that a message failed once more, and say how often it has."""
    message_id = _id_of(body)
    # Not below poison/: what is there is shown to operators.
    times = sum(1 for _ in ports.blobs.list(names.CONTAINER_CONTROL, f"again/{queue}/{message_id}-"))
    ports.blobs.create(names.CONTAINER_CONTROL, f"again/{queue}/{message_id}-{times}", b"")
    return times + 1


def keep_for_operators(ports: Ports, queue: str, body: str, why: str) -> str:
    """Write a message to ``control/poison/<queue>/<id>.json``; the same message is kept once. Returns its id."""
    message_id = _id_of(body)
    kept = {"queue": queue, "why": why[:2000], "kept_at": ports.clock.now().isoformat(), "body": body}
    ports.blobs.create(names.CONTAINER_CONTROL, f"{KEPT}{queue}/{message_id}.json", json.dumps(kept).encode())
    logger.warning("kept a message nobody can use: %s", why, extra={"action": "kept", "queue": queue, "id": message_id})
    return message_id


def _id_of(body: str) -> str:
    return hashlib.sha256(body.encode(errors="replace")).hexdigest()[:24]
