"""One HTTP session with the service: JSON in and out, problems as errors, again what may be asked again."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

try:
    import httpx
except ImportError as missing:
    raise ImportError("the client needs httpx and rich: pip install 'orthoburst[client]'") from missing

from orthoburst.errors import RefusedError, UnreachableError

Token = Callable[[], str]
"""Gives the bearer token to send now: of an OIDC login, for example. Asked before every call."""

TRIES = 5
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.5, 8.0
LONGEST_RETRY_AFTER_S = 20.0
"""Who is asked to come back later than that is told so: a quota is full, and sitting here frees none of it."""
TOO_MANY_REQUESTS = 429
NOT_NOW = frozenset({502, 503, 504})
"""What gateways answer while the service behind them starts or is busy."""


class Session:
    """JSON over HTTP. Safe to use from several threads.

    A call is made again, a little later each time, where it never got through or the service asked for patience. Where
    it may have got through and its answer was lost, only if it is safe to repeat: reads and deletions by nature, a
    submission by its request id, others where the caller says so.
    """

    def __init__(self, url: str, api_key: str | None, timeout_s: float, token: Token | None = None) -> None:
        self.url = url.rstrip("/")
        self._api_key, self._token, self._timeout_s = api_key, token, timeout_s
        self._http = httpx.Client(base_url=self.url, timeout=timeout_s)

    def __repr__(self) -> str:
        return f"<Session with {self.url}>"

    def call(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        safe: bool | None = None,
        timeout_s: float | None = None,
        **query: Any,
    ) -> Any:
        """The decoded answer.

        Parameters
        ----------
        safe : bool, optional
            Whether a repeated call does no harm; by default that of everything but POST.
        timeout_s : float, optional
            How long this one call may take.

        Raises
        ------
        UnreachableError
            Where no answer comes.
        RefusedError
            Where the answer is an error.
        """
        asked = {key: value for key, value in query.items() if value is not None}
        request = self._http.build_request(
            method, path, json=body, params=asked or None, timeout=self._timeout_s if timeout_s is None else timeout_s
        )
        answer = self._answer(request, method != "POST" if safe is None else safe)
        if answer.is_error:
            raise RefusedError(answer.status_code, _problem(answer))
        if not answer.content:
            return None
        try:
            return answer.json()
        except ValueError as error:
            raise UnreachableError(self.url, "what answers is no orthoburst service: it sent no JSON") from error

    def pages(self, path: str, body: Any = None, **query: Any) -> Iterator[dict[str, Any]]:
        """A document and those that its ``next`` links lead to; asked for by POST where there is a body."""
        page: dict[str, Any] = self.call("GET" if body is None else "POST", path, body, safe=True, **query)
        while True:
            yield page
            link = next_link(page)
            if link is None:
                return
            page = self._follow(link, body)

    def _follow(self, link: dict[str, Any], body: Any) -> dict[str, Any]:
        """What a link of the service leads to. Only ever asked of the service itself: the key is for nobody else."""
        there = httpx.URL(self.url).copy_with(raw_path=httpx.URL(link["href"]).raw_path)
        changes = link.get("body")
        sent = {**body, **changes} if link.get("merge") and isinstance(body, dict) and changes else changes
        found: dict[str, Any] = self.call(str(link.get("method", "GET")), str(there), sent, safe=True)
        return found

    def _answer(self, request: httpx.Request, safe: bool) -> httpx.Response:
        pause_s = FIRST_PAUSE_S
        for left in reversed(range(TRIES)):
            wait_s = pause_s * random.uniform(0.5, 1.0)  # so that a thousand clients do not come back together
            try:
                request.headers.update(self._headers())
                answer = self._http.send(request)
            except httpx.HTTPError as error:
                # not connected: nothing was asked yet
                again = safe or isinstance(error, httpx.ConnectError | httpx.ConnectTimeout | httpx.PoolTimeout)
                if not (left and again and isinstance(error, httpx.TransportError)):
                    raise UnreachableError(self.url, str(error) or type(error).__name__) from error
            else:
                busy = answer.status_code == TOO_MANY_REQUESTS or (safe and answer.status_code in NOT_NOW)
                asked_s = _retry_after_s(answer)
                if not (left and busy) or asked_s > LONGEST_RETRY_AFTER_S:
                    return answer
                wait_s = max(wait_s, asked_s)
            time.sleep(wait_s)
            pause_s = min(2 * pause_s, LONGEST_PAUSE_S)
        raise AssertionError("the last try either answers or raises")

    def _headers(self) -> dict[str, str]:
        secret = self._token() if self._token is not None else self._api_key
        return {"Authorization": f"Bearer {secret}"} if secret else {}

    def close(self) -> None:
        self._http.close()


def next_link(page: dict[str, Any]) -> dict[str, Any] | None:
    """The link to the page after this one; None on the last."""
    links: list[dict[str, Any]] = page.get("links", [])
    return next((link for link in links if link.get("rel") == "next"), None)


def _retry_after_s(answer: httpx.Response) -> float:
    """Seconds that the service asks to be left alone: the header holds a number, or a date."""
    said = answer.headers.get("Retry-After", "")
    if said.isdigit():
        return float(said)
    try:
        return max(0.0, (parsedate_to_datetime(said) - datetime.now(UTC)).total_seconds())
    except (ValueError, TypeError):
        return 0.0


def _problem(answer: httpx.Response) -> dict[str, Any]:
    try:
        problem = answer.json()
    except ValueError:
        problem = None
    return (
        problem if isinstance(problem, dict) else {"title": f"HTTP {answer.status_code}", "detail": answer.text[:300]}
    )
