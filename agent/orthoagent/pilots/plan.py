"""How many pilots to submit or cancel now. Pure."""

from __future__ import annotations

import math
from collections.abc import Collection
from dataclasses import dataclass
from typing import Literal

PilotState = Literal["submitted", "queued", "running"]


@dataclass(frozen=True)
class Pilot:
    """A batch job that is to be, or is, a worker. ``submitted``: the scheduler has not shown it yet."""

    agent: str
    state: PilotState
    starts_at_s: float | None = None
    """Seconds since the epoch; None: the scheduler does not know."""


@dataclass(frozen=True)
class Orders:
    """What to do: so many to submit, and these to cancel."""

    submit: int = 0
    cancel: tuple[str, ...] = ()


def pilots_for(slots: int, *, slots_each: int, at_most: int) -> int:
    """Pilots that a demand for slots asks for."""
    return min(at_most, math.ceil(slots / slots_each))


def plan(pilots: Collection[Pilot], *, wanted: int, kept: int, at_most: int) -> Orders:
    """Bring the pilots there are to the number that is wanted.

    Those that run are never cancelled: they leave by themselves when the queue stays empty.

    Parameters
    ----------
    pilots : collection of Pilot
        All there are, whatever submitted them.
    wanted : int
        How many there should be.
    kept : int
        Down to which number nothing is cancelled; more than ``wanted`` where the demand has only just fallen.
    at_most : int
        How many there may be.

    Returns
    -------
    Orders
        Cancelled are first those whose start is farthest away or not known.
    """
    surplus = len(pilots) - min(max(wanted, kept), at_most)
    if surplus <= 0:
        return Orders(submit=max(0, min(wanted, at_most) - len(pilots)))
    queued = [pilot for pilot in pilots if pilot.state == "queued"]
    queued.sort(key=lambda pilot: (_start_s(pilot), pilot.agent), reverse=True)
    return Orders(cancel=tuple(pilot.agent for pilot in queued[:surplus]))


def _start_s(pilot: Pilot) -> float:
    return math.inf if pilot.starts_at_s is None else pilot.starts_at_s
