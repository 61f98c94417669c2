"""The state table: every legal move moves, every other one raises and changes nothing."""

from __future__ import annotations

import itertools

import pytest

from orthocontracts.states import IllegalMoveError, JobState, OutputState, TaskState, job_state, move

P, R, U, S, F, C = (
    TaskState.PENDING,
    TaskState.RELEASED,
    TaskState.RUNNING,
    TaskState.SUCCEEDED,
    TaskState.FAILED,
    TaskState.CANCELLED,
)
LEGAL = {(P, R), (P, S), (P, F), (P, C), (R, U), (R, P), (R, S), (R, F), (R, C), (U, P), (U, S), (U, F), (U, C)}


@pytest.mark.parametrize(("current", "wanted"), list(itertools.product(TaskState, TaskState)))
def test_every_pair_of_states(current: TaskState, wanted: TaskState) -> None:
    if (current, wanted) in LEGAL:
        assert move("t", current, wanted) is wanted
    else:
        with pytest.raises(IllegalMoveError, match=f"t is {current} and cannot become {wanted}"):
            move("t", current, wanted)


def test_final_states_are_those_without_a_way_out() -> None:
    assert {state for state in TaskState if state.is_final} == {S, F, C}


@pytest.mark.parametrize(
    ("outputs", "started", "expected"),
    [
        ("w w", False, JobState.ACCEPTED),
        ("w w", True, JobState.RUNNING),
        ("w c", False, JobState.RUNNING),
        ("c c", True, JobState.SUCCESSFUL),
        ("c f", True, JobState.FAILED),
        ("c x", True, JobState.DISMISSED),
        ("f x", True, JobState.FAILED),
        ("", False, JobState.FAILED),
    ],
)
def test_job_state_derives_from_outputs(outputs: str, started: bool, expected: JobState) -> None:
    letters = {
        "w": OutputState.WANTED,
        "c": OutputState.COMMITTED,
        "f": OutputState.FAILED,
        "x": OutputState.CANCELLED,
    }
    assert job_state([letters[letter] for letter in outputs.split()], any_started=started) is expected
