"""How every storage client talks: one pool of connections, short patience, few retries."""

from __future__ import annotations

import uuid
from typing import Any

import requests
from azure.core.pipeline.transport import RequestsTransport
from requests.adapters import HTTPAdapter

CONNECT_TIMEOUT_S = 5
READ_TIMEOUT_S = 30
POOL_CONNECTIONS = 64  # functions run in a thread pool; requests' 10 would close and reopen connections under load


def new_session() -> requests.Session:
    """One HTTP session for all clients of a process. Its retries are off: the SDK's policies retry."""
    _number_requests_without_files()
    session = requests.Session()
    # The clients sign their requests themselves. Without any other way to do so requests would look for a file of
    # passwords in the home folder before each of them: an eighth of a round's processor time.
    session.auth = _as_it_is
    adapter = HTTPAdapter(pool_maxsize=POOL_CONNECTIONS, max_retries=0)
    session.mount("https://", adapter)
    session.mount("http://", adapter)
    return session


def _number_requests_without_files() -> None:
    """Have the clients' request ids made by Python.

    Each is a uuid1, for which libuuid opens a file in every thread, where it may (as root, with its daemon installed),
    and never closes it; and every round begins threads.
    """
    uuid.getnode()  # libuuid knows it; without it programs would be run to find out
    uuid._generate_time_safe = None  # type: ignore[attr-defined]


def _as_it_is(request: requests.PreparedRequest) -> requests.PreparedRequest:
    return request


def client_options(session: requests.Session) -> dict[str, Any]:
    """Arguments for blob and queue clients: about 6 s of retries, then the trigger's own redelivery takes over.

    The SDK's default waits 15 s before its first retry, which holds a function's thread for a blip of a second.
    """
    return {
        "transport": RequestsTransport(session=session, session_owner=False),
        "connection_timeout": CONNECT_TIMEOUT_S,
        "read_timeout": READ_TIMEOUT_S,
        "initial_backoff": 0.4,
        "increment_base": 2,
        "random_jitter_range": 0.3,
        "retry_total": 3,
    }


def table_options(session: requests.Session) -> dict[str, Any]:
    """The same for table clients, whose retry policy has other names for it."""
    return {
        "transport": RequestsTransport(session=session, session_owner=False),
        "connection_timeout": CONNECT_TIMEOUT_S,
        "read_timeout": READ_TIMEOUT_S,
        "retry_total": 3,
        "retry_backoff_factor": 0.4,
        "retry_backoff_max": 5,
    }
