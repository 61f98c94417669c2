"""What the worker raises on purpose."""

from __future__ import annotations

from orthocontracts.messages import Fault


class AgentError(Exception):
    """Base of every error of the worker."""


class LeaseLostError(AgentError):
    """The queue message is gone or was taken by another worker: this delivery no longer counts."""


class StorageSilentError(AgentError):
    """Storage did not answer, or answered that it cannot now: try again later, lose nothing meanwhile."""


class TicketUnreadableError(AgentError):
    """A ticket that is there but says nothing this worker understands; its token is what hands the work back."""

    def __init__(self, message: str, token: str = "") -> None:
        super().__init__(message)
        self.token = token


class TicketNotUnderstoodError(TicketUnreadableError):
    """A ticket with words of another release: another worker may know them."""


class CommandFailedError(AgentError):
    """A scheduler's command is not there, ended with an error or did not end; the message quotes what it said."""


class RightsError(AgentError):
    """The broker refuses the login, a subscription, or swallows what this agent publishes."""


class AgentTwiceError(AgentError):
    """Another process of the same agent id works in the same scratch folder."""

    def __init__(self, agent: str, folder: object) -> None:
        super().__init__(f"agent {agent} already runs here ({folder} is locked): give every agent an id of its own")
        self.agent = agent


class FaultError(AgentError):
    """Work that failed, with the fault to report for it."""

    def __init__(self, kind: str, message: str, *, permanent: bool = False) -> None:
        super().__init__(f"{kind}: {message}")
        self.fault = Fault(kind=kind, message=message[:2000], permanent=permanent)
