"""What went wrong at a provider, in words of ours: what was sent and what was answered may hold secrets."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

_RETRY: Final = frozenset({408, 425, 429, 500, 502, 503, 504})
_IN_VAIN: Final = frozenset({"AuthenticationError", "MisconfiguredError", "NoCredentialsError"})


class FetchError(Exception):
    """What is told instead of what EODAG said."""

    def __init__(self, message: str, kind: str = "FetchFailed") -> None:
        super().__init__(message)
        self.kind = kind


@dataclass(frozen=True)
class _Answer:
    status: int
    retry_after: str


def words_of(error: BaseException) -> str:
    """Nothing of what was sent or answered."""
    if isinstance(error, FetchError):
        return str(error)
    answer = _answer_of(error)
    status = answer.status if answer is not None else None
    kind = type(error).__name__
    if kind == "AuthenticationError" or status in (401, 403):
        return "refuses the login: look at EODAG's settings"
    if kind in _IN_VAIN:
        return "needs a login, or more settings: look at EODAG's settings"
    if status in (404, 410):
        return f"lists it and has it no longer (status {status})"
    if kind == "QuotaExceededError":
        return "says that this account's quota is used up"
    if status is not None:
        return f"answers with status {status}"
    if kind == "NotAvailableError":
        return "has it offline"
    return f"broke off ({kind})"


def wait_of(error: BaseException) -> float | None:
    """How long to wait at least before the rest is asked for; None where it would be in vain."""
    answer = _answer_of(error)
    if answer is not None:
        if answer.status not in _RETRY:
            return None
        return float(answer.retry_after) if answer.retry_after.isdecimal() and len(answer.retry_after) < 6 else 0.0
    return None if isinstance(error, FetchError) or type(error).__name__ in _IN_VAIN else 0.0


def status_of(error: BaseException) -> int | None:
    """Of the answer that an error is about; None where there is none."""
    answer = _answer_of(error)
    return answer.status if answer is not None else None


def _answer_of(error: BaseException | None) -> _Answer | None:
    """The answer that an error is about, however deep."""
    for _ in range(5):
        if error is None:
            break
        response: Any = getattr(error, "response", None)
        if isinstance(response, dict):  # of a bucket
            about = response.get("ResponseMetadata", {})
            if "HTTPStatusCode" in about:
                return _Answer(int(about["HTTPStatusCode"]), str(about.get("HTTPHeaders", {}).get("retry-after", "")))
        elif getattr(response, "status_code", None) is not None:
            return _Answer(int(response.status_code), str(response.headers.get("Retry-After", "")))
        error = error.__cause__ or error.__context__
    return None
