"""Compressed tiles come back in any order, and what has been taken leaves the disk at once."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

import orthokernel.cogscratch as module
from orthokernel.cogscratch import Scratch

SEGMENT_BYTES = 10_000
PIECE_BYTES = 777


@pytest.fixture
def scratch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Scratch]:
    monkeypatch.setattr(module, "_SEGMENT_BYTES", SEGMENT_BYTES)
    made = Scratch(tmp_path)
    yield made
    made.close()


def open_in(folder: Path) -> int:
    """How many of this process's open files lie in a folder, with a name or without."""
    files = Path("/proc/self/fd")
    if not files.is_dir():
        pytest.skip("open files are counted in /proc, which is Linux's")
    found = 0
    for entry in files.iterdir():
        with contextlib.suppress(OSError):  # the folder of files is itself one while it is read
            found += str(entry.readlink()).startswith(str(folder))
    return found


def test_what_threads_have_given_comes_back_in_the_order_asked_for(scratch: Scratch) -> None:
    rng = np.random.default_rng(3)
    given = [rng.bytes(int(size)) for size in rng.integers(1, 3000, 200)]
    with ThreadPoolExecutor(4) as pool:
        places = list(pool.map(lambda k: scratch.keep(k % 3, [given[k][:5], given[k][5:]]), range(200)))
    order = rng.permutation(200)
    pieces = [bytes(piece) for piece in scratch.take(((places[k], len(given[k])) for k in order), PIECE_BYTES)]
    assert b"".join(pieces) == b"".join(given[k] for k in order)
    assert {len(piece) for piece in pieces[:-1]} == {PIECE_BYTES}


def test_files_are_let_go_of_while_others_are_still_taken(scratch: Scratch, tmp_path: Path) -> None:
    given = [bytes([k]) * 1000 for k in range(100)]
    places = [scratch.keep(0, [one]) for one in given]
    at_first = open_in(tmp_path)
    assert at_first == 100 * 1000 // SEGMENT_BYTES
    left = [open_in(tmp_path) for _ in scratch.take(((place, 1000) for place in places), 1000)]
    assert left[50] <= at_first // 2 + 1
    assert open_in(tmp_path) == 0
    assert not list(tmp_path.iterdir())


def test_one_lane_does_not_hold_anothers_files(scratch: Scratch, tmp_path: Path) -> None:
    places = {lane: [scratch.keep(lane, [bytes(1000)]) for _ in range(10)] for lane in (0, 1)}
    list(scratch.take(((place, 1000) for place in places[1]), 1000))
    assert open_in(tmp_path) == 1


def test_files_that_nobody_took_are_let_go_of_at_the_end(tmp_path: Path) -> None:
    scratch = Scratch(tmp_path)
    scratch.keep(0, [b"never taken"])
    scratch.close()
    assert open_in(tmp_path) == 0
