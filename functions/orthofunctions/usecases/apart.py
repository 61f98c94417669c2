"""Looking at many things of which one may make trouble that nobody foresaw: it holds up no other."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager

from orthofunctions.telemetry import Meter

logger = logging.getLogger(__name__)

MOST_TROUBLE = 5
"""From so many on it is the storage, or the code, and not one thing: the look ends."""

Each = Callable[[str], AbstractContextManager[None]]


@contextlib.contextmanager
def apart(doing: str, meter: Meter) -> Iterator[Each]:
    """What is done within ``with each(what):`` may fail. It is logged, counted, and the first error raised when all is
    done: a function that had trouble does not end well."""
    troubles: list[Exception] = []

    @contextlib.contextmanager
    def each(what: str) -> Iterator[None]:
        try:
            yield
        except Exception as error:
            troubles.append(error)
            meter.count("orthoburst.troubles", doing=doing)
            logger.exception("%s: %s", doing, what, extra={"action": "trouble", "doing": doing, "what": what})
            if len(troubles) >= MOST_TROUBLE:
                raise

    yield each
    if troubles:
        raise troubles[0]
