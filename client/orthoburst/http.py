"""One HTTP session with the service: JSON in and out, problems as errors."""

from __future__ import annotations

from typing import Any

try:
    import httpx
except ImportError as missing:
    raise ImportError("the client needs httpx and rich: pip install 'orthoburst[client]'") from missing

from orthoburst.errors import RefusedError, UnreachableError

CONNECT_RETRIES = 3


class Session:
    """JSON over HTTP.

    Every call is safe to repeat: reads by nature, a submission by its request id.
    """

    def __init__(self, url: str, api_key: str | None, timeout_s: float) -> None:
        self.url = url.rstrip("/")
        self._http = httpx.Client(
            base_url=self.url,
            headers={"Authorization": f"Bearer {api_key}"} if api_key else {},
            timeout=timeout_s,
            transport=httpx.HTTPTransport(retries=CONNECT_RETRIES),
        )

    def call(self, method: str, path: str, body: Any = None, **query: Any) -> Any:
        """The decoded answer.

        Raises
        ------
        UnreachableError
            Where no answer comes.
        RefusedError
            Where the answer is an error.
        """
        try:
            answer = self._http.request(
                method, path, json=body, params={key: value for key, value in query.items() if value is not None}
            )
        except httpx.HTTPError as error:
            raise UnreachableError(self.url, str(error) or type(error).__name__) from error
        if answer.is_error:
            raise RefusedError(answer.status_code, _problem(answer))
        return answer.json() if answer.content else None

    def close(self) -> None:
        self._http.close()


def _problem(answer: httpx.Response) -> dict[str, Any]:
    try:
        problem = answer.json()
    except ValueError:
        problem = None
    return (
        problem if isinstance(problem, dict) else {"title": f"HTTP {answer.status_code}", "detail": answer.text[:300]}
    )
