"""Where the compressed tiles of an image wait until they are put in order."""

from __future__ import annotations

import os
import tempfile
import threading
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from io import FileIO
from pathlib import Path
from typing import Final

_SEGMENT_BYTES: Final = 64 * 2**20
_PLACES_A_SEGMENT: Final = 2**32


@dataclass
class _Segment:
    """A nameless file, how much has been put into it, and how much of that has not been taken yet."""

    file: FileIO
    end: int = 0
    left: int = 0


class Scratch:
    """Keeps pieces of data on disk; any thread may give, and everything is taken once, by one thread at a time.

    There is a file for every some tens of megabytes, closed as soon as all of it has been taken, so that its memory
    and its place on the disk are there again for what is written meanwhile. For that, pieces which are taken one after
    the other are given to one lane.

    Raises
    ------
    OSError
        In `keep`: no space, no right.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lock = threading.Lock()
        self._segments: list[_Segment] = []
        self._lanes: dict[int, int] = {}

    def keep(self, lane: int, parts: Sequence[bytes]) -> int:
        """Put parts down one after the other; the place of the first."""
        size = sum(len(part) for part in parts)
        with self._lock:
            number = self._lanes.get(lane)
            if number is None or self._segments[number].end >= _SEGMENT_BYTES:
                number = self._lanes[lane] = len(self._segments)
                self._segments.append(_Segment(_nameless(self._folder)))
            segment = self._segments[number]
            at = segment.end
            segment.end += size
            segment.left += size
        file = segment.file.fileno()
        written = os.pwritev(file, parts, at)
        while written < size:  # a disk that is nearly full takes less than it was given, and then says why
            written += os.pwrite(file, b"".join(parts)[written:], at + written)
        return number * _PLACES_A_SEGMENT + at

    def take(self, places: Iterable[tuple[int, int]], piece_bytes: int) -> Iterator[memoryview]:
        """What is at the places, each with its size, in pieces of one size and a rest.

        A piece is valid until the next but one is asked for.
        """
        views = [memoryview(bytearray(piece_bytes)) for _ in range(2)]
        view, filled = views[0], 0
        for place, size in places:
            number, at = divmod(place, _PLACES_A_SEGMENT)
            segment = self._segments[number]
            end = at + size
            while at < end:
                got = os.preadv(segment.file.fileno(), [view[filled : filled + end - at]], at)
                if got == 0:
                    raise OSError(f"{self._folder}: a scratch file ends at {at}, expected {end} bytes")
                at, filled = at + got, filled + got
                if filled == piece_bytes:
                    yield view
                    views.reverse()
                    view, filled = views[0], 0
            segment.left -= size
            if segment.left == 0:
                segment.file.close()
        if filled:
            yield view[:filled]

    def close(self) -> None:
        """Let go of what has not been taken."""
        for segment in self._segments:
            segment.file.close()


def _nameless(folder: Path) -> FileIO:
    return tempfile.TemporaryFile(dir=folder, buffering=0)
