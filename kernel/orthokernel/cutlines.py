"""Cut lines: which of the slices of one pass gives a pixel.

The processor cuts a pass into slices, now with some lines that two have in common, now edge to edge. Where they
overlap the cut lies in the middle: a pixel there is interpolated from lines on both sides of it, all of one slice,
and not from a slice's last ones. Two slices agree on where a line lies to a hundredth of it only, so one of them
decides: the earlier is asked first, up to its cut, and the next takes what it leaves.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final, Protocol, runtime_checkable

import numpy as np

from orthokernel.product import Product

TOUCHING_LINES: Final = 1.5
"""A gap up to which slices are joined all the same, each going on to its middle: a line and what rounding adds."""
_SLACK_LINES: Final = 0.05
"""By which the later of two that touch begins before the cut: nothing may fall between two opinions of where it is."""


@runtime_checkable
class LineTimed(Protocol):
    """A sensor model whose lines are moments at even intervals: of line 0 in UTC, of the interval in seconds."""

    n_lines: int
    line_interval_s: float
    first_line_time_utc: np.datetime64


@dataclass(frozen=True)
class Slice:
    """When a product was imaged; ``of`` is equal for products of one pass."""

    of: tuple[Any, ...]
    first_line_time_utc: np.datetime64
    line_interval_s: float
    n_lines: int

    def seconds(self, line: float, since: np.datetime64) -> float:
        """The moment of a line, counted from another."""
        start_s = float((self.first_line_time_utc - since) / np.timedelta64(1, "ns")) * 1e-9
        return start_s + line * self.line_interval_s

    def line(self, seconds: float, since: np.datetime64) -> float:
        """The line of a moment."""
        return (seconds - self.seconds(0.0, since)) / self.line_interval_s


@dataclass(frozen=True)
class Turn:
    """A product's turn to give pixels that have no data yet.

    Attributes
    ----------
    product : int
        Where it stands in the sequence of products.
    first_line, last_line : float
        Lines between which it may; NaN as the last: to the end of the image.
    n_lines : int
        Of the image they belong to; 0 where there is no cut.
    """

    product: int
    first_line: float = -0.5
    last_line: float = float("nan")
    n_lines: int = 0

    def of_image(self, n_lines: int) -> tuple[float, float]:
        """First and last line in an image of the same extent with another number of lines: a quick-look."""
        scale = n_lines / self.n_lines if self.n_lines else 1.0
        return (self.first_line + 0.5) * scale - 0.5, (self.last_line + 0.5) * scale - 0.5


def slice_of(product: Product) -> Slice | None:
    """When a product was imaged and in which pass; None where its lines have no times."""
    model, facts = product.sensor_model(), product.properties()
    if not isinstance(model, LineTimed):
        return None
    keys = ("platform", "absolute_orbit", "datatake_id", "mode", "swath", "sample_spacing_m", "polarisations")
    of = tuple(str(facts.get(key)) for key in keys)
    return Slice(of, model.first_line_time_utc, model.line_interval_s, model.n_lines)


def turns(slices: Sequence[Slice | None]) -> list[Turn]:
    """The order in which products are asked for a pixel, and between which lines.

    Passes, and products that are slices of none, come in the order given; the slices of a pass in that of time. One
    that lies within another (the same slice, processed twice) is asked after the pass, for what is missing.
    """
    order: list[Turn] = []
    passes = dict.fromkeys(k if one is None else one.of for k, one in enumerate(slices))
    for key in passes:
        if isinstance(key, int):
            order.append(Turn(key))
        else:
            order += _turns_of_pass({k: one for k, one in enumerate(slices) if one is not None and one.of == key})
    return order


def _turns_of_pass(slices: dict[int, Slice]) -> list[Turn]:
    since = min(one.first_line_time_utc for one in slices.values())
    start_s = {k: one.seconds(-0.5, since) for k, one in slices.items()}
    end_s = {k: one.seconds(one.n_lines - 0.5, since) for k, one in slices.items()}
    chain: list[int] = []
    within: list[int] = []
    for k in sorted(slices, key=lambda k: (start_s[k], -end_s[k], k)):
        (within if chain and end_s[k] <= end_s[chain[-1]] else chain).append(k)
    first_line = dict.fromkeys(chain, -0.5)
    last_line = dict.fromkeys(chain, float("nan"))
    for one, other in pairwise(chain):
        gap_s = start_s[other] - end_s[one]
        if gap_s <= TOUCHING_LINES * slices[one].line_interval_s:
            cut_s = end_s[one] + 0.5 * gap_s
            last_line[one] = slices[one].line(cut_s, since)
            first_line[other] = min(slices[other].line(cut_s, since) - _SLACK_LINES, -0.5)
    return [Turn(k, first_line[k], last_line[k], slices[k].n_lines) for k in chain] + [Turn(k) for k in within]
