"""Seals: what a report must carry so that nobody reports on a release whose ticket they cannot read.

All pools add to one queue of results, and a task's id is no secret. The seal of a release goes into its ticket, which
only its pool's workers can read: a keyed hash, so that nothing needs to be stored for it and that of an old release
holds for as long as the key does.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from weakref import WeakKeyDictionary

from orthocontracts import names
from orthocontracts.messages import Report
from orthofunctions.ports import BlobMissingError, Blobs, Ports

_KEY_BYTES = 32
_keys: WeakKeyDictionary[Blobs, bytes] = WeakKeyDictionary()


def seal(ports: Ports, task_id: str, release: int, pool: str) -> str:
    """The token of a release: 64 hexadecimal digits, a secret."""
    # An id holds no line break, so that no two releases make the same text.
    return hmac.new(_key(ports.blobs), f"{task_id}\n{release}\n{pool}".encode(), hashlib.sha256).hexdigest()


def is_sealed(ports: Ports, report: Report) -> bool:
    """Whether a report comes from someone who has read its release's ticket."""
    expected = seal(ports, report.task_id, report.release, report.pool)
    return hmac.compare_digest(expected.encode(), report.token.encode(errors="replace"))


def _key(blobs: Blobs) -> bytes:
    """Made once, by whoever comes first; every process reads it once."""
    if blobs not in _keys:
        where = (names.CONTAINER_CONTROL, names.BLOB_SEAL_KEY)
        try:
            key = blobs.read(*where)
        except BlobMissingError:
            blobs.create(*where, secrets.token_bytes(_KEY_BYTES))
            key = blobs.read(*where)
        if len(key) != _KEY_BYTES:
            raise ValueError(f"{'/'.join(where)} is damaged: delete it while no function runs, and a new one is made")
        _keys[blobs] = key
    return _keys[blobs]
