"""Looking through all jobs, a share at a time: as many as take seconds, on from where the last look ended."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from dataclasses import dataclass

from orthocontracts import names
from orthofunctions.ports import BlobMissingError, Ports

SHARES = 256
"""By the first two digits of a job's id, which are those of a hash."""
TARGET_S = 5.0
"""What one look may take. A site whose jobs are read in less is looked through every time."""


@dataclass(frozen=True)
class Share:
    """The jobs whose ids begin with one of ``width`` pairs of digits, from ``first`` on."""

    first: int
    width: int

    @property
    def is_all(self) -> bool:
        return self.width == SHARES

    @property
    def jobs(self) -> tuple[str | None, str | None]:
        """The first id, and the first that is beyond; None where there is no end."""
        beyond = self.first + self.width
        return (f"j{self.first:02x}" if self.first else None), (f"j{beyond:02x}" if beyond < SHARES else None)


@contextlib.contextmanager
def next_share(ports: Ports) -> Iterator[Share]:
    """The share whose turn it is. The next is larger or smaller by how long this one took; after an error it comes
    again."""
    first, width = _where(ports)
    share = Share(first, min(width, SHARES - first))
    began = ports.clock.now()
    yield share
    took_s = (ports.clock.now() - began).total_seconds()
    if took_s > TARGET_S:
        width = max(1, int(share.width * TARGET_S / took_s))
    elif took_s < TARGET_S / 4:
        width = min(SHARES, 2 * share.width)
    beyond = (share.first + share.width) % SHARES
    text = json.dumps({"first": 0 if width == SHARES else beyond, "width": width})
    ports.blobs.write(names.CONTAINER_CONTROL, names.BLOB_REPAIR_TOUR, text.encode())


def _where(ports: Ports) -> tuple[int, int]:
    try:
        said = json.loads(ports.blobs.read(names.CONTAINER_CONTROL, names.BLOB_REPAIR_TOUR))
        return int(said["first"]) % SHARES, min(SHARES, max(1, int(said["width"])))
    except (BlobMissingError, ValueError, KeyError, TypeError):
        return 0, SHARES
