"""How a server in a thread ends whose client has stopped to listen."""

from __future__ import annotations

import gc
import socket
import warnings
from contextlib import ExitStack

from fakes.file_server import FileServer


def test_what_a_client_does_not_take_keeps_no_connection_open() -> None:
    with warnings.catch_warnings(), socket.socket() as client:
        warnings.simplefilter("error")
        with FileServer(files={"/a": bytes(16 << 20)}) as server:
            client.connect(("127.0.0.1", server.port))
            client.sendall(b"GET /a HTTP/1.1\r\nHost: here\r\n\r\n")
            assert client.recv(12) == b"HTTP/1.1 200"
        gc.collect()
        client.settimeout(10)
        while client.recv(1 << 20):
            pass


def test_who_comes_as_it_ends_is_let_go() -> None:
    with warnings.catch_warnings(), ExitStack() as late:
        warnings.simplefilter("error")
        with FileServer() as server:
            clients = [
                late.enter_context(socket.create_connection(("127.0.0.1", server.port), timeout=10)) for _ in range(20)
            ]
        gc.collect()
        assert [hung_up(client) for client in clients] == [True] * 20


def hung_up(client: socket.socket) -> bool:
    try:
        return client.recv(1) == b""
    except ConnectionResetError:  # before it was let in
        return True
