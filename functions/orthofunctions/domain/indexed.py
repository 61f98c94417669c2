"""Rows of table ``items``: an image as a search sees it. Pure."""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Any, Final

from orthocontracts.outputs import CatalogueEntry, OutputIdentity
from orthocontracts.products import mission_of
from orthofunctions.domain.item_places import digest_of_key, month_of_key, places_of, time_key
from orthofunctions.domain.items import footprint_of, item_of, moment
from orthofunctions.domain.search_areas import Area, parse_area
from orthofunctions.ports import Row, Value

QUERYABLE: Final = (
    "mission",
    "platform",
    "constellation",
    "grid:code",
    "eo:cloud_cover",
    "sar:instrument_mode",
    "sat:orbit_state",
    "sat:absolute_orbit",
    "sat:relative_orbit",
    "view:incidence_angle",
    "created",
    "orthoburst:radiometry",
    "orthoburst:source_type",
    "orthoburst:spacing",
    "orthoburst:valid_fraction",
    "orthoburst:result_version",
)
"""Properties that a search may name, beside id, collection and datetime."""
_MOST_ITEM: Final = 30_000
"""Characters of an Item's text in a row: a value holds 32 Ki of them. Larger Items are read where they lie."""


def made_by(entry: CatalogueEntry) -> str:
    """The delivery an entry is of: an image that was made again has another."""
    return f"{entry.task_id}-{entry.release}-{entry.delivery}"


@dataclass(frozen=True)
class Indexed:
    """An image as its rows have it.

    ``item`` is None where a row was read that does not carry it; it lies in row ``key`` of partition ``place``.
    ``slices`` are the products it is of, where others may have had part of it, and ``otherwise`` is equal for images
    that differ in their products only.
    """

    key: str
    place: str
    made_by: str
    scope: str
    collection: str
    start: datetime
    end: datetime
    geometry: Mapping[str, Any] | None
    properties: Mapping[str, Any]
    item: dict[str, Any] | None = None
    slices: frozenset[str] = frozenset()
    otherwise: str = ""

    @property
    def digest(self) -> str:
        return digest_of_key(self.key)

    @cached_property
    def footprint(self) -> Area | None:
        return None if self.geometry is None else parse_area(self.geometry, strict=False)

    def value(self, name: str) -> Any:
        """What a search finds under a name: a queryable, ``id``, ``collection`` or ``datetime``; None where it is not
        there."""
        known = {"id": self.digest, "collection": self.collection, "datetime": self.start}
        return known[name] if name in known else self.properties.get(name)

    @classmethod
    def of(cls, entry: CatalogueEntry, delivered: bytes | None) -> tuple[Indexed, tuple[str, ...]]:
        """An image, and the partitions it lies in."""
        item = item_of(entry, delivered)
        properties = item["properties"]
        when = moment(properties["datetime"])
        assert when is not None  # ``item_of`` saw to it
        start = moment(properties.get("start_datetime")) or when
        places = places_of(entry.identity.grid.tile, footprint_of(item))
        indexed = cls(
            key=time_key(start, entry.digest),
            place=places[0],
            made_by=made_by(entry),
            scope=entry.identity.trust,
            collection=item["collection"],
            start=start,
            end=max(start, moment(properties.get("end_datetime")) or when),
            geometry=item["geometry"],
            properties={name: properties[name] for name in QUERYABLE if _is_plain(properties.get(name))},
            item=item,
            slices=_slices(entry.identity),
            otherwise=_otherwise(entry.identity),
        )
        return indexed, places

    def is_part_of(self, other: Indexed) -> bool:
        """Whether the other is the same image of more slices: it has what this one has, and what a neighbour adds."""
        return self.otherwise == other.otherwise and self.scope == other.scope and self.slices < other.slices

    def rows(self, places: tuple[str, ...]) -> list[Row]:
        """Its rows, in the order in which they are written: who finds one in a place finds the month's too."""
        about = {
            "start": self.start.isoformat(),
            "end": self.end.isoformat(),
            "geometry": self.geometry,
            "properties": self.properties,
            **({"slices": sorted(self.slices), "otherwise": self.otherwise} if self.slices else {}),
        }
        values: dict[str, Value] = {
            "made_by": self.made_by,
            "scope": self.scope,
            "collection": self.collection,
            "place": self.place,
            "about": json.dumps(about, separators=(",", ":")),
        }
        packed = pack(self.item)
        with_item = {**values, "item": packed} if packed else values
        return [Row(month_of_key(self.key), self.key, values), *(Row(place, self.key, with_item) for place in places)]

    @classmethod
    def from_row(cls, row: Row) -> Indexed:
        about = json.loads(str(row.values["about"]))
        packed = row.values.get("item")
        return cls(
            key=row.key,
            place=str(row.values["place"]),
            made_by=str(row.values["made_by"]),
            scope=str(row.values["scope"]),
            collection=str(row.values["collection"]),
            start=datetime.fromisoformat(about["start"]),
            end=datetime.fromisoformat(about["end"]),
            geometry=about["geometry"],
            properties=about["properties"],
            item=unpack(packed) if isinstance(packed, str) else None,
            slices=frozenset(about.get("slices", ())),
            otherwise=about.get("otherwise", ""),
        )


def _slices(identity: OutputIdentity) -> frozenset[str]:
    """Empty for products that are not cut from longer ones."""
    if any(mission_of(source.ref) not in ("sentinel-1", "sentinel-2") for source in identity.products):
        return frozenset()
    return frozenset(_short(f"{source.ref}|{source.content}") for source in identity.products)


def _otherwise(identity: OutputIdentity) -> str:
    """Of grid and options. Orbit files and the tiles of a DEM follow from the products."""
    return _short(f"{identity.process}|{identity.grid.to_json()}|{identity.options.to_json()}")


def _short(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _is_plain(value: object) -> bool:
    return isinstance(value, int | float) or (isinstance(value, str) and len(value) <= 200)


def pack(item: Mapping[str, Any] | None) -> str | None:
    """An Item as a row carries it; None where it is too large."""
    text = json.dumps(item, separators=(",", ":")).encode()
    packed = base64.b64encode(zlib.compress(text, 6)).decode()
    return packed if len(packed) <= _MOST_ITEM else None


def unpack(packed: str) -> dict[str, Any] | None:
    try:
        item: dict[str, Any] = json.loads(zlib.decompress(base64.b64decode(packed)))
    except (ValueError, binascii.Error, zlib.error):
        return None
    return item
