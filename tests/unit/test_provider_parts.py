"""A provider's file, fetched over real HTTP from a server that cuts, refuses, replaces and dawdles."""

from __future__ import annotations

import asyncio
import random
import resource
import signal
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from aiohttp import web

from fakes.file_server import FileServer, cut, lying, replaced, served, status
from orthoagent.procure.child.line import Line
from orthoagent.procure.child.parts import MOST_VERSIONS, Opened, fetch_file
from orthoagent.procure.child.sources import Login, OneAsset
from orthoagent.procure.child.words import FetchError

PART = 300_000
BODY = random.Random(1).randbytes(10 * PART + 200_007)


@dataclass
class Fetched:
    """How a fetch went: what was told, and what the server was asked for."""

    path: Path
    events: list[dict[str, Any]] = field(default_factory=list)
    name: str = ""

    def told(self, kind: str) -> list[dict[str, Any]]:
        return [event for event in self.events if event["event"] == kind]


Fetch = Callable[..., Fetched]


@pytest.fixture
def server() -> Iterator[FileServer]:
    with FileServer({"/product.zip": BODY}) as found:
        yield found


@pytest.fixture
def fetch(server: FileServer, tmp_path: Path) -> Fetch:
    def fetch_it(streams: int = 4, mb_per_s: float | None = None, silence_s: float = 5.0) -> Fetched:
        fetched = Fetched(tmp_path / "product.zip")
        lock = threading.Lock()

        def tell(event: str, **more: Any) -> None:
            with lock:
                fetched.events.append({"event": event, **more})

        line = Line(streams=streams, part_bytes=PART, mb_per_s=mb_per_s, silence_s=silence_s, tell=tell)
        fetched.name = fetch_file(source(server), fetched.path, line)
        assert line.connections._value == streams, "every connection has been given back"
        return fetched

    return fetch_it


def source(server: FileServer) -> OneAsset:
    product: Any = SimpleNamespace(downloader=SimpleNamespace(config=SimpleNamespace()), downloader_auth=None)
    return OneAsset(product, f"{server.address}/product.zip", Login(product))


def ranges(server: FileServer) -> list[str]:
    return [headers.get("Range", "") for headers in server.asked_of("/product.zip")]


def test_parts_come_side_by_side_and_each_byte_once(server: FileServer, fetch: Fetch) -> None:
    server.piece_s = 0.02
    assert fetch().path.read_bytes() == BODY
    assert server.peak == 4
    parts = {f"bytes={at}-{min(at + PART, len(BODY)) - 1}" for at in range(PART, len(BODY), PART)}
    first, *more = ranges(server)
    assert first == ""
    assert len(set(more)) == len(more)
    assert set(more) < parts, "the first answer goes on until it meets the others"
    assert server.sent_bytes < len(BODY) + 2 * PART


@pytest.mark.parametrize("streams", [1, 2])
def test_no_more_connections_than_the_line_has(server: FileServer, fetch: Fetch, streams: int) -> None:
    server.piece_s = 0.005
    assert fetch(streams).path.read_bytes() == BODY
    assert server.peak == streams


def test_a_part_that_breaks_goes_on_where_it_broke(server: FileServer, fetch: Fetch) -> None:
    server.piece_s = 0.02
    server.troubles["/product.zip"] = [cut(100_000), cut(150_000), cut(66_000)]
    fetched = fetch(streams=2)
    assert fetched.path.read_bytes() == BODY
    resumed = fetched.told("resumes")
    assert len(resumed) == 3
    assert all(event["why"].startswith("broke off") for event in resumed)
    assert all(f"bytes={event['at']}-" in " ".join(ranges(server)) for event in resumed)
    assert server.sent_bytes < len(BODY) + 2 * PART, "nothing but the rest of the first answer is sent twice"


def test_a_server_without_ranges_gives_it_on_one_connection(server: FileServer, fetch: Fetch) -> None:
    server.ranges, server.piece_s = False, 0.02
    fetched = fetch()
    assert fetched.path.read_bytes() == BODY
    assert len(ranges(server)) == 2, "the file, and one question for a part"
    assert [event["why"] for event in fetched.told("connection_refused")] == ["gives no parts"]
    assert not fetched.told("resumes")


def test_where_that_is_known_too_late_it_is_begun_anew(server: FileServer, fetch: Fetch) -> None:
    async def late(server: FileServer, request: web.Request, data: bytes) -> None:
        await asyncio.sleep(1)

    server.ranges = False
    server.troubles["/product.zip"] = [served, late]
    assert fetch().path.read_bytes() == BODY
    assert len(ranges(server)) == 3


def test_what_breaks_there_is_begun_anew(server: FileServer, fetch: Fetch) -> None:
    server.ranges = False
    server.troubles["/product.zip"] = [cut(2 * PART), served, served, cut(PART)]
    fetched = fetch()
    assert fetched.path.read_bytes() == BODY


@pytest.mark.parametrize("most", [1, 2, 3])
def test_who_wants_fewer_connections_gets_fewer(server: FileServer, fetch: Fetch, most: int) -> None:
    server.most_at_once, server.piece_s = most, 0.02
    fetched = fetch()
    assert fetched.path.read_bytes() == BODY
    assert server.peak == most
    assert fetched.told("connection_refused")
    assert "429" in fetched.told("connection_refused")[0]["why"]
    assert len(fetched.told("connection_refused")) <= 4, "it does not knock again and again"


