"""``orthoagent watch``: every product that becomes whole in an archive is announced, once."""

from __future__ import annotations

import asyncio
import heapq
import logging
import time
import zipfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from orthoagent.adapters.inotify import Inotify
from orthoagent.archive.announce import Announcer
from orthoagent.archive.journal import Journal
from orthoagent.archive.look import CLOCKS_DIFFER_S, Look, has_settled, look_at
from orthoagent.archive.scan import Found, Scanner
from orthoagent.logs import log
from orthocontracts.stubs import StubError

WARN_AFTER_S = 3600.0
"""For how long a product may lack something before the log says what."""
LONGEST_PAUSE_S = 120.0
"""Between looks at a product that is not whole."""


@dataclass(frozen=True)
class Pace:
    settle_s: float
    rescan_s: float
    parallel: int
    once: bool = False
    only_new: bool = False


@dataclass
class _Candidate:
    found: Found
    is_new: bool
    """It came while we watched, and goes before those that were there."""
    first_s: float
    pause_s: float
    before: Look | None = None
    same_since_s: float = 0.0
    warned: bool = False


class Watch:
    """Looks at what has a product's name until it is whole, then announces it and notes it in the journal."""

    def __init__(
        self, folder: Path, announcer: Announcer, journal: Journal, notices: Inotify | None, pace: Pace
    ) -> None:
        self._folder, self._announcer, self._journal = folder, announcer, journal
        self._notices, self._pace = notices, pace
        self._scanner = Scanner(folder, notices.watch if notices is not None else lambda _: None)
        self._candidates: dict[str, _Candidate] = {}
        self._due: tuple[list[tuple[float, str]], list[tuple[float, str]]] = ([], [])  # new ones, and the others
        self._changed = asyncio.Event()
        self._n_announced = 0

    async def run(self) -> None:
        """Until cancelled; with ``once`` until all that is whole now is announced."""
        log("watch_begins", folder=str(self._folder), known=len(self._journal), inotify=self._notices is not None)
        await self._scan(is_new=False)
        async with asyncio.TaskGroup() as group:
            workers = [group.create_task(self._work(), name=f"work-{n}") for n in range(self._pace.parallel)]
            others = [group.create_task(self._rescan(), name="rescan")]
            if self._notices is not None:
                others.append(group.create_task(self._listen(self._notices), name="listen"))
            if self._pace.once:
                await asyncio.wait(workers)
                for task in others:
                    task.cancel()
        log("watch_ends", announced=self._n_announced, waiting=len(self._candidates))

    async def _rescan(self) -> None:
        while True:
            await asyncio.sleep(self._pace.rescan_s)
            await self._scan(is_new=True)

    async def _scan(self, *, is_new: bool) -> None:
        began_s = time.monotonic()
        try:
            found = await asyncio.to_thread(self._scanner.walk)
        except FileNotFoundError:
            log("archive_missing", level=logging.ERROR, folder=str(self._folder))
            return
        n_new = self._note(found, is_new=is_new)
        log("scanned", seconds=round(time.monotonic() - began_s, 3), new=n_new, waiting=len(self._candidates))

    async def _listen(self, notices: Inotify) -> None:
        while True:
            for arrival in await notices.arrivals():
                if arrival.name is None:
                    log("inotify_overflow", level=logging.WARNING)
                    await self._scan(is_new=True)
                    break
                self._note(await asyncio.to_thread(self._scanner.one, arrival.folder, arrival.name), is_new=True)

    def _note(self, several: Iterable[Found], *, is_new: bool) -> int:
        n_new = 0
        for found in several:
            there = self._candidates.get(found.path)
            if found in self._journal or (there is not None and there.found == found):
                continue
            now_s = time.monotonic()
            self._candidates[found.path] = _Candidate(found, is_new, now_s, self._first_pause_s)
            self._put_off(found.path, 0.0)
            n_new += 1
        return n_new

    @property
    def _first_pause_s(self) -> float:
        return max(0.05, self._pace.settle_s / 4)

    def _put_off(self, path: str, for_s: float) -> None:
        heapq.heappush(self._due[0 if self._candidates[path].is_new else 1], (time.monotonic() + for_s, path))
        self._changed.set()

    async def _work(self) -> None:
        while (candidate := await self._next()) is not None:
            path = candidate.found.path
            try:
                pause_s = await self._step(candidate)
            except FileNotFoundError:
                log("product_gone", path=path)
                self._scanner.forget(path)  # it may come back, a folder that was not mounted for a while
                pause_s = None
            except (StubError, OSError, zipfile.BadZipFile) as error:
                if not candidate.warned:
                    log("product_refused", level=logging.WARNING, path=path, why=str(error))
                    candidate.warned = True
                pause_s = LONGEST_PAUSE_S
            if self._candidates.get(path) is not candidate:
                continue  # another has taken its place
            if pause_s is None or self._pace.once:
                del self._candidates[path]
            else:
                self._put_off(path, pause_s)

    async def _next(self) -> _Candidate | None:
        """The next that is due, new ones first. None where there is none left and we are not to wait."""
        while True:
            self._changed.clear()
            now_s = time.monotonic()
            for due in self._due:
                while due and due[0][0] <= now_s:
                    _, path = heapq.heappop(due)
                    if path in self._candidates:
                        return self._candidates[path]
            if self._pace.once:
                return None
            next_s = min((due[0][0] for due in self._due if due), default=None)
            try:
                await asyncio.wait_for(self._changed.wait(), None if next_s is None else next_s - now_s)
            except TimeoutError:
                continue

    async def _step(self, candidate: _Candidate) -> float | None:
        """Look, and announce what is whole. Seconds until the next look; None where there is nothing more to do."""
        path = candidate.found.path
        look = await asyncio.to_thread(look_at, self._folder / path)
        now_s, wall_s = time.monotonic(), time.time()
        before = candidate.before
        if before is None or (before.marks, before.missing) != (look.marks, look.missing):
            candidate.same_since_s, candidate.pause_s = now_s, self._first_pause_s
        candidate.before = look
        if not has_settled(look, before, now_s - candidate.same_since_s, wall_s, self._pace.settle_s):
            if look.missing is not None and not candidate.warned and now_s - candidate.first_s > WARN_AFTER_S:
                log("product_incomplete", level=logging.WARNING, path=path, lacks=look.missing)
                candidate.warned = True
            pause_s = candidate.pause_s
            if look.missing is not None:
                candidate.pause_s = min(LONGEST_PAUSE_S, pause_s * 2)
            return pause_s
        if self._pace.only_new and look.changed_s < self._journal.began_s - CLOCKS_DIFFER_S:
            self._journal.add(candidate.found)
            return None
        outcome = await self._announcer.announce(self._folder / path)
        self._journal.add(candidate.found)
        self._n_announced += outcome == "announced"
        log(f"product_{outcome}", path=path, after_s=round(now_s - candidate.first_s, 3))
        return None
