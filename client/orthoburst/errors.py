"""What the client raises."""

from __future__ import annotations

from typing import Any


class OrthoburstError(Exception):
    """Base of every error of the client."""


class UnreachableError(OrthoburstError):
    """The service does not answer."""

    def __init__(self, url: str, reason: str) -> None:
        super().__init__(f"{url} does not answer ({reason}): is it running, and is ORTHOBURST_URL right?")
        self.url = url


class RefusedError(OrthoburstError):
    """The service refused a request; ``problem`` is its RFC 9457 document."""

    def __init__(self, status: int, problem: dict[str, Any]) -> None:
        title = problem.get("title") or f"HTTP {status}"
        detail = problem.get("detail")
        super().__init__(f"{title}: {detail}" if detail else str(title))
        self.status = status
        self.problem = problem


class JobFailedError(OrthoburstError):
    """A job ended without all its images."""

    def __init__(self, job_id: str, state: str, message: str) -> None:
        super().__init__(f"job {job_id} {state}: {message}")
        self.job_id = job_id
        self.state = state


class DownloadError(OrthoburstError):
    """A file could not be fetched whole; what was fetched is kept and resumed next time."""

    def __init__(self, path: object, found: str) -> None:
        super().__init__(f"{path}: {found}; run the same download again to resume")
        self.path = str(path)
        self.found = found


class UsageError(OrthoburstError):
    """Something asked for in a way that cannot be understood: a file with a bad line, words that exclude each other."""
