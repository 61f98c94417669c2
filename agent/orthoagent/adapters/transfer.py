"""One file from where it lies to a file here: in parts side by side, each resumed after a cut, all of one version."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import logging
import os
import time
from collections.abc import AsyncGenerator, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

import aiohttp
from blake3 import blake3

from orthoagent.adapters.origins import Origins
from orthoagent.adapters.throttle import Throttle
from orthoagent.errors import FaultError
from orthoagent.logs import log
from orthoagent.patience import pauses_s
from orthocontracts.inputs import InputFile

CHUNK_BYTES: Final = 1 << 20
PART_BYTES: Final = 32 << 20
"""Of a large file several are fetched at a time: one connection rarely fills a line."""
NO_PROGRESS_LIMIT_S = 300.0
"""How long a source may give nothing at all before the task is given up for now."""

OnBytes = Callable[[int], None]
Span = tuple[int, int]
"""First byte, and the one behind the last."""


class _Hash(Protocol):
    def update(self, data: bytes, /) -> object: ...

    def hexdigest(self) -> str: ...


class _Cut(Exception):  # noqa: N818
    """The transfer broke off; what arrived is kept and the rest is asked for, not before ``wait_s``."""

    def __init__(self, why: str, wait_s: float = 0.0) -> None:
        super().__init__(why)
        self.wait_s = wait_s


class _NoRangesError(Exception):
    """The server sends the whole file whatever part of it is asked for."""


@dataclass
class _Version:
    """Of which all parts must be: the one that was planned, else the first one seen."""

    etag: str | None
    modified: str | None


class Transfer:
    """Downloads files; at most ``streams`` requests are under way at a time, of all tasks together."""

    def __init__(
        self,
        origins: Origins,
        *,
        streams: int = 4,
        throttle: Throttle | None = None,
        no_progress_limit_s: float = NO_PROGRESS_LIMIT_S,
        part_bytes: int = PART_BYTES,
    ) -> None:
        self._origins, self._streams = origins, asyncio.Semaphore(streams)
        self._throttle = throttle or Throttle()
        self._no_progress_limit_s, self._part_bytes = no_progress_limit_s, part_bytes

    async def whole(self, file: InputFile, path: Path, on_bytes: OnBytes) -> None:
        """The whole file, its size and checksum looked at.

        Raises
        ------
        FaultError
            Gone, of another size, version or content than planned, or it does not come. For good, where somebody else's
            server sends the same bytes twice: they are not what its catalogue or manifest says.
        """
        tries: list[_Wrong] = []
        for attempt in (1, 2):
            await self._whole_once(file, path, on_bytes)
            wrong = await asyncio.to_thread(_wrong_checksum, file, path)
            if wrong is None:
                return
            log("input_damaged", level=logging.WARNING, path=file.path, attempt=attempt, found=wrong.found)
            on_bytes(-file.size_bytes)
            tries.append(wrong)
        first, second = tries
        if file.foreign and first == second:
            raise FaultError(
                "InputDamaged",
                f"{file.path}: its catalogue or manifest says {first.expected}, its server sends {first.found}, twice "
                "in a row: it is damaged there, or was replaced; ask its archive",
                permanent=True,
            )
        found = " and then ".join(dict.fromkeys([first.found, second.found]))
        raise FaultError("InputDamaged", f"{file.path}: expected {first.expected}, found {found}")

    async def spans(self, file: InputFile, path: Path, spans: Sequence[Span], on_bytes: OnBytes) -> None:
        """Parts of a file, each at its own place: the file here has holes. As `whole`, without checksum."""
        try:
            await self._parts(file, path, [part for span in spans for part in self._cut(*span)], on_bytes)
        except _NoRangesError:
            raise _not_resumable(file) from None

    async def _whole_once(self, file: InputFile, path: Path, on_bytes: OnBytes) -> None:
        if file.size_bytes <= 2 * self._part_bytes:
            await self._parts(file, path, [(0, file.size_bytes)], on_bytes)
            return
        got = 0

        def count(n_bytes: int) -> None:
            nonlocal got
            got += n_bytes
            on_bytes(n_bytes)

        try:
            await self._parts(file, path, list(self._cut(0, file.size_bytes)), count)
        except _NoRangesError:
            on_bytes(-got)
            await self._parts(file, path, [(0, file.size_bytes)], on_bytes)

    def _cut(self, start: int, stop: int) -> Sequence[Span]:
        return [(at, min(at + self._part_bytes, stop)) for at in range(start, stop, self._part_bytes)]

    async def _parts(self, file: InputFile, path: Path, parts: Sequence[Span], on_bytes: OnBytes) -> None:
        version = _Version(f'"{file.etag}"' if file.etag else None, file.modified)
        out = await asyncio.to_thread(os.open, path, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o644)

        async def one(part: Span) -> None:
            async with self._streams:
                await self._part(file, out, part, version, on_bytes)

        try:
            async with asyncio.TaskGroup() as group:
                for part in parts:
                    group.create_task(one(part))
        except BaseExceptionGroup as several:
            if several.subgroup(_NoRangesError) is not None:
                raise _NoRangesError from several
            raise
        finally:
            await asyncio.to_thread(os.close, out)

    async def _part(self, file: InputFile, out: int, part: Span, version: _Version, on_bytes: OnBytes) -> None:
        (start, stop), last_byte_at, pauses = part, time.monotonic(), pauses_s()
        at = start
        while True:
            before, wait_s = at, 0.0
            try:
                async with contextlib.aclosing(self._chunks(file, at, part, version)) as chunks:
                    async for chunk in chunks:
                        await asyncio.to_thread(os.pwrite, out, chunk, at)
                        at += len(chunk)
                        on_bytes(len(chunk))
                        if at > stop:
                            raise _wrong_size(file, f"at least {at}")
                        await self._throttle.passed(len(chunk))
                if at == stop:
                    return
                why = f"ended after {at} of {stop} bytes"
            except _Cut as cut:
                why, wait_s = str(cut), cut.wait_s
            if at > before:
                last_byte_at, pauses = time.monotonic(), pauses_s()
            pause_s = max(next(pauses), wait_s)
            # Who says when to come again is waited for once at least.
            if time.monotonic() + wait_s - last_byte_at > self._no_progress_limit_s:
                raise FaultError(
                    "InputUnreachable",
                    f"{file.path}: nothing arrived for {self._no_progress_limit_s:.0f} s; last: {why}",
                )
            log("fetch_resumes", level=logging.WARNING, path=file.path, at_byte=at, why=why)
            await asyncio.sleep(pause_s)

    async def _chunks(self, file: InputFile, at: int, part: Span, version: _Version) -> AsyncGenerator[bytes, None]:
        start, stop = part
        is_whole = start == 0 and stop == file.size_bytes
        headers = {}
        if at > start or not is_whole:
            headers["Range"] = f"bytes={at}-" if stop == file.size_bytes else f"bytes={at}-{stop - 1}"
        if version.etag is not None and not version.etag.startswith("W/"):
            headers["If-Match"] = version.etag
        elif version.modified is not None:
            headers["If-Unmodified-Since"] = version.modified
        try:
            async with self._origins.get(file, headers) as answer:
                _check_answer(file, answer, at, stop, is_asked_by_range="Range" in headers, may_restart=at == start)
                _check_version(file, answer, version)
                async for chunk in answer.content.iter_chunked(CHUNK_BYTES):
                    yield chunk
        except (aiohttp.ClientError, TimeoutError, ConnectionError) as error:
            # Its own text may quote the link.
            raise _Cut(type(error).__name__) from None


def _check_answer(
    file: InputFile, answer: aiohttp.ClientResponse, at: int, stop: int, *, is_asked_by_range: bool, may_restart: bool
) -> None:
    """Raise for what is not the rest of the part; _Cut where another try may bring it."""
    status = answer.status
    if status in {404, 410}:
        raise FaultError("InputMissing", f"{file.path}: it is no longer there (status {status})", permanent=True)
    if status == 412:
        raise FaultError("InputChanged", f"{file.path}: it was replaced since the task was released")
    if status in {401, 403}:
        why = "look at this worker's logins" if file.foreign else "it may have expired"
        raise FaultError("InputRefused", f"{file.path}: the link is refused (status {status}): {why}")
    if status == 416 or (status == 206 and not is_asked_by_range):
        raise _wrong_size(file, f"under {at + 1}")
    if status == 200 and is_asked_by_range:
        raise _NoRangesError if may_restart else _not_resumable(file)
    if status not in {200, 206}:
        raise _Cut(f"status {status}", _retry_after_s(answer))
    if answer.headers.get("Content-Encoding", "identity") != "identity":
        raise FaultError("InputEncoded", f"{file.path}: its server compresses it, so that its bytes cannot be counted")
    told = answer.headers.get("Content-Range", "")
    total = told.rpartition("/")[2]
    if status == 206 and told and not told.startswith(f"bytes {at}-"):
        raise _Cut(f"another range than asked for ({told[:60]})")
    if status == 206 and total.isdecimal():
        if int(total) != file.size_bytes:
            raise _wrong_size(file, total)
        return  # a shorter range than asked for is an answer: the rest is asked for next
    if answer.content_length is not None and at + answer.content_length != stop:
        raise _wrong_size(file, str(at + answer.content_length))


def _check_version(file: InputFile, answer: aiohttp.ClientResponse, version: _Version) -> None:
    """Not every server heeds conditions: so its answer's own word counts too."""
    etag, modified = answer.headers.get("ETag"), answer.headers.get("Last-Modified")
    changed = etag != version.etag if version.etag and etag else bool(version.modified and modified != version.modified)
    if changed:
        raise FaultError("InputChanged", f"{file.path}: it was replaced since the request was planned: ask again")
    if version.etag is None and version.modified is None:
        version.etag = etag


