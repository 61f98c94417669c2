"""The inputs of a task, from where they lie to its scratch folder: what is at hand is linked, the rest is brought."""

from __future__ import annotations

import asyncio
import errno
import shutil
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from orthoagent.adapters.kept import KeptInputs
from orthoagent.adapters.scratch import SPARE_BYTES, is_full
from orthoagent.adapters.sites import Sites, lend, unpack
from orthoagent.adapters.transfer import OnBytes, Transfer
from orthoagent.adapters.zipparts import (
    GAP_BYTES,
    TAIL_BYTES,
    WORTH_IT,
    Entry,
    NotAZipError,
    check_members,
    directory_at,
    entries_of,
    spans_of,
    write_directory,
)
from orthoagent.errors import FaultError
from orthoagent.logs import log
from orthocontracts.inputs import InputFile
from orthocontracts.members import needed_members
from orthocontracts.stores import split_member


@dataclass(frozen=True)
class Fetched:
    """Bytes that came over the network, and bytes that were there already: in a store of the site, or kept."""

    fetched_bytes: int = 0
    local_bytes: int = 0

    def __add__(self, other: Fetched) -> Fetched:
        return Fetched(self.fetched_bytes + other.fetched_bytes, self.local_bytes + other.local_bytes)


class Fetcher:
    """Fetches the inputs of a task, a few files at a time."""

    def __init__(
        self,
        transfer: Transfer,
        sites: Sites,
        kept: KeptInputs | None,
        *,
        parallel: int,
        gap_bytes: int = GAP_BYTES,
    ) -> None:
        self._transfer, self._sites, self._kept = transfer, sites, kept
        self._parallel, self._gap_bytes = parallel, gap_bytes

    async def fetch(
        self,
        files: Sequence[InputFile],
        folder: Path,
        on_bytes: OnBytes,
        *,
        limit_bytes: int | None = None,
        bands: Collection[str] | None = None,
    ) -> Fetched:
        """Bring every file below ``folder``; what lies in a store of the site, or is kept, is linked, not copied.

        Of a zip on somebody else's server only the members that these bands need are brought, where that is less.

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
                    return await self._bring(file, path, on_bytes, bands)
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

    async def _bring(self, file: InputFile, path: Path, on_bytes: OnBytes, bands: Collection[str] | None) -> Fetched:
        await asyncio.to_thread(path.parent.mkdir, parents=True, exist_ok=True)
        part = ",".join(sorted(bands)) if bands and file.foreign and file.path.lower().endswith(".zip") else ""
        if self._kept is None:
            return Fetched(fetched_bytes=await self._fetch_one(file, path, on_bytes, bands if part else None))
        async with self._kept.turn(file):
            for kept_part in dict.fromkeys(["", part]):
                if await asyncio.to_thread(self._kept.lend, file, path, kept_part):
                    on_bytes(file.size_bytes)
                    return Fetched(local_bytes=file.size_bytes)
            fetched_bytes = await self._fetch_one(file, path, on_bytes, bands if part else None)
            is_whole = fetched_bytes >= file.size_bytes
            await asyncio.to_thread(self._kept.keep, file, path, "" if is_whole else part)
        return Fetched(fetched_bytes=fetched_bytes)

    async def _fetch_one(self, file: InputFile, path: Path, on_bytes: OnBytes, bands: Collection[str] | None) -> int:
        """Bytes that came."""
        if bands:
            try:
                found = await self._directory(file, path)
            except NotAZipError as error:
                log("zip_fetched_whole", path=file.path, why=str(error))
            else:
                came = await self._members(file, path, *found, bands, on_bytes)
                if came is not None:
                    return came
        await self._transfer.whole(file, path, on_bytes)
        return file.size_bytes

    async def _directory(self, file: InputFile, path: Path) -> tuple[list[Entry], int]:
        """The zip's members, and where its directory begins."""
        tail = await self._bytes(file, path, max(0, file.size_bytes - TAIL_BYTES), file.size_bytes)
        start, stop = directory_at(tail, file.size_bytes)
        within = start - (file.size_bytes - len(tail))
        directory = tail[within : within + stop - start] if within >= 0 else await self._bytes(file, path, start, stop)
        return entries_of(directory), start

    async def _bytes(self, file: InputFile, path: Path, start: int, stop: int) -> bytes:
        await self._transfer.spans(file, path, [(start, stop)], lambda _: None)

        def read() -> bytes:
            with path.open("rb") as part:
                part.seek(start)
                return part.read(stop - start)

        return await asyncio.to_thread(read)

    async def _members(
        self,
        file: InputFile,
        path: Path,
        entries: Sequence[Entry],
        directory_start: int,
        bands: Collection[str],
        on_bytes: OnBytes,
    ) -> int | None:
        """Bring the members that the bands need. None where that is not worth it."""
        wanted = needed_members(file.path, [entry.name for entry in entries], bands)
        spans = spans_of(entries, wanted, directory_start, self._gap_bytes)
        n_bytes = sum(stop - start for start, stop in spans)
        if not spans or n_bytes > WORTH_IT * file.size_bytes:
            return None
        here = [entry for entry in entries if entry.name in wanted]
        await self._transfer.spans(file, path, spans, on_bytes)
        await asyncio.to_thread(check_members, path, here, file.path)
        await asyncio.to_thread(write_directory, path, here)
        on_bytes(file.size_bytes - n_bytes)
        log("zip_fetched_in_part", path=file.path, members=len(here), of=len(entries), bytes=n_bytes)
        return n_bytes


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
