"""Downloads over a real connection that is cut, lies, or refuses."""

from __future__ import annotations

import base64
import hashlib
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from orthoburst.download import fetch
from orthoburst.errors import DownloadError

BODY = bytes(range(256)) * 8000
MD5 = hashlib.md5(BODY).hexdigest()


@dataclass
class Store:
    """A blob store that serves ranges and can misbehave."""

    cut_after: list[int] = field(default_factory=list)  # bytes to send before each cut, one entry a request
    status: int | None = None
    body: bytes = BODY
    ranges: list[str | None] = field(default_factory=list)
    url: str = ""


@pytest.fixture
def store() -> Iterator[Store]:
    behaviour = Store()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked = self.headers.get("Range")
            behaviour.ranges.append(asked)
            if behaviour.status:
                self.send_error(behaviour.status)
                return
            start = int(asked.removeprefix("bytes=").rstrip("-")) if asked else 0
            rest = behaviour.body[start:]
            if not rest:
                self.send_error(416)
                return
            self.send_response(206 if asked else 200)
            self.send_header("Content-Length", str(len(rest)))
            md5 = base64.b64encode(hashlib.md5(behaviour.body).digest()).decode()
            self.send_header("x-ms-blob-content-md5" if asked else "Content-MD5", md5)
            self.end_headers()
            if behaviour.cut_after:
                self.wfile.write(rest[: behaviour.cut_after.pop(0)])
                self.close_connection = True
                return
            self.wfile.write(rest)

        def log_message(self, format: str, *args: object) -> None:
            """Be quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    behaviour.url = f"http://127.0.0.1:{server.server_port}/image.tif"
    yield behaviour
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_whole_file_arrives_and_is_not_fetched_twice(store: Store, tmp_path: Path) -> None:
    path = fetch(store.url, tmp_path / "image.tif", md5=MD5)
    assert path.read_bytes() == BODY
    fetch(store.url, path, md5=MD5)
    assert store.ranges == [None]


def test_a_cut_download_goes_on_where_it_was_cut(store: Store, tmp_path: Path) -> None:
    store.cut_after = [1_000_000, 500_000]
    assert fetch(store.url, tmp_path / "image.tif").read_bytes() == BODY
    starts = [0 if asked is None else int(asked[6:-1]) for asked in store.ranges]
    assert len(starts) == 3
    assert starts[0] < starts[1] < starts[2]


def test_an_earlier_part_is_resumed(store: Store, tmp_path: Path) -> None:
    (tmp_path / "image.tif.part").write_bytes(BODY[:1234])
    assert fetch(store.url, tmp_path / "image.tif", md5=MD5).read_bytes() == BODY
    assert store.ranges == ["bytes=1234-"]
    assert not (tmp_path / "image.tif.part").exists()


def test_a_part_that_was_complete_is_taken(store: Store, tmp_path: Path) -> None:
    (tmp_path / "image.tif.part").write_bytes(BODY)
    assert fetch(store.url, tmp_path / "image.tif", md5=MD5).read_bytes() == BODY


def test_wrong_bytes_are_an_error_and_leave_nothing(store: Store, tmp_path: Path) -> None:
    store.body = BODY[:-1] + b"?"
    with pytest.raises(DownloadError, match=f"MD5 is not the promised {MD5}"):
        fetch(store.url, tmp_path / "image.tif", md5=MD5)
    assert list(tmp_path.iterdir()) == []


def test_an_expired_link_is_told_at_once(store: Store, tmp_path: Path) -> None:
    store.status = 403
    with pytest.raises(DownloadError, match="answered 403"):
        fetch(store.url, tmp_path / "image.tif")
    assert len(store.ranges) == 1


def test_a_connection_that_is_always_cut_ends_in_an_error_and_keeps_the_part(store: Store, tmp_path: Path) -> None:
    store.cut_after = [10] * 10
    with pytest.raises(DownloadError, match="cut 4 times"):
        fetch(store.url, tmp_path / "image.tif")
    assert (tmp_path / "image.tif.part").stat().st_size > 0
