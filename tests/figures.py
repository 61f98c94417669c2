"""The figures that were promised, as they came out: printed at the end of a run."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Figure:
    what: str
    value: float
    promised: str

    def __str__(self) -> str:
        return f"{self.what:<72} {self.value:>12.5g}   {self.promised}"


FIGURES: list[Figure] = []


def tell(what: str, value: float, promised: str) -> None:
    """Note a figure, with its unit in ``what``, for the end of the run. It judges nothing: the test does."""
    FIGURES.append(Figure(what, float(value), promised))
