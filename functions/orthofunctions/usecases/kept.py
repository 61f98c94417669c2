"""What functions of another release could not read is read again: an upgrade must cost nobody their request."""

from __future__ import annotations

import itertools
import json
import logging
import re
from collections.abc import Callable, Mapping
from typing import Final

from orthocontracts import names
from orthocontracts.messages import Report
from orthocontracts.procurement import Procured
from orthocontracts.wire import NotUnderstoodError, read_message
from orthofunctions.domain.announced import Announced
from orthofunctions.domain.callbacks import CallbackDue
from orthofunctions.ports import BlobFacts, BlobMissingError, Ports
from orthofunctions.usecases.batches import batch_in
from orthofunctions.usecases.keep import KEPT
from orthofunctions.usecases.submit import RequestUnreadableError, read_request
from orthofunctions.usecases.upload import LookAgain

logger = logging.getLogger(__name__)

AT_ONCE: Final = 100
NOT_UNDERSTOOD: Final = re.compile(r"no [A-Z][A-Za-z]+: |NotARequest: ")
"""How the reason begins, in every release, of a message that was kept because it could not be read."""
_RETURNS: Final = "returns/"
"""Bodies of kept messages that are about to be put back, by queue."""
_refused: set[tuple[str, str]] = set()
"""Kept messages that this process, which is of one release, cannot read either: by name and ETag."""


def read_kept_again(ports: Ports) -> int:
    """Put back what earlier, or later, functions could not read and these can. Returns how many messages.

    What the others meet once more they keep once more: it comes round until one that can read it has it. They may do
    so at once, and keep nothing that is kept already: it is moved out of their way before it is sent.
    """
    new = (one for one in ports.blobs.list(names.CONTAINER_CONTROL, KEPT) if (one.name, one.etag) not in _refused)
    for facts in itertools.islice(new, AT_ONCE):
        place = facts.name.removeprefix(KEPT)
        body = _readable(ports, _queue_of(place), facts)
        if body is None:
            _refused.add((facts.name, facts.etag))
            continue
        ports.blobs.write(names.CONTAINER_CONTROL, _RETURNS + place, body.encode())
        ports.blobs.delete(facts.container, facts.name, etag=facts.etag)
    n_messages = 0
    for facts in ports.blobs.list(names.CONTAINER_CONTROL, _RETURNS):
        queue = _queue_of(facts.name.removeprefix(_RETURNS))
        ports.queues.send(queue, ports.blobs.read(facts.container, facts.name).decode())
        ports.blobs.delete(facts.container, facts.name, etag=facts.etag)
        n_messages += 1
        about = {"action": "read_again", "queue": queue}
        logger.warning("a message that another release could not read was put back", extra=about)
    return n_messages


def _queue_of(place: str) -> str:
    return place.partition("/")[0]


def _readable(ports: Ports, queue: str, facts: BlobFacts) -> str | None:
    """The body of a kept message that had not been understood and now is."""
    is_understood = _READERS.get(queue)
    if is_understood is None:
        return None
    try:
        kept = json.loads(ports.blobs.read(facts.container, facts.name))
        body, why = str(kept["body"]), str(kept["why"])
    except (BlobMissingError, ValueError, KeyError, TypeError):
        return None
    return body if NOT_UNDERSTOOD.match(why) and is_understood(ports, body) else None


def _is_request(ports: Ports, body: str) -> bool:
    if batch_in(body) is not None:
        return True
    try:
        read_request(ports, body)
    except RequestUnreadableError:
        return False
    return True


def _is_a(kind: type[Report | Announced | LookAgain | Procured | CallbackDue]) -> Callable[[Ports, str], bool]:
    def is_understood(_: Ports, body: str) -> bool:
        try:
            read_message(kind, body)
        except NotUnderstoodError:
            return False
        return True

    return is_understood


# Not statuses, which come again, and not wakes: the timer goes on.
_READERS: Final[Mapping[str, Callable[[Ports, str], bool]]] = {
    names.QUEUE_REQUESTS: _is_request,
    names.QUEUE_RESULTS: _is_a(Report),
    names.QUEUE_CALLBACKS: _is_a(CallbackDue),
    names.QUEUE_ANNOUNCED: _is_a(Announced),
    names.QUEUE_UPLOADS: _is_a(LookAgain),
    names.QUEUE_PROCURED: _is_a(Procured),
}