def test_a_connection_that_is_refused_for_good_is_one_fewer(server: FileServer, fetch: Fetch) -> None:
    server.piece_s = 0.02
    server.troubles["/product.zip"] = [served, served, status(403)]
    fetched = fetch()
    assert fetched.path.read_bytes() == BODY
    assert [event["why"] for event in fetched.told("connection_refused")] == [
        "refuses the login: look at EODAG's settings"
    ]


def test_the_last_connection_is_asked_for_twice(server: FileServer, fetch: Fetch) -> None:
    """It was granted to the same login a moment before."""
    server.troubles["/product.zip"] = [cut(PART), status(403)]
    assert fetch(streams=1).path.read_bytes() == BODY
    server.troubles["/product.zip"] = [cut(PART), status(403), status(403)]
    with pytest.raises(FetchError, match="refuses the login"):
        fetch(streams=1)


def test_what_is_replaced_meanwhile_is_begun_anew(server: FileServer, fetch: Fetch) -> None:
    other = random.Random(2).randbytes(len(BODY))
    server.piece_s = 0.02
    server.troubles["/product.zip"] = [served, served, served, served, replaced(other)]
    fetched = fetch(streams=2)
    assert fetched.path.read_bytes() == other, "not half of each"
    assert [event["why"] for event in fetched.told("resumes")] == ["it was replaced meanwhile"]


def test_on_one_connection_too(server: FileServer, fetch: Fetch) -> None:
    other = random.Random(2).randbytes(len(BODY) // 2)
    server.troubles["/product.zip"] = [cut(PART), replaced(other)]
    assert fetch(streams=1).path.read_bytes() == other


def test_what_is_replaced_again_and_again_is_given_up(server: FileServer, fetch: Fetch) -> None:
    server.piece_s = 0.02
    bodies = [random.Random(seed).randbytes(len(BODY)) for seed in range(MOST_VERSIONS)]
    server.troubles["/product.zip"] = [trouble for body in bodies for trouble in (served, served, replaced(body))]
    with pytest.raises(FetchError, match=f"replaced it {MOST_VERSIONS} times"):
        fetch(streams=2)


def test_a_range_that_was_not_asked_for_is_never_written(server: FileServer, fetch: Fetch) -> None:
    server.troubles["/product.zip"] = [served, served, lying(f"bytes 5-14/{len(BODY)}")]
    assert fetch(streams=2).path.read_bytes() == BODY


def test_silence_ends_it_with_its_last_reason(server: FileServer, fetch: Fetch) -> None:
    server.troubles["/product.zip"] = [cut(100_000), cut(100_000), *[status(503) for _ in range(100)]]
    began_s = time.monotonic()
    with pytest.raises(FetchError, match="nothing arrived for 2 s; last: answers with status 503"):
        fetch(streams=2, silence_s=2.0)
    assert time.monotonic() - began_s < 8


def test_who_says_when_to_come_again_is_waited_for(server: FileServer, fetch: Fetch) -> None:
    server.troubles["/product.zip"] = [status(429, Retry_After="2")]
    began_s = time.monotonic()
    assert fetch().path.read_bytes() == BODY
    assert time.monotonic() - began_s >= 2


def test_what_is_gone_is_not_asked_for_again(server: FileServer, fetch: Fetch) -> None:
    server.troubles["/product.zip"] = [status(404)]
    with pytest.raises(FetchError, match=r"has it no longer \(status 404\)"):
        fetch()
    assert len(ranges(server)) == 1


@pytest.mark.parametrize("streams", [1, 4])
def test_all_connections_together_keep_to_the_limit(fetch: Fetch, streams: int) -> None:
    began_s = time.monotonic()
    assert fetch(streams, mb_per_s=1.5).path.read_bytes() == BODY
    assert time.monotonic() - began_s >= 0.9 * len(BODY) / 1.5e6


def test_a_full_disk_ends_it_at_once(fetch: Fetch) -> None:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (3 * PART, before[1]))
    try:
        with pytest.raises(FetchError, match="cannot be kept here"):
            fetch()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, ignored)


class Counted:
    """A source whose connections are counted, of all files together."""

    def __init__(self, source: OneAsset, counts: list[int], lock: threading.Lock) -> None:
        self._source, self._counts, self._lock = source, counts, lock

    def open(self, start: int, stop: int | None, etag: str) -> Opened:
        opened = self._source.open(start, stop, etag)
        with self._lock:
            self._counts.append(self._counts[-1] + 1)

        def close() -> None:
            opened.close()
            with self._lock:
                self._counts.append(self._counts[-1] - 1)

        return replace(opened, close=close)


def test_files_share_the_connections(server: FileServer, tmp_path: Path) -> None:
    server.piece_s = 0.01
    counts, lock = [0], threading.Lock()
    line = Line(streams=3, part_bytes=PART, mb_per_s=None, silence_s=5.0, tell=lambda event, **more: None)
    paths = [tmp_path / f"{k}.zip" for k in range(5)]
    with ThreadPoolExecutor(5) as files:
        list(files.map(lambda path: fetch_file(Counted(source(server), counts, lock), path, line), paths))
    assert [path.read_bytes() == BODY for path in paths] == [True] * 5
    assert max(counts) == 3
    assert counts[-1] == 0


def test_a_length_nobody_knows_is_read_to_the_end(tmp_path: Path) -> None:
    class Unsized:
        def open(self, start: int, stop: int | None, etag: str) -> Opened:
            return Opened(0, None, "", iter([BODY[:10], BODY[10:]]), lambda: None, "its-name")

    line = Line(streams=4, part_bytes=PART, mb_per_s=None, silence_s=5.0, tell=lambda event, **more: None)
    assert fetch_file(Unsized(), tmp_path / "file", line) == "its-name"
    assert (tmp_path / "file").read_bytes() == BODY
