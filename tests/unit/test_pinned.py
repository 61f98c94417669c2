"""Callbacks over real connections: to servers that answer, redirect, hang, talk for ever, and change their address."""

from __future__ import annotations

import http.server
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from fakes.certificates import certificate
from orthofunctions.adapters.pinned_get import get
from orthofunctions.adapters.poster import PinnedPoster
from orthofunctions.domain.targets import AllowedHosts
from orthofunctions.ports import NotToldError, RemoteDownError

pytestmark = pytest.mark.alone

Seen = list[tuple[str, dict[str, str], bytes]]


class Server:
    """A server on loopback that notes what it is sent. ``status`` is what it answers with."""

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self.seen: Seen = []
        self.status, self.headers = 200, {"X": "y"}
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                outer.seen.append((self.path, dict(self.headers), body))
                self.send_response(outer.status)
                for name, value in outer.headers.items():
                    self.send_header(name, value)
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        if tls is not None:
            self._server.socket = tls.wrap_socket(self._server.socket, server_side=True)
        self.port = int(self._server.server_address[1])
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@pytest.fixture
def server() -> Iterator[Server]:
    made = Server()
    yield made
    made.close()


@pytest.fixture
def raw() -> Iterator[Callable[[Callable[[socket.socket], None]], int]]:
    """Starts a server that does as it is told with its first connection; returns its port."""
    listening: list[socket.socket] = []
    threads: list[threading.Thread] = []

    def start(talk: Callable[[socket.socket], None]) -> int:
        listener = socket.create_server(("127.0.0.1", 0))
        listening.append(listener)

        def serve() -> None:
            try:
                connected, _ = listener.accept()
                with connected:
                    talk(connected)
            except OSError:
                pass

        threads.append(threading.Thread(target=serve))
        threads[-1].start()
        return int(listener.getsockname()[1])

    yield start
    for listener in listening:
        listener.close()
    for thread in threads:
        thread.join(5)


def poster(port: int, *addresses: str, timeout_s: float = 5.0, tls: ssl.SSLContext | None = None) -> PinnedPoster:
    """A poster that may call hooks.test, which has these addresses."""
    hosts = AllowedHosts.of(f"hooks.test:{port}", loopback=True)
    return PinnedPoster(hosts, resolver=lambda host, port: addresses, timeout_s=timeout_s, tls=tls)


def test_the_name_goes_with_the_request_and_the_address_was_checked(server: Server) -> None:
    asked: list[str] = []

    def resolver(host: str, port: int) -> list[str]:
        asked.append(host)
        return ["127.0.0.1"] if len(asked) == 1 else ["10.0.0.1"]  # it changes its mind

    hosts = AllowedHosts.of(f"hooks.test:{server.port}", loopback=True)
    status = PinnedPoster(hosts, resolver=resolver).post(f"http://hooks.test:{server.port}/a?b", {"A": "b"}, b"{}")
    ((path, headers, body),) = server.seen
    assert (status, path, body, asked) == (200, "/a?b", b"{}", ["hooks.test"])
    assert (headers["Host"], headers["A"]) == (f"hooks.test:{server.port}", "b")


@pytest.mark.parametrize(
    "addresses",
    [("10.0.0.1",), ("169.254.169.254",), ("127.0.0.1", "192.168.0.1"), ("::ffff:10.0.0.1",), ("100.64.1.1",)],
)
def test_a_name_with_one_address_that_is_not_public_is_not_called(server: Server, addresses: tuple[str, ...]) -> None:
    with pytest.raises(NotToldError, match="resolves to"):
        poster(server.port, *addresses).post(f"http://hooks.test:{server.port}/", {}, b"{}")
    assert server.seen == []


def test_loopback_is_refused_where_the_site_does_not_allow_it(server: Server) -> None:
    hosts = AllowedHosts.of(f"hooks.test:{server.port}")
    with pytest.raises(NotToldError, match=r"resolves to 127\.0\.0\.1, which is loopback"):
        PinnedPoster(hosts, resolver=lambda host, port: ["127.0.0.1"]).post(
            f"https://hooks.test:{server.port}/", {}, b"{}"
        )


def test_a_host_that_is_no_longer_allowed_is_not_called(server: Server) -> None:
    with pytest.raises(NotToldError, match="not among the hosts"):
        poster(server.port, "127.0.0.1").post("http://other.test/", {}, b"{}")


def test_names_that_do_not_resolve() -> None:
    def broken(host: str, port: int) -> list[str]:
        raise socket.gaierror("no such name")

    hosts = AllowedHosts.of("hooks.test")
    with pytest.raises(NotToldError, match="cannot be resolved"):
        PinnedPoster(hosts, resolver=broken).post("https://hooks.test/", {}, b"{}")
    with pytest.raises(NotToldError, match="no address"):
        PinnedPoster(hosts, resolver=lambda host, port: []).post("https://hooks.test/", {}, b"{}")


