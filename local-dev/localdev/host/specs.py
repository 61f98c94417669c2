"""What the host knows of a function: its trigger, its outputs, how to call it."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from localdev.host.ncrontab import Ncrontab
from localdev.host.routes import Route

BlobKind = Literal["client", "stream", "bytes", "str"]
AuthLevel = Literal["anonymous", "function", "admin"]
STORAGE = "AzureWebJobsStorage"


@dataclass(frozen=True, slots=True)
class QueueTrigger:
    """Called with each message of a queue."""

    queue: str
    connection: str


@dataclass(frozen=True, slots=True)
class BlobTrigger:
    """Called with each new version of a blob whose name fits.

    Attributes
    ----------
    names : Pattern
        Fits the blob's name within the container.
    prefix : str
        What every such name begins with.
    kind : str
        What the function wants of the blob.
    """

    container: str
    names: re.Pattern[str]
    prefix: str
    connection: str
    kind: BlobKind


@dataclass(frozen=True, slots=True)
class TimerTrigger:
    """Called at the times of a schedule."""

    schedule: Ncrontab
    run_on_startup: bool


@dataclass(frozen=True, slots=True)
class HttpTrigger:
    """Called with HTTP requests."""

    route: Route
    methods: frozenset[str]
    auth_level: AuthLevel


@dataclass(frozen=True, slots=True)
class QueueOutput:
    """What the function sets (or returns, under ``$return``) becomes messages."""

    name: str
    queue: str
    connection: str


Trigger = QueueTrigger | BlobTrigger | TimerTrigger | HttpTrigger


@dataclass(frozen=True, slots=True)
class FunctionSpec:
    """One function of the app.

    Attributes
    ----------
    argument : str
        Name of the parameter that takes what triggered it.
    """

    name: str
    call: Callable[..., Any]
    trigger: Trigger
    argument: str
    outputs: tuple[QueueOutput, ...]
    wants_context: bool
    is_async: bool


def path_pattern(path: str) -> tuple[str, re.Pattern[str], str]:
    """Split a blob trigger's ``container/names`` path.

    Returns
    -------
    container : str
    names : Pattern
        ``{parameter}`` takes anything, slashes included.
    prefix : str
        The literal start of the names.
    """
    container, _, names = path.partition("/")
    parts = re.split(r"(\{\w+\})", names or "{name}")
    # The storage extension replaces a parameter by a greedy "anything"; a repeated one does not have to agree.
    pattern = "".join(".+" if part.startswith("{") else re.escape(part) for part in parts)
    return container, re.compile(pattern, re.DOTALL), parts[0] if not parts[0].startswith("{") else ""
