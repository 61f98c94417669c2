"""Fair shares: when a user's turn comes, by start-time fair queueing (Goyal, Vin and Cheng, 1996).

Work is measured in slot-seconds over the user's weight, on a virtual clock that stands where the work served last
began. A task's tag is where its user's earlier tasks end, or the clock, whichever is later: who was idle saves up
nothing, and who used slots that nobody else wanted owes nothing. One user's thousand tasks get tags one after the
other; another's single task gets the clock's.

A tag becomes a moment, once, when the task arrives: so far ahead of the clock, at the speed at which the clock goes
while all who have work are served alike. It is not changed afterwards, so that nothing can be overtaken for ever.
"""

from __future__ import annotations

from dataclasses import dataclass

_LONGEST_AHEAD_S = 366 * 86_400.0


@dataclass(frozen=True, slots=True)
class FairClock:
    """The virtual clock of a site.

    Attributes
    ----------
    virtual_s : float
        Where it stands: the tag of the work served last.
    slots : float
        Slots of the centre that serve.
    active_weight : float
        Sum of the weights of those who have work.
    """

    virtual_s: float = 0.0
    slots: float = 1.0
    active_weight: float = 1.0

    @property
    def speed(self) -> float:
        """Virtual seconds a second, while there is more work than slots."""
        return max(self.slots, 1.0) / max(self.active_weight, 1e-9)

    def served(self, tag_s: float) -> float:
        """Where the clock stands once work with this tag is served."""
        return max(self.virtual_s, tag_s)


@dataclass(frozen=True, slots=True)
class Turn:
    """Of one task: its tag, where its user's next one may begin, and the moment since the epoch it stands for."""

    tag_s: float
    finish_s: float
    at_s: float


def next_turn(clock: FairClock, finish_s: float, weight: float, run_s: float, now_s: float) -> Turn:
    """The turn of a task that arrives now.

    Parameters
    ----------
    clock : FairClock
    finish_s : float
        Where the work of this user that came before ends on the virtual clock.
    weight : float
        The user's.
    run_s : float
        What the task is expected to take of a slot.
    """
    tag_s = max(clock.virtual_s, finish_s)
    ahead_s = min((tag_s - clock.virtual_s) / clock.speed, _LONGEST_AHEAD_S)
    return Turn(tag_s, tag_s + run_s / weight, now_s + ahead_s)
