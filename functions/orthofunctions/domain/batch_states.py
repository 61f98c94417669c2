"""The states of a batch's jobs, a letter each, and their ids, one after the other: so a thousand fit into a row."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from orthocontracts.states import JobState

GONE: Final = "x"
"""A job that has expired since."""
_LETTERS: Final = {
    JobState.ACCEPTED: "a",
    JobState.RUNNING: "r",
    JobState.SUCCESSFUL: "s",
    JobState.FAILED: "f",
    JobState.DISMISSED: "d",
}
_STATES: Final = {letter: state for state, letter in _LETTERS.items()}
SETTLED: Final = frozenset({"s", "d", GONE})
"""For good. What failed may still be made: by a delivery that was thought lost, or for another job."""
_MOST_CHARACTERS: Final = 32_768


def letter_of(state: JobState | None) -> str:
    """None: gone."""
    return GONE if state is None else _LETTERS[state]


def state_of(letter: str) -> JobState | None:
    return _STATES.get(letter)


def joined(job_ids: Iterable[str]) -> str:
    """Job ids as a batch's row has them.

    Raises
    ------
    ValueError
        Where they are too many, or too long, for one property of a row.
    """
    text = " ".join(job_ids)
    if len(text) > _MOST_CHARACTERS:
        raise ValueError(f"{len(text)} characters of job ids; a property of a row holds {_MOST_CHARACTERS}")
    return text


def split(text: str) -> list[str]:
    return text.split(" ")
