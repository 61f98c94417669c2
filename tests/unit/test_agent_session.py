"""The state machine of one delivery: every pair of state and event, and what the design promises of it."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orthoagent.session import Event, IllegalEventError, Session, State, Step

HAPPY = (Event.TICKET_READ, Event.FETCHED, Event.CHILD_ENDED, Event.DELIVERED, Event.CLOSED)
INTERRUPTS = (Event.LEASE_LOST, Event.TICKET_GONE, Event.CANCEL, Event.HAND_BACK, Event.ABORT)
AT_WORK = (State.TAKEN, State.FETCHING, State.COMPUTING, State.DELIVERING)
CLOSING = (State.REPORTING, State.RETURNING, State.DISCARDING, State.ABORTING)
TELLS = {Step.REPORT_FINISHED, Step.REPORT_RETURNED}

# The whole table, written a second time as pairs: what is not here is illegal.
LEGAL: dict[State, dict[Event, State]] = {
    State.TAKEN: {
        Event.TICKET_READ: State.FETCHING,
        Event.TICKET_MISSING: State.DISCARDING,
        Event.TICKET_UNFIT: State.RETURNING,
        Event.DELIVERIES_EXHAUSTED: State.REPORTING,
        Event.TICKET_UNREADABLE: State.REPORTING,
    },
    State.FETCHING: {
        Event.FETCHED: State.COMPUTING,
        Event.FETCH_FAILED: State.REPORTING,
        Event.TIME_LIMIT: State.REPORTING,
        Event.TIME_OVER: State.REPORTING,
    },
    State.COMPUTING: {
        Event.CHILD_ENDED: State.DELIVERING,
        Event.TIME_LIMIT: State.DELIVERING,
        Event.TIME_OVER: State.REPORTING,
    },
    State.DELIVERING: {
        Event.DELIVERED: State.REPORTING,
        Event.TIME_LIMIT: State.DELIVERING,
        Event.TIME_OVER: State.REPORTING,
    },
}
for _state in AT_WORK:
    LEGAL[_state] |= {
        Event.LEASE_LOST: State.ABANDONED,
        Event.TICKET_GONE: State.DISCARDING,
        Event.CANCEL: State.DISCARDING,
        Event.HAND_BACK: State.RETURNING,
        Event.ABORT: State.ABORTING,
    }
for _state, _end in zip(CLOSING, (State.DONE, State.RETURNED, State.DISCARDED, State.ABANDONED), strict=True):
    LEGAL[_state] = {
        Event.CLOSED: _end,
        Event.LEASE_LOST: State.ABANDONED,
        Event.ABORT: State.ABANDONED,
        **dict.fromkeys((Event.TICKET_GONE, Event.CANCEL, Event.TIME_LIMIT, Event.TIME_OVER, Event.HAND_BACK), _state),
    }


def session_in(state: State) -> Session:
    session = Session()
    session.state = state
    return session


@pytest.mark.parametrize(("state", "event"), list(itertools.product(State, Event)))
def test_every_pair_moves_as_promised_or_is_refused_and_changes_nothing(state: State, event: Event) -> None:
    session = session_in(state)
    wanted = LEGAL.get(state, {}).get(event)
    if wanted is None:
        with pytest.raises(IllegalEventError, match=str(event)):
            session.on(event)
        assert session.state is state
    else:
        session.on(event)
        assert session.state is wanted


def test_a_delivery_that_goes_well_does_each_step_once_and_in_order() -> None:
    session = Session()
    steps = list(session.begin())
    for event in HAPPY:
        steps += session.on(event)
    assert session.state is State.DONE
    assert steps == [
        Step.READ_TICKET,
        Step.REPORT_STARTED,
        Step.FETCH,
        Step.COMPUTE,
        Step.DELIVER,
        Step.CONFIRM_LEASE,
        Step.REPORT_FINISHED,
        Step.DELETE_MESSAGE,
    ]


@pytest.mark.parametrize(("state", "interrupt"), list(itertools.product(AT_WORK, INTERRUPTS)))
def test_an_interrupt_stops_the_work_before_anything_else(state: State, interrupt: Event) -> None:
    assert session_in(state).on(interrupt)[0] is Step.STOP_WORK


@pytest.mark.parametrize("state", [*AT_WORK, *CLOSING])
def test_who_has_lost_the_message_says_nothing_and_touches_it_no_more(state: State) -> None:
    session = session_in(state)
    assert session.on(Event.LEASE_LOST) == (Step.STOP_WORK,)
    assert session.state.is_final


@pytest.mark.parametrize(("state", "event"), list(itertools.product(AT_WORK, (Event.TICKET_GONE, Event.CANCEL))))
def test_cancelled_work_is_not_reported(state: State, event: Event) -> None:
    assert session_in(state).on(event) == (Step.STOP_WORK, Step.DELETE_MESSAGE)


@pytest.mark.parametrize(("state", "event"), list(itertools.product(State, Event)))
def test_a_report_comes_after_the_lease_is_confirmed_and_before_the_message_is_deleted(
    state: State, event: Event
) -> None:
    if event not in LEGAL.get(state, {}):
        return
    steps = session_in(state).on(event)
    for place, step in enumerate(steps):
        if step in TELLS:
            assert steps[place - 1] is Step.CONFIRM_LEASE
            assert steps[place + 1] is Step.DELETE_MESSAGE
    if Step.STOP_WORK in steps:
        assert steps.index(Step.STOP_WORK) == 0


@given(st.lists(st.sampled_from(list(Event)), max_size=12))
def test_no_order_of_events_reports_twice_or_acts_after_the_end(events: list[Event]) -> None:
    session = Session()
    told: list[Step] = []
    for event in events:
        ended = session.state.is_final
        try:
            steps = session.on(event)
        except IllegalEventError:
            continue
        assert not ended
        told += [step for step in steps if step in TELLS]
    assert len(told) <= 1
