"""Pages of a catalogue, over HTTP."""

from __future__ import annotations

import json
from typing import Any, Final

import requests

from orthofunctions.adapters.transport import CONNECT_TIMEOUT_S
from orthofunctions.ports import PagesDownError

READ_TIMEOUT_S: Final = 60
MOST_BYTES: Final = 64 * 1024 * 1024
_CHUNK_BYTES: Final = 1 << 18


class HttpPages:
    """Implements ``ports.Pages``. Follows no redirect: an operator names the catalogue, and nobody else does."""

    def __init__(self, session: requests.Session, *, read_timeout_s: float = READ_TIMEOUT_S) -> None:
        self._session, self._read_timeout_s = session, read_timeout_s

    def get(self, url: str) -> Any:
        try:
            with self._session.get(
                url,
                headers={"Accept": "application/geo+json, application/json"},
                timeout=(CONNECT_TIMEOUT_S, self._read_timeout_s),
                allow_redirects=False,
                stream=True,
            ) as answer:
                if answer.status_code != requests.codes.ok:
                    raise PagesDownError(f"status {answer.status_code} for {url[:300]}")
                data = bytearray()
                for chunk in answer.iter_content(_CHUNK_BYTES):
                    data += chunk
                    if len(data) > MOST_BYTES:
                        raise PagesDownError(f"more than {MOST_BYTES} bytes for {url[:300]}")
                return json.loads(data)
        except requests.RequestException as error:
            raise PagesDownError(f"{type(error).__name__} for {url[:300]}") from error
        except (ValueError, RecursionError) as error:
            raise PagesDownError(f"no JSON for {url[:300]}") from error
