"""What becomes of one delivery of one release: a pure state machine, without clock, socket or process.

A delivery is one reception of a queue message. Its driver feeds what happened as an :class:`Event` and carries out
the :class:`Step` s of the answer, in order; each row of ``_MOVES`` is one promise of the design, and whatever is not
in the table is a bug in the driver and raises.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from orthoagent.errors import AgentError


class State(StrEnum):
    TAKEN = "taken"
    FETCHING = "fetching"
    COMPUTING = "computing"
    DELIVERING = "delivering"
    REPORTING = "reporting"
    RETURNING = "returning"
    """Hands the work back unharmed: a report ``returned``, then the message is deleted."""
    DISCARDING = "discarding"
    """Cancelled or recalled: the message is deleted without a report."""
    ABORTING = "aborting"
    """The process must end now: the message is made visible again and nothing is said."""
    DONE = "done"
    RETURNED = "returned"
    DISCARDED = "discarded"
    ABANDONED = "abandoned"

    @property
    def is_final(self) -> bool:
        return self in _FINAL


_FINAL = frozenset({State.DONE, State.RETURNED, State.DISCARDED, State.ABANDONED})


class Event(StrEnum):
    # How a step ended
    TICKET_READ = "ticket read"
    TICKET_MISSING = "ticket missing"
    TICKET_UNFIT = "ticket unfit"
    """Its links end before its time limit, this worker before the task would, it wants another result version, or it
    has words of another release: back to the dispatcher."""
    DELIVERIES_EXHAUSTED = "deliveries exhausted"
    TICKET_UNREADABLE = "ticket unreadable"
    """It speaks of another task."""
    FETCHED = "fetched"
    FETCH_FAILED = "fetch failed"
    CHILD_ENDED = "child ended"
    DELIVERED = "delivered"
    CLOSED = "closed"
    # What comes from outside, at any time
    LEASE_LOST = "lease lost"
    TICKET_GONE = "ticket gone"
    CANCEL = "cancel"
    TIME_LIMIT = "time limit"
    TIME_OVER = "time over"
    """Nothing of it may go on, its upload neither."""
    HAND_BACK = "hand back"
    ABORT = "abort"


class Step(StrEnum):
    STOP_WORK = "stop work"
    """Kill the child's process group and cancel what else runs for this delivery; then go on."""
    READ_TICKET = "read ticket"
    REPORT_STARTED = "report started"
    FETCH = "fetch"
    COMPUTE = "compute"
    DELIVER = "deliver"
    CONFIRM_LEASE = "confirm lease"
    """Renew once more before saying how it ended: who has lost the message never reports failure."""
    REPORT_FINISHED = "report finished"
    REPORT_RETURNED = "report returned"
    DELETE_MESSAGE = "delete message"
    FREE_MESSAGE = "free message"


@dataclass(frozen=True)
class Move:
    state: State
    steps: tuple[Step, ...] = ()


_REPORT = Move(State.REPORTING, (Step.CONFIRM_LEASE, Step.REPORT_FINISHED, Step.DELETE_MESSAGE))
_RETURN = Move(State.RETURNING, (Step.STOP_WORK, Step.CONFIRM_LEASE, Step.REPORT_RETURNED, Step.DELETE_MESSAGE))
_DISCARD = Move(State.DISCARDING, (Step.STOP_WORK, Step.DELETE_MESSAGE))
_ABANDON = Move(State.ABANDONED, (Step.STOP_WORK,))
_ABORT = Move(State.ABORTING, (Step.STOP_WORK, Step.FREE_MESSAGE))

# What may interrupt a delivery whose work is under way.
_INTERRUPTS: Mapping[Event, Move] = {
    Event.LEASE_LOST: _ABANDON,
    Event.TICKET_GONE: _DISCARD,
    Event.CANCEL: _DISCARD,
    Event.HAND_BACK: _RETURN,
    Event.ABORT: _ABORT,
}
_TIME_IS_UP = Move(State.REPORTING, (Step.STOP_WORK, *_REPORT.steps))