def _retry_after_s(answer: aiohttp.ClientResponse) -> float:
    text = answer.headers.get("Retry-After", "")
    return float(text) if text.isdecimal() and len(text) < 6 else 0.0


def _wrong_size(file: InputFile, found: str) -> FaultError:
    return FaultError(
        "InputChanged",
        f"{file.path}: it has {found} bytes, the plan says {file.size_bytes}: it was replaced since; ask again",
        permanent=True,
    )


def _not_resumable(file: InputFile) -> FaultError:
    return FaultError("InputNotResumable", f"{file.path}: its server ignores ranges, and the transfer was cut")


@dataclass(frozen=True)
class _Wrong:
    expected: str
    found: str


def _wrong_checksum(file: InputFile, path: Path) -> _Wrong | None:
    """What was found instead; None where it is right, or nobody knows."""
    wanted = dict.fromkeys([f"md5:{file.md5.lower()}"] if file.md5 else [])
    wanted |= dict.fromkeys([file.checksum] if file.checksum else [])
    if not wanted:
        return None
    hashes = {name: _hash_of(name.partition(":")[0]) for name in wanted}
    with path.open("rb") as data:
        while chunk := data.read(CHUNK_BYTES):
            for one in hashes.values():
                one.update(chunk)
    found = {name: f"{name.partition(':')[0]}:{one.hexdigest()}" for name, one in hashes.items()}
    return next((_Wrong(name, one) for name, one in found.items() if one != name), None)


def _hash_of(method: str) -> _Hash:
    match method:
        case "md5":
            return hashlib.md5(usedforsecurity=False)
        case "sha256":
            return hashlib.sha256()
        case "sha3-256":
            return hashlib.sha3_256()
    return blake3()