def test_the_next_address_is_tried_where_one_does_not_answer(server: Server) -> None:
    url = f"http://hooks.test:{server.port}/"
    assert poster(server.port, "127.9.9.9", "127.0.0.1").post(url, {}, b"{}") == 200


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_redirects_are_answers_and_not_followed(server: Server, status: int) -> None:
    server.status, server.headers = status, {"Location": f"http://hooks.test:{server.port}/elsewhere"}
    assert poster(server.port, "127.0.0.1").post(f"http://hooks.test:{server.port}/", {}, b"{}") == status
    assert [path for path, *_ in server.seen] == ["/"]


def drip(connected: socket.socket) -> None:
    """A header that never ends, a letter at a time: no single wait is long."""
    connected.sendall(b"HTTP/1.1 200 OK\r\nX: ")
    for _ in range(200):
        connected.sendall(b"x")
        time.sleep(0.05)


def hang(connected: socket.socket) -> None:
    while connected.recv(4096):
        pass


def go_on_for_ever(connected: socket.socket) -> None:
    while True:
        connected.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")


@pytest.mark.parametrize("talk", [drip, hang, go_on_for_ever])
def test_nobody_holds_us_longer_than_the_time_limit(
    raw: Callable[[Callable[[socket.socket], None]], int], talk: Callable[[socket.socket], None]
) -> None:
    port = raw(talk)
    began = time.monotonic()
    with pytest.raises(NotToldError):
        poster(port, "127.0.0.1", timeout_s=0.6).post(f"http://hooks.test:{port}/", {}, b"{}")
    assert time.monotonic() - began < 3


@pytest.mark.parametrize(
    "said",
    [
        b"",
        b"SSH-2.0-OpenSSH\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"A: b\r\n" * 200 + b"\r\n",
        b"HTTP/1.1 200 " + b"x" * 100_000 + b"\r\n\r\n",
    ],
)
def test_what_is_no_answer_is_told_as_such(raw: Callable[[Callable[[socket.socket], None]], int], said: bytes) -> None:
    def talk(connected: socket.socket) -> None:
        connected.recv(65536)
        connected.sendall(said)

    port = raw(talk)
    with pytest.raises(NotToldError):
        poster(port, "127.0.0.1").post(f"http://hooks.test:{port}/", {}, b"{}")


def test_a_body_without_end_is_not_read(raw: Callable[[Callable[[socket.socket], None]], int]) -> None:
    def talk(connected: socket.socket) -> None:
        connected.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        while True:
            connected.sendall(b"x" * 65536)

    port = raw(talk)
    assert poster(port, "127.0.0.1").post(f"http://hooks.test:{port}/", {}, b"{}") == 200


def test_a_handshake_that_never_ends_is_cut_off(raw: Callable[[Callable[[socket.socket], None]], int]) -> None:
    def talk(connected: socket.socket) -> None:
        connected.sendall(b"\x16\x03\x03\x40\x00")
        for _ in range(200):
            connected.sendall(b"\x02")
            time.sleep(0.05)

    port = raw(talk)
    began = time.monotonic()
    with pytest.raises(NotToldError, match="did not answer within"):
        poster(port, "127.0.0.1", timeout_s=0.6).post(f"https://hooks.test:{port}/", {}, b"{}")
    assert time.monotonic() - began < 3


def test_a_server_that_drips_over_tls_is_cut_off_when_it_is_read_from(
    tmp_path: Path, raw: Callable[[Callable[[socket.socket], None]], int]
) -> None:
    """The socket that is shut is the one that is read, not the plain one it was before the handshake."""
    file = certificate(tmp_path, "data.test")
    ours = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ours.load_cert_chain(file)

    def talk(connected: socket.socket) -> None:
        with ours.wrap_socket(connected, server_side=True) as secured:
            secured.recv(65536)
            secured.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
            for _ in range(200):
                secured.sendall(b"x")
                time.sleep(0.05)

    port = raw(talk)
    began = time.monotonic()
    with pytest.raises(RemoteDownError, match="did not answer within"):
        get(
            f"https://data.test:{port}/a", {}, most_bytes=1000, judge=lambda _: None, timeout_s=0.6,
            resolver=lambda host, port: ["127.0.0.1"], tls=ssl.create_default_context(cafile=str(file)),
        )  # fmt: skip
    assert time.monotonic() - began < 3


@pytest.mark.parametrize(("name", "good"), [("hooks.test", True), ("other.test", False)])
def test_over_tls_the_certificate_is_the_names_not_the_addresss(tmp_path: Path, name: str, good: bool) -> None:
    file = certificate(tmp_path, name)
    ours = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ours.load_cert_chain(file)
    asked: list[str | None] = []
    ours.sni_callback = lambda connected, host, context: asked.append(host)
    server = Server(ours)
    try:
        theirs = poster(server.port, "127.0.0.1", tls=ssl.create_default_context(cafile=str(file)))
        url = f"https://hooks.test:{server.port}/"
        if good:
            assert theirs.post(url, {}, b"{}") == 200
        else:
            with pytest.raises(NotToldError, match="CERTIFICATE_VERIFY_FAILED"):
                theirs.post(url, {}, b"{}")
        assert asked == ["hooks.test"]
        with pytest.raises(NotToldError, match="CERTIFICATE_VERIFY_FAILED"):  # the system's authorities do not know it
            poster(server.port, "127.0.0.1").post(url, {}, b"{}")
    finally:
        server.close()
    assert bool(server.seen) == good
