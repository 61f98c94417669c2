"""What can go wrong in the host, apart from the functions it runs."""

from __future__ import annotations


class HostError(Exception):
    """Base of the host's own errors."""


class AppError(HostError):
    """The function app cannot be run here: it is refused as a whole before anything starts."""


class SettingsError(HostError):
    """``host.json``, an app setting or a connection is missing or makes no sense."""


class FunctionFailedError(HostError):
    """A function raised, or ran past its time limit; already logged."""

    def __init__(self, function: str, invocation: str) -> None:
        super().__init__(f"function {function} failed (invocation {invocation})")
        self.function, self.invocation = function, invocation


class UnreadableMessageError(HostError):
    """A queue message that no retry can make readable."""
