"""What may befall a request on its way to storage."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

Service = Literal["blob", "queue", "table"]
Kind = Literal["error", "silence", "refusal", "delay", "twice"]


@dataclass(frozen=True)
class Call:
    """A request, as far as troubles ask."""

    service: Service
    method: str
    path: str
    is_link: bool

    @property
    def sends_a_message(self) -> bool:
        return self.service == "queue" and self.method == "POST" and self.path.endswith("/messages")


@dataclass(frozen=True)
class Trouble:
    """What a share of the requests meets while it lasts.

    Attributes
    ----------
    kind
        ``error``: answered with ``status``. ``silence``: not answered while the trouble lasts, then cut. ``refusal``:
        403, as an expired link gets it. ``delay``: passed on ``delay_s`` late. ``twice``: passed on two times.
    share : float
        Of the requests that ``concerns`` names.
    """

    kind: Kind
    share: float
    status: int = 503
    delay_s: float = 0.0
    concerns: Callable[[Call], bool] = lambda _: True

    def befalls(self, call: Call, rng: random.Random) -> bool:
        return self.concerns(call) and rng.random() < self.share


def errors(status: int, share: float) -> Trouble:
    return Trouble("error", share, status=status)


def silence(share: float) -> Trouble:
    return Trouble("silence", share)


def refused_links(share: float) -> Trouble:
    return Trouble("refusal", share, concerns=lambda call: call.is_link)


def late_messages(share: float, delay_s: float) -> Trouble:
    return Trouble("delay", share, delay_s=delay_s, concerns=lambda call: call.sends_a_message)


def doubled_messages(share: float) -> Trouble:
    return Trouble("twice", share, concerns=lambda call: call.sends_a_message)