def _closing(state: State, end: State) -> Mapping[Event, Move]:
    """The last steps of a delivery: only the loss of the message or the end of the process still changes them.

    A cancel that comes now is too late to matter: a success that is committed stays, a failure of a release that was
    recalled is not counted.
    """
    stay = Move(state)
    return {
        Event.CLOSED: Move(end),
        Event.LEASE_LOST: _ABANDON,
        Event.ABORT: Move(State.ABANDONED, (Step.STOP_WORK,)),
        Event.TICKET_GONE: stay,
        Event.CANCEL: stay,
        Event.TIME_LIMIT: stay,
        Event.TIME_OVER: stay,
        Event.HAND_BACK: stay,
    }


_MOVES: Mapping[State, Mapping[Event, Move]] = {
    State.TAKEN: {
        **_INTERRUPTS,
        Event.TICKET_READ: Move(State.FETCHING, (Step.REPORT_STARTED, Step.FETCH)),
        Event.TICKET_MISSING: Move(State.DISCARDING, (Step.DELETE_MESSAGE,)),
        Event.TICKET_UNFIT: Move(State.RETURNING, (Step.CONFIRM_LEASE, Step.REPORT_RETURNED, Step.DELETE_MESSAGE)),
        Event.DELIVERIES_EXHAUSTED: _REPORT,
        Event.TICKET_UNREADABLE: _REPORT,
    },
    State.FETCHING: {
        **_INTERRUPTS,
        Event.FETCHED: Move(State.COMPUTING, (Step.COMPUTE,)),
        Event.FETCH_FAILED: _REPORT,
        Event.TIME_LIMIT: _TIME_IS_UP,
        Event.TIME_OVER: _TIME_IS_UP,
    },
    State.COMPUTING: {
        **_INTERRUPTS,
        # However the child ended: the outputs it finished count, the others get their fault.
        Event.CHILD_ENDED: Move(State.DELIVERING, (Step.DELIVER,)),
        Event.TIME_LIMIT: Move(State.DELIVERING, (Step.STOP_WORK, Step.DELIVER)),
        Event.TIME_OVER: _TIME_IS_UP,
    },
    State.DELIVERING: {
        **_INTERRUPTS,
        Event.DELIVERED: _REPORT,
        # The limit is for the work; what is done is still worth its upload, which ends with the links at the latest.
        Event.TIME_LIMIT: Move(State.DELIVERING),
        Event.TIME_OVER: _TIME_IS_UP,
    },
    State.REPORTING: _closing(State.REPORTING, State.DONE),
    State.RETURNING: _closing(State.RETURNING, State.RETURNED),
    State.DISCARDING: _closing(State.DISCARDING, State.DISCARDED),
    State.ABORTING: _closing(State.ABORTING, State.ABANDONED),
    State.DONE: {},
    State.RETURNED: {},
    State.DISCARDED: {},
    State.ABANDONED: {},
}


class IllegalEventError(AgentError):
    """An event that cannot happen in this state. Nothing was changed."""

    def __init__(self, state: State, event: Event) -> None:
        allowed = ", ".join(sorted(_MOVES[state])) or "nothing: it is final"
        super().__init__(f"a delivery that is {state} met '{event}'; possible: {allowed}")
        self.state = state
        self.event = event


class Session:
    """The state of one delivery."""

    def __init__(self) -> None:
        self.state = State.TAKEN

    def begin(self) -> tuple[Step, ...]:
        """The first steps, right after the message was received."""
        return (Step.READ_TICKET,)

    def on(self, event: Event) -> tuple[Step, ...]:
        """Move, and say what to do now.

        Raises
        ------
        IllegalEventError
            Where the table has no such move; the state stays.
        """
        move = _MOVES[self.state].get(event)
        if move is None:
            raise IllegalEventError(self.state, event)
        self.state = move.state
        return move.steps
