"""One file of a provider: in parts side by side where it gives parts, each resumed where it broke, all of one version.

Threads, because everything that EODAG is made of blocks.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final, Protocol

from orthoagent.procure.child.line import Line
from orthoagent.procure.child.words import FetchError, wait_of, words_of

MOST_VERSIONS: Final = 3
"""That a file may have while it is fetched."""
_TOLD_EVERY_BYTES: Final = 16 << 20
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.5, 10.0
_STOPS_WITHIN_S = 5.0


@dataclass(frozen=True)
class Opened:
    """What a provider began to send: from byte ``at`` on, of a file of ``total`` bytes where that is known.

    ``etag`` is a strong one, or empty, as is ``name``, what the provider calls the file.
    """

    at: int
    total: int | None
    etag: str
    chunks: Iterator[bytes]
    close: Callable[[], None]
    name: str = ""


class Source(Protocol):
    """Where a file comes from."""

    def open(self, start: int, stop: int | None, etag: str) -> Opened:
        """Ask for bytes ``[start, stop)``, to the end where ``stop`` is None, of the version that has this ETag.

        What is sent may begin at 0 instead: the provider gives no ranges, or has another version.
        """
        ...


class ReplacedError(Exception):
    """The file is another one than when it was begun."""


class _NoPartsError(Exception):
    """All of the file is sent, whatever part of it is asked for."""


def fetch_file(source: Source, path: Path, line: Line) -> str:
    """The whole file. Returns what the provider calls it.

    Raises
    ------
    FetchError
        It does not come, or is replaced again and again.
    """
    n_replaced = 0
    part_bytes: int | None = line.part_bytes
    while n_replaced < MOST_VERSIONS:
        try:
            with line.connections:
                return _Download(source, path, line, part_bytes).run()
        except ReplacedError:
            n_replaced += 1
            line.tell("resumes", at=0, why="it was replaced meanwhile")
        except _NoPartsError:
            part_bytes = None
    raise FetchError(f"replaced it {MOST_VERSIONS} times while it was fetched")


@dataclass
class _Span:
    """Bytes still to come; to the end where ``stop`` is None."""

    at: int
    stop: int | None


class _Download:
    """One version of a file.

    The first answer goes on from the beginning, as long as nobody else has begun what comes next. Others come towards
    it from the end, where a connection is free: one at first, more when it has been given what it asked for.
    """

    def __init__(self, source: Source, path: Path, line: Line, part_bytes: int | None) -> None:
        self._source, self._path, self._line, self._part_bytes = source, path, line, part_bytes
        self._lock = threading.Lock()
        self._last_byte_s = time.monotonic()
        self._total: int | None = None
        self._etag = ""
        self._got = self._told = 0
        self._left: list[_Span] = []
        """What nobody has begun, in the order of the file."""
        self._threads: list[threading.Thread] = []
        self._n_working = 1
        self._has_parts = self._is_enough = False
        """Whether the provider gives parts; whether it wants no more connections."""
        self._error: BaseException | None = None

    def run(self) -> str:
        first = self._first()
        self._work(self._begin(first), first, is_first=True)
        until_s = time.monotonic() + _STOPS_WITHIN_S
        for thread in self._threads:
            thread.join(None if self._error is None else max(0.0, until_s - time.monotonic()))
        if self._error is not None:
            raise self._error
        return first.name

    def _first(self) -> Opened:
        """The first connection, as soon as the provider gives it."""
        pauses = _Pauses(self, self._line)
        while True:
            try:
                return self._source.open(0, None, "")
            except Exception as error:
                pauses.sit_out(error, _Span(0, None))

    def _begin(self, opened: Opened) -> _Span:
        """From the first byte. Returns the first part."""
        self._path.write_bytes(b"")
        self._total, self._etag, self._got = opened.total, opened.etag, 0
        self._last_byte_s = time.monotonic()
        size, total = self._part_bytes, self._total
        if size is None or total is None or total <= 2 * size:
            return _Span(0, total)
        first, *self._left = (_Span(at, min(at + size, total)) for at in range(0, total, size))
        return first

    def _work(self, span: _Span | None, opened: Opened | None = None, *, is_first: bool = False) -> None:
        """Part after part, until none is left."""
        try:
            while span is not None and self._part(span, opened, is_first=is_first):
                span, opened, is_first = self._next(), None, False
        except BaseException as error:
            with self._lock:
                self._error = self._error or error

    def _next(self) -> _Span | None:
        with self._lock:
            if self._left and self._error is None:
                return self._left.pop()
            self._n_working -= 1
            return None

    def _part(self, span: _Span, opened: Opened | None, *, is_first: bool) -> bool:
        """One part. False where it is left to others: a provider need not want so many connections."""
        pauses = _Pauses(self, self._line)
        while self._error is None:
            before = span.at
            trouble: Exception | None = None
            try:
                opened = opened or self._reopened(span, is_first=is_first)
                self._join_in()
                self._read(opened, span, goes_on=is_first)
                if span.stop in (None, span.at):
                    return True
            except (FetchError, ReplacedError):
                raise
            except _NoPartsError as error:
                if self._n_working == 1:
                    raise
                trouble = error
            except Exception as error:
                trouble = error
            opened = None
            if self._error is not None:
                break
            if span.at == before and self._leave(span):
                self._line.tell("connection_refused", at=span.at, why=self.why(trouble, span))
                return False
            pauses.sit_out(trouble, span, has_come=span.at > before)
        return False

    def _reopened(self, span: _Span, *, is_first: bool) -> Opened:
        """What is left of a part, or of the file."""
        opened = self._source.open(span.at, None if is_first else span.stop, self._etag)
        if opened.at == span.at and not self._is_other(opened):
            self._has_parts = True
            return opened
        if opened.at == 0 and is_first and not self._threads:  # all of it anew
            begin = self._begin(opened)
            span.at, span.stop = begin.at, begin.stop
            return opened
        opened.close()
        if self._has_parts or self._is_other(opened):
            raise ReplacedError
        raise _NoPartsError

    def _join_in(self) -> None:
        """More threads, where connections are free and there is something left for them."""
        while self._line.connections.acquire(blocking=False):
            with self._lock:
                span = None
                if self._left and not self._is_enough and (self._has_parts or not self._threads):
                    span = self._left.pop()
                    self._n_working += 1
                    thread = threading.Thread(target=self._beside, args=(span,), daemon=True)
                    self._threads.append(thread)
                    thread.start()
            if span is None:
                self._line.connections.release()
                return

    def _beside(self, span: _Span) -> None:
        try:
            self._work(span)
        finally:
            self._line.connections.release()

    def _leave(self, span: _Span) -> bool:
        """Leave a part to the others; False where nobody else is at work."""
        with self._lock:
            if self._n_working == 1:
                return False
            self._left.append(span)
            self._left.sort(key=lambda one: one.at)
            self._n_working -= 1
            self._is_enough = True
            return True

    def _read(self, opened: Opened, span: _Span, *, goes_on: bool) -> None:
        """What a connection gives of a part, and of those behind it that nobody has begun, if it goes on."""
        try:
            with self._path.open("r+b") as file:
                file.seek(span.at)
                for chunk in opened.chunks:
                    if goes_on:
                        self._stretch(span, span.at + len(chunk))
                    part = chunk if span.stop is None else chunk[: span.stop - span.at]
                    _keep(file, part)
                    span.at += len(part)
                    self._arrived(len(part))
                    if span.at == span.stop or self._error is not None:
                        return
        finally:
            opened.close()

    def _stretch(self, span: _Span, to: int) -> None:
        with self._lock:
            before = span.stop
            while self._left and self._left[0].at == span.stop and span.stop <= to:
                span.stop = self._left.pop(0).stop
        if span.stop != before:
            self._join_in()

    def _arrived(self, n_bytes: int) -> None:
        with self._lock:
            self._last_byte_s = time.monotonic()
            self._got += n_bytes
            is_told = self._got - self._told >= _TOLD_EVERY_BYTES
            if is_told:
                self._told = self._got
        if is_told:
            self._line.tell("bytes", at=self._got, total=self._total)
        self._line.passed(n_bytes)

    def _is_other(self, opened: Opened) -> bool:
        """Whether it is of another version than was begun, as far as anybody says."""
        pairs = ((opened.total, self._total), (opened.etag, self._etag))
        return any(one and other and one != other for one, other in pairs)

    def why(self, error: Exception | None, span: _Span) -> str:
        if isinstance(error, _NoPartsError):
            return "gives no parts"
        return words_of(error) if error is not None else f"it ended after {span.at} of {span.stop} bytes"

    @property
    def has_begun(self) -> bool:
        return self._got > 0

    def until_given_up_s(self) -> float:
        return self._line.silence_s - (time.monotonic() - self._last_byte_s)


def _keep(file: BinaryIO, part: bytes) -> None:
    try:
        file.write(part)
    except OSError as error:  # a broken connection is one, too
        raise FetchError(f"cannot be kept here ({error.strerror})") from None


class _Pauses:
    """Between the tries of one connection."""

    def __init__(self, download: _Download, line: Line) -> None:
        self._download, self._line, self._pause_s = download, line, _FIRST_PAUSE_S
        self._is_forgiven = False

    def sit_out(self, error: Exception | None, span: _Span, *, has_come: bool = False) -> None:
        """Wait before the next try.

        Raises
        ------
        FetchError
            It would be in vain, or nothing has arrived for long.
        """
        why = self._download.why(error, span)
        wait_s = 0.0 if error is None else wait_of(error)
        if wait_s is None:
            if self._is_forgiven or not self._download.has_begun:
                raise FetchError(why) from None
            self._is_forgiven, wait_s = True, 0.0  # the same was granted before: one connection too many, perhaps
        pause_s = max(_FIRST_PAUSE_S if has_come else self._pause_s, wait_s)
        if pause_s > self._download.until_given_up_s():
            raise FetchError(f"nothing arrived for {self._line.silence_s:.0f} s; last: {why}") from None
        self._line.tell("resumes", at=span.at, why=why)
        time.sleep(pause_s)
        self._pause_s = min(_LONGEST_PAUSE_S, pause_s * 2)
