"""Images that were made before all slices of their pass were there: which one has taken their place."""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from orthocontracts import names
from orthofunctions.domain.indexed import Indexed
from orthofunctions.domain.item_places import key_range
from orthofunctions.ports import Ports

_AROUND: Final = timedelta(minutes=10)
"""An image of more slices begins earlier by theirs."""
_MOST_ROWS: Final = 200
_WHOLE: Final = 0.9999
"""Of its pixels: nothing is added to an image that has them all."""


def successor_of(ports: Ports, one: Indexed) -> Indexed | None:
    """The image that is the same of most slices; None where this one is."""
    if not one.slices or _is_whole(one):
        return None
    start, below = key_range(one.start - _AROUND, one.start + _AROUND)
    rows = ports.tables.query(names.TABLE_ITEMS, partition=one.place, key_from=start, key_below=below, limit=_MOST_ROWS)
    found = [other for other in map(Indexed.from_row, rows) if one.is_part_of(other)]
    return max(found, key=lambda other: (len(other.slices), other.key), default=None)


def _is_whole(one: Indexed) -> bool:
    share = one.properties.get("orthoburst:valid_fraction")
    return isinstance(share, int | float) and share >= _WHOLE
