"""How a long run says how far it is."""

from __future__ import annotations

from collections.abc import Callable

Progress = Callable[[float, str], None]
"""Called with the part done, 0 to 1 and never falling, and a word on what is being done. An exception it raises stops
the run and leaves no output behind."""


def no_progress(part: float, doing: str) -> None:
    """Says nothing."""


def part_of(progress: Progress, start: float, stop: float) -> Progress:
    """A `Progress` whose 0 to 1 is ``start`` to ``stop`` of another."""

    def report(part: float, doing: str) -> None:
        progress(start + (stop - start) * part, doing)

    return report
