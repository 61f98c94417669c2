"""Inputs from their links to the scratch folder: streamed, resumed after a cut, size and MD5 checked."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import hashlib
import logging
import shutil
import time
from collections.abc import AsyncGenerator, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO

import aiohttp

from orthoagent.adapters.kept import KeptInputs
from orthoagent.adapters.scratch import SPARE_BYTES, is_full
from orthoagent.adapters.sites import Sites, lend, unpack
from orthoagent.errors import FaultError
from orthoagent.logs import log
from orthoagent.patience import pauses_s
from orthocontracts.stores import split_member
from orthocontracts.tickets import InputFile

CHUNK_BYTES = 1 << 20
NO_PROGRESS_LIMIT_S = 300.0
"""How long a source may give nothing at all before the task is given up for now."""

OnBytes = Callable[[int], None]


@dataclass(frozen=True)
class Fetched:
    """Bytes that came over the network, and bytes that were there already: in a store of the site, or kept."""

    fetched_bytes: int = 0
    local_bytes: int = 0

    def __add__(self, other: Fetched) -> Fetched:
        return Fetched(self.fetched_bytes + other.fetched_bytes, self.local_bytes + other.local_bytes)


class _Cut(Exception):  # noqa: N818
    """The transfer broke off; what arrived is kept and the rest is asked for."""


class Fetcher:
    """Fetches the inputs of a task, a few files at a time."""

    def __init__(
        self,
        http: aiohttp.ClientSession,
        sites: Sites,
        kept: KeptInputs | None,
        *,
        parallel: int,
        no_progress_limit_s: float = NO_PROGRESS_LIMIT_S,
    ) -> None:
        self._http = http
        self._sites = sites
        self._kept = kept
        self._parallel = parallel
        self._no_progress_limit_s = no_progress_limit_s

    async def fetch(
        self, files: Sequence[InputFile], folder: Path, on_bytes: OnBytes, *, limit_bytes: int | None = None
    ) -> Fetched:
        """Bring every file below ``folder``; what lies in a store of the site, or is kept, is linked, not copied.

        Raises
        ------
        FaultError
            For a path that leaves the folder, more than ``limit_bytes``, a full disk, a file that is gone, of another
            size or content than planned, or that does not come.
        """
        paths = [_inside(folder, file.path) for file in files]
        lent = {file.path: self._sites.path_of(file.url) for file in files}
        packed_in = {file.path: split_member(file.url)[1] for file in files}
        to_store = [file for file in files if lent[file.path] is None or packed_in[file.path] is not None]
        await asyncio.to_thread(self._make_room, folder, to_store, limit_bytes)
        turns = asyncio.Semaphore(self._parallel)

        async def one(file: InputFile, path: Path) -> Fetched:
            async with turns:
                source = lent[file.path]
                if source is None:
                    return await self._bring(file, path, on_bytes)
                member = packed_in[file.path]
                if member is None:
                    await asyncio.to_thread(lend, source, path, file.size_bytes, file.path)
                else:
                    await asyncio.to_thread(unpack, source, member, path, file.size_bytes, file.path)
                on_bytes(file.size_bytes)
                return Fetched(local_bytes=file.size_bytes)

        try:
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(one(file, path)) for file, path in zip(files, paths, strict=True)]
        except* (FaultError, OSError) as several:
            raise _first_fault(several, folder) from several
        return sum((task.result() for task in tasks), Fetched())

    def has_room(self, folder: Path) -> bool:
        """Whether anything should be fetched into this folder now: kept inputs give way first. Blocks."""
        if is_full(folder) and self._kept is not None:
            self._kept.make_room(SPARE_BYTES)
        return not is_full(folder)

    def _make_room(self, folder: Path, files: Sequence[InputFile], limit_bytes: int | None) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        whole_bytes = sum(file.size_bytes for file in files)
        if limit_bytes is not None and whole_bytes > limit_bytes:
            raise FaultError(
                "ScratchLimit",
                f"the inputs are {whole_bytes / 1e6:.0f} MB, a slot of this worker may have {limit_bytes / 1e6:.0f} MB "
                "of scratch (ORTHOAGENT_SLOT_SCRATCH_GB)",
            )
        kept = self._kept
        needed_bytes = SPARE_BYTES + sum(file.size_bytes for file in files if not (kept and kept.has(file)))
        free_bytes = shutil.disk_usage(folder).free
        if needed_bytes > free_bytes and kept is not None:
            kept.make_room(needed_bytes - free_bytes)
            free_bytes = shutil.disk_usage(folder).free
        if needed_bytes > free_bytes:
            raise FaultError(
                "DiskFull",
                f"the inputs need {needed_bytes / 1e6:.0f} MB of scratch, {free_bytes / 1e6:.0f} MB are free",
            )

    async def _bring(self, file: InputFile, path: Path, on_bytes: OnBytes) -> Fetched:
        await asyncio.to_thread(path.parent.mkdir, parents=True, exist_ok=True)
        if self._kept is None:
            await self._fetch_one(file, path, on_bytes)
            return Fetched(fetched_bytes=file.size_bytes)
        async with self._kept.turn(file):
            if await asyncio.to_thread(self._kept.lend, file, path):
                on_bytes(file.size_bytes)
                return Fetched(local_bytes=file.size_bytes)
            await self._fetch_one(file, path, on_bytes)
            await asyncio.to_thread(self._kept.keep, file, path)
        return Fetched(fetched_bytes=file.size_bytes)

    async def _fetch_one(self, file: InputFile, path: Path, on_bytes: OnBytes) -> None:
        for attempt in (1, 2):
            md5 = await self._download(file, path, on_bytes)
            if file.md5 is None or md5 == file.md5.lower():
                return
            log("input_damaged", level=logging.WARNING, path=file.path, attempt=attempt, md5=md5, expected=file.md5)
            on_bytes(-file.size_bytes)
        raise FaultError("InputDamaged", f"{file.path}: its MD5 is {md5}, the plan says {file.md5}, twice in a row")

    async def _download(self, file: InputFile, path: Path, on_bytes: OnBytes) -> str:
        """Hex MD5 of the complete file."""
        digest = hashlib.md5(usedforsecurity=False)
        got, last_byte_at, pauses = 0, time.monotonic(), pauses_s()
        etag = f'"{file.etag}"' if file.etag else None
        with await asyncio.to_thread(path.open, "wb") as out:
            while True:
                before = got
                try:
                    async with contextlib.aclosing(self._chunks(file, got, etag)) as chunks:
                        async for chunk, etag_seen in chunks:
                            etag = etag_seen
                            await asyncio.to_thread(_store, out, digest.update, chunk)
                            got += len(chunk)
                            on_bytes(len(chunk))
                            if got > file.size_bytes:
                                raise _wrong_size(file, f"at least {got}")
                    if got == file.size_bytes:
                        return digest.hexdigest()
                    why = f"ended after {got} of {file.size_bytes} bytes"
                except _Cut as cut:
                    why = str(cut)
                if got > before:
                    last_byte_at, pauses = time.monotonic(), pauses_s()
                elif time.monotonic() - last_byte_at > self._no_progress_limit_s:
                    raise FaultError(
                        "InputUnreachable",
                        f"{file.path}: nothing arrived for {self._no_progress_limit_s:.0f} s; last: {why}",
                    )
                log("fetch_resumes", level=logging.WARNING, path=file.path, at_byte=got, why=why)
                await asyncio.sleep(next(pauses))

    async def _chunks(
        self, file: InputFile, start: int, etag: str | None
    ) -> AsyncGenerator[tuple[bytes, str | None], None]:
        headers = {"Accept-Encoding": "identity"}
        if start:
            headers["Range"] = f"bytes={start}-"
        if etag is not None:
            headers["If-Match"] = etag
        try:
            async with self._http.get(file.url, headers=headers) as answer:
                _check_answer(file, answer, start)
                async for chunk in answer.content.iter_chunked(CHUNK_BYTES):
                    yield chunk, answer.headers.get("ETag")
        except (aiohttp.ClientError, TimeoutError, ConnectionError) as error:
            # Its own text may quote the link.
            raise _Cut(type(error).__name__) from None


def _check_answer(file: InputFile, answer: aiohttp.ClientResponse, start: int) -> None:
    """Raise for what is not the rest of the file; _Cut where another try may bring it."""
    status = answer.status
    if status in {404, 410}:
        raise FaultError("InputMissing", f"{file.path}: it is no longer there (status {status})", permanent=True)
    if status == 412:
        raise FaultError("InputChanged", f"{file.path}: it was replaced since the task was released")
    if status in {401, 403}:
        raise FaultError("InputRefused", f"{file.path}: the link is refused (status {status}): it may have expired")
    if status == 416 or (status == 206 and not start):
        raise _wrong_size(file, f"under {start}")
    if start and status == 200:
        raise FaultError("InputNotResumable", f"{file.path}: its server ignores ranges, and the transfer was cut")
    if status not in {200, 206}:
        raise _Cut(f"status {status}")
    if answer.content_length is not None and start + answer.content_length != file.size_bytes:
        raise _wrong_size(file, str(start + answer.content_length))


def _wrong_size(file: InputFile, found: str) -> FaultError:
    return FaultError(
        "InputChanged",
        f"{file.path}: it has {found} bytes, the plan says {file.size_bytes}: it was replaced since; ask again",
        permanent=True,
    )


def _store(out: IO[bytes], update: Callable[[bytes], None], chunk: bytes) -> None:
    out.write(chunk)
    update(chunk)


def _inside(folder: Path, path: str) -> Path:
    parts = PurePosixPath(path)
    if parts.is_absolute() or not parts.parts or ".." in parts.parts or "\0" in path:
        raise FaultError("UnsafePath", f"{path!r} leaves the task's folder", permanent=True)
    return folder.joinpath(*parts.parts)


def _first_fault(several: BaseExceptionGroup[FaultError | OSError], folder: Path) -> FaultError:
    first: BaseException = several
    while isinstance(first, BaseExceptionGroup):
        first = first.exceptions[0]
    if isinstance(first, FaultError):
        return first
    assert isinstance(first, OSError)
    if first.errno == errno.ENOSPC:
        return FaultError("DiskFull", "the worker's scratch disk filled up while the inputs were fetched")
    return FaultError(type(first).__name__, str(first).replace(f"{folder}/", ""))
