"""The rounds of one process: one at a time, however many wakes there are."""

from __future__ import annotations

import threading

from orthofunctions.domain.rules import Rules
from orthofunctions.ports import Ports
from orthofunctions.usecases.dispatch import dispatch

MOST_IN_A_CALL = 10  # then a wake of its own goes on: a function must end


class Rounds:
    """Wakes that come during a round ask for one more of it, and cost storage nothing: there are dozens a second."""

    def __init__(self) -> None:
        self._one_at_a_time = threading.Lock()
        self._asked = threading.Event()

    def answer(self, ports: Ports, rules: Rules) -> None:
        """Dispatch now, or let the thread that does go on. What dies with that, the timer brings back."""
        self._asked.set()
        for _ in range(MOST_IN_A_CALL):
            # Asked again after the lock is let go: a wake that found it held must not be forgotten.
            if not self._asked.is_set() or not self._one_at_a_time.acquire(blocking=False):
                return
            try:
                self._asked.clear()
                dispatch(ports, rules)
            finally:
                self._one_at_a_time.release()
