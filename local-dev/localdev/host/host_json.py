"""``host.json``: what it may say, its defaults, and the app settings that override it."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from localdev.host.errors import SettingsError

OVERRIDE_PREFIX = "AzureFunctionsJobHost__"
TIMESPAN = re.compile(r"(?:(\d+)\.)?(\d{1,2}):(\d{2}):(\d{2}(?:\.\d+)?)")
MAX_BATCH = 32  # the queue service gives out no more in one call


@dataclass(frozen=True, slots=True)
class QueueOptions:
    """``extensions.queues``; the defaults are those of the storage extension 5.x."""

    batch_size: int = 16
    new_batch_threshold: int = 8
    visibility_timeout_s: float = 0.0
    max_dequeue_count: int = 5
    max_polling_interval_s: float = 60.0
    message_encoding: Literal["base64", "none"] = "base64"


@dataclass(frozen=True, slots=True)
class BlobOptions:
    """``extensions.blobs``."""

    max_degree_of_parallelism: int = 8
    poison_blob_threshold: int = 5


@dataclass(frozen=True, slots=True)
class HostJson:
    """The parts of ``host.json`` that change what the host does."""

    queues: QueueOptions = field(default_factory=QueueOptions)
    blobs: BlobOptions = field(default_factory=BlobOptions)
    route_prefix: str = "api"
    function_timeout_s: float | None = None


def read_host_json(path: Path, environ: Mapping[str, str] = os.environ) -> HostJson:
    """Read the file and the ``AzureFunctionsJobHost__a__b`` settings that override it.

    Raises
    ------
    SettingsError
        When it is missing, not JSON, not version 2.0, or a section acted on here holds an unknown or senseless entry.
    """
    try:
        tree = json.loads(path.read_text())
    except FileNotFoundError as error:
        raise SettingsError(f"{path} is missing: every function app has one") from error
    except ValueError as error:
        raise SettingsError(f"{path} is not JSON: {error}") from error
    if not isinstance(tree, dict) or tree.get("version") != "2.0":
        raise SettingsError(f'{path} must be an object with "version": "2.0"')
    for name, value in environ.items():
        if name.startswith(OVERRIDE_PREFIX):
            _override(tree, name.removeprefix(OVERRIDE_PREFIX).split("__"), value)

    extensions = _section(tree, "extensions")
    http = _section(extensions, "http")
    return HostJson(
        queues=_queues(_section(extensions, "queues")),
        blobs=_blobs(_section(extensions, "blobs")),
        route_prefix=str(http.get("routePrefix", "api")).strip("/"),
        function_timeout_s=_function_timeout(tree.get("functionTimeout")),
    )


def parse_timespan(value: object) -> float:
    """Seconds of ``[d.]hh:mm:ss[.fff]``.

    Raises
    ------
    SettingsError
        For anything else.
    """
    match = TIMESPAN.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        raise SettingsError(f'{value!r} is not a time span: write it as "hh:mm:ss"')
    days, hours, minutes, seconds = match.groups()
    if int(hours) > 23 or int(minutes) > 59 or float(seconds) >= 60:
        raise SettingsError(f"{value!r} is not a time span: hours go to 23, minutes and seconds to 59")
    return int(days or 0) * 86400.0 + int(hours) * 3600.0 + int(minutes) * 60.0 + float(seconds)


def _queues(section: Mapping[str, Any]) -> QueueOptions:
    known = {"batchSize", "newBatchThreshold", "visibilityTimeout", "maxDequeueCount", "maxPollingInterval"}
    _refuse_unknown("queues", section, known | {"messageEncoding"})
    batch = _integer("queues.batchSize", section.get("batchSize", 16), 1, MAX_BATCH)
    encoding = str(section.get("messageEncoding", "base64")).lower()
    if encoding not in ("base64", "none"):
        raise SettingsError(f'queues.messageEncoding is {encoding!r}: it can be "base64" or "none"')
    polling = section.get("maxPollingInterval", "00:01:00")
    return QueueOptions(
        batch_size=batch,
        new_batch_threshold=_integer("queues.newBatchThreshold", section.get("newBatchThreshold", batch // 2), 0),
        visibility_timeout_s=parse_timespan(section.get("visibilityTimeout", "00:00:00")),
        max_dequeue_count=_integer("queues.maxDequeueCount", section.get("maxDequeueCount", 5), 1),
        max_polling_interval_s=polling / 1000 if isinstance(polling, int) else parse_timespan(polling),
        message_encoding="base64" if encoding == "base64" else "none",
    )


def _blobs(section: Mapping[str, Any]) -> BlobOptions:
    _refuse_unknown("blobs", section, {"maxDegreeOfParallelism", "poisonBlobThreshold"})
    parallel = section.get("maxDegreeOfParallelism", 8 * (os.cpu_count() or 1))
    return BlobOptions(
        max_degree_of_parallelism=_integer("blobs.maxDegreeOfParallelism", parallel, 1),
        poison_blob_threshold=_integer("blobs.poisonBlobThreshold", section.get("poisonBlobThreshold", 5), 1),
    )


def _function_timeout(value: object) -> float | None:
    return None if value in (None, "-1") else parse_timespan(value)


def _section(tree: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    section = tree.get(name, {})
    if not isinstance(section, dict):
        raise SettingsError(f"host.json: {name} is not an object")
    return section


def _refuse_unknown(where: str, section: Mapping[str, Any], known: set[str]) -> None:
    if unknown := sorted(set(section) - known):
        raise SettingsError(
            f"host.json: {where} has no entry {', '.join(unknown)}; known are {', '.join(sorted(known))}"
        )


def _integer(name: str, value: object, least: int, most: int | None = None) -> int:
    if isinstance(value, str) and value.isdigit():
        value = int(value)  # app settings are strings
    if not isinstance(value, int) or isinstance(value, bool) or value < least or (most is not None and value > most):
        raise SettingsError(f"host.json: {name} is {value!r}; it is an integer from {least} to {most or 'any'}")
    return value


def _override(tree: dict[str, Any], path: list[str], value: str) -> None:
    *sections, leaf = path
    for name in sections:
        tree = tree.setdefault(name, {})
        if not isinstance(tree, dict):
            raise SettingsError(f"app setting {OVERRIDE_PREFIX}{'__'.join(path)} goes through a value")
    tree[leaf] = value
